/*
 * httpd_log.h: the message catalogue: every line that mod_failover writes, with its tag, level and
 * words. The lines are a contract: people tail them.
 */
#ifndef HTTPD_LOG_H
#define HTTPD_LOG_H

#include "httpd/httpd_failover.h"

/* FO0001 to FO0005, FO0016 to FO0021: changes, on the monitor thread. */
void httpd_log_change(void *baton, const fo_change_t *change);

/* FO0006, FO0007 */
void httpd_log_secret_unreadable(const server_rec *s, const httpd_place_t *place, const char *error,
                                 const char *missing);
void httpd_log_secret_exposed(const server_rec *s, const httpd_place_t *place, const char *warning);

/* FO0008: a child without a monitor. */
void httpd_log_no_monitor(const server_rec *s, apr_status_t status, const char *what);

/* FO0009, FO0010: configuration; s NULL: to the terminal, whatever LogLevel says. */
void httpd_log_warning(const server_rec *s, const httpd_warning_t *warning);
void httpd_log_refused(const char *error);

/* FO0011 to FO0013: settings, each once per child. */
void httpd_log_bare_alias(request_rec *r, const fo_service_t *service, const fo_setting_t *setting);
void httpd_log_evaluation(request_rec *r, const fo_service_t *service, const fo_setting_t *setting,
                          const char *error);
void httpd_log_control_bytes(request_rec *r, const fo_service_t *service,
                             const fo_setting_t *setting);

/* FO0014: there is no memory to share. */
void httpd_log_unshared(const server_rec *s, apr_status_t status);

/* FO0015: a child without a slot there. */
void httpd_log_no_slot(const server_rec *s);

/* FO0022: a listener of another module failed. FO0023: the event log cannot be opened. */
void httpd_log_listener(const server_rec *s, const char *module, const fo_event_t *event,
                        const char *error);
void httpd_log_event_log(const server_rec *s, apr_status_t status, const httpd_place_t *place,
                         const char *target);

/* FO0024: an application names a service that there is not; once per child. */
void httpd_log_unknown_error(request_rec *r, const char *header, const char *name);

#endif

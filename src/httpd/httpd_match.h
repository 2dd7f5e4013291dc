/*
 * httpd_match.h: FailoverErrorMatch, from the directives to the rules; and where LogLevel makes it
 * deaf.
 */
#ifndef HTTPD_MATCH_H
#define HTTPD_MATCH_H

#include "core/fo_rules.h"
#include "httpd/httpd_failover.h"

/* FailoverErrorMatch [add|only] [from=MODULE,...] PATTERN ... */
const char *httpd_match_declare(cmd_parms *cmd, void *unused, const char *args);

/* The rules of a plan whose services are declared in this order. NULL, or a message. */
const char *httpd_match_rules(const fo_plan_t *plan, const apr_array_header_t *declared,
                              fo_rules_t **ret_rules);

/* As the log and httpd -M show it, without _module. */
const char *httpd_module_name(const module *one);

/* wanted: such a name, or mod_proxy_http.c, or either with a '*' at its end. */
bool httpd_module_fits(const module *one, const char *wanted, apr_pool_t *pool);

/* One more than the highest index of a loaded module. */
unsigned httpd_module_count(void);

/* Marks, by index, the loaded modules that this line names. */
void httpd_match_relays(bool *is_relay, const fo_match_t *match, apr_pool_t *pool);

/* httpd_loglevel.c: warns where LogLevel hides the entries that would trigger pings. */
void httpd_match_warn_deaf(server_rec *main_server, apr_pool_t *pool);

#endif

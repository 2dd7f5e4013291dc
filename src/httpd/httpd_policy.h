/*
 * httpd_policy.h: the directives that set the policy's numbers, at server level, in a virtual host
 * or inside <FailoverService>.
 */
#ifndef HTTPD_POLICY_H
#define HTTPD_POLICY_H

#include "httpd/httpd_failover.h"

/* A directive of one span: what stands behind it in the command table. */
typedef struct httpd_span_t {
    fo_policy_e number;
    apr_interval_time_t low;
    apr_interval_time_t high;
} httpd_span_t;

extern const httpd_span_t httpd_span_monitoring;
extern const httpd_span_t httpd_span_outage;
extern const httpd_span_t httpd_span_error;
extern const httpd_span_t httpd_span_logging;
extern const httpd_span_t httpd_span_grace;

const char *httpd_policy_set_span(cmd_parms *cmd, void *unused, const char *text);
const char *httpd_policy_set_ping_timeout(cmd_parms *cmd, void *unused, const char *up,
                                          const char *down);
const char *httpd_policy_set_spread(cmd_parms *cmd, void *unused, const char *text);
const char *httpd_policy_set_mode(cmd_parms *cmd, void *unused, const char *text);
const char *httpd_policy_set_preset(cmd_parms *cmd, void *unused, const char *name);

/* key=value, one word at a time. */
const char *httpd_policy_set_threshold(cmd_parms *cmd, void *unused, const char *word);

/* A first word, then key=value. */
const char *httpd_policy_set_probes(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *httpd_policy_set_failback(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *httpd_policy_set_breaker(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *httpd_policy_set_attempts(cmd_parms *cmd, void *unused, int argc, char *const argv[]);

#endif

/*
 * probe_lag_json.h: what Redis Enterprise's REST API answers, as redis-lag+https:// reads it.
 */
#ifndef PROBE_LAG_JSON_H
#define PROBE_LAG_JSON_H

#include "mod_failover.h"

/*
 * The database that clients reach at host: the one with an endpoint of that name, else the one with
 * an endpoint at that address. port 0: any. NULL, or why there is none, or not one, in text.
 */
const char *probe_lag_find(const char *json, apr_size_t n, const fo_host_t *host,
                           apr_int64_t *ret_uid, char text[FO_REPORT_TEXT]);

/* The words of an error: its description, else its error_code, else "". */
const char *probe_lag_words(const char *json, apr_size_t n, char text[FO_REPORT_TEXT]);

#endif

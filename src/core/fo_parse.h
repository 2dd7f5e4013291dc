/*
 * fo_parse.h: the only text parser: durations, numbers, names, options and URLs as people write
 * them in the configuration. Each parser returns NULL, or a message from pool that says what was
 * wrong and what is allowed; its ret_ outputs are written on success only.
 */
#ifndef FO_PARSE_H
#define FO_PARSE_H

#include "mod_failover.h"

#define FO_NAME_MAX 32
#define FO_URL_MAX 2048
#define FO_HOSTS_MAX 64
#define FO_HOST_MAX 255
#define FO_SOCKET_MAX 107
#define FO_SPAN_TEXT 24

/* "100ms", "3s", "5m", "5min", "2h", "1d"; a bare number is seconds. At most 3650 days. */
const char *fo_parse_duration(const char *text, apr_interval_time_t *ret_span, apr_pool_t *pool);

/* A whole number within [low, high]. */
const char *fo_parse_number(const char *text, apr_int64_t low, apr_int64_t high,
                            apr_int64_t *ret_number, apr_pool_t *pool);

/* A decimal number greater than zero and at most 1000000. */
const char *fo_parse_weight(const char *text, double *ret_weight, apr_pool_t *pool);

/* A decimal number from 0 to 1. */
const char *fo_parse_rate(const char *text, apr_int64_t *ret_millionths, apr_pool_t *pool);

/* One of two words. */
const char *fo_parse_either(const char *text, const char *yes, const char *no, bool *ret_is_yes,
                            apr_pool_t *pool);

/* The path of a socket file: absolute, and no longer than the system takes. */
const char *fo_parse_socket(const char *text, apr_pool_t *pool);

/* The name of a service or an endpoint: [A-Za-z][A-Za-z0-9_-]{0,31}. */
const char *fo_parse_name(const char *text, apr_pool_t *pool);

/* The name of an environment variable or note: printable, without '=' or blanks. */
const char *fo_parse_variable(const char *text, apr_pool_t *pool);

/* "key=value"; the key is an option when it is lower case, a variable when it is upper case. */
typedef struct fo_pair_t {
    const char *key;
    const char *value;
    bool is_variable;
} fo_pair_t;
const char *fo_parse_pair(const char *text, fo_pair_t *ret_pair, apr_pool_t *pool);

/* The scheme of a URL alone, to find its probe by. */
const char *fo_parse_scheme(const char *text, const char **ret_scheme, apr_pool_t *pool);

/*
 * scheme://[user@]host[:port][,host[:port]...][/path]. The probe says which port holds when none is
 * written, how many hosts it takes (0: a path alone), and gives the example for messages.
 */
const char *fo_parse_url(const char *text, const fo_probe_t *probe, fo_url_t **ret_url,
                         apr_pool_t *pool);

/* Whether the name is one of the list's n, case ignored. */
bool fo_is_listed(const char *name, const char *const *list, size_t n);

/* Names that are equal as variables: '-' is '_', case ignored. */
bool fo_name_equal(const char *a, const char *b);

/* "redis-east" as a part of a variable's name: "REDIS_EAST". */
const char *fo_name_variable(const char *name, apr_pool_t *pool);

/* A span for people, exact to the millisecond: 100ms, 3s, 42s, 90s, 2h. */
const char *fo_span_text(apr_interval_time_t span, char text[FO_SPAN_TEXT]);

/* A measured span, rounded down to what is worth telling: of 2h 3m 4s it leaves 2h. */
apr_interval_time_t fo_span_round(apr_interval_time_t span);

#endif

/*
 * probe_http_options.h: the options of http:// and https:// as people write them. Each reader
 * returns NULL, or a message from pool that says what was wrong and what is allowed; its ret_
 * outputs are written on success only. Configuration only.
 */
#ifndef PROBE_HTTP_OPTIONS_H
#define PROBE_HTTP_OPTIONS_H

#include "mod_failover.h"

/* Final statuses are 200 to 599. */
#define PROBE_HTTP_STATUS_END 600

typedef struct probe_http_statuses_t {
    bool has[PROBE_HTTP_STATUS_END];
} probe_http_statuses_t;

/* "200,204,300-399". */
const char *probe_http_read_statuses(const char *text, probe_http_statuses_t *ret_statuses,
                                     apr_pool_t *pool);

/* "Name: value|Name: value"; a table of names and values, blanks around both taken away. */
const char *probe_http_read_headers(const char *text, apr_table_t **ret_headers, apr_pool_t *pool);

/* What a Host header holds: "shop.example.com:8080". */
const char *probe_http_read_host(const char *text, apr_pool_t *pool);

/* For a request, from a decoded path ("": "/") and a query that is sent as it is (NULL: none). */
const char *probe_http_target(const char *path, const char *query, const char **ret_target,
                              apr_pool_t *pool);

#endif

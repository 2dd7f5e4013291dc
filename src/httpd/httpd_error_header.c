/*
 * FailoverErrorHeader: an application in another process reports errors of services in a header of
 * its response, which nobody else sees: it is taken out before any filter, and before a cache. What
 * a client sends under that name is taken out as well, before an application might repeat it.
 */
#include "httpd/httpd_failover.h"

#include "httpd/httpd_declare.h"
#include "httpd/httpd_log.h"

#include <apr_lib.h>
#include <http_protocol.h>
#include <http_request.h>
#include <stdatomic.h>
#include <string.h>
#include <util_filter.h>

#define FILTER "failover_error_header"

/* Before the first of all that look at what a handler says. */
#define BEFORE_ALL (AP_FTYPE_RESOURCE - 1)

/* Services that one response is believed to have failed with. */
#define NAMES_MAX 16

static bool is_hooked;
static atomic_bool is_told; /* of a name that is no service */

/* ---------------------------------------------------------------- what a response says */

static const fo_endpoint_t *endpoint_in_use(const fo_service_t *service)
{
    return fo_service_endpoint(service, fo_board_word(httpd_child_board(), service).endpoint);
}

static void report_error(request_rec *r, const char *header, const char *name)
{
    const fo_scope_t *scope = httpd_server_of(r->server)->scope;
    const fo_service_t *service = scope ? fo_scope_find(scope, name) : NULL;
    fo_alarm_t *alarm = httpd_child_alarm();
    const fo_target_t *target;

    if (!alarm || !httpd_child_board())
        return;
    if (!service) {
        httpd_child_unknown_error();
        if (!atomic_exchange(&is_told, true))
            httpd_log_unknown_error(r, header, name);
        return;
    }
    target = endpoint_in_use(service)->target;
    httpd_uses_found(r, target->index / 64, (apr_uint64_t)1 << target->index % 64);
    if (fo_alarm_raise(alarm, target))
        httpd_child_wake();
}

typedef struct reading_t {
    request_rec *r;
    const char *header;
    unsigned n;
} reading_t;

/* "replica", "replica, cache". */
static int read_value(void *opaque, const char *key, const char *value)
{
    reading_t *reading = opaque;
    char *words = apr_pstrdup(reading->r->pool, value), *last;

    (void)key;
    for (char *name = apr_strtok(words, ", \t", &last); name && reading->n < NAMES_MAX;
         name = apr_strtok(NULL, ", \t", &last)) {
        report_error(reading->r, reading->header, name);
        reading->n++;
    }
    return 1;
}

/* Where the response stands depends on who made it. */
static void take_out(request_rec *r)
{
    const char *header = httpd_directory_of(r->per_dir_config)->error_header;
    reading_t reading = { .r = r, .header = header };

    if (!header)
        return;
    apr_table_do(read_value, &reading, r->headers_out, header, NULL);
    apr_table_do(read_value, &reading, r->err_headers_out, header, NULL);
    apr_table_unset(r->headers_out, header);
    apr_table_unset(r->err_headers_out, header);
}

/* ---------------------------------------------------------------- where it passes */

static apr_status_t filter(ap_filter_t *f, apr_bucket_brigade *bb)
{
    take_out(f->r);
    ap_remove_output_filter(f);
    return ap_pass_brigade(f->next, bb);
}

/* What mod_include has made of it by then for a page of which this is a part. */
static void forget_variable(request_rec *r, const char *header)
{
    char *name = apr_pstrcat(r->pool, "HTTP_", header, NULL);

    for (char *c = name; *c; c++)
        *c = apr_isalnum(*c) ? (char)apr_toupper(*c) : '_';
    apr_table_unset(r->subprocess_env, name);
}

/* Parts of a page, and files that stand in for their directory, have not been told of before. */
static void add_filter(request_rec *r)
{
    const char *header = httpd_directory_of(r->per_dir_config)->error_header;

    if (!header)
        return;
    ap_add_output_filter(FILTER, NULL, r, r->connection);
    apr_table_unset(r->headers_in, header);
    if (r->main)
        forget_variable(r, header);
}

/* Of a request that ends with an error of httpd's the filters see nothing. */
static int take_out_before_document(request_rec *r)
{
    if (r->prev && r->prev->per_dir_config)
        take_out(r->prev);
    return DECLINED;
}

static int refuse_from_client(request_rec *r)
{
    const char *header = httpd_directory_of(r->per_dir_config)->error_header;

    if (header)
        apr_table_unset(r->headers_in, header);
    return DECLINED;
}

/* Each hook costs every request: they come with the first directive. */
static void hook_all(void)
{
    if (is_hooked)
        return;
    ap_register_output_filter(FILTER, filter, NULL, (ap_filter_type)BEFORE_ALL);
    ap_hook_header_parser(refuse_from_client, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_filter(add_filter, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_insert_error_filter(take_out, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_post_read_request(take_out_before_document, NULL, NULL, APR_HOOK_FIRST);
    is_hooked = true;
}

/* ---------------------------------------------------------------- declared */

void httpd_error_header_reset(void)
{
    is_hooked = false;
}

/* Nobody could do without them. */
static const char *const of_http[] = {
    "Allow",
    "Cache-Control",
    "Connection",
    "Content-Disposition",
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-Location",
    "Content-Range",
    "Content-Type",
    "Date",
    "ETag",
    "Expires",
    "Keep-Alive",
    "Last-Modified",
    "Location",
    "Pragma",
    "Proxy-Authenticate",
    "Retry-After",
    "Server",
    "Set-Cookie",
    "Status",
    "Strict-Transport-Security",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Vary",
    "Via",
    "WWW-Authenticate",
};

static const char *check_name(const char *name, apr_pool_t *pool)
{
    static const char token[] = "!#$%&'*+-.^_`|~0123456789"
                                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    if (!*name || strspn(name, token) != strlen(name) || strlen(name) > 64)
        return apr_psprintf(pool, "'%.80s' cannot be the name of a header", name);
    for (size_t i = 0; i < sizeof(of_http) / sizeof(of_http[0]); i++)
        if (strcasecmp(name, of_http[i]) == 0)
            return apr_psprintf(pool,
                                "%s has a meaning of its own: take another, as Failover-Error",
                                of_http[i]);
    return NULL;
}

const char *httpd_error_header_declare(cmd_parms *cmd, void *opaque, const char *name)
{
    httpd_directory_t *directory = opaque;
    bool is_none = strcasecmp(name, "none") == 0;
    const char *error = is_none ? NULL : check_name(name, cmd->pool);

    if (error)
        return httpd_prefixed(cmd, error);
    directory->says |= HTTPD_SAYS_ERROR_HEADER;
    directory->error_header = is_none ? NULL : apr_pstrdup(cmd->pool, name);
    if (!is_none)
        hook_all();
    return NULL;
}

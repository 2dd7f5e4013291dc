/* SetHandler failover-status, permitted by FailoverStatus; and what mod_status shows of it. */
#include "httpd/httpd_status.h"

#include "probe/probe_clock.h"

#include <http_protocol.h>
#include <http_request.h>
#include <mod_status.h>
#include <string.h>

#define HANDLER "failover-status"

typedef void (*write_fn)(request_rec *r, const fo_view_t *view);

static void write_text(request_rec *r, const fo_view_t *view)
{
    httpd_status_text(r, view, false);
}

/* ?format=NAME. The first is what is shown when none is asked for. */
static const struct {
    const char *name;
    const char *type;
    write_fn write;
} formats[] = {
    { "html", "text/html; charset=utf-8", httpd_status_html },
    { "json", "application/json", httpd_status_json },
    { "auto", "text/plain; charset=utf-8", write_text },
};

#define N_FORMATS (int)(sizeof(formats) / sizeof(formats[0]))

const char *httpd_status_instant(const fo_view_t *view, apr_time_t at,
                                 char text[HTTPD_STATUS_INSTANT])
{
    apr_time_exp_t parts;

    apr_time_exp_gmt(&parts, fo_view_wall(view, at));
    apr_snprintf(text, HTTPD_STATUS_INSTANT, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                 parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min,
                 parts.tm_sec, parts.tm_usec / 1000);
    return text;
}

static const fo_view_t *view_now(request_rec *r)
{
    const httpd_config_t *config = httpd_config();

    return fo_view_make(config->plan, config->shared, probe_clock_now(), apr_time_now(), r->pool);
}

/* -1: there is no such. */
static int find_format(const char *name)
{
    for (int i = 0; i < N_FORMATS; i++)
        if (strcmp(formats[i].name, name) == 0)
            return i;
    return -1;
}

/* The last word that asks for a format holds; words that do not are left to others. */
static int wanted_format(request_rec *r)
{
    char *words = apr_pstrdup(r->pool, r->args ? r->args : ""), *last;
    int format = 0;

    for (char *word = apr_strtok(words, "&", &last); word && format >= 0;
         word = apr_strtok(NULL, "&", &last)) {
        if (strcmp(word, "auto") == 0)
            format = find_format(word);
        else if (strncmp(word, "format=", 7) == 0)
            format = find_format(word + 7);
    }
    return format;
}

static int refuse_format(request_rec *r)
{
    r->status = HTTP_BAD_REQUEST;
    ap_set_content_type(r, "text/plain; charset=utf-8");
    ap_rputs("format= is none of", r);
    for (int i = 0; i < N_FORMATS; i++)
        ap_rprintf(r, "%s %s", i ? "," : "", formats[i].name);
    ap_rputs("\n", r);
    return OK;
}

static void set_headers(request_rec *r)
{
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "Content-Security-Policy", httpd_status_policy);
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "Referrer-Policy", "no-referrer");
}

int httpd_status_admit(request_rec *r, bool is_permitted)
{
    if (!is_permitted)
        return HTTP_NOT_FOUND;
    if (r->method_number == M_GET)
        return OK;
    ap_allow_methods(r, REPLACE_ALLOW, "GET", "HEAD", NULL);
    return HTTP_METHOD_NOT_ALLOWED;
}

static __attribute__((noinline)) int show(request_rec *r)
{
    int status = httpd_status_admit(r, httpd_directory_of(r->per_dir_config)->shows_status);
    int format;

    if (status != OK)
        return status;
    set_headers(r);
    format = wanted_format(r);
    if (format < 0)
        return refuse_format(r);
    ap_set_content_type(r, formats[format].type);
    if (!r->header_only)
        formats[format].write(r, view_now(r));
    return OK;
}

static int handle(request_rec *r)
{
    return httpd_status_is_for(r, HANDLER) ? show(r) : DECLINED;
}

/* mod_status, which says itself who may see it, asks this for each of its pages. */
static int add_to_mod_status(request_rec *r, int flags)
{
    const fo_view_t *view = view_now(r);

    if (flags & AP_STATUS_SHORT) {
        httpd_status_text(r, view, false);
        return OK;
    }
    ap_rputs("<hr />\n<h1>Failover</h1>\n", r);
    if (flags & AP_STATUS_NOTABLE) {
        ap_rputs("<pre>", r);
        httpd_status_text(r, view, true);
        ap_rputs("</pre>\n", r);
    } else {
        httpd_status_tables(r, view);
    }
    return OK;
}

void httpd_status_serve(void)
{
    if (!httpd_config()->serves_status)
        ap_hook_handler(handle, NULL, NULL, APR_HOOK_MIDDLE);
    httpd_config()->serves_status = true;
}

void httpd_status_register(void)
{
    APR_OPTIONAL_HOOK(ap, status_hook, add_to_mod_status, NULL, NULL, APR_HOOK_MIDDLE);
}

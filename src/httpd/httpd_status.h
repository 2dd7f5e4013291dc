/*
 * httpd_status.h: the forms in which the status is written: one for people, two for programs, all
 * of the same view. Servers' words are made harmless here: any of them may be hostile.
 */
#ifndef HTTPD_STATUS_H
#define HTTPD_STATUS_H

#include "core/fo_view.h"
#include "httpd/httpd_failover.h"

#include <jansson.h>
#include <string.h>

#define HTTPD_STATUS_INSTANT 32

/* "2026-01-31T12:00:00.000Z"; at is monotonic. Returns text. */
const char *httpd_status_instant(const fo_view_t *view, apr_time_t at,
                                 char text[HTTPD_STATUS_INSTANT]);

/*
 * The request is for this handler, one of ours. Each request comes by here: most names part at the
 * first byte, which is not worth a call.
 */
static inline bool httpd_status_is_for(const request_rec *r, const char *handler)
{
    return r->handler && r->handler[0] == handler[0] && strcmp(r->handler, handler) == 0;
}

/* OK: the handler is permitted here, and the request only reads; else the answer. */
int httpd_status_admit(request_rec *r, bool is_permitted);

/* httpd_status_html.c: the page; and its tables alone, for mod_status. */
extern const char httpd_status_policy[]; /* the page's Content-Security-Policy */
void httpd_status_html(request_rec *r, const fo_view_t *view);
void httpd_status_tables(request_rec *r, const fo_view_t *view);

/* httpd_status_json.c: the document; and its parts, which the caller frees. */
void httpd_status_json(request_rec *r, const fo_view_t *view);
json_t *httpd_status_server_part(const fo_view_t *view);
json_t *httpd_status_service_part(const fo_view_t *view, const fo_view_service_t *service,
                                  apr_pool_t *scratch);
json_t *httpd_status_child_part(const fo_view_t *view, const fo_view_child_t *child,
                                apr_pool_t *scratch);

/* Writes a part and frees it. */
void httpd_status_write(request_rec *r, json_t *part);

/* httpd_status_text.c: the same in lines of "Key: value". for_html: escaped. */
void httpd_status_text(request_rec *r, const fo_view_t *view, bool for_html);

#endif

/*
 * probe_curl.h: requests over HTTP/1.1 with libcurl, as steps: what http:// and redis-lag+https://
 * share. Of libcurl only what speaks to the one address that the driver has chosen is used: no
 * look-up, proxy, cookie, redirect or file of its own.
 */
#ifndef PROBE_CURL_H
#define PROBE_CURL_H

#include "mod_failover.h"

#include <curl/curl.h>
#include <openssl/ssl.h>

/* Whom to ask, and as whom. Made with the configuration and constant. */
typedef struct probe_curl_site_t {
    const char *base; /* "https://host:port", to be followed by a path */
    apr_port_t port;
    const char *user; /* NULL: none */
    bool is_tls;      /* by the context that comes with each ping */
} probe_curl_site_t;

/* Reads what is common to all: host and login. NULL, or a message for the administrator. */
const char *probe_curl_configure(const fo_url_t *url, const fo_login_t *login, bool is_tls,
                                 probe_curl_site_t *ret_site, apr_pool_t *pool);

/* Once in each child. */
void probe_curl_child_init(void);

typedef struct probe_curl_request_t {
    const char *method; /* GET, HEAD or OPTIONS */
    const char *url;
    const struct curl_slist *headers; /* further ones */
    apr_size_t body_max;              /* what is beyond is not taken: the answer is_long */
    /* Each piece of the body; false: no memory. */
    bool (*take)(void *baton, const char *bytes, apr_size_t n);
    void *baton;
} probe_curl_request_t;

/* All of a ping's requests. Zeroed before. */
typedef struct probe_curl_t {
    const probe_curl_site_t *site;
    const fo_ask_t *ask;
    CURLM *multi;
    CURL *easy;
    struct curl_slist *resolve;
    apr_size_t body_max;
    bool (*take)(void *baton, const char *bytes, apr_size_t n);
    void *baton;
    fo_report_t *report; /* during a call */

    /* What libcurl waits for. */
    int fd; /* -1: nothing */
    short events;
    apr_time_t timer_at; /* 0: no timer */

    /* What has become of the request under way. */
    apr_status_t own; /* why there is no socket, or no memory */
    apr_size_t n_head;
    apr_size_t n_body;
    bool has_head;
    char words[CURL_ERROR_SIZE];

    /* The answer. */
    int status;
    char reason[64]; /* of the status line; may be empty */
    bool is_long;    /* the body goes on beyond body_max */
} probe_curl_t;

typedef enum {
    PROBE_CURL_MORE,     /* wait as told */
    PROBE_CURL_ANSWERED, /* the answer is there */
    PROBE_CURL_OVER      /* it failed: the report is filled */
} probe_curl_e;

/* Begins a request, on the connection of the one before where that is still open. */
probe_curl_e probe_curl_send(probe_curl_t *curl, const probe_curl_request_t *request,
                             fo_wait_t *ret_wait, fo_report_t *report);

/* As a step of fo_steps_t. */
probe_curl_e probe_curl_step(probe_curl_t *curl, short ready, fo_wait_t *ret_wait,
                             fo_report_t *report);

/* "503 Service Unavailable" as a failure, `words` behind it unless they are empty. */
void probe_curl_refuse(const probe_curl_t *curl, fo_verdict_e verdict, const char *words,
                       fo_report_t *report);

/* Whatever has become of it; also of one that was never sent. */
void probe_curl_close(probe_curl_t *curl);

#endif

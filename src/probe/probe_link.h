/*
 * probe_link.h: the connection of an ask, plain or TLS. The calls block, and none beyond until_at.
 * Each returns 0, an errno, or:
 *   APR_TIMEUP         until_at has come
 *   APR_EOF            the peer closed
 *   PROBE_LINK_BROKEN  TLS failed; `words` says how
 */
#ifndef PROBE_LINK_H
#define PROBE_LINK_H

#include "mod_failover.h"

#include <openssl/ssl.h>

#define PROBE_LINK_BROKEN (APR_OS_START_USERERR + 1)

typedef struct probe_link_t {
    int fd;              /* -1: none */
    SSL *ssl;            /* NULL: plain */
    apr_time_t until_at; /* of probe_clock_now() */
    const char *words;   /* OpenSSL's own: static */
} probe_link_t;

/* Connects to a numeric address. until_at is set; whatever comes, probe_link_close() follows. */
apr_status_t probe_link_connect(probe_link_t *link, const char *address, apr_port_t port);

/*
 * The handshake. Where the context verifies, the certificate must be this name's: a host name or a
 * numeric address, as in the URL.
 */
apr_status_t probe_link_secure(probe_link_t *link, SSL_CTX *context, const char *name);

/* All n bytes. */
apr_status_t probe_link_send(probe_link_t *link, const void *bytes, size_t n);
apr_status_t probe_link_receive(probe_link_t *link, void *bytes, size_t n);

/* is_over: both sides have said all; else the connection is reset. */
void probe_link_close(probe_link_t *link, bool is_over);

#endif

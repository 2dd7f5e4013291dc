/*
 * probe_link.h: the connection of an ask, plain or TLS. The calls block, and none beyond until_at.
 * Each returns 0, an errno, or:
 *   APR_TIMEUP           until_at has come
 *   APR_EOF              the peer closed
 *   PROBE_STREAM_BROKEN  TLS failed; the stream's words say how
 */
#ifndef PROBE_LINK_H
#define PROBE_LINK_H

#include "probe/probe_stream.h"

typedef struct probe_link_t {
    probe_stream_t stream; /* fd -1: none */
    apr_time_t until_at;   /* of probe_clock_now() */
} probe_link_t;

/* Connects to a numeric address. until_at is set; whatever comes, probe_link_close() follows. */
apr_status_t probe_link_connect(probe_link_t *link, const char *address, apr_port_t port);

/* The handshake; name as for probe_stream_secure(). */
apr_status_t probe_link_secure(probe_link_t *link, SSL_CTX *context, const char *name);

/* All n bytes. */
apr_status_t probe_link_send(probe_link_t *link, const void *bytes, size_t n);
apr_status_t probe_link_receive(probe_link_t *link, void *bytes, size_t n);

/* is_over: both sides have said all; else the connection is reset. */
void probe_link_close(probe_link_t *link, bool is_over);

#endif

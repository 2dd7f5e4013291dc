/*
 * probe_stream.h: bytes over a connected, non-blocking socket, plain or TLS. Nothing here waits.
 * Each call returns 0, an errno, or:
 *   EAGAIN               wait for `wants`, then call again
 *   APR_EOF              the peer closed
 *   PROBE_STREAM_BROKEN  TLS failed; `words` says how
 */
#ifndef PROBE_STREAM_H
#define PROBE_STREAM_H

#include "mod_failover.h"

#include <openssl/ssl.h>

#define PROBE_STREAM_BROKEN (APR_OS_START_USERERR + 1)

typedef struct probe_stream_t {
    int fd;            /* -1: none */
    SSL *ssl;          /* NULL: plain */
    short wants;       /* after EAGAIN: poll()'s events */
    const char *words; /* static */
    unsigned n_reads;  /* left to the call under way */
} probe_stream_t;

/*
 * From now on it is TLS. Where the context verifies, the certificate must be this name's: a host
 * name or a numeric address, as in the URL.
 */
apr_status_t probe_stream_secure(probe_stream_t *stream, SSL_CTX *context, const char *name);

/* The handshake. */
apr_status_t probe_stream_shake(probe_stream_t *stream);

/* Some of n bytes, which must be more than 0; *ret_n says how many, and is 0 on failure. */
apr_status_t probe_stream_send(probe_stream_t *stream, const void *bytes, size_t n, size_t *ret_n);
apr_status_t probe_stream_receive(probe_stream_t *stream, void *bytes, size_t n, size_t *ret_n);

/* There is more to be received, of which poll() knows nothing. */
bool probe_stream_holds_more(const probe_stream_t *stream);

/* says_so: the peer is told that this is the end. */
void probe_stream_close(probe_stream_t *stream, bool says_so);

#endif

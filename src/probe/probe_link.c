#include "probe/probe_link.h"

#include "probe/probe_clock.h"
#include "probe/probe_connect.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

/* A peer that never lets a call wait must not outwit the deadline: it is looked at first. */
static apr_status_t wait_for(const probe_link_t *link, short events)
{
    struct pollfd fd = { .fd = link->fd, .events = events };
    apr_time_t now;
    int n;

    do {
        now = probe_clock_now();
        if (now >= link->until_at)
            return APR_TIMEUP;
        n = poll(&fd, 1, (int)((link->until_at - now + 999) / 1000));
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return errno;
    return n == 0 ? APR_TIMEUP : 0;
}

apr_status_t probe_link_connect(probe_link_t *link, const char *address, apr_port_t port)
{
    int error = 0;
    socklen_t length = sizeof(error);
    apr_status_t status;

    link->fd = probe_connect(address, port, SOCK_STREAM);
    if (link->fd < 0)
        return errno;
    do
        status = wait_for(link, POLLOUT);
    while (!status && getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0);
    return status ? status : error;
}

/* Why a handshake or a record was refused: the certificate, or whatever OpenSSL found first. */
static apr_status_t broken(probe_link_t *link)
{
    unsigned long error = ERR_peek_error();
    long verdict = SSL_get_verify_result(link->ssl);

    if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
        ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return APR_EOF;
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        return ENOMEM;
    link->words = verdict != X509_V_OK ? X509_verify_cert_error_string(verdict)
                                       : ERR_reason_error_string(error);
    if (!link->words)
        link->words = "TLS failed";
    return PROBE_LINK_BROKEN;
}

/* After an SSL call: 0 when it is to be called again. */
static apr_status_t settle(probe_link_t *link, int result)
{
    int error = errno;

    switch (SSL_get_error(link->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(link, POLLIN);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(link, POLLOUT);
    case SSL_ERROR_ZERO_RETURN:
        return APR_EOF;
    case SSL_ERROR_SYSCALL:
        return error ? error : APR_EOF;
    default:
        return broken(link);
    }
}

static bool expect_name(SSL *ssl, const char *name)
{
    unsigned char numeric[sizeof(struct in6_addr)];

    if (inet_pton(AF_INET, name, numeric) == 1 || inet_pton(AF_INET6, name, numeric) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), name);
    return SSL_set_tlsext_host_name(ssl, name) && SSL_set1_host(ssl, name);
}

apr_status_t probe_link_secure(probe_link_t *link, SSL_CTX *context, const char *name)
{
    apr_status_t status = 0;
    int result;

    link->ssl = SSL_new(context);
    if (!link->ssl || !SSL_set_fd(link->ssl, link->fd) || !expect_name(link->ssl, name))
        return ENOMEM;
    while (!status) {
        ERR_clear_error();
        errno = 0;
        result = SSL_connect(link->ssl);
        if (result == 1)
            return 0;
        status = settle(link, result);
    }
    return status;
}

/* One call's worth: how many bytes, or 0 with the status, which is 0 when it is to be repeated. */
static size_t send_some(probe_link_t *link, const void *bytes, size_t n, apr_status_t *ret_status)
{
    ssize_t sent;

    errno = 0;
    if (link->ssl) {
        ERR_clear_error();
        sent = SSL_write(link->ssl, bytes, (int)n);
    } else {
        sent = send(link->fd, bytes, n, MSG_NOSIGNAL);
    }
    if (sent > 0)
        return (size_t)sent;
    if (link->ssl)
        *ret_status = settle(link, (int)sent);
    else
        *ret_status = errno == EAGAIN || errno == EINTR ? wait_for(link, POLLOUT) : errno;
    return 0;
}

static size_t receive_some(probe_link_t *link, void *bytes, size_t n, apr_status_t *ret_status)
{
    ssize_t got;

    errno = 0;
    if (link->ssl) {
        ERR_clear_error();
        got = SSL_read(link->ssl, bytes, (int)n);
    } else {
        got = recv(link->fd, bytes, n, 0);
    }
    if (got > 0)
        return (size_t)got;
    if (link->ssl)
        *ret_status = settle(link, (int)got);
    else if (got == 0)
        *ret_status = APR_EOF;
    else
        *ret_status = errno == EAGAIN || errno == EINTR ? wait_for(link, POLLIN) : errno;
    return 0;
}

apr_status_t probe_link_send(probe_link_t *link, const void *bytes, size_t n)
{
    const char *from = bytes;
    apr_status_t status = 0;

    for (size_t some; n && !status; from += some, n -= some)
        some = send_some(link, from, n, &status);
    return status;
}

apr_status_t probe_link_receive(probe_link_t *link, void *bytes, size_t n)
{
    char *to = bytes;
    apr_status_t status = 0;

    for (size_t some; n && !status; to += some, n -= some) {
        if (probe_clock_now() >= link->until_at)
            return APR_TIMEUP;
        some = receive_some(link, to, n, &status);
    }
    return status;
}

/*
 * The reset is for a server that hangs: when it comes round, a connection in its queue that was
 * reset has no peer any more, and it has nothing to log.
 */
void probe_link_close(probe_link_t *link, bool is_over)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };

    if (link->fd >= 0 && !is_over)
        (void)setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    if (link->ssl && is_over)
        (void)SSL_shutdown(link->ssl);
    SSL_free(link->ssl);
    if (link->fd >= 0)
        close(link->fd);
    ERR_clear_error();
    *link = (probe_link_t){ .fd = -1 };
}

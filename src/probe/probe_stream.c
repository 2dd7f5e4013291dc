#include "probe/probe_stream.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where OpenSSL's own words would leave an administrator alone. */
static const struct {
    int reason;
    const char *words;
} meanings[] = {
    { SSL_R_WRONG_VERSION_NUMBER, "the server speaks no TLS here" },
    { SSL_R_UNSUPPORTED_PROTOCOL, "the server offers no TLS 1.2 or later" },
    { SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, "the server offers no TLS 1.2 or later" },
    { SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, "the server demands a client certificate" },
    { SSL_R_TLSV1_ALERT_UNKNOWN_CA, "the server does not know who signed the client certificate" },
};

static const char *words_of(unsigned long error)
{
    const char *words = ERR_reason_error_string(error);

    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (ERR_GET_LIB(error) == ERR_LIB_SSL && ERR_GET_REASON(error) == meanings[i].reason)
            return meanings[i].words;
    return words ? words : "TLS failed";
}

/* Why a handshake or a record was refused: the certificate, or whatever OpenSSL found first. */
static apr_status_t broken(probe_stream_t *stream)
{
    unsigned long error = ERR_peek_error();
    long verdict = SSL_get_verify_mode(stream->ssl) == SSL_VERIFY_NONE
                       ? X509_V_OK
                       : SSL_get_verify_result(stream->ssl);

    if (ERR_GET_LIB(error) == ERR_LIB_SSL &&
        ERR_GET_REASON(error) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
        return APR_EOF;
    if (ERR_GET_REASON(error) == ERR_R_MALLOC_FAILURE)
        return ENOMEM;
    stream->words = verdict != X509_V_OK ? X509_verify_cert_error_string(verdict) : words_of(error);
    return PROBE_STREAM_BROKEN;
}

static apr_status_t wait_for(probe_stream_t *stream, short events)
{
    stream->wants = events;
    return EAGAIN;
}

/* The system's errno of a file that was to be read on the way, as one of ca-path=; 0: none. */
static int errno_of_file(void)
{
    unsigned long error = ERR_peek_error();

    return ERR_GET_LIB(error) == ERR_LIB_SYS ? ERR_GET_REASON(error) : 0;
}

/* After an SSL call that did not succeed. */
static apr_status_t judge(probe_stream_t *stream, int result)
{
    int own = errno, file = errno_of_file();

    switch (SSL_get_error(stream->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return wait_for(stream, POLLIN);
    case SSL_ERROR_WANT_WRITE:
        return wait_for(stream, POLLOUT);
    case SSL_ERROR_ZERO_RETURN:
        return APR_EOF;
    case SSL_ERROR_SYSCALL:
        return file ? file : own ? own : APR_EOF;
    default:
        return broken(stream);
    }
}

/*
 * Of a numeric address there is no SNI, and the certificate must have the address itself. A zone
 * and the last dot of a name are nothing that a certificate knows.
 */
static bool expect_name(SSL *ssl, const char *name)
{
    unsigned char numeric[sizeof(struct in6_addr)];
    char known[256];

    apr_cpystrn(known, name, sizeof(known));
    known[strcspn(known, "%")] = '\0';
    if (inet_pton(AF_INET, known, numeric) == 1 || inet_pton(AF_INET6, known, numeric) == 1)
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), known);
    if (known[0] && known[strlen(known) - 1] == '.')
        known[strlen(known) - 1] = '\0';
    return SSL_set_tlsext_host_name(ssl, known) && SSL_set1_host(ssl, known);
}

/*
 * A peer that never lets OpenSSL wait, as by a row of HelloRequests without end, would hold the
 * thread beyond every deadline: a call that has read that often is told that there is no more.
 */
#define READS_MAX 32

static long count_read(BIO *bio, int what, const char *bytes, size_t n, int argi, long argl,
                       int result, size_t *processed)
{
    unsigned *left = (unsigned *)(void *)BIO_get_callback_arg(bio);

    (void)bytes;
    (void)n;
    (void)argi;
    (void)argl;
    (void)processed;
    if (what != BIO_CB_READ)
        return result;
    if (*left > 0) {
        --*left;
        return 1;
    }
    BIO_set_retry_read(bio);
    return -1;
}

apr_status_t probe_stream_secure(probe_stream_t *stream, SSL_CTX *context, const char *name)
{
    BIO *bio;

    stream->ssl = SSL_new(context);
    if (!stream->ssl || !SSL_set_fd(stream->ssl, stream->fd) || !expect_name(stream->ssl, name))
        return ENOMEM;
    bio = SSL_get_rbio(stream->ssl);
    BIO_set_callback_ex(bio, count_read);
    BIO_set_callback_arg(bio, (char *)&stream->n_reads);
    return 0;
}

/* What an earlier call of this thread left behind would be taken for this one's. */
static void begin_call(probe_stream_t *stream)
{
    ERR_clear_error();
    errno = 0;
    stream->n_reads = READS_MAX;
}

apr_status_t probe_stream_shake(probe_stream_t *stream)
{
    int result;

    begin_call(stream);
    result = SSL_connect(stream->ssl);
    return result == 1 ? 0 : judge(stream, result);
}

static apr_status_t send_tls(probe_stream_t *stream, const void *bytes, size_t n, size_t *ret_n)
{
    int result;

    begin_call(stream);
    result = SSL_write_ex(stream->ssl, bytes, n, ret_n);
    return result == 1 ? 0 : judge(stream, result);
}

static apr_status_t receive_tls(probe_stream_t *stream, void *bytes, size_t n, size_t *ret_n)
{
    int result;

    begin_call(stream);
    result = SSL_read_ex(stream->ssl, bytes, n, ret_n);
    return result == 1 ? 0 : judge(stream, result);
}

/* After a call of the plain socket that moved nothing. */
static apr_status_t judge_plain(probe_stream_t *stream, short events)
{
    return errno == EAGAIN || errno == EINTR ? wait_for(stream, events) : errno;
}

apr_status_t probe_stream_send(probe_stream_t *stream, const void *bytes, size_t n, size_t *ret_n)
{
    ssize_t sent;

    *ret_n = 0;
    if (stream->ssl)
        return send_tls(stream, bytes, n, ret_n);
    sent = send(stream->fd, bytes, n, MSG_NOSIGNAL);
    if (sent < 0)
        return judge_plain(stream, POLLOUT);
    *ret_n = (size_t)sent;
    return 0;
}

apr_status_t probe_stream_receive(probe_stream_t *stream, void *bytes, size_t n, size_t *ret_n)
{
    ssize_t got;

    *ret_n = 0;
    if (stream->ssl)
        return receive_tls(stream, bytes, n, ret_n);
    got = recv(stream->fd, bytes, n, 0);
    if (got < 0)
        return judge_plain(stream, POLLIN);
    *ret_n = (size_t)got;
    return got == 0 ? APR_EOF : 0;
}

bool probe_stream_holds_more(const probe_stream_t *stream)
{
    return stream->ssl && SSL_pending(stream->ssl) > 0;
}

static void end_tls(probe_stream_t *stream, bool says_so)
{
    if (says_so)
        (void)SSL_shutdown(stream->ssl);
    SSL_free(stream->ssl);
    ERR_clear_error();
}

void probe_stream_close(probe_stream_t *stream, bool says_so)
{
    if (stream->ssl)
        end_tls(stream, says_so);
    if (stream->fd >= 0)
        close(stream->fd);
    *stream = (probe_stream_t){ .fd = -1 };
}

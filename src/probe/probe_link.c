#include "probe/probe_link.h"

#include "probe/probe_clock.h"
#include "probe/probe_connect.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>

/* A peer that never lets a call wait must not outwit the deadline: it is looked at first. */
static apr_status_t wait_for(const probe_link_t *link, short events)
{
    struct pollfd fd = { .fd = link->stream.fd, .events = events };
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

/* After a call of the stream: 0 when it is to be repeated. */
static apr_status_t wait_after(const probe_link_t *link, apr_status_t status)
{
    return status == EAGAIN ? wait_for(link, link->stream.wants) : status;
}

apr_status_t probe_link_connect(probe_link_t *link, const char *address, apr_port_t port)
{
    int error = 0;
    socklen_t length = sizeof(error);
    apr_status_t status;

    link->stream.fd = probe_connect(address, port);
    if (link->stream.fd < 0)
        return errno;
    status = wait_for(link, POLLOUT);
    if (!status && getsockopt(link->stream.fd, SOL_SOCKET, SO_ERROR, &error, &length) != 0)
        error = errno;
    return status ? status : error;
}

apr_status_t probe_link_secure(probe_link_t *link, SSL_CTX *context, const char *name)
{
    apr_status_t status = probe_stream_secure(&link->stream, context, name);

    while (!status) {
        status = probe_stream_shake(&link->stream);
        if (!status)
            return 0;
        status = wait_after(link, status);
    }
    return status;
}

apr_status_t probe_link_send(probe_link_t *link, const void *bytes, size_t n)
{
    const char *from = bytes;
    apr_status_t status = 0;

    for (size_t some; n && !status; from += some, n -= some)
        status = wait_after(link, probe_stream_send(&link->stream, from, n, &some));
    return status;
}

apr_status_t probe_link_receive(probe_link_t *link, void *bytes, size_t n)
{
    char *to = bytes;
    apr_status_t status = 0;

    for (size_t some; n && !status; to += some, n -= some) {
        if (probe_clock_now() >= link->until_at)
            return APR_TIMEUP;
        status = wait_after(link, probe_stream_receive(&link->stream, to, n, &some));
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

    if (link->stream.fd >= 0 && !is_over)
        (void)setsockopt(link->stream.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    probe_stream_close(&link->stream, is_over);
}

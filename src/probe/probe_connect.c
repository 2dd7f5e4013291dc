#include "probe/probe_connect.h"

#include "core/fo_parse.h"

#include <apr_strings.h>
#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

_Static_assert(FO_SOCKET_MAX < sizeof(((struct sockaddr_un *)0)->sun_path), "a path fits");

/* It asks nobody, and takes the zone of a link-local address into account. */
bool probe_connect_address(const char *text, apr_port_t port, struct sockaddr_storage *ret_address,
                           socklen_t *ret_length)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                              .ai_socktype = SOCK_STREAM };
    struct addrinfo *at = NULL;
    char service[sizeof("65535")];

    apr_snprintf(service, sizeof(service), "%u", (unsigned)port);
    if (getaddrinfo(text, service, &hints, &at) != 0)
        return false;
    memcpy(ret_address, at->ai_addr, at->ai_addrlen);
    *ret_length = at->ai_addrlen;
    freeaddrinfo(at);
    return true;
}

/* -1 with errno: it has failed, and the descriptor is closed. */
static int begin(const struct sockaddr *address, socklen_t length, int type)
{
    int fd = socket(address->sa_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0 || connect(fd, address, length) == 0 || errno == EINPROGRESS)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

static int begin_at(const char *text, apr_port_t port, int type)
{
    struct sockaddr_storage address;
    socklen_t length;

    if (probe_connect_address(text, port, &address, &length))
        return begin((struct sockaddr *)&address, length, type);
    errno = ENOMEM; /* a numeric address does not fail to resolve */
    return -1;
}

int probe_connect(const char *text, apr_port_t port)
{
    return begin_at(text, port, SOCK_STREAM);
}

int probe_connect_file(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    return begin((struct sockaddr *)&address, sizeof(address), SOCK_STREAM);
}

/* A datagram socket looks the route up. EAGAIN: UDP has no port left. */
apr_status_t probe_connect_miss(const char *text, apr_port_t port)
{
    int fd = begin_at(text, port, SOCK_DGRAM);

    if (fd < 0)
        return errno == EAGAIN ? 0 : errno;
    close(fd);
    return 0;
}

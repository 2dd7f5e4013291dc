#include "probe/probe_connect.h"

#include <apr_strings.h>
#include <errno.h>
#include <netdb.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* -1 with errno: it has failed, and the descriptor is closed. */
static int begin(const struct addrinfo *at)
{
    int fd = socket(at->ai_family, at->ai_socktype | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error;

    if (fd < 0 || connect(fd, at->ai_addr, at->ai_addrlen) == 0 || errno == EINPROGRESS)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}

int probe_connect(const char *address, apr_port_t port, int type)
{
    struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV, .ai_socktype = type };
    struct addrinfo *at = NULL;
    char service[sizeof("65535")];
    int fd, error;

    apr_snprintf(service, sizeof(service), "%u", (unsigned)port);
    if (getaddrinfo(address, service, &hints, &at) != 0) {
        errno = ENOMEM; /* a numeric address does not fail to resolve */
        return -1;
    }
    fd = begin(at);
    error = errno;
    freeaddrinfo(at);
    errno = error;
    return fd;
}

int probe_connect_file(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    struct addrinfo at = {
        .ai_family = AF_UNIX,
        .ai_socktype = SOCK_STREAM,
        .ai_addr = (struct sockaddr *)&address,
        .ai_addrlen = sizeof(address),
    };

    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    return begin(&at);
}

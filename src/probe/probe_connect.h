/*
 * probe_connect.h: a stream socket whose connect to a numeric address has begun, or is done. It
 * does not block and is closed on exec. Returns the descriptor, or -1 with errno. So does the one
 * to a socket file; EAGAIN there says that the server's queue is full.
 */
#ifndef PROBE_CONNECT_H
#define PROBE_CONNECT_H

#include <apr_network_io.h>
#include <stdbool.h>
#include <sys/socket.h>

/* Of a numeric address. False: no memory. */
bool probe_connect_address(const char *text, apr_port_t port, struct sockaddr_storage *ret_address,
                           socklen_t *ret_length);

int probe_connect(const char *address, apr_port_t port);
int probe_connect_file(const char *path);

/* Why no packet would find its way to a numeric address; 0: none is known. Sends nothing. */
apr_status_t probe_connect_miss(const char *address, apr_port_t port);

#endif

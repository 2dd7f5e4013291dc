/*
 * probe_connect.h: a socket whose connect to a numeric address has begun, or is done. type is
 * SOCK_STREAM, or SOCK_DGRAM, which looks up the route and sends nothing. It does not block and is
 * closed on exec. Returns the descriptor, or -1 with errno.
 */
#ifndef PROBE_CONNECT_H
#define PROBE_CONNECT_H

#include <apr_network_io.h>

int probe_connect(const char *address, apr_port_t port, int type);

#endif

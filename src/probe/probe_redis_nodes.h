/* probe_redis_nodes.h: the other nodes of a Redis cluster, as CLUSTER NODES lists them. */
#ifndef PROBE_REDIS_NODES_H
#define PROBE_REDIS_NODES_H

#include "mod_failover.h"

#define PROBE_REDIS_HOST_MAX 255

typedef struct probe_redis_nodes_t {
    unsigned n;
    apr_port_t ports[FO_FURTHER_MAX];
    char names[FO_FURTHER_MAX][PROBE_REDIS_HOST_MAX + 1];
} probe_redis_nodes_t;

/*
 * All but the one that was asked and those that have no address yet, by the host name that they
 * announce, else by their address. Of more than there is room for those that come next in a ring:
 * who asks each that is named, and so on, comes to all. NULL, or what is wrong with the list.
 */
const char *probe_redis_nodes_read(const char *text, size_t length, probe_redis_nodes_t *ret_nodes);

#endif

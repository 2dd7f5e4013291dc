#include "probe/probe_flight_own.h"

#include "probe/probe_pages.h"

#include <stdlib.h>
#include <string.h>

/* Of one ping: its URL's and those that a dialogue has named. */
#define HOSTS_MAX 256

/* A flight with what most of them need: it comes from the system, as a crowd may be under way. */
#define FEW_HOSTS 4
typedef struct whole_t {
    probe_flight_t flight;
    fo_host_t hosts[FEW_HOSTS];
    probe_addresses_t addresses[FEW_HOSTS];
    probe_query_t queries[FEW_HOSTS];
} whole_t;

probe_flight_t *probe_flight_take(void)
{
    whole_t *whole = probe_pages_take(sizeof(*whole));

    if (!whole)
        return NULL;
    whole->flight.hosts = whole->hosts;
    whole->flight.addresses = whole->addresses;
    whole->flight.queries = whole->queries;
    return &whole->flight;
}

void probe_flight_give(probe_flight_t *flight)
{
    whole_t *whole = (whole_t *)flight;

    for (unsigned i = 0; i < flight->n_hosts; i++)
        free((char *)flight->hosts[i].name);
    if (flight->hosts != whole->hosts)
        free(flight->hosts);
    if (flight->addresses != whole->addresses)
        free(flight->addresses);
    if (flight->queries != whole->queries)
        free(flight->queries);
    memset(whole, 0, sizeof(*whole));
    probe_pages_give(whole, sizeof(*whole));
}

/* n_hosts: it is none of them. */
static unsigned find_host(const probe_flight_t *flight, const fo_host_t *host)
{
    unsigned i = 0;

    while (i < flight->n_hosts &&
           (flight->hosts[i].port != host->port || strcmp(flight->hosts[i].name, host->name) != 0))
        i++;
    return i;
}

const probe_addresses_t *probe_flight_addresses(const probe_flight_t *flight, const fo_host_t *host)
{
    unsigned i = find_host(flight, host);

    return i < flight->n_hosts && flight->addresses[i].n > 0 ? &flight->addresses[i] : NULL;
}

/* One of the arrays, for n elements; `few` is the one that begins with the flight. */
static void *with_room(void *array, const void *few, unsigned n_before, unsigned n, size_t size)
{
    void *more;

    if (array != few)
        return realloc(array, n * size);
    more = malloc(n * size);
    if (more)
        memcpy(more, few, n_before * size);
    return more;
}

static bool make_room(probe_flight_t *flight, unsigned n)
{
    const whole_t *whole = (const whole_t *)flight;
    fo_host_t *hosts;
    probe_addresses_t *addresses;
    probe_query_t *queries;

    if (n <= FEW_HOSTS)
        return true;
    hosts = with_room(flight->hosts, whole->hosts, flight->n_hosts, n, sizeof(*hosts));
    addresses = with_room(flight->addresses, whole->addresses, flight->n_hosts, n,
                          sizeof(*addresses));
    queries = with_room(flight->queries, whole->queries, flight->n_hosts, n, sizeof(*queries));
    if (hosts)
        flight->hosts = hosts;
    if (addresses)
        flight->addresses = addresses;
    if (queries)
        flight->queries = queries;
    return hosts && addresses && queries;
}

bool probe_flight_add_hosts(probe_flight_t *flight, const fo_host_t *hosts, unsigned n)
{
    if (flight->n_hosts + n > HOSTS_MAX || !make_room(flight, flight->n_hosts + n))
        return false;
    for (unsigned i = 0; i < n; i++) {
        fo_host_t host = { .port = hosts[i].port };
        if (find_host(flight, &hosts[i]) < flight->n_hosts)
            continue;
        host.name = strdup(hosts[i].name);
        if (!host.name)
            return false;
        flight->queries[flight->n_hosts] = (probe_query_t){ 0 };
        flight->addresses[flight->n_hosts].n = 0;
        flight->hosts[flight->n_hosts++] = host;
    }
    return true;
}

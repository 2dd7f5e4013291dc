/*
 * probe_flight_own.h: between the files of a flight. probe_flight.c drives it, probe_flight_hosts.c
 * holds its hosts.
 */
#ifndef PROBE_FLIGHT_OWN_H
#define PROBE_FLIGHT_OWN_H

#include "probe/probe_flight.h"

/* Zeroed, without a host, with room for some. NULL: no memory. */
probe_flight_t *probe_flight_take(void);

/* Frees its hosts as well. */
void probe_flight_give(probe_flight_t *flight);

#endif

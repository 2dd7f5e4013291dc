/*
 * probe_memcached.h: memcached://, `version` to every node at the same time, as an ask.
 * doc/probe-memcached.md says what each answer means.
 */
#ifndef PROBE_MEMCACHED_H
#define PROBE_MEMCACHED_H

#include "mod_failover.h"

extern const fo_probe_t fo_probe_memcached;

#endif

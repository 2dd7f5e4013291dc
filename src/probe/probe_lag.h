/*
 * probe_lag.h: redis-lag+https://, Redis Enterprise's REST check of how far a database lags behind
 * its peers; with libcurl and Jansson. doc/probe-redis-lag.md says what each answer means.
 */
#ifndef PROBE_LAG_H
#define PROBE_LAG_H

#include "mod_failover.h"

extern const fo_probe_t fo_probe_lag;

#endif

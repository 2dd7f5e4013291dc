/*
 * probe_redis.h: redis:// and rediss://, AUTH, SELECT and PING, and on demand the role or the whole
 * cluster, as a dialogue. doc/probe-redis.md says what each answer means.
 */
#ifndef PROBE_REDIS_H
#define PROBE_REDIS_H

#include "mod_failover.h"

extern const fo_probe_t fo_probe_redis;
extern const fo_probe_t fo_probe_rediss;

#endif

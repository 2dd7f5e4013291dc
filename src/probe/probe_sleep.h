/*
 * probe_sleep.h: the monitor's sleep: until an instant, a wake-up, or news on a flight; and what it
 * tells of a process that could not wake when it wanted to. Monitor thread alone.
 */
#ifndef PROBE_SLEEP_H
#define PROBE_SLEEP_H

#include "probe/probe_flight.h"

#include <poll.h>
#include <stdbool.h>

#define PROBE_SLEEP_FLIGHTS 256

/* How long it sleeps at most while a ping is under way, so that a starved process shows. */
#define PROBE_SLEEP_TICK (100 * 1000)

/* How long at most in any case: a child that lives shows it now and then. */
#define PROBE_SLEEP_MAX (60 * APR_USEC_PER_SEC)

typedef struct probe_sleep_t {
    struct pollfd polled[PROBE_SLEEP_FLIGHTS + 2];
    probe_flight_t *flights[PROBE_SLEEP_FLIGHTS]; /* flights[i] is polled[i + 2]'s */
    unsigned n_flights;
    apr_time_t woke_at;
} probe_sleep_t;

/* No flight any more. Call it before the first probe_sleep_watch(). */
void probe_sleep_clear(probe_sleep_t *sleep);

/* The flight lives at least until probe_sleep_clear() or the last probe_sleep_hear(). */
void probe_sleep_watch(probe_sleep_t *sleep, probe_flight_t *flight);

/*
 * Until `at` (FO_NEVER: no end), or until one of both descriptors (-1: none) or a flight is ready.
 * `now` is when the sleep begins. Flights that cannot have been heard in time are marked starved.
 */
void probe_sleep_until(probe_sleep_t *sleep, int own_fd, int shared_fd, apr_time_t at,
                       apr_time_t now);

/* By the last sleep. */
bool probe_sleep_is_shared_ready(const probe_sleep_t *sleep);

/* Drives the flights that the last sleep found ready. */
void probe_sleep_hear(probe_sleep_t *sleep);

#endif

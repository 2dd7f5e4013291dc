/* probe_clock.h: the one clock of the monitor: monotonic, so that a step of the wall clock cannot
 * mark anything down. Microseconds, never 0. */
#ifndef PROBE_CLOCK_H
#define PROBE_CLOCK_H

#include <apr_time.h>

#include <time.h>

static inline apr_time_t probe_clock_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (apr_time_t)now.tv_sec * APR_USEC_PER_SEC + now.tv_nsec / 1000 + 1;
}

#endif

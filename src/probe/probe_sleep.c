#include "probe/probe_sleep.h"

#include "core/fo_schedule.h"
#include "probe/probe_clock.h"

#include <errno.h>

void probe_sleep_clear(probe_sleep_t *sleep)
{
    sleep->n_flights = 0;
}

void probe_sleep_watch(probe_sleep_t *sleep, probe_flight_t *flight)
{
    sleep->polled[sleep->n_flights + 2] = (struct pollfd){
        .fd = flight->fd,
        .events = flight->events,
    };
    sleep->flights[sleep->n_flights++] = flight;
}

/* Milliseconds for poll(), rounded up so that it does not wake just before the instant. */
static int poll_timeout(apr_time_t at, apr_time_t now)
{
    if (at == FO_NEVER)
        return -1;
    if (at <= now)
        return 0;
    return (int)(((at - now < PROBE_SLEEP_MAX ? at - now : PROBE_SLEEP_MAX) + 999) / 1000);
}

/*
 * Waking later than planned, or taking long for one round, says that the process was starved or
 * stopped, at once or, as by a container's quota, bit by bit: what its pings' clocks show proves
 * nothing then.
 */
static void mark_starved(probe_sleep_t *sleep, apr_time_t planned_at)
{
    for (unsigned i = 0; sleep->woke_at > planned_at && i < sleep->n_flights; i++) {
        probe_flight_t *flight = sleep->flights[i];
        flight->late += sleep->woke_at - planned_at;
        if (flight->late > flight->order.timeout / 4)
            flight->is_starved = true;
    }
}

/*
 * poll() has failed, for lack of memory or with more descriptors than RLIMIT_NOFILE allows. Nothing
 * is heard of the pings, so what their clocks show proves nothing.
 */
static void pass_time_deaf(probe_sleep_t *sleep, int timeout)
{
    const int tick = PROBE_SLEEP_TICK / 1000;

    for (unsigned i = 0; i < sleep->n_flights; i++)
        sleep->flights[i]->is_starved = true;
    poll(NULL, 0, timeout >= 0 && timeout < tick ? timeout : tick);
}

void probe_sleep_until(probe_sleep_t *sleep, int own_fd, int shared_fd, apr_time_t at,
                       apr_time_t now)
{
    int timeout = poll_timeout(at, now);

    sleep->polled[0] = (struct pollfd){ .fd = own_fd, .events = POLLIN };
    sleep->polled[1] = (struct pollfd){ .fd = shared_fd, .events = POLLIN };
    if (poll(sleep->polled, sleep->n_flights + 2, timeout) < 0 && errno != EINTR)
        pass_time_deaf(sleep, timeout);
    sleep->woke_at = probe_clock_now();
    if (timeout >= 0)
        mark_starved(sleep, now + (apr_interval_time_t)timeout * 1000);
}

bool probe_sleep_is_shared_ready(const probe_sleep_t *sleep)
{
    return sleep->polled[1].revents != 0;
}

void probe_sleep_hear(probe_sleep_t *sleep)
{
    for (unsigned i = 0; i < sleep->n_flights; i++)
        if (sleep->polled[i + 2].fd >= 0 && sleep->polled[i + 2].revents)
            probe_flight_ready(sleep->flights[i], sleep->polled[i + 2].revents, sleep->woke_at);
}

/* Steps: a client library's own non-blocking calls, waited for by the loop. */
#include "probe/probe_flight.h"

#include <stdlib.h>

static const fo_steps_t *steps_of(const probe_flight_t *flight)
{
    return flight->order.check->probe->steps;
}

static void after_step(probe_flight_t *flight, fo_progress_e progress, const fo_wait_t *wait,
                       apr_time_t now)
{
    if (progress == FO_DONE) {
        probe_flight_settle(flight, now);
        return;
    }
    flight->fd = wait->fd;
    flight->events = wait->events;
    flight->wake_at = wait->timeout > 0 ? now + wait->timeout : 0;
}

static void begin(probe_flight_t *flight, apr_time_t now)
{
    fo_wait_t wait = { .fd = -1 };

    flight->state = calloc(1, steps_of(flight)->state_size + 1);
    if (!flight->state) {
        fo_report_fill(&flight->report, FO_VERDICT_SELF, ENOMEM, 0, NULL);
        probe_flight_settle(flight, now);
        return;
    }
    after_step(flight,
               steps_of(flight)->begin(flight->state, flight->order.check->conf, &flight->ask,
                                       &wait, &flight->report),
               &wait, now);
}

static void ready(probe_flight_t *flight, short events, apr_time_t now)
{
    fo_wait_t wait = { .fd = -1 };
    fo_progress_e progress = steps_of(flight)->step(flight->state, events, &wait, &flight->report);

    after_step(flight, progress, &wait, now);
}

static void timer(probe_flight_t *flight, apr_time_t now)
{
    ready(flight, 0, now);
}

static void finish(probe_flight_t *flight)
{
    if (flight->state)
        steps_of(flight)->end(flight->state);
    free(flight->state);
    flight->state = NULL;
}

const probe_form_t probe_form_steps = {
    .begin = begin,
    .ready = ready,
    .timer = timer,
    .finish = finish,
};

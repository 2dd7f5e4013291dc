#include "probe/probe_round.h"

#include "core/fo_report.h"
#include "probe/probe_pages.h"

#include <errno.h>
#include <string.h>

/*
 * Once a check has failed the verdict is known. What the others have under way goes on to its end
 * all the same: a server counts a login that is broken off.
 */
static void conclude(probe_round_t *round)
{
    const bool busy_fails = round->ping.target->busy_fails;
    const fo_report_t *worst = NULL;
    apr_interval_time_t took = 0;
    bool is_decided = true;

    for (unsigned i = 0; i < round->n_lanes; i++) {
        const probe_lane_t *lane = &round->lanes[i];
        is_decided = is_decided && lane->is_decided;
        if (!lane->is_decided)
            continue;
        worst = worst ? fo_series_worse(worst, &lane->report, busy_fails) : &lane->report;
        took = lane->report.took > took ? lane->report.took : took;
    }
    if (!worst || (!is_decided && !fo_report_is_failure(worst, busy_fails)))
        return;
    round->report = *worst;
    if (!fo_report_is_failure(worst, busy_fails))
        round->report.took = took;
    round->is_over = true;
}

static void count(probe_round_t *round, probe_lane_t *lane, const fo_report_t *report,
                  apr_time_t now)
{
    const fo_target_t *target = round->ping.target;

    if (lane->series) {
        lane->is_decided = fo_series_add(lane->series, &target->probes, report, target->busy_fails,
                                         &lane->report);
    } else {
        lane->is_decided = true;
        lane->report = *report;
    }
    lane->next_at = lane->is_decided ? 0 : now + target->probes.delay;
    if (!round->is_over)
        conclude(round);
}

static void start_probe(probe_round_t *round, probe_lane_t *lane, apr_time_t now)
{
    probe_order_t order = {
        .check = lane->check,
        .timeout = fo_ping_timeout(&round->ping, lane->check),
        .is_final = round->ping.is_final,
        .is_slow = round->ping.is_slow,
    };
    fo_report_t report = { .stage = FO_STAGE_CONNECT };

    lane->next_at = 0;
    lane->flight = probe_flight_start(round->field, &order, now);
    if (!lane->flight) {
        fo_report_fill(&report, FO_VERDICT_SELF, ENOMEM, 0, NULL);
        count(round, lane, &report, now);
    }
}

static void land(probe_round_t *round, probe_lane_t *lane, apr_time_t now)
{
    fo_report_t report = lane->flight->report;

    if (round->field->landed)
        round->field->landed(round->field->baton, round->ping.target, lane->flight);
    probe_flight_free(lane->flight);
    lane->flight = NULL;
    count(round, lane, &report, now);
}

static void tick_lane(probe_round_t *round, probe_lane_t *lane, apr_time_t now)
{
    if (lane->flight)
        probe_flight_tick(lane->flight, now);
    if (lane->flight && lane->flight->is_over)
        land(round, lane, now);
    if (round->is_over)
        lane->next_at = 0;
    if (lane->next_at && now >= lane->next_at)
        start_probe(round, lane, now);
}

probe_round_t *probe_round_start(const probe_field_t *field, const fo_ping_t *ping, apr_time_t now)
{
    unsigned n = (unsigned)ping->target->checks->nelts;
    bool is_single = ping->target->probes.n == 1; /* most are: hundreds may be under way */
    size_t lane = sizeof(probe_lane_t) + (is_single ? 0 : sizeof(fo_series_t));
    size_t size = sizeof(probe_round_t) + n * lane;
    probe_round_t *round = probe_pages_take(size);
    fo_series_t *series = round ? (fo_series_t *)(void *)&round->lanes[n] : NULL;

    if (!round)
        return NULL;
    round->size = size;
    round->field = field;
    round->ping = *ping;
    round->n_lanes = n;
    for (unsigned i = 0; i < n; i++) {
        round->lanes[i].check = fo_target_check(ping->target, i);
        round->lanes[i].series = is_single ? NULL : &series[i];
        start_probe(round, &round->lanes[i], now);
    }
    return round;
}

void probe_round_tick(probe_round_t *round, apr_time_t now)
{
    for (unsigned i = 0; i < round->n_lanes; i++)
        tick_lane(round, &round->lanes[i], now);
}

/* One that has ended as it began is to be seen to at once. */
static apr_time_t lane_wake_at(const probe_lane_t *lane)
{
    if (lane->flight)
        return lane->flight->is_over ? 0 : probe_flight_wake_at(lane->flight);
    return lane->next_at ? lane->next_at : FO_NEVER;
}

apr_time_t probe_round_wake_at(const probe_round_t *round)
{
    apr_time_t first = FO_NEVER;

    for (unsigned i = 0; i < round->n_lanes; i++) {
        apr_time_t at = lane_wake_at(&round->lanes[i]);
        first = at < first ? at : first;
    }
    return first;
}

bool probe_round_is_idle(const probe_round_t *round)
{
    for (unsigned i = 0; i < round->n_lanes; i++)
        if (round->lanes[i].flight)
            return false;
    return true;
}

void probe_round_free(probe_round_t *round)
{
    size_t size = round->size;

    for (unsigned i = 0; i < round->n_lanes; i++)
        if (round->lanes[i].flight)
            probe_flight_free(round->lanes[i].flight);
    memset(round, 0, size);
    probe_pages_give(round, size);
}

/*
 * probe_round.h: one ping under way: its checks side by side, the probes of each one after the
 * other, as FailoverProbes says. Monitor thread alone; nothing here blocks.
 */
#ifndef PROBE_ROUND_H
#define PROBE_ROUND_H

#include "core/fo_monitor.h"
#include "probe/probe_flight.h"

/* One check's probes. */
typedef struct probe_lane_t {
    const fo_check_t *check;
    fo_series_t *series;    /* NULL: one probe is all */
    probe_flight_t *flight; /* the probe under way; NULL: none */
    apr_time_t next_at;     /* when the next one begins; 0: not by itself */
    bool is_decided;
    fo_report_t report; /* then */
} probe_lane_t;

typedef struct probe_round_t {
    const probe_field_t *field;
    fo_ping_t ping;
    probe_ticket_t ticket; /* the request that waits for it */
    bool is_over;          /* the report is final; a probe may still be under way */
    bool is_told;          /* the loop's */
    fo_report_t report;
    size_t size; /* of all of it, in bytes */
    unsigned n_lanes;
    probe_lane_t lanes[];
} probe_round_t;

/* NULL: no memory. */
probe_round_t *probe_round_start(const probe_field_t *field, const fo_ping_t *ping, apr_time_t now);

/* Time has passed, flights have been driven, or names may have been resolved. */
void probe_round_tick(probe_round_t *round, apr_time_t now);

/* When tick is wanted at the latest. */
apr_time_t probe_round_wake_at(const probe_round_t *round);

/* No probe is under way any more. */
bool probe_round_is_idle(const probe_round_t *round);

/* Ends what is under way. */
void probe_round_free(probe_round_t *round);

#endif

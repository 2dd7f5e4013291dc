/*
 * probe_in_turn.h: for asks of one host that has several addresses: they are tried in order, each
 * with an even share of the time that is left, until the server itself has spoken: another address
 * of it would say the same. Of those that failed a time-out is told first, our own fault last.
 */
#ifndef PROBE_IN_TURN_H
#define PROBE_IN_TURN_H

#include "mod_failover.h"

/* Asks the i-th address until then, of probe_clock_now(), and fills the report. */
typedef void (*probe_in_turn_fn)(const void *conf, const fo_ask_t *ask, unsigned i,
                                 apr_time_t until_at, fo_report_t *report);

void probe_in_turn(probe_in_turn_fn ask_address, const void *conf, const fo_ask_t *ask,
                   fo_report_t *report);

#endif

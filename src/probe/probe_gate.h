/*
 * probe_gate.h: how a request asks the monitor thread to look, and waits a bounded time for what it
 * asked for. Lock-free on the request's side: under prefork a request may be left by a signal
 * handler that never returns.
 */
#ifndef PROBE_GATE_H
#define PROBE_GATE_H

#include "core/fo_board.h"

/* How many requests of one child may wait at the same time; one more does not wait. */
#define PROBE_SEATS 16

/* Where a waiting request sits. serial 0: nobody waits. */
typedef struct probe_ticket_t {
    unsigned seat;
    unsigned serial;
} probe_ticket_t;

typedef struct probe_gate_t probe_gate_t;

/* NULL: no descriptor to be had (errno tells). */
probe_gate_t *probe_gate_make(const fo_plan_t *plan, apr_pool_t *pool);

/*
 * Request thread: asks for what is due in this scope, and waits until the pings that this started
 * are answered, at most `wait` microseconds. 0: does not wait. Returns how long it waited, rounded
 * up; 0: it did not.
 */
apr_interval_time_t probe_gate_ask(probe_gate_t *gate, const fo_scope_t *scope,
                                   fo_trigger_e trigger, apr_interval_time_t wait);

/* Any thread, signal handlers too: wakes the monitor thread. */
void probe_gate_wake(probe_gate_t *gate);

/* Monitor thread: the descriptor to poll for input, and what empties it. */
int probe_gate_fd(const probe_gate_t *gate);
void probe_gate_drain(probe_gate_t *gate);

/* Monitor thread: takes a request's wish, if there is one. */
bool probe_gate_take(probe_gate_t *gate, const fo_scope_t *scope, fo_trigger_e trigger,
                     probe_ticket_t *ret_ticket);

/*
 * Monitor thread: the request waits for one thing more, and for one less; when none is left it is
 * released.
 */
void probe_gate_hold(probe_gate_t *gate, probe_ticket_t ticket);
void probe_gate_let_go(probe_gate_t *gate, probe_ticket_t ticket);

/* Monitor thread: all that this request asked for has been answered. */
void probe_gate_release(probe_gate_t *gate, probe_ticket_t ticket);

#endif

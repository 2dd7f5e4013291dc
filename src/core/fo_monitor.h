/*
 * fo_monitor.h: who is to be pinged now, and what an answer changes. It only decides: time, answers
 * and chance go in as values; asks, the board and changes come out. Belongs to the monitor thread
 * alone. Instants are of one monotonic clock, in microseconds, and greater than 0.
 */
#ifndef FO_MONITOR_H
#define FO_MONITOR_H

#include "core/fo_breaker.h"
#include "core/fo_judge.h"

/* How often pings of one target that were thrown away are told of. */
#define FO_SELF_LOGGING (3600 * APR_USEC_PER_SEC)

/* One ping to be made. */
typedef struct fo_ping_t {
    const fo_target_t *target;
    apr_interval_time_t timeout; /* for the whole ping */
    bool is_long;                /* each probe has the time of what is usable */
    bool is_awaited;             /* a request may wait for the verdict */
    bool is_final;               /* a time-out counts even if we were starved */
    bool is_slow;                /* the last one that counted ran out of time */
} fo_ping_t;

/* The time for one of its probes. */
apr_interval_time_t fo_ping_timeout(const fo_ping_t *ping, const fo_check_t *check);

typedef struct fo_monitor_t fo_monitor_t;

/* seed: any number; children should have different ones. observer may be NULL. */
fo_monitor_t *fo_monitor_make(const fo_plan_t *plan, fo_board_t *board, apr_uint64_t seed,
                              fo_observer_fn observer, void *baton, apr_pool_t *pool);

/*
 * Before the thread starts: with whom it shares hints and the places for pings, and where its rows
 * are published. slot: this child's, or FO_SLOT_NONE.
 */
void fo_monitor_join(fo_monitor_t *monitor, fo_shared_t *shared, int slot);

/*
 * Before that: takes from the rows of others what this child starts from, if the plan says so. A
 * target of which all endpoints have a state then has its first ping by itself, within the error
 * frequency.
 */
void fo_monitor_inherit(fo_monitor_t *monitor, const fo_shared_t *shared, apr_time_t now);

/*
 * Where one child pings for all: takes or renews the lease. False: another has it, and nothing is
 * to be pinged here; what that one sees is taken over by fo_monitor_hear_hints().
 */
bool fo_monitor_lead(fo_monitor_t *monitor, apr_time_t now);

/* When to call that again at the latest; FO_NEVER: each child pings for itself. */
apr_time_t fo_monitor_lead_at(const fo_monitor_t *monitor);

/* The child ends: nobody need wait for its lease to run out. */
void fo_monitor_leave(fo_monitor_t *monitor);

/* What follows from time alone, as the return to a better endpoint; and when that is due. */
apr_time_t fo_monitor_look_at(const fo_monitor_t *monitor);
void fo_monitor_look(fo_monitor_t *monitor, apr_time_t now);

/* The child lives, and means to look again at wakes_at, at the latest. */
void fo_monitor_beat(fo_monitor_t *monitor, apr_time_t now, apr_time_t wakes_at);

/* From when this target is due for that trigger; FO_NEVER while a ping is under way. */
apr_time_t fo_monitor_due_at(const fo_monitor_t *monitor, const fo_target_t *target,
                             fo_trigger_e trigger);

/* The same for the first target of all to become due. */
apr_time_t fo_monitor_next_at(const fo_monitor_t *monitor, fo_trigger_e trigger);

/* A ping is to start as soon as there is a place for it; the target is not due until then. */
void fo_monitor_queue(fo_monitor_t *monitor, const fo_target_t *target);

/*
 * A place among the pings of all children; false: there is none, and the target is due again soon,
 * by itself. Comes before the start.
 */
bool fo_monitor_enter(fo_monitor_t *monitor, const fo_target_t *target, apr_time_t now);

/* A ping of this target starts now. It ends with exactly one answer, or is given up. */
fo_ping_t fo_monitor_start(fo_monitor_t *monitor, const fo_target_t *target, apr_time_t now);

/*
 * Of pings that end together, what each found; before the first is answered, so that each is judged
 * in the light of all (fo_doubt.h). One that ends alone needs none.
 */
void fo_monitor_announce(fo_monitor_t *monitor, const fo_target_t *target,
                         const fo_report_t *report, apr_time_t now);

/* What the ping found. */
void fo_monitor_answer(fo_monitor_t *monitor, const fo_target_t *target, const fo_report_t *report,
                       apr_time_t now);

/* The same while a part of the ping is still under way, which ends by being given up. */
void fo_monitor_answer_early(fo_monitor_t *monitor, const fo_target_t *target,
                             const fo_report_t *report, apr_time_t now);

/*
 * The ping is over without an answer, or got one early; or the child ends, or loses the lease,
 * before it gets a place: it is not to be.
 */
void fo_monitor_give_up(fo_monitor_t *monitor, const fo_target_t *target);

/*
 * An error points at what this asks: it is due by the error frequency, by itself. False: that is
 * for another child to do, which is to be woken.
 */
bool fo_monitor_hurry(fo_monitor_t *monitor, const fo_target_t *target);

/* Too many requests that use it have failed: the same, or the endpoint is left at once. */
bool fo_monitor_trip(fo_monitor_t *monitor, const fo_service_t *service, const fo_tally_t *tally,
                     apr_time_t now);

/* Does the same for what siblings have found otherwise than this child sees it. */
void fo_monitor_hear_hints(fo_monitor_t *monitor, apr_time_t now);

/* Where this child pings for all: the same for what errors in others point at. */
void fo_monitor_hear_suspects(fo_monitor_t *monitor, apr_time_t now);

/*
 * Writes into the board in which scopes something is due for this trigger. Returns the instant at
 * which that is to be done again, if nothing happens before; FO_NEVER: all are due, or nothing is.
 */
apr_time_t fo_monitor_publish_due(fo_monitor_t *monitor, fo_trigger_e trigger, apr_time_t now);

const fo_health_t *fo_monitor_health(const fo_monitor_t *monitor, const fo_endpoint_t *endpoint);

#endif

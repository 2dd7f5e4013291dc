/*
 * fo_monitor.h: who is to be pinged now, and what an answer changes. It only decides: time, answers
 * and chance go in as values; asks, the board and changes come out. Belongs to the monitor thread
 * alone. Instants are of one monotonic clock, in microseconds, and greater than 0.
 */
#ifndef FO_MONITOR_H
#define FO_MONITOR_H

#include "core/fo_board.h"
#include "core/fo_health.h"

/* Discards in a row after which a ping gets double time and counts however late we woke. */
#define FO_DISCARDS_MAX 3

/* How often pings of one check that were thrown away are told of. */
#define FO_SELF_LOGGING (3600 * APR_USEC_PER_SEC)

typedef enum {
    FO_CHANGE_OUTAGE,       /* a service went down */
    FO_CHANGE_OUTAGE_LASTS, /* it still is, and it is time to say so again */
    FO_CHANGE_RECOVERY,     /* it is back */
    FO_CHANGE_LOGIN,        /* the server is alive, but refuses the ping's own credentials */
    FO_CHANGE_SELF          /* pings were thrown away because of our own side */
} fo_change_e;

/* What the observer is told. Valid during the call. */
typedef struct fo_change_t {
    fo_change_e kind;
    const fo_service_t *service;
    const fo_endpoint_t *endpoint;
    const fo_report_t *report;
    apr_interval_time_t lasted; /* of the outage */
    apr_uint64_t discards;      /* SELF: since it was last told */
} fo_change_t;

/* Called on the monitor thread; of an outage or a recovery after the board shows it. */
typedef void (*fo_observer_fn)(void *baton, const fo_change_t *change);

/* One ping to be made. */
typedef struct fo_ping_t {
    const fo_check_t *check;
    apr_interval_time_t timeout; /* for the whole ping */
    bool is_awaited;             /* a request may wait for the verdict */
    bool is_final;               /* a time-out counts even if we were starved */
    bool is_slow;                /* the last one that counted ran out of time */
} fo_ping_t;

typedef struct fo_monitor_t fo_monitor_t;

/* seed: any number; children should have different ones. observer may be NULL. */
fo_monitor_t *fo_monitor_make(const fo_plan_t *plan, fo_board_t *board, apr_uint64_t seed,
                              fo_observer_fn observer, void *baton, apr_pool_t *pool);

/* Before the thread starts: with whom it shares hints and the places for pings. */
void fo_monitor_join(fo_monitor_t *monitor, fo_shared_t *shared);

/* The instant from which this check is due for that trigger; FO_NEVER while a ping is under way. */
apr_time_t fo_monitor_due_at(const fo_monitor_t *monitor, const fo_check_t *check,
                             fo_trigger_e trigger);

/* The same for the first check of all to become due. */
apr_time_t fo_monitor_next_at(const fo_monitor_t *monitor, fo_trigger_e trigger);

/* A ping of this check is to start as soon as there is a place for it; it is not due until then. */
void fo_monitor_queue(fo_monitor_t *monitor, const fo_check_t *check);

/*
 * A place among the pings of all children; false: there is none, and the check is due again soon,
 * by itself. Comes before the start.
 */
bool fo_monitor_enter(fo_monitor_t *monitor, const fo_check_t *check, apr_time_t now);

/* A ping of this check starts now. It ends with exactly one answer, or is given up. */
fo_ping_t fo_monitor_start(fo_monitor_t *monitor, const fo_check_t *check, apr_time_t now);

/* What the ping found. */
void fo_monitor_answer(fo_monitor_t *monitor, const fo_check_t *check, const fo_report_t *report,
                       apr_time_t now);

/* The child ends before the ping does: its place is free. */
void fo_monitor_give_up(fo_monitor_t *monitor, const fo_check_t *check);

/* An error points at what this asks: it is due by the error frequency, by itself. */
void fo_monitor_hurry(fo_monitor_t *monitor, const fo_check_t *check);

/* Does the same for what siblings have found otherwise than this child sees it. */
void fo_monitor_hear_hints(fo_monitor_t *monitor);

/* Writes into the board when each scope is due next for this trigger. */
void fo_monitor_publish_due(fo_monitor_t *monitor, fo_trigger_e trigger);

const fo_health_t *fo_monitor_health(const fo_monitor_t *monitor, const fo_endpoint_t *endpoint);

#endif

/*
 * fo_view.h: what the whole server sees of its services, for people: gathered from the shared
 * memory, where the children publish it, and never from the one child that happens to answer.
 *
 * What a child sees is fresh unless its monitor is late (fo_slot.h), or another child has
 * discovered the contrary since (fo_row.h). A state is the one that most of those children see
 * whose sight is fresh; where none is, that of most.
 */
#ifndef FO_VIEW_H
#define FO_VIEW_H

#include "core/fo_board.h"
#include "core/fo_record.h"
#include "core/fo_slot.h"

/* So many of the services that a child sees down are named. */
#define FO_VIEW_NAMES 16

/* As a service's state, and that a child does not know it yet. */
typedef enum {
    FO_VIEW_UP = FO_SERVICE_UP,
    FO_VIEW_FAILOVER = FO_SERVICE_FAILOVER,
    FO_VIEW_DOWN = FO_SERVICE_DOWN,
    FO_VIEW_UNKNOWN,
    FO_VIEW_STATE_COUNT
} fo_view_state_e;

/* Those children that see one state. */
typedef struct fo_view_part_t {
    unsigned n;
    unsigned n_fresh;    /* of them */
    apr_time_t since_at; /* when the first of these, or else of all, saw it; 0: there is none */
} fo_view_part_t;

typedef struct fo_view_service_t {
    const fo_service_t *service;
    fo_view_state_e state; /* of those children that know it */
    fo_view_part_t parts[FO_VIEW_STATE_COUNT];
    unsigned epoch;      /* the highest */
    bool is_unavailable; /* down for as long as FailoverAttempts says */
} fo_view_service_t;

typedef struct fo_view_endpoint_t {
    const fo_endpoint_t *endpoint;
    fo_state_e state; /* likewise */
    fo_view_part_t parts[FO_STATE_COUNT];
    unsigned n_users;         /* children whose requests use it */
    apr_time_t pinged_at;     /* the last ping of any child; 0: none yet */
    apr_interval_time_t took; /* that one */
    fo_verdict_e verdict;     /* likewise */
    apr_time_t due_at;        /* the first of all; 0: at once; FO_NEVER: none is planned */
} fo_view_endpoint_t;

typedef struct fo_view_child_t {
    unsigned number; /* of its slot */
    fo_slot_t slot;
    bool is_counted; /* it has the configuration of this plan: the states above are of such alone */
    bool is_late;    /* its monitor is */
    unsigned n_down; /* services that it sees down, of those that were looked at */
    const fo_service_t *down[FO_VIEW_NAMES]; /* the first of them */
} fo_view_child_t;

typedef struct fo_view_t {
    const fo_plan_t *plan;
    const fo_shared_t *shared; /* NULL: nothing is monitored */
    apr_time_t now;            /* of the monotonic clock, which all instants here are of */
    apr_time_t wall_at;        /* the same instant of the wall clock */
    unsigned n_slots;
    unsigned n_counted; /* children */
    unsigned n_children;
    fo_view_child_t *children;
    fo_view_service_t *services;   /* by index */
    fo_view_endpoint_t *endpoints; /* by index */
    apr_int64_t leader;            /* the pid of the one that pings for all; 0: there is none */
} fo_view_t;

/* shared may be NULL. Lives in pool. */
const fo_view_t *fo_view_make(const fo_plan_t *plan, const fo_shared_t *shared, apr_time_t now,
                              apr_time_t wall_at, apr_pool_t *pool);

/*
 * The same of these services alone (fo_service_t *), for who asks often: of the others it is as if
 * nobody knew them.
 */
const fo_view_t *fo_view_of(const fo_plan_t *plan, const apr_array_header_t *services,
                            const fo_shared_t *shared, apr_time_t now, apr_time_t wall_at,
                            apr_pool_t *pool);

/* What the service's breaker has counted; false: it has none, or nothing is shared. */
bool fo_view_tally(const fo_view_t *view, const fo_service_t *service, fo_tally_t *ret_tally);

/* What is known of an endpoint's pings. */
void fo_view_record(const fo_view_t *view, const fo_endpoint_t *endpoint, fo_record_t *ret_record);

/* The same instant of the wall clock. */
apr_time_t fo_view_wall(const fo_view_t *view, apr_time_t at);

const char *fo_view_state_name(fo_view_state_e state);

/*
 * One line of valid UTF-8: a server may say anything. What is no UTF-8 and what is a control
 * character becomes a '?'.
 */
const char *fo_view_words(const char *text, apr_pool_t *pool);

#endif

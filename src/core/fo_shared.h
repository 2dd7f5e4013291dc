/*
 * fo_shared.h: what the children of a server share: the hints by which one's discovery makes the
 * others look, the cells that bound how many ping an endpoint at a time, and what they publish for
 * people and for new children to read (fo_slot.h, fo_row.h, fo_record.h, fo_news.h, fo_lease.h).
 *
 * Plain data in memory that the caller maps into every child; atomic, without locks or counters, so
 * that a child may be killed at any instant and leave nothing wrong behind. It is held over a
 * change of the configuration: each service, target and endpoint has a seat, found by a digest
 * of its key, so what is the same before and after keeps what is known of it.
 */
#ifndef FO_SHARED_H
#define FO_SHARED_H

#include "core/fo_breaker.h"
#include "core/fo_plan.h"

typedef struct fo_shared_t fo_shared_t;

/* For how many there is room. */
typedef struct fo_capacity_t {
    unsigned slots; /* children */
    unsigned services;
    unsigned targets;
    unsigned endpoints;
    unsigned cells; /* pings of a target at a time */
} fo_capacity_t;

/* Where a ping is counted. cell -1: nowhere. */
typedef struct fo_cell_t {
    int cell;
    apr_time_t until_at; /* the cell is free from then on, whatever became of its ping */
} fo_cell_t;

/* The most that a lease can name: with more children than that some have no place. */
#define FO_SLOTS_MAX 65535

/* What a plan needs; of slots at most FO_SLOTS_MAX. */
fo_capacity_t fo_shared_need(const fo_plan_t *plan, unsigned slots, unsigned cells);

/* Bytes. */
apr_size_t fo_shared_size(const fo_capacity_t *capacity);

/* The memory is zeroed and of that size. */
fo_shared_t *fo_shared_init(void *memory, const fo_capacity_t *capacity);

/* True when this version of the code laid the memory out; else nothing else of it can be read. */
bool fo_shared_is_known(const fo_shared_t *shared);

/* Such a memory, for as many slots and cells. */
bool fo_shared_fits(const fo_shared_t *shared, const fo_capacity_t *capacity);

/*
 * Parent, before there are children of this plan: begins a generation, plan->generation, and gives
 * each service, target and endpoint of the plan the seat that it had, or a fresh one; none is taken
 * from an endpoint that a living child with a slot may still know. before: memory whose knowledge
 * goes over to this one, which is new; NULL: none. Of another version of the code it is not read.
 * False: there are not enough seats, and nothing of it is to be used.
 */
bool fo_shared_adopt(fo_shared_t *shared, fo_plan_t *plan, const fo_shared_t *before);

/*
 * Hints. A word for each target: it moves with every discovery, and its lowest bit says what was
 * found. Another counts all discoveries: whoever sees it move looks at the words. Targets are named
 * by their seats, here and below.
 */
#define FO_HINT_DOWN 1u
unsigned fo_shared_hint(const fo_shared_t *shared, unsigned target);

/* Returns the word as it is afterwards. now: any clock that all use alike. */
unsigned fo_shared_tell(fo_shared_t *shared, unsigned target, bool is_down, apr_time_t now);

/* Makes the others look at it without a discovery: the lowest bit stays. */
unsigned fo_shared_stir(fo_shared_t *shared, unsigned target);

/* When that was last; 0: never. */
apr_time_t fo_shared_told_at(const fo_shared_t *shared, unsigned target);

/* The count of discoveries; any thread may read it at any time. */
const _Atomic unsigned *fo_shared_count(const fo_shared_t *shared);

/* The outcomes of requests that use this service, by its seat. */
fo_breaker_t *fo_shared_breaker(fo_shared_t *shared, unsigned service);

/*
 * The breaker opens this endpoint, by its seat, for all children: it is not pinged for `reset`, or
 * for twice the last span if that ended less than such a span ago, 10 minutes at most. Returns
 * until when; one that is open stays as it is.
 */
#define FO_OPEN_MAX (600 * APR_USEC_PER_SEC)
apr_time_t fo_shared_open(fo_shared_t *shared, unsigned endpoint, apr_interval_time_t reset,
                          apr_time_t now);

/* Where the opening that lasts until then is over before its time, for all children. */
void fo_shared_close(fo_shared_t *shared, unsigned endpoint, apr_time_t until_at, apr_time_t now);

/* Until when it is; an instant that has passed, or 0: it is not. */
apr_time_t fo_shared_open_until(const fo_shared_t *shared, unsigned endpoint);

/* Lines of the event log that nobody could read. */
void fo_shared_count_lost_event(fo_shared_t *shared);
apr_uint64_t fo_shared_lost_events(const fo_shared_t *shared);

/* A cell for a ping of this target; cell -1: as many as may be are under way. */
fo_cell_t fo_shared_enter(fo_shared_t *shared, unsigned target, apr_time_t now,
                          apr_time_t until_at);

/* The ping is over. */
void fo_shared_leave(fo_shared_t *shared, unsigned target, fo_cell_t cell);

/*
 * An error points at this target, in a child that does not ping itself; and what the one that does
 * takes up. True: for the first caller since the last error.
 */
void fo_shared_suspect(fo_shared_t *shared, unsigned target);
bool fo_shared_take_suspect(fo_shared_t *shared, unsigned target);

#endif

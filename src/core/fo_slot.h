/*
 * fo_slot.h: the children's places in the shared memory. A child claims one when it starts; the
 * parent gives it back when the child has died, in whatever way. What the dead one published stays
 * until the place is claimed again, and says how old it is.
 */
#ifndef FO_SLOT_H
#define FO_SLOT_H

#include "core/fo_shared.h"

/* No place: the child works, but what it sees is not published. */
#define FO_SLOT_NONE (-1)

typedef struct fo_slot_t {
    apr_int64_t pid;
    apr_uint64_t generation; /* of its configuration */
    apr_time_t started_at;
    apr_time_t beat_at;          /* when its monitor thread last ran */
    apr_time_t wakes_at;         /* when it means to run again, at the latest */
    apr_uint64_t waits;          /* requests that waited for a ping */
    apr_interval_time_t waited;  /* by all of them together */
    apr_uint64_t unknown_errors; /* of services that nobody knows, reported by applications */
} fo_slot_t;

/*
 * Child: the free place in which there has been no life for longest; its rows are empty then.
 * FO_SLOT_NONE: there is none.
 */
int fo_slot_claim(fo_shared_t *shared, apr_int64_t pid, apr_uint64_t generation, apr_time_t now);

/* The monitor thread of the child that has it. */
void fo_slot_beat(fo_shared_t *shared, int slot, apr_time_t now, apr_time_t wakes_at);

/*
 * It should have run for so long: it is stopped or hangs, and what it published says nothing of
 * now. Less may come of a busy machine.
 */
#define FO_SLOT_PATIENCE (5 * APR_USEC_PER_SEC)
bool fo_slot_is_late(const fo_slot_t *slot, apr_time_t now);

/* Any thread of it: a request has waited for a ping. */
void fo_slot_count_wait(fo_shared_t *shared, int slot, apr_interval_time_t waited);

/* Likewise: an application has named a service that there is not. */
void fo_slot_count_unknown(fo_shared_t *shared, int slot);

/* Parent: this child has died. */
void fo_slot_release(fo_shared_t *shared, apr_int64_t pid);

/* Parent: the same for all that are not alive any more. */
void fo_slot_sweep(fo_shared_t *shared, bool (*is_alive)(apr_int64_t pid));

/* False: nobody is there. */
bool fo_slot_read(const fo_shared_t *shared, unsigned slot, fo_slot_t *ret_slot);

/* Somebody has been there: only then do its rows take memory, and a look at them would too. */
bool fo_slot_was_used(const fo_shared_t *shared, unsigned slot);

unsigned fo_slot_count(const fo_shared_t *shared);

#endif

/*
 * fo_lease.h: which one of all children pings, where one does for all. It holds a lease that
 * expires, so that one which was killed or stopped is followed by another; a child of a newer
 * configuration takes it from one of an older.
 */
#ifndef FO_LEASE_H
#define FO_LEASE_H

#include "core/fo_schedule.h"
#include "core/fo_slot.h"

typedef struct fo_lease_t {
    int slot; /* the holder's, or the last one's; FO_SLOT_NONE: nobody's yet */
    apr_uint64_t generation;
    apr_time_t until_at; /* exact to a millisecond */
} fo_lease_t;

fo_lease_t fo_lease_read(const fo_shared_t *shared);

/*
 * Takes or renews it for this child if that may be; true: this child has it, until now + span at
 * least for a millisecond less.
 */
bool fo_lease_take(fo_shared_t *shared, int slot, apr_uint64_t generation, apr_time_t now,
                   apr_interval_time_t span);

/*
 * The child ends: whoever comes next need not wait. What it saw can still be read at its slot,
 * until another claims that.
 */
void fo_lease_give_up(fo_shared_t *shared, int slot);

/* One child's part in it. */
typedef struct fo_leader_t {
    fo_shared_t *shared;      /* NULL: no siblings */
    int slot;                 /* this child's, or FO_SLOT_NONE */
    apr_uint64_t generation;  /* of its configuration */
    apr_interval_time_t span; /* 0: each child pings for itself */
    bool is_leading;          /* it pings; else another does for all */
} fo_leader_t;

/*
 * Takes or renews the lease when it is time to. False: another has it. One that was stopped for
 * long, or is of an older configuration, finds here that it has lost it.
 */
bool fo_leader_look(fo_leader_t *leader, apr_time_t now);

/* When to do so again at the latest; FO_NEVER: there is no lease. */
apr_time_t fo_leader_look_at(const fo_leader_t *leader);

#endif

#include "core/fo_lease.h"

#include "core/fo_layout.h"

#include <stdatomic.h>

/* One word: until when, in milliseconds; the lowest byte of the generation; slot + 1. */
#define UNTIL_SHIFT 24
#define GENERATION_SHIFT 16
#define GENERATION_MASK 0xff
#define SLOT_MASK 0xffff
#define MS 1000

static apr_uint64_t pack(int slot, apr_uint64_t generation, apr_time_t until_at)
{
    return (apr_uint64_t)(until_at / MS) << UNTIL_SHIFT |
           (generation & GENERATION_MASK) << GENERATION_SHIFT | (apr_uint64_t)(slot + 1);
}

static fo_lease_t unpack(apr_uint64_t word)
{
    return (fo_lease_t){
        .slot = (int)(word & SLOT_MASK) - 1,
        .generation = word >> GENERATION_SHIFT & GENERATION_MASK,
        .until_at = (apr_time_t)(word >> UNTIL_SHIFT) * MS,
    };
}

fo_lease_t fo_lease_read(const fo_shared_t *shared)
{
    return unpack(atomic_load(&shared->lease));
}

/* As with serial numbers that wrap around. */
static bool is_newer(apr_uint64_t generation, apr_uint64_t than)
{
    return (signed char)((generation - than) & GENERATION_MASK) > 0;
}

static bool may_take(const fo_lease_t *lease, int slot, apr_uint64_t generation, apr_time_t now)
{
    return lease->slot == slot || lease->slot == FO_SLOT_NONE || lease->until_at <= now ||
           is_newer(generation, lease->generation);
}

bool fo_lease_take(fo_shared_t *shared, int slot, apr_uint64_t generation, apr_time_t now,
                   apr_interval_time_t span)
{
    apr_uint64_t word = atomic_load(&shared->lease);
    fo_lease_t lease = unpack(word);

    return slot != FO_SLOT_NONE && slot < SLOT_MASK && may_take(&lease, slot, generation, now) &&
           atomic_compare_exchange_strong(&shared->lease, &word,
                                          pack(slot, generation, now + span));
}

void fo_lease_give_up(fo_shared_t *shared, int slot)
{
    apr_uint64_t word = atomic_load(&shared->lease);

    if (slot != FO_SLOT_NONE && unpack(word).slot == slot)
        atomic_compare_exchange_strong(&shared->lease, &word, pack(slot, 0, 0));
}

apr_time_t fo_leader_look_at(const fo_leader_t *leader)
{
    apr_time_t until_at;

    if (!leader->span || !leader->shared || leader->slot == FO_SLOT_NONE)
        return FO_NEVER;
    until_at = fo_lease_read(leader->shared).until_at;
    return leader->is_leading ? until_at - leader->span * 2 / 3 : until_at;
}

bool fo_leader_look(fo_leader_t *leader, apr_time_t now)
{
    if (!leader->span || !leader->shared)
        return true;
    if (!leader->is_leading || now >= fo_leader_look_at(leader) ||
        fo_lease_read(leader->shared).slot != leader->slot)
        leader->is_leading = fo_lease_take(leader->shared, leader->slot, leader->generation, now,
                                           leader->span);
    return leader->is_leading;
}

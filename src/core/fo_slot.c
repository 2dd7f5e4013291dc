#include "core/fo_slot.h"

#include "core/fo_layout.h"

#include <stdatomic.h>

unsigned fo_slot_count(const fo_shared_t *shared)
{
    return shared->capacity.slots;
}

bool fo_slot_was_used(const fo_shared_t *shared, unsigned slot)
{
    return atomic_load(&shared->slots[slot].started_at) != 0;
}

/* The free slot in which there was no life for longest; FO_SLOT_NONE. */
static int stalest(const fo_shared_t *shared)
{
    int found = FO_SLOT_NONE;
    apr_time_t oldest = APR_INT64_MAX;

    for (unsigned i = 0; i < shared->capacity.slots; i++) {
        apr_time_t beat_at = atomic_load(&shared->slots[i].beat_at);
        if (atomic_load(&shared->slots[i].pid) || beat_at >= oldest)
            continue;
        found = (int)i;
        oldest = beat_at;
    }
    return found;
}

int fo_slot_claim(fo_shared_t *shared, apr_int64_t pid, apr_uint64_t generation, apr_time_t now)
{
    fo_slot_words_t *slot;
    apr_int64_t nobody;
    int found;

    do {
        found = stalest(shared);
        if (found == FO_SLOT_NONE)
            return FO_SLOT_NONE;
        slot = &shared->slots[found];
        nobody = 0;
    } while (!atomic_compare_exchange_strong(&slot->pid, &nobody, pid));
    fo_row_clear(shared, (unsigned)found);
    atomic_store(&slot->waits, 0);
    atomic_store(&slot->waited, 0);
    atomic_store(&slot->unknown_errors, 0);
    atomic_store(&slot->started_at, now);
    atomic_store(&slot->beat_at, now);
    atomic_store(&slot->wakes_at, now);
    atomic_store(&slot->generation, generation);
    return found;
}

void fo_slot_beat(fo_shared_t *shared, int slot, apr_time_t now, apr_time_t wakes_at)
{
    if (slot == FO_SLOT_NONE)
        return;
    atomic_store_explicit(&shared->slots[slot].beat_at, now, memory_order_relaxed);
    atomic_store_explicit(&shared->slots[slot].wakes_at, wakes_at, memory_order_relaxed);
}

bool fo_slot_is_late(const fo_slot_t *slot, apr_time_t now)
{
    return now - slot->wakes_at > FO_SLOT_PATIENCE;
}

void fo_slot_count_wait(fo_shared_t *shared, int slot, apr_interval_time_t waited)
{
    if (slot == FO_SLOT_NONE)
        return;
    atomic_fetch_add_explicit(&shared->slots[slot].waits, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&shared->slots[slot].waited, waited, memory_order_relaxed);
}

void fo_slot_count_unknown(fo_shared_t *shared, int slot)
{
    if (slot != FO_SLOT_NONE)
        atomic_fetch_add_explicit(&shared->slots[slot].unknown_errors, 1, memory_order_relaxed);
}

/* The generation first: who sees the slot taken again must not take its child for a newer one. */
static void release(fo_slot_words_t *slot)
{
    atomic_store(&slot->generation, 0);
    atomic_store(&slot->pid, 0);
}

void fo_slot_release(fo_shared_t *shared, apr_int64_t pid)
{
    for (unsigned i = 0; i < shared->capacity.slots; i++)
        if (atomic_load(&shared->slots[i].pid) == pid)
            release(&shared->slots[i]);
}

void fo_slot_sweep(fo_shared_t *shared, bool (*is_alive)(apr_int64_t pid))
{
    for (unsigned i = 0; fo_shared_is_known(shared) && i < shared->capacity.slots; i++) {
        apr_int64_t pid = atomic_load(&shared->slots[i].pid);
        if (pid && !is_alive(pid))
            release(&shared->slots[i]);
    }
}

bool fo_slot_read(const fo_shared_t *shared, unsigned slot, fo_slot_t *ret_slot)
{
    const fo_slot_words_t *words = &shared->slots[slot];

    *ret_slot = (fo_slot_t){
        .pid = atomic_load(&words->pid),
        .generation = atomic_load(&words->generation),
        .started_at = atomic_load(&words->started_at),
        .beat_at = atomic_load(&words->beat_at),
        .wakes_at = atomic_load(&words->wakes_at),
        .waits = atomic_load(&words->waits),
        .waited = atomic_load(&words->waited),
        .unknown_errors = atomic_load(&words->unknown_errors),
    };
    return ret_slot->pid != 0;
}

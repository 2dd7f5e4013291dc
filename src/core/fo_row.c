#include "core/fo_row.h"

#include "core/fo_layout.h"

#include <stdatomic.h>
#include <string.h>

/* A reader that keeps meeting the writer, or one that was killed at work, gives up. */
#define TRIES 100

/* The next one that says this; greater than the one before. */
static apr_uint64_t next_version(apr_uint64_t version, apr_uint64_t what)
{
    return (version | FO_LAYOUT_ROW_MASK) + 1 + what;
}

void fo_row_write(fo_shared_t *shared, int slot, unsigned endpoint, const fo_row_t *row)
{
    apr_uint64_t words[FO_LAYOUT_ROW_WORDS] = { 0 };
    fo_row_words_t *target;
    apr_uint64_t version;

    if (slot == FO_SLOT_NONE)
        return;
    target = fo_layout_row(shared, (unsigned)slot, endpoint);
    version = next_version(atomic_load(&target->version), FO_LAYOUT_ROW_BUSY);
    memcpy(words, row, sizeof(*row));
    atomic_store(&target->version, version);
    for (size_t i = 0; i < FO_LAYOUT_ROW_WORDS; i++)
        atomic_store(&target->words[i], words[i]);
    atomic_store(&target->version, next_version(version, FO_LAYOUT_ROW_FULL));
}

bool fo_row_read(const fo_shared_t *shared, unsigned slot, unsigned endpoint, fo_row_t *ret_row)
{
    const fo_row_words_t *source = fo_layout_row(shared, slot, endpoint);
    apr_uint64_t words[FO_LAYOUT_ROW_WORDS];

    for (int tries = 0; tries < TRIES; tries++) {
        apr_uint64_t version = atomic_load(&source->version);
        if ((version & FO_LAYOUT_ROW_MASK) == FO_LAYOUT_ROW_EMPTY)
            return false;
        for (size_t i = 0; i < FO_LAYOUT_ROW_WORDS; i++)
            words[i] = atomic_load(&source->words[i]);
        if ((version & FO_LAYOUT_ROW_MASK) == FO_LAYOUT_ROW_FULL &&
            version == atomic_load(&source->version)) {
            memcpy(ret_row, words, sizeof(*ret_row));
            return true;
        }
    }
    return false;
}

void fo_row_clear(fo_shared_t *shared, unsigned slot)
{
    for (unsigned i = 0; i < shared->capacity.endpoints; i++) {
        _Atomic apr_uint64_t *version = &fo_layout_row(shared, slot, i)->version;
        apr_uint64_t seen = atomic_load(version);
        if ((seen & FO_LAYOUT_ROW_MASK) != FO_LAYOUT_ROW_EMPTY)
            atomic_store(version, next_version(seen, FO_LAYOUT_ROW_EMPTY));
    }
}

bool fo_row_is_outdated(const fo_shared_t *shared, const fo_target_t *target, const fo_row_t *row)
{
    bool is_down = !fo_state_is_usable((fo_state_e)row->state);
    bool told_down = fo_shared_hint(shared, target->seat) & FO_HINT_DOWN;
    apr_time_t told_at = fo_shared_told_at(shared, target->seat);

    return row->state != FO_STATE_UNKNOWN && is_down != told_down && row->pinged_at < told_at &&
           row->since_at < told_at;
}

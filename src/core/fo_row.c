#include "core/fo_row.h"

#include "core/fo_layout.h"

#include <stdatomic.h>
#include <string.h>

/* A reader that keeps meeting the writer, or one that was killed at work, gives up. */
#define TRIES 100

void fo_row_write(fo_shared_t *shared, int slot, unsigned endpoint, const fo_row_t *row)
{
    apr_uint64_t words[FO_LAYOUT_ROW_WORDS] = { 0 };
    fo_row_words_t *target;
    apr_uint64_t version;

    if (slot == FO_SLOT_NONE)
        return;
    target = fo_layout_row(shared, (unsigned)slot, endpoint);
    version = atomic_load(&target->version);
    memcpy(words, row, sizeof(*row));
    atomic_store(&target->version, version + 1);
    for (size_t i = 0; i < FO_LAYOUT_ROW_WORDS; i++)
        atomic_store(&target->words[i], words[i]);
    atomic_store(&target->version, version + 2);
}

/* Version 0 is that of a row in which nothing was written. */
bool fo_row_read(const fo_shared_t *shared, unsigned slot, unsigned endpoint, fo_row_t *ret_row)
{
    const fo_row_words_t *source = fo_layout_row(shared, slot, endpoint);
    apr_uint64_t words[FO_LAYOUT_ROW_WORDS];

    for (int tries = 0; tries < TRIES; tries++) {
        apr_uint64_t version = atomic_load(&source->version);
        if (version == 0)
            return false;
        for (size_t i = 0; i < FO_LAYOUT_ROW_WORDS; i++)
            words[i] = atomic_load(&source->words[i]);
        if (version % 2 == 0 && version == atomic_load(&source->version)) {
            memcpy(ret_row, words, sizeof(*ret_row));
            return true;
        }
    }
    return false;
}

void fo_row_clear(fo_shared_t *shared, unsigned slot)
{
    for (unsigned i = 0; i < shared->capacity.endpoints; i++)
        atomic_store(&fo_layout_row(shared, slot, i)->version, 0);
}

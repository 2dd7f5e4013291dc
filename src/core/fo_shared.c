#include "core/fo_shared.h"

#include <stdatomic.h>
#include <stdint.h>

#define CACHE_LINE 64

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "atomics with locks of their own do not work between processes");

/* The count has a cache line of its own: every request of every child reads it. */
struct fo_shared_t {
    _Alignas(CACHE_LINE) _Atomic unsigned count;
    _Alignas(CACHE_LINE) unsigned n_checks;
    unsigned n_cells;            /* of each check */
    _Atomic apr_int64_t words[]; /* the cells of all checks, then the hints */
};

static _Atomic apr_int64_t *cells_of(fo_shared_t *shared, unsigned check)
{
    return &shared->words[(apr_size_t)check * shared->n_cells];
}

static const _Atomic apr_int64_t *hint_of(const fo_shared_t *shared, unsigned check)
{
    return &shared->words[(apr_size_t)shared->n_checks * shared->n_cells + check];
}

apr_size_t fo_shared_size(unsigned n_checks, unsigned n_cells)
{
    return CACHE_LINE + sizeof(fo_shared_t) +
           sizeof(apr_int64_t) * (apr_size_t)n_checks * (n_cells + 1);
}

fo_shared_t *fo_shared_init(void *memory, unsigned n_checks, unsigned n_cells)
{
    uintptr_t line = ((uintptr_t)memory + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    fo_shared_t *shared = (fo_shared_t *)line;

    shared->n_checks = n_checks;
    shared->n_cells = n_cells;
    return shared;
}

unsigned fo_shared_hint(const fo_shared_t *shared, unsigned check)
{
    return (unsigned)atomic_load(hint_of(shared, check));
}

unsigned fo_shared_tell(fo_shared_t *shared, unsigned check, bool is_down)
{
    _Atomic apr_int64_t *hint = (_Atomic apr_int64_t *)hint_of(shared, check);
    apr_int64_t seen = atomic_load(hint), told;

    do
        told = ((seen | FO_HINT_DOWN) + 1) | (is_down ? FO_HINT_DOWN : 0);
    while (!atomic_compare_exchange_weak(hint, &seen, told));
    atomic_fetch_add(&shared->count, 1); /* after the word, which whoever sees this will read */
    return (unsigned)told;
}

const _Atomic unsigned *fo_shared_count(const fo_shared_t *shared)
{
    return &shared->count;
}

/* A cell holds the instant until which it is taken. */
fo_cell_t fo_shared_enter(fo_shared_t *shared, unsigned check, apr_time_t now, apr_time_t until_at)
{
    _Atomic apr_int64_t *cells = cells_of(shared, check);

    for (unsigned i = 0; i < shared->n_cells; i++) {
        apr_int64_t seen = atomic_load(&cells[i]);
        if (seen <= now && atomic_compare_exchange_strong(&cells[i], &seen, until_at))
            return (fo_cell_t){ .cell = (int)i, .until_at = until_at };
    }
    return (fo_cell_t){ .cell = -1 };
}

/* One whose time ran out may have gone to another ping meanwhile: then it is not ours to free. */
void fo_shared_leave(fo_shared_t *shared, unsigned check, fo_cell_t cell)
{
    apr_int64_t ours = cell.until_at;

    if (cell.cell >= 0)
        atomic_compare_exchange_strong(&cells_of(shared, check)[cell.cell], &ours, 0);
}

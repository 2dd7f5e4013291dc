/*
 * fo_shared.h: what the children of a server share: the hints by which one's discovery makes the
 * others look, and the cells that bound how many ping an endpoint at a time. Plain data in memory
 * that the caller maps into every child; atomic, without locks or counters, so that a child may be
 * killed at any instant and leave nothing wrong behind.
 */
#ifndef FO_SHARED_H
#define FO_SHARED_H

#include "mod_failover.h"

typedef struct fo_shared_t fo_shared_t;

/* Where a ping is counted. cell -1: nowhere. */
typedef struct fo_cell_t {
    int cell;
    apr_time_t until_at; /* the cell is free from then on, whatever became of its ping */
} fo_cell_t;

/* Bytes, for that many checks and pings of each at a time. */
apr_size_t fo_shared_size(unsigned n_checks, unsigned n_cells);

/* Before there are children. The memory is zeroed. */
fo_shared_t *fo_shared_init(void *memory, unsigned n_checks, unsigned n_cells);

/*
 * Hints. A word for each check: it moves with every discovery, and its lowest bit says what was
 * found. Another counts all discoveries: whoever sees it move looks at the words.
 */
#define FO_HINT_DOWN 1u
unsigned fo_shared_hint(const fo_shared_t *shared, unsigned check);

/* Returns the word as it is afterwards. */
unsigned fo_shared_tell(fo_shared_t *shared, unsigned check, bool is_down);

/* The count of discoveries; any thread may read it at any time. */
const _Atomic unsigned *fo_shared_count(const fo_shared_t *shared);

/* A cell for a ping of this check; cell -1: as many as may be are under way. */
fo_cell_t fo_shared_enter(fo_shared_t *shared, unsigned check, apr_time_t now, apr_time_t until_at);

/* The ping is over. */
void fo_shared_leave(fo_shared_t *shared, unsigned check, fo_cell_t cell);

#endif

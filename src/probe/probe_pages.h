/*
 * probe_pages.h: zeroed memory from the system itself, which goes back to it: a burst of pings is
 * not to stay in the heap. Meanwhile some pieces are kept for the next pings, because mapping them
 * may cost as much as all else that a ping does. Each thread has its own.
 */
#ifndef PROBE_PAGES_H
#define PROBE_PAGES_H

#include <stddef.h>

/* Pieces that a thread keeps at most: those of 64 pings, three each. */
#define PROBE_PAGES_KEPT 192

/* At least that many bytes, zeroed, at a page's beginning; NULL: no memory. */
void *probe_pages_take(size_t size);

/* Of the size it was taken with, and zeroed again by the caller, who knows what it has written. */
void probe_pages_give(void *pages, size_t size);

/* All that the thread keeps goes back. */
void probe_pages_drop(void);

#endif

#include "probe/probe_pages.h"

#include <sys/mman.h>

/* Sizes are rounded up to this, so that most pieces are of one size. */
#define STEP ((size_t)8192)

typedef struct piece_t {
    void *pages;
    size_t size;
} piece_t;

static _Thread_local piece_t kept[PROBE_PAGES_KEPT];
static _Thread_local unsigned n_kept;

static size_t round_up(size_t size)
{
    return (size + STEP - 1) / STEP * STEP;
}

/* The last one takes its place. */
static piece_t take_out(unsigned i)
{
    piece_t piece = kept[i];

    kept[i] = kept[--n_kept];
    return piece;
}

static void unmap(piece_t piece)
{
    munmap(piece.pages, piece.size);
}

void *probe_pages_take(size_t size)
{
    size_t rounded = round_up(size);
    void *pages;

    for (unsigned i = n_kept; i-- > 0;)
        if (kept[i].size == rounded)
            return take_out(i).pages;
    pages = mmap(NULL, rounded, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return pages == MAP_FAILED ? NULL : pages;
}

void probe_pages_give(void *pages, size_t size)
{
    if (n_kept == PROBE_PAGES_KEPT)
        unmap(take_out(0));
    kept[n_kept++] = (piece_t){ .pages = pages, .size = round_up(size) };
}

void probe_pages_drop(void)
{
    while (n_kept > 0)
        unmap(take_out(n_kept - 1));
}

/*
 * Preloaded beside AddressSanitizer's runtime: each apr_palloc becomes a malloc of its own, freed
 * when its pool is cleared. APR's own memory of a pool has no gaps, is handed out again at once,
 * and is mapped where the search for leaks does not look: overruns and late uses would go unseen,
 * and what only a pool points at would look lost.
 */
#include <apr_pools.h>

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#define KEY "failover-sanitized-pool"

/* 16 bytes, as malloc aligns. */
typedef struct chunk_t {
    _Alignas(16) struct chunk_t *next;
} chunk_t;

typedef struct head_t {
    struct head_t *next, *previous;
    chunk_t *chunks;
} head_t;

/* All pools with chunks: from here the search for leaks finds them. */
static head_t heads = { &heads, &heads, NULL };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Thread_local bool is_inside; /* what APR needs to keep our head is APR's own */

static void *real_palloc(apr_pool_t *pool, apr_size_t size)
{
    static void *(*palloc)(apr_pool_t *, apr_size_t);

    if (!palloc)
        palloc = (void *(*)(apr_pool_t *, apr_size_t))dlsym(RTLD_NEXT, "apr_palloc");
    return palloc(pool, size);
}

/* Registered before any other cleanup of the pool, so it runs after them. */
static apr_status_t free_chunks(void *data)
{
    head_t *head = data;

    pthread_mutex_lock(&lock);
    head->next->previous = head->previous;
    head->previous->next = head->next;
    pthread_mutex_unlock(&lock);
    for (chunk_t *chunk = head->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        free(chunk);
    }
    free(head);
    return APR_SUCCESS;
}

static head_t *make_head(apr_pool_t *pool)
{
    head_t *head = calloc(1, sizeof(*head));

    if (!head)
        abort();
    apr_pool_userdata_setn(head, KEY, free_chunks, pool);
    pthread_mutex_lock(&lock);
    head->next = heads.next;
    head->previous = &heads;
    heads.next->previous = head;
    heads.next = head;
    pthread_mutex_unlock(&lock);
    return head;
}

static head_t *head_of(apr_pool_t *pool)
{
    void *head = NULL;

    is_inside = true;
    apr_pool_userdata_get(&head, KEY, pool);
    if (!head)
        head = make_head(pool);
    is_inside = false;
    return head;
}

void *apr_palloc(apr_pool_t *pool, apr_size_t size)
{
    head_t *head;
    chunk_t *chunk;

    if (is_inside)
        return real_palloc(pool, size);
    head = head_of(pool);
    chunk = malloc(sizeof(*chunk) + size);
    if (!chunk)
        abort();
    chunk->next = head->chunks;
    head->chunks = chunk;
    return chunk + 1;
}

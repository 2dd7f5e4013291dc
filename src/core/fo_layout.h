/*
 * fo_layout.h: how the shared memory is laid out, for the files that read and write it. What stands
 * here may change with every version: memory of another one is not used.
 */
#ifndef FO_LAYOUT_H
#define FO_LAYOUT_H

#include "core/fo_breaker.h"
#include "core/fo_record.h"
#include "core/fo_row.h"
#include "core/fo_shared.h"
#include "core/fo_slot.h"

#define FO_LAYOUT_LINE 64
#define FO_LAYOUT_ROW_WORDS ((sizeof(fo_row_t) + 7) / 8)
#define FO_LAYOUT_REPORT_WORDS ((sizeof(fo_failure_t) + 7) / 8)

/* Who sits where. Written by the parent alone. digest 0: nobody, ever. */
typedef struct fo_seat_t {
    apr_uint64_t digest;
    apr_uint64_t generation; /* the last one whose plan had it */
} fo_seat_t;

typedef struct fo_slot_words_t {
    _Alignas(FO_LAYOUT_LINE) _Atomic apr_int64_t pid; /* 0: free */
    _Atomic apr_uint64_t generation;
    _Atomic apr_int64_t started_at;
    _Atomic apr_int64_t beat_at;
    _Atomic apr_int64_t wakes_at;
    _Atomic apr_uint64_t waits;
    _Atomic apr_int64_t waited;
    _Atomic apr_uint64_t unknown_errors;
} fo_slot_words_t;

typedef struct fo_service_words_t {
    fo_seat_t seat;
    _Atomic apr_int64_t announced_at;   /* the outage that the log tells of; 0: none */
    _Atomic apr_int64_t ended_at;       /* when the last one was seen to end */
    _Atomic apr_int64_t reminded_at;    /* when it last told of it */
    _Atomic apr_int64_t unavailable_at; /* the outage of which it has said that it lasts too long */
    _Atomic apr_uint64_t used;          /* the endpoint that it tells of, by its key; 0: none yet */
    _Atomic apr_int64_t used_at;        /* since when */
    fo_breaker_t breaker;
} fo_service_words_t;

/* Several children may write a failure at a time: it carries a sum by which a torn one is known. */
typedef struct fo_target_words_t {
    _Alignas(FO_LAYOUT_LINE) fo_seat_t seat;
    _Atomic apr_uint64_t hint;
    _Atomic apr_int64_t told_at;
    _Atomic unsigned is_suspect;
    _Atomic unsigned n_history; /* of all times */
    _Atomic apr_uint64_t counts[FO_VERDICT_COUNT];
    _Atomic apr_uint64_t history[FO_HISTORY];
    _Atomic apr_uint64_t failure[FO_LAYOUT_REPORT_WORDS];
    _Atomic apr_uint64_t failure_sum;
} fo_target_words_t;

typedef struct fo_endpoint_words_t {
    fo_seat_t seat;
    _Atomic apr_int64_t open_until; /* by the breaker; of the monotonic clock; 0: never yet */
    _Atomic apr_int64_t open_span;  /* how long that lasts */
} fo_endpoint_words_t;

/*
 * A row has a version, which rises with all that happens to it, so that none comes twice; its
 * lowest bits say what there is.
 */
#define FO_LAYOUT_ROW_EMPTY 0u
#define FO_LAYOUT_ROW_BUSY 1u /* its one writer is at work, or was killed at it */
#define FO_LAYOUT_ROW_FULL 2u
#define FO_LAYOUT_ROW_MASK 3u

typedef struct fo_row_words_t {
    _Atomic apr_uint64_t version;
    _Atomic apr_uint64_t words[FO_LAYOUT_ROW_WORDS];
} fo_row_words_t;

_Static_assert(sizeof(fo_row_words_t) <= 128, "what each child publishes of each endpoint");

/* The count has a cache line of its own: every request of every child reads it. */
struct fo_shared_t {
    _Alignas(FO_LAYOUT_LINE) _Atomic unsigned count;
    _Alignas(FO_LAYOUT_LINE) apr_uint64_t layout;
    apr_uint64_t generation; /* of the newest plan; the parent's to change */
    fo_capacity_t capacity;
    _Atomic apr_uint64_t lease;
    _Atomic apr_uint64_t lost_events;
    fo_slot_words_t *slots; /* all of these lie behind, at the same address in every process */
    fo_service_words_t *services;
    fo_target_words_t *targets;
    fo_endpoint_words_t *endpoints;
    fo_row_words_t *rows;       /* by slot, then by endpoint */
    _Atomic apr_int64_t *cells; /* by target; each the instant until which it is taken */
};

/* What a key is known by: 64 bits of FNV-1a, never 0. */
apr_uint64_t fo_layout_digest(const char *key);

static inline fo_row_words_t *fo_layout_row(const fo_shared_t *shared, unsigned slot,
                                            unsigned endpoint)
{
    return &shared->rows[(apr_size_t)slot * shared->capacity.endpoints + endpoint];
}

#endif

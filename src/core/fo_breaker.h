/*
 * fo_breaker.h: outcomes of real requests, counted over all children, and when there are too many
 * failures among them; design: "Outcomes of real requests". A window that slides over all calls, in
 * the shared memory: any thread counts, with atomic words and without a lock.
 */
#ifndef FO_BREAKER_H
#define FO_BREAKER_H

#include "core/fo_policy.h"

#include <stdatomic.h>

/* What the window is made of; each holds a 30th of it. A power of two, greater than that. */
#define FO_BREAKER_BUCKETS 32

/* Zeroed: nothing has been counted. */
typedef struct fo_breaker_t {
    _Atomic apr_uint64_t buckets[FO_BREAKER_BUCKETS];
    _Atomic unsigned streak;        /* failures in a row */
    _Atomic apr_int64_t emptied_at; /* when it was last too much */
} fo_breaker_t;

/* What the window holds. */
typedef struct fo_tally_t {
    unsigned calls; /* failures included */
    unsigned failures;
    unsigned streak;
} fo_tally_t;

/* A rate of 1. */
#define FO_BREAKER_ONE 1000000

/* The policy wants it to count. */
bool fo_breaker_is_on(const fo_policy_t *policy);

/* The span of a bucket. */
apr_interval_time_t fo_breaker_part(const fo_policy_t *policy);

/* A bucket: which part of all time it holds, in 32 bits, its calls and its failures, in 16 each. */
#define FO_BREAKER_COUNT_BITS 16
#define FO_BREAKER_CALL ((apr_uint64_t)1 << FO_BREAKER_COUNT_BITS)

/* Counts `more`, calls and failures, in that part of the time. */
void fo_breaker_count(fo_breaker_t *breaker, unsigned stamp, apr_uint64_t more);

/*
 * A call that went well. at: any clock that all use alike, in microseconds; when it began will do.
 * Here, as each request that uses a service pays for it: mostly its part of the time is there.
 */
static inline void fo_breaker_pass(fo_breaker_t *breaker, apr_interval_time_t part, apr_time_t at)
{
    unsigned stamp = (unsigned)(at / part);
    _Atomic apr_uint64_t *place = &breaker->buckets[stamp % FO_BREAKER_BUCKETS];
    apr_uint64_t before = atomic_load_explicit(place, memory_order_relaxed);

    /* Half full is far from a spill, however many add to it meanwhile. */
    if (before >> 2 * FO_BREAKER_COUNT_BITS == stamp &&
        !(before & FO_BREAKER_CALL << (FO_BREAKER_COUNT_BITS - 1)))
        atomic_fetch_add_explicit(place, FO_BREAKER_CALL, memory_order_relaxed);
    else
        fo_breaker_count(breaker, stamp, FO_BREAKER_CALL);
    if (atomic_load_explicit(&breaker->streak, memory_order_relaxed))
        atomic_store_explicit(&breaker->streak, 0, memory_order_relaxed);
}

/*
 * One that failed. True: that is too much, and the window begins anew; *ret_tally is what it held.
 * One that began before that says nothing of what came after, and is not counted.
 */
bool fo_breaker_fail(fo_breaker_t *breaker, const fo_policy_t *policy, apr_time_t began_at,
                     apr_time_t now, fo_tally_t *ret_tally);

/* The failure that it is. tally NULL: a sibling has counted. */
fo_report_t fo_breaker_report(const fo_policy_t *policy, const fo_tally_t *tally);

fo_tally_t fo_breaker_tally(const fo_breaker_t *breaker, const fo_policy_t *policy, apr_time_t now);

#endif

/*
 * fo_breaker.h: outcomes of real requests, counted over all children, and when there are too many
 * failures among them; design: "Outcomes of real requests". A window that slides over all calls, in
 * the shared memory: any thread counts, with atomic words and without a lock.
 */
#ifndef FO_BREAKER_H
#define FO_BREAKER_H

#include "core/fo_policy.h"

/* What the window is made of; each holds a 30th of it. A power of two, greater than that. */
#define FO_BREAKER_BUCKETS 32

/* Zeroed: nothing has been counted. */
typedef struct fo_breaker_t {
    _Atomic apr_uint64_t buckets[FO_BREAKER_BUCKETS];
    _Atomic unsigned streak; /* failures in a row */
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

/* A call that went well. at: any clock that all use alike, in microseconds; when it began will do. */
void fo_breaker_pass(fo_breaker_t *breaker, const fo_policy_t *policy, apr_time_t at);

/*
 * One that failed. True: that is too much, and the window begins anew; *ret_tally is what it held.
 */
bool fo_breaker_fail(fo_breaker_t *breaker, const fo_policy_t *policy, apr_time_t now,
                     fo_tally_t *ret_tally);

fo_tally_t fo_breaker_tally(const fo_breaker_t *breaker, const fo_policy_t *policy, apr_time_t now);

#endif

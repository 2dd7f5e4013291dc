/*
 * fo_matcher.h: many patterns looked for in one text at a time: the literals in one pass over it,
 * which skips most of its bytes, whatever their number; then the expressions that are wanted. Built
 * while the configuration is read, constant afterwards.
 */
#ifndef FO_MATCHER_H
#define FO_MATCHER_H

#include "core/fo_pattern.h"
#include "core/fo_sent.h"

#define FO_PATTERNS_MAX 256 /* different ones of one configuration */
#define FO_PATTERN_WORDS (FO_PATTERNS_MAX / 64)

/* A set of patterns, by their numbers. */
typedef struct fo_patterns_t {
    apr_uint64_t bits[FO_PATTERN_WORDS];
} fo_patterns_t;

/* Where expressions matched. One that finds no room has not. */
#define FO_SPANS_MAX 16
typedef struct fo_span_t {
    unsigned number;
    const char *begin;
    apr_size_t length;
} fo_span_t;

typedef struct fo_spans_t {
    unsigned n;
    fo_span_t span[FO_SPANS_MAX];
} fo_spans_t;

typedef struct fo_matcher_t fo_matcher_t;

fo_matcher_t *fo_matcher_make(apr_pool_t *pool);

/* Equal patterns have one number. NULL, or a message: there are too many. */
const char *fo_matcher_add(fo_matcher_t *matcher, const fo_pattern_t *pattern,
                           unsigned *ret_number);

/* As people write it; the number is one that was given. */
const char *fo_matcher_text(const fo_matcher_t *matcher, unsigned number);

/* Once, when all have been added. */
void fo_matcher_build(fo_matcher_t *matcher);

/* These do not allocate, and any thread may call them, signal handlers too. */

/* Adds those of `wanted` that are found. */
void fo_matcher_find_status(const fo_matcher_t *matcher, apr_status_t status,
                            const fo_patterns_t *wanted, fo_patterns_t *found);
void fo_matcher_find(const fo_matcher_t *matcher, const char *text, apr_size_t length,
                     const fo_patterns_t *wanted, fo_patterns_t *found, fo_spans_t *ret_spans);

/*
 * Adds the literals that a request's texts hold, in any of their forms, and marks the needles that
 * they hold.
 */
void fo_matcher_find_sent(const fo_matcher_t *matcher, fo_sent_fn sent, void *baton,
                          fo_patterns_t *found, fo_needle_t *needles, unsigned n_needles);

static inline void fo_patterns_drop(fo_patterns_t *set, unsigned number)
{
    set->bits[number / 64] &= ~((apr_uint64_t)1 << number % 64);
}

static inline void fo_patterns_put(fo_patterns_t *set, unsigned number)
{
    set->bits[number / 64] |= (apr_uint64_t)1 << number % 64;
}

static inline bool fo_patterns_has(const fo_patterns_t *set, unsigned number)
{
    return set->bits[number / 64] >> number % 64 & 1;
}

static inline bool fo_patterns_meet(const fo_patterns_t *a, const fo_patterns_t *b)
{
    apr_uint64_t common = 0;

    for (unsigned i = 0; i < FO_PATTERN_WORDS; i++)
        common |= a->bits[i] & b->bits[i];
    return common != 0;
}

#endif

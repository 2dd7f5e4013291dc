/*
 * fo_matcher.h: many patterns looked for in one text at a time: the literals in one pass over it,
 * which skips most of its bytes, whatever their number; then the expressions that are wanted. Built
 * while the configuration is read, constant afterwards.
 */
#ifndef FO_MATCHER_H
#define FO_MATCHER_H

#include "core/fo_pattern.h"

#define FO_PATTERNS_MAX 256 /* different ones of one configuration */
#define FO_PATTERN_WORDS (FO_PATTERNS_MAX / 64)

/* A set of patterns, by their numbers. */
typedef struct fo_patterns_t {
    apr_uint64_t bits[FO_PATTERN_WORDS];
} fo_patterns_t;

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
                     const fo_patterns_t *wanted, fo_patterns_t *found);

/* Some of the set is looked for in text. */
bool fo_matcher_has_text(const fo_matcher_t *matcher, const fo_patterns_t *set);

/*
 * The same where `text` is what a client sent: it is looked at as sent and as it is once its %XX
 * and '+' are decoded, both escaped as in the log.
 */
void fo_matcher_find_sent(const fo_matcher_t *matcher, const char *text,
                          const fo_patterns_t *wanted, fo_patterns_t *found);

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

#include "core/fo_matcher.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

_Static_assert(FO_SENT_OVERLAP >= FO_LITERAL_MAX, "a literal must not fall between two pieces");

/*
 * The literals are looked for as Wu and Manber do. A window as long as the shortest one moves over
 * the text; the block of bytes at its end tells how far it may move, because no literal's beginning
 * has that block nearer to its end. Where it is the last block of some literal's beginning, those
 * are compared. Literals shorter than a block are looked for one by one.
 */
#define BLOCK 4
#define HASH_BITS 16
#define NOBODY (-1)

struct fo_matcher_t {
    apr_pool_t *pool;
    apr_array_header_t *patterns; /* fo_pattern_t, by number */
    apr_array_header_t *errnos;   /* unsigned: the numbers of those */
    fo_patterns_t regexes;
    bool has_regexes;
    apr_size_t window;           /* bytes; 0: there are no literals */
    unsigned char *shifts;       /* by hash of a block; 0: compare */
    short *first;                /* by hash: the first literal whose window ends in it */
    short next[FO_PATTERNS_MAX]; /* the next such literal */
    apr_size_t lengths[FO_PATTERNS_MAX];
    apr_array_header_t *shorts; /* unsigned: the numbers of those shorter than a block */
};

fo_matcher_t *fo_matcher_make(apr_pool_t *pool)
{
    fo_matcher_t *matcher = apr_pcalloc(pool, sizeof(*matcher));

    matcher->pool = pool;
    matcher->patterns = apr_array_make(pool, 64, sizeof(fo_pattern_t));
    matcher->errnos = apr_array_make(pool, 8, sizeof(unsigned));
    matcher->shorts = apr_array_make(pool, 1, sizeof(unsigned));
    return matcher;
}

static const fo_pattern_t *pattern_at(const fo_matcher_t *matcher, unsigned number)
{
    return &APR_ARRAY_IDX(matcher->patterns, (int)number, const fo_pattern_t);
}

const char *fo_matcher_text(const fo_matcher_t *matcher, unsigned number)
{
    return pattern_at(matcher, number)->text;
}

static bool is_equal(const fo_pattern_t *a, const fo_pattern_t *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case FO_PATTERN_ERRNO:
        return a->status == b->status;
    case FO_PATTERN_LITERAL:
        return strcmp(a->literal, b->literal) == 0;
    default:
        return strcmp(a->text, b->text) == 0;
    }
}

const char *fo_matcher_add(fo_matcher_t *matcher, const fo_pattern_t *pattern, unsigned *ret_number)
{
    unsigned n = (unsigned)matcher->patterns->nelts;

    for (unsigned i = 0; i < n; i++) {
        if (is_equal(pattern_at(matcher, i), pattern)) {
            *ret_number = i;
            return NULL;
        }
    }
    if (n == FO_PATTERNS_MAX)
        return apr_psprintf(matcher->pool, "there are more than %d different patterns", n);
    APR_ARRAY_PUSH(matcher->patterns, fo_pattern_t) = *pattern;
    if (pattern->kind == FO_PATTERN_ERRNO)
        APR_ARRAY_PUSH(matcher->errnos, unsigned) = n;
    if (pattern->kind == FO_PATTERN_REGEX) {
        fo_patterns_put(&matcher->regexes, n);
        matcher->has_regexes = true;
    }
    *ret_number = n;
    return NULL;
}

/* Fibonacci hashing: the upper bits of a product with the golden ratio. */
static unsigned hash_at(const char *text)
{
    uint32_t block;

    memcpy(&block, text, BLOCK);
    return (block * UINT32_C(2654435769)) >> (32 - HASH_BITS);
}

static void measure(fo_matcher_t *matcher)
{
    for (unsigned i = 0; i < (unsigned)matcher->patterns->nelts; i++) {
        const char *literal = pattern_at(matcher, i)->literal;
        matcher->lengths[i] = literal ? strlen(literal) : 0;
        if (literal && matcher->lengths[i] < BLOCK)
            APR_ARRAY_PUSH(matcher->shorts, unsigned) = i;
        else if (literal && (matcher->window == 0 || matcher->lengths[i] < matcher->window))
            matcher->window = matcher->lengths[i];
    }
}

/* The first `window` bytes of this literal. */
static void enter_literal(fo_matcher_t *matcher, unsigned number)
{
    const char *literal = pattern_at(matcher, number)->literal;
    apr_size_t last = matcher->window - BLOCK; /* where the window's last block begins */
    unsigned end = hash_at(literal + last);

    for (apr_size_t i = 0; i <= last; i++) {
        unsigned char *shift = &matcher->shifts[hash_at(literal + i)];
        if (last - i < *shift)
            *shift = (unsigned char)(last - i);
    }
    matcher->next[number] = matcher->first[end];
    matcher->first[end] = (short)number;
}

void fo_matcher_build(fo_matcher_t *matcher)
{
    const size_t n = (size_t)1 << HASH_BITS;

    measure(matcher);
    if (matcher->window == 0)
        return;
    matcher->shifts = apr_palloc(matcher->pool, n);
    memset(matcher->shifts, (int)(matcher->window - BLOCK + 1), n);
    matcher->first = apr_palloc(matcher->pool, n * sizeof(*matcher->first));
    for (size_t i = 0; i < n; i++)
        matcher->first[i] = NOBODY;
    for (unsigned i = 0; i < (unsigned)matcher->patterns->nelts; i++)
        if (matcher->lengths[i] >= BLOCK)
            enter_literal(matcher, i);
}

/* APR has a number of its own for a time-out that it keeps itself. */
static bool is_status(const fo_pattern_t *pattern, apr_status_t status)
{
    return pattern->status == status ||
           (pattern->status == ETIMEDOUT && APR_STATUS_IS_TIMEUP(status));
}

void fo_matcher_find_status(const fo_matcher_t *matcher, apr_status_t status,
                            const fo_patterns_t *wanted, fo_patterns_t *found)
{
    if (status == 0)
        return;
    for (int i = 0; i < matcher->errnos->nelts; i++) {
        unsigned number = APR_ARRAY_IDX(matcher->errnos, i, unsigned);
        if (fo_patterns_has(wanted, number) && is_status(pattern_at(matcher, number), status))
            fo_patterns_put(found, number);
    }
}

/* Those whose window ends in the block of this hash, and begins here. */
static void compare(const fo_matcher_t *matcher, unsigned hash, const char *text, apr_size_t length,
                    fo_patterns_t *found)
{
    for (short i = matcher->first[hash]; i != NOBODY; i = matcher->next[i])
        if (matcher->lengths[i] <= length &&
            memcmp(text, pattern_at(matcher, (unsigned)i)->literal, matcher->lengths[i]) == 0)
            fo_patterns_put(found, (unsigned)i);
}

static void find_shorts(const fo_matcher_t *matcher, const char *text, apr_size_t length,
                        fo_patterns_t *found)
{
    for (int i = 0; i < matcher->shorts->nelts; i++) {
        unsigned number = APR_ARRAY_IDX(matcher->shorts, i, unsigned);
        if (memmem(text, length, pattern_at(matcher, number)->literal, matcher->lengths[number]))
            fo_patterns_put(found, number);
    }
}

static void find_literals(const fo_matcher_t *matcher, const char *text, apr_size_t length,
                          fo_patterns_t *found)
{
    const char *end = text + length;

    find_shorts(matcher, text, length, found);
    if (matcher->window == 0 || length < matcher->window)
        return;
    for (const char *at = text + matcher->window - BLOCK; at <= end - BLOCK;) {
        unsigned hash = hash_at(at);
        unsigned shift = matcher->shifts[hash];
        if (shift == 0) {
            const char *begin = at - (matcher->window - BLOCK);
            compare(matcher, hash, begin, (apr_size_t)(end - begin), found);
            shift = 1;
        }
        at += shift;
    }
}

static void find_regex(const fo_matcher_t *matcher, unsigned number, const char *text,
                       apr_size_t length, fo_patterns_t *found, fo_spans_t *spans)
{
    fo_span_t span = { .number = number };
    size_t begin = 0;

    if (spans->n == FO_SPANS_MAX ||
        !fo_regex_find(pattern_at(matcher, number)->regex, text, length, &begin, &span.length))
        return;
    span.begin = text + begin;
    spans->span[spans->n++] = span;
    fo_patterns_put(found, number);
}

static void find_regexes(const fo_matcher_t *matcher, const char *text, apr_size_t length,
                         const fo_patterns_t *wanted, fo_patterns_t *found, fo_spans_t *spans)
{
    for (unsigned word = 0; word < FO_PATTERN_WORDS; word++) {
        apr_uint64_t bits = matcher->regexes.bits[word] & wanted->bits[word];
        for (; bits; bits &= bits - 1)
            find_regex(matcher, word * 64 + (unsigned)__builtin_ctzll(bits), text, length, found,
                       spans);
    }
}

void fo_matcher_find(const fo_matcher_t *matcher, const char *text, apr_size_t length,
                     const fo_patterns_t *wanted, fo_patterns_t *found, fo_spans_t *ret_spans)
{
    fo_patterns_t literals = { { 0 } };

    ret_spans->n = 0;
    find_literals(matcher, text, length, &literals);
    for (unsigned i = 0; i < FO_PATTERN_WORDS; i++)
        found->bits[i] |= literals.bits[i] & wanted->bits[i];
    if (matcher->has_regexes)
        find_regexes(matcher, text, length, wanted, found, ret_spans);
}

typedef struct look_t {
    const fo_matcher_t *matcher;
    fo_patterns_t *found;
    fo_needle_t *needles;
    unsigned n_needles;
} look_t;

static void look(void *baton, const char *piece, apr_size_t length)
{
    const look_t *look = baton;

    find_literals(look->matcher, piece, length, look->found);
    fo_sent_mark(look->needles, look->n_needles, piece, length);
}

void fo_matcher_find_sent(const fo_matcher_t *matcher, fo_sent_fn sent, void *baton,
                          fo_patterns_t *found, fo_needle_t *needles, unsigned n_needles)
{
    look_t what = {
        .matcher = matcher,
        .found = found,
        .needles = needles,
        .n_needles = n_needles,
    };

    fo_sent_walk(sent, baton, look, &what);
}

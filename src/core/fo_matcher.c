#include "core/fo_matcher.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

/* What of a client's text is looked at at a time, and what two such chunks share. */
#define CHUNK FO_REGEX_TEXT
#define OVERLAP (CHUNK / 2)
_Static_assert(OVERLAP >= FO_LITERAL_MAX, "a literal must not fall between two chunks");

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
    fo_patterns_t texts;          /* those that are looked for in text */
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
    else
        fo_patterns_put(&matcher->texts, n);
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

static void find_regexes(const fo_matcher_t *matcher, const char *text, apr_size_t length,
                         const fo_patterns_t *wanted, fo_patterns_t *found)
{
    for (unsigned word = 0; matcher->has_regexes && word < FO_PATTERN_WORDS; word++) {
        apr_uint64_t bits = matcher->regexes.bits[word] & wanted->bits[word] & ~found->bits[word];
        for (; bits; bits &= bits - 1) {
            unsigned number = word * 64 + (unsigned)__builtin_ctzll(bits);
            if (fo_regex_matches(pattern_at(matcher, number)->regex, text, length))
                fo_patterns_put(found, number);
        }
    }
}

static void keep_wanted(const fo_patterns_t *wanted, const fo_patterns_t *texts,
                        fo_patterns_t *found)
{
    for (unsigned i = 0; i < FO_PATTERN_WORDS; i++)
        found->bits[i] &= wanted->bits[i] | ~texts->bits[i];
}

void fo_matcher_find(const fo_matcher_t *matcher, const char *text, apr_size_t length,
                     const fo_patterns_t *wanted, fo_patterns_t *found)
{
    find_literals(matcher, text, length, found);
    find_regexes(matcher, text, length, wanted, found);
    keep_wanted(wanted, &matcher->texts, found);
}

bool fo_matcher_has_text(const fo_matcher_t *matcher, const fo_patterns_t *set)
{
    return fo_patterns_meet(set, &matcher->texts);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte of what a client sent. */
static unsigned char take_byte(const char **text, bool decodes)
{
    const char *c = *text;

    if (decodes && c[0] == '%' && hex_value(c[1]) >= 0 && hex_value(c[2]) >= 0) {
        *text += 3;
        return (unsigned char)(hex_value(c[1]) * 16 + hex_value(c[2]));
    }
    *text += 1;
    return decodes && *c == '+' ? ' ' : (unsigned char)*c;
}

/* In chunks, each of which begins with the end of the last. */
static void find_in_form(const fo_matcher_t *matcher, const char *text, bool decodes,
                         const fo_patterns_t *wanted, fo_patterns_t *found)
{
    char chunk[CHUNK];
    apr_size_t n = 0;

    while (*text) {
        if (n > OVERLAP) {
            memmove(chunk, chunk + n - OVERLAP, OVERLAP);
            n = OVERLAP;
        }
        while (*text && n + 4 <= sizeof(chunk))
            n += fo_log_escape(take_byte(&text, decodes), chunk + n);
        find_literals(matcher, chunk, n, found);
        find_regexes(matcher, chunk, n, wanted, found);
    }
}

void fo_matcher_find_sent(const fo_matcher_t *matcher, const char *text,
                          const fo_patterns_t *wanted, fo_patterns_t *found)
{
    find_in_form(matcher, text, false, wanted, found);
    if (strpbrk(text, "%+"))
        find_in_form(matcher, text, true, wanted, found);
    keep_wanted(wanted, &matcher->texts, found);
}

#include "core/fo_matcher.h"

#include "core/fo_parse.h"

#include <errno.h>
#include <string.h>

/* A chunk of a long text for an expression, and what two chunks share. */
#define CHUNK FO_REGEX_TEXT
#define OVERLAP (CHUNK / 2)

/* While the automaton is built: a node of the tree of all literals. */
typedef struct node_t {
    unsigned *child; /* by class; 0: none, as the root is nobody's child */
    unsigned fallback;
    unsigned number; /* its row in the table */
    fo_patterns_t ends;
    bool has_ends;
} node_t;

/*
 * The table has a row for each state and a column for each class of bytes; a state is the index of
 * its row's first cell, so that a step is one addition and one look. The rows at which patterns end
 * come last: one comparison tells them.
 */
struct fo_matcher_t {
    apr_pool_t *pool;
    apr_array_header_t *patterns; /* fo_pattern_t, by number */
    apr_array_header_t *errnos;   /* unsigned: the numbers of those */
    fo_patterns_t texts;          /* those that are looked for in text */
    fo_patterns_t regexes;
    unsigned char class_of[256]; /* 0: in no literal */
    unsigned n_classes;
    unsigned *table;
    unsigned first_end;         /* the first state at which patterns end */
    const fo_patterns_t *ends;  /* by row, from that state's on */
};

fo_matcher_t *fo_matcher_make(apr_pool_t *pool)
{
    fo_matcher_t *matcher = apr_pcalloc(pool, sizeof(*matcher));

    matcher->pool = pool;
    matcher->patterns = apr_array_make(pool, 64, sizeof(fo_pattern_t));
    matcher->errnos = apr_array_make(pool, 8, sizeof(unsigned));
    return matcher;
}

static const fo_pattern_t *pattern_at(const fo_matcher_t *matcher, unsigned number)
{
    return &APR_ARRAY_IDX(matcher->patterns, (int)number, const fo_pattern_t);
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
    if (pattern->kind == FO_PATTERN_REGEX)
        fo_patterns_put(&matcher->regexes, n);
    *ret_number = n;
    return NULL;
}

static void make_classes(fo_matcher_t *matcher)
{
    matcher->n_classes = 1;
    for (unsigned i = 0; i < (unsigned)matcher->patterns->nelts; i++) {
        const char *literal = pattern_at(matcher, i)->literal;
        for (; literal && *literal; literal++) {
            unsigned char *class_of = &matcher->class_of[(unsigned char)*literal];
            if (*class_of == 0) /* escaped, so that there are fewer than 100 */
                *class_of = (unsigned char)matcher->n_classes++;
        }
    }
}

static unsigned add_node(const fo_matcher_t *matcher, apr_array_header_t *nodes)
{
    node_t *node = apr_array_push(nodes);

    memset(node, 0, sizeof(*node));
    node->child = apr_pcalloc(nodes->pool, matcher->n_classes * sizeof(*node->child));
    return (unsigned)nodes->nelts - 1;
}

static node_t *node_at(const apr_array_header_t *nodes, unsigned index)
{
    return &APR_ARRAY_IDX(nodes, (int)index, node_t);
}

static void add_literal(const fo_matcher_t *matcher, apr_array_header_t *nodes, unsigned number)
{
    unsigned at = 0;

    for (const char *c = pattern_at(matcher, number)->literal; *c; c++) {
        unsigned class = matcher->class_of[(unsigned char)*c];
        unsigned next = node_at(nodes, at)->child[class];
        if (!next) {
            next = add_node(matcher, nodes);
            node_at(nodes, at)->child[class] = next;
        }
        at = next;
    }
    fo_patterns_put(&node_at(nodes, at)->ends, number);
    node_at(nodes, at)->has_ends = true;
}

/* What ends at a node's fallback ends at the node as well. */
static void inherit_ends(node_t *node, const node_t *fallback)
{
    for (unsigned i = 0; i < FO_PATTERN_WORDS; i++)
        node->ends.bits[i] |= fallback->ends.bits[i];
    node->has_ends = node->has_ends || fallback->has_ends;
}

/*
 * Breadth first, so that a node's fallback, the longest other beginning of a literal that the text
 * so far ends in, is complete before the node: each child that is missing becomes the fallback's.
 */
static void link_nodes(const fo_matcher_t *matcher, apr_array_header_t *nodes)
{
    unsigned *queue = apr_palloc(nodes->pool, (size_t)nodes->nelts * sizeof(*queue));
    unsigned n_queued = 1;

    queue[0] = 0;
    for (unsigned i = 0; i < n_queued; i++) {
        node_t *node = node_at(nodes, queue[i]);
        const node_t *fallback = node_at(nodes, node->fallback);
        for (unsigned class = 0; class < matcher->n_classes; class ++) {
            unsigned child = node->child[class];
            unsigned other = queue[i] == 0 ? 0 : fallback->child[class];
            if (!child) {
                node->child[class] = other;
                continue;
            }
            node_at(nodes, child)->fallback = other;
            inherit_ends(node_at(nodes, child), node_at(nodes, other));
            queue[n_queued++] = child;
        }
    }
}

/* Rows: first the nodes at which nothing ends, the root before all. */
static unsigned number_nodes(apr_array_header_t *nodes)
{
    unsigned n_plain = 0, n = 0;

    for (unsigned i = 0; i < (unsigned)nodes->nelts; i++)
        if (!node_at(nodes, i)->has_ends)
            node_at(nodes, i)->number = n_plain++;
    n = n_plain;
    for (unsigned i = 0; i < (unsigned)nodes->nelts; i++)
        if (node_at(nodes, i)->has_ends)
            node_at(nodes, i)->number = n++;
    return n_plain;
}

static void fill_table(fo_matcher_t *matcher, const apr_array_header_t *nodes, unsigned n_plain)
{
    size_t n = (size_t)nodes->nelts;
    fo_patterns_t *ends = apr_pcalloc(matcher->pool, (n - n_plain + 1) * sizeof(*ends));

    matcher->table = apr_palloc(matcher->pool, n * matcher->n_classes * sizeof(*matcher->table));
    for (unsigned i = 0; i < n; i++) {
        const node_t *node = node_at(nodes, i);
        unsigned *row = matcher->table + (size_t)node->number * matcher->n_classes;
        for (unsigned class = 0; class < matcher->n_classes; class ++)
            row[class] = node_at(nodes, node->child[class])->number * matcher->n_classes;
        if (node->has_ends)
            ends[node->number - n_plain] = node->ends;
    }
    matcher->ends = ends;
    matcher->first_end = n_plain * matcher->n_classes;
}

void fo_matcher_build(fo_matcher_t *matcher)
{
    apr_array_header_t *nodes;
    apr_pool_t *temporary;

    apr_pool_create(&temporary, matcher->pool);
    make_classes(matcher);
    nodes = apr_array_make(temporary, 256, sizeof(node_t));
    add_node(matcher, nodes);
    for (unsigned i = 0; i < (unsigned)matcher->patterns->nelts; i++)
        if (pattern_at(matcher, i)->literal)
            add_literal(matcher, nodes, i);
    link_nodes(matcher, nodes);
    fill_table(matcher, nodes, number_nodes(nodes));
    apr_pool_destroy(temporary);
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

static void add_ends(const fo_matcher_t *matcher, unsigned state, fo_patterns_t *found)
{
    const fo_patterns_t *ends = &matcher->ends[(state - matcher->first_end) / matcher->n_classes];

    for (unsigned i = 0; i < FO_PATTERN_WORDS; i++)
        found->bits[i] |= ends->bits[i];
}

static unsigned feed(const fo_matcher_t *matcher, unsigned state, const char *text,
                     apr_size_t length, fo_patterns_t *found)
{
    const unsigned char *byte = (const unsigned char *)text, *end = byte + length;
    const unsigned char *class_of = matcher->class_of;
    const unsigned *table = matcher->table;
    unsigned first_end = matcher->first_end;

    while (byte < end) {
        state = table[state + class_of[*byte++]];
        if (state >= first_end)
            add_ends(matcher, state, found);
    }
    return state;
}

static void find_regexes(const fo_matcher_t *matcher, const char *text, apr_size_t length,
                         const fo_patterns_t *wanted, fo_patterns_t *found)
{
    for (unsigned word = 0; word < FO_PATTERN_WORDS; word++) {
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
    feed(matcher, 0, text, length, found);
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

/* In chunks: the automaton goes on from one to the next, an expression sees some of the last. */
static void find_in_form(const fo_matcher_t *matcher, const char *text, bool decodes,
                         const fo_patterns_t *wanted, fo_patterns_t *found)
{
    char chunk[CHUNK];
    apr_size_t n = 0, n_fed = 0;
    unsigned state = 0;

    while (*text) {
        while (*text && n + 4 <= sizeof(chunk))
            n += fo_log_escape(take_byte(&text, decodes), chunk + n);
        state = feed(matcher, state, chunk + n_fed, n - n_fed, found);
        find_regexes(matcher, chunk, n, wanted, found);
        if (n > OVERLAP) {
            memmove(chunk, chunk + n - OVERLAP, OVERLAP);
            n = OVERLAP;
        }
        n_fed = n;
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

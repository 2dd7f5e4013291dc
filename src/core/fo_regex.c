#include "core/fo_regex.h"

#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Numbers that the matcher works in: enough for some 1300 states at a time. */
#define WORKSPACE 4000

/* What a match needs besides, in bytes. */
#define SCRATCH 1024

struct fo_regex_t {
    pcre2_code *code;
    pcre2_match_context *limits;
};

/* Memory of one match, on its stack: PCRE2 takes it through two functions of ours. */
typedef struct scratch_t {
    size_t used;
    _Alignas(16) unsigned char bytes[SCRATCH];
} scratch_t;

static void *take(size_t size, void *baton)
{
    scratch_t *scratch = baton;
    size_t at = scratch->used;

    size = (size + 15) & ~(size_t)15;
    if (size > sizeof(scratch->bytes) - at)
        return NULL;
    scratch->used = at + size;
    return scratch->bytes + at;
}

static void give_back(void *memory, void *baton)
{
    (void)memory;
    (void)baton;
}

static apr_status_t release(void *opaque)
{
    fo_regex_t *regex = opaque;

    pcre2_match_context_free(regex->limits);
    pcre2_code_free(regex->code);
    return APR_SUCCESS;
}

/*
 * What only the backtracking matcher knows, and PCRE2 would tell when it comes across it. In a
 * class none of it is special.
 */
static const char *unsupported(const char *text, size_t length)
{
    bool is_class = false;

    for (size_t i = 0; i + 1 < length; i++) {
        if (text[i] == '\\' && (text[i + 1] == 'K' || text[i + 1] == 'C'))
            return "\\K and \\C are not to be had here";
        if (text[i] == '\\') {
            i++;
        } else if (is_class) {
            is_class = text[i] != ']';
        } else if (text[i] == '[') { /* a bracket that closes is none at its beginning */
            is_class = true;
            i += text[i + 1] == '^';
            i += i + 1 < length && text[i + 1] == ']';
        } else if (text[i] == '(' && text[i + 1] == '*') {
            return "verbs, as (*SKIP), are not to be had here";
        } else if (text[i] == '(' && text[i + 1] == '?' && i + 2 < length && text[i + 2] == '(') {
            return "conditions, as (?(1)...), are not to be had here";
        }
    }
    return NULL;
}

static const char *compile(const char *text, size_t length, bool ignores_case, fo_regex_t *regex,
                           apr_pool_t *pool)
{
    PCRE2_UCHAR words[128];
    PCRE2_SIZE at = 0;
    int error = 0;

    regex->code = pcre2_compile((PCRE2_SPTR)text, length, ignores_case ? PCRE2_CASELESS : 0, &error,
                                &at, NULL);
    if (regex->code)
        return NULL;
    pcre2_get_error_message(error, words, sizeof(words));
    return apr_psprintf(pool, "%s, at character %d", (const char *)words, (int)at + 1);
}

/* PCRE2's answer: an error code that is below PCRE2_ERROR_NOMATCH where it could not be found. */
static int match(const fo_regex_t *regex, const char *text, size_t length, size_t ret_span[2])
{
    scratch_t scratch;
    int workspace[WORKSPACE];
    pcre2_general_context *context;
    pcre2_match_data *data;
    size_t seen = length < FO_REGEX_TEXT ? length : FO_REGEX_TEXT;
    int error;

    scratch.used = 0;
    context = pcre2_general_context_create(take, give_back, &scratch);
    data = context ? pcre2_match_data_create(1, context) : NULL;
    if (!data)
        return PCRE2_ERROR_NOMEMORY;
    error = pcre2_dfa_match(regex->code, (PCRE2_SPTR)text, seen, 0, PCRE2_DFA_SHORTEST, data,
                            regex->limits, workspace, WORKSPACE);
    if (error >= 0)
        memcpy(ret_span, pcre2_get_ovector_pointer(data), 2 * sizeof(*ret_span));
    return error;
}

/* What an entry may look like: every printable character, some words, and the expression itself. */
static bool is_too_large(const fo_regex_t *regex, const char *text, size_t length, apr_pool_t *pool)
{
    char printable[0x7f - 0x20];
    const char *sample;
    size_t span[2];

    for (size_t i = 0; i < sizeof(printable); i++)
        printable[i] = (char)(0x20 + i);
    sample = apr_psprintf(pool, "%.*s%.*s Connection refused: db:3306 %.*s", (int)sizeof(printable),
                          printable, (int)length, text, (int)sizeof(printable), printable);
    return match(regex, sample, strlen(sample), span) < PCRE2_ERROR_NOMATCH;
}

const char *fo_regex_make(const char *text, size_t length, bool ignores_case,
                          const fo_regex_t **ret_regex, apr_pool_t *pool)
{
    fo_regex_t *regex = apr_pcalloc(pool, sizeof(*regex));
    const char *error = length > FO_REGEX_MAX ? "it is longer than 1024 bytes"
                                              : unsupported(text, length);
    uint32_t n_references = 0, least = 0;

    if (!error)
        error = compile(text, length, ignores_case, regex, pool);
    if (error)
        return error;
    regex->limits = pcre2_match_context_create(NULL);
    apr_pool_cleanup_register(pool, regex, release, apr_pool_cleanup_null);
    pcre2_set_heap_limit(regex->limits, 0);
    pcre2_set_match_limit(regex->limits, 10000);
    pcre2_pattern_info(regex->code, PCRE2_INFO_BACKREFMAX, &n_references);
    if (n_references > 0)
        return "back references are not to be had here";
    pcre2_pattern_info(regex->code, PCRE2_INFO_MINLENGTH, &least);
    if (least == 0)
        return "it may match no character at all, so it would match everything, or nobody could "
               "tell from whom that is";
    if (is_too_large(regex, text, length, pool))
        return "it is too large to be matched within bounds";
    *ret_regex = regex;
    return NULL;
}

bool fo_regex_find(const fo_regex_t *regex, const char *text, size_t length, size_t *ret_begin,
                   size_t *ret_length)
{
    size_t span[2];

    if (match(regex, text, length, span) < 0)
        return false;
    *ret_begin = span[0];
    *ret_length = span[1] - span[0];
    return true;
}

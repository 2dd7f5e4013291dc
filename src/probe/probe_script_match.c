#include "probe/probe_script_match.h"

#include <string.h>

/* How far the answer agrees with a step's bytes. */
typedef enum {
    FIT_NOT,
    FIT_SO_FAR, /* as far as it has come */
    FIT_WHOLE
} fit_e;

static fit_e fit(const script_step_t *step, const char *in, apr_size_t length)
{
    for (apr_size_t i = 0; i < step->length; i++) {
        if (i == length)
            return FIT_SO_FAR;
        if (step->places[i] == SCRIPT_BYTE && step->bytes[i] != in[i])
            return FIT_NOT;
    }
    return FIT_WHOLE;
}

/* A line that is not whole yet is not taken for anything. */
static script_match_t match_line(const script_step_t *steps, unsigned n, const char *in,
                                 apr_size_t length)
{
    const char *newline = length ? memchr(in, '\n', length) : NULL;
    script_match_t match = { .end = newline ? (apr_size_t)(newline + 1 - in) : length };

    match.sight = newline ? SCRIPT_WRONG : SCRIPT_WRONG_LINE;
    for (unsigned i = 0; i < n && match.sight != SCRIPT_FOUND; i++) {
        fit_e is = fit(&steps[i], in, match.end);
        match.step = &steps[i];
        if (newline && is == FIT_WHOLE)
            match.sight = SCRIPT_FOUND;
        else if (!newline && is != FIT_NOT)
            match.sight = SCRIPT_MORE;
    }
    if (match.sight == SCRIPT_MORE)
        match.end = 0;
    return match;
}

/* The first one that fits, once those before it do not. */
static script_match_t match_next(const script_step_t *steps, unsigned n, const char *in,
                                 apr_size_t length)
{
    for (unsigned i = 0; i < n; i++) {
        switch (fit(&steps[i], in, length)) {
        case FIT_WHOLE:
            return (script_match_t){ SCRIPT_FOUND, &steps[i], 0, steps[i].length };
        case FIT_SO_FAR:
            return (script_match_t){ .sight = SCRIPT_MORE };
        default:
            break;
        }
    }
    return (script_match_t){ .sight = SCRIPT_WRONG, .end = length };
}

/* The one that is whole first. */
static script_match_t match_anywhere(const script_step_t *steps, unsigned n, const char *in,
                                     apr_size_t length)
{
    apr_size_t longest = 1;

    for (apr_size_t end = 1; end <= length; end++)
        for (unsigned i = 0; i < n; i++)
            if (steps[i].length <= end &&
                fit(&steps[i], in + end - steps[i].length, steps[i].length) == FIT_WHOLE)
                return (script_match_t){ SCRIPT_FOUND, &steps[i], end - steps[i].length, end };
    for (unsigned i = 0; i < n; i++)
        longest = steps[i].length > longest ? steps[i].length : longest;
    return (script_match_t){ .sight = SCRIPT_MORE,
                             .end = length < longest ? 0 : length - (longest - 1) };
}

script_match_t probe_script_match(const script_step_t *steps, unsigned n, const char *in,
                                  apr_size_t length)
{
    if (steps->word == SCRIPT_FIND)
        return match_anywhere(steps, n, in, length);
    return steps->is_hex ? match_next(steps, n, in, length) : match_line(steps, n, in, length);
}

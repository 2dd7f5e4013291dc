/*
 * probe_script_match.h: what has come of an answer, held against a step of script:// and its
 * alternatives. Which of them is found never depends on how the answer was cut on its way.
 */
#ifndef PROBE_SCRIPT_MATCH_H
#define PROBE_SCRIPT_MATCH_H

#include "probe/probe_script_file.h"

typedef enum {
    SCRIPT_MORE, /* it can still come */
    SCRIPT_FOUND,
    SCRIPT_WRONG,     /* it cannot come any more */
    SCRIPT_WRONG_LINE /* the same, but the rest of the line is still to come */
} script_sight_e;

typedef struct script_match_t {
    script_sight_e sight;
    const script_step_t *step; /* FOUND: the step itself, or one of its alternatives */
    apr_size_t begin, end;     /* FOUND, WRONG: the bytes that say so; MORE: `end` may be dropped */
} script_match_t;

/* A step that expects something, and its alternatives: n in all. in: what came since the last. */
script_match_t probe_script_match(const script_step_t *steps, unsigned n, const char *in,
                                  apr_size_t length);

#endif

/*
 * fo_course.h: the pings of one target, one after the other: when the next is due. Belongs to the
 * monitor thread alone.
 */
#ifndef FO_COURSE_H
#define FO_COURSE_H

#include "core/fo_judge.h"

/* Zeroed: never pinged. */
typedef struct fo_course_t {
    apr_time_t started_at; /* of the last ping; 0: none yet */
    apr_time_t first_at;   /* when the first is due, where a state was inherited; 0: by a request */
    fo_draw_t draw;        /* made at that start */
    bool is_under_way;
    bool is_queued;          /* waits for a place */
    bool is_hurried;         /* an error or a hint asks for a ping */
    bool is_hinted;          /* a hint alone does */
    bool was_hurried;        /* the last ping was asked for so, or by an inherited state */
    unsigned hint;           /* the last that was heard */
    fo_cell_t cell;          /* of the ping under way */
    apr_time_t retry_at;     /* it found no place before; 0: it did not look for one */
    unsigned refusals;       /* of a place, in a row */
    bool is_unanswered;      /* the last ping got no answer: nobody waits for the next */
    bool is_slow;            /* the last one that counted ran out of time */
    int discards;            /* in a row */
    apr_time_t self_told_at; /* when discards were last told of; 0: never */
    apr_uint64_t self_count; /* since then */
} fo_course_t;

/* From when a ping is due for that trigger; FO_NEVER while one is under way or waits. */
apr_time_t fo_course_due_at(const fo_course_t *course, const fo_target_t *target,
                            const fo_judge_t *judge, const fo_ways_t *ways, fo_trigger_e trigger);

/* A ping starts. random: two numbers in [0, 1). */
void fo_course_start(fo_course_t *course, const fo_policy_t *policy, const double random[2],
                     apr_time_t now);

/* There is no place for it: it is due again soon. random: in [0, 1). */
void fo_course_refuse(fo_course_t *course, double random, apr_time_t now);

/* So many were thrown away that the next one counts however late we wake. */
bool fo_course_is_final(const fo_course_t *course);

#endif

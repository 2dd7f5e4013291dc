/*
 * fo_schedule.h: when the next ping of an endpoint is due. All instants are of one monotonic clock,
 * in microseconds; an instant of 0 means never.
 */
#ifndef FO_SCHEDULE_H
#define FO_SCHEDULE_H

#include "core/fo_health.h"

/* Later than any instant. */
#define FO_NEVER APR_INT64_MAX

/* What makes the monitor look. */
typedef enum {
    FO_TRIGGER_REQUEST, /* a request: whatever is due */
    FO_TRIGGER_OUTAGES, /* a request: only what is not up */
    FO_TRIGGER_TIMER,   /* nobody: what follows by itself, or all where pings go by a timer */
    FO_TRIGGER_COUNT
} fo_trigger_e;

/* In [0, 1), the next after *state, which may start from any number. */
double fo_schedule_random(apr_uint64_t *state);

/*
 * The draws that part children from each other, made when a ping starts. With a spread of 0 they
 * have no effect. The first span is what is left of a stretched one at a random instant: so those
 * who began together ping at an even rate from their second ping on.
 */
typedef struct fo_draw_t {
    double stretch; /* at least 1 */
    double first;   /* the first span: 0 to 1; else 1 */
    double jitter;  /* 0 to 1, for confirming pings */
} fo_draw_t;

/*
 * random: two numbers in [0, 1). is_first: this ping is its target's first in this child, or it
 * is due to an error or a hint, which come to all children together.
 */
fo_draw_t fo_schedule_draw(const fo_policy_t *policy, bool is_first, const double random[2]);

/* The draw that has no effect. */
fo_draw_t fo_schedule_exact(void);

/* How long a child that inherited a state takes until its first ping. random: in [0, 1). */
apr_interval_time_t fo_schedule_first(const fo_policy_t *policy, double random);

/*
 * The span from one ping's start to the next one's. `hurried`: an error or a hint asks for it,
 * which makes the error frequency hold whatever the state, as it does while unknown or rising.
 * While failing, the n-th confirming ping follows after `confirm`, or with jitter up to
 * confirm x 2^(n-1), at most `cap`.
 */
apr_interval_time_t fo_schedule_span(const fo_policy_t *policy, const fo_health_t *health,
                                     bool hurried, const fo_draw_t *draw);

/* From when a ping may start: exactly started_at + span counts; never pinged: at once. */
apr_time_t fo_schedule_due_at(apr_time_t started_at, apr_interval_time_t span);

#endif

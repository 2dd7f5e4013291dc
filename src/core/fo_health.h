/*
 * fo_health.h: the state machine of one endpoint, a table without holes.
 */
#ifndef FO_HEALTH_H
#define FO_HEALTH_H

#include "core/fo_policy.h"

typedef enum {
    FO_STATE_UNKNOWN,
    FO_STATE_UP,
    FO_STATE_FAILING, /* failures, but fewer than `fall` */
    FO_STATE_DOWN,
    FO_STATE_RISING, /* passes, but fewer than `rise` */
    FO_STATE_COUNT
} fo_state_e;

/* An answer that does not yet reach its threshold (PASS, FAIL), or does (RISE, FALL). */
typedef enum {
    FO_EVENT_PASS,
    FO_EVENT_RISE,
    FO_EVENT_FAIL,
    FO_EVENT_FALL,
    FO_EVENT_COUNT
} fo_event_e;

/* Belongs to the monitor thread alone. Zeroed: unknown, never pinged. */
typedef struct fo_health_t {
    fo_state_e state;
    apr_int64_t passes;  /* consecutive */
    apr_int64_t fails;   /* consecutive */
    bool was_asked;      /* a ping has come back, in whatever way */
    bool login_warned;   /* the warning about our own credentials has been given */
    fo_report_t failure; /* the last answer that counted as one */
} fo_health_t;

fo_state_e fo_health_next(fo_state_e state, fo_event_e event);

/* Counts one answer and moves on. True when the state changed. */
bool fo_health_step(fo_health_t *health, const fo_policy_t *policy, bool passed);

/* Counts a failure that would be a FALL as a FAIL, this once: the next one is a FALL. */
void fo_health_doubt(fo_health_t *health);

/* Requests may be sent there. */
bool fo_state_is_usable(fo_state_e state);

const char *fo_state_name(fo_state_e state);

#endif

#include "core/fo_health.h"

/* clang-format off */
static const fo_state_e next_state[FO_STATE_COUNT][FO_EVENT_COUNT] = {
    /*                       PASS              RISE         FAIL              FALL           */
    [FO_STATE_UNKNOWN] = { FO_STATE_UP,     FO_STATE_UP, FO_STATE_FAILING, FO_STATE_DOWN },
    [FO_STATE_UP]      = { FO_STATE_UP,     FO_STATE_UP, FO_STATE_FAILING, FO_STATE_DOWN },
    [FO_STATE_FAILING] = { FO_STATE_UP,     FO_STATE_UP, FO_STATE_FAILING, FO_STATE_DOWN },
    [FO_STATE_DOWN]    = { FO_STATE_RISING, FO_STATE_UP, FO_STATE_DOWN,    FO_STATE_DOWN },
    [FO_STATE_RISING]  = { FO_STATE_RISING, FO_STATE_UP, FO_STATE_DOWN,    FO_STATE_DOWN },
};
/* clang-format on */

static const char *const names[FO_STATE_COUNT] = {
    [FO_STATE_UNKNOWN] = "unknown", [FO_STATE_UP] = "up",         [FO_STATE_FAILING] = "failing",
    [FO_STATE_DOWN] = "down",       [FO_STATE_RISING] = "rising",
};

fo_state_e fo_health_next(fo_state_e state, fo_event_e event)
{
    return next_state[state][event];
}

static fo_event_e count(fo_health_t *health, const fo_policy_t *policy, bool passed)
{
    if (passed) {
        health->passes++;
        health->fails = 0;
        return health->passes >= policy->value[FO_POLICY_RISE] ? FO_EVENT_RISE : FO_EVENT_PASS;
    }
    health->fails++;
    health->passes = 0;
    return health->fails >= policy->value[FO_POLICY_FALL] ? FO_EVENT_FALL : FO_EVENT_FAIL;
}

bool fo_health_step(fo_health_t *health, const fo_policy_t *policy, bool passed)
{
    fo_state_e before = health->state;

    health->state = fo_health_next(before, count(health, policy, passed));
    return health->state != before;
}

void fo_health_doubt(fo_health_t *health)
{
    health->fails++;
    health->passes = 0;
    health->state = fo_health_next(health->state, FO_EVENT_FAIL);
}

bool fo_state_is_usable(fo_state_e state)
{
    return state == FO_STATE_UNKNOWN || state == FO_STATE_UP || state == FO_STATE_FAILING;
}

const char *fo_state_name(fo_state_e state)
{
    return names[state];
}

#include "core/fo_schedule.h"

/* Vigna's splitmix64, good from any seed; it parts children from each other, no more. */
double fo_schedule_random(apr_uint64_t *state)
{
    apr_uint64_t bits = *state += 0x9e3779b97f4a7c15;

    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    bits ^= bits >> 31;
    return (double)(bits >> 11) / (double)((apr_uint64_t)1 << 53);
}

fo_draw_t fo_schedule_exact(void)
{
    return (fo_draw_t){ .stretch = 1, .first = 1, .jitter = 1 };
}

apr_interval_time_t fo_schedule_first(const fo_policy_t *policy, double random)
{
    apr_interval_time_t span = policy->value[FO_POLICY_ERROR];

    return policy->value[FO_POLICY_SPREAD] ? (apr_interval_time_t)(random * (double)span) : span;
}

fo_draw_t fo_schedule_draw(const fo_policy_t *policy, bool is_first, const double random[2])
{
    double spread = (double)policy->value[FO_POLICY_SPREAD] / 100;

    if (spread <= 0)
        return fo_schedule_exact();
    return (fo_draw_t){
        .stretch = 1 + random[is_first ? 1 : 0] * spread,
        .first = is_first ? random[0] : 1,
        .jitter = random[1],
    };
}

static apr_interval_time_t confirm_span(const fo_policy_t *policy, const fo_health_t *health,
                                        const fo_draw_t *draw)
{
    apr_interval_time_t confirm = policy->value[FO_POLICY_CONFIRM];
    apr_interval_time_t cap = policy->value[FO_POLICY_CAP];
    apr_interval_time_t most = confirm;

    for (apr_int64_t i = 1; i < health->fails && most < cap; i++)
        most *= 2;
    if (most > cap)
        most = cap;
    return most <= confirm
               ? most
               : confirm + (apr_interval_time_t)(draw->jitter * (double)(most - confirm));
}

apr_interval_time_t fo_schedule_span(const fo_policy_t *policy, const fo_health_t *health,
                                     bool hurried, const fo_draw_t *draw)
{
    fo_policy_e frequency = health->state == FO_STATE_DOWN ? FO_POLICY_OUTAGE
                                                           : FO_POLICY_MONITORING;

    if (hurried || health->state == FO_STATE_UNKNOWN || health->state == FO_STATE_RISING)
        return policy->value[FO_POLICY_ERROR];
    if (health->state == FO_STATE_FAILING)
        return confirm_span(policy, health, draw);
    return (apr_interval_time_t)((double)policy->value[frequency] * draw->stretch * draw->first);
}

apr_time_t fo_schedule_due_at(apr_time_t started_at, apr_interval_time_t span)
{
    return started_at == 0 ? 0 : started_at + span;
}

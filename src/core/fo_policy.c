#include "core/fo_policy.h"

#include "core/fo_series.h"

static const fo_policy_t built_in = {
    .value = {
        [FO_POLICY_MONITORING] = 120 * APR_USEC_PER_SEC,
        [FO_POLICY_OUTAGE] = 30 * APR_USEC_PER_SEC,
        [FO_POLICY_ERROR] = 5 * APR_USEC_PER_SEC,
        [FO_POLICY_LOGGING] = 3600 * APR_USEC_PER_SEC,
        [FO_POLICY_TIMEOUT_UP] = 3 * APR_USEC_PER_SEC,
        [FO_POLICY_TIMEOUT_DOWN] = APR_USEC_PER_SEC,
        [FO_POLICY_FALL] = 1,
        [FO_POLICY_RISE] = 1,
        [FO_POLICY_CONFIRM] = APR_USEC_PER_SEC,
        [FO_POLICY_CAP] = 10 * APR_USEC_PER_SEC,
        [FO_POLICY_SPREAD] = 5,
        [FO_POLICY_OBSERVE] = 0,
        [FO_POLICY_PROBES] = 1,
        [FO_POLICY_PROBES_DELAY] = APR_USEC_PER_SEC / 2,
        [FO_POLICY_PROBES_MUST] = FO_PROBES_MAJORITY,
        [FO_POLICY_GRACE] = 60 * APR_USEC_PER_SEC,
        [FO_POLICY_STAYS] = 0,
        [FO_POLICY_FAILBACK] = 30 * APR_USEC_PER_SEC,
        [FO_POLICY_ATTEMPTS] = 10,
        [FO_POLICY_ATTEMPT] = 12 * APR_USEC_PER_SEC,
        [FO_POLICY_BREAKER] = 0,
        [FO_POLICY_WINDOW] = 2 * APR_USEC_PER_SEC,
        [FO_POLICY_FAILURES] = 1000,
        [FO_POLICY_RATE] = 100000,
        [FO_POLICY_STREAK] = 0,
        [FO_POLICY_RESET] = 60 * APR_USEC_PER_SEC,
        [FO_POLICY_COUNTS_5XX] = 0,
        [FO_POLICY_OPENS] = 0,
    },
};

void fo_policy_init(fo_policy_t *policy)
{
    for (int i = 0; i < FO_POLICY_COUNT; i++)
        policy->value[i] = FO_UNSET;
}

void fo_policy_merge(const fo_policy_t *base, const fo_policy_t *over, fo_policy_t *ret_policy)
{
    for (int i = 0; i < FO_POLICY_COUNT; i++)
        ret_policy->value[i] = over->value[i] == FO_UNSET ? base->value[i] : over->value[i];
}

const fo_policy_t *fo_policy_built_in(void)
{
    return &built_in;
}

const char *fo_policy_mode(const fo_policy_t *policy)
{
    return policy->value[FO_POLICY_OBSERVE] ? "observe" : "enforce";
}

apr_interval_time_t fo_policy_hope(const fo_policy_t *policy)
{
    return policy->value[FO_POLICY_ATTEMPTS] * policy->value[FO_POLICY_ATTEMPT];
}

#include "core/fo_doubt.h"

#include "core/fo_report.h"

/* One endpoint. */
typedef struct trust_t {
    apr_time_t fell_at; /* when an answer last made it fall, doubted or not; 0: never */
    bool is_spent;      /* it has been doubted since it last passed */
} trust_t;

struct fo_doubt_t {
    const fo_plan_t *plan;
    fo_health_t *healths; /* by endpoint */
    trust_t *trusts;      /* by endpoint */
};

fo_doubt_t *fo_doubt_make(const fo_plan_t *plan, fo_health_t *healths, apr_pool_t *pool)
{
    fo_doubt_t *doubt = apr_pcalloc(pool, sizeof(*doubt));

    doubt->plan = plan;
    doubt->healths = healths;
    doubt->trusts = apr_pcalloc(pool, sizeof(trust_t) * (size_t)(plan->endpoints->nelts + 1));
    return doubt;
}

static trust_t *trust_of(const fo_doubt_t *doubt, const fo_endpoint_t *endpoint)
{
    return &doubt->trusts[endpoint->index];
}

static bool has_just_fallen(const trust_t *trust, apr_time_t now)
{
    return trust->fell_at && now - trust->fell_at <= FO_DOUBT_WINDOW;
}

static bool is_falling(const fo_doubt_t *doubt, const fo_service_t *service, apr_time_t now)
{
    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++)
        if (has_just_fallen(trust_of(doubt, fo_service_endpoint(service, rank)), now))
            return true;
    return false;
}

static bool may_be_us(const fo_doubt_t *doubt, apr_time_t now)
{
    unsigned n = (unsigned)doubt->plan->services->nelts, n_falling = 0;

    for (unsigned i = 0; i < n; i++)
        n_falling += is_falling(doubt, fo_plan_service(doubt->plan, i), now);
    return n_falling >= FO_DOUBT_LEAST && n_falling > n / 2;
}

/* One more failure makes it unusable. */
static bool is_on_edge(const fo_doubt_t *doubt, const fo_endpoint_t *endpoint)
{
    const fo_health_t *health = &doubt->healths[endpoint->index];

    return fo_state_is_usable(health->state) &&
           health->fails + 1 >= endpoint->service->policy.value[FO_POLICY_FALL];
}

bool fo_doubt_hear(fo_doubt_t *doubt, const fo_target_t *target, const fo_report_t *report,
                   apr_time_t now)
{
    bool is_fall = false;

    if (!fo_report_is_failure(report, target->busy_fails))
        return false;
    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++) {
        const fo_endpoint_t *endpoint = fo_target_endpoint(target, i);
        if (!is_on_edge(doubt, endpoint))
            continue;
        trust_of(doubt, endpoint)->fell_at = now;
        is_fall = true;
    }
    return is_fall && may_be_us(doubt, now);
}

/* True once between two passes. */
static bool spend(trust_t *trust)
{
    bool was_spent = trust->is_spent;

    trust->is_spent = true;
    return !was_spent;
}

bool fo_doubt_takes_back(fo_doubt_t *doubt, const fo_target_t *target, apr_time_t now)
{
    bool takes_back = false;

    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++) {
        const fo_endpoint_t *endpoint = fo_target_endpoint(target, i);
        trust_t *trust = trust_of(doubt, endpoint);
        if (has_just_fallen(trust, now) &&
            !fo_state_is_usable(doubt->healths[endpoint->index].state))
            takes_back |= spend(trust);
    }
    return takes_back;
}

void fo_doubt_step(fo_doubt_t *doubt, const fo_endpoint_t *endpoint, bool passed, apr_time_t now)
{
    fo_health_t *health = &doubt->healths[endpoint->index];
    trust_t *trust = trust_of(doubt, endpoint);

    if (passed)
        trust->is_spent = false;
    if (!passed && is_on_edge(doubt, endpoint) && may_be_us(doubt, now) && spend(trust))
        fo_health_doubt(health);
    else
        fo_health_step(health, &endpoint->service->policy, passed);
}

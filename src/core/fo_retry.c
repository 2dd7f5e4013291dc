#include "core/fo_retry.h"

#include "core/fo_lease.h"
#include "core/fo_row.h"

/* Where one child pings for all, that one's rows tell when. */
static int slot_that_pings(const fo_retry_t *retry)
{
    return retry->plan->ways.lease && retry->shared ? fo_lease_read(retry->shared).slot
                                                    : retry->slot;
}

/* Of all its endpoints; FO_NEVER: pings are under way; 0: nobody has said. */
static apr_time_t due_at(const fo_retry_t *retry, const fo_service_t *service)
{
    int slot = slot_that_pings(retry);
    apr_time_t first = FO_NEVER;

    if (!retry->shared || slot == FO_SLOT_NONE)
        return 0;
    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        unsigned seat = fo_service_endpoint(service, rank)->seat;
        fo_row_t row;
        if (!fo_row_read(retry->shared, (unsigned)slot, seat, &row))
            return 0;
        if (row.due_at < first)
            first = row.due_at;
    }
    return first;
}

apr_int64_t fo_retry_after(const fo_retry_t *retry, const fo_service_t *service,
                           apr_time_t since_at)
{
    apr_time_t at = due_at(retry, service);

    if (retry->now - since_at >= fo_policy_hope(&service->policy))
        return 0;
    if (at == 0)
        at = retry->now + service->policy.value[FO_POLICY_OUTAGE];
    if (at == FO_NEVER || at <= retry->now)
        return 1;
    return (at - retry->now + APR_USEC_PER_SEC - 1) / APR_USEC_PER_SEC;
}

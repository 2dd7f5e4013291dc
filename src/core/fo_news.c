#include "core/fo_news.h"

#include "core/fo_layout.h"

#include <stdatomic.h>

static fo_service_words_t *words_of(const fo_shared_t *shared, const fo_service_t *service)
{
    return &shared->services[service->seat];
}

/* Whenever it was pinged. */
#define EVER (-1)

/* None of its endpoints is usable there, by pings that did not all start before that. */
static bool is_down_in(const fo_shared_t *shared, const fo_service_t *service, unsigned slot,
                       apr_time_t seen_after)
{
    bool is_recent = false;

    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        fo_row_t row;
        if (!fo_row_read(shared, slot, fo_service_endpoint(service, rank)->seat, &row) ||
            fo_state_is_usable((fo_state_e)row.state))
            return false;
        is_recent = is_recent || row.pinged_at > seen_after;
    }
    return is_recent;
}

static bool is_down_elsewhere(const fo_shared_t *shared, const fo_service_t *service, int own,
                              apr_time_t seen_after)
{
    fo_slot_t unused;

    for (unsigned slot = 0; slot < fo_slot_count(shared); slot++)
        if ((int)slot != own && fo_slot_read(shared, slot, &unused) &&
            is_down_in(shared, service, slot, seen_after))
            return true;
    return false;
}

/* Who still sees it down has looked after this instant, or has had no request to look for. */
static apr_time_t last_look(const fo_service_t *service, apr_time_t now)
{
    return now - 2 * service->policy.value[FO_POLICY_OUTAGE];
}

/* An outage that was told of and that nobody who lives has seen is another one. */
bool fo_news_outage(fo_shared_t *shared, const fo_service_t *service, int slot, apr_time_t now)
{
    fo_service_words_t *words = words_of(shared, service);
    apr_int64_t announced_at = atomic_load(&words->announced_at);

    if (announced_at && is_down_elsewhere(shared, service, slot, EVER))
        return false;
    if (!atomic_compare_exchange_strong(&words->announced_at, &announced_at, now))
        return false;
    atomic_store(&words->reminded_at, now);
    return true;
}

/* Another child may see it go down again between the look at the rows and the word. */
bool fo_news_recovery(fo_shared_t *shared, const fo_service_t *service, int slot, apr_time_t now,
                      apr_interval_time_t *ret_lasted)
{
    fo_service_words_t *words = words_of(shared, service);
    apr_int64_t announced_at = atomic_load(&words->announced_at);
    apr_time_t seen_after = last_look(service, now);
    apr_int64_t none = 0;

    if (!announced_at || is_down_elsewhere(shared, service, slot, seen_after) ||
        !atomic_compare_exchange_strong(&words->announced_at, &announced_at, 0))
        return false;
    if (is_down_elsewhere(shared, service, slot, seen_after) &&
        atomic_compare_exchange_strong(&words->announced_at, &none, announced_at))
        return false;
    *ret_lasted = now - announced_at;
    return true;
}

bool fo_news_reminder(fo_shared_t *shared, const fo_service_t *service, apr_time_t now,
                      apr_interval_time_t *ret_lasted)
{
    fo_service_words_t *words = words_of(shared, service);
    apr_int64_t reminded_at = atomic_load(&words->reminded_at);
    apr_int64_t announced_at = atomic_load(&words->announced_at);

    if (!announced_at || now - reminded_at < service->policy.value[FO_POLICY_LOGGING] ||
        !atomic_compare_exchange_strong(&words->reminded_at, &reminded_at, now))
        return false;
    *ret_lasted = now - announced_at;
    return true;
}

bool fo_news_is_open(const fo_shared_t *shared, const fo_service_t *service)
{
    return atomic_load_explicit(&words_of(shared, service)->announced_at, memory_order_relaxed) !=
           0;
}

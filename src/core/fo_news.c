#include "core/fo_news.h"

#include "core/fo_layout.h"

#include <stdatomic.h>

static fo_service_words_t *words_of(const fo_shared_t *shared, const fo_service_t *service)
{
    return &shared->services[service->seat];
}

/* Its writer was held up at it, and may see anything; so nothing is told to be over meanwhile. */
static bool is_being_written(const fo_shared_t *shared, unsigned slot, unsigned endpoint)
{
    apr_uint64_t version = atomic_load(&fo_layout_row(shared, slot, endpoint)->version);

    return (version & FO_LAYOUT_ROW_MASK) == FO_LAYOUT_ROW_BUSY;
}

/*
 * A child that has asked none of its endpoints for that long sees nothing: nobody wants to hear of
 * the service there.
 */
static bool is_idle_in(const fo_shared_t *shared, const fo_service_t *service, unsigned slot,
                       apr_time_t now)
{
    apr_interval_time_t monitoring = service->policy.value[FO_POLICY_MONITORING];
    apr_interval_time_t outage = service->policy.value[FO_POLICY_OUTAGE];
    apr_time_t last_at = 0;

    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        unsigned seat = fo_service_endpoint(service, rank)->seat;
        fo_row_t row;
        if (fo_row_read(shared, slot, seat, &row))
            last_at = row.pinged_at > last_at ? row.pinged_at : last_at;
        else if (is_being_written(shared, slot, seat))
            return false;
    }
    return now - last_at >= 2 * (monitoring > outage ? monitoring : outage);
}

static bool is_unusable_in(const fo_shared_t *shared, const fo_endpoint_t *endpoint, unsigned slot)
{
    fo_row_t row;

    if (!fo_row_read(shared, slot, endpoint->seat, &row))
        return is_being_written(shared, slot, endpoint->seat);
    return !fo_state_is_usable((fo_state_e)row.state);
}

/* None of its endpoints is usable there. */
static bool is_down_in(const fo_shared_t *shared, const fo_service_t *service, unsigned slot,
                       apr_time_t now)
{
    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++)
        if (!is_unusable_in(shared, fo_service_endpoint(service, rank), slot))
            return false;
    return !is_idle_in(shared, service, slot, now);
}

/* A child sits there, and not this one. */
static bool is_anothers(const fo_shared_t *shared, unsigned slot, int own)
{
    fo_slot_t unused;

    return (int)slot != own && fo_slot_read(shared, slot, &unused);
}

static bool is_down_elsewhere(const fo_shared_t *shared, const fo_service_t *service, int own,
                              apr_time_t now)
{
    for (unsigned slot = 0; slot < fo_slot_count(shared); slot++)
        if (is_anothers(shared, slot, own) && is_down_in(shared, service, slot, now))
            return true;
    return false;
}

/*
 * One that was told of lasts until its end is: whoever saw it may have died, or is just about to
 * tell that it is over, and then finds this child's row. The reminder's clock starts before others
 * can see the word.
 */
bool fo_news_outage(fo_shared_t *shared, const fo_service_t *service, apr_time_t now)
{
    fo_service_words_t *words = words_of(shared, service);
    apr_int64_t none = 0;

    if (atomic_load(&words->announced_at))
        return false;
    atomic_store(&words->reminded_at, now);
    return atomic_compare_exchange_strong(&words->announced_at, &none, now);
}

/* Takes the word back, if it is still that one. Whoever finds it gone finds the end's instant. */
static bool end_outage(fo_service_words_t *words, apr_int64_t announced_at, apr_time_t now)
{
    atomic_store(&words->ended_at, now);
    return atomic_compare_exchange_strong(&words->announced_at, &announced_at, 0);
}

/*
 * Another child may see it go down again between the look at the rows and the word: then the word
 * is put back. That one may have found no word meanwhile, and be back up: so the rows are looked at
 * once more.
 */
bool fo_news_recovery(fo_shared_t *shared, const fo_service_t *service, int slot, apr_time_t now,
                      apr_interval_time_t *ret_lasted)
{
    fo_service_words_t *words = words_of(shared, service);
    apr_int64_t announced_at, none;

    do {
        announced_at = atomic_load(&words->announced_at);
        none = 0;
        if (!announced_at || is_down_elsewhere(shared, service, slot, now) ||
            !end_outage(words, announced_at, now))
            return false;
    } while (is_down_elsewhere(shared, service, slot, now) &&
             atomic_compare_exchange_strong(&words->announced_at, &none, announced_at));
    *ret_lasted = now - announced_at;
    return true;
}

bool fo_news_close(fo_shared_t *shared, const fo_service_t *service, apr_time_t now,
                   apr_interval_time_t *ret_lasted)
{
    fo_service_words_t *words = words_of(shared, service);
    apr_int64_t announced_at = atomic_load(&words->announced_at);

    if (!announced_at || !end_outage(words, announced_at, now))
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

bool fo_news_unavailable(fo_shared_t *shared, const fo_service_t *service)
{
    fo_service_words_t *words = words_of(shared, service);
    apr_int64_t announced_at = atomic_load(&words->announced_at);

    return announced_at && atomic_exchange(&words->unavailable_at, announced_at) != announced_at;
}

/* Before anything was told the primary is in use. */
bool fo_news_use(fo_shared_t *shared, const fo_endpoint_t *endpoint, apr_time_t now)
{
    fo_service_words_t *words = words_of(shared, endpoint->service);
    apr_uint64_t digest = fo_layout_digest(endpoint->key);
    apr_uint64_t before = atomic_exchange(&words->used, digest);
    bool is_news = before ? before != digest : endpoint->rank != endpoint->service->primary;

    if (is_news)
        atomic_store(&words->used_at, now);
    return is_news;
}

static const fo_endpoint_t *endpoint_of(const fo_service_t *service, apr_uint64_t digest)
{
    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++)
        if (fo_layout_digest(fo_service_endpoint(service, rank)->key) == digest)
            return fo_service_endpoint(service, rank);
    return NULL;
}

static bool is_used_in(const fo_shared_t *shared, const fo_endpoint_t *endpoint, unsigned slot,
                       apr_time_t now)
{
    fo_row_t row;

    if (!fo_row_read(shared, slot, endpoint->seat, &row))
        return is_being_written(shared, slot, endpoint->seat);
    return row.is_in_use && !is_idle_in(shared, endpoint->service, slot, now);
}

static bool is_used_elsewhere(const fo_shared_t *shared, const fo_endpoint_t *endpoint, int own,
                              apr_time_t now)
{
    for (unsigned slot = 0; slot < fo_slot_count(shared); slot++)
        if (is_anothers(shared, slot, own) && is_used_in(shared, endpoint, slot, now))
            return true;
    return false;
}

bool fo_news_return(fo_shared_t *shared, const fo_endpoint_t *endpoint, int slot, apr_time_t now,
                    const fo_endpoint_t **ret_left, apr_interval_time_t *ret_lasted)
{
    fo_service_words_t *words = words_of(shared, endpoint->service);
    apr_uint64_t digest = fo_layout_digest(endpoint->key), told = atomic_load(&words->used);
    apr_int64_t used_at = atomic_load(&words->used_at);
    const fo_endpoint_t *left;

    if (!told || told == digest)
        return false;
    left = endpoint_of(endpoint->service, told);
    if ((left && is_used_elsewhere(shared, left, slot, now)) ||
        !atomic_compare_exchange_strong(&words->used, &told, digest) || !left)
        return false;
    *ret_left = left;
    *ret_lasted = now - used_at;
    return true;
}

bool fo_news_is_open(const fo_shared_t *shared, const fo_service_t *service)
{
    return atomic_load_explicit(&words_of(shared, service)->announced_at, memory_order_acquire) !=
           0;
}

bool fo_news_is_over(const fo_shared_t *shared, const fo_service_t *service, apr_time_t pinged_at)
{
    return !fo_news_is_open(shared, service) &&
           pinged_at > atomic_load(&words_of(shared, service)->ended_at);
}

#include "core/fo_heritage.h"

#include "core/fo_slot.h"

/* What is seen of one endpoint, up and down. */
typedef struct votes_t {
    unsigned n[2];
    unsigned n_users[2]; /* of those that use it */
    fo_row_t youngest[2];
} votes_t;

static bool is_young(const fo_row_t *row, const fo_policy_t *policy, apr_time_t now)
{
    bool is_usable = fo_state_is_usable((fo_state_e)row->state);
    fo_policy_e frequency = is_usable ? FO_POLICY_MONITORING : FO_POLICY_OUTAGE;

    return row->pinged_at && now - row->pinged_at < 2 * policy->value[frequency];
}

static void count(votes_t *votes, const fo_row_t *row)
{
    bool is_down = !fo_state_is_usable((fo_state_e)row->state);

    if (votes->n[is_down] == 0 || row->pinged_at > votes->youngest[is_down].pinged_at)
        votes->youngest[is_down] = *row;
    votes->n[is_down]++;
    votes->n_users[is_down] += row->is_in_use != 0;
}

bool fo_heritage_find(const fo_shared_t *shared, const fo_endpoint_t *endpoint, apr_time_t now,
                      fo_row_t *ret_row)
{
    votes_t votes = { .n = { 0 } };
    unsigned n;
    bool is_down;

    for (unsigned slot = 0; slot < fo_slot_count(shared); slot++) {
        fo_row_t row;
        if (fo_slot_was_used(shared, slot) && fo_row_read(shared, slot, endpoint->seat, &row) &&
            is_young(&row, &endpoint->service->policy, now) &&
            !fo_row_is_outdated(shared, endpoint->target, &row))
            count(&votes, &row);
    }
    n = votes.n[0] + votes.n[1];
    is_down = votes.n[1] > votes.n[0];
    if (n < 2 || votes.n[is_down] * 2 <= n)
        return false;
    *ret_row = votes.youngest[is_down];
    ret_row->is_in_use = votes.n_users[is_down] * 2 > votes.n[is_down];
    return true;
}

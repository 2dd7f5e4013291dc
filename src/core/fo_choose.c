#include "core/fo_choose.h"

/* A ping has found that it works. */
static bool is_known_to_work(const fo_candidate_t *candidate)
{
    return candidate->state == FO_STATE_UP || candidate->state == FO_STATE_FAILING;
}

/* Of equal weights the first is the better one. */
static bool is_heavier(const fo_candidate_t *candidates, unsigned one, unsigned other)
{
    return candidates[one].weight > candidates[other].weight ||
           (candidates[one].weight == candidates[other].weight && one < other);
}

static bool is_better(const fo_candidate_t *candidates, unsigned one, unsigned other)
{
    if (other == FO_CHOOSE_NONE)
        return true;
    if (candidates[one].is_in_grace != candidates[other].is_in_grace)
        return candidates[other].is_in_grace;
    return is_heavier(candidates, one, other);
}

unsigned fo_choose_primary(const fo_candidate_t *candidates, unsigned n)
{
    unsigned primary = 0;

    for (unsigned i = 1; i < n; i++)
        if (is_heavier(candidates, i, primary))
            primary = i;
    return primary;
}

static unsigned best_known(const fo_candidate_t *candidates, unsigned n)
{
    unsigned best = FO_CHOOSE_NONE;

    for (unsigned i = 0; i < n; i++)
        if (is_known_to_work(&candidates[i]) && is_better(candidates, i, best))
            best = i;
    return best;
}

unsigned fo_choose(const fo_candidate_t *candidates, unsigned n, unsigned in_use,
                   bool may_fail_back)
{
    unsigned best = best_known(candidates, n);

    if (in_use == FO_CHOOSE_NONE || !fo_state_is_usable(candidates[in_use].state))
        return best;
    if (!may_fail_back || best == FO_CHOOSE_NONE || candidates[best].is_in_grace)
        return in_use;
    return is_heavier(candidates, best, in_use) ? best : in_use;
}

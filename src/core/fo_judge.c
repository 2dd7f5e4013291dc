#include "core/fo_judge_own.h"

#include "core/fo_report.h"

fo_judge_t *fo_judge_make(const fo_plan_t *plan, fo_board_t *board, fo_observer_fn observer,
                          void *baton, apr_pool_t *pool)
{
    size_t n_endpoints = (size_t)plan->endpoints->nelts + 1;
    fo_judge_t *judge = apr_pcalloc(pool, sizeof(*judge));

    judge->plan = plan;
    judge->standings = fo_standings_make(plan, board, observer, baton, pool);
    judge->slot = FO_SLOT_NONE;
    judge->healths = apr_pcalloc(pool, sizeof(fo_health_t) * n_endpoints);
    judge->doubt = fo_doubt_make(plan, judge->healths, pool);
    judge->rows = apr_pcalloc(pool, sizeof(fo_row_t) * n_endpoints);
    return judge;
}

const fo_health_t *fo_judge_health(const fo_judge_t *judge, const fo_endpoint_t *endpoint)
{
    return &judge->healths[endpoint->index];
}

fo_doubt_t *fo_judge_doubt(const fo_judge_t *judge)
{
    return judge->doubt;
}

fo_service_state_e fo_judge_state(const fo_judge_t *judge, const fo_service_t *service)
{
    return fo_standing_word(judge->standings, service)->state;
}

void fo_judge_observe(const fo_judge_t *judge, const fo_change_t *change)
{
    fo_standings_observe(judge->standings, change);
}

/* ---------------------------------------------------------------- rows */

static bool is_in_use(const fo_judge_t *judge, const fo_endpoint_t *endpoint)
{
    const fo_word_t *word = fo_standing_word(judge->standings, endpoint->service);

    return word->state != FO_SERVICE_DOWN && word->endpoint == endpoint->rank;
}

static void write_row(fo_judge_t *judge, const fo_endpoint_t *endpoint)
{
    fo_row_t *row = &judge->rows[endpoint->index];

    row->state = (apr_byte_t)judge->healths[endpoint->index].state;
    row->epoch = fo_standing_word(judge->standings, endpoint->service)->epoch;
    row->is_in_use = is_in_use(judge, endpoint);
    if (judge->shared)
        fo_row_write(judge->shared, judge->slot, endpoint->seat, row);
}

void fo_judge_write_rows(fo_judge_t *judge, const fo_service_t *service)
{
    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++)
        write_row(judge, fo_service_endpoint(service, rank));
}

void fo_judge_publish_due(fo_judge_t *judge, const fo_endpoint_t *endpoint, apr_time_t due_at)
{
    judge->rows[endpoint->index].due_at = due_at;
    write_row(judge, endpoint);
}

void fo_judge_join(fo_judge_t *judge, fo_shared_t *shared, int slot)
{
    judge->shared = shared;
    judge->slot = slot;
    fo_standings_join(judge->standings, shared, slot);
    for (unsigned i = 0; i < (unsigned)judge->plan->endpoints->nelts; i++)
        write_row(judge, fo_plan_endpoint(judge->plan, i));
}

/* ---------------------------------------------------------------- what they come to */

fo_lineup_t fo_judge_line_up(const fo_judge_t *judge, const fo_service_t *service, apr_time_t now)
{
    fo_lineup_t lineup = { .has_passed = false };

    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        const fo_endpoint_t *endpoint = fo_service_endpoint(service, rank);
        const fo_health_t *health = &judge->healths[endpoint->index];
        const fo_row_t *row = &judge->rows[endpoint->index];
        lineup.failures[rank] = &health->failure;
        lineup.is_undecided |= health->state == FO_STATE_UNKNOWN && !health->was_asked;
        lineup.candidates[rank] = (fo_candidate_t){
            .state = health->state,
            .weight = endpoint->weight,
            .is_in_grace = row->grace_until > now,
        };
        if (row->pinged_at > lineup.pinged_at)
            lineup.pinged_at = row->pinged_at;
    }
    return lineup;
}

void fo_judge_discard(fo_judge_t *judge, const fo_endpoint_t *endpoint, apr_time_t now)
{
    judge->healths[endpoint->index].was_asked = true;
    fo_judge_remind(judge, endpoint->service, now);
}

void fo_judge_remind(fo_judge_t *judge, const fo_service_t *service, apr_time_t now)
{
    fo_lineup_t lineup = fo_judge_line_up(judge, service, now);

    fo_standing_remind(judge->standings, service, &lineup, now);
}

/* When nothing works any more, what a breaker has opened is worth a ping, in all children. */
static void end_opening(fo_judge_t *judge, const fo_service_t *service, apr_time_t now)
{
    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        const fo_endpoint_t *endpoint = fo_service_endpoint(service, rank);
        fo_row_t *row = &judge->rows[endpoint->index];
        if (row->open_until <= now)
            continue;
        if (judge->shared)
            fo_shared_close(judge->shared, endpoint->seat, row->open_until, now);
        row->open_until = now;
    }
}

/* Its siblings decide by the rows whose news it is, so these come first. */
static void settle(fo_judge_t *judge, const fo_endpoint_t *endpoint, bool has_passed,
                   apr_time_t now)
{
    fo_lineup_t lineup = fo_judge_line_up(judge, endpoint->service, now);
    bool is_usable = fo_state_is_usable(judge->healths[endpoint->index].state), has_changed;

    lineup.has_passed = has_passed && is_usable;
    has_changed = fo_standing_choose(judge->standings, endpoint->service, &lineup, false, now);
    if (fo_judge_state(judge, endpoint->service) == FO_SERVICE_DOWN && !lineup.is_undecided)
        end_opening(judge, endpoint->service, now);
    fo_judge_write_rows(judge, endpoint->service);
    if (has_changed || has_passed == is_usable)
        fo_standing_tell(judge->standings, endpoint->service, &lineup, now);
}

static void look(fo_judge_t *judge, const fo_service_t *service, apr_time_t now)
{
    fo_lineup_t lineup = fo_judge_line_up(judge, service, now);

    if (fo_standing_choose(judge->standings, service, &lineup, true, now))
        fo_judge_write_rows(judge, service);
    fo_standing_tell(judge->standings, service, &lineup, now);
}

void fo_judge_look(fo_judge_t *judge, apr_time_t now)
{
    for (unsigned i = 0; i < (unsigned)judge->plan->services->nelts; i++) {
        const fo_service_t *service = fo_plan_service(judge->plan, i);
        if (fo_standing_look_at(judge->standings, service) <= now)
            look(judge, service, now);
    }
}

apr_time_t fo_judge_look_at(const fo_judge_t *judge)
{
    apr_time_t first = FO_NEVER;

    for (unsigned i = 0; i < (unsigned)judge->plan->services->nelts; i++) {
        apr_time_t at = fo_standing_look_at(judge->standings, fo_plan_service(judge->plan, i));
        first = at < first ? at : first;
    }
    return first;
}

void fo_judge_set_state(fo_judge_t *judge, const fo_endpoint_t *endpoint, fo_state_e state,
                        apr_time_t since_at)
{
    fo_health_t *health = &judge->healths[endpoint->index];
    const fo_policy_t *policy = &endpoint->service->policy;
    const apr_int64_t counts[FO_STATE_COUNT][2] = {
        [FO_STATE_UP] = { policy->value[FO_POLICY_RISE], 0 },
        [FO_STATE_FAILING] = { 0, 1 },
        [FO_STATE_DOWN] = { 0, policy->value[FO_POLICY_FALL] },
        [FO_STATE_RISING] = { 1, 0 },
    };

    if (health->state != state)
        judge->rows[endpoint->index].since_at = since_at;
    health->state = state;
    health->passes = counts[state][0];
    health->fails = counts[state][1];
}

/* ---------------------------------------------------------------- an answer */

/* One warning until the credentials work again. */
static void judge_login(fo_judge_t *judge, const fo_endpoint_t *endpoint, const fo_report_t *report)
{
    fo_health_t *health = &judge->healths[endpoint->index];
    fo_change_t change = {
        .kind = FO_CHANGE_LOGIN,
        .is_news = true,
        .service = endpoint->service,
        .endpoint = endpoint,
        .report = report,
    };

    bool is_refused = report->verdict == FO_VERDICT_LOGIN || report->verdict == FO_VERDICT_BARRED;

    if (is_refused && !health->login_warned)
        fo_judge_observe(judge, &change);
    if (is_refused || report->verdict == FO_VERDICT_PASS)
        health->login_warned = is_refused;
}

static void note_ping(fo_judge_t *judge, const fo_endpoint_t *endpoint, const fo_report_t *report,
                      apr_time_t pinged_at)
{
    fo_row_t *row = &judge->rows[endpoint->index];

    row->verdict = (apr_byte_t)report->verdict;
    row->is_inherited = 0;
    row->pinged_at = pinged_at;
    row->due_at = FO_NEVER;
    row->took = report->took;
}

/* Its state has changed. One that fell stays out for a while, if another can take its place. */
static void note_change(fo_judge_t *judge, const fo_endpoint_t *endpoint, bool was_usable,
                        apr_time_t now)
{
    fo_row_t *row = &judge->rows[endpoint->index];
    bool is_usable = fo_state_is_usable(judge->healths[endpoint->index].state);

    row->since_at = now;
    if (was_usable && !is_usable && endpoint->service->endpoints->nelts > 1)
        row->grace_until = now + endpoint->service->policy.value[FO_POLICY_GRACE];
}

/* Of one that is not in use, before and after. */
static void tell_spare(const fo_judge_t *judge, const fo_endpoint_t *endpoint,
                       const fo_report_t *report, bool is_usable)
{
    fo_change_t change = {
        .kind = is_usable ? FO_CHANGE_SPARE_BACK : FO_CHANGE_SPARE_DOWN,
        .service = endpoint->service,
        .endpoint = endpoint,
        .report = report,
    };

    if (fo_judge_state(judge, endpoint->service) != FO_SERVICE_DOWN)
        fo_judge_observe(judge, &change);
}

/* The first ping after the breaker's span decides alone, whatever `rise` says. */
static void half_open(fo_judge_t *judge, const fo_endpoint_t *endpoint)
{
    fo_row_t *row = &judge->rows[endpoint->index];

    if (row->open_until)
        judge->healths[endpoint->index].passes = endpoint->service->policy.value[FO_POLICY_RISE];
    row->open_until = 0;
}

bool fo_judge_answer(fo_judge_t *judge, const fo_endpoint_t *endpoint, const fo_report_t *report,
                     apr_time_t pinged_at, apr_time_t now)
{
    fo_health_t *health = &judge->healths[endpoint->index];
    fo_state_e before = health->state;
    bool has_passed = fo_report_is_pass(report), was_usable = fo_state_is_usable(before);
    bool was_in_use = is_in_use(judge, endpoint), is_usable;

    fo_standings_follow(judge->standings, false);
    health->was_asked = true;
    judge_login(judge, endpoint, report);
    if (now < fo_judge_open_until(judge, endpoint))
        return false;
    if (!has_passed && !fo_report_is_failure(report, endpoint->target->busy_fails)) {
        if (judge->rows[endpoint->index].pinged_at) /* the state is kept, for new children, too */
            judge->rows[endpoint->index].pinged_at = pinged_at;
        fo_judge_remind(judge, endpoint->service, now);
        return false;
    }
    note_ping(judge, endpoint, report, pinged_at);
    half_open(judge, endpoint);
    if (!has_passed)
        health->failure = *report;
    fo_doubt_step(judge->doubt, endpoint, has_passed, now);
    if (health->state != before)
        note_change(judge, endpoint, was_usable, now);
    is_usable = fo_state_is_usable(health->state);
    settle(judge, endpoint, has_passed, now);
    if (is_usable != was_usable && !was_in_use && !is_in_use(judge, endpoint))
        tell_spare(judge, endpoint, report, is_usable);
    return is_usable != was_usable;
}

/* ---------------------------------------------------------------- the breaker */

apr_time_t fo_judge_open_until(const fo_judge_t *judge, const fo_endpoint_t *endpoint)
{
    return judge->rows[endpoint->index].open_until;
}

const fo_endpoint_t *fo_judge_in_use(const fo_judge_t *judge, const fo_service_t *service)
{
    const fo_word_t *word = fo_standing_word(judge->standings, service);

    return word->state == FO_SERVICE_DOWN ? NULL : fo_service_endpoint(service, word->endpoint);
}

bool fo_judge_has_other(const fo_judge_t *judge, const fo_endpoint_t *endpoint, apr_time_t now)
{
    const fo_service_t *service = endpoint->service;
    fo_lineup_t lineup = fo_judge_line_up(judge, service, now);

    lineup.candidates[endpoint->rank].state = FO_STATE_DOWN;
    return lineup.is_undecided || fo_choose(lineup.candidates, (unsigned)service->endpoints->nelts,
                                            FO_CHOOSE_NONE, false) != FO_CHOOSE_NONE;
}

bool fo_judge_open(fo_judge_t *judge, const fo_endpoint_t *endpoint, apr_time_t until_at,
                   const fo_report_t *report, apr_time_t now)
{
    fo_health_t *health = &judge->healths[endpoint->index];
    bool was_usable = fo_state_is_usable(health->state);

    if (endpoint->service->endpoints->nelts == 1)
        return false;
    fo_standings_follow(judge->standings, false);
    health->failure = *report;
    fo_judge_set_state(judge, endpoint, FO_STATE_DOWN, now);
    note_change(judge, endpoint, was_usable, now);
    judge->rows[endpoint->index].open_until = until_at;
    settle(judge, endpoint, false, now);
    return true;
}

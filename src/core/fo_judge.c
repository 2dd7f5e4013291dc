#include "core/fo_judge.h"

#include "core/fo_news.h"
#include "core/fo_record.h"
#include "core/fo_report.h"

/* One service's outage. */
typedef struct standing_t {
    fo_word_t word;
    apr_time_t down_at; /* 0: up */
    apr_time_t told_at; /* when the outage was last logged; 0: not yet */
} standing_t;

struct fo_judge_t {
    const fo_plan_t *plan;
    fo_board_t *board;
    fo_shared_t *shared; /* NULL: no siblings */
    int slot;
    bool follows; /* what is judged now is another's: that one tells of it */
    fo_observer_fn observer;
    void *baton;
    fo_health_t *healths; /* by endpoint */
    fo_doubt_t *doubt;
    fo_row_t *rows;        /* by endpoint: what is published */
    standing_t *standings; /* by service */
};

fo_judge_t *fo_judge_make(const fo_plan_t *plan, fo_board_t *board, fo_observer_fn observer,
                          void *baton, apr_pool_t *pool)
{
    size_t n_endpoints = (size_t)plan->endpoints->nelts + 1;
    size_t n_services = (size_t)plan->services->nelts + 1;
    fo_judge_t *judge = apr_pcalloc(pool, sizeof(*judge));

    judge->plan = plan;
    judge->board = board;
    judge->slot = FO_SLOT_NONE;
    judge->observer = observer;
    judge->baton = baton;
    judge->healths = apr_pcalloc(pool, sizeof(fo_health_t) * n_endpoints);
    judge->doubt = fo_doubt_make(plan, judge->healths, pool);
    judge->rows = apr_pcalloc(pool, sizeof(fo_row_t) * n_endpoints);
    judge->standings = apr_pcalloc(pool, sizeof(standing_t) * n_services);
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

static standing_t *standing_of(const fo_judge_t *judge, const fo_endpoint_t *endpoint)
{
    return &judge->standings[endpoint->service->index];
}

fo_service_state_e fo_judge_state(const fo_judge_t *judge, const fo_service_t *service)
{
    return judge->standings[service->index].word.state;
}

bool fo_judge_has_passed(const fo_report_t *report)
{
    return report->verdict == FO_VERDICT_PASS || report->verdict == FO_VERDICT_LOGIN;
}

void fo_judge_tell(const fo_judge_t *judge, const fo_change_t *change)
{
    if (judge->observer)
        judge->observer(judge->baton, change);
}

/* Whether siblings share in what is told. */
static bool is_alone(const fo_judge_t *judge)
{
    return !judge->shared || judge->plan->ways.logs_each;
}

static void write_row(fo_judge_t *judge, const fo_endpoint_t *endpoint)
{
    const fo_word_t *word = &standing_of(judge, endpoint)->word;
    fo_row_t *row = &judge->rows[endpoint->index];

    row->state = (apr_byte_t)judge->healths[endpoint->index].state;
    row->epoch = word->epoch;
    row->is_in_use = word->state != FO_SERVICE_DOWN &&
                     fo_service_endpoint(endpoint->service, word->endpoint) == endpoint;
    if (judge->shared)
        fo_row_write(judge->shared, judge->slot, endpoint->seat, row);
}

void fo_judge_publish_due(fo_judge_t *judge, const fo_endpoint_t *endpoint, apr_time_t due_at)
{
    judge->rows[endpoint->index].due_at = due_at;
    write_row(judge, endpoint);
}

static void publish_word(fo_judge_t *judge, const fo_service_t *service, const fo_report_t *report,
                         apr_time_t since_at)
{
    fo_word_t word = judge->standings[service->index].word;
    fo_detail_t detail = { .since_at = since_at };

    if (word.state != FO_SERVICE_UP)
        fo_report_text(report, detail.reason, sizeof(detail.reason));
    fo_board_publish(judge->board, service, word, &detail);
}

static void change_word(fo_judge_t *judge, const fo_service_t *service, fo_service_state_e state,
                        const fo_report_t *report, apr_time_t now)
{
    fo_word_t *word = &judge->standings[service->index].word;

    word->state = state;
    word->epoch++;
    publish_word(judge, service, report, now);
}

/* As if its own pings had brought it there; how many of a threshold another has counted is lost. */
static void set_state(fo_judge_t *judge, const fo_endpoint_t *endpoint, fo_state_e state,
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

/* It says something of the service, and not of our own side or credentials. */
static bool counts_as_failure(const fo_report_t *report)
{
    return report->verdict == FO_VERDICT_FAIL || report->verdict == FO_VERDICT_BUSY;
}

/* What a failure was that another child found. */
static void recall_failure(fo_judge_t *judge, const fo_shared_t *shared,
                           const fo_endpoint_t *endpoint)
{
    fo_failure_t failure;

    fo_record_failure(shared, endpoint->target->seat, &failure);
    if (failure.at && counts_as_failure(&failure.report))
        judge->healths[endpoint->index].failure = failure.report;
}

void fo_judge_inherit(fo_judge_t *judge, const fo_shared_t *shared, const fo_endpoint_t *endpoint,
                      const fo_row_t *row)
{
    fo_health_t *health = &judge->healths[endpoint->index];
    standing_t *standing = standing_of(judge, endpoint);
    bool is_usable = fo_state_is_usable((fo_state_e)row->state);

    judge->rows[endpoint->index] = *row;
    judge->rows[endpoint->index].is_inherited = 1;
    judge->rows[endpoint->index].due_at = FO_NEVER;
    set_state(judge, endpoint, is_usable ? FO_STATE_UP : FO_STATE_DOWN, row->since_at);
    standing->word.epoch = row->epoch;
    if (!is_usable) {
        recall_failure(judge, shared, endpoint);
        standing->down_at = row->since_at;
        standing->word.state = FO_SERVICE_DOWN;
        publish_word(judge, endpoint->service, &health->failure, row->since_at);
    }
}

void fo_judge_join(fo_judge_t *judge, fo_shared_t *shared, int slot)
{
    judge->shared = shared;
    judge->slot = slot;
    for (unsigned i = 0; i < (unsigned)judge->plan->endpoints->nelts; i++)
        write_row(judge, fo_plan_endpoint(judge->plan, i));
}

/* Fills in whether it is this child that is to tell, and since when the outage lasts. */
static bool is_due_again(fo_judge_t *judge, const fo_service_t *service, apr_time_t now,
                         fo_change_t *change)
{
    standing_t *standing = &judge->standings[service->index];
    bool is_own = now - standing->told_at >= service->policy.value[FO_POLICY_LOGGING];

    change->lasted = now - standing->down_at;
    if (is_alone(judge))
        change->is_news = is_own;
    else if (!judge->follows)
        change->is_news = fo_news_reminder(judge->shared, service, now, &change->lasted);
    return is_own || change->is_news;
}

/* Its siblings have told of the end of what it told of, while it did not look. */
static bool is_over_for_others(const fo_judge_t *judge, const fo_service_t *service)
{
    return !is_alone(judge) && judge->slot != FO_SLOT_NONE &&
           !fo_news_is_open(judge->shared, service);
}

/* Says that the outage lasts, when it is time to; for the first time: that there is one. */
void fo_judge_remind(fo_judge_t *judge, const fo_endpoint_t *endpoint, apr_time_t now)
{
    const fo_service_t *service = endpoint->service;
    standing_t *standing = standing_of(judge, endpoint);
    bool is_first = !standing->told_at || is_over_for_others(judge, service);
    fo_change_t change = {
        .kind = is_first ? FO_CHANGE_OUTAGE : FO_CHANGE_OUTAGE_LASTS,
        .service = service,
        .endpoint = endpoint,
        .report = &judge->healths[endpoint->index].failure,
    };

    if (standing->word.state == FO_SERVICE_UP)
        return;
    if (is_first)
        change.is_news = is_alone(judge) ||
                         (!judge->follows && fo_news_outage(judge->shared, service, now));
    else if (!is_due_again(judge, service, now, &change))
        return;
    standing->told_at = now;
    fo_judge_tell(judge, &change);
}

static void keep_down(fo_judge_t *judge, const fo_endpoint_t *endpoint, const fo_report_t *report,
                      apr_time_t now)
{
    standing_t *standing = standing_of(judge, endpoint);

    if (standing->word.state == FO_SERVICE_UP) {
        standing->down_at = now;
        change_word(judge, endpoint->service, FO_SERVICE_DOWN, report, now);
    }
    write_row(judge, endpoint);
    fo_judge_remind(judge, endpoint, now);
}

static bool is_news_that_it_is_back(const fo_judge_t *judge, const fo_service_t *service,
                                    bool was_down, apr_time_t now, apr_interval_time_t *ret_lasted)
{
    if (is_alone(judge))
        return was_down;
    if (judge->follows)
        return false;
    return judge->plan->ways.lease
               ? fo_news_close(judge->shared, service, now, ret_lasted)
               : fo_news_recovery(judge->shared, service, judge->slot, now, ret_lasted);
}

/* A child that never saw it down may be the one to say that it is back, if those that did died. */
static void bring_back(fo_judge_t *judge, const fo_endpoint_t *endpoint, const fo_report_t *report,
                       apr_time_t now)
{
    const fo_service_t *service = endpoint->service;
    standing_t *standing = standing_of(judge, endpoint);
    bool was_down = standing->word.state != FO_SERVICE_UP;
    fo_change_t change = {
        .kind = FO_CHANGE_RECOVERY,
        .service = service,
        .endpoint = endpoint,
        .report = report,
        .lasted = now - standing->down_at,
    };

    if (was_down)
        change_word(judge, service, FO_SERVICE_UP, report, now);
    standing->down_at = 0;
    standing->told_at = 0;
    write_row(judge, endpoint);
    change.is_news = is_news_that_it_is_back(judge, service, was_down, now, &change.lasted);
    if (was_down || change.is_news)
        fo_judge_tell(judge, &change);
}

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

    if (report->verdict == FO_VERDICT_LOGIN && !health->login_warned)
        fo_judge_tell(judge, &change);
    if (fo_judge_has_passed(report))
        health->login_warned = report->verdict == FO_VERDICT_LOGIN;
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

bool fo_judge_answer(fo_judge_t *judge, const fo_endpoint_t *endpoint, const fo_report_t *report,
                     apr_time_t pinged_at, apr_time_t now)
{
    fo_health_t *health = &judge->healths[endpoint->index];
    fo_state_e before = health->state;
    bool has_passed = fo_judge_has_passed(report), is_usable;

    judge->follows = false;
    health->last = *report;
    judge_login(judge, endpoint, report);
    if (report->verdict == FO_VERDICT_BUSY && !endpoint->target->busy_fails) {
        fo_judge_remind(judge, endpoint, now);
        return false;
    }
    note_ping(judge, endpoint, report, pinged_at);
    if (!has_passed)
        health->failure = *report;
    fo_doubt_step(judge->doubt, endpoint, has_passed, now);
    if (health->state != before)
        judge->rows[endpoint->index].since_at = now;
    is_usable = fo_state_is_usable(health->state);
    if (is_usable && has_passed)
        bring_back(judge, endpoint, report, now);
    else if (!is_usable && !has_passed)
        keep_down(judge, endpoint, report, now);
    else
        write_row(judge, endpoint);
    return is_usable != fo_state_is_usable(before);
}

/* The threshold and the logging of it are the other's; what is told here is told as its sibling. */
void fo_judge_follow(fo_judge_t *judge, const fo_endpoint_t *endpoint, const fo_row_t *row,
                     apr_time_t now)
{
    fo_health_t *health = &judge->healths[endpoint->index];
    const standing_t *standing = standing_of(judge, endpoint);
    fo_row_t *own = &judge->rows[endpoint->index];

    judge->follows = true;
    if (row->pinged_at == own->pinged_at && row->state == own->state)
        return;
    set_state(judge, endpoint, (fo_state_e)row->state, row->since_at);
    own->verdict = row->verdict;
    own->is_inherited = 1;
    own->pinged_at = row->pinged_at;
    own->due_at = row->due_at;
    own->took = row->took;
    if (!fo_state_is_usable(health->state)) {
        recall_failure(judge, judge->shared, endpoint);
        keep_down(judge, endpoint, &health->failure, now);
    } else if (health->state == FO_STATE_UP || standing->word.state != FO_SERVICE_UP) {
        bring_back(judge, endpoint, &health->last, now);
    } else { /* failing: that is no end of an outage that others have told of */
        write_row(judge, endpoint);
    }
}

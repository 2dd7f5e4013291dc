#include "core/fo_monitor.h"

#include "core/fo_report.h"

#include <stdatomic.h>

/* A ping that found no place looks again after some 10 ms, then 20, 40, ... 160. */
#define RETRY_FIRST ((apr_interval_time_t)10 * 1000)
#define RETRY_DOUBLINGS 4

/* By how much a place outlives what its ping may take. */
#define CELL_MARGIN ((apr_interval_time_t)200 * 1000)

/* One check's pings. */
typedef struct course_t {
    apr_time_t started_at; /* of the last ping; 0: none yet */
    fo_draw_t draw;        /* made at that start */
    bool is_under_way;
    bool is_queued;          /* waits for a place */
    bool is_hurried;         /* an error or a hint asks for a ping */
    bool is_hinted;          /* a hint alone does */
    unsigned hint;           /* the last that was heard */
    fo_cell_t cell;          /* of the ping under way */
    apr_time_t retry_at;     /* it found no place before; 0: it did not look for one */
    unsigned refusals;       /* of a place, in a row */
    bool is_unanswered;      /* the last ping got no answer: nobody waits for the next */
    bool is_slow;            /* the last one that counted ran out of time */
    int discards;            /* in a row */
    apr_time_t self_told_at; /* when discards were last told of; 0: never */
    apr_uint64_t self_count; /* since then */
} course_t;

/* One service's outage. */
typedef struct standing_t {
    fo_word_t word;
    apr_time_t down_at;     /* 0: up */
    apr_time_t notified_at; /* when the outage was last logged; 0: not yet */
} standing_t;

struct fo_monitor_t {
    const fo_plan_t *plan;
    fo_board_t *board;
    fo_shared_t *shared;  /* NULL: no siblings */
    unsigned hints_heard; /* the count up to which that has happened */
    fo_observer_fn observer;
    void *baton;
    fo_health_t *healths;  /* by endpoint */
    course_t *courses;     /* by check */
    standing_t *standings; /* by service */
    apr_time_t *due_at;    /* by check: working space */
    apr_uint64_t random;
};

fo_monitor_t *fo_monitor_make(const fo_plan_t *plan, fo_board_t *board, apr_uint64_t seed,
                              fo_observer_fn observer, void *baton, apr_pool_t *pool)
{
    fo_monitor_t *monitor = apr_pcalloc(pool, sizeof(*monitor));

    monitor->plan = plan;
    monitor->board = board;
    monitor->observer = observer;
    monitor->baton = baton;
    monitor->random = seed;
    monitor->healths = apr_pcalloc(pool,
                                   sizeof(fo_health_t) * (size_t)(plan->endpoints->nelts + 1));
    monitor->courses = apr_pcalloc(pool, sizeof(course_t) * (size_t)(plan->checks->nelts + 1));
    monitor->standings = apr_pcalloc(pool,
                                     sizeof(standing_t) * (size_t)(plan->services->nelts + 1));
    monitor->due_at = apr_pcalloc(pool, sizeof(apr_time_t) * (size_t)(plan->checks->nelts + 1));
    return monitor;
}

void fo_monitor_join(fo_monitor_t *monitor, fo_shared_t *shared)
{
    monitor->shared = shared;
    monitor->hints_heard = atomic_load(fo_shared_count(shared));
    fo_board_join(monitor->board, shared);
    for (unsigned i = 0; i < (unsigned)monitor->plan->checks->nelts; i++)
        monitor->courses[i].hint = fo_shared_hint(shared, i);
}

const fo_health_t *fo_monitor_health(const fo_monitor_t *monitor, const fo_endpoint_t *endpoint)
{
    return &monitor->healths[endpoint->index];
}

/* In [0, 1): Vigna's splitmix64, good from any seed; it parts children from each other, no more. */
static double draw_random(fo_monitor_t *monitor)
{
    apr_uint64_t bits = monitor->random += 0x9e3779b97f4a7c15;

    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    bits ^= bits >> 31;
    return (double)(bits >> 11) / (double)((apr_uint64_t)1 << 53);
}

static bool is_any_usable(const fo_monitor_t *monitor, const fo_check_t *check)
{
    for (unsigned i = 0; i < (unsigned)check->endpoints->nelts; i++)
        if (fo_state_is_usable(monitor->healths[fo_check_endpoint(check, i)->index].state))
            return true;
    return false;
}

static bool is_final(const course_t *course)
{
    return course->discards >= FO_DISCARDS_MAX;
}

/* What a sibling found down is not given the time of what works. */
static apr_interval_time_t timeout_of(const fo_monitor_t *monitor, const fo_check_t *check)
{
    const course_t *course = &monitor->courses[check->index];
    bool is_long = is_any_usable(monitor, check) && !course->is_hinted;
    apr_interval_time_t timeout = is_long ? check->timeout_up : check->timeout_down;

    return is_final(course) ? 2 * timeout : timeout;
}

/* Whether this trigger asks for pings of the endpoint at all. */
static bool is_wanted(const fo_monitor_t *monitor, const course_t *course,
                      const fo_endpoint_t *endpoint, fo_trigger_e trigger)
{
    switch (trigger) {
    case FO_TRIGGER_OUTAGES:
        return monitor->standings[endpoint->service->index].word.state != FO_SERVICE_UP;
    case FO_TRIGGER_TIMER:
        return course->is_hurried || course->retry_at ||
               monitor->healths[endpoint->index].state == FO_STATE_FAILING;
    default:
        return true;
    }
}

apr_time_t fo_monitor_due_at(const fo_monitor_t *monitor, const fo_check_t *check,
                             fo_trigger_e trigger)
{
    const course_t *course = &monitor->courses[check->index];
    apr_interval_time_t shortest = FO_NEVER;

    if (course->is_under_way || course->is_queued)
        return FO_NEVER;
    for (unsigned i = 0; i < (unsigned)check->endpoints->nelts; i++) {
        const fo_endpoint_t *endpoint = fo_check_endpoint(check, i);
        const fo_health_t *health = &monitor->healths[endpoint->index];
        const fo_policy_t *policy = &endpoint->service->policy;
        if (!is_wanted(monitor, course, endpoint, trigger))
            continue;
        apr_interval_time_t span = fo_schedule_span(policy, health, false, &course->draw);
        if (course->is_hurried || course->discards > 0) {
            apr_interval_time_t hurry = fo_schedule_span(policy, health, true, &course->draw);
            span = hurry < span ? hurry : span;
        }
        if (span < shortest)
            shortest = span;
    }
    if (shortest == FO_NEVER)
        return FO_NEVER;
    return course->retry_at ? course->retry_at : fo_schedule_due_at(course->started_at, shortest);
}

apr_time_t fo_monitor_next_at(const fo_monitor_t *monitor, fo_trigger_e trigger)
{
    apr_time_t first = FO_NEVER;

    for (unsigned i = 0; i < (unsigned)monitor->plan->checks->nelts; i++) {
        apr_time_t due_at = fo_monitor_due_at(monitor, fo_plan_check_at(monitor->plan, i), trigger);
        if (due_at < first)
            first = due_at;
    }
    return first;
}

void fo_monitor_queue(fo_monitor_t *monitor, const fo_check_t *check)
{
    monitor->courses[check->index].is_queued = true;
}

/* Long enough for whatever a ping of that time may take: an ask waits for its worker as well. */
static apr_time_t cell_until(apr_time_t now, apr_interval_time_t timeout)
{
    return now + 2 * timeout + CELL_MARGIN;
}

static apr_interval_time_t retry_span(fo_monitor_t *monitor, unsigned refusals)
{
    apr_interval_time_t span = RETRY_FIRST
                               << (refusals < RETRY_DOUBLINGS ? refusals : RETRY_DOUBLINGS);

    return span / 2 + (apr_interval_time_t)(draw_random(monitor) * (double)span);
}

bool fo_monitor_enter(fo_monitor_t *monitor, const fo_check_t *check, apr_time_t now)
{
    course_t *course = &monitor->courses[check->index];

    if (!monitor->shared)
        return true;
    course->cell = fo_shared_enter(monitor->shared, check->index, now,
                                   cell_until(now, timeout_of(monitor, check)));
    if (course->cell.cell >= 0)
        return true;
    course->is_queued = false;
    course->retry_at = now + retry_span(monitor, course->refusals++);
    return false;
}

static void leave(fo_monitor_t *monitor, const fo_check_t *check)
{
    course_t *course = &monitor->courses[check->index];

    course->is_under_way = false;
    if (monitor->shared)
        fo_shared_leave(monitor->shared, check->index, course->cell);
    course->cell.cell = -1;
}

void fo_monitor_give_up(fo_monitor_t *monitor, const fo_check_t *check)
{
    leave(monitor, check);
}

fo_ping_t fo_monitor_start(fo_monitor_t *monitor, const fo_check_t *check, apr_time_t now)
{
    course_t *course = &monitor->courses[check->index];
    fo_ping_t ping = {
        .check = check,
        .timeout = timeout_of(monitor, check),
        .is_awaited = is_any_usable(monitor, check) && !course->is_unanswered,
        .is_final = is_final(course),
        .is_slow = course->is_slow,
    };
    const double random[2] = { draw_random(monitor), draw_random(monitor) };

    /* The first endpoint's policy rules: equal checks of services with different spreads share. */
    course->draw = fo_schedule_draw(&fo_check_endpoint(check, 0)->service->policy,
                                    course->started_at == 0, random);
    course->started_at = now;
    course->is_under_way = true;
    course->is_queued = false;
    course->is_hurried = false;
    course->is_hinted = false;
    course->retry_at = 0;
    course->refusals = 0;
    course->is_unanswered = true;
    return ping;
}

static void tell(fo_monitor_t *monitor, const fo_change_t *change)
{
    if (monitor->observer)
        monitor->observer(monitor->baton, change);
}

static void set_word(fo_monitor_t *monitor, const fo_service_t *service, fo_service_state_e state,
                     const fo_report_t *report, apr_time_t now)
{
    standing_t *standing = &monitor->standings[service->index];
    fo_detail_t detail = { .since_at = now };

    standing->word.state = state;
    standing->word.epoch++;
    if (state != FO_SERVICE_UP)
        fo_report_text(report, detail.reason, sizeof(detail.reason));
    fo_board_publish(monitor->board, service, standing->word, &detail);
}

/* Says that the outage lasts, when it is time to; for the first time: that there is one. */
static void remind(fo_monitor_t *monitor, const fo_endpoint_t *endpoint, apr_time_t now)
{
    const fo_service_t *service = endpoint->service;
    standing_t *standing = &monitor->standings[service->index];
    fo_change_t change = {
        .kind = standing->notified_at ? FO_CHANGE_OUTAGE_LASTS : FO_CHANGE_OUTAGE,
        .service = service,
        .endpoint = endpoint,
        .report = &monitor->healths[endpoint->index].failure,
        .lasted = now - standing->down_at,
    };

    if (standing->word.state == FO_SERVICE_UP ||
        (standing->notified_at &&
         now - standing->notified_at < service->policy.value[FO_POLICY_LOGGING]))
        return;
    standing->notified_at = now;
    tell(monitor, &change);
}

static void keep_down(fo_monitor_t *monitor, const fo_endpoint_t *endpoint,
                      const fo_report_t *report, apr_time_t now)
{
    standing_t *standing = &monitor->standings[endpoint->service->index];

    if (standing->word.state == FO_SERVICE_UP) {
        standing->down_at = now;
        set_word(monitor, endpoint->service, FO_SERVICE_DOWN, report, now);
    }
    remind(monitor, endpoint, now);
}

static void bring_back(fo_monitor_t *monitor, const fo_endpoint_t *endpoint,
                       const fo_report_t *report, apr_time_t now)
{
    standing_t *standing = &monitor->standings[endpoint->service->index];
    fo_change_t change = {
        .kind = FO_CHANGE_RECOVERY,
        .service = endpoint->service,
        .endpoint = endpoint,
        .report = report,
        .lasted = now - standing->down_at,
    };

    if (standing->word.state == FO_SERVICE_UP)
        return;
    set_word(monitor, endpoint->service, FO_SERVICE_UP, report, now);
    standing->down_at = 0;
    standing->notified_at = 0;
    tell(monitor, &change);
}

/* One warning until the credentials work again. */
static void judge_login(fo_monitor_t *monitor, const fo_endpoint_t *endpoint,
                        const fo_report_t *report)
{
    fo_health_t *health = &monitor->healths[endpoint->index];
    fo_change_t change = {
        .kind = FO_CHANGE_LOGIN,
        .service = endpoint->service,
        .endpoint = endpoint,
        .report = report,
    };

    if (report->verdict == FO_VERDICT_LOGIN && !health->login_warned)
        tell(monitor, &change);
    if (report->verdict == FO_VERDICT_LOGIN || report->verdict == FO_VERDICT_PASS)
        health->login_warned = report->verdict == FO_VERDICT_LOGIN;
}

static bool has_passed(const fo_report_t *report)
{
    return report->verdict == FO_VERDICT_PASS || report->verdict == FO_VERDICT_LOGIN;
}

/*
 * An answer that counts; one that says "busy" leaves everything as it is. True: the endpoint fell
 * or recovered.
 */
static bool judge(fo_monitor_t *monitor, const fo_endpoint_t *endpoint, const fo_report_t *report,
                  apr_time_t now)
{
    fo_health_t *health = &monitor->healths[endpoint->index];
    bool was_usable = fo_state_is_usable(health->state), is_usable;

    health->last = *report;
    judge_login(monitor, endpoint, report);
    if (report->verdict == FO_VERDICT_BUSY && !endpoint->check->busy_fails) {
        remind(monitor, endpoint, now);
        return false;
    }
    if (!has_passed(report))
        health->failure = *report;
    fo_health_step(health, &endpoint->service->policy, has_passed(report));
    is_usable = fo_state_is_usable(health->state);
    if (is_usable)
        bring_back(monitor, endpoint, report, now);
    else if (!has_passed(report))
        keep_down(monitor, endpoint, report, now);
    return is_usable != was_usable;
}

static void discard(fo_monitor_t *monitor, const fo_check_t *check, const fo_report_t *report,
                    apr_time_t now)
{
    course_t *course = &monitor->courses[check->index];
    const fo_endpoint_t *endpoint = fo_check_endpoint(check, 0);
    fo_change_t change = {
        .kind = FO_CHANGE_SELF,
        .service = endpoint->service,
        .endpoint = endpoint,
        .report = report,
    };

    course->discards++;
    course->self_count++;
    for (unsigned i = 0; i < (unsigned)check->endpoints->nelts; i++)
        remind(monitor, fo_check_endpoint(check, i), now);
    if (course->self_told_at && now - course->self_told_at < FO_SELF_LOGGING)
        return;
    change.discards = course->self_count;
    course->self_told_at = now;
    course->self_count = 0;
    tell(monitor, &change);
}

/* Some service sees it otherwise than that. */
static bool is_news(const fo_monitor_t *monitor, const fo_check_t *check, bool is_down)
{
    for (unsigned i = 0; i < (unsigned)check->endpoints->nelts; i++)
        if (fo_state_is_usable(monitor->healths[fo_check_endpoint(check, i)->index].state) ==
            is_down)
            return true;
    return false;
}

void fo_monitor_answer(fo_monitor_t *monitor, const fo_check_t *check, const fo_report_t *report,
                       apr_time_t now)
{
    course_t *course = &monitor->courses[check->index];
    bool has_moved = false;

    leave(monitor, check);
    if (report->verdict == FO_VERDICT_SELF) {
        discard(monitor, check, report, now);
        return;
    }
    course->discards = 0;
    course->is_slow = fo_report_is_timeout(report);
    course->is_unanswered = course->is_slow;
    for (unsigned i = 0; i < (unsigned)check->endpoints->nelts; i++)
        has_moved |= judge(monitor, fo_check_endpoint(check, i), report, now);
    if (has_moved && monitor->shared)
        course->hint = fo_shared_tell(monitor->shared, check->index, !has_passed(report));
    if (course->is_hinted && !is_news(monitor, check, course->hint & FO_HINT_DOWN))
        course->is_hurried = course->is_hinted = false; /* a hint that came meanwhile said so too */
}

void fo_monitor_hurry(fo_monitor_t *monitor, const fo_check_t *check)
{
    monitor->courses[check->index].is_hurried = true;
    monitor->courses[check->index].is_hinted = false;
}

static void hear_hint(fo_monitor_t *monitor, const fo_check_t *check)
{
    course_t *course = &monitor->courses[check->index];
    unsigned hint = fo_shared_hint(monitor->shared, check->index);

    if (hint == course->hint)
        return;
    course->hint = hint;
    if (course->is_hurried || !is_news(monitor, check, hint & FO_HINT_DOWN))
        return;
    course->is_hurried = true;
    course->is_hinted = true;
}

void fo_monitor_hear_hints(fo_monitor_t *monitor)
{
    unsigned count;

    if (!monitor->shared)
        return;
    count = atomic_load(fo_shared_count(monitor->shared));
    if (count == monitor->hints_heard)
        return;
    monitor->hints_heard = count;
    for (unsigned i = 0; i < (unsigned)monitor->plan->checks->nelts; i++)
        hear_hint(monitor, fo_plan_check_at(monitor->plan, i));
    fo_board_hints_heard(monitor->board, count);
}

static apr_time_t scope_due_at(const fo_scope_t *scope, const apr_time_t *due_at)
{
    apr_time_t first = FO_NEVER;

    for (unsigned i = 0; i < (unsigned)scope->services->nelts; i++) {
        const fo_service_t *service = fo_scope_service(scope, i);
        for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
            apr_time_t at = due_at[fo_service_endpoint(service, rank)->check->index];
            if (at < first)
                first = at;
        }
    }
    return first;
}

void fo_monitor_publish_due(fo_monitor_t *monitor, fo_trigger_e trigger)
{
    const fo_plan_t *plan = monitor->plan;

    for (unsigned i = 0; i < (unsigned)plan->checks->nelts; i++)
        monitor->due_at[i] = fo_monitor_due_at(monitor, fo_plan_check_at(plan, i), trigger);
    for (unsigned i = 0; i < (unsigned)plan->scopes->nelts; i++) {
        const fo_scope_t *scope = fo_plan_scope_at(plan, i);
        fo_board_publish_due(monitor->board, scope, trigger, scope_due_at(scope, monitor->due_at));
    }
}

#include "core/fo_monitor.h"

#include "core/fo_heritage.h"
#include "core/fo_lease.h"
#include "core/fo_record.h"
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
    apr_time_t first_at;   /* when the first is due, where a state was inherited; 0: by a request */
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

struct fo_monitor_t {
    const fo_plan_t *plan;
    fo_board_t *board;
    fo_judge_t *judge;
    fo_shared_t *shared; /* NULL: no siblings */
    fo_leader_t leader;
    unsigned hints_heard; /* the count up to which that has happened */
    course_t *courses;    /* by check */
    apr_time_t *due_at;   /* by check: working space */
    apr_uint64_t random;
};

fo_monitor_t *fo_monitor_make(const fo_plan_t *plan, fo_board_t *board, apr_uint64_t seed,
                              fo_observer_fn observer, void *baton, apr_pool_t *pool)
{
    fo_monitor_t *monitor = apr_pcalloc(pool, sizeof(*monitor));

    monitor->plan = plan;
    monitor->board = board;
    monitor->judge = fo_judge_make(plan, board, observer, baton, pool);
    monitor->leader.slot = FO_SLOT_NONE;
    monitor->leader.is_leading = true;
    monitor->random = seed;
    monitor->courses = apr_pcalloc(pool, sizeof(course_t) * (size_t)(plan->checks->nelts + 1));
    monitor->due_at = apr_pcalloc(pool, sizeof(apr_time_t) * (size_t)(plan->checks->nelts + 1));
    return monitor;
}

void fo_monitor_join(fo_monitor_t *monitor, fo_shared_t *shared, int slot)
{
    monitor->shared = shared;
    monitor->leader = (fo_leader_t){
        .shared = shared,
        .slot = slot,
        .generation = monitor->plan->generation,
        .span = monitor->plan->ways.lease,
        .is_leading = monitor->plan->ways.lease == 0,
    };
    monitor->hints_heard = atomic_load(fo_shared_count(shared));
    fo_judge_join(monitor->judge, shared, slot);
    fo_board_join(monitor->board, shared);
    for (unsigned i = 0; i < (unsigned)monitor->plan->checks->nelts; i++)
        monitor->courses[i].hint = fo_shared_hint(shared, fo_plan_check_at(monitor->plan, i)->seat);
}

const fo_health_t *fo_monitor_health(const fo_monitor_t *monitor, const fo_endpoint_t *endpoint)
{
    return fo_judge_health(monitor->judge, endpoint);
}

static bool inherit_check(fo_monitor_t *monitor, const fo_shared_t *shared, const fo_check_t *check,
                          apr_time_t now)
{
    bool has_all = true;

    for (unsigned i = 0; i < (unsigned)check->endpoints->nelts; i++) {
        const fo_endpoint_t *endpoint = fo_check_endpoint(check, i);
        fo_row_t row;
        if (fo_heritage_find(shared, endpoint, now, &row))
            fo_judge_inherit(monitor->judge, shared, endpoint, &row);
        else
            has_all = false;
    }
    return has_all;
}

void fo_monitor_inherit(fo_monitor_t *monitor, const fo_shared_t *shared, apr_time_t now)
{
    for (unsigned i = 0; monitor->plan->ways.inherits && i < (unsigned)monitor->plan->checks->nelts;
         i++) {
        const fo_check_t *check = fo_plan_check_at(monitor->plan, i);
        const fo_policy_t *policy = &fo_check_endpoint(check, 0)->service->policy;
        if (inherit_check(monitor, shared, check, now))
            monitor->courses[i].first_at = now + fo_schedule_first(policy, fo_schedule_random(
                                                                               &monitor->random));
    }
}

static bool is_any_usable(const fo_monitor_t *monitor, const fo_check_t *check)
{
    for (unsigned i = 0; i < (unsigned)check->endpoints->nelts; i++)
        if (fo_state_is_usable(fo_monitor_health(monitor, fo_check_endpoint(check, i))->state))
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

static bool is_first_by_itself(const course_t *course)
{
    return course->started_at == 0 && course->first_at;
}

/* Whether this trigger asks for pings of the endpoint at all. */
static bool is_wanted(const fo_monitor_t *monitor, const course_t *course,
                      const fo_endpoint_t *endpoint, fo_trigger_e trigger)
{
    switch (trigger) {
    case FO_TRIGGER_OUTAGES:
        return fo_judge_state(monitor->judge, endpoint->service) != FO_SERVICE_UP;
    case FO_TRIGGER_TIMER:
        return monitor->plan->ways.by_timer || monitor->plan->ways.lease || course->is_hurried ||
               course->retry_at || is_first_by_itself(course) ||
               fo_monitor_health(monitor, endpoint)->state == FO_STATE_FAILING;
    default:
        return true;
    }
}

apr_time_t fo_monitor_due_at(const fo_monitor_t *monitor, const fo_check_t *check,
                             fo_trigger_e trigger)
{
    const course_t *course = &monitor->courses[check->index];
    apr_interval_time_t shortest = FO_NEVER;

    if (course->is_under_way || course->is_queued || !monitor->leader.is_leading)
        return FO_NEVER;
    for (unsigned i = 0; i < (unsigned)check->endpoints->nelts; i++) {
        const fo_endpoint_t *endpoint = fo_check_endpoint(check, i);
        const fo_health_t *health = fo_monitor_health(monitor, endpoint);
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
    if (course->retry_at)
        return course->retry_at;
    if (is_first_by_itself(course) && !course->is_hurried)
        return course->first_at;
    return fo_schedule_due_at(course->started_at, shortest);
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

    return span / 2 + (apr_interval_time_t)(fo_schedule_random(&monitor->random) * (double)span);
}

bool fo_monitor_enter(fo_monitor_t *monitor, const fo_check_t *check, apr_time_t now)
{
    course_t *course = &monitor->courses[check->index];

    if (!monitor->shared)
        return true;
    course->cell = fo_shared_enter(monitor->shared, check->seat, now,
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
    course->is_queued = false;
    if (monitor->shared && course->cell.cell >= 0)
        fo_shared_leave(monitor->shared, check->seat, course->cell);
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
    const double random[2] = { fo_schedule_random(&monitor->random),
                               fo_schedule_random(&monitor->random) };

    /* The first endpoint's policy rules. What brings all children to it lets them part again. */
    course->draw = fo_schedule_draw(&fo_check_endpoint(check, 0)->service->policy,
                                    course->started_at == 0 || course->is_hurried, random);
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
        fo_judge_remind(monitor->judge, fo_check_endpoint(check, i), now);
    if (course->self_told_at && now - course->self_told_at < FO_SELF_LOGGING)
        return;
    change.discards = course->self_count;
    course->self_told_at = now;
    course->self_count = 0;
    fo_judge_tell(monitor->judge, &change);
}

/* Some service sees it otherwise than that. */
static bool is_news(const fo_monitor_t *monitor, const fo_check_t *check, bool is_down)
{
    for (unsigned i = 0; i < (unsigned)check->endpoints->nelts; i++)
        if (fo_state_is_usable(fo_monitor_health(monitor, fo_check_endpoint(check, i))->state) ==
            is_down)
            return true;
    return false;
}

/* What people are told of the next ping. */
static void publish_course(fo_monitor_t *monitor, const fo_check_t *check)
{
    apr_time_t due_at = fo_monitor_due_at(monitor, check, FO_TRIGGER_REQUEST);

    for (unsigned i = 0; i < (unsigned)check->endpoints->nelts; i++)
        fo_judge_publish_due(monitor->judge, fo_check_endpoint(check, i), due_at);
}

static void judge_all(fo_monitor_t *monitor, const fo_check_t *check, const fo_report_t *report,
                      apr_time_t now)
{
    course_t *course = &monitor->courses[check->index];
    bool has_moved = false;

    course->discards = 0;
    course->is_slow = fo_report_is_timeout(report);
    course->is_unanswered = course->is_slow;
    for (unsigned i = 0; i < (unsigned)check->endpoints->nelts; i++)
        has_moved |= fo_judge_answer(monitor->judge, fo_check_endpoint(check, i), report,
                                     course->started_at, now);
    if (has_moved && monitor->shared)
        course->hint = fo_shared_tell(monitor->shared, check->seat, !fo_judge_has_passed(report),
                                      now);
    if (course->is_hinted && !is_news(monitor, check, course->hint & FO_HINT_DOWN))
        course->is_hurried = course->is_hinted = false; /* a hint that came meanwhile said so too */
}

void fo_monitor_announce(fo_monitor_t *monitor, const fo_check_t *check, const fo_report_t *report,
                         apr_time_t now)
{
    fo_doubt_t *doubt = fo_judge_doubt(monitor->judge);

    if (!fo_doubt_hear(doubt, check, report, now))
        return;
    for (unsigned i = 0; i < (unsigned)monitor->plan->checks->nelts; i++)
        if (fo_doubt_takes_back(doubt, fo_plan_check_at(monitor->plan, i), now))
            fo_monitor_hurry(monitor, fo_plan_check_at(monitor->plan, i));
}

void fo_monitor_answer(fo_monitor_t *monitor, const fo_check_t *check, const fo_report_t *report,
                       apr_time_t now)
{
    leave(monitor, check);
    fo_monitor_announce(monitor, check, report, now);
    if (monitor->shared)
        fo_record_add(monitor->shared, check->seat, report, now);
    if (report->verdict == FO_VERDICT_SELF)
        discard(monitor, check, report, now);
    else
        judge_all(monitor, check, report, now);
    publish_course(monitor, check);
}

bool fo_monitor_hurry(fo_monitor_t *monitor, const fo_check_t *check)
{
    if (!monitor->leader.is_leading) {
        fo_shared_suspect(monitor->shared, check->seat);
        return false;
    }
    monitor->courses[check->index].is_hurried = true;
    monitor->courses[check->index].is_hinted = false;
    publish_course(monitor, check);
    return true;
}

static void hear_hint(fo_monitor_t *monitor, const fo_check_t *check)
{
    course_t *course = &monitor->courses[check->index];
    unsigned hint = fo_shared_hint(monitor->shared, check->seat);

    if (hint == course->hint)
        return;
    course->hint = hint;
    if (course->is_hurried || !is_news(monitor, check, hint & FO_HINT_DOWN))
        return;
    course->is_hurried = true;
    course->is_hinted = true;
}

/* If this child is the next to ping for all, the rhythm goes on; a new one first pings itself. */
static void follow(fo_monitor_t *monitor, apr_time_t now)
{
    fo_lease_t lease = fo_lease_read(monitor->shared);

    if (lease.slot == FO_SLOT_NONE || (unsigned)lease.slot >= fo_slot_count(monitor->shared))
        return;
    for (unsigned i = 0; i < (unsigned)monitor->plan->endpoints->nelts; i++) {
        const fo_endpoint_t *endpoint = fo_plan_endpoint(monitor->plan, i);
        fo_row_t row;
        if (!fo_row_read(monitor->shared, (unsigned)lease.slot, endpoint->seat, &row) ||
            !row.pinged_at)
            continue;
        course_t *course = &monitor->courses[endpoint->check->index];
        fo_judge_follow(monitor->judge, endpoint, &row, now);
        if (course->first_at <= now)
            course->started_at = row.pinged_at;
        course->draw = fo_schedule_exact();
    }
}

void fo_monitor_hear_hints(fo_monitor_t *monitor, apr_time_t now)
{
    unsigned count;

    if (!monitor->shared)
        return;
    count = atomic_load(fo_shared_count(monitor->shared));
    if (!monitor->leader.is_leading)
        follow(monitor, now);
    else if (count == monitor->hints_heard)
        return;
    monitor->hints_heard = count;
    for (unsigned i = 0; monitor->leader.is_leading && i < (unsigned)monitor->plan->checks->nelts;
         i++)
        hear_hint(monitor, fo_plan_check_at(monitor->plan, i));
    fo_board_hints_heard(monitor->board, count);
}

void fo_monitor_hear_suspects(fo_monitor_t *monitor)
{
    if (!monitor->plan->ways.lease || !monitor->leader.is_leading)
        return;
    for (unsigned i = 0; i < (unsigned)monitor->plan->checks->nelts; i++) {
        const fo_check_t *check = fo_plan_check_at(monitor->plan, i);
        if (fo_shared_take_suspect(monitor->shared, check->seat))
            fo_monitor_hurry(monitor, check);
    }
}

apr_time_t fo_monitor_lead_at(const fo_monitor_t *monitor)
{
    return fo_leader_look_at(&monitor->leader);
}

bool fo_monitor_lead(fo_monitor_t *monitor, apr_time_t now)
{
    return fo_leader_look(&monitor->leader, now);
}

void fo_monitor_leave(fo_monitor_t *monitor)
{
    if (monitor->shared && monitor->plan->ways.lease)
        fo_lease_give_up(monitor->shared, monitor->leader.slot);
}

void fo_monitor_beat(fo_monitor_t *monitor, apr_time_t now)
{
    if (monitor->shared)
        fo_slot_beat(monitor->shared, monitor->leader.slot, now);
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

/* Where one child pings for all, requests have nothing to trigger but a look at what it found. */
apr_time_t fo_monitor_publish_due(fo_monitor_t *monitor, fo_trigger_e trigger, apr_time_t now)
{
    const fo_plan_t *plan = monitor->plan;
    apr_time_t next_at = FO_NEVER;

    for (unsigned i = 0; i < (unsigned)plan->checks->nelts; i++)
        monitor->due_at[i] = plan->ways.lease
                                 ? FO_NEVER
                                 : fo_monitor_due_at(monitor, fo_plan_check_at(plan, i), trigger);
    for (unsigned i = 0; i < (unsigned)plan->scopes->nelts; i++) {
        const fo_scope_t *scope = fo_plan_scope_at(plan, i);
        apr_time_t due_at = scope_due_at(scope, monitor->due_at);
        fo_board_publish_due(monitor->board, scope, trigger, due_at <= now);
        if (due_at > now && due_at < next_at)
            next_at = due_at;
    }
    return next_at;
}

#include "core/fo_monitor_own.h"

#include "core/fo_record.h"
#include "core/fo_report.h"

#include <stdatomic.h>

/* By how much a place outlives what its ping may take. */
#define CELL_MARGIN ((apr_interval_time_t)200 * 1000)

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
    monitor->courses = apr_pcalloc(pool, sizeof(fo_course_t) * (size_t)(plan->targets->nelts + 1));
    monitor->due_at = apr_pcalloc(pool, sizeof(apr_time_t) * (size_t)(plan->targets->nelts + 1));
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
    for (unsigned i = 0; i < (unsigned)monitor->plan->targets->nelts; i++)
        monitor->courses[i].hint = fo_shared_hint(shared,
                                                  fo_plan_target_at(monitor->plan, i)->seat);
}

const fo_health_t *fo_monitor_health(const fo_monitor_t *monitor, const fo_endpoint_t *endpoint)
{
    return fo_judge_health(monitor->judge, endpoint);
}

static bool is_any_usable(const fo_monitor_t *monitor, const fo_target_t *target)
{
    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++)
        if (fo_state_is_usable(fo_monitor_health(monitor, fo_target_endpoint(target, i))->state))
            return true;
    return false;
}

/* What a sibling found down is not given the time of what works. */
static bool is_long(const fo_monitor_t *monitor, const fo_target_t *target)
{
    return is_any_usable(monitor, target) && !monitor->courses[target->index].is_hinted;
}

static apr_interval_time_t timeout_of(const fo_monitor_t *monitor, const fo_target_t *target)
{
    apr_interval_time_t timeout = is_long(monitor, target) ? target->timeout_up
                                                           : target->timeout_down;

    return fo_course_is_final(&monitor->courses[target->index]) ? 2 * timeout : timeout;
}

apr_interval_time_t fo_ping_timeout(const fo_ping_t *ping, const fo_check_t *check)
{
    apr_interval_time_t timeout = ping->is_long ? check->timeout_up : check->timeout_down;

    return ping->is_final ? 2 * timeout : timeout;
}

apr_time_t fo_monitor_due_at(const fo_monitor_t *monitor, const fo_target_t *target,
                             fo_trigger_e trigger)
{
    if (!monitor->leader.is_leading)
        return FO_NEVER;
    return fo_course_due_at(&monitor->courses[target->index], target, monitor->judge,
                            &monitor->plan->ways, trigger);
}

apr_time_t fo_monitor_next_at(const fo_monitor_t *monitor, fo_trigger_e trigger)
{
    apr_time_t first = FO_NEVER;

    for (unsigned i = 0; i < (unsigned)monitor->plan->targets->nelts; i++) {
        apr_time_t due_at = fo_monitor_due_at(monitor, fo_plan_target_at(monitor->plan, i),
                                              trigger);
        if (due_at < first)
            first = due_at;
    }
    return first;
}

void fo_monitor_queue(fo_monitor_t *monitor, const fo_target_t *target)
{
    monitor->courses[target->index].is_queued = true;
}

/* Long enough for whatever a ping of that time may take: an ask waits for its worker as well. */
static apr_time_t cell_until(apr_time_t now, apr_interval_time_t timeout)
{
    return now + 2 * timeout + CELL_MARGIN;
}

bool fo_monitor_enter(fo_monitor_t *monitor, const fo_target_t *target, apr_time_t now)
{
    fo_course_t *course = &monitor->courses[target->index];

    if (!monitor->shared)
        return true;
    course->cell = fo_shared_enter(monitor->shared, target->seat, now,
                                   cell_until(now, timeout_of(monitor, target)));
    if (course->cell.cell >= 0)
        return true;
    fo_course_refuse(course, fo_schedule_random(&monitor->random), now);
    return false;
}

static void leave(fo_monitor_t *monitor, const fo_target_t *target)
{
    fo_course_t *course = &monitor->courses[target->index];

    course->is_under_way = false;
    course->is_queued = false;
    if (monitor->shared && course->cell.cell >= 0)
        fo_shared_leave(monitor->shared, target->seat, course->cell);
    course->cell.cell = -1;
}

fo_ping_t fo_monitor_start(fo_monitor_t *monitor, const fo_target_t *target, apr_time_t now)
{
    fo_course_t *course = &monitor->courses[target->index];
    fo_ping_t ping = {
        .target = target,
        .timeout = timeout_of(monitor, target),
        .is_long = is_long(monitor, target),
        .is_awaited = is_any_usable(monitor, target) && !course->is_unanswered,
        .is_final = fo_course_is_final(course),
        .is_slow = course->is_slow,
    };
    const double random[2] = { fo_schedule_random(&monitor->random),
                               fo_schedule_random(&monitor->random) };

    /* The first endpoint's policy rules. */
    fo_course_start(course, &fo_target_endpoint(target, 0)->service->policy, random, now);
    return ping;
}

static void discard(fo_monitor_t *monitor, const fo_target_t *target, const fo_report_t *report,
                    apr_time_t now)
{
    fo_course_t *course = &monitor->courses[target->index];
    const fo_endpoint_t *endpoint = fo_target_endpoint(target, 0);
    fo_change_t change = {
        .kind = FO_CHANGE_SELF,
        .service = endpoint->service,
        .endpoint = endpoint,
        .report = report,
    };

    course->discards++;
    course->self_count++;
    course->is_hurried |= course->was_hurried; /* nobody asks again for what was asked for once */
    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++)
        fo_judge_discard(monitor->judge, fo_target_endpoint(target, i), now);
    if (course->self_told_at && now - course->self_told_at < FO_SELF_LOGGING)
        return;
    change.discards = course->self_count;
    course->self_told_at = now;
    course->self_count = 0;
    fo_judge_observe(monitor->judge, &change);
}

bool fo_monitor_is_news(const fo_monitor_t *monitor, const fo_target_t *target, bool is_down)
{
    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++)
        if (fo_state_is_usable(fo_monitor_health(monitor, fo_target_endpoint(target, i))->state) ==
            is_down)
            return true;
    return false;
}

void fo_monitor_publish_course(fo_monitor_t *monitor, const fo_target_t *target)
{
    apr_time_t due_at = fo_monitor_due_at(monitor, target, FO_TRIGGER_REQUEST);

    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++)
        fo_judge_publish_due(monitor->judge, fo_target_endpoint(target, i), due_at);
}

void fo_monitor_give_up(fo_monitor_t *monitor, const fo_target_t *target)
{
    leave(monitor, target);
    fo_monitor_publish_course(monitor, target);
}

static void judge_all(fo_monitor_t *monitor, const fo_target_t *target, const fo_report_t *report,
                      apr_time_t now)
{
    fo_course_t *course = &monitor->courses[target->index];
    bool has_moved = false;

    course->discards = 0;
    course->is_slow = fo_report_is_timeout(report);
    course->is_unanswered = course->is_slow;
    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++)
        has_moved |= fo_judge_answer(monitor->judge, fo_target_endpoint(target, i), report,
                                     course->started_at, now);
    if (has_moved && monitor->shared)
        course->hint = fo_shared_tell(monitor->shared, target->seat, !fo_report_is_pass(report),
                                      now);
    if (course->is_hinted && !fo_monitor_is_news(monitor, target, course->hint & FO_HINT_DOWN))
        course->is_hurried = course->is_hinted = false; /* a hint that came meanwhile said so too */
}

void fo_monitor_announce(fo_monitor_t *monitor, const fo_target_t *target,
                         const fo_report_t *report, apr_time_t now)
{
    fo_doubt_t *doubt = fo_judge_doubt(monitor->judge);

    if (!fo_doubt_hear(doubt, target, report, now))
        return;
    for (unsigned i = 0; i < (unsigned)monitor->plan->targets->nelts; i++)
        if (fo_doubt_takes_back(doubt, fo_plan_target_at(monitor->plan, i), now))
            fo_monitor_hurry(monitor, fo_plan_target_at(monitor->plan, i));
}

void fo_monitor_answer(fo_monitor_t *monitor, const fo_target_t *target, const fo_report_t *report,
                       apr_time_t now)
{
    leave(monitor, target);
    fo_monitor_answer_early(monitor, target, report, now);
}

void fo_monitor_answer_early(fo_monitor_t *monitor, const fo_target_t *target,
                             const fo_report_t *report, apr_time_t now)
{
    fo_monitor_announce(monitor, target, report, now);
    if (monitor->shared)
        fo_record_add(monitor->shared, target->seat, report, now);
    if (report->verdict == FO_VERDICT_SELF)
        discard(monitor, target, report, now);
    else
        judge_all(monitor, target, report, now);
    fo_monitor_publish_course(monitor, target);
}

bool fo_monitor_hurry(fo_monitor_t *monitor, const fo_target_t *target)
{
    if (!monitor->leader.is_leading) {
        fo_shared_suspect(monitor->shared, target->seat);
        return false;
    }
    monitor->courses[target->index].is_hurried = true;
    monitor->courses[target->index].is_hinted = false;
    fo_monitor_publish_course(monitor, target);
    return true;
}

/* True: it is left. */
static bool open_endpoint(fo_monitor_t *monitor, const fo_endpoint_t *endpoint,
                          const fo_tally_t *tally, apr_time_t now)
{
    const fo_policy_t *policy = &endpoint->service->policy;
    fo_report_t report = fo_breaker_report(policy, tally);
    apr_time_t until_at;

    if (!monitor->shared || !fo_judge_has_other(monitor->judge, endpoint, now))
        return false;
    until_at = fo_shared_open(monitor->shared, endpoint->seat, policy->value[FO_POLICY_RESET], now);
    if (!monitor->leader.is_leading) { /* the one that pings for all will see it */
        fo_shared_suspect(monitor->shared, endpoint->target->seat);
        return true;
    }
    if (!fo_judge_open(monitor->judge, endpoint, until_at, &report, now))
        return false;
    monitor->courses[endpoint->target->index].hint = fo_shared_stir(monitor->shared,
                                                                    endpoint->target->seat);
    fo_monitor_publish_course(monitor, endpoint->target);
    return true;
}

bool fo_monitor_trip(fo_monitor_t *monitor, const fo_service_t *service, const fo_tally_t *tally,
                     apr_time_t now)
{
    const fo_endpoint_t *endpoint = fo_judge_in_use(monitor->judge, service);

    if (!endpoint ||
        (service->policy.value[FO_POLICY_OPENS] && open_endpoint(monitor, endpoint, tally, now)))
        return monitor->leader.is_leading;
    return fo_monitor_hurry(monitor, endpoint->target);
}

apr_time_t fo_monitor_look_at(const fo_monitor_t *monitor)
{
    return fo_judge_look_at(monitor->judge);
}

void fo_monitor_look(fo_monitor_t *monitor, apr_time_t now)
{
    fo_judge_look(monitor->judge, now);
}

static apr_time_t scope_due_at(const fo_scope_t *scope, const apr_time_t *due_at)
{
    apr_time_t first = FO_NEVER;

    for (unsigned i = 0; i < (unsigned)scope->services->nelts; i++) {
        const fo_service_t *service = fo_scope_service(scope, i);
        for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
            apr_time_t at = due_at[fo_service_endpoint(service, rank)->target->index];
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

    for (unsigned i = 0; i < (unsigned)plan->targets->nelts; i++)
        monitor->due_at[i] = plan->ways.lease
                                 ? FO_NEVER
                                 : fo_monitor_due_at(monitor, fo_plan_target_at(plan, i), trigger);
    for (unsigned i = 0; i < (unsigned)plan->scopes->nelts; i++) {
        const fo_scope_t *scope = fo_plan_scope_at(plan, i);
        apr_time_t due_at = scope_due_at(scope, monitor->due_at);
        fo_board_publish_due(monitor->board, scope, trigger, due_at <= now);
        if (due_at > now && due_at < next_at)
            next_at = due_at;
    }
    return next_at;
}

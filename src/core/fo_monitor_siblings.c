/* What the monitor takes over from other children: states, hints, and who pings for all. */
#include "core/fo_monitor_own.h"

#include "core/fo_heritage.h"

#include <stdatomic.h>

static void inherit_service(fo_monitor_t *monitor, const fo_shared_t *shared,
                            const fo_service_t *service, apr_time_t now)
{
    fo_row_t found[FO_ENDPOINTS_MAX];
    const fo_row_t *rows[FO_ENDPOINTS_MAX] = { NULL };
    bool has_any = false;

    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++)
        if (fo_heritage_find(shared, fo_service_endpoint(service, rank), now, &found[rank])) {
            rows[rank] = &found[rank];
            has_any = true;
        }
    if (has_any)
        fo_judge_inherit(monitor->judge, shared, service, rows, now);
}

static bool has_inherited(const fo_monitor_t *monitor, const fo_target_t *target)
{
    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++)
        if (fo_monitor_health(monitor, fo_target_endpoint(target, i))->state == FO_STATE_UNKNOWN)
            return false;
    return true;
}

static void plan_first(fo_monitor_t *monitor, const fo_target_t *target, apr_time_t now)
{
    const fo_policy_t *policy = &fo_target_endpoint(target, 0)->service->policy;
    double random;

    if (!has_inherited(monitor, target))
        return;
    random = fo_schedule_random(&monitor->random);
    monitor->courses[target->index].first_at = now + fo_schedule_first(policy, random);
}

void fo_monitor_inherit(fo_monitor_t *monitor, const fo_shared_t *shared, apr_time_t now)
{
    const fo_plan_t *plan = monitor->plan;

    if (!plan->ways.inherits)
        return;
    for (unsigned i = 0; i < (unsigned)plan->services->nelts; i++)
        inherit_service(monitor, shared, fo_plan_service(plan, i), now);
    for (unsigned i = 0; i < (unsigned)plan->targets->nelts; i++)
        plan_first(monitor, fo_plan_target_at(plan, i), now);
}

/* A sibling's breaker has opened it: that holds for all. */
static bool hear_opened(fo_monitor_t *monitor, const fo_endpoint_t *endpoint, apr_time_t now)
{
    apr_time_t until_at = fo_shared_open_until(monitor->shared, endpoint->seat);
    fo_report_t report = fo_breaker_report(&endpoint->service->policy, NULL);

    if (until_at <= now || fo_judge_open_until(monitor->judge, endpoint) >= until_at ||
        !fo_judge_open(monitor->judge, endpoint, until_at, &report, now))
        return false;
    fo_monitor_publish_course(monitor, endpoint->target);
    return true;
}

static bool hear_opened_any(fo_monitor_t *monitor, const fo_target_t *target, apr_time_t now)
{
    bool is_any = false;

    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++)
        is_any |= hear_opened(monitor, fo_target_endpoint(target, i), now);
    return is_any;
}

static void hear_hint(fo_monitor_t *monitor, const fo_target_t *target, apr_time_t now)
{
    fo_course_t *course = &monitor->courses[target->index];
    unsigned hint = fo_shared_hint(monitor->shared, target->seat);

    if (hint == course->hint)
        return;
    course->hint = hint;
    if (hear_opened_any(monitor, target, now))
        return;
    if (course->is_hurried || !fo_monitor_is_news(monitor, target, hint & FO_HINT_DOWN))
        return;
    course->is_hurried = true;
    course->is_hinted = true;
}

static void follow_course(fo_course_t *course, const fo_row_t *row, apr_time_t now)
{
    if (course->first_at <= now)
        course->started_at = row->pinged_at;
    course->draw = fo_schedule_exact();
}

static void follow_service(fo_monitor_t *monitor, unsigned slot, const fo_service_t *service,
                           apr_time_t now)
{
    fo_row_t read[FO_ENDPOINTS_MAX];
    const fo_row_t *rows[FO_ENDPOINTS_MAX] = { NULL };

    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        const fo_endpoint_t *endpoint = fo_service_endpoint(service, rank);
        if (!fo_row_read(monitor->shared, slot, endpoint->seat, &read[rank]) ||
            !read[rank].pinged_at)
            continue;
        rows[rank] = &read[rank];
        follow_course(&monitor->courses[endpoint->target->index], rows[rank], now);
    }
    fo_judge_follow(monitor->judge, service, rows, now);
}

/* If this child is the next to ping for all, the rhythm goes on; a new one first pings itself. */
static void follow(fo_monitor_t *monitor, apr_time_t now)
{
    fo_lease_t lease = fo_lease_read(monitor->shared);

    if (lease.slot == FO_SLOT_NONE || (unsigned)lease.slot >= fo_slot_count(monitor->shared))
        return;
    for (unsigned i = 0; i < (unsigned)monitor->plan->services->nelts; i++)
        follow_service(monitor, (unsigned)lease.slot, fo_plan_service(monitor->plan, i), now);
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
    for (unsigned i = 0; monitor->leader.is_leading && i < (unsigned)monitor->plan->targets->nelts;
         i++)
        hear_hint(monitor, fo_plan_target_at(monitor->plan, i), now);
    fo_board_hints_heard(monitor->board, count);
}

void fo_monitor_hear_suspects(fo_monitor_t *monitor, apr_time_t now)
{
    if (!monitor->plan->ways.lease || !monitor->leader.is_leading)
        return;
    for (unsigned i = 0; i < (unsigned)monitor->plan->targets->nelts; i++) {
        const fo_target_t *target = fo_plan_target_at(monitor->plan, i);
        if (!fo_shared_take_suspect(monitor->shared, target->seat))
            continue;
        if (hear_opened_any(monitor, target, now))
            monitor->courses[i].hint = fo_shared_stir(monitor->shared, target->seat);
        else
            fo_monitor_hurry(monitor, target);
    }
}

apr_time_t fo_monitor_lead_at(const fo_monitor_t *monitor)
{
    return fo_leader_look_at(&monitor->leader);
}

/* Whoever begins to ping does not ask what a breaker has opened, in whichever child. */
bool fo_monitor_lead(fo_monitor_t *monitor, apr_time_t now)
{
    bool is_leading = fo_leader_look(&monitor->leader, now);

    for (unsigned i = 0; is_leading && !monitor->has_led && monitor->shared &&
                         i < (unsigned)monitor->plan->endpoints->nelts;
         i++)
        hear_opened(monitor, fo_plan_endpoint(monitor->plan, i), now);
    monitor->has_led = is_leading;
    return is_leading;
}

void fo_monitor_leave(fo_monitor_t *monitor)
{
    if (monitor->shared && monitor->plan->ways.lease)
        fo_lease_give_up(monitor->shared, monitor->leader.slot);
}

void fo_monitor_beat(fo_monitor_t *monitor, apr_time_t now, apr_time_t wakes_at)
{
    if (monitor->shared)
        fo_slot_beat(monitor->shared, monitor->leader.slot, now, wakes_at);
}

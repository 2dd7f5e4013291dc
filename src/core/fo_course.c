#include "core/fo_course.h"

/* Discards in a row after which a ping gets double time and counts however late we woke. */
#define DISCARDS_MAX 3

/* A ping that found no place looks again after some 10 ms, then 20, 40, ... 160. */
#define RETRY_FIRST ((apr_interval_time_t)10 * 1000)
#define RETRY_DOUBLINGS 4

bool fo_course_is_final(const fo_course_t *course)
{
    return course->discards >= DISCARDS_MAX;
}

static bool is_first_by_itself(const fo_course_t *course)
{
    return course->started_at == 0 && course->first_at;
}

/* Whether this trigger asks for pings of the endpoint at all. */
static bool is_wanted(const fo_course_t *course, const fo_endpoint_t *endpoint,
                      const fo_judge_t *judge, const fo_ways_t *ways, fo_trigger_e trigger)
{
    bool is_up = fo_judge_state(judge, endpoint->service) == FO_SERVICE_UP;
    fo_state_e state = fo_judge_health(judge, endpoint)->state;

    switch (trigger) {
    case FO_TRIGGER_OUTAGES:
        return !is_up;
    case FO_TRIGGER_TIMER:
        return ways->by_timer || ways->lease || course->is_hurried || course->retry_at ||
               is_first_by_itself(course) || state == FO_STATE_FAILING ||
               (state == FO_STATE_UNKNOWN && !is_up);
    default:
        return true;
    }
}

static apr_interval_time_t span_of(const fo_course_t *course, const fo_endpoint_t *endpoint,
                                   const fo_judge_t *judge)
{
    const fo_health_t *health = fo_judge_health(judge, endpoint);
    const fo_policy_t *policy = &endpoint->service->policy;
    apr_interval_time_t span = fo_schedule_span(policy, health, false, &course->draw);
    apr_interval_time_t hurry = span;

    if (course->is_hurried || course->discards > 0)
        hurry = fo_schedule_span(policy, health, true, &course->draw);
    return hurry < span ? hurry : span;
}

static apr_time_t due_after(const fo_course_t *course, apr_interval_time_t span)
{
    if (course->retry_at)
        return course->retry_at;
    if (is_first_by_itself(course) && !course->is_hurried)
        return course->first_at;
    return fo_schedule_due_at(course->started_at, span);
}

static apr_time_t earlier(apr_time_t one, apr_time_t other)
{
    return one < other ? one : other;
}

/* When its span is over; and if that ping came to nothing, as one after an error. */
static apr_time_t half_open_after(const fo_course_t *course, const fo_endpoint_t *endpoint,
                                  apr_time_t open_until)
{
    apr_time_t at = open_until;

    if (course->started_at >= open_until)
        at = course->started_at + endpoint->service->policy.value[FO_POLICY_ERROR];
    return course->retry_at > at ? course->retry_at : at;
}

/* What the breaker has opened is pinged by itself when its span is over, and not before. */
apr_time_t fo_course_due_at(const fo_course_t *course, const fo_target_t *target,
                            const fo_judge_t *judge, const fo_ways_t *ways, fo_trigger_e trigger)
{
    apr_interval_time_t shortest = FO_NEVER;
    apr_time_t half_open_at = FO_NEVER;

    if (course->is_under_way || course->is_queued)
        return FO_NEVER;
    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++) {
        const fo_endpoint_t *endpoint = fo_target_endpoint(target, i);
        apr_time_t open_until = fo_judge_open_until(judge, endpoint);
        apr_interval_time_t span;
        if (open_until)
            half_open_at = earlier(half_open_at, half_open_after(course, endpoint, open_until));
        if (open_until || !is_wanted(course, endpoint, judge, ways, trigger))
            continue;
        span = span_of(course, endpoint, judge);
        if (span < shortest)
            shortest = span;
    }
    return shortest == FO_NEVER ? half_open_at : earlier(half_open_at, due_after(course, shortest));
}

void fo_course_start(fo_course_t *course, const fo_policy_t *policy, const double random[2],
                     apr_time_t now)
{
    course->was_hurried = course->is_hurried || is_first_by_itself(course);
    /* What brings all children to it lets them part again. */
    course->draw = fo_schedule_draw(policy, course->started_at == 0 || course->is_hurried, random);
    course->started_at = now;
    course->is_under_way = true;
    course->is_queued = false;
    course->is_hurried = false;
    course->is_hinted = false;
    course->retry_at = 0;
    course->refusals = 0;
    course->is_unanswered = true;
}

static apr_interval_time_t retry_span(unsigned refusals, double random)
{
    apr_interval_time_t span = RETRY_FIRST
                               << (refusals < RETRY_DOUBLINGS ? refusals : RETRY_DOUBLINGS);

    return span / 2 + (apr_interval_time_t)(random * (double)span);
}

void fo_course_refuse(fo_course_t *course, double random, apr_time_t now)
{
    course->is_queued = false;
    course->retry_at = now + retry_span(course->refusals++, random);
}

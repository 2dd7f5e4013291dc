#include "probe/probe_loop.h"

#include "core/fo_report.h"
#include "probe/probe_clock.h"
#include "probe/probe_pages.h"
#include "probe/probe_queue.h"
#include "probe/probe_round.h"
#include "probe/probe_sleep.h"

#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Checks of one child under way at a time; others wait for a place, their time not yet running. */
#define LANES_MAX PROBE_SLEEP_FLIGHTS
#define CROWD 64

struct probe_loop_t {
    const fo_plan_t *plan;
    fo_monitor_t *monitor;
    probe_gate_t *gate;
    fo_alarm_t *alarm; /* NULL: nobody listens to errors */
    unsigned max_askers;
    atomic_bool is_stopping;
    probe_field_t field;
    probe_round_t *rounds[LANES_MAX];
    unsigned n_rounds;
    unsigned n_lanes; /* of all rounds */
    unsigned n_ended; /* since there was none */
    bool has_trimmed;
    probe_sleep_t sleep;
    int shared_fd;         /* by which other children wake the one that pings for all; -1: none */
    bool is_leading;       /* it pings, for itself or for all; until the first look, too */
    probe_queue_t queue;   /* of those that wait for a place */
    apr_time_t publish_at; /* when more becomes due for requests */
};

/* Requests read no clock: what they may trigger is shown to them when its time has come. */
static void publish_due(probe_loop_t *loop)
{
    apr_time_t now = probe_clock_now();
    apr_time_t all_at = fo_monitor_publish_due(loop->monitor, FO_TRIGGER_REQUEST, now);
    apr_time_t outages_at = fo_monitor_publish_due(loop->monitor, FO_TRIGGER_OUTAGES, now);

    loop->publish_at = all_at < outages_at ? all_at : outages_at;
}

/* By what addresses an error may name the target's hosts from now on. */
static void learn_addresses(void *baton, const fo_target_t *target, const probe_flight_t *flight)
{
    probe_loop_t *loop = baton;

    for (unsigned i = 0; loop->alarm && i < (unsigned)target->hosts->nelts; i++) {
        const probe_addresses_t *addresses = probe_flight_addresses(flight,
                                                                    fo_target_host(target, i));
        for (unsigned j = 0; addresses && j < FO_ALARM_ADDRESSES; j++)
            fo_alarm_learn(loop->alarm, target, i, j, j < addresses->n ? addresses->text[j] : NULL);
    }
}

probe_loop_t *probe_loop_make(const fo_plan_t *plan, fo_monitor_t *monitor, probe_gate_t *gate,
                              unsigned max_askers, apr_pool_t *pool)
{
    probe_loop_t *loop = apr_pcalloc(pool, sizeof(*loop));
    size_t n_checks = (size_t)plan->checks->nelts + 1;

    loop->plan = plan;
    loop->monitor = monitor;
    loop->gate = gate;
    loop->max_askers = max_askers;
    loop->shared_fd = -1;
    loop->is_leading = true;
    loop->queue = probe_queue_make(plan, pool);
    loop->field.calls = apr_pcalloc(pool, n_checks * sizeof(*loop->field.calls));
    loop->field.landed = learn_addresses;
    loop->field.baton = loop;
    publish_due(loop); /* now: a child's first request may come before its thread runs */
    return loop;
}

void probe_loop_listen(probe_loop_t *loop, fo_alarm_t *alarm)
{
    loop->alarm = alarm;
}

void probe_loop_share(probe_loop_t *loop, int fd)
{
    loop->shared_fd = fd;
}

void probe_loop_stop(probe_loop_t *loop)
{
    atomic_store(&loop->is_stopping, true);
    probe_gate_wake(loop->gate);
}

static void wake(void *gate)
{
    probe_gate_wake(gate);
}

static bool open_field(probe_loop_t *loop)
{
    loop->field.resolver = probe_resolver_make(loop->max_askers, wake, loop->gate);
    loop->field.askers = probe_workers_make(loop->max_askers, wake, loop->gate);
    return loop->field.resolver && loop->field.askers;
}

static void launch(probe_loop_t *loop, const fo_target_t *target, probe_ticket_t ticket,
                   apr_time_t now)
{
    fo_report_t report = { .stage = FO_STAGE_CONNECT };
    probe_round_t *round;
    fo_ping_t ping;

    if (!fo_monitor_enter(loop->monitor, target, now))
        return;
    if (loop->alarm) /* first: an error that comes from now on is news again */
        fo_alarm_lower(loop->alarm, target);
    ping = fo_monitor_start(loop->monitor, target, now);
    round = probe_round_start(&loop->field, &ping, now);
    if (!round) {
        fo_report_fill(&report, FO_VERDICT_SELF, ENOMEM, 0, NULL);
        fo_monitor_answer(loop->monitor, target, &report, now);
        return;
    }
    if (ping.is_awaited) {
        round->ticket = ticket;
        probe_gate_hold(loop->gate, ticket);
    }
    loop->rounds[loop->n_rounds++] = round;
    loop->n_lanes += round->n_lanes;
}

static bool has_room(const probe_loop_t *loop, const fo_target_t *target)
{
    return loop->n_lanes + (unsigned)target->checks->nelts <= LANES_MAX;
}

/* The request that wanted it does not wait for one that waits itself. */
static void enqueue(probe_loop_t *loop, const fo_target_t *target)
{
    fo_monitor_queue(loop->monitor, target);
    probe_queue_put(&loop->queue, target);
}

static void want(probe_loop_t *loop, const fo_target_t *target, fo_trigger_e trigger,
                 probe_ticket_t ticket, apr_time_t now)
{
    if (fo_monitor_due_at(loop->monitor, target, trigger) > now)
        return;
    if (!probe_queue_look(&loop->queue) && has_room(loop, target))
        launch(loop, target, ticket, now);
    else
        enqueue(loop, target);
}

static bool can_serve_queue(const probe_loop_t *loop)
{
    const fo_target_t *target = probe_queue_look(&loop->queue);

    return target && has_room(loop, target);
}

static void serve_queue(probe_loop_t *loop, apr_time_t now)
{
    probe_ticket_t nobody = { 0 };

    while (can_serve_queue(loop))
        launch(loop, probe_queue_take(&loop->queue), nobody, now);
}

/* The wish itself counts as one, so that its request is let go when nothing is awaited. */
static void want_scope(probe_loop_t *loop, const fo_scope_t *scope, fo_trigger_e trigger,
                       probe_ticket_t ticket, apr_time_t now)
{
    probe_gate_hold(loop->gate, ticket);
    for (unsigned i = 0; i < (unsigned)scope->services->nelts; i++) {
        const fo_service_t *service = fo_scope_service(scope, i);
        for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++)
            want(loop, fo_service_endpoint(service, rank)->target, trigger, ticket, now);
    }
    probe_gate_let_go(loop->gate, ticket);
}

static void wake_leader(const probe_loop_t *loop)
{
    apr_uint64_t one = 1;

    (void)!write(loop->shared_fd, &one, sizeof(one));
}

/* Where another child pings, it takes note there, and errors are news again here. */
static void hear_error(probe_loop_t *loop, const fo_target_t *target)
{
    if (!fo_alarm_is_raised(loop->alarm, target) || fo_monitor_hurry(loop->monitor, target))
        return;
    fo_alarm_lower(loop->alarm, target);
    wake_leader(loop);
}

static void hear_trips(probe_loop_t *loop, apr_time_t now)
{
    fo_tally_t tally;

    if (!loop->alarm || !fo_alarm_take_any_trip(loop->alarm))
        return;
    for (unsigned i = 0; i < (unsigned)loop->plan->services->nelts; i++)
        if (fo_alarm_take_trip(loop->alarm, fo_plan_service(loop->plan, i), &tally) &&
            !fo_monitor_trip(loop->monitor, fo_plan_service(loop->plan, i), &tally, now))
            wake_leader(loop);
}

static void hear_errors(probe_loop_t *loop, apr_time_t now)
{
    fo_monitor_hear_suspects(loop->monitor, now);
    hear_trips(loop, now);
    if (!loop->alarm || !fo_alarm_is_any_raised(loop->alarm))
        return;
    for (unsigned i = 0; i < (unsigned)loop->plan->targets->nelts; i++)
        hear_error(loop, fo_plan_target_at(loop->plan, i));
}

static void hear_requests(probe_loop_t *loop)
{
    apr_time_t now = probe_clock_now(); /* not earlier than any request that is heard here */
    probe_ticket_t ticket;

    for (unsigned i = 0; i < (unsigned)loop->plan->scopes->nelts; i++) {
        const fo_scope_t *scope = fo_plan_scope_at(loop->plan, i);
        for (int trigger = 0; trigger < FO_TRIGGER_TIMER; trigger++)
            if (probe_gate_take(loop->gate, scope, (fo_trigger_e)trigger, &ticket)) {
                fo_monitor_hear_hints(loop->monitor, now); /* what the request has seen of them */
                want_scope(loop, scope, (fo_trigger_e)trigger, ticket, now);
            }
    }
}

static void mind_timer(probe_loop_t *loop, apr_time_t now)
{
    probe_ticket_t nobody = { 0 };

    for (unsigned i = 0; i < (unsigned)loop->plan->targets->nelts; i++)
        want(loop, fo_plan_target_at(loop->plan, i), FO_TRIGGER_TIMER, nobody, now);
}

/*
 * What a crowd of them took is for others. The heap is trimmed once, while the child is young: that
 * holds each arena's lock for as long as the heap is large.
 */
static void give_back(probe_loop_t *loop)
{
    probe_pages_drop();
    if (!loop->has_trimmed)
        malloc_trim(0);
    loop->has_trimmed = true;
}

static void remove_round(probe_loop_t *loop, unsigned index)
{
    probe_round_t *round = loop->rounds[index];

    loop->rounds[index] = loop->rounds[--loop->n_rounds];
    loop->n_lanes -= round->n_lanes;
    probe_round_free(round);
    loop->n_ended++;
    if (loop->n_rounds == 0) {
        if (loop->n_ended > CROWD)
            give_back(loop);
        loop->n_ended = 0;
    }
}

/* The verdict counts as soon as it is known; the ping is over when nothing of it is under way. */
static void land(probe_loop_t *loop, unsigned index, apr_time_t now)
{
    probe_round_t *round = loop->rounds[index];
    const fo_target_t *target = round->ping.target;
    bool is_idle = probe_round_is_idle(round), was_told = round->is_told;
    fo_report_t report = round->report;
    probe_ticket_t ticket = round->ticket;

    round->is_told = true;
    if (is_idle)
        remove_round(loop, index);
    if (was_told && is_idle)
        fo_monitor_give_up(loop->monitor, target);
    if (was_told)
        return;
    (is_idle ? fo_monitor_answer : fo_monitor_answer_early)(loop->monitor, target, &report, now);
    probe_gate_let_go(loop->gate, ticket);
}

/* All that ended in this round are announced before the first is judged. */
static void land_ended(probe_loop_t *loop, apr_time_t now)
{
    for (unsigned i = 0; i < loop->n_rounds; i++)
        probe_round_tick(loop->rounds[i], now);
    for (unsigned i = 0; i < loop->n_rounds; i++)
        if (loop->rounds[i]->is_over && !loop->rounds[i]->is_told)
            fo_monitor_announce(loop->monitor, loop->rounds[i]->ping.target,
                                &loop->rounds[i]->report, now);
    for (unsigned i = loop->n_rounds; i-- > 0;)
        if (loop->rounds[i]->is_over)
            land(loop, i, now);
}

static void take_ended_calls(probe_loop_t *loop, apr_time_t now)
{
    probe_job_t *job;

    probe_resolver_collect(loop->field.resolver);
    while ((job = probe_workers_take(loop->field.askers)))
        probe_ask_ended(job, now);
}

static apr_time_t wake_at(const probe_loop_t *loop, apr_time_t now)
{
    apr_time_t at = fo_monitor_next_at(loop->monitor, FO_TRIGGER_TIMER);
    apr_time_t lead_at = fo_monitor_lead_at(loop->monitor);
    apr_time_t look_at = fo_monitor_look_at(loop->monitor);

    if (can_serve_queue(loop))
        return now; /* they ended as they began */
    if (lead_at < at)
        at = lead_at;
    if (loop->publish_at < at)
        at = loop->publish_at;
    at = look_at < at ? look_at : at;
    if (now + PROBE_SLEEP_MAX < at)
        at = now + PROBE_SLEEP_MAX;
    if (loop->n_rounds > 0 && now + PROBE_SLEEP_TICK < at)
        at = now + PROBE_SLEEP_TICK;
    for (unsigned i = 0; i < loop->n_rounds; i++) {
        apr_time_t round_at = probe_round_wake_at(loop->rounds[i]);
        if (round_at < at)
            at = round_at;
    }
    return at;
}

static void sleep_on_flights(probe_loop_t *loop)
{
    apr_time_t now = loop->sleep.woke_at, at = wake_at(loop, now);

    fo_monitor_beat(loop->monitor, now, at);
    probe_sleep_clear(&loop->sleep);
    for (unsigned i = 0; i < loop->n_rounds; i++)
        for (unsigned j = 0; j < loop->rounds[i]->n_lanes; j++)
            if (loop->rounds[i]->lanes[j].flight)
                probe_sleep_watch(&loop->sleep, loop->rounds[i]->lanes[j].flight);
    probe_sleep_until(&loop->sleep, probe_gate_fd(loop->gate),
                      loop->is_leading ? loop->shared_fd : -1, at, now);
}

static void drop_rounds(probe_loop_t *loop)
{
    while (loop->n_rounds > 0) {
        probe_round_t *round = loop->rounds[loop->n_rounds - 1];
        fo_monitor_give_up(loop->monitor, round->ping.target);
        if (!round->is_told)
            probe_gate_let_go(loop->gate, round->ticket);
        remove_round(loop, loop->n_rounds - 1);
    }
    while (probe_queue_look(&loop->queue))
        fo_monitor_give_up(loop->monitor, probe_queue_take(&loop->queue));
}

/* The wake-up is taken: it may have been meant for whoever has the lease meanwhile. */
static bool take_wake_up(probe_loop_t *loop)
{
    apr_uint64_t count;

    return probe_sleep_is_shared_ready(&loop->sleep) &&
           read(loop->shared_fd, &count, sizeof(count)) > 0;
}

/*
 * Whoever takes over begins with what the last holder found at the end. What one that has lost its
 * lease was still asking is not to be judged by it.
 */
static void lead(probe_loop_t *loop, apr_time_t now)
{
    bool was_woken = take_wake_up(loop);

    if (!loop->is_leading)
        fo_monitor_hear_hints(loop->monitor, now);
    loop->is_leading = fo_monitor_lead(loop->monitor, now);
    if (loop->is_leading)
        return;
    drop_rounds(loop);
    if (was_woken)
        wake_leader(loop);
}

/* The wake-ups are taken before what they speak of, so that none is lost in between. */
static void one_round(probe_loop_t *loop)
{
    apr_time_t now;

    sleep_on_flights(loop);
    now = loop->sleep.woke_at;
    fo_monitor_beat(loop->monitor, now, now); /* at work: what hangs from here on is late soon */
    probe_gate_drain(loop->gate);
    lead(loop, now);
    take_ended_calls(loop, now);
    if (loop->is_leading)
        probe_sleep_hear(&loop->sleep);
    land_ended(loop, now);
    fo_monitor_look(loop->monitor, now);
    serve_queue(loop, now);
    hear_errors(loop, now);
    fo_monitor_hear_hints(loop->monitor, now);
    hear_requests(loop);
    mind_timer(loop, now);
    land_ended(loop, now);
    fo_monitor_hear_hints(loop->monitor, now); /* its own discoveries are no news to a request */
    publish_due(loop);
}

static void close_field(probe_loop_t *loop)
{
    drop_rounds(loop);
    fo_monitor_leave(loop->monitor);
    if (loop->field.askers)
        probe_workers_stop(loop->field.askers, PROBE_STOP_PATIENCE, probe_ask_drop);
    if (loop->field.resolver)
        probe_resolver_stop(loop->field.resolver, PROBE_STOP_PATIENCE / 2);
}

/*
 * Before it sleeps for the first time: the lease may be its own, or another's rows tell much. One
 * that pings hears of its siblings with its first request, as it pings from then on.
 */
static void find_leader(probe_loop_t *loop)
{
    loop->sleep.woke_at = probe_clock_now();
    lead(loop, loop->sleep.woke_at);
    if (!loop->is_leading)
        fo_monitor_hear_hints(loop->monitor, loop->sleep.woke_at);
}

void probe_loop_run(probe_loop_t *loop)
{
    find_leader(loop);
    if (open_field(loop))
        while (!atomic_load(&loop->is_stopping))
            one_round(loop);
    close_field(loop);
}

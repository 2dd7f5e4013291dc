/*
 * monitor_rig.h: for unit tests of one monitor, driven by an invented clock and invented answers.
 * The fixture is setup(), then services, then start().
 */
#ifndef MONITOR_RIG_H
#define MONITOR_RIG_H

#include "core/fo_monitor.h"

#include "unit.h"

#include <errno.h>

#define CHANGES_MAX 64

static fo_plan_t *plan;
static fo_policy_t policy;
static fo_board_t *board;
static fo_monitor_t *monitor;
static const fo_scope_t *scope;
static apr_time_t now;

static fo_change_t changes[CHANGES_MAX];
static int n_changes;

/* What the board said when each change was told of. */
static fo_service_state_e shown[CHANGES_MAX];

static inline void observe(void *baton, const fo_change_t *change)
{
    ck_assert_ptr_eq(baton, &changes);
    shown[n_changes] = fo_board_word(board, change->service).state;
    changes[n_changes++] = *change;
    ck_assert_int_lt(n_changes, CHANGES_MAX);
}

static inline void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
    now = 1000 * SEC;
    n_changes = 0;
}

static inline void start(void)
{
    scope = unit_scope(plan);
    board = fo_board_make(plan, pool);
    monitor = fo_monitor_make(plan, board, 1, observe, &changes, pool);
}

static inline fo_service_t *service_on(const char *name, const char *key)
{
    return unit_service(plan, name, &policy, key, NULL);
}

static inline fo_service_t *one_service(void)
{
    fo_service_t *service = service_on("db", "tcp://db:1");

    start();
    return service;
}

static const fo_report_t passed = { .verdict = FO_VERDICT_PASS };
static const fo_report_t refused = {
    .verdict = FO_VERDICT_FAIL, .stage = FO_STAGE_CONNECT, .status = ECONNREFUSED,
};
static const fo_report_t timed_out = {
    .verdict = FO_VERDICT_FAIL, .stage = FO_STAGE_LOGIN, .status = APR_TIMEUP, .text = "timed out",
};
static const fo_report_t starved = {
    .verdict = FO_VERDICT_SELF, .stage = FO_STAGE_CONNECT, .status = EMFILE,
};
static const fo_report_t full = { .verdict = FO_VERDICT_BUSY, .code = 1040 };
static const fo_report_t denied = { .verdict = FO_VERDICT_LOGIN, .code = 1045 };

static inline bool is_due(const fo_service_t *service, fo_trigger_e trigger)
{
    return fo_monitor_due_at(monitor, unit_target(service), trigger) <= now;
}

/* Starts a ping, whether due or not, and answers it at once. */
static inline fo_ping_t ping(const fo_service_t *service, const fo_report_t *report)
{
    fo_ping_t order = fo_monitor_start(monitor, unit_target(service), now);

    fo_monitor_answer(monitor, unit_target(service), report, now);
    return order;
}

/* What a request does: pings what is due. The number of pings. */
static inline int look(fo_trigger_e trigger, const fo_report_t *report)
{
    int n = 0;

    for (unsigned i = 0; i < (unsigned)plan->targets->nelts; i++) {
        const fo_target_t *target = fo_plan_target_at(plan, i);
        if (fo_monitor_due_at(monitor, target, trigger) > now)
            continue;
        fo_monitor_start(monitor, target, now);
        fo_monitor_answer(monitor, target, report, now);
        n++;
    }
    return n;
}

static inline int request(const fo_report_t *report)
{
    return look(FO_TRIGGER_REQUEST, report);
}

static inline fo_service_state_e state_of(const fo_service_t *service)
{
    return fo_board_word(board, service).state;
}

static inline fo_state_e health_of(const fo_service_t *service)
{
    return fo_monitor_health(monitor, fo_service_endpoint(service, 0))->state;
}

static inline void expect_changes(int n, const fo_change_e *kinds)
{
    ck_assert_int_eq(n_changes, n);
    for (int i = 0; i < n; i++)
        ck_assert_msg(changes[i].kind == kinds[i], "change %d is %d, not %d", i, changes[i].kind,
                      kinds[i]);
}

static inline void set(fo_policy_e number, apr_int64_t value)
{
    policy.value[number] = value;
}

#endif

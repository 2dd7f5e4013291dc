/*
 * The monitor, driven by an invented clock and invented answers. What django-failover's own tests
 * say is here under their names (failover/tests.py); its faults are at the end of the file.
 */
#include "core/fo_monitor.h"
#include "core/fo_report.h"

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

static void observe(void *baton, const fo_change_t *change)
{
    ck_assert_ptr_eq(baton, &changes);
    shown[n_changes] = fo_board_word(board, change->service).state;
    changes[n_changes++] = *change;
    ck_assert_int_lt(n_changes, CHANGES_MAX);
}

static void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
    now = 1000 * SEC;
    n_changes = 0;
}

static void start(void)
{
    scope = unit_scope(plan);
    board = fo_board_make(plan, pool);
    monitor = fo_monitor_make(plan, board, 1, observe, &changes, pool);
}

static fo_service_t *service_on(const char *name, const char *key)
{
    return unit_service(plan, name, &policy, key, NULL);
}

static fo_service_t *one_service(void)
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

static bool is_due(const fo_service_t *service, fo_trigger_e trigger)
{
    return fo_monitor_due_at(monitor, unit_target(service), trigger) <= now;
}

/* Starts a ping, whether due or not, and answers it at once. */
static fo_ping_t ping(const fo_service_t *service, const fo_report_t *report)
{
    fo_ping_t order = fo_monitor_start(monitor, unit_target(service), now);

    fo_monitor_answer(monitor, unit_target(service), report, now);
    return order;
}

/* What a request does: pings what is due. The number of pings. */
static int look(fo_trigger_e trigger, const fo_report_t *report)
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

static int request(const fo_report_t *report)
{
    return look(FO_TRIGGER_REQUEST, report);
}

static fo_service_state_e state_of(const fo_service_t *service)
{
    return fo_board_word(board, service).state;
}

static fo_state_e health_of(const fo_service_t *service)
{
    return fo_monitor_health(monitor, fo_service_endpoint(service, 0))->state;
}

static void expect_changes(int n, const fo_change_e *kinds)
{
    ck_assert_int_eq(n_changes, n);
    for (int i = 0; i < n; i++)
        ck_assert_msg(changes[i].kind == kinds[i], "change %d is %d, not %d", i, changes[i].kind,
                      kinds[i]);
}

static void set(fo_policy_e number, apr_int64_t value)
{
    policy.value[number] = value;
}

/* django-failover's tests */

/* test_db_failover_and_recovery: "slave" before, the stand-in while down, "slave" again after. */
static fo_service_t *marked_service(const char *name, const char *value)
{
    apr_array_header_t *settings = apr_array_make(pool, 1, sizeof(fo_setting_t));
    fo_setting_t setting = { .kind = value ? FO_SETTING_SET : FO_SETTING_UNSET, .name = "MARKER",
                             .value = value };

    APR_ARRAY_PUSH(settings, fo_setting_t) = setting;
    return unit_service(plan, name, &policy, name, settings);
}

/* What a request sees that came with this value. */
static const char *seen_by_request(const char *marker)
{
    const fo_snapshot_t *snapshot = fo_board_snapshot(board, scope, pool);
    fo_layer_t layer = { .env = apr_table_make(pool, 2), .notes = apr_table_make(pool, 2),
                         .undo = fo_settings_undo_make(pool), .pool = pool };

    if (marker)
        apr_table_set(layer.env, "MARKER", marker);
    for (unsigned i = 0; snapshot && i < snapshot->n; i++)
        fo_settings_apply(&layer, &snapshot->seen[i]);
    return apr_table_get(layer.env, "MARKER");
}

START_TEST(test_db_failover_and_recovery)
{
    const fo_service_t *service = marked_service("slave", "default");

    start();
    ck_assert_str_eq(seen_by_request("slave"), "slave");
    ping(service, &refused);
    ck_assert_str_eq(seen_by_request("slave"), "default");
    ping(service, &passed);
    ck_assert_str_eq(seen_by_request("slave"), "slave");
    ck_assert_ptr_null(seen_by_request(NULL));
}
END_TEST

/* test_ping_monitoring_frequency: at frequency 1, three looks ping once; a second later again. */
START_TEST(test_ping_monitoring_frequency)
{
    set(FO_POLICY_MONITORING, 1 * SEC);
    one_service();
    ck_assert_int_eq(request(&passed) + request(&passed) + request(&passed), 1);
    now += 1 * SEC;
    ck_assert_int_eq(request(&passed), 1);
}
END_TEST

/* test_ping_outage_frequency: monitoring 3, outage 0: three looks ping three times while down. */
START_TEST(test_ping_outage_frequency)
{
    set(FO_POLICY_MONITORING, 3 * SEC);
    set(FO_POLICY_OUTAGE, 0);
    one_service();
    ck_assert_int_eq(request(&refused) + request(&refused) + request(&refused), 3);
}
END_TEST

/* test_ping_error_frequency: monitoring 3, outage 3, error 0: three errors ping three times. */
START_TEST(test_ping_error_frequency)
{
    const fo_service_t *service;
    int n = 0;

    set(FO_POLICY_MONITORING, 3 * SEC);
    set(FO_POLICY_OUTAGE, 3 * SEC);
    set(FO_POLICY_ERROR, 0);
    service = one_service();
    for (int i = 0; i < 3; i++) {
        fo_monitor_hurry(monitor, unit_target(service));
        n += look(FO_TRIGGER_TIMER, _i ? &refused : &passed);
    }
    ck_assert_int_eq(n, 3);
    ck_assert_int_eq(look(FO_TRIGGER_TIMER, &passed), 0);
}
END_TEST

/*
 * test_db_log_outage_and_recovery and test_memcached_log_outage_and_recovery: at logging frequency
 * 1 three failed looks log once, a second later once more, and the recovery once.
 */
START_TEST(test_log_outage_and_recovery)
{
    static const char *const names[] = { "database", "memcached" };
    static const fo_change_e kinds[] = { FO_CHANGE_OUTAGE, FO_CHANGE_OUTAGE_LASTS,
                                         FO_CHANGE_RECOVERY };

    set(FO_POLICY_OUTAGE, 0);
    set(FO_POLICY_LOGGING, 1 * SEC);
    service_on(names[_i], "tcp://h:1");
    start();
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(request(&refused), 1);
    expect_changes(1, kinds);
    now += 1 * SEC;
    request(&refused);
    expect_changes(2, kinds);
    request(&passed);
    expect_changes(3, kinds);
    ck_assert_str_eq(changes[2].service->name, names[_i]);
}
END_TEST

/* Frequencies */

static const struct {
    const fo_report_t *answers[2]; /* at fall=2 and rise=2 */
    fo_state_e state;
    apr_interval_time_t span;
} frequencies[] = {
    { { NULL, NULL }, FO_STATE_UNKNOWN, 0 },
    { { &full, NULL }, FO_STATE_UNKNOWN, 5 * SEC },
    { { &passed, NULL }, FO_STATE_UP, 120 * SEC },
    { { &refused, NULL }, FO_STATE_FAILING, 1 * SEC },
    { { &refused, &refused }, FO_STATE_DOWN, 30 * SEC },
};

/* last ping + frequency == now is due, a microsecond before is not. */
START_TEST(due_on_the_boundary)
{
    const fo_service_t *service;

    set(FO_POLICY_FALL, 2);
    set(FO_POLICY_RISE, 2);
    service = one_service();
    for (int i = 0; i < 2 && frequencies[_i].answers[i]; i++)
        ping(service, frequencies[_i].answers[i]);
    ck_assert_int_eq(health_of(service), frequencies[_i].state);
    if (frequencies[_i].span > 0) {
        now += frequencies[_i].span - 1;
        ck_assert(!is_due(service, FO_TRIGGER_REQUEST));
        now += 1;
    }
    ck_assert(is_due(service, FO_TRIGGER_REQUEST));
}
END_TEST

START_TEST(rising_is_pinged_at_the_error_frequency)
{
    const fo_service_t *service;

    set(FO_POLICY_RISE, 2);
    service = one_service();
    ping(service, &refused);
    ping(service, &passed);
    ck_assert_int_eq(health_of(service), FO_STATE_RISING);
    ck_assert_int_eq(state_of(service), FO_SERVICE_DOWN);
    now += 5 * SEC;
    ck_assert_int_eq(request(&passed), 1);
    ck_assert_int_eq(state_of(service), FO_SERVICE_UP);
}
END_TEST

/* The span runs from the start of a ping, not from its answer. */
START_TEST(span_runs_from_the_start)
{
    const fo_service_t *service = one_service();

    fo_monitor_start(monitor, unit_target(service), now);
    fo_monitor_answer(monitor, unit_target(service), &passed, now + 3 * SEC);
    ck_assert_int_eq(fo_monitor_due_at(monitor, unit_target(service), FO_TRIGGER_REQUEST),
                     now + 120 * SEC);
}
END_TEST

START_TEST(error_frequency_in_an_outage)
{
    const fo_service_t *service = one_service();

    ping(service, &refused);
    fo_monitor_hurry(monitor, unit_target(service));
    now += 5 * SEC - 1;
    ck_assert(!is_due(service, FO_TRIGGER_TIMER));
    now += 1;
    ck_assert(is_due(service, FO_TRIGGER_TIMER));
    ck_assert(is_due(service, FO_TRIGGER_REQUEST));
    ck_assert_int_eq(look(FO_TRIGGER_TIMER, &refused), 1);
    now += 5 * SEC;
    ck_assert(!is_due(service, FO_TRIGGER_TIMER));
    ck_assert(!is_due(service, FO_TRIGGER_REQUEST));
}
END_TEST

/* An error that comes while a ping is under way asks for another one after it. */
START_TEST(error_during_a_ping)
{
    const fo_service_t *service = one_service();

    fo_monitor_start(monitor, unit_target(service), now);
    fo_monitor_hurry(monitor, unit_target(service));
    ck_assert(!is_due(service, FO_TRIGGER_TIMER));
    fo_monitor_answer(monitor, unit_target(service), &passed, now);
    ck_assert_int_eq(fo_monitor_next_at(monitor, FO_TRIGGER_TIMER), now + 5 * SEC);
}
END_TEST

START_TEST(hurry_is_for_one_service)
{
    const fo_service_t *a = service_on("a", "tcp://a:1"), *b = service_on("b", "tcp://b:1");

    start();
    request(&passed);
    fo_monitor_hurry(monitor, unit_target(a));
    now += 5 * SEC;
    ck_assert(is_due(a, FO_TRIGGER_TIMER));
    ck_assert(!is_due(b, FO_TRIGGER_TIMER));
}
END_TEST

START_TEST(one_ping_at_a_time)
{
    const fo_service_t *service = one_service();

    fo_monitor_start(monitor, unit_target(service), now);
    fo_monitor_hurry(monitor, unit_target(service));
    now += 100000 * SEC;
    for (int trigger = 0; trigger < FO_TRIGGER_COUNT; trigger++) {
        ck_assert_int_eq(fo_monitor_due_at(monitor, unit_target(service), (fo_trigger_e)trigger),
                         FO_NEVER);
        ck_assert_int_eq(fo_monitor_next_at(monitor, (fo_trigger_e)trigger), FO_NEVER);
    }
    fo_monitor_answer(monitor, unit_target(service), &passed, now);
    ck_assert(is_due(service, FO_TRIGGER_REQUEST));
}
END_TEST

/* A request on Outages triggers what is not up, at the outage frequency, and nothing else. */
START_TEST(outages_trigger)
{
    const fo_service_t *up = service_on("up", "tcp://a:1"), *down = service_on("down", "tcp://b:1");

    start();
    ck_assert_int_eq(look(FO_TRIGGER_OUTAGES, &passed), 0);
    ping(up, &passed);
    ping(down, &refused);
    ck_assert_int_eq(look(FO_TRIGGER_OUTAGES, &refused), 0);
    now += 30 * SEC;
    ck_assert_int_eq(look(FO_TRIGGER_OUTAGES, &passed), 1);
    ck_assert_int_eq(state_of(down), FO_SERVICE_UP);
    now += 100000 * SEC;
    ck_assert_int_eq(look(FO_TRIGGER_OUTAGES, &refused), 0);
}
END_TEST

/* Nobody has to come for the pings that confirm a failure, and for no others. */
START_TEST(confirming_pings_follow_by_themselves)
{
    const fo_service_t *service;

    set(FO_POLICY_FALL, 4);
    service = one_service();
    ck_assert_int_eq(fo_monitor_next_at(monitor, FO_TRIGGER_TIMER), FO_NEVER);
    ping(service, &refused);
    for (int i = 0; i < 3; i++) {
        static const int spans[] = { 1, 2, 4 };
        ck_assert_int_eq(fo_monitor_next_at(monitor, FO_TRIGGER_TIMER), now + spans[i] * SEC);
        now += spans[i] * SEC;
        ck_assert_int_eq(look(FO_TRIGGER_TIMER, &refused), 1);
    }
    ck_assert_int_eq(health_of(service), FO_STATE_DOWN);
    ck_assert_int_eq(fo_monitor_next_at(monitor, FO_TRIGGER_TIMER), FO_NEVER);
    ping(service, &passed);
    ck_assert_int_eq(fo_monitor_next_at(monitor, FO_TRIGGER_TIMER), FO_NEVER);
}
END_TEST

START_TEST(confirming_ends_with_a_pass)
{
    const fo_service_t *service;

    set(FO_POLICY_FALL, 2);
    service = one_service();
    ping(service, &refused);
    now += 1 * SEC;
    ck_assert_int_eq(look(FO_TRIGGER_TIMER, &passed), 1);
    ck_assert_int_eq(fo_monitor_next_at(monitor, FO_TRIGGER_TIMER), FO_NEVER);
    ck_assert_int_eq(n_changes, 0);
    ck_assert_uint_eq(fo_board_word(board, service).epoch, 0);
}
END_TEST

/* With a spread the spans part, and none is shorter than its frequency but the first. */
START_TEST(spread_parts_children)
{
    apr_time_t first[2], next[2];
    const fo_service_t *service;

    set(FO_POLICY_SPREAD, 5);
    service = one_service();
    for (int child = 0; child < 2; child++) {
        monitor = fo_monitor_make(plan, board, 1000 + (apr_uint64_t)child, NULL, NULL, pool);
        ping(service, &passed);
        first[child] = fo_monitor_next_at(monitor, FO_TRIGGER_REQUEST) - now;
        ping(service, &passed);
        next[child] = fo_monitor_next_at(monitor, FO_TRIGGER_REQUEST) - now;
        ck_assert_int_ge(first[child], 0);
        ck_assert_int_lt(first[child], 120 * SEC);
        ck_assert_int_ge(next[child], 120 * SEC);
        ck_assert_int_le(next[child], 126 * SEC);
    }
    ck_assert_int_ne(first[0], first[1]);
    ck_assert_int_ne(next[0], next[1]);
}
END_TEST

START_TEST(any_seed_will_do)
{
    static const apr_uint64_t seeds[] = { 0, 1, ~(apr_uint64_t)0, 4711 };
    const fo_service_t *service;

    set(FO_POLICY_SPREAD, 100);
    service = one_service();
    monitor = fo_monitor_make(plan, board, seeds[_i], NULL, NULL, pool);
    ping(service, &passed);
    for (int i = 0; i < 1000; i++) {
        ping(service, &passed);
        apr_interval_time_t span = fo_monitor_next_at(monitor, FO_TRIGGER_REQUEST) - now;
        ck_assert_int_ge(span, 120 * SEC);
        ck_assert_int_lt(span, 240 * SEC);
    }
}
END_TEST

/* Outages and their log lines */

START_TEST(board_shows_a_change_before_it_is_told)
{
    const fo_service_t *service = one_service();
    fo_detail_t detail;

    ping(service, &refused);
    ck_assert_int_eq(shown[0], FO_SERVICE_DOWN);
    ck_assert_uint_eq(fo_board_word(board, service).epoch, 1);
    detail = fo_board_detail(board, service);
    ck_assert_int_eq(detail.since_at, now);
    ck_assert_str_eq(detail.reason, "connect: Connection refused");
    now += 42 * SEC;
    ping(service, &passed);
    ck_assert_int_eq(shown[1], FO_SERVICE_UP);
    ck_assert_int_eq(changes[1].lasted, 42 * SEC);
    ck_assert_uint_eq(fo_board_word(board, service).epoch, 2);
    detail = fo_board_detail(board, service);
    ck_assert_int_eq(detail.since_at, now);
    ck_assert_str_eq(detail.reason, "");
}
END_TEST

/* Exactly the logging frequency counts; a microsecond less does not. */
START_TEST(logged_again_on_the_boundary)
{
    static const fo_change_e kinds[] = { FO_CHANGE_OUTAGE, FO_CHANGE_OUTAGE_LASTS,
                                         FO_CHANGE_OUTAGE_LASTS };
    const fo_service_t *service = one_service();

    ping(service, &refused);
    now += 3600 * SEC - 1;
    ping(service, &refused);
    expect_changes(1, kinds);
    now += 1;
    ping(service, &refused);
    expect_changes(2, kinds);
    ck_assert_int_eq(changes[1].lasted, 3600 * SEC);
    now += 3600 * SEC;
    ping(service, &refused);
    expect_changes(3, kinds);
    ck_assert_int_eq(changes[2].lasted, 7200 * SEC);
}
END_TEST

START_TEST(notification_clock_starts_again_at_recovery)
{
    static const fo_change_e kinds[] = { FO_CHANGE_OUTAGE, FO_CHANGE_RECOVERY, FO_CHANGE_OUTAGE };
    const fo_service_t *service = one_service();

    ping(service, &refused);
    now += 10 * SEC;
    ping(service, &passed);
    now += 10 * SEC;
    ping(service, &refused);
    expect_changes(3, kinds);
    ck_assert_int_eq(changes[2].lasted, 0);
}
END_TEST

START_TEST(up_is_not_told_of)
{
    const fo_service_t *service = one_service();

    for (int i = 0; i < 10; i++)
        ping(service, &passed);
    ck_assert_int_eq(n_changes, 0);
    ck_assert_uint_eq(fo_board_word(board, service).epoch, 0);
}
END_TEST

START_TEST(the_observer_is_optional)
{
    const fo_service_t *service = one_service();

    monitor = fo_monitor_make(plan, board, 1, NULL, NULL, pool);
    ping(service, &refused);
    ping(service, &starved);
    ping(service, &denied);
    ck_assert_int_eq(state_of(service), FO_SERVICE_UP);
}
END_TEST

/* Shared targets */

START_TEST(shared_check_with_different_thresholds)
{
    const fo_service_t *hasty = service_on("hasty", "tcp://h:1"), *patient;

    set(FO_POLICY_FALL, 3);
    set(FO_POLICY_RISE, 2);
    patient = service_on("patient", "tcp://h:1");
    start();
    ck_assert_int_eq(request(&refused), 1);
    ck_assert_int_eq(state_of(hasty), FO_SERVICE_DOWN);
    ck_assert_int_eq(state_of(patient), FO_SERVICE_UP);
    ping(hasty, &refused);
    ck_assert_int_eq(state_of(patient), FO_SERVICE_UP);
    ping(hasty, &refused);
    ck_assert_int_eq(state_of(patient), FO_SERVICE_DOWN);
    ping(hasty, &passed);
    ck_assert_int_eq(state_of(hasty), FO_SERVICE_UP);
    ck_assert_int_eq(state_of(patient), FO_SERVICE_DOWN);
    ping(hasty, &passed);
    ck_assert_int_eq(state_of(patient), FO_SERVICE_UP);
    ck_assert_int_eq(n_changes, 4);
}
END_TEST

START_TEST(shared_check_at_the_shortest_frequency)
{
    const fo_service_t *quick;

    service_on("slow", "tcp://h:1");
    set(FO_POLICY_MONITORING, 10 * SEC);
    quick = service_on("quick", "tcp://h:1");
    start();
    request(&passed);
    now += 10 * SEC - 1;
    ck_assert(!is_due(quick, FO_TRIGGER_REQUEST));
    now += 1;
    ck_assert_int_eq(request(&passed), 1);
}
END_TEST

START_TEST(shared_check_is_usable_while_one_finds_it_so)
{
    const fo_service_t *hasty = service_on("hasty", "tcp://h:1");

    set(FO_POLICY_FALL, 3);
    service_on("patient", "tcp://h:1");
    start();
    ping(hasty, &refused);
    ck_assert_int_eq(ping(hasty, &refused).timeout, 3 * SEC);
    ping(hasty, &refused);
    ck_assert_int_eq(ping(hasty, &refused).timeout, 1 * SEC);
}
END_TEST

/* What answers mean */

START_TEST(busy_keeps_the_state)
{
    const fo_service_t *service = one_service();

    ping(service, &full);
    ck_assert_int_eq(health_of(service), FO_STATE_UNKNOWN);
    ping(service, &passed);
    ping(service, &full);
    ck_assert_int_eq(state_of(service), FO_SERVICE_UP);
    ping(service, &refused);
    ping(service, &full);
    ck_assert_int_eq(state_of(service), FO_SERVICE_DOWN);
    ck_assert_int_eq(n_changes, 1);
}
END_TEST

/* Full is no recovery, and does not start the counts again. */
START_TEST(busy_is_not_counted)
{
    const fo_service_t *service;

    set(FO_POLICY_FALL, 2);
    set(FO_POLICY_RISE, 2);
    service = one_service();
    ping(service, &refused);
    ping(service, &full);
    ping(service, &refused);
    ck_assert_int_eq(state_of(service), FO_SERVICE_DOWN);
    ping(service, &passed);
    ping(service, &full);
    ping(service, &passed);
    ck_assert_int_eq(state_of(service), FO_SERVICE_UP);
}
END_TEST

START_TEST(busy_fails_where_told_so)
{
    fo_service_t *service = one_service();

    unit_target(service)->busy_fails = true;
    ping(service, &full);
    ck_assert_int_eq(state_of(service), FO_SERVICE_DOWN);
    ck_assert_int_eq(changes[0].report->code, 1040);
}
END_TEST

/* The server is alive: a pass, and one warning until the credentials work again. */
START_TEST(login_is_warned_of_once_until_mended)
{
    static const fo_change_e kinds[] = { FO_CHANGE_LOGIN, FO_CHANGE_OUTAGE, FO_CHANGE_RECOVERY,
                                         FO_CHANGE_LOGIN };
    const fo_service_t *service = one_service();

    for (int i = 0; i < 3; i++)
        ping(service, &denied);
    expect_changes(1, kinds);
    ck_assert_int_eq(health_of(service), FO_STATE_UP);
    ping(service, &refused);
    ping(service, &denied);
    expect_changes(3, kinds);
    ck_assert_int_eq(state_of(service), FO_SERVICE_UP);
    ping(service, &passed);
    ping(service, &denied);
    expect_changes(4, kinds);
}
END_TEST

/* What hides behind the login is not known: the state stays, with the same warning. */
START_TEST(barred_keeps_the_state)
{
    static const fo_report_t barred = { .verdict = FO_VERDICT_BARRED, .code = 1045 };
    static const fo_change_e kinds[] = { FO_CHANGE_LOGIN, FO_CHANGE_OUTAGE, FO_CHANGE_RECOVERY,
                                         FO_CHANGE_LOGIN };
    const fo_service_t *service = one_service();

    for (int i = 0; i < 3; i++)
        ping(service, &barred);
    expect_changes(1, kinds);
    ck_assert_int_eq(state_of(service), FO_SERVICE_UP);
    ping(service, &refused);
    ping(service, &barred);
    expect_changes(2, kinds);
    ck_assert_int_eq(state_of(service), FO_SERVICE_DOWN);
    ping(service, &passed);
    ping(service, &barred);
    expect_changes(4, kinds);
    ck_assert_int_eq(state_of(service), FO_SERVICE_UP);
}
END_TEST

/* A service that shares the target is warned of as well. */
START_TEST(login_is_warned_of_for_each_service)
{
    const fo_service_t *a = service_on("a", "tcp://h:1");

    service_on("b", "tcp://h:1");
    start();
    ping(a, &denied);
    ping(a, &denied);
    ck_assert_int_eq(n_changes, 2);
    ck_assert_str_eq(changes[1].service->name, "b");
}
END_TEST

static const struct {
    const fo_report_t *before;
    fo_state_e state;
} kept[] = {
    { NULL, FO_STATE_UNKNOWN },
    { &passed, FO_STATE_UP },
    { &refused, FO_STATE_DOWN },
};

START_TEST(self_is_thrown_away)
{
    const fo_service_t *service = one_service();
    int n;

    if (kept[_i].before)
        ping(service, kept[_i].before);
    n = n_changes;
    for (int i = 0; i < 10; i++)
        ping(service, &starved);
    ck_assert_int_eq(health_of(service), kept[_i].state);
    ck_assert_int_eq(n_changes, n + 1);
    ck_assert_int_eq(changes[n].kind, FO_CHANGE_SELF);
}
END_TEST

/* It neither counts as an answer nor breaks a row of them. */
START_TEST(self_is_not_counted)
{
    const fo_service_t *service;

    set(FO_POLICY_FALL, 2);
    service = one_service();
    ping(service, &refused);
    ping(service, &starved);
    ck_assert_int_eq(state_of(service), FO_SERVICE_UP);
    ping(service, &refused);
    ck_assert_int_eq(state_of(service), FO_SERVICE_DOWN);
}
END_TEST

/* A ping thrown away is made again soon. */
START_TEST(self_is_due_again_at_the_error_frequency)
{
    const fo_service_t *service = one_service();

    ping(service, &passed);
    now += 120 * SEC;
    ping(service, &starved);
    now += 5 * SEC - 1;
    ck_assert(!is_due(service, FO_TRIGGER_REQUEST));
    now += 1;
    ck_assert(is_due(service, FO_TRIGGER_REQUEST));
    ping(service, &passed);
    now += 5 * SEC;
    ck_assert(!is_due(service, FO_TRIGGER_REQUEST));
}
END_TEST

START_TEST(after_three_discards_double_time_and_final)
{
    const fo_service_t *service = one_service();
    fo_ping_t order;

    for (int i = 0; i < 3; i++) {
        order = ping(service, &starved);
        ck_assert_int_eq(order.timeout, 3 * SEC);
        ck_assert(!order.is_final);
    }
    order = ping(service, &starved);
    ck_assert_int_eq(order.timeout, 6 * SEC);
    ck_assert(order.is_final);
    ck_assert(ping(service, &refused).is_final);
    order = ping(service, &refused);
    ck_assert_int_eq(order.timeout, 1 * SEC);
    ck_assert(!order.is_final);
}
END_TEST

START_TEST(discards_in_a_row)
{
    const fo_service_t *service = one_service();

    for (int i = 0; i < 10; i++) {
        ck_assert(!ping(service, &starved).is_final);
        ck_assert(!ping(service, &starved).is_final);
        ck_assert(!ping(service, &passed).is_final);
    }
}
END_TEST

/* Once an hour for each target, with how many it were since then. */
START_TEST(self_is_told_once_an_hour)
{
    const fo_service_t *a = service_on("a", "tcp://a:1"), *b = service_on("b", "tcp://b:1");

    start();
    ping(a, &starved);
    ck_assert_uint_eq(changes[0].discards, 1);
    ck_assert_int_eq(changes[0].report->status, EMFILE);
    ping(b, &starved);
    ck_assert_int_eq(n_changes, 2);
    ck_assert_str_eq(changes[1].service->name, "b");
    ping(a, &starved);
    now += FO_SELF_LOGGING - 1;
    ping(a, &starved);
    ck_assert_int_eq(n_changes, 2);
    now += 1;
    ping(a, &starved);
    ck_assert_int_eq(n_changes, 3);
    ck_assert_str_eq(changes[2].service->name, "a");
    ck_assert_uint_eq(changes[2].discards, 3);
}
END_TEST

/* An outage is told of again, with what made it one, though the server is full or we starve. */
START_TEST(logged_again_whatever_the_answer)
{
    const fo_report_t *const answers[] = { &full, &starved };
    const fo_service_t *service = one_service();

    ping(service, &refused);
    now += 3600 * SEC;
    ping(service, answers[_i]);
    ck_assert_int_ge(n_changes, 2);
    ck_assert_int_eq(changes[1].kind, FO_CHANGE_OUTAGE_LASTS);
    ck_assert_int_eq(changes[1].lasted, 3600 * SEC);
    ck_assert_int_eq(changes[1].report->status, ECONNREFUSED);
    ck_assert_int_eq(state_of(service), FO_SERVICE_DOWN);
}
END_TEST

/* A ping that waits for a place is not due again meanwhile. */
START_TEST(queued_is_not_due)
{
    const fo_service_t *service = one_service();

    fo_monitor_queue(monitor, unit_target(service));
    fo_monitor_hurry(monitor, unit_target(service));
    for (int trigger = 0; trigger < FO_TRIGGER_COUNT; trigger++)
        ck_assert_int_eq(fo_monitor_next_at(monitor, (fo_trigger_e)trigger), FO_NEVER);
    ping(service, &passed);
    now += 120 * SEC;
    ck_assert(is_due(service, FO_TRIGGER_REQUEST));
}
END_TEST

START_TEST(last_answer_is_kept)
{
    const fo_service_t *service = one_service();
    const fo_health_t *health = fo_monitor_health(monitor, fo_service_endpoint(service, 0));

    ping(service, &refused);
    ck_assert_int_eq(health->last.status, ECONNREFUSED);
    ping(service, &starved);
    ck_assert_int_eq(health->last.status, ECONNREFUSED);
    ping(service, &passed);
    ck_assert_int_eq(health->last.verdict, FO_VERDICT_PASS);
}
END_TEST

/* Waiting for verdicts */

START_TEST(timeout_depends_on_the_state)
{
    const fo_service_t *service;

    set(FO_POLICY_FALL, 2);
    service = one_service();
    ck_assert_int_eq(ping(service, &refused).timeout, 3 * SEC); /* unknown */
    ck_assert_int_eq(ping(service, &refused).timeout, 3 * SEC); /* failing */
    ck_assert_int_eq(ping(service, &passed).timeout, 1 * SEC);  /* down */
    ck_assert_int_eq(ping(service, &passed).timeout, 3 * SEC);  /* up */
}
END_TEST

static const struct {
    const fo_report_t *last;
    bool is_awaited; /* at fall=2: it is usable still */
} waits[] = {
    { NULL, true },     { &passed, true },     { &refused, true },
    { &full, true },    { &denied, true },     { &timed_out, false },
    { &starved, false },
};

/* After a wait that ran out nobody waits for that endpoint again until it has answered. */
START_TEST(nobody_waits_for_what_did_not_answer)
{
    const fo_service_t *service;

    set(FO_POLICY_FALL, 2);
    service = one_service();
    if (waits[_i].last)
        ck_assert(ping(service, waits[_i].last).is_awaited);
    ck_assert_int_eq(ping(service, &passed).is_awaited, waits[_i].is_awaited);
    ck_assert(ping(service, &passed).is_awaited);
}
END_TEST

START_TEST(nobody_waits_for_what_is_unusable)
{
    const fo_service_t *service;

    set(FO_POLICY_RISE, 2);
    service = one_service();
    ck_assert(ping(service, &refused).is_awaited);
    ck_assert(!ping(service, &passed).is_awaited); /* down */
    ck_assert(!ping(service, &passed).is_awaited); /* rising */
    ck_assert(ping(service, &passed).is_awaited);
}
END_TEST

/* When each scope is due */

static apr_time_t publish_due(fo_trigger_e trigger, apr_time_t at)
{
    return fo_monitor_publish_due(monitor, trigger, at);
}

START_TEST(due_is_published_by_scope)
{
    apr_array_header_t *one = apr_array_make(pool, 1, sizeof(fo_service_t *));
    fo_service_t *a = service_on("a", "tcp://a:1"), *b = service_on("b", "tcp://b:1");
    const fo_scope_t *only_a;

    APR_ARRAY_PUSH(one, fo_service_t *) = a;
    only_a = fo_plan_scope(plan, one);
    start();
    ping(a, &passed);
    ping(b, &refused);
    ck_assert_int_eq(publish_due(FO_TRIGGER_REQUEST, now), now + 30 * SEC);
    ck_assert_int_eq(publish_due(FO_TRIGGER_OUTAGES, now), now + 30 * SEC);
    now += 30 * SEC;
    publish_due(FO_TRIGGER_REQUEST, now - 1);
    ck_assert(!fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    ck_assert_int_eq(publish_due(FO_TRIGGER_REQUEST, now), now + 90 * SEC);
    ck_assert_int_eq(publish_due(FO_TRIGGER_OUTAGES, now), FO_NEVER);
    ck_assert(fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    ck_assert(fo_board_claim_due(board, scope, FO_TRIGGER_OUTAGES));
    ck_assert(!fo_board_claim_due(board, only_a, FO_TRIGGER_REQUEST));
    now += 90 * SEC;
    ck_assert_int_eq(publish_due(FO_TRIGGER_REQUEST, now), FO_NEVER);
    publish_due(FO_TRIGGER_OUTAGES, now);
    ck_assert(fo_board_claim_due(board, only_a, FO_TRIGGER_REQUEST));
    ck_assert(!fo_board_claim_due(board, only_a, FO_TRIGGER_OUTAGES));
}
END_TEST

START_TEST(nothing_is_due_while_all_is_under_way)
{
    const fo_service_t *service = one_service();

    fo_monitor_start(monitor, unit_target(service), now);
    ck_assert_int_eq(publish_due(FO_TRIGGER_REQUEST, now + 120 * SEC), FO_NEVER);
    ck_assert(!fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    fo_monitor_answer(monitor, unit_target(service), &passed, now);
    publish_due(FO_TRIGGER_REQUEST, now + 120 * SEC);
    ck_assert(fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
}
END_TEST

/* Faults of django-failover that are not here */

/* One shared RECOVERY_SETTINGS: A saved the original, B saved A's value over it: it was lost. */
START_TEST(two_services_on_one_name_keep_the_original)
{
    const fo_service_t *a = marked_service("a", "of-a"), *b = marked_service("b", "of-b");
    const fo_service_t *first = _i ? a : b, *second = _i ? b : a;

    start();
    ping(a, &refused);
    ping(b, &refused);
    ck_assert_str_eq(seen_by_request("original"), "of-b");
    ping(first, &passed);
    ck_assert_str_eq(seen_by_request("original"), _i ? "of-b" : "of-a");
    ping(second, &passed);
    ck_assert_str_eq(seen_by_request("original"), "original");
}
END_TEST

/* A value saved in one outage was "restored" after the next, though it was no longer set. */
START_TEST(a_stale_original_does_not_come_back)
{
    const fo_service_t *service = marked_service("a", "of-a");

    start();
    ping(service, &refused);
    ck_assert_str_eq(seen_by_request("original"), "of-a");
    ping(service, &passed);
    ping(service, &refused);
    ck_assert_str_eq(seen_by_request(NULL), "of-a");
    ping(service, &passed);
    ck_assert_ptr_null(seen_by_request(NULL));
}
END_TEST

/* Recovering a name that had never been set was an error. */
START_TEST(recovery_of_what_was_never_set)
{
    const fo_service_t *service = marked_service("a", NULL);

    start();
    ping(service, &refused);
    ck_assert_ptr_null(seen_by_request(NULL));
    ck_assert_ptr_null(seen_by_request("original"));
    ping(service, &passed);
    ck_assert_ptr_null(seen_by_request(NULL));
    ck_assert_str_eq(seen_by_request("original"), "original");
}
END_TEST

/* A subclass inherited its parent's last ping, so that its first one did not take place. */
START_TEST(each_service_has_its_own_clock)
{
    const fo_service_t *database = service_on("database", "tcp://a:1");
    const fo_service_t *mysql = service_on("mysql", "tcp://b:1");

    start();
    ping(database, &refused);
    ck_assert(is_due(mysql, FO_TRIGGER_REQUEST));
    ck_assert_int_eq(state_of(mysql), FO_SERVICE_UP);
    ck_assert_int_eq(health_of(mysql), FO_STATE_UNKNOWN);
}
END_TEST

/* Two threads could both fail over: here one of them gets to look, and the other sees the word. */
START_TEST(a_due_ping_is_claimed_once)
{
    const fo_service_t *service = one_service();

    publish_due(FO_TRIGGER_REQUEST, now);
    ck_assert(fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    ck_assert(!fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    ping(service, &refused);
    ck_assert_int_eq(n_changes, 1);
    ck_assert_uint_eq(fo_board_word(board, service).epoch, 1);
}
END_TEST

static TCase *reference_case(void)
{
    TCase *tc = tcase_create("reference");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, test_db_failover_and_recovery);
    tcase_add_test(tc, test_ping_monitoring_frequency);
    tcase_add_test(tc, test_ping_outage_frequency);
    tcase_add_loop_test(tc, test_ping_error_frequency, 0, 2);
    tcase_add_loop_test(tc, test_log_outage_and_recovery, 0, 2);
    tcase_add_loop_test(tc, two_services_on_one_name_keep_the_original, 0, 2);
    tcase_add_test(tc, a_stale_original_does_not_come_back);
    tcase_add_test(tc, recovery_of_what_was_never_set);
    tcase_add_test(tc, each_service_has_its_own_clock);
    tcase_add_test(tc, a_due_ping_is_claimed_once);
    return tc;
}

static TCase *schedule_case(void)
{
    TCase *tc = tcase_create("schedule");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_loop_test(tc, due_on_the_boundary, 0, COUNT(frequencies));
    tcase_add_test(tc, rising_is_pinged_at_the_error_frequency);
    tcase_add_test(tc, span_runs_from_the_start);
    tcase_add_test(tc, error_frequency_in_an_outage);
    tcase_add_test(tc, error_during_a_ping);
    tcase_add_test(tc, hurry_is_for_one_service);
    tcase_add_test(tc, one_ping_at_a_time);
    tcase_add_test(tc, outages_trigger);
    tcase_add_test(tc, confirming_pings_follow_by_themselves);
    tcase_add_test(tc, confirming_ends_with_a_pass);
    tcase_add_test(tc, spread_parts_children);
    tcase_add_loop_test(tc, any_seed_will_do, 0, 4);
    tcase_add_test(tc, due_is_published_by_scope);
    tcase_add_test(tc, nothing_is_due_while_all_is_under_way);
    return tc;
}

static TCase *answers_case(void)
{
    TCase *tc = tcase_create("answers");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, board_shows_a_change_before_it_is_told);
    tcase_add_test(tc, logged_again_on_the_boundary);
    tcase_add_test(tc, notification_clock_starts_again_at_recovery);
    tcase_add_test(tc, up_is_not_told_of);
    tcase_add_test(tc, the_observer_is_optional);
    tcase_add_test(tc, shared_check_with_different_thresholds);
    tcase_add_test(tc, shared_check_at_the_shortest_frequency);
    tcase_add_test(tc, shared_check_is_usable_while_one_finds_it_so);
    tcase_add_test(tc, busy_keeps_the_state);
    tcase_add_test(tc, busy_is_not_counted);
    tcase_add_test(tc, busy_fails_where_told_so);
    tcase_add_test(tc, login_is_warned_of_once_until_mended);
    tcase_add_test(tc, barred_keeps_the_state);
    tcase_add_test(tc, login_is_warned_of_for_each_service);
    tcase_add_loop_test(tc, self_is_thrown_away, 0, COUNT(kept));
    tcase_add_test(tc, self_is_not_counted);
    tcase_add_test(tc, self_is_due_again_at_the_error_frequency);
    tcase_add_test(tc, after_three_discards_double_time_and_final);
    tcase_add_test(tc, discards_in_a_row);
    tcase_add_test(tc, self_is_told_once_an_hour);
    tcase_add_loop_test(tc, logged_again_whatever_the_answer, 0, 2);
    tcase_add_test(tc, queued_is_not_due);
    tcase_add_test(tc, last_answer_is_kept);
    tcase_add_test(tc, timeout_depends_on_the_state);
    tcase_add_loop_test(tc, nobody_waits_for_what_did_not_answer, 0, COUNT(waits));
    tcase_add_test(tc, nobody_waits_for_what_is_unusable);
    return tc;
}

static Suite *suite(void)
{
    Suite *s = suite_create("fo_monitor");

    suite_add_tcase(s, reference_case());
    suite_add_tcase(s, schedule_case());
    suite_add_tcase(s, answers_case());
    return s;
}

UNIT_MAIN(suite)

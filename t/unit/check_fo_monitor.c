/*
 * When the monitor pings. What django-failover's own tests say is here under their names
 * (failover/tests.py); its faults are at the end of the file.
 */
#include "monitor_rig.h"

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

static Suite *suite(void)
{
    Suite *s = suite_create("fo_monitor");

    suite_add_tcase(s, reference_case());
    suite_add_tcase(s, schedule_case());
    return s;
}

UNIT_MAIN(suite)

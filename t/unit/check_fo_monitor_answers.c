/* The monitor: what answers come to, and what is told of them. */
#include "core/fo_report.h"

#include "monitor_rig.h"

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

/* No request asks for it in each mode, and what asked for it will not come again. */
START_TEST(what_an_error_asked_for_is_asked_until_it_counts)
{
    const fo_service_t *service = one_service();

    ping(service, &passed);
    fo_monitor_hurry(monitor, unit_target(service));
    now += 5 * SEC;
    ck_assert(is_due(service, FO_TRIGGER_TIMER));
    for (int i = 0; i < 2; i++) {
        ping(service, &starved);
        ck_assert(!is_due(service, FO_TRIGGER_TIMER));
        now += 5 * SEC;
        ck_assert(is_due(service, FO_TRIGGER_TIMER));
    }
    ping(service, &passed);
    now += 3600 * SEC;
    ck_assert(!is_due(service, FO_TRIGGER_TIMER));
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

START_TEST(last_failure_is_kept)
{
    const fo_service_t *service = one_service();
    const fo_health_t *health = fo_monitor_health(monitor, fo_service_endpoint(service, 0));

    ping(service, &refused);
    ck_assert_int_eq(health->failure.status, ECONNREFUSED);
    ping(service, &starved);
    ck_assert_int_eq(health->failure.status, ECONNREFUSED);
    ping(service, &passed);
    ck_assert_int_eq(health->failure.status, ECONNREFUSED);
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

static Suite *suite(void)
{
    Suite *s = suite_create("fo_monitor_answers");
    TCase *tc = tcase_create("all");

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
    tcase_add_test(tc, what_an_error_asked_for_is_asked_until_it_counts);
    tcase_add_test(tc, after_three_discards_double_time_and_final);
    tcase_add_test(tc, discards_in_a_row);
    tcase_add_test(tc, self_is_told_once_an_hour);
    tcase_add_loop_test(tc, logged_again_whatever_the_answer, 0, 2);
    tcase_add_test(tc, queued_is_not_due);
    tcase_add_test(tc, last_failure_is_kept);
    tcase_add_test(tc, timeout_depends_on_the_state);
    tcase_add_loop_test(tc, nobody_waits_for_what_did_not_answer, 0, COUNT(waits));
    tcase_add_test(tc, nobody_waits_for_what_is_unusable);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

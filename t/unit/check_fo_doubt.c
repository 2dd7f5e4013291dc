/*
 * Many services that fall together: the rule by itself, at each of its bounds, and the monitor that
 * follows it.
 */
#include "core/fo_doubt.h"
#include "core/fo_monitor.h"

#include "unit.h"

#include <errno.h>

#define SERVICES_MAX 64

static fo_plan_t *plan;
static fo_policy_t policy;
static fo_service_t *services[SERVICES_MAX];
static unsigned n_services;
static apr_time_t now;

/* Of the rule alone. */
static fo_health_t *healths;
static fo_doubt_t *doubt;

/* Of the monitor. */
static fo_board_t *board;
static fo_monitor_t *monitor;

static const fo_report_t passed = { .verdict = FO_VERDICT_PASS };
static const fo_report_t refused = {
    .verdict = FO_VERDICT_FAIL,
    .stage = FO_STAGE_CONNECT,
    .status = ECONNREFUSED,
};
static const fo_report_t full = { .verdict = FO_VERDICT_BUSY, .code = 1040 };
static const fo_report_t denied = { .verdict = FO_VERDICT_LOGIN, .code = 1045 };
static const fo_report_t starved = {
    .verdict = FO_VERDICT_SELF,
    .stage = FO_STAGE_CONNECT,
    .status = EMFILE,
};

static void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
    n_services = 0;
    now = 1000 * SEC;
}

static fo_service_t *add(const char *key)
{
    const char *name = apr_psprintf(pool, "s%u", n_services);
    fo_service_t *service = unit_service(plan, name, &policy, key ? key : name, NULL);

    services[n_services++] = service;
    return service;
}

static void add_many(unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        add(NULL);
}

static void start(void)
{
    healths = apr_pcalloc(pool, sizeof(*healths) * SERVICES_MAX);
    doubt = fo_doubt_make(plan, healths, pool);
}

static fo_state_e state(unsigned i)
{
    return healths[fo_service_endpoint(services[i], 0)->index].state;
}

static void expect_states(unsigned first, unsigned n, fo_state_e expected)
{
    for (unsigned i = first; i < first + n; i++)
        ck_assert_msg(state(i) == expected, "s%u is %s, not %s", i, fo_state_name(state(i)),
                      fo_state_name(expected));
}

static bool hear(unsigned i, const fo_report_t *report)
{
    return fo_doubt_hear(doubt, unit_target(services[i]), report, now);
}

static void step(unsigned i, bool has_passed)
{
    fo_doubt_step(doubt, fo_service_endpoint(services[i], 0), has_passed, now);
}

static bool takes_back(unsigned i)
{
    return fo_doubt_takes_back(doubt, unit_target(services[i]), now);
}

/* n services fail in one round. */
static void fail_together(unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        hear(i, &refused);
    for (unsigned i = first; i < first + n; i++)
        step(i, false);
}

/* One after the other: none knows of those that come after it. */
static void fail_in_turn(unsigned first, unsigned n)
{
    for (unsigned i = first; i < first + n; i++)
        fail_together(i, 1);
}

/* ---- the rule */

/* Of so many services, the fewest that arouse doubt; 0: none can. */
static const struct {
    unsigned services, least;
} bounds[] = {
    { 1, 0 }, { 2, 0 }, { 3, 3 }, { 4, 3 }, { 5, 3 }, { 6, 4 }, { 7, 4 }, { 8, 5 }, { 64, 33 },
};

START_TEST(more_than_half_at_least_three)
{
    unsigned least = bounds[_i].least ? bounds[_i].least : bounds[_i].services + 1;

    add_many(bounds[_i].services);
    for (unsigned n = 1; n <= bounds[_i].services; n++) {
        start();
        fail_together(0, n);
        expect_states(0, n, n >= least ? FO_STATE_FAILING : FO_STATE_DOWN);
        expect_states(n, bounds[_i].services - n, FO_STATE_UNKNOWN);
    }
}
END_TEST

START_TEST(those_up_as_those_unknown)
{
    add_many(3);
    start();
    for (unsigned i = 0; i < 3; i++)
        step(i, true);
    fail_together(0, 3);
    expect_states(0, 3, FO_STATE_FAILING);
}
END_TEST

/* The third comes so much later than the first two. */
static const struct {
    apr_interval_time_t later;
    fo_state_e state;
} windows[] = {
    { 0, FO_STATE_FAILING },    { 999999, FO_STATE_FAILING },  { 1000000, FO_STATE_FAILING },
    { 1000001, FO_STATE_DOWN }, { 3600 * SEC, FO_STATE_DOWN },
};

START_TEST(within_one_second)
{
    add_many(3);
    start();
    fail_together(0, 2);
    expect_states(0, 2, FO_STATE_DOWN);
    now += windows[_i].later;
    fail_together(2, 1);
    expect_states(2, 1, windows[_i].state);
}
END_TEST

START_TEST(a_doubted_fall_counts_as_one)
{
    add_many(4);
    start();
    fail_together(0, 3);
    now += 1 * SEC;
    fail_together(3, 1);
    expect_states(0, 4, FO_STATE_FAILING);
}
END_TEST

START_TEST(once)
{
    add_many(3);
    start();
    fail_together(0, 3);
    now += 1 * SEC;
    fail_together(0, 3);
    expect_states(0, 3, FO_STATE_DOWN);
}
END_TEST

/* The confirming ping decides for each alone. */
START_TEST(once_whatever_the_others_do)
{
    add_many(3);
    start();
    fail_together(0, 3);
    step(0, true);
    now += 5 * SEC;
    fail_together(1, 1);
    ck_assert_int_eq(state(0), FO_STATE_UP);
    ck_assert_int_eq(state(1), FO_STATE_DOWN);
    ck_assert_int_eq(state(2), FO_STATE_FAILING);
}
END_TEST

START_TEST(again_after_a_pass)
{
    add_many(3);
    start();
    for (int i = 0; i < 3; i++) {
        fail_together(0, 3);
        expect_states(0, 3, FO_STATE_FAILING);
        now += 2 * SEC;
        for (unsigned j = 0; j < 3; j++)
            step(j, true);
        expect_states(0, 3, FO_STATE_UP);
    }
}
END_TEST

/* What is down is part of the whole, and does not fall. */
START_TEST(down_before)
{
    add_many(6);
    start();
    fail_in_turn(0, 2);
    now += 10 * SEC;
    fail_together(0, 2);
    fail_together(2, 3);
    expect_states(0, 5, FO_STATE_DOWN);
    now += 10 * SEC;
    for (unsigned i = 2; i < 5; i++)
        step(i, true);
    fail_together(2, 4);
    expect_states(2, 4, FO_STATE_FAILING);
}
END_TEST

START_TEST(only_a_fall_counts)
{
    policy.value[FO_POLICY_FALL] = 2;
    add_many(3);
    start();
    fail_together(0, 3);
    expect_states(0, 3, FO_STATE_FAILING); /* by the threshold */
    now += 10 * SEC;
    fail_together(0, 3);
    expect_states(0, 3, FO_STATE_FAILING); /* in doubt */
    now += 10 * SEC;
    fail_together(0, 3);
    expect_states(0, 3, FO_STATE_DOWN);
}
END_TEST

static const struct {
    const fo_report_t *report;
    bool busy_fails;
    bool is_fall;
} answers[] = {
    { &refused, false, true }, { &full, true, true },     { &full, false, false },
    { &passed, false, false }, { &denied, false, false }, { &starved, false, false },
    { &passed, true, false },  { &starved, true, false },
};

START_TEST(what_is_heard_as_a_fall)
{
    add_many(3);
    start();
    unit_target(services[2])->busy_fails = answers[_i].busy_fails;
    ck_assert(!hear(0, &refused));
    ck_assert(!hear(1, &refused));
    ck_assert_int_eq(hear(2, answers[_i].report), answers[_i].is_fall);
}
END_TEST

START_TEST(equal_checks_count_each)
{
    add("tcp://db:1");
    add("tcp://db:1");
    add("tcp://db:1");
    add("tcp://other:1");
    start();
    ck_assert(hear(0, &refused));
    for (unsigned i = 0; i < 3; i++)
        step(i, false);
    expect_states(0, 3, FO_STATE_FAILING);
    expect_states(3, 1, FO_STATE_UNKNOWN);
}
END_TEST

START_TEST(fallen_before_it_was_known)
{
    add_many(5);
    start();
    fail_in_turn(4, 1);
    now += 30 * SEC;
    fail_in_turn(0, 2);
    expect_states(0, 2, FO_STATE_DOWN);
    ck_assert(!hear(0, &refused)); /* down already */
    ck_assert(hear(2, &refused));
    ck_assert(takes_back(0));
    ck_assert(!takes_back(0)); /* once */
    ck_assert(takes_back(1));
    ck_assert(!takes_back(2)); /* not down */
    ck_assert(!takes_back(3));
    ck_assert(!takes_back(4)); /* down for long */
}
END_TEST

START_TEST(fallen_after_its_doubt)
{
    add_many(3);
    start();
    fail_together(0, 3);
    now += 1 * SEC;
    ck_assert(hear(0, &refused));
    step(0, false);
    ck_assert_int_eq(state(0), FO_STATE_DOWN);
    ck_assert(!takes_back(0));
}
END_TEST

START_TEST(one_of_an_equal_check_fell)
{
    policy.value[FO_POLICY_FALL] = 1;
    add("tcp://db:1");
    policy.value[FO_POLICY_FALL] = 2;
    add("tcp://db:1");
    policy.value[FO_POLICY_FALL] = 1;
    add_many(2);
    start();
    fail_in_turn(0, 1);
    fail_together(2, 2);
    ck_assert(takes_back(0));
    ck_assert(!takes_back(1)); /* the same target */
}
END_TEST

START_TEST(a_doubt_is_a_fail)
{
    fo_health_t health = { .state = FO_STATE_UP, .passes = 7 };

    fo_health_doubt(&health);
    ck_assert_int_eq(health.state, FO_STATE_FAILING);
    ck_assert_int_eq(health.fails, 1);
    ck_assert_int_eq(health.passes, 0);
    fo_health_step(&health, &policy, false);
    ck_assert_int_eq(health.state, FO_STATE_DOWN);
    ck_assert_int_eq(health.fails, 2);
}
END_TEST

/* ---- the monitor */

static void start_monitor(void)
{
    unit_scope(plan);
    board = fo_board_make(plan, pool);
    monitor = fo_monitor_make(plan, board, 1, NULL, NULL, pool);
}

/* Pings of n services that end in one round. */
static void answer_together(unsigned first, unsigned n, const fo_report_t *report)
{
    for (unsigned i = first; i < first + n; i++)
        fo_monitor_start(monitor, unit_target(services[i]), now);
    for (unsigned i = first; i < first + n; i++)
        fo_monitor_announce(monitor, unit_target(services[i]), report, now);
    for (unsigned i = first; i < first + n; i++)
        fo_monitor_answer(monitor, unit_target(services[i]), report, now);
}

static apr_time_t due_by_itself(unsigned i)
{
    return fo_monitor_due_at(monitor, unit_target(services[i]), FO_TRIGGER_TIMER);
}

static unsigned n_down(void)
{
    unsigned n = 0;

    for (unsigned i = 0; i < n_services; i++)
        n += fo_board_word(board, services[i]).state == FO_SERVICE_DOWN;
    return n;
}

START_TEST(delayed_by_one_confirm)
{
    policy.value[FO_POLICY_CONFIRM] = 700 * MS;
    add_many(3);
    start_monitor();
    answer_together(0, 3, &passed);
    now += 120 * SEC;
    answer_together(0, 3, &refused);
    ck_assert_uint_eq(n_down(), 0);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(due_by_itself(i), now + 700 * MS);
    now += 700 * MS;
    answer_together(0, 3, &refused);
    ck_assert_uint_eq(n_down(), 3);
}
END_TEST

START_TEST(it_was_us)
{
    add_many(3);
    start_monitor();
    answer_together(0, 3, &refused);
    now += 1 * SEC;
    answer_together(0, 3, &passed);
    ck_assert_uint_eq(n_down(), 0);
    for (unsigned i = 0; i < 3; i++)
        ck_assert_int_eq(due_by_itself(i), FO_NEVER);
}
END_TEST

/* A ping that proves nothing is no confirmation. */
START_TEST(starved_again)
{
    add_many(3);
    start_monitor();
    answer_together(0, 3, &refused);
    now += 1 * SEC;
    answer_together(0, 3, &starved);
    ck_assert_uint_eq(n_down(), 0);
    now += 1 * SEC;
    answer_together(0, 3, &refused);
    ck_assert_uint_eq(n_down(), 3);
}
END_TEST

/* Without the announcement each answer is heard alone. */
START_TEST(the_first_half_as_well)
{
    add_many(4);
    start_monitor();
    answer_together(0, 4, &refused);
    ck_assert_uint_eq(n_down(), 0);
}
END_TEST

START_TEST(those_that_fell_first_are_asked_again)
{
    add_many(4);
    start_monitor();
    answer_together(0, 1, &refused);
    answer_together(1, 1, &refused);
    ck_assert_uint_eq(n_down(), 2);
    ck_assert_int_eq(due_by_itself(0), FO_NEVER);
    now += 300 * MS;
    answer_together(2, 1, &refused);
    ck_assert_uint_eq(n_down(), 2);
    ck_assert_int_eq(due_by_itself(0), now - 300 * MS + policy.value[FO_POLICY_ERROR]);
    ck_assert_int_eq(due_by_itself(1), now - 300 * MS + policy.value[FO_POLICY_ERROR]);
    ck_assert_int_eq(due_by_itself(2), now + policy.value[FO_POLICY_CONFIRM]);
    ck_assert_int_eq(due_by_itself(3), FO_NEVER);
    now += 5 * SEC;
    answer_together(0, 2, &passed);
    ck_assert_uint_eq(n_down(), 0);
}
END_TEST

START_TEST(few_fall_at_once)
{
    add_many(6);
    start_monitor();
    answer_together(0, 3, &refused);
    ck_assert_uint_eq(n_down(), 3);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_doubt");
    TCase *rule = tcase_create("the rule"), *monitored = tcase_create("the monitor");

    tcase_add_checked_fixture(rule, setup, unit_teardown);
    tcase_add_checked_fixture(monitored, setup, unit_teardown);
    tcase_add_loop_test(rule, more_than_half_at_least_three, 0, COUNT(bounds));
    tcase_add_test(rule, those_up_as_those_unknown);
    tcase_add_loop_test(rule, within_one_second, 0, COUNT(windows));
    tcase_add_test(rule, a_doubted_fall_counts_as_one);
    tcase_add_test(rule, once);
    tcase_add_test(rule, once_whatever_the_others_do);
    tcase_add_test(rule, again_after_a_pass);
    tcase_add_test(rule, down_before);
    tcase_add_test(rule, only_a_fall_counts);
    tcase_add_loop_test(rule, what_is_heard_as_a_fall, 0, COUNT(answers));
    tcase_add_test(rule, equal_checks_count_each);
    tcase_add_test(rule, fallen_before_it_was_known);
    tcase_add_test(rule, fallen_after_its_doubt);
    tcase_add_test(rule, one_of_an_equal_check_fell);
    tcase_add_test(rule, a_doubt_is_a_fail);
    tcase_add_test(monitored, delayed_by_one_confirm);
    tcase_add_test(monitored, it_was_us);
    tcase_add_test(monitored, starved_again);
    tcase_add_test(monitored, the_first_half_as_well);
    tcase_add_test(monitored, those_that_fell_first_are_asked_again);
    tcase_add_test(monitored, few_fall_at_once);
    suite_add_tcase(s, rule);
    suite_add_tcase(s, monitored);
    return s;
}

UNIT_MAIN(suite)

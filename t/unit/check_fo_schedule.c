#include "core/fo_schedule.h"

#include "unit.h"

static const fo_draw_t exact = { .stretch = 1, .first = 1, .jitter = 1 };

static const struct {
    fo_state_e state;
    bool hurried;
    apr_interval_time_t span;
} frequencies[] = {
    { FO_STATE_UNKNOWN, false, 5 * SEC }, { FO_STATE_UP, false, 120 * SEC },
    { FO_STATE_FAILING, false, 1 * SEC }, { FO_STATE_DOWN, false, 30 * SEC },
    { FO_STATE_RISING, false, 5 * SEC },  { FO_STATE_UNKNOWN, true, 5 * SEC },
    { FO_STATE_UP, true, 5 * SEC },       { FO_STATE_FAILING, true, 5 * SEC },
    { FO_STATE_DOWN, true, 5 * SEC },     { FO_STATE_RISING, true, 5 * SEC },
};

START_TEST(every_frequency)
{
    fo_policy_t policy = unit_policy();
    fo_health_t health = { .state = frequencies[_i].state, .fails = 1 };

    ck_assert_int_eq(fo_schedule_span(&policy, &health, frequencies[_i].hurried, &exact),
                     frequencies[_i].span);
}
END_TEST

/* Each rule reads its own number. */
static const struct {
    fo_state_e state;
    bool hurried;
    fo_policy_e number;
} numbers[] = {
    { FO_STATE_UP, false, FO_POLICY_MONITORING }, { FO_STATE_DOWN, false, FO_POLICY_OUTAGE },
    { FO_STATE_DOWN, true, FO_POLICY_ERROR },     { FO_STATE_RISING, false, FO_POLICY_ERROR },
    { FO_STATE_FAILING, false, FO_POLICY_CONFIRM },
};

START_TEST(frequencies_are_independent)
{
    fo_policy_t policy = unit_policy();
    fo_health_t health = { .state = numbers[_i].state, .fails = 1 };

    policy.value[numbers[_i].number] = 77 * MS;
    ck_assert_int_eq(fo_schedule_span(&policy, &health, numbers[_i].hurried, &exact), 77 * MS);
    policy.value[numbers[_i].number] = 0;
    ck_assert_int_eq(fo_schedule_span(&policy, &health, numbers[_i].hurried, &exact), 0);
}
END_TEST

START_TEST(due_when_exactly_the_span_has_passed)
{
    ck_assert_int_eq(fo_schedule_due_at(1000 * SEC, 120 * SEC), 1120 * SEC);
    ck_assert_int_eq(fo_schedule_due_at(1000 * SEC, 0), 1000 * SEC);
}
END_TEST

START_TEST(never_pinged_is_due_at_once)
{
    ck_assert_int_eq(fo_schedule_due_at(0, 120 * SEC), 0);
    ck_assert_int_eq(fo_schedule_due_at(0, FO_NEVER), 0);
}
END_TEST

static apr_interval_time_t drawn_span(int spread, bool is_first, double random, fo_state_e state)
{
    const double two[2] = { random, random };
    fo_policy_t policy = unit_policy();
    fo_health_t health = { .state = state, .fails = 1 };

    policy.value[FO_POLICY_SPREAD] = spread;
    fo_draw_t draw = fo_schedule_draw(&policy, is_first, two);
    return fo_schedule_span(&policy, &health, false, &draw);
}

#define ALMOST_ONE 0.999999999999

static const int spreads[] = { 1, 5, 50, 100 };

/* frequency x (1 + random(0..spread)), never shorter than the frequency. */
START_TEST(spread_has_bounds)
{
    int spread = spreads[_i];
    apr_interval_time_t most = 120 * SEC + 120 * SEC * spread / 100;

    ck_assert_int_eq(drawn_span(spread, false, 0, FO_STATE_UP), 120 * SEC);
    ck_assert_int_eq(drawn_span(spread, false, 0, FO_STATE_DOWN), 30 * SEC);
    for (double random = 0; random < 1; random += 1.0 / 64) {
        ck_assert_int_ge(drawn_span(spread, false, random, FO_STATE_UP), 120 * SEC);
        ck_assert_int_le(drawn_span(spread, false, random, FO_STATE_UP), most);
    }
    ck_assert_int_ge(drawn_span(spread, false, ALMOST_ONE, FO_STATE_UP), most - MS);
}
END_TEST

/* A child's first span is a part of one, so that children part. */
START_TEST(first_span_parts_children)
{
    ck_assert_int_eq(drawn_span(5, true, 0, FO_STATE_UP), 0);
    ck_assert_int_eq(drawn_span(100, true, 0.25, FO_STATE_UP), 150 * SEC / 4);
    ck_assert_int_eq(drawn_span(100, true, 0.5, FO_STATE_UP), 180 * SEC / 2);
    ck_assert_int_le(drawn_span(5, true, ALMOST_ONE, FO_STATE_UP), 126 * SEC);
    ck_assert_int_ge(drawn_span(5, true, ALMOST_ONE, FO_STATE_UP), 126 * SEC - MS);
}
END_TEST

START_TEST(spread_zero_is_exact)
{
    for (double random = 0; random < 1; random += 0.125) {
        ck_assert_int_eq(drawn_span(0, true, random, FO_STATE_UP), 120 * SEC);
        ck_assert_int_eq(drawn_span(0, false, random, FO_STATE_UP), 120 * SEC);
        ck_assert_int_eq(drawn_span(0, false, random, FO_STATE_DOWN), 30 * SEC);
    }
}
END_TEST

/* What is urgent is not stretched, and never comes before its span. */
START_TEST(urgent_spans_are_not_drawn)
{
    static const fo_state_e states[] = { FO_STATE_UNKNOWN, FO_STATE_RISING };

    for (double random = 0; random < 1; random += 0.125) {
        ck_assert_int_eq(drawn_span(100, true, random, states[_i]), 5 * SEC);
        ck_assert_int_eq(drawn_span(100, false, random, states[_i]), 5 * SEC);
    }
}
END_TEST

static apr_interval_time_t confirm_span(apr_int64_t fails, double jitter,
                                        apr_interval_time_t confirm, apr_interval_time_t cap)
{
    fo_policy_t policy = unit_policy();
    fo_health_t health = { .state = FO_STATE_FAILING, .fails = fails };
    fo_draw_t draw = { .stretch = 1.5, .first = 0.1, .jitter = jitter };

    policy.value[FO_POLICY_CONFIRM] = confirm;
    policy.value[FO_POLICY_CAP] = cap;
    return fo_schedule_span(&policy, &health, false, &draw);
}

static const struct {
    apr_int64_t fails;
    apr_interval_time_t most;
} backoffs[] = {
    { 1, 1 * SEC },  { 2, 2 * SEC },   { 3, 4 * SEC },          { 4, 8 * SEC },
    { 5, 10 * SEC }, { 6, 10 * SEC },  { 1000, 10 * SEC },      { APR_INT64_MAX, 10 * SEC },
};

/* From confirm to confirm x 2^(n-1), at most cap. */
START_TEST(confirming_pings_back_off)
{
    apr_int64_t fails = backoffs[_i].fails;
    apr_interval_time_t most = backoffs[_i].most;

    ck_assert_int_eq(confirm_span(fails, 0, SEC, 10 * SEC), SEC);
    ck_assert_int_eq(confirm_span(fails, 1, SEC, 10 * SEC), most);
    ck_assert_int_eq(confirm_span(fails, 0.5, SEC, 10 * SEC), SEC + (most - SEC) / 2);
}
END_TEST

START_TEST(cap_below_confirm_holds)
{
    ck_assert_int_eq(confirm_span(1, 1, 3 * SEC, 2 * SEC), 2 * SEC);
    ck_assert_int_eq(confirm_span(9, 0, 3 * SEC, 2 * SEC), 2 * SEC);
}
END_TEST

START_TEST(draw_without_spread_has_no_chance)
{
    const double random[2] = { 0.3, 0.3 };
    fo_policy_t policy = unit_policy();
    fo_draw_t draw = fo_schedule_draw(&policy, _i, random);

    ck_assert(draw.stretch == 1 && draw.first == 1 && draw.jitter == 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_schedule");
    TCase *tc = unit_case("all");

    tcase_add_loop_test(tc, every_frequency, 0, COUNT(frequencies));
    tcase_add_loop_test(tc, frequencies_are_independent, 0, COUNT(numbers));
    tcase_add_test(tc, due_when_exactly_the_span_has_passed);
    tcase_add_test(tc, never_pinged_is_due_at_once);
    tcase_add_loop_test(tc, spread_has_bounds, 0, COUNT(spreads));
    tcase_add_test(tc, first_span_parts_children);
    tcase_add_test(tc, spread_zero_is_exact);
    tcase_add_loop_test(tc, urgent_spans_are_not_drawn, 0, 2);
    tcase_add_loop_test(tc, confirming_pings_back_off, 0, COUNT(backoffs));
    tcase_add_test(tc, cap_below_confirm_holds);
    tcase_add_loop_test(tc, draw_without_spread_has_no_chance, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

#include "core/fo_policy.h"

#include "core/fo_series.h"
#include "unit.h"

/* The numbers of the manual, by hand. */
static const struct {
    fo_policy_e number;
    apr_int64_t value;
} defaults[] = {
    { FO_POLICY_MONITORING, 120 * SEC }, { FO_POLICY_OUTAGE, 30 * SEC },
    { FO_POLICY_ERROR, 5 * SEC },        { FO_POLICY_LOGGING, 3600 * SEC },
    { FO_POLICY_TIMEOUT_UP, 3 * SEC },   { FO_POLICY_TIMEOUT_DOWN, 1 * SEC },
    { FO_POLICY_FALL, 1 },               { FO_POLICY_RISE, 1 },
    { FO_POLICY_CONFIRM, 1 * SEC },      { FO_POLICY_CAP, 10 * SEC },
    { FO_POLICY_SPREAD, 5 },             { FO_POLICY_OBSERVE, 0 },
    { FO_POLICY_PROBES, 1 },             { FO_POLICY_PROBES_DELAY, SEC / 2 },
    { FO_POLICY_GRACE, 60 * SEC },       { FO_POLICY_FAILBACK, 30 * SEC },
    { FO_POLICY_ATTEMPTS, 10 },          { FO_POLICY_ATTEMPT, 12 * SEC },
    { FO_POLICY_BREAKER, 0 },            { FO_POLICY_WINDOW, 2 * SEC },
    { FO_POLICY_FAILURES, 1000 },        { FO_POLICY_RATE, 100000 },
    { FO_POLICY_STREAK, 0 },             { FO_POLICY_RESET, 60 * SEC },
    { FO_POLICY_COUNTS_5XX, 0 },         { FO_POLICY_OPENS, 0 },
    { FO_POLICY_STAYS, 0 },              { FO_POLICY_PROBES_MUST, FO_PROBES_MAJORITY },
};

START_TEST(built_in_numbers)
{
    ck_assert_int_eq(fo_policy_built_in()->value[defaults[_i].number], defaults[_i].value);
}
END_TEST

START_TEST(every_number_is_built_in)
{
    bool seen[FO_POLICY_COUNT] = { false };

    for (int i = 0; i < COUNT(defaults); i++)
        seen[defaults[i].number] = true;
    for (int i = 0; i < FO_POLICY_COUNT; i++) {
        ck_assert_int_ne(fo_policy_built_in()->value[i], FO_UNSET);
        ck_assert_msg(seen[i], "no default is tested for number %d", i);
    }
}
END_TEST

START_TEST(init_sets_nothing)
{
    fo_policy_t policy;

    memset(&policy, 7, sizeof(policy));
    fo_policy_init(&policy);
    for (int i = 0; i < FO_POLICY_COUNT; i++)
        ck_assert_int_eq(policy.value[i], FO_UNSET);
}
END_TEST

/* Each subset of server, virtual host and service sets the number: the innermost one holds. */
START_TEST(innermost_layer_holds)
{
    for (int number = 0; number < FO_POLICY_COUNT; number++) {
        fo_policy_t policy = *fo_policy_built_in();
        apr_int64_t expected = policy.value[number];
        for (int layer = 0; layer < 3; layer++) {
            fo_policy_t over;
            fo_policy_init(&over);
            if (_i >> layer & 1)
                expected = over.value[number] = 1000 + layer;
            fo_policy_merge(&policy, &over, &policy);
        }
        ck_assert_int_eq(policy.value[number], expected);
    }
}
END_TEST

START_TEST(zero_is_a_number)
{
    fo_policy_t over, policy;

    fo_policy_init(&over);
    over.value[FO_POLICY_SPREAD] = 0;
    fo_policy_merge(fo_policy_built_in(), &over, &policy);
    ck_assert_int_eq(policy.value[FO_POLICY_SPREAD], 0);
}
END_TEST

START_TEST(result_may_be_either_layer)
{
    fo_policy_t base = *fo_policy_built_in(), over;

    fo_policy_init(&over);
    over.value[FO_POLICY_FALL] = 3;
    fo_policy_merge(&base, &over, &over);
    ck_assert_int_eq(over.value[FO_POLICY_FALL], 3);
    ck_assert_int_eq(over.value[FO_POLICY_RISE], 1);
    ck_assert_int_eq(base.value[FO_POLICY_FALL], 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_policy");
    TCase *tc = unit_case("all");

    tcase_add_loop_test(tc, built_in_numbers, 0, COUNT(defaults));
    tcase_add_test(tc, every_number_is_built_in);
    tcase_add_test(tc, init_sets_nothing);
    tcase_add_loop_test(tc, innermost_layer_holds, 0, 8);
    tcase_add_test(tc, zero_is_a_number);
    tcase_add_test(tc, result_may_be_either_layer);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

#include "core/fo_health.h"

#include "unit.h"

/* The design's table, by names: the second copy, so that a slip of the first one shows. */
static const struct {
    const char *state;
    const char *next[FO_EVENT_COUNT]; /* after PASS, RISE, FAIL, FALL */
} table[] = {
    { "unknown", { "up", "up", "failing", "down" } },
    { "up", { "up", "up", "failing", "down" } },
    { "failing", { "up", "up", "failing", "down" } },
    { "down", { "rising", "up", "down", "down" } },
    { "rising", { "rising", "up", "down", "down" } },
};

static const fo_event_e events[] = { FO_EVENT_PASS, FO_EVENT_RISE, FO_EVENT_FAIL, FO_EVENT_FALL };

static fo_state_e state_named(const char *name)
{
    for (int state = 0; state < FO_STATE_COUNT; state++)
        if (strcmp(fo_state_name((fo_state_e)state), name) == 0)
            return (fo_state_e)state;
    ck_abort_msg("no state is named %s", name);
    return FO_STATE_COUNT;
}

START_TEST(has_no_holes)
{
    ck_assert_int_eq(COUNT(table), FO_STATE_COUNT);
    ck_assert_int_eq(COUNT(events), FO_EVENT_COUNT);
}
END_TEST

START_TEST(every_cell)
{
    int row = _i / FO_EVENT_COUNT, column = _i % FO_EVENT_COUNT;
    fo_state_e next = fo_health_next(state_named(table[row].state), events[column]);

    ck_assert_str_eq(fo_state_name(next), table[row].next[column]);
}
END_TEST

static const struct {
    const char *state;
    bool is_usable;
} uses[] = {
    { "unknown", true }, { "up", true },      { "failing", true },
    { "down", false },   { "rising", false },
};

START_TEST(usable)
{
    ck_assert_int_eq(fo_state_is_usable(state_named(uses[_i].state)), uses[_i].is_usable);
}
END_TEST

static fo_policy_t thresholds(int fall, int rise)
{
    fo_policy_t policy = unit_policy();

    policy.value[FO_POLICY_FALL] = fall;
    policy.value[FO_POLICY_RISE] = rise;
    return policy;
}

/*
 * The same rules in other words: what counts is how many equal answers came last, and whether the
 * endpoint was usable before.
 */
typedef struct model_t {
    bool is_usable;
    bool passed;
    int run; /* equal answers at the end */
} model_t;

static const char *model_step(model_t *model, bool passed, int fall, int rise)
{
    model->run = model->passed == passed ? model->run + 1 : 1;
    model->passed = passed;
    if (model->run >= (passed ? rise : fall))
        model->is_usable = passed;
    if (model->is_usable)
        return passed ? "up" : "failing";
    return passed ? "rising" : "down";
}

#define ANSWERS 8

/* Every sequence of eight answers under every pair of thresholds from 1 to 3. */
START_TEST(every_sequence)
{
    int fall = _i / 3 + 1, rise = _i % 3 + 1;
    fo_policy_t policy = thresholds(fall, rise);

    for (unsigned answers = 0; answers < 1 << ANSWERS; answers++) {
        fo_health_t health = { .state = FO_STATE_UNKNOWN };
        model_t model = { .is_usable = true };
        for (int i = 0; i < ANSWERS; i++) {
            bool passed = answers >> i & 1;
            fo_state_e before = health.state;
            bool changed = fo_health_step(&health, &policy, passed);
            const char *expected = model_step(&model, passed, fall, rise);
            ck_assert_msg(strcmp(fo_state_name(health.state), expected) == 0,
                          "fall=%d rise=%d answers=%02x at %d: %s, not %s", fall, rise, answers, i,
                          fo_state_name(health.state), expected);
            ck_assert_int_eq(changed, health.state != before);
        }
    }
}
END_TEST

START_TEST(fall_and_rise_need_so_many)
{
    fo_policy_t policy = thresholds(_i, _i);
    fo_health_t health = { .state = FO_STATE_UP };

    for (int i = 1; i < _i; i++) {
        fo_health_step(&health, &policy, false);
        ck_assert_str_eq(fo_state_name(health.state), "failing");
    }
    fo_health_step(&health, &policy, false);
    ck_assert_str_eq(fo_state_name(health.state), "down");
    for (int i = 1; i < _i; i++) {
        fo_health_step(&health, &policy, true);
        ck_assert_str_eq(fo_state_name(health.state), "rising");
    }
    fo_health_step(&health, &policy, true);
    ck_assert_str_eq(fo_state_name(health.state), "up");
}
END_TEST

START_TEST(other_answer_starts_the_count_again)
{
    fo_policy_t policy = thresholds(3, 3);
    fo_health_t health = { .state = FO_STATE_UP };
    static const bool answers[] = { false, false, true, false, false };

    for (int i = 0; i < COUNT(answers); i++)
        fo_health_step(&health, &policy, answers[i]);
    ck_assert_int_eq(health.state, FO_STATE_FAILING);
    ck_assert_int_eq(health.fails, 2);
    ck_assert_int_eq(health.passes, 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_health");
    TCase *tc = unit_case("all");

    tcase_add_test(tc, has_no_holes);
    tcase_add_loop_test(tc, every_cell, 0, FO_STATE_COUNT * FO_EVENT_COUNT);
    tcase_add_loop_test(tc, usable, 0, COUNT(uses));
    tcase_add_loop_test(tc, every_sequence, 0, 9);
    tcase_add_loop_test(tc, fall_and_rise_need_so_many, 1, 4);
    tcase_add_test(tc, other_answer_starts_the_count_again);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

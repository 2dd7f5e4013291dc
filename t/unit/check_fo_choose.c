#include "core/fo_choose.h"

#include "unit.h"

#define MAX 4
#define NONE FO_CHOOSE_NONE

/* "state:weight ..."; a ! behind it: in its grace period. */
typedef struct row_t {
    const char *endpoints;
    unsigned in_use;
    bool may_fail_back;
    unsigned expected;
} row_t;

static const row_t rows[] = {
    /* The first choice; redis-py's WeightBasedFailoverStrategy: the heaviest that is closed. */
    { "up:0.2 up:1 up:0.5", NONE, false, 1 },
    { "up:0.2 down:1 up:0.5", NONE, false, 2 },
    { "up:0.2 down:1 rising:0.5", NONE, false, 0 },
    { "up:1 up:1", NONE, false, 0 }, /* ties go by order, redis-py's as well */
    { "down:1 up:1 up:1", NONE, false, 1 },
    { "down:1 rising:0.5", NONE, false, NONE },
    { "down:1", NONE, false, NONE },

    /* The one in use stays while it is usable. */
    { "up:1 up:0.5", 0, false, 0 },
    { "up:1 up:0.5", 1, false, 1 },
    { "failing:1 up:0.5", 0, false, 0 },
    { "failing:1 up:0.5", 0, true, 0 },
    { "unknown:1 up:0.5", 0, false, 0 },
    { "unknown:1 up:0.5", 0, true, 0 },
    { "unknown:1 unknown:0.5", 0, true, 0 },

    /* It is left when it falls, for the heaviest that is known to work. */
    { "down:1 up:0.5", 0, false, 1 },
    { "down:1 up:0.5 up:0.7", 0, false, 2 },
    { "rising:1 up:0.5", 0, false, 1 },
    { "down:1 failing:0.5", 0, false, 1 },
    { "down:1 unknown:0.5", 0, false, NONE }, /* not before a ping */
    { "down:1 unknown:0.9 up:0.1", 0, false, 2 },
    { "down:1 down:0.5", 0, false, NONE },

    /* Back to a better one, when it is time to look. */
    { "up:1 up:0.5", 1, true, 0 },
    { "up:1 up:1", 1, true, 0 },
    { "up:1 up:1", 0, true, 0 },
    { "rising:1 up:0.5", 1, true, 1 },
    { "down:1 up:0.5", 1, true, 1 },
    { "unknown:1 up:0.5", 1, true, 1 },
    { "up:1 up:0.7 up:0.5", 2, true, 0 },
    { "down:1 up:0.7 up:0.5", 2, true, 1 },
    { "up:0.5 up:0.7 up:1", 2, true, 2 },

    /* Its grace period keeps one out, as long as there is another. */
    { "up:1! up:0.5", 1, true, 1 },
    { "up:1! up:0.7 up:0.5", 2, true, 1 },
    { "up:1! down:0.5", 1, false, 0 },
    { "up:1! down:0.5 up:0.1", 1, false, 2 },
    { "up:1! up:0.5! down:0.1", 2, false, 0 },
    { "up:1! up:0.5!", NONE, false, 0 },
    { "up:1! unknown:0.5 down:0.1", 2, false, 0 },
    { "up:1! up:0.5!", 1, true, 1 }, /* itself back from a fall: no reason to go */
    { "up:1 up:0.5!", 1, true, 0 },
};

static unsigned read_row(const char *text, fo_candidate_t *candidates)
{
    char state[16], mark;
    unsigned n = 0;
    int length;

    for (; sscanf(text, "%15[^:]:%lf%n", state, &candidates[n].weight, &length) == 2; n++) {
        candidates[n].state = FO_STATE_COUNT;
        for (int i = 0; i < FO_STATE_COUNT; i++)
            if (strcmp(fo_state_name((fo_state_e)i), state) == 0)
                candidates[n].state = (fo_state_e)i;
        ck_assert_int_lt(candidates[n].state, FO_STATE_COUNT);
        text += length;
        mark = *text;
        candidates[n].is_in_grace = mark == '!';
        text += mark == '!';
        text += *text == ' ';
    }
    ck_assert_str_eq(text, "");
    return n;
}

START_TEST(chooses)
{
    fo_candidate_t candidates[MAX];
    unsigned n = read_row(rows[_i].endpoints, candidates);
    unsigned chosen = fo_choose(candidates, n, rows[_i].in_use, rows[_i].may_fail_back);

    ck_assert_msg(chosen == rows[_i].expected, "%s: %d instead of %d", rows[_i].endpoints,
                  (int)chosen, (int)rows[_i].expected);
}
END_TEST

static const struct {
    const char *endpoints;
    unsigned primary;
} primaries[] = {
    { "down:1", 0 },
    { "up:0.5 down:1 up:0.7", 1 },
    { "up:1 up:1", 0 },
};

START_TEST(primary_is_the_heaviest)
{
    fo_candidate_t candidates[MAX];
    unsigned n = read_row(primaries[_i].endpoints, candidates);

    ck_assert_uint_eq(fo_choose_primary(candidates, n), primaries[_i].primary);
}
END_TEST

/*
 * Of all states, graces and ways to ask for three endpoints: what is chosen works or is in use, and
 * NONE means that nothing is known to work.
 */
START_TEST(never_a_dead_one)
{
    const unsigned n_each = FO_STATE_COUNT * 2;

    for (unsigned code = 0; code < n_each * n_each * n_each; code++)
        for (unsigned in_use = 0; in_use <= 3; in_use++)
            for (int back = 0; back < 2; back++) {
                fo_candidate_t candidates[3];
                unsigned rest = code, asked = in_use == 3 ? NONE : in_use, n_known = 0, chosen;
                for (int i = 0; i < 3; i++, rest /= n_each) {
                    candidates[i].state = (fo_state_e)(rest % FO_STATE_COUNT);
                    candidates[i].is_in_grace = rest / FO_STATE_COUNT % 2;
                    candidates[i].weight = 1 + i;
                    n_known += candidates[i].state == FO_STATE_UP ||
                               candidates[i].state == FO_STATE_FAILING;
                }
                chosen = fo_choose(candidates, 3, asked, back);
                if (chosen == NONE) {
                    ck_assert_uint_eq(n_known, 0);
                    continue;
                }
                ck_assert(fo_state_is_usable(candidates[chosen].state));
                ck_assert(chosen == asked || candidates[chosen].state != FO_STATE_UNKNOWN);
            }
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("fo_choose");
    TCase *tc = tcase_create("choose");

    tcase_add_loop_test(tc, chooses, 0, COUNT(rows));
    tcase_add_loop_test(tc, primary_is_the_heaviest, 0, COUNT(primaries));
    tcase_add_test(tc, never_a_dead_one);
    suite_add_tcase(suite, tc);
    return suite;
}

UNIT_MAIN(suite)

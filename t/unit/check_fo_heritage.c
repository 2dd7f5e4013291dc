/* What a new child starts from: the rows of its siblings, as votes. */
#include "core/fo_heritage.h"

#include "core/fo_slot.h"
#include "shared_rig.h"

#define SLOTS 8
#define UP_LIMIT (240 * SEC)  /* twice the monitoring frequency */
#define DOWN_LIMIT (60 * SEC) /* twice the outage frequency */

static fo_plan_t *plan;
static fo_policy_t policy;
static fo_shared_t *shared;
static const fo_endpoint_t *endpoint;
static apr_time_t now;
static int n_rows;

static void setup(void)
{
    fo_capacity_t capacity = { SLOTS, 2, 2, 2, 1 };
    fo_service_t *service;

    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
    unit_service(plan, "other", &policy, "tcp://other:1", NULL);
    service = unit_service(plan, "db", &policy, "tcp://db:1", NULL);
    endpoint = fo_service_endpoint(service, 0);
    shared = rig_shared(&capacity);
    now = 10000 * SEC;
    n_rows = 0;
}

/* What one more child sees, by a ping of that age. */
static void see(fo_state_e state, apr_interval_time_t age)
{
    fo_row_t row = { .state = (apr_byte_t)state, .since_at = 100 + n_rows, .pinged_at = now - age };

    fo_row_write(shared, fo_slot_claim(shared, ++n_rows, 1, 1), endpoint->seat, &row);
}

/* What is inherited; COUNT: nothing. */
static fo_state_e heritage(void)
{
    fo_row_t row;

    return fo_heritage_find(shared, endpoint, now, &row) ? (fo_state_e)row.state : FO_STATE_COUNT;
}

/* Letters: u(p), f(ailing), d(own), r(ising), n: nobody has pinged there yet; each a child. */
static const struct {
    const char *seen;
    fo_state_e found;
} votes[] = {
    { "", FO_STATE_COUNT },      { "u", FO_STATE_COUNT },    { "d", FO_STATE_COUNT },
    { "uu", FO_STATE_UP },       { "dd", FO_STATE_DOWN },    { "ud", FO_STATE_COUNT },
    { "du", FO_STATE_COUNT },    { "uud", FO_STATE_UP },     { "ddu", FO_STATE_DOWN },
    { "uudd", FO_STATE_COUNT },  { "duudd", FO_STATE_DOWN }, { "nd", FO_STATE_COUNT },
    { "nnnnndd", FO_STATE_DOWN }, { "nnn", FO_STATE_COUNT },  { "uddddddd", FO_STATE_DOWN },
};

static void see_all(const char *letters)
{
    static const struct {
        char letter;
        fo_state_e state;
    } states[] = {
        { 'u', FO_STATE_UP }, { 'f', FO_STATE_FAILING }, { 'd', FO_STATE_DOWN },
        { 'r', FO_STATE_RISING },
    };

    for (; *letters; letters++) {
        if (*letters == 'n')
            see(FO_STATE_UNKNOWN, now); /* pinged_at 0 */
        for (int i = 0; i < COUNT(states); i++)
            if (states[i].letter == *letters)
                see(states[i].state, 10 * SEC);
    }
}

START_TEST(at_least_two_and_more_than_half)
{
    see_all(votes[_i].seen);
    ck_assert_int_eq(heritage(), votes[_i].found);
}
END_TEST

/* Failing is as usable as up, and rising as unusable as down. */
START_TEST(usable_or_not_is_what_is_voted_on)
{
    fo_row_t row;

    see_all("ffurd");
    ck_assert(fo_heritage_find(shared, endpoint, now, &row));
    ck_assert(fo_state_is_usable((fo_state_e)row.state));
    see_all("rr");
    ck_assert(fo_heritage_find(shared, endpoint, now, &row));
    ck_assert(!fo_state_is_usable((fo_state_e)row.state));
}
END_TEST

/* The rows count while they are younger than twice the frequency of what they say. */
START_TEST(what_is_too_old_does_not_count)
{
    static const struct {
        fo_state_e state;
        apr_interval_time_t age;
        bool counts;
    } ages[] = {
        { FO_STATE_UP, UP_LIMIT - 1, true },        { FO_STATE_UP, UP_LIMIT, false },
        { FO_STATE_DOWN, DOWN_LIMIT - 1, true },    { FO_STATE_DOWN, DOWN_LIMIT, false },
        { FO_STATE_FAILING, UP_LIMIT - 1, true },   { FO_STATE_FAILING, UP_LIMIT, false },
        { FO_STATE_RISING, DOWN_LIMIT - 1, true },  { FO_STATE_RISING, DOWN_LIMIT, false },
        { FO_STATE_UP, -1, true }, /* by a clock that another processor reads a moment later */
    };

    see(ages[_i].state, ages[_i].age);
    see(ages[_i].state, 1 * SEC);
    ck_assert_int_eq(heritage() != FO_STATE_COUNT, ages[_i].counts);
    see(FO_STATE_UP, UP_LIMIT); /* nor are old ones those of which there must be more than half */
    see(FO_STATE_DOWN, DOWN_LIMIT);
    see(FO_STATE_DOWN, DOWN_LIMIT);
    ck_assert_int_eq(heritage() != FO_STATE_COUNT, ages[_i].counts);
}
END_TEST

/* Of those that agree the one that was measured last. */
START_TEST(the_youngest_row_is_inherited)
{
    fo_row_t row;

    see(FO_STATE_DOWN, 30 * SEC);
    see(FO_STATE_DOWN, 5 * SEC);
    see(FO_STATE_UP, 1 * SEC);
    see(FO_STATE_DOWN, 20 * SEC);
    ck_assert(fo_heritage_find(shared, endpoint, now, &row));
    ck_assert_int_eq(row.since_at, 101);
    ck_assert_int_eq(row.pinged_at, now - 5 * SEC);
}
END_TEST

/* What was measured before somebody discovered the contrary is no evidence. */
START_TEST(a_discovery_outdates_what_was_seen_before)
{
    bool is_down = _i;
    fo_state_e found = is_down ? FO_STATE_DOWN : FO_STATE_UP;
    fo_state_e before = is_down ? FO_STATE_UP : FO_STATE_DOWN;

    for (int i = 0; i < 4; i++)
        see(before, 20 * SEC);
    see(found, 11 * SEC);
    ck_assert_int_eq(heritage(), before);
    fo_shared_tell(shared, endpoint->target->seat, is_down, now - 10 * SEC);
    ck_assert_int_eq(heritage(), FO_STATE_COUNT); /* one alone is too few */
    see(found, 9 * SEC);
    ck_assert_int_eq(heritage(), found);
    for (int i = 0; i < 2; i++)
        see(before, 10 * SEC); /* at that instant or after it: that child does see it otherwise */
    ck_assert_int_eq(heritage(), FO_STATE_COUNT);
}
END_TEST

/* A discovery at another target says nothing of this one. */
START_TEST(discoveries_elsewhere)
{
    see_all("uu");
    fo_shared_tell(shared, fo_plan_target_at(plan, 0)->seat, true, now);
    ck_assert_int_eq(heritage(), FO_STATE_UP);
    ck_assert(!fo_heritage_find(shared, fo_plan_endpoint(plan, 0), now, &(fo_row_t){ .state = 0 }));
}
END_TEST

/* Of children that have died, and of a place whose child was killed while it wrote. */
START_TEST(rows_of_the_dead)
{
    fo_row_words_t *words;

    see_all("ddd");
    for (int pid = 1; pid <= 3; pid++)
        fo_slot_release(shared, pid);
    ck_assert_int_eq(heritage(), FO_STATE_DOWN);
    words = fo_layout_row(shared, 1, endpoint->seat);
    atomic_fetch_xor(&words->version, FO_LAYOUT_ROW_FULL | FO_LAYOUT_ROW_BUSY);
    ck_assert_int_eq(heritage(), FO_STATE_DOWN);
    fo_row_clear(shared, 2);
    ck_assert_int_eq(heritage(), FO_STATE_COUNT);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_heritage");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_loop_test(tc, at_least_two_and_more_than_half, 0, COUNT(votes));
    tcase_add_test(tc, usable_or_not_is_what_is_voted_on);
    tcase_add_loop_test(tc, what_is_too_old_does_not_count, 0, 9);
    tcase_add_test(tc, the_youngest_row_is_inherited);
    tcase_add_loop_test(tc, a_discovery_outdates_what_was_seen_before, 0, 2);
    tcase_add_test(tc, discoveries_elsewhere);
    tcase_add_test(tc, rows_of_the_dead);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

/* The lease of the child that pings for all. */
#include "core/fo_lease.h"

#include "shared_rig.h"

#define SPAN (10 * SEC)
#define CROWD 3
#define ROUNDS 3000

static fo_shared_t *shared;

static void setup(void)
{
    fo_capacity_t capacity = { 4, 1, 1, 1, 1 };

    unit_setup();
    shared = rig_shared(&capacity);
}

static bool take(int slot, apr_uint64_t generation, apr_time_t now)
{
    return fo_lease_take(shared, slot, generation, now, SPAN);
}

static int holder(void)
{
    return fo_lease_read(shared).slot;
}

START_TEST(one_has_it_until_it_runs_out)
{
    apr_time_t now = 1000 * SEC;

    ck_assert_int_eq(holder(), FO_SLOT_NONE);
    ck_assert(take(2, 1, now));
    ck_assert_int_eq(holder(), 2);
    ck_assert_int_eq(fo_lease_read(shared).until_at, now + SPAN);
    for (int slot = 0; slot < 4; slot++)
        ck_assert_int_eq(take(slot, 1, now), slot == 2);
    ck_assert(!take(1, 1, now + SPAN - 1));
    ck_assert(take(1, 1, now + SPAN));
    ck_assert_int_eq(holder(), 1);
    ck_assert(!take(2, 1, now + SPAN + 1));
}
END_TEST

START_TEST(the_holder_renews_it)
{
    apr_time_t now = 1000 * SEC;

    take(0, 1, now);
    for (int i = 0; i < 50; i++, now += SPAN / 3) {
        ck_assert(take(0, 1, now));
        ck_assert(!take(1, 1, now));
    }
    ck_assert(!take(1, 1, now));
    ck_assert(take(0, 1, now + 5 * SPAN)); /* late, but nobody else has come */
}
END_TEST

/* Who was stopped and comes back finds that another has it, and may follow that one. */
START_TEST(a_stopped_holder_has_lost_it)
{
    apr_time_t now = 1000 * SEC;

    take(0, 1, now);
    ck_assert(take(1, 1, now + SPAN));
    ck_assert(!take(0, 1, now + SPAN + SEC));
    ck_assert_int_eq(holder(), 1);
    ck_assert(take(0, 1, now + 2 * SPAN));
}
END_TEST

START_TEST(without_a_slot_there_is_none)
{
    ck_assert(!take(FO_SLOT_NONE, 1, 1000 * SEC));
    ck_assert_int_eq(holder(), FO_SLOT_NONE);
    fo_lease_give_up(shared, FO_SLOT_NONE);
    take(0, 1, 1000 * SEC);
    fo_lease_give_up(shared, FO_SLOT_NONE);
    ck_assert_int_eq(holder(), 0);
}
END_TEST

START_TEST(given_up_by_its_holder_alone)
{
    apr_time_t now = 1000 * SEC;

    take(0, 1, now);
    fo_lease_give_up(shared, 1);
    ck_assert_int_eq(holder(), 0);
    fo_lease_give_up(shared, 0);
    ck_assert_int_eq(holder(), 0); /* what it saw can still be read there */
    ck_assert(take(1, 1, now + 1));
}
END_TEST

/* Generations count round a circle of 256: the newer half of it comes before the holder. */
START_TEST(a_newer_configuration_comes_first)
{
    static const struct {
        apr_uint64_t holder, taker;
        bool gets;
    } generations[] = {
        { 1, 2, true },         { 2, 1, false },        { 1, 1, false },
        { 1, 128, true },       { 1, 129, false },      { 255, 256, true },
        { 256, 255, false },    { 511, 513, true },     { 256, 256 + 127, true },
        { 1ull << 40, (1ull << 40) + 1, true },         { (1ull << 40) + 1, 1ull << 40, false },
    };
    apr_time_t now = 1000 * SEC;

    for (int i = 0; i < COUNT(generations); i++, now += 2 * SPAN) {
        ck_assert(take(0, generations[i].holder, now));
        ck_assert_msg(take(1, generations[i].taker, now) == generations[i].gets, "row %d", i);
        ck_assert_int_eq(holder(), generations[i].gets);
    }
}
END_TEST

/* The first and the last place that a plan may have, and a machine that runs for 30 years. */
START_TEST(all_that_fits_into_the_word)
{
    static const int slots[] = { 0, 1, 255, 256, 65533, FO_SLOTS_MAX - 1 };
    fo_plan_t *plan = fo_plan_make(pool);

    ck_assert_uint_eq(fo_shared_need(plan, FO_SLOTS_MAX - 1, 1).slots, FO_SLOTS_MAX - 1);
    ck_assert_uint_eq(fo_shared_need(plan, 400000, 1).slots, FO_SLOTS_MAX);
    for (int i = 0; i < COUNT(slots); i++) {
        apr_time_t now = 30 * 365 * 86400 * SEC + i * 2 * SPAN;
        fo_lease_t lease;
        ck_assert(take(slots[i], 200, now));
        lease = fo_lease_read(shared);
        ck_assert_int_eq(lease.slot, slots[i]);
        ck_assert_uint_eq(lease.generation, 200);
        ck_assert_int_eq(lease.until_at, now + SPAN);
        ck_assert(take(slots[i], 200, now + 1));
        ck_assert(!take(slots[i] ? 0 : 1, 200, now + 1));
    }
}
END_TEST

/* Processes */

typedef struct tally_t {
    atomic_int n_ready;
    atomic_int n_takers[ROUNDS]; /* by round */
} tally_t;

static tally_t *tally;

static bool take_at_once(int n)
{
    for (int round = 0; round < ROUNDS; round++) {
        rig_meet(&tally->n_ready, (round + 1) * CROWD);
        if (take(n, 1, 1000 * SEC + round * SPAN))
            atomic_fetch_add(&tally->n_takers[round], 1);
    }
    return true;
}

/* Whenever it runs out, one of those that reach for it gets it. */
START_TEST(one_of_a_crowd_has_it)
{
    pid_t pids[CROWD];

    tally = rig_map(sizeof(*tally));
    for (int i = 0; i < CROWD; i++)
        pids[i] = rig_fork(take_at_once, i);
    for (int i = 0; i < CROWD; i++)
        rig_expect_well(pids[i]);
    for (int round = 0; round < ROUNDS; round++)
        ck_assert_int_eq(atomic_load(&tally->n_takers[round]), 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_lease");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_set_timeout(tc, RIG_LIMIT);
    tcase_add_test(tc, one_has_it_until_it_runs_out);
    tcase_add_test(tc, the_holder_renews_it);
    tcase_add_test(tc, a_stopped_holder_has_lost_it);
    tcase_add_test(tc, without_a_slot_there_is_none);
    tcase_add_test(tc, given_up_by_its_holder_alone);
    tcase_add_test(tc, a_newer_configuration_comes_first);
    tcase_add_test(tc, all_that_fits_into_the_word);
    tcase_add_test(tc, one_of_a_crowd_has_it);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

/* The children's places: claimed by each for itself, given back by the parent. */
#include "core/fo_slot.h"

#include "core/fo_row.h"
#include "shared_rig.h"

#define CROWD 64

static fo_shared_t *shared;

static fo_shared_t *make(unsigned n_slots)
{
    fo_capacity_t capacity = { n_slots, 2, 2, 3, 4 };

    return rig_shared(&capacity);
}

static bool is_row_there(int slot)
{
    fo_row_t row;

    for (unsigned i = 0; i < 3; i++)
        if (fo_row_read(shared, (unsigned)slot, i, &row))
            return true;
    return false;
}

START_TEST(a_claim_says_who_and_when)
{
    fo_slot_t seen;
    int slot;

    shared = make(2);
    ck_assert_uint_eq(fo_slot_count(shared), 2);
    ck_assert(!fo_slot_read(shared, 0, &seen));
    ck_assert(!fo_slot_read(shared, 1, &seen));
    slot = fo_slot_claim(shared, 4711, 3, 100);
    ck_assert(slot == 0 || slot == 1);
    ck_assert(fo_slot_read(shared, (unsigned)slot, &seen));
    ck_assert_int_eq(seen.pid, 4711);
    ck_assert_uint_eq(seen.generation, 3);
    ck_assert_int_eq(seen.started_at, 100);
    ck_assert_int_eq(seen.beat_at, 100);
    ck_assert_uint_eq(seen.waits, 0);
    ck_assert_int_eq(seen.waited, 0);
    ck_assert(!fo_slot_read(shared, (unsigned)!slot, &seen));
}
END_TEST

START_TEST(a_beat_is_the_slots_own)
{
    int slot, other;
    fo_slot_t seen;

    shared = make(2);
    slot = fo_slot_claim(shared, 1, 1, 100);
    other = fo_slot_claim(shared, 2, 1, 100);
    fo_slot_beat(shared, slot, 150, 400);
    fo_slot_beat(shared, FO_SLOT_NONE, 999, 999);
    fo_slot_count_wait(shared, slot, 300);
    fo_slot_count_wait(shared, slot, 600);
    fo_slot_count_wait(shared, FO_SLOT_NONE, 1);
    fo_slot_count_unknown(shared, slot);
    fo_slot_count_unknown(shared, FO_SLOT_NONE);
    fo_slot_read(shared, (unsigned)slot, &seen);
    ck_assert_int_eq(seen.started_at, 100);
    ck_assert_int_eq(seen.beat_at, 150);
    ck_assert_int_eq(seen.wakes_at, 400);
    ck_assert_uint_eq(seen.waits, 2);
    ck_assert_int_eq(seen.waited, 900);
    ck_assert_uint_eq(seen.unknown_errors, 1);
    fo_slot_read(shared, (unsigned)other, &seen);
    ck_assert_int_eq(seen.beat_at, 100);
    ck_assert_int_eq(seen.wakes_at, 100);
    ck_assert_uint_eq(seen.waits, 0);
}
END_TEST

/* By what it said itself; one that never ran said so when it began. */
START_TEST(who_does_not_wake_in_time_is_late)
{
    static const struct {
        apr_time_t wakes_at, now;
        bool is_late;
    } cases[] = {
        { 100 * SEC, 40 * SEC, false },
        { 100 * SEC, 100 * SEC + FO_SLOT_PATIENCE, false },
        { 100 * SEC, 100 * SEC + FO_SLOT_PATIENCE + 1, true },
        { APR_INT64_MAX, 100 * SEC, false },
        { 0, 100 * SEC, true },
    };
    fo_slot_t seen;
    int slot;

    shared = make(1);
    slot = fo_slot_claim(shared, 1, 1, 10 * SEC);
    fo_slot_read(shared, (unsigned)slot, &seen);
    ck_assert(!fo_slot_is_late(&seen, 11 * SEC));
    ck_assert(fo_slot_is_late(&seen, 16 * SEC));
    for (int i = 0; i < COUNT(cases); i++) {
        fo_slot_beat(shared, slot, 20 * SEC, cases[i].wakes_at);
        fo_slot_read(shared, (unsigned)slot, &seen);
        ck_assert_int_eq(fo_slot_is_late(&seen, cases[i].now), cases[i].is_late);
    }
}
END_TEST

START_TEST(when_all_are_taken_there_is_none)
{
    unsigned n = (unsigned)_i;

    shared = make(n);
    for (unsigned i = 0; i < n; i++)
        ck_assert_int_ne(fo_slot_claim(shared, 100 + i, 1, 1), FO_SLOT_NONE);
    ck_assert_int_eq(fo_slot_claim(shared, 200, 1, 1), FO_SLOT_NONE);
    if (n == 0)
        return;
    fo_slot_release(shared, 100);
    ck_assert_int_ne(fo_slot_claim(shared, 200, 1, 1), FO_SLOT_NONE);
    ck_assert_int_eq(fo_slot_claim(shared, 201, 1, 1), FO_SLOT_NONE);
}
END_TEST

/* What the dead one published is there until somebody claims the place, and nothing after. */
START_TEST(a_released_slot_keeps_its_rows_until_it_is_claimed)
{
    const fo_row_t row = { .state = FO_STATE_DOWN, .pinged_at = 42 };
    fo_slot_t seen;
    int slot;

    shared = make(1);
    slot = fo_slot_claim(shared, 100, 1, 10);
    fo_slot_beat(shared, slot, 20, 30);
    fo_slot_count_wait(shared, slot, 6);
    for (unsigned i = 0; i < 3; i++)
        fo_row_write(shared, slot, i, &row);
    fo_slot_release(shared, 99);
    ck_assert(fo_slot_read(shared, 0, &seen));
    fo_slot_release(shared, 100);
    ck_assert(!fo_slot_read(shared, 0, &seen));
    ck_assert_int_eq(seen.beat_at, 20);
    ck_assert(is_row_there(0));
    ck_assert_int_eq(fo_slot_claim(shared, 101, 2, 30), 0);
    ck_assert(!is_row_there(0));
    ck_assert(fo_slot_read(shared, 0, &seen));
    ck_assert_uint_eq(seen.waits, 0);
    ck_assert_int_eq(seen.waited, 0);
    ck_assert_int_eq(seen.started_at, 30);
}
END_TEST

/* So the rows of those that have just died last longest. */
START_TEST(the_stalest_is_claimed)
{
    int slots[4];

    shared = make(4);
    for (int i = 0; i < 4; i++)
        slots[i] = fo_slot_claim(shared, 100 + i, 1, 10);
    for (int i = 0; i < 4; i++)
        fo_slot_beat(shared, slots[i], 100 - 10 * (i * 3 % 4), 0); /* 100, 70, 80, 90 */
    fo_slot_release(shared, 102);
    fo_slot_release(shared, 103);
    fo_slot_release(shared, 100);
    ck_assert_int_eq(fo_slot_claim(shared, 200, 2, 200), slots[2]);
    ck_assert_int_eq(fo_slot_claim(shared, 201, 2, 200), slots[3]);
    ck_assert_int_eq(fo_slot_claim(shared, 202, 2, 200), slots[0]);
    ck_assert_int_eq(fo_slot_claim(shared, 203, 2, 200), FO_SLOT_NONE);
}
END_TEST

static bool is_even(apr_int64_t pid)
{
    return pid % 2 == 0;
}

START_TEST(a_sweep_takes_from_the_dead_alone)
{
    fo_slot_t seen;

    shared = make(8);
    for (int i = 0; i < 6; i++)
        fo_slot_claim(shared, 100 + i, 1, 10);
    fo_slot_sweep(shared, is_even);
    for (unsigned i = 0; i < 8; i++)
        if (fo_slot_read(shared, i, &seen))
            ck_assert(is_even(seen.pid));
        else
            ck_assert_uint_eq(seen.generation, 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_ne(fo_slot_claim(shared, 200 + i, 1, 10), FO_SLOT_NONE);
    ck_assert_int_eq(fo_slot_claim(shared, 300, 1, 10), FO_SLOT_NONE);
}
END_TEST

/* Processes */

#define ROUNDS 8

typedef struct tally_t {
    atomic_int n_ready;
    atomic_int n_none[ROUNDS];
} tally_t;

static tally_t *tally;

/* Once all have claimed, each that got a place is the one that is named there. */
static bool claim_with_others(int unused)
{
    bool is_mine = true;
    int n_met = 0;

    (void)unused;
    for (int round = 0; round < ROUNDS; round++) {
        fo_slot_t seen;
        int slot;
        rig_meet(&tally->n_ready, ++n_met * CROWD);
        slot = fo_slot_claim(shared, getpid(), 1, 10);
        rig_meet(&tally->n_ready, ++n_met * CROWD);
        if (slot == FO_SLOT_NONE)
            atomic_fetch_add(&tally->n_none[round], 1);
        else
            is_mine &= fo_slot_read(shared, (unsigned)slot, &seen) && seen.pid == getpid();
        rig_meet(&tally->n_ready, ++n_met * CROWD);
        fo_slot_release(shared, getpid());
    }
    return is_mine;
}

/* As many as there are places for, or some more: each place goes to one. */
START_TEST(claims_at_once_are_unique)
{
    static const unsigned rooms[] = { CROWD, CROWD - 7, 1 };
    pid_t pids[CROWD];

    shared = make(rooms[_i]);
    tally = rig_map(sizeof(*tally));
    for (int i = 0; i < CROWD; i++)
        pids[i] = rig_fork(claim_with_others, i);
    for (int i = 0; i < CROWD; i++)
        rig_expect_well(pids[i]);
    for (int round = 0; round < ROUNDS; round++)
        ck_assert_int_eq(atomic_load(&tally->n_none[round]), CROWD - (int)rooms[_i]);
}
END_TEST

static bool claim_on(int n)
{
    for (;;) {
        int slot = fo_slot_claim(shared, getpid(), 1, 10);
        if (slot == FO_SLOT_NONE)
            return false;
        for (unsigned i = 0; i < 3; i++)
            fo_row_write(shared, slot, i, &(fo_row_t){ .pinged_at = n + 1 });
        fo_slot_beat(shared, slot, 11, 12);
        fo_slot_release(shared, getpid());
    }
}

/* Killed at any instant: the parent gets each place back, and what is there can be used again. */
START_TEST(the_places_of_the_killed_come_back)
{
    apr_uint64_t random = 4711;
    pid_t pids[4];

    shared = make(4);
    for (int i = 0; i < 4; i++)
        pids[i] = rig_fork(claim_on, i);
    for (int round = 0; round < 300; round++) {
        int i = (int)(rig_random(&random) % 4);
        rig_linger(&random);
        rig_kill(pids[i]);
        fo_slot_release(shared, pids[i]);
        pids[i] = rig_fork(claim_on, i);
    }
    for (int i = 0; i < 4; i++) {
        rig_kill(pids[i]);
        fo_slot_release(shared, pids[i]);
    }
    for (int i = 0; i < 4; i++) {
        fo_slot_t seen;
        int slot = fo_slot_claim(shared, 1000 + i, 7, 12);
        ck_assert_int_ne(slot, FO_SLOT_NONE);
        ck_assert(!is_row_there(slot));
        ck_assert(fo_slot_read(shared, (unsigned)slot, &seen));
        ck_assert_int_eq(seen.pid, 1000 + i);
        ck_assert_uint_eq(seen.generation, 7);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_slot");
    TCase *tc = unit_case("all");

    tcase_set_timeout(tc, RIG_LIMIT);
    tcase_add_test(tc, a_claim_says_who_and_when);
    tcase_add_test(tc, a_beat_is_the_slots_own);
    tcase_add_test(tc, who_does_not_wake_in_time_is_late);
    tcase_add_loop_test(tc, when_all_are_taken_there_is_none, 0, 3);
    tcase_add_test(tc, a_released_slot_keeps_its_rows_until_it_is_claimed);
    tcase_add_test(tc, the_stalest_is_claimed);
    tcase_add_test(tc, a_sweep_takes_from_the_dead_alone);
    tcase_add_loop_test(tc, claims_at_once_are_unique, 0, 3);
    tcase_add_test(tc, the_places_of_the_killed_come_back);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

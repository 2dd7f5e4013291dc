/* Rows: one writer each, any number of readers, none of whom ever sees half of one. */
#include "core/fo_row.h"

#include "core/fo_slot.h"
#include "shared_rig.h"

#define SLOTS 3
#define ENDPOINTS 2

static fo_shared_t *shared;

static void setup(void)
{
    fo_capacity_t capacity = { SLOTS, 1, 1, ENDPOINTS, 1 };

    unit_setup();
    shared = rig_shared(&capacity);
}

/* A row whose every part says the same number. */
static fo_row_t row_of(apr_int64_t n)
{
    fo_row_t row;

    memset(&row, 0, sizeof(row));
    row.state = row.verdict = (apr_byte_t)n;
    row.epoch = (apr_uint32_t)n;
    row.since_at = row.pinged_at = row.due_at = row.took = n;
    return row;
}

static bool is_whole(const fo_row_t *row)
{
    fo_row_t whole = row_of(row->since_at);

    return memcmp(row, &whole, sizeof(whole)) == 0;
}

START_TEST(what_is_written_is_read)
{
    const fo_row_t row = {
        .state = FO_STATE_RISING, .verdict = FO_VERDICT_LOGIN, .is_in_use = 1, .is_inherited = 1,
        .epoch = 0xfffffffe, .since_at = 1, .pinged_at = APR_INT64_MAX - 1, .due_at = FO_NEVER,
        .took = 3,
    };
    fo_row_t seen;

    fo_row_write(shared, 1, 1, &row);
    ck_assert(fo_row_read(shared, 1, 1, &seen));
    ck_assert_int_eq(seen.state, FO_STATE_RISING);
    ck_assert_int_eq(seen.verdict, FO_VERDICT_LOGIN);
    ck_assert_int_eq(seen.is_in_use, 1);
    ck_assert_int_eq(seen.is_inherited, 1);
    ck_assert_uint_eq(seen.epoch, 0xfffffffe);
    ck_assert_int_eq(seen.since_at, 1);
    ck_assert_int_eq(seen.pinged_at, APR_INT64_MAX - 1);
    ck_assert(seen.due_at == FO_NEVER);
    ck_assert_int_eq(seen.took, 3);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        for (unsigned endpoint = 0; endpoint < ENDPOINTS; endpoint++)
            ck_assert_int_eq(fo_row_read(shared, slot, endpoint, &seen),
                             slot == 1 && endpoint == 1);
}
END_TEST

/* A row of zeros is one too. */
START_TEST(written_or_not)
{
    fo_row_t row = row_of(0), seen = row_of(7);

    ck_assert(!fo_row_read(shared, 0, 0, &seen));
    ck_assert_int_eq(seen.since_at, 7);
    for (int i = 0; i < 3; i++) {
        fo_row_write(shared, 0, 0, &row);
        ck_assert(fo_row_read(shared, 0, 0, &seen));
        ck_assert_int_eq(seen.since_at, 0);
        fo_row_clear(shared, 0);
        ck_assert(!fo_row_read(shared, 0, 0, &seen));
    }
}
END_TEST

START_TEST(clearing_is_for_one_slot)
{
    fo_row_t row = row_of(5), seen;

    for (int slot = 0; slot < SLOTS; slot++)
        for (unsigned endpoint = 0; endpoint < ENDPOINTS; endpoint++)
            fo_row_write(shared, slot, endpoint, &row);
    fo_row_clear(shared, 1);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        for (unsigned endpoint = 0; endpoint < ENDPOINTS; endpoint++)
            ck_assert_int_eq(fo_row_read(shared, slot, endpoint, &seen), slot != 1);
}
END_TEST

START_TEST(without_a_slot_nothing_is_written)
{
    fo_capacity_t capacity = { SLOTS, 1, 1, ENDPOINTS, 1 };
    apr_size_t size = fo_shared_size(&capacity);
    fo_row_t row = row_of(5);
    void *before = apr_pmemdup(pool, shared, size - FO_LAYOUT_LINE);

    fo_row_write(shared, FO_SLOT_NONE, 1, &row);
    ck_assert_mem_eq(before, shared, size - FO_LAYOUT_LINE);
}
END_TEST

/*
 * What a reader holds of one writer's row is never taken for the next one's, though both wrote as
 * often: a version does not come twice, whatever happened in between.
 */
START_TEST(no_version_comes_twice)
{
    const _Atomic apr_uint64_t *version = &fo_layout_row(shared, 0, 0)->version;
    apr_uint64_t seen[64];
    int n = 0;

    for (int life = 0; life < 8; life++) {
        fo_row_t row = row_of(life);
        for (int i = 0; i < 3; i++) {
            fo_row_write(shared, 0, 0, &row);
            seen[n++] = atomic_load(version);
        }
        fo_row_clear(shared, 0);
    }
    for (int i = 1; i < n; i++)
        ck_assert_uint_gt(seen[i], seen[i - 1]);
}
END_TEST

/* The version at any instant of a write whose writer was killed: nothing is there to read. */
START_TEST(one_that_was_left_half_written)
{
    fo_row_t row = row_of(9), seen = row_of(7);
    fo_row_words_t *words = fo_layout_row(shared, 0, 0);
    apr_uint64_t full;

    fo_row_write(shared, 0, 0, &row);
    full = atomic_load(&words->version);
    atomic_store(&words->version, (full | FO_LAYOUT_ROW_MASK) + 1 + FO_LAYOUT_ROW_BUSY);
    ck_assert(!fo_row_read(shared, 0, 0, &seen));
    ck_assert_int_eq(seen.since_at, 7);
    fo_row_clear(shared, 0); /* as the next child does that claims the slot */
    ck_assert(!fo_row_read(shared, 0, 0, &seen));
    fo_row_write(shared, 0, 0, &row);
    ck_assert(fo_row_read(shared, 0, 0, &seen));
    ck_assert(is_whole(&seen));
}
END_TEST

/* Of what was seen, and what somebody has told since. */
START_TEST(a_later_discovery_of_the_contrary)
{
    static const struct {
        fo_state_e state;
        apr_time_t pinged_at, since_at;
        bool told_down, is_outdated;
    } cases[] = {
        { FO_STATE_UP, 99, 50, true, true },       { FO_STATE_UP, 99, 50, false, false },
        { FO_STATE_DOWN, 99, 50, false, true },    { FO_STATE_DOWN, 99, 50, true, false },
        { FO_STATE_FAILING, 99, 50, true, true },  { FO_STATE_FAILING, 99, 50, false, false },
        { FO_STATE_RISING, 99, 50, false, true },  { FO_STATE_RISING, 99, 50, true, false },
        { FO_STATE_UP, 100, 50, true, false },     { FO_STATE_DOWN, 101, 50, false, false },
        { FO_STATE_UP, 99, 0, true, true },        { FO_STATE_DOWN, 99, 0, false, true },
        { FO_STATE_DOWN, 99, 100, false, false }, /* a breaker has opened it since */
        { FO_STATE_UNKNOWN, 0, 0, true, false },
    };
    fo_target_t target = { .seat = 0 };

    for (int i = 0; i < COUNT(cases); i++) {
        fo_row_t row = { .state = (apr_byte_t)cases[i].state, .pinged_at = cases[i].pinged_at,
                         .since_at = cases[i].since_at };
        fo_shared_tell(shared, target.seat, cases[i].told_down, 100);
        ck_assert_msg(fo_row_is_outdated(shared, &target, &row) == cases[i].is_outdated, "%d", i);
    }
}
END_TEST

/* Nobody has told of anything: then all that is down is news of its own. */
START_TEST(nothing_was_discovered)
{
    fo_target_t target = { .seat = 0 };

    for (int state = 0; state < FO_STATE_COUNT; state++)
        ck_assert(!fo_row_is_outdated(shared, &target, &(fo_row_t){ .state = (apr_byte_t)state }));
}
END_TEST

/* Processes */

static atomic_int *is_over;

/* A child's life: few writes or many, then its place goes to another. */
static bool write_on(int n)
{
    apr_int64_t number = n * (apr_int64_t)1000000000;

    while (!atomic_load(is_over)) {
        int slot = fo_slot_claim(shared, getpid(), 1, 10);
        for (int i = 0; i < n && slot != FO_SLOT_NONE; i++) {
            for (unsigned endpoint = 0; endpoint < ENDPOINTS; endpoint++) {
                fo_row_t row = row_of(++number);
                fo_row_write(shared, slot, endpoint, &row);
            }
        }
        fo_slot_release(shared, getpid());
    }
    return true;
}

/* All whole, and more than none. */
static bool read_on(int unused)
{
    int n = 0;

    (void)unused;
    while (!atomic_load(is_over) || n == 0) {
        for (unsigned i = 0; i < SLOTS * ENDPOINTS; i++) {
            fo_row_t row;
            if (!fo_row_read(shared, i % SLOTS, i / SLOTS, &row))
                continue;
            if (!is_whole(&row))
                return false;
            n++;
        }
    }
    return true;
}

START_TEST(no_row_is_torn_whoever_is_killed)
{
    static const int lives[] = { 1, 2, 500 };
    apr_uint64_t random = 42;
    pid_t writers[3], reader;

    is_over = rig_map(sizeof(*is_over));
    for (int i = 0; i < 3; i++)
        writers[i] = rig_fork(write_on, lives[i]);
    reader = rig_fork(read_on, 0);
    for (int round = 0; round < 300; round++) {
        int i = (int)(rig_random(&random) % 3);
        rig_linger(&random);
        rig_kill(writers[i]);
        fo_slot_release(shared, writers[i]);
        writers[i] = rig_fork(write_on, lives[i]);
    }
    for (int i = 0; i < 3; i++)
        rig_kill(writers[i]);
    atomic_store(is_over, 1);
    for (int i = 0; i < 3; i++) {
        fo_slot_release(shared, writers[i]);
        ck_assert_int_eq(fo_slot_claim(shared, i + 1, 1, 10) != FO_SLOT_NONE, 1);
        fo_row_write(shared, i, 0, &(fo_row_t){ .since_at = 0 });
    }
    rig_expect_well(reader);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_row");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_set_timeout(tc, RIG_LIMIT);
    tcase_add_test(tc, what_is_written_is_read);
    tcase_add_test(tc, written_or_not);
    tcase_add_test(tc, clearing_is_for_one_slot);
    tcase_add_test(tc, without_a_slot_nothing_is_written);
    tcase_add_test(tc, no_version_comes_twice);
    tcase_add_test(tc, one_that_was_left_half_written);
    tcase_add_test(tc, a_later_discovery_of_the_contrary);
    tcase_add_test(tc, nothing_was_discovered);
    tcase_add_test(tc, no_row_is_torn_whoever_is_killed);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

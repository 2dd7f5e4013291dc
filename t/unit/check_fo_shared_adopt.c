/*
 * What is kept over a change of the configuration. The same memory is adopted by one plan after
 * another, or carried over into another one.
 */
#include "core/fo_heritage.h"
#include "core/fo_news.h"
#include "core/fo_record.h"
#include "core/fo_slot.h"

#include "shared_rig.h"

#include <pthread.h>

#define SLOTS 4
#define CELLS 2

static fo_policy_t policy;
static fo_shared_t *shared;
static apr_time_t now;

static fo_shared_t *make(unsigned n_seats)
{
    fo_capacity_t capacity = { SLOTS, n_seats, n_seats, n_seats, CELLS };

    return rig_shared(&capacity);
}

static void setup(void)
{
    unit_setup();
    policy = unit_policy();
    shared = make(8);
    now = 10000 * SEC;
}

/* A plan of services "name=address", parted by blanks. */
static fo_plan_t *plan_of(const char *text)
{
    fo_plan_t *plan = fo_plan_make(pool);
    char *last, *copy = apr_pstrdup(pool, text);

    for (char *name = strtok_r(copy, " ", &last); name; name = strtok_r(NULL, " ", &last)) {
        char *address = strchr(name, '=');
        *address++ = '\0';
        unit_service(plan, name, &policy, address, NULL);
    }
    return plan;
}

static fo_plan_t *adopt(const char *text)
{
    fo_plan_t *plan = plan_of(text);

    ck_assert(fo_shared_adopt(shared, plan, NULL));
    return plan;
}

static const fo_service_t *service_of(const fo_plan_t *plan, const char *name)
{
    const fo_service_t *service = fo_plan_find(plan, name);

    ck_assert_ptr_ne(service, NULL);
    return service;
}

/* All that there is to know of a service and what it asks, in the slot of a child. */
static void leave_marks(fo_shared_t *memory, const fo_service_t *service, int slot, int number)
{
    const fo_endpoint_t *endpoint = fo_service_endpoint(service, 0);
    fo_row_t row = { .state = FO_STATE_DOWN, .since_at = number, .pinged_at = now };
    fo_report_t report = { .verdict = FO_VERDICT_FAIL, .code = number };

    fo_row_write(memory, slot, endpoint->seat, &row);
    fo_record_add(memory, endpoint->target->seat, &report, now + number);
    fo_shared_tell(memory, endpoint->target->seat, true, now + number);
    fo_shared_suspect(memory, endpoint->target->seat);
    ck_assert(fo_news_outage(memory, service, now - number));
}

/* All of it is there. */
static void expect_marks(fo_shared_t *memory, const fo_service_t *service, int slot, int number)
{
    const fo_endpoint_t *endpoint = fo_service_endpoint(service, 0);
    apr_interval_time_t lasted = -1;
    fo_record_t record;
    fo_row_t row;

    ck_assert(fo_row_read(memory, (unsigned)slot, endpoint->seat, &row));
    ck_assert_int_eq(row.since_at, number);
    fo_record_read(memory, endpoint->target->seat, &record);
    ck_assert_uint_eq(record.counts[FO_VERDICT_FAIL], 1);
    ck_assert_uint_eq(record.n_history, 1);
    ck_assert_int_eq(record.failure.report.code, number);
    ck_assert_uint_eq(fo_shared_hint(memory, endpoint->target->seat) & FO_HINT_DOWN, FO_HINT_DOWN);
    ck_assert_int_eq(fo_shared_told_at(memory, endpoint->target->seat), now + number);
    ck_assert(fo_news_is_open(memory, service));
    ck_assert(fo_news_reminder(memory, service, now + 86400 * SEC, &lasted));
    ck_assert_int_eq(lasted, 86400 * SEC + number);
}

/* Nothing is, but what holds for the service alone. */
static void expect_fresh_endpoint(const fo_service_t *service)
{
    const fo_endpoint_t *endpoint = fo_service_endpoint(service, 0);
    fo_record_t record;
    fo_row_t row;

    for (unsigned slot = 0; slot < SLOTS; slot++)
        ck_assert(!fo_row_read(shared, slot, endpoint->seat, &row));
    fo_record_read(shared, endpoint->target->seat, &record);
    ck_assert_uint_eq(record.counts[FO_VERDICT_FAIL], 0);
    ck_assert_uint_eq(record.n_history, 0);
    ck_assert_int_eq(record.failure.at, 0);
    ck_assert_uint_eq(fo_shared_hint(shared, endpoint->target->seat), 0);
    ck_assert_int_eq(fo_shared_told_at(shared, endpoint->target->seat), 0);
    ck_assert(!fo_shared_take_suspect(shared, endpoint->target->seat));
    for (int i = 0; i < CELLS; i++)
        ck_assert_int_ge(fo_shared_enter(shared, endpoint->target->seat, now, FO_NEVER).cell, 0);
}

static void expect_fresh(const fo_service_t *service)
{
    expect_fresh_endpoint(service);
    ck_assert(!fo_news_is_open(shared, service));
}

static unsigned seat_of(const fo_plan_t *plan, const char *name)
{
    return fo_service_endpoint(service_of(plan, name), 0)->seat;
}

/* The same plan in another order, with others around it: what is the same is found again. */
START_TEST(what_is_the_same_keeps_all)
{
    static const char *const after[] = { "a=1 b=2 c=3", "c=3 b=2 a=1", "x=7 b=2 y=8", "b=2" };
    fo_plan_t *before = adopt("a=1 b=2 c=3"), *plan;
    int slot = fo_slot_claim(shared, 100, before->generation, now);

    leave_marks(shared, service_of(before, "b"), slot, 5);
    plan = adopt(after[_i]);
    ck_assert_uint_eq(plan->generation, before->generation + 1);
    ck_assert_uint_eq(seat_of(plan, "b"), seat_of(before, "b"));
    expect_marks(shared, service_of(plan, "b"), slot, 5);
    for (unsigned i = 0; i < (unsigned)plan->services->nelts; i++)
        if (strcmp(fo_plan_service(plan, i)->name, "b") != 0)
            expect_fresh(fo_plan_service(plan, i));
}
END_TEST

START_TEST(what_is_renamed_or_elsewhere_is_fresh)
{
    fo_plan_t *before = adopt("a=1 b=2"), *plan;
    int slot = fo_slot_claim(shared, 100, before->generation, now);
    fo_row_t row;

    leave_marks(shared, service_of(before, "a"), slot, 5);
    leave_marks(shared, service_of(before, "b"), slot, 6);
    plan = adopt("a=9 z=2");
    expect_fresh_endpoint(service_of(plan, "a"));
    ck_assert(fo_news_is_open(shared, service_of(plan, "a"))); /* its end is still to be told */
    ck_assert(!fo_row_read(shared, (unsigned)slot, seat_of(plan, "z"), &row));
    ck_assert(!fo_news_is_open(shared, service_of(plan, "z")));
}
END_TEST

/* Two services that ask the same have one target, and a row each. */
START_TEST(seats_are_unique)
{
    fo_plan_t *plan = adopt("a=1 b=1 c=2 d=3");

    for (unsigned i = 0; i < 4; i++)
        for (unsigned j = 0; j < i; j++) {
            ck_assert_uint_ne(fo_plan_service(plan, i)->seat, fo_plan_service(plan, j)->seat);
            ck_assert_uint_ne(fo_plan_endpoint(plan, i)->seat, fo_plan_endpoint(plan, j)->seat);
        }
    ck_assert_int_eq(plan->targets->nelts, 3);
    ck_assert_uint_eq(fo_plan_endpoint(plan, 0)->target->seat,
                      fo_plan_endpoint(plan, 1)->target->seat);
}
END_TEST

/* As in virtual hosts of one name at two addresses: each has and keeps a seat of its own. */
START_TEST(two_that_are_called_the_same)
{
    fo_plan_t *before = adopt("a=1 a=1"), *plan;
    int slot = fo_slot_claim(shared, 100, before->generation, now);
    fo_row_t row = { .took = 7 };

    ck_assert_uint_ne(fo_plan_service(before, 0)->seat, fo_plan_service(before, 1)->seat);
    ck_assert_uint_ne(fo_plan_endpoint(before, 0)->seat, fo_plan_endpoint(before, 1)->seat);
    fo_row_write(shared, slot, fo_plan_endpoint(before, 1)->seat, &row);
    plan = adopt("a=1 a=1");
    for (unsigned i = 0; i < 2; i++) {
        ck_assert_uint_eq(fo_plan_service(plan, i)->seat, fo_plan_service(before, i)->seat);
        ck_assert_uint_eq(fo_plan_endpoint(plan, i)->seat, fo_plan_endpoint(before, i)->seat);
    }
    ck_assert(fo_row_read(shared, (unsigned)slot, fo_plan_endpoint(plan, 1)->seat, &row));
}
END_TEST

/* A child of an earlier plan lives: what it knows stays its own, however many plans follow. */
START_TEST(the_living_keep_their_seats)
{
    fo_plan_t *first, *plan;
    int slot;

    shared = make(6);
    first = adopt("a=1 b=2");
    slot = fo_slot_claim(shared, 100, first->generation, now);
    leave_marks(shared, service_of(first, "a"), slot, 5);
    for (int i = 0; i < 5; i++) {
        plan = adopt(i % 2 ? "c=3 d=4" : "e=5 f=6");
        for (unsigned j = 0; j < 2; j++)
            for (unsigned k = 0; k < 2; k++)
                ck_assert_uint_ne(fo_plan_endpoint(plan, j)->seat,
                                  fo_plan_endpoint(first, k)->seat);
    }
    ck_assert(!fo_shared_adopt(shared, plan_of("g=7"), NULL)); /* all six are somebody's */
    expect_marks(shared, service_of(first, "a"), slot, 5);
    fo_slot_release(shared, 100);
    fo_slot_claim(shared, 101, shared->generation, now);
    plan = adopt("g=7 h=8");
    expect_fresh(service_of(plan, "g"));
    expect_fresh(service_of(plan, "h"));
}
END_TEST

/* So it is while a child has a place and has not said yet of which plan it is. */
START_TEST(a_child_that_is_just_claiming_keeps_all)
{
    fo_plan_t *first;

    shared = make(2);
    first = adopt("a=1");
    fo_slot_claim(shared, 100, first->generation, now);
    atomic_store(&shared->slots[0].generation, 0);
    adopt("b=2");
    ck_assert(!fo_shared_adopt(shared, plan_of("c=3"), NULL));
    fo_slot_release(shared, 100);
    ck_assert(fo_shared_adopt(shared, plan_of("c=3"), NULL));
}
END_TEST

/* The newest plan's are never given away: its first child may be there without a place. */
START_TEST(the_newest_plans_seats_are_kept)
{
    shared = make(3);
    adopt("a=1 b=2");
    ck_assert(!fo_shared_adopt(shared, plan_of("c=3 d=4"), NULL));
}
END_TEST

START_TEST(more_than_there_is_room_for)
{
    static const char *const plans[] = { "a=1 b=2 c=3", "a=1 b=1 c=1" };

    shared = make(2);
    ck_assert(!fo_shared_adopt(shared, plan_of(plans[_i]), NULL));
}
END_TEST

/* A service taken out and put back. */
START_TEST(what_comes_back_finds_its_seat)
{
    fo_plan_t *plan = adopt("a=1 b=2");
    int slot = fo_slot_claim(shared, 100, plan->generation, now);

    leave_marks(shared, service_of(plan, "a"), slot, 5);
    adopt("b=2");
    expect_marks(shared, service_of(adopt("b=2 a=1"), "a"), slot, 5);
}
END_TEST

/* Another memory */

START_TEST(memory_fits_or_not)
{
    fo_plan_t *plan = plan_of("a=1 b=2 c=3");
    fo_capacity_t need = fo_shared_need(plan, SLOTS, CELLS);

    ck_assert_uint_eq(need.services, 3);
    ck_assert_uint_eq(need.targets, 3);
    ck_assert_uint_eq(need.endpoints, 3);
    ck_assert(fo_shared_fits(shared, &need)); /* whether there are seats, a plan finds out */
    need.slots++;
    ck_assert(!fo_shared_fits(shared, &need));
    need = fo_shared_need(plan, SLOTS, CELLS + 1);
    ck_assert(!fo_shared_fits(shared, &need));
    need = fo_shared_need(plan, SLOTS, CELLS);
    shared->layout++;
    ck_assert(!fo_shared_fits(shared, &need));
}
END_TEST

static fo_capacity_t bigger(void)
{
    return (fo_capacity_t){ SLOTS + 3, 20, 21, 22, CELLS + 5 };
}

START_TEST(bigger_memory_takes_all_over)
{
    fo_plan_t *before = adopt("a=1 b=2 c=3"), *plan = plan_of("x=7 c=3 y=8 a=1");
    fo_capacity_t capacity = bigger();
    fo_shared_t *next = rig_shared(&capacity);
    unsigned count;
    fo_slot_t seen;
    int slots[2];

    for (int i = 0; i < 2; i++)
        slots[i] = fo_slot_claim(shared, 100 + i, before->generation, now + i);
    fo_slot_beat(shared, slots[0], now + 9, now + 99);
    fo_slot_count_wait(shared, slots[0], 4);
    leave_marks(shared, service_of(before, "a"), slots[1], 5);
    leave_marks(shared, service_of(before, "b"), slots[1], 6);
    leave_marks(shared, service_of(before, "c"), slots[0], 7);
    count = atomic_load(fo_shared_count(shared));
    ck_assert(fo_shared_adopt(next, plan, shared));
    ck_assert_uint_gt(plan->generation, before->generation);
    expect_marks(next, service_of(plan, "a"), slots[1], 5);
    expect_marks(next, service_of(plan, "c"), slots[0], 7);
    ck_assert_uint_eq(atomic_load(fo_shared_count(next)), count);
    ck_assert(fo_slot_read(next, (unsigned)slots[0], &seen));
    ck_assert_int_eq(seen.pid, 100);
    ck_assert_uint_eq(seen.generation, before->generation);
    ck_assert_int_eq(seen.beat_at, now + 9);
    ck_assert_int_eq(seen.wakes_at, now + 99);
    ck_assert_uint_eq(seen.waits, 1);
    ck_assert(!fo_news_is_open(next, service_of(plan, "x")));
    expect_marks(shared, service_of(before, "b"), slots[1], 6); /* the old one is as it was */
}
END_TEST

/* Each of them takes over what is its own, as the first ones of their names do. */
START_TEST(bigger_memory_tells_namesakes_apart)
{
    fo_plan_t *before = adopt("a=1 a=1"), *plan = plan_of("a=1 x=7 a=1");
    fo_capacity_t capacity = bigger();
    fo_shared_t *next = rig_shared(&capacity);
    int slot = fo_slot_claim(shared, 100, before->generation, now);
    fo_row_t row = { .took = 7 };

    fo_row_write(shared, slot, fo_plan_endpoint(before, 1)->seat, &row);
    ck_assert(fo_news_outage(shared, fo_plan_service(before, 1), now));
    ck_assert(fo_shared_adopt(next, plan, shared));
    ck_assert(!fo_news_is_open(next, fo_plan_service(plan, 0)));
    ck_assert(fo_news_is_open(next, fo_plan_service(plan, 2)));
    ck_assert(!fo_row_read(next, (unsigned)slot, fo_plan_endpoint(plan, 0)->seat, &row));
    ck_assert(fo_row_read(next, (unsigned)slot, fo_plan_endpoint(plan, 2)->seat, &row));
}
END_TEST

/* Into fewer places than there were. */
START_TEST(smaller_memory_takes_over_what_fits)
{
    fo_capacity_t capacity = { 1, 2, 2, 2, 0 };
    fo_plan_t *before = adopt("a=1 b=2 c=3"), *plan = plan_of("a=1");
    fo_shared_t *next = rig_shared(&capacity);

    for (int i = 0; i < SLOTS; i++)
        fo_slot_claim(shared, 100 + i, before->generation, now);
    leave_marks(shared, service_of(before, "a"), 0, 5);
    for (int slot = 1; slot < SLOTS; slot++)
        fo_row_write(shared, slot, seat_of(before, "a"), &(fo_row_t){ .since_at = 1 });
    ck_assert(fo_shared_adopt(next, plan, shared));
    expect_marks(next, service_of(plan, "a"), 0, 5);
}
END_TEST

static bool is_gone(apr_int64_t pid)
{
    (void)pid;
    return false;
}

/* Laid out by another version of the code: not one number of it is believed. */
START_TEST(memory_of_another_version_is_not_read)
{
    fo_plan_t *before = adopt("a=1"), *plan = plan_of("a=1");
    fo_capacity_t capacity = bigger();
    fo_shared_t *next = rig_shared(&capacity);
    fo_slot_t seen;

    leave_marks(shared, service_of(before, "a"), fo_slot_claim(shared, 100, 1, now), 5);
    shared->layout++;
    shared->generation = 0xabcdef;
    shared->capacity = (fo_capacity_t){ 1u << 30, 1u << 30, 1u << 30, 1u << 30, 1u << 30 };
    shared->slots = NULL;
    shared->rows = NULL;
    fo_slot_sweep(shared, is_gone);
    ck_assert(fo_shared_adopt(next, plan, shared));
    ck_assert_uint_eq(plan->generation, 1);
    ck_assert(!fo_slot_read(next, 0, &seen));
    shared = next;
    expect_fresh(service_of(plan, "a"));
}
END_TEST

/* Children go on writing while their rows are carried over: each arrives whole or not at all. */
static atomic_bool is_over;
static unsigned written_seat;

static void *write_rows(void *unused)
{
    for (apr_int64_t n = 1; !atomic_load(&is_over); n++) {
        fo_row_t row = { .epoch = (apr_uint32_t)n, .since_at = n, .pinged_at = n, .due_at = n,
                         .took = n };
        fo_row_write(shared, 1, written_seat, &row);
    }
    return unused;
}

START_TEST(rows_are_carried_whole)
{
    fo_capacity_t capacity = { SLOTS, 1, 1, 1, 0 };
    fo_plan_t *plan = adopt("a=1");
    void *memory = apr_palloc(pool, fo_shared_size(&capacity));
    pthread_t writer;
    int n = 0;

    written_seat = seat_of(plan, "a");
    pthread_create(&writer, NULL, write_rows, NULL);
    for (int i = 0; i < 20000 || n < 1000; i++) {
        fo_row_t row;
        memset(memory, 0, fo_shared_size(&capacity));
        fo_shared_t *next = fo_shared_init(memory, &capacity);
        fo_shared_adopt(next, plan, shared);
        if (fo_row_read(next, 1, seat_of(plan, "a"), &row)) {
            ck_assert_int_eq(row.since_at, row.took);
            ck_assert_int_eq(row.pinged_at, row.took);
            n++;
        }
    }
    atomic_store(&is_over, true);
    pthread_join(writer, NULL);
}
END_TEST

/* A thousand of each, in a server of many children. */
START_TEST(a_thousand_endpoints)
{
    fo_plan_t *plan = fo_plan_make(pool), *again = fo_plan_make(pool);
    fo_capacity_t need;
    bool is_taken[1000] = { false };
    apr_size_t rows, all;

    for (int i = 0; i < 1000; i++) {
        unit_service(plan, apr_psprintf(pool, "s%d", i), &policy, apr_psprintf(pool, "%d", i),
                     NULL);
        unit_service(again, apr_psprintf(pool, "s%d", 999 - i), &policy,
                     apr_psprintf(pool, "%d", 999 - i), NULL);
    }
    need = fo_shared_need(plan, 512, 16);
    all = fo_shared_size(&need);
    need.slots = 0;
    rows = all - fo_shared_size(&need);
    ck_assert_uint_le(rows, (apr_size_t)512 * 1000 * 128 + 512 * 64);
    ck_assert_uint_le(fo_shared_size(&need), (apr_size_t)1000 * 2048);
    need.slots = 512;
    shared = rig_shared(&need);
    ck_assert(fo_shared_adopt(shared, plan, NULL));
    for (unsigned i = 0; i < 1000; i++) {
        unsigned seat = fo_plan_endpoint(plan, i)->seat;
        ck_assert_uint_lt(seat, 1000);
        ck_assert(!is_taken[seat]);
        is_taken[seat] = true;
    }
    leave_marks(shared, service_of(plan, "s0"), 0, 1);
    leave_marks(shared, service_of(plan, "s999"), 511, 2);
    ck_assert(fo_shared_adopt(shared, again, NULL));
    for (unsigned i = 0; i < 1000; i++)
        ck_assert_uint_eq(fo_plan_endpoint(again, i)->seat, fo_plan_endpoint(plan, 999 - i)->seat);
    expect_marks(shared, service_of(again, "s0"), 0, 1);
    expect_marks(shared, service_of(again, "s999"), 511, 2);
    ck_assert(!fo_shared_adopt(shared, plan_of("x=7"), NULL));
}
END_TEST

/* Each word of each kind is written; not a byte outside is. */
START_TEST(all_stays_within_its_size)
{
    static const fo_capacity_t rooms[] = {
        { 1, 1, 1, 1, 1 }, { 3, 2, 4, 5, 7 }, { 1, 8, 1, 1, 0 }, { 64, 1, 1, 9, 1 },
    };
    const fo_capacity_t *room = &rooms[_i];
    fo_report_t report = { .verdict = FO_VERDICT_FAIL };
    apr_size_t size = fo_shared_size(room);

    for (unsigned shift = 0; shift < 64; shift += 8) {
        unsigned char *begin = malloc(shift + size + 64), *block = begin + shift;
        memset(begin, 0x5a, shift + size + 64);
        memset(block, 0, size);
        shared = fo_shared_init(block, room);
        for (unsigned slot = 0; slot < room->slots; slot++) {
            ck_assert_int_eq(fo_slot_claim(shared, slot + 1, 1, now), (int)slot);
            for (unsigned i = 0; i < room->endpoints; i++)
                fo_row_write(shared, (int)slot, i, &(fo_row_t){ .took = -1 });
        }
        for (unsigned i = 0; i < room->targets; i++) {
            for (int n = 0; n < FO_HISTORY + 1; n++)
                fo_record_add(shared, i, &report, now);
            fo_shared_tell(shared, i, true, now);
            fo_shared_suspect(shared, i);
            for (unsigned n = 0; n < room->cells; n++)
                ck_assert_int_eq(fo_shared_enter(shared, i, now, FO_NEVER).cell, (int)n);
        }
        for (unsigned i = 0; i < room->services; i++) {
            fo_service_t service = { .seat = i, .policy = policy };
            ck_assert(fo_news_outage(shared, &service, now));
        }
        for (unsigned i = 0; i < shift; i++)
            ck_assert_int_eq(begin[i], 0x5a);
        for (unsigned i = 0; i < 64; i++)
            ck_assert_int_eq(block[size + i], 0x5a);
        for (unsigned i = 0; i < room->targets; i++) { /* and nothing over another */
            fo_record_t record;
            fo_record_read(shared, i, &record);
            ck_assert_uint_eq(record.counts[FO_VERDICT_FAIL], FO_HISTORY + 1);
            ck_assert_uint_eq(record.n_history, FO_HISTORY);
            ck_assert_uint_eq(fo_shared_hint(shared, i), 3);
        }
        free(begin);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_shared_adopt");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_set_timeout(tc, RIG_LIMIT);
    tcase_add_loop_test(tc, what_is_the_same_keeps_all, 0, 4);
    tcase_add_test(tc, what_is_renamed_or_elsewhere_is_fresh);
    tcase_add_test(tc, seats_are_unique);
    tcase_add_test(tc, two_that_are_called_the_same);
    tcase_add_test(tc, the_living_keep_their_seats);
    tcase_add_test(tc, a_child_that_is_just_claiming_keeps_all);
    tcase_add_test(tc, the_newest_plans_seats_are_kept);
    tcase_add_loop_test(tc, more_than_there_is_room_for, 0, 2);
    tcase_add_test(tc, what_comes_back_finds_its_seat);
    tcase_add_test(tc, memory_fits_or_not);
    tcase_add_test(tc, bigger_memory_takes_all_over);
    tcase_add_test(tc, bigger_memory_tells_namesakes_apart);
    tcase_add_test(tc, smaller_memory_takes_over_what_fits);
    tcase_add_test(tc, memory_of_another_version_is_not_read);
    tcase_add_test(tc, rows_are_carried_whole);
    tcase_add_test(tc, a_thousand_endpoints);
    tcase_add_loop_test(tc, all_stays_within_its_size, 0, 4);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

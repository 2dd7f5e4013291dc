/* What children share: hints, and cells that bound how many ping at a time. */
#include "core/fo_shared.h"

#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define TARGETS 3
#define CELLS 4

static void *memory;
static fo_shared_t *shared;

static fo_capacity_t room(unsigned n_targets, unsigned n_cells)
{
    return (fo_capacity_t){ 2, n_targets, n_targets, n_targets, n_cells };
}

static fo_shared_t *make(unsigned n_targets, unsigned n_cells)
{
    fo_capacity_t capacity = room(n_targets, n_cells);

    memory = mmap(NULL, fo_shared_size(&capacity) + (size_t)sysconf(_SC_PAGESIZE),
                  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(memory, MAP_FAILED);
    return fo_shared_init(memory, &capacity);
}

static void setup(void)
{
    unit_setup();
    shared = make(TARGETS, CELLS);
}

/* Memory of each alignment is taken, and not a byte behind what was asked for is touched. */
START_TEST(size_and_alignment)
{
    static const unsigned sizes[][2] = { { 0, 0 }, { 1, 0 }, { 0, 16 }, { 1, 1 }, { 7, 3 },
                                         { 300, 16 } };
    unsigned n_targets = sizes[_i][0], n_cells = sizes[_i][1];
    fo_capacity_t capacity = room(n_targets, n_cells);
    apr_size_t size = fo_shared_size(&capacity);

    ck_assert_uint_ge(size, (apr_size_t)n_targets * (n_cells + 1) * sizeof(apr_int64_t));
    for (unsigned shift = 0; shift < 64; shift += 8) {
        char *begin = aligned_alloc(64, (shift + size + 64 + 63) / 64 * 64), *block = begin + shift;
        memset(block, 0, size);
        memset(block + size, 0x5a, 8);
        shared = fo_shared_init(block, &capacity);
        ck_assert_uint_eq((uintptr_t)fo_shared_count(shared) % 64, 0);
        ck_assert((const char *)fo_shared_count(shared) >= block);
        for (unsigned i = 0; i < n_targets; i++) {
            fo_shared_tell(shared, i, true, 1);
            for (unsigned j = 0; j < n_cells; j++)
                ck_assert_int_eq(fo_shared_enter(shared, i, 1, APR_INT64_MAX).cell, (int)j);
        }
        ck_assert_uint_eq(atomic_load(fo_shared_count(shared)), n_targets);
        for (int i = 0; i < 8; i++)
            ck_assert_int_eq(block[size + (apr_size_t)i], 0x5a);
        free(begin);
    }
}
END_TEST

/* The count is read by every request: the words that pings write are on other cache lines. */
START_TEST(the_count_has_a_line_of_its_own)
{
    const char *count = (const char *)fo_shared_count(shared);
    fo_capacity_t capacity = room(TARGETS, CELLS);
    const char *end = (const char *)memory + fo_shared_size(&capacity);
    char before[64];

    memcpy(before, count, sizeof(before));
    ck_assert(count + 64 <= end);
    for (unsigned i = 0; i < TARGETS; i++)
        fo_shared_enter(shared, i, 1, 2);
    ck_assert_mem_eq(before, count, sizeof(before));
}
END_TEST

/* Hints */

START_TEST(a_hint_moves_and_says_what_was_found)
{
    static const bool found[] = { true, true, false, false, true, false };
    unsigned before = fo_shared_hint(shared, 1);

    ck_assert_uint_eq(atomic_load(fo_shared_count(shared)), 0);
    for (int i = 0; i < COUNT(found); i++) {
        unsigned told = fo_shared_tell(shared, 1, found[i], 1);
        ck_assert_uint_ne(told, before);
        ck_assert_uint_eq(told, fo_shared_hint(shared, 1));
        ck_assert_int_eq((told & FO_HINT_DOWN) != 0, found[i]);
        ck_assert_uint_eq(atomic_load(fo_shared_count(shared)), (unsigned)i + 1);
        before = told;
    }
    ck_assert_uint_eq(fo_shared_hint(shared, 0), 0);
    ck_assert_uint_eq(fo_shared_hint(shared, 2), 0);
}
END_TEST

static void *tell_on(void *opaque)
{
    unsigned target = (unsigned)(uintptr_t)opaque % TARGETS;

    for (int i = 0; i < 5000; i++)
        fo_shared_tell(shared, target, i % 2, 1);
    return NULL;
}

/* No hint is lost, however many tell at once: each moves the word by one. */
START_TEST(hints_of_many_threads)
{
    pthread_t threads[6];

    for (int i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, tell_on, (void *)(uintptr_t)i);
    for (int i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    ck_assert_uint_eq(atomic_load(fo_shared_count(shared)), 30000);
    for (unsigned i = 0; i < TARGETS; i++)
        ck_assert_uint_eq(fo_shared_hint(shared, i) / 2, 10000);
}
END_TEST

/* The count moves after the word: who sees it move finds the word moved. */
static atomic_bool is_over;

static void *look_on(void *unused)
{
    while (!atomic_load(&is_over)) {
        unsigned count = atomic_load(fo_shared_count(shared));
        unsigned told = fo_shared_hint(shared, 0) / 2;
        ck_assert_uint_ge(told, count);
    }
    return unused;
}

START_TEST(the_word_is_there_when_the_count_moves)
{
    pthread_t looker;

    pthread_create(&looker, NULL, look_on, NULL);
    for (int i = 0; i < 50000; i++)
        fo_shared_tell(shared, 0, true, 1);
    atomic_store(&is_over, true);
    pthread_join(looker, NULL);
}
END_TEST

/* Cells */

START_TEST(as_many_as_there_are_cells)
{
    fo_cell_t cells[CELLS];

    for (int i = 0; i < CELLS; i++) {
        cells[i] = fo_shared_enter(shared, 0, 100, 200);
        ck_assert_int_ge(cells[i].cell, 0);
        ck_assert_int_eq(cells[i].until_at, 200);
        for (int j = 0; j < i; j++)
            ck_assert_int_ne(cells[i].cell, cells[j].cell);
    }
    ck_assert_int_eq(fo_shared_enter(shared, 0, 100, 200).cell, -1);
    for (unsigned target = 1; target < TARGETS; target++)
        for (int i = 0; i < CELLS; i++)
            ck_assert_int_ge(fo_shared_enter(shared, target, 100, 200).cell, 0);
    fo_shared_leave(shared, 0, cells[2]);
    ck_assert_int_eq(fo_shared_enter(shared, 0, 100, 200).cell, cells[2].cell);
    ck_assert_int_eq(fo_shared_enter(shared, 0, 100, 200).cell, -1);
    ck_assert_int_eq(fo_shared_enter(shared, 1, 100, 200).cell, -1);
}
END_TEST

START_TEST(a_cell_is_free_from_its_instant_on)
{
    for (int i = 0; i < CELLS; i++)
        fo_shared_enter(shared, 0, 100, 200 + i);
    ck_assert_int_eq(fo_shared_enter(shared, 0, 199, 300).cell, -1);
    ck_assert_int_ge(fo_shared_enter(shared, 0, 200, 300).cell, 0);
    ck_assert_int_eq(fo_shared_enter(shared, 0, 200, 300).cell, -1);
    ck_assert_int_ge(fo_shared_enter(shared, 0, 203, 300).cell, 0);
    ck_assert_int_ge(fo_shared_enter(shared, 0, 203, 300).cell, 0);
    ck_assert_int_ge(fo_shared_enter(shared, 0, 203, 300).cell, 0);
    ck_assert_int_eq(fo_shared_enter(shared, 0, 203, 300).cell, -1);
}
END_TEST

/* Its time ran out and another has it: who comes late must not free that one. */
START_TEST(leaving_late_frees_nobody_else)
{
    fo_cell_t late, others;

    shared = make(1, 1);
    late = fo_shared_enter(shared, 0, 100, 200);
    others = fo_shared_enter(shared, 0, 200, 300);
    ck_assert_int_eq(others.cell, late.cell);
    fo_shared_leave(shared, 0, late);
    ck_assert_int_eq(fo_shared_enter(shared, 0, 250, 400).cell, -1);
    fo_shared_leave(shared, 0, others);
    ck_assert_int_eq(fo_shared_enter(shared, 0, 250, 400).cell, 0);
}
END_TEST

START_TEST(leaving_without_a_cell_or_twice)
{
    fo_cell_t cell, nowhere = { .cell = -1, .until_at = 200 };

    shared = make(1, 1);
    cell = fo_shared_enter(shared, 0, 100, 200);
    fo_shared_leave(shared, 0, nowhere);
    ck_assert_int_eq(fo_shared_enter(shared, 0, 150, 250).cell, -1);
    fo_shared_leave(shared, 0, cell);
    fo_shared_enter(shared, 0, 150, 250);
    fo_shared_leave(shared, 0, cell);
    ck_assert_int_eq(fo_shared_enter(shared, 0, 150, 250).cell, -1);
}
END_TEST

START_TEST(no_cells_at_all)
{
    shared = make(2, 0);
    ck_assert_int_eq(fo_shared_enter(shared, 1, 100, 200).cell, -1);
    ck_assert_uint_eq(fo_shared_tell(shared, 1, true, 1) & FO_HINT_DOWN, FO_HINT_DOWN);
    ck_assert_uint_eq(fo_shared_hint(shared, 0), 0);
}
END_TEST

/* A crowd, of threads or of processes */

#define CROWD 8

/* In the shared memory's place for tests, behind all else. */
typedef struct tally_t {
    atomic_int n_inside, n_most, n_entered;
} tally_t;

static tally_t *tally;

static void come_and_go(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        fo_cell_t cell = fo_shared_enter(shared, 1, 100, 1000000);
        int inside, most;
        if (cell.cell < 0) {
            sched_yield();
            continue;
        }
        inside = atomic_fetch_add(&tally->n_inside, 1) + 1;
        most = atomic_load(&tally->n_most);
        while (inside > most && !atomic_compare_exchange_weak(&tally->n_most, &most, inside))
            ;
        atomic_fetch_add(&tally->n_entered, 1);
        if (i % 4 == 0)
            sched_yield();
        atomic_fetch_sub(&tally->n_inside, 1);
        fo_shared_leave(shared, 1, cell);
    }
}

static void *crowd_thread(void *unused)
{
    come_and_go(2000);
    return unused;
}

static void expect_orderly_crowd(void)
{
    ck_assert_int_le(atomic_load(&tally->n_most), CELLS);
    ck_assert_int_gt(atomic_load(&tally->n_entered), 0);
    for (int i = 0; i < CELLS; i++)
        ck_assert_int_ge(fo_shared_enter(shared, 1, 100, 200).cell, 0);
    ck_assert_int_eq(fo_shared_enter(shared, 1, 100, 200).cell, -1);
}

START_TEST(a_crowd_of_threads)
{
    pthread_t threads[CROWD];

    tally = apr_pcalloc(pool, sizeof(*tally));
    for (int i = 0; i < CROWD; i++)
        pthread_create(&threads[i], NULL, crowd_thread, NULL);
    for (int i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    expect_orderly_crowd();
}
END_TEST

static void share_tally(void)
{
    tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(tally, MAP_FAILED);
}

START_TEST(a_crowd_of_processes)
{
    pid_t children[CROWD];

    share_tally();
    for (int i = 0; i < CROWD; i++) {
        children[i] = fork();
        ck_assert_int_ge(children[i], 0);
        if (children[i] == 0) {
            come_and_go(2000);
            fo_shared_tell(shared, 1, true, 1);
            _exit(0);
        }
    }
    for (int i = 0; i < CROWD; i++) {
        int status;
        ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
        ck_assert_int_eq(status, 0);
    }
    expect_orderly_crowd();
    ck_assert_uint_eq(atomic_load(fo_shared_count(shared)), CROWD);
    ck_assert_uint_eq(fo_shared_hint(shared, 1) / 2, CROWD);
}
END_TEST

/* One that is killed inside leaves nothing behind but a cell that time frees. */
START_TEST(a_killed_process_keeps_its_cell_until_its_instant)
{
    pid_t child;
    int status;

    share_tally();
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        for (int i = 0; i < CELLS; i++)
            fo_shared_enter(shared, 1, 100, 200);
        atomic_store(&tally->n_inside, 1);
        for (;;)
            pause();
    }
    while (!atomic_load(&tally->n_inside))
        sched_yield();
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(fo_shared_enter(shared, 1, 199, 300).cell, -1);
    for (int i = 0; i < CELLS; i++)
        ck_assert_int_ge(fo_shared_enter(shared, 1, 200, 300).cell, 0);
    ck_assert_int_eq(fo_shared_enter(shared, 1, 200, 300).cell, -1);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_shared");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_loop_test(tc, size_and_alignment, 0, 6);
    tcase_add_test(tc, the_count_has_a_line_of_its_own);
    tcase_add_test(tc, a_hint_moves_and_says_what_was_found);
    tcase_add_test(tc, hints_of_many_threads);
    tcase_add_test(tc, the_word_is_there_when_the_count_moves);
    tcase_add_test(tc, as_many_as_there_are_cells);
    tcase_add_test(tc, a_cell_is_free_from_its_instant_on);
    tcase_add_test(tc, leaving_late_frees_nobody_else);
    tcase_add_test(tc, leaving_without_a_cell_or_twice);
    tcase_add_test(tc, no_cells_at_all);
    tcase_add_test(tc, a_crowd_of_threads);
    tcase_add_test(tc, a_crowd_of_processes);
    tcase_add_test(tc, a_killed_process_keeps_its_cell_until_its_instant);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

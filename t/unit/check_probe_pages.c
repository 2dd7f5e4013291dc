/* Pieces of memory: zeroed, few kept, the rest given back to the system. */
#include "probe/probe_pages.h"

#include "unit.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>

#define SIZE ((size_t)20000)
#define MANY (3 * PROBE_PAGES_KEPT)

static bool is_mapped(void *pages)
{
    unsigned char in_core;

    return mincore(pages, 1, &in_core) == 0;
}

static int count_mapped(void *const *pages, int n)
{
    int mapped = 0;

    for (int i = 0; i < n; i++)
        mapped += is_mapped(pages[i]);
    return mapped;
}

static void take_many(void **pages, size_t size)
{
    for (int i = 0; i < MANY; i++) {
        pages[i] = probe_pages_take(size);
        ck_assert_ptr_nonnull(pages[i]);
    }
}

static void give_many(void *const *pages, size_t size)
{
    for (int i = 0; i < MANY; i++)
        probe_pages_give(pages[i], size);
}

START_TEST(is_zeroed_and_begins_a_page)
{
    unsigned char *bytes = probe_pages_take(SIZE);

    ck_assert_uint_eq((uintptr_t)bytes % 4096, 0);
    for (size_t i = 0; i < SIZE; i++)
        ck_assert_uint_eq(bytes[i], 0);
    bytes[SIZE - 1] = 1;
}
END_TEST

START_TEST(comes_again)
{
    void *pages = probe_pages_take(SIZE);

    probe_pages_give(pages, SIZE);
    ck_assert_ptr_eq(probe_pages_take(SIZE), pages);
    ck_assert_ptr_ne(probe_pages_take(SIZE), pages);
}
END_TEST

/* One of another size has room behind its end, or none. */
START_TEST(comes_again_for_its_own_size_alone)
{
    void *pages = probe_pages_take(SIZE);

    probe_pages_give(pages, SIZE);
    ck_assert_ptr_ne(probe_pages_take(10 * SIZE), pages);
    ck_assert_ptr_ne(probe_pages_take(1), pages);
    ck_assert_ptr_eq(probe_pages_take(SIZE), pages);
}
END_TEST

START_TEST(a_burst_goes_back)
{
    void *pages[MANY];

    take_many(pages, SIZE);
    ck_assert_int_eq(count_mapped(pages, MANY), MANY);
    give_many(pages, SIZE);
    ck_assert_int_eq(count_mapped(pages, MANY), PROBE_PAGES_KEPT);
    probe_pages_drop();
    ck_assert_int_eq(count_mapped(pages, MANY), 0);
}
END_TEST

/* What is kept of a size that nobody wants any more does not stay in the way. */
START_TEST(another_size_takes_its_place)
{
    void *pages[MANY], *other;

    take_many(pages, SIZE);
    give_many(pages, SIZE);
    other = probe_pages_take(10 * SIZE);
    probe_pages_give(other, 10 * SIZE);
    ck_assert_ptr_eq(probe_pages_take(10 * SIZE), other);
}
END_TEST

START_TEST(no_memory)
{
    ck_assert_ptr_null(probe_pages_take(SIZE_MAX / 4));
}
END_TEST

static void *take_one(void *unused)
{
    (void)unused;
    return probe_pages_take(SIZE);
}

START_TEST(each_thread_has_its_own)
{
    void *pages = probe_pages_take(SIZE), *theirs;
    pthread_t thread;

    probe_pages_give(pages, SIZE);
    ck_assert_int_eq(pthread_create(&thread, NULL, take_one, NULL), 0);
    pthread_join(thread, &theirs);
    ck_assert_ptr_ne(theirs, pages);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("probe_pages");
    TCase *tc = tcase_create("all");

    tcase_add_test(tc, is_zeroed_and_begins_a_page);
    tcase_add_test(tc, comes_again);
    tcase_add_test(tc, comes_again_for_its_own_size_alone);
    tcase_add_test(tc, a_burst_goes_back);
    tcase_add_test(tc, another_size_takes_its_place);
    tcase_add_test(tc, no_memory);
    tcase_add_test(tc, each_thread_has_its_own);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

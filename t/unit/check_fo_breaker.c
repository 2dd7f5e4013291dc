/* The breaker's window, over an invented clock. */
#include "core/fo_breaker.h"

#include "unit.h"

#include <pthread.h>

static fo_policy_t policy;
static fo_breaker_t breaker;
static fo_tally_t tally;
static apr_time_t now;

static void setup(void)
{
    unit_setup();
    policy = *fo_policy_built_in();
    policy.value[FO_POLICY_BREAKER] = 1;
    memset(&breaker, 0, sizeof(breaker));
    now = 1800000000 * SEC;
}

static void limits(apr_int64_t failures, double rate)
{
    policy.value[FO_POLICY_FAILURES] = failures;
    policy.value[FO_POLICY_RATE] = (apr_int64_t)(rate * FO_BREAKER_ONE + 0.5);
}

/* o: went well, x: failed; at this instant. True: it was too much, with the last one. */
static bool calls(const char *outcomes)
{
    bool is_open = false;

    for (; *outcomes; outcomes++) {
        ck_assert(!is_open);
        if (*outcomes == 'o')
            fo_breaker_pass(&breaker, fo_breaker_part(&policy), now);
        else
            is_open = fo_breaker_fail(&breaker, &policy, now, now, &tally);
    }
    return is_open;
}

/*
 * redis-py, test_failure_detector.py: CommandFailureDetector reacts to failures, 5 calls that went
 * well and 2 that failed. Its rate leaves the failures out of the total; ours are of all calls, so
 * that two rows change from open to closed: (2, .4) and (0, .4).
 */
static const struct {
    apr_int64_t failures;
    double rate;
    bool is_open;
} redis[] = {
    { 2, .4, false }, { 2, 0, true }, { 0, .4, false }, { 3, .4, false }, { 2, .41, false },
    { 2, .28, true }, /* 2 of 7 */
};

START_TEST(redis_reacts_to_failures)
{
    limits(redis[_i].failures, redis[_i].rate);
    ck_assert_int_eq(calls("oooooxx"), redis[_i].is_open);
}
END_TEST

/* redis-py: do_not_open_circuit_on_interval_exceed; its window tumbles, ours slides. */
START_TEST(redis_interval_exceeded)
{
    policy.value[FO_POLICY_WINDOW] = 300 * MS;
    limits(3, 0);
    ck_assert(!calls("x"));
    now += 160 * MS;
    ck_assert(!calls("x"));
    now += 160 * MS; /* the first one is out of it */
    ck_assert(!calls("x"));
    now += 20 * MS;
    ck_assert(calls("x"));
}
END_TEST

/* The rate alone: with as many calls that went well it takes as many failures more. */
START_TEST(number_and_rate)
{
    limits(3, .5);
    ck_assert(!calls("oooooxxx"));
    ck_assert(!calls("x"));
    ck_assert(calls("x")); /* 5 of 10 */
    ck_assert_uint_eq(tally.calls, 10);
    ck_assert_uint_eq(tally.failures, 5);
    ck_assert(!calls("xx")); /* it begins anew */
    ck_assert(calls("x"));
}
END_TEST

/* pybreaker's counters: consecutive failures, fail_max=3; any success begins anew. */
static const struct {
    const char *outcomes;
    bool is_open;
} streaks[] = {
    { "o", false },     { "x", false },        { "xo", false },     { "xxx", true },
    { "xxoxx", false }, { "oooooooxxx", true }, { "xxoxxx", true },
};

START_TEST(pybreaker_consecutive)
{
    limits(1000, .1);
    policy.value[FO_POLICY_STREAK] = 3;
    ck_assert_int_eq(calls(streaks[_i].outcomes), streaks[_i].is_open);
}
END_TEST

START_TEST(a_streak_outlasts_the_window)
{
    policy.value[FO_POLICY_STREAK] = 3;
    calls("x");
    now += 100 * SEC;
    calls("x");
    now += 100 * SEC;
    ck_assert(calls("x"));
}
END_TEST

/* resilience4j's sliding time window: what is older than it is gone, part by part. */
START_TEST(the_window_slides)
{
    limits(1000000, 1);
    policy.value[FO_POLICY_WINDOW] = 30 * SEC;
    for (int second = 0; second < 100; second++) {
        calls("ooox");
        tally = fo_breaker_tally(&breaker, &policy, now);
        int expected = second < 30 ? second + 1 : 30;
        ck_assert_uint_eq(tally.calls, 4 * expected);
        ck_assert_uint_eq(tally.failures, expected);
        now += SEC;
    }
    now += 29 * SEC;
    tally = fo_breaker_tally(&breaker, &policy, now - SEC);
    ck_assert_uint_eq(tally.failures, 1);
    tally = fo_breaker_tally(&breaker, &policy, now);
    ck_assert_uint_eq(tally.calls, 0);
}
END_TEST

/* Never older than the window, and never younger than all but a 30th of it left out. */
START_TEST(how_exact_it_is)
{
    apr_interval_time_t window = 2 * SEC;

    limits(1000000, 1);
    for (int i = 0; i < 1000; i++) {
        apr_time_t at = now += 777 * MS + i * 1001;
        memset(&breaker, 0, sizeof(breaker));
        calls("x");
        ck_assert_uint_eq(fo_breaker_tally(&breaker, &policy, at + window * 28 / 30).failures, 1);
        ck_assert_uint_eq(fo_breaker_tally(&breaker, &policy, at + window).failures, 0);
    }
}
END_TEST

/* Those that were under way when it was too much fail later: that is no news. */
START_TEST(what_was_under_way)
{
    apr_time_t began_at = now;

    policy.value[FO_POLICY_STREAK] = 3;
    now += SEC;
    ck_assert(calls("xxx"));
    for (int i = 0; i < 10; i++) {
        now += 100 * MS;
        ck_assert(!fo_breaker_fail(&breaker, &policy, began_at, now, &tally));
    }
    ck_assert_uint_eq(fo_breaker_tally(&breaker, &policy, now).failures, 0);
    ck_assert(calls("xxx"));
}
END_TEST

/* A call that began long ago counts where there is room for it. */
START_TEST(what_began_long_ago)
{
    limits(1000000, 1);
    calls("ooo");
    fo_breaker_pass(&breaker, fo_breaker_part(&policy), now - 100 * SEC);
    tally = fo_breaker_tally(&breaker, &policy, now);
    ck_assert_uint_le(tally.calls, 4);
    ck_assert_uint_ge(tally.calls, 3);
}
END_TEST

/* By a second, some windows, and more than any call lasts. */
static const apr_interval_time_t steps_back[] = { SEC, 3 * SEC, 60 * SEC, 270 * SEC, 3600 * SEC };

/* A window after a clock was set back, all is as if nothing had been, and all of it is counted. */
START_TEST(clock_set_back)
{
    limits(1000000, 1);
    for (int i = 0; i < 64; i++, now += 100 * MS)
        calls("ox");
    now -= steps_back[_i];
    for (int i = 0; i < 64; i++, now += 100 * MS)
        calls("ox");
    tally = fo_breaker_tally(&breaker, &policy, now);
    ck_assert_uint_le(tally.failures, 20);
    ck_assert_uint_ge(tally.failures, 19);
    ck_assert_uint_le(tally.calls, 40);
    ck_assert_uint_ge(tally.calls, 38);
}
END_TEST

/* Any number of calls fits into a bucket without a spill into its neighbours. */
START_TEST(counts_are_bounded)
{
    limits(0, 1);
    policy.value[FO_POLICY_FAILURES] = 2000000;
    for (int i = 0; i < 70000; i++)
        fo_breaker_fail(&breaker, &policy, now, now, &tally);
    ck_assert_uint_ge(tally.calls, 1 << 15);
    ck_assert_uint_lt(tally.calls, 1 << 16);
    ck_assert_uint_eq(tally.failures, tally.calls);
    memset(&breaker, 0, sizeof(breaker));
    for (int i = 0; i < 70000; i++)
        fo_breaker_pass(&breaker, fo_breaker_part(&policy), now);
    tally = fo_breaker_tally(&breaker, &policy, now);
    ck_assert_uint_ge(tally.calls, 1 << 15);
    ck_assert_uint_lt(tally.calls, 1 << 16);
    ck_assert_uint_eq(tally.failures, 0);
}
END_TEST

/* An outage that begins in a part of the time which has seen many calls. */
START_TEST(a_busy_site)
{
    limits(20000, .25);
    policy.value[FO_POLICY_WINDOW] = 3600 * SEC;
    for (int i = 0; i < (1 << 16) - 1; i++)
        fo_breaker_pass(&breaker, fo_breaker_part(&policy), now);
    for (int i = 1; i < 20000; i++)
        ck_assert(!fo_breaker_fail(&breaker, &policy, now, now, &tally));
    ck_assert(fo_breaker_fail(&breaker, &policy, now, now, &tally));
}
END_TEST

/* However long nobody has called, and whatever the clock says. */
START_TEST(after_a_long_rest)
{
    limits(1000000, 1);
    for (int i = 0; i < 2000; i++) {
        now += (1 + (apr_time_t)i * 7919 % 1000) * 3600 * SEC;
        calls("ox");
        tally = fo_breaker_tally(&breaker, &policy, now);
        ck_assert_uint_eq(tally.calls, 2);
        ck_assert_uint_eq(tally.failures, 1);
    }
}
END_TEST

#define THREADS 4
#define EACH 10000

static void *count_many(void *unused)
{
    fo_tally_t mine;

    (void)unused;
    for (int i = 0; i < EACH; i++)
        if (i % 4)
            fo_breaker_pass(&breaker, fo_breaker_part(&policy), now);
        else
            fo_breaker_fail(&breaker, &policy, now, now, &mine);
    return NULL;
}

/* pybreaker: fail_thread_safety; none is lost. */
START_TEST(many_at_a_time)
{
    pthread_t threads[THREADS];

    limits(1000000, 1);
    for (int i = 0; i < THREADS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, count_many, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    tally = fo_breaker_tally(&breaker, &policy, now);
    ck_assert_uint_eq(tally.calls, THREADS * EACH);
    ck_assert_uint_eq(tally.failures, THREADS * EACH / 4);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("fo_breaker");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_loop_test(tc, redis_reacts_to_failures, 0, COUNT(redis));
    tcase_add_test(tc, redis_interval_exceeded);
    tcase_add_test(tc, number_and_rate);
    tcase_add_loop_test(tc, pybreaker_consecutive, 0, COUNT(streaks));
    tcase_add_test(tc, a_streak_outlasts_the_window);
    tcase_add_test(tc, the_window_slides);
    tcase_add_test(tc, how_exact_it_is);
    tcase_add_test(tc, what_was_under_way);
    tcase_add_test(tc, what_began_long_ago);
    tcase_add_loop_test(tc, clock_set_back, 0, sizeof(steps_back) / sizeof(steps_back[0]));
    tcase_add_test(tc, after_a_long_rest);
    tcase_add_test(tc, counts_are_bounded);
    tcase_add_test(tc, a_busy_site);
    tcase_add_test(tc, many_at_a_time);
    suite_add_tcase(suite, tc);
    return suite;
}

UNIT_MAIN(suite)

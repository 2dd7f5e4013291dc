#include "probe/probe_workers.h"

#include "probe/probe_clock.h"
#include "unit.h"

#include <signal.h>
#include <stdatomic.h>

#define JOBS_MAX 16

/* A job that says when it has begun, and goes on until it is let go. */
typedef struct task_t {
    probe_job_t job; /* first */
    sem_t begun;
    sem_t go;
    bool hangs; /* a trial is too short for it */
    sigset_t signals; /* blocked while it ran */
} task_t;

static probe_workers_t *workers;
static task_t tasks[JOBS_MAX];
static atomic_int n_running, n_running_most;
static sem_t woken;

static void run_task(probe_job_t *job)
{
    task_t *task = (task_t *)job;
    int n = atomic_fetch_add(&n_running, 1) + 1, most = atomic_load(&n_running_most);

    while (n > most && !atomic_compare_exchange_weak(&n_running_most, &most, n))
        ;
    pthread_sigmask(SIG_SETMASK, NULL, &task->signals);
    sem_post(&task->begun);
    while (sem_wait(&task->go) != 0)
        ;
    job->is_cut = task->hangs && job->is_trial;
    atomic_fetch_sub(&n_running, 1);
}

static void wake(void *baton)
{
    sem_post(baton);
}

static void setup(void)
{
    unit_setup();
    sem_init(&woken, 0, 0);
    for (int i = 0; i < JOBS_MAX; i++) {
        tasks[i].job = (probe_job_t){ .run = run_task };
        sem_init(&tasks[i].begun, 0, 0);
        sem_init(&tasks[i].go, 0, 0);
    }
}

static void make(unsigned max)
{
    workers = probe_workers_make(max, wake, &woken);
    ck_assert_ptr_nonnull(workers);
}

/* That which must happen does so within this. */
#define LIMIT (3 * SEC)

/* That which must not happen is watched for that long. */
#define WATCH (50 * MS)

static void submit(int i, bool is_suspect)
{
    tasks[i].job.is_suspect = is_suspect;
    ck_assert_int_eq(probe_workers_submit(workers, &tasks[i].job), 0);
}

static void expect_begun(int i)
{
    ck_assert_msg(unit_wait(&tasks[i].begun, LIMIT), "job %d has not begun", i);
}

static void let_go(int i)
{
    sem_post(&tasks[i].go);
}

static probe_job_t *take(void)
{
    ck_assert(unit_wait(&woken, LIMIT));
    return probe_workers_take(workers);
}

static void let_go_and_take(int n)
{
    for (int i = 0; i < n; i++)
        let_go(i);
    for (int i = 0; i < n; i++)
        ck_assert_ptr_nonnull(take());
    ck_assert_ptr_null(probe_workers_take(workers));
}

static int n_dropped;

static void drop(probe_job_t *job)
{
    (void)job;
    n_dropped++;
}

static void stop(void)
{
    ck_assert(probe_workers_stop(workers, LIMIT, drop));
}

START_TEST(a_job_comes_back)
{
    apr_time_t before = probe_clock_now();

    make(2);
    submit(0, false);
    let_go(0);
    ck_assert_ptr_eq(take(), &tasks[0].job);
    ck_assert_int_ge(tasks[0].job.begun_at, before);
    ck_assert_int_ge(tasks[0].job.ended_at, tasks[0].job.begun_at);
    ck_assert_int_le(tasks[0].job.ended_at, probe_clock_now());
    ck_assert_ptr_null(probe_workers_take(workers));
    stop();
}
END_TEST

START_TEST(the_pool_is_bounded)
{
    make(3);
    for (int i = 0; i < JOBS_MAX; i++)
        submit(i, false);
    for (int i = 0; i < 3; i++)
        expect_begun(i);
    ck_assert(!unit_wait(&tasks[3].begun, WATCH));
    ck_assert_int_eq(tasks[3].job.begun_at, 0);
    let_go_and_take(JOBS_MAX);
    ck_assert_int_eq(atomic_load(&n_running_most), 3);
    stop();
}
END_TEST

START_TEST(jobs_begin_in_their_order)
{
    make(1);
    for (int i = 0; i < 4; i++)
        submit(i, false);
    for (int i = 0; i < 4; i++) {
        expect_begun(i);
        for (int j = i + 1; j < 4; j++)
            ck_assert_int_eq(sem_trywait(&tasks[j].begun), -1);
        let_go(i);
        ck_assert_ptr_eq(take(), &tasks[i].job);
    }
    stop();
}
END_TEST

/* A worker that is idle takes one job; the next one needs another worker, however soon it comes. */
START_TEST(each_job_finds_a_worker)
{
    for (int round = 0; round < 50; round++) {
        make(4);
        submit(3, false);
        let_go(3);
        expect_begun(3);
        ck_assert_ptr_eq(take(), &tasks[3].job); /* its worker is idle now */
        for (int i = 0; i < 3; i++)
            submit(i, false);
        for (int i = 0; i < 3; i++)
            ck_assert_msg(unit_wait(&tasks[i].begun, SEC), "job %d waits in round %d while %d run",
                          i, round, atomic_load(&n_running));
        let_go_and_take(3);
        stop();
    }
}
END_TEST

/* Those that hung the last time leave a worker to the others. */
START_TEST(suspects_never_take_the_last_worker)
{
    make(3);
    for (int i = 0; i < 5; i++)
        submit(i, true);
    expect_begun(0);
    expect_begun(1);
    ck_assert(!unit_wait(&tasks[2].begun, WATCH));
    for (int i = 5; i < 8; i++) {
        submit(i, false);
        expect_begun(i);
        let_go(i);
        ck_assert_ptr_eq(take(), &tasks[i].job);
    }
    ck_assert_int_eq(sem_trywait(&tasks[2].begun), -1);
    let_go_and_take(5);
    stop();
}
END_TEST

/* A suspect that waits does not hold up who comes behind it, and has its turn. */
START_TEST(suspects_have_their_turn)
{
    make(2);
    for (int i = 0; i < 3; i++)
        submit(i, true);
    expect_begun(0);
    let_go(0);
    ck_assert_ptr_eq(take(), &tasks[0].job);
    expect_begun(1);
    let_go(1);
    ck_assert_ptr_eq(take(), &tasks[1].job);
    expect_begun(2);
    let_go(2);
    ck_assert_ptr_eq(take(), &tasks[2].job);
    stop();
}
END_TEST

/* Nobody knows yet that they hang: each gets a trial, then waits for a worker of the slow. */
START_TEST(the_last_worker_gives_trials)
{
    make(2);
    submit(0, false);
    expect_begun(0);
    ck_assert(!tasks[0].job.is_trial);
    for (int i = 1; i < 4; i++) {
        tasks[i].hangs = true;
        submit(i, false);
        expect_begun(i);
        ck_assert(tasks[i].job.is_trial);
        let_go(i);
    }
    submit(4, false);
    let_go(4);
    ck_assert_ptr_eq(take(), &tasks[4].job);
    ck_assert_int_eq(sem_trywait(&tasks[1].begun), -1);
    for (int i = 0; i < 3; i++) { /* the place of each is the next one's */
        let_go(i);
        ck_assert_ptr_eq(take(), &tasks[i].job);
        expect_begun(i + 1);
        ck_assert(!tasks[i + 1].job.is_trial);
    }
    let_go(3);
    ck_assert_ptr_eq(take(), &tasks[3].job);
    ck_assert(!tasks[3].job.is_cut);
    stop();
}
END_TEST

START_TEST(eight_workers_keep_two_for_trials)
{
    make(8);
    for (int i = 0; i < 8; i++) {
        submit(i, false);
        expect_begun(i);
        ck_assert_int_eq(tasks[i].job.is_trial, i >= 6);
    }
    let_go_and_take(8);
    stop();
}
END_TEST

/* Its time to wait for a worker ends while it is on trial. */
START_TEST(a_trial_that_is_the_last)
{
    make(2);
    submit(0, false);
    expect_begun(0);
    tasks[1].hangs = true;
    submit(1, false);
    expect_begun(1);
    ck_assert(!probe_workers_cancel(workers, &tasks[1].job));
    let_go(1);
    ck_assert_ptr_eq(take(), &tasks[1].job);
    ck_assert(tasks[1].job.is_cut);
    let_go(0);
    ck_assert_ptr_eq(take(), &tasks[0].job);
    stop();
}
END_TEST

START_TEST(a_single_worker_takes_suspects)
{
    make(1);
    submit(0, true);
    expect_begun(0);
    let_go(0);
    ck_assert_ptr_eq(take(), &tasks[0].job);
    stop();
}
END_TEST

START_TEST(what_waits_can_be_cancelled)
{
    make(1);
    submit(0, false);
    expect_begun(0);
    for (int i = 1; i < 4; i++)
        submit(i, false);
    ck_assert(probe_workers_cancel(workers, &tasks[3].job)); /* the last */
    ck_assert(probe_workers_cancel(workers, &tasks[1].job)); /* the first */
    ck_assert(!probe_workers_cancel(workers, &tasks[1].job));
    submit(4, false);
    let_go(0);
    ck_assert_ptr_eq(take(), &tasks[0].job);
    let_go(2);
    ck_assert_ptr_eq(take(), &tasks[2].job);
    let_go(4);
    ck_assert_ptr_eq(take(), &tasks[4].job);
    ck_assert_int_eq(tasks[1].job.begun_at, 0);
    stop();
}
END_TEST

START_TEST(what_runs_cannot_be_cancelled)
{
    make(1);
    submit(0, false);
    expect_begun(0);
    ck_assert(!probe_workers_cancel(workers, &tasks[0].job));
    let_go(0);
    ck_assert_ptr_eq(take(), &tasks[0].job);
    ck_assert(!probe_workers_cancel(workers, &tasks[0].job));
    stop();
}
END_TEST

START_TEST(a_job_may_come_again)
{
    make(1);
    for (int i = 0; i < 20; i++) {
        submit(0, i % 2);
        let_go(0);
        expect_begun(0);
        ck_assert_ptr_eq(take(), &tasks[0].job);
    }
    stop();
}
END_TEST

START_TEST(signals_are_none_of_a_workers)
{
    static const int blocked[] = { SIGTERM, SIGHUP, SIGUSR1, SIGCHLD, SIGALRM, SIGINT, SIGPIPE };
    static const int open[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT };
    sigset_t before, after;

    make(1);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    submit(0, false);
    let_go(0);
    take();
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int i = 0; i < COUNT(blocked); i++)
        ck_assert_int_eq(sigismember(&tasks[0].signals, blocked[i]), 1);
    for (int i = 0; i < COUNT(open); i++)
        ck_assert_int_eq(sigismember(&tasks[0].signals, open[i]), 0);
    for (int signal = 1; signal < 32; signal++)
        ck_assert_int_eq(sigismember(&before, signal), sigismember(&after, signal));
    stop();
}
END_TEST

START_TEST(stop_before_any_job)
{
    make(4);
    stop();
}
END_TEST

START_TEST(stop_ends_the_idle)
{
    apr_time_t began_at;

    make(4);
    for (int i = 0; i < 4; i++)
        submit(i, false);
    for (int i = 0; i < 4; i++)
        expect_begun(i);
    let_go_and_take(4);
    began_at = probe_clock_now();
    stop();
    ck_assert_int_lt(probe_clock_now() - began_at, SEC);
}
END_TEST

/* What runs is waited for; what waits does not begin any more. */
START_TEST(stop_lets_nothing_begin)
{
    make(1);
    submit(0, false);
    expect_begun(0);
    submit(1, false);
    ck_assert(probe_workers_cancel(workers, &tasks[1].job));
    let_go(0);
    stop();
    ck_assert_int_eq(sem_trywait(&tasks[1].begun), -1);
}
END_TEST

/* The second may have begun before the stop or not. */
START_TEST(stop_drops_what_nobody_took)
{
    make(1);
    submit(0, false);
    submit(1, false);
    expect_begun(0);
    let_go(0);
    let_go(1);
    stop();
    ck_assert_int_eq(n_dropped, 2);
}
END_TEST

START_TEST(stop_with_a_hung_job_is_bounded)
{
    apr_time_t began_at;
    apr_interval_time_t took;

    make(2);
    submit(0, false);
    submit(1, false);
    expect_begun(0);
    expect_begun(1);
    began_at = probe_clock_now();
    ck_assert(!probe_workers_stop(workers, 50 * MS, drop));
    took = probe_clock_now() - began_at;
    ck_assert_int_ge(took, 50 * MS);
    ck_assert_int_lt(took, 50 * MS + SEC);
    let_go(0); /* it comes back into a pool that is its own now */
    let_go(1);
    while (atomic_load(&n_running) > 0)
        sched_yield();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("probe_workers");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, a_job_comes_back);
    tcase_add_test(tc, the_pool_is_bounded);
    tcase_add_test(tc, jobs_begin_in_their_order);
    tcase_add_test(tc, each_job_finds_a_worker);
    tcase_add_test(tc, suspects_never_take_the_last_worker);
    tcase_add_test(tc, suspects_have_their_turn);
    tcase_add_test(tc, the_last_worker_gives_trials);
    tcase_add_test(tc, eight_workers_keep_two_for_trials);
    tcase_add_test(tc, a_trial_that_is_the_last);
    tcase_add_test(tc, a_single_worker_takes_suspects);
    tcase_add_test(tc, what_waits_can_be_cancelled);
    tcase_add_test(tc, what_runs_cannot_be_cancelled);
    tcase_add_test(tc, a_job_may_come_again);
    tcase_add_test(tc, signals_are_none_of_a_workers);
    tcase_add_test(tc, stop_before_any_job);
    tcase_add_test(tc, stop_ends_the_idle);
    tcase_add_test(tc, stop_lets_nothing_begin);
    tcase_add_test(tc, stop_drops_what_nobody_took);
    tcase_add_test(tc, stop_with_a_hung_job_is_bounded);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

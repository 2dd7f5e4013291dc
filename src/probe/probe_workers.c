#include "probe/probe_workers.h"

#include "probe/probe_clock.h"

#include <signal.h>
#include <stdlib.h>

#define STACK_BYTES (256 * 1024)
#define IDLE_SECONDS 10

typedef struct queue_t {
    probe_job_t *first;
    probe_job_t **last;
} queue_t;

struct probe_workers_t {
    pthread_mutex_t mutex; /* guards all below; never taken by a request or a signal handler */
    pthread_cond_t work;   /* a job has come, or the end */
    pthread_cond_t gone;   /* a thread has left */
    queue_t waiting;
    queue_t ended;
    unsigned max;
    unsigned n_threads;
    unsigned n_idle;
    unsigned n_waiting; /* jobs */
    unsigned n_long;    /* jobs that run, and not on trial */
    bool is_stopping;
    void (*wake)(void *baton);
    void *baton;
};

static void queue_init(queue_t *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void queue_put(queue_t *queue, probe_job_t *job)
{
    job->next = NULL;
    *queue->last = job;
    queue->last = &job->next;
}

static void queue_remove(queue_t *queue, probe_job_t **link)
{
    probe_job_t *job = *link;

    *link = job->next;
    if (!job->next)
        queue->last = link;
}

static void condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

probe_workers_t *probe_workers_make(unsigned max, void (*wake)(void *baton), void *baton)
{
    probe_workers_t *workers = calloc(1, sizeof(*workers));

    if (!workers)
        return NULL;
    pthread_mutex_init(&workers->mutex, NULL);
    condition_init(&workers->work);
    condition_init(&workers->gone);
    queue_init(&workers->waiting);
    queue_init(&workers->ended);
    workers->max = max;
    workers->wake = wake;
    workers->baton = baton;
    return workers;
}

int probe_thread_start(pthread_t *ret_thread, void *(*body)(void *), void *baton, bool detached)
{
    static const int synchronous[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGSYS };
    pthread_attr_t attributes;
    sigset_t blocked, before;
    int error;

    sigfillset(&blocked);
    for (size_t i = 0; i < sizeof(synchronous) / sizeof(synchronous[0]); i++)
        sigdelset(&blocked, synchronous[i]);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    if (detached)
        pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_sigmask(SIG_SETMASK, &blocked, &before);
    error = pthread_create(ret_thread, &attributes, body, baton);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

static struct timespec after_seconds(apr_interval_time_t span)
{
    apr_time_t at = probe_clock_now() + span;

    return (struct timespec){
        .tv_sec = (time_t)(at / APR_USEC_PER_SEC),
        .tv_nsec = (long)(at % APR_USEC_PER_SEC * 1000),
    };
}

/* How many are kept for calls that come back soon: 2 of 8, 1 of 4 or 2, none of 1. */
static unsigned n_quick(const probe_workers_t *workers)
{
    return (workers->max + 2) / 4;
}

/* The first job that may run: hung endpoints never hold every worker, or others would starve. */
static probe_job_t *pick(probe_workers_t *workers)
{
    probe_job_t **link = &workers->waiting.first;
    bool is_full = workers->n_long + n_quick(workers) >= workers->max;

    while (*link && (*link)->is_suspect && is_full)
        link = &(*link)->next;
    probe_job_t *job = *link;
    if (job) {
        queue_remove(&workers->waiting, link);
        workers->n_waiting--;
        job->is_trial = is_full;
    }
    return job;
}

/* One that was cut short waits once more, unless the time for that is over. */
static void put_back(probe_workers_t *workers, probe_job_t *job)
{
    if (!job->is_cut || job->is_last || workers->is_stopping) {
        queue_put(&workers->ended, job);
        if (!workers->is_stopping)
            workers->wake(workers->baton);
        return;
    }
    job->is_cut = false;
    job->is_suspect = true;
    job->begun_at = 0;
    queue_put(&workers->waiting, job);
    workers->n_waiting++;
}

static void run_job(probe_workers_t *workers, probe_job_t *job)
{
    bool is_long = !job->is_trial;

    workers->n_long += is_long;
    job->begun_at = probe_clock_now();
    pthread_mutex_unlock(&workers->mutex);
    job->run(job);
    job->ended_at = probe_clock_now();
    pthread_mutex_lock(&workers->mutex);
    workers->n_long -= is_long;
    put_back(workers, job);
}

/* Mutex held. True: there may be work; false: it was idle for too long, or the end has come. */
static bool wait_for_work(probe_workers_t *workers)
{
    struct timespec limit = after_seconds(IDLE_SECONDS * APR_USEC_PER_SEC);
    int error = 0;

    workers->n_idle++;
    error = pthread_cond_timedwait(&workers->work, &workers->mutex, &limit);
    workers->n_idle--;
    return error == 0;
}

static void *work(void *baton)
{
    probe_workers_t *workers = baton;

    pthread_mutex_lock(&workers->mutex);
    while (!workers->is_stopping) {
        probe_job_t *job = pick(workers);
        if (job)
            run_job(workers, job);
        else if (!wait_for_work(workers) && !workers->waiting.first)
            break;
    }
    workers->n_threads--;
    pthread_cond_signal(&workers->gone);
    pthread_mutex_unlock(&workers->mutex);
    return NULL;
}

apr_status_t probe_workers_submit(probe_workers_t *workers, probe_job_t *job)
{
    pthread_t thread;
    int error = 0;

    pthread_mutex_lock(&workers->mutex);
    job->begun_at = 0;
    job->is_cut = job->is_last = false;
    /* An idle worker may have been woken for an earlier job and not run yet. */
    if (workers->n_waiting >= workers->n_idle && workers->n_threads < workers->max) {
        error = probe_thread_start(&thread, work, workers, true);
        workers->n_threads += error == 0;
    }
    if (workers->n_threads > 0) {
        error = 0;
        queue_put(&workers->waiting, job);
        workers->n_waiting++;
        pthread_cond_signal(&workers->work);
    }
    pthread_mutex_unlock(&workers->mutex);
    return error;
}

bool probe_workers_cancel(probe_workers_t *workers, probe_job_t *job)
{
    bool was_waiting = false;

    pthread_mutex_lock(&workers->mutex);
    for (probe_job_t **link = &workers->waiting.first; *link; link = &(*link)->next) {
        if (*link == job) {
            queue_remove(&workers->waiting, link);
            workers->n_waiting--;
            was_waiting = true;
            break;
        }
    }
    job->is_last = true;
    pthread_mutex_unlock(&workers->mutex);
    return was_waiting;
}

probe_job_t *probe_workers_take(probe_workers_t *workers)
{
    probe_job_t *job;

    pthread_mutex_lock(&workers->mutex);
    job = workers->ended.first;
    if (job)
        queue_remove(&workers->ended, &workers->ended.first);
    pthread_mutex_unlock(&workers->mutex);
    return job;
}

static void drop_all(queue_t *queue, void (*drop)(probe_job_t *job))
{
    while (queue->first) {
        probe_job_t *job = queue->first;
        queue_remove(queue, &queue->first);
        drop(job);
    }
}

bool probe_workers_stop(probe_workers_t *workers, apr_interval_time_t patience,
                        void (*drop)(probe_job_t *job))
{
    struct timespec limit = after_seconds(patience);
    bool is_empty;
    int error = 0;

    pthread_mutex_lock(&workers->mutex);
    workers->is_stopping = true;
    pthread_cond_broadcast(&workers->work);
    while (workers->n_threads > 0 && error == 0)
        error = pthread_cond_timedwait(&workers->gone, &workers->mutex, &limit);
    is_empty = workers->n_threads == 0;
    pthread_mutex_unlock(&workers->mutex);
    if (!is_empty)
        return false;
    drop_all(&workers->waiting, drop);
    drop_all(&workers->ended, drop);
    pthread_cond_destroy(&workers->work);
    pthread_cond_destroy(&workers->gone);
    pthread_mutex_destroy(&workers->mutex);
    free(workers);
    return true;
}

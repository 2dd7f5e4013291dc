/*
 * probe_workers.h: a small bounded pool of threads for calls that block: client libraries that have
 * nothing better, and name resolution. Threads come at first need and go when idle. The pool is
 * malloc'ed and never freed while a thread of it lives, so that a call that outlives the child's
 * shutdown touches no dead memory.
 */
#ifndef PROBE_WORKERS_H
#define PROBE_WORKERS_H

#include "mod_failover.h"

#include <pthread.h>

/* A call. Lives in malloc'ed memory; belongs to the pool from submit to take or cancel. */
typedef struct probe_job_t {
    void (*run)(struct probe_job_t *job); /* on a worker */
    bool is_suspect;     /* the last such call ran out of time: it never runs as a trial */
    bool is_trial;       /* the pool's, for run: it has no more than a trial's time */
    bool is_cut;         /* run's: that was too short for an answer */
    bool is_last;        /* the pool's: a cut one comes back and is not run again */
    apr_time_t begun_at; /* when a worker took it; 0: not yet */
    apr_time_t ended_at;
    struct probe_job_t *next; /* the pool's */
} probe_job_t;

/*
 * Some workers are kept for calls that come back soon. A call that gets one of these is on trial:
 * if it has not come back by then, it queues once more, as a suspect, for one of the others and for
 * all of its time. So those that hang, known or not, never hold up the rest for longer.
 */
#define PROBE_TRIAL (100 * 1000) /* at most */

typedef struct probe_workers_t probe_workers_t;

/* wake: called on a worker whenever a job has ended. NULL: no memory. */
probe_workers_t *probe_workers_make(unsigned max, void (*wake)(void *baton), void *baton);

/* Monitor thread, all of these. An errno when no thread runs and none can be started. */
apr_status_t probe_workers_submit(probe_workers_t *workers, probe_job_t *job);

/*
 * True: the job waits, and is the caller's again. False: it comes back through take, as is_cut if
 * it was on trial and that was too short.
 */
bool probe_workers_cancel(probe_workers_t *workers, probe_job_t *job);

/* An ended job, the caller's again; NULL: none. */
probe_job_t *probe_workers_take(probe_workers_t *workers);

/*
 * Lets no further job begin and waits at most `patience` for those that run. True: all threads have
 * gone, `drop` was given the jobs that nobody took or cancelled, and the pool is freed. False: it
 * is left to them, jobs and all, for the rest of the process.
 */
bool probe_workers_stop(probe_workers_t *workers, apr_interval_time_t patience,
                        void (*drop)(probe_job_t *job));

/* Starts a thread with a small stack in which every asynchronous signal is blocked; an errno. */
int probe_thread_start(pthread_t *ret_thread, void *(*body)(void *), void *baton, bool detached);

#endif

/*
 * shared_rig.h: for unit tests of what processes share: memory that they map, and processes of the
 * test's own, which end by themselves or are killed at any instant.
 */
#ifndef SHARED_RIG_H
#define SHARED_RIG_H

#include "core/fo_layout.h"

#include "unit.h"

#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* That which must happen does so within this. */
#define RIG_LIMIT 30 /* seconds */

static inline void *rig_map(apr_size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    ck_assert_ptr_ne(memory, MAP_FAILED);
    return memory;
}

static inline fo_shared_t *rig_shared(const fo_capacity_t *capacity)
{
    return fo_shared_init(rig_map(fo_shared_size(capacity)), capacity);
}

/* A process that runs this and ends; body returns whether all was well. */
static inline pid_t rig_fork(bool (*body)(int n), int n)
{
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        alarm(RIG_LIMIT); /* should its parent have failed */
        _exit(body(n) ? 0 : 1);
    }
    return pid;
}

static inline void rig_expect_well(pid_t pid)
{
    int status;

    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(status == 0, "a process ended with status %#x", (unsigned)status);
}

static inline void rig_kill(pid_t pid)
{
    int status;

    kill(pid, SIGKILL);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFSIGNALED(status), "a process ended with status %#x", (unsigned)status);
}

/* Who comes last lets all of them go at a time. */
static inline void rig_meet(atomic_int *n_ready, int n)
{
    atomic_fetch_add(n_ready, 1);
    for (int i = 0; atomic_load(n_ready) < n; i++)
        if (i > 1000)
            sched_yield();
}

/* Repeatable: splitmix64. */
static inline unsigned rig_random(apr_uint64_t *state)
{
    apr_uint64_t bits = *state += 0x9e3779b97f4a7c15;

    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111eb;
    return (unsigned)(bits >> 32);
}

/* Busy for a few microseconds more or less, so that what follows comes at any instant. */
static inline void rig_linger(apr_uint64_t *random)
{
    for (volatile unsigned i = rig_random(random) % 20000; i > 0; i--)
        ;
}

#endif

/*
 * probe_loop.h: the monitor thread's loop. It starts the pings that are due when a request, or the
 * time, says so, drives them all side by side, hands their answers to the core, and lets go the
 * requests that wait.
 */
#ifndef PROBE_LOOP_H
#define PROBE_LOOP_H

#include "core/fo_alarm.h"
#include "core/fo_monitor.h"
#include "probe/probe_gate.h"

typedef struct probe_loop_t probe_loop_t;

/*
 * Before the thread starts. max_askers: threads for calls that block; as many again resolve names.
 * NULL: no memory.
 */
probe_loop_t *probe_loop_make(const fo_plan_t *plan, fo_monitor_t *monitor, probe_gate_t *gate,
                              unsigned max_askers, apr_pool_t *pool);

/* Before the thread starts: what errors raise is pinged. */
void probe_loop_listen(probe_loop_t *loop, fo_alarm_t *alarm);

/* Before the thread starts: an eventfd of all children, for the one of them that pings for all. */
void probe_loop_share(probe_loop_t *loop, int fd);

/*
 * The thread's body: returns after probe_loop_stop, at the latest PROBE_STOP_PATIENCE and half of
 * it later. It logs nothing itself, the monitor's observer may; its memory is malloc's.
 */
void probe_loop_run(probe_loop_t *loop);

/* Any thread, signal handlers too. */
void probe_loop_stop(probe_loop_t *loop);

/*
 * What a stop waits for calls that block; those that do not come back are left behind, in memory
 * and code that stay. httpd's parent looks for its children after 20, 80, 340 and 1360 ms.
 */
#define PROBE_STOP_PATIENCE (150 * 1000)

#endif

/* The monitor thread of a child: started in child_init, stopped before the child's pool goes. */
#include "httpd/httpd_failover.h"

#include "core/fo_slot.h"
#include "httpd/httpd_log.h"
#include "probe/probe_clock.h"
#include "probe/probe_gate.h"
#include "probe/probe_loop.h"
#include "probe/probe_workers.h"

#include <ap_mpm.h>
#include <dlfcn.h>
#include <http_main.h>
#include <stdatomic.h>
#include <unistd.h>

#define ASKERS_PREFORK 4
#define ASKERS_THREADED 8

/*
 * What a stop waits for the thread, which itself waits PROBE_STOP_PATIENCE and half of it again. A
 * thread that outlives it goes on in memory that is never freed.
 */
#define JOIN_SECONDS 1

/*
 * One per child; zero in the parent. Its pool is no child of pchild: a thread that outlives the
 * child's shutdown still reads it. It ends with the process.
 */
static struct {
    _Atomic(fo_alarm_t *) alarm;
    fo_board_t *board;
    int slot;
    probe_gate_t *gate;
    probe_loop_t *loop;
    apr_time_t started_at;
    apr_interval_time_t ping_wait;
    _Atomic unsigned char *is_told; /* by setting: its message has been given */
    pthread_t thread;
} child;

fo_board_t *httpd_child_board(void)
{
    return child.board;
}

fo_alarm_t *httpd_child_alarm(void)
{
    return atomic_load_explicit(&child.alarm, memory_order_acquire);
}

void httpd_child_wake(void)
{
    probe_gate_wake(child.gate);
}

void httpd_child_unknown_error(void)
{
    fo_slot_count_unknown(httpd_config()->shared, child.slot);
}

void httpd_child_trip(const fo_service_t *service, const fo_tally_t *tally)
{
    fo_alarm_t *alarm = httpd_child_alarm();

    if (!alarm)
        return;
    fo_alarm_trip(alarm, service, tally);
    httpd_child_wake();
}

apr_time_t httpd_child_since(const fo_detail_t *detail)
{
    return detail->since_at ? detail->since_at : child.started_at;
}

fo_retry_t httpd_child_retry(void)
{
    return (fo_retry_t){
        .plan = httpd_config()->plan,
        .shared = httpd_config()->shared,
        .slot = child.slot,
        .now = probe_clock_now(),
    };
}

apr_interval_time_t httpd_child_trigger(const fo_scope_t *scope, fo_trigger_e trigger, bool waits)
{
    apr_interval_time_t waited = probe_gate_ask(child.gate, scope, trigger,
                                                waits ? child.ping_wait : 0);

    if (waited > 0)
        fo_slot_count_wait(httpd_config()->shared, child.slot, waited);
    return waited;
}

bool httpd_child_first_time(unsigned setting_serial)
{
    return atomic_exchange(&child.is_told[setting_serial], 1) == 0;
}

/*
 * Keeps the code at this address mapped in this child for good, so that a thread left behind never
 * runs where nothing is.
 */
static void pin(const void *address)
{
    Dl_info info;

    if (dladdr(address, &info) && info.dli_fname)
        dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

/* Each probe's module once. */
static void init_probes(const fo_plan_t *plan)
{
    for (unsigned i = 0; i < (unsigned)plan->checks->nelts; i++) {
        const fo_probe_t *probe = fo_plan_check(plan, i)->probe;
        bool is_new = true;
        for (unsigned j = 0; j < i && is_new; j++)
            is_new = fo_plan_check(plan, j)->probe != probe;
        if (!is_new)
            continue;
        pin(probe);
        if (probe->child_init)
            probe->child_init();
    }
}

static void *monitor(void *loop)
{
    probe_loop_run(loop);
    return NULL;
}

/*
 * Under prefork this runs inside a signal handler: no lock, no memory, no log. The thread is told
 * by an atomic flag and an eventfd.
 */
static apr_status_t stop(void *unused)
{
    struct timespec limit;

    (void)unused;
    atomic_store(&child.alarm, NULL);
    probe_loop_stop(child.loop);
    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += JOIN_SECONDS;
    pthread_clockjoin_np(child.thread, NULL, CLOCK_MONOTONIC, &limit);
    return APR_SUCCESS;
}

static unsigned max_askers(void)
{
    int is_threaded = AP_MPMQ_NOT_SUPPORTED;

    ap_mpm_query(AP_MPMQ_IS_THREADED, &is_threaded);
    return is_threaded == AP_MPMQ_NOT_SUPPORTED ? ASKERS_PREFORK : ASKERS_THREADED;
}

static apr_uint64_t make_seed(void)
{
    apr_uint64_t seed = 0;

    if (apr_generate_random_bytes((unsigned char *)&seed, sizeof(seed)) != APR_SUCCESS)
        seed = (apr_uint64_t)probe_clock_now() ^ (apr_uint64_t)getpid() << 32;
    return seed;
}

/*
 * A place among the siblings. What they see is looked at first: the place may be that of one that
 * has died.
 */
static void join(const httpd_config_t *config, fo_monitor_t *core, const server_rec *s)
{
    apr_time_t now = probe_clock_now();

    fo_monitor_inherit(core, config->shared, now);
    child.slot = fo_slot_claim(config->shared, getpid(), config->plan->generation, now);
    if (child.slot == FO_SLOT_NONE)
        httpd_log_no_slot(s);
    fo_monitor_join(core, config->shared, child.slot);
    if (config->plan->ways.inherits)
        fo_monitor_hear_hints(core,
                              now); /* where another pings for all: before the first request */
}

/* 0, or what failed. */
static apr_status_t start_monitor(const httpd_config_t *config, const server_rec *s,
                                  apr_pool_t *pool, const char **ret_what)
{
    const fo_plan_t *plan = config->plan;
    fo_alarm_t *alarm = fo_alarm_make(config->rules, pool);
    fo_board_t *board = fo_board_make(plan, pool);
    fo_monitor_t *core = fo_monitor_make(plan, board, make_seed(), httpd_event_observe, NULL, pool);
    int error;

    join(config, core, s);
    *ret_what = "the monitor has no descriptor";
    child.gate = probe_gate_make(plan, pool);
    if (!child.gate)
        return errno;
    *ret_what = "the monitor thread cannot be started";
    child.loop = probe_loop_make(plan, core, child.gate, max_askers(), pool);
    probe_loop_listen(child.loop, alarm);
    probe_loop_share(child.loop, config->shared_fd);
    error = probe_thread_start(&child.thread, monitor, child.loop, false);
    if (error == 0) {
        child.board = board;
        atomic_store(&child.alarm, alarm);
    }
    return error;
}

void httpd_child_init(apr_pool_t *pchild, server_rec *s)
{
    const httpd_config_t *config = httpd_config();
    const char *what = NULL;
    apr_allocator_t *allocator;
    apr_pool_t *pool;
    apr_status_t status;

    if (!config->plan || config->plan->checks->nelts == 0)
        return;
    apr_allocator_create(&allocator);
    apr_pool_create_unmanaged_ex(&pool, NULL, allocator);
    apr_pool_tag(pool, "failover");
    pin((const void *)&failover_module);
    init_probes(config->plan);
    child.started_at = probe_clock_now();
    child.ping_wait = config->ping_wait;
    child.is_told = apr_pcalloc(pool, config->n_settings + 1);
    status = start_monitor(config, s, pool, &what);
    if (status != APR_SUCCESS)
        httpd_log_no_monitor(s, status, what);
    else
        apr_pool_pre_cleanup_register(pchild, NULL, stop);
}

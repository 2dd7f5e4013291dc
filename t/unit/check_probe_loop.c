/*
 * The loop on a thread of its own, over plans built by hand: real sockets, real time, and requests
 * that ask as a worker of httpd does. A test waits for conditions, never for a span to pass.
 */
#include "probe/probe_loop.h"

#include "core/fo_lease.h"
#include "core/fo_report.h"
#include "core/fo_slot.h"
#include "probe/probe_clock.h"
#include "probe/probe_sleep.h"
#include "probe/probe_tcp.h"
#include "probe_rig.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/resource.h>

/* That which must happen does so within this. */
#define LIMIT (3 * SEC)

#define CHANGES_MAX 2048
#define TARGETS_MAX 4096

static fo_plan_t *plan;
static fo_policy_t policy;
static fo_board_t *board;
static fo_monitor_t *monitor;
static probe_gate_t *gate;
static probe_loop_t *loop;
static const fo_scope_t *scope;
static pthread_t thread;
static bool is_running;
static struct timespec loop_cpu; /* the thread's own, at its end */

/* Told on the loop's thread. */
static sem_t changed;
static _Atomic int n_changes;
static struct {
    fo_change_e kind;
    const char *service;
    fo_report_t report;
} changes[CHANGES_MAX];

static void observe(void *unused, const fo_change_t *change)
{
    int n = atomic_load(&n_changes);

    (void)unused;
    ck_assert_int_lt(n, CHANGES_MAX);
    changes[n].kind = change->kind;
    changes[n].service = change->service->name;
    changes[n].report = *change->report;
    atomic_store(&n_changes, n + 1);
    sem_post(&changed);
}

/*
 * What the loop handed on last, by target; written on its thread. The linker puts these before the
 * monitor's own functions (Makefile).
 */
static fo_report_t answers[TARGETS_MAX];

static void keep_answer(const fo_target_t *target, const fo_report_t *report)
{
    ck_assert_uint_lt(target->index, TARGETS_MAX);
    answers[target->index] = *report;
}

typedef void answer_fn(fo_monitor_t *monitor, const fo_target_t *target, const fo_report_t *report,
                       apr_time_t now);
answer_fn __real_fo_monitor_answer, __real_fo_monitor_answer_early;
answer_fn __wrap_fo_monitor_answer, __wrap_fo_monitor_answer_early;

void __wrap_fo_monitor_answer(fo_monitor_t *to, const fo_target_t *target,
                              const fo_report_t *report, apr_time_t now)
{
    keep_answer(target, report);
    __real_fo_monitor_answer(to, target, report, now);
}

void __wrap_fo_monitor_answer_early(fo_monitor_t *to, const fo_target_t *target,
                                    const fo_report_t *report, apr_time_t now)
{
    keep_answer(target, report);
    __real_fo_monitor_answer_early(to, target, report, now);
}

static void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
    policy.value[FO_POLICY_TIMEOUT_UP] = 300 * MS;
    policy.value[FO_POLICY_TIMEOUT_DOWN] = 300 * MS;
    sem_init(&changed, 0, 0);
    sem_init(&rig_slow, 0, 0);
}

static fo_service_t *add(const char *name, const fo_probe_t *probe, rig_t *rig, const fo_url_t *url)
{
    fo_service_t *service = unit_service(plan, name, &policy, name, NULL);
    fo_check_t *check = fo_plan_add_check(plan, unit_target(service), url);

    check->probe = probe;
    check->conf = rig;
    check->timeout_up = policy.value[FO_POLICY_TIMEOUT_UP];
    check->timeout_down = policy.value[FO_POLICY_TIMEOUT_DOWN];
    return service;
}

static fo_service_t *add_at(const char *name, const fo_probe_t *probe, rig_t *rig, apr_port_t port)
{
    return add(name, probe, rig, rig_url("127.0.0.1", port, NULL, 0));
}

/* The leak sanitizer's, where there is one. */
void __lsan_disable(void) __attribute__((weak));

/* A stop leaves behind the calls that do not come back: no leak by mistake. */
static bool leaves_calls;

static void *run(void *unused)
{
    if (leaves_calls && __lsan_disable)
        __lsan_disable();
    probe_loop_run(loop);
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &loop_cpu);
    return unused;
}

static void make_loop(unsigned max_askers)
{
    scope = unit_scope(plan);
    board = fo_board_make(plan, pool);
    monitor = fo_monitor_make(plan, board, 4711, observe, NULL, pool);
    gate = probe_gate_make(plan, pool);
    loop = probe_loop_make(plan, monitor, gate, max_askers, pool);
}

static void run_loop(void)
{
    is_running = true;
    ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
}

static void start_loop(unsigned max_askers)
{
    make_loop(max_askers);
    run_loop();
}

/* How long it took. */
static apr_interval_time_t stop_loop(void)
{
    apr_time_t began_at = probe_clock_now();

    probe_loop_stop(loop);
    pthread_join(thread, NULL);
    is_running = false;
    return probe_clock_now() - began_at;
}

static void teardown(void)
{
    if (is_running)
        stop_loop();
    close(probe_gate_fd(gate));
    unit_teardown();
}

/* A request that waits for the verdicts on what it triggers; how long it waited. */
static apr_interval_time_t request(apr_interval_time_t wait)
{
    apr_time_t began_at = probe_clock_now();

    probe_gate_ask(gate, scope, FO_TRIGGER_REQUEST, wait);
    return probe_clock_now() - began_at;
}

static void await(sem_t *sem)
{
    ck_assert_msg(unit_wait(sem, LIMIT), "it has not happened");
}

/* After the loop has stopped: what its answers came to. */
static const fo_health_t *health_of(const fo_service_t *service)
{
    ck_assert(!is_running);
    return fo_monitor_health(monitor, fo_service_endpoint(service, 0));
}

/* Likewise: the last answer on this service. */
static const fo_report_t *answer_on(const fo_service_t *service)
{
    ck_assert(!is_running);
    return &answers[unit_target(service)->index];
}

static fo_service_state_e state_of(const fo_service_t *service)
{
    return fo_board_word(board, service).state;
}

static void expect_report(const fo_report_t *report, fo_verdict_e verdict, fo_stage_e stage,
                          apr_status_t status)
{
    ck_assert_msg(report->verdict == verdict && report->stage == stage && report->status == status,
                  "verdict %d, stage %s, status %d: %s", report->verdict,
                  fo_stage_name(report->stage), report->status, report->text);
}

/* One ping of one service, from a request to the verdict. */
static void expect_ping(const fo_service_t *service, fo_verdict_e verdict, fo_stage_e stage,
                        apr_status_t status)
{
    start_loop(2);
    ck_assert_int_lt(request(LIMIT), LIMIT);
    ck_assert_int_eq(state_of(service),
                     verdict == FO_VERDICT_PASS ? FO_SERVICE_UP : FO_SERVICE_DOWN);
    stop_loop();
    expect_report(answer_on(service), verdict, stage, status);
}

#define BYTES(text) .bytes = text, .length = sizeof(text) - 1

/* Dialogues */

static const struct {
    peer_line_t lines[2];
    peer_end_e end;
    fo_verdict_e verdict;
    fo_stage_e stage;
    apr_status_t status;
} talks[] = {
    { { { .await = 6, BYTES("+OK\n") } }, PEER_HOLD, FO_VERDICT_PASS, FO_STAGE_ANSWER, 0 },
    { { { .await = 6, BYTES("+OK\n") } }, PEER_CLOSE, FO_VERDICT_PASS, FO_STAGE_ANSWER, 0 },
    { { { .await = 6, BYTES("+OK\n"), .pause = MS } }, PEER_HOLD, FO_VERDICT_PASS, FO_STAGE_ANSWER,
      0 },
    { { { .await = 6, BYTES("garbage\n") } }, PEER_HOLD, FO_VERDICT_FAIL, FO_STAGE_ANSWER,
      APR_EGENERAL },
    { { { .await = 6, BYTES("+O") } }, PEER_CLOSE, FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_EOF },
    { { { .await = 6, BYTES("") } }, PEER_RESET, FO_VERDICT_FAIL, FO_STAGE_ANSWER, ECONNRESET },
    { { { .await = 6, BYTES("") } }, PEER_HOLD, FO_VERDICT_FAIL, FO_STAGE_ASK, APR_TIMEUP },
};

START_TEST(a_dialogue)
{
    rig_t *rig = rig_make(RIG_PASS);
    peer_t peer;

    peer_start(&peer, talks[_i].lines, talks[_i].end);
    expect_ping(add_at("line", &rig_probe_dialogue, rig, peer.port), talks[_i].verdict,
                talks[_i].stage, talks[_i].status);
    peer_stop(&peer);
}
END_TEST

/* tcp:// */

static const struct {
    enum { LISTENS, REFUSES, CLOSES, RESETS, GREETS } peer;
    fo_verdict_e verdict;
    fo_stage_e stage;
    apr_status_t status;
} tcps[] = {
    { LISTENS, FO_VERDICT_PASS, FO_STAGE_ASK, 0 },
    { REFUSES, FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED },
    { CLOSES, FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_EOF },
    { RESETS, FO_VERDICT_FAIL, FO_STAGE_ANSWER, ECONNRESET },
    { GREETS, FO_VERDICT_PASS, FO_STAGE_ANSWER, 0 },
};

static void start_tcp_peer(peer_t *peer, int does)
{
    static const peer_line_t nothing[] = { { 0 } };
    static const peer_line_t banner[] = { { BYTES("220 ready\r\n") }, { 0 } };

    if (does == LISTENS)
        peer_mute(peer);
    else if (does == REFUSES)
        peer_bind(peer);
    else
        peer_start(peer, does == GREETS ? banner : nothing,
                   does == GREETS ? PEER_HOLD : does == CLOSES ? PEER_CLOSE : PEER_RESET);
}

START_TEST(a_tcp_ping)
{
    fo_service_t *service;
    peer_t peer;

    start_tcp_peer(&peer, tcps[_i].peer);
    service = add_at("app", &fo_probe_tcp, NULL, peer.port);
    start_loop(2);
    ck_assert_int_lt(request(LIMIT), LIMIT);
    ck_assert_int_eq(state_of(service), tcps[_i].verdict == FO_VERDICT_PASS ? FO_SERVICE_UP
                                                                           : FO_SERVICE_DOWN);
    stop_loop();
    peer_stop(&peer);
    const fo_report_t *last = answer_on(service);
    /* a reset may be seen as early as at the connect */
    if (tcps[_i].peer == RESETS)
        expect_report(last, tcps[_i].verdict, last->stage, tcps[_i].status);
    else
        expect_report(last, tcps[_i].verdict, tcps[_i].stage, tcps[_i].status);
}
END_TEST

/* Steps and asks */

static void expect_balance(const rig_t *rig, int n)
{
    ck_assert_int_eq(atomic_load(&rig->n_begun), n);
    ck_assert_int_eq(atomic_load(&rig->n_ended), n);
}

START_TEST(steps_by_a_span)
{
    rig_t *rig = rig_make(_i ? RIG_LATER : RIG_PASS);

    expect_ping(add_at("steps", &rig_probe_steps, rig, 1), FO_VERDICT_PASS, FO_STAGE_LOGIN, 0);
    expect_balance(rig, 1);
}
END_TEST

START_TEST(steps_by_a_descriptor)
{
    static const peer_line_t banner[] = { { BYTES("x") }, { 0 } };
    rig_t *rig = rig_make(RIG_READ);
    peer_t peer;

    peer_start(&peer, banner, PEER_HOLD);
    expect_ping(add_at("steps", &rig_probe_steps, rig, peer.port), FO_VERDICT_PASS, FO_STAGE_LOGIN,
                0);
    expect_balance(rig, 1);
    peer_stop(&peer);
}
END_TEST

START_TEST(steps_until_the_deadline)
{
    rig_t *rig = rig_make(RIG_HANG);

    expect_ping(add_at("steps", &rig_probe_steps, rig, 1), FO_VERDICT_FAIL, FO_STAGE_LOGIN,
                APR_TIMEUP);
    expect_balance(rig, 1);
}
END_TEST

START_TEST(an_ask)
{
    rig_t *rig = rig_make(RIG_PASS);
    fo_service_t *service = add("ask", &rig_probe_ask, rig, rig_url("one.test", 1, "127.0.0.1", 2));

    expect_ping(service, FO_VERDICT_PASS, FO_STAGE_CONNECT, 0);
    ck_assert_str_eq(answer_on(service)->text, "one.test=127.0.0.1/1:1;"
                                               "127.0.0.1=127.0.0.1/1:2;");
    expect_balance(rig, 1);
}
END_TEST

/* One that hangs is down after its time, and is not asked again before its call has come back. */
START_TEST(an_ask_that_hangs)
{
    rig_t *rig = rig_make(RIG_STUCK);
    fo_service_t *service;

    policy.value[FO_POLICY_TIMEOUT_UP] = 400 * MS;
    policy.value[FO_POLICY_OUTAGE] = 10 * MS;
    policy.value[FO_POLICY_LOGGING] = 1;
    service = add_at("ask", &rig_probe_ask, rig, 1);
    start_loop(2);
    request(0);
    await(&changed);
    ck_assert_int_eq(changes[0].kind, FO_CHANGE_OUTAGE);
    while (atomic_load(&n_changes) < 4) { /* three more pings, as requests come */
        request(0);
        sched_yield();
    }
    ck_assert_int_eq(atomic_load(&rig->n_begun), 1);
    rig->does = RIG_PASS;
    sem_post(&rig->go);
    while (state_of(service) != FO_SERVICE_UP) {
        request(0);
        sched_yield();
    }
    stop_loop();
    ck_assert_int_ge(atomic_load(&rig->n_begun), 2);
    ck_assert_int_eq(atomic_load(&rig->n_begun), atomic_load(&rig->n_ended));
}
END_TEST

/* The only worker is held by another call: what queued past half its budget is no failure. */
START_TEST(an_ask_that_queues)
{
    rig_t *busy = rig_make(RIG_STUCK), *late = rig_make(RIG_PASS);
    fo_service_t *waiting;

    policy.value[FO_POLICY_TIMEOUT_UP] = LIMIT;
    add_at("busy", &rig_probe_ask, busy, 1);
    policy.value[FO_POLICY_TIMEOUT_UP] = 100 * MS;
    waiting = add_at("late", &rig_probe_ask, late, 1);
    start_loop(1);
    request(0);
    await(&changed);
    ck_assert_int_eq(changes[0].kind, FO_CHANGE_SELF);
    ck_assert_str_eq(changes[0].service, "late");
    ck_assert_int_eq(state_of(waiting), FO_SERVICE_UP);
    await(&busy->begun);
    sem_post(&busy->go);
    while (atomic_load(&busy->n_ended) < 1)
        sched_yield();
    stop_loop();
    ck_assert_int_eq(health_of(waiting)->state, FO_STATE_UNKNOWN);
    expect_balance(late, 0);
}
END_TEST

/* Requests come until this probe has been begun so often. */
static void request_until(rig_t *rig, int n)
{
    apr_time_t until = probe_clock_now() + LIMIT;

    while (atomic_load(&rig->n_begun) < n) {
        request(MS);
        ck_assert_msg(probe_clock_now() < until, "it was pinged %d times",
                      atomic_load(&rig->n_begun));
    }
}

/*
 * Having queued in vain is no sign of hanging: the worker that is kept free of those that hung
 * takes it. Of two workers one is held by a call that hung before.
 */
START_TEST(an_ask_that_queued_is_no_suspect)
{
    rig_t *hung = rig_make(RIG_HANG), *busy = rig_make(RIG_STUCK), *late = rig_make(RIG_PASS);

    leaves_calls = true;
    policy.value[FO_POLICY_OUTAGE] = 10 * MS;
    policy.value[FO_POLICY_TIMEOUT_UP] = policy.value[FO_POLICY_TIMEOUT_DOWN] = 100 * MS;
    add_at("hung", &rig_probe_ask, hung, 1);
    policy.value[FO_POLICY_TIMEOUT_UP] = LIMIT;
    add_at("busy", &rig_probe_ask, busy, 1);
    policy.value[FO_POLICY_TIMEOUT_UP] = 100 * MS;
    policy.value[FO_POLICY_ERROR] = 400 * MS; /* it comes again when the others are in place */
    add_at("late", &rig_probe_ask, late, 1);
    start_loop(2);
    request_until(hung, 1);
    hung->does = RIG_STUCK; /* from the second call on */
    request_until(hung, 2);
    ck_assert_int_eq(atomic_load(&late->n_begun), 0);
    busy->does = RIG_PASS;
    sem_post(&busy->go);
    request_until(late, 1);
    stop_loop();
    sem_post(&hung->go);
    while (atomic_load(&hung->n_ended) < 2)
        sched_yield();
}
END_TEST

/* Names and addresses */

START_TEST(a_name_with_two_addresses)
{
    static const peer_line_t fine[] = { { .await = 6, BYTES("+OK\n") }, { 0 } };
    rig_t *rig = rig_make(RIG_PASS);
    peer_t peer;

    peer_start(&peer, fine, PEER_HOLD);
    expect_ping(add("line", &rig_probe_dialogue, rig, rig_url("two.test", peer.port, NULL, 0)),
                FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
    ck_assert_int_eq(atomic_load(&rig->n_begun), 2);
    peer_stop(&peer);
}
END_TEST

START_TEST(a_name_that_does_not_exist)
{
    rig_t *rig = rig_make(RIG_PASS);

    expect_ping(add("line", &rig_probe_dialogue, rig, rig_url("missing.test", 1, NULL, 0)),
                FO_VERDICT_FAIL, FO_STAGE_RESOLVE, APR_EGENERAL);
    expect_balance(rig, 0);
}
END_TEST

/* The resolver's own trouble is none of the service's. */
START_TEST(a_resolver_in_trouble)
{
    rig_t *rig = rig_make(RIG_PASS);
    fo_service_t *service = add("line", &rig_probe_dialogue, rig,
                                rig_url("again.test", 1, NULL, 0));

    start_loop(2);
    ck_assert_int_lt(request(LIMIT), LIMIT);
    ck_assert_int_eq(state_of(service), FO_SERVICE_UP);
    stop_loop();
    ck_assert_int_eq(health_of(service)->state, FO_STATE_UNKNOWN);
    ck_assert_int_eq(changes[0].kind, FO_CHANGE_SELF);
}
END_TEST

START_TEST(several_hosts)
{
    static const peer_line_t fine[] = { { .await = 6, BYTES("+OK\n") }, { 0 } };
    rig_t *rig = rig_make(RIG_PASS);
    peer_t peers[2];

    peer_start(&peers[0], fine, PEER_HOLD);
    if (_i)
        peer_start(&peers[1], fine, PEER_HOLD);
    else
        peer_bind(&peers[1]);
    expect_ping(add("line", &rig_probe_dialogue, rig,
                    rig_url("127.0.0.1", peers[0].port, "one.test", peers[1].port)),
                _i ? FO_VERDICT_PASS : FO_VERDICT_FAIL, _i ? FO_STAGE_ANSWER : FO_STAGE_CONNECT,
                _i ? 0 : ECONNREFUSED);
    ck_assert_int_eq(atomic_load(&rig->n_begun), 2);
    for (int i = 0; i < 2; i++)
        peer_stop(&peers[i]);
}
END_TEST

START_TEST(further_hosts)
{
    static const peer_line_t fine[] = { { .await = 6, BYTES("+OK\n") }, { 0 } };
    peer_line_t names[2] = { { .await = 6 }, { 0 } };
    rig_t *rig = rig_make(RIG_PASS);
    peer_t peers[2];

    if (_i)
        peer_start(&peers[1], fine, PEER_HOLD);
    else
        peer_bind(&peers[1]);
    names[0].bytes = apr_psprintf(pool, "+MORE 127.0.0.1 %u\n", peers[1].port);
    names[0].length = strlen(names[0].bytes);
    peer_start(&peers[0], names, PEER_HOLD);
    expect_ping(add_at("line", &rig_probe_dialogue, rig, peers[0].port),
                _i ? FO_VERDICT_PASS : FO_VERDICT_FAIL, _i ? FO_STAGE_ANSWER : FO_STAGE_CONNECT,
                _i ? 0 : ECONNREFUSED);
    for (int i = 0; i < 2; i++)
        peer_stop(&peers[i]);
}
END_TEST

/* Ten hung ones of each form beside a healthy one of each: the healthy never fall. */

#define HUNG 10

static const fo_probe_t *const forms[] = { &rig_probe_dialogue, &rig_probe_steps, &rig_probe_ask };

/* Answers "+OK\n" to whoever comes. */
static void *answer_all(void *opaque)
{
    peer_t *peer = opaque;
    int fd;

    while ((fd = accept(peer->fd, NULL, NULL)) >= 0) {
        char greeting[6];
        (void)!recv(fd, greeting, sizeof(greeting), MSG_WAITALL);
        (void)!send(fd, "+OK\n", 4, MSG_NOSIGNAL);
        close(fd);
    }
    return NULL;
}

START_TEST(ten_hung_ones_beside_a_healthy_one)
{
    rig_t *healthy[3];
    fo_service_t *fine[3];
    peer_t mute, good;
    pthread_t answerer;

    leaves_calls = true;
    peer_mute(&mute);
    peer_mute(&good);
    pthread_create(&answerer, NULL, answer_all, &good);
    policy.value[FO_POLICY_ERROR] = policy.value[FO_POLICY_OUTAGE] = 20 * MS;
    policy.value[FO_POLICY_MONITORING] = 20 * MS;
    policy.value[FO_POLICY_TIMEOUT_UP] = policy.value[FO_POLICY_TIMEOUT_DOWN] = 200 * MS;
    for (int form = 0; form < 3; form++) {
        for (int i = 0; i < HUNG; i++) {
            const char *name = apr_psprintf(pool, "hung-%d-%d", form, i);
            add_at(name, forms[form], rig_make(RIG_HANG), mute.port);
        }
        healthy[form] = rig_make(RIG_PASS);
        fine[form] = add_at(apr_psprintf(pool, "fine-%d", form), forms[form], healthy[form],
                            good.port);
    }
    start_loop(4);
    for (int form = 0; form < 3; form++)
        request_until(healthy[form], 8);
    stop_loop();
    for (int i = 0; i < atomic_load(&n_changes); i++)
        ck_assert_msg(strncmp(changes[i].service, "fine", 4) != 0 ||
                      changes[i].kind == FO_CHANGE_SELF, "%s: %s: %s", changes[i].service,
                      fo_stage_name(changes[i].report.stage), changes[i].report.text);
    for (int form = 0; form < 3; form++)
        ck_assert_int_eq(health_of(fine[form])->state, FO_STATE_UP);
    shutdown(good.fd, SHUT_RDWR);
    pthread_join(answerer, NULL);
}
END_TEST

/* Waiting */

/* The request that triggers the ping waits for it, no longer than told, and once. */
START_TEST(a_hung_service_costs_one_wait)
{
    rig_t *rig = rig_make(RIG_HANG);
    fo_service_t *service;

    policy.value[FO_POLICY_FALL] = 3; /* usable still */
    policy.value[FO_POLICY_CONFIRM] = policy.value[FO_POLICY_TIMEOUT_UP] = 60 * MS;
    service = add_at("steps", &rig_probe_steps, rig, 1);
    start_loop(2);
    ck_assert_int_ge(request(30 * MS), 30 * MS);
    await(&rig->begun);
    while (state_of(service) == FO_SERVICE_UP)
        ck_assert_int_lt(request(LIMIT), LIMIT);
    stop_loop();
    ck_assert_int_eq(atomic_load(&rig->n_begun), 3);
    expect_balance(rig, 3);
}
END_TEST

START_TEST(nobody_waits_for_what_is_not_due)
{
    rig_t *rig = rig_make(RIG_PASS);

    add_at("steps", &rig_probe_steps, rig, 1);
    start_loop(2);
    ck_assert_int_lt(request(LIMIT), LIMIT);
    ck_assert_int_lt(request(LIMIT), LIMIT);
    stop_loop();
    expect_balance(rig, 1);
}
END_TEST

/*
 * Before it sleeps it says until when, so that others see whether it lives: until there is
 * something to do, but never for long.
 */
START_TEST(it_says_when_it_wakes)
{
    static const struct {
        apr_interval_time_t frequency, sleep;
    } cases[] = { { 20 * SEC, 20 * SEC }, { 3600 * SEC, PROBE_SLEEP_MAX } };
    rig_t *rig = rig_make(RIG_PASS);
    fo_shared_t *memory = unit_shared(1, 1);
    apr_interval_time_t sleep = 0;
    apr_time_t until;
    fo_slot_t seen;

    policy.value[FO_POLICY_MONITORING] = cases[_i].frequency;
    add_at("steps", &rig_probe_steps, rig, 1);
    make_loop(2);
    fo_monitor_join(monitor, memory, fo_slot_claim(memory, 100, 1, 1));
    ck_assert(fo_slot_read(memory, 0, &seen) && fo_slot_is_late(&seen, probe_clock_now()));
    run_loop();
    request(LIMIT);
    until = probe_clock_now() + LIMIT;
    while (sleep <= cases[_i].sleep - LIMIT || sleep >= cases[_i].sleep + LIMIT) {
        ck_assert_msg(probe_clock_now() < until, "it sleeps for %d ms", (int)(sleep / MS));
        sched_yield();
        fo_slot_read(memory, 0, &seen);
        sleep = seen.wakes_at - seen.beat_at;
    }
    ck_assert(!fo_slot_is_late(&seen, probe_clock_now()));
    stop_loop();
    expect_balance(rig, 1);
}
END_TEST

/* Confirming pings need no request. */
START_TEST(confirming_pings_follow_by_themselves)
{
    fo_service_t *service;
    peer_t peer;

    policy.value[FO_POLICY_FALL] = 4;
    policy.value[FO_POLICY_CONFIRM] = 5 * MS;
    policy.value[FO_POLICY_CAP] = 10 * MS;
    peer_bind(&peer);
    service = add_at("app", &fo_probe_tcp, NULL, peer.port);
    start_loop(2);
    request(0);
    await(&changed);
    ck_assert_int_eq(changes[0].kind, FO_CHANGE_OUTAGE);
    ck_assert_int_eq(state_of(service), FO_SERVICE_DOWN);
    stop_loop();
    ck_assert_int_eq(health_of(service)->fails, 4);
    peer_stop(&peer);
}
END_TEST

/* What ends in one round is judged together: the first ones are doubted as well. */
START_TEST(many_that_fall_together)
{
    fo_service_t *services[3];
    peer_t peer;

    policy.value[FO_POLICY_CONFIRM] = 50 * MS;
    peer_bind(&peer);
    for (int i = 0; i < 3; i++)
        services[i] = add_at(apr_psprintf(pool, "s%d", i), &fo_probe_tcp, NULL, peer.port);
    start_loop(2);
    request(LIMIT);
    for (int i = 0; i < 3; i++)
        await(&changed);
    stop_loop();
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(state_of(services[i]), FO_SERVICE_DOWN);
        ck_assert_int_eq(health_of(services[i])->fails, 2);
    }
    peer_stop(&peer);
}
END_TEST

/* The board says when a request finds something due: in time, without being asked. */
START_TEST(due_is_claimed_on_the_board)
{
    rig_t *rig = rig_make(RIG_PASS);
    apr_time_t pinged_at, until;

    policy.value[FO_POLICY_MONITORING] = 300 * MS;
    policy.value[FO_POLICY_SPREAD] = 0;
    add_at("steps", &rig_probe_steps, rig, 1);
    start_loop(2);
    ck_assert(fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    pinged_at = probe_clock_now();
    until = pinged_at + LIMIT;
    request(LIMIT);
    while (!fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST))
        ck_assert_int_lt(probe_clock_now(), until);
    ck_assert_int_ge(probe_clock_now() - pinged_at, 300 * MS);
    ck_assert(!fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    stop_loop();
}
END_TEST

/* Many services */

#define MANY 600

/* One request triggers them all; returns when each has been begun. */
static void ping_many(rig_t *rig)
{
    for (int i = 0; i < MANY; i++)
        add_at(apr_psprintf(pool, "s%d", i), &rig_probe_steps, rig, 1);
    start_loop(2);
    request(0);
    for (int i = 0; i < MANY; i++)
        await(&rig->begun);
}

/* More than can be pinged at a time wait for a place, and all have their turn. */
START_TEST(more_than_fit_at_a_time)
{
    rig_t *rig = rig_make(RIG_LATER);

    ping_many(rig);
    while (atomic_load(&rig->n_ended) < MANY)
        sched_yield();
    stop_loop();
    expect_balance(rig, MANY);
}
END_TEST

/* So it is where each ends as it begins, and leaves nothing that wakes the loop. */
START_TEST(more_than_fit_that_end_at_once)
{
    rig_t *rig = rig_make(RIG_PASS);

    ping_many(rig);
    stop_loop();
    expect_balance(rig, MANY);
}
END_TEST

/* The thread sanitizer makes the beginnings and ends themselves some ten times slower. */
#ifdef __SANITIZE_THREAD__
#define HUNG_FOR (2 * SEC)
#else
#define HUNG_FOR (400 * MS)
#endif

/* What waits for a place costs no time: the loop sleeps. */
START_TEST(waiting_for_a_place_is_no_work)
{
    rig_t *rig = rig_make(RIG_HANG);
    apr_interval_time_t cpu;

    policy.value[FO_POLICY_TIMEOUT_UP] = HUNG_FOR;
    for (int i = 0; i < 300; i++)
        add_at(apr_psprintf(pool, "s%d", i), &rig_probe_steps, rig, 1);
    make_loop(2);
    for (int i = 0; i < plan->services->nelts; i++)
        fo_monitor_hurry(monitor, fo_plan_target_at(plan, (unsigned)i)); /* due by themselves */
    run_loop();
    for (int i = 0; i < 300; i++) /* the last ones begin when the first have timed out */
        await(&rig->begun);
    stop_loop();
    cpu = loop_cpu.tv_sec * SEC + loop_cpu.tv_nsec / 1000;
    ck_assert_msg(cpu < HUNG_FOR / 2, "%d ms of work in %d ms", (int)(cpu / MS),
                  (int)(HUNG_FOR / MS));
}
END_TEST

/* Stopping */

START_TEST(stop_at_once)
{
    add_at("app", &fo_probe_tcp, NULL, 1);
    make_loop(2);
    if (_i)
        probe_loop_stop(loop);
    run_loop();
    ck_assert_int_lt(stop_loop(), SEC);
}
END_TEST

/* Pings that hang in each form, a name that does not resolve: the stop is bounded. */
START_TEST(stop_while_pings_hang)
{
    rig_t *rigs[3];
    peer_t mute;

    leaves_calls = true;
    peer_mute(&mute);
    policy.value[FO_POLICY_TIMEOUT_UP] = 60 * SEC;
    for (int form = 0; form < 3; form++) {
        rigs[form] = rig_make(form == 2 ? RIG_STUCK : RIG_HANG);
        add_at(apr_psprintf(pool, "hung-%d", form), forms[form], rigs[form], mute.port);
    }
    add("name", &rig_probe_dialogue, rigs[0], rig_url("slow.test", 1, NULL, 0));
    start_loop(2);
    request(0);
    await(&rigs[1]->begun);
    await(&rigs[2]->begun);
    while (atomic_load(&rig_lookups) < 1)
        sched_yield();
    ck_assert_int_lt(stop_loop(), 2 * PROBE_STOP_PATIENCE + 500 * MS);
    ck_assert_int_eq(atomic_load(&rigs[1]->n_ended), 1);
    sem_post(&rigs[2]->go); /* they come back to what nobody has freed */
    sem_post(&rig_slow);
    while (atomic_load(&rigs[2]->n_ended) < 1)
        sched_yield();
}
END_TEST

/* Errors and siblings */

static fo_alarm_t *bell;
static fo_shared_t *shared;

/* Between make_loop() and run_loop(): all services listen to EPIPE of module 0. */
static void listen_to_errors(void)
{
    static const bool is_relay[] = { true };
    fo_rules_t *rules = fo_rules_make(plan);
    fo_match_t *match = NULL;
    unsigned set = 0;

    unit_expect(fo_match_parse("EPIPE", &match, pool), NULL);
    unit_expect(fo_rules_add_set(rules, match->patterns, is_relay, 1, &set), NULL);
    for (unsigned i = 0; i < (unsigned)plan->services->nelts; i++)
        fo_rules_listen(rules, fo_plan_service(plan, i), set);
    fo_rules_finish(rules);
    bell = fo_alarm_make(rules, pool);
    probe_loop_listen(loop, bell);
}

static void join_siblings(unsigned n_cells)
{
    shared = unit_shared((unsigned)plan->targets->nelts, n_cells);
    fo_monitor_join(monitor, shared, FO_SLOT_NONE);
}

/* As the hook on the error log does. True: it was news. */
static bool log_error(const char *text)
{
    fo_entry_t entry = { .scope = scope, .status = EPIPE, .text = text, .length = strlen(text) };
    bool is_new = fo_alarm_hear(bell, &entry);

    if (is_new)
        probe_gate_wake(gate);
    return is_new;
}

/* No request comes. On a machine that is busy one of some tries shows how quick it is. */
START_TEST(an_error_makes_a_ping_at_once)
{
    rig_t *rig = rig_make(RIG_PASS);
    apr_interval_time_t quickest = LIMIT;

    policy.value[FO_POLICY_ERROR] = 0;
    add_at("steps", &rig_probe_steps, rig, 1);
    make_loop(2);
    listen_to_errors();
    run_loop();
    for (int i = 0; i < 10; i++) {
        apr_time_t began_at = probe_clock_now();
        while (!log_error("x")) /* the ping before has not lowered it yet */
            sched_yield();
        await(&rig->begun);
        apr_interval_time_t took = probe_clock_now() - began_at;
        quickest = took < quickest ? took : quickest;
    }
    stop_loop();
    ck_assert_msg(quickest <= 50 * MS, "it took %d ms", (int)(quickest / MS));
    expect_balance(rig, 10);
    ck_assert(!fo_alarm_is_any_raised(bell));
}
END_TEST

/* Soon after a ping: it comes by itself when the error frequency allows, and once. */
START_TEST(an_error_is_remembered)
{
    rig_t *rig = rig_make(RIG_PASS);
    apr_time_t before_at;

    policy.value[FO_POLICY_ERROR] = 200 * MS;
    add_at("steps", &rig_probe_steps, rig, 1);
    make_loop(2);
    listen_to_errors();
    run_loop();
    before_at = probe_clock_now();
    request(LIMIT);
    await(&rig->begun);
    ck_assert(log_error("x"));
    await(&rig->begun);
    ck_assert_int_ge(probe_clock_now() - before_at, 200 * MS);
    stop_loop();
    expect_balance(rig, 2);
}
END_TEST

/* What comes while a ping is under way asks for another one. */
START_TEST(an_error_while_a_ping_is_under_way)
{
    rig_t *rig = rig_make(RIG_HANG);

    policy.value[FO_POLICY_ERROR] = 0;
    add_at("steps", &rig_probe_steps, rig, 1);
    make_loop(2);
    listen_to_errors();
    run_loop();
    log_error("x");
    await(&rig->begun);
    ck_assert(log_error("x"));
    rig->does = RIG_PASS;
    await(&rig->begun);
    stop_loop();
    expect_balance(rig, 2);
}
END_TEST

/* An error that names a host pings what is there alone, by its addresses too. */
START_TEST(addresses_are_learned)
{
    rig_t *here = rig_make(RIG_PASS), *there = rig_make(RIG_PASS);
    const fo_service_t *service;

    leaves_calls = true; /* the last one may be on its way back */
    policy.value[FO_POLICY_ERROR] = 0;
    service = _i ? add("here", &rig_probe_ask, here, rig_url("one.test", 7, "two.test", 8))
                 : add("here", &rig_probe_steps, here, rig_url("two.test", 8, NULL, 0));
    add_at("there", &rig_probe_steps, there, 1);
    make_loop(2);
    listen_to_errors();
    for (unsigned i = 0; i < 3; i++) /* of an earlier look-up */
        fo_alarm_learn(bell, unit_target(service), (unsigned)_i, i, "127.0.0.3");
    run_loop();
    request(LIMIT);
    await(&here->begun);
    await(&there->begun);
    for (int i = 0; i < 2; i++) {
        while (fo_alarm_is_any_raised(bell))
            sched_yield();
        ck_assert(log_error(i ? "to 127.0.0.1:8" : "to 127.0.0.2:8"));
        await(&here->begun);
    }
    while (fo_alarm_is_any_raised(bell))
        sched_yield();
    ck_assert_int_eq(atomic_load(&there->n_begun), 1);
    ck_assert(log_error("to 127.0.0.3:8")); /* no longer: nobody's, so all are pinged */
    await(&here->begun);
    await(&there->begun);
    stop_loop();
}
END_TEST

/* One service of a child among others; its loop does not run yet. */
static rig_t *rig_among_siblings(void)
{
    rig_t *rig = rig_make(RIG_PASS);

    policy.value[FO_POLICY_ERROR] = 0;
    add_at("steps", &rig_probe_steps, rig, 1);
    make_loop(2);
    join_siblings(4);
    return rig;
}

/* What a sibling has found makes a ping before its time, for which the request waits. */
START_TEST(a_hint_makes_a_ping)
{
    rig_t *rig = rig_among_siblings();

    run_loop();
    request(LIMIT);
    await(&rig->begun);
    request(LIMIT);
    ck_assert_int_eq(atomic_load(&rig->n_begun), 1);
    fo_shared_tell(shared, 0, true, 1);
    ck_assert(fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    rig->does = RIG_LATER;
    ck_assert_int_lt(request(LIMIT), LIMIT);
    expect_balance(rig, 2);
    stop_loop();
    expect_balance(rig, 2);
}
END_TEST

/* What a sibling found while this child began is for its first request, as all that it pings. */
START_TEST(a_hint_at_the_start_makes_no_ping)
{
    rig_t *rig = rig_among_siblings();

    fo_shared_tell(shared, 0, true, 1);
    run_loop();
    ck_assert(!unit_wait(&rig->begun, 100 * MS));
    request(LIMIT);
    expect_balance(rig, 1);
    stop_loop();
    expect_balance(rig, 1);
}
END_TEST

static void await_calm(void)
{
    apr_time_t until = probe_clock_now() + LIMIT;

    while (!fo_board_is_calm(board, scope, FO_TRIGGER_REQUEST)) {
        ck_assert_msg(probe_clock_now() < until, "requests are called upon still");
        sched_yield();
    }
}

/* Neither an outage nor a recovery that it has found makes a request of its own look. */
START_TEST(its_own_discovery_is_no_news)
{
    rig_t *rig = rig_make(RIG_HANG);
    const fo_service_t *service;
    apr_time_t due_at;

    policy.value[FO_POLICY_TIMEOUT_UP] = 50 * MS;
    policy.value[FO_POLICY_OUTAGE] = 10 * MS;
    service = add_at("steps", &rig_probe_steps, rig, 1);
    make_loop(2);
    join_siblings(4);
    run_loop();
    request(LIMIT);
    ck_assert_int_eq(state_of(service), FO_SERVICE_DOWN);
    due_at = probe_clock_now() + 10 * MS;
    rig->does = RIG_PASS;
    while (probe_clock_now() < due_at)
        sched_yield();
    request(0); /* the only one: nothing else wakes the loop */
    await_calm();
    ck_assert_int_eq(state_of(service), FO_SERVICE_UP);
    ck_assert_uint_eq(fo_shared_hint(shared, 0) / 2, 2);
}
END_TEST

/* What it tells its siblings. */
START_TEST(a_discovery_is_told)
{
    fo_service_t *service;
    peer_t peer;

    peer_bind(&peer);
    service = add_at("app", &fo_probe_tcp, NULL, peer.port);
    make_loop(2);
    join_siblings(4);
    run_loop();
    request(LIMIT);
    stop_loop();
    ck_assert_int_eq(state_of(service), FO_SERVICE_DOWN);
    ck_assert_uint_eq(fo_shared_hint(shared, 0) & FO_HINT_DOWN, FO_HINT_DOWN);
    ck_assert(!fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    peer_stop(&peer);
}
END_TEST

/* The request does not wait, and once there is a place the ping comes by itself. */
START_TEST(without_a_place_it_waits_for_one)
{
    rig_t *rig = rig_make(RIG_PASS);
    fo_service_t *service = add_at("steps", &rig_probe_steps, rig, 1);
    fo_cell_t cell;

    make_loop(2);
    join_siblings(1);
    cell = fo_shared_enter(shared, 0, 1, APR_INT64_MAX);
    run_loop();
    ck_assert_int_lt(request(LIMIT), LIMIT);
    ck_assert_int_eq(atomic_load(&rig->n_begun), 0);
    ck_assert_int_eq(state_of(service), FO_SERVICE_UP);
    fo_shared_leave(shared, 0, cell);
    await(&rig->begun);
    stop_loop();
    ck_assert_int_eq(health_of(service)->state, FO_STATE_UP);
    ck_assert_int_ge(fo_shared_enter(shared, 0, 1, 2).cell, 0);
}
END_TEST

/* Pings that a stop ends leave their places to the other children. */
START_TEST(a_stop_gives_the_places_back)
{
    rig_t *rig = rig_make(RIG_HANG);

    policy.value[FO_POLICY_TIMEOUT_UP] = 60 * SEC;
    for (int i = 0; i < 5; i++)
        add_at(apr_psprintf(pool, "s%d", i), &rig_probe_steps, rig, 1);
    make_loop(2);
    join_siblings(1);
    run_loop();
    request(0);
    for (int i = 0; i < 5; i++)
        await(&rig->begun);
    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(fo_shared_enter(shared, i, 1, 2).cell, -1);
    stop_loop();
    for (unsigned i = 0; i < 5; i++)
        ck_assert_int_eq(fo_shared_enter(shared, i, 1, 2).cell, 0);
    expect_balance(rig, 5);
}
END_TEST

/* One for all: this loop's monitor has slot 0 of the memory, and the test is another child in 1. */

#define OTHER 1

static int shared_fd;

static void join_under_lease(apr_interval_time_t lease)
{
    plan->ways.lease = lease;
    plan->generation = 1;
    shared = unit_shared((unsigned)plan->targets->nelts, 4);
    ck_assert_int_eq(fo_slot_claim(shared, 100, 1, 1), 0);
    fo_monitor_join(monitor, shared, 0);
    shared_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    ck_assert_int_ge(shared_fd, 0);
    probe_loop_share(loop, shared_fd);
}

static void await_holder(int slot)
{
    apr_time_t until = probe_clock_now() + LIMIT;

    while (fo_lease_read(shared).slot != slot) {
        ck_assert_msg(probe_clock_now() < until, "the lease stays with %d",
                      fo_lease_read(shared).slot);
        sched_yield();
    }
}

/* The other child leads, as long as it likes; by what a newer configuration may. */
static void other_leads(apr_interval_time_t span)
{
    apr_uint64_t generation = 2;
    apr_time_t until = probe_clock_now() + LIMIT;

    while (!fo_lease_take(shared, OTHER, generation, probe_clock_now(), span))
        ck_assert(probe_clock_now() < until); /* the loop was just renewing it */
}

/* By a timer, without any request; and an error that another child noted wakes it at once. */
START_TEST(the_leader_pings_for_all)
{
    rig_t *rig = rig_make(RIG_PASS);
    apr_uint64_t one = 1;

    policy.value[FO_POLICY_ERROR] = 0;
    add_at("steps", &rig_probe_steps, rig, 1);
    make_loop(2);
    join_under_lease(60 * SEC);
    run_loop();
    await(&rig->begun);
    await_holder(0);
    for (int i = 0; i < 3; i++) {
        fo_shared_suspect(shared, 0);
        ck_assert_int_eq(write(shared_fd, &one, sizeof(one)), sizeof(one));
        await(&rig->begun);
    }
    stop_loop();
    expect_balance(rig, 4);
    ck_assert_int_eq(read(shared_fd, &one, sizeof(one)), -1); /* each wake-up has been taken */
    ck_assert_int_eq(fo_lease_read(shared).until_at, 0); /* nobody need wait */
    close(shared_fd);
}
END_TEST

/* A follower takes what errors point at to the one that pings, and pings nothing itself. */
START_TEST(a_follower_passes_errors_on)
{
    rig_t *rig = rig_make(RIG_PASS);
    struct pollfd woken;

    policy.value[FO_POLICY_ERROR] = 0;
    add_at("steps", &rig_probe_steps, rig, 1);
    make_loop(2);
    listen_to_errors();
    join_under_lease(60 * SEC);
    other_leads(60 * SEC);
    run_loop();
    ck_assert_int_lt(request(LIMIT), LIMIT); /* there is nothing to wait for */
    ck_assert(log_error("x"));
    woken = (struct pollfd){ .fd = shared_fd, .events = POLLIN };
    ck_assert_int_eq(poll(&woken, 1, (int)(LIMIT / MS)), 1);
    ck_assert(fo_shared_take_suspect(shared, 0));
    request(LIMIT);
    ck_assert(log_error("x")); /* the next one is news again */
    stop_loop();
    expect_balance(rig, 0);
    ck_assert_int_eq(fo_lease_read(shared).slot, OTHER);
    close(shared_fd);
}
END_TEST

/* What was under way when the lease was lost is dropped unjudged, and its places are given back. */
START_TEST(a_lost_lease_ends_its_pings)
{
    rig_t *rig = rig_make(RIG_HANG);
    fo_service_t *service = NULL;
    apr_time_t until = probe_clock_now() + LIMIT;

    policy.value[FO_POLICY_TIMEOUT_UP] = 60 * SEC;
    for (int i = 0; i < 3; i++)
        service = add_at(apr_psprintf(pool, "s%d", i), &rig_probe_steps, rig, 1);
    make_loop(2);
    join_under_lease(60 * SEC);
    run_loop();
    for (int i = 0; i < 3; i++)
        await(&rig->begun);
    other_leads(60 * SEC);
    while (atomic_load(&rig->n_ended) < 3) { /* it ticks while pings are under way */
        ck_assert_msg(probe_clock_now() < until, "the pings go on");
        sched_yield();
    }
    request(LIMIT);
    for (unsigned i = 0; i < 3; i++)
        for (int cell = 0; cell < 4; cell++)
            ck_assert_int_eq(fo_shared_enter(shared, i, 1, 2).cell, cell);
    stop_loop();
    expect_balance(rig, 3);
    ck_assert_int_eq(health_of(service)->state, FO_STATE_UNKNOWN);
    ck_assert_int_eq(fo_lease_read(shared).slot, OTHER);
    close(shared_fd);
}
END_TEST

/* When the other's lease runs out it takes over by itself. */
START_TEST(a_follower_takes_over)
{
    rig_t *rig = rig_make(RIG_PASS);
    apr_time_t began_at;

    add_at("steps", &rig_probe_steps, rig, 1);
    make_loop(2);
    join_under_lease(300 * MS);
    began_at = probe_clock_now();
    other_leads(300 * MS);
    run_loop();
    await(&rig->begun);
    ck_assert_int_ge(probe_clock_now() - began_at, 299 * MS);
    ck_assert_int_eq(fo_lease_read(shared).slot, 0);
    stop_loop();
    close(shared_fd);
}
END_TEST

/* One of a newer configuration does not wait for that: it takes the lease before it sleeps. */
START_TEST(a_newer_child_leads_at_once)
{
    rig_t *rig = rig_make(RIG_PASS);

    add_at("steps", &rig_probe_steps, rig, 1);
    make_loop(2);
    join_under_lease(60 * SEC);
    ck_assert(fo_lease_take(shared, OTHER, 0, probe_clock_now(), 60 * SEC));
    run_loop();
    await(&rig->begun);
    ck_assert_int_eq(fo_lease_read(shared).slot, 0);
    stop_loop();
    close(shared_fd);
}
END_TEST

/* What the one that pings has found is seen from the start, and not when its lease runs out. */
START_TEST(a_follower_sees_at_once)
{
    apr_time_t now = probe_clock_now(), until = now + LIMIT;
    fo_row_t row = { .state = FO_STATE_DOWN, .since_at = now, .pinged_at = now };
    fo_service_t *service = add_at("steps", &rig_probe_steps, rig_make(RIG_PASS), 1);

    plan->ways.inherits = _i;
    make_loop(2);
    join_under_lease(60 * SEC);
    ck_assert_int_eq(fo_slot_claim(shared, 101, 1, now), OTHER);
    fo_row_write(shared, OTHER, fo_service_endpoint(service, 0)->seat, &row);
    other_leads(60 * SEC);
    run_loop();
    while (state_of(service) != FO_SERVICE_DOWN) {
        ck_assert_msg(probe_clock_now() < until, "it sleeps");
        sched_yield();
    }
    stop_loop();
    close(shared_fd);
}
END_TEST

/* A wake-up that one took which has lost the lease meanwhile goes on to the one that has it. */
START_TEST(a_wake_up_is_passed_on)
{
    rig_t *rig = rig_make(RIG_PASS);
    struct pollfd woken;
    apr_uint64_t one = 1;

    add_at("steps", &rig_probe_steps, rig, 1);
    make_loop(2);
    join_under_lease(60 * SEC);
    run_loop();
    await(&rig->begun);
    request(LIMIT); /* it has heard of the end, and sleeps */
    other_leads(60 * SEC);
    ck_assert_int_eq(write(shared_fd, &one, sizeof(one)), sizeof(one));
    woken = (struct pollfd){ .fd = shared_fd, .events = POLLIN };
    ck_assert_int_eq(poll(&woken, 1, (int)(LIMIT / MS)), 1);
    stop_loop();
    ck_assert_int_eq(read(shared_fd, &one, sizeof(one)), sizeof(one));
    close(shared_fd);
}
END_TEST

static TCase *lead_case(void)
{
    TCase *tc = tcase_create("lead");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, the_leader_pings_for_all);
    tcase_add_test(tc, a_follower_passes_errors_on);
    tcase_add_test(tc, a_lost_lease_ends_its_pings);
    tcase_add_test(tc, a_follower_takes_over);
    tcase_add_test(tc, a_newer_child_leads_at_once);
    tcase_add_loop_test(tc, a_follower_sees_at_once, 0, 2);
    tcase_add_test(tc, a_wake_up_is_passed_on);
    return tc;
}

static TCase *errors_case(void)
{
    TCase *tc = tcase_create("errors");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, an_error_makes_a_ping_at_once);
    tcase_add_test(tc, an_error_is_remembered);
    tcase_add_test(tc, an_error_while_a_ping_is_under_way);
    tcase_add_loop_test(tc, addresses_are_learned, 0, 2);
    tcase_add_test(tc, a_hint_makes_a_ping);
    tcase_add_test(tc, a_hint_at_the_start_makes_no_ping);
    tcase_add_test(tc, its_own_discovery_is_no_news);
    tcase_add_test(tc, a_discovery_is_told);
    tcase_add_test(tc, without_a_place_it_waits_for_one);
    tcase_add_test(tc, a_stop_gives_the_places_back);
    return tc;
}

static TCase *forms_case(void)
{
    TCase *tc = tcase_create("forms");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, a_dialogue, 0, COUNT(talks));
    tcase_add_loop_test(tc, a_tcp_ping, 0, COUNT(tcps));
    tcase_add_loop_test(tc, steps_by_a_span, 0, 2);
    tcase_add_test(tc, steps_by_a_descriptor);
    tcase_add_test(tc, steps_until_the_deadline);
    tcase_add_test(tc, an_ask);
    tcase_add_test(tc, an_ask_that_hangs);
    tcase_add_test(tc, an_ask_that_queues);
    tcase_add_test(tc, an_ask_that_queued_is_no_suspect);
    tcase_add_test(tc, a_name_with_two_addresses);
    tcase_add_test(tc, a_name_that_does_not_exist);
    tcase_add_test(tc, a_resolver_in_trouble);
    tcase_add_loop_test(tc, several_hosts, 0, 2);
    tcase_add_loop_test(tc, further_hosts, 0, 2);
    return tc;
}

/* One of a thousand services of three endpoints; its primary is a peer that this test plays. */

static fo_service_t *add_a_thousand(rig_t *primary, apr_port_t port)
{
    rig_t *well = rig_make(RIG_PASS);
    fo_service_t *service = NULL;

    for (int i = 0; i < 1000; i++) {
        char name[32];
        apr_snprintf(name, sizeof(name), "s%d", i);
        policy.value[FO_POLICY_MONITORING] = i < 999 ? 3600 * SEC : 10 * MS;
        service = add_at(apr_pstrdup(pool, name), &rig_probe_steps, i < 999 ? well : primary, port);
        for (int spare = 1; spare < 3; spare++) {
            fo_target_t *target = fo_plan_target(plan, apr_psprintf(pool, "%s/%d", name, spare));
            fo_check_t *check = fo_plan_add_check(plan, target, rig_url("127.0.0.1", 1, NULL, 0));
            check->probe = &rig_probe_steps;
            check->conf = well;
            fo_plan_add_endpoint(plan, service, target->key, target->key, 1.0 / (1 + spare),
                                 target);
        }
    }
    return service;
}

static apr_time_t wait_for_state(const fo_service_t *service, fo_service_state_e state)
{
    apr_time_t until = probe_clock_now() + LIMIT;

    while (state_of(service) != state) {
        ck_assert_msg(probe_clock_now() < until, "it does not become %d", state);
        sched_yield();
    }
    return probe_clock_now();
}

/* The peer's half of a ping that comes next; when it has answered. */
static apr_time_t answer_ping(const peer_t *peer, bool is_well)
{
    struct pollfd came = { .fd = peer->fd, .events = POLLIN };
    int fd;

    do
        request(0);
    while (poll(&came, 1, 1) == 0);
    fd = accept(peer->fd, NULL, NULL);
    if (is_well)
        ck_assert_int_eq(send(fd, "x", 1, 0), 1);
    apr_time_t at = probe_clock_now();
    close(fd);
    return at;
}

static int by_span(const void *a, const void *b)
{
    apr_interval_time_t one = *(const apr_interval_time_t *)a;
    apr_interval_time_t other = *(const apr_interval_time_t *)b;

    return one < other ? -1 : one > other;
}

/* The thread sanitizer makes all of the loop some ten times slower. */
#ifdef __SANITIZE_THREAD__
#define SWITCH_LIMIT (50 * MS)
#else
#define SWITCH_LIMIT (5 * MS)
#endif

/* From the peer's end to the word that requests read, the wake-up between them included. */
START_TEST(the_switch_is_at_once)
{
    apr_interval_time_t took[15];
    fo_service_t *service;
    peer_t peer;

    policy.value[FO_POLICY_OUTAGE] = policy.value[FO_POLICY_ERROR] = 10 * MS;
    policy.value[FO_POLICY_GRACE] = 0;
    policy.value[FO_POLICY_FAILBACK] = 10 * MS;
    peer_mute(&peer);
    service = add_a_thousand(rig_make(RIG_READ), peer.port);
    start_loop(2);
    for (int i = 0; i < COUNT(took); i++) {
        answer_ping(&peer, true);
        wait_for_state(service, FO_SERVICE_UP);
        apr_time_t failed_at = answer_ping(&peer, false);
        took[i] = wait_for_state(service, FO_SERVICE_FAILOVER) - failed_at;
    }
    qsort(took, COUNT(took), sizeof(took[0]), by_span);
    stop_loop();
    ck_assert_int_le(took[COUNT(took) / 2], SWITCH_LIMIT);
    close(peer.fd);
}
END_TEST

static TCase *loop_case(void)
{
    TCase *tc = tcase_create("loop");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, ten_hung_ones_beside_a_healthy_one);
    tcase_add_test(tc, a_hung_service_costs_one_wait);
    tcase_add_test(tc, nobody_waits_for_what_is_not_due);
    tcase_add_loop_test(tc, it_says_when_it_wakes, 0, 2);
    tcase_add_test(tc, confirming_pings_follow_by_themselves);
    tcase_add_test(tc, many_that_fall_together);
    tcase_add_test(tc, due_is_claimed_on_the_board);
    tcase_add_test(tc, more_than_fit_at_a_time);
    tcase_add_test(tc, more_than_fit_that_end_at_once);
    tcase_add_test(tc, waiting_for_a_place_is_no_work);
    tcase_add_loop_test(tc, stop_at_once, 0, 2);
    tcase_add_test(tc, stop_while_pings_hang);
    tcase_add_test(tc, the_switch_is_at_once);
    return tc;
}

static Suite *suite(void)
{
    Suite *s = suite_create("probe_loop");

    suite_add_tcase(s, forms_case());
    suite_add_tcase(s, loop_case());
    suite_add_tcase(s, errors_case());
    suite_add_tcase(s, lead_case());
    return s;
}

UNIT_MAIN(suite)

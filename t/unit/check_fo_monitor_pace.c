/*
 * Crowds: what 64 children's pings of 100 services are to those services, by an invented clock. In
 * buckets of a second the pings are to be spread like rain: their variance is about their mean. The
 * random numbers are the same in each run.
 */
#include "core/fo_monitor.h"
#include "core/fo_slot.h"

#include "unit.h"

#include <math.h>

#define CHILDREN 64
#define SERVICES 100
#define FREQUENCY (120 * SEC)
#define ERROR (5 * SEC)
#define LONG (900 * SEC)
#define BUCKETS 900
#define MOST 1.5

static const fo_report_t passed = { .verdict = FO_VERDICT_PASS };
static const fo_report_t refused = { .verdict = FO_VERDICT_FAIL, .status = ECONNREFUSED };

typedef struct child_t {
    fo_monitor_t *monitor;
    apr_int64_t pid;
    int n_pings[SERVICES];
    apr_time_t wakes_at;
} child_t;

/* Pings by second from a certain instant on. */
typedef struct rain_t {
    apr_time_t began_at;
    int all[BUCKETS];
    int of_child[CHILDREN][BUCKETS];
    int of_service[SERVICES][BUCKETS];
} rain_t;

static fo_plan_t *plan;
static fo_shared_t *shared;
static child_t children[CHILDREN];
static rain_t first,
    later; /* the first pings of each child and service; those from the second on */
static apr_time_t now;
static apr_interval_time_t request_span; /* between a child's requests; 0: pings run by a timer */
static apr_uint64_t random_state;
static apr_int64_t last_pid;
static const fo_report_t *report; /* what each ping finds */

static void setup(void)
{
    unit_setup();
    now = 1000 * SEC;
    random_state = 42;
    last_pid = 0;
    report = &passed;
}

static apr_time_t random_span(apr_interval_time_t most)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (apr_time_t)((double)(random_state >> 11) / (double)(1ull << 53) * (double)most);
}

static void make_plan(void)
{
    fo_policy_t policy = *fo_policy_built_in();

    plan = fo_plan_make(pool);
    plan->ways.inherits = true;
    plan->ways.by_timer = request_span == 0;
    for (int i = 0; i < SERVICES; i++) {
        const char *name = apr_psprintf(pool, "s%d", i);
        unit_service(plan, name, &policy, apr_psprintf(pool, "tcp://%s:1", name), NULL);
    }
    unit_scope(plan);
}

static apr_time_t due_at(const child_t *child, unsigned target)
{
    return fo_monitor_due_at(child->monitor, fo_plan_target_at(plan, target),
                             request_span ? FO_TRIGGER_REQUEST : FO_TRIGGER_TIMER);
}

/* By requests: each child has one at a random instant in each span. */
static apr_time_t next_wake(const child_t *child)
{
    apr_time_t at = fo_monitor_next_at(child->monitor, FO_TRIGGER_TIMER);
    apr_time_t request_at = now - now % (request_span + 1) + request_span + 1 +
                            random_span(request_span);

    if (request_span == 0)
        return at > now ? at : now;
    return at < request_at ? at : request_at;
}

static void start_child(child_t *child)
{
    child->monitor = fo_monitor_make(plan, fo_board_make(plan, pool),
                                     4711 + (apr_uint64_t)++last_pid, NULL, NULL, pool);
    child->pid = last_pid;
    memset(child->n_pings, 0, sizeof(child->n_pings));
    fo_monitor_inherit(child->monitor, shared, now);
    fo_monitor_join(child->monitor, shared,
                    fo_slot_claim(shared, child->pid, plan->generation, now));
    child->wakes_at = next_wake(child);
}

/* All at once, as a restart does; those of before have gone. */
static void start_crowd(void)
{
    make_plan();
    if (!shared) {
        fo_capacity_t capacity = fo_shared_need(plan, 2 * CHILDREN, 16);
        shared = fo_shared_init(apr_pcalloc(pool, fo_shared_size(&capacity)), &capacity);
    }
    ck_assert(fo_shared_adopt(shared, plan, NULL));
    for (int i = 0; i < CHILDREN; i++) {
        apr_int64_t before = children[i].pid;
        start_child(&children[i]);
        if (before)
            fo_slot_release(shared, before);
    }
}

static void count(rain_t *rain, int child, unsigned service)
{
    apr_time_t bucket = (now - rain->began_at) / SEC;

    if (now < rain->began_at || bucket >= BUCKETS)
        return;
    rain->all[bucket]++;
    rain->of_child[child][bucket]++;
    rain->of_service[service][bucket]++;
}

/* A discovery: what it makes due in the others starts at once. */
static void wake_all(void)
{
    for (int i = 0; i < CHILDREN; i++)
        children[i].wakes_at = now;
}

static void ping(int i, unsigned service)
{
    child_t *child = &children[i];
    const fo_target_t *target = fo_plan_target_at(plan, service);
    unsigned hint = fo_shared_hint(shared, target->seat);

    ck_assert(fo_monitor_enter(child->monitor, target, now));
    fo_monitor_start(child->monitor, target, now);
    fo_monitor_answer(child->monitor, target, report, now);
    if (fo_shared_hint(shared, target->seat) != hint)
        wake_all();
    count(child->n_pings[service]++ ? &later : &first, i, service);
}

static void wake(int i)
{
    children[i].wakes_at = FO_NEVER;
    fo_monitor_hear_hints(children[i].monitor, now);
    for (unsigned service = 0; service < SERVICES; service++)
        if (due_at(&children[i], service) <= now)
            ping(i, service);
    if (children[i].wakes_at == FO_NEVER) /* else it has made a discovery */
        children[i].wakes_at = next_wake(&children[i]);
}

static void run_until(apr_time_t until)
{
    for (;;) {
        int next = 0;
        for (int i = 1; i < CHILDREN; i++)
            if (children[i].wakes_at < children[next].wakes_at)
                next = i;
        if (children[next].wakes_at >= until)
            break;
        now = children[next].wakes_at;
        wake(next);
    }
    now = until;
}

static void begin(rain_t *rain)
{
    memset(rain, 0, sizeof(*rain));
    rain->began_at = now;
}

static double mean_of(const int *buckets, int n)
{
    double sum = 0;

    for (int i = 0; i < n; i++)
        sum += buckets[i];
    return sum / n;
}

/* Variance by mean: 1 for rain, 0 for a clock, more for waves. */
static double dispersion_of(const int *buckets, int n)
{
    double mean = mean_of(buckets, n), sum = 0;

    for (int i = 0; i < n; i++)
        sum += (buckets[i] - mean) * (buckets[i] - mean);
    return sum / (n - 1) / mean;
}

/* Each child and each service has had its first ping: all that follow are later ones. */
static void first_pings(apr_interval_time_t span)
{
    begin(&first);
    run_until(now + span);
    for (int i = 0; i < CHILDREN; i++)
        for (int service = 0; service < SERVICES; service++)
            ck_assert_int_ge(children[i].n_pings[service], 1);
}

static void is_like_rain(int n, const char *when)
{
    double rate = (double)CHILDREN * SERVICES / (1.025 * FREQUENCY / SEC);
    double all = dispersion_of(later.all, n), of_child = 0, of_service = 0;

    for (int i = 0; i < CHILDREN; i++)
        of_child += dispersion_of(later.of_child[i], n) / CHILDREN;
    for (int i = 0; i < SERVICES; i++)
        of_service += dispersion_of(later.of_service[i], n) / SERVICES;
    printf("# %s: %.1f pings/s, variance/mean %.2f; of a child %.2f, of a service %.2f\n", when,
           mean_of(later.all, n), all, of_child, of_service);
    ck_assert_msg(fabs(mean_of(later.all, n) / rate - 1) < 0.05, "%s: %.1f pings per second", when,
                  mean_of(later.all, n));
    ck_assert_msg(all <= MOST, "%s: variance/mean %.2f", when, all);
    ck_assert_msg(of_child <= MOST, "%s: of a child %.2f", when, of_child);
    ck_assert_msg(of_service <= MOST, "%s: of a service %.2f", when, of_service);
}

/* From the second ping on, also where one round ends and the next begins; then the steady state. */
static void rains(const char *when)
{
    begin(&later);
    run_until(now + 2 * FREQUENCY);
    is_like_rain(FREQUENCY / SEC, when);
    is_like_rain(FREQUENCY / SEC + 10, "the same and ten seconds");
    is_like_rain(2 * FREQUENCY / SEC, "two rounds");
    run_until(now + FREQUENCY);
    begin(&later);
    run_until(now + LONG);
    is_like_rain(LONG / SEC, "later");
}

static const struct {
    const char *name;
    apr_interval_time_t request_span;
    apr_interval_time_t first_span; /* in which all have their first pings */
} crowds[] = {
    { "by a timer", 0, 1 * SEC },
    { "by three requests a second and child", 333 * MS, 1 * SEC },
    { "by a request a second and child", 1 * SEC, 2 * SEC },
};

START_TEST(pings_are_spread_like_rain)
{
    shared = NULL;
    memset(children, 0, sizeof(children));
    request_span = crowds[_i].request_span;
    start_crowd();
    first_pings(crowds[_i].first_span);
    rains(apr_psprintf(pool, "%s: after the start", crowds[_i].name));
    start_crowd();
    first_pings(ERROR + 1 * MS);
    for (int i = 0; i < ERROR / SEC; i++)
        ck_assert_msg(fabs(first.all[i] / (CHILDREN * SERVICES / 5.0) - 1) < 0.15,
                      "second %d of those that inherit has %d first pings", i, first.all[i]);
    rains(apr_psprintf(pool, "%s: after a graceful restart", crowds[_i].name));
}
END_TEST

/* All children find it together, and the recovery too: neither is to leave waves behind. */
START_TEST(outages_leave_no_waves)
{
    shared = NULL;
    memset(children, 0, sizeof(children));
    request_span = 0;
    start_crowd();
    run_until(now + 2 * FREQUENCY);
    report = &refused;
    run_until(now + 2 * FREQUENCY);
    report = &passed;
    run_until(now + 2 * FREQUENCY);
    begin(&later);
    run_until(now + LONG);
    is_like_rain(LONG / SEC, "after an outage of all services");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_monitor_pace");
    TCase *tc = tcase_create("crowds");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_set_timeout(tc, 300);
    tcase_add_loop_test(tc, pings_are_spread_like_rain, 0, COUNT(crowds));
    tcase_add_test(tc, outages_leave_no_waves);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

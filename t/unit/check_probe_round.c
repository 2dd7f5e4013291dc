/*
 * One ping of several probes and checks: steps that pass, fail or hang at the word, and an invented
 * clock.
 */
#include "probe/probe_round.h"

#include "core/fo_report.h"
#include "probe_rig.h"

#define TIMEOUT (3 * SEC)
#define DELAY (500 * MS)
#define CHECKS_MAX 2

static probe_field_t field;
static probe_calls_t calls[CHECKS_MAX];
static fo_plan_t *plan;
static fo_target_t *target;
static rig_t *rigs[CHECKS_MAX];
static probe_round_t *round_under_way;
static apr_time_t now;
static int n_landed;

static void wake(void *unused)
{
    (void)unused;
}

static void note_landed(void *unused, const fo_target_t *of, const probe_flight_t *flight)
{
    (void)unused;
    ck_assert_ptr_eq(of, target);
    ck_assert(flight->is_over);
    n_landed++;
}

static void setup(void)
{
    unit_setup();
    memset(calls, 0, sizeof(calls));
    field = (probe_field_t){
        .resolver = probe_resolver_make(1, wake, NULL),
        .askers = probe_workers_make(1, wake, NULL),
        .calls = calls,
        .landed = note_landed,
    };
    plan = fo_plan_make(pool);
    target = fo_plan_target(plan, "target");
    target->probes.delay = DELAY;
    now = 1000 * SEC;
    n_landed = 0;
}

static void teardown(void)
{
    if (round_under_way)
        probe_round_free(round_under_way);
    round_under_way = NULL;
    ck_assert(probe_workers_stop(field.askers, SEC, probe_ask_drop));
    probe_resolver_stop(field.resolver, SEC);
    unit_teardown();
}

/* A check whose probes do this in turn. */
static void add(const char *script)
{
    unsigned i = (unsigned)target->checks->nelts;
    fo_check_t *check = fo_plan_add_check(plan, target, rig_url("127.0.0.1", 1, NULL, 0));

    rigs[i] = rig_make(RIG_PASS);
    rigs[i]->script = script;
    check->probe = &rig_probe_steps;
    check->conf = rigs[i];
    check->timeout_up = TIMEOUT;
    check->timeout_down = SEC;
}

static void start(bool is_long)
{
    fo_ping_t ping = { .target = target, .is_long = is_long };

    round_under_way = probe_round_start(&field, &ping, now);
    ck_assert_ptr_nonnull(round_under_way);
}

/* What a loop does: it looks whenever it is told to, until the verdict is there. */
static apr_interval_time_t run(void)
{
    apr_time_t began_at = now;

    for (int i = 0; i < 1000 && !round_under_way->is_over; i++) {
        apr_time_t at = probe_round_wake_at(round_under_way);
        ck_assert_int_lt(at, FO_NEVER);
        now = at > now ? at : now;
        probe_round_tick(round_under_way, now);
    }
    ck_assert(round_under_way->is_over);
    return now - began_at;
}

/* What is behind a slash is not asked for; each 'h' takes the whole time of a probe. */
static const struct {
    unsigned n;
    fo_probes_e policy;
    const char *script;
    fo_verdict_e verdict;
    apr_interval_time_t took;
} series[] = {
    { 1, FO_PROBES_MAJORITY, "T", FO_VERDICT_PASS, 0 },
    { 1, FO_PROBES_MAJORITY, "F", FO_VERDICT_FAIL, 0 },
    { 1, FO_PROBES_MAJORITY, "h", FO_VERDICT_FAIL, TIMEOUT },
    { 3, FO_PROBES_MAJORITY, "TT", FO_VERDICT_PASS, DELAY },
    { 3, FO_PROBES_MAJORITY, "TFT", FO_VERDICT_PASS, 2 * DELAY },
    { 3, FO_PROBES_MAJORITY, "FF", FO_VERDICT_FAIL, DELAY },
    { 3, FO_PROBES_MAJORITY, "hh", FO_VERDICT_FAIL, 2 * TIMEOUT + DELAY },
    { 3, FO_PROBES_ALL, "TTT", FO_VERDICT_PASS, 2 * DELAY },
    { 3, FO_PROBES_ALL, "TF", FO_VERDICT_FAIL, DELAY },
    { 3, FO_PROBES_ANY, "FFT", FO_VERDICT_PASS, 2 * DELAY },
    { 3, FO_PROBES_ANY, "hhh", FO_VERDICT_FAIL, 3 * TIMEOUT + 2 * DELAY },
    { 3, FO_PROBES_ANY, "T", FO_VERDICT_PASS, 0 },
};

START_TEST(probes_in_turn)
{
    int n_asked = (int)strlen(series[_i].script);

    target->probes.n = series[_i].n;
    target->probes.policy = series[_i].policy;
    add(series[_i].script);
    start(true);
    ck_assert_int_eq(run(), series[_i].took);
    ck_assert_int_eq(round_under_way->report.verdict, series[_i].verdict);
    ck_assert_int_le(series[_i].took, fo_probes_deadline(&target->probes, TIMEOUT));
    ck_assert_int_eq(atomic_load(&rigs[0]->n_begun), n_asked);
    ck_assert_int_eq(atomic_load(&rigs[0]->n_ended), n_asked);
    ck_assert_int_eq(n_landed, n_asked);
    ck_assert(probe_round_is_idle(round_under_way));
}
END_TEST

START_TEST(each_probe_has_its_time)
{
    target->probes.n = 2;
    target->probes.policy = FO_PROBES_ANY;
    add("hT");
    start(false);
    ck_assert_int_eq(run(), SEC + DELAY);
    ck_assert_int_eq(round_under_way->report.verdict, FO_VERDICT_PASS);
}
END_TEST

static const struct {
    const char *one, *other;
    fo_verdict_e verdict;
    apr_interval_time_t took;
} checks[] = {
    { "T", "T", FO_VERDICT_PASS, 0 },       { "T", "F", FO_VERDICT_FAIL, 0 },
    { "F", "T", FO_VERDICT_FAIL, 0 },       { "T", "h", FO_VERDICT_FAIL, TIMEOUT },
    { "h", "h", FO_VERDICT_FAIL, TIMEOUT },
};

START_TEST(all_checks_must_pass)
{
    add(checks[_i].one);
    add(checks[_i].other);
    start(true);
    ck_assert_int_eq(run(), checks[_i].took);
    ck_assert_int_eq(round_under_way->report.verdict, checks[_i].verdict);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(atomic_load(&rigs[i]->n_begun), 1); /* side by side */
}
END_TEST

/* The verdict does not wait for the others, and they are not broken off. */
START_TEST(one_failure_is_enough)
{
    target->probes.n = 3;
    target->probes.policy = FO_PROBES_ALL;
    add(_i ? "h" : "F");
    add(_i ? "F" : "h");
    start(true);
    ck_assert_int_eq(run(), 0);
    ck_assert_int_eq(round_under_way->report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(round_under_way->report.status, 0); /* not the time-out */
    ck_assert(!probe_round_is_idle(round_under_way));
    ck_assert_int_eq(atomic_load(&rigs[_i ? 0 : 1]->n_ended), 0);
    now = probe_round_wake_at(round_under_way);
    ck_assert_int_eq(now, 1000 * SEC + TIMEOUT);
    probe_round_tick(round_under_way, now);
    ck_assert(probe_round_is_idle(round_under_way));
    ck_assert_int_eq(probe_round_wake_at(round_under_way), FO_NEVER);
    ck_assert_int_eq(round_under_way->report.status, 0); /* it stands */
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(atomic_load(&rigs[i]->n_begun), 1); /* and no further probe begins */
}
END_TEST

/* Of one that is left half-way everything is given back. */
START_TEST(left_half_way)
{
    add("h");
    add("h");
    start(true);
    probe_round_free(round_under_way);
    round_under_way = NULL;
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(atomic_load(&rigs[i]->n_ended), 1);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("probe_round");
    TCase *tc = tcase_create("round");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, probes_in_turn, 0, COUNT(series));
    tcase_add_test(tc, each_probe_has_its_time);
    tcase_add_loop_test(tc, all_checks_must_pass, 0, COUNT(checks));
    tcase_add_loop_test(tc, one_failure_is_enough, 0, 2);
    tcase_add_test(tc, left_half_way);
    suite_add_tcase(suite, tc);
    return suite;
}

UNIT_MAIN(suite)

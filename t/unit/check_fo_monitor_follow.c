/* One monitor pings for all of several, by an invented clock, and the others follow. */
#include "core/fo_lease.h"
#include "core/fo_monitor.h"
#include "core/fo_slot.h"

#include "unit.h"

#define CHILDREN 3
#define LEASE (10 * SEC)
#define FREQUENCY (120 * SEC)
#define OUTAGE (30 * SEC)
#define ERROR (5 * SEC)

static const fo_report_t passed = { .verdict = FO_VERDICT_PASS };
static const fo_report_t refused = { .verdict = FO_VERDICT_FAIL, .status = ECONNREFUSED };

typedef struct child_t {
    fo_board_t *board;
    fo_monitor_t *monitor;
    int slot;
    int n_outages, n_recoveries, n_news;
} child_t;

static fo_plan_t *plan;
static fo_policy_t policy;
static fo_shared_t *shared;
static child_t children[CHILDREN];
static apr_time_t now;

static void observe(void *baton, const fo_change_t *change)
{
    child_t *child = baton;

    child->n_outages += change->kind == FO_CHANGE_OUTAGE;
    child->n_recoveries += change->kind == FO_CHANGE_RECOVERY;
    child->n_news += change->is_news;
}

static void make_plan(void)
{
    plan = fo_plan_make(pool);
    plan->ways.inherits = true;
    plan->ways.lease = LEASE;
    unit_service(plan, "db", &policy, "tcp://db:1", NULL);
    unit_scope(plan);
    ck_assert(fo_shared_adopt(shared, plan, NULL));
}

static void begin(child_t *child, apr_int64_t pid)
{
    memset(child, 0, sizeof(*child));
    child->board = fo_board_make(plan, pool);
    child->monitor = fo_monitor_make(plan, child->board, (apr_uint64_t)pid, observe, child, pool);
    fo_monitor_inherit(child->monitor, shared, now);
    child->slot = fo_slot_claim(shared, pid, plan->generation, now);
    fo_monitor_join(child->monitor, shared, child->slot);
}

static void setup(void)
{
    fo_capacity_t capacity = { 2 * CHILDREN, 4, 4, 4, 4 };

    unit_setup();
    policy = unit_policy();
    now = 1000 * SEC;
    shared = fo_shared_init(apr_pcalloc(pool, fo_shared_size(&capacity)), &capacity);
    make_plan();
    for (int i = 0; i < CHILDREN; i++)
        begin(&children[i], 100 + i);
}

/* As the loop does: what the last holder found, then the lease, and the follower looks. */
static bool turn(child_t *child)
{
    bool leads;

    fo_monitor_hear_hints(child->monitor, now);
    leads = fo_monitor_lead(child->monitor, now);
    fo_monitor_hear_suspects(child->monitor);
    fo_monitor_hear_hints(child->monitor, now);
    return leads;
}

static const fo_check_t *check(void)
{
    return fo_plan_check_at(plan, 0);
}

static void ping(child_t *child, const fo_report_t *report)
{
    ck_assert(fo_monitor_enter(child->monitor, check(), now));
    fo_monitor_start(child->monitor, check(), now);
    fo_monitor_answer(child->monitor, check(), report, now);
}

static apr_time_t due_at(const child_t *child)
{
    return fo_monitor_due_at(child->monitor, check(), FO_TRIGGER_TIMER);
}

static fo_service_state_e state_of(const child_t *child)
{
    return fo_board_word(child->board, fo_plan_service(plan, 0)).state;
}

START_TEST(one_leads)
{
    ck_assert_int_le(fo_monitor_lead_at(children[0].monitor), now);
    ck_assert(turn(&children[0]));
    ck_assert(!turn(&children[1]));
    ck_assert_int_eq(due_at(&children[0]), 0);
    ck_assert_int_eq(due_at(&children[1]), FO_NEVER);
    ck_assert_int_lt(fo_monitor_lead_at(children[0].monitor), now + LEASE);
    ck_assert_int_eq(fo_monitor_lead_at(children[1].monitor), now + LEASE);
}
END_TEST

START_TEST(the_leader_renews_in_time)
{
    ck_assert(turn(&children[0]));
    for (int i = 0; i < 20; i++) {
        apr_time_t until_at = fo_lease_read(shared).until_at;
        now = fo_monitor_lead_at(children[0].monitor);
        ck_assert_int_lt(now, until_at);
        ck_assert(turn(&children[0]));
        ck_assert(!turn(&children[1]));
    }
}
END_TEST

START_TEST(the_others_follow)
{
    turn(&children[0]);
    ping(&children[0], &refused);
    for (int i = 1; i < CHILDREN; i++) {
        turn(&children[i]);
        ck_assert_int_eq(state_of(&children[i]), FO_SERVICE_DOWN);
        ck_assert_int_eq(children[i].n_outages, 1);
        ck_assert_int_eq(children[i].n_news, 0);
    }
    ck_assert_int_eq(children[0].n_news, 1);
    now += OUTAGE;
    turn(&children[0]);
    ping(&children[0], &passed);
    ck_assert_int_eq(children[0].n_news, 1);
    for (int i = 1; i < CHILDREN; i++) {
        turn(&children[i]);
        ck_assert_int_eq(state_of(&children[i]), FO_SERVICE_UP);
        ck_assert_int_eq(children[i].n_recoveries, 1);
        ck_assert_int_eq(children[i].n_news, i == CHILDREN - 1);
    }
}
END_TEST

/* By a stop, or by its end, which gives the lease up. */
START_TEST(the_next_goes_on_from_there)
{
    bool ends = _i;
    apr_time_t pinged_at = now;

    turn(&children[0]);
    turn(&children[1]);
    ping(&children[0], &refused);
    if (ends)
        fo_monitor_leave(children[0].monitor);
    now += ends ? 1 * SEC : LEASE;
    ck_assert(turn(&children[1]));
    ck_assert_int_eq(state_of(&children[1]), FO_SERVICE_DOWN);
    ck_assert_int_eq(due_at(&children[1]), pinged_at + OUTAGE);
    ck_assert(!turn(&children[0]));
    ck_assert_int_eq(due_at(&children[0]), FO_NEVER);
}
END_TEST

/* What it counted when it led before is no part of what it counts when it leads again. */
START_TEST(counts_begin_anew)
{
    policy.value[FO_POLICY_FALL] = policy.value[FO_POLICY_RISE] = 3;
    make_plan();
    for (int i = 0; i < 2; i++)
        begin(&children[i], 200 + i);
    turn(&children[0]);
    for (int i = 0; i < 2; i++)
        ping(&children[0], &refused);
    now += LEASE;
    turn(&children[1]);
    ping(&children[1], &passed);
    turn(&children[0]);
    now += LEASE;
    ck_assert(turn(&children[0]));
    ping(&children[0], &refused);
    ck_assert_int_eq(state_of(&children[0]), FO_SERVICE_UP);
    ping(&children[0], &refused);
    ping(&children[0], &refused);
    ck_assert_int_eq(state_of(&children[0]), FO_SERVICE_DOWN);
}
END_TEST

START_TEST(errors_are_for_the_leader)
{
    turn(&children[0]);
    turn(&children[1]);
    ping(&children[0], &passed);
    ck_assert(!fo_monitor_hurry(children[1].monitor, check()));
    turn(&children[1]);
    ck_assert_int_eq(due_at(&children[0]), now + FREQUENCY);
    turn(&children[0]);
    ck_assert_int_eq(due_at(&children[0]), now + ERROR);
    ck_assert_int_eq(due_at(&children[1]), FO_NEVER);
}
END_TEST

/* A graceful restart: at once, and what they knew stays known. */
START_TEST(a_newer_generation_leads)
{
    child_t *old = &children[0], *fresh = &children[2];

    turn(old);
    turn(&children[1]);
    ping(old, &refused);
    turn(&children[1]);
    now += 1 * SEC;
    make_plan();
    begin(fresh, 300);
    ck_assert_int_eq(state_of(fresh), FO_SERVICE_DOWN);
    ck_assert(turn(fresh));
    ck_assert(!turn(old));
    ck_assert_int_eq(state_of(fresh), FO_SERVICE_DOWN);
    ck_assert_int_le(due_at(fresh), now + ERROR);
    now += ERROR;
    turn(fresh);
    ping(fresh, &passed);
    turn(old);
    ck_assert_int_eq(state_of(old), FO_SERVICE_UP);
}
END_TEST

START_TEST(one_without_a_slot_follows)
{
    child_t *child = &children[2];

    fo_monitor_join(child->monitor, shared, FO_SLOT_NONE);
    ck_assert(!turn(child));
    ck_assert_int_eq(fo_monitor_lead_at(child->monitor), FO_NEVER);
    turn(&children[0]);
    ping(&children[0], &refused);
    turn(child);
    ck_assert_int_eq(state_of(child), FO_SERVICE_DOWN);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_monitor_lead");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, one_leads);
    tcase_add_test(tc, the_leader_renews_in_time);
    tcase_add_test(tc, the_others_follow);
    tcase_add_loop_test(tc, the_next_goes_on_from_there, 0, 2);
    tcase_add_test(tc, counts_begin_anew);
    tcase_add_test(tc, errors_are_for_the_leader);
    tcase_add_test(tc, a_newer_generation_leads);
    tcase_add_test(tc, one_without_a_slot_follows);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

/*
 * Monitors that start from what their siblings see, and one of them that pings for all: by an
 * invented clock, over one shared memory.
 */
#include "core/fo_lease.h"
#include "core/fo_monitor.h"

#include "shared_rig.h"

#define CHILDREN 8
#define LEASE (10 * SEC)
#define ERROR (5 * SEC)
#define MONITORING (120 * SEC)
#define OUTAGE (30 * SEC)

static const fo_report_t passed = { .verdict = FO_VERDICT_PASS };
static const fo_report_t refused = { .verdict = FO_VERDICT_FAIL, .status = ECONNREFUSED };

static fo_plan_t *plan;
static fo_policy_t policy;
static fo_shared_t *shared;
static fo_board_t *boards[CHILDREN];
static fo_monitor_t *monitors[CHILDREN];
static apr_time_t now;
static int n_news[2]; /* outages, recoveries */

static void observe(void *unused, const fo_change_t *change)
{
    (void)unused;
    n_news[0] += change->is_news && change->kind == FO_CHANGE_OUTAGE;
    n_news[1] += change->is_news && change->kind == FO_CHANGE_RECOVERY;
}

static void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    plan->ways.inherits = true;
    plan->generation = 1;
    policy = unit_policy();
    now = 10000 * SEC;
    memset(n_news, 0, sizeof(n_news));
    unit_service(plan, "db", &policy, "tcp://db:1", NULL);
}

static const fo_target_t *target(void)
{
    return fo_plan_target_at(plan, 0);
}

/* Places for so many children; afterwards they begin one by one. */
static void share(unsigned n_slots)
{
    fo_capacity_t capacity = { n_slots, 8, 8, 8, 4 };

    unit_scope(plan);
    shared = rig_shared(&capacity);
}

static int begin(int i)
{
    int slot;

    boards[i] = fo_board_make(plan, pool);
    monitors[i] = fo_monitor_make(plan, boards[i], 4711 + (apr_uint64_t)i, observe, NULL, pool);
    fo_monitor_inherit(monitors[i], shared, now);
    slot = fo_slot_claim(shared, 100 + i, plan->generation, now);
    fo_monitor_join(monitors[i], shared, slot);
    return slot;
}

static void ping(int i, const fo_report_t *report)
{
    ck_assert(fo_monitor_enter(monitors[i], target(), now));
    fo_monitor_start(monitors[i], target(), now);
    fo_monitor_answer(monitors[i], target(), report, now);
}

static apr_time_t due_at(int i, fo_trigger_e trigger)
{
    return fo_monitor_due_at(monitors[i], target(), trigger);
}

static fo_state_e state_of(int i)
{
    return fo_monitor_health(monitors[i], fo_target_endpoint(target(), 0))->state;
}

/* Inheriting */

/* Two siblings that saw this; the third begins. */
static void begin_third(const fo_report_t *report)
{
    share(4);
    for (int i = 0; i < 2; i++) {
        begin(i);
        ping(i, report);
    }
    now += 3 * SEC;
    begin(2);
}

/* It confirms by itself within the error frequency, and not before. */
START_TEST(an_heir_confirms_by_itself)
{
    apr_time_t first_at;

    policy.value[FO_POLICY_SPREAD] = _i < 2 ? 0 : 5;
    fo_plan_service(plan, 0)->policy = policy;
    begin_third(_i % 2 ? &refused : &passed);
    ck_assert_int_eq(state_of(2), _i % 2 ? FO_STATE_DOWN : FO_STATE_UP);
    first_at = due_at(2, FO_TRIGGER_TIMER);
    ck_assert_int_eq(due_at(2, FO_TRIGGER_REQUEST), first_at);
    ck_assert_int_eq(fo_monitor_next_at(monitors[2], FO_TRIGGER_TIMER), first_at);
    if (_i < 2)
        ck_assert_int_eq(first_at, now + ERROR);
    ck_assert_int_ge(first_at, now);
    ck_assert_int_le(first_at, now + ERROR);
    now = first_at;
    ping(2, _i % 2 ? &refused : &passed);
    ck_assert(due_at(2, FO_TRIGGER_TIMER) == FO_NEVER);
    if (_i < 2)
        ck_assert_int_eq(due_at(2, FO_TRIGGER_REQUEST), now + (_i % 2 ? OUTAGE : MONITORING));
}
END_TEST

/* Heirs part: their first pings, and the spans after those. */
START_TEST(heirs_part_from_each_other)
{
    apr_time_t first_at[CHILDREN], next_at[CHILDREN];

    policy.value[FO_POLICY_SPREAD] = 5;
    fo_plan_service(plan, 0)->policy = policy;
    share(CHILDREN);
    for (int i = 0; i < 2; i++) {
        begin(i);
        ping(i, &passed);
    }
    for (int i = 2; i < CHILDREN; i++) {
        begin(i);
        first_at[i] = due_at(i, FO_TRIGGER_TIMER);
        now += 10 * SEC;
        ping(i, &passed);
        next_at[i] = due_at(i, FO_TRIGGER_REQUEST) - now;
        now -= 10 * SEC;
        ck_assert_int_ge(next_at[i], 0);
        ck_assert_int_le(next_at[i], MONITORING);
        for (int j = 2; j < i; j++) {
            ck_assert_int_ne(first_at[i], first_at[j]);
            ck_assert_int_ne(next_at[i], next_at[j]);
        }
    }
}
END_TEST

START_TEST(who_does_not_inherit)
{
    plan->ways.inherits = _i == 1;
    share(4);
    begin(0);
    ping(0, &refused);
    if (_i == 0) {
        begin(1);
        ping(1, &refused);
    }
    begin(2);
    ck_assert_int_eq(state_of(2), FO_STATE_UNKNOWN);
    ck_assert_int_eq(due_at(2, FO_TRIGGER_REQUEST), 0);
    ck_assert(due_at(2, FO_TRIGGER_TIMER) == FO_NEVER);
}
END_TEST

/* No place for its first ping: it tries again soon, and does not spin until there is one. */
START_TEST(an_heir_finds_no_place)
{
    apr_time_t before = 0;

    begin_third(&refused);
    for (int i = 0; i < 4; i++)
        fo_shared_enter(shared, target()->seat, now, now + 3600 * SEC);
    now = due_at(2, FO_TRIGGER_TIMER);
    for (int i = 0; i < 6; i++) {
        ck_assert(!fo_monitor_enter(monitors[2], target(), now));
        ck_assert_int_gt(due_at(2, FO_TRIGGER_TIMER), now);
        ck_assert_int_gt(due_at(2, FO_TRIGGER_TIMER), before);
        ck_assert_int_le(due_at(2, FO_TRIGGER_TIMER), now + SEC);
        before = now = due_at(2, FO_TRIGGER_TIMER);
    }
}
END_TEST

/* An error, or a sibling's discovery to the contrary, does not wait for the first ping's span. */
START_TEST(an_heir_hears_errors)
{
    begin_third(&passed);
    if (_i)
        fo_shared_tell(shared, target()->seat, true, now);
    else
        ck_assert(fo_monitor_hurry(monitors[2], target()));
    fo_monitor_hear_hints(monitors[2], now);
    ck_assert_int_le(due_at(2, FO_TRIGGER_TIMER), now);
}
END_TEST

/* Two services on one target, of which one alone has siblings: it waits for a request. */
START_TEST(half_an_inheritance)
{
    fo_service_t *other = unit_service(plan, "other", &policy, "tcp://db:1", NULL);

    share(4);
    for (int i = 0; i < 2; i++)
        fo_row_write(shared, fo_slot_claim(shared, 200 + i, plan->generation, now),
                     fo_target_endpoint(target(), 0)->seat,
                     &(fo_row_t){ .state = FO_STATE_DOWN, .pinged_at = now - SEC });
    begin(2);
    ck_assert_int_eq(state_of(2), FO_STATE_DOWN);
    ck_assert_int_eq(fo_board_word(boards[2], other).state, FO_SERVICE_UP);
    ck_assert(due_at(2, FO_TRIGGER_TIMER) == FO_NEVER);
    ck_assert_int_eq(due_at(2, FO_TRIGGER_REQUEST), 0);
}
END_TEST

/* By a timer */

START_TEST(a_timer_pings_in_an_idle_child)
{
    plan->ways.by_timer = _i;
    share(4);
    begin(0);
    ck_assert(due_at(0, FO_TRIGGER_TIMER) == (_i ? 0 : FO_NEVER));
    ping(0, &passed);
    ck_assert(due_at(0, FO_TRIGGER_TIMER) == (_i ? now + MONITORING : FO_NEVER));
    ping(0, &refused);
    ck_assert(due_at(0, FO_TRIGGER_TIMER) == (_i ? now + OUTAGE : FO_NEVER));
}
END_TEST

/* One for all */

static void begin_all(int n)
{
    plan->ways.lease = LEASE;
    share((unsigned)n);
    for (int i = 0; i < n; i++)
        begin(i);
}

/* What the loop does when it wakes; true: it pings. */
static bool wake(int i)
{
    bool is_leading = fo_monitor_lead(monitors[i], now);

    fo_monitor_hear_suspects(monitors[i], now);
    fo_monitor_hear_hints(monitors[i], now);
    return is_leading;
}

START_TEST(the_leader_pings_and_nobody_else)
{
    begin_all(3);
    ck_assert_int_eq(fo_monitor_lead_at(monitors[0]), 0);
    ck_assert(wake(1));
    ck_assert(!wake(0));
    ck_assert(!wake(2));
    ck_assert_int_eq(due_at(1, FO_TRIGGER_TIMER), 0);
    ping(1, &passed);
    ck_assert_int_eq(due_at(1, FO_TRIGGER_TIMER), now + MONITORING);
    for (int i = 0; i < 3; i += 2)
        for (int trigger = 0; trigger < FO_TRIGGER_COUNT; trigger++) {
            ck_assert(due_at(i, (fo_trigger_e)trigger) == FO_NEVER);
            ck_assert(fo_monitor_next_at(monitors[i], (fo_trigger_e)trigger) == FO_NEVER);
        }
    for (int i = 0; i < 3; i++) { /* a request has nothing to trigger in any of them */
        fo_monitor_publish_due(monitors[i], FO_TRIGGER_REQUEST, now + 86400 * SEC);
        ck_assert(fo_board_is_calm(boards[i], fo_plan_scope_at(plan, 0), FO_TRIGGER_REQUEST));
    }
}
END_TEST

START_TEST(the_others_follow)
{
    const fo_scope_t *scope;

    begin_all(3);
    scope = fo_plan_scope_at(plan, 0);
    wake(0);
    ping(0, &passed);
    wake(1);
    wake(2);
    ck_assert_int_eq(state_of(1), FO_STATE_UP);
    ping(0, &refused);
    ck_assert(!fo_board_is_calm(boards[1], scope, FO_TRIGGER_REQUEST)); /* a look is due */
    wake(1);
    ck_assert_int_eq(fo_board_word(boards[1], fo_plan_service(plan, 0)).state, FO_SERVICE_DOWN);
    ck_assert_int_eq(n_news[0], 1);
    wake(2);
    for (int i = 0; i < 10; i++) {
        now += OUTAGE / 10;
        ck_assert(wake(0));
    }
    ping(0, &passed);
    ck_assert_int_eq(n_news[1], 1); /* told by the one that found it */
    wake(1);
    wake(2);
    ck_assert_int_eq(n_news[0], 1);
    ck_assert_int_eq(n_news[1], 1);
    ck_assert_int_eq(state_of(2), FO_STATE_UP);
}
END_TEST

/* It renews while more than half of the span is left, and wakes for that. */
START_TEST(the_lease_is_renewed)
{
    begin_all(2);
    ck_assert(wake(0));
    for (int i = 0; i < 20; i++) {
        apr_time_t at = fo_monitor_lead_at(monitors[0]);
        ck_assert_int_gt(at, now);
        ck_assert_int_lt(at, now + LEASE / 2);
        now = at;
        ck_assert(!wake(1));
        ck_assert(wake(0));
        ck_assert_int_gt(fo_monitor_lead_at(monitors[1]), now + LEASE / 2);
    }
}
END_TEST

/* Killed or stopped: another takes over when the lease runs out, and goes on in its rhythm. */
START_TEST(another_takes_over)
{
    apr_time_t pinged_at, until_at;

    begin_all(3);
    wake(0);
    ping(0, &passed);
    pinged_at = now;
    now += SEC;
    wake(0);
    wake(1);
    wake(2);
    until_at = fo_monitor_lead_at(monitors[1]);
    ck_assert_int_le(until_at, pinged_at + SEC + LEASE);
    if (_i)
        fo_slot_release(shared, 100); /* its rows are there still */
    now = until_at - 1;
    ck_assert(!wake(1));
    now = until_at;
    ck_assert(wake(2));
    ck_assert(!wake(1));
    ck_assert_int_eq(due_at(2, FO_TRIGGER_TIMER), pinged_at + MONITORING);
    ck_assert_int_eq(state_of(2), FO_STATE_UP);
}
END_TEST

/* The one that was stopped finds it lost, drops what it was about, and follows. */
START_TEST(a_stopped_leader_comes_back)
{
    begin_all(2);
    wake(0);
    ping(0, &passed);
    wake(1);
    fo_monitor_enter(monitors[0], target(), now);
    fo_monitor_start(monitors[0], target(), now);
    now += 3 * LEASE;
    ck_assert(wake(1));
    ping(1, &refused);
    ck_assert(!fo_monitor_lead(monitors[0], now));
    fo_monitor_give_up(monitors[0], target()); /* as the loop does */
    ck_assert(!wake(0));
    ck_assert_int_eq(state_of(0), FO_STATE_DOWN);
    ck_assert(due_at(0, FO_TRIGGER_TIMER) == FO_NEVER);
    now += 3 * LEASE; /* and now the other is */
    ck_assert(wake(0));
    ck_assert_int_eq(due_at(0, FO_TRIGGER_TIMER), now - 3 * LEASE + OUTAGE);
    ck_assert(!wake(1));
}
END_TEST

START_TEST(nobody_waits_for_one_that_ends)
{
    begin_all(2);
    wake(0);
    wake(1);
    fo_monitor_leave(monitors[1]);
    ck_assert(!wake(1));
    fo_monitor_leave(monitors[0]);
    ck_assert(wake(1));
}
END_TEST

/* Of a newer configuration: it takes the lease from one that only ends its last requests. */
START_TEST(a_newer_child_takes_over)
{
    plan->ways.lease = LEASE;
    share(2);
    begin(0);
    ck_assert(wake(0));
    plan->generation = 2;
    begin(1);
    ck_assert(wake(1));
    ck_assert(!wake(0));
}
END_TEST

/* Without a place it never leads, and is told nothing new by the clock. */
START_TEST(without_a_slot_it_follows)
{
    plan->ways.lease = LEASE;
    share(1);
    ck_assert_int_eq(begin(0), 0);
    ck_assert_int_eq(begin(1), FO_SLOT_NONE);
    ck_assert(!wake(1));
    ck_assert(fo_monitor_lead_at(monitors[1]) == FO_NEVER);
    ck_assert(wake(0));
    ping(0, &refused);
    ck_assert(!wake(1));
    ck_assert_int_eq(state_of(1), FO_STATE_DOWN);
}
END_TEST

/* Errors that a follower logs are for the leader to look into, whoever that is by then. */
START_TEST(a_followers_error)
{
    begin_all(3);
    wake(0);
    ping(0, &passed);
    wake(1);
    ck_assert(!fo_monitor_hurry(monitors[1], target()));
    ck_assert(due_at(1, FO_TRIGGER_TIMER) == FO_NEVER);
    wake(1);
    wake(2);
    if (_i) {
        now += LEASE + SEC;
        ck_assert(wake(2));
        ck_assert_int_eq(due_at(2, FO_TRIGGER_TIMER), now - LEASE - SEC + ERROR);
        ping(2, &passed);
        wake(2);
        ck_assert_int_eq(due_at(2, FO_TRIGGER_TIMER), now + MONITORING);
    } else {
        wake(0);
        ck_assert_int_eq(due_at(0, FO_TRIGGER_TIMER), now + ERROR);
        now += ERROR;
        ping(0, &passed);
        wake(0);
        ck_assert_int_eq(due_at(0, FO_TRIGGER_TIMER), now + MONITORING);
    }
}
END_TEST

/* Each for itself: there is nothing to take, renew or give up. */
START_TEST(without_a_lease)
{
    share(2);
    begin(0);
    ck_assert(fo_monitor_lead(monitors[0], now));
    ck_assert(fo_monitor_lead_at(monitors[0]) == FO_NEVER);
    fo_monitor_leave(monitors[0]);
    fo_monitor_hear_suspects(monitors[0], now);
    ck_assert_int_eq(fo_lease_read(shared).slot, FO_SLOT_NONE);
    ck_assert(fo_monitor_hurry(monitors[0], target()));
}
END_TEST

static TCase *heirs_case(void)
{
    TCase *tc = tcase_create("heirs");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_loop_test(tc, an_heir_confirms_by_itself, 0, 4);
    tcase_add_test(tc, heirs_part_from_each_other);
    tcase_add_loop_test(tc, who_does_not_inherit, 0, 2);
    tcase_add_test(tc, an_heir_finds_no_place);
    tcase_add_loop_test(tc, an_heir_hears_errors, 0, 2);
    tcase_add_test(tc, half_an_inheritance);
    tcase_add_loop_test(tc, a_timer_pings_in_an_idle_child, 0, 2);
    return tc;
}

static TCase *lead_case(void)
{
    TCase *tc = tcase_create("lead");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, the_leader_pings_and_nobody_else);
    tcase_add_test(tc, the_others_follow);
    tcase_add_test(tc, the_lease_is_renewed);
    tcase_add_loop_test(tc, another_takes_over, 0, 2);
    tcase_add_test(tc, a_stopped_leader_comes_back);
    tcase_add_test(tc, nobody_waits_for_one_that_ends);
    tcase_add_test(tc, a_newer_child_takes_over);
    tcase_add_test(tc, without_a_slot_it_follows);
    tcase_add_loop_test(tc, a_followers_error, 0, 2);
    tcase_add_test(tc, without_a_lease);
    return tc;
}

static Suite *suite(void)
{
    Suite *s = suite_create("fo_monitor_lead");

    suite_add_tcase(s, heirs_case());
    suite_add_tcase(s, lead_case());
    return s;
}

UNIT_MAIN(suite)

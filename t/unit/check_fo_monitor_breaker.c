/* The breaker in two children of a server: what it opens, for how long, and what decides then. */
#include "core/fo_monitor.h"

#include "unit.h"

#define CHILDREN 2
#define RESET (60 * SEC)

static const fo_report_t passed = { .verdict = FO_VERDICT_PASS };
static const fo_report_t refused = { .verdict = FO_VERDICT_FAIL, .status = ECONNREFUSED };
static const fo_tally_t tally = { .calls = 20, .failures = 5 };

static fo_plan_t *plan;
static fo_policy_t policy;
static fo_service_t *db;
static const fo_endpoint_t *east, *west;
static fo_shared_t *shared;
static fo_board_t *boards[CHILDREN];
static fo_monitor_t *monitors[CHILDREN];
static fo_change_t last;
static char reason[FO_REPORT_TEXT];
static apr_time_t now;

static void observe(void *unused, const fo_change_t *change)
{
    (void)unused;
    last = *change;
    apr_cpystrn(reason, change->report->text, sizeof(reason));
}

static const fo_endpoint_t *add(const char *name, double weight)
{
    fo_target_t *target = fo_plan_target(plan, name);

    target->timeout_up = target->timeout_down = SEC;
    return fo_plan_add_endpoint(plan, db, name, name, weight, target);
}

static void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
    policy.value[FO_POLICY_BREAKER] = policy.value[FO_POLICY_OPENS] = 1;
    policy.value[FO_POLICY_GRACE] = 0;
    now = 100000 * SEC;
    memset(&last, 0, sizeof(last));
}

static void start(void)
{
    fo_capacity_t capacity = { CHILDREN, 4, 4, 4, 4 };

    db = fo_plan_add_service(plan, "db", NULL, &policy, apr_array_make(pool, 1, 1), NULL);
    east = add("east", 1);
    west = add("west", 0.5);
    unit_scope(plan);
    shared = fo_shared_init(apr_pcalloc(pool, fo_shared_size(&capacity)), &capacity);
    for (int i = 0; i < CHILDREN; i++) {
        boards[i] = fo_board_make(plan, pool);
        monitors[i] = fo_monitor_make(plan, boards[i], (apr_uint64_t)i, observe, NULL, pool);
        fo_monitor_join(monitors[i], shared, fo_slot_claim(shared, 100 + i, 1, now));
    }
}

static void ping(int child, const fo_endpoint_t *endpoint, const fo_report_t *report)
{
    ck_assert(fo_monitor_enter(monitors[child], endpoint->target, now));
    fo_monitor_start(monitors[child], endpoint->target, now);
    fo_monitor_answer(monitors[child], endpoint->target, report, now);
}

static void ping_all(const fo_endpoint_t *endpoint, const fo_report_t *report)
{
    for (int i = 0; i < CHILDREN; i++)
        ping(i, endpoint, report);
    for (int i = 0; i < CHILDREN; i++)
        fo_monitor_hear_hints(monitors[i], now);
}

static void trip(int child)
{
    fo_monitor_trip(monitors[child], db, &tally, now);
    for (int i = 0; i < CHILDREN; i++)
        fo_monitor_hear_hints(monitors[i], now);
}

static const fo_endpoint_t *used(int child)
{
    fo_word_t word = fo_board_word(boards[child], db);

    return word.state == FO_SERVICE_DOWN ? NULL : fo_service_endpoint(db, word.endpoint);
}

static apr_time_t due_at(int child, const fo_endpoint_t *endpoint)
{
    return fo_monitor_due_at(monitors[child], endpoint->target, FO_TRIGGER_TIMER);
}

/* The state `down`, in every child, with the reason; and no ping before its span is over. */
START_TEST(open_for_all)
{
    start();
    ping_all(east, &passed);
    ping_all(west, &passed);
    trip(0);
    for (int i = 0; i < CHILDREN; i++) {
        ck_assert_ptr_eq(used(i), west);
        ck_assert_int_eq(fo_monitor_health(monitors[i], east)->state, FO_STATE_DOWN);
        ck_assert_int_eq(due_at(i, east), now + RESET); /* by itself */
        ck_assert_int_eq(fo_monitor_due_at(monitors[i], east->target, FO_TRIGGER_REQUEST),
                         now + RESET);
    }
    ck_assert_int_eq(last.kind, FO_CHANGE_SWITCH);
    ck_assert_ptr_eq(last.endpoint, east);
    unit_expect(reason, "breaker: too many requests failed"); /* the sibling's words */
}
END_TEST

START_TEST(its_own_words)
{
    start();
    ping_all(east, &passed);
    ping_all(west, &passed);
    fo_monitor_trip(monitors[0], db, &tally, now);
    unit_expect(reason, "breaker: 5 of 20 requests failed within 2s");
}
END_TEST

/* An error, or an answer that another service wanted, changes nothing before that. */
START_TEST(what_comes_too_early)
{
    start();
    ping_all(east, &passed);
    ping_all(west, &passed);
    trip(0);
    now += RESET - 1;
    fo_monitor_hurry(monitors[0], east->target);
    ck_assert_int_eq(due_at(0, east), now + 1);
    ping(0, east, &passed);
    ck_assert_int_eq(fo_monitor_health(monitors[0], east)->state, FO_STATE_DOWN);
    ck_assert_ptr_eq(used(0), west);
}
END_TEST

/* The first ping after that decides alone, whatever `rise` says. */
START_TEST(half_open)
{
    policy.value[FO_POLICY_RISE] = 3;
    start();
    ping_all(east, &passed);
    for (int i = 0; i < 3; i++)
        ping_all(west, &passed);
    trip(0);
    now += RESET;
    ping(0, east, _i ? &refused : &passed);
    ck_assert_int_eq(fo_monitor_health(monitors[0], east)->state,
                     _i ? FO_STATE_DOWN : FO_STATE_UP);
    if (_i) /* down as any other: pinged as such, when somebody asks */
        ck_assert_int_eq(fo_monitor_due_at(monitors[0], east->target, FO_TRIGGER_REQUEST),
                         now + policy.value[FO_POLICY_OUTAGE]);
}
END_TEST

/* Reopened within its last span it stays open for twice as long, and never for more than 10 min. */
START_TEST(quick_reopening)
{
    apr_interval_time_t span = RESET;

    start();
    ping_all(east, &passed);
    ping_all(west, &passed);
    for (int i = 0; i < 6; i++) {
        trip(i % CHILDREN);
        ck_assert_int_eq(due_at(0, east), now + span);
        now += span;
        ping_all(east, &passed);
        now += policy.value[FO_POLICY_FAILBACK];
        for (int child = 0; child < CHILDREN; child++)
            fo_monitor_look(monitors[child], now);
        ck_assert_ptr_eq(used(0), east);
        span = 2 * span < FO_OPEN_MAX ? 2 * span : FO_OPEN_MAX;
    }
    now += FO_OPEN_MAX; /* it has been well for long */
    trip(0);
    ck_assert_int_eq(due_at(0, east), now + RESET);
}
END_TEST

/* A half-open ping that says nothing comes again as one after an error, and not at once. */
START_TEST(half_open_without_an_answer)
{
    static const fo_report_t answers[] = {
        { .verdict = FO_VERDICT_BUSY, .code = 1040 },
        { .verdict = FO_VERDICT_SELF, .status = EMFILE },
    };

    start();
    ping_all(east, &passed);
    ping_all(west, &passed);
    trip(0);
    now += RESET;
    ping(0, east, &answers[_i]);
    ck_assert_int_eq(due_at(0, east), now + policy.value[FO_POLICY_ERROR]);
    now += policy.value[FO_POLICY_ERROR];
    ping(0, east, &passed);
    ck_assert_int_eq(fo_monitor_health(monitors[0], east)->state, FO_STATE_UP);
}
END_TEST

/* One is open, and then the other one falls. */
static void lose_all(void)
{
    start();
    ping_all(east, &passed);
    ping_all(west, &passed);
    trip(0);
    now += SEC;
    ping_all(west, &refused);
}

/* A child that begins now, from what the others see. */
static fo_monitor_t *newcomer(fo_board_t *board)
{
    fo_monitor_t *monitor = fo_monitor_make(plan, board, 7, observe, NULL, pool);

    fo_monitor_inherit(monitor, shared, now);
    fo_monitor_join(monitor, shared, FO_SLOT_NONE);
    return monitor;
}

/* When the other one falls, what was opened is asked at once. */
START_TEST(nothing_else_works)
{
    lose_all();
    ck_assert_ptr_null(used(0));
    ck_assert_int_le(due_at(0, east), now);
    ping(0, east, &passed);
    ck_assert_ptr_eq(used(0), east);
}
END_TEST

/* Once it has been asked the opening is over for all, and for those that come later. */
START_TEST(what_was_opened_works)
{
    fo_monitor_t *later;

    lose_all();
    ping(0, east, &passed);
    ping(1, east, &passed);
    for (int i = 0; i < CHILDREN; i++)
        fo_monitor_hear_hints(monitors[i], now);
    for (int i = 0; i < CHILDREN; i++)
        ck_assert_ptr_eq(used(i), east);
    later = newcomer(fo_board_make(plan, pool));
    ck_assert(fo_monitor_lead(later, now));
    ck_assert(fo_state_is_usable(fo_monitor_health(later, east)->state));
}
END_TEST

/* The children that used the other one are gone: that is told, and the next switch is news. */
START_TEST(news_of_what_the_dead_used)
{
    start();
    ping(0, east, &passed);
    ping(0, west, &passed);
    ping(0, east, &refused);
    ck_assert_int_eq(last.kind, FO_CHANGE_SWITCH);
    ck_assert(last.is_news);
    now += SEC;
    ping(1, east, &passed); /* the first still uses the other */
    ck_assert_int_eq(last.kind, FO_CHANGE_SWITCH);
    fo_slot_release(shared, 100);
    now += SEC;
    ping(1, west, &passed);
    ck_assert_int_eq(last.kind, FO_CHANGE_FAILBACK);
    ck_assert(last.is_news);
    ck_assert_ptr_eq(last.endpoint, east);
    ck_assert_ptr_eq(last.other, west);
    ck_assert_int_eq(last.lasted, 2 * SEC);
    ping(1, east, &refused);
    ck_assert_int_eq(last.kind, FO_CHANGE_SWITCH);
    ck_assert(last.is_news);
}
END_TEST

/* A server that is full keeps the state: new children find it as well. */
START_TEST(a_state_that_is_kept_is_inherited)
{
    static const fo_report_t full = { .verdict = FO_VERDICT_BUSY, .code = 1040 };

    start();
    plan->ways.inherits = true;
    ping_all(west, &refused);
    ping_all(east, &refused);
    for (int i = 0; i < 4; i++) {
        now += policy.value[FO_POLICY_OUTAGE];
        ping_all(west, &full);
        ping_all(east, &full);
    }
    ck_assert_int_eq(fo_monitor_health(newcomer(fo_board_make(plan, pool)), east)->state,
                     FO_STATE_DOWN);
}
END_TEST

/* A child that begins meanwhile does not ask it either. */
START_TEST(a_child_that_comes_later)
{
    fo_board_t *board;
    fo_monitor_t *monitor;

    start();
    plan->ways.inherits = _i;
    ping_all(east, &passed);
    ping_all(west, &passed);
    trip(0);
    now += SEC;
    board = fo_board_make(plan, pool);
    monitor = newcomer(board);
    ck_assert(fo_monitor_lead(monitor, now));
    ck_assert_int_eq(fo_monitor_due_at(monitor, east->target, FO_TRIGGER_REQUEST),
                     now - SEC + RESET);
    ck_assert_int_eq(fo_board_word(board, db).state, _i ? FO_SERVICE_FAILOVER : FO_SERVICE_DOWN);
    fo_monitor_start(monitor, west->target, now);
    fo_monitor_answer(monitor, west->target, &passed, now);
    ck_assert_int_eq(fo_board_word(board, db).state, FO_SERVICE_FAILOVER);
}
END_TEST

/* After an outage the next switch is news again. */
START_TEST(news_after_an_outage)
{
    start();
    ping_all(east, &passed);
    ping_all(west, &passed);
    ping_all(east, &refused);
    ck_assert_int_eq(last.kind, FO_CHANGE_SWITCH);
    ping_all(west, &refused);
    ping_all(east, &passed);
    ck_assert_int_eq(last.kind, FO_CHANGE_RECOVERY);
    ping_all(west, &passed);
    ping(0, east, &refused);
    ck_assert_int_eq(last.kind, FO_CHANGE_SWITCH);
    ck_assert(last.is_news);
    ping(1, east, &refused);
    ck_assert(!last.is_news);
}
END_TEST

/* Never the last one that works: a ping decides. */
START_TEST(the_last_one)
{
    start();
    ping_all(east, &passed);
    ping_all(west, &refused);
    now += 10 * SEC;
    trip(0);
    ck_assert_ptr_eq(used(0), east);
    ck_assert_int_le(due_at(0, east), now); /* hurried */
    ck_assert_int_eq(fo_shared_open_until(shared, east->seat), 0);
    ping_all(east, &refused);
    trip(0); /* down: there is nothing to leave */
    ck_assert_ptr_null(used(0));
}
END_TEST

/* trip=ping: an error ping, no more. */
START_TEST(a_ping_decides)
{
    policy.value[FO_POLICY_OPENS] = 0;
    start();
    ping_all(east, &passed);
    ping_all(west, &passed);
    now += SEC;
    trip(0);
    ck_assert_ptr_eq(used(0), east);
    ck_assert_int_eq(due_at(0, east), now - SEC + policy.value[FO_POLICY_ERROR]);
    ck_assert_int_eq(due_at(1, east), FO_NEVER); /* the sibling has not been told */
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("fo_monitor_breaker");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, open_for_all);
    tcase_add_test(tc, its_own_words);
    tcase_add_test(tc, what_comes_too_early);
    tcase_add_loop_test(tc, half_open, 0, 2);
    tcase_add_loop_test(tc, half_open_without_an_answer, 0, 2);
    tcase_add_test(tc, nothing_else_works);
    tcase_add_test(tc, what_was_opened_works);
    tcase_add_test(tc, news_of_what_the_dead_used);
    tcase_add_test(tc, a_state_that_is_kept_is_inherited);
    tcase_add_loop_test(tc, a_child_that_comes_later, 0, 2);
    tcase_add_test(tc, news_after_an_outage);
    tcase_add_test(tc, quick_reopening);
    tcase_add_test(tc, the_last_one);
    tcase_add_test(tc, a_ping_decides);
    suite_add_tcase(suite, tc);
    return suite;
}

UNIT_MAIN(suite)

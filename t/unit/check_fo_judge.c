/* What an answer changes among siblings: rows, what is inherited or followed, and what is news. */
#include "core/fo_judge.h"

#include "core/fo_news.h"
#include "core/fo_record.h"
#include "shared_rig.h"

#define CHILDREN 4
#define CHANGES_MAX 64

static const fo_report_t passed = { .verdict = FO_VERDICT_PASS, .took = 3 };
static const fo_report_t refused = {
    .verdict = FO_VERDICT_FAIL, .stage = FO_STAGE_CONNECT, .status = ECONNREFUSED, .took = 5,
};
static const fo_report_t full = { .verdict = FO_VERDICT_BUSY, .code = 1040 };

static fo_plan_t *plan;
static fo_policy_t policy;
static const fo_endpoint_t *endpoint;
static fo_shared_t *shared;
static fo_board_t *boards[CHILDREN];
static fo_judge_t *judges[CHILDREN];
static apr_time_t now;

/*
 * What has been told, by letters: O(utage), L(asts), R(ecovery), (fail)B(ack), U(navailable); a
 * small one: no news.
 */
static char told[CHANGES_MAX];
static fo_change_t last;

static void observe(void *unused, const fo_change_t *change)
{
    static const char letters[] = { [FO_CHANGE_OUTAGE] = 'O', [FO_CHANGE_OUTAGE_LASTS] = 'L',
                                    [FO_CHANGE_RECOVERY] = 'R', [FO_CHANGE_LOGIN] = 'G',
                                    [FO_CHANGE_SELF] = 'S', [FO_CHANGE_FAILBACK] = 'B',
                                    [FO_CHANGE_UNAVAILABLE] = 'U' };
    size_t n = strlen(told);

    (void)unused;
    ck_assert_uint_lt(n + 1, sizeof(told));
    told[n] = letters[change->kind];
    if (!change->is_news)
        told[n] = (char)(told[n] + 'a' - 'A');
    last = *change;
}

static void expect_told(const char *letters)
{
    ck_assert_str_eq(told, letters);
    memset(told, 0, sizeof(told));
}

static void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
    now = 10000 * SEC;
    memset(told, 0, sizeof(told));
}

static void make_plan(void)
{
    fo_service_t *service = unit_service(plan, "db", &policy, "tcp://db:1", NULL);

    endpoint = fo_service_endpoint(service, 0);
    unit_scope(plan);
    shared = unit_shared(1, 1); /* of four slots */
}

static void make_judge(int i)
{
    boards[i] = fo_board_make(plan, pool);
    judges[i] = fo_judge_make(plan, boards[i], observe, NULL, pool);
}

static void start(int n)
{
    make_plan();
    for (int i = 0; i < n; i++) {
        make_judge(i);
        fo_judge_join(judges[i], shared, fo_slot_claim(shared, 100 + i, 1, now));
    }
}

/* A ping that began a second ago, as the monitor hands it on. */
static bool answer(int i, const fo_report_t *report)
{
    fo_record_add(shared, endpoint->target->seat, report, now);
    return fo_judge_answer(judges[i], endpoint, report, now - SEC, now);
}

static fo_row_t row_of(int i)
{
    fo_row_t row;

    ck_assert(fo_row_read(shared, (unsigned)i, endpoint->seat, &row));
    return row;
}

static fo_state_e state_of(int i)
{
    return fo_judge_health(judges[i], endpoint)->state;
}

static fo_word_t word_of(int i)
{
    return fo_board_word(boards[i], endpoint->service);
}

START_TEST(an_answer_is_published)
{
    fo_row_t row;

    start(2);
    row = row_of(0);
    ck_assert_int_eq(row.state, FO_STATE_UNKNOWN);
    ck_assert_int_eq(row.pinged_at, 0);
    ck_assert_int_eq(row.is_in_use, 1);
    answer(0, &passed);
    row = row_of(0);
    ck_assert_int_eq(row.state, FO_STATE_UP);
    ck_assert_int_eq(row.verdict, FO_VERDICT_PASS);
    ck_assert_int_eq(row.since_at, now);
    ck_assert_int_eq(row.pinged_at, now - SEC);
    ck_assert_int_eq(row.took, 3);
    ck_assert(row.due_at == FO_NEVER);
    fo_judge_publish_due(judges[0], endpoint, now + 9 * SEC);
    ck_assert_int_eq(row_of(0).due_at, now + 9 * SEC);
    now += 100 * SEC;
    ck_assert(answer(0, &refused));
    row = row_of(0);
    ck_assert_int_eq(row.state, FO_STATE_DOWN);
    ck_assert_int_eq(row.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(row.since_at, now);
    ck_assert_int_eq(row.is_in_use, 0);
    ck_assert_uint_eq(row.epoch, 1);
    ck_assert_int_eq(row.took, 5);
    now += 30 * SEC;
    answer(0, &full); /* the state stays, and what it rests on */
    ck_assert_int_eq(row_of(0).pinged_at, now - 31 * SEC);
    ck_assert(!answer(0, &refused));
    ck_assert_int_eq(row_of(0).since_at, now - 30 * SEC);
    ck_assert_int_eq(row_of(0).pinged_at, now - SEC);
    ck_assert_int_eq(row_of(1).state, FO_STATE_UNKNOWN);
}
END_TEST

START_TEST(news_among_siblings)
{
    start(3);
    answer(1, &refused);
    answer(0, &refused);
    answer(2, &passed);
    expect_told("Oo");
    now += 60 * SEC;
    answer(1, &passed);
    answer(0, &passed);
    expect_told("rR");
    ck_assert_int_eq(last.lasted, 60 * SEC);
    answer(2, &passed);
    answer(2, &refused);
    expect_told("O");
}
END_TEST

START_TEST(each_child_is_news_where_told_so)
{
    plan->ways.logs_each = true;
    start(2);
    answer(0, &refused);
    answer(1, &refused);
    now += policy.value[FO_POLICY_LOGGING];
    answer(0, &refused);
    answer(1, &refused);
    answer(0, &passed);
    answer(1, &passed);
    answer(1, &passed);
    expect_told("OOLLRR");
    ck_assert(!fo_news_is_open(shared, endpoint->service));
}
END_TEST

/* News once in each span, over all of them; each for itself as before. */
START_TEST(a_lasting_outage)
{
    apr_interval_time_t span = policy.value[FO_POLICY_LOGGING];

    start(2);
    answer(0, &refused);
    now += 10 * SEC;
    answer(1, &refused);
    expect_told("Oo");
    now += span - 10 * SEC;
    answer(1, &refused); /* the first to notice */
    ck_assert_int_eq(last.lasted, span);
    answer(0, &refused);
    expect_told("Ll");
    answer(0, &refused);
    answer(1, &refused);
    expect_told("");
    now += span;
    fo_judge_remind(judges[0], endpoint->service, now); /* without an answer too */
    ck_assert_int_eq(last.lasted, 2 * span);
    expect_told("L");
}
END_TEST

/* One that never saw it down tells of the end where those that did have died. */
START_TEST(the_end_of_what_the_dead_told)
{
    start(2);
    answer(0, &refused);
    answer(1, &passed);
    expect_told("O");
    fo_slot_release(shared, 100);
    now += 5 * SEC;
    answer(1, &passed);
    ck_assert_int_eq(last.lasted, 5 * SEC);
    answer(1, &passed);
    expect_told("R");
    ck_assert_uint_eq(word_of(1).epoch, 0);
}
END_TEST

/* One of two saw it go down, and was not asked while the other told of the end. */
static void sleep_through_the_end(void)
{
    start(2);
    answer(0, &refused);
    now += 3 * policy.value[FO_POLICY_MONITORING];
    answer(1, &passed);
    expect_told("OR");
}

/*
 * It slept through the end that another told of: what it finds then is another outage, if it began
 * to look after that end.
 */
START_TEST(an_idle_child_wakes_in_the_next_outage)
{
    sleep_through_the_end();
    now += SEC;
    answer(0, &refused);
    fo_judge_discard(judges[0], endpoint, now);
    expect_told("");
    now += 1;
    answer(0, &refused);
    answer(1, &refused);
    expect_told("Oo");
    answer(0, &passed);
    answer(1, &passed);
    expect_told("rR");
}
END_TEST

/* The other's ping had begun while it was down, and ran out after all had been told. */
START_TEST(an_idle_child_wakes_at_the_end)
{
    sleep_through_the_end();
    answer(0, &refused);
    now += 2 * SEC;
    answer(0, &passed);
    expect_told("r");
}
END_TEST

/* Without a place, and without siblings at all. */
START_TEST(alone)
{
    make_plan();
    make_judge(0);
    if (_i)
        fo_judge_join(judges[0], shared, FO_SLOT_NONE);
    fo_judge_answer(judges[0], endpoint, &refused, now, now);
    fo_judge_answer(judges[0], endpoint, &refused, now, now);
    fo_judge_publish_due(judges[0], endpoint, now);
    now += policy.value[FO_POLICY_LOGGING];
    fo_judge_answer(judges[0], endpoint, &refused, now, now);
    fo_judge_answer(judges[0], endpoint, &passed, now, now);
    fo_judge_answer(judges[0], endpoint, &passed, now, now);
    expect_told("OLR");
}
END_TEST

/* Inheriting */

static fo_row_t heritage(fo_state_e state)
{
    return (fo_row_t){ .state = (apr_byte_t)state, .epoch = 7, .since_at = now - 50 * SEC,
                       .pinged_at = now - 10 * SEC, .due_at = now + SEC, .took = 9 };
}

static void inherit(int i, const fo_row_t *row)
{
    make_judge(i);
    fo_judge_inherit(judges[i], shared, endpoint->service, &row, now);
    fo_judge_join(judges[i], shared, fo_slot_claim(shared, 100 + i, 1, now));
}

START_TEST(what_a_new_child_starts_from)
{
    static const struct {
        fo_state_e seen, state;
        fo_service_state_e service;
    } starts[] = {
        { FO_STATE_UP, FO_STATE_UP, FO_SERVICE_UP },
        { FO_STATE_FAILING, FO_STATE_UP, FO_SERVICE_UP },
        { FO_STATE_DOWN, FO_STATE_DOWN, FO_SERVICE_DOWN },
        { FO_STATE_RISING, FO_STATE_DOWN, FO_SERVICE_DOWN },
    };
    fo_row_t row = heritage(starts[_i].seen);

    make_plan();
    fo_record_add(shared, endpoint->target->seat, &refused, now);
    inherit(0, &row);
    ck_assert_int_eq(state_of(0), starts[_i].state);
    ck_assert_int_eq(word_of(0).state, starts[_i].service);
    row = row_of(0);
    ck_assert_int_eq(row.state, starts[_i].state);
    ck_assert_int_eq(row.is_inherited, 1);
    ck_assert_int_eq(row.is_in_use, starts[_i].service == FO_SERVICE_UP);
    ck_assert_int_eq(row.pinged_at, now - 10 * SEC);
    ck_assert_int_eq(row.since_at, now - 50 * SEC);
    ck_assert_uint_eq(row.epoch, 7);
    ck_assert(row.due_at == FO_NEVER);
    if (starts[_i].service == FO_SERVICE_DOWN) {
        fo_detail_t detail = fo_board_detail(boards[0], endpoint->service);
        ck_assert_uint_eq(word_of(0).epoch, 7);
        ck_assert_int_eq(detail.since_at, now - 50 * SEC);
        ck_assert_str_eq(detail.reason, "connect: Connection refused");
    }
    expect_told(""); /* not before it has looked itself */
    answer(0, &passed);
    ck_assert_int_eq(row_of(0).is_inherited, 0);
    ck_assert_int_eq(word_of(0).state, FO_SERVICE_UP);
}
END_TEST

/* A child that starts from these rows of two endpoints, the first of which is the primary. */
static const fo_service_t *inherit_two(const fo_row_t *primary, const fo_row_t *spare)
{
    const fo_row_t *const rows[] = { primary, spare };
    fo_service_t *service = unit_service(plan, "db", &policy, "tcp://db:1", NULL);

    fo_plan_add_endpoint(plan, service, "spare", "spare", .5, fo_plan_target(plan, "spare"));
    endpoint = fo_service_endpoint(service, 0);
    unit_scope(plan);
    shared = unit_shared(2, 1);
    make_judge(0);
    fo_judge_inherit(judges[0], shared, service, rows, now);
    fo_judge_join(judges[0], shared, fo_slot_claim(shared, 100, 1, now));
    return service;
}

/* An outage has lasted since the last endpoint fell; no majority may have seen that yet. */
START_TEST(the_age_of_an_inherited_outage)
{
    fo_row_t primary = heritage(FO_STATE_DOWN), spare = heritage(FO_STATE_DOWN);
    const fo_service_t *service;

    primary.since_at = now - 600 * SEC;
    service = inherit_two(&primary, _i ? &spare : NULL);
    ck_assert_int_eq(word_of(0).state, FO_SERVICE_DOWN);
    ck_assert_int_eq(fo_board_detail(boards[0], service).since_at, _i ? now - 50 * SEC : now);
    endpoint = fo_service_endpoint(service, 1);
    answer(0, &refused);
    endpoint = fo_service_endpoint(service, 0);
    answer(0, &refused);
    expect_told("O"); /* and not that nobody has worked for minutes */
}
END_TEST

/* Before it has looked for itself: how long another one was used is known from the rows. */
START_TEST(the_failback_of_an_heir)
{
    fo_row_t primary = heritage(FO_STATE_UP), spare = heritage(FO_STATE_UP);

    spare.is_in_use = 1;
    inherit_two(&primary, &spare);
    ck_assert_int_eq(word_of(0).state, FO_SERVICE_FAILOVER);
    now += 100 * SEC;
    fo_judge_look(judges[0], now);
    ck_assert_int_eq(word_of(0).state, FO_SERVICE_UP);
    expect_told("b");
    ck_assert_int_eq(last.lasted, 150 * SEC);
}
END_TEST

/* Told as a sibling's, since when it lasts for all of them. */
START_TEST(an_inherited_outage)
{
    fo_row_t row;

    start(1);
    answer(0, &refused);
    row = row_of(0);
    now += 20 * SEC;
    inherit(1, &row);
    answer(1, &refused);
    expect_told("Oo");
    answer(0, &passed);
    now += 10 * SEC;
    answer(1, &passed);
    expect_told("rR");
    ck_assert_int_eq(last.lasted, 30 * SEC);
}
END_TEST

/* Thresholds are met by an inherited state: the first answer to the contrary counts as one. */
START_TEST(inherited_thresholds)
{
    fo_row_t up = heritage(FO_STATE_UP), down = heritage(FO_STATE_DOWN);

    policy.value[FO_POLICY_FALL] = policy.value[FO_POLICY_RISE] = 2;
    make_plan();
    inherit(0, &up);
    inherit(1, &down);
    answer(0, &refused);
    answer(1, &passed);
    ck_assert_int_eq(state_of(0), FO_STATE_FAILING);
    ck_assert_int_eq(state_of(1), FO_STATE_RISING);
    answer(0, &refused);
    answer(1, &passed);
    ck_assert_int_eq(state_of(0), FO_STATE_DOWN);
    ck_assert_int_eq(state_of(1), FO_STATE_UP);
}
END_TEST

/* The last that did not pass may say nothing of the service: no reason is better than that one. */
START_TEST(our_own_trouble_is_no_reason)
{
    static const fo_report_t others[] = {
        { .verdict = FO_VERDICT_SELF, .text = "Too many open files" },
        { .verdict = FO_VERDICT_LOGIN, .text = "Access denied" },
    };
    fo_row_t row = heritage(FO_STATE_DOWN);

    make_plan();
    fo_record_add(shared, endpoint->target->seat, &others[_i], now);
    inherit(0, &row);
    ck_assert_ptr_eq(strstr(fo_board_detail(boards[0], endpoint->service).reason, others[_i].text),
                     NULL);
}
END_TEST

/* Following */

static void follow(int i)
{
    fo_row_t row = row_of(0);

    fo_judge_follow(judges[i], endpoint->service, (const fo_row_t *[]){ &row }, now);
}

/* The one that pings for all tells of both, whatever the others still see. */
START_TEST(what_the_leader_sees)
{
    plan->ways.lease = 10 * SEC;
    start(2);
    answer(0, &refused);
    follow(1);
    follow(1);
    ck_assert_int_eq(state_of(1), FO_STATE_DOWN);
    ck_assert_int_eq(word_of(1).state, FO_SERVICE_DOWN);
    ck_assert_str_eq(fo_board_detail(boards[1], endpoint->service).reason,
                     "connect: Connection refused");
    ck_assert_int_eq(row_of(1).is_inherited, 1);
    ck_assert_int_eq(row_of(1).pinged_at, row_of(0).pinged_at);
    ck_assert_int_eq(row_of(1).since_at, row_of(0).since_at);
    expect_told("Oo");
    now += 30 * SEC;
    answer(0, &passed);
    follow(1);
    follow(1);
    ck_assert_int_eq(state_of(1), FO_STATE_UP);
    ck_assert_int_eq(word_of(1).state, FO_SERVICE_UP);
    ck_assert_uint_eq(word_of(1).epoch, 2);
    expect_told("Rr");
}
END_TEST

/* What it once counted itself is no part of what it follows. */
START_TEST(followed_thresholds)
{
    policy.value[FO_POLICY_FALL] = policy.value[FO_POLICY_RISE] = 3;
    start(3);
    for (int i = 0; i < 9; i++) {
        answer(1, &passed);
        answer(2, &refused);
    }
    for (int i = 0; i < 3; i++, now += SEC)
        answer(0, &refused);
    follow(1);
    for (int i = 0; i < 3; i++, now += SEC)
        answer(0, &passed);
    follow(2);
    ck_assert_int_eq(state_of(1), FO_STATE_DOWN);
    ck_assert_int_eq(state_of(2), FO_STATE_UP);
    for (int i = 0; i < 2; i++) { /* each is the next to ping for all */
        answer(1, &passed);
        answer(2, &refused);
        ck_assert_int_eq(state_of(1), FO_STATE_RISING);
        ck_assert_int_eq(state_of(2), FO_STATE_FAILING);
    }
    answer(1, &passed);
    answer(2, &refused);
    ck_assert_int_eq(state_of(1), FO_STATE_UP);
    ck_assert_int_eq(state_of(2), FO_STATE_DOWN);
}
END_TEST

/* A ping that failed is no end of an outage, though the service counts as usable still. */
START_TEST(failing_is_no_recovery)
{
    policy.value[FO_POLICY_FALL] = 2;
    start(3);
    answer(2, &refused);
    answer(2, &refused);
    fo_slot_release(shared, 102);
    expect_told("O");
    answer(0, &refused);
    follow(1);
    ck_assert_int_eq(state_of(1), FO_STATE_FAILING);
    ck_assert_int_eq(row_of(1).state, FO_STATE_FAILING);
    expect_told("");
    now += SEC;
    answer(0, &passed);
    follow(1);
    expect_told("R");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_judge");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, an_answer_is_published);
    tcase_add_test(tc, news_among_siblings);
    tcase_add_test(tc, each_child_is_news_where_told_so);
    tcase_add_test(tc, a_lasting_outage);
    tcase_add_test(tc, the_end_of_what_the_dead_told);
    tcase_add_test(tc, an_idle_child_wakes_in_the_next_outage);
    tcase_add_test(tc, an_idle_child_wakes_at_the_end);
    tcase_add_loop_test(tc, alone, 0, 2);
    tcase_add_loop_test(tc, what_a_new_child_starts_from, 0, 4);
    tcase_add_test(tc, an_inherited_outage);
    tcase_add_loop_test(tc, the_age_of_an_inherited_outage, 0, 2);
    tcase_add_test(tc, the_failback_of_an_heir);
    tcase_add_test(tc, inherited_thresholds);
    tcase_add_loop_test(tc, our_own_trouble_is_no_reason, 0, 2);
    tcase_add_test(tc, what_the_leader_sees);
    tcase_add_test(tc, followed_thresholds);
    tcase_add_test(tc, failing_is_no_recovery);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

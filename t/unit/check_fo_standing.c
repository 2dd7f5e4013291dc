/*
 * Services of several endpoints, as one child sees them: which one is in use, and what is told. An
 * invented clock; the answers are written down as scenarios.
 */
#include "core/fo_judge.h"

#include "unit.h"

#define CHANGES_MAX 64

static const fo_report_t passed = { .verdict = FO_VERDICT_PASS };
static const fo_report_t refused = {
    .verdict = FO_VERDICT_FAIL,
    .stage = FO_STAGE_CONNECT,
    .status = ECONNREFUSED,
};

/*
 * A scenario's words, one after the other:
 *     a+ a-   the first endpoint passes, or fails; b, c the second, the third
 *     30s     so much time passes, second by second
 *     =a      requests use it now; =- the service is down
 *     !WO     this has been told since the last such word, in this order
 * The changes' letters: O(utage) L(asts) U(navailable) R(ecovery) (res)C(ue) (s)W(itch)
 * (fail)B(ack), d and u for a spare endpoint.
 */
typedef struct scenario_t {
    const char *weights;
    apr_int64_t numbers[2][2]; /* of the policy, and their values */
    const char *words;
} scenario_t;

static const scenario_t scenarios[] = {
    /* With that verdict, and not before the next request. redis-py: automatically_select. */
    { "1 0.5", { { 0 } }, "=a a+ b+ =a !~ a- =b !W a- b+ =b !~" },
    { "0.2 1 0.5", { { 0 } }, "=b a+ b+ c+ b- =c !W c- =a !W" },
    { "1 1", { { 0 } }, "a+ b+ =a a- =b 60s a+ 30s =a" },
    { "1 0.5", { { FO_POLICY_FALL, 3 } }, "a+ b+ a- a- =a a- =b" },

    /* A fallback is not used before it was pinged; nobody calls it an outage until then. */
    { "1 0.5", { { 0 } }, "a- =- !~ b+ =b !W" },
    { "1 0.5", { { 0 } }, "a- =- !~ b- =- !O b+ =b !C" },
    { "1 0.5", { { 0 } }, "a- =- a+ =a !~" },
    { "1 0.5 0.1", { { 0 } }, "c+ a- =c !W b+ =c !~ 30s =b !B" },

    /* FailoverGracePeriod really holds, which it does not in redis-py's code. */
    { "1 0.5", { { 0 } }, "a+ b+ a- =b a+ !Wu 59s =b 1s =a !B" },
    { "1 0.5", { { FO_POLICY_GRACE, 100 * SEC } }, "a+ b+ a- =b a+ 119s =b 1s =a" },
    { "1 0.5", { { 0 } }, "a+ b+ a- a+ 50s a- a+ 69s =b 1s =a" }, /* it fell again meanwhile */
    { "1 0.5", { { 0 } }, "a+ b+ a- a+ 10s b- =a !WuW" },

    /* FailoverFailback, looked at once per interval: auto_fallback_to_highest_weight_db. */
    { "1 0.5", { { FO_POLICY_GRACE, 1 * SEC } }, "a+ b+ a- =b a+ 29s =b 1s =a" },
    { "1 0.5", { { FO_POLICY_GRACE, 1 * SEC }, { FO_POLICY_FAILBACK, 7 * SEC } },
      "a+ b+ a- =b 10s a+ =b 3s =b 1s =a" },
    { "1 0.5", { { 0 } }, "a+ b+ a- =b 1000s =b a+ =b 30s =a !WuB" },

    /* Manual, and redis-py: do_not_auto_fallback_to_highest_weight_db. */
    { "1 0.5", { { FO_POLICY_STAYS, 1 } }, "a+ b+ a- =b a+ 3000s =b b- =a !WuW" },

    /* Both down, then either one back, in every order. rails_failover #16: it looped for ever. */
    { "1 0.5", { { 0 } }, "a+ b+ a- =b b- =- !WO a+ =a !R b+ =a !u" },
    { "1 0.5", { { 0 } }, "a+ b+ a- =b b- =- !WO b+ =b !C a+ =b !u 60s =a !B" },
    { "1 0.5", { { 0 } }, "a+ b+ b- =a a- =- !dO a+ =a !R b+ =a !u" },
    { "1 0.5", { { 0 } }, "a+ b+ b- =a a- =- !dO b+ =b !C 90s =b a+ 30s =a !uB" },

    /* Down, then down again on the other one: each has its line. */
    { "1 0.5", { { 0 } }, "a+ b+ a- b- !WO b+ b- !CO a+ !R a- !O" },

    /* redis-py: background_health_check_determine_active_db_unhealthy, a chain of three. */
    { "1 0.7 0.5", { { 0 } }, "a+ b+ c+ =a a- =b b- =c a+ =c c- =a !WWuW" },
    { "1 0.7 0.5", { { 0 } }, "a+ b+ c+ a- =b a+ b- =c 29s =c b+ 31s =a" },

    /* FailoverAttempts. */
    { "1 0.5", { { FO_POLICY_ATTEMPT, 12 * SEC } }, "a+ b+ a- b- !WO 119s !~ 1s !U 999s !~ b+ !C" },
    { "1 0.5", { { FO_POLICY_ATTEMPT, 12 * SEC } }, "a+ b+ a- b- 120s b+ a+ b- a- 120s !WOUCuWOU" },
    { "1", { { FO_POLICY_ATTEMPT, 12 * SEC }, { FO_POLICY_ATTEMPTS, 0 } }, "a- !OU a+ !R" },
    { "1", { { FO_POLICY_ATTEMPT, 12 * SEC }, { FO_POLICY_ATTEMPTS, 3 } }, "a- 36s !OU a- !~" },

    /* One endpoint alone has no grace period. */
    { "1", { { 0 } }, "a+ a- =- a+ =a a- =- !ORO" },

    /* A threshold on the way up. */
    { "1 0.5", { { FO_POLICY_RISE, 2 } }, "a+ b+ a- b- =- b+ =- b+ =b !WOC" },
};

static fo_plan_t *plan;
static fo_service_t *service;
static fo_board_t *board;
static fo_judge_t *judge;
static apr_time_t now;
static char told[CHANGES_MAX];
static unsigned n_switches;

static void observe(void *unused, const fo_change_t *change)
{
    static const char letters[FO_CHANGE_COUNT] = {
        [FO_CHANGE_OUTAGE] = 'O',     [FO_CHANGE_OUTAGE_LASTS] = 'L', [FO_CHANGE_UNAVAILABLE] = 'U',
        [FO_CHANGE_RECOVERY] = 'R',   [FO_CHANGE_RESCUE] = 'C',       [FO_CHANGE_SWITCH] = 'W',
        [FO_CHANGE_FAILBACK] = 'B',   [FO_CHANGE_SPARE_DOWN] = 'd',   [FO_CHANGE_SPARE_BACK] = 'u',
        [FO_CHANGE_LOGIN] = 'G',      [FO_CHANGE_SELF] = 'S',
    };
    fo_word_t word = fo_board_word(board, service);

    (void)unused;
    ck_assert_uint_lt(strlen(told) + 1, sizeof(told));
    told[strlen(told)] = letters[change->kind];
    ck_assert_uint_eq(change->epoch, word.epoch); /* requests can see it by now */
    if (change->kind == FO_CHANGE_SWITCH) {
        ck_assert_uint_eq(change->other->rank, word.endpoint);
        ck_assert_ptr_ne(change->endpoint, change->other);
        ck_assert_int_eq(change->report->status, ECONNREFUSED);
    }
    if (change->kind == FO_CHANGE_FAILBACK)
        ck_assert_uint_eq(change->endpoint->rank, word.endpoint);
}

static void begin(const scenario_t *scenario)
{
    fo_policy_t policy = unit_policy();
    const char *weights = scenario->weights;
    const apr_array_header_t *none;
    char *end;

    plan = fo_plan_make(pool);
    none = apr_array_make(pool, 1, 1);
    for (int i = 0; i < 2; i++)
        if (scenario->numbers[i][0] || scenario->numbers[i][1])
            policy.value[scenario->numbers[i][0]] = scenario->numbers[i][1];
    service = fo_plan_add_service(plan, "db", NULL, &policy, none, NULL);
    for (char name[] = "a"; *weights; weights = end, name[0]++) {
        fo_target_t *target = fo_plan_target(plan, name);
        double weight = strtod(weights, &end);
        fo_plan_add_endpoint(plan, service, name, name, weight, target);
    }
    unit_scope(plan);
    board = fo_board_make(plan, pool);
    judge = fo_judge_make(plan, board, observe, NULL, pool);
    now = 10000 * SEC;
}

/* As the loop does: as soon as it is time to. */
static void pass_time(int seconds)
{
    for (int i = 0; i < seconds; i++) {
        now += SEC;
        if (fo_judge_look_at(judge) <= now)
            fo_judge_look(judge, now);
    }
}

static void expect_use(const char *words, char expected)
{
    fo_word_t word = fo_board_word(board, service);
    char used = word.state == FO_SERVICE_DOWN ? '-' : (char)('a' + word.endpoint);

    ck_assert_msg(used == expected, "%c is in use at: %s", used, words);
    if (word.state != FO_SERVICE_DOWN)
        ck_assert_int_eq(word.state, word.endpoint == service->primary ? FO_SERVICE_UP
                                                                       : FO_SERVICE_FAILOVER);
}

static void expect_told(const char *words)
{
    size_t n = strcspn(words, " ");

    if (*words == '~')
        ck_assert_str_eq(told, "");
    else
        ck_assert_msg(strlen(told) == n && strncmp(told, words, n) == 0, "%s was told before %s",
                      told, words);
    memset(told, 0, sizeof(told));
}

static void answer(char name, char sign)
{
    const fo_endpoint_t *endpoint = fo_service_endpoint(service, (unsigned)(name - 'a'));
    fo_word_t before = fo_board_word(board, service), after;

    fo_judge_answer(judge, endpoint, sign == '+' ? &passed : &refused, now, now);
    after = fo_board_word(board, service);
    ck_assert_uint_eq(after.epoch - before.epoch,
                      before.state != after.state || before.endpoint != after.endpoint);
    n_switches += after.epoch - before.epoch;
}

static void obey(const char *word)
{
    char *end;
    long seconds = strtol(word, &end, 10);

    if (*word == '=')
        expect_use(word, word[1]);
    else if (*word == '!')
        expect_told(word + 1);
    else if (end > word && *end == 's')
        pass_time((int)seconds);
    else
        answer(word[0], word[1]);
}

START_TEST(several_endpoints)
{
    const scenario_t *scenario = &scenarios[_i];

    memset(told, 0, sizeof(told));
    begin(scenario);
    for (const char *word = scenario->words; *word; word += strspn(word, " ")) {
        obey(word);
        word += strcspn(word, " ");
    }
}
END_TEST

/* What people and applications read while another endpoint is in use: why the primary is not. */
START_TEST(the_reason_while_another_is_used)
{
    static const scenario_t two = { "1 0.5", { { 0 } }, "" };
    fo_detail_t detail;

    begin(&two);
    answer('a', '+');
    answer('b', '+');
    now += 5 * SEC;
    answer('a', '-');
    detail = fo_board_detail(board, service);
    ck_assert_int_eq(detail.since_at, now);
    ck_assert_str_eq(detail.reason, "connect: Connection refused");
    answer('b', '-');
    ck_assert_int_eq(fo_board_word(board, service).endpoint, 1); /* the one last in use */
}
END_TEST

/* However answers and time come, requests never use what was found dead while another works. */
START_TEST(never_a_dead_one)
{
    static const scenario_t three = { "1 0.7 0.5", { { FO_POLICY_GRACE, 3 * SEC } }, "" };
    apr_uint64_t random = 1;
    bool works[3] = { false }, is_known[3] = { false };

    begin(&three);
    for (int i = 0; i < 20000; i++) {
        unsigned rank = (unsigned)(fo_schedule_random(&random) * 3);
        bool passes = fo_schedule_random(&random) < 0.6;
        memset(told, 0, sizeof(told));
        answer((char)('a' + rank), passes ? '+' : '-');
        works[rank] = passes;
        is_known[rank] = true;
        if (fo_schedule_random(&random) < 0.3)
            pass_time(1 + (int)(fo_schedule_random(&random) * 40));
        fo_word_t word = fo_board_word(board, service);
        bool any = (is_known[0] && works[0]) || (is_known[1] && works[1]) ||
                   (is_known[2] && works[2]);
        if (word.state == FO_SERVICE_DOWN)
            ck_assert(!any);
        else
            ck_assert(!is_known[word.endpoint] || works[word.endpoint]);
    }
    ck_assert_uint_gt(n_switches, 1000);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("fo_standing");
    TCase *tc = unit_case("all");

    tcase_add_loop_test(tc, several_endpoints, 0, COUNT(scenarios));
    tcase_add_test(tc, the_reason_while_another_is_used);
    tcase_add_test(tc, never_a_dead_one);
    suite_add_tcase(suite, tc);
    return suite;
}

UNIT_MAIN(suite)

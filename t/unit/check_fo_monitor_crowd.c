/* Several monitors over one shared memory, as the children of a server, by an invented clock. */
#include "core/fo_monitor.h"

#include "unit.h"

#define CHILDREN 32
#define ERROR (5 * SEC)
#define TIMEOUT_UP (3 * SEC)
#define TIMEOUT_DOWN (1 * SEC)

static const fo_report_t passed = { .verdict = FO_VERDICT_PASS };
static const fo_report_t refused = { .verdict = FO_VERDICT_FAIL, .status = ECONNREFUSED };
static const fo_report_t starved = { .verdict = FO_VERDICT_SELF, .status = EMFILE };
static const fo_report_t full = { .verdict = FO_VERDICT_BUSY };

typedef struct child_t {
    fo_board_t *board;
    fo_monitor_t *monitor;
    int n_outages, n_recoveries;
    int n_pings;
    bool is_pinging;
    apr_time_t ends_at;
    apr_time_t changed_at;
} child_t;

static fo_plan_t *plan;
static fo_policy_t policy;
static const fo_scope_t *scope;
static fo_shared_t *shared;
static child_t children[CHILDREN];
static apr_time_t now;

static void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
    now = 1000 * SEC;
}

static void observe(void *baton, const fo_change_t *change)
{
    child_t *child = baton;

    child->n_outages += change->kind == FO_CHANGE_OUTAGE;
    child->n_recoveries += change->kind == FO_CHANGE_RECOVERY;
    child->changed_at = now;
}

static fo_service_t *add(const char *name, const char *key)
{
    return unit_service(plan, name, &policy, key, NULL);
}

static void start(int n_children, unsigned n_cells)
{
    unsigned n_targets = (unsigned)plan->targets->nelts;

    scope = unit_scope(plan);
    shared = unit_shared(n_targets, n_cells);
    for (int i = 0; i < n_children; i++) {
        child_t *child = &children[i];
        child->board = fo_board_make(plan, pool);
        child->monitor = fo_monitor_make(plan, child->board, 4711 + (apr_uint64_t)i, observe, child,
                                         pool);
        fo_monitor_join(child->monitor, shared, FO_SLOT_NONE);
    }
}

static const fo_target_t *check_at(unsigned i)
{
    return fo_plan_target_at(plan, i);
}

/* A ping as the loop makes it: a place, the start, the answer. */
static fo_ping_t ping(child_t *child, const fo_report_t *report)
{
    fo_ping_t order;

    ck_assert(fo_monitor_enter(child->monitor, check_at(0), now));
    order = fo_monitor_start(child->monitor, check_at(0), now);
    fo_monitor_answer(child->monitor, check_at(0), report, now);
    return order;
}

static apr_time_t due_at(const child_t *child, fo_trigger_e trigger)
{
    return fo_monitor_due_at(child->monitor, check_at(0), trigger);
}

static fo_service_state_e state_of(const child_t *child)
{
    return fo_board_word(child->board, fo_plan_service(plan, 0)).state;
}

/* A sibling has found this. */
static void hint(child_t *child, bool is_down)
{
    fo_shared_tell(shared, 0, is_down, now);
    fo_monitor_hear_hints(child->monitor, now);
}

static child_t *one_child(void)
{
    add("db", "tcp://db:1");
    start(1, 4);
    return &children[0];
}

/* Hints */

static const struct {
    const fo_report_t *seen; /* by this child; NULL: it has never pinged */
    bool hint_is_down;
    bool is_news;
} news[] = {
    { &passed, true, true },   { &passed, false, false }, { &refused, true, false },
    { &refused, false, true }, { NULL, true, true },      { NULL, false, false },
};

/* It makes a ping due by itself, at the error frequency; where it is no news, nothing changes. */
START_TEST(a_hint_is_heard_where_it_is_news)
{
    child_t *child = one_child();
    bool is_first = !news[_i].seen;
    apr_time_t asked_at;

    if (!is_first)
        ping(child, news[_i].seen);
    asked_at = due_at(child, FO_TRIGGER_REQUEST);
    hint(child, news[_i].hint_is_down);
    if (news[_i].is_news) {
        ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), is_first ? 0 : now + ERROR);
        ck_assert_int_eq(due_at(child, FO_TRIGGER_REQUEST), is_first ? 0 : now + ERROR);
    } else {
        ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), FO_NEVER);
        ck_assert_int_eq(due_at(child, FO_TRIGGER_REQUEST), asked_at);
    }
}
END_TEST

/* The last ping is long ago: at once. */
START_TEST(a_hint_after_a_long_time)
{
    child_t *child = one_child();

    ping(child, &passed);
    now += 100 * SEC;
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), FO_NEVER);
    hint(child, true);
    ck_assert_int_le(due_at(child, FO_TRIGGER_TIMER), now);
    ping(child, &refused);
    ck_assert_int_eq(state_of(child), FO_SERVICE_DOWN);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), FO_NEVER);
}
END_TEST

START_TEST(what_it_has_found_itself_is_no_news)
{
    child_t *child = one_child();
    const fo_report_t *const answers[] = { &passed, &refused, &passed, &refused };

    for (int i = 0; i < COUNT(answers); i++) {
        ping(child, answers[i]);
        fo_monitor_hear_hints(child->monitor, now);
        ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), FO_NEVER);
    }
    ck_assert_uint_eq(fo_shared_hint(shared, 0) / 2, 3); /* up from the start is no discovery */
}
END_TEST

/* Only what changes a state is told: no single failure, no busy server, no fault of our own. */
START_TEST(only_discoveries_are_told)
{
    static const struct {
        const fo_report_t *report;
        unsigned n_told;
    } steps[] = { { &refused, 0 }, { &starved, 0 }, { &full, 0 },    { &refused, 1 },
                  { &refused, 1 }, { &passed, 1 },  { &starved, 1 }, { &passed, 2 } };
    child_t *child;

    policy.value[FO_POLICY_FALL] = policy.value[FO_POLICY_RISE] = 2;
    child = one_child();
    for (int i = 0; i < COUNT(steps); i++) {
        ping(child, steps[i].report);
        ck_assert_uint_eq(fo_shared_hint(shared, 0) / 2, steps[i].n_told);
    }
    ck_assert_uint_eq(fo_shared_hint(shared, 0) & FO_HINT_DOWN, 0);
}
END_TEST

static const struct {
    bool was_up;               /* and the hint says otherwise */
    const fo_report_t *answer; /* to the ping that was under way when it came */
    bool is_kept;
} under_way[] = {
    { true, &refused, false }, { true, &passed, true },   { true, &starved, true },
    { true, &full, true },     { false, &passed, false }, { false, &refused, true },
    { false, &starved, true },
};

START_TEST(a_hint_while_a_ping_is_under_way)
{
    child_t *child = one_child();

    ping(child, under_way[_i].was_up ? &passed : &refused);
    now += 50 * SEC;
    fo_monitor_enter(child->monitor, check_at(0), now);
    fo_monitor_start(child->monitor, check_at(0), now);
    hint(child, under_way[_i].was_up);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), FO_NEVER);
    fo_monitor_answer(child->monitor, check_at(0), under_way[_i].answer, now + 1 * SEC);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER),
                     under_way[_i].is_kept ? now + ERROR : FO_NEVER);
    fo_monitor_hear_hints(child->monitor, now);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER),
                     under_way[_i].is_kept ? now + ERROR : FO_NEVER);
}
END_TEST

/* It is heard after the answer: the same. */
START_TEST(a_hint_that_is_heard_after_the_answer)
{
    child_t *child = one_child();

    ping(child, &passed);
    fo_shared_tell(shared, 0, true, now);
    ping(child, _i ? &refused : &passed);
    fo_monitor_hear_hints(child->monitor, now);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), _i ? FO_NEVER : now + ERROR);
}
END_TEST

/* An error of its own is not dropped by an answer that a hint foretold. */
START_TEST(an_error_under_way_is_kept)
{
    child_t *child = one_child();

    ping(child, &passed);
    fo_monitor_start(child->monitor, check_at(0), now);
    hint(child, true);
    fo_monitor_hurry(child->monitor, check_at(0));
    fo_monitor_answer(child->monitor, check_at(0), &refused, now);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), now + ERROR);
}
END_TEST

START_TEST(hints_from_before_it_joined)
{
    child_t *child;

    add("db", "tcp://db:1");
    start(1, 4);
    fo_shared_tell(shared, 0, true, now);
    child = &children[1];
    child->board = fo_board_make(plan, pool);
    child->monitor = fo_monitor_make(plan, child->board, 1, observe, child, pool);
    fo_monitor_join(child->monitor, shared, FO_SLOT_NONE);
    ping(child, &passed);
    fo_monitor_hear_hints(child->monitor, now);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), FO_NEVER);
    hint(child, true);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), now + ERROR);
}
END_TEST

/* What was told of one target before it joined is no news when another one's hint makes it look. */
START_TEST(old_hints_stay_old)
{
    child_t *child;

    add("a", "tcp://a:1");
    add("b", "tcp://b:1");
    start(1, 4);
    fo_shared_tell(shared, 1, true, now);
    child = &children[0];
    child->monitor = fo_monitor_make(plan, child->board, 1, observe, child, pool);
    fo_monitor_join(child->monitor, shared, FO_SLOT_NONE);
    hint(child, true);
    ck_assert_int_eq(fo_monitor_due_at(child->monitor, check_at(0), FO_TRIGGER_TIMER), 0);
    ck_assert_int_eq(fo_monitor_due_at(child->monitor, check_at(1), FO_TRIGGER_TIMER), FO_NEVER);
}
END_TEST

START_TEST(a_hint_is_for_one_check)
{
    child_t *child;

    add("a", "tcp://a:1");
    add("b", "tcp://b:1");
    start(1, 4);
    child = &children[0];
    for (unsigned i = 0; i < 2; i++) {
        fo_monitor_start(child->monitor, check_at(i), now);
        fo_monitor_answer(child->monitor, check_at(i), &passed, now);
    }
    fo_shared_tell(shared, 1, true, now);
    fo_monitor_hear_hints(child->monitor, now);
    ck_assert_int_eq(fo_monitor_due_at(child->monitor, check_at(0), FO_TRIGGER_TIMER), FO_NEVER);
    ck_assert_int_eq(fo_monitor_due_at(child->monitor, check_at(1), FO_TRIGGER_TIMER), now + ERROR);
}
END_TEST

/* Its own discovery is no news either where another service on that target is not convinced yet. */
START_TEST(news_to_one_service_of_two)
{
    child_t *child;

    add("quick", "tcp://db:1");
    policy.value[FO_POLICY_FALL] = 9;
    policy.value[FO_POLICY_CONFIRM] = policy.value[FO_POLICY_CAP] = 60 * SEC;
    add("slow", "tcp://db:1");
    start(1, 4);
    child = &children[0];
    ping(child, &refused);
    fo_monitor_hear_hints(child->monitor, now);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), now + 60 * SEC);
    hint(child, true); /* a sibling's is */
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), now + ERROR);
}
END_TEST

/* A request is told of news until they are heard. */
START_TEST(the_board_knows_what_has_been_heard)
{
    child_t *child = one_child();

    ping(child, &passed);
    fo_monitor_publish_due(child->monitor, FO_TRIGGER_REQUEST, now);
    ck_assert(fo_board_is_calm(child->board, scope, FO_TRIGGER_REQUEST));
    fo_shared_tell(shared, 0, false, now);
    ck_assert(!fo_board_is_calm(child->board, scope, FO_TRIGGER_REQUEST));
    fo_monitor_hear_hints(child->monitor, now);
    ck_assert(fo_board_is_calm(child->board, scope, FO_TRIGGER_REQUEST));
    ck_assert(!fo_board_claim_due(child->board, scope, FO_TRIGGER_REQUEST));
}
END_TEST

/* Time-outs */

static const struct {
    const fo_report_t *seen;
    char events[4]; /* e: an error of its own, d, u: a hint */
    apr_interval_time_t timeout;
} timeouts[] = {
    { &passed, "", TIMEOUT_UP },    { &passed, "e", TIMEOUT_UP },   { &passed, "d", TIMEOUT_DOWN },
    { &passed, "de", TIMEOUT_UP },  { &passed, "ed", TIMEOUT_UP },  { &passed, "u", TIMEOUT_UP },
    { &passed, "ded", TIMEOUT_UP }, { &passed, "dd", TIMEOUT_DOWN },
    { &refused, "u", TIMEOUT_DOWN }, { &refused, "e", TIMEOUT_DOWN },
};

/* What a sibling found down is not given the time of what works; an error of its own is no hint. */
START_TEST(a_hinted_ping_has_the_time_of_an_outage)
{
    child_t *child = one_child();

    ping(child, timeouts[_i].seen);
    for (const char *event = timeouts[_i].events; *event; event++) {
        if (*event == 'e')
            fo_monitor_hurry(child->monitor, check_at(0));
        else
            hint(child, *event == 'd');
    }
    ck_assert_int_eq(ping(child, timeouts[_i].seen).timeout, timeouts[_i].timeout);
    ck_assert_int_eq(ping(child, &passed).timeout,
                     timeouts[_i].seen == &passed ? TIMEOUT_UP : TIMEOUT_DOWN);
}
END_TEST

/* A hint that the answer contradicts is still one. */
START_TEST(a_kept_hint_has_the_time_of_an_outage)
{
    child_t *child = one_child();

    ping(child, &passed);
    fo_monitor_start(child->monitor, check_at(0), now);
    hint(child, true);
    fo_monitor_answer(child->monitor, check_at(0), &passed, now);
    ck_assert_int_eq(ping(child, &passed).timeout, TIMEOUT_DOWN);
    ck_assert_int_eq(ping(child, &passed).timeout, TIMEOUT_UP);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), FO_NEVER);
}
END_TEST

/* Errors */

/* An error soon after a ping is remembered: due as soon as the error frequency allows. */
START_TEST(an_error_is_remembered)
{
    child_t *child = one_child();
    apr_time_t pinged_at = now;

    ping(child, &passed);
    now += 1 * SEC;
    fo_monitor_hurry(child->monitor, check_at(0));
    ck_assert_int_eq(fo_monitor_next_at(child->monitor, FO_TRIGGER_TIMER), pinged_at + ERROR);
    now += 1 * SEC;
    fo_monitor_hurry(child->monitor, check_at(0));
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), pinged_at + ERROR);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_REQUEST), pinged_at + ERROR);
    now = pinged_at + ERROR;
    ping(child, &passed);
    ck_assert_int_eq(fo_monitor_next_at(child->monitor, FO_TRIGGER_TIMER), FO_NEVER);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_REQUEST), now + 120 * SEC);
}
END_TEST

/* Places */

/* All places are taken, by whom is no matter. */
static fo_cell_t take_places(unsigned n)
{
    fo_cell_t last = { .cell = -1 };

    for (unsigned i = 0; i < n; i++) {
        last = fo_shared_enter(shared, 0, now, now + 1000 * SEC);
        ck_assert_int_ge(last.cell, 0);
    }
    return last;
}

START_TEST(without_siblings_there_is_always_a_place)
{
    fo_monitor_t *monitor;

    add("db", "tcp://db:1");
    monitor = fo_monitor_make(plan, fo_board_make(plan, pool), 1, NULL, NULL, pool);
    fo_monitor_hear_hints(monitor, now);
    for (int i = 0; i < 100; i++) {
        ck_assert(fo_monitor_enter(monitor, check_at(0), now));
        fo_monitor_start(monitor, check_at(0), now);
        if (i % 2)
            fo_monitor_answer(monitor, check_at(0), &passed, now);
        else
            fo_monitor_give_up(monitor, check_at(0));
    }
}
END_TEST

/* Who finds no place keeps its state, and is due by itself soon, then later and later. */
START_TEST(no_place_is_left)
{
    child_t *child = one_child();
    apr_interval_time_t least = 5 * MS;
    unsigned told;

    ping(child, &refused);
    take_places(4);
    told = fo_shared_hint(shared, 0);
    now += 30 * SEC;
    ck_assert_int_le(due_at(child, FO_TRIGGER_REQUEST), now);
    for (int i = 0; i < 12; i++) {
        if (i % 2)
            fo_monitor_queue(child->monitor, check_at(0));
        ck_assert(!fo_monitor_enter(child->monitor, check_at(0), now));
        for (int trigger = 0; trigger < FO_TRIGGER_COUNT; trigger++) {
            apr_time_t at = due_at(child, (fo_trigger_e)trigger);
            ck_assert_int_ge(at, now + least);
            ck_assert_int_le(at, now + 3 * least);
        }
        least = least < 80 * MS ? 2 * least : least;
        now = due_at(child, FO_TRIGGER_TIMER);
    }
    ck_assert_int_eq(state_of(child), FO_SERVICE_DOWN);
    ck_assert_int_eq(child->n_outages, 1);
    ck_assert_uint_eq(fo_shared_hint(shared, 0), told);
}
END_TEST

static const struct {
    enum { ANSWER, GIVE_UP, SELF, TIME } by;
} endings[] = { { ANSWER }, { GIVE_UP }, { SELF }, { TIME } };

/* The place of a ping is free again once it has ended, however it did. */
START_TEST(a_place_is_given_back)
{
    child_t *one, *other;

    add("db", "tcp://db:1");
    start(2, 1);
    one = &children[0];
    other = &children[1];
    ck_assert(fo_monitor_enter(one->monitor, check_at(0), now));
    fo_monitor_start(one->monitor, check_at(0), now);
    ck_assert(!fo_monitor_enter(other->monitor, check_at(0), now));
    if (endings[_i].by == GIVE_UP)
        fo_monitor_give_up(one->monitor, check_at(0));
    else if (endings[_i].by != TIME)
        fo_monitor_answer(one->monitor, check_at(0),
                          endings[_i].by == SELF ? &starved : &passed, now);
    else
        now += 20 * SEC; /* its process was killed */
    ck_assert(fo_monitor_enter(other->monitor, check_at(0), now));
    fo_monitor_start(other->monitor, check_at(0), now);
    if (endings[_i].by == TIME) /* the late answer frees nobody else's place */
        fo_monitor_answer(one->monitor, check_at(0), &passed, now);
    ck_assert(!fo_monitor_enter(one->monitor, check_at(0), now));
    fo_monitor_answer(other->monitor, check_at(0), &passed, now);
    ck_assert(fo_monitor_enter(one->monitor, check_at(0), now));
}
END_TEST

/* A place outlives whatever its ping may take. */
START_TEST(a_place_lasts_as_long_as_a_ping)
{
    child_t *child;

    add("db", "tcp://db:1");
    start(1, 1);
    child = &children[0];
    ping(child, _i ? &refused : &passed);
    ck_assert(fo_monitor_enter(child->monitor, check_at(0), now));
    now += fo_monitor_start(child->monitor, check_at(0), now).timeout;
    ck_assert_int_eq(fo_shared_enter(shared, 0, now, now + 1).cell, -1);
}
END_TEST

/* Once it has had a place, the next refusal counts from the first again. */
START_TEST(refusals_are_counted_in_a_row)
{
    child_t *child = one_child();
    fo_cell_t place = take_places(4);

    for (int i = 0; i < 8; i++)
        ck_assert(!fo_monitor_enter(child->monitor, check_at(0), now));
    ck_assert_int_ge(due_at(child, FO_TRIGGER_TIMER), now + 80 * MS);
    fo_shared_leave(shared, 0, place);
    ping(child, &passed);
    ck_assert_int_eq(due_at(child, FO_TRIGGER_TIMER), FO_NEVER);
    take_places(1);
    ck_assert(!fo_monitor_enter(child->monitor, check_at(0), now));
    ck_assert_int_le(due_at(child, FO_TRIGGER_TIMER), now + 15 * MS);
}
END_TEST

/* The crowd */

START_TEST(two_converge_each_by_its_own_ping)
{
    child_t *one = &children[0], *other = &children[1];

    add("db", "tcp://db:1");
    start(2, 4);
    ping(one, &passed);
    ping(other, &passed);
    for (int round = 0; round < 2; round++) {
        const fo_report_t *report = round ? &passed : &refused;
        fo_service_state_e before = state_of(other);
        now += 20 * SEC;
        ping(one, report);
        fo_monitor_hear_hints(other->monitor, now);
        ck_assert_int_eq(state_of(other), before); /* a hint alone changes nothing */
        ck_assert_int_le(due_at(other, FO_TRIGGER_TIMER), now);
        ping(other, report);
        ck_assert_int_eq(state_of(other), state_of(one));
        fo_monitor_hear_hints(one->monitor, now);
        fo_monitor_hear_hints(other->monitor, now);
        ck_assert_int_eq(due_at(one, FO_TRIGGER_TIMER), FO_NEVER);
        ck_assert_int_eq(due_at(other, FO_TRIGGER_TIMER), FO_NEVER);
    }
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(children[i].n_outages, 1);
        ck_assert_int_eq(children[i].n_recoveries, 1);
    }
}
END_TEST

/* One sees what the others do not, as a child with a broken network: no endless pinging follows. */
START_TEST(one_that_differs_is_no_alarm_bell)
{
    child_t *odd = &children[0], *sane = &children[1];
    int n = 0;

    add("db", "tcp://db:1");
    start(2, 4);
    ping(odd, &refused);
    ping(sane, &passed);
    for (int i = 0; i < 1000; i++, now += 100 * MS) {
        for (int j = 0; j < 2; j++) {
            fo_monitor_hear_hints(children[j].monitor, now);
            if (due_at(&children[j], FO_TRIGGER_TIMER) <= now) {
                ping(&children[j], j ? &passed : &refused);
                n++;
            }
        }
    }
    ck_assert_int_le(n, 2);
    ck_assert_int_eq(state_of(odd), FO_SERVICE_DOWN);
    ck_assert_int_eq(state_of(sane), FO_SERVICE_UP);
}
END_TEST

/* One child's loop at this instant; requests come all the time. The service is mute while down. */
static void turn(child_t *child, bool is_down)
{
    fo_ping_t order;

    if (child->is_pinging && now >= child->ends_at) {
        child->is_pinging = false;
        fo_monitor_answer(child->monitor, check_at(0), is_down ? &refused : &passed, now);
    }
    fo_monitor_hear_hints(child->monitor, now);
    if (due_at(child, FO_TRIGGER_REQUEST) > now && due_at(child, FO_TRIGGER_TIMER) > now)
        return;
    if (!fo_monitor_enter(child->monitor, check_at(0), now))
        return;
    order = fo_monitor_start(child->monitor, check_at(0), now);
    child->is_pinging = true;
    child->n_pings++;
    child->ends_at = now + (is_down ? order.timeout : 10 * MS);
}

static int count_under_way(void)
{
    int n = 0;

    for (int i = 0; i < CHILDREN; i++)
        n += children[i].is_pinging;
    return n;
}

/* From the first child's discovery to the last one's own. */
static apr_interval_time_t spread_of(bool is_down, unsigned n_cells)
{
    apr_time_t until = now + 150 * SEC, first = FO_NEVER, last = 0;
    int n = 0;

    for (; n < CHILDREN && now < until; now += 10 * MS) {
        n = 0;
        for (int i = 0; i < CHILDREN; i++) {
            turn(&children[i], is_down);
            n += state_of(&children[i]) == (is_down ? FO_SERVICE_DOWN : FO_SERVICE_UP);
        }
        ck_assert_int_le(count_under_way(), (int)n_cells);
    }
    ck_assert_int_eq(n, CHILDREN);
    for (int i = 0; i < CHILDREN; i++) {
        first = children[i].changed_at < first ? children[i].changed_at : first;
        last = children[i].changed_at > last ? children[i].changed_at : last;
    }
    return last - first;
}

static void run_well(apr_interval_time_t span)
{
    apr_time_t until = now + span;

    for (; now < until; now += 10 * MS)
        for (int i = 0; i < CHILDREN; i++)
            turn(&children[i], false);
}

static const struct {
    unsigned n_cells;
    apr_interval_time_t outage, recovery; /* at most */
} crowds[] = {
    { CHILDREN, ERROR + TIMEOUT_DOWN, ERROR + 20 * MS },
    { CHILDREN / 2, ERROR + 2 * TIMEOUT_DOWN + 500 * MS, ERROR + 500 * MS },
};

/* All find it within one error frequency and one ping of the first, and each by itself. */
START_TEST(a_crowd_finds_it_together)
{
    apr_interval_time_t span;
    int n_pings = 0;

    policy.value[FO_POLICY_SPREAD] = 5;
    add("db", "tcp://db:1");
    start(CHILDREN, crowds[_i].n_cells);
    for (int i = 0; i < CHILDREN; i++) { /* they begin one after the other */
        turn(&children[i], false);
        run_well(40 * MS);
    }
    run_well(200 * SEC);
    for (int i = 0; i < CHILDREN; i++)
        n_pings -= children[i].n_pings;
    span = spread_of(true, crowds[_i].n_cells);
    ck_assert_msg(span <= crowds[_i].outage, "the outage: %d ms", (int)(span / MS));
    for (int i = 0; i < CHILDREN; i++)
        n_pings += children[i].n_pings;
    ck_assert_int_le(n_pings, 3 * CHILDREN);
    span = spread_of(false, crowds[_i].n_cells);
    ck_assert_msg(span <= crowds[_i].recovery, "the recovery: %d ms", (int)(span / MS));
    for (int i = 0; i < CHILDREN; i++) {
        ck_assert_int_eq(children[i].n_outages, 1);
        ck_assert_int_eq(children[i].n_recoveries, 1);
    }
}
END_TEST

static TCase *case_of(const char *name)
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_set_timeout(tc, 60);
    return tc;
}

static TCase *hints_case(void)
{
    TCase *tc = case_of("hints");

    tcase_add_loop_test(tc, a_hint_is_heard_where_it_is_news, 0, COUNT(news));
    tcase_add_test(tc, a_hint_after_a_long_time);
    tcase_add_test(tc, what_it_has_found_itself_is_no_news);
    tcase_add_test(tc, only_discoveries_are_told);
    tcase_add_loop_test(tc, a_hint_while_a_ping_is_under_way, 0, COUNT(under_way));
    tcase_add_loop_test(tc, a_hint_that_is_heard_after_the_answer, 0, 2);
    tcase_add_test(tc, an_error_under_way_is_kept);
    tcase_add_test(tc, hints_from_before_it_joined);
    tcase_add_test(tc, old_hints_stay_old);
    tcase_add_test(tc, a_hint_is_for_one_check);
    tcase_add_test(tc, news_to_one_service_of_two);
    tcase_add_test(tc, the_board_knows_what_has_been_heard);
    tcase_add_loop_test(tc, a_hinted_ping_has_the_time_of_an_outage, 0, COUNT(timeouts));
    tcase_add_test(tc, a_kept_hint_has_the_time_of_an_outage);
    tcase_add_test(tc, an_error_is_remembered);
    return tc;
}

static TCase *crowd_case(void)
{
    TCase *tc = case_of("crowd");

    tcase_add_test(tc, without_siblings_there_is_always_a_place);
    tcase_add_test(tc, no_place_is_left);
    tcase_add_loop_test(tc, a_place_is_given_back, 0, COUNT(endings));
    tcase_add_loop_test(tc, a_place_lasts_as_long_as_a_ping, 0, 2);
    tcase_add_test(tc, refusals_are_counted_in_a_row);
    tcase_add_test(tc, two_converge_each_by_its_own_ping);
    tcase_add_test(tc, one_that_differs_is_no_alarm_bell);
    tcase_add_loop_test(tc, a_crowd_finds_it_together, 0, COUNT(crowds));
    return tc;
}

static Suite *suite(void)
{
    Suite *s = suite_create("fo_monitor_crowd");

    suite_add_tcase(s, hints_case());
    suite_add_tcase(s, crowd_case());
    return s;
}

UNIT_MAIN(suite)

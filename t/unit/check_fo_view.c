/* What the whole server sees, gathered from rows that children published. */
#include "core/fo_view.h"

#include "core/fo_lease.h"
#include "core/fo_row.h"

#include "unit.h"

#define NOW (1000 * SEC)
#define WALL (1767225600 * SEC)

static fo_plan_t *plan;
static fo_policy_t policy;
static fo_service_t *db, *cache;
static fo_shared_t *shared;
static const fo_row_t up = {
    .state = FO_STATE_UP, .verdict = FO_VERDICT_PASS, .is_in_use = 1, .due_at = FO_NEVER
};
static const fo_row_t down = { .state = FO_STATE_DOWN,
                               .verdict = FO_VERDICT_FAIL,
                               .due_at = FO_NEVER };
static const fo_row_t unknown = { .is_in_use = 1 };

static void setup(void)
{
    unit_setup();
    policy = unit_policy();
    plan = fo_plan_make(pool);
    db = unit_service(plan, "db", &policy, "tcp://a:1", NULL);
    cache = unit_service(plan, "cache", &policy, "tcp://b:2", NULL);
    shared = unit_shared(2, 4);
    ck_assert(fo_shared_adopt(shared, plan, NULL));
}

/* A child of this plan, with its slot. */
static int child(apr_int64_t pid, apr_time_t started_at)
{
    return fo_slot_claim(shared, pid, plan->generation, started_at);
}

static const fo_endpoint_t *endpoint(const fo_service_t *service, unsigned rank)
{
    return fo_service_endpoint(service, rank);
}

static void see(int slot, const fo_service_t *service, fo_row_t row)
{
    fo_row_write(shared, slot, endpoint(service, 0)->seat, &row);
}

static fo_row_t since(fo_row_t row, apr_time_t since_at)
{
    row.since_at = since_at;
    return row;
}

static const fo_view_t *view(void)
{
    return fo_view_make(plan, shared, NOW, WALL, pool);
}

static const fo_view_service_t *seen(const fo_view_t *now, const fo_service_t *service)
{
    return &now->services[service->index];
}

static const fo_view_endpoint_t *seen_endpoint(const fo_view_t *now, const fo_service_t *service)
{
    return &now->endpoints[endpoint(service, 0)->index];
}

START_TEST(nothing_at_all)
{
    fo_record_t record;
    const fo_view_t *none = fo_view_make(fo_plan_make(pool), NULL, NOW, WALL, pool);
    const fo_view_t *alone = fo_view_make(plan, NULL, NOW, WALL, pool);

    ck_assert_uint_eq(none->n_children, 0);
    ck_assert_uint_eq(none->n_slots, 0);
    ck_assert_int_eq(seen(alone, db)->state, FO_VIEW_UNKNOWN);
    ck_assert_int_eq(seen_endpoint(alone, db)->state, FO_STATE_UNKNOWN);
    ck_assert(seen_endpoint(alone, db)->due_at == FO_NEVER);
    fo_view_record(alone, endpoint(db, 0), &record);
    ck_assert_uint_eq(record.n_history, 0);
    ck_assert(!record.failure.at);
}
END_TEST

START_TEST(slots_without_children)
{
    const fo_view_t *now = view();

    ck_assert_uint_eq(now->n_slots, 4);
    ck_assert_uint_eq(now->n_children, 0);
    ck_assert_uint_eq(now->n_counted, 0);
}
END_TEST

/* How many children see db up, down and not yet, and what is told of it. */
START_TEST(most_of_those_that_know)
{
    static const struct {
        unsigned n_up, n_down, n_unknown;
        fo_view_state_e state;
        fo_state_e endpoint;
    } cases[] = {
        { 0, 0, 0, FO_VIEW_UNKNOWN, FO_STATE_UNKNOWN },
        { 0, 0, 3, FO_VIEW_UNKNOWN, FO_STATE_UNKNOWN },
        { 1, 0, 3, FO_VIEW_UP, FO_STATE_UP },
        { 0, 1, 3, FO_VIEW_DOWN, FO_STATE_DOWN },
        { 2, 1, 1, FO_VIEW_UP, FO_STATE_UP },
        { 1, 2, 0, FO_VIEW_DOWN, FO_STATE_DOWN },
        { 1, 1, 2, FO_VIEW_DOWN, FO_STATE_DOWN },
        { 2, 2, 0, FO_VIEW_DOWN, FO_STATE_DOWN },
    };
    unsigned n = cases[_i].n_up + cases[_i].n_down + cases[_i].n_unknown;
    const fo_view_t *now;

    for (unsigned i = 0; i < n; i++)
        see(child((apr_int64_t)i + 1, SEC), db,
            i < cases[_i].n_up                      ? up
            : i < cases[_i].n_up + cases[_i].n_down ? down
                                                    : unknown);
    now = view();
    ck_assert_int_eq(seen(now, db)->state, cases[_i].state);
    ck_assert_uint_eq(seen(now, db)->parts[FO_VIEW_UP].n, cases[_i].n_up);
    ck_assert_uint_eq(seen(now, db)->parts[FO_VIEW_DOWN].n, cases[_i].n_down);
    ck_assert_uint_eq(seen(now, db)->parts[FO_VIEW_UNKNOWN].n, cases[_i].n_unknown);
    ck_assert_int_eq(seen_endpoint(now, db)->state, cases[_i].endpoint);
    ck_assert_uint_eq(seen_endpoint(now, db)->parts[FO_STATE_UP].n, cases[_i].n_up);
    ck_assert_uint_eq(seen_endpoint(now, db)->parts[FO_STATE_DOWN].n, cases[_i].n_down);
    ck_assert_uint_eq(now->n_counted, n);
    ck_assert_int_eq(seen(now, cache)->state, FO_VIEW_UNKNOWN);
}
END_TEST

/* Each state that a row may have is counted as itself. */
START_TEST(states_of_an_endpoint)
{
    fo_row_t row = { .state = (apr_byte_t)_i, .due_at = FO_NEVER };
    const fo_view_t *now;

    see(child(1, SEC), db, row);
    now = view();
    for (int state = 0; state < FO_STATE_COUNT; state++)
        ck_assert_uint_eq(seen_endpoint(now, db)->parts[state].n, state == _i);
    ck_assert_int_eq(seen_endpoint(now, db)->state, (fo_state_e)_i);
}
END_TEST

START_TEST(another_endpoint_is_a_failover)
{
    fo_endpoint_t *light, *heavy;
    int slot;

    plan = fo_plan_make(pool);
    db = unit_service(plan, "db", &policy, "tcp://a:1", NULL);
    light = fo_service_endpoint(db, 0);
    heavy = fo_plan_add_endpoint(plan, db, "heavy", "heavy", 2, fo_plan_target(plan, "tcp://c:3"));
    shared = unit_shared(2, 4);
    ck_assert(fo_shared_adopt(shared, plan, NULL));
    slot = child(1, SEC);
    fo_row_write(shared, slot, light->seat, &up);
    fo_row_write(shared, slot, heavy->seat, &down);
    ck_assert_int_eq(seen(view(), db)->state, FO_VIEW_FAILOVER);
    fo_row_write(shared, slot, light->seat, &down);
    ck_assert_int_eq(seen(view(), db)->state, FO_VIEW_DOWN);
    fo_row_write(shared, slot, heavy->seat, &up);
    ck_assert_int_eq(seen(view(), db)->state, FO_VIEW_UP);
}
END_TEST

/* The first of those that see a state; of one that never changed, when the child began. */
START_TEST(since_when)
{
    see(child(1, 10 * SEC), db, since(down, 30 * SEC));
    see(child(2, 11 * SEC), db, since(down, 20 * SEC));
    see(child(3, 12 * SEC), db, since(up, 5 * SEC));
    see(child(4, 13 * SEC), cache, up);
    ck_assert_int_eq(seen(view(), db)->parts[FO_VIEW_DOWN].since_at, 20 * SEC);
    ck_assert_int_eq(seen(view(), db)->parts[FO_VIEW_UP].since_at, 5 * SEC);
    ck_assert_int_eq(seen_endpoint(view(), db)->parts[FO_STATE_DOWN].since_at, 20 * SEC);
    ck_assert_int_eq(seen(view(), cache)->parts[FO_VIEW_UP].since_at, 13 * SEC);
    ck_assert_int_eq(seen_endpoint(view(), cache)->parts[FO_STATE_UP].since_at, 13 * SEC);
}
END_TEST

START_TEST(pings_and_epochs)
{
    fo_row_t old = up, young = down;
    const fo_view_endpoint_t *told;

    old.pinged_at = 100 * SEC;
    old.took = 7;
    old.due_at = 300 * SEC;
    old.epoch = 9;
    young.pinged_at = 200 * SEC;
    young.took = 8;
    young.due_at = 400 * SEC;
    young.epoch = 2;
    see(child(1, SEC), db, young);
    see(child(2, SEC), db, old);
    told = seen_endpoint(view(), db);
    ck_assert_int_eq(told->pinged_at, 200 * SEC);
    ck_assert_int_eq(told->took, 8);
    ck_assert_int_eq(told->verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(told->due_at, 300 * SEC);
    ck_assert_uint_eq(seen(view(), db)->epoch, 9);
    ck_assert(seen_endpoint(view(), cache)->due_at == FO_NEVER);
}
END_TEST

/* What a child of another configuration sees is told of it, and counts for nothing else. */
START_TEST(children_of_another_generation)
{
    int old = fo_slot_claim(shared, 7, plan->generation, SEC);
    const fo_view_t *now;

    ck_assert(fo_shared_adopt(shared, plan, NULL));
    see(old, db, down);
    see(child(8, SEC), db, up);
    now = view();
    ck_assert_uint_eq(now->n_children, 2);
    ck_assert_uint_eq(now->n_counted, 1);
    ck_assert_int_eq(seen(now, db)->state, FO_VIEW_UP);
    ck_assert_uint_eq(seen(now, db)->parts[FO_VIEW_DOWN].n, 0);
    for (unsigned i = 0; i < 2; i++) {
        bool is_old = now->children[i].slot.pid == 7;
        ck_assert(now->children[i].is_counted != is_old);
        ck_assert_uint_eq(now->children[i].n_down, is_old);
    }
}
END_TEST

/* What a child sees whose monitor wakes when it means to. */
static int see_fresh(apr_int64_t pid, const fo_service_t *service, fo_row_t row)
{
    int slot = child(pid, SEC);

    fo_slot_beat(shared, slot, NOW, NOW);
    see(slot, service, row);
    return slot;
}

/* Stopped, or hung: however many they are, they do not outvote the one that lives. */
START_TEST(late_children_do_not_decide)
{
    static const fo_row_t *const rows[] = { &up, &down };
    const fo_row_t own = *rows[_i], theirs = *rows[!_i];
    fo_view_state_e state = _i ? FO_VIEW_DOWN : FO_VIEW_UP;
    const fo_view_t *now;

    for (int i = 0; i < 3; i++)
        fo_slot_beat(shared, see_fresh(i + 1, db, theirs), SEC, NOW - FO_SLOT_PATIENCE - 1);
    now = view();
    ck_assert_int_ne(seen(now, db)->state, state); /* where none lives, the last words hold */
    see_fresh(4, db, own);
    now = view();
    ck_assert_int_eq(seen(now, db)->state, state);
    ck_assert_uint_eq(seen(now, db)->parts[state].n, 1);
    ck_assert_uint_eq(seen(now, db)->parts[state].n_fresh, 1);
    ck_assert_uint_eq(seen(now, db)->parts[_i ? FO_VIEW_UP : FO_VIEW_DOWN].n, 3);
    ck_assert_uint_eq(seen(now, db)->parts[_i ? FO_VIEW_UP : FO_VIEW_DOWN].n_fresh, 0);
    ck_assert_int_eq(seen_endpoint(now, db)->state, _i ? FO_STATE_DOWN : FO_STATE_UP);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(now->children[i].is_late, now->children[i].slot.pid != 4);
}
END_TEST

/* One that is just within its time is heard. */
START_TEST(those_in_time_decide)
{
    fo_slot_beat(shared, see_fresh(1, db, down), SEC, NOW - FO_SLOT_PATIENCE);
    ck_assert(!view()->children[0].is_late);
    see_fresh(2, db, up);
    ck_assert_int_eq(seen(view(), db)->state, FO_VIEW_DOWN);
    see_fresh(3, db, up);
    ck_assert_int_eq(seen(view(), db)->state, FO_VIEW_UP);
}
END_TEST

/* A child that lives but knows nothing yet does not make the others' last words nothing. */
START_TEST(one_that_lives_and_does_not_know)
{
    see(child(1, SEC), db, down);
    see_fresh(2, db, unknown);
    ck_assert_int_eq(seen(view(), db)->state, FO_VIEW_DOWN);
}
END_TEST

/* What the others saw before somebody found the contrary counts again once they have looked. */
START_TEST(a_discovery_outdates_what_was_seen_before)
{
    fo_row_t before = up, after = up, found = down;
    int slots[3];

    before.pinged_at = NOW - 20 * SEC;
    after.pinged_at = NOW - 5 * SEC;
    found.pinged_at = found.since_at = NOW - 10 * SEC;
    for (int i = 0; i < 3; i++)
        slots[i] = see_fresh(i + 1, db, before);
    see_fresh(4, db, found);
    ck_assert_int_eq(seen(view(), db)->state, FO_VIEW_UP);
    fo_shared_tell(shared, endpoint(db, 0)->target->seat, true, NOW - 10 * SEC);
    ck_assert_int_eq(seen(view(), db)->state, FO_VIEW_DOWN);
    ck_assert_uint_eq(seen(view(), db)->parts[FO_VIEW_UP].n, 3);
    see(slots[0], db, after);
    see(slots[1], db, after);
    ck_assert_int_eq(seen(view(), db)->state, FO_VIEW_UP);
    ck_assert_int_eq(seen(view(), cache)->state, FO_VIEW_UNKNOWN);
}
END_TEST

/* When the first of those saw it whose word holds. */
START_TEST(since_when_for_those_that_decide)
{
    see(child(1, SEC), db, since(down, 10 * SEC));
    ck_assert_int_eq(seen(view(), db)->parts[FO_VIEW_DOWN].since_at, 10 * SEC);
    see_fresh(2, db, since(down, 40 * SEC));
    ck_assert_int_eq(seen(view(), db)->parts[FO_VIEW_DOWN].since_at, 40 * SEC);
    see_fresh(3, db, since(down, 30 * SEC));
    see(child(4, SEC), db, since(down, 20 * SEC));
    ck_assert_int_eq(seen(view(), db)->parts[FO_VIEW_DOWN].since_at, 30 * SEC);
    ck_assert_uint_eq(seen(view(), db)->parts[FO_VIEW_DOWN].n, 4);
}
END_TEST

START_TEST(some_services_alone)
{
    apr_array_header_t *one = apr_array_make(pool, 1, sizeof(fo_service_t *));
    int slot = child(1, SEC);
    const fo_view_t *now;

    APR_ARRAY_PUSH(one, fo_service_t *) = cache;
    see(slot, db, down);
    see(slot, cache, down);
    now = fo_view_of(plan, one, shared, NOW, WALL, pool);
    ck_assert_int_eq(seen(now, cache)->state, FO_VIEW_DOWN);
    ck_assert_int_eq(seen(now, db)->state, FO_VIEW_UNKNOWN);
    ck_assert_int_eq(seen_endpoint(now, db)->state, FO_STATE_UNKNOWN);
    ck_assert_uint_eq(now->children[0].n_down, 1);
    ck_assert_uint_eq(now->n_counted, 1);
}
END_TEST

START_TEST(what_each_child_sees_down)
{
    int first = child(1, SEC), second = child(2, SEC);
    const fo_view_t *now;

    see(first, db, down);
    see(first, cache, down);
    see(second, db, up);
    fo_slot_beat(shared, second, 50 * SEC, 60 * SEC);
    fo_slot_count_wait(shared, second, 4000);
    now = view();
    ck_assert_uint_eq(now->children[0].n_down, 2);
    ck_assert_ptr_eq(now->children[0].down[0], db);
    ck_assert_ptr_eq(now->children[0].down[1], cache);
    ck_assert_uint_eq(now->children[1].n_down, 0);
    ck_assert_int_eq(now->children[1].slot.beat_at, 50 * SEC);
    ck_assert_uint_eq(now->children[1].slot.waits, 1);
    ck_assert_int_eq(now->children[1].slot.waited, 4000);
}
END_TEST

/* More than are named are counted all the same. */
START_TEST(names_are_bounded)
{
    int slot;
    const fo_view_t *now;

    plan = fo_plan_make(pool);
    for (int i = 0; i < FO_VIEW_NAMES + 3; i++)
        unit_service(plan, apr_psprintf(pool, "s%d", i), &policy, "tcp://a:1", NULL);
    shared = unit_shared(FO_VIEW_NAMES + 3, 1);
    ck_assert(fo_shared_adopt(shared, plan, NULL));
    slot = child(1, SEC);
    for (int i = 0; i < FO_VIEW_NAMES + 3; i++)
        see(slot, fo_plan_service(plan, (unsigned)i), down);
    now = view();
    ck_assert_uint_eq(now->children[0].n_down, FO_VIEW_NAMES + 3);
    ck_assert_str_eq(now->children[0].down[FO_VIEW_NAMES - 1]->name, "s15");
}
END_TEST

/* Where one child pings for all, only it knows when the next ping is due. */
START_TEST(the_one_that_pings_for_all)
{
    int follower = child(1, SEC), leader = child(2, SEC);
    fo_row_t own = up;

    own.due_at = 1005 * SEC;
    see(follower, db, unknown);
    see(leader, db, own);
    ck_assert(fo_lease_take(shared, leader, plan->generation, NOW - SEC, 10 * SEC));
    ck_assert_int_eq(view()->leader, 0);
    ck_assert_int_eq(seen_endpoint(view(), db)->due_at, 0);
    plan->ways.lease = 10 * SEC;
    ck_assert_int_eq(view()->leader, 2);
    ck_assert_int_eq(seen_endpoint(view(), db)->due_at, 1005 * SEC);
    ck_assert_int_eq(fo_view_make(plan, shared, NOW + 10 * SEC, WALL, pool)->leader, 0);
}
END_TEST

START_TEST(the_last_reason)
{
    fo_report_t report = { .verdict = FO_VERDICT_FAIL, .stage = FO_STAGE_LOGIN, .code = 1040 };
    fo_record_t record;

    fo_record_add(shared, endpoint(db, 0)->target->seat, &report, 900 * SEC);
    fo_view_record(view(), endpoint(db, 0), &record);
    ck_assert_int_eq(record.failure.report.code, 1040);
    ck_assert_int_eq(record.failure.at, 900 * SEC);
    ck_assert_uint_eq(record.n_history, 1);
    fo_view_record(view(), endpoint(cache, 0), &record);
    ck_assert_uint_eq(record.n_history, 0);
}
END_TEST

START_TEST(wall_clock)
{
    ck_assert_int_eq(fo_view_wall(view(), NOW), WALL);
    ck_assert_int_eq(fo_view_wall(view(), NOW - 5 * SEC), WALL - 5 * SEC);
    ck_assert_int_eq(fo_view_wall(view(), NOW + 5 * SEC), WALL + 5 * SEC);
}
END_TEST

START_TEST(state_names)
{
    ck_assert_str_eq(fo_view_state_name(FO_VIEW_UP), "up");
    ck_assert_str_eq(fo_view_state_name(FO_VIEW_FAILOVER), "failover");
    ck_assert_str_eq(fo_view_state_name(FO_VIEW_DOWN), "down");
    ck_assert_str_eq(fo_view_state_name(FO_VIEW_UNKNOWN), "unknown");
}
END_TEST

START_TEST(words_of_a_server)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        { "", "" },
        { "plain <b> & \"words\" ~", "plain <b> & \"words\" ~" },
        { "a\nb\tc\x7f", "a?b?c?" },
        { "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80",
          "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80" },
        { "\xc2\x85\xc2\xa0", "??\xc2\xa0" }, /* a control character of two bytes */
        { "\xe9t\xe9", "?t?" },               /* Latin 1 */
        { "\x80\xbf", "??" },                 /* nothing that begins */
        { "\xc0\xaf\xe0\x80\xaf\xf0\x80\x80\xaf", "?????????" }, /* too long a form */
        { "\xed\xa0\x80", "???" },                               /* half of a pair */
        { "\xf4\x90\x80\x80\xf8\x88", "??????" },                /* beyond the last */
        { "cut \xe2\x82", "cut ??" },
        { "cut \xf0", "cut ?" },
        { "\xe2\x82x", "??x" },
        { "\xf4\x8f\xbf\xbf\xef\xbf\xbf", "\xf4\x8f\xbf\xbf\xef\xbf\xbf" },
    };

    for (int i = 0; i < COUNT(cases); i++)
        ck_assert_str_eq(fo_view_words(cases[i].text, pool), cases[i].words);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_view");
    TCase *tc = tcase_create("view");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, nothing_at_all);
    tcase_add_test(tc, slots_without_children);
    tcase_add_loop_test(tc, most_of_those_that_know, 0, 8);
    tcase_add_loop_test(tc, states_of_an_endpoint, 0, FO_STATE_COUNT);
    tcase_add_test(tc, another_endpoint_is_a_failover);
    tcase_add_test(tc, since_when);
    tcase_add_test(tc, pings_and_epochs);
    tcase_add_test(tc, children_of_another_generation);
    tcase_add_loop_test(tc, late_children_do_not_decide, 0, 2);
    tcase_add_test(tc, those_in_time_decide);
    tcase_add_test(tc, one_that_lives_and_does_not_know);
    tcase_add_test(tc, a_discovery_outdates_what_was_seen_before);
    tcase_add_test(tc, since_when_for_those_that_decide);
    tcase_add_test(tc, some_services_alone);
    tcase_add_test(tc, what_each_child_sees_down);
    tcase_add_test(tc, names_are_bounded);
    tcase_add_test(tc, the_one_that_pings_for_all);
    tcase_add_test(tc, the_last_reason);
    tcase_add_test(tc, wall_clock);
    tcase_add_test(tc, state_names);
    tcase_add_test(tc, words_of_a_server);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

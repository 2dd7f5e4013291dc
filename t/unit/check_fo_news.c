/*
 * Whose outages and recoveries are news: by a table, by random interleavings of many children, and
 * by processes that race. An outage and its end are told in turn, whatever happens.
 */
#include "core/fo_news.h"

#include "core/fo_slot.h"
#include "shared_rig.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdint.h>

#define SLOTS 8

static fo_policy_t policy;
static fo_shared_t *shared;
static fo_service_t *db, *web, *mail;
static const fo_endpoint_t *east, *west; /* of mail */
static apr_time_t now;

static void setup(void)
{
    fo_capacity_t capacity = { SLOTS, 3, 4, 4, 1 };
    fo_plan_t *plan;

    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
    db = unit_service(plan, "db", &policy, "tcp://db:1", NULL);
    web = unit_service(plan, "web", &policy, "tcp://web:1", NULL);
    mail = unit_service(plan, "mail", &policy, "tcp://east:1", NULL);
    east = fo_service_endpoint(mail, 0);
    west = fo_plan_add_endpoint(plan, mail, "west", "west", 0.5,
                                fo_plan_target(plan, "tcp://west:1"));
    shared = rig_shared(&capacity);
    now = 10000 * SEC;
}

static void claim(int n)
{
    for (int i = 0; i < n; i++)
        ck_assert_int_eq(fo_slot_claim(shared, 100 + i, 1, now), i);
}

/* What this child's last ping says. */
static void see(const fo_service_t *service, int slot, bool is_down)
{
    fo_row_t row = { .state = is_down ? FO_STATE_DOWN : FO_STATE_UP, .pinged_at = now };

    fo_row_write(shared, slot, fo_service_endpoint(service, 0)->seat, &row);
}

static bool fall(int slot)
{
    see(db, slot, true);
    return fo_news_outage(shared, db, now);
}

/* What this child's last ping of it, that many microseconds ago, says. */
static void see_at(const fo_endpoint_t *endpoint, int slot, bool is_down, bool is_in_use,
                   apr_interval_time_t ago)
{
    fo_row_t row = { .state = is_down ? FO_STATE_DOWN : FO_STATE_UP, .pinged_at = now - ago,
                     .is_in_use = is_in_use };

    fo_row_write(shared, slot, endpoint->seat, &row);
}

static apr_interval_time_t lasted;

static bool rise(int slot)
{
    see(db, slot, false);
    return fo_news_recovery(shared, db, slot, now, &lasted);
}

START_TEST(the_first_outage_and_the_last_recovery)
{
    claim(3);
    ck_assert(!fo_news_is_open(shared, db));
    ck_assert(!rise(0));
    ck_assert(fall(1));
    ck_assert(fo_news_is_open(shared, db));
    now += 7 * SEC;
    ck_assert(!fall(0));
    ck_assert(!fall(2));
    ck_assert(!rise(1));
    ck_assert(!rise(0));
    ck_assert(fo_news_is_open(shared, db));
    now += 1 * SEC;
    lasted = -1;
    ck_assert(rise(2));
    ck_assert_int_eq(lasted, 8 * SEC);
    ck_assert(!fo_news_is_open(shared, db));
    ck_assert(!rise(1));
    ck_assert(fall(0)); /* the next one is news again */
}
END_TEST

START_TEST(each_service_has_its_own)
{
    claim(2);
    ck_assert(fall(0));
    see(web, 1, true);
    ck_assert(fo_news_outage(shared, web, now));
    ck_assert(rise(0));
    ck_assert(fo_news_is_open(shared, web));
    ck_assert(!fo_news_is_open(shared, db));
}
END_TEST

/* One that saw it go down again before it was over for all: nothing has ended. */
START_TEST(down_again_meanwhile)
{
    claim(2);
    ck_assert(fall(0));
    ck_assert(!fall(1));
    ck_assert(!rise(0));
    ck_assert(!fall(0));
    ck_assert(!rise(1));
    ck_assert(rise(0));
}
END_TEST

/* Whoever told of it has died: the next passing ping, of whomever, says that it is over, once. */
START_TEST(what_the_dead_left_behind)
{
    claim(3);
    ck_assert(fall(0));
    now += 60 * SEC;
    ck_assert(!rise(1));
    fo_slot_release(shared, 100);
    ck_assert(rise(1));
    ck_assert_int_eq(lasted, 60 * SEC);
    ck_assert(!rise(1));
    ck_assert(!rise(2));
}
END_TEST

/* It goes on where those that saw it have died: told of once, until its end is. */
START_TEST(an_outage_outlives_its_witnesses)
{
    claim(3);
    ck_assert(fall(0));
    fo_slot_release(shared, 100);
    ck_assert(!fall(1));
    fo_slot_release(shared, 101);
    ck_assert(rise(2));
}
END_TEST

/* A child without a place is seen by nobody, and works all the same. */
START_TEST(without_a_slot)
{
    claim(1);
    ck_assert(fall(FO_SLOT_NONE));
    ck_assert(!fall(0));
    ck_assert(!rise(FO_SLOT_NONE));
    ck_assert(rise(0));
    ck_assert(fall(FO_SLOT_NONE));
    ck_assert(rise(FO_SLOT_NONE));
}
END_TEST

/* Nobody asks an idle child: what it saw long ago keeps no recovery from being told. */
START_TEST(an_idle_child_holds_nothing_up)
{
    apr_interval_time_t limit = 2 * policy.value[FO_POLICY_MONITORING];

    claim(2);
    ck_assert(fall(0));
    now += limit - 1;
    ck_assert(!rise(1));
    now += 1;
    ck_assert(rise(1));
    ck_assert(!rise(0));
}
END_TEST

/* It looks, if it has asked any of the endpoints: others have their own rhythm, or none. */
START_TEST(a_child_that_asks_one_is_not_idle)
{
    apr_interval_time_t limit = 2 * policy.value[FO_POLICY_MONITORING];

    claim(2);
    see_at(east, 0, true, false, 0);
    see_at(west, 0, true, false, 2 * limit);
    ck_assert(fo_news_outage(shared, mail, now));
    see_at(east, 1, false, true, 0);
    ck_assert(!fo_news_recovery(shared, mail, 1, now, &lasted));
    now += limit;
    ck_assert(fo_news_recovery(shared, mail, 1, now, &lasted));
}
END_TEST

/* The one that went over is still there, though it has not asked the other endpoint for long. */
START_TEST(the_return_of_the_last_one)
{
    apr_interval_time_t limit = 2 * policy.value[FO_POLICY_MONITORING];
    const fo_endpoint_t *left = NULL;

    claim(2);
    see_at(east, 0, true, false, 0);
    see_at(west, 0, false, true, 2 * limit);
    ck_assert(fo_news_use(shared, west, now));
    see_at(east, 1, false, true, 0);
    ck_assert(!fo_news_return(shared, east, 1, now, &left, &lasted));
    ck_assert(!fo_news_use(shared, west, now)); /* the other goes over as well */
    now += limit;
    ck_assert(fo_news_return(shared, east, 1, now, &left, &lasted));
    ck_assert_ptr_eq(left, west);
    ck_assert_int_eq(lasted, limit);
    ck_assert(!fo_news_return(shared, east, 1, now, &left, &lasted));
    ck_assert(fo_news_use(shared, west, now));
    fo_slot_release(shared, 100);
    ck_assert(fo_news_return(shared, east, 1, now, &left, &lasted));
}
END_TEST

/* It is over for what began after the end that was told, and for nothing else. */
START_TEST(what_began_after_the_end)
{
    claim(1);
    ck_assert(fall(0));
    ck_assert(!fo_news_is_over(shared, db, now + 1));
    now += 5 * SEC;
    ck_assert(_i ? fo_news_close(shared, db, now, &lasted) : rise(0));
    ck_assert(!fo_news_is_over(shared, db, now));
    ck_assert(fo_news_is_over(shared, db, now + 1));
    ck_assert(fall(0));
    ck_assert(!fo_news_is_over(shared, db, now + 1));
    ck_assert(!fo_news_close(shared, web, now + SEC, &lasted));
    ck_assert(fo_news_is_over(shared, web, 1)); /* of which nothing was ever told */
}
END_TEST

/* While a row is being written nothing is over; when its writer was killed at it, it is. */
START_TEST(a_row_that_is_being_written)
{
    fo_row_words_t *row = fo_layout_row(shared, 0, fo_service_endpoint(db, 0)->seat);

    claim(2);
    ck_assert(fall(0));
    atomic_fetch_xor(&row->version, FO_LAYOUT_ROW_FULL | FO_LAYOUT_ROW_BUSY);
    ck_assert(!rise(1));
    fo_slot_release(shared, 100);
    ck_assert(rise(1));
}
END_TEST

/* Over the whole server: by the first to notice, once in each span. */
START_TEST(reminders)
{
    apr_interval_time_t span = policy.value[FO_POLICY_LOGGING];
    apr_time_t began_at = now;

    claim(2);
    ck_assert(!fo_news_reminder(shared, db, now, &lasted));
    fall(0);
    for (int i = 1; i < 4; i++) {
        now = began_at + i * span - 1;
        ck_assert(!fo_news_reminder(shared, db, now, &lasted));
        now += 1;
        ck_assert(fo_news_reminder(shared, db, now, &lasted));
        ck_assert_int_eq(lasted, i * span);
        ck_assert(!fo_news_reminder(shared, db, now, &lasted));
    }
    rise(0);
    now += 10 * span;
    ck_assert(!fo_news_reminder(shared, db, now, &lasted));
    fall(1);
    ck_assert(!fo_news_reminder(shared, db, now + span - 1, &lasted));
    ck_assert(fo_news_reminder(shared, db, now + span, &lasted));
    ck_assert_int_eq(lasted, span);
}
END_TEST

/* What has been told so far, in turn. */
static struct {
    int n_outages, n_recoveries;
} told;

static void tell(bool is_outage, bool is_recovery)
{
    told.n_outages += is_outage;
    told.n_recoveries += is_recovery;
    ck_assert(told.n_outages == told.n_recoveries || told.n_outages == told.n_recoveries + 1);
    ck_assert_int_eq(told.n_outages - told.n_recoveries, fo_news_is_open(shared, db));
}

/* A child of the simulation: its row comes first, and its word to the log any time later. */
typedef struct child_t {
    int slot;
    bool is_down, must_speak;
} child_t;

static void live(child_t *child, apr_uint64_t *random)
{
    if (child->must_speak) {
        child->must_speak = false;
        if (child->is_down)
            tell(fo_news_outage(shared, db, now), false);
        else
            tell(false, fo_news_recovery(shared, db, child->slot, now, &lasted));
        return;
    }
    child->is_down = rig_random(random) % 2;
    child->must_speak = true;
    see(db, child->slot, child->is_down);
}

static void die_and_be_followed(child_t *child, int pid)
{
    fo_slot_release(shared, pid);
    child->slot = fo_slot_claim(shared, pid, 1, now);
    child->is_down = child->must_speak = false;
}

/* Whatever the order, and whoever dies: once all are up, each outage has had one end. */
START_TEST(any_interleaving)
{
    apr_uint64_t random = 1000 + (apr_uint64_t)_i;
    int n = 1 + _i % SLOTS;
    child_t children[SLOTS] = { { .slot = 0 } };

    memset(&told, 0, sizeof(told));
    claim(n);
    for (int i = 0; i < n; i++)
        children[i].slot = i;
    for (int step = 0; step < 4000; step++, now += SEC / 100) {
        int i = (int)(rig_random(&random) % (unsigned)n);
        if (_i % 2 && rig_random(&random) % 50 == 0)
            die_and_be_followed(&children[i], 100 + i);
        else
            live(&children[i], &random);
    }
    for (int i = 0; i < n; i++) {
        see(db, children[i].slot, false);
        tell(false, fo_news_recovery(shared, db, children[i].slot, now, &lasted));
    }
    ck_assert(!fo_news_is_open(shared, db));
    ck_assert_int_gt(told.n_outages, 0);
    ck_assert_int_eq(told.n_outages, told.n_recoveries);
}
END_TEST

/* Processes */

typedef struct tally_t {
    atomic_int n_outages, n_recoveries, n_reminders, n_ready;
} tally_t;

static tally_t *tally;

#define RACERS 4

/* So many that a look at all of them takes its time, and much can happen meanwhile. */
#define CROWD 200

/* Ends with the service up, and looks no more afterwards. */
static bool race_for(int n, int rounds)
{
    apr_uint64_t random = (apr_uint64_t)n * 7919 + 1;
    apr_interval_time_t unused;

    rig_meet(&tally->n_ready, RACERS);
    for (int i = 0; i < rounds; i++) {
        see(db, n, true);
        atomic_fetch_add(&tally->n_outages, fo_news_outage(shared, db, now + i));
        for (unsigned j = rig_random(&random) % 4; j > 0; j--)
            atomic_fetch_add(&tally->n_reminders, fo_news_reminder(shared, db, now + i, &unused));
        see(db, n, false);
        atomic_fetch_add(&tally->n_recoveries,
                         fo_news_recovery(shared, db, n, now + i, &unused));
    }
    return true;
}

static bool race(int n)
{
    return race_for(n, 20000);
}

static bool race_on(int n)
{
    return race_for(n, INT32_MAX);
}

START_TEST(each_outage_has_one_end_in_a_race)
{
    pid_t pids[RACERS];

    fo_capacity_t capacity = { CROWD, 2, 2, 2, 1 };

    shared = rig_shared(&capacity);
    tally = rig_map(sizeof(*tally));
    claim(CROWD);
    for (int i = 0; i < RACERS; i++)
        pids[i] = rig_fork(race, CROWD - 1 - i * 7);
    for (int i = 0; i < RACERS; i++)
        rig_expect_well(pids[i]);
    ck_assert(!fo_news_is_open(shared, db));
    ck_assert_int_gt(atomic_load(&tally->n_outages), 0);
    ck_assert_int_eq(atomic_load(&tally->n_outages), atomic_load(&tally->n_recoveries));
    ck_assert_int_eq(atomic_load(&tally->n_reminders), 0); /* no such span has passed */
}
END_TEST

/* Killed at any instant: whoever lives on tells of the end of what is left open, and can go on. */
START_TEST(whoever_is_killed)
{
    fo_capacity_t capacity = { RACERS, 2, 2, 2, 1 };
    apr_uint64_t random = 5;
    pid_t pids[RACERS];

    shared = rig_shared(&capacity);
    tally = rig_map(sizeof(*tally));
    for (int round = 0; round < 60; round++) {
        atomic_store(&tally->n_ready, 0);
        for (int i = 0; i < RACERS; i++) {
            pids[i] = rig_fork(race_on, i);
            ck_assert_int_eq(fo_slot_claim(shared, pids[i], 1, now), i);
        }
        while (atomic_load(&tally->n_ready) < RACERS)
            sched_yield();
        rig_linger(&random);
        for (int i = 0; i < RACERS; i++) {
            rig_kill(pids[i]);
            fo_slot_release(shared, pids[i]);
        }
        fo_news_recovery(shared, db, FO_SLOT_NONE, now, &lasted);
        ck_assert(!fo_news_is_open(shared, db));
        ck_assert(fall(FO_SLOT_NONE));
        ck_assert(rise(FO_SLOT_NONE));
    }
}
END_TEST

/*
 * Instant by instant: the source once more, under other names, in which another child may get its
 * turn before each look at the memory and each word to it.
 */
static void turn(void);

#define fo_news_outage stepped_outage
#define fo_news_recovery stepped_recovery
#define fo_news_close stepped_close
#define fo_news_unavailable stepped_unavailable
#define fo_news_use stepped_use
#define fo_news_return stepped_return
#define fo_news_reminder stepped_reminder
#define fo_news_is_open stepped_is_open
#define fo_news_is_over stepped_is_over
#define fo_row_read(...) (turn(), fo_row_read(__VA_ARGS__))
#undef atomic_load
#undef atomic_store
#undef atomic_compare_exchange_strong
#define atomic_load(from) (turn(), atomic_load_explicit(from, memory_order_seq_cst))
#define atomic_store(to, value) (turn(), atomic_store_explicit(to, value, memory_order_seq_cst))
#define atomic_compare_exchange_strong(at, expected, value)                                        \
    (turn(), atomic_compare_exchange_strong_explicit(at, expected, value, memory_order_seq_cst,    \
                                                     memory_order_seq_cst))

bool stepped_outage(fo_shared_t *shared, const fo_service_t *service, apr_time_t now);
bool stepped_recovery(fo_shared_t *shared, const fo_service_t *service, int slot, apr_time_t now,
                      apr_interval_time_t *ret_lasted);
bool stepped_reminder(fo_shared_t *shared, const fo_service_t *service, apr_time_t now,
                      apr_interval_time_t *ret_lasted);
bool stepped_is_open(const fo_shared_t *shared, const fo_service_t *service);

#include "../../src/core/fo_news.c"

#undef fo_news_outage
#undef fo_news_recovery
#undef fo_news_reminder
#undef fo_news_is_open
#undef fo_news_is_over
#undef fo_row_read

#define ACTORS 3

/* One of them runs at a time; which is drawn. */
static struct {
    pthread_t thread;
    sem_t go;
    bool is_done, is_acting, is_down;
} actors[ACTORS];

static __thread int me;
static int n_looks;
static apr_uint64_t fate;

static void pass_on(void)
{
    int next, n_left = 0;

    for (int i = 0; i < ACTORS; i++)
        n_left += !actors[i].is_done;
    if (n_left == 0)
        return;
    do
        next = (int)(rig_random(&fate) % ACTORS);
    while (actors[next].is_done);
    if (next != me || actors[me].is_done)
        sem_post(&actors[next].go);
    if (next != me && !actors[me].is_done)
        while (sem_wait(&actors[me].go) != 0)
            ;
}

static void turn(void)
{
    if (rig_random(&fate) % 4 == 0)
        pass_on();
}

static void begin(bool is_down)
{
    now++;
    actors[me].is_acting = true;
    actors[me].is_down = is_down;
    see(db, me, is_down);
    turn();
}

/* Whenever nobody is at it, what the log tells of is what there is. */
static void end(void)
{
    bool is_any_down = false;

    actors[me].is_acting = false;
    for (int i = 0; i < ACTORS; i++) {
        if (actors[i].is_acting)
            return;
        is_any_down |= actors[i].is_down;
    }
    ck_assert_int_eq(fo_news_is_open(shared, db), is_any_down);
    ck_assert_int_eq(told.n_outages, told.n_recoveries + is_any_down);
    n_looks++;
}

static void *act(void *opaque)
{
    apr_interval_time_t unused;

    me = (int)(uintptr_t)opaque;
    while (sem_wait(&actors[me].go) != 0)
        ;
    for (int i = 0; i < 400; i++) {
        begin(true);
        told.n_outages += stepped_outage(shared, db, now);
        end();
        turn();
        begin(false);
        told.n_recoveries += stepped_recovery(shared, db, me, now, &unused);
        end();
        turn();
    }
    actors[me].is_done = true;
    pass_on();
    return NULL;
}

/* Once all are up, with no look after the last one's, each outage has had one end. */
START_TEST(any_interleaving_of_instants)
{
    memset(&told, 0, sizeof(told));
    fate = 77 + (apr_uint64_t)_i;
    claim(ACTORS);
    for (int i = 0; i < ACTORS; i++) {
        actors[i].is_done = actors[i].is_acting = actors[i].is_down = false;
        sem_init(&actors[i].go, 0, 0);
        pthread_create(&actors[i].thread, NULL, act, (void *)(uintptr_t)i);
    }
    sem_post(&actors[0].go);
    for (int i = 0; i < ACTORS; i++)
        pthread_join(actors[i].thread, NULL);
    ck_assert(!fo_news_is_open(shared, db));
    ck_assert_int_eq(told.n_outages, told.n_recoveries);
    ck_assert_int_gt(told.n_outages, 10);
    ck_assert_int_gt(n_looks, 10);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_news");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_set_timeout(tc, RIG_LIMIT);
    tcase_add_test(tc, the_first_outage_and_the_last_recovery);
    tcase_add_test(tc, each_service_has_its_own);
    tcase_add_test(tc, down_again_meanwhile);
    tcase_add_test(tc, what_the_dead_left_behind);
    tcase_add_test(tc, an_outage_outlives_its_witnesses);
    tcase_add_test(tc, without_a_slot);
    tcase_add_test(tc, an_idle_child_holds_nothing_up);
    tcase_add_test(tc, a_child_that_asks_one_is_not_idle);
    tcase_add_test(tc, the_return_of_the_last_one);
    tcase_add_loop_test(tc, what_began_after_the_end, 0, 2);
    tcase_add_test(tc, a_row_that_is_being_written);
    tcase_add_test(tc, reminders);
    tcase_add_loop_test(tc, any_interleaving, 0, 4 * SLOTS);
    tcase_add_loop_test(tc, any_interleaving_of_instants, 0, 4);
    tcase_add_test(tc, each_outage_has_one_end_in_a_race);
    tcase_add_test(tc, whoever_is_killed);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

#include "core/fo_board.h"

#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

static fo_plan_t *plan;
static fo_policy_t policy;
static fo_board_t *board;
static const fo_scope_t *scope;

static void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
}

/* A board over n services, all in one scope. */
static void make_board(unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        const char *name = apr_psprintf(pool, "s%u", i);
        unit_service(plan, name, &policy, apr_psprintf(pool, "tcp://%s:1", name), NULL);
    }
    scope = unit_scope(plan);
    board = fo_board_make(plan, pool);
}

static void publish(unsigned index, fo_service_state_e state, unsigned epoch)
{
    fo_word_t word = { .state = state, .epoch = epoch };
    fo_detail_t detail = { .since_at = epoch };

    if (state != FO_SERVICE_UP)
        apr_snprintf(detail.reason, sizeof(detail.reason), "reason %u", epoch);
    fo_board_publish(board, fo_plan_service(plan, index), word, &detail);
}

START_TEST(state_names)
{
    ck_assert_str_eq(fo_service_state_name(FO_SERVICE_UP), "up");
    ck_assert_str_eq(fo_service_state_name(FO_SERVICE_FAILOVER), "failover");
    ck_assert_str_eq(fo_service_state_name(FO_SERVICE_DOWN), "down");
}
END_TEST

START_TEST(begins_with_all_up_and_nothing_due)
{
    make_board(3);
    ck_assert_ptr_null(fo_board_snapshot(board, scope, pool));
    for (unsigned i = 0; i < 3; i++) {
        fo_word_t word = fo_board_word(board, fo_plan_service(plan, i));
        ck_assert_int_eq(word.state, FO_SERVICE_UP);
        ck_assert_uint_eq(word.epoch, 0);
        ck_assert_str_eq(fo_board_detail(board, fo_plan_service(plan, i)).reason, "");
    }
    for (int trigger = 0; trigger < FO_TRIGGER_COUNT; trigger++)
        ck_assert(!fo_board_claim_due(board, scope, (fo_trigger_e)trigger));
}
END_TEST

static const fo_word_t words[] = {
    { FO_SERVICE_DOWN, 0, 1 },
    { FO_SERVICE_FAILOVER, 1, 2 },
    { FO_SERVICE_DOWN, 0xffffff, 0xffffffff },
    { FO_SERVICE_UP, 255, 256 },
    { FO_SERVICE_FAILOVER, 0x010203, 0x04050607 },
};

START_TEST(a_word_comes_back_whole)
{
    fo_detail_t detail = { .since_at = APR_INT64_MAX, .reason = "connect: Connection refused" };
    fo_word_t word;

    make_board(2);
    fo_board_publish(board, fo_plan_service(plan, 1), words[_i], &detail);
    word = fo_board_word(board, fo_plan_service(plan, 1));
    ck_assert_int_eq(word.state, words[_i].state);
    ck_assert_uint_eq(word.endpoint, words[_i].endpoint);
    ck_assert_uint_eq(word.epoch, words[_i].epoch);
    detail = fo_board_detail(board, fo_plan_service(plan, 1));
    ck_assert_int_eq(detail.since_at, APR_INT64_MAX);
    ck_assert_str_eq(detail.reason, "connect: Connection refused");
    ck_assert_uint_eq(fo_board_word(board, fo_plan_service(plan, 0)).epoch, 0);
}
END_TEST

START_TEST(a_reason_of_full_length_ends)
{
    fo_detail_t detail = { .since_at = 1 };

    make_board(1);
    memset(detail.reason, 'x', sizeof(detail.reason));
    fo_board_publish(board, fo_plan_service(plan, 0), words[0], &detail);
    detail = fo_board_detail(board, fo_plan_service(plan, 0));
    ck_assert_uint_eq(strlen(detail.reason), FO_REPORT_TEXT - 1);
}
END_TEST

/* Around the bounds of the bit words; in the order of the configuration. */
START_TEST(snapshot_lists_what_is_not_up)
{
    static const unsigned down[] = { 0, 1, 62, 63, 64, 65, 127, 128, 129, 2000, 4095, 4096, 4199 };
    const fo_snapshot_t *snapshot;

    make_board(4200);
    for (int i = COUNT(down); i-- > 0;)
        publish(down[i], i % 2 ? FO_SERVICE_DOWN : FO_SERVICE_FAILOVER, down[i] + 1);
    snapshot = fo_board_snapshot(board, scope, pool);
    ck_assert_ptr_nonnull(snapshot);
    ck_assert_uint_eq(snapshot->n, (unsigned)COUNT(down));
    for (int i = 0; i < COUNT(down); i++) {
        ck_assert_ptr_eq(snapshot->seen[i].service, fo_plan_service(plan, down[i]));
        ck_assert_uint_eq(snapshot->seen[i].word.epoch, down[i] + 1);
        ck_assert_str_eq(snapshot->seen[i].epoch, apr_ltoa(pool, (long)down[i] + 1));
        ck_assert_ptr_eq(fo_snapshot_find(snapshot, fo_plan_service(plan, down[i])),
                         &snapshot->seen[i]);
    }
    ck_assert_ptr_null(fo_snapshot_find(snapshot, fo_plan_service(plan, 2)));
    ck_assert_ptr_null(fo_snapshot_find(NULL, fo_plan_service(plan, 0)));
    for (int i = 0; i < COUNT(down); i++) {
        snapshot = fo_board_snapshot(board, scope, pool);
        ck_assert_uint_eq(snapshot->n, (unsigned)(COUNT(down) - i));
        ck_assert_ptr_eq(snapshot->seen[0].service, fo_plan_service(plan, down[i]));
        publish(down[i], FO_SERVICE_UP, 1000);
    }
    ck_assert_ptr_null(fo_board_snapshot(board, scope, pool));
}
END_TEST

/* The same state again, with a new epoch, is counted once. */
START_TEST(publishing_again_changes_nothing_but_the_word)
{
    make_board(2);
    for (unsigned epoch = 1; epoch < 4; epoch++)
        publish(0, FO_SERVICE_DOWN, epoch);
    ck_assert_uint_eq(fo_board_snapshot(board, scope, pool)->n, 1);
    ck_assert_uint_eq(fo_board_snapshot(board, scope, pool)->seen[0].word.epoch, 3);
    for (unsigned epoch = 4; epoch < 7; epoch++)
        publish(0, FO_SERVICE_UP, epoch);
    ck_assert_ptr_null(fo_board_snapshot(board, scope, pool));
    publish(1, FO_SERVICE_DOWN, 1);
    ck_assert_uint_eq(fo_board_snapshot(board, scope, pool)->n, 1);
}
END_TEST

START_TEST(a_snapshot_does_not_change)
{
    const fo_snapshot_t *snapshot;

    make_board(2);
    publish(0, FO_SERVICE_DOWN, 1);
    snapshot = fo_board_snapshot(board, scope, pool);
    publish(0, FO_SERVICE_UP, 2);
    publish(1, FO_SERVICE_DOWN, 1);
    ck_assert_uint_eq(snapshot->n, 1);
    ck_assert_int_eq(snapshot->seen[0].word.state, FO_SERVICE_DOWN);
    ck_assert_uint_eq(snapshot->seen[0].word.epoch, 1);
}
END_TEST

START_TEST(a_scope_sees_its_own_services)
{
    apr_array_header_t *one = apr_array_make(pool, 1, sizeof(fo_service_t *));
    const fo_scope_t *small;

    unit_service(plan, "a", &policy, "tcp://a:1", NULL);
    unit_service(plan, "b", &policy, "tcp://b:1", NULL);
    APR_ARRAY_PUSH(one, fo_service_t *) = fo_plan_service(plan, 1);
    small = fo_plan_scope(plan, one);
    scope = unit_scope(plan);
    board = fo_board_make(plan, pool);
    publish(0, FO_SERVICE_DOWN, 1);
    ck_assert_ptr_null(fo_board_snapshot(board, small, pool));
    publish(1, FO_SERVICE_DOWN, 1);
    ck_assert_uint_eq(fo_board_snapshot(board, small, pool)->n, 1);
    ck_assert_uint_eq(fo_board_snapshot(board, scope, pool)->n, 2);
    fo_board_publish_due(board, small, FO_TRIGGER_REQUEST, true);
    ck_assert(!fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    ck_assert(fo_board_claim_due(board, small, FO_TRIGGER_REQUEST));
}
END_TEST

START_TEST(what_is_due_is_claimed_until_it_is_published_again)
{
    make_board(1);
    fo_board_publish_due(board, scope, FO_TRIGGER_REQUEST, true);
    ck_assert(!fo_board_claim_due(board, scope, FO_TRIGGER_OUTAGES));
    ck_assert(fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    ck_assert(!fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    fo_board_publish_due(board, scope, FO_TRIGGER_REQUEST, true);
    fo_board_publish_due(board, scope, FO_TRIGGER_REQUEST, false);
    ck_assert(!fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
    fo_board_publish_due(board, scope, FO_TRIGGER_REQUEST, true);
    ck_assert(fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST));
}
END_TEST

/* Hints */

static fo_shared_t *shared;

/* A sibling has found something. */
static void tell(void)
{
    fo_shared_tell(shared, 0, true, 1);
}

static void make_joined_board(void)
{
    make_board(1);
    shared = unit_shared(1, 1);
    tell(); /* before it joined: no news */
    fo_board_join(board, shared);
}

static bool is_calm(fo_trigger_e trigger)
{
    return fo_board_is_calm(board, scope, trigger);
}

static bool claim(fo_trigger_e trigger)
{
    return fo_board_claim_due(board, scope, trigger);
}

START_TEST(calm_while_all_is_up_and_nothing_is_due)
{
    make_board(2);
    ck_assert(is_calm(FO_TRIGGER_REQUEST));
    ck_assert(is_calm(FO_TRIGGER_COUNT));
    publish(1, FO_SERVICE_DOWN, 1);
    ck_assert(!is_calm(FO_TRIGGER_REQUEST));
    ck_assert(!is_calm(FO_TRIGGER_COUNT));
    publish(1, FO_SERVICE_UP, 2);
    fo_board_publish_due(board, scope, FO_TRIGGER_OUTAGES, true);
    ck_assert(is_calm(FO_TRIGGER_REQUEST));
    ck_assert(!is_calm(FO_TRIGGER_OUTAGES));
    ck_assert(is_calm(FO_TRIGGER_COUNT));
    fo_board_publish_due(board, scope, FO_TRIGGER_OUTAGES, false);
    ck_assert(is_calm(FO_TRIGGER_OUTAGES));
}
END_TEST

/* Whatever makes a request look; one that looks at nothing is not bothered. */
START_TEST(a_hint_is_claimed_once)
{
    static const fo_trigger_e triggers[] = { FO_TRIGGER_REQUEST, FO_TRIGGER_OUTAGES };

    make_joined_board();
    ck_assert(is_calm(triggers[_i]));
    ck_assert(!claim(triggers[_i]));
    tell();
    ck_assert(!is_calm(triggers[_i]));
    ck_assert(is_calm(FO_TRIGGER_COUNT));
    ck_assert(!claim(FO_TRIGGER_COUNT));
    ck_assert(claim(triggers[_i]));
    ck_assert(is_calm(triggers[_i]));
    ck_assert(!claim(triggers[_i]));
    tell();
    tell();
    ck_assert(claim(triggers[_i]));
    ck_assert(!claim(triggers[_i]));
}
END_TEST

/* The monitor has heard it already: no request has to. */
START_TEST(a_hint_that_was_heard)
{
    make_joined_board();
    tell();
    fo_board_hints_heard(board, 2);
    ck_assert(is_calm(FO_TRIGGER_REQUEST));
    ck_assert(!claim(FO_TRIGGER_REQUEST));
    tell();
    tell();
    fo_board_hints_heard(board, 3); /* another came meanwhile */
    ck_assert(!is_calm(FO_TRIGGER_REQUEST));
    ck_assert(claim(FO_TRIGGER_REQUEST));
}
END_TEST

/* Both at once are one claim each: what is due is published again by the monitor. */
START_TEST(what_is_due_beside_a_hint)
{
    make_joined_board();
    fo_board_publish_due(board, scope, FO_TRIGGER_REQUEST, true);
    tell();
    ck_assert(claim(FO_TRIGGER_REQUEST));
    ck_assert(claim(FO_TRIGGER_REQUEST));
    ck_assert(!claim(FO_TRIGGER_REQUEST));
}
END_TEST

START_TEST(without_siblings_there_are_no_hints)
{
    make_board(1);
    fo_board_hints_heard(board, 0);
    ck_assert(is_calm(FO_TRIGGER_REQUEST));
    ck_assert(!claim(FO_TRIGGER_REQUEST));
}
END_TEST

/* Threads */

#define READERS 4
#define CLAIMERS 8
#define ROUNDS 3000

static atomic_bool is_over;
static atomic_uint n_reads;
static pthread_barrier_t barrier;

/* Each detail's instant and reason say the same epoch. */
static unsigned read_epoch(const fo_service_t *service)
{
    fo_detail_t detail = fo_board_detail(board, service);
    char expected[FO_REPORT_TEXT] = "";

    if (detail.since_at % 2)
        apr_snprintf(expected, sizeof(expected), "reason %d", (int)detail.since_at);
    if (strcmp(detail.reason, expected) != 0)
        ck_abort_msg("torn: '%s' at %d", detail.reason, (int)detail.since_at);
    return (unsigned)detail.since_at;
}

/* Odd epochs are down. The word is never older than what a reader saw before. */
static void *read_on(void *unused)
{
    const fo_service_t *service = fo_plan_service(plan, 0);
    unsigned last = 0;
    apr_pool_t *own;

    apr_pool_create(&own, NULL);
    while (!atomic_load(&is_over)) {
        fo_word_t word = fo_board_word(board, service);
        const fo_snapshot_t *snapshot;
        ck_assert_uint_ge(word.epoch, last);
        ck_assert_int_eq(word.state, word.epoch % 2 ? FO_SERVICE_DOWN : FO_SERVICE_UP);
        ck_assert_uint_eq(word.endpoint, word.epoch & 0xffff);
        last = word.epoch;
        ck_assert_uint_ge(read_epoch(service), last);
        snapshot = fo_board_snapshot(board, scope, own);
        for (unsigned i = 0; snapshot && i < snapshot->n; i++)
            ck_assert_int_eq(snapshot->seen[i].word.state, FO_SERVICE_DOWN);
        apr_pool_clear(own);
        atomic_fetch_add(&n_reads, 1);
    }
    apr_pool_destroy(own);
    return unused;
}

START_TEST(a_word_and_its_detail_are_never_torn)
{
    pthread_t readers[READERS];
    unsigned epoch = 0;

    make_board(3);
    for (int i = 0; i < READERS; i++)
        pthread_create(&readers[i], NULL, read_on, NULL);
    while (epoch < ROUNDS || atomic_load(&n_reads) < ROUNDS) {
        epoch++;
        fo_word_t word = {
            .state = epoch % 2 ? FO_SERVICE_DOWN : FO_SERVICE_UP,
            .endpoint = epoch & 0xffff,
            .epoch = epoch,
        };
        fo_detail_t detail = { .since_at = epoch };
        if (epoch % 2)
            apr_snprintf(detail.reason, sizeof(detail.reason), "reason %u", epoch);
        fo_board_publish(board, fo_plan_service(plan, 0), word, &detail);
        publish(1 + epoch % 2, epoch / 2 % 2 ? FO_SERVICE_DOWN : FO_SERVICE_UP, epoch);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    ck_assert_uint_eq(fo_board_word(board, fo_plan_service(plan, 0)).epoch, epoch);
}
END_TEST

static atomic_int n_claims;

static void *claim_once(void *unused)
{
    for (int round = 1; round <= 200; round++) {
        pthread_barrier_wait(&barrier);
        if (fo_board_claim_due(board, scope, FO_TRIGGER_REQUEST))
            atomic_fetch_add(&n_claims, 1);
        pthread_barrier_wait(&barrier);
    }
    return unused;
}

START_TEST(one_of_all_threads_claims)
{
    pthread_t claimers[CLAIMERS];

    make_board(1);
    pthread_barrier_init(&barrier, NULL, CLAIMERS + 1);
    for (int i = 0; i < CLAIMERS; i++)
        pthread_create(&claimers[i], NULL, claim_once, NULL);
    for (int round = 1; round <= 200; round++) {
        atomic_store(&n_claims, 0);
        fo_board_publish_due(board, scope, FO_TRIGGER_REQUEST, true);
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        ck_assert_int_eq(atomic_load(&n_claims), 1);
    }
    for (int i = 0; i < CLAIMERS; i++)
        pthread_join(claimers[i], NULL);
}
END_TEST

static atomic_int n_hint_claims;

static void *claim_hint_once(void *unused)
{
    for (int round = 0; round < 200; round++) {
        pthread_barrier_wait(&barrier);
        if (claim(FO_TRIGGER_REQUEST))
            atomic_fetch_add(&n_hint_claims, 1);
        pthread_barrier_wait(&barrier);
    }
    return unused;
}

START_TEST(one_of_all_threads_claims_a_hint)
{
    pthread_t claimers[CLAIMERS];

    make_joined_board();
    pthread_barrier_init(&barrier, NULL, CLAIMERS + 1);
    for (int i = 0; i < CLAIMERS; i++)
        pthread_create(&claimers[i], NULL, claim_hint_once, NULL);
    for (int round = 0; round < 200; round++) {
        atomic_store(&n_hint_claims, 0);
        tell();
        pthread_barrier_wait(&barrier);
        pthread_barrier_wait(&barrier);
        ck_assert_int_eq(atomic_load(&n_hint_claims), 1);
    }
    for (int i = 0; i < CLAIMERS; i++)
        pthread_join(claimers[i], NULL);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_board");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, state_names);
    tcase_add_test(tc, begins_with_all_up_and_nothing_due);
    tcase_add_loop_test(tc, a_word_comes_back_whole, 0, COUNT(words));
    tcase_add_test(tc, a_reason_of_full_length_ends);
    tcase_add_test(tc, snapshot_lists_what_is_not_up);
    tcase_add_test(tc, publishing_again_changes_nothing_but_the_word);
    tcase_add_test(tc, a_snapshot_does_not_change);
    tcase_add_test(tc, a_scope_sees_its_own_services);
    tcase_add_test(tc, what_is_due_is_claimed_until_it_is_published_again);
    tcase_add_test(tc, a_word_and_its_detail_are_never_torn);
    tcase_add_test(tc, one_of_all_threads_claims);
    tcase_add_test(tc, calm_while_all_is_up_and_nothing_is_due);
    tcase_add_loop_test(tc, a_hint_is_claimed_once, 0, 2);
    tcase_add_test(tc, a_hint_that_was_heard);
    tcase_add_test(tc, what_is_due_beside_a_hint);
    tcase_add_test(tc, without_siblings_there_are_no_hints);
    tcase_add_test(tc, one_of_all_threads_claims_a_hint);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

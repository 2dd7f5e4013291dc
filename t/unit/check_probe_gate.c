#include "probe/probe_gate.h"

#include "probe/probe_clock.h"
#include "unit.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

/* Long enough never to run out in a test that works. */
#define LONG (3 * SEC)

/* What a busy machine may add to a wait that runs out. */
#define SLACK (500 * MS)

static fo_plan_t *plan;
static probe_gate_t *gate;

static const fo_scope_t *add_scope(unsigned i)
{
    fo_policy_t policy = unit_policy();
    apr_array_header_t *one = apr_array_make(pool, 1, sizeof(fo_service_t *));

    APR_ARRAY_PUSH(one, fo_service_t *) = unit_service(plan, apr_psprintf(pool, "s%u", i), &policy,
                                                       apr_psprintf(pool, "tcp://s%u:1", i), NULL);
    return fo_plan_scope(plan, one);
}

#define SCOPES (PROBE_SEATS + 1)

static void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    for (unsigned i = 0; i < SCOPES; i++)
        add_scope(i);
    gate = probe_gate_make(plan, pool);
    ck_assert_ptr_nonnull(gate);
}

static void teardown(void)
{
    close(probe_gate_fd(gate));
    unit_teardown();
}

static const fo_scope_t *scope(unsigned i)
{
    return fo_plan_scope_at(plan, i);
}

/* A request on a thread of its own. */
typedef struct request_t {
    unsigned scope;
    apr_interval_time_t wait;
    apr_interval_time_t took;
    apr_interval_time_t waited;
    pthread_t thread;
} request_t;

static void *run_request(void *opaque)
{
    request_t *request = opaque;
    apr_time_t began_at = probe_clock_now();

    request->waited = probe_gate_ask(gate, scope(request->scope), FO_TRIGGER_REQUEST,
                                     request->wait);
    request->took = probe_clock_now() - began_at;
    return NULL;
}

static void begin(request_t *request, unsigned in_scope, apr_interval_time_t wait)
{
    *request = (request_t){ .scope = in_scope, .wait = wait };
    ck_assert_int_eq(pthread_create(&request->thread, NULL, run_request, request), 0);
}

static apr_interval_time_t finish(request_t *request)
{
    pthread_join(request->thread, NULL);
    return request->took;
}

/* Waits, as the monitor thread does, until someone wakes it. */
static void await_wake(void)
{
    struct pollfd fd = { .fd = probe_gate_fd(gate), .events = POLLIN };

    ck_assert_int_eq(poll(&fd, 1, 3000), 1);
    probe_gate_drain(gate);
}

static bool take(unsigned in_scope, probe_ticket_t *ret_ticket)
{
    return probe_gate_take(gate, scope(in_scope), FO_TRIGGER_REQUEST, ret_ticket);
}

static probe_ticket_t take_awaited(unsigned in_scope)
{
    probe_ticket_t ticket;

    await_wake();
    ck_assert(take(in_scope, &ticket));
    ck_assert_uint_ne(ticket.serial, 0);
    ck_assert_uint_lt(ticket.seat, PROBE_SEATS);
    return ticket;
}

START_TEST(nothing_is_wished_for_at_first)
{
    probe_ticket_t ticket = { 9, 9 };
    struct pollfd fd = { .fd = probe_gate_fd(gate), .events = POLLIN };

    ck_assert(!take(0, &ticket));
    ck_assert_uint_eq(ticket.serial, 0);
    ck_assert_int_eq(poll(&fd, 1, 0), 0);
    probe_gate_drain(gate);
}
END_TEST

START_TEST(a_wish_without_a_wait)
{
    probe_ticket_t ticket;

    probe_gate_ask(gate, scope(0), FO_TRIGGER_REQUEST, 0);
    await_wake();
    ck_assert(take(0, &ticket));
    ck_assert_uint_eq(ticket.serial, 0);
    ck_assert(!take(0, &ticket));
    probe_gate_release(gate, ticket);
}
END_TEST

START_TEST(wishes_are_kept_apart)
{
    probe_ticket_t ticket;

    probe_gate_ask(gate, scope(1), FO_TRIGGER_OUTAGES, 0);
    ck_assert(!take(0, &ticket));
    ck_assert(!take(1, &ticket));
    ck_assert(probe_gate_take(gate, scope(1), FO_TRIGGER_OUTAGES, &ticket));
}
END_TEST

START_TEST(a_wake_wakes_until_drained)
{
    struct pollfd fd = { .fd = probe_gate_fd(gate), .events = POLLIN };

    for (int i = 0; i < 3; i++)
        probe_gate_wake(gate);
    await_wake();
    ck_assert_int_eq(poll(&fd, 1, 0), 0);
}
END_TEST

START_TEST(the_descriptor_closes_on_exec)
{
    ck_assert_int_eq(fcntl(probe_gate_fd(gate), F_GETFD), FD_CLOEXEC);
    ck_assert(fcntl(probe_gate_fd(gate), F_GETFL) & O_NONBLOCK);
}
END_TEST

START_TEST(a_release_ends_the_wait)
{
    request_t request;

    begin(&request, 0, LONG);
    probe_gate_release(gate, take_awaited(0));
    ck_assert_int_lt(finish(&request), LONG);
}
END_TEST

START_TEST(a_wait_runs_out)
{
    apr_time_t began_at = probe_clock_now();
    apr_interval_time_t took;

    probe_gate_ask(gate, scope(0), FO_TRIGGER_REQUEST, 30 * MS);
    took = probe_clock_now() - began_at;
    ck_assert_int_ge(took, 30 * MS);
    ck_assert_int_lt(took, 30 * MS + SLACK);
}
END_TEST

/* Only the request whose wish it is waits. */
START_TEST(the_second_request_does_not_wait)
{
    request_t first, second;
    probe_ticket_t ticket;

    begin(&first, 0, LONG);
    await_wake();
    begin(&second, 0, LONG);
    ck_assert_int_lt(finish(&second), LONG);
    ck_assert(take(0, &ticket));
    probe_gate_release(gate, ticket);
    ck_assert_int_lt(finish(&first), LONG);
}
END_TEST

/* What comes too late for one request is none of the next one's in that seat. */
START_TEST(a_late_release_is_not_for_the_next)
{
    request_t next;
    probe_ticket_t late, ticket;

    probe_gate_ask(gate, scope(0), FO_TRIGGER_REQUEST, 1);
    late = take_awaited(0);
    begin(&next, 1, 50 * MS);
    ticket = take_awaited(1);
    ck_assert_uint_eq(ticket.seat, late.seat);
    ck_assert_uint_ne(ticket.serial, late.serial);
    probe_gate_release(gate, late);
    ck_assert_int_ge(finish(&next), 50 * MS);
}
END_TEST

START_TEST(a_release_before_the_wait_counts)
{
    request_t request;

    for (int i = 0; i < 100; i++) {
        begin(&request, 0, LONG);
        probe_gate_release(gate, take_awaited(0));
        ck_assert_int_lt(finish(&request), LONG);
    }
}
END_TEST

/* All seats are taken: one more asks, and does not wait. */
START_TEST(seats_are_bounded)
{
    request_t requests[SCOPES];
    probe_ticket_t tickets[SCOPES];

    for (unsigned i = 0; i < PROBE_SEATS; i++) {
        begin(&requests[i], i, LONG);
        tickets[i] = take_awaited(i);
        for (unsigned j = 0; j < i; j++)
            ck_assert_uint_ne(tickets[i].seat, tickets[j].seat);
    }
    begin(&requests[PROBE_SEATS], PROBE_SEATS, LONG);
    ck_assert_int_lt(finish(&requests[PROBE_SEATS]), LONG);
    ck_assert(take(PROBE_SEATS, &tickets[PROBE_SEATS]));
    ck_assert_uint_eq(tickets[PROBE_SEATS].serial, 0);
    for (unsigned i = 0; i < PROBE_SEATS; i++) {
        probe_gate_release(gate, tickets[i]);
        ck_assert_int_lt(finish(&requests[i]), LONG);
    }
}
END_TEST

/* Neither a wish without a wait nor a second request for the same. */
START_TEST(who_waits_is_told_how_long)
{
    request_t first, second;
    probe_ticket_t ticket;
    apr_interval_time_t ran_out;

    ck_assert_int_eq(probe_gate_ask(gate, scope(0), FO_TRIGGER_REQUEST, 0), 0);
    ck_assert(take(0, &ticket));
    await_wake();
    begin(&first, 0, LONG);
    ticket = take_awaited(0);
    begin(&second, 0, 20 * MS); /* the wish is taken: this one's is new, and runs out */
    finish(&second);
    ran_out = second.waited;
    ck_assert_int_ge(ran_out, 20 * MS);
    ck_assert_int_lt(ran_out, 20 * MS + SLACK);
    ck_assert_int_eq(probe_gate_ask(gate, scope(0), FO_TRIGGER_REQUEST, LONG), 0);
    probe_gate_release(gate, ticket);
    finish(&first);
    ck_assert_int_gt(first.waited, 20 * MS);
    ck_assert_int_le(first.waited, first.took + 1);
}
END_TEST

/* Many requests against one monitor: each is let go. */

#define CROWD 8
#define ROUNDS 100

static atomic_int n_left;

static void *ask_often(void *opaque)
{
    unsigned mine = *(unsigned *)opaque;

    for (unsigned i = 0; i < ROUNDS; i++)
        probe_gate_ask(gate, scope((mine + i) % 3), FO_TRIGGER_REQUEST, i % 4 ? LONG : 0);
    atomic_fetch_sub(&n_left, 1);
    probe_gate_wake(gate);
    return NULL;
}

START_TEST(a_crowd)
{
    pthread_t threads[CROWD];
    unsigned numbers[CROWD];
    apr_time_t began_at = probe_clock_now();

    atomic_store(&n_left, CROWD);
    for (unsigned i = 0; i < CROWD; i++) {
        numbers[i] = i;
        pthread_create(&threads[i], NULL, ask_often, &numbers[i]);
    }
    while (atomic_load(&n_left) > 0) {
        await_wake();
        for (unsigned i = 0; i < 3; i++) {
            probe_ticket_t ticket;
            if (take(i, &ticket))
                probe_gate_release(gate, ticket);
        }
    }
    for (unsigned i = 0; i < CROWD; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_lt(probe_clock_now() - began_at, LONG);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("probe_gate");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, nothing_is_wished_for_at_first);
    tcase_add_test(tc, a_wish_without_a_wait);
    tcase_add_test(tc, wishes_are_kept_apart);
    tcase_add_test(tc, a_wake_wakes_until_drained);
    tcase_add_test(tc, the_descriptor_closes_on_exec);
    tcase_add_test(tc, a_release_ends_the_wait);
    tcase_add_test(tc, a_wait_runs_out);
    tcase_add_test(tc, the_second_request_does_not_wait);
    tcase_add_test(tc, a_late_release_is_not_for_the_next);
    tcase_add_test(tc, a_release_before_the_wait_counts);
    tcase_add_test(tc, seats_are_bounded);
    tcase_add_test(tc, who_waits_is_told_how_long);
    tcase_add_test(tc, a_crowd);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

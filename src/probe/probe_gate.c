#include "probe/probe_gate.h"

#include "probe/probe_clock.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define NOBODY_WAITS ((apr_uint64_t)1 << 63) /* a wish without a seat */

/*
 * A seat is taken by a request with compare-and-swap and given back by it alone. Each taking has a
 * serial of its own, by which a late release is told from one that is meant.
 */
typedef struct seat_t {
    atomic_bool is_taken;
    _Atomic unsigned serial;
    _Atomic unsigned released; /* the serial that was released last */
    sem_t sem;
} seat_t;

struct probe_gate_t {
    int fd;
    _Atomic apr_uint64_t *wishes; /* by scope and trigger; 0: none */
    seat_t seats[PROBE_SEATS];
    unsigned held[PROBE_SEATS];        /* monitor thread's: what the request in this seat awaits */
    unsigned held_serial[PROBE_SEATS]; /* whose that is */
};

probe_gate_t *probe_gate_make(const fo_plan_t *plan, apr_pool_t *pool)
{
    probe_gate_t *gate = apr_pcalloc(pool, sizeof(*gate));
    size_t n = (size_t)plan->scopes->nelts * FO_TRIGGER_COUNT;

    gate->wishes = apr_pcalloc(pool, sizeof(*gate->wishes) * (n + 1));
    for (unsigned i = 0; i < PROBE_SEATS; i++)
        sem_init(&gate->seats[i].sem, 0, 0);
    gate->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return gate->fd < 0 ? NULL : gate;
}

static _Atomic apr_uint64_t *wish_of(probe_gate_t *gate, const fo_scope_t *scope,
                                     fo_trigger_e trigger)
{
    return &gate->wishes[scope->index * FO_TRIGGER_COUNT + (unsigned)trigger];
}

static seat_t *take_seat(probe_gate_t *gate, probe_ticket_t *ret_ticket)
{
    for (unsigned i = 0; i < PROBE_SEATS; i++) {
        seat_t *seat = &gate->seats[i];
        bool expected = false;
        if (!atomic_compare_exchange_strong(&seat->is_taken, &expected, true))
            continue;
        ret_ticket->seat = i;
        ret_ticket->serial = (atomic_fetch_add(&seat->serial, 1) + 1) & 0x7fffffff;
        return seat;
    }
    return NULL;
}

/* Returns how long it took. */
static apr_interval_time_t wait_for_release(seat_t *seat, unsigned serial, apr_interval_time_t wait)
{
    apr_time_t began_at = probe_clock_now();
    apr_time_t until = began_at + wait;
    struct timespec limit = {
        .tv_sec = (time_t)(until / APR_USEC_PER_SEC),
        .tv_nsec = (long)(until % APR_USEC_PER_SEC * 1000),
    };

    while (atomic_load(&seat->released) != serial)
        if (sem_clockwait(&seat->sem, CLOCK_MONOTONIC, &limit) != 0 && errno != EINTR)
            break;
    return probe_clock_now() - began_at + 1;
}

apr_interval_time_t probe_gate_ask(probe_gate_t *gate, const fo_scope_t *scope,
                                   fo_trigger_e trigger, apr_interval_time_t wait)
{
    apr_interval_time_t waited = 0;
    probe_ticket_t ticket = { 0 };
    seat_t *seat = wait > 0 ? take_seat(gate, &ticket) : NULL;
    apr_uint64_t wish = seat ? (apr_uint64_t)ticket.serial << 8 | (ticket.seat + 1) : NOBODY_WAITS;
    apr_uint64_t none = 0;
    bool is_first = atomic_compare_exchange_strong(wish_of(gate, scope, trigger), &none, wish);

    if (is_first)
        probe_gate_wake(gate);
    if (is_first && seat)
        waited = wait_for_release(seat, ticket.serial, wait);
    if (seat)
        atomic_store(&seat->is_taken, false);
    return waited;
}

void probe_gate_wake(probe_gate_t *gate)
{
    apr_uint64_t one = 1;

    (void)!write(gate->fd, &one, sizeof(one)); /* a full counter wakes as well */
}

int probe_gate_fd(const probe_gate_t *gate)
{
    return gate->fd;
}

void probe_gate_drain(probe_gate_t *gate)
{
    apr_uint64_t count;

    (void)!read(gate->fd, &count, sizeof(count));
}

bool probe_gate_take(probe_gate_t *gate, const fo_scope_t *scope, fo_trigger_e trigger,
                     probe_ticket_t *ret_ticket)
{
    apr_uint64_t wish = atomic_exchange(wish_of(gate, scope, trigger), 0);
    probe_ticket_t ticket = { 0 };

    if (wish && wish != NOBODY_WAITS) {
        ticket.seat = (unsigned)(wish & 0xff) - 1;
        ticket.serial = (unsigned)(wish >> 8);
    }
    *ret_ticket = ticket;
    return wish != 0;
}

void probe_gate_release(probe_gate_t *gate, probe_ticket_t ticket)
{
    if (ticket.serial == 0)
        return;
    atomic_store(&gate->seats[ticket.seat].released, ticket.serial);
    sem_post(&gate->seats[ticket.seat].sem);
}

void probe_gate_hold(probe_gate_t *gate, probe_ticket_t ticket)
{
    int newer = (int)(ticket.serial - gate->held_serial[ticket.seat]);

    if (ticket.serial == 0 || newer < 0) /* its request has left the seat to another */
        return;
    if (newer > 0)
        gate->held[ticket.seat] = 0;
    gate->held_serial[ticket.seat] = ticket.serial;
    gate->held[ticket.seat]++;
}

void probe_gate_let_go(probe_gate_t *gate, probe_ticket_t ticket)
{
    if (ticket.serial == 0 || gate->held_serial[ticket.seat] != ticket.serial)
        return;
    if (--gate->held[ticket.seat] == 0)
        probe_gate_release(gate, ticket);
}

#include "core/fo_shared.h"

#include "core/fo_layout.h"

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>

/* Rises with every change of fo_layout.h that its sizes do not show. */
#define LAYOUT_VERSION 4

#define FNV_BASIS 0xcbf29ce484222325u
#define FNV_PRIME 0x100000001b3u

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2,
               "atomics with locks of their own do not work between processes");

fo_capacity_t fo_shared_need(const fo_plan_t *plan, unsigned slots, unsigned cells)
{
    return (fo_capacity_t){
        .slots = slots < FO_SLOTS_MAX ? slots : FO_SLOTS_MAX,
        .services = (unsigned)plan->services->nelts,
        .targets = (unsigned)plan->targets->nelts,
        .endpoints = (unsigned)plan->endpoints->nelts,
        .cells = cells,
    };
}

static apr_size_t whole_lines(apr_size_t size)
{
    return (size + FO_LAYOUT_LINE - 1) / FO_LAYOUT_LINE * FO_LAYOUT_LINE;
}

/* The next piece of the memory; *offset moves behind it. begin NULL: it is only counted. */
static void *piece(char *begin, apr_size_t *offset, apr_size_t count, apr_size_t size)
{
    char *here = begin ? begin + *offset : NULL;

    *offset += whole_lines(count * size);
    return here;
}

/* Returns the bytes that it takes. */
static apr_size_t lay_out(fo_shared_t *shared, char *begin, const fo_capacity_t *capacity)
{
    apr_size_t offset = whole_lines(sizeof(*shared));
    apr_size_t n_rows = (apr_size_t)capacity->slots * capacity->endpoints;
    apr_size_t n_cells = (apr_size_t)capacity->targets * capacity->cells;

    shared->slots = piece(begin, &offset, capacity->slots, sizeof(*shared->slots));
    shared->services = piece(begin, &offset, capacity->services, sizeof(*shared->services));
    shared->targets = piece(begin, &offset, capacity->targets, sizeof(*shared->targets));
    shared->endpoints = piece(begin, &offset, capacity->endpoints, sizeof(*shared->endpoints));
    shared->cells = piece(begin, &offset, n_cells, sizeof(*shared->cells));
    shared->rows = piece(begin, &offset, n_rows, sizeof(*shared->rows));
    return offset;
}

apr_size_t fo_shared_size(const fo_capacity_t *capacity)
{
    fo_shared_t unused;

    return FO_LAYOUT_LINE + lay_out(&unused, NULL, capacity);
}

static apr_uint64_t layout_number(void)
{
    apr_uint64_t number = LAYOUT_VERSION;

    number = number * FNV_PRIME + FO_VERDICT_COUNT; /* what follows the counts moves with it */
    number = number * FNV_PRIME + sizeof(fo_shared_t);
    number = number * FNV_PRIME + sizeof(fo_slot_words_t);
    number = number * FNV_PRIME + sizeof(fo_service_words_t);
    number = number * FNV_PRIME + sizeof(fo_target_words_t);
    number = number * FNV_PRIME + sizeof(fo_endpoint_words_t);
    return number * FNV_PRIME + sizeof(fo_row_words_t);
}

fo_shared_t *fo_shared_init(void *memory, const fo_capacity_t *capacity)
{
    uintptr_t line = ((uintptr_t)memory + FO_LAYOUT_LINE - 1) / FO_LAYOUT_LINE * FO_LAYOUT_LINE;
    fo_shared_t *shared = (fo_shared_t *)line;

    lay_out(shared, (char *)shared, capacity);
    shared->layout = layout_number();
    shared->capacity = *capacity;
    return shared;
}

bool fo_shared_is_known(const fo_shared_t *shared)
{
    return shared->layout == layout_number();
}

bool fo_shared_fits(const fo_shared_t *shared, const fo_capacity_t *capacity)
{
    return fo_shared_is_known(shared) && shared->capacity.slots == capacity->slots &&
           shared->capacity.cells == capacity->cells;
}

apr_uint64_t fo_layout_digest(const char *key)
{
    apr_uint64_t digest = FNV_BASIS;

    for (; *key; key++)
        digest = (digest ^ (unsigned char)*key) * FNV_PRIME;
    return digest ? digest : 1;
}

/*
 * The oldest generation of which a child is alive. One of the newest may just have been forked and
 * have no slot yet.
 */
static apr_uint64_t oldest_generation(const fo_shared_t *shared)
{
    apr_uint64_t oldest = shared->generation;

    for (unsigned i = 0; i < shared->capacity.slots; i++) {
        const fo_slot_words_t *slot = &shared->slots[i];
        apr_uint64_t generation = atomic_load(&slot->generation);
        if (atomic_load(&slot->pid) && generation < oldest)
            oldest = generation;
    }
    return oldest;
}

/* The seats of one kind; what is kept of each begins with its fo_seat_t. */
typedef struct bench_t {
    char *first;
    apr_size_t size; /* of what is kept */
    unsigned n;
    void (*empty)(fo_shared_t *shared, unsigned seat); /* forgets what is kept elsewhere */
} bench_t;

#define NO_SEAT UINT_MAX

static fo_seat_t *seat_at(const bench_t *bench, unsigned i)
{
    return (fo_seat_t *)(void *)(bench->first + i * bench->size);
}

/*
 * One that somebody of this generation has already does not count: virtual hosts of one name, at
 * different addresses, may have services that are called the same.
 */
static unsigned find_seat(const bench_t *bench, apr_uint64_t digest, apr_uint64_t generation)
{
    for (unsigned i = 0; i < bench->n; i++)
        if (seat_at(bench, i)->digest == digest && seat_at(bench, i)->generation != generation)
            return i;
    return NO_SEAT;
}

/* One that nobody has, or that no child which is alive has known. */
static unsigned free_seat(const bench_t *bench, apr_uint64_t oldest)
{
    for (unsigned i = 0; i < bench->n; i++)
        if (seat_at(bench, i)->digest == 0 || seat_at(bench, i)->generation < oldest)
            return i;
    return NO_SEAT;
}

static void empty_target(fo_shared_t *shared, unsigned seat)
{
    for (unsigned i = 0; i < shared->capacity.cells; i++)
        atomic_store(&shared->cells[(apr_size_t)seat * shared->capacity.cells + i], 0);
}

static void empty_endpoint(fo_shared_t *shared, unsigned seat)
{
    for (unsigned i = 0; i < shared->capacity.slots; i++)
        memset(fo_layout_row(shared, i, seat), 0, sizeof(fo_row_words_t));
}

/* The keys of one kind of thing in the plan, by index, and where their seats are to be noted. */
typedef struct guests_t {
    unsigned n;
    const char *(*key)(const fo_plan_t *plan, unsigned i);
    unsigned *(*seat)(const fo_plan_t *plan, unsigned i);
} guests_t;

static const char *service_key(const fo_plan_t *plan, unsigned i)
{
    return fo_plan_service(plan, i)->full_name;
}

static unsigned *service_seat(const fo_plan_t *plan, unsigned i)
{
    return &fo_plan_service(plan, i)->seat;
}

static const char *target_key(const fo_plan_t *plan, unsigned i)
{
    return fo_plan_target_at(plan, i)->key;
}

static unsigned *target_seat(const fo_plan_t *plan, unsigned i)
{
    return &fo_plan_target_at(plan, i)->seat;
}

static const char *endpoint_key(const fo_plan_t *plan, unsigned i)
{
    return fo_plan_endpoint(plan, i)->key;
}

static unsigned *endpoint_seat(const fo_plan_t *plan, unsigned i)
{
    return &fo_plan_endpoint(plan, i)->seat;
}

/* The three kinds. */
typedef enum {
    SERVICES,
    TARGETS,
    ENDPOINTS,
    N_KINDS
} kind_e;

static bench_t bench_of(const fo_shared_t *shared, kind_e kind)
{
    const bench_t benches[N_KINDS] = {
        [SERVICES] = { (char *)shared->services, sizeof(fo_service_words_t),
                       shared->capacity.services, NULL },
        [TARGETS] = { (char *)shared->targets, sizeof(fo_target_words_t), shared->capacity.targets,
                      empty_target },
        [ENDPOINTS] = { (char *)shared->endpoints, sizeof(fo_endpoint_words_t),
                        shared->capacity.endpoints, empty_endpoint },
    };

    return benches[kind];
}

static guests_t guests_of(const fo_plan_t *plan, kind_e kind)
{
    const guests_t guests[N_KINDS] = {
        [SERVICES] = { (unsigned)plan->services->nelts, service_key, service_seat },
        [TARGETS] = { (unsigned)plan->targets->nelts, target_key, target_seat },
        [ENDPOINTS] = { (unsigned)plan->endpoints->nelts, endpoint_key, endpoint_seat },
    };

    return guests[kind];
}

/* What nobody had is zero already: to write there would make the system give it memory. */
static void sit(fo_shared_t *shared, const bench_t *bench, unsigned i, apr_uint64_t digest)
{
    fo_seat_t *seat = seat_at(bench, i);

    if (seat->digest != 0 && seat->digest != digest) {
        memset((void *)seat, 0, bench->size);
        if (bench->empty)
            bench->empty(shared, i);
    }
    seat->digest = digest;
    seat->generation = shared->generation;
}

/* First those that had a seat, so that nobody else is given it. */
static bool seat_kind(fo_shared_t *shared, const fo_plan_t *plan, kind_e kind, apr_uint64_t oldest)
{
    bench_t bench = bench_of(shared, kind);
    guests_t guests = guests_of(plan, kind);

    for (unsigned i = 0; i < guests.n; i++) {
        apr_uint64_t digest = fo_layout_digest(guests.key(plan, i));
        unsigned seat = *guests.seat(plan, i) = find_seat(&bench, digest, shared->generation);
        if (seat != NO_SEAT)
            sit(shared, &bench, seat, digest);
    }
    for (unsigned i = 0; i < guests.n; i++) {
        if (*guests.seat(plan, i) != NO_SEAT)
            continue;
        unsigned seat = *guests.seat(plan, i) = free_seat(&bench, oldest);
        if (seat == NO_SEAT)
            return false;
        sit(shared, &bench, seat, fo_layout_digest(guests.key(plan, i)));
    }
    return true;
}

/* Word by word, as children that are alive may write on. */
static void copy_words(void *to, const void *from, apr_size_t size)
{
    _Atomic apr_uint64_t *target = to;
    const _Atomic apr_uint64_t *source = from;

    for (apr_size_t i = 0; i < size / sizeof(*target); i++)
        atomic_store(&target[i], atomic_load(&source[i]));
}

/* Whole ones: the children that live write on. */
static void carry_rows(fo_shared_t *to, unsigned seat, const fo_shared_t *from,
                       unsigned seat_before)
{
    for (unsigned slot = 0; slot < to->capacity.slots && slot < from->capacity.slots; slot++) {
        fo_row_t row;
        if (fo_row_read(from, slot, seat_before, &row))
            fo_row_write(to, (int)slot, seat, &row);
    }
}

/* The seat there of what sits here; of several with one name, those in the same order. */
static unsigned seat_of_same(const bench_t *there, const bench_t *here, unsigned seat)
{
    apr_uint64_t digest = seat_at(here, seat)->digest;
    unsigned n_before = 0;

    for (unsigned i = 0; digest && i < seat; i++)
        n_before += seat_at(here, i)->digest == digest;
    for (unsigned i = 0; digest && i < there->n; i++)
        if (seat_at(there, i)->digest == digest && n_before-- == 0)
            return i;
    return NO_SEAT;
}

/* The cells are left: the pings that are under way do not know these. */
static void carry_kind(fo_shared_t *to, const fo_shared_t *from, kind_e kind)
{
    bench_t bench = bench_of(to, kind), before = bench_of(from, kind);

    for (unsigned i = 0; i < bench.n; i++) {
        fo_seat_t seat = *seat_at(&bench, i);
        unsigned found = seat_of_same(&before, &bench, i);
        if (found == NO_SEAT)
            continue;
        copy_words(seat_at(&bench, i), seat_at(&before, found), bench.size);
        *seat_at(&bench, i) = seat;
        if (kind == ENDPOINTS)
            carry_rows(to, i, from, found);
    }
}

static void carry(fo_shared_t *to, const fo_shared_t *from)
{
    for (unsigned i = 0; i < to->capacity.slots && i < from->capacity.slots; i++)
        copy_words(&to->slots[i], &from->slots[i], sizeof(fo_slot_words_t));
    for (kind_e kind = SERVICES; kind < N_KINDS; kind++)
        carry_kind(to, from, kind);
    atomic_store(&to->count, atomic_load(&from->count));
}

bool fo_shared_adopt(fo_shared_t *shared, fo_plan_t *plan, const fo_shared_t *before)
{
    apr_uint64_t oldest;

    if (before && !fo_shared_is_known(before))
        before = NULL;
    if (before)
        shared->generation = before->generation;
    oldest = oldest_generation(shared);
    plan->generation = ++shared->generation;
    for (kind_e kind = SERVICES; kind < N_KINDS; kind++)
        if (!seat_kind(shared, plan, kind, oldest))
            return false;
    if (before)
        carry(shared, before);
    return true;
}

unsigned fo_shared_hint(const fo_shared_t *shared, unsigned target)
{
    return (unsigned)atomic_load(&shared->targets[target].hint);
}

unsigned fo_shared_tell(fo_shared_t *shared, unsigned target, bool is_down, apr_time_t now)
{
    fo_target_words_t *words = &shared->targets[target];
    apr_uint64_t seen = atomic_load(&words->hint), told;

    atomic_store(&words->told_at, now);
    do
        told = ((seen | FO_HINT_DOWN) + 1) | (is_down ? FO_HINT_DOWN : 0);
    while (!atomic_compare_exchange_weak(&words->hint, &seen, told));
    atomic_fetch_add(&shared->count, 1); /* after the word, which whoever sees this will read */
    return (unsigned)told;
}

unsigned fo_shared_stir(fo_shared_t *shared, unsigned target)
{
    apr_uint64_t told = atomic_fetch_add(&shared->targets[target].hint, 2) + 2;

    atomic_fetch_add(&shared->count, 1);
    return (unsigned)told;
}

apr_time_t fo_shared_told_at(const fo_shared_t *shared, unsigned target)
{
    return atomic_load(&shared->targets[target].told_at);
}

const _Atomic unsigned *fo_shared_count(const fo_shared_t *shared)
{
    return &shared->count;
}

fo_breaker_t *fo_shared_breaker(fo_shared_t *shared, unsigned service)
{
    return &shared->services[service].breaker;
}

apr_time_t fo_shared_open_until(const fo_shared_t *shared, unsigned endpoint)
{
    return atomic_load(&shared->endpoints[endpoint].open_until);
}

static apr_interval_time_t next_span(apr_interval_time_t last, apr_interval_time_t reset)
{
    apr_interval_time_t span = 2 * last > reset ? 2 * last : reset;

    return span < FO_OPEN_MAX ? span : FO_OPEN_MAX;
}

apr_time_t fo_shared_open(fo_shared_t *shared, unsigned endpoint, apr_interval_time_t reset,
                          apr_time_t now)
{
    fo_endpoint_words_t *words = &shared->endpoints[endpoint];
    apr_int64_t until_at = atomic_load(&words->open_until);
    apr_interval_time_t last = atomic_load(&words->open_span);
    bool is_quick = until_at && now - until_at < last;
    apr_interval_time_t span = is_quick ? next_span(last, reset) : reset;

    if (until_at > now)
        return until_at;
    if (!atomic_compare_exchange_strong(&words->open_until, &until_at, now + span))
        return until_at; /* a sibling was faster */
    atomic_store(&words->open_span, span);
    return now + span;
}

void fo_shared_close(fo_shared_t *shared, unsigned endpoint, apr_time_t until_at, apr_time_t now)
{
    apr_int64_t expected = until_at;

    atomic_compare_exchange_strong(&shared->endpoints[endpoint].open_until, &expected, now);
}

void fo_shared_count_lost_event(fo_shared_t *shared)
{
    atomic_fetch_add_explicit(&shared->lost_events, 1, memory_order_relaxed);
}

apr_uint64_t fo_shared_lost_events(const fo_shared_t *shared)
{
    return atomic_load_explicit(&shared->lost_events, memory_order_relaxed);
}

static _Atomic apr_int64_t *cells_of(fo_shared_t *shared, unsigned target)
{
    return &shared->cells[(apr_size_t)target * shared->capacity.cells];
}

fo_cell_t fo_shared_enter(fo_shared_t *shared, unsigned target, apr_time_t now, apr_time_t until_at)
{
    _Atomic apr_int64_t *cells = cells_of(shared, target);

    for (unsigned i = 0; i < shared->capacity.cells; i++) {
        apr_int64_t seen = atomic_load(&cells[i]);
        if (seen <= now && atomic_compare_exchange_strong(&cells[i], &seen, until_at))
            return (fo_cell_t){ .cell = (int)i, .until_at = until_at };
    }
    return (fo_cell_t){ .cell = -1 };
}

/* One whose time ran out may have gone to another ping meanwhile: then it is not ours to free. */
void fo_shared_leave(fo_shared_t *shared, unsigned target, fo_cell_t cell)
{
    apr_int64_t ours = cell.until_at;

    if (cell.cell >= 0)
        atomic_compare_exchange_strong(&cells_of(shared, target)[cell.cell], &ours, 0);
}

void fo_shared_suspect(fo_shared_t *shared, unsigned target)
{
    atomic_store(&shared->targets[target].is_suspect, 1);
}

bool fo_shared_take_suspect(fo_shared_t *shared, unsigned target)
{
    return atomic_load(&shared->targets[target].is_suspect) &&
           atomic_exchange(&shared->targets[target].is_suspect, 0);
}

#include "core/fo_board.h"

#include <stdatomic.h>
#include <string.h>

#define WORD_BITS 64
#define REASON_WORDS (FO_REPORT_TEXT / sizeof(apr_uint64_t))

/* A word is one 64-bit atomic: epoch in the upper half, endpoint, then state in the lowest byte. */
#define WORD_EPOCH_SHIFT 32
#define WORD_ENDPOINT_SHIFT 8

/*
 * The detail is several words, so it carries a version: odd while it is being written. A reader
 * that met a writer reads again; changes are seconds apart.
 */
typedef struct seat_t {
    _Atomic apr_uint64_t word;
    _Atomic unsigned version;
    _Atomic apr_int64_t since_at;
    _Atomic apr_uint64_t reason[REASON_WORDS];
} seat_t;

/* The first two members are all that a request reads while its services are up. */
typedef struct desk_t {
    atomic_bool is_due[FO_TRIGGER_COUNT + 1]; /* the last: of no trigger, never */
    _Atomic unsigned n_not_up;
    unsigned n_words;
    _Atomic apr_uint64_t *not_up;     /* a bit for each position in the scope */
    _Atomic apr_uint64_t *any_not_up; /* a bit for each word of not_up: it is not 0 */
} desk_t;

struct fo_board_t {
    const _Atomic unsigned *hints; /* how many discoveries there were in all children */
    _Atomic unsigned hints_heard;  /* or being looked at */
    _Atomic unsigned no_hints;     /* what `hints` points at without siblings */
    const fo_plan_t *plan;
    seat_t *seats; /* by service */
    desk_t *desks; /* by scope */
};

const char *const fo_service_state_names[FO_SERVICE_STATE_COUNT] = {
    [FO_SERVICE_UP] = "up",
    [FO_SERVICE_FAILOVER] = "failover",
    [FO_SERVICE_DOWN] = "down",
};

static apr_uint64_t pack(fo_word_t word)
{
    return (apr_uint64_t)word.epoch << WORD_EPOCH_SHIFT |
           (apr_uint64_t)word.endpoint << WORD_ENDPOINT_SHIFT | (apr_uint64_t)word.state;
}

static fo_word_t unpack(apr_uint64_t packed)
{
    return (fo_word_t){
        .state = (fo_service_state_e)(packed & 0xff),
        .endpoint = (unsigned)(packed >> WORD_ENDPOINT_SHIFT & 0xffffff),
        .epoch = (unsigned)(packed >> WORD_EPOCH_SHIFT),
    };
}

/* The words of any_not_up. */
static unsigned n_tops(const desk_t *desk)
{
    return (desk->n_words + WORD_BITS - 1) / WORD_BITS;
}

fo_board_t *fo_board_make(const fo_plan_t *plan, apr_pool_t *pool)
{
    fo_board_t *board = apr_pcalloc(pool, sizeof(*board));

    board->hints = &board->no_hints;
    board->plan = plan;
    board->seats = apr_pcalloc(pool, sizeof(seat_t) * (size_t)(plan->services->nelts + 1));
    for (unsigned i = 0; i < (unsigned)plan->services->nelts; i++)
        board->seats[i].word = pack((fo_word_t){ .endpoint = fo_plan_service(plan, i)->primary });
    board->desks = apr_pcalloc(pool, sizeof(desk_t) * (size_t)(plan->scopes->nelts + 1));
    for (unsigned i = 0; i < (unsigned)plan->scopes->nelts; i++) {
        desk_t *desk = &board->desks[i];
        unsigned n = (unsigned)fo_plan_scope_at(plan, i)->services->nelts;
        desk->n_words = (n + WORD_BITS - 1) / WORD_BITS;
        desk->not_up = apr_pcalloc(pool, sizeof(*desk->not_up) * (desk->n_words + 1));
        desk->any_not_up = apr_pcalloc(pool, sizeof(*desk->any_not_up) * (n_tops(desk) + 1));
    }
    return board;
}

void fo_board_join(fo_board_t *board, const fo_shared_t *shared)
{
    board->hints = fo_shared_count(shared);
    atomic_store(&board->hints_heard, atomic_load(board->hints));
}

void fo_board_hints_heard(fo_board_t *board, unsigned count)
{
    atomic_store(&board->hints_heard, count);
}

static bool has_hints(const fo_board_t *board, fo_trigger_e trigger)
{
    return atomic_load_explicit(board->hints, memory_order_relaxed) !=
               atomic_load_explicit(&board->hints_heard, memory_order_relaxed) &&
           trigger != FO_TRIGGER_COUNT;
}

static void write_detail(seat_t *seat, const fo_detail_t *detail)
{
    unsigned version = atomic_load_explicit(&seat->version, memory_order_relaxed);
    apr_uint64_t words[REASON_WORDS];

    memcpy(words, detail->reason, sizeof(words));
    atomic_store_explicit(&seat->version, version + 1, memory_order_seq_cst);
    atomic_store(&seat->since_at, detail->since_at);
    for (size_t i = 0; i < REASON_WORDS; i++)
        atomic_store(&seat->reason[i], words[i]);
    atomic_store_explicit(&seat->version, version + 2, memory_order_seq_cst);
}

static apr_uint64_t bit_of(unsigned index)
{
    return (apr_uint64_t)1 << index % WORD_BITS;
}

static void mark_not_up(desk_t *desk, unsigned position)
{
    unsigned word = position / WORD_BITS;

    atomic_fetch_or(&desk->not_up[word], bit_of(position));
    atomic_fetch_or(&desk->any_not_up[word / WORD_BITS], bit_of(word));
    atomic_fetch_add(&desk->n_not_up, 1);
}

static void mark_up(desk_t *desk, unsigned position)
{
    unsigned word = position / WORD_BITS;
    apr_uint64_t before = atomic_fetch_and(&desk->not_up[word], ~bit_of(position));

    if (before == bit_of(position))
        atomic_fetch_and(&desk->any_not_up[word / WORD_BITS], ~bit_of(word));
    atomic_fetch_sub(&desk->n_not_up, 1);
}

static void write_places(fo_board_t *board, const fo_service_t *service, bool is_up)
{
    for (int i = 0; i < service->places->nelts; i++) {
        fo_place_t place = APR_ARRAY_IDX(service->places, i, fo_place_t);
        desk_t *desk = &board->desks[place.scope];
        apr_uint64_t word = atomic_load(&desk->not_up[place.position / WORD_BITS]);
        bool was_up = !(word & bit_of(place.position));
        if (was_up != is_up)
            (is_up ? mark_up : mark_not_up)(desk, place.position);
    }
}

void fo_board_publish(fo_board_t *board, const fo_service_t *service, fo_word_t word,
                      const fo_detail_t *detail)
{
    seat_t *seat = &board->seats[service->index];

    write_detail(seat, detail);
    atomic_store(&seat->word, pack(word));
    write_places(board, service, word.state == FO_SERVICE_UP);
}

void fo_board_publish_due(fo_board_t *board, const fo_scope_t *scope, fo_trigger_e trigger,
                          bool is_due)
{
    atomic_store_explicit(&board->desks[scope->index].is_due[trigger], is_due,
                          memory_order_release);
}

fo_word_t fo_board_word(const fo_board_t *board, const fo_service_t *service)
{
    return unpack(atomic_load(&board->seats[service->index].word));
}

fo_detail_t fo_board_detail(const fo_board_t *board, const fo_service_t *service)
{
    seat_t *seat = &board->seats[service->index];
    apr_uint64_t words[REASON_WORDS];
    fo_detail_t detail;
    unsigned version;

    do {
        version = atomic_load(&seat->version);
        detail.since_at = atomic_load(&seat->since_at);
        for (size_t i = 0; i < REASON_WORDS; i++)
            words[i] = atomic_load(&seat->reason[i]);
    } while (version % 2 != 0 || version != atomic_load(&seat->version));
    memcpy(detail.reason, words, sizeof(words));
    detail.reason[sizeof(detail.reason) - 1] = '\0';
    return detail;
}

bool fo_board_is_calm(const fo_board_t *board, const fo_scope_t *scope, fo_trigger_e trigger)
{
    const desk_t *desk = &board->desks[scope->index];

    return !atomic_load_explicit(&desk->is_due[trigger], memory_order_relaxed) &&
           !has_hints(board, trigger) &&
           atomic_load_explicit(&desk->n_not_up, memory_order_acquire) == 0;
}

static bool claim_hints(fo_board_t *board)
{
    unsigned count = atomic_load(board->hints);
    unsigned heard = atomic_load(&board->hints_heard);

    return count != heard && atomic_compare_exchange_strong(&board->hints_heard, &heard, count);
}

bool fo_board_claim_due(fo_board_t *board, const fo_scope_t *scope, fo_trigger_e trigger)
{
    atomic_bool *is_due = &board->desks[scope->index].is_due[trigger];

    if (atomic_load_explicit(is_due, memory_order_relaxed) && atomic_exchange(is_due, false))
        return true;
    return has_hints(board, trigger) && claim_hints(board);
}

static void see(fo_seen_t *seen, const fo_service_t *service, fo_word_t word)
{
    char *digit = &seen->digits[sizeof(seen->digits) - 1];
    unsigned rest = word.epoch;

    *digit = '\0';
    do
        *--digit = (char)('0' + rest % 10);
    while ((rest /= 10) > 0);
    seen->service = service;
    seen->word = word;
    seen->epoch = digit;
}

/* Takes the lowest bit away and returns its number. */
static unsigned take_bit(apr_uint64_t *bits)
{
    unsigned number = (unsigned)__builtin_ctzll(*bits);

    *bits &= *bits - 1;
    return number;
}

/* Adds what is not up among the positions of one word. False: there is no room for it. */
static bool see_word(const fo_board_t *board, const fo_scope_t *scope, unsigned word_index,
                     unsigned room, fo_snapshot_t *snapshot)
{
    const desk_t *desk = &board->desks[scope->index];
    apr_uint64_t bits = atomic_load_explicit(&desk->not_up[word_index], memory_order_acquire);

    while (bits) {
        unsigned position = word_index * WORD_BITS + take_bit(&bits);
        const fo_service_t *service = fo_scope_service(scope, position);
        fo_word_t word = fo_board_word(board, service);
        if (word.state == FO_SERVICE_UP)
            continue;
        if (snapshot->n == room)
            return false;
        snapshot->is_plain = snapshot->is_plain && service->is_plain;
        see(&snapshot->seen[snapshot->n++], service, word);
    }
    return true;
}

/* NULL: more services went down meanwhile than there is room for. */
static const fo_snapshot_t *take_snapshot(const fo_board_t *board, const fo_scope_t *scope,
                                          unsigned room, apr_pool_t *pool)
{
    const desk_t *desk = &board->desks[scope->index];
    fo_snapshot_t *snapshot = apr_palloc(pool, sizeof(*snapshot) + room * sizeof(fo_seen_t));

    snapshot->n = 0;
    snapshot->is_plain = true;
    for (unsigned i = 0; i < n_tops(desk); i++) {
        apr_uint64_t bits = atomic_load_explicit(&desk->any_not_up[i], memory_order_acquire);
        while (bits)
            if (!see_word(board, scope, i * WORD_BITS + take_bit(&bits), room, snapshot))
                return NULL;
    }
    return snapshot;
}

static const fo_snapshot_t *snapshot_of(const fo_board_t *board, const fo_scope_t *scope,
                                        unsigned n_not_up, apr_pool_t *pool)
{
    const fo_snapshot_t *snapshot = take_snapshot(board, scope, n_not_up, pool);

    if (!snapshot)
        snapshot = take_snapshot(board, scope, (unsigned)scope->services->nelts, pool);
    return snapshot->n ? snapshot : NULL;
}

const fo_snapshot_t *fo_board_snapshot(const fo_board_t *board, const fo_scope_t *scope,
                                       apr_pool_t *pool)
{
    unsigned n_not_up = atomic_load_explicit(&board->desks[scope->index].n_not_up,
                                             memory_order_acquire);

    return n_not_up == 0 ? NULL : snapshot_of(board, scope, n_not_up, pool);
}

const fo_seen_t *fo_snapshot_find(const fo_snapshot_t *snapshot, const fo_service_t *service)
{
    for (unsigned i = 0; snapshot && i < snapshot->n; i++)
        if (snapshot->seen[i].service == service)
            return &snapshot->seen[i];
    return NULL;
}

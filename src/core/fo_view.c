#include "core/fo_view.h"

#include "core/fo_lease.h"
#include "core/fo_row.h"

#include <string.h>

/* From the worst on: of two that as many children see, the worse one is told. */
static const int service_states[] = { FO_VIEW_DOWN, FO_VIEW_FAILOVER, FO_VIEW_UP };
static const int endpoint_states[] = { FO_STATE_DOWN, FO_STATE_RISING, FO_STATE_FAILING,
                                       FO_STATE_UP };

#define LENGTH(array) (sizeof(array) / sizeof((array)[0]))

/* The state that most see of those n, or most of the fresh; `unknown` where none is seen. */
static int most_of(const fo_view_part_t *parts, bool of_fresh, const int *states, size_t n,
                   int unknown)
{
    int found = unknown;
    unsigned most = 0;

    for (size_t i = 0; i < n; i++) {
        const fo_view_part_t *part = &parts[states[i]];
        unsigned seen = of_fresh ? part->n_fresh : part->n;
        if (seen <= most)
            continue;
        found = states[i];
        most = seen;
    }
    return found;
}

static int most_seen(const fo_view_part_t *parts, const int *states, size_t n, int unknown)
{
    int found = most_of(parts, true, states, n, unknown);

    return found == unknown ? most_of(parts, false, states, n, unknown) : found;
}

/* The first that is fresh takes the place of those that are not. */
static void add_to_part(fo_view_part_t *part, apr_time_t since_at, bool is_fresh)
{
    bool is_earlier = part->n == 0 || since_at < part->since_at;
    bool has_fresh = part->n_fresh > 0;

    if (is_fresh == has_fresh ? is_earlier : is_fresh)
        part->since_at = since_at;
    part->n++;
    part->n_fresh += is_fresh;
}

static const fo_endpoint_t *primary_of(const fo_service_t *service)
{
    const fo_endpoint_t *heaviest = NULL;

    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        const fo_endpoint_t *endpoint = fo_service_endpoint(service, rank);
        if (!heaviest || endpoint->weight > heaviest->weight)
            heaviest = endpoint;
    }
    return heaviest;
}

/* What one child sees of one service. */
typedef struct sight_t {
    fo_view_state_e state;
    apr_time_t since_at; /* the last change of an endpoint */
    unsigned epoch;
    bool is_open; /* it uses an endpoint that it does not know yet */
    bool is_fresh;
} sight_t;

static void add_row(sight_t *sight, const fo_endpoint_t *endpoint, const fo_row_t *row,
                    apr_time_t since_at)
{
    if (since_at > sight->since_at)
        sight->since_at = since_at;
    if (row->epoch > sight->epoch)
        sight->epoch = row->epoch;
    sight->is_open = sight->is_open || (row->state == FO_STATE_UNKNOWN && row->is_in_use);
    if (row->state == FO_STATE_UNKNOWN)
        return;
    if (row->is_in_use)
        sight->state = endpoint == primary_of(endpoint->service) ? FO_VIEW_UP : FO_VIEW_FAILOVER;
    else if (sight->state == FO_VIEW_UNKNOWN)
        sight->state = FO_VIEW_DOWN;
}

static void add_to_endpoint(fo_view_endpoint_t *seen, const fo_row_t *row, apr_time_t since_at,
                            bool is_fresh, bool pings)
{
    add_to_part(&seen->parts[row->state], since_at, is_fresh);
    seen->n_users += row->is_in_use != 0;
    if (row->pinged_at > seen->pinged_at) {
        seen->pinged_at = row->pinged_at;
        seen->took = row->took;
        seen->verdict = (fo_verdict_e)row->verdict;
    }
    if (pings && row->due_at < seen->due_at)
        seen->due_at = row->due_at;
}

static bool pings_itself(const fo_view_t *view, const fo_view_child_t *child)
{
    return !view->plan->ways.lease || child->slot.pid == view->leader;
}

static sight_t look(fo_view_t *view, const fo_service_t *service, const fo_view_child_t *child)
{
    sight_t sight = { .state = FO_VIEW_UNKNOWN, .is_fresh = !child->is_late };

    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        const fo_endpoint_t *endpoint = fo_service_endpoint(service, rank);
        apr_time_t since_at;
        bool is_fresh;
        fo_row_t row;
        if (!fo_row_read(view->shared, child->number, endpoint->seat, &row) ||
            row.state >= FO_STATE_COUNT || row.verdict >= FO_VERDICT_COUNT)
            continue;
        since_at = row.since_at ? row.since_at : child->slot.started_at;
        is_fresh = !child->is_late && !fo_row_is_outdated(view->shared, endpoint->target, &row);
        sight.is_fresh = sight.is_fresh && is_fresh;
        add_row(&sight, endpoint, &row, since_at);
        if (child->is_counted)
            add_to_endpoint(&view->endpoints[endpoint->index], &row, since_at, is_fresh,
                            pings_itself(view, child));
    }
    if (sight.is_open && sight.state == FO_VIEW_DOWN)
        sight.state = FO_VIEW_UNKNOWN;
    if (!sight.since_at)
        sight.since_at = child->slot.started_at;
    return sight;
}

static void add_to_child(fo_view_child_t *child, const fo_service_t *service)
{
    if (child->n_down < FO_VIEW_NAMES)
        child->down[child->n_down] = service;
    child->n_down++;
}

static void view_service(fo_view_t *view, const fo_service_t *service)
{
    fo_view_service_t *seen = &view->services[service->index];

    seen->service = service;
    for (unsigned i = 0; i < view->n_children; i++) {
        fo_view_child_t *child = &view->children[i];
        sight_t sight = look(view, service, child);
        if (sight.state == FO_VIEW_DOWN)
            add_to_child(child, service);
        if (!child->is_counted)
            continue;
        add_to_part(&seen->parts[sight.state], sight.since_at, sight.is_fresh);
        if (sight.epoch > seen->epoch)
            seen->epoch = sight.epoch;
    }
    seen->state = (fo_view_state_e)most_seen(seen->parts, service_states, LENGTH(service_states),
                                             FO_VIEW_UNKNOWN);
    seen->is_unavailable = seen->state == FO_VIEW_DOWN &&
                           view->now - seen->parts[FO_VIEW_DOWN].since_at >=
                               fo_policy_hope(&service->policy);
}

static void view_endpoint(fo_view_endpoint_t *seen)
{
    seen->state = (fo_state_e)most_seen(seen->parts, endpoint_states, LENGTH(endpoint_states),
                                        FO_STATE_UNKNOWN);
}

static void view_children(fo_view_t *view, apr_pool_t *pool)
{
    apr_array_header_t *children = apr_array_make(pool, 16, sizeof(fo_view_child_t));

    view->n_slots = fo_slot_count(view->shared);
    for (unsigned i = 0; i < view->n_slots; i++) {
        fo_view_child_t child = { .number = i };
        if (!fo_slot_read(view->shared, i, &child.slot))
            continue;
        child.is_counted = child.slot.generation == view->plan->generation;
        child.is_late = fo_slot_is_late(&child.slot, view->now);
        view->n_counted += child.is_counted;
        APR_ARRAY_PUSH(children, fo_view_child_t) = child;
    }
    view->n_children = (unsigned)children->nelts;
    view->children = (fo_view_child_t *)children->elts;
}

static void view_lease(fo_view_t *view)
{
    fo_lease_t lease = fo_lease_read(view->shared);

    if (!view->plan->ways.lease || lease.until_at <= view->now)
        return;
    for (unsigned i = 0; i < view->n_children; i++)
        if ((int)view->children[i].number == lease.slot)
            view->leader = view->children[i].slot.pid;
}

const fo_view_t *fo_view_of(const fo_plan_t *plan, const apr_array_header_t *services,
                            const fo_shared_t *shared, apr_time_t now, apr_time_t wall_at,
                            apr_pool_t *pool)
{
    size_t n_services = (size_t)plan->services->nelts, n_endpoints = (size_t)plan->endpoints->nelts;
    fo_view_t *view = apr_pcalloc(pool, sizeof(*view));

    view->plan = plan;
    view->shared = shared;
    view->now = now;
    view->wall_at = wall_at;
    view->services = apr_pcalloc(pool, sizeof(fo_view_service_t) * (n_services + 1));
    view->endpoints = apr_pcalloc(pool, sizeof(fo_view_endpoint_t) * (n_endpoints + 1));
    for (unsigned i = 0; i < n_services; i++)
        view->services[i].state = FO_VIEW_UNKNOWN;
    for (unsigned i = 0; i < n_endpoints; i++) {
        view->endpoints[i].endpoint = fo_plan_endpoint(plan, i);
        view->endpoints[i].due_at = FO_NEVER;
    }
    if (shared) {
        view_children(view, pool);
        view_lease(view);
    }
    for (int i = 0; i < services->nelts; i++)
        view_service(view, APR_ARRAY_IDX(services, i, fo_service_t *));
    for (unsigned i = 0; i < n_endpoints; i++)
        view_endpoint(&view->endpoints[i]);
    return view;
}

const fo_view_t *fo_view_make(const fo_plan_t *plan, const fo_shared_t *shared, apr_time_t now,
                              apr_time_t wall_at, apr_pool_t *pool)
{
    return fo_view_of(plan, plan->services, shared, now, wall_at, pool);
}

bool fo_view_tally(const fo_view_t *view, const fo_service_t *service, fo_tally_t *ret_tally)
{
    if (!view->shared || !fo_breaker_is_on(&service->policy))
        return false;
    *ret_tally = fo_breaker_tally(fo_shared_breaker((fo_shared_t *)view->shared, service->seat),
                                  &service->policy, view->wall_at);
    return true;
}

void fo_view_record(const fo_view_t *view, const fo_endpoint_t *endpoint, fo_record_t *ret_record)
{
    if (view->shared)
        fo_record_read(view->shared, endpoint->target->seat, ret_record);
    else
        memset(ret_record, 0, sizeof(*ret_record));
}

apr_time_t fo_view_wall(const fo_view_t *view, apr_time_t at)
{
    return view->wall_at - (view->now - at);
}

const char *fo_view_state_name(fo_view_state_e state)
{
    return state == FO_VIEW_UNKNOWN ? fo_state_name(FO_STATE_UNKNOWN)
                                    : fo_service_state_name((fo_service_state_e)state);
}

/* Characters of two, three and four bytes: how they begin, and what they stand for at least. */
static const struct {
    unsigned char mask;
    unsigned char begin;
    unsigned least;
} utf8_forms[] = { { 0xe0, 0xc0, 0x80 }, { 0xf0, 0xe0, 0x800 }, { 0xf8, 0xf0, 0x10000 } };

#define IS_SURROGATE(point) ((point) >= 0xd800 && (point) <= 0xdfff)
#define IS_CONTROL(point) ((point) < 0x20 || ((point) >= 0x7f && (point) <= 0x9f))
#define POINT_MAX 0x10ffff

/* The bytes of the character that begins here; 0: it is none that may be shown. */
static size_t character(const unsigned char *text)
{
    if (text[0] < 0x80)
        return !IS_CONTROL(text[0]);
    for (size_t form = 0; form < LENGTH(utf8_forms); form++) {
        unsigned point = text[0] & (unsigned char)~utf8_forms[form].mask;
        size_t length = 1;
        if ((text[0] & utf8_forms[form].mask) != utf8_forms[form].begin)
            continue;
        for (; length < form + 2 && (text[length] & 0xc0) == 0x80; length++)
            point = point << 6 | (text[length] & 0x3f);
        return length == form + 2 && point >= utf8_forms[form].least && point <= POINT_MAX &&
                       !IS_SURROGATE(point) && !IS_CONTROL(point)
                   ? length
                   : 0;
    }
    return 0;
}

const char *fo_view_words(const char *text, apr_pool_t *pool)
{
    char *words = apr_pstrdup(pool, text);

    for (char *here = words; *here;) {
        size_t length = character((const unsigned char *)here);
        if (length == 0)
            *here = '?';
        here += length ? length : 1;
    }
    return words;
}

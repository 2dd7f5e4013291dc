/*
 * FailoverUses: which services a request depends on, and its outcome for their breakers. A request
 * that an error entry spoke of is remembered until it ends, in a table that is written without a
 * lock, as the hook on the error log may run in a signal handler.
 */
#include "httpd/httpd_failover.h"

#include "core/fo_breaker.h"
#include "core/fo_parse.h"
#include "httpd/httpd_declare.h"
#include "httpd/httpd_named.h"

#include <http_protocol.h>
#include <stdatomic.h>
#include <stdint.h>

#define MARKS 256 /* requests that have failed and not ended; a power of two */
#define TRIES 4
#define STALE (3600 * APR_USEC_PER_SEC)

/* The note of a request that counts for nothing. No service's, whose notes begin failover: */
#define UNCOUNTED "failover-uncounted"

/* What counts for one service. */
typedef struct counter_t {
    const fo_service_t *service; /* NULL: none of the name, or it has no breaker */
    fo_breaker_t *breaker;       /* NULL: there is no memory to share */
    apr_interval_time_t part;
} counter_t;

/* One word of one FailoverUses. */
typedef struct use_t {
    httpd_named_t named;
    counter_t *counters; /* by scope */
} use_t;

/* One FailoverUses. Constant once the server has started. */
struct httpd_uses_t {
    int n;
    use_t **words;
    counter_t *only; /* where one word is all, in one scope: what a request is spared to look up */
};

static apr_array_header_t *lists; /* httpd_uses_t *: all there are; from reading to the end */

/* Of a request that has failed. */
typedef struct mark_t {
    _Atomic(const request_rec *) r;
    _Atomic apr_int64_t began_at; /* its request_time: requests follow each other at one address */
    _Atomic apr_uint64_t bits;    /* by position in its list */
} mark_t;

static mark_t marks[MARKS];
static _Atomic unsigned n_marks;

/* ---------------------------------------------------------------- declared and resolved */

void httpd_uses_reset(apr_pool_t *pconf)
{
    lists = apr_array_make(pconf, 4, sizeof(httpd_uses_t *));
}

static const char *read_word(cmd_parms *cmd, const char *name, httpd_uses_t *list)
{
    use_t *use = apr_pcalloc(cmd->pool, sizeof(*use));

    list->words[list->n++] = use;
    return httpd_prefixed(cmd, httpd_named_read(&use->named, cmd, name));
}

const char *httpd_uses_declare(cmd_parms *cmd, void *directory, int argc, char *const argv[])
{
    httpd_directory_t *section = directory;
    httpd_uses_t *list = apr_pcalloc(cmd->pool, sizeof(*list));
    const char *error = NULL;

    if (argc < 1)
        return "FailoverUses NAME ... or none: a word is missing";
    if (argc > HTTPD_USES_MAX)
        return apr_psprintf(cmd->pool, "FailoverUses: at most %d services", HTTPD_USES_MAX);
    section->says |= HTTPD_SAYS_USES;
    section->uses = NULL;
    if (argc == 1 && strcasecmp(argv[0], "none") == 0)
        return NULL;
    list->words = apr_palloc(cmd->pool, sizeof(*list->words) * (size_t)argc);
    for (int i = 0; !error && i < argc; i++)
        error = read_word(cmd, argv[i], list);
    if (lists->nelts == 0) /* each hook costs every request */
        ap_hook_log_transaction(httpd_uses_count, NULL, NULL, APR_HOOK_MIDDLE);
    APR_ARRAY_PUSH(lists, httpd_uses_t *) = list;
    section->uses = list;
    return error;
}

static const char *resolve(use_t *use, const fo_plan_t *plan, apr_pool_t *pool)
{
    const char *error = httpd_named_need(&use->named, plan, pool);

    use->counters = apr_pcalloc(pool, sizeof(*use->counters) * (size_t)(plan->scopes->nelts + 1));
    for (int i = 0; !error && i < plan->scopes->nelts; i++) {
        const fo_service_t *service = use->named.services[i];
        if (!service || !fo_breaker_is_on(&service->policy))
            continue;
        use->counters[i].service = service;
        use->counters[i].part = fo_breaker_part(&service->policy);
    }
    return error ? httpd_misplaced(use->named.place, "FailoverUses", error, pool) : NULL;
}

/* Told of each word of each list, and of each scope of it. */
typedef void (*visit_fn)(counter_t *counter, void *baton);

static void visit_all(const fo_plan_t *plan, visit_fn visit, void *baton)
{
    for (int i = 0; i < lists->nelts; i++) {
        const httpd_uses_t *list = APR_ARRAY_IDX(lists, i, httpd_uses_t *);
        for (int word = 0; word < list->n; word++)
            for (int scope = 0; scope < plan->scopes->nelts; scope++)
                visit(&list->words[word]->counters[scope], baton);
    }
}

static void look_for(counter_t *counter, void *wanted)
{
    const fo_service_t **service = wanted;

    if (*service && counter->service == *service)
        *service = NULL;
}

static bool is_used(const fo_service_t *service, const fo_plan_t *plan)
{
    visit_all(plan, look_for, &service);
    return !service;
}

/* No request that reaches an application takes less. */
#define QUICKEST APR_TIME_C(1000)

/* How many requests this server can at most have answered within the window. */
static apr_int64_t most_requests(const fo_policy_t *policy)
{
    int children = 1, threads = 1;

    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &children);
    ap_mpm_query(AP_MPMQ_MAX_THREADS, &threads);
    return (apr_int64_t)children * (threads > 1 ? threads : 1) * policy->value[FO_POLICY_WINDOW] /
           QUICKEST;
}

/* consecutive= needs no window. */
static const char *unreachable(const fo_policy_t *policy, apr_pool_t *pool)
{
    apr_int64_t failures = policy->value[FO_POLICY_FAILURES], most = most_requests(policy);
    char window[FO_SPAN_TEXT];

    if (policy->value[FO_POLICY_STREAK] || failures <= most)
        return NULL;
    return apr_psprintf(pool,
                        "FailoverBreaker: failures=%" APR_INT64_T_FMT " within %s can never be "
                        "reached: with MaxRequestWorkers this server answers at most some "
                        "%" APR_INT64_T_FMT
                        " requests in that time: write fewer failures, a longer "
                        "window=, or consecutive=",
                        failures, fo_span_text(policy->value[FO_POLICY_WINDOW], window), most);
}

/* What the breaker of this service can never do. */
static const char *idle_breaker(const fo_service_t *service, const fo_plan_t *plan)
{
    if (!is_used(service, plan))
        return "FailoverBreaker: no request counts for it: FailoverUses names it nowhere";
    if (service->policy.value[FO_POLICY_OPENS] && service->endpoints->nelts == 1)
        return "FailoverBreaker: trip=open can never open its only endpoint: write trip=ping, or "
               "add an endpoint";
    return unreachable(&service->policy, plan->pool);
}

static void warn_of_idle(const fo_plan_t *plan, const apr_array_header_t *declared)
{
    for (int i = 0; i < declared->nelts; i++) {
        const fo_service_t *service = fo_plan_service(plan, (unsigned)i);
        const char *warning = fo_breaker_is_on(&service->policy) ? idle_breaker(service, plan)
                                                                 : NULL;
        if (warning)
            httpd_config_warn(APR_ARRAY_IDX(declared, i, httpd_service_t *)->place,
                              apr_pstrcat(plan->pool, service->full_name, ": ", warning, NULL));
    }
}

const char *httpd_uses_resolve(const fo_plan_t *plan, const apr_array_header_t *declared,
                               apr_pool_t *pool)
{
    const char *error = NULL;

    for (int i = 0; !error && i < lists->nelts; i++) {
        httpd_uses_t *list = APR_ARRAY_IDX(lists, i, httpd_uses_t *);
        for (int word = 0; !error && word < list->n; word++)
            error = resolve(list->words[word], plan, pool);
        if (!error && list->n == 1 && plan->scopes->nelts == 1)
            list->only = list->words[0]->counters;
    }
    if (!error)
        warn_of_idle(plan, declared);
    return error;
}

static void connect_counter(counter_t *counter, void *shared)
{
    if (counter->service)
        counter->breaker = fo_shared_breaker(shared, counter->service->seat);
}

void httpd_uses_start(const httpd_config_t *config)
{
    if (config->shared)
        visit_all(config->plan, connect_counter, config->shared);
}

/* ---------------------------------------------------------------- a request's own */

static const httpd_uses_t *uses_of(const request_rec *r)
{
    return r->per_dir_config ? httpd_directory_of(r->per_dir_config)->uses : NULL;
}

static counter_t *counter_of(const httpd_uses_t *list, int i, const request_rec *r)
{
    return &list->words[i]->counters[httpd_server_of(r->server)->scope->index];
}

/* The one that the client asked for: its section says what counts. */
static const request_rec *root_of(const request_rec *r)
{
    while (r->main || r->prev)
        r = r->main ? r->main : r->prev;
    return r;
}

bool httpd_uses_any(const request_rec *r)
{
    return r && uses_of(root_of(r));
}

static bool has_target(const fo_service_t *service, unsigned word, apr_uint64_t bits)
{
    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        unsigned index = fo_service_endpoint(service, rank)->target->index;
        if (index / 64 == word && bits >> index % 64 & 1)
            return true;
    }
    return false;
}

static unsigned place_of(const request_rec *r)
{
    return (unsigned)((uintptr_t)r >> 4) * 2654435761u >> 16;
}

/* The place that this request has; NULL: none. One of a request before at that address is not. */
static mark_t *mark_of(const request_rec *r)
{
    for (unsigned try = 0; try < TRIES; try++) {
        mark_t *one = &marks[(place_of(r) + try) % MARKS];
        if (atomic_load(&one->r) == r && atomic_load(&one->began_at) == r->request_time)
            return one;
    }
    return NULL;
}

/* Whoever logs after its request was counted leaves a mark that nobody takes: an hour will do. */
static bool is_stale(const mark_t *one, const request_rec *r)
{
    return atomic_load(&one->r) == r || r->request_time - atomic_load(&one->began_at) > STALE;
}

/* NULL: there is no room, and one failure is not counted. */
static mark_t *new_mark(const request_rec *r)
{
    for (unsigned try = 0; try < TRIES; try++) {
        mark_t *one = &marks[(place_of(r) + try) % MARKS];
        const request_rec *before = atomic_load(&one->r);
        if ((before && !is_stale(one, r)) || !atomic_compare_exchange_strong(&one->r, &before, r))
            continue;
        atomic_store(&one->began_at, r->request_time);
        atomic_store(&one->bits, 0);
        if (!before)
            atomic_fetch_add(&n_marks, 1);
        return one;
    }
    return NULL;
}

static void mark(const request_rec *r, apr_uint64_t bits)
{
    mark_t *one = mark_of(r);

    if (!one)
        one = new_mark(r);
    if (one)
        atomic_fetch_or(&one->bits, bits);
}

static apr_uint64_t take_mark(const request_rec *r)
{
    mark_t *one = mark_of(r);
    apr_uint64_t bits = one ? atomic_exchange(&one->bits, 0) : 0;

    if (one) {
        atomic_store(&one->r, NULL);
        atomic_fetch_sub(&n_marks, 1);
    }
    return bits;
}

void httpd_uses_found(const request_rec *r, unsigned word, apr_uint64_t bits)
{
    const request_rec *root = root_of(r);
    const httpd_uses_t *list = uses_of(root);
    apr_uint64_t failed = 0;

    for (int i = 0; list && i < list->n; i++) {
        const counter_t *counter = counter_of(list, i, root);
        if (counter->breaker && has_target(counter->service, word, bits))
            failed |= (apr_uint64_t)1 << i;
    }
    if (failed)
        mark(root, failed);
}

/* The mark, if there is room for it, keeps it from the short way, which looks at no notes. */
void httpd_uses_exempt(const request_rec *r)
{
    if (r->main)
        return;
    apr_table_setn(r->notes, UNCOUNTED, "");
    if (uses_of(root_of(r)))
        mark(root_of(r), 0);
}

/* ---------------------------------------------------------------- its end */

static bool is_servers_fault(const request_rec *r)
{
    while (r->next)
        r = r->next;
    switch (r->status) {
    case HTTP_INTERNAL_SERVER_ERROR:
    case HTTP_BAD_GATEWAY:
    case HTTP_SERVICE_UNAVAILABLE:
    case HTTP_GATEWAY_TIME_OUT:
        return true;
    default:
        return false;
    }
}

static void count(const counter_t *counter, const request_rec *r, bool has_failed)
{
    const fo_policy_t *policy = &counter->service->policy;
    fo_tally_t tally;

    if (policy->value[FO_POLICY_COUNTS_5XX])
        has_failed = has_failed || is_servers_fault(r);
    if (!has_failed)
        fo_breaker_pass(counter->breaker, counter->part, r->request_time);
    else if (fo_breaker_fail(counter->breaker, policy, r->request_time, apr_time_now(), &tally))
        httpd_child_trip(counter->service, &tally);
}

/* It, or what it was redirected to inside. */
static bool is_uncounted(const request_rec *r)
{
    while (r && !apr_table_get(r->notes, UNCOUNTED))
        r = r->next;
    return r != NULL;
}

/*
 * Of an aborted one nobody knows how it would have ended; one that was turned away has called
 * nobody.
 */
static __attribute__((noinline)) int count_each(const request_rec *r, const httpd_uses_t *list)
{
    apr_uint64_t failed = take_mark(r);

    if (r->connection->aborted || is_uncounted(r))
        return DECLINED;
    for (int i = 0; i < list->n; i++) {
        const counter_t *counter = counter_of(list, i, r);
        if (counter->breaker)
            count(counter, r, failed >> i & 1);
    }
    return DECLINED;
}

/* What most requests do stands here, the rest apart. */
int httpd_uses_count(request_rec *r)
{
    const httpd_uses_t *list = httpd_directory_of(r->per_dir_config)->uses;

    if (!list)
        return DECLINED;
    if (!list->only || !list->only->breaker || r->next || r->status >= 500 ||
        r->connection->aborted || atomic_load_explicit(&n_marks, memory_order_relaxed))
        return count_each(r, list);
    fo_breaker_pass(list->only->breaker, list->only->part, r->request_time);
    return DECLINED;
}

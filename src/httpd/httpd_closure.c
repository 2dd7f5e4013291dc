/*
 * Parts of the URL space that are closed while a service is down: FailoverRequire ends the request
 * with 503, FailoverOutageDocument lets a page of the site's own be served instead. Both by httpd's
 * own way of ending a request, so that ErrorDocument, and what mod_cache has of old, take part.
 */
#include "httpd/httpd_failover.h"

#include "httpd/httpd_declare.h"
#include "httpd/httpd_named.h"

#include <http_protocol.h>
#include <http_request.h>
#include <string.h>
#include <util_filter.h>

/* The note of a request that was turned away. No service's, whose notes begin failover: */
#define CLOSED "failover-closed"

/* Likewise of one that is let in although all around it is closed. */
#define EXEMPT "failover-exempt"

/* One name of a FailoverRequire, or one FailoverOutageDocument. */
typedef struct closure_t {
    httpd_named_t named;
    const char *document; /* a local path, perhaps with a query; NULL: none */
    apr_size_t length;    /* of its path alone */
    int status;
} closure_t;

static apr_array_header_t *unresolved; /* closure_t *: until the plan is there */
static bool is_hooked;

/* ---------------------------------------------------------------- declared, resolved, merged */

static int check_again(request_rec *r);
static int pass_caches(request_rec *r, int is_lookup);

void httpd_closure_reset(apr_pool_t *pconf)
{
    unresolved = apr_array_make(pconf, 4, sizeof(closure_t *));
    is_hooked = false;
}

/*
 * Each hook costs every request; in a .htaccess file it is too late. All modules have been loaded
 * before the first directive is looked at.
 */
static void speak(httpd_directory_t *directory)
{
    directory->says |= HTTPD_SAYS_CLOSED;
    if (is_hooked || httpd_config()->plan)
        return;
    if (ap_find_linked_module("mod_cache.c"))
        ap_hook_quick_handler(pass_caches, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(check_again, NULL, NULL, APR_HOOK_REALLY_FIRST);
    is_hooked = true;
}

/* In a .htaccess file the plan is there already. */
static const char *add(cmd_parms *cmd, httpd_closures_t *closures, closure_t *closure,
                       const char *name)
{
    const fo_plan_t *plan = httpd_config()->plan;
    const char *error = httpd_named_read(&closure->named, cmd, name);

    if (!error && plan)
        error = httpd_named_need(&closure->named, plan, cmd->pool);
    if (!plan)
        APR_ARRAY_PUSH(unresolved, closure_t *) = closure;
    if (!closures->rows)
        closures->rows = apr_array_make(cmd->pool, 2, sizeof(closure_t *));
    APR_ARRAY_PUSH(closures->rows, const closure_t *) = closure;
    return httpd_prefixed(cmd, error);
}

static const char *reset(httpd_closures_t *closures)
{
    *closures = (httpd_closures_t){ .resets = true };
    return NULL;
}

const char *httpd_closure_require(cmd_parms *cmd, void *opaque, int argc, char *const argv[])
{
    httpd_directory_t *directory = opaque;
    const char *error = NULL;

    if (argc < 1)
        return "FailoverRequire NAME ... or none: a word is missing";
    if (argc > HTTPD_USES_MAX)
        return apr_psprintf(cmd->pool, "FailoverRequire: at most %d services", HTTPD_USES_MAX);
    speak(directory);
    if (argc == 1 && strcasecmp(argv[0], "none") == 0)
        return reset(&directory->requires);
    for (int i = 0; !error && i < argc; i++) {
        closure_t *closure = apr_pcalloc(cmd->pool, sizeof(*closure));
        closure->status = HTTP_SERVICE_UNAVAILABLE;
        error = add(cmd, &directory->requires, closure, argv[i]);
    }
    return error;
}

/* Those that cannot come with a page are none. */
static const char *read_status(const char *text, int *ret_status, apr_pool_t *pool)
{
    int status = atoi(text);

    if (strlen(text) != 3 || strspn(text, "0123456789") != 3 || status < 200 || status > 599)
        return apr_psprintf(pool, "'%s' is not an HTTP status of 200 to 599", text);
    if (status / 100 == 3 || status == HTTP_NO_CONTENT || status == HTTP_RESET_CONTENT ||
        status == HTTP_PARTIAL_CONTENT)
        return apr_psprintf(pool, "a response of status %d has no page", status);
    if (atoi(ap_get_status_line(status)) != status) /* it would send 500 */
        return apr_psprintf(pool, "httpd knows no status %d", status);
    *ret_status = status;
    return NULL;
}

static const char *read_document(const char *path, closure_t *closure, apr_pool_t *pool)
{
    if (path[0] != '/' || path[1] == '/')
        return apr_psprintf(pool,
                            "'%s' is not a local path: it is to begin with one slash, as in "
                            "/outage.html",
                            path);
    closure->document = apr_pstrdup(pool, path);
    closure->length = strcspn(path, "?");
    return NULL;
}

const char *httpd_closure_document(cmd_parms *cmd, void *opaque, const char *name, const char *path,
                                   const char *status)
{
    httpd_directory_t *directory = opaque;
    closure_t *closure = apr_pcalloc(cmd->pool, sizeof(*closure));
    const char *error;

    speak(directory);
    if (!path && strcasecmp(name, "none") == 0)
        return reset(&directory->documents);
    if (!path)
        return "FailoverOutageDocument NAME /local/url [status], or none: the URL is missing";
    closure->status = HTTP_SERVICE_UNAVAILABLE;
    error = read_document(path, closure, cmd->pool);
    if (!error && status)
        error = read_status(status, &closure->status, cmd->pool);
    return error ? httpd_prefixed(cmd, error) : add(cmd, &directory->documents, closure, name);
}

const char *httpd_closure_resolve(const fo_plan_t *plan, apr_pool_t *pool)
{
    for (int i = 0; i < unresolved->nelts; i++) {
        closure_t *closure = APR_ARRAY_IDX(unresolved, i, closure_t *);
        const char *error = httpd_named_need(&closure->named, plan, pool);
        if (error)
            return httpd_misplaced(closure->named.place,
                                   closure->document ? "FailoverOutageDocument" : "FailoverRequire",
                                   error, pool);
    }
    return NULL;
}

/* They add up; the nearest come first. */
void httpd_closure_merge(const httpd_closures_t *below, httpd_closures_t *above, apr_pool_t *pool)
{
    if (above->resets)
        return;
    if (below->rows)
        above->rows = above->rows ? apr_array_append(pool, above->rows, below->rows) : below->rows;
    above->resets = below->resets; /* sections are merged with each other before what is around */
}

/* ---------------------------------------------------------------- a request's own */

static const closure_t *row(const httpd_closures_t *closures, int i)
{
    return APR_ARRAY_IDX(closures->rows, i, const closure_t *);
}

static bool saw_down(const fo_snapshot_t *snapshot, const fo_service_t *service)
{
    const fo_seen_t *seen = fo_snapshot_find(snapshot, service);

    return seen && seen->word.state == FO_SERVICE_DOWN;
}

/* As this request saw it, or worse by now. Mode observe closes nothing. */
static bool is_down(const closure_t *closure, const fo_scope_t *scope,
                    const fo_snapshot_t *snapshot)
{
    const fo_service_t *service = httpd_named_in(&closure->named, scope);

    return service && !service->policy.value[FO_POLICY_OBSERVE] &&
           (fo_board_word(httpd_child_board(), service).state == FO_SERVICE_DOWN ||
            saw_down(snapshot, service));
}

/* The first that is down; NULL: none. */
static const closure_t *find_down(const httpd_closures_t *closures, const fo_scope_t *scope,
                                  const fo_snapshot_t *snapshot)
{
    for (int i = 0; closures->rows && i < closures->rows->nelts; i++)
        if (is_down(row(closures, i), scope, snapshot))
            return row(closures, i);
    return NULL;
}

static bool is_turned_away(const request_rec *r)
{
    return apr_table_get(r->notes, CLOSED) != NULL;
}

/* What is shown instead of a closed page must not be closed itself, whatever it leads to. */
static bool stands_in(const request_rec *r)
{
    for (r = r->prev; r; r = r->prev)
        if (is_turned_away(r))
            return true;
    return false;
}

/* mod_dir sends browsers to a directory's path with a slash. */
static bool is_end(const char *rest)
{
    return rest[0] == '\0' || (rest[0] == '/' && rest[1] == '\0');
}

static bool is_document(const request_rec *r, const httpd_closures_t *documents)
{
    for (int i = 0; documents->rows && i < documents->rows->nelts; i++) {
        const closure_t *closure = row(documents, i);
        if (strncmp(r->uri, closure->document, closure->length) == 0 &&
            is_end(r->uri + closure->length))
            return true;
    }
    return false;
}

/* By SetHandler; it is only set in the request when all is decided. NULL: none. */
static const char *handler_of(request_rec *r)
{
    const core_dir_config *core = ap_get_core_module_config(r->per_dir_config);
    const char *error = NULL;

    return core->expr_handler ? ap_expr_str_exec(r, core->expr_handler, &error) : core->handler;
}

/* Whoever looks why the site is closed must be let in. */
static bool has_handler_of_ours(request_rec *r)
{
    static const char *const ours[] = { "failover-status", "failover-health", "failover-manager" };
    const char *handler = handler_of(r);

    for (size_t i = 0; handler && i < sizeof(ours) / sizeof(ours[0]); i++)
        if (strcmp(handler, ours[i]) == 0)
            return true;
    return false;
}

static bool is_exempt(request_rec *r, const httpd_closures_t *documents)
{
    if (apr_table_get(r->notes, EXEMPT))
        return true;
    if (!stands_in(r) && !is_document(r, documents) && !has_handler_of_ours(r))
        return false;
    apr_table_setn(r->notes, EXEMPT, "");
    return true;
}

/* Until this one may be back; 0: nobody can tell. */
static apr_int64_t wait_for(const fo_service_t *service)
{
    const fo_retry_t retry = httpd_child_retry();
    const fo_detail_t detail = fo_board_detail(httpd_child_board(), service);

    return fo_retry_after(&retry, service, httpd_child_since(&detail));
}

/* Adds to the longest wait; false: nobody can tell. */
static bool add_waits(const httpd_closures_t *closures, const fo_scope_t *scope,
                      const fo_snapshot_t *snapshot, apr_int64_t *longest)
{
    for (int i = 0; closures->rows && i < closures->rows->nelts; i++) {
        apr_int64_t seconds;
        if (!is_down(row(closures, i), scope, snapshot))
            continue;
        seconds = wait_for(httpd_named_in(&row(closures, i)->named, scope));
        if (seconds == 0)
            return false;
        if (seconds > *longest)
            *longest = seconds;
    }
    return true;
}

/* Until all that the page needs may be back; 0: nobody can tell. */
static apr_int64_t wait_for_all(const httpd_directory_t *directory, const fo_scope_t *scope,
                                const fo_snapshot_t *snapshot)
{
    apr_int64_t longest = 0;

    return add_waits(&directory->requires, scope, snapshot, &longest) &&
                   add_waits(&directory->documents, scope, snapshot, &longest)
               ? longest
               : 0;
}

/*
 * mod_cache, whose filter this request has when it was not served from the cache, may have a copy
 * that is too old but better than nothing (CacheStaleOnError). It says so to whoever ends a request
 * with an error, and would not be asked where that is answered by a document.
 */
static bool has_stale_copy(request_rec *r)
{
    ap_filter_t *filters = r->output_filters, *filter = filters;
    bool is_there;

    while (filter && strcmp(filter->frec->name, "cache_save") != 0)
        filter = filter->next;
    if (!filter)
        return false;
    r->status = HTTP_SERVICE_UNAVAILABLE;
    ap_run_insert_error_filter(r);
    is_there = strcmp(filter->frec->name, "cache_out") == 0;
    r->status = HTTP_OK;
    r->output_filters = filters;
    return is_there;
}

static int turn_away(request_rec *r, const closure_t *closure, apr_int64_t seconds)
{
    apr_table_setn(r->notes, CLOSED, closure->named.name);
    if (r->status != HTTP_OK) /* the page of another error, which is told instead */
        return closure->status;
    httpd_uses_exempt(r);
    if (has_stale_copy(r)) {
        ap_custom_response(r, HTTP_SERVICE_UNAVAILABLE, "\"");
        return HTTP_SERVICE_UNAVAILABLE;
    }
    if (closure->document)
        ap_custom_response(r, closure->status, closure->document);
    /* None of these is the page that was asked for. */
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    if (closure->status == HTTP_SERVICE_UNAVAILABLE && seconds)
        apr_table_setn(r->err_headers_out, "Retry-After", apr_ltoa(r->pool, (long)seconds));
    return closure->status;
}

int httpd_closure_check(request_rec *r, const fo_snapshot_t *snapshot)
{
    const httpd_directory_t *directory = httpd_directory_of(r->per_dir_config);
    const fo_scope_t *scope = httpd_server_of(r->server)->scope;
    const closure_t *closure = find_down(&directory->documents, scope, snapshot);

    if (!closure)
        closure = find_down(&directory->requires, scope, snapshot);
    if (!closure || is_exempt(r, &directory->documents))
        return DECLINED;
    return turn_away(r, closure, wait_for_all(directory, scope, snapshot));
}

/*
 * mod_dir may have put a file in the place of a directory, which has sections of its own. Then the
 * path is not the one any more that was read with the request.
 */
static int check_again(request_rec *r)
{
    if (r->uri == r->parsed_uri.path || r->main ||
        !(httpd_directory_of(r->per_dir_config)->says & HTTPD_SAYS_CLOSED))
        return DECLINED;
    return httpd_request_closed(r);
}

/*
 * What stands in for a page has its own status, which mod_cache would replace by that of its copy.
 * So httpd does with it what it does where no quick handler wants it.
 */
static int pass_caches(request_rec *r, int is_lookup)
{
    int status;

    if (!r->prev || is_lookup || !stands_in(r))
        return DECLINED;
    status = ap_process_request_internal(r);
    return status == OK ? ap_invoke_handler(r) : status;
}

/* failover('name'), %{failover:name} and their parts in expressions; %{name}^fo in log formats. */
#include "httpd/httpd_failover.h"

#include "core/fo_parse.h"
#include "httpd/httpd_declare.h"
#include "httpd/httpd_named.h"
#include "probe/probe_clock.h"

#include <ap_expr.h>
#include <apr_lib.h>
#include <http_core.h>
#include <http_log.h>
#include <mod_log_config.h>
#include <string.h>

APLOG_USE_MODULE(failover);

/* What a part of an expression needs to know of its service. */
typedef struct view_t {
    const fo_service_t *service;
    fo_word_t word;
    fo_detail_t detail; /* filled for parts that want it */
} view_t;

typedef const char *(*part_fn)(const view_t *view, apr_pool_t *pool);

/* A reference to a service in an expression; the name is resolved once the plan is there. */
typedef struct reference_t {
    httpd_named_t named; /* by the setting that it stands in; elsewhere the server is NULL */
    part_fn part;
    bool wants_detail;
} reference_t;

/* While the configuration is read: references to be resolved, and the watch over one value. */
static apr_array_header_t *references; /* reference_t * */
static const char **client_sent;       /* where to note what a client sends; NULL: not watching */
static const cmd_parms *setting;       /* whose value is parsed; NULL: none */

static const char *part_state(const view_t *view, apr_pool_t *pool)
{
    (void)pool;
    return fo_service_state_name(view->word.state);
}

static const fo_endpoint_t *endpoint_of(const view_t *view)
{
    return fo_service_endpoint(view->service, view->word.endpoint);
}

static const char *part_endpoint(const view_t *view, apr_pool_t *pool)
{
    (void)pool;
    return endpoint_of(view)->name;
}

/* A socket file has no host; its path stands for it. */
static const char *part_host(const view_t *view, apr_pool_t *pool)
{
    const fo_url_t *url = endpoint_of(view)->url;

    (void)pool;
    return url->n_hosts ? url->hosts[0].name : url->path;
}

static const char *part_port(const view_t *view, apr_pool_t *pool)
{
    const fo_url_t *url = endpoint_of(view)->url;

    return url->n_hosts ? apr_itoa(pool, url->hosts[0].port) : "";
}

/* RFC 3339, UTC. */
static const char *part_since(const view_t *view, apr_pool_t *pool)
{
    apr_time_t at = httpd_child_since(&view->detail);
    apr_time_exp_t when;

    apr_time_exp_gmt(&when, apr_time_now() - (probe_clock_now() - at));
    return apr_psprintf(pool, "%04d-%02d-%02dT%02d:%02d:%02dZ", when.tm_year + 1900,
                        when.tm_mon + 1, when.tm_mday, when.tm_hour, when.tm_min, when.tm_sec);
}

static const char *part_reason(const view_t *view, apr_pool_t *pool)
{
    return apr_pstrdup(pool, view->detail.reason);
}

static const struct {
    const char *name;
    part_fn part;
    bool wants_detail;
} parts[] = {
    { "endpoint", part_endpoint, false }, { "host", part_host, false },
    { "port", part_port, false },         { "since", part_since, true },
    { "reason", part_reason, true },
};

/* What the request saw; without a request, what holds now. */
static fo_word_t word_of(request_rec *r, const fo_service_t *service)
{
    fo_word_t up = { .state = FO_SERVICE_UP, .endpoint = service->primary };
    const fo_seen_t *seen;

    if (!r)
        return fo_board_word(httpd_child_board(), service);
    seen = fo_snapshot_find(httpd_request_snapshot(r), service);
    return seen ? seen->word : up;
}

/* What goes with the word that the request saw; nothing when the service has changed since. */
static fo_detail_t detail_of(const fo_service_t *service, fo_word_t word)
{
    fo_detail_t detail = fo_board_detail(httpd_child_board(), service);
    fo_word_t now = fo_board_word(httpd_child_board(), service);

    if (now.state != word.state || (word.state != FO_SERVICE_UP && now.epoch != word.epoch))
        detail = (fo_detail_t){ 0 };
    return detail;
}

/* While observing, nothing that a request can branch on changes. */
static const char *show(request_rec *r, const fo_service_t *service, const reference_t *reference,
                        bool shows_truth, apr_pool_t *pool)
{
    view_t view = { .service = service, .word = { .endpoint = service->primary } };

    if (httpd_child_board() && (shows_truth || !service->policy.value[FO_POLICY_OBSERVE])) {
        view.word = word_of(r, service);
        if (reference->wants_detail)
            view.detail = detail_of(service, view.word);
    }
    return reference->part(&view, pool);
}

static const char *evaluate_reference(ap_expr_eval_ctx_t *ctx, const void *data, const char *arg)
{
    const reference_t *reference = data;
    const fo_scope_t *scope = httpd_server_of(ctx->s)->scope;
    const fo_service_t *service;

    (void)arg;
    if (!scope || !reference->named.services)
        return "";
    service = httpd_named_in(&reference->named, scope);
    return service ? show(ctx->r, service, reference, false, ctx->p) : "";
}

/* NULL, or what is wrong with "name" or "name.part". */
static const char *read_reference(const char *text, reference_t *reference, apr_pool_t *pool)
{
    const char *dot = strchr(text, '.');

    reference->named.name = dot ? apr_pstrndup(pool, text, (apr_size_t)(dot - text))
                                : apr_pstrdup(pool, text);
    reference->part = part_state;
    for (size_t i = 0; dot && i < sizeof(parts) / sizeof(parts[0]); i++) {
        if (strcmp(dot + 1, parts[i].name) == 0) {
            reference->part = parts[i].part;
            reference->wants_detail = parts[i].wants_detail;
        }
    }
    if (dot && reference->part == part_state)
        return apr_psprintf(pool,
                            "failover: '%s' is no part of a service; there are endpoint, "
                            "host, port, since and reason",
                            dot + 1);
    return fo_parse_name(reference->named.name, pool);
}

/* A name that a .htaccess file uses is judged at once: the plan is there. */
static const char *note_reference(reference_t *reference, apr_pool_t *pool)
{
    const fo_plan_t *plan = httpd_config()->plan;

    if (plan)
        return httpd_named_find(&reference->named, plan, pool)
                   ? NULL
                   : apr_pstrcat(pool, "failover: ", httpd_named_unknown(&reference->named, pool),
                                 NULL);
    if (setting) {
        reference->named.server = setting->server;
        reference->named.place = httpd_place_of(setting);
    }
    APR_ARRAY_PUSH(references, reference_t *) = reference;
    return NULL;
}

static int lookup_failover(ap_expr_lookup_parms *parms)
{
    reference_t *reference = apr_pcalloc(parms->pool, sizeof(*reference));
    const char *error;

    if (!parms->arg)
        error = "failover: the name must be a constant, as in failover('db')";
    else
        error = read_reference(parms->arg, reference, parms->pool);
    if (!error && reference->part != part_state && parms->flags & AP_EXPR_FLAG_RESTRICTED)
        error = apr_psprintf(parms->pool,
                             "failover: only the state is to be had here, as "
                             "failover('%s')",
                             reference->named.name);
    if (!error)
        error = note_reference(reference, parms->pool);
    if (error) {
        *parms->err = error;
        return !OK;
    }
    *parms->func = (const void *)evaluate_reference;
    *parms->data = reference;
    return OK;
}

/* Functions and variables whose value no client chooses. */
static const char *const trusted[] = {
    "failover",  "osenv",           "tolower",     "toupper",   "escape",   "unescape",
    "base64",    "unbase64",        "md5",         "sha1",      "replace",  "file",
    "filesize",  "SERVER_ADMIN",    "API_VERSION", "HTTPS",     "IPV6",     "HTTP2",
    "IS_SUBREQ", "SERVER_SOFTWARE", "CONN_LOG_ID", "TIME_YEAR", "TIME_MON", "TIME_DAY",
    "TIME_HOUR", "TIME_MIN",        "TIME_SEC",    "TIME_WDAY", "TIME",
};

/* What reads a table: it depends on the name that is read. */
static const char *const readers[] = { "env", "reqenv", "note" };

/* The beginnings of variables that CGI fills from the request. */
static const char *const from_clients[] = {
    "HTTP_",   "REDIRECT_", "QUERY_",      "REQUEST_",   "SCRIPT_",      "PATH_",         "REMOTE_",
    "CONTENT", "AUTH_",     "SERVER_NAME", "SSL_CLIENT", "SERVER_PROTO", "DOCUMENT_ROOT", "UNIQUE_",
};

static bool is_from_client(const char *variable)
{
    if (!variable)
        return true;
    for (size_t i = 0; i < sizeof(from_clients) / sizeof(from_clients[0]); i++)
        if (strncasecmp(from_clients[i], variable, strlen(from_clients[i])) == 0)
            return true;
    return false;
}

static void watch(const ap_expr_lookup_parms *parms)
{
    bool is_value = parms->type == AP_EXPR_FUNC_VAR || parms->type == AP_EXPR_FUNC_STRING ||
                    parms->type == AP_EXPR_FUNC_LIST;
    const char *read = parms->name;

    if (!client_sent || !is_value ||
        fo_is_listed(parms->name, trusted, sizeof(trusted) / sizeof(trusted[0])))
        return;
    if (fo_is_listed(parms->name, readers, sizeof(readers) / sizeof(readers[0]))) {
        if (!is_from_client(parms->arg))
            return;
        read = parms->arg ? parms->arg : parms->name;
    }
    *client_sent = apr_pstrdup(parms->pool, read);
}

int httpd_expr_lookup(ap_expr_lookup_parms *parms)
{
    watch(parms);
    if (parms->type == AP_EXPR_FUNC_STRING && strcasecmp(parms->name, "failover") == 0)
        return lookup_failover(parms);
    return DECLINED;
}

const char *httpd_expr_parse(cmd_parms *cmd, const char *text, const void **ret_expression,
                             const char **ret_client_sent)
{
    const char *error = NULL;
    const ap_expr_info_t *expression;

    client_sent = ret_client_sent;
    setting = cmd;
    expression = ap_expr_parse_cmd(cmd, text, AP_EXPR_FLAG_STRING_RESULT, &error, NULL);
    client_sent = NULL;
    setting = NULL;
    if (!error)
        *ret_expression = expression;
    return error ? apr_psprintf(cmd->pool, "'%s': %s", text, error) : NULL;
}

const char *httpd_expr_evaluate(request_rec *r, const void *expression, const char **ret_error)
{
    return ap_expr_str_exec(r, expression, ret_error);
}

void httpd_expr_reset(apr_pool_t *pconf)
{
    references = apr_array_make(pconf, 4, sizeof(reference_t *));
    client_sent = NULL;
    setting = NULL;
}

static bool is_name_char(char c)
{
    return apr_isalnum(c) || c == '_' || c == '-';
}

/* Whether these words ask failover for this very name: failover:NAME or failover('NAME... */
static bool mentions(const char *words, const char *name)
{
    static const char function[] = "failover";
    size_t length = strlen(name);

    while (words && (words = ap_strcasestr(words, function))) {
        words += sizeof(function) - 1;
        const char *at = words + strspn(words, " (:'\"\\");
        if (at > words && strncmp(at, name, length) == 0 && !is_name_char(at[length]) &&
            strcspn(words, ":(") < (size_t)(at - words))
            return true;
    }
    return false;
}

/* The directive whose words hold the name: expressions do not tell their place. */
static const ap_directive_t *find_directive(const ap_directive_t *directive, const char *name)
{
    for (; directive; directive = directive->next) {
        if (mentions(directive->args, name))
            return directive;
        const ap_directive_t *inner = find_directive(directive->first_child, name);
        if (inner)
            return inner;
    }
    return NULL;
}

/* A setting of the server's holds in every scope, one of a virtual host's in that host's. */
static bool is_known_where_needed(const reference_t *reference, const fo_plan_t *plan)
{
    const server_rec *server = reference->named.server;

    if (!server)
        return true;
    if (server->is_virtual)
        return httpd_named_in(&reference->named, httpd_server_of(server)->scope) != NULL;
    for (unsigned i = 0; i < (unsigned)plan->scopes->nelts; i++)
        if (!reference->named.services[i])
            return false;
    return true;
}

static httpd_place_t place_of(const reference_t *reference)
{
    const ap_directive_t *directive = NULL;

    if (reference->named.server)
        return reference->named.place;
    directive = find_directive(ap_conftree, reference->named.name);
    return (httpd_place_t){
        .file = directive ? directive->filename : "the configuration",
        .line = directive ? directive->line_num : 0,
    };
}

const char *httpd_expr_resolve(const fo_plan_t *plan, apr_pool_t *pool)
{
    for (int i = 0; i < references->nelts; i++) {
        reference_t *reference = APR_ARRAY_IDX(references, i, reference_t *);
        bool is_known = httpd_named_find(&reference->named, plan, pool);
        if (is_known && is_known_where_needed(reference, plan))
            continue;
        return httpd_misplaced(
            place_of(reference), "failover",
            apr_pstrcat(pool, httpd_named_unknown(&reference->named, pool),
                        is_known ? " for all requests that this setting holds for; there is one "
                                   "in some virtual host"
                                 : NULL,
                        NULL),
            pool);
    }
    return NULL;
}

/* %{name}^fo: the truth, also while observing. "-": no such service. */
static const char *log_state(request_rec *r, char *name)
{
    static const reference_t state = { .part = part_state };
    const fo_scope_t *scope = httpd_server_of(r->server)->scope;
    const fo_service_t *service = scope ? fo_scope_find(scope, name) : NULL;

    return service ? show(r, service, &state, true, r->pool) : "-";
}

int httpd_expr_log_handler(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    APR_OPTIONAL_FN_TYPE(ap_register_log_handler) * add;

    (void)plog;
    (void)ptemp;
    add = APR_RETRIEVE_OPTIONAL_FN(ap_register_log_handler);
    if (add)
        add(pconf, "^fo", log_state, 0);
    return OK;
}

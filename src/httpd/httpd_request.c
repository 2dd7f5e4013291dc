/*
 * What a request sees: one snapshot, taken after any wait, and written into its variables and notes
 * as often as it takes: early for all that is decided on the way, late behind mod_env for what is
 * run in the end, and in between where a directory's SetEnvIf won.
 */
#include "httpd/httpd_failover.h"

#include "httpd/httpd_log.h"

#include <http_protocol.h>

/* The note of a request that waited: microseconds. No service's, whose notes begin failover: */
#define WAITED "failover-waited"

/*
 * One request's, in its request_config. A request and its sub-requests are a family: their tables
 * are copied into each other's (mod_include, fast redirects), so each may have to give back what
 * another wrote.
 */
typedef struct state_t {
    const fo_snapshot_t *snapshot; /* NULL: all up */
    bool is_written;               /* at least once, here */
    apr_array_header_t *undo;      /* of this request's own tables; NULL: nothing to undo */
    fo_run_t run;                  /* of a plain snapshot, in this request's own table */
    struct state_t *root;          /* the main request's */
    struct state_t *next;          /* in the root's list of all that are alive */
} state_t;

/* Shared by all requests that see everything up; constant in all but type. */
static state_t all_up;

static state_t *state_of(const request_rec *r)
{
    return ap_get_module_config(r->request_config, &failover_module);
}

static void set_state(request_rec *r, state_t *state)
{
    ap_set_module_config(r->request_config, &failover_module, state);
}

static state_t *new_state(request_rec *r, const fo_snapshot_t *snapshot)
{
    state_t *state = &all_up;

    if (snapshot) {
        state = apr_pcalloc(r->pool, sizeof(*state));
        state->snapshot = snapshot;
        state->root = state;
    }
    return state;
}

static apr_status_t leave_family(void *opaque)
{
    state_t *state = opaque;
    state_t **link = &state->root->next;

    while (*link && *link != state)
        link = &(*link)->next;
    if (*link)
        *link = state->next;
    return APR_SUCCESS;
}

/* Until the sub-request's pool goes; after a fast redirect that is the main request's. */
static state_t *join_family(request_rec *r, state_t *root)
{
    state_t *state = new_state(r, root->snapshot);

    if (state == &all_up)
        return state;
    state->root = root;
    state->next = root->next;
    root->next = state;
    apr_pool_cleanup_register(r->pool, state, leave_family, apr_pool_cleanup_null);
    return state;
}

/* The request that this one belongs to and that has a state already; NULL: none. */
static const request_rec *ancestor_of(const request_rec *r)
{
    do {
        r = r->main ? r->main : r->prev;
    } while (r && !state_of(r));
    return r;
}

/* A sub-request is of its request's family, a redirect begins one of its own. */
static state_t *inherited_state(request_rec *r)
{
    const request_rec *ancestor = ancestor_of(r);
    state_t *state = ancestor ? state_of(ancestor) : NULL;

    if (!state || state == &all_up)
        return state;
    return r->main ? join_family(r, state->root) : new_state(r, state->snapshot);
}

static void trigger(request_rec *r, fo_board_t *board, int monitor, bool waits)
{
    const fo_scope_t *scope = httpd_server_of(r->server)->scope;
    fo_trigger_e wanted = (fo_trigger_e)monitor;
    apr_interval_time_t waited;

    if (!fo_board_claim_due(board, scope, wanted))
        return;
    waited = httpd_child_trigger(scope, wanted, waits);
    if (waited > 0)
        apr_table_setn(r->notes, WAITED, apr_psprintf(r->pool, "%" APR_TIME_T_FMT, waited));
}

static state_t *first_state(request_rec *r, fo_board_t *board)
{
    return new_state(r, fo_board_snapshot(board, httpd_server_of(r->server)->scope, r->pool));
}

/* NULL: nothing is monitored. */
static state_t *take_state(request_rec *r)
{
    fo_board_t *board = httpd_child_board();
    state_t *state = state_of(r);

    if (state || !board)
        return state;
    if (r->main || r->prev)
        state = inherited_state(r);
    if (!state)
        state = first_state(r, board);
    set_state(r, state);
    return state;
}

const fo_snapshot_t *httpd_request_snapshot(request_rec *r)
{
    const state_t *state = take_state(r);

    return state ? state->snapshot : NULL;
}

static bool has_control_bytes(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return true;
    return false;
}

static const char *evaluate(void *baton, const fo_service_t *service, const fo_setting_t *setting)
{
    request_rec *r = baton;
    const char *error = NULL;
    const char *value = httpd_expr_evaluate(r, setting->expression, &error);

    if (error || !value) {
        if (httpd_child_first_time(setting->serial))
            httpd_log_evaluation(r, service, setting, error ? error : "it has no value");
        return NULL;
    }
    if (has_control_bytes(value)) {
        if (httpd_child_first_time(setting->serial))
            httpd_log_control_bytes(r, service, setting);
        return NULL;
    }
    return value;
}

static void bare_alias(void *baton, const fo_service_t *service, const fo_setting_t *setting)
{
    if (httpd_child_first_time(setting->serial))
        httpd_log_bare_alias(baton, service, setting);
}

static fo_layer_t layer_of(request_rec *r, state_t *state)
{
    return (fo_layer_t){
        .env = r->subprocess_env,
        .notes = r->notes,
        .undo = state->undo,
        .evaluate = evaluate,
        .baton = r,
        .pool = r->pool,
    };
}

static void apply_all(fo_layer_t *layer, const fo_snapshot_t *snapshot)
{
    for (unsigned i = 0; i < snapshot->n; i++)
        if (fo_settings_are_shown(&snapshot->seen[i]))
            fo_settings_apply(layer, &snapshot->seen[i]);
}

static void undo_others(fo_layer_t *layer, const request_rec *r, const state_t *own)
{
    const state_t *parent = r->main ? state_of(r->main) : NULL;

    if (parent && parent != own && parent->undo)
        fo_settings_undo(layer, parent->undo, false);
    for (const state_t *one = own->root; one; one = one->next)
        if (one != own && one != parent && one->undo)
            fo_settings_undo(layer, one->undo, true);
}

/* From the originals: what an earlier pass wrote, here or in a request copied from, goes first. */
static void rewrite(request_rec *r, state_t *state, bool is_late)
{
    fo_layer_t layer;

    if (!state->undo)
        state->undo = fo_settings_undo_make(r->pool);
    layer = layer_of(r, state);
    layer.bare_alias = is_late ? bare_alias : NULL; /* SetEnv's variables come late */
    fo_settings_undo(&layer, state->undo, false);
    undo_others(&layer, r, state);
    apply_all(&layer, state->snapshot);
}

/* Where no setting reads what others wrote there is nothing to go back to; notes stay. */
static void write_plain(request_rec *r, state_t *state)
{
    fo_settings_write_plain(r->subprocess_env, state->snapshot, &state->run);
    if (!state->is_written)
        fo_settings_write_plain_notes(r->notes, state->snapshot);
}

static void write_settings(request_rec *r, state_t *state, bool is_late)
{
    if (state->snapshot->is_plain)
        write_plain(r, state);
    else
        rewrite(r, state, is_late);
    state->is_written = true;
}

static bool is_lost(request_rec *r, state_t *state)
{
    fo_layer_t layer;

    if (state->snapshot->is_plain)
        return fo_settings_lost_plain(r->subprocess_env, state->snapshot, &state->run);
    layer = layer_of(r, state);
    return fo_settings_lost(&layer);
}

/*
 * The hooks themselves hold what a request does while all is well; the rest stands apart, so that
 * such a request does not pay for its registers and stack.
 */
#define APART __attribute__((noinline))

static APART int begin_restless(request_rec *r, const httpd_server_t *server)
{
    fo_board_t *board = httpd_child_board();

    if (!board)
        return DECLINED;
    if (!r->prev)
        trigger(r, board, server->at_once, true);
    take_state(r);
    return DECLINED;
}

int httpd_request_begin(request_rec *r)
{
    const fo_board_t *board = httpd_child_board();
    const httpd_server_t *server = httpd_server_of(r->server);

    if (!board || r->prev || !fo_board_is_calm(board, server->scope, (fo_trigger_e)server->at_once))
        return begin_restless(r, server);
    set_state(r, &all_up);
    return DECLINED;
}

static APART int write_early(request_rec *r, state_t *state)
{
    if (state)
        write_settings(r, state, false);
    return DECLINED;
}

int httpd_request_early(request_rec *r)
{
    state_t *state = state_of(r);

    return state == &all_up ? DECLINED : write_early(r, state);
}

/*
 * Where a directory says what its requests trigger. Nobody waits here: this request has its state
 * already, and the verdict serves the next one.
 */
static void ask_directory(request_rec *r, const httpd_server_t *server)
{
    const httpd_directory_t *directory = httpd_directory_of(r->per_dir_config);
    fo_board_t *board = httpd_child_board();
    int monitor = directory->says & HTTPD_SAYS_MONITOR ? directory->monitor : server->monitor;

    if (board)
        trigger(r, board, monitor, false);
}

static bool speaks_of_closed(const request_rec *r)
{
    return httpd_directory_of(r->per_dir_config)->says & HTTPD_SAYS_CLOSED;
}

/* All was up when it began. Apart from the next for what it costs: mostly it still is. */
static APART int check_closed(request_rec *r, const httpd_server_t *server)
{
    if (fo_board_is_calm(httpd_child_board(), server->scope, FO_TRIGGER_COUNT))
        return DECLINED;
    return httpd_closure_check(r, NULL);
}

int httpd_request_closed(request_rec *r)
{
    const state_t *state = state_of(r);

    if (!state)
        return DECLINED;
    return state == &all_up ? check_closed(r, httpd_server_of(r->server))
                            : httpd_closure_check(r, state->snapshot);
}

static APART int ask_and_write(request_rec *r, const httpd_server_t *server)
{
    state_t *state = state_of(r);

    if (server->asks_directory)
        ask_directory(r, server);
    if (state && state->is_written && is_lost(r, state))
        write_settings(r, state, false);
    return speaks_of_closed(r) ? httpd_request_closed(r) : DECLINED;
}

int httpd_request_header_parser(request_rec *r)
{
    const httpd_server_t *server = httpd_server_of(r->server);

    if (state_of(r) != &all_up || server->asks_directory)
        return ask_and_write(r, server);
    return speaks_of_closed(r) ? check_closed(r, server) : DECLINED;
}

static APART int write_late(request_rec *r)
{
    state_t *state = take_state(r);

    if (state && state->snapshot)
        write_settings(r, state, true);
    return DECLINED;
}

int httpd_request_late(request_rec *r)
{
    return state_of(r) == &all_up ? DECLINED : write_late(r);
}

/* Services as the directives declare them: in one line, or as a block. */
#include "httpd/httpd_declare.h"

#include "core/fo_parse.h"

#include <http_core.h>
#include <string.h>

httpd_place_t httpd_place_of(const cmd_parms *cmd)
{
    return (httpd_place_t){
        .file = cmd->directive->filename,
        .line = cmd->directive->line_num,
    };
}

const char *httpd_prefixed(cmd_parms *cmd, const char *message)
{
    return message ? apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", message, NULL) : NULL;
}

const char *httpd_declare_outside(cmd_parms *cmd)
{
    return apr_psprintf(cmd->pool, "%s stands inside <FailoverService NAME> only", cmd->cmd->name);
}

httpd_service_t *httpd_declare_open(cmd_parms *cmd)
{
    return httpd_server_of(cmd->server)->open_service;
}

/* httpd hands over this many words and drops the rest without a word. */
#define WORDS_MAX 64

static const char *check_words(cmd_parms *cmd, int argc, const char *syntax)
{
    if (argc < 2)
        return apr_pstrcat(cmd->pool, cmd->cmd->name, " ", syntax, ": NAME and URL are missing",
                           NULL);
    if (argc >= WORDS_MAX)
        return apr_psprintf(cmd->pool, "%s: %d words or more; use <FailoverService>",
                            cmd->cmd->name, WORDS_MAX);
    return NULL;
}

const char *httpd_declare_endpoint(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    httpd_draft_t draft = { .cmd = cmd, .service = httpd_declare_open(cmd) };
    const char *error;

    (void)unused;
    if (!draft.service)
        return httpd_declare_outside(cmd);
    error = check_words(cmd, argc, "NAME URL [weight=N] [option=value ...]");
    if (error)
        return error;
    error = fo_parse_name(argv[0], cmd->pool);
    if (!error && draft.service->endpoints->nelts > 0)
        error = apr_psprintf(cmd->pool,
                             "%s has an endpoint already, and this version takes one for "
                             "each service",
                             draft.service->name);
    if (!error)
        error = httpd_endpoint_add(&draft, argv[0], argv[1], argc - 2, argv + 2, false);
    return httpd_prefixed(cmd, error);
}

/* Each is compared with all before it: no memory for those that have nothing in common. */
static bool is_made_of(const char *name, const char *begin, const char *end, apr_pool_t *pool)
{
    size_t length = strlen(begin);

    return strlen(name) == length + strlen(end) && fo_name_equal(name + length, end) &&
           fo_name_equal(apr_pstrmemdup(pool, name, length), begin);
}

/* As FAILOVER_DB_ENDPOINT would be, of services db and db-endpoint. */
static bool exports_collide(const char *a, const char *b, apr_pool_t *pool)
{
    return is_made_of(b, a, "_endpoint", pool) || is_made_of(b, a, "_epoch", pool);
}

static const char *check_duplicate(cmd_parms *cmd, const char *name)
{
    const apr_array_header_t *services = httpd_server_of(cmd->server)->services;

    for (int i = 0; i < services->nelts; i++) {
        const httpd_service_t *other = APR_ARRAY_IDX(services, i, httpd_service_t *);
        if (fo_name_equal(other->name, name))
            return apr_psprintf(cmd->pool,
                                "'%s' is declared already, as '%s' at %s:%d; names that "
                                "are equal as variables ('-' is '_', case ignored) are "
                                "the same",
                                name, other->name, other->place.file, other->place.line);
        if (exports_collide(other->name, name, cmd->pool) ||
            exports_collide(name, other->name, cmd->pool))
            return apr_psprintf(cmd->pool,
                                "'%s' and '%s', declared at %s:%d, would export a variable of the "
                                "same name (FAILOVER_..._ENDPOINT or _EPOCH)",
                                name, other->name, other->place.file, other->place.line);
    }
    return NULL;
}

static httpd_service_t *make_service(cmd_parms *cmd, const char *name)
{
    httpd_service_t *service = apr_pcalloc(cmd->pool, sizeof(*service));

    service->name = apr_pstrdup(cmd->pool, name);
    service->server = cmd->server;
    service->place = httpd_place_of(cmd);
    service->endpoints = apr_array_make(cmd->pool, 1, sizeof(httpd_endpoint_t *));
    service->settings = apr_array_make(cmd->pool, 4, sizeof(fo_setting_t));
    service->matches = apr_array_make(cmd->pool, 1, sizeof(const fo_match_t *));
    fo_policy_init(&service->policy);
    return service;
}

static bool has_setting(const httpd_service_t *service, const char *name)
{
    for (int i = 0; i < service->settings->nelts; i++)
        if (strcasecmp(APR_ARRAY_IDX(service->settings, i, fo_setting_t).name, name) == 0)
            return true;
    return false;
}

/* What the probe sets while down unless told otherwise. */
static void add_defaults(httpd_service_t *service)
{
    for (int i = 0; i < service->endpoints->nelts; i++) {
        const fo_default_t *one = APR_ARRAY_IDX(service->endpoints, i, httpd_endpoint_t *)
                                      ->probe->settings;
        for (; one && one->name; one++)
            if (!has_setting(service, one->name))
                httpd_setting_add(service, FO_SETTING_SET, one->name, one->value);
    }
}

static void register_service(cmd_parms *cmd, httpd_service_t *service)
{
    service->serial = httpd_config()->n_services++;
    add_defaults(service);
    APR_ARRAY_PUSH(httpd_server_of(cmd->server)->services, httpd_service_t *) = service;
}

/* Before the variables of the line, so that these have the last word. */
static const char *add_first(httpd_draft_t *draft)
{
    apr_array_header_t *variables = draft->service->settings;
    const char *error = NULL;

    draft->service->settings = apr_array_make(draft->cmd->pool, 4, sizeof(fo_setting_t));
    if (draft->alias)
        error = httpd_setting_alias(draft->cmd, draft->service, draft->alias, draft->stand_in);
    if (draft->setting)
        httpd_setting_add(draft->service, FO_SETTING_SET, draft->setting, "True");
    apr_array_cat(draft->service->settings, variables);
    return error;
}

/* What the draft asks for beforehand, options may change. */
static const char *declare_line(httpd_draft_t *draft, int argc, char *const argv[])
{
    cmd_parms *cmd = draft->cmd;
    const char *error = fo_parse_name(argv[0], cmd->pool);

    if (!error)
        error = check_duplicate(cmd, argv[0]);
    if (!error) {
        draft->service = make_service(cmd, argv[0]);
        error = httpd_endpoint_add(draft, NULL, argv[1], argc - 2, argv + 2, true);
    }
    if (!error)
        error = add_first(draft);
    if (!error)
        register_service(cmd, draft->service);
    return httpd_prefixed(cmd, error);
}

const char *httpd_declare_service(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    httpd_draft_t draft = { .cmd = cmd };
    const char *error = check_words(cmd, argc, "NAME URL [option=value ...] [VAR=value ...]");

    (void)unused;
    return error ? error : declare_line(&draft, argc, argv);
}

const char *httpd_declare_database(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    httpd_draft_t draft = { .cmd = cmd, .alias = "DB_SLAVE_", .stand_in = "DB_DEFAULT_" };
    const char *error = check_words(cmd, argc,
                                    "NAME URL [alias=DB_SLAVE_] [failover=DB_DEFAULT_] "
                                    "[option=value ...] [VAR=value ...]");

    (void)unused;
    return error ? error : declare_line(&draft, argc, argv);
}

/* What Celery takes for a broker here. */
static const char *check_broker(const char *url, apr_pool_t *pool)
{
    static const char *const schemes[] = { "tcp", "amqp", "amqps", "redis", "rediss" };
    const char *scheme = NULL;
    const char *error = fo_parse_scheme(url, &scheme, pool);

    if (error || fo_is_listed(scheme, schemes, sizeof(schemes) / sizeof(schemes[0])))
        return error;
    return apr_psprintf(pool,
                        "%s:// is no broker of Celery; there are tcp://, amqp://, amqps://, "
                        "redis:// and rediss://",
                        scheme);
}

const char *httpd_declare_celery(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    httpd_draft_t draft = { .cmd = cmd, .setting = "CELERY_ALWAYS_EAGER" };
    const char *error = check_words(cmd, argc,
                                    "NAME URL [setting=CELERY_ALWAYS_EAGER] [option=value ...] "
                                    "[VAR=value ...]");

    (void)unused;
    if (error)
        return error;
    error = check_broker(argv[1], cmd->pool);
    return error ? httpd_prefixed(cmd, error) : declare_line(&draft, argc, argv);
}

/* ap_walk_config would run any other directive as if it stood outside. */
static const char *check_children(cmd_parms *cmd)
{
    for (const ap_directive_t *child = cmd->directive->first_child; child; child = child->next) {
        if (httpd_directive_fits_block(child->directive))
            continue;
        cmd->err_directive = child;
        return apr_psprintf(cmd->pool,
                            "%s has no place inside <FailoverService>: it takes "
                            "FailoverEndpoint, settings (FailoverSetEnv, "
                            "FailoverUnsetEnv, FailoverAlias, FailoverNote) and policy",
                            child->directive);
    }
    return NULL;
}

static const char *walk_block(cmd_parms *cmd, httpd_service_t *service)
{
    httpd_server_t *server = httpd_server_of(cmd->server);
    const char *error;

    server->open_service = service;
    error = ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
    server->open_service = NULL;
    return error;
}

const char *httpd_declare_block(cmd_parms *cmd, void *unused, const char *args)
{
    const char *end = strrchr(args, '>');
    const char *words = end ? apr_pstrmemdup(cmd->pool, args, (apr_size_t)(end - args)) : "";
    const char *name = ap_getword_conf(cmd->pool, &words);
    httpd_service_t *service;
    const char *error;

    (void)unused;
    if (!end)
        return "<FailoverService: the closing '>' is missing";
    if (words[0])
        return apr_psprintf(cmd->pool, "<FailoverService NAME> takes one name; '%s' is too much",
                            words);
    error = fo_parse_name(name, cmd->pool);
    if (!error)
        error = check_duplicate(cmd, name);
    if (error)
        return apr_pstrcat(cmd->pool, "<FailoverService>: ", error, NULL);
    service = make_service(cmd, name);
    error = check_children(cmd);
    if (!error)
        error = walk_block(cmd, service);
    if (!error && service->endpoints->nelts == 0)
        error = apr_psprintf(cmd->pool, "<FailoverService %s> has no FailoverEndpoint", name);
    if (!error)
        register_service(cmd, service);
    return error;
}

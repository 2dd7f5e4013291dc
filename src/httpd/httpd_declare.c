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

const char *httpd_misplaced(httpd_place_t place, const char *directive, const char *error,
                            apr_pool_t *pool)
{
    return apr_psprintf(pool, "Syntax error on line %d of %s: %s: %s", place.line, place.file,
                        directive, error);
}

const char *httpd_declare_outside(cmd_parms *cmd)
{
    return apr_psprintf(cmd->pool, "%s stands inside <FailoverService NAME> only", cmd->cmd->name);
}

httpd_service_t *httpd_declare_open(cmd_parms *cmd)
{
    return httpd_server_of(cmd->server)->open_service;
}

apr_array_header_t *httpd_declare_settings(cmd_parms *cmd)
{
    const httpd_server_t *server = httpd_server_of(cmd->server);

    if (server->open_endpoint)
        return server->open_endpoint->settings;
    return server->open_service ? server->open_service->settings : NULL;
}

/* httpd hands over this many words and drops the rest without a word. */
#define WORDS_MAX 64

const char *httpd_check_words(cmd_parms *cmd, int argc, int least, const char *syntax)
{
    if (argc < least)
        return apr_pstrcat(cmd->pool, cmd->cmd->name, " ", syntax,
                           least > 1 ? ": NAME and URL are missing" : ": the URL is missing", NULL);
    if (argc >= WORDS_MAX)
        return apr_psprintf(cmd->pool, "%s: %d words or more; use <FailoverService>",
                            cmd->cmd->name, WORDS_MAX);
    return NULL;
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

const char *httpd_service_clash(const char *name, const httpd_service_t *other, apr_pool_t *pool)
{
    return apr_psprintf(pool,
                        "'%s' and '%s', declared at %s:%d, would export a variable of the same "
                        "name (FAILOVER_..._ENDPOINT or _EPOCH)",
                        name, other->name, other->place.file, other->place.line);
}

const char *httpd_service_check_name(cmd_parms *cmd, const char *name)
{
    const apr_array_header_t *services = httpd_server_of(cmd->server)->services;
    const char *error = fo_parse_name(name, cmd->pool);

    for (int i = 0; !error && i < services->nelts; i++) {
        const httpd_service_t *other = APR_ARRAY_IDX(services, i, httpd_service_t *);
        if (fo_name_equal(other->name, name))
            return apr_psprintf(cmd->pool,
                                "'%s' is declared already, as '%s' at %s:%d; names that "
                                "are equal as variables ('-' is '_', case ignored) are "
                                "the same",
                                name, other->name, other->place.file, other->place.line);
        if (exports_collide(other->name, name, cmd->pool) ||
            exports_collide(name, other->name, cmd->pool))
            return httpd_service_clash(name, other, cmd->pool);
    }
    return error;
}

httpd_service_t *httpd_service_make(cmd_parms *cmd, const char *name)
{
    httpd_service_t *service = apr_pcalloc(cmd->pool, sizeof(*service));

    service->name = apr_pstrdup(cmd->pool, name);
    service->server = cmd->server;
    service->place = httpd_place_of(cmd);
    service->endpoints = apr_array_make(cmd->pool, 1, sizeof(httpd_endpoint_t *));
    service->checks = apr_array_make(cmd->pool, 1, sizeof(httpd_check_t *));
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
                                      ->own.probe->settings;
        for (; one && one->name; one++)
            if (!has_setting(service, one->name))
                httpd_setting_add(service->settings, FO_SETTING_SET, one->name, one->value);
    }
}

/* Nothing would tell whether it works. */
static const char *find_unasked(cmd_parms *cmd, const httpd_service_t *service)
{
    for (int i = 0; i < service->endpoints->nelts; i++) {
        const httpd_endpoint_t *one = APR_ARRAY_IDX(service->endpoints, i, httpd_endpoint_t *);
        if (!one->is_asked && one->checks->nelts + service->checks->nelts == 0)
            return apr_psprintf(cmd->pool,
                                "%s: endpoint %s has check=off and no FailoverCheck in its place: "
                                "nothing would tell whether it works",
                                service->name, one->name);
    }
    return NULL;
}

const char *httpd_service_register(cmd_parms *cmd, httpd_service_t *service)
{
    const char *error = find_unasked(cmd, service);

    if (error)
        return error;
    service->serial = httpd_config()->n_services++;
    add_defaults(service);
    APR_ARRAY_PUSH(httpd_server_of(cmd->server)->services, httpd_service_t *) = service;
    return NULL;
}

/* Before the variables of the line, so that these have the last word. */
static const char *add_first(httpd_draft_t *draft)
{
    apr_array_header_t *variables = draft->service->settings;
    const char *error = NULL;

    draft->service->settings = apr_array_make(draft->cmd->pool, 4, sizeof(fo_setting_t));
    if (draft->alias)
        error = httpd_setting_alias(draft->cmd, draft->service->settings, draft->alias,
                                    draft->stand_in);
    if (draft->setting)
        httpd_setting_add(draft->service->settings, FO_SETTING_SET, draft->setting, "True");
    apr_array_cat(draft->service->settings, variables);
    return error;
}

/* What the draft asks for beforehand, options may change. */
static const char *declare_line(httpd_draft_t *draft, int argc, char *const argv[])
{
    cmd_parms *cmd = draft->cmd;
    const char *error = httpd_service_check_name(cmd, argv[0]);

    if (!error) {
        draft->service = httpd_service_make(cmd, argv[0]);
        error = httpd_endpoint_add(draft, NULL, argv[1], argc - 2, argv + 2, true);
    }
    if (!error)
        error = add_first(draft);
    if (!error)
        error = httpd_service_register(cmd, draft->service);
    return httpd_prefixed(cmd, error);
}

const char *httpd_declare_service(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    httpd_draft_t draft = { .cmd = cmd };
    const char *error = httpd_check_words(cmd, argc, 2,
                                          "NAME URL [option=value ...] [VAR=value ...]");

    (void)unused;
    return error ? error : declare_line(&draft, argc, argv);
}

const char *httpd_declare_database(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    httpd_draft_t draft = { .cmd = cmd, .alias = "DB_SLAVE_", .stand_in = "DB_DEFAULT_" };
    const char *error = httpd_check_words(cmd, argc, 2,
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
    const char *error = httpd_check_words(
        cmd, argc, 2,
        "NAME URL [setting=CELERY_ALWAYS_EAGER] [option=value ...] "
        "[VAR=value ...]");

    (void)unused;
    if (error)
        return error;
    error = check_broker(argv[1], cmd->pool);
    return error ? httpd_prefixed(cmd, error) : declare_line(&draft, argc, argv);
}

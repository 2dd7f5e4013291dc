#include "httpd/httpd_declare.h"

#include "core/fo_parse.h"
#include "probe/probe_tcp.h"

#include <ap_provider.h>
#include <http_core.h>
#include <string.h>

static httpd_place_t place_of(const cmd_parms *cmd)
{
    return (httpd_place_t){
        .file = cmd->directive->filename,
        .line = cmd->directive->line_num,
    };
}

static const char *prefixed(cmd_parms *cmd, const char *message)
{
    return message ? apr_pstrcat(cmd->pool, cmd->cmd->name, ": ", message, NULL) : NULL;
}

static void warn(cmd_parms *cmd, const char *text)
{
    httpd_warning_t warning = { .place = place_of(cmd), .text = text };

    APR_ARRAY_PUSH(httpd_config()->warnings, httpd_warning_t) = warning;
}

httpd_service_t *httpd_declare_open(cmd_parms *cmd)
{
    return httpd_server_of(cmd->server)->open_service;
}

/* ------------------------------------------------------------------ settings */

static fo_setting_t *add_setting(httpd_service_t *service, fo_setting_e kind, const char *name,
                                 const char *value)
{
    fo_setting_t *setting = apr_array_push(service->settings);

    setting->kind = kind;
    setting->name = name;
    setting->value = value;
    setting->serial = httpd_config()->n_settings++;
    return setting;
}

/* A value with %{ in it is an expression; any other costs no evaluation. */
static const char *add_value(cmd_parms *cmd, httpd_service_t *service, fo_setting_e kind,
                             const char *name, const char *value, bool is_unsafe)
{
    const char *error = fo_parse_variable(name, cmd->pool);
    const char *client_sent = NULL;
    const void *expression = NULL;

    if (!error && strstr(value, "%{"))
        error = httpd_expr_parse(cmd, value, &expression, &client_sent);
    if (!error && client_sent && !is_unsafe)
        error = apr_psprintf(cmd->pool, "the value of %s reads '%s', which a client can choose; if "
                                        "that is meant, write %s inside <FailoverService> with a "
                                        "third word, unsafe", name, client_sent,
                             kind == FO_SETTING_NOTE ? "FailoverNote" : "FailoverSetEnv");
    if (!error)
        add_setting(service, kind, apr_pstrdup(cmd->pool, name), apr_pstrdup(cmd->pool, value))
            ->expression = expression;
    return error;
}

static const char *declare_value(cmd_parms *cmd, fo_setting_e kind, const char *name,
                                 const char *value, const char *unsafe)
{
    httpd_service_t *service = httpd_declare_open(cmd);

    if (unsafe && strcmp(unsafe, "unsafe") != 0)
        return apr_psprintf(cmd->pool, "%s: the third word can only be 'unsafe', not '%s' (quote a "
                                       "value that has blanks)", cmd->cmd->name, unsafe);
    return prefixed(cmd, add_value(cmd, service, kind, name, value ? value : "", unsafe != NULL));
}

const char *httpd_declare_set_env(cmd_parms *cmd, void *unused, const char *name, const char *value,
                                  const char *unsafe)
{
    (void)unused;
    return declare_value(cmd, FO_SETTING_SET, name, value, unsafe);
}

const char *httpd_declare_note(cmd_parms *cmd, void *unused, const char *name, const char *value,
                               const char *unsafe)
{
    (void)unused;
    return declare_value(cmd, FO_SETTING_NOTE, name, value, unsafe);
}

const char *httpd_declare_unset_env(cmd_parms *cmd, void *unused, const char *name)
{
    const char *error = fo_parse_variable(name, cmd->pool);

    (void)unused;
    if (!error)
        add_setting(httpd_declare_open(cmd), FO_SETTING_UNSET, name, NULL);
    return prefixed(cmd, error);
}

static const char *add_alias(cmd_parms *cmd, httpd_service_t *service, const char *alias,
                             const char *stand_in)
{
    const char *error = fo_parse_variable(alias, cmd->pool);

    if (!error)
        error = fo_parse_variable(stand_in, cmd->pool);
    if (!error && strncasecmp(alias, stand_in, strlen(alias)) == 0)
        error = apr_psprintf(cmd->pool, "'%s' begins with '%s', so it would stand in for itself: "
                                        "two beginnings that differ are needed, as in DB_SLAVE_ "
                                        "DB_DEFAULT_", stand_in, alias);
    if (!error)
        add_setting(service, FO_SETTING_ALIAS, alias, stand_in);
    return error;
}

const char *httpd_declare_alias(cmd_parms *cmd, void *unused, const char *alias,
                                const char *stand_in)
{
    (void)unused;
    return prefixed(cmd, add_alias(cmd, httpd_declare_open(cmd), alias, stand_in));
}

/* ------------------------------------------------------------------ probes */

static const fo_probe_t *find_probe(const char *scheme)
{
    if (strcmp(scheme, fo_probe_tcp.scheme) == 0)
        return &fo_probe_tcp;
    if (strcmp(scheme, fo_probe_unix.scheme) == 0)
        return &fo_probe_unix;
    return ap_lookup_provider(FO_PROBE_GROUP, scheme, FO_PROBE_VERSION);
}

/* Schemes that have a module of ours; another's is named like its scheme. */
static const struct {
    const char *scheme;
    const char *module;
} modules[] = {
    { "mysql", "mod_failover_mysql" },
    { "memcached", "mod_failover_memcached" },
};

static const char *known_schemes(apr_pool_t *pool)
{
    apr_array_header_t *names = ap_list_provider_names(pool, FO_PROBE_GROUP, FO_PROBE_VERSION);
    const char *list = "tcp, unix";

    for (int i = 0; i < names->nelts; i++)
        list = apr_pstrcat(pool, list, ", ",
                           APR_ARRAY_IDX(names, i, ap_list_provider_names_t).provider_name, NULL);
    return list;
}

static const char *missing_probe(const char *scheme, apr_pool_t *pool)
{
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
        if (strcmp(scheme, modules[i].scheme) == 0)
            return apr_psprintf(pool, "%s:// is pinged by %s, which is not loaded: LoadModule "
                                      "failover_%s_module .../%s.so", scheme, modules[i].module,
                                scheme, modules[i].module);
    return apr_psprintf(pool, "nothing that is loaded pings %s://; there are: %s", scheme,
                        known_schemes(pool));
}

static const char *check_probe(const fo_probe_t *probe, const char *scheme, apr_pool_t *pool)
{
    int forms;

    if (!probe)
        return missing_probe(scheme, pool);
    if (probe->abi != FO_PROBE_ABI || probe->size != sizeof(fo_probe_t))
        return apr_psprintf(pool, "the probe for %s:// was built for another version of "
                                  "mod_failover: build it anew", scheme);
    forms = (probe->dialogue != NULL) + (probe->steps != NULL) + (probe->ask != NULL);
    if (!probe->configure || !probe->example || forms != 1)
        return apr_psprintf(pool, "the probe for %s:// is incomplete: it needs configure, example "
                                  "and exactly one of dialogue, steps and ask", scheme);
    return NULL;
}

/* ------------------------------------------------------------------ options of a URL */

/* An endpoint while its options are read. */
typedef struct draft_t {
    cmd_parms *cmd;
    httpd_service_t *service;
    httpd_endpoint_t *endpoint;
    apr_table_t *probe_options; /* what is left for the probe */
    const char *alias;          /* FailoverDatabase's; NULL: not asked for */
    const char *stand_in;
} draft_t;

static const char *option_weight(draft_t *draft, const char *value)
{
    return fo_parse_weight(value, &draft->endpoint->weight, draft->cmd->pool);
}

static const char *option_timeout(draft_t *draft, const char *value)
{
    apr_interval_time_t timeout = 0;
    const char *error = fo_parse_duration(value, &timeout, draft->cmd->pool);

    if (!error && (timeout < 1000 || timeout > 3600 * APR_USEC_PER_SEC))
        error = apr_psprintf(draft->cmd->pool, "'%s' is not within 1ms and 1h", value);
    draft->endpoint->timeout = timeout;
    return error;
}

static const char *option_busy(draft_t *draft, const char *value)
{
    draft->endpoint->busy_fails = strcmp(value, "fail") == 0;
    return draft->endpoint->busy_fails || strcmp(value, "keep") == 0
               ? NULL : apr_psprintf(draft->cmd->pool, "'%s' is neither keep nor fail", value);
}

static bool file_is_missing(const char *path, apr_pool_t *pool)
{
    apr_finfo_t info;
    apr_status_t status = apr_stat(&info, path, APR_FINFO_TYPE, pool);

    return APR_STATUS_IS_ENOENT(status) || APR_STATUS_IS_ENOTDIR(status);
}

/* The value may be a password by mistake: it is never repeated. */
static const char *option_password(draft_t *draft, const char *value)
{
    apr_pool_t *pool = draft->cmd->pool;
    httpd_secret_t *secret = &draft->endpoint->secret;
    const char *path = strlen(value) > 5 ? value + 5 : "";

    if (strncmp(value, "file:", 5) == 0)
        secret->kind = HTTPD_SECRET_FILE;
    else if (strncmp(value, "exec:", 5) == 0)
        secret->kind = HTTPD_SECRET_EXEC;
    else
        return "a password has no place in the configuration: name where it stands, file:PATH or "
               "exec:PROGRAM";
    if (path[0] != '/')
        return "an absolute path must follow file: or exec:";
    secret->source = path;
    path = secret->kind == HTTPD_SECRET_EXEC ? ap_getword_white(pool, &path) : path;
    if (file_is_missing(path, pool))
        return apr_psprintf(pool, "there is no file %s", path);
    return NULL;
}

static const char *option_alias(draft_t *draft, const char *value)
{
    if (!draft->alias)
        return "belongs to FailoverDatabase; inside <FailoverService> write FailoverAlias";
    draft->alias = value;
    return NULL;
}

static const char *option_failover(draft_t *draft, const char *value)
{
    if (!draft->alias)
        return "belongs to FailoverDatabase; inside <FailoverService> write FailoverAlias";
    draft->stand_in = value;
    return NULL;
}

static const struct {
    const char *key;
    const char *(*set)(draft_t *draft, const char *value);
} options[] = {
    { "weight", option_weight },     { "timeout", option_timeout },
    { "busy", option_busy },         { "password", option_password },
    { "alias", option_alias },       { "failover", option_failover },
};

static const char *take_option(draft_t *draft, const fo_pair_t *pair)
{
    apr_pool_t *pool = draft->cmd->pool;

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strcmp(pair->key, options[i].key) != 0)
            continue;
        const char *error = options[i].set(draft, pair->value);
        return error ? apr_psprintf(pool, "%s=: %s", pair->key, error) : NULL;
    }
    apr_table_setn(draft->probe_options, pair->key, pair->value);
    return NULL;
}

static const char *take_pairs(draft_t *draft, int argc, char *const argv[], bool takes_variables)
{
    apr_pool_t *pool = draft->cmd->pool;
    apr_table_t *taken = apr_table_make(pool, 4);

    for (int i = 0; i < argc; i++) {
        fo_pair_t pair = { 0 };
        const char *error = fo_parse_pair(argv[i], &pair, pool);
        if (!error && pair.is_variable && !takes_variables)
            error = apr_psprintf(pool, "%s= is a variable: inside <FailoverService> write "
                                       "FailoverSetEnv %s ...", pair.key, pair.key);
        else if (!error && !pair.is_variable && apr_table_get(taken, pair.key))
            error = apr_psprintf(pool, "%s= stands there twice", pair.key);
        else if (!error && pair.is_variable)
            error = add_value(draft->cmd, draft->service, FO_SETTING_SET, pair.key, pair.value,
                              false);
        else if (!error)
            error = take_option(draft, &pair);
        if (error)
            return error;
        apr_table_setn(taken, pair.key, "");
    }
    return NULL;
}

/* ------------------------------------------------------------------ endpoints */

static const char *options_key(const apr_table_t *table, apr_pool_t *pool)
{
    const apr_array_header_t *array = apr_table_elts(table);
    const apr_table_entry_t *entry = (const apr_table_entry_t *)array->elts;
    const char *key = "";

    for (int i = 0; i < array->nelts; i++)
        key = apr_pstrcat(pool, key, " ", entry[i].key, "=", entry[i].val, NULL);
    return key;
}

/* "db2.example.com:3306", or the path of a socket file. */
static const char *default_name(const fo_url_t *url, apr_pool_t *pool)
{
    const char *name = url->n_hosts ? "" : url->path;

    for (unsigned i = 0; i < url->n_hosts; i++) {
        const fo_host_t *host = &url->hosts[i];
        bool has_colon = strchr(host->name, ':') != NULL;
        name = apr_psprintf(pool, "%s%s%s%s%s:%u", name, i ? "," : "", has_colon ? "[" : "",
                            host->name, has_colon ? "]" : "", (unsigned)host->port);
    }
    return name;
}

static const char *configure_probe(draft_t *draft)
{
    httpd_endpoint_t *endpoint = draft->endpoint;
    apr_pool_t *pool = draft->cmd->pool;
    const char *warning = NULL;
    fo_login_t login = {
        .user = endpoint->url->user,
        .has_secret = endpoint->secret.kind != HTTPD_SECRET_NONE,
    };
    const char *error = endpoint->probe->configure(endpoint->url, &login, draft->probe_options,
                                                   &endpoint->conf, &warning, pool);

    if (!error && warning)
        warn(draft->cmd, apr_psprintf(pool, "%s: %s", draft->service->name, warning));
    return error;
}

static const char *read_url(draft_t *draft, const char *text)
{
    httpd_endpoint_t *endpoint = draft->endpoint;
    apr_pool_t *pool = draft->cmd->pool;
    const char *scheme = NULL;
    fo_url_t *url = NULL;
    const char *error = fo_parse_scheme(text, &scheme, pool);

    if (!error) {
        endpoint->probe = find_probe(scheme);
        error = check_probe(endpoint->probe, scheme, pool);
    }
    if (!error)
        error = fo_parse_url(text, endpoint->probe, &url, pool);
    endpoint->url = url;
    return error;
}

/* name NULL: named by its address. */
static const char *add_endpoint(draft_t *draft, const char *name, const char *url, int argc,
                                char *const argv[], bool takes_variables)
{
    apr_pool_t *pool = draft->cmd->pool;
    httpd_endpoint_t *endpoint = apr_pcalloc(pool, sizeof(*endpoint));
    const char *error;

    draft->endpoint = endpoint;
    draft->probe_options = apr_table_make(pool, 4);
    endpoint->place = place_of(draft->cmd);
    endpoint->weight = 1;
    error = read_url(draft, url);
    if (!error)
        error = take_pairs(draft, argc, argv, takes_variables);
    if (!error)
        error = configure_probe(draft);
    if (error)
        return error;
    endpoint->name = name ? name : default_name(endpoint->url, pool);
    endpoint->options_key = options_key(draft->probe_options, pool);
    APR_ARRAY_PUSH(draft->service->endpoints, httpd_endpoint_t *) = endpoint;
    return NULL;
}

const char *httpd_declare_endpoint(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    draft_t draft = { .cmd = cmd, .service = httpd_declare_open(cmd) };
    const char *error;

    (void)unused;
    if (argc < 2)
        return "FailoverEndpoint NAME URL [weight=N] [option=value ...]";
    error = fo_parse_name(argv[0], cmd->pool);
    if (!error && draft.service->endpoints->nelts > 0)
        error = apr_psprintf(cmd->pool, "%s has an endpoint already, and this version takes one for "
                                        "each service", draft.service->name);
    if (!error)
        error = add_endpoint(&draft, argv[0], argv[1], argc - 2, argv + 2, false);
    return prefixed(cmd, error);
}

/* ------------------------------------------------------------------ services */

static const char *check_duplicate(cmd_parms *cmd, const char *name)
{
    const apr_array_header_t *services = httpd_server_of(cmd->server)->services;

    for (int i = 0; i < services->nelts; i++) {
        const httpd_service_t *other = APR_ARRAY_IDX(services, i, httpd_service_t *);
        if (fo_name_equal(other->name, name))
            return apr_psprintf(cmd->pool, "'%s' is declared already, as '%s' at %s:%d; names that "
                                           "are equal as variables ('-' is '_', case ignored) are "
                                           "the same", name, other->name, other->place.file,
                                other->place.line);
    }
    return NULL;
}

static httpd_service_t *make_service(cmd_parms *cmd, const char *name)
{
    httpd_service_t *service = apr_pcalloc(cmd->pool, sizeof(*service));

    service->name = apr_pstrdup(cmd->pool, name);
    service->server = cmd->server;
    service->place = place_of(cmd);
    service->endpoints = apr_array_make(cmd->pool, 1, sizeof(httpd_endpoint_t *));
    service->settings = apr_array_make(cmd->pool, 4, sizeof(fo_setting_t));
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
                add_setting(service, FO_SETTING_SET, one->name, one->value);
    }
}

static void register_service(cmd_parms *cmd, httpd_service_t *service)
{
    service->serial = httpd_config()->n_services++;
    add_defaults(service);
    APR_ARRAY_PUSH(httpd_server_of(cmd->server)->services, httpd_service_t *) = service;
}

static const char *declare_line(cmd_parms *cmd, int argc, char *const argv[], const char *alias,
                                const char *stand_in)
{
    draft_t draft = { .cmd = cmd, .alias = alias, .stand_in = stand_in };
    const char *error = fo_parse_name(argv[0], cmd->pool);

    if (!error)
        error = check_duplicate(cmd, argv[0]);
    if (!error) {
        draft.service = make_service(cmd, argv[0]);
        error = add_endpoint(&draft, NULL, argv[1], argc - 2, argv + 2, true);
    }
    if (!error && alias)
        error = add_alias(cmd, draft.service, draft.alias, draft.stand_in);
    if (!error)
        register_service(cmd, draft.service);
    return prefixed(cmd, error);
}

const char *httpd_declare_service(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    (void)unused;
    if (argc < 2)
        return "FailoverService NAME URL [option=value ...] [VAR=value ...]";
    return declare_line(cmd, argc, argv, NULL, NULL);
}

const char *httpd_declare_database(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    (void)unused;
    if (argc < 2)
        return "FailoverDatabase NAME URL [alias=DB_SLAVE_] [failover=DB_DEFAULT_] "
               "[option=value ...] [VAR=value ...]";
    return declare_line(cmd, argc, argv, "DB_SLAVE_", "DB_DEFAULT_");
}

/* ap_walk_config would run any other directive as if it stood outside. */
static const char *check_children(cmd_parms *cmd)
{
    for (const ap_directive_t *child = cmd->directive->first_child; child; child = child->next) {
        if (httpd_directive_fits_block(child->directive))
            continue;
        cmd->err_directive = child;
        return apr_psprintf(cmd->pool, "%s has no place inside <FailoverService>: it takes "
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

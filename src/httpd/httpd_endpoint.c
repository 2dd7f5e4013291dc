/* An endpoint as declared: its URL, the probe that serves it, and its options. */
#include "httpd/httpd_declare.h"

#include "core/fo_parse.h"
#include "probe/probe_script.h"
#include "probe/probe_tcp.h"

#include <ap_provider.h>
#include <string.h>

/* Those of mod_failover itself. */
static const fo_probe_t *const own[] = { &fo_probe_tcp, &fo_probe_unix, &fo_probe_script };

static const fo_probe_t *find_probe(const char *scheme)
{
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
        if (strcmp(scheme, own[i]->scheme) == 0)
            return own[i];
    return ap_lookup_provider(FO_PROBE_GROUP, scheme, FO_PROBE_VERSION);
}

/* Schemes that have a module of ours. */
static const struct {
    const char *scheme;
    const char *module;
} modules[] = {
    { "mysql", "mod_failover_mysql" },         { "mysqls", "mod_failover_mysql" },
    { "memcached", "mod_failover_memcached" }, { "amqp", "mod_failover_amqp" },
    { "amqps", "mod_failover_amqp" },          { "redis", "mod_failover_redis" },
    { "rediss", "mod_failover_redis" },        { "http", "mod_failover_http" },
    { "https", "mod_failover_http" },          { "redis-lag+https", "mod_failover_http" },
    { "postgresql", "mod_failover_pgsql" },    { "plugin", "mod_failover_plugin" },
};

static const char *known_schemes(apr_pool_t *pool)
{
    apr_array_header_t *names = ap_list_provider_names(pool, FO_PROBE_GROUP, FO_PROBE_VERSION);
    const char *list = own[0]->scheme;

    for (size_t i = 1; i < sizeof(own) / sizeof(own[0]); i++)
        list = apr_pstrcat(pool, list, ", ", own[i]->scheme, NULL);
    for (int i = 0; i < names->nelts; i++)
        list = apr_pstrcat(pool, list, ", ",
                           APR_ARRAY_IDX(names, i, ap_list_provider_names_t).provider_name, NULL);
    return list;
}

static const char *missing_probe(const char *scheme, apr_pool_t *pool)
{
    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++)
        if (strcmp(scheme, modules[i].scheme) == 0)
            return apr_psprintf(pool,
                                "%s:// is pinged by %s, which is not loaded: LoadModule "
                                "%s_module .../%s.so",
                                scheme, modules[i].module, modules[i].module + strlen("mod_"),
                                modules[i].module);
    return apr_psprintf(pool, "nothing that is loaded pings %s://; there are: %s", scheme,
                        known_schemes(pool));
}

static const char *check_probe(const fo_probe_t *probe, const char *scheme, apr_pool_t *pool)
{
    int forms;

    if (!probe)
        return missing_probe(scheme, pool);
    if (probe->abi != FO_PROBE_ABI || probe->size != sizeof(fo_probe_t))
        return apr_psprintf(pool,
                            "the probe for %s:// was built for another version of "
                            "mod_failover: build it anew",
                            scheme);
    forms = (probe->dialogue != NULL) + (probe->steps != NULL) + (probe->ask != NULL);
    if (!probe->configure || !probe->example || !probe->summary || forms != 1 ||
        (probe->dialogue && !probe->dialogue->turn) ||
        (probe->tls != FO_TLS_OWN && probe->max_hosts == 0) ||
        (probe->steps && (!probe->steps->begin || !probe->steps->step || !probe->steps->end)))
        return apr_psprintf(pool,
                            "the probe for %s:// is incomplete: it needs configure, example, "
                            "summary and exactly one of dialogue, steps and ask, whole",
                            scheme);
    return NULL;
}

static const char *option_weight(httpd_draft_t *draft, const char *value)
{
    return fo_parse_weight(value, &draft->endpoint->weight, draft->cmd->pool);
}

static const char *option_timeout(httpd_draft_t *draft, const char *value)
{
    apr_interval_time_t timeout = 0;
    const char *error = fo_parse_duration(value, &timeout, draft->cmd->pool);

    if (!error && (timeout < 1000 || timeout > 3600 * APR_USEC_PER_SEC))
        error = apr_psprintf(draft->cmd->pool, "'%s' is not within 1ms and 1h", value);
    draft->check->timeout = timeout;
    return error;
}

static const char *option_check(httpd_draft_t *draft, const char *value)
{
    return fo_parse_either(value, "on", "off", &draft->endpoint->is_asked, draft->cmd->pool);
}

static const char *option_busy(httpd_draft_t *draft, const char *value)
{
    bool keeps = true;
    const char *error = fo_parse_either(value, "keep", "fail", &keeps, draft->cmd->pool);

    draft->endpoint->busy_fails = !keeps;
    return error;
}

static bool file_is_missing(const char *path, apr_pool_t *pool)
{
    apr_finfo_t info;
    apr_status_t status = apr_stat(&info, path, APR_FINFO_TYPE, pool);

    return APR_STATUS_IS_ENOENT(status) || APR_STATUS_IS_ENOTDIR(status);
}

/* The value may be a password by mistake: it is never repeated. */
static const char *read_source(const char *value, httpd_secret_t *ret_secret, apr_pool_t *pool)
{
    const char *path = strlen(value) > 5 ? value + 5 : "";

    if (strncmp(value, "file:", 5) == 0)
        ret_secret->kind = HTTPD_SECRET_FILE;
    else if (strncmp(value, "exec:", 5) == 0)
        ret_secret->kind = HTTPD_SECRET_EXEC;
    else
        return "a password has no place in the configuration: name where it stands, file:PATH or "
               "exec:PROGRAM";
    if (path[0] != '/')
        return "an absolute path must follow file: or exec:";
    ret_secret->source = path;
    path = ret_secret->kind == HTTPD_SECRET_EXEC ? ap_getword_white(pool, &path) : path;
    if (file_is_missing(path, pool))
        return apr_psprintf(pool, "there is no file %s", path);
    return NULL;
}

static const char *option_password(httpd_draft_t *draft, const char *value)
{
    return read_source(value, &draft->check->secret, draft->cmd->pool);
}

static const char *option_key_password(httpd_draft_t *draft, const char *value)
{
    return read_source(value, &draft->check->key_secret, draft->cmd->pool);
}

static const char *option_socket(httpd_draft_t *draft, const char *value)
{
    draft->check->socket = value;
    return fo_parse_socket(value, draft->cmd->pool);
}

static const char *option_alias(httpd_draft_t *draft, const char *value)
{
    if (!draft->alias)
        return "belongs to FailoverDatabase; inside <FailoverService> write FailoverAlias";
    draft->alias = value;
    return NULL;
}

static const char *option_failover(httpd_draft_t *draft, const char *value)
{
    if (!draft->alias)
        return "belongs to FailoverDatabase; inside <FailoverService> write FailoverAlias";
    draft->stand_in = value;
    return NULL;
}

static const char *option_setting(httpd_draft_t *draft, const char *value)
{
    const char *error = fo_parse_variable(value, draft->cmd->pool);

    if (!draft->setting)
        return "belongs to FailoverCelery; inside <FailoverService> write FailoverSetEnv";
    draft->setting = value;
    return error;
}

static bool has_key(const char *const *keys, const char *key)
{
    for (const char *const *known = keys; known && *known; known++)
        if (strcmp(*known, key) == 0)
            return true;
    return false;
}

/* A further check has none of it. */
static bool of_endpoint(const httpd_draft_t *draft)
{
    return draft->endpoint != NULL;
}

/* A key may be locked, whoever opens it. */
static bool with_key(const httpd_draft_t *draft)
{
    const fo_probe_t *probe = draft->check->probe;

    return probe->tls != FO_TLS_OWN || has_key(probe->options, "key");
}

/* The driver connects, and to a host. Other probes have their own option, or none. */
static bool by_driver(const httpd_draft_t *draft)
{
    return draft->check->probe->dialogue && draft->check->probe->max_hosts > 0;
}

static bool always(const httpd_draft_t *draft)
{
    (void)draft;
    return true;
}

static const struct {
    const char *key;
    const char *(*set)(httpd_draft_t *draft, const char *value);
    bool (*fits)(const httpd_draft_t *draft);
} options[] = {
    { "weight", option_weight, of_endpoint },     { "timeout", option_timeout, always },
    { "busy", option_busy, of_endpoint },         { "check", option_check, of_endpoint },
    { "password", option_password, always },      { "key-password", option_key_password, with_key },
    { "socket", option_socket, by_driver },       { "alias", option_alias, of_endpoint },
    { "failover", option_failover, of_endpoint }, { "setting", option_setting, of_endpoint },
};

static const char *list_keys(const char *list, const char *const *keys, apr_pool_t *pool)
{
    for (const char *const *key = keys; key && *key; key++)
        list = apr_pstrcat(pool, list, ", ", *key, "=", NULL);
    return list;
}

/* Where another scheme, as amqps:// beside amqp://, is the one that takes it. */
static const char *tls_hint(const fo_probe_t *probe, const char *key, apr_pool_t *pool)
{
    const char *scheme = apr_pstrcat(pool, probe->scheme, "s", NULL);

    if (!has_key(httpd_tls_keys, key) || !find_probe(scheme))
        return "";
    return apr_psprintf(pool, "; TLS is %s://", scheme);
}

static const char *unknown_option(const httpd_draft_t *draft, const char *key)
{
    const fo_probe_t *probe = draft->check->probe;
    apr_pool_t *pool = draft->cmd->pool;
    const char *known = draft->endpoint ? "weight=, check=, timeout=, busy=, password="
                                        : "timeout=, password=";

    known = list_keys(known, probe->options, pool);
    known = list_keys(known, httpd_tls_options(probe), pool);
    if (by_driver(draft))
        known = apr_pstrcat(pool, known, ", socket=", NULL);
    else if (has_key(probe->options, "key"))
        known = apr_pstrcat(pool, known, ", key-password=", NULL);
    return apr_psprintf(pool, "'%s=' is no option of %s%s://; there are %s%s", key,
                        draft->endpoint ? "" : "a check by ", probe->scheme, known,
                        tls_hint(probe, key, pool));
}

static const char *take_option(httpd_draft_t *draft, const fo_pair_t *pair)
{
    apr_pool_t *pool = draft->cmd->pool;

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (strcmp(pair->key, options[i].key) != 0 || !options[i].fits(draft))
            continue;
        const char *error = options[i].set(draft, pair->value);
        return error ? apr_psprintf(pool, "%s=: %s", pair->key, error) : NULL;
    }
    if (has_key(draft->check->probe->options, pair->key))
        apr_table_setn(draft->probe_options, pair->key, pair->value);
    else if (has_key(httpd_tls_options(draft->check->probe), pair->key))
        apr_table_setn(draft->tls_options, pair->key, pair->value);
    else
        return unknown_option(draft, pair->key);
    return NULL;
}

static const char *take_pairs(httpd_draft_t *draft, int argc, char *const argv[],
                              bool takes_variables)
{
    apr_pool_t *pool = draft->cmd->pool;
    apr_table_t *taken = apr_table_make(pool, 4);

    for (int i = 0; i < argc; i++) {
        fo_pair_t pair = { 0 };
        const char *error = fo_parse_pair(argv[i], &pair, pool);
        if (!error && pair.is_variable && !takes_variables)
            error = apr_psprintf(pool,
                                 "%s= is a variable: inside <FailoverService> write "
                                 "FailoverSetEnv %s ...",
                                 pair.key, pair.key);
        else if (!error && !pair.is_variable && apr_table_get(taken, pair.key))
            error = apr_psprintf(pool, "%s= stands there twice", pair.key);
        else if (!error && pair.is_variable)
            error = httpd_setting_value(draft->cmd, draft->service->settings, FO_SETTING_SET,
                                        pair.key, pair.value, false);
        else if (!error)
            error = take_option(draft, &pair);
        if (error)
            return error;
        apr_table_setn(taken, pair.key, "");
    }
    return NULL;
}

static const char *add_table(const char *key, const apr_table_t *table, apr_pool_t *pool)
{
    const apr_array_header_t *array = apr_table_elts(table);
    const apr_table_entry_t *entry = (const apr_table_entry_t *)array->elts;

    for (int i = 0; i < array->nelts; i++)
        key = apr_pstrcat(pool, key, " ", entry[i].key, "=", entry[i].val, NULL);
    return key;
}

static const char *options_key(const httpd_draft_t *draft)
{
    const httpd_check_t *check = draft->check;
    apr_pool_t *pool = draft->cmd->pool;
    const char *key = add_table("", draft->probe_options, pool);

    key = add_table(key, draft->tls_options, pool);
    if (check->key_secret.kind)
        key = apr_psprintf(pool, "%s key-password=%d:%s", key, (int)check->key_secret.kind,
                           check->key_secret.source);
    return check->socket ? apr_pstrcat(pool, key, " socket=", check->socket, NULL) : key;
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

static const char *configure_probe(httpd_draft_t *draft)
{
    httpd_check_t *check = draft->check;
    apr_pool_t *pool = draft->cmd->pool;
    const char *warning = NULL;
    fo_login_t login = {
        .user = check->url->user,
        .has_secret = check->secret.kind != HTTPD_SECRET_NONE,
        .has_key_password = check->key_secret.kind != HTTPD_SECRET_NONE,
    };
    const char *error = check->probe->configure(check->url, &login, draft->probe_options,
                                                &check->conf, &warning, pool);

    if (!error && warning)
        httpd_config_warn(httpd_place_of(draft->cmd),
                          apr_psprintf(pool, "%s: %s", draft->service->name, warning));
    return error;
}

static const char *read_url(httpd_draft_t *draft, const char *text)
{
    httpd_check_t *check = draft->check;
    apr_pool_t *pool = draft->cmd->pool;
    const char *scheme = NULL;
    fo_url_t *url = NULL;
    const char *error = fo_parse_scheme(text, &scheme, pool);

    if (!error) {
        check->probe = find_probe(scheme);
        error = check_probe(check->probe, scheme, pool);
    }
    if (!error)
        error = fo_parse_url(text, check->probe, &url, pool);
    if (!error)
        check->timeout = check->probe->timeout;
    check->url = url;
    return error;
}

static const char *read_check(httpd_draft_t *draft, const char *url, int argc, char *const argv[],
                              bool takes_variables)
{
    apr_pool_t *pool = draft->cmd->pool;
    const char *error;

    draft->probe_options = apr_table_make(pool, 4);
    draft->tls_options = apr_table_make(pool, 4);
    draft->check->place = httpd_place_of(draft->cmd);
    error = read_url(draft, url);
    if (!error)
        error = take_pairs(draft, argc, argv, takes_variables);
    if (!error)
        error = configure_probe(draft);
    if (!error)
        error = httpd_tls_configure(draft);
    if (!error)
        draft->check->options_key = options_key(draft);
    return error;
}

const char *httpd_endpoint_add(httpd_draft_t *draft, const char *name, const char *url, int argc,
                               char *const argv[], bool takes_variables)
{
    apr_pool_t *pool = draft->cmd->pool;
    httpd_endpoint_t *endpoint = apr_pcalloc(pool, sizeof(*endpoint));
    const char *error;

    draft->endpoint = endpoint;
    draft->check = &endpoint->own;
    endpoint->weight = 1;
    endpoint->is_asked = true;
    endpoint->checks = apr_array_make(pool, 1, sizeof(httpd_check_t *));
    endpoint->settings = apr_array_make(pool, 1, sizeof(fo_setting_t));
    error = read_check(draft, url, argc, argv, takes_variables);
    if (error)
        return error;
    endpoint->name = name ? name : default_name(endpoint->own.url, pool);
    APR_ARRAY_PUSH(draft->service->endpoints, httpd_endpoint_t *) = endpoint;
    return NULL;
}

const char *httpd_check_add(httpd_draft_t *draft, apr_array_header_t *checks, const char *url,
                            int argc, char *const argv[])
{
    const char *error;

    draft->check = apr_pcalloc(draft->cmd->pool, sizeof(*draft->check));
    error = read_check(draft, url, argc, argv, false);
    if (!error)
        APR_ARRAY_PUSH(checks, httpd_check_t *) = draft->check;
    return error;
}

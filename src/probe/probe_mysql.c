#include "probe/probe_mysql.h"

#include "core/fo_parse.h"
#include "probe/probe_mysql_own.h"

#include <string.h>

/* A backtick would end the name. */
static const char *grant_name(const char *name, apr_pool_t *pool)
{
    char *quoted = apr_palloc(pool, 2 * strlen(name) + 3), *to = quoted;

    *to++ = '`';
    for (; *name; name++) {
        if (*name == '`')
            *to++ = '`';
        *to++ = *name;
    }
    *to++ = '`';
    *to = '\0';
    return quoted;
}

/* The URL as written, with a user put in, or in place of a blank one. */
static const char *with_user(const fo_url_t *url, apr_pool_t *pool)
{
    const char *hosts = strstr(url->text, "://") + 3;

    if (*hosts == '@')
        hosts++;
    return apr_pstrcat(pool, url->scheme, "://monitor@", hosts, NULL);
}

/*
 * LOCK TABLES is the least privilege that lets an account have a database as its current one:
 * without SELECT it can lock no table, and it shows no table's name or definition.
 */
static const char *needs_user(const fo_url_t *url, const char *database, apr_pool_t *pool)
{
    const char *grant = "";

    if (database)
        grant = apr_psprintf(pool,
                             " GRANT LOCK TABLES ON %s.* TO 'monitor'@'%%'; (the least that a "
                             "login to a database takes; or leave the database out)",
                             grant_name(database, pool));
    return apr_psprintf(pool,
                        "%s:// needs a user, as the server counts a connection without a login "
                        "as an error and ends up blocking this host: "
                        "CREATE USER 'monitor'@'%%' IDENTIFIED BY '...';%s then %s",
                        url->scheme, grant, with_user(url, pool));
}

static const char *read_role(const char *value, probe_mysql_conf_t *conf, apr_pool_t *pool)
{
    bool is_primary = false;
    const char *error = fo_parse_either(value, "primary", "replica", &is_primary, pool);

    conf->role = is_primary ? PROBE_MYSQL_PRIMARY : PROBE_MYSQL_REPLICA;
    return error ? apr_psprintf(pool, "role=: %s", error) : NULL;
}

/* Servers tell how far they are behind in whole seconds. */
static const char *read_max_lag(const char *value, probe_mysql_conf_t *conf, apr_pool_t *pool)
{
    const char *error = fo_parse_duration(value, &conf->max_lag, pool);

    if (error)
        return apr_psprintf(pool, "max-lag=: %s", error);
    if (conf->max_lag % APR_USEC_PER_SEC)
        return apr_psprintf(pool, "max-lag=: '%s' is not in whole seconds", value);
    return NULL;
}

static const char *read_query(const char *value, probe_mysql_conf_t *conf, apr_pool_t *pool)
{
    if (!value[0])
        return "query=: there is no SQL";
    conf->query = apr_pstrdup(pool, value);
    return NULL;
}

static const char *read_socket(const char *value, probe_mysql_conf_t *conf, apr_pool_t *pool)
{
    const char *error = fo_parse_socket(value, pool);

    conf->socket = apr_pstrdup(pool, value);
    return error ? apr_psprintf(pool, "socket=: %s", error) : NULL;
}

static const struct {
    const char *key;
    const char *(*read)(const char *value, probe_mysql_conf_t *conf, apr_pool_t *pool);
} readers[] = {
    { "role", read_role },
    { "max-lag", read_max_lag },
    { "query", read_query },
    { "socket", read_socket },
};

static const char *configure(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, probe_mysql_conf_t **ret_conf,
                             apr_pool_t *pool)
{
    const char *database = url->path[0] && url->path[1] ? url->path + 1 : NULL, *error = NULL;
    probe_mysql_conf_t *conf;

    if (database && strchr(database, '/'))
        return apr_psprintf(pool, "%s: the path of %s:// is one database, as in /blog", url->text,
                            url->scheme);
    if (!login->user || !login->user[0])
        return needs_user(url, database, pool);
    conf = apr_palloc(pool, sizeof(*conf));
    *conf = (probe_mysql_conf_t){
        .user = apr_pstrdup(pool, login->user),
        .database = database ? apr_pstrdup(pool, database) : NULL,
        .max_lag = -1,
    };
    for (size_t i = 0; !error && i < sizeof(readers) / sizeof(readers[0]); i++) {
        const char *value = apr_table_get(options, readers[i].key);
        error = value ? readers[i].read(value, conf, pool) : NULL;
    }
    *ret_conf = conf;
    return error;
}

static const char *configure_plain(const fo_url_t *url, const fo_login_t *login,
                                   const apr_table_t *options, void **ret_conf,
                                   const char **ret_warning, apr_pool_t *pool)
{
    probe_mysql_conf_t *conf = NULL;
    const char *error = configure(url, login, options, &conf, pool);

    (void)ret_warning;
    if (!error)
        *ret_conf = conf;
    return error;
}

/* The library makes its own context with each ping, of the same files. */
static const char *read_tls(const fo_login_t *login, const apr_table_t *options,
                            const probe_mysql_tls_t **ret_tls, const char **ret_warning,
                            apr_pool_t *pool)
{
    probe_mysql_tls_t *tls = apr_palloc(pool, sizeof(*tls));

    *tls = (probe_mysql_tls_t){
        .verifies = !probe_tls_trusts_all(options),
        .files = probe_tls_files(options, pool),
    };
    *ret_tls = tls;
    *ret_warning = probe_tls_doubt(options, login->has_secret);
    return probe_tls_check(options, login->has_key_password, pool);
}

static const char *configure_tls(const fo_url_t *url, const fo_login_t *login,
                                 const apr_table_t *options, void **ret_conf,
                                 const char **ret_warning, apr_pool_t *pool)
{
    probe_mysql_conf_t *conf = NULL;
    const char *error = configure(url, login, options, &conf, pool);

    if (!error)
        error = read_tls(login, options, &conf->tls, ret_warning, pool);
    if (!error)
        *ret_conf = conf;
    return error;
}

/* The library's tables and plugins are not safe to set up from a thread. */
static void child_init(void)
{
    (void)mysql_library_init(0, NULL, NULL);
    probe_mysql_steps_init();
}

static void child_init_tls(void)
{
    child_init();
    probe_mysql_tls_init();
}

static const char *const plain_options[] = { "query", "role", "max-lag", "socket", NULL };
static const char *const tls_options[] = { "query", "role", "max-lag", "ca", "ca-path",
                                           "cert",  "key",  "verify",  NULL };

const fo_probe_t fo_probe_mysql = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "mysql",
    .summary = "logs in to MySQL or MariaDB and asks COM_PING",
    .example = "mysql://monitor@db1.example.com/blog",
    .port = 3306,
    .max_hosts = 1,
    .options = plain_options,
    .configure = configure_plain,
    .child_init = child_init,
    .steps = &probe_mysql_steps,
};

const fo_probe_t fo_probe_mysqls = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "mysqls",
    .summary = "logs in to MySQL or MariaDB over TLS and asks COM_PING",
    .example = "mysqls://monitor@db1.example.com/blog",
    .port = 3306,
    .max_hosts = 1,
    .options = tls_options,
    .configure = configure_tls,
    .child_init = child_init_tls,
    .ask = probe_mysql_tls_ask,
};

#include "probe/probe_conninfo.h"

#include "core/fo_parse.h"

#include <apr_file_info.h>
#include <libpq-fe.h>
#include <stdlib.h>
#include <string.h>

/* A name that no file can have: what libpq would read from a home folder is not there. */
#define NO_FILE "/dev/null/none"

/* Where an encrypted key has no password, OpenSSL asks for one on the terminal. */
#define NO_PASSWORD "none"

#define SOCKET_NAME ".s.PGSQL."

/* The database that every cluster begins with. */
#define ANY_DATABASE "postgres"

typedef struct parameter_t {
    const char *keyword;
    const char *value;
} parameter_t;

/*
 * Whatever else has a variable in the environment, or a file in the home folder. A keyword that
 * this libpq does not know is left out.
 */
static const parameter_t defaults[] = {
    { "application_name", "mod_failover" },
    { "channel_binding", "prefer" },
    { "client_encoding", "" },
    { "connect_timeout", "0" },
    { "gssdelegation", "0" },
    { "gssencmode", "disable" },
    { "gsslib", "" },
    { "krbsrvname", "postgres" },
    { "load_balance_hosts", "disable" },
    { "max_protocol_version", "3.0" },
    { "min_protocol_version", "3.0" },
    { "options", "" },
    { "passfile", NO_FILE },
    { "require_auth", "!gss,!sspi" }, /* Kerberos may wait for others, and has no deadline */
    { "requirepeer", "" },
    { "ssl_max_protocol_version", "" },
    { "ssl_min_protocol_version", "TLSv1.2" },
    { "sslcertmode", "allow" },
    { "sslcompression", "0" },
    { "sslcrl", NO_FILE },
    { "sslcrldir", "" },
    { "sslnegotiation", "postgres" },
    { "sslsni", "1" },
    { "target_session_attrs", "any" },
};

/* The system's authorities in one file, as libpq wants them: Debian, Fedora, Alpine. */
static const char *const bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
};

/* ---- writing ---- */

static size_t quoted_size(const char *value)
{
    return 2 * strlen(value) + sizeof("''");
}

/* In single quotes, for the reader of connection strings. Returns the end. */
static char *put_quoted(char *to, const char *value)
{
    *to++ = '\'';
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\')
            *to++ = '\\';
        *to++ = *value;
    }
    *to++ = '\'';
    *to = '\0';
    return to;
}

static char *put(char *to, const char *keyword, const char *value)
{
    *to++ = ' ';
    to = apr_cpystrn(to, keyword, strlen(keyword) + 1);
    *to++ = '=';
    return put_quoted(to, value);
}

static size_t parameters_size(const parameter_t *parameters, size_t n)
{
    size_t size = 1;

    for (size_t i = 0; i < n; i++)
        size += sizeof(" =") + strlen(parameters[i].keyword) + quoted_size(parameters[i].value);
    return size;
}

char *probe_conninfo_write(const probe_conninfo_t *conninfo, const fo_ask_t *ask)
{
    const parameter_t parameters[] = {
        { "hostaddr", conninfo->is_local ? "" : ask->peers[0].addresses[0] },
        { "password", ask->secret ? ask->secret : "" },
        { "sslpassword", ask->key_password ? ask->key_password : NO_PASSWORD },
    };
    size_t n = sizeof(parameters) / sizeof(parameters[0]), start = strlen(conninfo->fixed);
    char *text = malloc(start + parameters_size(parameters, n)), *to;

    if (!text)
        return NULL;
    to = apr_cpystrn(text, conninfo->fixed, start + 1);
    for (size_t i = 0; i < n; i++)
        to = put(to, parameters[i].keyword, parameters[i].value);
    return text;
}

void probe_conninfo_free(char *text)
{
    if (text)
        explicit_bzero(text, strlen(text));
    free(text);
}

static const char *with(const char *fixed, const char *keyword, const char *value, apr_pool_t *pool)
{
    parameter_t parameter = { keyword, value };
    char *text = apr_palloc(pool, parameters_size(&parameter, 1));

    (void)put(text, keyword, value);
    return apr_pstrcat(pool, fixed, text, NULL);
}

static bool knows(const PQconninfoOption *known, const char *keyword)
{
    for (; known->keyword; known++)
        if (strcmp(known->keyword, keyword) == 0)
            return true;
    return false;
}

/* NULL: no memory. */
static const char *with_defaults(const char *fixed, apr_pool_t *pool)
{
    PQconninfoOption *known = PQconninfoParse("", NULL);

    if (!known)
        return NULL;
    for (size_t i = 0; i < sizeof(defaults) / sizeof(defaults[0]); i++)
        if (knows(known, defaults[i].keyword))
            fixed = with(fixed, defaults[i].keyword, defaults[i].value, pool);
    PQconninfoFree(known);
    return fixed;
}

/* ---- reading ---- */

/* A name in SQL. */
static const char *quoted_name(const char *name, apr_pool_t *pool)
{
    const char *text = "\"", *end;

    for (; (end = strchr(name, '"')) != NULL; name = end + 1)
        text = apr_pstrcat(pool, text, apr_pstrmemdup(pool, name, (apr_size_t)(end - name)), "\"\"",
                           NULL);
    return apr_pstrcat(pool, text, name, "\"", NULL);
}

static const char *needs_user(const fo_url_t *url, const char *database, apr_pool_t *pool)
{
    const char *hosts = strstr(url->text, "://") + 3;

    return apr_psprintf(pool,
                        "postgresql:// needs a user: CREATE ROLE monitor LOGIN PASSWORD '...'; "
                        "GRANT CONNECT ON DATABASE %s TO monitor; (the least that a login takes) "
                        "then postgresql://monitor@%s password=file:PATH",
                        quoted_name(database, pool), hosts + (*hosts == '@'));
}

static const char *read_switch(const apr_table_t *options, const char *key, bool *ret_is_on,
                               apr_pool_t *pool)
{
    const char *value = apr_table_get(options, key);
    const char *error = value ? fo_parse_either(value, "on", "off", ret_is_on, pool) : NULL;

    return error ? apr_psprintf(pool, "%s=: %s", key, error) : NULL;
}

static const char *read_role(const apr_table_t *options, probe_role_e *ret_role, apr_pool_t *pool)
{
    const char *value = apr_table_get(options, "role"), *error;
    bool is_primary = false;

    *ret_role = PROBE_ROLE_ANY;
    if (!value)
        return NULL;
    error = fo_parse_either(value, "primary", "replica", &is_primary, pool);
    *ret_role = is_primary ? PROBE_ROLE_PRIMARY : PROBE_ROLE_REPLICA;
    return error ? apr_psprintf(pool, "role=: %s", error) : NULL;
}

static bool is_port(const char *text)
{
    long number = strtol(text, NULL, 10);

    return strspn(text, "0123456789") == strlen(text) && number >= 1 && number <= 65535;
}

/* libpq wants the folder and the port of a socket file; "/run/x/.s.PGSQL.5432" names both. */
static const char *read_socket(const char *path, const fo_url_t *url, probe_conninfo_t *conninfo,
                               apr_pool_t *pool)
{
    const char *name = strrchr(path, '/'), *folder = path;
    const char *port = apr_itoa(pool, url->hosts[0].port);

    if (path[0] != '/')
        return apr_psprintf(pool, "socket=: '%s' is not an absolute path", path);
    if (strchr(path, ','))
        return "socket=: libpq takes no comma in a path";
    if (strncmp(name + 1, SOCKET_NAME, strlen(SOCKET_NAME)) == 0) {
        port = name + 1 + strlen(SOCKET_NAME);
        folder = name == path ? "/" : apr_pstrmemdup(pool, path, (apr_size_t)(name - path));
    }
    if (!is_port(port))
        return apr_psprintf(pool,
                            "socket=: %s does not end in a port, as in /run/postgresql/%s5432",
                            path, SOCKET_NAME);
    if (strlen(folder) + 1 + strlen(SOCKET_NAME) + strlen(port) > FO_SOCKET_MAX)
        return "socket=: the path is too long for a Unix socket";
    conninfo->is_local = true;
    conninfo->fixed = with(conninfo->fixed, "host", folder, pool);
    conninfo->fixed = with(conninfo->fixed, "port", port, pool);
    return NULL;
}

static const char *read_place(const apr_table_t *options, const fo_url_t *url,
                              probe_conninfo_t *conninfo, apr_pool_t *pool)
{
    const char *path = apr_table_get(options, "socket");

    if (path)
        return read_socket(path, url, conninfo, pool);
    conninfo->fixed = with(conninfo->fixed, "host", url->hosts[0].name, pool);
    conninfo->fixed = with(conninfo->fixed, "port", apr_itoa(pool, url->hosts[0].port), pool);
    return NULL;
}

static bool is_file(const char *path, apr_finfo_t *ret_info, apr_pool_t *pool)
{
    return apr_stat(ret_info, path, APR_FINFO_TYPE | APR_FINFO_PROT, pool) == APR_SUCCESS &&
           ret_info->filetype == APR_REG;
}

/* The children open it for each ping, and libpq refuses one that others may read. */
static const char *check_key(const char *path, apr_pool_t *pool)
{
    apr_fileperms_t others = APR_FPROT_WREAD | APR_FPROT_WWRITE | APR_FPROT_WEXECUTE;
    apr_finfo_t info;

    if (!path || !is_file(path, &info, pool) || !(info.protection & others))
        return NULL;
    return apr_psprintf(pool,
                        "key=: %s is open to everybody, and libpq takes no such key: let root own "
                        "it and httpd's group read it (chmod 0640)",
                        path);
}

static const char *find_bundle(apr_pool_t *pool)
{
    apr_finfo_t info;

    for (size_t i = 0; i < sizeof(bundles) / sizeof(bundles[0]); i++)
        if (is_file(bundles[i], &info, pool))
            return bundles[i];
    return NULL;
}

static const char *check_files(const apr_table_t *options, bool is_locked, apr_pool_t *pool)
{
    const char *error = probe_tls_check(options, is_locked, pool);

    return error ? error : check_key(apr_table_get(options, "key"), pool);
}

/* What has no sense without tls=on; NULL: nothing. */
static const char *find_needy(const apr_table_t *options, const fo_login_t *login)
{
    static const char *const needy[] = { "ca", "cert", "key", "verify" };

    for (size_t i = 0; i < sizeof(needy) / sizeof(needy[0]); i++)
        if (apr_table_get(options, needy[i]))
            return needy[i];
    return login->has_key_password ? "key-password" : NULL;
}

static const char *or_none(const char *path)
{
    return path ? path : NO_FILE;
}

static void write_tls(probe_conninfo_t *conninfo, apr_pool_t *pool)
{
    const probe_tls_files_t *files = &conninfo->files;
    const char *mode = files->ca ? "verify-full" : conninfo->is_tls ? "require" : "disable";

    conninfo->fixed = with(conninfo->fixed, "sslmode", mode, pool);
    conninfo->fixed = with(conninfo->fixed, "sslrootcert", or_none(files->ca), pool);
    conninfo->fixed = with(conninfo->fixed, "sslcert", or_none(files->cert), pool);
    conninfo->fixed = with(conninfo->fixed, "sslkey", or_none(files->key), pool);
}

static const char *read_tls(const apr_table_t *options, const fo_login_t *login,
                            probe_conninfo_t *conninfo, apr_pool_t *pool)
{
    probe_tls_files_t *files = &conninfo->files;
    const char *needy = find_needy(options, login);
    const char *error = read_switch(options, "tls", &conninfo->is_tls, pool);

    if (!error && !conninfo->is_tls && needy)
        error = apr_psprintf(pool, "%s= takes tls=on beside it", needy);
    if (!error && conninfo->is_tls && conninfo->is_local)
        error = "tls=on and socket= exclude each other: PostgreSQL has no TLS on Unix sockets";
    if (!error && conninfo->is_tls)
        error = check_files(options, login->has_key_password, pool);
    if (error)
        return error;
    *files = probe_tls_files(options, pool);
    if (probe_tls_trusts_all(options))
        files->ca = NULL;
    else if (conninfo->is_tls && !files->ca && !(files->ca = find_bundle(pool)))
        return "tls=: the system's certificate authorities are not in one file here: name them "
               "with ca=FILE";
    write_tls(conninfo, pool);
    return NULL;
}

/* NULL: nothing is doubtful. */
static const char *find_doubt(const apr_table_t *options, const fo_login_t *login)
{
    const char *doubt = probe_tls_doubt(options, login->has_secret);

    if (doubt)
        return doubt;
    if (getenv("PGSERVICE")) /* the one that cannot be said otherwise */
        return "PGSERVICE is set in httpd's environment: libpq looks that service up for each "
               "ping, and makes none if there is no such";
    return NULL;
}

const char *probe_conninfo_read(const fo_url_t *url, const fo_login_t *login,
                                const apr_table_t *options, probe_conninfo_t **ret_conninfo,
                                const char **ret_warning, apr_pool_t *pool)
{
    const char *database = url->path[0] && url->path[1] ? url->path + 1 : ANY_DATABASE;
    probe_conninfo_t *conninfo = apr_pcalloc(pool, sizeof(*conninfo));
    const char *error;

    if (strchr(database, '/'))
        return apr_psprintf(pool, "%s: the path of postgresql:// is one database, as in /shop",
                            url->text);
    if (!login->user || !login->user[0])
        return needs_user(url, database, pool);
    conninfo->fixed = with_defaults("", pool);
    if (!conninfo->fixed)
        return "libpq has no memory";
    conninfo->fixed = with(conninfo->fixed, "user", login->user, pool);
    conninfo->fixed = with(conninfo->fixed, "dbname", database, pool);
    error = read_role(options, &conninfo->role, pool);
    if (!error)
        error = read_place(options, url, conninfo, pool);
    if (!error)
        error = read_tls(options, login, conninfo, pool);
    if (error)
        return error;
    *ret_warning = find_doubt(options, login);
    *ret_conninfo = conninfo;
    return NULL;
}

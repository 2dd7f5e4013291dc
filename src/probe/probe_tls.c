#include "probe/probe_tls.h"

#include "core/fo_parse.h"

#include <apr_file_info.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <unistd.h>

static apr_status_t free_context(void *context)
{
    SSL_CTX_free(context);
    return APR_SUCCESS;
}

/* Never asks on the terminal. password NULL: there is none to be had. */
typedef struct ask_t {
    const char *password;
    bool was_asked;
} ask_t;

static int give_password(char *buffer, int size, int is_writing, void *opaque)
{
    ask_t *ask = opaque;
    size_t length = ask && ask->password ? strlen(ask->password) : 0;

    (void)is_writing;
    if (ask)
        ask->was_asked = true;
    if (length > (size_t)size)
        length = 0;
    if (length)
        memcpy(buffer, ask->password, length);
    return (int)length;
}

/* What OpenSSL says of a file. */
static const char *refused(const char *key, const char *path, apr_pool_t *pool)
{
    const char *words = ERR_reason_error_string(ERR_peek_error());

    ERR_clear_error();
    return apr_psprintf(pool, "%s=: %s: %s", key, path, words ? words : "it cannot be read");
}

static const char *check_path(const char *key, const char *path, bool is_folder, apr_pool_t *pool)
{
    apr_finfo_t info;
    apr_status_t status;

    if (path[0] != '/')
        return apr_psprintf(pool, "%s=: '%s' is not an absolute path", key, path);
    status = apr_stat(&info, path, APR_FINFO_TYPE, pool);
    if (APR_STATUS_IS_ENOENT(status) || APR_STATUS_IS_ENOTDIR(status))
        return apr_psprintf(pool, "%s=: there is no %s %s", key, is_folder ? "directory" : "file",
                            path);
    if (!status && (info.filetype == APR_DIR) != is_folder)
        return apr_psprintf(pool, "%s=: %s is %s", key, path,
                            is_folder ? "no directory" : "a directory, not a file");
    return NULL;
}

static const char *check_file(const char *key, const char *path, apr_pool_t *pool)
{
    return check_path(key, path, false, pool);
}

static const char *read_verify(const char *value, bool *ret_verify, apr_pool_t *pool)
{
    const char *error = value ? fo_parse_either(value, "on", "off", ret_verify, pool) : NULL;

    return error ? apr_psprintf(pool, "verify=: %s", error) : NULL;
}

/* A file is read now, a folder of hashed names when a certificate is to be verified. */
static const char *load_ca(SSL_CTX *context, const char *file, const char *folder, apr_pool_t *pool)
{
    const char *error = file ? check_file("ca", file, pool) : NULL;

    if (!error && folder)
        error = check_path("ca-path", folder, true, pool);
    if (error)
        return error;
    if (!file && !folder && !SSL_CTX_set_default_verify_paths(context))
        return "the system's certificate authorities cannot be read: name them with ca=FILE";
    if (file && !SSL_CTX_load_verify_locations(context, file, NULL))
        return refused("ca", file, pool);
    if (folder && !SSL_CTX_load_verify_locations(context, NULL, folder))
        return refused("ca-path", folder, pool);
    return NULL;
}

static const char *load_key(SSL_CTX *context, const char *key, const char *password,
                            apr_pool_t *pool)
{
    ask_t ask = { .password = password };
    const char *error = NULL;

    ERR_clear_error();
    SSL_CTX_set_default_passwd_cb(context, give_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, &ask);
    if (!SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) ||
        !SSL_CTX_check_private_key(context)) {
        ask.was_asked = ask.was_asked && ERR_GET_LIB(ERR_peek_error()) != ERR_LIB_X509;
        error = refused("key", key, pool);
    }
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (error && ask.was_asked) /* and the key is still shut */
        error = apr_psprintf(pool,
                             password ? "key=: the password of %s is another one"
                                      : "key=: %s has a password: name where that stands, "
                                        "key-password=file:PATH or key-password=exec:PROGRAM",
                             key);
    return error;
}

static const char *load_pair(SSL_CTX *context, const char *cert, const char *key, bool is_locked,
                             apr_pool_t *pool)
{
    const char *error;

    if (!cert && !key)
        return is_locked ? "key-password= takes cert= and key= beside it" : NULL;
    if (!cert || !key)
        return apr_psprintf(pool, "%s= takes %s= beside it: a client certificate needs both",
                            cert ? "cert" : "key", cert ? "key" : "cert");
    error = check_file("cert", cert, pool);
    if (!error)
        error = check_file("key", key, pool);
    if (error)
        return error;
    if (!SSL_CTX_use_certificate_chain_file(context, cert))
        return refused("cert", cert, pool);
    return is_locked ? NULL : load_key(context, key, NULL, pool);
}

/* A record is read when it is there, and buffers that a ping needed are given back. */
#define MODES                                                                                      \
    (SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS)

static const char *keep(const apr_table_t *options, const char *key, apr_pool_t *pool)
{
    return apr_pstrdup(pool, apr_table_get(options, key));
}

probe_tls_files_t probe_tls_files(const apr_table_t *options, apr_pool_t *pool)
{
    return (probe_tls_files_t){
        .ca = keep(options, "ca", pool),
        .ca_path = keep(options, "ca-path", pool),
        .cert = keep(options, "cert", pool),
        .key = keep(options, "key", pool),
    };
}

static bool can_read(const char *key, const char *path, fo_report_t *report)
{
    char text[FO_REPORT_TEXT], words[FO_REPORT_TEXT];
    apr_status_t status = path && access(path, R_OK) != 0 ? errno : 0;

    if (!status)
        return true;
    apr_snprintf(text, sizeof(text), "%s=: %s: %s", key, path,
                 apr_strerror(status, words, sizeof(words)));
    report->stage = FO_STAGE_TLS;
    fo_report_fill(report, FO_VERDICT_SELF, APR_EGENERAL, 0, text);
    return false;
}

bool probe_tls_can_read(const probe_tls_files_t *files, fo_report_t *report)
{
    return can_read("ca", files->ca, report) && can_read("ca-path", files->ca_path, report) &&
           can_read("cert", files->cert, report) && can_read("key", files->key, report);
}

bool probe_tls_trusts_all(const apr_table_t *options)
{
    const char *verify = apr_table_get(options, "verify");

    return verify && strcmp(verify, "off") == 0;
}

const char *probe_tls_doubt(const apr_table_t *options, bool has_secret)
{
    if (!probe_tls_trusts_all(options))
        return NULL;
    return has_secret ? "verify=off: whoever answers there is taken for the server, and is sent "
                        "the password"
                      : "verify=off: whoever answers there is taken for the server";
}

const char *probe_tls_context(const apr_table_t *options, bool is_locked, void **ret_context,
                              apr_pool_t *pool)
{
    bool verifies = true;
    const char *error = read_verify(apr_table_get(options, "verify"), &verifies, pool);
    SSL_CTX *context;

    if (error)
        return error;
    /* A call that has not come back outlives the exit of its child: nothing is torn down there. */
    (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
    ERR_clear_error();
    context = SSL_CTX_new(TLS_client_method());
    if (!context)
        return "OpenSSL has no memory";
    apr_pool_cleanup_register(pool, context, free_context, apr_pool_cleanup_null);
    if (!SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION))
        return "OpenSSL has no TLS 1.2";
    SSL_CTX_set_verify(context, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(context, MODES);
    (void)SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY); /* each record is waited for by us */
    error = load_ca(context, apr_table_get(options, "ca"), apr_table_get(options, "ca-path"), pool);
    if (!error)
        error = load_pair(context, apr_table_get(options, "cert"), apr_table_get(options, "key"),
                          is_locked, pool);
    *ret_context = error ? NULL : context;
    return error;
}

/* The system's authorities are over a megabyte: none of it is kept. */
const char *probe_tls_check(const apr_table_t *options, bool is_locked, apr_pool_t *pool)
{
    apr_pool_t *own;
    void *context = NULL;
    const char *error;

    apr_pool_create(&own, pool);
    error = apr_pstrdup(pool, probe_tls_context(options, is_locked, &context, own));
    apr_pool_destroy(own);
    return error;
}

const char *probe_tls_unlock(void *context, const char *key, const char *password, apr_pool_t *pool)
{
    return load_key(context, key, password, pool);
}

#include "probe/probe_tls.h"

#include <apr_file_info.h>
#include <openssl/err.h>
#include <string.h>

static apr_status_t free_context(void *context)
{
    SSL_CTX_free(context);
    return APR_SUCCESS;
}

/* A key with a password must not be asked for on the terminal. */
static int no_password(char *buffer, int size, int is_writing, void *has_asked)
{
    (void)buffer;
    (void)size;
    (void)is_writing;
    *(bool *)has_asked = true;
    return 0;
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
    *ret_verify = !value || strcmp(value, "on") == 0;
    if (*ret_verify || strcmp(value, "off") == 0)
        return NULL;
    return apr_psprintf(pool, "verify=: '%s' is neither on nor off", value);
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

static const char *load_pair(SSL_CTX *context, const char *cert, const char *key, apr_pool_t *pool)
{
    bool has_asked = false;
    const char *error;

    if (!cert && !key)
        return NULL;
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
    SSL_CTX_set_default_passwd_cb(context, no_password);
    SSL_CTX_set_default_passwd_cb_userdata(context, &has_asked);
    if (!SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM))
        error = refused("key", key, pool);
    SSL_CTX_set_default_passwd_cb_userdata(context, NULL);
    if (error && has_asked)
        error = apr_psprintf(pool, "key=: %s has a password, and this version takes keys without",
                             key);
    return error;
}

const char *probe_tls_context(const apr_table_t *options, SSL_CTX **ret_context,
                              const char **ret_warning, apr_pool_t *pool)
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
    if (!context || !SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION))
        return "OpenSSL has no TLS 1.2, or no memory";
    apr_pool_cleanup_register(pool, context, free_context, apr_pool_cleanup_null);
    SSL_CTX_set_verify(context, verifies ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE);
    (void)SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY); /* each record is waited for by us */
    error = load_ca(context, apr_table_get(options, "ca"), apr_table_get(options, "ca-path"), pool);
    if (!error)
        error = load_pair(context, apr_table_get(options, "cert"), apr_table_get(options, "key"),
                          pool);
    if (error)
        return error;
    if (!verifies)
        *ret_warning = "verify=off: whoever answers there is taken for the server, and is sent "
                       "the password";
    *ret_context = context;
    return NULL;
}

/*
 * libcurl would read the authorities' files anew for each ping, and as the child's user. The
 * context that was made with the configuration is where they are taken from instead.
 */
#include "probe/probe_curl_site.h"

#include <apr_file_io.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>

#define KEY_MAX ((apr_size_t)64 * 1024)

/* "https://[fe80::1%25eth0]:8443" */
static const char *base_of(const char *scheme, const fo_host_t *host, apr_pool_t *pool)
{
    const char *zone = strchr(host->name, '%');
    const char *name = host->name;

    if (zone)
        name = apr_psprintf(pool, "%.*s%%25%s", (int)(zone - name), name, zone + 1);
    return apr_psprintf(pool, strchr(name, ':') ? "%s://[%s]:%u" : "%s://%s:%u", scheme, name,
                        (unsigned)host->port);
}

/* The longest that it may be goes in, so that one that is longer shows. */
static const char *read_whole(const char *path, char *text, apr_size_t size, apr_pool_t *pool)
{
    apr_file_t *file = NULL;
    apr_size_t n = 0;
    char words[128];
    apr_status_t status = apr_file_open(&file, path, APR_FOPEN_READ, 0, pool);

    if (!status) {
        status = apr_file_read_full(file, text, size, &n);
        apr_file_close(file);
    }
    if (status && !APR_STATUS_IS_EOF(status))
        return apr_psprintf(pool, "key=: %s: %s", path, apr_strerror(status, words, sizeof(words)));
    if (n == size)
        return apr_psprintf(pool, "key=: %s: this is no key, it is too long", path);
    text[n] = '\0';
    return NULL;
}

static apr_status_t wipe(void *key)
{
    explicit_bzero(key, KEY_MAX);
    return APR_SUCCESS;
}

/* The children cannot read the file; they get it as it is, locked. */
static const char *take_locked_pair(const char *cert, const char *key, probe_curl_site_t *site,
                                    apr_pool_t *pool)
{
    char *text = apr_pcalloc(pool, KEY_MAX);
    const char *error;

    if (!cert || cert[0] != '/' || key[0] != '/')
        return "key= takes cert= beside it, and both are absolute paths";
    ERR_clear_error();
    if (!SSL_CTX_use_certificate_chain_file(site->tls, cert)) {
        const char *words = ERR_reason_error_string(ERR_peek_error());
        ERR_clear_error();
        return apr_psprintf(pool, "cert=: %s: %s", cert, words ? words : "it cannot be read");
    }
    apr_pool_cleanup_register(pool, text, wipe, apr_pool_cleanup_null);
    error = read_whole(key, text, KEY_MAX, pool);
    if (!error && !strstr(text, "PRIVATE KEY-----"))
        error = apr_psprintf(pool, "key=: %s: there is no private key in it", key);
    site->locked_key = text;
    return error;
}

/* Its context is what the certificates are put into. */
static const char *needs_openssl(apr_pool_t *pool)
{
    const char *made_with = curl_version_info(CURLVERSION_NOW)->ssl_version;

    if (made_with && strncmp(made_with, "OpenSSL", 7) == 0)
        return NULL;
    return apr_psprintf(pool, "libcurl must be one with OpenSSL, and this one is with %s",
                        made_with ? made_with : "no TLS");
}

static const char *configure_tls(const fo_login_t *login, const apr_table_t *options,
                                 probe_curl_site_t *site, const char **ret_warning,
                                 apr_pool_t *pool)
{
    const char *key = login->has_key_password ? apr_table_get(options, "key") : NULL;
    apr_table_t *others = apr_table_copy(pool, options);
    const char *error = needs_openssl(pool);

    if (error)
        return error;
    if (key) {
        apr_table_unset(others, "cert");
        apr_table_unset(others, "key");
    }
    error = probe_tls_context(others, &site->tls, ret_warning, pool);
    if (!error && key)
        error = take_locked_pair(apr_table_get(options, "cert"), key, site, pool);
    return error;
}

const char *probe_curl_configure(const fo_url_t *url, const fo_login_t *login, bool is_tls,
                                 const apr_table_t *options, probe_curl_site_t *ret_site,
                                 const char **ret_warning, apr_pool_t *pool)
{
    probe_curl_site_t site = {
        .base = base_of(is_tls ? "https" : "http", &url->hosts[0], pool),
        .port = url->hosts[0].port,
        .user = login->user ? apr_pstrdup(pool, login->user) : NULL,
    };
    const char *error = NULL;

    if (login->has_secret && !login->user)
        return apr_psprintf(pool,
                            "password= takes a user in front of the host, as in %s://monitor@%s",
                            url->scheme, strstr(url->text, "://") + 3);
    if (login->user && strchr(login->user, ':'))
        return "a user of basic authentication has no ':' in its name";
    if (is_tls)
        error = configure_tls(login, options, &site, ret_warning, pool);
    if (!error)
        *ret_site = site;
    return error;
}

/* A password that is NULL would be asked for on the terminal. */
static EVP_PKEY *unlock(const char *key, const char *password)
{
    BIO *text = BIO_new_mem_buf(key, -1);
    EVP_PKEY *unlocked = NULL;

    if (text)
        unlocked = PEM_read_bio_PrivateKey(text, NULL, NULL, (void *)(password ? password : ""));
    BIO_free(text);
    return unlocked;
}

static bool use_pair(const probe_curl_site_t *site, X509 *cert, EVP_PKEY *key, SSL_CTX *context)
{
    STACK_OF(X509) *chain = NULL;

    (void)SSL_CTX_get0_chain_certs(site->tls, &chain);
    return key && SSL_CTX_use_cert_and_key(context, cert, key, chain, 1);
}

bool probe_curl_site_equip(const probe_curl_site_t *site, const char *key_password,
                           SSL_CTX *context)
{
    X509 *cert = SSL_CTX_get0_certificate(site->tls);
    EVP_PKEY *unlocked;
    bool ok = true;

    SSL_CTX_set1_cert_store(context, SSL_CTX_get_cert_store(site->tls));
    if (cert && !site->locked_key)
        ok = use_pair(site, cert, SSL_CTX_get0_privatekey(site->tls), context);
    if (cert && site->locked_key) {
        unlocked = unlock(site->locked_key, key_password);
        ok = use_pair(site, cert, unlocked, context);
        EVP_PKEY_free(unlocked);
    }
    if (!ok)
        ERR_clear_error();
    return ok;
}

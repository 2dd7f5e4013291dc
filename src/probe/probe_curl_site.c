/*
 * libcurl would read the authorities' files anew for each ping, and as the child's user. The
 * context that was made with the configuration is where they are taken from instead.
 */
#include "probe/probe_curl_site.h"

#include <openssl/err.h>
#include <string.h>

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

/* Its context is what the certificates are put into. */
static const char *needs_openssl(apr_pool_t *pool)
{
    const char *made_with = curl_version_info(CURLVERSION_NOW)->ssl_version;

    if (made_with && strncmp(made_with, "OpenSSL", 7) == 0)
        return NULL;
    return apr_psprintf(pool, "libcurl must be one with OpenSSL, and this one is with %s",
                        made_with ? made_with : "no TLS");
}

const char *probe_curl_configure(const fo_url_t *url, const fo_login_t *login, bool is_tls,
                                 probe_curl_site_t *ret_site, apr_pool_t *pool)
{
    if (login->has_secret && !login->user)
        return apr_psprintf(pool,
                            "password= takes a user in front of the host, as in %s://monitor@%s",
                            url->scheme, strstr(url->text, "://") + 3);
    if (login->user && strchr(login->user, ':'))
        return "a user of basic authentication has no ':' in its name";
    *ret_site = (probe_curl_site_t){
        .base = base_of(is_tls ? "https" : "http", &url->hosts[0], pool),
        .port = url->hosts[0].port,
        .user = login->user ? apr_pstrdup(pool, login->user) : NULL,
        .is_tls = is_tls,
    };
    return is_tls ? needs_openssl(pool) : NULL;
}

bool probe_curl_site_equip(SSL_CTX *from, SSL_CTX *to)
{
    X509 *cert = SSL_CTX_get0_certificate(from);
    EVP_PKEY *key = SSL_CTX_get0_privatekey(from);
    STACK_OF(X509) *chain = NULL;
    bool ok = true;

    SSL_CTX_set1_cert_store(to, SSL_CTX_get_cert_store(from));
    (void)SSL_CTX_get0_chain_certs(from, &chain);
    if (cert && key) /* a key that was not to be opened is missing */
        ok = SSL_CTX_use_cert_and_key(to, cert, key, chain, 1);
    if (!ok)
        ERR_clear_error();
    return ok;
}

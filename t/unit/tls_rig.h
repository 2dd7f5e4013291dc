/*
 * tls_rig.h: for unit tests of TLS: a folder of certificates and keys, and a server on loopback
 * that speaks TLS in a thread.
 */
#ifndef TLS_RIG_H
#define TLS_RIG_H

#include "probe_peer.h"

#include "unit.h"

#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

static char tls_folder[64];

static inline const char *tls_file(const char *name)
{
    return apr_pstrcat(pool, tls_folder, "/", name, NULL);
}

static inline void tls_add_names(X509 *cert, const char *names)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, names);

    ck_assert_ptr_nonnull(extension);
    X509_add_ext(cert, extension, -1);
    X509_EXTENSION_free(extension);
}

/* NAME.key and NAME.crt: signed by itself, for these subjectAltNames. password NULL: none. */
static inline void tls_write_pair(const char *name, const char *names, const char *password)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    FILE *to = fopen(tls_file(apr_pstrcat(pool, name, ".key", NULL)), "w");

    ck_assert(PEM_write_PrivateKey(to, key, password ? EVP_aes_128_cbc() : NULL, NULL, 0, NULL,
                                   (void *)password));
    fclose(to);
    X509_set_version(cert, X509_VERSION_3);
    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509_set_pubkey(cert, key);
    tls_add_names(cert, names);
    ck_assert(X509_sign(cert, key, EVP_sha256()));
    to = fopen(tls_file(apr_pstrcat(pool, name, ".crt", NULL)), "w");
    ck_assert(PEM_write_X509(to, cert));
    fclose(to);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* rsa.key: of another kind than the rest, and without a certificate. */
static inline void tls_write_rsa(void)
{
    EVP_PKEY *key = EVP_RSA_gen(2048);
    FILE *to = fopen(tls_file("rsa.key"), "w");

    ck_assert(PEM_write_PrivateKey(to, key, NULL, NULL, 0, NULL, NULL));
    fclose(to);
    EVP_PKEY_free(key);
}

static inline void tls_make_folder(void)
{
    FILE *to;

    apr_cpystrn(tls_folder, "/tmp/check-tls-XXXXXX", sizeof(tls_folder));
    ck_assert_ptr_nonnull(mkdtemp(tls_folder));
    tls_write_pair("one", "DNS:one.test,IP:127.0.0.1", NULL);
    tls_write_pair("two", "DNS:other.test,IP:192.0.2.1", NULL);
    tls_write_pair("locked", "DNS:client", "geheim");
    tls_write_rsa();
    to = fopen(tls_file("text"), "w");
    fputs("no certificate\n", to);
    fclose(to);
}

static inline void tls_remove_folder(void)
{
    static const char *const names[] = { "one.key",    "one.crt",    "two.key", "two.crt",
                                         "locked.key", "locked.crt", "rsa.key", "text" };

    for (int i = 0; i < COUNT(names); i++)
        unlink(tls_file(names[i]));
    rmdir(tls_folder);
}

/* A server: takes one connection, shakes hands, reads six bytes, answers, waits for the end. */
typedef struct tls_peer_t {
    peer_t peer; /* its socket */
    SSL_CTX *context;
    const char *answer;
    size_t length;
    size_t record;     /* bytes of the answer in each record */
    bool cuts;         /* ends the connection without a word */
    char greeting[7];  /* what it read; these four are to be read after tls_stop() */
    bool has_shaken;
    bool was_told;     /* that this is the end */
    char asked[64];    /* the name that the client asked for */
    pthread_t thread;
} tls_peer_t;

static inline void tls_talk(tls_peer_t *server, SSL *ssl)
{
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    char byte;

    apr_cpystrn(server->asked, name ? name : "", sizeof(server->asked));
    server->has_shaken = true;
    if (SSL_read(ssl, server->greeting, 6) != 6)
        return;
    for (size_t i = 0; i < server->length; i += server->record)
        if (SSL_write(ssl, server->answer + i, (int)server->record) <= 0)
            return;
    if (server->cuts)
        return;
    server->was_told = SSL_read(ssl, &byte, 1) <= 0 &&
                       (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN);
}

static inline void *tls_play(void *opaque)
{
    tls_peer_t *server = opaque;
    int fd = accept(server->peer.fd, NULL, NULL);
    SSL *ssl = SSL_new(server->context);

    SSL_set_fd(ssl, fd);
    if (fd >= 0 && SSL_accept(ssl) == 1)
        tls_talk(server, ssl);
    SSL_free(ssl);
    close(fd);
    return NULL;
}

/* With NAME.crt of the folder. The caller sets up what it says, and may change the context. */
static inline void tls_listen(tls_peer_t *server, const char *name)
{
    *server = (tls_peer_t){ .record = 1 };
    peer_mute(&server->peer);
    signal(SIGPIPE, SIG_IGN);
    server->context = SSL_CTX_new(TLS_server_method());
    ck_assert(SSL_CTX_use_certificate_chain_file(
        server->context, tls_file(apr_pstrcat(pool, name, ".crt", NULL))));
    ck_assert(SSL_CTX_use_PrivateKey_file(server->context,
                                          tls_file(apr_pstrcat(pool, name, ".key", NULL)),
                                          SSL_FILETYPE_PEM));
}

static inline void tls_start(tls_peer_t *server)
{
    ck_assert_int_eq(pthread_create(&server->thread, NULL, tls_play, server), 0);
}

static inline void tls_stop(tls_peer_t *server)
{
    shutdown(server->peer.fd, SHUT_RDWR);
    pthread_join(server->thread, NULL);
    close(server->peer.fd);
    SSL_CTX_free(server->context);
}

#endif

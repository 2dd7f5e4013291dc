/*
 * probe_tls.h: the TLS contexts of connections that mod_failover makes itself, from the options
 * ca=, ca-path=, cert=, key= and verify=. Configuration only, but for probe_tls_can_read(); what
 * returns a string returns NULL or a message.
 */
#ifndef PROBE_TLS_H
#define PROBE_TLS_H

#include "mod_failover.h"

/*
 * An SSL_CTX of TLS 1.2 and up that verifies chain and name against the system's authorities unless
 * told otherwise. The files are read here, once, so that the children need no access to the key;
 * is_locked: but for that of the key, whose password comes with probe_tls_unlock(). Constant from
 * then on, safe to use in several threads; freed with the pool.
 */
const char *probe_tls_context(const apr_table_t *options, bool is_locked, void **ret_context,
                              apr_pool_t *pool);

/* Reads the key, which may need the password. Before there are children. */
const char *probe_tls_unlock(void *context, const char *key, const char *password,
                             apr_pool_t *pool);

/* For a library that makes its own context of the same files: that nothing is wrong with them. */
const char *probe_tls_check(const apr_table_t *options, bool is_locked, apr_pool_t *pool);

/* What such a library opens again for each ping. NULL: there is none. */
typedef struct probe_tls_files_t {
    const char *ca;
    const char *ca_path;
    const char *cert;
    const char *key;
} probe_tls_files_t;

/* As the options name them; they live in pool. */
probe_tls_files_t probe_tls_files(const apr_table_t *options, apr_pool_t *pool);

/*
 * Of a ping: what this process cannot read says nothing of the server. False: the report says so.
 * Any thread.
 */
bool probe_tls_can_read(const probe_tls_files_t *files, fo_report_t *report);

/* The options say that whoever answers is taken for the server. */
bool probe_tls_trusts_all(const apr_table_t *options);

/* A warning, if they do; else NULL. */
const char *probe_tls_doubt(const apr_table_t *options, bool has_secret);

#endif

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

/*
 * For such a library, of a ping: a file, or folder, that this process cannot read says nothing of
 * the server. False: the report says so. key: the option; path NULL: there is none. Any
 * thread.
 */
bool probe_tls_can_read(const char *key, const char *path, fo_report_t *report);

/* The options say that whoever answers is taken for the server. */
bool probe_tls_trusts_all(const apr_table_t *options);

/* A warning, if they do; else NULL. */
const char *probe_tls_doubt(const apr_table_t *options, bool has_secret);

#endif

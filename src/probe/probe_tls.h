/*
 * probe_tls.h: the TLS options of a probe, ca=, ca-path=, cert=, key= and verify=, and the context
 * that they make. Configuration only.
 */
#ifndef PROBE_TLS_H
#define PROBE_TLS_H

#include "mod_failover.h"

#include <openssl/ssl.h>

/* For .options: what probe_tls_context() reads. */
#define PROBE_TLS_OPTIONS "ca", "ca-path", "cert", "key", "verify"

/*
 * A context of TLS 1.2 and up that verifies chain and name against the system's authorities unless
 * told otherwise. The files are read here, once, so that the children need no access to the key.
 * Constant from then on, safe to use in several threads; freed with the pool. NULL, or a message.
 */
const char *probe_tls_context(const apr_table_t *options, SSL_CTX **ret_context,
                              const char **ret_warning, apr_pool_t *pool);

#endif

/*
 * probe_conninfo.h: what a postgresql:// URL and its options come to: libpq's connection string. It
 * says each parameter that libpq would else take from the environment or from a home folder.
 */
#ifndef PROBE_CONNINFO_H
#define PROBE_CONNINFO_H

#include "mod_failover.h"
#include "probe/probe_tls.h"

/* For .options: what probe_conninfo_read() reads. */
#define PROBE_CONNINFO_OPTIONS "tls", "ca", "cert", "key", "verify", "role", "socket"

/* What the server must be. */
typedef enum {
    PROBE_ROLE_ANY,
    PROBE_ROLE_PRIMARY,
    PROBE_ROLE_REPLICA
} probe_role_e;

typedef struct probe_conninfo_t {
    const char *fixed; /* the string, but for what comes with a ping */
    probe_role_e role;
    bool is_tls;
    bool is_local; /* by a Unix socket: addresses do not matter */
    probe_tls_files_t files;
} probe_conninfo_t;

/* Configuration only, as a probe's configure(). */
const char *probe_conninfo_read(const fo_url_t *url, const fo_login_t *login,
                                const apr_table_t *options, probe_conninfo_t **ret_conninfo,
                                const char **ret_warning, apr_pool_t *pool);

/* The whole string, with secrets; free it with probe_conninfo_free(). NULL: no memory. */
char *probe_conninfo_write(const probe_conninfo_t *conninfo, const fo_ask_t *ask);

/* Wipes it as well. NULL is fine. */
void probe_conninfo_free(char *text);

#endif

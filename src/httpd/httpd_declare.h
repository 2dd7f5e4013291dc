/*
 * httpd_declare.h: services, endpoints and settings as the directives declare them. Each returns
 * NULL or a message for the administrator; httpd adds file and line.
 */
#ifndef HTTPD_DECLARE_H
#define HTTPD_DECLARE_H

#include "httpd/httpd_failover.h"

/* FailoverService NAME URL [option=value ...] [VAR=value ...] */
const char *httpd_declare_service(cmd_parms *cmd, void *unused, int argc, char *const argv[]);

/* FailoverDatabase NAME URL [alias=...] [failover=...] [option=value ...] [VAR=value ...] */
const char *httpd_declare_database(cmd_parms *cmd, void *unused, int argc, char *const argv[]);

/* FailoverCelery NAME URL [setting=...] [option=value ...] [VAR=value ...] */
const char *httpd_declare_celery(cmd_parms *cmd, void *unused, int argc, char *const argv[]);

/* httpd_block.c: <FailoverService NAME>, and inside it <FailoverEndpoint NAME URL ...> */
const char *httpd_declare_block(cmd_parms *cmd, void *unused, const char *args);
const char *httpd_declare_endpoint_block(cmd_parms *cmd, void *unused, const char *args);

/* Inside a block. */
const char *httpd_declare_endpoint(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *httpd_declare_check(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *httpd_declare_set_env(cmd_parms *cmd, void *unused, const char *name, const char *value,
                                  const char *unsafe);
const char *httpd_declare_note(cmd_parms *cmd, void *unused, const char *name, const char *value,
                               const char *unsafe);
const char *httpd_declare_unset_env(cmd_parms *cmd, void *unused, const char *name);
const char *httpd_declare_alias(cmd_parms *cmd, void *unused, const char *alias,
                                const char *stand_in);

/* Shared by the files that declare. */
httpd_place_t httpd_place_of(const cmd_parms *cmd);
const char *httpd_prefixed(cmd_parms *cmd, const char *message); /* by the directive's name */

/* What is found once all is read, as httpd itself says it. */
const char *httpd_misplaced(httpd_place_t place, const char *directive, const char *error,
                            apr_pool_t *pool);

/* httpd_settings.c */
fo_setting_t *httpd_setting_add(apr_array_header_t *settings, fo_setting_e kind, const char *name,
                                const char *value);
/* A value with %{ in it is an expression; any other costs no evaluation. */
const char *httpd_setting_value(cmd_parms *cmd, apr_array_header_t *settings, fo_setting_e kind,
                                const char *name, const char *value, bool is_unsafe);
const char *httpd_setting_alias(cmd_parms *cmd, apr_array_header_t *settings, const char *alias,
                                const char *stand_in);

/* httpd_endpoint.c: an endpoint or a further check while its options are read. */
typedef struct httpd_draft_t {
    cmd_parms *cmd;
    httpd_service_t *service;
    httpd_endpoint_t *endpoint; /* set by httpd_endpoint_add; NULL: a further check */
    httpd_check_t *check;       /* the endpoint's own, or that one */
    apr_table_t *probe_options; /* what is left for the probe */
    apr_table_t *tls_options;   /* and for the connection that is made for it */
    const char *alias;          /* FailoverDatabase's; NULL: not asked for */
    const char *stand_in;
    const char *setting; /* FailoverCelery's variable; NULL: not asked for */
} httpd_draft_t;

/* Reads URL and options and adds the endpoint to its service. name NULL: named by its address. */
const char *httpd_endpoint_add(httpd_draft_t *draft, const char *name, const char *url, int argc,
                               char *const argv[], bool takes_variables);

/* The same for a further check of one endpoint, or of all of a service. */
const char *httpd_check_add(httpd_draft_t *draft, apr_array_header_t *checks, const char *url,
                            int argc, char *const argv[]);

/* httpd_tls.c: its options, of which it takes those for this probe; both end with NULL. */
extern const char *const httpd_tls_keys[];
const char *const *httpd_tls_options(const fo_probe_t *probe);

/* Once all options are read: the check's context, if it is to have one. */
const char *httpd_tls_configure(const httpd_draft_t *draft);

/* httpd_declare.c, for the blocks. */
httpd_service_t *httpd_service_make(cmd_parms *cmd, const char *name);
const char *httpd_service_check_name(cmd_parms *cmd, const char *name);

/* The message of two whose variables would have one name; the other one was declared before. */
const char *httpd_service_clash(const char *name, const httpd_service_t *other, apr_pool_t *pool);
const char *httpd_service_register(cmd_parms *cmd, httpd_service_t *service);
const char *httpd_check_words(cmd_parms *cmd, int argc, int least, const char *syntax);

/* The block being read, for the directives that may stand in one; NULL: none. */
httpd_service_t *httpd_declare_open(cmd_parms *cmd);

/* Where settings go that stand here; NULL: there is no block. */
apr_array_header_t *httpd_declare_settings(cmd_parms *cmd);

/* The message of a directive that stands outside of the block it needs. */
const char *httpd_declare_outside(cmd_parms *cmd);

/* True when this directive may stand in the block of a service, or of an endpoint. */
bool httpd_directive_fits_block(const char *name);
bool httpd_directive_fits_endpoint(const char *name);

#endif

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

/* <FailoverService NAME> */
const char *httpd_declare_block(cmd_parms *cmd, void *unused, const char *args);

/* Inside a block. */
const char *httpd_declare_endpoint(cmd_parms *cmd, void *unused, int argc, char *const argv[]);
const char *httpd_declare_set_env(cmd_parms *cmd, void *unused, const char *name, const char *value,
                                  const char *unsafe);
const char *httpd_declare_note(cmd_parms *cmd, void *unused, const char *name, const char *value,
                               const char *unsafe);
const char *httpd_declare_unset_env(cmd_parms *cmd, void *unused, const char *name);
const char *httpd_declare_alias(cmd_parms *cmd, void *unused, const char *alias,
                                const char *stand_in);

/* The block being read, for the directives that may stand in one; NULL: none. */
httpd_service_t *httpd_declare_open(cmd_parms *cmd);

/* True when this directive may stand in a block. */
bool httpd_directive_fits_block(const char *name);

#endif

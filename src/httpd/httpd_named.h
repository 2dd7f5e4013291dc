/*
 * httpd_named.h: a service by the name that a directive or an expression gives it. Each virtual
 * host may have one so called: it is looked up for every scope once the plan is there.
 */
#ifndef HTTPD_NAMED_H
#define HTTPD_NAMED_H

#include "httpd/httpd_failover.h"

typedef struct httpd_named_t {
    const char *name;
    const server_rec *server;      /* where it is named; NULL: that is not known */
    httpd_place_t place;           /* likewise */
    const fo_service_t **services; /* by scope; an element is NULL where there is none */
} httpd_named_t;

/* Named by this directive. NULL or a message about the name itself. */
const char *httpd_named_read(httpd_named_t *named, cmd_parms *cmd, const char *name);

/* False: no scope has it. */
bool httpd_named_find(httpd_named_t *named, const fo_plan_t *plan, apr_pool_t *pool);

/* What is said then. */
const char *httpd_named_unknown(const httpd_named_t *named, apr_pool_t *pool);

/*
 * The same for a directive of the URL space: one of a virtual host needs it there. NULL or a
 * message, without the place.
 */
const char *httpd_named_need(httpd_named_t *named, const fo_plan_t *plan, apr_pool_t *pool);

static inline const fo_service_t *httpd_named_in(const httpd_named_t *named,
                                                 const fo_scope_t *scope)
{
    return named->services[scope->index];
}

#endif

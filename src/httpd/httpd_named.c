#include "httpd/httpd_named.h"

#include "core/fo_parse.h"
#include "httpd/httpd_declare.h"

const char *httpd_named_read(httpd_named_t *named, cmd_parms *cmd, const char *name)
{
    named->name = apr_pstrdup(cmd->pool, name);
    named->server = cmd->server;
    named->place = httpd_place_of(cmd);
    return fo_parse_name(name, cmd->pool);
}

bool httpd_named_find(httpd_named_t *named, const fo_plan_t *plan, apr_pool_t *pool)
{
    bool is_known = false;

    named->services = apr_pcalloc(pool,
                                  sizeof(*named->services) * (size_t)(plan->scopes->nelts + 1));
    for (unsigned i = 0; i < (unsigned)plan->services->nelts; i++) {
        const fo_service_t *service = fo_plan_service(plan, i);
        if (!fo_name_equal(service->name, named->name))
            continue;
        is_known = true;
        for (int j = 0; j < service->places->nelts; j++)
            named->services[APR_ARRAY_IDX(service->places, j, fo_place_t).scope] = service;
    }
    return is_known;
}

const char *httpd_named_unknown(const httpd_named_t *named, apr_pool_t *pool)
{
    return apr_psprintf(pool, "there is no service '%s'", named->name);
}

const char *httpd_named_need(httpd_named_t *named, const fo_plan_t *plan, apr_pool_t *pool)
{
    if (!httpd_named_find(named, plan, pool))
        return httpd_named_unknown(named, pool);
    if (named->server->is_virtual && !httpd_named_in(named, httpd_server_of(named->server)->scope))
        return apr_psprintf(pool,
                            "there is no service '%s' in this virtual host, though there is one in "
                            "another",
                            named->name);
    return NULL;
}

#include "core/fo_plan.h"

#include "core/fo_parse.h"

#include <string.h>

fo_plan_t *fo_plan_make(apr_pool_t *pool)
{
    fo_plan_t *plan = apr_pcalloc(pool, sizeof(*plan));

    plan->pool = pool;
    plan->services = apr_array_make(pool, 8, sizeof(fo_service_t *));
    plan->endpoints = apr_array_make(pool, 8, sizeof(fo_endpoint_t *));
    plan->targets = apr_array_make(pool, 8, sizeof(fo_target_t *));
    plan->checks = apr_array_make(pool, 8, sizeof(fo_check_t *));
    plan->scopes = apr_array_make(pool, 4, sizeof(fo_scope_t *));
    return plan;
}

static void name_exports(fo_service_t *service, apr_pool_t *pool)
{
    const char *variable = fo_name_variable(service->name, pool);

    service->env_state = apr_pstrcat(pool, "FAILOVER_", variable, NULL);
    service->env_endpoint = apr_pstrcat(pool, "FAILOVER_", variable, "_ENDPOINT", NULL);
    service->env_epoch = apr_pstrcat(pool, "FAILOVER_", variable, "_EPOCH", NULL);
    service->note_state = apr_pstrcat(pool, "failover:", service->name, NULL);
    service->note_endpoint = apr_pstrcat(pool, "failover:", service->name, ":endpoint", NULL);
}

fo_service_t *fo_plan_add_service(fo_plan_t *plan, const char *name, const char *vhost,
                                  const fo_policy_t *policy, const apr_array_header_t *settings,
                                  const void *owner)
{
    fo_service_t *service = apr_pcalloc(plan->pool, sizeof(*service));

    service->index = service->seat = (unsigned)plan->services->nelts;
    service->name = apr_pstrdup(plan->pool, name);
    service->full_name = vhost ? apr_pstrcat(plan->pool, name, "@", vhost, NULL) : service->name;
    service->policy = *policy;
    service->settings = apr_array_copy(plan->pool, settings);
    service->endpoints = apr_array_make(plan->pool, 1, sizeof(fo_endpoint_t *));
    service->places = apr_array_make(plan->pool, 1, sizeof(fo_place_t));
    service->owner = owner;
    name_exports(service, plan->pool);
    APR_ARRAY_PUSH(plan->services, fo_service_t *) = service;
    return service;
}

fo_target_t *fo_plan_target(fo_plan_t *plan, const char *key)
{
    fo_target_t *target;

    for (int i = 0; i < plan->targets->nelts; i++) {
        target = fo_plan_target_at(plan, (unsigned)i);
        if (strcmp(target->key, key) == 0)
            return target;
    }
    target = apr_pcalloc(plan->pool, sizeof(*target));
    target->index = target->seat = (unsigned)plan->targets->nelts;
    target->key = apr_pstrdup(plan->pool, key);
    target->checks = apr_array_make(plan->pool, 1, sizeof(fo_check_t *));
    target->probes.n = 1;
    target->hosts = apr_array_make(plan->pool, 1, sizeof(fo_host_t));
    target->endpoints = apr_array_make(plan->pool, 1, sizeof(fo_endpoint_t *));
    APR_ARRAY_PUSH(plan->targets, fo_target_t *) = target;
    return target;
}

static bool knows_host(const fo_target_t *target, const fo_host_t *host)
{
    for (unsigned i = 0; i < (unsigned)target->hosts->nelts; i++)
        if (fo_target_host(target, i)->port == host->port &&
            strcmp(fo_target_host(target, i)->name, host->name) == 0)
            return true;
    return false;
}

void fo_plan_know_hosts(fo_target_t *target, const fo_url_t *url)
{
    for (unsigned i = 0; i < url->n_hosts; i++)
        if (!knows_host(target, &url->hosts[i]))
            APR_ARRAY_PUSH(target->hosts, fo_host_t) = url->hosts[i];
}

fo_check_t *fo_plan_add_check(fo_plan_t *plan, fo_target_t *target, const fo_url_t *url)
{
    fo_check_t *check = apr_pcalloc(plan->pool, sizeof(*check));

    check->index = (unsigned)plan->checks->nelts;
    check->url = url;
    APR_ARRAY_PUSH(plan->checks, fo_check_t *) = check;
    APR_ARRAY_PUSH(target->checks, fo_check_t *) = check;
    fo_plan_know_hosts(target, url);
    return check;
}

/* Of equal weights the first is the primary. */
static void rank_endpoint(fo_service_t *service, fo_endpoint_t *endpoint)
{
    endpoint->rank = (unsigned)service->endpoints->nelts;
    if (endpoint->rank > 0 &&
        endpoint->weight > fo_service_endpoint(service, service->primary)->weight)
        service->primary = endpoint->rank;
}

fo_endpoint_t *fo_plan_add_endpoint(fo_plan_t *plan, fo_service_t *service, const char *name,
                                    const char *identity, double weight, fo_target_t *target)
{
    fo_endpoint_t *endpoint = apr_pcalloc(plan->pool, sizeof(*endpoint));

    endpoint->index = endpoint->seat = (unsigned)plan->endpoints->nelts;
    endpoint->name = apr_pstrdup(plan->pool, name);
    endpoint->key = apr_pstrcat(plan->pool, service->full_name, " ", name, " ", identity, NULL);
    endpoint->weight = weight;
    endpoint->service = service;
    endpoint->target = target;
    rank_endpoint(service, endpoint);
    APR_ARRAY_PUSH(plan->endpoints, fo_endpoint_t *) = endpoint;
    APR_ARRAY_PUSH(service->endpoints, fo_endpoint_t *) = endpoint;
    APR_ARRAY_PUSH(target->endpoints, fo_endpoint_t *) = endpoint;
    return endpoint;
}

static bool same_services(const apr_array_header_t *a, const apr_array_header_t *b)
{
    return a->nelts == b->nelts &&
           (a->nelts == 0 || memcmp(a->elts, b->elts, (size_t)a->nelts * (size_t)a->elt_size) == 0);
}

const fo_scope_t *fo_plan_scope(fo_plan_t *plan, const apr_array_header_t *services)
{
    fo_scope_t *scope;

    for (int i = 0; i < plan->scopes->nelts; i++) {
        scope = fo_plan_scope_at(plan, (unsigned)i);
        if (same_services(scope->services, services))
            return scope;
    }
    scope = apr_pcalloc(plan->pool, sizeof(*scope));
    scope->index = (unsigned)plan->scopes->nelts;
    scope->services = apr_array_copy(plan->pool, services);
    APR_ARRAY_PUSH(plan->scopes, fo_scope_t *) = scope;
    for (unsigned i = 0; i < (unsigned)services->nelts; i++) {
        fo_place_t place = { .scope = scope->index, .position = i };
        APR_ARRAY_PUSH(fo_scope_service(scope, i)->places, fo_place_t) = place;
    }
    return scope;
}

const fo_service_t *fo_scope_find(const fo_scope_t *scope, const char *name)
{
    for (unsigned i = 0; i < (unsigned)scope->services->nelts; i++)
        if (fo_name_equal(fo_scope_service(scope, i)->name, name))
            return fo_scope_service(scope, i);
    return NULL;
}

const fo_service_t *fo_plan_find(const fo_plan_t *plan, const char *name)
{
    for (unsigned i = 0; i < (unsigned)plan->services->nelts; i++)
        if (fo_name_equal(fo_plan_service(plan, i)->name, name))
            return fo_plan_service(plan, i);
    return NULL;
}

/* From what the directives declared to the plan. */
#include "httpd/httpd_failover.h"

#include "core/fo_parse.h"
#include "httpd/httpd_declare.h"
#include "httpd/httpd_match.h"

#include <apr_hash.h>
#include <stdlib.h>

/* The server's numbers for a virtual host's services are the merged ones. */
static fo_policy_t effective_policy(const httpd_service_t *declared)
{
    fo_policy_t policy;

    fo_policy_merge(fo_policy_built_in(), &httpd_server_of(declared->server)->policy, &policy);
    fo_policy_merge(&policy, &declared->policy, &policy);
    return policy;
}

/* "vhost:port", or NULL for the server itself. */
static const char *vhost_name(const server_rec *s, apr_pool_t *pool)
{
    apr_port_t port = s->port;

    if (!s->is_virtual)
        return NULL;
    if (s->addrs && s->addrs->host_port)
        port = s->addrs->host_port;
    return apr_psprintf(pool, "%s:%u", s->server_hostname ? s->server_hostname : "*",
                        (unsigned)port);
}

static bool has_own_settings(const fo_service_t *service)
{
    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++)
        if (fo_service_endpoint(service, rank)->settings)
            return true;
    return false;
}

/* The primary never stands in. */
static void warn_of_idle_settings(httpd_config_t *config, const httpd_service_t *declared,
                                  const fo_service_t *service)
{
    const httpd_endpoint_t *primary = APR_ARRAY_IDX(declared->endpoints, (int)service->primary,
                                                    httpd_endpoint_t *);

    if (primary->settings->nelts)
        httpd_config_warn(primary->own.place,
                          apr_psprintf(config->plan->pool,
                                       "%s: the settings of endpoint %s never hold: they are for "
                                       "the time when it stands in for another, and it is the "
                                       "primary",
                                       service->full_name, primary->name));
}

static fo_service_t *plan_service(httpd_config_t *config, const httpd_service_t *declared)
{
    fo_plan_t *plan = config->plan;
    fo_policy_t policy = effective_policy(declared);
    fo_service_t *service = fo_plan_add_service(plan, declared->name,
                                                vhost_name(declared->server, plan->pool), &policy,
                                                declared->settings, declared->server);

    if (policy.value[FO_POLICY_CONFIRM] > policy.value[FO_POLICY_CAP])
        httpd_config_warn(
            declared->place,
            apr_psprintf(plan->pool,
                         "%s: FailoverThresholds: confirm= is longer than cap=, which "
                         "holds instead",
                         service->full_name));
    for (int i = 0; i < declared->endpoints->nelts; i++)
        httpd_target_plan(config, declared,
                          APR_ARRAY_IDX(declared->endpoints, i, httpd_endpoint_t *), service);
    warn_of_idle_settings(config, declared, service);
    service->is_plain = fo_settings_are_plain(declared->settings) && !has_own_settings(service);
    service->initials = fo_settings_initials(service);
    service->is_critical = declared->is_critical;
    return service;
}

static int by_serial(const void *a, const void *b)
{
    const httpd_service_t *one = *(httpd_service_t *const *)a;
    const httpd_service_t *other = *(httpd_service_t *const *)b;

    return one->serial < other->serial ? -1 : one->serial > other->serial;
}

/* httpd lets a virtual host without a line of ours share the server's own struct. */
static bool has_own(const server_rec *s, const server_rec *main_server)
{
    return s == main_server || httpd_server_of(s) != httpd_server_of(main_server);
}

/* All that any server declared, in the order of the configuration. */
static apr_array_header_t *collect(const server_rec *main_server, apr_pool_t *pool)
{
    apr_array_header_t *all = apr_array_make(pool, 8, sizeof(httpd_service_t *));

    for (const server_rec *s = main_server; s; s = s->next)
        if (has_own(s, main_server))
            apr_array_cat(all, httpd_server_of(s)->services);
    if (all->nelts > 1)
        qsort(all->elts, (size_t)all->nelts, sizeof(httpd_service_t *), by_serial);
    return all;
}

/* A service of the server is hidden by the virtual host's own of the same name. */
static bool is_hidden(const httpd_service_t *service, const server_rec *s)
{
    const apr_array_header_t *own = httpd_server_of(s)->services;

    for (int i = 0; i < own->nelts; i++)
        if (fo_name_equal(APR_ARRAY_IDX(own, i, httpd_service_t *)->name, service->name))
            return true;
    return false;
}

static const fo_scope_t *plan_scope(fo_plan_t *plan, const apr_array_header_t *declared,
                                    const server_rec *s, const server_rec *main_server)
{
    apr_array_header_t *services = apr_array_make(plan->pool, declared->nelts + 1,
                                                  sizeof(fo_service_t *));

    for (int i = 0; i < declared->nelts; i++) {
        const httpd_service_t *one = APR_ARRAY_IDX(declared, i, httpd_service_t *);
        if (one->server == s || (one->server == main_server && !is_hidden(one, s)))
            APR_ARRAY_PUSH(services, fo_service_t *) = fo_plan_service(plan, (unsigned)i);
    }
    return fo_plan_scope(plan, services);
}

/* Notes that this service writes the variable. */
static void note_writer(apr_hash_t *writers, fo_service_t *service, const char *name,
                        apr_pool_t *pool)
{
    char *key = apr_pstrdup(pool, name);
    fo_service_t *other;

    ap_str_tolower(key);
    other = apr_hash_get(writers, key, APR_HASH_KEY_STRING);
    if (other && other != service)
        other->initials = service->initials = 0;
    apr_hash_set(writers, key, APR_HASH_KEY_STRING, service);
}

static void note_settings(apr_hash_t *writers, fo_service_t *service,
                          const apr_array_header_t *settings, apr_pool_t *pool)
{
    for (int i = 0; settings && i < settings->nelts; i++) {
        const fo_setting_t *setting = &APR_ARRAY_IDX(settings, i, fo_setting_t);
        if (setting->kind != FO_SETTING_NOTE)
            note_writer(writers, service, setting->name, pool);
    }
}

static void note_variables(apr_hash_t *writers, fo_service_t *service, apr_pool_t *pool)
{
    note_settings(writers, service, service->settings, pool);
    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++)
        note_settings(writers, service, fo_service_endpoint(service, rank)->settings, pool);
    note_writer(writers, service, service->env_state, pool);
    note_writer(writers, service, service->env_endpoint, pool);
    note_writer(writers, service, service->env_epoch, pool);
}

/* A variable that two services of a scope write is no one's own. */
static void part_services(const fo_scope_t *scope, apr_pool_t *parent)
{
    apr_hash_t *writers;
    apr_pool_t *pool;

    apr_pool_create(&pool, parent);
    writers = apr_hash_make(pool);
    for (unsigned i = 0; i < (unsigned)scope->services->nelts; i++)
        note_variables(writers, fo_scope_service(scope, i), pool);
    apr_pool_destroy(pool);
}

/* The later one is misplaced. */
static const char *clash(const httpd_service_t *one, const httpd_service_t *other, apr_pool_t *pool)
{
    const httpd_service_t *late = one->serial > other->serial ? one : other;
    const httpd_service_t *early = late == one ? other : one;

    return httpd_misplaced(late->place, "FailoverService",
                           httpd_service_clash(late->name, early, pool), pool);
}

/* Of a virtual host and of the server: httpd_service_check_name() compares those of one alone. */
static const char *check_exports(const fo_scope_t *scope, const apr_array_header_t *declared,
                                 apr_pool_t *pool)
{
    apr_hash_t *states = apr_hash_make(pool);

    for (unsigned i = 0; i < (unsigned)scope->services->nelts; i++) {
        fo_service_t *service = fo_scope_service(scope, i);
        apr_hash_set(states, service->env_state, APR_HASH_KEY_STRING, service);
    }
    for (unsigned i = 0; i < (unsigned)scope->services->nelts; i++) {
        const fo_service_t *one = fo_scope_service(scope, i), *other;
        other = apr_hash_get(states, one->env_endpoint, APR_HASH_KEY_STRING);
        if (!other)
            other = apr_hash_get(states, one->env_epoch, APR_HASH_KEY_STRING);
        if (other)
            return clash(APR_ARRAY_IDX(declared, (int)one->index, httpd_service_t *),
                         APR_ARRAY_IDX(declared, (int)other->index, httpd_service_t *), pool);
    }
    return NULL;
}

/* The main server's directories hold in every virtual host. */
static void plan_monitor(httpd_server_t *server, const httpd_server_t *main_server)
{
    if (server->monitor == HTTPD_MONITOR_UNSET)
        server->monitor = HTTPD_MONITOR_ON;
    server->asks_directory = server->asks_directory || main_server->asks_directory;
    server->at_once = server->asks_directory ? HTTPD_MONITOR_OFF : server->monitor;
}

/* A lease that runs out while its holder waits for an answer would go from hand to hand. */
static const char *check_lease(const httpd_config_t *config, apr_pool_t *pool)
{
    apr_interval_time_t lease = config->ways.lease;
    char span[FO_SPAN_TEXT], timeout[FO_SPAN_TEXT];

    for (unsigned i = 0; lease && i < (unsigned)config->plan->targets->nelts; i++) {
        const fo_target_t *target = fo_plan_target_at(config->plan, i);
        apr_interval_time_t longest = target->timeout_up > target->timeout_down
                                          ? target->timeout_up
                                          : target->timeout_down;
        if (longest < lease)
            continue;
        return httpd_misplaced(
            config->lease_place, "FailoverScope",
            apr_psprintf(pool,
                         "lease=%s is not longer than the %s that a ping of %s may take: give it "
                         "more, or the ping less (FailoverPingTimeout)",
                         fo_span_text(lease, span), fo_span_text(longest, timeout),
                         fo_target_endpoint(target, 0)->service->full_name),
            pool);
    }
    return NULL;
}

const char *httpd_plan_build(httpd_config_t *config, server_rec *main_server, apr_pool_t *pool)
{
    apr_array_header_t *declared = collect(main_server, pool);
    const char *error = NULL;

    config->plan = fo_plan_make(pool);
    config->plan->ways = config->ways;
    for (int i = 0; i < declared->nelts; i++)
        plan_service(config, APR_ARRAY_IDX(declared, i, httpd_service_t *));
    for (server_rec *s = main_server; s; s = s->next) {
        httpd_server_t *server = httpd_server_of(s);
        if (!has_own(s, main_server))
            continue;
        server->scope = plan_scope(config->plan, declared, s, main_server);
        plan_monitor(server, httpd_server_of(main_server));
    }
    for (unsigned i = 0; i < (unsigned)config->plan->scopes->nelts; i++)
        part_services(fo_plan_scope_at(config->plan, i), pool);
    for (unsigned i = 0; !error && i < (unsigned)config->plan->scopes->nelts; i++)
        error = check_exports(fo_plan_scope_at(config->plan, i), declared, pool);
    if (!error)
        error = check_lease(config, pool);
    if (!error)
        error = httpd_uses_resolve(config->plan, declared, pool);
    if (!error)
        error = httpd_closure_resolve(config->plan, pool);
    return error ? error : httpd_match_rules(config->plan, declared, &config->rules);
}

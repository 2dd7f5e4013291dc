/* From a declared endpoint to what is pinged for it. */
#include "httpd/httpd_failover.h"

#include "core/fo_parse.h"

/* An endpoint and the service that it belongs to, on their way into the plan. */
typedef struct site_t {
    httpd_config_t *config;
    const httpd_endpoint_t *declared;
    const fo_service_t *service;
    apr_array_header_t *checks; /* const httpd_check_t *: all that must pass */
} site_t;

static const httpd_check_t *check_at(const site_t *site, int i)
{
    return APR_ARRAY_IDX(site->checks, i, const httpd_check_t *);
}

static fo_probes_t probes_of(const fo_service_t *service)
{
    const apr_int64_t *value = service->policy.value;

    return (fo_probes_t){
        .n = (unsigned)value[FO_POLICY_PROBES],
        .delay = value[FO_POLICY_PROBES_DELAY],
        .policy = (fo_probes_e)value[FO_POLICY_PROBES_MUST],
    };
}

/* Of one probe. */
static apr_interval_time_t timeout_of(const site_t *site, const httpd_check_t *check,
                                      fo_policy_e number)
{
    return check->timeout ? check->timeout : site->service->policy.value[number];
}

/* Of a whole ping, whose checks run side by side. */
static apr_interval_time_t deadline_of(const site_t *site, fo_policy_e number)
{
    fo_probes_t probes = probes_of(site->service);
    apr_interval_time_t longest = 0;

    for (int i = 0; i < site->checks->nelts; i++) {
        apr_interval_time_t timeout = timeout_of(site, check_at(site, i), number);
        if (timeout > longest)
            longest = timeout;
    }
    return fo_probes_deadline(&probes, longest);
}

/* A ping that may last longer than the span to the next one. */
static void compare_deadline(const site_t *site, fo_policy_e timeout, fo_policy_e frequency,
                             const char *directive)
{
    apr_interval_time_t deadline = deadline_of(site, timeout);
    apr_interval_time_t span = site->service->policy.value[frequency];
    char takes[FO_SPAN_TEXT], every[FO_SPAN_TEXT], delay[FO_SPAN_TEXT];
    fo_probes_t probes = probes_of(site->service);
    apr_pool_t *pool = site->config->plan->pool;
    const char *why = probes.n == 1 ? ""
                                    : apr_psprintf(pool, " (%u probes, %s apart)", probes.n,
                                                   fo_span_text(probes.delay, delay));

    if (deadline <= span)
        return;
    httpd_config_warn(site->declared->own.place,
                      apr_psprintf(pool,
                                   "%s: a ping may take %s%s, longer than %s %s: pings will be as "
                                   "far apart as they take",
                                   site->service->full_name, fo_span_text(deadline, takes), why,
                                   directive, fo_span_text(span, every)));
}

/* What is asked, and as whom: the same however long it may take. */
static const char *identity_of(const httpd_check_t *check, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s %d:%s%s", check->url->text, (int)check->secret.kind,
                        check->secret.kind ? check->secret.source : "", check->options_key);
}

static const char *identities(const site_t *site, apr_pool_t *pool)
{
    const char *all = "";

    for (int i = 0; i < site->checks->nelts; i++)
        all = apr_pstrcat(pool, all, i ? " & " : "", identity_of(check_at(site, i), pool), NULL);
    return all;
}

/* Equal ones are pinged once; so all is in it by which they could differ. */
static const char *target_key(const site_t *site, apr_pool_t *pool)
{
    fo_probes_t probes = probes_of(site->service);
    const char *key = apr_psprintf(pool, "%s %d %u %" APR_TIME_T_FMT " %d", identities(site, pool),
                                   site->declared->busy_fails, probes.n,
                                   probes.n > 1 ? probes.delay : 0,
                                   probes.n > 1 ? (int)probes.policy : 0);

    for (int i = 0; i < site->checks->nelts; i++)
        key = apr_psprintf(pool, "%s %" APR_TIME_T_FMT " %" APR_TIME_T_FMT, key,
                           timeout_of(site, check_at(site, i), FO_POLICY_TIMEOUT_UP),
                           timeout_of(site, check_at(site, i), FO_POLICY_TIMEOUT_DOWN));
    return key;
}

/* A secret comes later, when the server really starts. locked: whose key it opens, or NULL. */
static void await_secret(const site_t *site, const httpd_check_t *declared,
                         const httpd_secret_t *secret, const httpd_check_t *locked,
                         const char **into)
{
    httpd_pending_secret_t pending = {
        .into = into,
        .secret = *secret,
        .locked = locked,
        .place = declared->place,
        .server = site->service->owner,
    };

    if (secret->kind != HTTPD_SECRET_NONE)
        APR_ARRAY_PUSH(site->config->secrets, httpd_pending_secret_t) = pending;
}

static void plan_check(const site_t *site, const httpd_check_t *declared, fo_target_t *target)
{
    fo_check_t *check = fo_plan_add_check(site->config->plan, target, declared->url);

    check->probe = declared->probe;
    check->conf = declared->conf;
    check->tls = declared->tls;
    check->socket = declared->socket;
    check->timeout_up = timeout_of(site, declared, FO_POLICY_TIMEOUT_UP);
    check->timeout_down = timeout_of(site, declared, FO_POLICY_TIMEOUT_DOWN);
    await_secret(site, declared, &declared->secret, NULL, &check->secret);
    await_secret(site, declared, &declared->key_secret, declared, &check->key_password);
}

static fo_target_t *plan_target(const site_t *site)
{
    fo_plan_t *plan = site->config->plan;
    fo_target_t *target = fo_plan_target(plan, target_key(site, plan->pool));

    compare_deadline(site, FO_POLICY_TIMEOUT_UP, FO_POLICY_MONITORING,
                     "FailoverMonitoringPingFrequency");
    compare_deadline(site, FO_POLICY_TIMEOUT_DOWN, FO_POLICY_OUTAGE, "FailoverOutagePingFrequency");
    if (target->checks->nelts > 0)
        return target;
    for (int i = 0; i < site->checks->nelts; i++)
        plan_check(site, check_at(site, i), target);
    target->probes = probes_of(site->service);
    target->timeout_up = deadline_of(site, FO_POLICY_TIMEOUT_UP);
    target->timeout_down = deadline_of(site, FO_POLICY_TIMEOUT_DOWN);
    target->busy_fails = site->declared->busy_fails;
    return target;
}

static apr_array_header_t *collect_checks(const httpd_service_t *service,
                                          const httpd_endpoint_t *endpoint, apr_pool_t *pool)
{
    apr_array_header_t *checks = apr_array_make(pool, 1, sizeof(const httpd_check_t *));

    if (endpoint->is_asked)
        APR_ARRAY_PUSH(checks, const httpd_check_t *) = &endpoint->own;
    apr_array_cat(checks, endpoint->checks);
    apr_array_cat(checks, service->checks);
    return checks;
}

/* With another endpoint of the same service. */
static bool shares_target(const fo_endpoint_t *endpoint)
{
    for (unsigned i = 0; i < (unsigned)endpoint->target->endpoints->nelts; i++) {
        const fo_endpoint_t *other = fo_target_endpoint(endpoint->target, i);
        if (other != endpoint && other->service == endpoint->service)
            return true;
    }
    return false;
}

void httpd_target_plan(httpd_config_t *config, const httpd_service_t *declared_service,
                       const httpd_endpoint_t *declared, fo_service_t *service)
{
    fo_plan_t *plan = config->plan;
    site_t site = {
        .config = config,
        .declared = declared,
        .service = service,
        .checks = collect_checks(declared_service, declared, plan->pool),
    };
    const char *identity = apr_pstrcat(plan->pool, declared->own.url->text, " ",
                                       identities(&site, plan->pool), NULL);
    fo_target_t *target = plan_target(&site);
    fo_endpoint_t *endpoint = fo_plan_add_endpoint(plan, service, declared->name, identity,
                                                   declared->weight, target);

    if (shares_target(endpoint))
        httpd_config_warn(declared->own.place,
                          apr_psprintf(plan->pool,
                                       "%s: endpoint %s is asked the same as another one of it, so "
                                       "both fall together: give each a FailoverCheck of its own",
                                       service->full_name, declared->name));
    endpoint->url = declared->own.url;
    endpoint->probe = declared->own.probe;
    endpoint->settings = declared->settings->nelts ? declared->settings : NULL;
    fo_plan_know_hosts(target, declared->own.url);
}

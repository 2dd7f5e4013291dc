/* httpd -t -D DUMP_FAILOVER: the services as configured, secrets masked. */
#include "httpd/httpd_failover.h"

#include "core/fo_parse.h"
#include "httpd/httpd_match.h"

#include <ap_mpm.h>
#include <apr_file_io.h>
#include <stdio.h>
#include <string.h>

static const char *const secret_words[] = { "PASS", "PWD",        "SECRET", "TOKEN",
                                            "KEY",  "CREDENTIAL", "DSN" };

/* "://user:password@" */
static bool has_password(const char *value)
{
    const char *user = strstr(value, "://");
    const char *at = user ? strchr(user + 3, '@') : NULL;

    return at && memchr(user + 3, ':', (size_t)(at - user - 3));
}

/* A variable whose name or value says that it is not for everybody's eyes. */
static bool is_secret(const char *name, const char *value, apr_pool_t *pool)
{
    const char *upper = fo_name_variable(name, pool);

    if (has_password(value))
        return true;

    for (size_t i = 0; i < sizeof(secret_words) / sizeof(secret_words[0]); i++)
        if (strstr(upper, secret_words[i]))
            return true;
    return false;
}

static void dump_setting(apr_file_t *out, const fo_setting_t *setting, apr_pool_t *pool)
{
    static const char *const formats[] = {
        [FO_SETTING_SET] = "    sets     %s=%s\n",
        [FO_SETTING_NOTE] = "    notes    %s=%s\n",
        [FO_SETTING_ALIAS] = "    aliases  %s* as %s*\n",
    };

    if (setting->kind == FO_SETTING_UNSET)
        apr_file_printf(out, "    unsets   %s\n", setting->name);
    else if (setting->kind == FO_SETTING_ALIAS)
        apr_file_printf(out, formats[setting->kind], setting->name, setting->value);
    else
        apr_file_printf(out, formats[setting->kind], setting->name,
                        is_secret(setting->name, setting->value, pool) ? "***" : setting->value);
}

static const char *span(const fo_policy_t *policy, fo_policy_e number, apr_pool_t *pool)
{
    char text[FO_SPAN_TEXT];

    return apr_pstrdup(pool, fo_span_text(policy->value[number], text));
}

/* Of the C library: APR's own leaves out the zero before the point. */
static const char *number(double value, int digits, apr_pool_t *pool)
{
    char text[32];

    snprintf(text, sizeof(text), "%.*g", digits, value);
    return apr_pstrdup(pool, text);
}

static void dump_policy(apr_file_t *out, const fo_policy_t *policy, apr_pool_t *pool)
{
    apr_file_printf(out, "    policy   up %s, down %s, error %s, logged again %s\n",
                    span(policy, FO_POLICY_MONITORING, pool), span(policy, FO_POLICY_OUTAGE, pool),
                    span(policy, FO_POLICY_ERROR, pool), span(policy, FO_POLICY_LOGGING, pool));
    apr_file_printf(out, "             fall=%d rise=%d confirm=%s cap=%s spread %d%%, %s\n",
                    (int)policy->value[FO_POLICY_FALL], (int)policy->value[FO_POLICY_RISE],
                    span(policy, FO_POLICY_CONFIRM, pool), span(policy, FO_POLICY_CAP, pool),
                    (int)policy->value[FO_POLICY_SPREAD], fo_policy_mode(policy));
    apr_file_printf(out, "             unavailable after %d x %s\n",
                    (int)policy->value[FO_POLICY_ATTEMPTS], span(policy, FO_POLICY_ATTEMPT, pool));
}

/* As FailoverBreaker would say it. */
static void dump_breaker(apr_file_t *out, const fo_policy_t *policy, apr_pool_t *pool)
{
    apr_int64_t streak = policy->value[FO_POLICY_STREAK];

    if (!fo_breaker_is_on(policy))
        return;
    apr_file_printf(out, "    breaker  window=%s failures=%d rate=%s%s reset=%s count=%s trip=%s\n",
                    span(policy, FO_POLICY_WINDOW, pool), (int)policy->value[FO_POLICY_FAILURES],
                    number((double)policy->value[FO_POLICY_RATE] / 1e6, 6, pool),
                    streak ? apr_psprintf(pool, " consecutive=%d", (int)streak) : "",
                    span(policy, FO_POLICY_RESET, pool),
                    policy->value[FO_POLICY_COUNTS_5XX] ? "5xx" : "errors",
                    policy->value[FO_POLICY_OPENS] ? "open" : "ping");
}

/* How one of several endpoints is chosen. */
static void dump_choice(apr_file_t *out, const fo_service_t *service, apr_pool_t *pool)
{
    const fo_policy_t *policy = &service->policy;

    apr_file_printf(out, "    choice   %s is the primary, grace %s, failback %s%s\n",
                    fo_service_endpoint(service, service->primary)->name,
                    span(policy, FO_POLICY_GRACE, pool),
                    policy->value[FO_POLICY_STAYS] ? "manual" : "auto, looked at every ",
                    policy->value[FO_POLICY_STAYS] ? "" : span(policy, FO_POLICY_FAILBACK, pool));
}

/* Of the services that share the target: whichever wants it first has it pinged for all of them. */
static apr_interval_time_t shortest(const fo_target_t *target, fo_policy_e frequency)
{
    apr_interval_time_t span = FO_NEVER;

    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++) {
        const fo_policy_t *policy = &fo_target_endpoint(target, i)->service->policy;
        if (policy->value[frequency] < span)
            span = policy->value[frequency];
    }
    return span;
}

/* A span is stretched by half the spread on average: the first service's. */
static double pings_per_second(const fo_target_t *target, fo_policy_e frequency, int pingers)
{
    const fo_policy_t *policy = &fo_target_endpoint(target, 0)->service->policy;
    double stretch = 1 + (double)policy->value[FO_POLICY_SPREAD] / 200;

    return pingers / ((double)shortest(target, frequency) / APR_USEC_PER_SEC * stretch);
}

/* Who pings, and how often: by a timer always, else as often as requests come, and no more. */
static void dump_expected(apr_file_t *out, const fo_ways_t *ways, const fo_target_t *target,
                          int children, apr_pool_t *pool)
{
    int pingers = ways->lease ? 1 : children;
    bool is_exact = ways->by_timer || ways->lease;

    apr_file_printf(
        out,
        "             expect %s%s pings per second from %d child%s%s while up, %s while "
        "down\n",
        is_exact ? "" : "at most ",
        number(pings_per_second(target, FO_POLICY_MONITORING, pingers), 3, pool), pingers,
        pingers == 1 ? "" : "ren", ways->lease ? " for all" : "",
        number(pings_per_second(target, FO_POLICY_OUTAGE, pingers), 3, pool));
}

/* "the same pings serve cache, app@host:80", if there are any such services. */
static void dump_sharers(apr_file_t *out, const fo_endpoint_t *endpoint)
{
    const fo_target_t *target = endpoint->target;
    const char *before = "             the same pings serve ";

    for (unsigned i = 0; i < (unsigned)target->endpoints->nelts; i++) {
        if (fo_target_endpoint(target, i) == endpoint)
            continue;
        apr_file_printf(out, "%s%s", before, fo_target_endpoint(target, i)->service->full_name);
        before = ", ";
    }
    if (target->endpoints->nelts > 1)
        apr_file_printf(out, "\n");
}

/* What a ping is made of, where it is more than one probe of the endpoint's own URL. */
static void dump_checks(apr_file_t *out, const fo_endpoint_t *endpoint)
{
    const fo_target_t *target = endpoint->target;
    const fo_probes_t *probes = &target->probes;
    char delay[FO_SPAN_TEXT], up[FO_SPAN_TEXT], down[FO_SPAN_TEXT];

    if (probes->n > 1)
        apr_file_printf(out,
                        "             each ping %u probes, %s apart, %s must pass: %s, down %s\n",
                        probes->n, fo_span_text(probes->delay, delay),
                        fo_probes_name(probes->policy), fo_span_text(target->timeout_up, up),
                        fo_span_text(target->timeout_down, down));
    for (unsigned i = 0; i < (unsigned)target->checks->nelts; i++) {
        const fo_check_t *check = fo_target_check(target, i);
        if (strcmp(check->url->text, endpoint->url->text) != 0)
            apr_file_printf(out, "             checks %s timeout %s, down %s\n", check->url->text,
                            fo_span_text(check->timeout_up, up),
                            fo_span_text(check->timeout_down, down));
    }
}

static void dump_endpoint(apr_file_t *out, const fo_ways_t *ways, const fo_endpoint_t *endpoint,
                          int children, apr_pool_t *pool)
{
    const fo_target_t *target = endpoint->target;
    const fo_check_t *first = fo_target_check(target, 0);
    char up[FO_SPAN_TEXT], down[FO_SPAN_TEXT];

    apr_file_printf(out, "    endpoint %s %s weight=%s timeout %s, down %s, busy=%s\n",
                    endpoint->name, endpoint->url->text, number(endpoint->weight, 6, pool),
                    fo_span_text(first->timeout_up, up), fo_span_text(first->timeout_down, down),
                    target->busy_fails ? "fail" : "keep");
    apr_file_printf(out, "             %s: %s\n", endpoint->probe->scheme,
                    endpoint->probe->summary);
    dump_checks(out, endpoint);
    dump_expected(out, ways, target, children, pool);
    dump_sharers(out, endpoint);
    for (int i = 0; endpoint->settings && i < endpoint->settings->nelts; i++)
        dump_setting(out, &APR_ARRAY_IDX(endpoint->settings, i, fo_setting_t), pool);
}

static void dump_service(apr_file_t *out, const fo_ways_t *ways, const fo_service_t *service,
                         int children, apr_pool_t *pool)
{
    apr_file_printf(out, "%s\n", service->full_name);
    for (unsigned i = 0; i < (unsigned)service->endpoints->nelts; i++)
        dump_endpoint(out, ways, fo_service_endpoint(service, i), children, pool);
    dump_policy(out, &service->policy, pool);
    dump_breaker(out, &service->policy, pool);
    if (service->endpoints->nelts > 1)
        dump_choice(out, service, pool);
    if (service->is_critical)
        apr_file_printf(out, "    critical failover-health says not ready while it is down%s\n",
                        service->policy.value[FO_POLICY_OBSERVE] ? ", but not while it observes"
                                                                 : "");
    for (int i = 0; i < service->settings->nelts; i++)
        dump_setting(out, &APR_ARRAY_IDX(service->settings, i, fo_setting_t), pool);
}

/* "db, cache": who listens with this set; NULL: nobody. */
static const char *listeners(const fo_rules_t *rules, const fo_rule_set_t *set, apr_pool_t *pool)
{
    const char *list = NULL;

    for (unsigned i = 0; i < (unsigned)rules->plan->services->nelts; i++)
        if (rules->set_of[i] == set)
            list = apr_pstrcat(pool, list ? list : "", list ? ", " : "",
                               fo_plan_service(rules->plan, i)->full_name, NULL);
    return list;
}

static const char *relays(const fo_rule_set_t *set, apr_pool_t *pool)
{
    const char *list = NULL;

    for (module **one = ap_loaded_modules; *one; one++)
        if (fo_rule_set_hears(set, (*one)->module_index))
            list = apr_pstrcat(pool, list ? list : "", list ? ", " : "", httpd_module_name(*one),
                               NULL);
    return list ? list : "no module that is loaded";
}

static void dump_rules(apr_file_t *out, const fo_rules_t *rules, apr_pool_t *pool)
{
    for (int i = 0; i < rules->sets->nelts; i++) {
        const fo_rule_set_t *set = APR_ARRAY_IDX(rules->sets, i, const fo_rule_set_t *);
        const char *services = listeners(rules, set, pool);
        unsigned n = 0;
        if (!services)
            continue;
        apr_file_printf(out, "Errors of %s\n    trigger pings of %s when they have\n   ",
                        relays(set, pool), services);
        for (unsigned number = 0; number < FO_PATTERNS_MAX; number++)
            if (fo_patterns_has(&set->patterns, number) && ++n)
                apr_file_printf(out, " %s", fo_matcher_text(rules->matcher, number));
        apr_file_printf(out, "%s\n", n ? "" : " no pattern at all");
    }
}

void httpd_dump(const fo_plan_t *plan, const fo_rules_t *rules, server_rec *s, apr_pool_t *ptemp)
{
    apr_file_t *out = NULL;
    int children = 1;

    (void)s;
    if (!plan || apr_file_open_stdout(&out, ptemp) != APR_SUCCESS)
        return;
    ap_mpm_query(AP_MPMQ_MAX_DAEMONS, &children);
    apr_file_printf(out, "Failover services:%s\n", plan->services->nelts ? "" : " none");
    for (unsigned i = 0; i < (unsigned)plan->services->nelts; i++)
        dump_service(out, &plan->ways, fo_plan_service(plan, i), children, ptemp);
    dump_rules(out, rules, ptemp);
}

/* The life of the configuration: created, merged, checked, started. */
#include "httpd/httpd_failover.h"

#include "httpd/httpd_log.h"
#include "httpd/httpd_match.h"
#include "probe/probe_tls.h"

#include <http_main.h>
#include <string.h>

static httpd_config_t config;

httpd_config_t *httpd_config(void)
{
    return &config;
}

void httpd_config_warn(httpd_place_t place, const char *text)
{
    httpd_warning_t warning = { .place = place, .text = text };

    APR_ARRAY_PUSH(config.warnings, httpd_warning_t) = warning;
}

void *httpd_config_create_server(apr_pool_t *pool, server_rec *s)
{
    httpd_server_t *server = apr_pcalloc(pool, sizeof(*server));

    (void)s;
    server->monitor = HTTPD_MONITOR_UNSET;
    server->services = apr_array_make(pool, 4, sizeof(httpd_service_t *));
    server->matches = apr_array_make(pool, 1, sizeof(const fo_match_t *));
    fo_policy_init(&server->policy);
    return server;
}

/* A virtual host's: the server's services reach it through its scope, not through this merge. */
void *httpd_config_merge_server(apr_pool_t *pool, void *base, void *over)
{
    const httpd_server_t *below = base, *above = over;
    httpd_server_t *merged = apr_pmemdup(pool, above, sizeof(*above));

    fo_policy_merge(&below->policy, &above->policy, &merged->policy);
    if (merged->monitor == HTTPD_MONITOR_UNSET)
        merged->monitor = below->monitor;
    merged->matches = above->matches->nelts ? apr_array_append(pool, below->matches, above->matches)
                                            : below->matches;
    return merged;
}

void *httpd_config_create_directory(apr_pool_t *pool, char *path)
{
    (void)path;
    return apr_pcalloc(pool, sizeof(httpd_directory_t));
}

/* While a request is served, for each section that holds for it: mostly one of the two will do. */
void *httpd_config_merge_directory(apr_pool_t *pool, void *base, void *over)
{
    const httpd_directory_t *below = base, *above = over;
    httpd_directory_t *merged;

    if (above->says == 0)
        return base;
    if ((below->says & (~above->says | HTTPD_SAYS_CLOSED)) == 0)
        return over;
    merged = apr_pmemdup(pool, above, sizeof(*above));
    merged->says |= below->says;
    if (!(above->says & HTTPD_SAYS_MONITOR))
        merged->monitor = below->monitor;
    if (!(above->says & HTTPD_SAYS_STATUS))
        merged->shows_status = below->shows_status;
    if (!(above->says & HTTPD_SAYS_HEALTH))
        merged->tells_health = below->tells_health;
    if (!(above->says & HTTPD_SAYS_USES))
        merged->uses = below->uses;
    if (!(above->says & HTTPD_SAYS_ERROR_HEADER))
        merged->error_header = below->error_header;
    httpd_closure_merge(&below->requires, &merged->requires, pool);
    httpd_closure_merge(&below->documents, &merged->documents, pool);
    return merged;
}

int httpd_config_reset(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    memset(&config, 0, sizeof(config));
    config.ping_wait = FO_UNSET;
    config.ping_concurrency = FO_UNSET;
    config.ways.inherits = true;
    config.shared_fd = -1;
    config.event_fd = -1;
    config.warnings = apr_array_make(pconf, 4, sizeof(httpd_warning_t));
    config.secrets = apr_array_make(pconf, 4, sizeof(httpd_pending_secret_t));
    httpd_tls_reset(pconf);
    httpd_expr_reset(pconf);
    httpd_uses_reset(pconf);
    httpd_closure_reset(pconf);
    httpd_error_header_reset();
    return OK;
}

int httpd_config_check(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    const char *error = httpd_plan_build(&config, s, pconf);

    (void)plog;
    if (!error)
        error = httpd_expr_resolve(config.plan, pconf);
    if (config.ping_wait == FO_UNSET)
        config.ping_wait = HTTPD_PING_WAIT;
    if (config.ping_concurrency == FO_UNSET)
        config.ping_concurrency = HTTPD_PING_CONCURRENCY;
    if (!error)
        httpd_match_warn_deaf(s, ptemp);
    if (error)
        httpd_log_refused(error);
    return error ? HTTP_INTERNAL_SERVER_ERROR : OK;
}

static void log_warnings(const server_rec *s)
{
    for (int i = 0; i < config.warnings->nelts; i++)
        httpd_log_warning(s, &APR_ARRAY_IDX(config.warnings, i, httpd_warning_t));
}

void httpd_config_test(apr_pool_t *pconf, server_rec *s)
{
    log_warnings(NULL);
    if (ap_exists_config_define("DUMP_FAILOVER"))
        httpd_dump(config.plan, config.rules, s, pconf);
}

/* What was read from the same place already, if anything came of it; NULL: nobody has read. */
static const httpd_pending_secret_t *same_source(int index)
{
    const httpd_pending_secret_t *all = (httpd_pending_secret_t *)config.secrets->elts;

    for (int i = 0; i < index; i++)
        if (all[i].secret.kind == all[index].secret.kind &&
            strcmp(all[i].secret.source, all[index].secret.source) == 0)
            return &all[i];
    return NULL;
}

static void read_secret(int index, apr_pool_t *pool, apr_pool_t *ptemp)
{
    const httpd_pending_secret_t *pending = &APR_ARRAY_IDX(config.secrets, index,
                                                           httpd_pending_secret_t);
    const httpd_pending_secret_t *same = same_source(index);
    const httpd_check_t *locked = pending->locked;
    const char *warning = NULL, *secret = same ? *same->into : NULL, *error = NULL;

    if (!same)
        error = httpd_secret_read(&pending->secret, &secret, &warning, pool, ptemp);
    if (secret && locked && locked->tls)
        error = probe_tls_unlock(locked->tls, locked->key, secret, pool);
    if (error)
        httpd_log_secret_unreadable(pending->server, &pending->place, error,
                                    locked ? "the key" : "a password");
    if (warning)
        httpd_log_secret_exposed(pending->server, &pending->place, warning);
    *pending->into = secret;
}

/* The real start, as root; httpd passes here once more before it, without anything to be kept. */
int httpd_config_start(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)plog;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG)
        return OK;
    log_warnings(s);
    for (int i = 0; i < config.secrets->nelts; i++)
        read_secret(i, pconf, ptemp);
    httpd_shm_start(&config, s, pconf);
    httpd_uses_start(&config);
    httpd_error_log_prepare(s, pconf);
    return httpd_event_start(&config, s, pconf) ? OK : HTTP_INTERNAL_SERVER_ERROR;
}

/* The command table, and the directives that hold for all services or for a part of the URLs. */
#include "httpd/httpd_declare.h"

#include "core/fo_parse.h"
#include "httpd/httpd_match.h"
#include "httpd/httpd_policy.h"
#include "httpd/httpd_words.h"

#include <http_core.h>
#include <string.h>

static const char *set_ping_wait(cmd_parms *cmd, void *unused, const char *text)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)unused;
    return error ? error
                 : httpd_prefixed(cmd, httpd_read_span(cmd, text, 0, 60 * APR_USEC_PER_SEC,
                                                       &httpd_config()->ping_wait));
}

static const char *set_ping_concurrency(cmd_parms *cmd, void *unused, const char *text)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)unused;
    return error
               ? error
               : httpd_prefixed(cmd, fo_parse_number(text, 1, 1024,
                                                     &httpd_config()->ping_concurrency, cmd->pool));
}

static const httpd_word_t monitors[] = {
    { "On", HTTPD_MONITOR_ON },
    { "Outages", HTTPD_MONITOR_OUTAGES },
    { "Off", HTTPD_MONITOR_OFF },
    { NULL, 0 },
};

/* A directive that says one of two things of all services. */
typedef struct way_t {
    const httpd_word_t *words;
    size_t offset; /* of a bool, in fo_ways_t */
} way_t;

static const httpd_word_t switches[] = { { "On", 1 }, { "Off", 0 }, { NULL, 0 } };
static const httpd_word_t loggings[] = { { "first", 0 }, { "child", 1 }, { NULL, 0 } };
static const httpd_word_t scopes[] = { { "child", 0 }, { "server", 1 }, { NULL, 0 } };

static const way_t inherit = { switches, offsetof(fo_ways_t, inherits) };
static const way_t timer = { switches, offsetof(fo_ways_t, by_timer) };
static const way_t outage_logging = { loggings, offsetof(fo_ways_t, logs_each) };

static const char *set_way(cmd_parms *cmd, void *unused, const char *text)
{
    const way_t *way = cmd->info;
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    apr_int64_t value = 0;

    (void)unused;
    if (!error)
        error = httpd_prefixed(cmd, httpd_read_word(cmd, way->words, text, &value));
    if (!error)
        *(bool *)((char *)&httpd_config()->ways + way->offset) = value != 0;
    return error;
}

static const char *read_lease(cmd_parms *cmd, const char *word, apr_int64_t *ret_lease)
{
    const char *error;

    if (strncmp(word, "lease=", 6) != 0)
        return apr_psprintf(cmd->pool, "'%s' is not lease=SPAN", word);
    error = httpd_read_span(cmd, word + 6, 100 * HTTPD_MS, HTTPD_HOUR, ret_lease);
    return error ? apr_pstrcat(cmd->pool, "lease=: ", error, NULL) : NULL;
}

static const char *set_scope(cmd_parms *cmd, void *unused, const char *text, const char *word)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    apr_int64_t is_server = 0, lease = HTTPD_LEASE;

    (void)unused;
    if (!error)
        error = httpd_prefixed(cmd, httpd_read_word(cmd, scopes, text, &is_server));
    if (error)
        return error;
    if (word && !is_server)
        return apr_psprintf(cmd->pool, "FailoverScope: '%s' belongs to 'server' alone", word);
    error = word ? read_lease(cmd, word, &lease) : NULL;
    httpd_config()->ways.lease = is_server ? lease : 0;
    httpd_config()->lease_place = (httpd_place_t){ cmd->directive->filename,
                                                   cmd->directive->line_num };
    return httpd_prefixed(cmd, error);
}

static const char *set_event_log(cmd_parms *cmd, void *unused, const char *target)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)unused;
    if (!error && (target[0] == '\0' || strcmp(target, "|") == 0))
        error = "FailoverEventLog: write a file, or \"|program\"";
    if (!error && target[0] != '|' && !ap_server_root_relative(cmd->pool, target))
        error = apr_psprintf(cmd->pool, "FailoverEventLog: '%s' is no path", target);
    if (error)
        return error;
    httpd_config()->event_log = strcasecmp(target, "none") == 0 ? NULL : target;
    httpd_config()->event_place = (httpd_place_t){ cmd->directive->filename,
                                                   cmd->directive->line_num };
    return NULL;
}

/* In a section for a part of the URL space cmd->path tells which. */
static const char *set_monitor(cmd_parms *cmd, void *directory, const char *text)
{
    httpd_server_t *server = httpd_server_of(cmd->server);
    apr_int64_t monitor = HTTPD_MONITOR_UNSET;
    const char *error = httpd_prefixed(cmd, httpd_read_word(cmd, monitors, text, &monitor));

    if (error)
        return error;
    if (cmd->path) {
        ((httpd_directory_t *)directory)->says |= HTTPD_SAYS_MONITOR;
        ((httpd_directory_t *)directory)->monitor = (int)monitor;
        server->asks_directory = true;
    } else {
        server->monitor = (int)monitor;
    }
    return NULL;
}

/* A directive that permits a handler in a section. */
typedef struct permit_t {
    httpd_says_e says;
    size_t offset; /* of a bool, in httpd_directory_t */
    void (*serve)(void);
} permit_t;

static const permit_t status = { HTTPD_SAYS_STATUS, offsetof(httpd_directory_t, shows_status),
                                 httpd_status_serve };
static const permit_t health = { HTTPD_SAYS_HEALTH, offsetof(httpd_directory_t, tells_health),
                                 httpd_health_serve };

static const char *set_permit(cmd_parms *cmd, void *directory, const char *text)
{
    const permit_t *permit = cmd->info;
    apr_int64_t is_on = 0;
    const char *error = httpd_prefixed(cmd, httpd_read_word(cmd, switches, text, &is_on));

    if (error)
        return error;
    ((httpd_directory_t *)directory)->says |= permit->says;
    *(bool *)((char *)directory + permit->offset) = is_on != 0;
    if (is_on)
        permit->serve();
    return NULL;
}

static const char *set_critical(cmd_parms *cmd, void *unused, const char *text)
{
    httpd_service_t *service = httpd_declare_open(cmd);
    apr_int64_t is_on = 0;
    const char *error = service ? httpd_prefixed(cmd, httpd_read_word(cmd, switches, text, &is_on))
                                : httpd_declare_outside(cmd);

    (void)unused;
    if (!error)
        service->is_critical = is_on != 0;
    return error;
}

/* What may stand in a block, and only there. */
static const char *const block_only[] = {
    "FailoverEndpoint", "<FailoverEndpoint", "FailoverCheck", "FailoverCritical",
    "FailoverSetEnv",   "FailoverUnsetEnv",  "FailoverAlias", "FailoverNote",
};

/* What may stand in the block of an endpoint. */
static const char *const of_endpoint[] = {
    "FailoverCheck", "FailoverSetEnv", "FailoverUnsetEnv", "FailoverAlias", "FailoverNote",
};

/* Policy: in a block as well as at server level. */
static const char *const block_too[] = {
    "FailoverMonitoringPingFrequency",
    "FailoverOutagePingFrequency",
    "FailoverErrorPingFrequency",
    "FailoverOutageLoggingFrequency",
    "FailoverPingTimeout",
    "FailoverThresholds",
    "FailoverMode",
    "FailoverSpread",
    "FailoverErrorMatch",
    "FailoverProbes",
    "FailoverGracePeriod",
    "FailoverFailback",
    "FailoverAttempts",
    "FailoverPreset",
    "FailoverBreaker",
};

bool httpd_directive_fits_block(const char *name)
{
    return fo_is_listed(name, block_only, sizeof(block_only) / sizeof(block_only[0])) ||
           fo_is_listed(name, block_too, sizeof(block_too) / sizeof(block_too[0]));
}

bool httpd_directive_fits_endpoint(const char *name)
{
    return fo_is_listed(name, of_endpoint, sizeof(of_endpoint) / sizeof(of_endpoint[0]));
}

const command_rec httpd_directives[] = {
    AP_INIT_TAKE_ARGV("FailoverService", httpd_declare_service, NULL, RSRC_CONF,
                      "NAME URL [option=value ...] [VAR=value ...]: a service, what to ping and "
                      "what holds while it is down"),
    AP_INIT_RAW_ARGS("<FailoverService", httpd_declare_block, NULL, RSRC_CONF,
                     "NAME>: the block form of a service"),
    AP_INIT_TAKE_ARGV("FailoverDatabase", httpd_declare_database, NULL, RSRC_CONF,
                      "NAME URL [alias=DB_SLAVE_] [failover=DB_DEFAULT_] [option=value ...]: a "
                      "database whose variables take those of another while it is down"),
    AP_INIT_TAKE_ARGV("FailoverCelery", httpd_declare_celery, NULL, RSRC_CONF,
                      "NAME URL [setting=CELERY_ALWAYS_EAGER] [option=value ...]: a broker of "
                      "Celery, without which tasks run at once"),
    AP_INIT_TAKE_ARGV("FailoverEndpoint", httpd_declare_endpoint, NULL, RSRC_CONF,
                      "NAME URL [weight=N] [option=value ...]: where the block's service is"),
    AP_INIT_RAW_ARGS("<FailoverEndpoint", httpd_declare_endpoint_block, NULL, RSRC_CONF,
                     "NAME URL [weight=N] [option=value ...]>: an endpoint with settings and "
                     "checks of its own"),
    AP_INIT_TAKE_ARGV("FailoverCheck", httpd_declare_check, NULL, RSRC_CONF,
                      "URL [option=value ...]: what must work as well, for one endpoint or each"),
    AP_INIT_TAKE1("FailoverCritical", set_critical, NULL, RSRC_CONF,
                  "On or Off: while the service is down, failover-health says that this server is "
                  "not ready (Off)"),
    AP_INIT_TAKE123("FailoverSetEnv", httpd_declare_set_env, NULL, RSRC_CONF,
                    "VAR [value [unsafe]]: a variable's value while the service is down"),
    AP_INIT_ITERATE("FailoverUnsetEnv", httpd_declare_unset_env, NULL, RSRC_CONF,
                    "VAR ...: variables that are absent while the service is down"),
    AP_INIT_TAKE2("FailoverAlias", httpd_declare_alias, NULL, RSRC_CONF,
                  "ALIAS_ STAND_IN_: variables that take their counterparts' values while the "
                  "service is down"),
    AP_INIT_TAKE123("FailoverNote", httpd_declare_note, NULL, RSRC_CONF,
                    "NAME [value [unsafe]]: a request note's value while the service is down"),
    AP_INIT_TAKE1("FailoverMonitoringPingFrequency", httpd_policy_set_span,
                  (void *)&httpd_span_monitoring, RSRC_CONF,
                  "the least span between two pings while up (120s)"),
    AP_INIT_TAKE1("FailoverOutagePingFrequency", httpd_policy_set_span, (void *)&httpd_span_outage,
                  RSRC_CONF, "the least span between two pings while down (30s)"),
    AP_INIT_TAKE1("FailoverErrorPingFrequency", httpd_policy_set_span, (void *)&httpd_span_error,
                  RSRC_CONF,
                  "the least span between two pings after an error, while unknown or rising (5s)"),
    AP_INIT_TAKE1("FailoverOutageLoggingFrequency", httpd_policy_set_span,
                  (void *)&httpd_span_logging, RSRC_CONF,
                  "how often a lasting outage is logged again (3600s)"),
    AP_INIT_TAKE12("FailoverPingTimeout", httpd_policy_set_ping_timeout, NULL, RSRC_CONF,
                   "UP [DOWN]: the time for one ping while usable (3s) and while down (1s)"),
    AP_INIT_TAKE1(
        "FailoverPingWait", set_ping_wait, NULL, RSRC_CONF,
        "the most that the request which triggers pings waits for them (100ms; 0: never)"),
    AP_INIT_TAKE1("FailoverPingConcurrency", set_ping_concurrency, NULL, RSRC_CONF,
                  "how many children ping an endpoint at a time (16)"),
    AP_INIT_RAW_ARGS("FailoverErrorMatch", httpd_match_declare, NULL, RSRC_CONF,
                     "[add|only] [from=MODULE,...] PATTERN ...: which entries of the error log "
                     "trigger a ping: errno names, \"text\", /expressions/; or none"),
    AP_INIT_ITERATE("FailoverThresholds", httpd_policy_set_threshold, NULL, RSRC_CONF,
                    "fall=N rise=N [confirm=SPAN] [cap=SPAN]: consecutive pings needed for a "
                    "change (1 1 1s 10s)"),
    AP_INIT_TAKE_ARGV("FailoverProbes", httpd_policy_set_probes, NULL, RSRC_CONF,
                      "N [delay=SPAN] [policy=majority|all|any]: probes in one ping (1 500ms "
                      "majority)"),
    AP_INIT_TAKE1("FailoverGracePeriod", httpd_policy_set_span, (void *)&httpd_span_grace,
                  RSRC_CONF, "how long an endpoint that fell stays out while another works (60s)"),
    AP_INIT_TAKE_ARGV("FailoverFailback", httpd_policy_set_failback, NULL, RSRC_CONF,
                      "auto [interval=SPAN] or manual: the return to a better endpoint (auto 30s)"),
    AP_INIT_TAKE_ARGV("FailoverAttempts", httpd_policy_set_attempts, NULL, RSRC_CONF,
                      "N [delay=SPAN]: so many spans of an outage make it unavailable (10 12s)"),
    AP_INIT_TAKE1("FailoverPreset", httpd_policy_set_preset, NULL, RSRC_CONF,
                  "multidb: the numbers of redis-py's multi-database client"),
    AP_INIT_TAKE_ARGV("FailoverBreaker", httpd_policy_set_breaker, NULL, RSRC_CONF,
                      "off, or [window=SPAN] [failures=N] [rate=R] [consecutive=N] [reset=SPAN] "
                      "[count=errors|5xx] [trip=ping|open]: failing requests point at an endpoint "
                      "(off)"),
    AP_INIT_TAKE1("FailoverMode", httpd_policy_set_mode, NULL, RSRC_CONF,
                  "enforce or observe: observe only logs (enforce)"),
    AP_INIT_TAKE1("FailoverSpread", httpd_policy_set_spread, NULL, RSRC_CONF,
                  "percent by which spans are stretched at random, so that children part (5)"),
    AP_INIT_TAKE1("FailoverInherit", set_way, (void *)&inherit, RSRC_CONF,
                  "On or Off: a new child starts from what its siblings see (On)"),
    AP_INIT_TAKE1("FailoverTimer", set_way, (void *)&timer, RSRC_CONF,
                  "On or Off: pings also run in a child that has no requests (Off)"),
    AP_INIT_TAKE1("FailoverOutageLogging", set_way, (void *)&outage_logging, RSRC_CONF,
                  "first or child: whose outages and recoveries are crit and notice (first)"),
    AP_INIT_TAKE12("FailoverScope", set_scope, NULL, RSRC_CONF,
                   "child, or server [lease=SPAN]: one child pings for all (child; 10s)"),
    AP_INIT_TAKE1("FailoverEventLog", set_event_log, NULL, RSRC_CONF,
                  "FILE, \"|program\" or none: one line of JSON per change and child (none)"),
    AP_INIT_TAKE1("FailoverMonitor", set_monitor, NULL, RSRC_CONF | ACCESS_CONF,
                  "On, Outages or Off: which pings requests here trigger (On)"),
    AP_INIT_TAKE_ARGV("FailoverUses", httpd_uses_declare, NULL, RSRC_CONF | ACCESS_CONF,
                      "NAME ... or none: the services that requests here depend on, whose outcome "
                      "counts for their breakers"),
    AP_INIT_TAKE_ARGV("FailoverRequire", httpd_closure_require, NULL, OR_FILEINFO,
                      "NAME ... or none: services without which nothing is served here (503)"),
    AP_INIT_TAKE123("FailoverOutageDocument", httpd_closure_document, NULL, OR_FILEINFO,
                    "NAME /local/url [status], or none: what is served here instead while a "
                    "service is down (503)"),
    AP_INIT_TAKE1("FailoverErrorHeader", httpd_error_header_declare, NULL, RSRC_CONF | ACCESS_CONF,
                  "NAME or none: a response header by which an application reports errors of "
                  "services (none)"),
    AP_INIT_TAKE1("FailoverStatus", set_permit, (void *)&status, RSRC_CONF | ACCESS_CONF,
                  "On or Off: the handler failover-status shows the status here (Off)"),
    AP_INIT_TAKE1("FailoverHealth", set_permit, (void *)&health, RSRC_CONF | ACCESS_CONF,
                  "On or Off: the handler failover-health answers here (Off)"),
    { .name = NULL },
};

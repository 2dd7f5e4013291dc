/* The command table, and the directives that set one number. */
#include "httpd/httpd_declare.h"

#include "core/fo_parse.h"
#include "httpd/httpd_match.h"

#include <http_core.h>
#include <string.h>

#define MS ((apr_int64_t)1000)
#define HOUR (3600 * APR_USEC_PER_SEC)
#define DAY (24 * HOUR)

/* The policy that a directive speaks of: a block's, else the server's. */
static fo_policy_t *policy_of(cmd_parms *cmd)
{
    httpd_service_t *service = httpd_declare_open(cmd);

    return service ? &service->policy : &httpd_server_of(cmd->server)->policy;
}

static const char *read_span(cmd_parms *cmd, const char *text, apr_interval_time_t low,
                             apr_interval_time_t high, apr_int64_t *ret_span)
{
    char from[FO_SPAN_TEXT], to[FO_SPAN_TEXT];
    apr_interval_time_t span = 0;
    const char *error = fo_parse_duration(text, &span, cmd->pool);

    if (!error && (span < low || span > high))
        error = apr_psprintf(cmd->pool, "'%s' is not within %s and %s", text,
                             low ? fo_span_text(low, from) : "0", fo_span_text(high, to));
    if (!error)
        *ret_span = span;
    return error;
}

/* A directive of one span. */
typedef struct span_t {
    fo_policy_e number;
    apr_interval_time_t low;
    apr_interval_time_t high;
} span_t;

static const span_t monitoring = { FO_POLICY_MONITORING, 10 * MS, 30 * DAY };
static const span_t outage = { FO_POLICY_OUTAGE, 10 * MS, 30 * DAY };
static const span_t error_span = { FO_POLICY_ERROR, 10 * MS, DAY };
static const span_t logging = { FO_POLICY_LOGGING, APR_USEC_PER_SEC, 365 * DAY };

static const char *set_span(cmd_parms *cmd, void *unused, const char *text)
{
    const span_t *span = cmd->info;

    (void)unused;
    return httpd_prefixed(cmd, read_span(cmd, text, span->low, span->high,
                                         &policy_of(cmd)->value[span->number]));
}

/* One value below the built-in DOWN sets both. */
static const char *set_ping_timeout(cmd_parms *cmd, void *unused, const char *up, const char *down)
{
    fo_policy_t *policy = policy_of(cmd);
    apr_int64_t timeout_up = 0, timeout_down = 0;
    const char *error = read_span(cmd, up, MS, HOUR, &timeout_up);

    (void)unused;
    if (!error && down)
        error = read_span(cmd, down, MS, HOUR, &timeout_down);
    if (error)
        return httpd_prefixed(cmd, error);
    policy->value[FO_POLICY_TIMEOUT_UP] = timeout_up;
    if (down)
        policy->value[FO_POLICY_TIMEOUT_DOWN] = timeout_down;
    else if (timeout_up < fo_policy_built_in()->value[FO_POLICY_TIMEOUT_DOWN])
        policy->value[FO_POLICY_TIMEOUT_DOWN] = timeout_up;
    return NULL;
}

static const char *set_ping_wait(cmd_parms *cmd, void *unused, const char *text)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);

    (void)unused;
    return error ? error
                 : httpd_prefixed(cmd, read_span(cmd, text, 0, 60 * APR_USEC_PER_SEC,
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

static const char *set_spread(cmd_parms *cmd, void *unused, const char *text)
{
    (void)unused;
    return httpd_prefixed(cmd,
                          fo_parse_number(text, 0, 100, &policy_of(cmd)->value[FO_POLICY_SPREAD],
                                          cmd->pool));
}

/* The keys of FailoverThresholds. */
static const struct {
    const char *key;
    fo_policy_e number;
    bool is_span;
} thresholds[] = {
    { "fall", FO_POLICY_FALL, false },
    { "rise", FO_POLICY_RISE, false },
    { "confirm", FO_POLICY_CONFIRM, true },
    { "cap", FO_POLICY_CAP, true },
};

static const char *set_threshold(cmd_parms *cmd, void *unused, const char *word)
{
    apr_int64_t *value = policy_of(cmd)->value;
    const char *sign = strchr(word, '=');
    const char *error;

    (void)unused;
    for (size_t i = 0; sign && i < sizeof(thresholds) / sizeof(thresholds[0]); i++) {
        if (strlen(thresholds[i].key) != (size_t)(sign - word) ||
            strncmp(thresholds[i].key, word, (size_t)(sign - word)) != 0)
            continue;
        error = thresholds[i].is_span
                    ? read_span(cmd, sign + 1, 10 * MS, HOUR, &value[thresholds[i].number])
                    : fo_parse_number(sign + 1, 1, 1000, &value[thresholds[i].number], cmd->pool);
        return error ? apr_psprintf(cmd->pool, "FailoverThresholds: %s=: %s", thresholds[i].key,
                                    error)
                     : NULL;
    }
    return apr_psprintf(cmd->pool,
                        "FailoverThresholds: '%s' is none of fall=N, rise=N, confirm=SPAN "
                        "and cap=SPAN",
                        word);
}

/* A word that stands for a number. */
typedef struct word_t {
    const char *word;
    apr_int64_t value;
} word_t;

static const word_t modes[] = { { "enforce", 0 }, { "observe", 1 }, { NULL, 0 } };
static const word_t monitors[] = {
    { "On", HTTPD_MONITOR_ON },
    { "Outages", HTTPD_MONITOR_OUTAGES },
    { "Off", HTTPD_MONITOR_OFF },
    { NULL, 0 },
};

static const char *read_word(cmd_parms *cmd, const word_t *words, const char *text,
                             apr_int64_t *ret_value)
{
    const char *allowed = "";

    for (; words->word; words++) {
        if (strcasecmp(words->word, text) == 0) {
            *ret_value = words->value;
            return NULL;
        }
        allowed = apr_pstrcat(cmd->pool, allowed, *allowed ? ", " : "", words->word, NULL);
    }
    return apr_psprintf(cmd->pool, "%s: '%s' is none of %s", cmd->cmd->name, text, allowed);
}

static const char *set_mode(cmd_parms *cmd, void *unused, const char *text)
{
    (void)unused;
    return read_word(cmd, modes, text, &policy_of(cmd)->value[FO_POLICY_OBSERVE]);
}

/* A directive that says one of two things of all services. */
typedef struct way_t {
    const word_t *words;
    size_t offset; /* of a bool, in fo_ways_t */
} way_t;

static const word_t switches[] = { { "On", 1 }, { "Off", 0 }, { NULL, 0 } };
static const word_t loggings[] = { { "first", 0 }, { "child", 1 }, { NULL, 0 } };
static const word_t scopes[] = { { "child", 0 }, { "server", 1 }, { NULL, 0 } };

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
        error = read_word(cmd, way->words, text, &value);
    if (!error)
        *(bool *)((char *)&httpd_config()->ways + way->offset) = value != 0;
    return error;
}

static const char *read_lease(cmd_parms *cmd, const char *word, apr_int64_t *ret_lease)
{
    const char *error;

    if (strncmp(word, "lease=", 6) != 0)
        return apr_psprintf(cmd->pool, "'%s' is not lease=SPAN", word);
    error = read_span(cmd, word + 6, 100 * MS, HOUR, ret_lease);
    return error ? apr_pstrcat(cmd->pool, "lease=: ", error, NULL) : NULL;
}

static const char *set_scope(cmd_parms *cmd, void *unused, const char *text, const char *word)
{
    const char *error = ap_check_cmd_context(cmd, GLOBAL_ONLY);
    apr_int64_t is_server = 0, lease = HTTPD_LEASE;

    (void)unused;
    if (!error)
        error = read_word(cmd, scopes, text, &is_server);
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

/* In a section for a part of the URL space cmd->path tells which. */
static const char *set_monitor(cmd_parms *cmd, void *directory, const char *text)
{
    httpd_server_t *server = httpd_server_of(cmd->server);
    apr_int64_t monitor = HTTPD_MONITOR_UNSET;
    const char *error = read_word(cmd, monitors, text, &monitor);

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

static const char *set_status(cmd_parms *cmd, void *directory, const char *text)
{
    httpd_directory_t *section = directory;
    apr_int64_t is_on = 0;
    const char *error = read_word(cmd, switches, text, &is_on);

    if (error)
        return error;
    section->says |= HTTPD_SAYS_STATUS;
    section->shows_status = is_on;
    if (is_on)
        httpd_status_serve();
    return NULL;
}

/* What may stand in a block, and only there. */
static const char *const block_only[] = {
    "FailoverEndpoint", "FailoverSetEnv", "FailoverUnsetEnv", "FailoverAlias", "FailoverNote",
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
};

bool httpd_directive_fits_block(const char *name)
{
    return fo_is_listed(name, block_only, sizeof(block_only) / sizeof(block_only[0])) ||
           fo_is_listed(name, block_too, sizeof(block_too) / sizeof(block_too[0]));
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
    AP_INIT_TAKE123("FailoverSetEnv", httpd_declare_set_env, NULL, RSRC_CONF,
                    "VAR [value [unsafe]]: a variable's value while the service is down"),
    AP_INIT_ITERATE("FailoverUnsetEnv", httpd_declare_unset_env, NULL, RSRC_CONF,
                    "VAR ...: variables that are absent while the service is down"),
    AP_INIT_TAKE2("FailoverAlias", httpd_declare_alias, NULL, RSRC_CONF,
                  "ALIAS_ STAND_IN_: variables that take their counterparts' values while the "
                  "service is down"),
    AP_INIT_TAKE123("FailoverNote", httpd_declare_note, NULL, RSRC_CONF,
                    "NAME [value [unsafe]]: a request note's value while the service is down"),
    AP_INIT_TAKE1("FailoverMonitoringPingFrequency", set_span, (void *)&monitoring, RSRC_CONF,
                  "the least span between two pings while up (120s)"),
    AP_INIT_TAKE1("FailoverOutagePingFrequency", set_span, (void *)&outage, RSRC_CONF,
                  "the least span between two pings while down (30s)"),
    AP_INIT_TAKE1("FailoverErrorPingFrequency", set_span, (void *)&error_span, RSRC_CONF,
                  "the least span between two pings after an error, while unknown or rising (5s)"),
    AP_INIT_TAKE1("FailoverOutageLoggingFrequency", set_span, (void *)&logging, RSRC_CONF,
                  "how often a lasting outage is logged again (3600s)"),
    AP_INIT_TAKE12("FailoverPingTimeout", set_ping_timeout, NULL, RSRC_CONF,
                   "UP [DOWN]: the time for one ping while usable (3s) and while down (1s)"),
    AP_INIT_TAKE1(
        "FailoverPingWait", set_ping_wait, NULL, RSRC_CONF,
        "the most that the request which triggers pings waits for them (100ms; 0: never)"),
    AP_INIT_TAKE1("FailoverPingConcurrency", set_ping_concurrency, NULL, RSRC_CONF,
                  "how many children ping an endpoint at a time (16)"),
    AP_INIT_RAW_ARGS("FailoverErrorMatch", httpd_match_declare, NULL, RSRC_CONF,
                     "[add|only] [from=MODULE,...] PATTERN ...: which entries of the error log "
                     "trigger a ping: errno names, \"text\", /expressions/; or none"),
    AP_INIT_ITERATE("FailoverThresholds", set_threshold, NULL, RSRC_CONF,
                    "fall=N rise=N [confirm=SPAN] [cap=SPAN]: consecutive pings needed for a "
                    "change (1 1 1s 10s)"),
    AP_INIT_TAKE1("FailoverMode", set_mode, NULL, RSRC_CONF,
                  "enforce or observe: observe only logs (enforce)"),
    AP_INIT_TAKE1("FailoverSpread", set_spread, NULL, RSRC_CONF,
                  "percent by which spans are stretched at random, so that children part (5)"),
    AP_INIT_TAKE1("FailoverInherit", set_way, (void *)&inherit, RSRC_CONF,
                  "On or Off: a new child starts from what its siblings see (On)"),
    AP_INIT_TAKE1("FailoverTimer", set_way, (void *)&timer, RSRC_CONF,
                  "On or Off: pings also run in a child that has no requests (Off)"),
    AP_INIT_TAKE1("FailoverOutageLogging", set_way, (void *)&outage_logging, RSRC_CONF,
                  "first or child: whose outages and recoveries are crit and notice (first)"),
    AP_INIT_TAKE12("FailoverScope", set_scope, NULL, RSRC_CONF,
                   "child, or server [lease=SPAN]: one child pings for all (child; 10s)"),
    AP_INIT_TAKE1("FailoverMonitor", set_monitor, NULL, RSRC_CONF | ACCESS_CONF,
                  "On, Outages or Off: which pings requests here trigger (On)"),
    AP_INIT_TAKE1("FailoverStatus", set_status, NULL, RSRC_CONF | ACCESS_CONF,
                  "On or Off: the handler failover-status shows the status here (Off)"),
    { .name = NULL },
};

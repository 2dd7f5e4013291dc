#include "httpd/httpd_policy.h"

#include "core/fo_parse.h"
#include "httpd/httpd_declare.h"
#include "httpd/httpd_words.h"

#include <string.h>

/* The policy that a directive speaks of: a block's, else the server's. */
static fo_policy_t *policy_of(cmd_parms *cmd)
{
    httpd_service_t *service = httpd_declare_open(cmd);

    return service ? &service->policy : &httpd_server_of(cmd->server)->policy;
}

const httpd_span_t httpd_span_monitoring = { FO_POLICY_MONITORING, 10 * HTTPD_MS, 30 * HTTPD_DAY };
const httpd_span_t httpd_span_outage = { FO_POLICY_OUTAGE, 10 * HTTPD_MS, 30 * HTTPD_DAY };
const httpd_span_t httpd_span_error = { FO_POLICY_ERROR, 10 * HTTPD_MS, HTTPD_DAY };
const httpd_span_t httpd_span_grace = { FO_POLICY_GRACE, 0, 30 * HTTPD_DAY };
const httpd_span_t httpd_span_logging = { FO_POLICY_LOGGING, APR_USEC_PER_SEC, 365 * HTTPD_DAY };

const char *httpd_policy_set_span(cmd_parms *cmd, void *unused, const char *text)
{
    const httpd_span_t *span = cmd->info;

    (void)unused;
    return httpd_prefixed(cmd, httpd_read_span(cmd, text, span->low, span->high,
                                               &policy_of(cmd)->value[span->number]));
}

/* One value below the built-in DOWN sets both. */
const char *httpd_policy_set_ping_timeout(cmd_parms *cmd, void *unused, const char *up,
                                          const char *down)
{
    fo_policy_t *policy = policy_of(cmd);
    apr_int64_t timeout_up = 0, timeout_down = 0;
    const char *error = httpd_read_span(cmd, up, HTTPD_MS, HTTPD_HOUR, &timeout_up);

    (void)unused;
    if (!error && down)
        error = httpd_read_span(cmd, down, HTTPD_MS, HTTPD_HOUR, &timeout_down);
    if (error)
        return httpd_prefixed(cmd, error);
    policy->value[FO_POLICY_TIMEOUT_UP] = timeout_up;
    if (down)
        policy->value[FO_POLICY_TIMEOUT_DOWN] = timeout_down;
    else if (timeout_up < fo_policy_built_in()->value[FO_POLICY_TIMEOUT_DOWN])
        policy->value[FO_POLICY_TIMEOUT_DOWN] = timeout_up;
    return NULL;
}

const char *httpd_policy_set_spread(cmd_parms *cmd, void *unused, const char *text)
{
    (void)unused;
    return httpd_prefixed(cmd,
                          fo_parse_number(text, 0, 100, &policy_of(cmd)->value[FO_POLICY_SPREAD],
                                          cmd->pool));
}

static const httpd_word_t modes[] = { { "enforce", 0 }, { "observe", 1 }, { NULL, 0 } };
static const httpd_word_t failbacks[] = { { "auto", 0 }, { "manual", 1 }, { NULL, 0 } };
static const httpd_word_t counts[] = { { "errors", 0 }, { "5xx", 1 }, { NULL, 0 } };
static const httpd_word_t trips[] = { { "ping", 0 }, { "open", 1 }, { NULL, 0 } };
static const httpd_word_t policies[] = {
    { "majority", FO_PROBES_MAJORITY },
    { "all", FO_PROBES_ALL },
    { "any", FO_PROBES_ANY },
    { NULL, 0 },
};
/* A word key=value of a directive that takes several. */
typedef struct part_t {
    const char *key;
    fo_policy_e number;
    const httpd_word_t *words; /* NULL: a number or a span */
    bool is_span;
    bool is_rate; /* 0 to 1, in millionths */
    apr_int64_t low;
    apr_int64_t high;
} part_t;

static const part_t thresholds[] = {
    { "fall", FO_POLICY_FALL, .low = 1, .high = 1000 },
    { "rise", FO_POLICY_RISE, .low = 1, .high = 1000 },
    { "confirm", FO_POLICY_CONFIRM, .is_span = true, .low = 10 * HTTPD_MS, .high = HTTPD_HOUR },
    { "cap", FO_POLICY_CAP, .is_span = true, .low = 10 * HTTPD_MS, .high = HTTPD_HOUR },
    { .key = NULL },
};
static const part_t probes_parts[] = {
    { "delay", FO_POLICY_PROBES_DELAY, .is_span = true, .low = 0, .high = HTTPD_HOUR },
    { "policy", FO_POLICY_PROBES_MUST, .words = policies },
    { .key = NULL },
};
static const part_t failback_parts[] = {
    { "interval", FO_POLICY_FAILBACK, .is_span = true, .low = 10 * HTTPD_MS,
      .high = 30 * HTTPD_DAY },
    { .key = NULL },
};
static const part_t attempts_parts[] = {
    { "delay", FO_POLICY_ATTEMPT, .is_span = true, .low = 10 * HTTPD_MS, .high = 30 * HTTPD_DAY },
    { .key = NULL },
};

static const part_t breaker_parts[] = {
    { "window", FO_POLICY_WINDOW, .is_span = true, .low = 100 * HTTPD_MS, .high = HTTPD_HOUR },
    { "failures", FO_POLICY_FAILURES, .low = 0, .high = 1000000 },
    { "rate", FO_POLICY_RATE, .is_rate = true },
    { "consecutive", FO_POLICY_STREAK, .low = 1, .high = 1000000 },
    { "reset", FO_POLICY_RESET, .is_span = true, .low = 10 * HTTPD_MS, .high = 10 * HTTPD_MINUTE },
    { "count", FO_POLICY_COUNTS_5XX, .words = counts },
    { "trip", FO_POLICY_OPENS, .words = trips },
    { .key = NULL },
};

static const char *read_part(cmd_parms *cmd, const part_t *part, const char *text,
                             apr_int64_t *ret_value)
{
    const char *error;

    if (part->words)
        error = httpd_read_word(cmd, part->words, text, ret_value);
    else if (part->is_rate)
        error = fo_parse_rate(text, ret_value, cmd->pool);
    else if (part->is_span)
        error = httpd_read_span(cmd, text, part->low, part->high, ret_value);
    else
        error = fo_parse_number(text, part->low, part->high, ret_value, cmd->pool);
    return error ? apr_pstrcat(cmd->pool, part->key, "=: ", error, NULL) : NULL;
}

static const char *part_names(cmd_parms *cmd, const part_t *parts)
{
    const char *names = "";

    for (; parts->key; parts++)
        names = apr_pstrcat(cmd->pool, names, *names ? ", " : "", parts->key, "=", NULL);
    return names;
}

/* key=value, into the policy. */
static const char *set_part(cmd_parms *cmd, const part_t *parts, const char *word)
{
    const char *sign = strchr(word, '=');

    for (const part_t *part = parts; sign && part->key; part++)
        if (strlen(part->key) == (size_t)(sign - word) &&
            strncmp(part->key, word, (size_t)(sign - word)) == 0)
            return read_part(cmd, part, sign + 1, &policy_of(cmd)->value[part->number]);
    return apr_psprintf(cmd->pool, "'%s' is none of %s", word, part_names(cmd, parts));
}

const char *httpd_policy_set_threshold(cmd_parms *cmd, void *unused, const char *word)
{
    (void)unused;
    return httpd_prefixed(cmd, set_part(cmd, thresholds, word));
}

static const char *set_parts(cmd_parms *cmd, const part_t *parts, int argc, char *const argv[])
{
    const char *error = NULL;

    for (int i = 0; !error && i < argc; i++)
        error = set_part(cmd, parts, argv[i]);
    return error;
}

static const char *missing(cmd_parms *cmd, const char *syntax)
{
    return apr_pstrcat(cmd->pool, cmd->cmd->name, " ", syntax, ": a word is missing", NULL);
}

const char *httpd_policy_set_probes(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    apr_int64_t *value = policy_of(cmd)->value;
    const char *error;

    (void)unused;
    if (argc < 1)
        return missing(cmd, "N [delay=SPAN] [policy=majority|all|any]");
    error = fo_parse_number(argv[0], 1, FO_PROBES_MAX, &value[FO_POLICY_PROBES], cmd->pool);
    if (!error && value[FO_POLICY_PROBES] == 1 && argc > 1)
        error = apr_psprintf(cmd->pool,
                             "'%s' says something of several probes, and there is one: write "
                             "FailoverProbes 1, or a larger number",
                             argv[1]);
    if (!error)
        error = set_parts(cmd, probes_parts, argc - 1, argv + 1);
    return httpd_prefixed(cmd, error);
}

const char *httpd_policy_set_failback(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    apr_int64_t *value = policy_of(cmd)->value;
    const char *error;

    (void)unused;
    if (argc < 1)
        return missing(cmd, "auto|manual [interval=SPAN]");
    error = httpd_read_word(cmd, failbacks, argv[0], &value[FO_POLICY_STAYS]);
    if (!error && value[FO_POLICY_STAYS] && argc > 1)
        error = apr_psprintf(cmd->pool, "'%s' belongs to 'auto' alone", argv[1]);
    if (!error)
        error = set_parts(cmd, failback_parts, argc - 1, argv + 1);
    return httpd_prefixed(cmd, error);
}

const char *httpd_policy_set_attempts(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    const char *error;

    (void)unused;
    if (argc < 1)
        return missing(cmd, "N [delay=SPAN]");
    error = fo_parse_number(argv[0], 0, 1000000, &policy_of(cmd)->value[FO_POLICY_ATTEMPTS],
                            cmd->pool);
    if (!error)
        error = set_parts(cmd, attempts_parts, argc - 1, argv + 1);
    return httpd_prefixed(cmd, error);
}

const char *httpd_policy_set_breaker(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    bool is_off = argc == 1 && strcasecmp(argv[0], "off") == 0;
    const char *error = is_off ? NULL : set_parts(cmd, breaker_parts, argc, argv);

    (void)unused;
    policy_of(cmd)->value[FO_POLICY_BREAKER] = !is_off;
    return httpd_prefixed(cmd, error);
}

/* The numbers of redis-py's documentation page. */
static const struct {
    fo_policy_e number;
    apr_int64_t value;
} multidb[] = {
    { FO_POLICY_MONITORING, 5 * APR_USEC_PER_SEC },
    { FO_POLICY_OUTAGE, 5 * APR_USEC_PER_SEC },
    { FO_POLICY_TIMEOUT_UP, APR_USEC_PER_SEC },
    { FO_POLICY_TIMEOUT_DOWN, APR_USEC_PER_SEC },
    { FO_POLICY_PROBES, 3 },
    { FO_POLICY_PROBES_DELAY, 500 * HTTPD_MS },
    { FO_POLICY_PROBES_MUST, FO_PROBES_MAJORITY },
    { FO_POLICY_GRACE, 60 * APR_USEC_PER_SEC },
    { FO_POLICY_STAYS, 0 },
    { FO_POLICY_FAILBACK, 30 * APR_USEC_PER_SEC },
    { FO_POLICY_ATTEMPTS, 10 },
    { FO_POLICY_ATTEMPT, 12 * APR_USEC_PER_SEC },
};

/* Lines behind it in the same place change single numbers. */
const char *httpd_policy_set_preset(cmd_parms *cmd, void *unused, const char *name)
{
    (void)unused;
    if (strcasecmp(name, "multidb") != 0)
        return apr_psprintf(cmd->pool, "FailoverPreset: '%s' is none of multidb", name);
    for (size_t i = 0; i < sizeof(multidb) / sizeof(multidb[0]); i++)
        policy_of(cmd)->value[multidb[i].number] = multidb[i].value;
    return NULL;
}

const char *httpd_policy_set_mode(cmd_parms *cmd, void *unused, const char *text)
{
    (void)unused;
    return httpd_prefixed(cmd, httpd_read_word(cmd, modes, text,
                                               &policy_of(cmd)->value[FO_POLICY_OBSERVE]));
}

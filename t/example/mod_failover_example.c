/*
 * mod_failover_example.c: a probe for servers that speak first, such as FTP, SMTP or SSH.
 *
 *     FailoverService mail banner://mail.example.com:25 "expect=220 " MAIL=off
 *
 * passes when the first line begins with the expected words. doc/add-a-probe.md walks through it.
 *
 * And a listener, which tells the error log of each change, and fails where a service is called
 * "sulky". doc/events.md has more.
 */
#include <mod_failover.h>

#include <ap_provider.h>
#include <apr_optional_hooks.h>
#include <httpd.h>
#include <http_config.h>
#include <http_log.h>
#include <http_main.h>
#include <string.h>

extern module AP_MODULE_DECLARE_DATA failover_example_module;

APLOG_USE_MODULE(failover_example);

typedef struct conf_t {
    const char *expect;
} conf_t;

typedef struct state_t {
    const conf_t *conf;
} state_t;

static const char *const known_options[] = { "expect", NULL };

static const char *configure(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, void **ret_conf, const char **ret_warning,
                             apr_pool_t *pool)
{
    conf_t *conf = apr_pcalloc(pool, sizeof(*conf));

    if (login->user || login->has_secret || url->path[0])
        return "banner:// takes no user, no password and no path";
    conf->expect = apr_table_get(options, "expect");
    if (!conf->expect) {
        conf->expect = "";
        *ret_warning = "without expect= any line passes";
    }
    *ret_conf = conf;
    return NULL;
}

static void begin(void *opaque, const void *conf, const fo_ask_t *ask)
{
    state_t *state = opaque;

    (void)ask;
    state->conf = conf;
}

static void judge(const state_t *state, const fo_talk_t *talk, apr_size_t length,
                  fo_report_t *report)
{
    char text[FO_REPORT_TEXT];
    apr_size_t expected = strlen(state->conf->expect);

    if (length > 0 && talk->in[length - 1] == '\r')
        length--;
    if (length >= expected && memcmp(talk->in, state->conf->expect, expected) == 0) {
        fo_report_fill(report, FO_VERDICT_PASS, 0, 0, NULL);
        return;
    }
    apr_snprintf(text, sizeof(text), "said '%.*s'", length < 60 ? (int)length : 60, talk->in);
    fo_report_fill(report, FO_VERDICT_FAIL, 0, 0, text);
}

static fo_progress_e turn(void *state, fo_talk_event_e event, fo_talk_t *talk, fo_report_t *report)
{
    const char *end;

    report->stage = FO_STAGE_ANSWER; /* what a time-out will be reported as */
    if (event != FO_TALK_DATA)
        return FO_MORE; /* connected: it is the server's turn; closed: the driver reports it */
    end = memchr(talk->in, '\n', talk->in_length);
    if (!end)
        return FO_MORE;
    judge(state, talk, (apr_size_t)(end - talk->in), report);
    return FO_DONE;
}

static const fo_dialogue_t dialogue = {
    .state_size = sizeof(state_t),
    .begin = begin,
    .turn = turn,
};

static const fo_probe_t probe = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "banner",
    .summary = "waits for the line with which a server greets",
    .example = "banner://mail.example.com:25",
    .max_hosts = 1,
    .options = known_options,
    .configure = configure,
    .dialogue = &dialogue,
};

static const char *on_change(const fo_event_t *event)
{
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, ap_server_conf, "example: %s %s %s %s %s %s %u",
                 event->service, event->name, event->endpoint, event->other ? event->other : "-",
                 event->before, event->after, event->epoch);
    return strcmp(event->service, "sulky") == 0 ? "I am not in the mood" : NULL;
}

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, FO_PROBE_GROUP, "banner", FO_PROBE_VERSION, &probe);
    APR_OPTIONAL_HOOK(fo, failover_change, on_change, NULL, NULL, APR_HOOK_MIDDLE);
}

module AP_MODULE_DECLARE_DATA failover_example_module = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};

#include "probe/probe_lag.h"

#include "core/fo_parse.h"
#include "probe/probe_curl.h"
#include "probe/probe_lag_json.h"

#include <stdlib.h>
#include <string.h>

#define ANSWER_MAX ((apr_size_t)1024 * 1024)
#define TOLERANCE_MAX (3600 * APR_USEC_PER_SEC)

typedef struct conf_t {
    probe_curl_site_t site;
    fo_host_t database; /* where clients reach it; port 0: any */
    int tolerance;      /* milliseconds */
    const char *list_url;
} conf_t;

typedef struct state_t {
    const conf_t *conf;
    probe_curl_t curl;
    bool is_found; /* the second request is under way */
    char *answer;
    apr_size_t n_answer;
} state_t;

/* ---------------------------------------------------------------- configuration */

static const char *read_tolerance(const char *value, conf_t *conf, apr_pool_t *pool)
{
    apr_interval_time_t tolerance = 100 * 1000;
    const char *error = value ? fo_parse_duration(value, &tolerance, pool) : NULL;

    if (!error && (tolerance < 1000 || tolerance > TOLERANCE_MAX))
        error = apr_psprintf(pool, "'%s' is not within 1ms and 1h", value);
    conf->tolerance = (int)apr_time_as_msec(tolerance);
    return error ? apr_pstrcat(pool, "tolerance=: ", error, NULL) : NULL;
}

/* "redis-12000.cluster.example.com", "10.0.0.1:12000", "[2001:db8::1]:12000" */
static const char *read_database(const char *value, const fo_url_t *url, conf_t *conf,
                                 apr_pool_t *pool)
{
    char *name = NULL, *zone = NULL;
    apr_port_t port = 0;

    if (!value) {
        conf->database = (fo_host_t){ .name = url->hosts[0].name };
        return NULL;
    }
    if (apr_parse_addr_port(&name, &zone, &port, value, pool) != APR_SUCCESS || !name || zone ||
        strpbrk(name, "/@ "))
        return apr_psprintf(pool,
                            "database=: '%s' is not where clients reach it: HOST or HOST:PORT, an "
                            "IPv6 address in brackets",
                            value);
    conf->database = (fo_host_t){ .name = name, .port = port };
    return NULL;
}

static const char *configure(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, void **ret_conf, const char **ret_warning,
                             apr_pool_t *pool)
{
    conf_t *conf = apr_pcalloc(pool, sizeof(*conf));
    const char *error = read_tolerance(apr_table_get(options, "tolerance"), conf, pool);

    (void)ret_warning;
    if (!error && url->path[0] && url->path[1])
        return apr_psprintf(pool, "%s: redis-lag+https:// takes no path", url->text);
    if (!error)
        error = read_database(apr_table_get(options, "database"), url, conf, pool);
    if (!error)
        error = probe_curl_configure(url, login, true, &conf->site, pool);
    if (error)
        return error;
    conf->list_url = apr_pstrcat(pool, conf->site.base, "/v1/bdbs", NULL);
    *ret_conf = conf;
    return NULL;
}

/* ---------------------------------------------------------------- a ping */

/* In steps that double, so that most need two or three. */
static bool take(void *opaque, const char *bytes, apr_size_t n)
{
    state_t *state = opaque;
    apr_size_t room = 16 * 1024, need = state->n_answer + n;
    char *larger;

    while (room < need)
        room *= 2;
    larger = realloc(state->answer, room);
    if (!larger)
        return false;
    state->answer = larger;
    memcpy(larger + state->n_answer, bytes, n);
    state->n_answer = need;
    return true;
}

static probe_curl_e get(state_t *state, const char *url, const struct curl_slist *headers,
                        fo_wait_t *ret_wait, fo_report_t *report)
{
    const probe_curl_request_t request = {
        .method = "GET",
        .url = url,
        .headers = headers,
        .body_max = ANSWER_MAX,
        .take = take,
        .baton = state,
    };

    state->n_answer = 0;
    return probe_curl_send(&state->curl, &request, ret_wait, report);
}

static const char *answer_of(const state_t *state)
{
    return state->answer ? state->answer : "";
}

static probe_curl_e fail(fo_report_t *report, const char *text)
{
    fo_report_fill(report, FO_VERDICT_FAIL, 0, 0, text);
    return PROBE_CURL_OVER;
}

static probe_curl_e ask_availability(state_t *state, fo_wait_t *ret_wait, fo_report_t *report)
{
    static const struct curl_slist headers = { .data = "Connection: close" };
    char text[FO_REPORT_TEXT], url[512];
    apr_int64_t uid = 0;
    const char *error = probe_lag_find(answer_of(state), state->n_answer, &state->conf->database,
                                       &uid, text);

    if (error)
        return fail(report, error);
    apr_snprintf(url, sizeof(url),
                 "%s/v1/bdbs/%" APR_INT64_T_FMT
                 "/availability?extend_check=lag&availability_lag_tolerance_ms=%d",
                 state->conf->site.base, uid, state->conf->tolerance);
    state->is_found = true;
    return get(state, url, &headers, ret_wait, report);
}

/* Both answers are judged alike: 2xx, and no longer than it may be. */
static probe_curl_e judge(state_t *state, fo_wait_t *ret_wait, fo_report_t *report)
{
    char text[FO_REPORT_TEXT];

    if (state->curl.status < 200 || state->curl.status > 299) {
        probe_curl_refuse(&state->curl, FO_VERDICT_FAIL,
                          probe_lag_words(answer_of(state), state->n_answer, text), report);
        return PROBE_CURL_OVER;
    }
    if (state->curl.is_long)
        return fail(report, "the answer has more than 1 MiB");
    if (!state->is_found)
        return ask_availability(state, ret_wait, report);
    fo_report_fill(report, FO_VERDICT_PASS, 0, 0, NULL);
    return PROBE_CURL_OVER;
}

static fo_progress_e after(state_t *state, probe_curl_e came, fo_wait_t *ret_wait,
                           fo_report_t *report)
{
    while (came == PROBE_CURL_ANSWERED) /* the second answer may be there at once */
        came = judge(state, ret_wait, report);
    return came == PROBE_CURL_MORE ? FO_MORE : FO_DONE;
}

static fo_progress_e begin(void *opaque, const void *conf, const fo_ask_t *ask, fo_wait_t *ret_wait,
                           fo_report_t *report)
{
    state_t *state = opaque;

    report->stage = FO_STAGE_CONNECT;
    state->conf = conf;
    state->curl.site = &state->conf->site;
    state->curl.ask = ask;
    return after(state, get(state, state->conf->list_url, NULL, ret_wait, report), ret_wait,
                 report);
}

static fo_progress_e step(void *opaque, short ready, fo_wait_t *ret_wait, fo_report_t *report)
{
    state_t *state = opaque;

    return after(state, probe_curl_step(&state->curl, ready, ret_wait, report), ret_wait, report);
}

static void end(void *opaque)
{
    state_t *state = opaque;

    probe_curl_close(&state->curl);
    free(state->answer);
}

static const fo_steps_t steps = {
    .state_size = sizeof(state_t),
    .begin = begin,
    .step = step,
    .end = end,
};

static const char *const options[] = { "tolerance", "database", NULL };

const fo_probe_t fo_probe_lag = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "redis-lag+https",
    .summary = "asks Redis Enterprise whether the database is available and within the lag allowed",
    .example = "redis-lag+https://monitor@redis.example.com:9443",
    .port = 9443,
    .max_hosts = 1,
    .options = options,
    .tls = FO_TLS_ALWAYS,
    .timeout = 30 * APR_USEC_PER_SEC,
    .configure = configure,
    .child_init = probe_curl_child_init,
    .steps = &steps,
};

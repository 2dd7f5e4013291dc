#include "probe/probe_http.h"

#include "core/fo_parse.h"
#include "probe/probe_curl.h"
#include "probe/probe_http_options.h"

#include <string.h>

#define BODY_MAX 1048576
#define BODY_MAX_MAX 16777216
#define TEXT_MAX 1024

/* Those that change nothing on the server. */
static const char *const methods[] = { "GET", "HEAD", "OPTIONS" };

/* A text that is looked for while it comes in pieces, by Knuth, Morris and Pratt. */
typedef struct text_t {
    const char *bytes;
    apr_size_t length;
    unsigned short *border; /* of bytes[0..i]: how much of its beginning is its end as well */
} text_t;

typedef struct conf_t {
    probe_curl_site_t site;
    probe_http_statuses_t statuses;
    probe_curl_request_t request; /* but for the baton */
    text_t text;                  /* length 0: none is wanted */
} conf_t;

typedef struct state_t {
    const conf_t *conf;
    probe_curl_t curl;
    apr_size_t matched; /* bytes of the text, at the end of what has come */
    bool is_found;
} state_t;

/* ---------------------------------------------------------------- configuration */

static const char *read_method(const char *value, conf_t *conf, apr_pool_t *pool)
{
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (strcmp(value, methods[i]) == 0) {
            conf->request.method = methods[i];
            return NULL;
        }
    return apr_psprintf(pool, "method=: '%s' is none of GET, HEAD and OPTIONS", value);
}

static const char *read_statuses(const char *value, conf_t *conf, apr_pool_t *pool)
{
    return probe_http_read_statuses(value, &conf->statuses, pool);
}

static const char *read_body(const char *value, conf_t *conf, apr_pool_t *pool)
{
    text_t text = { .bytes = value, .length = strlen(value) };
    unsigned short k = 0;

    if (!text.length || text.length > TEXT_MAX)
        return apr_psprintf(pool, "body=: a text of 1 to %d bytes is looked for", TEXT_MAX);
    text.border = apr_pcalloc(pool, text.length * sizeof(*text.border));
    for (apr_size_t i = 1; i < text.length; i++) {
        while (k && value[k] != value[i])
            k = text.border[k - 1];
        if (value[k] == value[i])
            k++;
        text.border[i] = k;
    }
    conf->text = text;
    return NULL;
}

static const char *read_body_max(const char *value, conf_t *conf, apr_pool_t *pool)
{
    apr_int64_t most = 0;
    const char *error = fo_parse_number(value, 1, BODY_MAX_MAX, &most, pool);

    conf->request.body_max = (apr_size_t)most;
    return error ? apr_pstrcat(pool, "max-body=: ", error, " of bytes", NULL) : NULL;
}

static void add_header(const char *line, conf_t *conf, apr_pool_t *pool)
{
    struct curl_slist *header = apr_palloc(pool, sizeof(*header));

    *header = (struct curl_slist){
        .data = apr_pstrdup(pool, line),
        .next = (struct curl_slist *)conf->request.headers,
    };
    conf->request.headers = header;
}

static const char *read_headers(const char *value, conf_t *conf, apr_pool_t *pool)
{
    apr_table_t *headers = NULL;
    const char *error = probe_http_read_headers(value, &headers, pool);
    const apr_array_header_t *array;

    if (error)
        return error;
    array = apr_table_elts(headers);
    for (int i = array->nelts - 1; i >= 0; i--) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(array, i, apr_table_entry_t);
        add_header(apr_pstrcat(pool, entry->key, ": ", entry->val, NULL), conf, pool);
    }
    return NULL;
}

static const char *read_host(const char *value, conf_t *conf, apr_pool_t *pool)
{
    const char *error = probe_http_read_host(value, pool);

    if (!error)
        add_header(apr_pstrcat(pool, "Host: ", value, NULL), conf, pool);
    return error;
}

/* query= is read with the path. */
static const struct {
    const char *key;
    const char *(*read)(const char *value, conf_t *conf, apr_pool_t *pool);
} readers[] = {
    { "method", read_method },     { "status", read_statuses }, { "body", read_body },
    { "max-body", read_body_max }, { "header", read_headers },  { "host", read_host },
};

static bool take(void *opaque, const char *bytes, apr_size_t n);

static const char *read_options(const apr_table_t *options, conf_t *conf, apr_pool_t *pool)
{
    conf->request.method = methods[0];
    conf->request.body_max = BODY_MAX;
    conf->request.take = take;
    add_header("Connection: close", conf, pool);
    (void)probe_http_read_statuses("200-399", &conf->statuses, pool);
    for (size_t i = 0; i < sizeof(readers) / sizeof(readers[0]); i++) {
        const char *value = apr_table_get(options, readers[i].key);
        const char *error = value ? readers[i].read(value, conf, pool) : NULL;
        if (error)
            return error;
    }
    if (conf->text.length && strcmp(conf->request.method, "HEAD") == 0)
        return "body=: the answer to method=HEAD has none";
    return NULL;
}

static const char *configure(const fo_url_t *url, const fo_login_t *login, bool is_tls,
                             const apr_table_t *options, void **ret_conf, apr_pool_t *pool)
{
    conf_t *conf = apr_pcalloc(pool, sizeof(*conf));
    const char *target = NULL;
    const char *error = read_options(options, conf, pool);

    if (!error)
        error = probe_http_target(url->path, apr_table_get(options, "query"), &target, pool);
    if (!error)
        error = probe_curl_configure(url, login, is_tls, &conf->site, pool);
    if (error)
        return error;
    conf->request.url = apr_pstrcat(pool, conf->site.base, target, NULL);
    *ret_conf = conf;
    return NULL;
}

static const char *configure_http(const fo_url_t *url, const fo_login_t *login,
                                  const apr_table_t *options, void **ret_conf,
                                  const char **ret_warning, apr_pool_t *pool)
{
    (void)ret_warning;
    return configure(url, login, false, options, ret_conf, pool);
}

static const char *configure_https(const fo_url_t *url, const fo_login_t *login,
                                   const apr_table_t *options, void **ret_conf,
                                   const char **ret_warning, apr_pool_t *pool)
{
    (void)ret_warning;
    return configure(url, login, true, options, ret_conf, pool);
}

/* ---------------------------------------------------------------- a ping */

static bool take(void *opaque, const char *bytes, apr_size_t n)
{
    state_t *state = opaque;
    const text_t *text = &state->conf->text;

    for (apr_size_t i = 0; i < n && text->length && !state->is_found; i++) {
        while (state->matched && text->bytes[state->matched] != bytes[i])
            state->matched = text->border[state->matched - 1];
        if (text->bytes[state->matched] == bytes[i])
            state->matched++;
        state->is_found = state->matched == text->length;
    }
    return true;
}

static void judge(state_t *state, fo_report_t *report)
{
    const conf_t *conf = state->conf;
    const probe_curl_t *curl = &state->curl;
    char text[FO_REPORT_TEXT];

    if (!conf->statuses.has[curl->status]) {
        probe_curl_refuse(curl,
                          curl->status != 401 || !conf->site.user ? FO_VERDICT_FAIL
                          : conf->text.length                     ? FO_VERDICT_BARRED
                                                                  : FO_VERDICT_LOGIN,
                          "", report);
        return;
    }
    if (curl->is_long) {
        apr_snprintf(text, sizeof(text),
                     "the answer has more than %" APR_SIZE_T_FMT " bytes (max-body=)",
                     conf->request.body_max);
        fo_report_fill(report, FO_VERDICT_FAIL, 0, curl->status, text);
        return;
    }
    if (conf->text.length && !state->is_found)
        fo_report_fill(report, FO_VERDICT_FAIL, 0, curl->status,
                       "the text of body= is not in the answer");
    else
        fo_report_fill(report, FO_VERDICT_PASS, 0, 0, NULL);
}

static fo_progress_e after(state_t *state, probe_curl_e came, fo_report_t *report)
{
    if (came == PROBE_CURL_ANSWERED)
        judge(state, report);
    return came == PROBE_CURL_MORE ? FO_MORE : FO_DONE;
}

static fo_progress_e begin(void *opaque, const void *conf, const fo_ask_t *ask, fo_wait_t *ret_wait,
                           fo_report_t *report)
{
    state_t *state = opaque;
    probe_curl_request_t request;

    report->stage = FO_STAGE_CONNECT;
    state->conf = conf;
    state->curl.site = &state->conf->site;
    state->curl.ask = ask;
    request = state->conf->request;
    request.baton = state;
    return after(state, probe_curl_send(&state->curl, &request, ret_wait, report), report);
}

static fo_progress_e step(void *opaque, short ready, fo_wait_t *ret_wait, fo_report_t *report)
{
    state_t *state = opaque;

    return after(state, probe_curl_step(&state->curl, ready, ret_wait, report), report);
}

static void end(void *opaque)
{
    state_t *state = opaque;

    probe_curl_close(&state->curl);
}

static const fo_steps_t steps = {
    .state_size = sizeof(state_t),
    .begin = begin,
    .step = step,
    .end = end,
};

static const char *const options[] = { "method", "query", "header",   "host",
                                       "status", "body",  "max-body", NULL };

const fo_probe_t fo_probe_http = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "http",
    .summary = "sends an HTTP request and looks at the status, and at the body if told to",
    .example = "http://app.example.com/health",
    .port = 80,
    .max_hosts = 1,
    .options = options,
    .configure = configure_http,
    .child_init = probe_curl_child_init,
    .steps = &steps,
};

const fo_probe_t fo_probe_https = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "https",
    .summary = "sends an HTTP request over TLS and looks at the status, and at the body if told to",
    .example = "https://app.example.com/health",
    .port = 443,
    .max_hosts = 1,
    .options = options,
    .tls = FO_TLS_ALWAYS,
    .configure = configure_https,
    .child_init = probe_curl_child_init,
    .steps = &steps,
};

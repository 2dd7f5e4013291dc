/*
 * The dialogue of redis:// with any server: it stays within its buffers, never passes without a
 * PONG, never tells the password, and comes to the same whether the bytes come at once or one by
 * one. The first byte of the input chooses what is asked.
 */
#include "probe/probe_redis.h"

#include "fuzz.h"

#define IN_BYTES (16 * 1024) /* the driver's */

static const struct {
    const char *user, *secret, *path, *option, *value;
} kinds[] = {
    { NULL, NULL, "", NULL, NULL },
    { "monitor", "geheim", "/3", NULL, NULL },
    { NULL, "geheim", "", "role", "primary" },
    { NULL, NULL, "", "role", "replica" },
    { NULL, NULL, "", "cluster", "on" },
};

static const void *configure(unsigned kind, apr_pool_t *pool)
{
    static const fo_host_t host = { .name = "redis.example.com", .port = 6379 };
    fo_url_t url = { .scheme = "redis", .user = kinds[kind].user, .hosts = &host, .n_hosts = 1,
                     .path = kinds[kind].path };
    fo_login_t login = { .user = kinds[kind].user, .has_secret = kinds[kind].secret != NULL };
    apr_table_t *options = apr_table_make(pool, 1);
    const char *warning = NULL;
    void *conf = NULL;

    if (kinds[kind].option)
        apr_table_set(options, kinds[kind].option, kinds[kind].value);
    FUZZ_HOLDS(!fo_probe_redis.configure(&url, &login, options, &conf, &warning, pool), "kind %u",
               kind);
    return conf;
}

static fo_progress_e take_turn(void *state, fo_talk_event_e event, fo_talk_t *talk,
                               fo_report_t *report)
{
    fo_progress_e progress;

    talk->taken = talk->out_length = 0;
    progress = fo_probe_redis.dialogue->turn(state, event, talk, report);
    FUZZ_HOLDS(talk->taken <= talk->in_length, "took %zu of %zu", talk->taken, talk->in_length);
    FUZZ_HOLDS(talk->out_length <= talk->out_room, "%zu bytes out", talk->out_length);
    FUZZ_HOLDS(talk->n_further <= FO_FURTHER_MAX, "%u hosts", talk->n_further);
    FUZZ_HOLDS(report->stage >= FO_STAGE_LOGIN && report->stage < FO_STAGE_COUNT, "%d",
               (int)report->stage);
    talk->in += talk->taken;
    talk->in_length -= talk->taken;
    return progress;
}

static fo_report_t play(const void *conf, const char *secret, const char *bytes, size_t length,
                        size_t chunk, apr_pool_t *pool)
{
    const fo_dialogue_t *dialogue = fo_probe_redis.dialogue;
    void *state = apr_pcalloc(pool, dialogue->state_size);
    char out[4 * 1024];
    fo_ask_t ask = { .secret = secret };
    fo_talk_t talk = { .in = bytes, .out = out, .out_room = sizeof(out) };
    fo_report_t report = { .verdict = FO_VERDICT_COUNT, .stage = FO_STAGE_ASK };
    fo_progress_e progress;

    dialogue->begin(state, conf, &ask);
    progress = take_turn(state, FO_TALK_CONNECTED, &talk, &report);
    FUZZ_HOLDS(progress == FO_MORE, "at once");
    for (size_t fed = 0; fed < length && progress == FO_MORE; fed += chunk) {
        talk.in_length += length - fed < chunk ? length - fed : chunk;
        progress = take_turn(state, FO_TALK_DATA, &talk, &report);
    }
    if (progress == FO_MORE && take_turn(state, FO_TALK_CLOSED, &talk, &report) == FO_MORE)
        fo_report_fill(&report, FO_VERDICT_FAIL, APR_EOF, 0, "closed early"); /* as the driver */
    FUZZ_HOLDS(memchr(report.text, 0, sizeof(report.text)) && report.verdict < FO_VERDICT_COUNT,
               "verdict %d", (int)report.verdict);
    FUZZ_HOLDS(!secret || !strstr(report.text, secret), "%s", report.text);
    return report;
}

static void fuzz_one(const char *text, size_t length, apr_pool_t *pool)
{
    unsigned kind = length ? (unsigned char)text[0] % (sizeof(kinds) / sizeof(kinds[0])) : 0;
    const void *conf = configure(kind, pool);
    const char *bytes = text + (length ? 1 : 0);
    size_t n = length ? length - 1 : 0;
    fo_report_t whole, drop;

    n = n < IN_BYTES ? n : IN_BYTES;
    whole = play(conf, kinds[kind].secret, bytes, n, IN_BYTES, pool);
    drop = play(conf, kinds[kind].secret, bytes, n, 1, pool);
    FUZZ_HOLDS(whole.verdict == drop.verdict && whole.stage == drop.stage &&
                   strcmp(whole.text, drop.text) == 0,
               "'%s' is not '%s'", whole.text, drop.text);
    FUZZ_HOLDS(whole.verdict != FO_VERDICT_PASS || memmem(bytes, n, "+PONG\r\n", 7), "no PONG");
}

/*
 * The dialogue of script://: the input is a script, a line "--" and an answer. It stays within its
 * buffers, ends when the server does, and finds the same whether the answer comes whole or byte by
 * byte.
 */
#include "probe/probe_script.h"

#include "fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#define SECRET "Geheim7"

typedef struct run_t {
    void *state;
    fo_report_t report;
    fo_progress_e progress;
    apr_interval_time_t quiet;
    char in[16 * 1024];
    size_t n_in;
    char sent[256 * 1024];
    size_t n_sent;
} run_t;

/* A file without a name. */
static const char *file_with(const char *text, size_t length, apr_pool_t *pool)
{
    static int fd = -1;

    if (fd < 0)
        fd = memfd_create("steps", MFD_CLOEXEC);
    FUZZ_HOLDS(fd >= 0 && ftruncate(fd, 0) == 0, "no file");
    FUZZ_HOLDS(pwrite(fd, text, length, 0) == (ssize_t)length, "no room");
    return apr_psprintf(pool, "/proc/self/fd/%d", fd);
}

/* With or without a login, as the steps want it; NULL: they are none. */
static void *configure(const char *text, size_t length, apr_pool_t *pool)
{
    static const fo_host_t host = { .name = "h", .port = 1 };
    apr_table_t *options = apr_table_make(pool, 1);
    const char *warning = NULL;
    void *conf = NULL;

    apr_table_setn(options, "steps", file_with(text, length, pool));
    for (int i = 0; i < 4 && !conf; i++) {
        fo_url_t url = { .scheme = "script",
                         .hosts = &host,
                         .n_hosts = 1,
                         .path = "",
                         .user = i & 1 ? "monitor" : NULL };
        fo_login_t login = { .user = url.user, .has_secret = i & 2 };
        const char *error = fo_probe_script.configure(&url, &login, options, &conf, &warning, pool);
        FUZZ_HOLDS(!error == (conf != NULL), "%s", error);
    }
    return conf;
}

static void turn(run_t *run, fo_talk_event_e event)
{
    static char out[4096];
    fo_talk_t talk = { .in = run->in, .in_length = run->n_in, .out = out, .out_room = sizeof(out) };

    memset(run->report.text, 'x', sizeof(run->report.text));
    run->progress = fo_probe_script.dialogue->turn(run->state, event, &talk, &run->report);
    FUZZ_HOLDS(talk.taken <= talk.in_length, "took %zu of %zu", talk.taken, talk.in_length);
    FUZZ_HOLDS(talk.out_length <= talk.out_room, "%zu bytes out", talk.out_length);
    FUZZ_HOLDS(talk.n_further == 0, "%u hosts", talk.n_further);
    FUZZ_HOLDS(run->n_sent + talk.out_length <= sizeof(run->sent), "%zu bytes", run->n_sent);
    memcpy(run->sent + run->n_sent, out, talk.out_length);
    run->n_sent += talk.out_length;
    run->n_in -= talk.taken;
    memmove(run->in, run->in + talk.taken, run->n_in);
    run->quiet = talk.quiet;
}

static run_t *make_run(const void *conf, const char *answer, size_t length, size_t chunk,
                       apr_pool_t *pool)
{
    run_t *run = apr_palloc(pool, sizeof(*run));
    fo_ask_t ask = { .secret = SECRET };

    run->state = apr_pcalloc(pool, fo_probe_script.dialogue->state_size);
    run->n_in = run->n_sent = 0;
    fo_probe_script.dialogue->begin(run->state, conf, &ask);
    turn(run, FO_TALK_CONNECTED);
    for (size_t n; length > 0 && run->progress == FO_MORE; answer += n, length -= n) {
        n = chunk < length ? chunk : length;
        FUZZ_HOLDS(run->n_in + n <= sizeof(run->in), "%zu bytes are left", run->n_in);
        memcpy(run->in + run->n_in, answer, n);
        run->n_in += n;
        turn(run, FO_TALK_DATA);
    }
    if (run->progress == FO_MORE)
        turn(run, run->quiet ? FO_TALK_QUIET : FO_TALK_CLOSED);
    FUZZ_HOLDS(run->progress == FO_DONE, "it would wait for ever");
    FUZZ_HOLDS(run->report.verdict < FO_VERDICT_SELF && run->report.stage == FO_STAGE_ANSWER &&
                   memchr(run->report.text, 0, sizeof(run->report.text)),
               "%d", run->report.verdict);
    return run;
}

/* Of bytes that are wrong, more may be shown when more is there. */
static size_t length_of_words(const char *text)
{
    const char *got = strstr(text, ", got ");

    return got ? (size_t)(got - text) : strlen(text) + 1;
}

static void fuzz_one(const char *text, size_t length, apr_pool_t *pool)
{
    const char *mark = strstr(text, "\n--\n");
    const char *answer = mark ? mark + 4 : text + length;
    size_t left = (size_t)(text + length - answer);
    void *conf = configure(text, mark ? (size_t)(mark + 1 - text) : length, pool);
    const run_t *whole, *slow;

    if (!conf || left > sizeof(whole->in))
        return;
    whole = make_run(conf, answer, left, left, pool);
    slow = make_run(conf, answer, left, 1, pool);
    FUZZ_HOLDS(whole->report.verdict == slow->report.verdict, "%s\n%s", whole->report.text,
               slow->report.text);
    FUZZ_HOLDS(strncmp(whole->report.text, slow->report.text, length_of_words(slow->report.text)) ==
                   0,
               "%s\n%s", whole->report.text, slow->report.text);
    FUZZ_HOLDS(whole->n_sent == slow->n_sent && memcmp(whole->sent, slow->sent, slow->n_sent) == 0,
               "%zu and %zu bytes", whole->n_sent, slow->n_sent);
}

/*
 * Everything is said at once, and each answer is judged in its turn. hiredis writes the commands
 * and reads the answers; it is given no socket.
 */
#include "probe/probe_redis.h"

#include "core/fo_parse.h"
#include "probe/probe_redis_nodes.h"
#include "probe/probe_resp.h"

#include <hiredis/hiredis.h>
#include <string.h>

#define ARGUMENTS_MAX 3

typedef enum {
    ROLE_ANY,
    ROLE_PRIMARY,
    ROLE_REPLICA
} role_e;

typedef struct conf_t {
    const char *user;     /* NULL: the default user */
    const char *database; /* NULL: 0 */
    role_e role;
    bool is_cluster;
} conf_t;

typedef enum {
    ASK_AUTH,
    ASK_SELECT,
    ASK_PING,
    ASK_ROLE,
    ASK_CLUSTER_INFO,
    ASK_CLUSTER_NODES,
    ASK_COUNT
} ask_e;

typedef struct state_t {
    const conf_t *conf;
    const char *secret; /* NULL: none */
    ask_e asks[ASK_COUNT];
    unsigned n_asks;
    unsigned at;         /* whose answer comes next */
    fo_report_t refused; /* why the login, or a command, was refused; no text: it was not */
    probe_redis_nodes_t nodes;
} state_t;

/* ---------------------------------------------------------------- configuration */

static const char *read_role(const char *value, role_e *ret_role, apr_pool_t *pool)
{
    bool is_primary = false;
    const char *error;

    if (!value)
        return NULL;
    error = fo_parse_either(value, "primary", "replica", &is_primary, pool);
    *ret_role = is_primary ? ROLE_PRIMARY : ROLE_REPLICA;
    return error ? apr_psprintf(pool, "role=: %s", error) : NULL;
}

static const char *read_cluster(const char *value, bool *ret_cluster, apr_pool_t *pool)
{
    const char *error = value ? fo_parse_either(value, "on", "off", ret_cluster, pool) : NULL;

    return error ? apr_psprintf(pool, "cluster=: %s", error) : NULL;
}

static const char *read_database(const fo_url_t *url, const char **ret_database, apr_pool_t *pool)
{
    const char *path = url->path[0] ? url->path + 1 : "";
    size_t n = strlen(path);

    if (n > 9 || strspn(path, "0123456789") != n)
        return apr_psprintf(pool,
                            "the path of %s:// is the number of a database, as in "
                            "%s://redis.example.com/2",
                            url->scheme, url->scheme);
    if (strspn(path, "0") != n)
        *ret_database = apr_pstrdup(pool, path);
    return NULL;
}

static const char *needs_password(const fo_url_t *url, const char *user, apr_pool_t *pool)
{
    return apr_psprintf(pool,
                        "%s://%s@... needs password=file:PATH, that of the user: ACL SETUSER %s on "
                        ">PASSWORD +ping +select; the password of requirepass goes without a user, "
                        "%s://host password=file:PATH",
                        url->scheme, user, user, url->scheme);
}

static const char *contradiction(const conf_t *conf)
{
    if (conf->is_cluster && conf->database)
        return "cluster=on: a cluster has database 0 alone";
    if (conf->is_cluster && conf->role != ROLE_ANY)
        return "cluster=on and role= exclude each other: the nodes of a cluster change their roles";
    return NULL;
}

static const char *configure(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, void **ret_conf, const char **ret_warning,
                             apr_pool_t *pool)
{
    conf_t *conf = apr_pcalloc(pool, sizeof(*conf));
    const char *error = read_database(url, &conf->database, pool);

    (void)ret_warning;
    if (!error && login->user && !login->has_secret)
        error = needs_password(url, login->user, pool);
    if (!error)
        error = read_role(apr_table_get(options, "role"), &conf->role, pool);
    if (!error)
        error = read_cluster(apr_table_get(options, "cluster"), &conf->is_cluster, pool);
    if (!error)
        error = contradiction(conf);
    if (error)
        return error;
    conf->user = login->user ? apr_pstrdup(pool, login->user) : NULL;
    *ret_conf = conf;
    return NULL;
}

/* ---------------------------------------------------------------- what the answers mean */

/* Fills the report with FAIL; false, always. */
static bool fail(fo_report_t *report, const char *text)
{
    fo_report_fill(report, FO_VERDICT_FAIL, 0, 0, text);
    return false;
}

static bool not_redis(fo_report_t *report)
{
    return fail(report, "the answer is not Redis's");
}

static bool is_text(const probe_resp_t *reply, char type, const char *text)
{
    return reply->type == type && reply->text.length == strlen(text) &&
           memcmp(reply->text.text, text, reply->text.length) == 0;
}

static bool is_word(const probe_word_t *word, const char *text)
{
    return word->text && word->length == strlen(text) &&
           memcmp(word->text, text, word->length) == 0;
}

static bool judge_ok(state_t *state, const probe_resp_t *reply, fo_report_t *report)
{
    (void)state;
    return is_text(reply, '+', "OK") || not_redis(report);
}

static bool judge_pong(state_t *state, const probe_resp_t *reply, fo_report_t *report)
{
    (void)state;
    return is_text(reply, '+', "PONG") || not_redis(report);
}

/* "master", or "slave", its primary's host and port, and what has become of the link to it. */
static bool judge_role(state_t *state, const probe_resp_t *reply, fo_report_t *report)
{
    static const char *const names[] = { [ROLE_PRIMARY] = "master", [ROLE_REPLICA] = "slave" };
    const probe_word_t *words = reply->words;
    char text[FO_REPORT_TEXT];

    if (reply->type != '*' || !words[0].text)
        return not_redis(report);
    if (!is_word(&words[0], names[state->conf->role]))
        return fail(report, is_word(&words[0], "master")  ? "it is a primary, not a replica"
                            : is_word(&words[0], "slave") ? "it is a replica, not the primary"
                                                          : "it is neither primary nor replica");
    if (state->conf->role == ROLE_PRIMARY || is_word(&words[3], "connected"))
        return true;
    if (!words[3].text)
        return not_redis(report);
    apr_snprintf(text, sizeof(text), "its link to the primary is down: %.*s",
                 (int)(words[3].length < 32 ? words[3].length : 32), words[3].text);
    return fail(report, text);
}

static bool judge_cluster(state_t *state, const probe_resp_t *reply, fo_report_t *report)
{
    static const char field[] = "cluster_state:", ok[] = "cluster_state:ok\r\n";

    (void)state;
    if (reply->type != '$' || !reply->text.text ||
        !memmem(reply->text.text, reply->text.length, field, sizeof(field) - 1))
        return not_redis(report);
    return memmem(reply->text.text, reply->text.length, ok, sizeof(ok) - 1)
               ? true
               : fail(report, "the cluster's state is not ok");
}

static bool judge_nodes(state_t *state, const probe_resp_t *reply, fo_report_t *report)
{
    const char *error;

    if (reply->type != '$' || !reply->text.text)
        return not_redis(report);
    error = probe_redis_nodes_read(reply->text.text, reply->text.length, &state->nodes);
    return error ? fail(report, error) : true;
}

/* What is asked, in this order. */
static const struct {
    const char *words[ARGUMENTS_MAX]; /* NULL at the end; of AUTH and SELECT the first */
    const char *grant;                /* what permits it */
    fo_stage_e stage;
    /* False: the report is filled. */
    bool (*judge)(state_t *state, const probe_resp_t *reply, fo_report_t *report);
} rows[ASK_COUNT] = {
    [ASK_AUTH] = { { "AUTH" }, "+auth", FO_STAGE_LOGIN, judge_ok },
    [ASK_SELECT] = { { "SELECT" }, "+select", FO_STAGE_ASK, judge_ok },
    [ASK_PING] = { { "PING" }, "+ping", FO_STAGE_ASK, judge_pong },
    [ASK_ROLE] = { { "ROLE" }, "+role", FO_STAGE_ANSWER, judge_role },
    [ASK_CLUSTER_INFO] = { { "CLUSTER", "INFO" }, "+cluster|info", FO_STAGE_ANSWER, judge_cluster },
    [ASK_CLUSTER_NODES] = { { "CLUSTER", "NODES" },
                            "+cluster|nodes",
                            FO_STAGE_ANSWER,
                            judge_nodes },
};

/* Errors that are no failure, by how they begin. */
static const struct {
    const char *begins;
    fo_verdict_e verdict;
} errors[] = {
    { "ERR max number of clients", FO_VERDICT_BUSY },
    { "NOAUTH", FO_VERDICT_LOGIN },
    { "WRONGPASS", FO_VERDICT_LOGIN },
    { "NOPERM", FO_VERDICT_LOGIN },
};

static bool begins_with(const probe_word_t *word, const char *text)
{
    return word->length >= strlen(text) && memcmp(word->text, text, strlen(text)) == 0;
}

/* What AUTH is answered otherwise, as "ERR invalid password" of Redis 5, is about the login too. */
static fo_verdict_e verdict_of(const probe_word_t *words, ask_e ask)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++)
        if (begins_with(words, errors[i].begins))
            return errors[i].verdict;
    return ask == ASK_AUTH && begins_with(words, "ERR ") ? FO_VERDICT_LOGIN : FO_VERDICT_FAIL;
}

/* A server that does not know AUTH repeats its arguments, whole or cut off. */
static size_t length_to_show(const probe_word_t *words, const char *secret)
{
    static const char arguments[] = ", with args";
    const char *end = memmem(words->text, words->length, arguments, sizeof(arguments) - 1);
    size_t length = end ? (size_t)(end - words->text) : words->length;

    if (secret && memmem(words->text, length, secret, strlen(secret)))
        return 0;
    return length < FO_REPORT_TEXT ? length : FO_REPORT_TEXT;
}

static void put_words(const state_t *state, ask_e ask, const probe_word_t *words,
                      char text[FO_REPORT_TEXT])
{
    size_t length = length_to_show(words, state->secret);

    if (begins_with(words, "NOPERM"))
        apr_snprintf(text, FO_REPORT_TEXT, "NOPERM to run %s: ACL SETUSER %s %s",
                     rows[ask].grant + 1, state->conf->user ? state->conf->user : "default",
                     rows[ask].grant);
    else if (length)
        apr_snprintf(text, FO_REPORT_TEXT, "%.*s", (int)length, words->text);
    else
        apr_snprintf(text, FO_REPORT_TEXT, "%s was refused", rows[ask].words[0]);
}

/*
 * Of a login that was refused the state stays where the role or the cluster was to be looked at:
 * without a login nothing is known of them.
 */
static bool judge_error(state_t *state, ask_e ask, const probe_word_t *words, fo_report_t *report)
{
    fo_verdict_e verdict = verdict_of(words, ask);
    bool is_login = verdict == FO_VERDICT_LOGIN;
    char text[FO_REPORT_TEXT];

    put_words(state, ask, words, text);
    if (is_login && (state->conf->role != ROLE_ANY || state->conf->is_cluster))
        verdict = FO_VERDICT_BARRED;
    if (is_login)
        report->stage = FO_STAGE_LOGIN;
    fo_report_fill(report, verdict, 0, 0, text);
    if (is_login && !state->refused.text[0])
        state->refused = *report;
    return is_login; /* what comes after it may be worse */
}

/* ---------------------------------------------------------------- the dialogue */

static void begin(void *opaque, const void *opaque_conf, const fo_ask_t *ask)
{
    state_t *state = opaque;
    const conf_t *conf = opaque_conf;
    const bool is_wanted[ASK_COUNT] = {
        [ASK_AUTH] = ask->secret != NULL,
        [ASK_SELECT] = conf->database != NULL,
        [ASK_PING] = true,
        [ASK_ROLE] = conf->role != ROLE_ANY,
        [ASK_CLUSTER_INFO] = conf->is_cluster,
        [ASK_CLUSTER_NODES] = conf->is_cluster,
    };

    state->conf = conf;
    state->secret = ask->secret;
    for (unsigned i = 0; i < ASK_COUNT; i++)
        if (is_wanted[i])
            state->asks[state->n_asks++] = (ask_e)i;
}

static unsigned list_words(const state_t *state, ask_e ask, const char *words[ARGUMENTS_MAX])
{
    unsigned n = 0;

    while (n < ARGUMENTS_MAX && rows[ask].words[n]) {
        words[n] = rows[ask].words[n];
        n++;
    }
    if (ask == ASK_AUTH && state->conf->user)
        words[n++] = state->conf->user;
    if (ask == ASK_AUTH)
        words[n++] = state->secret;
    if (ask == ASK_SELECT)
        words[n++] = state->conf->database;
    return n;
}

/* The command goes, whether or not there is room for it: it may hold the password. */
static bool put(fo_talk_t *talk, char *command, apr_size_t length)
{
    bool fits = length <= talk->out_room - talk->out_length;

    if (fits) {
        memcpy(talk->out + talk->out_length, command, length);
        talk->out_length += length;
    }
    explicit_bzero(command, length);
    redisFreeCommand(command);
    return fits;
}

static apr_status_t say(const state_t *state, ask_e ask, fo_talk_t *talk)
{
    const char *words[ARGUMENTS_MAX];
    unsigned n = list_words(state, ask, words);
    char *command = NULL;
    long length = redisFormatCommandArgv(&command, (int)n, words, NULL);

    if (length <= 0 || !command)
        return ENOMEM;
    return put(talk, command, (apr_size_t)length) ? APR_SUCCESS : APR_ENOSPC;
}

static fo_progress_e say_all(const state_t *state, fo_talk_t *talk, fo_report_t *report)
{
    apr_status_t status = APR_SUCCESS;

    for (unsigned i = 0; i < state->n_asks && !status; i++)
        status = say(state, state->asks[i], talk);
    if (!status)
        return FO_MORE;
    talk->out_length = 0;
    fo_report_fill(report, status == ENOMEM ? FO_VERDICT_SELF : FO_VERDICT_FAIL, status, 0,
                   status == ENOMEM ? NULL : "user and password are too long");
    return FO_DONE;
}

static fo_progress_e conclude(const state_t *state, fo_talk_t *talk, fo_report_t *report)
{
    if (state->refused.text[0]) {
        *report = state->refused;
        return FO_DONE;
    }
    for (unsigned i = 0; i < state->nodes.n; i++)
        talk->further[i] = (fo_host_t){ state->nodes.names[i], state->nodes.ports[i] };
    talk->n_further = state->nodes.n;
    fo_report_fill(report, FO_VERDICT_PASS, 0, 0, NULL);
    return FO_DONE;
}

/* The bytes that are there hold no whole answer. */
static fo_progress_e unread(apr_status_t status, fo_report_t *report)
{
    if (status == APR_INCOMPLETE)
        return FO_MORE;
    if (status == APR_ENOMEM)
        fo_report_fill(report, FO_VERDICT_SELF, ENOMEM, 0, NULL);
    else
        (void)(status == APR_ENOSPC ? fail(report, "the answer is too long") : not_redis(report));
    return FO_DONE;
}

static fo_progress_e hear(state_t *state, fo_talk_t *talk, fo_report_t *report)
{
    while (state->at < state->n_asks) {
        ask_e ask = state->asks[state->at];
        probe_resp_t reply;
        apr_status_t status = probe_resp_read(talk->in + talk->taken, talk->in_length - talk->taken,
                                              &reply);
        report->stage = rows[ask].stage;
        if (status)
            return unread(status, report);
        talk->taken += reply.size;
        state->at++;
        if (reply.type == '-' ? !judge_error(state, ask, &reply.text, report)
                              : !rows[ask].judge(state, &reply, report))
            return FO_DONE;
    }
    return conclude(state, talk, report);
}

static fo_progress_e turn(void *opaque, fo_talk_event_e event, fo_talk_t *talk, fo_report_t *report)
{
    state_t *state = opaque;

    report->stage = rows[state->asks[state->at]].stage;
    if (event == FO_TALK_CONNECTED)
        return say_all(state, talk, report);
    if (event == FO_TALK_DATA)
        return hear(state, talk, report);
    if (event == FO_TALK_CLOSED && state->refused.text[0])
        return conclude(state, talk, report);
    return FO_MORE;
}

static const fo_dialogue_t dialogue = {
    .state_size = sizeof(state_t),
    .begin = begin,
    .turn = turn,
};

static const char *const known_options[] = { "role", "cluster", NULL };

const fo_probe_t fo_probe_redis = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "redis",
    .summary = "logs in to Redis, selects the database and sends PING",
    .example = "redis://redis.example.com:6379/0",
    .port = 6379,
    .max_hosts = 1,
    .options = known_options,
    .configure = configure,
    .dialogue = &dialogue,
};

const fo_probe_t fo_probe_rediss = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "rediss",
    .summary = "logs in to Redis over TLS, selects the database and sends PING",
    .example = "rediss://redis.example.com:6379/0",
    .port = 6379,
    .max_hosts = 1,
    .options = known_options,
    .tls = FO_TLS_ALWAYS,
    .configure = configure,
    .dialogue = &dialogue,
};

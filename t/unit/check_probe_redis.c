#include "probe/probe_redis.h"

#include "probe/probe_redis_nodes.h"
#include "probe/probe_resp.h"

#include "unit.h"

static const fo_host_t host = { .name = "redis.example.com", .port = 6379 };

static void *conf;

/* options: key, value, ... */
static const char *configure(const fo_probe_t *probe, const char *user, bool has_secret,
                             const char *path, const char *const options[4])
{
    fo_url_t url = { .scheme = probe->scheme, .user = user, .hosts = &host, .n_hosts = 1,
                     .path = path };
    fo_login_t login = { .user = user, .has_secret = has_secret };
    apr_table_t *table = apr_table_make(pool, 2);
    const char *warning = NULL, *error;

    url.text = apr_pstrcat(pool, probe->scheme, "://redis.example.com", path, NULL);
    for (int i = 0; i < 4 && options[i]; i += 2)
        apr_table_set(table, options[i], options[i + 1]);
    conf = NULL;
    error = probe->configure(&url, &login, table, &conf, &warning, pool);
    ck_assert_ptr_null(warning);
    ck_assert(!error == (conf != NULL));
    return error;
}

/* ---------------------------------------------------------------- configuration */

#define NO_NUMBER "is the number of a database, as in |://redis.example.com/2"

static const struct {
    const char *user;
    bool has_secret;
    const char *path;
    const char *options[4];
    const char *words; /* NULL: accepted */
} urls[] = {
    { NULL, false, "", { NULL }, NULL },
    { NULL, false, "/", { NULL }, NULL },
    { NULL, true, "/0", { NULL }, NULL },
    { "monitor", true, "/15", { NULL }, NULL },
    { NULL, false, "", { "role", "primary" }, NULL },
    { NULL, false, "/1", { "role", "replica", "cluster", "off" }, NULL },
    { NULL, false, "/0", { "cluster", "on" }, NULL },
    { "monitor", false, "", { NULL },
      "needs password=file:PATH|ACL SETUSER monitor on >PASSWORD +ping +select|requirepass" },
    { NULL, false, "/shop", { NULL }, NO_NUMBER },
    { NULL, false, "/1/", { NULL }, NO_NUMBER },
    { NULL, false, "/-1", { NULL }, NO_NUMBER },
    { NULL, false, "/1234567890", { NULL }, NO_NUMBER },
    { NULL, false, "", { "role", "master" }, "role=: 'master' is neither primary nor replica" },
    { NULL, false, "", { "role", "" }, "role=: '' is neither" },
    { NULL, false, "", { "cluster", "yes" }, "cluster=: 'yes' is neither on nor off" },
    { NULL, false, "/3", { "cluster", "on" }, "a cluster has database 0 alone" },
    { NULL, false, "", { "cluster", "on", "role", "primary" }, "exclude each other" },
};

START_TEST(configures)
{
    const fo_probe_t *const probes[] = { &fo_probe_redis, &fo_probe_rediss };

    for (int i = 0; i < COUNT(probes); i++)
        unit_expect(configure(probes[i], urls[_i].user, urls[_i].has_secret, urls[_i].path,
                              urls[_i].options),
                    urls[_i].words);
}
END_TEST

/* ---------------------------------------------------------------- dialogues */

typedef struct play_t {
    void *state;
    fo_talk_t talk;
    fo_report_t report;
    fo_progress_e progress;
    size_t n_in;
    char in[16 * 1024];
    char out[4 * 1024];
} play_t;

static play_t play;

static void take_turn(fo_talk_event_e event)
{
    play.talk.in = play.in;
    play.talk.in_length = play.n_in;
    play.talk.taken = 0;
    play.talk.out = play.out;
    play.talk.out_length = 0;
    play.progress = fo_probe_redis.dialogue->turn(play.state, event, &play.talk, &play.report);
    ck_assert_uint_le(play.talk.taken, play.n_in);
    ck_assert_uint_le(play.talk.out_length, play.talk.out_room);
    ck_assert_int_eq(play.talk.quiet, 0);
    play.n_in -= play.talk.taken;
    memmove(play.in, play.in + play.talk.taken, play.n_in);
}

static void start(const char *secret)
{
    fo_ask_t ask = { .secret = secret };

    memset(&play, 0, sizeof(play));
    play.state = apr_pcalloc(pool, fo_probe_redis.dialogue->state_size);
    play.talk.out_room = sizeof(play.out);
    play.report.stage = FO_STAGE_ASK; /* as the driver does */
    fo_probe_redis.dialogue->begin(play.state, conf, &ask);
    take_turn(FO_TALK_CONNECTED);
}

/* As they arrive, until it is decided. */
static void feed(const char *bytes, size_t n, size_t chunk)
{
    for (size_t i = 0; i < n && play.progress == FO_MORE; i += chunk) {
        size_t length = n - i < chunk ? n - i : chunk;
        memcpy(play.in + play.n_in, bytes + i, length);
        play.n_in += length;
        play.report.stage = FO_STAGE_ANSWER; /* as the driver does */
        take_turn(FO_TALK_DATA);
    }
}

static void expect(fo_verdict_e verdict, fo_stage_e stage, const char *text)
{
    ck_assert_int_eq(play.progress, FO_DONE);
    ck_assert_str_eq(play.report.text, text);
    ck_assert_int_eq(play.report.verdict, verdict);
    ck_assert_int_eq(play.report.stage, stage);
}

/* What it says. */
#define AUTH "*2\r\n$4\r\nAUTH\r\n$6\r\ngeheim\r\n"
#define AUTH_USER "*3\r\n$4\r\nAUTH\r\n$7\r\nmonitor\r\n$6\r\ngeheim\r\n"
#define SELECT "*2\r\n$6\r\nSELECT\r\n$2\r\n15\r\n"
#define PING "*1\r\n$4\r\nPING\r\n"
#define ROLE "*1\r\n$4\r\nROLE\r\n"
#define CLUSTER                                                                                    \
    "*2\r\n$7\r\nCLUSTER\r\n$4\r\nINFO\r\n" "*2\r\n$7\r\nCLUSTER\r\n$5\r\nNODES\r\n"

static const struct {
    const char *user, *secret, *path;
    const char *options[4];
    const char *said;
} sayings[] = {
    { NULL, NULL, "", { NULL }, PING },
    { NULL, NULL, "/00", { NULL }, PING },
    { NULL, "geheim", "/0", { NULL }, AUTH PING },
    { "monitor", "geheim", "/15", { NULL }, AUTH_USER SELECT PING },
    { NULL, NULL, "/15", { "role", "primary" }, SELECT PING ROLE },
    { "monitor", "geheim", "", { "cluster", "on" }, AUTH_USER PING CLUSTER },
};

START_TEST(says_all_at_once)
{
    unit_expect(configure(&fo_probe_redis, sayings[_i].user, sayings[_i].secret != NULL,
                          sayings[_i].path, sayings[_i].options),
                NULL);
    start(sayings[_i].secret);
    ck_assert_int_eq(play.progress, FO_MORE);
    ck_assert_uint_eq(play.talk.out_length, strlen(sayings[_i].said));
    ck_assert_int_eq(memcmp(play.out, sayings[_i].said, play.talk.out_length), 0);
    ck_assert_int_eq(play.report.stage, sayings[_i].secret ? FO_STAGE_LOGIN : FO_STAGE_ASK);
}
END_TEST

START_TEST(a_login_that_does_not_fit)
{
    static const char *const none[4] = { NULL };
    char *user = apr_pcalloc(pool, 4001);

    memset(user, 'u', 4000);
    unit_expect(configure(&fo_probe_redis, user, true, "", none), NULL);
    start("0123456789012345678901234567890123456789012345678901234567890123456789");
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, "user and password are too long");
    ck_assert_uint_eq(play.talk.out_length, 0);
}
END_TEST

/* The first of each kind passes. */
typedef struct kind_t {
    const char *user, *secret, *path;
    const char *options[4];
} kind_t;

static const kind_t plain = { NULL, NULL, "", { NULL } };
static const kind_t login = { "monitor", "geheim", "/15", { NULL } };
static const kind_t primary = { "monitor", "geheim", "", { "role", "primary" } };
static const kind_t replica = { NULL, NULL, "", { "role", "replica" } };
static const kind_t cluster = { NULL, NULL, "", { "cluster", "on" } };

#define OK "+OK\r\n"
#define PONG "+PONG\r\n"
#define NOAUTH "-NOAUTH Authentication required.\r\n"
#define MASTER                                                                                     \
    "*3\r\n$6\r\nmaster\r\n:3129659\r\n"                                                           \
    "*1\r\n*3\r\n$9\r\n127.0.0.1\r\n$4\r\n9001\r\n$1\r\n0\r\n"
#define SLAVE(length, state)                                                                       \
    "*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:9000\r\n$" length "\r\n" state "\r\n:3167038\r\n"
#define STATE_OK "$39\r\ncluster_state:ok\r\ncluster_size:3\r\nx:y\r\n\r\n"
#define ME "e7d1 127.0.0.1:7000@17000 myself,master - 0 0 1 connected 0-16383\n"
#define NODES_ONE "$66\r\n" ME "\r\n"

#define NO_REDIS "the answer is not Redis's"

static const struct {
    const kind_t *kind;
    const char *bytes;
    fo_verdict_e verdict;
    fo_stage_e stage;
    const char *text;
} answers[] = {
    { &plain, PONG, FO_VERDICT_PASS, FO_STAGE_ASK, "" },
    { &login, OK OK PONG, FO_VERDICT_PASS, FO_STAGE_ASK, "" },
    { &primary, OK PONG MASTER, FO_VERDICT_PASS, FO_STAGE_ANSWER, "" },
    { &replica, PONG SLAVE("9", "connected"), FO_VERDICT_PASS, FO_STAGE_ANSWER, "" },
    { &cluster, PONG STATE_OK NODES_ONE, FO_VERDICT_PASS, FO_STAGE_ANSWER, "" },

    /* the login */
    { &plain, NOAUTH, FO_VERDICT_LOGIN, FO_STAGE_LOGIN, "NOAUTH Authentication required." },
    { &login, "-WRONGPASS invalid username-password pair or user is disabled.\r\n" NOAUTH NOAUTH,
      FO_VERDICT_LOGIN, FO_STAGE_LOGIN,
      "WRONGPASS invalid username-password pair or user is disabled." },
    { &login, "-ERR invalid password\r\n" NOAUTH NOAUTH, FO_VERDICT_LOGIN, FO_STAGE_LOGIN,
      "ERR invalid password" },
    { &login, "-ERR AUTH <password> called without any password configured\r\n" OK PONG,
      FO_VERDICT_LOGIN, FO_STAGE_LOGIN,
      "ERR AUTH <password> called without any password configured" },
    { &login, OK OK "-NOPERM this user has no permissions to run the 'ping' command\r\n",
      FO_VERDICT_LOGIN, FO_STAGE_LOGIN, "NOPERM to run ping: ACL SETUSER monitor +ping" },
    { &login, OK "-NOPERM no\r\n" PONG, FO_VERDICT_LOGIN, FO_STAGE_LOGIN,
      "NOPERM to run select: ACL SETUSER monitor +select" },
    { &plain, "-NOPERM no\r\n", FO_VERDICT_LOGIN, FO_STAGE_LOGIN,
      "NOPERM to run ping: ACL SETUSER default +ping" },
    /* where more was to be looked at, the state stays */
    { &primary, "-WRONGPASS no\r\n" NOAUTH NOAUTH, FO_VERDICT_BARRED, FO_STAGE_LOGIN,
      "WRONGPASS no" },
    { &primary, OK PONG "-NOPERM no\r\n", FO_VERDICT_BARRED, FO_STAGE_LOGIN,
      "NOPERM to run role: ACL SETUSER monitor +role" },
    { &cluster, PONG "-NOPERM no\r\n" "-NOPERM no\r\n", FO_VERDICT_BARRED, FO_STAGE_LOGIN,
      "NOPERM to run cluster|info: ACL SETUSER default +cluster|info" },
    /* what is worse than the login has the last word */
    { &login, "-ERR AUTH <password> called\r\n" OK "-LOADING Redis is loading\r\n",
      FO_VERDICT_FAIL, FO_STAGE_ASK, "LOADING Redis is loading" },
    /* a server that repeats what it was told */
    { &login, "-ERR unknown command 'AUTH', with args beginning with: 'monitor' 'geh\r\n" OK PONG,
      FO_VERDICT_LOGIN, FO_STAGE_LOGIN, "ERR unknown command 'AUTH'" },
    { &login, "-ERR what is AUTH monitor geheim?\r\n" OK PONG, FO_VERDICT_LOGIN, FO_STAGE_LOGIN,
      "AUTH was refused" },
    { &login, OK "-ERR geheim\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK, "SELECT was refused" },

    /* full */
    { &plain, "-ERR max number of clients reached\r\n", FO_VERDICT_BUSY, FO_STAGE_ASK,
      "ERR max number of clients reached" },
    { &login, "-ERR max number of clients + cluster connections reached\r\n", FO_VERDICT_BUSY,
      FO_STAGE_LOGIN, "ERR max number of clients + cluster connections reached" },

    /* not fit */
    { &plain, "-LOADING Redis is loading the dataset in memory\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK,
      "LOADING Redis is loading the dataset in memory" },
    { &login, OK OK "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to "
      "'no'.\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK,
      "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'." },
    { &plain, "-BUSY Redis is busy running a script.\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK,
      "BUSY Redis is busy running a script." },
    { &login, OK "-ERR DB index is out of range\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK,
      "ERR DB index is out of range" },
    { &plain, "-MISCONF Redis is configured to save RDB snapshots, but it's currently unable to "
      "persist to disk. Commands that may modify the data set are disabled.\r\n",
      FO_VERDICT_FAIL, FO_STAGE_ASK,
      "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to "
      "disk. Commands that may modify the d" },
    { &login, "-DENIED Redis is running in protected mode\r\n", FO_VERDICT_FAIL, FO_STAGE_LOGIN,
      "DENIED Redis is running in protected mode" },
    { &plain, "-\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK, "PING was refused" },
    { &cluster, PONG "-ERR This instance has cluster support disabled\r\n", FO_VERDICT_FAIL,
      FO_STAGE_ANSWER, "ERR This instance has cluster support disabled" },
    { &cluster, PONG "$20\r\ncluster_state:fail\r\n\r\n", FO_VERDICT_FAIL, FO_STAGE_ANSWER,
      "the cluster's state is not ok" },
    { &primary, OK PONG SLAVE("9", "connected"), FO_VERDICT_FAIL, FO_STAGE_ANSWER,
      "it is a replica, not the primary" },
    { &replica, PONG MASTER, FO_VERDICT_FAIL, FO_STAGE_ANSWER, "it is a primary, not a replica" },
    { &replica, PONG "*2\r\n$8\r\nsentinel\r\n*0\r\n", FO_VERDICT_FAIL, FO_STAGE_ANSWER,
      "it is neither primary nor replica" },
    { &replica, PONG SLAVE("7", "connect"), FO_VERDICT_FAIL, FO_STAGE_ANSWER,
      "its link to the primary is down: connect" },

    /* no Redis */
    { &plain, "HTTP/1.1 400 Bad Request\r\n\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK, NO_REDIS },
    { &login, "\0\0\0\0", FO_VERDICT_FAIL, FO_STAGE_LOGIN, NO_REDIS },
    { &plain, "+OK\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK, NO_REDIS },
    { &plain, "+PONGO\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK, NO_REDIS },
    { &plain, ":1\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK, NO_REDIS },
    { &plain, "$4\r\nPONG\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK, NO_REDIS },
    { &plain, "$-1\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK, NO_REDIS },
    { &plain, "*0\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK, NO_REDIS },
    { &login, "+PONG\r\n", FO_VERDICT_FAIL, FO_STAGE_LOGIN, NO_REDIS },
    { &replica, PONG "+slave\r\n", FO_VERDICT_FAIL, FO_STAGE_ANSWER, NO_REDIS },
    { &replica, PONG "*0\r\n", FO_VERDICT_FAIL, FO_STAGE_ANSWER, NO_REDIS },
    { &replica, PONG "*1\r\n$5\r\nslave\r\n", FO_VERDICT_FAIL, FO_STAGE_ANSWER, NO_REDIS },
    { &cluster, PONG "$-1\r\n", FO_VERDICT_FAIL, FO_STAGE_ANSWER, NO_REDIS },
    { &cluster, PONG "$2\r\nhi\r\n", FO_VERDICT_FAIL, FO_STAGE_ANSWER, NO_REDIS },
    { &cluster, PONG STATE_OK "*0\r\n", FO_VERDICT_FAIL, FO_STAGE_ANSWER, NO_REDIS },
    { &cluster, PONG STATE_OK "$2\r\nhi\r\n", FO_VERDICT_FAIL, FO_STAGE_ANSWER,
      "the list of the cluster's nodes cannot be read" },

    /* what would never end */
    { &plain, "$536870912\r\n", FO_VERDICT_FAIL, FO_STAGE_ASK, "the answer is too long" },
    { &replica, PONG "*1000000000\r\n", FO_VERDICT_FAIL, FO_STAGE_ANSWER,
      "the answer is too long" },
    { &replica, PONG "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
      FO_VERDICT_FAIL, FO_STAGE_ANSWER, NO_REDIS },
};

/* The zeros of one row are bytes, not an end. */
static size_t length_of(const char *bytes)
{
    return bytes[0] ? strlen(bytes) : 4;
}

static void start_kind(const kind_t *kind)
{
    unit_expect(configure(&fo_probe_redis, kind->user, kind->secret != NULL, kind->path,
                          kind->options),
                NULL);
    start(kind->secret);
    ck_assert_int_eq(play.progress, FO_MORE);
}

static void answer_in(size_t chunk, int i)
{
    start_kind(answers[i].kind);
    feed(answers[i].bytes, length_of(answers[i].bytes), chunk);
    expect(answers[i].verdict, answers[i].stage, answers[i].text);
    ck_assert_int_eq(play.report.code, 0);
    ck_assert_uint_eq(play.talk.n_further, 0);
}

START_TEST(answered_whole)
{
    answer_in(16 * 1024, _i);
}
END_TEST

START_TEST(answered_byte_by_byte)
{
    answer_in(1, _i);
}
END_TEST

/* Closed at any byte, it has not passed; what was said before is still told. */
START_TEST(cut_at_every_byte)
{
    size_t n = length_of(answers[_i].bytes);

    for (size_t cut = 0; cut < n; cut++) {
        start_kind(answers[_i].kind);
        feed(answers[_i].bytes, cut, n);
        if (play.progress == FO_MORE)
            take_turn(FO_TALK_CLOSED);
        if (play.progress == FO_MORE) {
            ck_assert_int_ge(play.report.stage, FO_STAGE_LOGIN);
            continue;
        }
        ck_assert_int_eq(play.progress, FO_DONE);
        ck_assert_int_ne(play.report.verdict, FO_VERDICT_PASS);
        ck_assert_int_ne(play.report.verdict, FO_VERDICT_SELF);
    }
}
END_TEST

/* The driver ends it when 16 KiB are there; nothing is allocated for what is announced. */
START_TEST(an_answer_without_an_end)
{
    static const char *const beginnings[] = { "+", "-ERR ", "*2\r\n*1000000000\r\n" };
    char bytes[16 * 1024];
    size_t n = strlen(beginnings[_i]);

    memset(bytes, '+', sizeof(bytes));
    memcpy(bytes, beginnings[_i], n);
    start_kind(&plain);
    feed(bytes, sizeof(bytes), 1000);
    ck_assert_int_eq(play.progress, FO_MORE);
    ck_assert_uint_eq(play.n_in, sizeof(bytes));
}
END_TEST

START_TEST(silence_is_waited_for)
{
    start_kind(&login);
    take_turn(FO_TALK_QUIET);
    ck_assert_int_eq(play.progress, FO_MORE);
    ck_assert_int_eq(play.report.stage, FO_STAGE_LOGIN);
    feed(OK, 5, 5);
    ck_assert_int_eq(play.report.stage, FO_STAGE_ASK);
}
END_TEST

/* ---------------------------------------------------------------- a cluster */

static const struct {
    const char *text;
    const char *hosts; /* name:port, each followed by a blank */
    const char *error;
} lists[] = {
    { "", "", NULL },
    { ME, "", NULL },
    { "a :0@0 myself,master - 0 0 0 connected\n", "", NULL },
    { ME "b 127.0.0.1:7001@17001 master - 0 1 2 connected\n"
      "c 127.0.0.1:7002@17002 slave,fail? e7d1 0 1 3 connected\n",
      "127.0.0.1:7001 127.0.0.1:7002 ", NULL },
    { "b 10.0.0.1:7001 master - 0 1 2 connected\n", "10.0.0.1:7001 ", NULL },
    { "b 2001:db8::1:7001@17001 master - 0 1 2 connected\n", "2001:db8::1:7001 ", NULL },
    { "b 10.0.0.1:7001@17001,redis1.example.com master - 0 1 2 connected\n",
      "redis1.example.com:7001 ", NULL },
    { "b 10.0.0.1:7001@17001,redis1.example.com,shard-id=5 master - 0 1 2 connected\n",
      "redis1.example.com:7001 ", NULL },
    { "b 10.0.0.1:7001@17001,,shard-id=5 master - 0 1 2 connected\n", "10.0.0.1:7001 ", NULL },
    { "b 10.0.0.1:7001@17001,shard-id=5 master - 0 1 2 connected\n", "10.0.0.1:7001 ", NULL },
    { "b :0 slave,noaddr - 0 1 2 disconnected\nc 10.0.0.1:1@2 handshake - 0 0 0 connected\n",
      "", NULL },
    { "b 10.0.0.1:65535@1 master - 0 1 2 connected", "10.0.0.1:65535 ", NULL },
    { "b 10.0.0.1:65536@1 master - 0 1 2 connected\n", "", "cannot be read" },
    { "b 10.0.0.1:0@1 master - 0 1 2 connected\n", "", "cannot be read" },
    { "b 10.0.0.1:99999999999999999999@1 master -\n", "", "cannot be read" },
    { "b 10.0.0.1:7x@1 master - 0 1 2 connected\n", "", "cannot be read" },
    { "b 10.0.0.1 master - 0 1 2 connected\n", "", "cannot be read" },
    { "b :7001 master - 0 1 2 connected\n", "", "cannot be read" },
    { "b 10.0.0.1:7001\n", "", "cannot be read" },
    { "\n", "", "cannot be read" },
};

START_TEST(reads_lists_of_nodes)
{
    static probe_redis_nodes_t nodes;
    const char *text = "";

    unit_expect(probe_redis_nodes_read(lists[_i].text, strlen(lists[_i].text), &nodes),
                lists[_i].error);
    for (unsigned i = 0; i < nodes.n; i++)
        text = apr_psprintf(pool, "%s%s:%u ", text, nodes.names[i], nodes.ports[i]);
    ck_assert_str_eq(text, lists[_i].hosts);
}
END_TEST

/* Of n nodes, as the one with this number lists them: in an order of its own. */
static const char *list_of(unsigned n, unsigned asked, const char *name)
{
    static char text[100 * 64];
    char *end = text;

    for (unsigned i = 0; i < n; i++) {
        unsigned id = (i * 7 + asked) % n;
        end += apr_snprintf(end, (size_t)(text + sizeof(text) - end),
                            "%03x %s%u:7001@17001 %smaster - 0 1 2 connected\n", id * 31 % 997,
                            name, id, id == asked ? "myself," : "");
    }
    return text;
}

START_TEST(a_list_of_many)
{
    static probe_redis_nodes_t nodes;
    bool is_asked[100] = { true };
    unsigned queue[100] = { 0 }, n = 1;

    for (unsigned i = 0; i < n; i++) {
        const char *text = list_of(100, queue[i], "10.0.0.");
        unit_expect(probe_redis_nodes_read(text, strlen(text), &nodes), NULL);
        ck_assert_uint_eq(nodes.n, FO_FURTHER_MAX);
        for (unsigned k = 0; k < nodes.n; k++) {
            unsigned id = (unsigned)atoi(nodes.names[k] + strlen("10.0.0."));
            ck_assert_uint_ne(id, queue[i]);
            if (!is_asked[id])
                queue[n++] = id;
            is_asked[id] = true;
        }
    }
    ck_assert_uint_eq(n, 100);
}
END_TEST

START_TEST(a_list_that_just_fits)
{
    static probe_redis_nodes_t nodes;
    const char *text = list_of(FO_FURTHER_MAX + 1, 5, "10.0.0.");

    unit_expect(probe_redis_nodes_read(text, strlen(text), &nodes), NULL);
    ck_assert_uint_eq(nodes.n, FO_FURTHER_MAX);
    for (unsigned i = 0; i < nodes.n; i++)
        ck_assert_str_ne(nodes.names[i], "10.0.0.5");
}
END_TEST

START_TEST(a_long_name)
{
    static probe_redis_nodes_t nodes;
    char name[256] = "";
    const char *text;

    memset(name, 'n', 254);
    text = list_of(2, 0, name); /* 255 bytes with its number */
    unit_expect(probe_redis_nodes_read(text, strlen(text), &nodes), NULL);
    ck_assert_uint_eq(strlen(nodes.names[0]), 255);
    name[254] = 'n';
    text = list_of(2, 0, name);
    unit_expect(probe_redis_nodes_read(text, strlen(text), &nodes), "cannot be read");
}
END_TEST

START_TEST(names_the_other_nodes)
{
    const char *list = list_of(3, 0, "10.0.0.");
    const char *bytes = apr_psprintf(pool, PONG STATE_OK "$%u\r\n%s\r\n", (unsigned)strlen(list),
                                     list);

    for (size_t chunk = 1; chunk <= 1000; chunk += 999) {
        start_kind(&cluster);
        feed(bytes, strlen(bytes), chunk);
        expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, "");
        ck_assert_uint_eq(play.talk.n_further, 2);
        memset(play.in, 0, sizeof(play.in)); /* the names do not lie there */
        ck_assert_str_eq(play.talk.further[0].name, "10.0.0.1"); /* 7 % 3 */
        ck_assert_str_eq(play.talk.further[1].name, "10.0.0.2");
        ck_assert_uint_eq(play.talk.further[1].port, 7001);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("probe_redis");
    TCase *tc = unit_case("redis");

    tcase_add_loop_test(tc, configures, 0, COUNT(urls));
    tcase_add_loop_test(tc, says_all_at_once, 0, COUNT(sayings));
    tcase_add_test(tc, a_login_that_does_not_fit);
    tcase_add_loop_test(tc, answered_whole, 0, COUNT(answers));
    tcase_add_loop_test(tc, answered_byte_by_byte, 0, COUNT(answers));
    tcase_add_loop_test(tc, cut_at_every_byte, 0, COUNT(answers));
    tcase_add_loop_test(tc, an_answer_without_an_end, 0, 3);
    tcase_add_test(tc, silence_is_waited_for);
    tcase_add_loop_test(tc, reads_lists_of_nodes, 0, COUNT(lists));
    tcase_add_test(tc, a_list_of_many);
    tcase_add_test(tc, a_list_that_just_fits);
    tcase_add_test(tc, a_long_name);
    tcase_add_test(tc, names_the_other_nodes);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

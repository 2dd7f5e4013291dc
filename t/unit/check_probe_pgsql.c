#include "probe/probe_conninfo.h"
#include "probe/probe_pgsql.h"

#include "probe_peer.h"
#include "tls_rig.h"
#include "unit.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/un.h>

#define PASSWORD "it's \\ \"Geheim7\""
#define BYTES(text) .bytes = text, .length = sizeof(text) - 1

#define AUTH_OK "R\0\0\0\x08\0\0\0\0"
#define ASKS_CLEAR "R\0\0\0\x08\0\0\0\x03"
#define ASKS_MD5 "R\0\0\0\x0c\0\0\0\x05salt"
#define ASKS_SCRAM "R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"
#define STANDBY(value, length) "S\0\0\0" length "in_hot_standby\0" value "\0"
#define KEY_DATA "K\0\0\0\x0c\0\0\0\x01\0\0\0\x02"
#define READY "Z\0\0\0\x05I"
#define LOGIN AUTH_OK STANDBY("off", "\x17") KEY_DATA READY
#define OLD_LOGIN AUTH_OK KEY_DATA READY
#define ROW(value)                                                                                 \
    "T\0\0\0\x1a\0\x01r\0\0\0\0\0\0\0\0\0\0\x10\0\x01\xff\xff\xff\xff\0\0"                         \
    "D\0\0\0\x0b\0\x01\0\0\0\x01" value "C\0\0\0\x0dSELECT 1\0" READY
#define GOODBYE "X\0\0\0\x04"

static peer_t peer;
static fo_report_t report;
static apr_interval_time_t budget = 10 * PEER_BUDGET;
static const char *secret;
static const char *gone; /* a file that is removed between the configuration and the ping */

static void setup(void)
{
    unit_setup();
    fo_probe_pgsql.child_init();
}

/* configure() */

/* options: "key=value key=value" */
static const char *configure(const char *text, const char *user, const char *path,
                             const char *words, void **ret_conf, const char **ret_warning)
{
    fo_host_t host = { .name = "localhost", .port = peer.port ? peer.port : 5432 };
    fo_url_t url = { .text = text, .scheme = "postgresql", .user = user, .hosts = &host,
                     .n_hosts = 1, .path = path };
    fo_login_t login = { .user = user };
    apr_table_t *options = apr_table_make(pool, 1);
    char *last, *word, *copy = apr_pstrdup(pool, words);

    while ((word = apr_strtok(copy, " ", &last)) != NULL) {
        char *value = strchr(word, '=');
        *value = '\0';
        apr_table_set(options, word, value + 1);
        copy = NULL;
    }
    return fo_probe_pgsql.configure(&url, &login, options, ret_conf, ret_warning, pool);
}

#define FOLDER_60 "/60_bytes_are_not_too_much_for_the_folder_of_a_unix_socket__"

static const struct {
    const char *text, *user, *path, *options;
    const char *error; /* a part of it; NULL: accepted */
} urls[] = {
    { "postgresql://m@db1", "m", "", "", NULL },
    { "postgresql://m@db1/", "m", "/", "", NULL },
    { "postgresql://m@db1/shop", "m", "/shop", "role=primary", NULL },
    { "postgresql://m@db1/shop", "m", "/shop", "role=replica tls=off", NULL },
    { "postgresql://m@db1", "m", "", "tls=on verify=off", NULL },
    { "postgresql://m@db1", "m", "", "socket=/run/postgresql", NULL },
    { "postgresql://m@db1", "m", "", "socket=/run/postgresql/.s.PGSQL.5433", NULL },
    { "postgresql://m@db1", "m", "", "socket=/.s.PGSQL.5433", NULL },
    { "postgresql://m@db1", "m", "", "socket=" FOLDER_60, NULL },
    { "postgresql://m@db1/a/b", "m", "/a/b", "", "one database" },
    { "postgresql://db1", NULL, "", "",
      "CREATE ROLE monitor LOGIN PASSWORD '...'; "
      "GRANT CONNECT ON DATABASE \"postgres\" TO monitor; (the least that a login takes) then "
      "postgresql://monitor@db1 password=" },
    { "postgresql://@db1:33/", "", "/", "", "then postgresql://monitor@db1:33/ " },
    { "postgresql://db1/a\"b\"", NULL, "/a\"b\"", "", "ON DATABASE \"a\"\"b\"\"\" TO" },
    { "postgresql://m@db1", "m", "", "role=master", "'master' is neither primary nor replica" },
    { "postgresql://m@db1", "m", "", "tls=yes", "tls=: 'yes' is neither on nor off" },
    { "postgresql://m@db1", "m", "", "ca=/x", "ca= takes tls=on" },
    { "postgresql://m@db1", "m", "", "tls=off verify=off", "verify= takes tls=on" },
    { "postgresql://m@db1", "m", "", "tls=on ca=/no/such/file", "ca=: there is no file" },
    { "postgresql://m@db1", "m", "", "tls=on verify=maybe", "neither on nor off" },
    { "postgresql://m@db1", "m", "", "tls=on key=/x", "key= takes cert=" },
    { "postgresql://m@db1", "m", "", "tls=on verify=off socket=/run", "exclude each other" },
    { "postgresql://m@db1", "m", "", "socket=run", "'run' is not an absolute path" },
    { "postgresql://m@db1", "m", "", "socket=/a,b", "comma" },
    { "postgresql://m@db1", "m", "", "socket=/run/.s.PGSQL.", "does not end in a port" },
    { "postgresql://m@db1", "m", "", "socket=/run/.s.PGSQL.5432x", "does not end in a port" },
    { "postgresql://m@db1", "m", "", "socket=/run/.s.PGSQL.65536", "does not end in a port" },
    { "postgresql://m@db1", "m", "", "socket=/run/.s.PGSQL.0", "does not end in a port" },
    { "postgresql://m@db1", "m", "", "socket=" FOLDER_60 FOLDER_60, "too long" },
};

START_TEST(configures)
{
    void *conf = NULL;
    const char *warning = NULL;
    const char *error = configure(urls[_i].text, urls[_i].user, urls[_i].path, urls[_i].options,
                                  &conf, &warning);

    if (urls[_i].error) {
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error, urls[_i].error) != NULL, "%s", error);
        ck_assert_ptr_null(conf);
    }
    else {
        ck_assert_msg(!error, "%s", error);
        ck_assert_ptr_nonnull(conf);
    }
    ck_assert_int_eq(warning != NULL, !error && strstr(urls[_i].options, "verify=off") != NULL);
}
END_TEST

/* Pings */

static void ping_with(const char *path, const char *options)
{
    static const char *const address = "127.0.0.1";
    fo_peer_t to = { .name = "localhost", .addresses = &address, .n_addresses = 1,
                     .port = peer.port };
    fo_ask_t ask = { .secret = secret, .peers = &to, .n_peers = 1, .budget = budget };
    void *conf = NULL;
    const char *warning = NULL;

    ck_assert_ptr_null(configure("postgresql://m@db1", "m", path, options, &conf, &warning));
    if (gone)
        unlink(gone);
    peer_drive(&fo_probe_pgsql, conf, &ask, &report);
    peer_stop(&peer);
    ck_assert_ptr_null(strstr(report.text, PASSWORD));
}

static void ping(void)
{
    ping_with("/shop", "");
}

static void expect(fo_verdict_e verdict, fo_stage_e stage, apr_status_t status)
{
    ck_assert_msg(report.verdict == verdict, "verdict %d: %s", report.verdict, report.text);
    ck_assert_int_eq(report.stage, stage);
    ck_assert_int_eq(report.status, status);
    ck_assert_int_eq(report.code, 0);
}

static void expect_timeout(fo_stage_e stage)
{
    expect(FO_VERDICT_FAIL, stage, APR_TIMEUP);
    ck_assert_int_ge(report.took, budget);
    ck_assert_int_lt(report.took, budget + PEER_SLACK);
}

static void expect_text(const char *text)
{
    ck_assert_msg(strstr(report.text, text) != NULL, "%s", report.text);
}

static bool ends_with_goodbye(void)
{
    size_t length = sizeof(GOODBYE) - 1;

    return peer.n_got > length &&
           memcmp(peer.got + peer.n_got - length, GOODBYE, length) == 0;
}

/* What the server says once it has the startup packet, whole or byte by byte. */
static void answer(const char *bytes, size_t length, apr_interval_time_t pause, peer_end_e end)
{
    static peer_line_t lines[2];

    lines[0] = (peer_line_t){ .await = 1, .bytes = bytes, .length = length, .pause = pause };
    peer_start(&peer, lines, end);
}

/* An ErrorResponse in place of anything else. */
static void answer_error(const char *sqlstate, const char *words)
{
    static char bytes[1024];
    char fields[512];
    size_t n = (size_t)snprintf(fields, sizeof(fields), "SFATAL%cVFATAL%cC%s%cM%s%cDmore%c%c", 0, 0,
                                sqlstate, 0, words, 0, 0, 0);

    memcpy(bytes, "E\0\0\0\0", 5);
    bytes[3] = (char)((n + 4) >> 8);
    bytes[4] = (char)((n + 4) & 0xff);
    memcpy(bytes + 5, fields, n);
    answer(bytes, n + 5, 0, PEER_CLOSE);
}

START_TEST(refused)
{
    peer_bind(&peer);
    ping();
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED);
    ck_assert_str_eq(report.text, "");
}
END_TEST

START_TEST(unreachable)
{
    budget = PEER_BUDGET;
    peer_full(&peer);
    ping();
    expect_timeout(FO_STAGE_CONNECT);
}
END_TEST

/* In a network of the test's own, which has no way to anywhere. */
START_TEST(no_route)
{
    peer_bind(&peer);
    ck_assert(unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0);
    ping();
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ENETUNREACH);
}
END_TEST

START_TEST(mute)
{
    budget = PEER_BUDGET;
    peer_mute(&peer);
    ping();
    expect_timeout(FO_STAGE_LOGIN);
}
END_TEST

START_TEST(dripping)
{
    budget = PEER_BUDGET;
    answer(LOGIN, sizeof(LOGIN) - 1, 20 * 1000, PEER_HOLD);
    ping();
    expect_timeout(FO_STAGE_LOGIN);
    ck_assert(!ends_with_goodbye());
}
END_TEST

START_TEST(closed_at_once)
{
    static const peer_line_t lines[] = { { 0 } };

    peer_start(&peer, lines, PEER_CLOSE);
    ping();
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(report.stage, FO_STAGE_LOGIN);
    ck_assert(report.status == APR_EOF || report.status == ECONNRESET); /* it read nothing */
}
END_TEST

START_TEST(closed)
{
    answer("", 0, 0, PEER_CLOSE);
    ping();
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, APR_EOF);
    ck_assert_str_eq(report.text, "the server closed the connection");
}
END_TEST

START_TEST(reset)
{
    answer("", 0, 0, PEER_RESET);
    ping();
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, ECONNRESET);
    ck_assert_str_eq(report.text, "");
}
END_TEST

START_TEST(passes)
{
    static const char startup[] = "user\0m\0database\0shop\0application_name\0mod_failover\0";

    answer(LOGIN, sizeof(LOGIN) - 1, 0, PEER_HOLD);
    ping();
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
    ck_assert(ends_with_goodbye());
    ck_assert_uint_eq(peer.n_got, 8 + sizeof(startup) + sizeof(GOODBYE) - 1);
    ck_assert_mem_eq(peer.got + 4, "\0\3\0\0", 4);
    ck_assert_mem_eq(peer.got + 8, startup, sizeof(startup));
}
END_TEST

START_TEST(passes_byte_by_byte)
{
    answer(LOGIN, sizeof(LOGIN) - 1, 1, PEER_HOLD);
    ping();
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
    ck_assert(ends_with_goodbye());
}
END_TEST

START_TEST(cut_at_every_byte)
{
    answer(LOGIN, (size_t)_i, 0, PEER_CLOSE);
    ping();
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, APR_EOF);
    ck_assert_str_eq(report.text, "the server closed the connection");
    ck_assert(!ends_with_goodbye());
}
END_TEST

START_TEST(hangs_at_every_byte)
{
    budget = PEER_BUDGET / 2;
    answer(LOGIN, (size_t)_i, 0, PEER_HOLD);
    ping();
    expect_timeout(FO_STAGE_LOGIN);
    ck_assert(!ends_with_goodbye());
}
END_TEST

static const peer_line_t garbage[] = {
    { BYTES("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n") },
    { BYTES("HTTP/1.1 400 Bad Request\r\n\r\n") },
    { BYTES("J\0\0\0\x0a" "8.0.0\0") },
    { BYTES("R\0\0\0\x01\0\0\0\0") },
    { BYTES("R\x7f\xff\xff\xff\0\0\0\0") },
    { BYTES("E\0\0\0\0") },
    { BYTES("Enot a number\0") },
    { BYTES("R\0\0\0\x08\0\0\0\x63") },
    { BYTES(AUTH_OK "Q\xff\xff\xff\xff") },
    { BYTES(AUTH_OK "S\0\0\0\x05xx") },
};

START_TEST(talks_garbage)
{
    answer(garbage[_i].bytes, garbage[_i].length, 0, PEER_CLOSE);
    ping();
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(report.stage, FO_STAGE_LOGIN);
    ck_assert_str_ne(report.text, "");
    ck_assert_ptr_null(strchr(report.text, '\n'));
    ck_assert_ptr_null(strstr(report.text, "connection to server"));
    ck_assert_int_lt(report.took, budget);
}
END_TEST

/* Each begins in its own way, and then never stops. */
static const peer_line_t floods[] = {
    { BYTES("Ewords without an end") },
    { BYTES(AUTH_OK "N\0\xff\xff\xff") },
    { BYTES(AUTH_OK "E\0\xff\xff\xff") },
};

START_TEST(never_stops)
{
    size_t length = 8 * 1024 * 1024;
    char *bytes = malloc(length);

    memset(bytes, 'x', length);
    memcpy(bytes, floods[_i].bytes, floods[_i].length);
    answer(bytes, length, 0, PEER_CLOSE);
    ping();
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, 0);
    ck_assert_str_eq(report.text, "the answer is too long");
    free(bytes);
}
END_TEST

static const struct {
    const char *sqlstate, *words, *options;
    fo_verdict_e verdict;
    const char *text;
} errors[] = {
    { "57P03", "the database system is starting up", "", FO_VERDICT_FAIL,
      "57P03: the database system is starting up" },
    { "57P03", "the database system is shutting down", "", FO_VERDICT_FAIL, "57P03: the data" },
    { "57P01", "terminating connection", "", FO_VERDICT_FAIL, "57P01: terminating connection" },
    { "3D000", "database \"shop\" does not exist", "", FO_VERDICT_FAIL, "3D000: database \"" },
    { "53300", "sorry, too many clients already", "", FO_VERDICT_BUSY,
      "53300: sorry, too many clients already" },
    { "53300", "sorry, too many clients already", "role=primary", FO_VERDICT_BUSY, "53300: " },
    { "28P01", "password authentication failed for user \"m\"", "", FO_VERDICT_LOGIN,
      "28P01: password authentication failed for user \"m\"" },
    { "28000", "role \"m\" does not exist", "", FO_VERDICT_LOGIN, "28000: role \"m\" does" },
    { "42501", "permission denied for database \"shop\"", "", FO_VERDICT_LOGIN, "42501: perm" },
    { "28P01", "password authentication failed", "role=replica", FO_VERDICT_BARRED, "28P01: pass" },
    { "28000", "no pg_hba.conf entry for host \"::1\", user \"m\", no encryption", "",
      FO_VERDICT_LOGIN, "tls=on may help: 28000: no pg_hba.conf entry for host" },
    { "28000", "no pg_hba.conf entry for host \"::1\", user \"m\", SSL on", "", FO_VERDICT_LOGIN,
      "28000: no pg_hba" },
    { "28000", "pg_hba.conf rejects connection for host \"::1\", user \"m\", no encryption", "",
      FO_VERDICT_LOGIN, "tls=on may help: 28000: pg_hba.conf rejects" },
    { "XX000", "two\nlines", "", FO_VERDICT_FAIL, "XX000: two" },
    { "no", "a state: of  28P01: its own", "", FO_VERDICT_FAIL, "FATAL:  no: a state" },
};

START_TEST(server_says_no)
{
    answer_error(errors[_i].sqlstate, errors[_i].words);
    ping_with("/shop", errors[_i].options);
    expect(errors[_i].verdict, FO_STAGE_LOGIN, 0);
    ck_assert_msg(strncmp(report.text, errors[_i].text, strlen(errors[_i].text)) == 0, "%s",
                  report.text);
    ck_assert_ptr_null(strstr(report.text, "more"));
    ck_assert_ptr_null(strchr(report.text, '\n'));
}
END_TEST

static const struct {
    peer_line_t line;
    const char *options;
    fo_verdict_e verdict;
} asked[] = {
    { { BYTES(ASKS_CLEAR) }, "", FO_VERDICT_LOGIN },
    { { BYTES(ASKS_MD5) }, "", FO_VERDICT_LOGIN },
    { { BYTES(ASKS_SCRAM) }, "", FO_VERDICT_LOGIN },
    { { BYTES(ASKS_SCRAM) }, "role=primary", FO_VERDICT_BARRED },
};

/* Without a password it leaves, and in silence: a goodbye now would be an error there. */
START_TEST(asks_for_a_password)
{
    answer(asked[_i].line.bytes, asked[_i].line.length, 0, PEER_HOLD);
    ping_with("", asked[_i].options);
    expect(asked[_i].verdict, FO_STAGE_LOGIN, 0);
    ck_assert_str_eq(report.text, "the server asks for a password: name it with password=");
    ck_assert_ptr_nonnull(memmem(peer.got, peer.n_got, "database\0postgres", 18));
    ck_assert_uint_eq(peer.n_got, (size_t)peer.got[3]); /* the startup packet */
}
END_TEST

/* Also one with the letters that a connection string takes for its own. */
START_TEST(gives_the_password)
{
    static const peer_line_t lines[] = {
        { .await = 1, BYTES(ASKS_CLEAR) },
        { .await = sizeof(PASSWORD), BYTES(LOGIN) },
        { 0 },
    };

    secret = PASSWORD;
    peer_start(&peer, lines, PEER_HOLD);
    ping();
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
    ck_assert_ptr_nonnull(memmem(peer.got, peer.n_got, PASSWORD, sizeof(PASSWORD)));
}
END_TEST

static const struct {
    peer_line_t line;
    const char *options;
    bool passes;
} reported[] = {
    { { BYTES(LOGIN) }, "role=primary", true },
    { { BYTES(LOGIN) }, "role=replica", false },
    { { BYTES(AUTH_OK STANDBY("on", "\x16") READY) }, "role=primary", false },
    { { BYTES(AUTH_OK STANDBY("on", "\x16") READY) }, "role=replica", true },
};

START_TEST(role_is_reported)
{
    answer(reported[_i].line.bytes, reported[_i].line.length, 0, PEER_HOLD);
    ping_with("", reported[_i].options);
    expect(reported[_i].passes ? FO_VERDICT_PASS : FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0);
    if (!reported[_i].passes)
        expect_text(_i == 1 ? "it is the primary, no replica" : "it is a replica, not the primary");
    ck_assert(ends_with_goodbye());
}
END_TEST

/* Before PostgreSQL 14, and behind a pooler. */
static const struct {
    peer_line_t line;
    const char *options;
    fo_verdict_e verdict;
    const char *text;
} answered[] = {
    { { BYTES(ROW("f")) }, "role=primary", FO_VERDICT_PASS, "" },
    { { BYTES(ROW("f")) }, "role=replica", FO_VERDICT_FAIL, "it is the primary, no replica" },
    { { BYTES(ROW("t")) }, "role=primary", FO_VERDICT_FAIL, "it is a replica, not the primary" },
    { { BYTES(ROW("t")) }, "role=replica", FO_VERDICT_PASS, "" },
    { { BYTES("E\0\0\0\x1cSERROR\0C42501\0Mnot you\0\0" READY) }, "role=primary", FO_VERDICT_BARRED,
      "42501: not you" },
    { { BYTES("E\0\0\0\x1cSERROR\0C57014\0Mnot now\0\0" READY) }, "role=primary", FO_VERDICT_FAIL,
      "57014: not now" },
    { { BYTES("T\0\0\0\x06\0\0D\0\0\0\x06\0\0"
              "C\0\0\0\x0dSELECT 1\0" READY) },
      "role=primary", FO_VERDICT_FAIL, "the answer is not PostgreSQL's protocol" },
    { { BYTES("C\0\0\0\x0dSELECT 0\0" READY) }, "role=primary", FO_VERDICT_FAIL,
      "the answer is not PostgreSQL's protocol" },
    { { BYTES("G\0\0\0\x07\0\0\0") }, "role=primary", FO_VERDICT_FAIL,
      "the answer is not PostgreSQL's protocol" },
};

static void answer_query(const peer_line_t *row, apr_interval_time_t pause, peer_end_e end)
{
    static peer_line_t lines[3];

    lines[0] = (peer_line_t){ .await = 1, BYTES(OLD_LOGIN) };
    lines[1] = *row;
    lines[1].await = 1;
    lines[1].pause = pause;
    peer_start(&peer, lines, end);
}

START_TEST(role_is_asked)
{
    answer_query(&answered[_i].line, _i % 2, PEER_HOLD);
    ping_with("", answered[_i].options);
    expect(answered[_i].verdict, FO_STAGE_ANSWER, 0);
    ck_assert_str_eq(report.text, answered[_i].text);
    ck_assert_ptr_nonnull(memmem(peer.got, peer.n_got, "pg_is_in_recovery", 17));
    ck_assert(ends_with_goodbye());
}
END_TEST

START_TEST(role_is_not_answered)
{
    static const peer_line_t nothing = { BYTES("") };

    budget = PEER_BUDGET;
    answer_query(&nothing, 0, PEER_HOLD);
    ping_with("", "role=primary");
    expect_timeout(FO_STAGE_ANSWER);
    ck_assert(ends_with_goodbye());
}
END_TEST

START_TEST(closed_before_the_role)
{
    static const peer_line_t nothing = { BYTES("") };

    answer_query(&nothing, 0, PEER_CLOSE);
    ping_with("", "role=primary");
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_EOF);
}
END_TEST

/* TLS itself is for a real server. */
START_TEST(no_tls_there)
{
    answer("N", 1, 0, PEER_HOLD);
    ping_with("", "tls=on verify=off");
    expect(FO_VERDICT_FAIL, FO_STAGE_TLS, 0);
    expect_text("does not support SSL");
    ck_assert_ptr_null(memmem(peer.got, peer.n_got, "user", 4)); /* nothing goes there in clear */
}
END_TEST

static const struct {
    const char *options; /* @: the folder */
    const char *gone;
} tls_files[] = {
    { "tls=on ca=@/one.crt", "one.crt" },
    { "tls=on verify=off cert=@/one.crt key=@/one.key", "one.key" },
};

/* What this process cannot read is our own side's fault. */
START_TEST(file_has_gone)
{
    char *options = apr_pstrdup(pool, "");

    tls_make_folder();
    chmod(tls_file("one.key"), 0600);
    for (const char *c = tls_files[_i].options; *c; c++)
        options = *c == '@' ? apr_pstrcat(pool, options, tls_folder, NULL)
                            : apr_psprintf(pool, "%s%c", options, *c);
    answer("S", 1, 0, PEER_HOLD);
    gone = tls_file(tls_files[_i].gone);
    ping_with("", options);
    expect(FO_VERDICT_SELF, FO_STAGE_TLS, APR_EGENERAL);
    expect_text(gone);
    gone = NULL;
    tls_remove_folder();
}
END_TEST

static const peer_line_t half_tls[] = {
    { BYTES("") },
    { BYTES("S") },
    { BYTES("S\x16\x03\x03\0\x7a\x02") },
};

START_TEST(tls_hangs)
{
    budget = PEER_BUDGET;
    answer(half_tls[_i].bytes, half_tls[_i].length, 0, PEER_HOLD);
    ping_with("", "tls=on verify=off");
    expect_timeout(FO_STAGE_TLS);
}
END_TEST

START_TEST(tls_is_closed)
{
    answer(half_tls[_i].bytes, half_tls[_i].length, 0, PEER_CLOSE);
    ping_with("", "tls=on verify=off");
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(report.stage, FO_STAGE_TLS);
}
END_TEST

/* Nothing of it shows. */
START_TEST(environment_is_ignored)
{
    static const char *const variables[][2] = {
        { "PGHOST", "192.0.2.1" },      { "PGHOSTADDR", "192.0.2.1" }, { "PGPORT", "1" },
        { "PGDATABASE", "elsewhere" },  { "PGUSER", "root" },          { "PGPASSWORD", "other" },
        { "PGSSLMODE", "require" },     { "PGOPTIONS", "-c x=y" },     { "PGAPPNAME", "app" },
        { "PGCONNECT_TIMEOUT", "x" },   { "PGSSLCERT", "/etc/passwd" },
        { "PGREQUIREPEER", "root" },    { "PGCLIENTENCODING", "x" },
        { "PGCHANNELBINDING", "require" }, { "PGTARGETSESSIONATTRS", "standby" },
        { "PGGSSENCMODE", "require" },  { "PGSSLMINPROTOCOLVERSION", "x" },
    };

    for (int i = 0; i < COUNT(variables); i++)
        setenv(variables[i][0], variables[i][1], 1);
    answer(ASKS_CLEAR, sizeof(ASKS_CLEAR) - 1, 0, PEER_HOLD);
    ping();
    expect(FO_VERDICT_LOGIN, FO_STAGE_LOGIN, 0);
    ck_assert_ptr_nonnull(memmem(peer.got, peer.n_got,
                                 "user\0m\0database\0shop\0application_name\0mod_failover\0", 50));
}
END_TEST

/* Of this one there is no way around. */
START_TEST(service_is_not_there)
{
    static const char *const address = "127.0.0.1";
    fo_peer_t to = { .name = "localhost", .addresses = &address, .n_addresses = 1 };
    fo_ask_t ask = { .peers = &to, .n_peers = 1, .budget = budget };
    const char *warning = NULL;
    void *conf = NULL;

    setenv("PGSERVICE", "nobody", 1);
    ck_assert_ptr_null(configure("postgresql://m@db1", "m", "", "", &conf, &warning));
    ck_assert_ptr_nonnull(strstr(warning, "PGSERVICE"));
    peer_drive(&fo_probe_pgsql, conf, &ask, &report);
    expect(FO_VERDICT_SELF, FO_STAGE_CONNECT, 0);
    expect_text("\"nobody\"");
}
END_TEST

START_TEST(takes_the_keys_password_along)
{
    static const char *const address = "::1";
    fo_peer_t to = { .name = "localhost", .addresses = &address, .n_addresses = 1 };
    fo_ask_t ask = { .key_password = "key's", .peers = &to, .n_peers = 1 };
    void *conf = NULL;
    const char *warning = NULL;
    char *text;

    ck_assert_ptr_null(configure("postgresql://m@db1", "m", "", "tls=on verify=off", &conf,
                                 &warning));
    text = probe_conninfo_write(conf, &ask);
    ck_assert_ptr_nonnull(strstr(text, " hostaddr='::1'"));
    ck_assert_ptr_nonnull(strstr(text, " sslpassword='key\\'s'"));
    ck_assert_ptr_nonnull(strstr(text, " host='localhost'"));
    probe_conninfo_free(text);
}
END_TEST

/* Unix sockets */

static char folder[] = "/tmp/fo-pgsql-XXXXXX";

static void listen_locally(int backlog)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/.s.PGSQL.5432", folder);
    peer = (peer_t){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), .port = 5432 };
    ck_assert_int_eq(bind(peer.fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (backlog >= 0)
        ck_assert_int_eq(listen(peer.fd, backlog), 0);
}

static void forget_folder(void)
{
    unlink(apr_psprintf(pool, "%s/.s.PGSQL.5432", folder));
    rmdir(folder);
}

static const char *const places[] = { "socket=%s", "socket=%s/.s.PGSQL.5432" };

START_TEST(local_passes)
{
    static const peer_line_t lines[] = { { .await = 1, BYTES(LOGIN) }, { 0 } };

    listen_locally(8);
    peer.lines = lines;
    peer.is_running = true;
    ck_assert_int_eq(pthread_create(&peer.thread, NULL, peer_play, &peer), 0);
    ping_with("/shop", apr_psprintf(pool, places[_i], folder));
    forget_folder();
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
    ck_assert(ends_with_goodbye());
}
END_TEST

START_TEST(local_is_missing)
{
    listen_locally(8);
    forget_folder();
    ping_with("", apr_psprintf(pool, places[_i], folder));
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ENOENT);
}
END_TEST

START_TEST(local_refuses)
{
    listen_locally(-1);
    ping_with("", apr_psprintf(pool, places[0], folder));
    forget_folder();
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED);
}
END_TEST

START_TEST(local_is_full)
{
    struct sockaddr_un address;
    socklen_t length = sizeof(address);
    int result;

    listen_locally(0);
    getsockname(peer.fd, (struct sockaddr *)&address, &length);
    do /* closed by the end of the test's process */
        result = connect(socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                         (struct sockaddr *)&address, length);
    while (result == 0);
    ping_with("", apr_psprintf(pool, places[0], folder));
    forget_folder();
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, EAGAIN);
    ck_assert_str_eq(report.text, "the socket's queue is full");
}
END_TEST

/* Our own side */

START_TEST(no_descriptors)
{
    struct rlimit usual;

    peer_mute(&peer);
    usual = unit_leave_descriptors(0);
    ping();
    setrlimit(RLIMIT_NOFILE, &usual);
    expect(FO_VERDICT_SELF, FO_STAGE_CONNECT, EMFILE);
    ck_assert_str_eq(report.text, "");
}
END_TEST

START_TEST(closes_on_exec)
{
    static const char *const address = "127.0.0.1";
    void *conf = NULL, *state = calloc(1, fo_probe_pgsql.steps->state_size);
    fo_peer_t to = { .addresses = &address, .n_addresses = 1 };
    fo_ask_t ask = { .peers = &to, .n_peers = 1, .budget = PEER_BUDGET };
    const char *warning = NULL;
    fo_wait_t wait;

    peer_mute(&peer);
    ck_assert_ptr_null(configure("postgresql://m@db1", "m", "", "", &conf, &warning));
    ck_assert_int_eq(fo_probe_pgsql.steps->begin(state, conf, &ask, &wait, &report), FO_MORE);
    ck_assert_int_eq(fcntl(wait.fd, F_GETFD), FD_CLOEXEC);
    ck_assert(fcntl(wait.fd, F_GETFL) & O_NONBLOCK);
    fo_probe_pgsql.steps->end(state);
    ck_assert_int_eq(fcntl(wait.fd, F_GETFD), -1);
    free(state);
    peer_stop(&peer);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("probe_pgsql");
    TCase *tc = tcase_create("all");

    tcase_set_timeout(tc, 60);
    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_loop_test(tc, configures, 0, COUNT(urls));
    tcase_add_test(tc, refused);
    tcase_add_test(tc, unreachable);
    tcase_add_test(tc, no_route);
    tcase_add_test(tc, mute);
    tcase_add_test(tc, dripping);
    tcase_add_test(tc, closed_at_once);
    tcase_add_test(tc, closed);
    tcase_add_test(tc, reset);
    tcase_add_test(tc, passes);
    tcase_add_test(tc, passes_byte_by_byte);
    tcase_add_loop_test(tc, cut_at_every_byte, 0, sizeof(LOGIN) - 1);
    tcase_add_loop_test(tc, hangs_at_every_byte, 0, sizeof(LOGIN) - 1);
    tcase_add_loop_test(tc, talks_garbage, 0, COUNT(garbage));
    tcase_add_loop_test(tc, never_stops, 0, COUNT(floods));
    tcase_add_loop_test(tc, server_says_no, 0, COUNT(errors));
    tcase_add_loop_test(tc, asks_for_a_password, 0, COUNT(asked));
    tcase_add_test(tc, gives_the_password);
    tcase_add_loop_test(tc, role_is_reported, 0, COUNT(reported));
    tcase_add_loop_test(tc, role_is_asked, 0, COUNT(answered));
    tcase_add_test(tc, role_is_not_answered);
    tcase_add_test(tc, closed_before_the_role);
    tcase_add_test(tc, no_tls_there);
    tcase_add_loop_test(tc, file_has_gone, 0, COUNT(tls_files));
    tcase_add_loop_test(tc, tls_hangs, 0, COUNT(half_tls));
    tcase_add_loop_test(tc, tls_is_closed, 0, COUNT(half_tls));
    tcase_add_test(tc, environment_is_ignored);
    tcase_add_test(tc, service_is_not_there);
    tcase_add_test(tc, takes_the_keys_password_along);
    tcase_add_loop_test(tc, local_passes, 0, COUNT(places));
    tcase_add_loop_test(tc, local_is_missing, 0, COUNT(places));
    tcase_add_test(tc, local_refuses);
    tcase_add_test(tc, local_is_full);
    tcase_add_test(tc, no_descriptors);
    tcase_add_test(tc, closes_on_exec);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

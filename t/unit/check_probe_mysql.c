#include "probe/probe_mysql.h"

#include "probe_peer.h"
#include "unit.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define PASSWORD "Geheim7"

#define GREETING                                                                                   \
    "\x49\0\0\0\x0a"                                                                               \
    "8.0.0\0\x01\0\0\0"                                                                            \
    "abcdefgh\0\x08\x82\x21\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0"                                   \
    "ijklmnopqrst\0"                                                                               \
    "mysql_native_password\0"
#define OK(number) "\x07\0\0" number "\0\0\0\x02\0\0\0"
#define BYTES(text) .bytes = text, .length = sizeof(text) - 1

static peer_t peer;
static fo_report_t report;
static apr_interval_time_t budget;

/* In place of libc's, for the library as well: who closes what is closed may hit another's. */
static _Atomic int n_closed_twice;

int close(int fd)
{
    int result = (int)syscall(SYS_close, fd);

    if (result != 0 && errno == EBADF)
        n_closed_twice++;
    return result;
}

static void setup(void)
{
    unit_setup();
    fo_probe_mysql.child_init(); /* both, as httpd does */
    fo_probe_mysqls.child_init();
    budget = PEER_BUDGET;
}

/* configure() */

/* options: "key=value" each, up to a NULL. */
static const char *configure(const fo_probe_t *probe, const char *user, const char *path,
                             const char *const *options, void **ret_conf, const char **ret_warning)
{
    static const fo_host_t host = { .name = "db1", .port = 3306 };
    fo_url_t url = { .text = apr_pstrcat(pool, probe->scheme, "://db1", path, NULL),
                     .scheme = probe->scheme, .user = user, .hosts = &host, .n_hosts = 1,
                     .path = path };
    fo_login_t login = { .user = user };
    apr_table_t *table = apr_table_make(pool, 1);

    for (; options && *options; options++) {
        const char *value = strchr(*options, '=');
        apr_table_set(table, apr_pstrmemdup(pool, *options, (apr_size_t)(value - *options)),
                      value + 1);
    }
    return probe->configure(&url, &login, table, ret_conf, ret_warning, pool);
}

/* 107 bytes: with its zero as long as a socket's path can be. */
#define TEN "0123456789"
#define LONG_PATH "/" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "012345"

static const struct {
    const fo_probe_t *probe;
    const char *user, *path, *options[3];
    const char *error; /* a part of it; NULL: accepted */
} urls[] = {
    { &fo_probe_mysql, "m", "", { NULL }, NULL },
    { &fo_probe_mysql, "m", "/", { NULL }, NULL },
    { &fo_probe_mysql, "m", "/blog", { NULL }, NULL },
    { &fo_probe_mysql, "m", "/a/b", { NULL }, "path of mysql:// is one database" },
    { &fo_probe_mysqls, "m", "/a/", { NULL }, "path of mysqls:// is one database" },
    { &fo_probe_mysql, NULL, "", { NULL }, "CREATE USER 'monitor'@'%' IDENTIFIED BY '...'; then "
                                           "mysql://monitor@db1" },
    { &fo_probe_mysqls, "", "/", { NULL }, "then mysqls://monitor@db1/" },
    { &fo_probe_mysql, NULL, "/a_b`%", { NULL }, "GRANT LOCK TABLES ON `a_b``%`.* TO " },
    { &fo_probe_mysql, "m", "", { "role=primary", "max-lag=10s" }, NULL },
    { &fo_probe_mysqls, "m", "", { "role=replica", "query=SELECT 1" }, NULL },
    { &fo_probe_mysql, "m", "", { "role=master" }, "'master' is neither primary nor replica" },
    { &fo_probe_mysql, "m", "", { "max-lag=soon" }, "max-lag=: 'soon' is not a duration" },
    { &fo_probe_mysql, "m", "", { "max-lag=1500ms" }, "'1500ms' is not in whole seconds" },
    { &fo_probe_mysql, "m", "", { "query=" }, "query=: there is no SQL" },
    { &fo_probe_mysql, "m", "", { "socket=/run/db.sock" }, NULL },
    { &fo_probe_mysql, "m", "", { "socket=db.sock" }, "'db.sock' is not an absolute path" },
    { &fo_probe_mysql, "m", "", { "socket=" LONG_PATH }, NULL },
    { &fo_probe_mysql, "m", "", { "socket=" LONG_PATH "7" }, "path has at most 107 bytes" },
    { &fo_probe_mysqls, "m", "", { "verify=maybe" }, "verify=: 'maybe'" },
    { &fo_probe_mysqls, "m", "", { "ca=/no/such/file" }, "ca=: there is no file" },
    { &fo_probe_mysqls, "m", "", { "cert=/dev/null" }, "cert= takes key= beside it" },
};

START_TEST(configures)
{
    void *conf = NULL;
    const char *warning = NULL;
    const char *error = configure(urls[_i].probe, urls[_i].user, urls[_i].path, urls[_i].options,
                                  &conf, &warning);

    ck_assert_ptr_null(warning);
    if (urls[_i].error) {
        ck_assert_ptr_nonnull(error);
        ck_assert_msg(strstr(error, urls[_i].error) != NULL, "%s", error);
        ck_assert_ptr_null(conf);
    }
    else {
        ck_assert_msg(!error, "%s", error);
        ck_assert_ptr_nonnull(conf);
    }
}
END_TEST

START_TEST(warns_of_verify_off)
{
    static const char *const options[] = { "verify=off", NULL };
    const char *warning = NULL;
    void *conf = NULL;

    ck_assert_ptr_null(configure(&fo_probe_mysqls, "m", "", options, &conf, &warning));
    ck_assert_ptr_nonnull(strstr(warning, "verify=off: whoever answers"));
}
END_TEST

/* Pings */

static void ping_with(const fo_probe_t *probe, const char *path, const char *const *options)
{
    static const char *const addresses[] = { "127.0.0.1", "127.0.0.1" };
    fo_peer_t to = { .name = "db1", .addresses = addresses, .n_addresses = probe->ask ? 2 : 1,
                     .port = peer.port };
    fo_ask_t ask = { .secret = PASSWORD, .peers = &to, .n_peers = 1, .budget = budget };
    void *conf = NULL;
    const char *warning = NULL;
    apr_time_t began_at;

    ck_assert_ptr_null(configure(probe, "m", path, options, &conf, &warning));
    began_at = peer_now();
    if (probe->ask) {
        report = (fo_report_t){ 0 };
        probe->ask(conf, &ask, &report);
        report.took = peer_now() - began_at;
    } else {
        peer_drive(probe, conf, &ask, &report);
    }
    peer_stop(&peer);
    ck_assert_ptr_null(strstr(report.text, PASSWORD));
}

static void ping(const char *path)
{
    ping_with(&fo_probe_mysql, path, NULL);
}

static void expect(fo_verdict_e verdict, fo_stage_e stage, apr_status_t status, int code)
{
    ck_assert_int_eq(report.verdict, verdict);
    ck_assert_int_eq(report.stage, stage);
    ck_assert_int_eq(report.status, status);
    ck_assert_int_eq(report.code, code);
}

static void expect_timeout(fo_stage_e stage)
{
    expect(FO_VERDICT_FAIL, stage, APR_TIMEUP, 0);
    ck_assert_int_ge(report.took, PEER_BUDGET);
    ck_assert_int_lt(report.took, PEER_BUDGET + PEER_SLACK);
}

START_TEST(refused)
{
    peer_bind(&peer);
    ping("");
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED, 0);
    ck_assert_str_eq(report.text, "");
    ck_assert_int_eq(n_closed_twice, 0);
}
END_TEST

START_TEST(unreachable)
{
    peer_full(&peer);
    ping("");
    expect_timeout(FO_STAGE_CONNECT);
}
END_TEST

/* In a network of the test's own, which has no way to anywhere. */
START_TEST(no_route)
{
    peer_bind(&peer);
    ck_assert(unshare(CLONE_NEWNET) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0);
    n_closed_twice = 0;
    ping("");
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ENETUNREACH, 0);
    ck_assert_int_eq(n_closed_twice, 0);
}
END_TEST

START_TEST(mute)
{
    peer_mute(&peer);
    ping("");
    expect_timeout(FO_STAGE_LOGIN);
}
END_TEST

START_TEST(dripping)
{
    static const peer_line_t lines[] = { { BYTES(GREETING), .pause = 20 * 1000 }, { 0 } };

    peer_start(&peer, lines, PEER_HOLD);
    ping("");
    expect_timeout(FO_STAGE_LOGIN);
}
END_TEST

START_TEST(closed_at_once)
{
    static const peer_line_t lines[] = { { 0 } };

    peer_start(&peer, lines, PEER_CLOSE);
    ping("");
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, APR_EOF, 0);
    ck_assert_str_eq(report.text, "the server closed the connection");
}
END_TEST

START_TEST(closed_after_the_login)
{
    static const peer_line_t lines[] = { { BYTES(GREETING) }, { .await = 1, BYTES("") }, { 0 } };

    peer_start(&peer, lines, PEER_CLOSE);
    ping("");
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, APR_EOF, 0);
    ck_assert_str_eq(report.text, "the server closed the connection");
}
END_TEST

START_TEST(reset)
{
    static const peer_line_t lines[] = { { BYTES(GREETING) }, { .await = 1, BYTES("") }, { 0 } };

    peer_start(&peer, lines, PEER_RESET);
    ping("");
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, ECONNRESET, 0);
}
END_TEST

static const peer_line_t garbage[][2] = {
    { { BYTES("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n") } },
    { { BYTES("HTTP/1.1 400 Bad Request\r\n\r\n") } },
    { { BYTES("\x05\0\0\0\x02 bla") } },
    { { BYTES("\x05\0\0\0\x0a"
              "8.0\0") } },
    { { BYTES("\x01\0\0\0\xff") } },
};

START_TEST(talks_garbage)
{
    peer_start(&peer, garbage[_i], PEER_HOLD);
    ping("");
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(report.stage, FO_STAGE_LOGIN);
    ck_assert_int_eq(report.code, 0);
    ck_assert_str_ne(report.text, "");
    ck_assert_int_lt(report.took, PEER_SLACK);
}
END_TEST

/* An error in place of the greeting has no SQL state. */
static const struct {
    peer_line_t lines[3];
    fo_verdict_e verdict;
    int code;
    const char *text;
} errors[] = {
    { { { BYTES("\x17\0\0\0\xff\x10\x04Too many connections") } },
      FO_VERDICT_BUSY, 1040, "Too many connections" },
    { { { BYTES("\x0f\0\0\0\xff\x69\x04Host blocked") } },
      FO_VERDICT_FAIL, 1129, "mariadb-admin flush-hosts" },
    { { { BYTES("\x10\0\0\0\xff\x6a\x04Host not here") } },
      FO_VERDICT_FAIL, 1130, "Host not here" },
    { { { BYTES("\x13\0\0\0\xff\x1d\x04Shutdown\r\nis\x1b on") } },
      FO_VERDICT_FAIL, 1053, "Shutdown??is? on" },
    { { { BYTES(GREETING) }, { .await = 1, BYTES("\x0f\0\0\2\xff\x15\x04#28000denied") } },
      FO_VERDICT_LOGIN, 1045, "denied" },
    { { { BYTES(GREETING) }, { .await = 1, BYTES("\x0f\0\0\2\xff\x14\x04#42000denied") } },
      FO_VERDICT_LOGIN, 1044, "denied" },
    { { { BYTES(GREETING) }, { .await = 1, BYTES("\x0f\0\0\2\xff\xa2\x06#28000denied") } },
      FO_VERDICT_LOGIN, 1698, "denied" },
    { { { BYTES(GREETING) }, { .await = 1, BYTES("\x0f\0\0\2\xff\xca\x04#42000limits") } },
      FO_VERDICT_LOGIN, 1226, "limits" },
    { { { BYTES(GREETING) }, { .await = 1, BYTES("\x0f\0\0\2\xff\xb3\x04#42000too ma") } },
      FO_VERDICT_BUSY, 1203, "too ma" },
    { { { BYTES(GREETING) }, { .await = 1, BYTES("\x0f\0\0\2\xff\x19\x04#42000Unknow") } },
      FO_VERDICT_FAIL, 1049, "Unknow" },
    { { { BYTES(GREETING) }, { .await = 1, BYTES("\x0f\0\0\2\xff\x1d\x04#08S01stoppi") } },
      FO_VERDICT_FAIL, 1053, "stoppi" },
};

START_TEST(server_says_no)
{
    peer_start(&peer, errors[_i].lines, PEER_CLOSE);
    ping("");
    expect(errors[_i].verdict, FO_STAGE_LOGIN, 0, errors[_i].code);
    ck_assert_msg(strstr(report.text, errors[_i].text) != NULL, "%s", report.text);
}
END_TEST

/* MySQL's last words to one that made it wait, which it may not have been told in time. */
START_TEST(server_loses_patience)
{
    static const peer_line_t lines[4] = {
        { BYTES(GREETING) }, { .await = 1, BYTES("\x0f\0\0\2\xff\x87\x04#08S01Got ti") },
    };

    peer_start(&peer, lines, PEER_CLOSE);
    ping("");
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, APR_EOF, 1159);
    ck_assert_str_eq(report.text, "Got ti");
}
END_TEST

/* Of these, those in place of the greeting. */
#define FIRST_WORDS 4

/* What is said before TLS, nobody vouches for; a number that looks like an errno is none. */
START_TEST(server_says_no_before_tls)
{
    peer_start(&peer, errors[_i].lines, PEER_CLOSE);
    ping_with(&fo_probe_mysqls, "", NULL);
    expect(errors[_i].verdict, FO_STAGE_LOGIN, 0, errors[_i].code);
    ck_assert_msg(strstr(report.text, errors[_i].text) != NULL, "%s", report.text);
}
END_TEST

START_TEST(forges_an_errno)
{
    static const peer_line_t lines[] = { { BYTES("\x10\0\0\0\xff\x18\0too many (24)") }, { 0 } };

    peer_start(&peer, lines, PEER_CLOSE);
    ping_with(&fo_probe_mysqls, "", NULL);
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
}
END_TEST

/* A server that asks for the password in clear text, or for a terminal, gets neither. */
static const peer_line_t switches[][3] = {
    { { BYTES(GREETING) }, { .await = 1, BYTES("\x16\0\0\2\xfemysql_clear_password\0") } },
    { { BYTES(GREETING) }, { .await = 1, BYTES("\x12\0\0\2\xfe" "dialog\0\x02Password:") } },
};

START_TEST(method_not_allowed)
{
    peer_start(&peer, switches[_i], PEER_HOLD);
    ping("");
    expect(FO_VERDICT_LOGIN, FO_STAGE_LOGIN, 0, 0);
    ck_assert_str_ne(report.text, "");
    ck_assert_int_lt(report.took, PEER_SLACK);
    ck_assert_ptr_null(memmem(peer.got, peer.n_got, PASSWORD, strlen(PASSWORD)));
}
END_TEST

static const char quit[] = "\x01\0\0\0\x01";
static const char com_ping[] = "\x01\0\0\0\x0e";

START_TEST(passes)
{
    static const peer_line_t lines[] = {
        { BYTES(GREETING) },
        { .await = 1, BYTES(OK("\x02")) },
        { .await = sizeof(com_ping) - 1, BYTES(OK("\x01")) },
        { 0 },
    };
    size_t tail = 2 * (sizeof(quit) - 1);

    peer_start(&peer, lines, PEER_HOLD);
    ping("/blog");
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, 0);
    ck_assert_ptr_nonnull(memmem(peer.got, peer.n_got, "blog", 5));
    ck_assert_uint_gt(peer.n_got, tail);
    ck_assert_mem_eq(peer.got + peer.n_got - tail, com_ping, tail / 2);
    ck_assert_mem_eq(peer.got + peer.n_got - tail / 2, quit, tail / 2);
}
END_TEST

START_TEST(hangs_after_the_login)
{
    static const peer_line_t lines[] = {
        { BYTES(GREETING) },
        { .await = 1, BYTES(OK("\x02")) },
        { 0 },
    };

    peer_start(&peer, lines, PEER_HOLD);
    ping("");
    expect_timeout(FO_STAGE_ANSWER);
    ck_assert_mem_eq(peer.got + peer.n_got - sizeof(quit) + 1, quit, sizeof(quit) - 1);
}
END_TEST

START_TEST(ping_refused)
{
    static const peer_line_t lines[] = {
        { BYTES(GREETING) },
        { .await = 1, BYTES(OK("\x02")) },
        { .await = sizeof(com_ping) - 1, BYTES("\x0f\0\0\1\xff\x1d\x04#08S01stoppi") },
        { 0 },
    };

    peer_start(&peer, lines, PEER_HOLD);
    ping("");
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0, 1053);
}
END_TEST

START_TEST(no_descriptors)
{
    struct rlimit usual;

    peer_mute(&peer);
    usual = unit_leave_descriptors(0);
    ping("");
    setrlimit(RLIMIT_NOFILE, &usual);
    expect(FO_VERDICT_SELF, FO_STAGE_CONNECT, EMFILE, 0);
    ck_assert_str_eq(report.text, "");
}
END_TEST

START_TEST(closes_on_exec)
{
    static const char *const address = "127.0.0.1";
    void *conf = NULL, *state = calloc(1, fo_probe_mysql.steps->state_size);
    const char *warning = NULL;
    fo_peer_t to = { .addresses = &address, .n_addresses = 1 };
    fo_ask_t ask = { .peers = &to, .n_peers = 1, .budget = PEER_BUDGET };
    fo_wait_t wait;

    peer_mute(&peer);
    to.port = peer.port;
    ck_assert_ptr_null(configure(&fo_probe_mysql, "m", "", NULL, &conf, &warning));
    ck_assert_int_eq(fo_probe_mysql.steps->begin(state, conf, &ask, &wait, &report), FO_MORE);
    ck_assert_int_eq(fcntl(wait.fd, F_GETFD), FD_CLOEXEC);
    fo_probe_mysql.steps->end(state);
    ck_assert_int_eq(fcntl(wait.fd, F_GETFD), -1);
    free(state);
    peer_stop(&peer);
}
END_TEST

/* Questions in SQL */

#define EOF_PACKET(number) "\x05\0\0" number "\xfe\0\0\x02\0"
#define COLUMN(length, name)                                                                       \
    "\x01\0\0\x01\x01" length "\0\0\x02\x03"                                                       \
    "def\0\0\0" name "\0\x0c\x21\0\xff\0\0\0\xfd\0\0\0\0\0" EOF_PACKET("\x03")
#define SOME_COLUMN COLUMN("\x17", "\x01x")
#define LAG_COLUMN COLUMN("\x2b", "\x15Seconds_Behind_Master")
#define ROW(value) "\x02\0\0\x04\x01" value EOF_PACKET("\x05")
#define NULL_ROW "\x01\0\0\x04\xfb" EOF_PACKET("\x05")
#define NO_ROW EOF_PACKET("\x04")
#define PARSE_ERROR "\x0f\0\0\1\xff\x28\x04#42000no use"
#define LOGGED_IN                                                                                  \
    { BYTES(GREETING) }, { .await = 1, BYTES(OK("\x02")) },                                        \
    { .await = sizeof(com_ping) - 1, BYTES(OK("\x01")) }

/* Column definitions without end: the library would hold them all. */
START_TEST(talks_without_end)
{
    static const char *const query[] = { "query=SELECT 1", NULL };
    static const char column[] = "\x17\0\0\x02\x03" "def\0\0\0\x01x"
                                 "\0\x0c\x21\0\xff\0\0\0\xfd\0\0\0\0\0";
    enum { LENGTH = sizeof(column) - 1, COUNTED = 150 * 1000 };
    char *flood = malloc((size_t)LENGTH * COUNTED);
    peer_line_t lines[] = { LOGGED_IN,
                            { .await = 1, BYTES("\x01\0\0\x01\x01") },
                            { .bytes = flood, .length = (size_t)LENGTH * COUNTED },
                            { 0 } };
    apr_time_t began_at = peer_now();

    for (size_t i = 0; i < COUNTED; i++) {
        memcpy(flood + i * LENGTH, column, LENGTH);
        flood[i * LENGTH + 3] = (char)(i + 2);
    }
    budget = 5 * APR_USEC_PER_SEC;
    peer_start(&peer, lines, PEER_HOLD);
    ping_with(&fo_probe_mysql, "", query);
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0, 0);
    ck_assert_str_eq(report.text, "the server talks without end");
    ck_assert_int_lt(peer_now() - began_at, APR_USEC_PER_SEC);
    free(flood);
}
END_TEST

static const struct {
    const char *option;
    peer_line_t lines[6];
    fo_verdict_e verdict;
    int code;
    const char *text; /* a part of it */
} questions[] = {
    { "query=SELECT 1", { LOGGED_IN, { .await = 1, BYTES(SOME_COLUMN ROW("1")) } },
      FO_VERDICT_PASS, 0, "" },
    { "query=SELECT 0", { LOGGED_IN, { .await = 1, BYTES(SOME_COLUMN ROW("0")) } },
      FO_VERDICT_FAIL, 0, "NULL, 0 or empty" },
    { "query=SELECT NULL", { LOGGED_IN, { .await = 1, BYTES(SOME_COLUMN NULL_ROW) } },
      FO_VERDICT_FAIL, 0, "NULL, 0 or empty" },
    { "query=SELECT", { LOGGED_IN, { .await = 1, BYTES(SOME_COLUMN NO_ROW) } },
      FO_VERDICT_PASS, 0, "" },
    { "query=DO 1", { LOGGED_IN, { .await = 1, BYTES(OK("\x01")) } }, FO_VERDICT_PASS, 0, "" },
    { "query=no", { LOGGED_IN, { .await = 1, BYTES(PARSE_ERROR) } },
      FO_VERDICT_FAIL, 1064, "no use" },
    { "query=no", { LOGGED_IN, { .await = 1, BYTES("\x0f\0\0\1\xff\x76\x04#42000denied") } },
      FO_VERDICT_BARRED, 1142, "denied" },
    { "query=no", { LOGGED_IN, { .await = 1, BYTES("\xff\xff\x7f\1\x01") } },
      FO_VERDICT_FAIL, 0, "longer than 256 KiB" },
    { "role=primary", { LOGGED_IN, { .await = 1, BYTES(SOME_COLUMN ROW("0")) } },
      FO_VERDICT_PASS, 0, "" },
    { "role=primary", { LOGGED_IN, { .await = 1, BYTES(SOME_COLUMN ROW("1")) } },
      FO_VERDICT_FAIL, 0, "wrong role: read_only is on, and role=primary is wanted" },
    { "role=replica", { LOGGED_IN, { .await = 1, BYTES(SOME_COLUMN ROW("1")) } },
      FO_VERDICT_PASS, 0, "" },
    { "role=replica", { LOGGED_IN, { .await = 1, BYTES(SOME_COLUMN NO_ROW) } },
      FO_VERDICT_FAIL, 0, "does not say whether" },
    { "max-lag=7s", { LOGGED_IN, { .await = 1, BYTES(LAG_COLUMN ROW("7")) } },
      FO_VERDICT_PASS, 0, "" },
    { "max-lag=7s", { LOGGED_IN, { .await = 1, BYTES(LAG_COLUMN ROW("8")) } },
      FO_VERDICT_FAIL, 0, "replication is 8s behind, over max-lag=7s" },
    { "max-lag=7s", { LOGGED_IN, { .await = 1, BYTES(LAG_COLUMN "\x02\0\0\x04\x01" "8"
                                                     "\x02\0\0\x05\x01" "3" EOF_PACKET("\x06")) } },
      FO_VERDICT_FAIL, 0, "replication is 8s behind" },
    { "max-lag=7s", { LOGGED_IN, { .await = 1, BYTES(LAG_COLUMN NULL_ROW) } },
      FO_VERDICT_FAIL, 0, "replication is not running" },
    { "max-lag=7s", { LOGGED_IN, { .await = 1, BYTES(LAG_COLUMN NO_ROW) } },
      FO_VERDICT_FAIL, 0, "no replication is set up" },
    { "max-lag=7s", { LOGGED_IN, { .await = 1, BYTES(SOME_COLUMN ROW("0")) } },
      FO_VERDICT_FAIL, 0, "does not say how far" },
    { "max-lag=7s", { LOGGED_IN, { .await = 1, BYTES(PARSE_ERROR) },
                      { .await = 22, BYTES(LAG_COLUMN ROW("7")) } }, FO_VERDICT_PASS, 0, "" },
    { "max-lag=7s", { LOGGED_IN, { .await = 1, BYTES(PARSE_ERROR) },
                      { .await = 22, BYTES(PARSE_ERROR) } }, FO_VERDICT_FAIL, 1064, "no use" },
    { "max-lag=7s", { LOGGED_IN, { .await = 1, BYTES("\x0f\0\0\1\xff\xcb\x04#42000denied") } },
      FO_VERDICT_BARRED, 1227, "denied" },
    { "role=primary", { { BYTES(GREETING) },
                        { .await = 1, BYTES("\x0f\0\0\2\xff\x15\x04#28000denied") } },
      FO_VERDICT_BARRED, 1045, "denied" },
};

static const char *question_of(int i)
{
    return strchr(questions[i].option, '=') + 1;
}

START_TEST(asks)
{
    const char *const options[] = { questions[_i].option, NULL };
    bool is_in = questions[_i].code != 1045;

    peer_start(&peer, questions[_i].lines, PEER_HOLD);
    ping_with(&fo_probe_mysql, "", options);
    expect(questions[_i].verdict, is_in ? FO_STAGE_ANSWER : FO_STAGE_LOGIN, 0, questions[_i].code);
    ck_assert_msg(strstr(report.text, questions[_i].text) != NULL, "%s", report.text);
    if (strncmp(questions[_i].option, "query", 5) == 0)
        ck_assert_ptr_nonnull(
            memmem(peer.got, peer.n_got, question_of(_i), strlen(question_of(_i))));
    if (is_in && !strstr(report.text, "longer")) /* then the library has closed it */
        ck_assert_mem_eq(peer.got + peer.n_got - sizeof(quit) + 1, quit, sizeof(quit) - 1);
}
END_TEST

/* The statement that follows one which the server does not know. */
START_TEST(asks_in_another_way)
{
    static const peer_line_t lines[] = { LOGGED_IN, { .await = 1, BYTES(PARSE_ERROR) },
                                         { .await = 22, BYTES(LAG_COLUMN ROW("7")) }, { 0 } };
    static const char *const options[] = { "max-lag=7s", NULL };

    peer_start(&peer, lines, PEER_HOLD);
    ping_with(&fo_probe_mysql, "", options);
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, 0);
    ck_assert_ptr_nonnull(memmem(peer.got, peer.n_got, "SHOW REPLICA STATUS", 19));
    ck_assert_ptr_nonnull(memmem(peer.got, peer.n_got, "SHOW SLAVE STATUS", 17));
}
END_TEST

static const char *const all[] = { "query=SELECT 1", "role=primary", "max-lag=1s", NULL };

START_TEST(asks_all_byte_by_byte)
{
    static const peer_line_t lines[] = { LOGGED_IN,
                                         { .await = 1, BYTES(SOME_COLUMN ROW("0")), .pause = 1 },
                                         { .await = 1, BYTES(LAG_COLUMN ROW("1")), .pause = 1 },
                                         { .await = 1, BYTES(SOME_COLUMN ROW("1")), .pause = 1 },
                                         { 0 } };

    budget = 3 * APR_USEC_PER_SEC;
    peer_start(&peer, lines, PEER_HOLD);
    ping_with(&fo_probe_mysql, "", all);
    ck_assert_str_eq(report.text, "");
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, 0);
}
END_TEST

static const char answer[] = SOME_COLUMN ROW("0");

/* Cut at every byte. */
START_TEST(answer_is_cut)
{
    peer_line_t lines[] = { LOGGED_IN,
                            { .await = 1, .bytes = answer, .length = (size_t)_i }, { 0 } };

    peer_start(&peer, lines, PEER_CLOSE);
    ping_with(&fo_probe_mysql, "", all);
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(report.stage, FO_STAGE_ANSWER);
    ck_assert_int_ne(report.status, APR_TIMEUP);
}
END_TEST

START_TEST(answer_hangs)
{
    static const peer_line_t lines[] = { LOGGED_IN, { .await = 1, BYTES(SOME_COLUMN) }, { 0 } };

    peer_start(&peer, lines, PEER_HOLD);
    ping_with(&fo_probe_mysql, "", all);
    expect_timeout(FO_STAGE_ANSWER);
    ck_assert_mem_eq(peer.got + peer.n_got - sizeof(quit) + 1, quit, sizeof(quit) - 1);
}
END_TEST

/* Row after row, without an end. */
START_TEST(answer_is_endless)
{
    static const char head[] = SOME_COLUMN;
    enum { N_ROWS = 2000, ROW_SIZE = 4 + 3 + 5000 };
    size_t length = sizeof(head) - 1 + (size_t)N_ROWS * ROW_SIZE;
    char *bytes = apr_pcalloc(pool, length), *at = bytes + sizeof(head) - 1;
    peer_line_t lines[] = { LOGGED_IN, { .await = 1, .bytes = bytes, .length = length }, { 0 } };

    memcpy(bytes, head, sizeof(head) - 1);
    for (int i = 0; i < N_ROWS; i++, at += ROW_SIZE)
        memcpy(at, (char[]){ (char)0x8b, 0x13, 0, (char)(4 + i), (char)0xfc, (char)0x88, 0x13 }, 7);
    peer_start(&peer, lines, PEER_HOLD);
    ping_with(&fo_probe_mysql, "", (const char *const[]){ "query=SELECT x", NULL });
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0, 0);
    ck_assert_str_eq(report.text, "the answer is longer than 256 KiB");
}
END_TEST

/* socket= */

static void listen_at(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    peer = (peer_t){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    ck_assert_int_eq(bind(peer.fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

START_TEST(over_a_socket)
{
    static const peer_line_t lines[] = { LOGGED_IN, { 0 } };
    char folder[] = "/tmp/check-mysql-XXXXXX";
    const char *path = apr_pstrcat(pool, mkdtemp(folder), "/socket", NULL);
    const char *const options[] = { apr_pstrcat(pool, "socket=", path, NULL), NULL };

    listen_at(path);
    ping_with(&fo_probe_mysql, "", options);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED, 0);
    unlink(path);
    ping_with(&fo_probe_mysql, "", options);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ENOENT, 0);
    listen_at(path);
    peer.lines = lines;
    peer.is_running = true;
    ck_assert_int_eq(listen(peer.fd, 8), 0);
    ck_assert_int_eq(pthread_create(&peer.thread, NULL, peer_play, &peer), 0);
    ping_with(&fo_probe_mysql, "", options);
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, 0);
    unlink(path);
    rmdir(folder);
}
END_TEST

/* mysqls:// */

/* With CLIENT_SSL. */
#define TLS_GREETING                                                                               \
    "\x49\0\0\0\x0a"                                                                               \
    "8.0.0\0\x01\0\0\0"                                                                            \
    "abcdefgh\0\x08\x8a\x21\x02\0\x08\0\x15\0\0\0\0\0\0\0\0\0\0"                                   \
    "ijklmnopqrst\0"                                                                               \
    "mysql_native_password\0"

static const struct {
    peer_line_t lines[4];
    peer_end_e end;
    fo_stage_e stage;
    const char *text; /* a part of it */
} handshakes[] = {
    { { { BYTES(GREETING) } }, PEER_HOLD, FO_STAGE_TLS, "the server has no TLS" },
    { { { BYTES("\x05\0\0\0\x02 bla") } }, PEER_CLOSE, FO_STAGE_LOGIN, "" },
    { { { BYTES(TLS_GREETING) }, { .await = 37, BYTES("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n") } },
      PEER_HOLD, FO_STAGE_TLS, "wrong version number" },
    { { { BYTES(TLS_GREETING) }, { .await = 37, BYTES("") } },
      PEER_CLOSE, FO_STAGE_TLS, "" },
};

static void passes_no_login(void)
{
    ck_assert_ptr_null(memmem(peer.got, peer.n_got, PASSWORD, strlen(PASSWORD)));
    ck_assert_ptr_null(memmem(peer.got, peer.n_got, "m\0", 2)); /* the user's name */
}

/* Those of the system take long to read. */
static const char *const no_authorities[] = { "ca-path=/", NULL };

/* One address. */
static void ping_alone(const char *const *options)
{
    static const char *const address = "127.0.0.1";
    fo_peer_t to = { .name = "db1", .addresses = &address, .n_addresses = 1, .port = peer.port };
    fo_ask_t ask = { .secret = PASSWORD, .peers = &to, .n_peers = 1, .budget = PEER_BUDGET };
    void *conf = NULL;
    const char *warning = NULL;
    apr_time_t began_at;

    ck_assert_ptr_null(configure(&fo_probe_mysqls, "m", "", options, &conf, &warning));
    began_at = peer_now();
    fo_probe_mysqls.ask(conf, &ask, &report);
    report.took = peer_now() - began_at;
    peer_stop(&peer);
}

START_TEST(shakes_no_hands)
{
    peer_start(&peer, handshakes[_i].lines, handshakes[_i].end);
    ping_alone(no_authorities);
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(report.stage, handshakes[_i].stage);
    ck_assert_msg(strstr(report.text, handshakes[_i].text) != NULL, "%s", report.text);
    passes_no_login();
}
END_TEST

/* A server of old, which would be spoken to without TLS. */
START_TEST(has_no_login_methods)
{
    static const peer_line_t lines[] = {
        { BYTES("\x49\0\0\0\x0a"
                "8.0.0\0\x01\0\0\0"
                "abcdefgh\0\x08\x82\x21\x02\0\0\0\x15\0\0\0\0\0\0\0\0\0\0"
                "ijklmnopqrst\0"
                "mysql_native_password\0") },
        { .await = 1, BYTES(OK("\x02")) },
        { .await = sizeof(com_ping) - 1, BYTES(OK("\x01")) },
        { 0 },
    };
    static const char *const options[] = { "verify=off", NULL };

    peer_start(&peer, lines, PEER_HOLD);
    ping_alone(options);
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_ne(report.status, APR_TIMEUP);
}
END_TEST

START_TEST(handshake_hangs)
{
    static const peer_line_t lines[] = { { BYTES(TLS_GREETING) }, { 0 } };

    peer_start(&peer, lines, PEER_HOLD);
    ping_alone(no_authorities);
    expect_timeout(FO_STAGE_TLS);
    passes_no_login();
}
END_TEST

START_TEST(secure_and_mute)
{
    peer_mute(&peer);
    ping_with(&fo_probe_mysqls, "", no_authorities);
    expect_timeout(FO_STAGE_LOGIN);
}
END_TEST

START_TEST(secure_and_refused)
{
    peer_bind(&peer);
    ping_with(&fo_probe_mysqls, "", no_authorities);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED, 0);
}
END_TEST

/* What this process cannot read is our own side's fault, and the server is not asked. */
START_TEST(folder_has_gone)
{
    char path[] = "/tmp/check-mysql-XXXXXX";
    const char *const options[] = { apr_pstrcat(pool, "ca-path=", mkdtemp(path), NULL), NULL };
    const fo_ask_t ask = { .budget = PEER_BUDGET, .peers = &(fo_peer_t){ 0 } };
    void *conf = NULL;
    const char *warning = NULL;

    ck_assert_ptr_null(configure(&fo_probe_mysqls, "m", "", options, &conf, &warning));
    rmdir(path);
    fo_probe_mysqls.ask(conf, &ask, &report);
    expect(FO_VERDICT_SELF, FO_STAGE_TLS, APR_EGENERAL, 0);
    ck_assert_ptr_nonnull(strstr(report.text, "ca-path=: /tmp/check-mysql-"));
}
END_TEST


static Suite *suite(void)
{
    Suite *s = suite_create("probe_mysql");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_loop_test(tc, configures, 0, COUNT(urls));
    tcase_add_test(tc, warns_of_verify_off);
    tcase_add_test(tc, refused);
    tcase_add_test(tc, unreachable);
    tcase_add_test(tc, no_route);
    tcase_add_test(tc, mute);
    tcase_add_test(tc, dripping);
    tcase_add_test(tc, closed_at_once);
    tcase_add_test(tc, closed_after_the_login);
    tcase_add_test(tc, reset);
    tcase_add_loop_test(tc, talks_garbage, 0, COUNT(garbage));
    tcase_add_loop_test(tc, server_says_no, 0, COUNT(errors));
    tcase_add_test(tc, server_loses_patience);
    tcase_add_loop_test(tc, server_says_no_before_tls, 0, FIRST_WORDS);
    tcase_add_test(tc, forges_an_errno);
    tcase_add_test(tc, talks_without_end);
    tcase_add_loop_test(tc, method_not_allowed, 0, COUNT(switches));
    tcase_add_test(tc, passes);
    tcase_add_test(tc, hangs_after_the_login);
    tcase_add_test(tc, ping_refused);
    tcase_add_test(tc, no_descriptors);
    tcase_add_test(tc, closes_on_exec);
    tcase_add_loop_test(tc, asks, 0, COUNT(questions));
    tcase_add_test(tc, asks_in_another_way);
    tcase_add_test(tc, asks_all_byte_by_byte);
    tcase_add_loop_test(tc, answer_is_cut, 0, (int)sizeof(answer) - 1);
    tcase_add_test(tc, answer_hangs);
    tcase_add_test(tc, answer_is_endless);
    tcase_add_test(tc, over_a_socket);
    tcase_add_loop_test(tc, shakes_no_hands, 0, COUNT(handshakes));
    tcase_add_test(tc, has_no_login_methods);
    tcase_add_test(tc, handshake_hangs);
    tcase_add_test(tc, secure_and_mute);
    tcase_add_test(tc, secure_and_refused);
    tcase_add_test(tc, folder_has_gone);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

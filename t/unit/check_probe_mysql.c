#include "probe/probe_mysql.h"

#include "probe_peer.h"

#include <apr_general.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/syscall.h>
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

static apr_pool_t *pool;
static peer_t peer;
static fo_report_t report;

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
    apr_initialize();
    apr_pool_create(&pool, NULL);
    fo_probe_mysql.child_init();
}

static void teardown(void)
{
    apr_pool_destroy(pool);
    apr_terminate();
}

/* configure() */

static const char *configure(const char *text, const char *user, const char *path,
                             const char *option, void **ret_conf)
{
    static const fo_host_t host = { .name = "db1", .port = 3306 };
    fo_url_t url = { .text = text, .scheme = "mysql", .user = user, .hosts = &host, .n_hosts = 1,
                     .path = path };
    fo_login_t login = { .user = user };
    apr_table_t *options = apr_table_make(pool, 1);
    const char *warning = NULL;

    if (option)
        apr_table_set(options, option, "1");
    return fo_probe_mysql.configure(&url, &login, options, ret_conf, &warning, pool);
}

static const struct {
    const char *text, *user, *path, *option;
    const char *error; /* a part of it; NULL: accepted */
} urls[] = {
    { "mysql://m@db1", "m", "", NULL, NULL },
    { "mysql://m@db1/", "m", "/", NULL, NULL },
    { "mysql://m@db1/blog", "m", "/blog", NULL, NULL },
    { "mysql://m@db1/a/b", "m", "/a/b", NULL, "one database" },
    { "mysql://m@db1/a/", "m", "/a/", NULL, "one database" },
    { "mysql://db1", NULL, "", NULL, "CREATE USER 'monitor'@'%' IDENTIFIED BY '...'; then "
                                     "mysql://monitor@db1" },
    { "mysql://@db1:33/", "", "/", NULL, "then mysql://monitor@db1:33/" },
    { "mysql://db1/a_b`%", NULL, "/a_b`%", NULL, "GRANT LOCK TABLES ON `a_b``%`.* TO " },
};

START_TEST(configures)
{
    void *conf = NULL;
    const char *error = configure(urls[_i].text, urls[_i].user, urls[_i].path, urls[_i].option,
                                  &conf);

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

/* Pings */

static void ping(const char *path)
{
    static const char *const address = "127.0.0.1";
    fo_peer_t to = { .name = "db1", .addresses = &address, .n_addresses = 1, .port = peer.port };
    fo_ask_t ask = { .secret = PASSWORD, .peers = &to, .n_peers = 1, .budget = PEER_BUDGET };
    void *conf = NULL;

    ck_assert_ptr_null(configure("mysql://m@db1", "m", path, NULL, &conf));
    peer_drive(&fo_probe_mysql, conf, &ask, &report);
    peer_stop(&peer);
    ck_assert_ptr_null(strstr(report.text, PASSWORD));
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
    struct rlimit limit, tight;

    peer_mute(&peer);
    getrlimit(RLIMIT_NOFILE, &limit);
    tight = limit;
    tight.rlim_cur = (rlim_t)dup(0);
    close((int)tight.rlim_cur);
    setrlimit(RLIMIT_NOFILE, &tight);
    ping("");
    setrlimit(RLIMIT_NOFILE, &limit);
    expect(FO_VERDICT_SELF, FO_STAGE_CONNECT, EMFILE, 0);
    ck_assert_str_eq(report.text, "");
}
END_TEST

START_TEST(closes_on_exec)
{
    static const char *const address = "127.0.0.1";
    void *conf = NULL, *state = calloc(1, fo_probe_mysql.steps->state_size);
    fo_peer_t to = { .addresses = &address, .n_addresses = 1 };
    fo_ask_t ask = { .peers = &to, .n_peers = 1, .budget = PEER_BUDGET };
    fo_wait_t wait;

    peer_mute(&peer);
    to.port = peer.port;
    ck_assert_ptr_null(configure("mysql://m@db1", "m", "", NULL, &conf));
    ck_assert_int_eq(fo_probe_mysql.steps->begin(state, conf, &ask, &wait, &report), FO_MORE);
    ck_assert_int_eq(fcntl(wait.fd, F_GETFD), FD_CLOEXEC);
    fo_probe_mysql.steps->end(state);
    ck_assert_int_eq(fcntl(wait.fd, F_GETFD), -1);
    free(state);
    peer_stop(&peer);
}
END_TEST

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

static Suite *suite(void)
{
    Suite *s = suite_create("probe_mysql");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, configures, 0, COUNT(urls));
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
    tcase_add_loop_test(tc, method_not_allowed, 0, COUNT(switches));
    tcase_add_test(tc, passes);
    tcase_add_test(tc, hangs_after_the_login);
    tcase_add_test(tc, ping_refused);
    tcase_add_test(tc, no_descriptors);
    tcase_add_test(tc, closes_on_exec);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

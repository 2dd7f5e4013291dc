#include "probe/probe_memcached.h"

#include "probe_peer.h"
#include "unit.h"

#include <sys/un.h>

#define QUESTION (sizeof("version\r\n") - 1)
#define BYTES(text) .bytes = text, .length = sizeof(text) - 1
#define SAYS(text) { .await = QUESTION, BYTES(text) }

static fo_report_t report;

static const struct {
    const char *user, *path, *socket;
    bool has_secret;
    const char *error; /* a part of it; NULL: accepted */
} urls[] = {
    { NULL, "", NULL, false, NULL },
    { NULL, "/", NULL, false, NULL },
    { "m", "", NULL, false, "no user" },
    { NULL, "", NULL, true, "no password" },
    { NULL, "/0", NULL, false, "no path" },
    { NULL, "", "/run/memcached.sock", false, NULL },
    { NULL, "", "memcached.sock", false, "socket=: 'memcached.sock' is not an absolute path" },
};

START_TEST(configures)
{
    static const fo_host_t host = { .name = "c1", .port = 11211 };
    fo_url_t url = { .text = "memcached://c1", .user = urls[_i].user, .hosts = &host,
                     .n_hosts = 1, .path = urls[_i].path };
    fo_login_t login = { .user = urls[_i].user, .has_secret = urls[_i].has_secret };
    apr_table_t *options = apr_table_make(pool, 1);
    void *conf = NULL;
    const char *warning = NULL, *error;

    if (urls[_i].socket)
        apr_table_set(options, "socket", urls[_i].socket);
    error = fo_probe_memcached.configure(&url, &login, options, &conf, &warning, pool);
    if (urls[_i].error)
        ck_assert_msg(error && strstr(error, urls[_i].error), "%s", error ? error : "accepted");
    else
        ck_assert_msg(!error, "%s", error);
}
END_TEST

/* Asks nodes c1.example.com, c2.example.com ... at 127.0.0.1. */
static void ask(peer_t *peers, unsigned n)
{
    static const char *const address = "127.0.0.1";
    fo_peer_t to[64];
    fo_ask_t ask = { .peers = to, .n_peers = n, .budget = PEER_BUDGET };
    apr_time_t began_at = peer_now();

    for (unsigned i = 0; i < n; i++)
        to[i] = (fo_peer_t){ .name = apr_psprintf(pool, "c%u.example.com", i + 1),
                             .addresses = &address, .n_addresses = 1, .port = peers[i].port };
    report = (fo_report_t){ 0 };
    fo_probe_memcached.ask(NULL, &ask, &report);
    report.took = peer_now() - began_at;
    for (unsigned i = 0; i < n; i++)
        peer_stop(&peers[i]);
}

static void expect(fo_verdict_e verdict, fo_stage_e stage, apr_status_t status, const char *text)
{
    ck_assert_str_eq(report.text, text);
    ck_assert_int_eq(report.verdict, verdict);
    ck_assert_int_eq(report.stage, stage);
    ck_assert_int_eq(report.status, status);
}

static void expect_whole_budget(void)
{
    ck_assert_int_ge(report.took, PEER_BUDGET);
    ck_assert_int_lt(report.took, PEER_BUDGET + PEER_SLACK);
}

/* socket= */

static void bind_file(peer_t *peer, const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };

    *peer = (peer_t){ .fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    apr_cpystrn(address.sun_path, path, sizeof(address.sun_path));
    ck_assert_int_eq(bind(peer->fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

static void ask_file(const char *path)
{
    static const char *const addresses[] = { "192.0.2.1", "192.0.2.2" };
    fo_peer_t to = { .name = "localhost", .addresses = addresses, .n_addresses = 2 };
    fo_ask_t ask = { .peers = &to, .n_peers = 1, .budget = PEER_BUDGET };
    apr_time_t began_at = peer_now();

    report = (fo_report_t){ 0 };
    fo_probe_memcached.ask(path, &ask, &report);
    report.took = peer_now() - began_at;
}

static const struct {
    peer_line_t lines[2];
    peer_end_e end;
    fo_verdict_e verdict;
    const char *text;
    apr_status_t status;
} answers[] = {
    { { SAYS("VERSION 1.6.18\r\n") }, PEER_HOLD, FO_VERDICT_PASS, "", 0 },
    { { SAYS("VERSION 0.5.0\n") }, PEER_CLOSE, FO_VERDICT_PASS, "", 0 },
    { { SAYS("VERSION\r\n") }, PEER_HOLD, FO_VERDICT_FAIL, "answered 'VERSION'", 0 },
    { { SAYS("ERROR\r\n") }, PEER_HOLD, FO_VERDICT_FAIL, "answered 'ERROR'", 0 },
    { { SAYS("OK\r\n") }, PEER_HOLD, FO_VERDICT_FAIL, "answered 'OK'", 0 },
    { { SAYS("SERVER_ERROR out of\tmemory\r\n") }, PEER_HOLD, FO_VERDICT_FAIL,
      "answered 'SERVER_ERROR out of?memory'", 0 },
    { { SAYS("220 mail.example.com ESMTP ready when you are\r\n") }, PEER_HOLD, FO_VERDICT_FAIL,
      "answered '220 mail.example.com ESMTP ready when yo'", 0 },
    { { SAYS("VERSION 1.6") }, PEER_CLOSE, FO_VERDICT_FAIL, "answered 'VERSION 1.6'", 0 },
    { { { .await = QUESTION, BYTES("\0\xff\x01\n") } }, PEER_HOLD, FO_VERDICT_FAIL,
      "answered ''", 0 },
    { { { BYTES("ERROR Too many open connections\r\n") } }, PEER_CLOSE, FO_VERDICT_BUSY,
      "answered 'ERROR Too many open connections'", 0 },
    { { SAYS("CLIENT_ERROR unauthenticated\r\n") }, PEER_HOLD, FO_VERDICT_LOGIN,
      "answered 'CLIENT_ERROR unauthenticated'", 0 },
    { { SAYS("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
             "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx") },
      PEER_HOLD, FO_VERDICT_FAIL,
      "answered 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'", 0 },
    { { SAYS("") }, PEER_CLOSE, FO_VERDICT_FAIL, "closed the connection", APR_EOF },
};

START_TEST(one_node_answers)
{
    peer_t peer;

    peer_start(&peer, answers[_i].lines, answers[_i].end);
    ask(&peer, 1);
    expect(answers[_i].verdict, FO_STAGE_ANSWER, answers[_i].status, answers[_i].text);
    ck_assert_int_lt(report.took, PEER_SLACK);
}
END_TEST

START_TEST(refused)
{
    peer_t peer;

    peer_bind(&peer);
    ask(&peer, 1);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED, "Connection refused");
}
END_TEST

START_TEST(reset)
{
    static const peer_line_t lines[] = { SAYS(""), { 0 } };
    peer_t peer;

    peer_start(&peer, lines, PEER_RESET);
    ask(&peer, 1);
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, ECONNRESET, "Connection reset by peer");
}
END_TEST

START_TEST(unreachable)
{
    peer_t peer;

    peer_full(&peer);
    ask(&peer, 1);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, APR_TIMEUP, "timed out");
    expect_whole_budget();
}
END_TEST

START_TEST(mute)
{
    peer_t peer;

    peer_mute(&peer);
    ask(&peer, 1);
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_TIMEUP, "timed out");
    expect_whole_budget();
}
END_TEST

START_TEST(dripping)
{
    static const peer_line_t lines[] = {
        { .await = QUESTION, BYTES("VERSION 1.6.18\r\n"), .pause = 20 * 1000 },
        { 0 },
    };
    peer_t peer;

    peer_start(&peer, lines, PEER_CLOSE);
    ask(&peer, 1);
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    expect_whole_budget();
}
END_TEST

static const peer_line_t fine[] = { SAYS("VERSION 1.6.18\r\n"), { 0 } };

/* The hung node takes the whole budget, and none of the others'. */
START_TEST(one_of_three_is_dead)
{
    peer_t peers[3];

    peer_mute(&peers[0]);
    peer_start(&peers[1], fine, PEER_HOLD);
    peer_start(&peers[2], fine, PEER_HOLD);
    ask(peers, 3);
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_TIMEUP,
           apr_psprintf(pool, "1 of 3 nodes dead: c1.example.com:%u: timed out", peers[0].port));
    expect_whole_budget();
}
END_TEST

START_TEST(two_of_three_are_dead)
{
    peer_t peers[3];

    peer_bind(&peers[0]);
    peer_start(&peers[1], fine, PEER_HOLD);
    peer_bind(&peers[2]);
    ask(peers, 3);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED,
           apr_psprintf(pool,
                        "2 of 3 nodes dead: c1.example.com:%u: Connection refused, "
                        "c3.example.com:%u: Connection refused",
                        peers[0].port, peers[2].port));
}
END_TEST

START_TEST(names_come_first)
{
    peer_t peers[4];

    for (int i = 0; i < 4; i++)
        peer_bind(&peers[i]);
    ask(peers, 4);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED,
           apr_psprintf(pool,
                        "4 of 4 nodes dead: c1.example.com:%u, c2.example.com:%u, "
                        "c3.example.com:%u, c4.example.com:%u",
                        peers[0].port, peers[1].port, peers[2].port, peers[3].port));
}
END_TEST

START_TEST(all_of_the_most_are_dead)
{
    peer_t peers[64];

    for (int i = 0; i < 64; i++)
        peer_bind(&peers[i]);
    ask(peers, 64);
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_ptr_nonnull(strstr(report.text, "64 of 64 nodes dead: c1.example.com:"));
    ck_assert_str_eq(report.text + strlen(report.text) - 5, ", ...");
}
END_TEST

START_TEST(all_of_three_pass)
{
    peer_t peers[3];

    for (int i = 0; i < 3; i++)
        peer_start(&peers[i], fine, PEER_HOLD);
    ask(peers, 3);
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
}
END_TEST

/* 127.0.0.2 refuses; 127.0.0.1 is mute, or answers. */
static void ask_two_addresses(peer_t *peer, const char *first, const char *second)
{
    const char *const addresses[] = { first, second };
    fo_peer_t to = { .name = "::1", .addresses = addresses, .n_addresses = 2,
                     .port = peer->port };
    fo_ask_t ask = { .peers = &to, .n_peers = 1, .budget = PEER_BUDGET };
    apr_time_t began_at = peer_now();

    report = (fo_report_t){ 0 };
    fo_probe_memcached.ask(NULL, &ask, &report);
    report.took = peer_now() - began_at;
    peer_stop(peer);
}

START_TEST(second_address_answers)
{
    peer_t peer;

    peer_start(&peer, fine, PEER_HOLD);
    ask_two_addresses(&peer, "127.0.0.2", "127.0.0.1");
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
}
END_TEST

START_TEST(first_address_is_mute)
{
    peer_t peer;

    peer_mute(&peer);
    ask_two_addresses(&peer, "127.0.0.1", "127.0.0.2");
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_TIMEUP, "timed out");
    ck_assert_int_ge(report.took, PEER_BUDGET / 2);
    ck_assert_int_lt(report.took, PEER_BUDGET / 2 + PEER_SLACK);
}
END_TEST

/* Asks two nodes with so many descriptors left. */
static void ask_with_descriptors(int left)
{
    struct rlimit usual;
    peer_t peers[2];

    peer_bind(&peers[0]);
    peer_mute(&peers[1]);
    usual = unit_leave_descriptors(left);
    ask(peers, 2);
    setrlimit(RLIMIT_NOFILE, &usual);
}

START_TEST(self_is_the_only_cause)
{
    ask_with_descriptors(0);
    ck_assert_int_eq(report.verdict, FO_VERDICT_SELF);
    ck_assert_int_eq(report.status, EMFILE);
}
END_TEST

START_TEST(self_is_not_the_only_cause)
{
    ask_with_descriptors(1);
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(report.status, ECONNREFUSED);
}
END_TEST

START_TEST(over_a_socket)
{
    static const peer_line_t lines[] = { SAYS("VERSION 1.6.18\r\n"), { 0 } };
    char folder[] = "/tmp/check-memcached-XXXXXX";
    const char *path = apr_pstrcat(pool, mkdtemp(folder), "/socket", NULL);
    peer_t peer;

    ask_file(path);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ENOENT, "No such file or directory");
    bind_file(&peer, path);
    ask_file(path);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED, "Connection refused");
    ck_assert_int_eq(listen(peer.fd, 0), 0);
    peer.lines = lines;
    peer.is_running = true;
    ck_assert_int_eq(pthread_create(&peer.thread, NULL, peer_play, &peer), 0);
    ask_file(path);
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
    peer_stop(&peer);
    unlink(path);
    rmdir(folder);
}
END_TEST

/* A server that accepts nobody, and whose queue is full. */
START_TEST(socket_is_full)
{
    char folder[] = "/tmp/check-memcached-XXXXXX";
    const char *path = apr_pstrcat(pool, mkdtemp(folder), "/socket", NULL);
    peer_t peer;

    bind_file(&peer, path);
    ck_assert_int_eq(listen(peer.fd, 0), 0);
    ask_file(path);
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_TIMEUP, "timed out");
    ask_file(path);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, APR_TIMEUP, "timed out");
    expect_whole_budget();
    peer_stop(&peer);
    unlink(path);
    rmdir(folder);
}
END_TEST


static Suite *suite(void)
{
    Suite *s = suite_create("probe_memcached");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, unit_setup, unit_teardown);
    tcase_add_loop_test(tc, configures, 0, COUNT(urls));
    tcase_add_loop_test(tc, one_node_answers, 0, COUNT(answers));
    tcase_add_test(tc, refused);
    tcase_add_test(tc, reset);
    tcase_add_test(tc, unreachable);
    tcase_add_test(tc, mute);
    tcase_add_test(tc, dripping);
    tcase_add_test(tc, one_of_three_is_dead);
    tcase_add_test(tc, two_of_three_are_dead);
    tcase_add_test(tc, names_come_first);
    tcase_add_test(tc, all_of_the_most_are_dead);
    tcase_add_test(tc, all_of_three_pass);
    tcase_add_test(tc, second_address_answers);
    tcase_add_test(tc, first_address_is_mute);
    tcase_add_test(tc, self_is_the_only_cause);
    tcase_add_test(tc, self_is_not_the_only_cause);
    tcase_add_test(tc, over_a_socket);
    tcase_add_test(tc, socket_is_full);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

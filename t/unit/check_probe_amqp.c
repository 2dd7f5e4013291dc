#include "probe/probe_amqp.h"

#include "probe/probe_tls.h"
#include "probe_peer.h"
#include "unit.h"


#define BYTES(text) .bytes = text, .length = sizeof(text) - 1
#define SAYS(text) { .await = 1, BYTES(text) }

#define HEAD(length) "\x01\0\0\0\0\0" length
#define START                                                                                      \
    HEAD("\x31") "\0\x0a\0\x0a" "\0\x09" "\0\0\0\x0c" "\x04" "what" "S\0\0\0\x02" "it"             \
    "\0\0\0\x0e" "AMQPLAIN PLAIN" "\0\0\0\x05" "en_US" "\xce"
#define TUNE HEAD("\x0c") "\0\x0a\0\x1e" "\x07\xff" "\0\x02\0\0" "\0\x3c" "\xce"
#define OPEN_OK HEAD("\x05") "\0\x0a\0\x29" "\0" "\xce"
#define CLOSE_OK HEAD("\x04") "\0\x0a\0\x33" "\xce"
#define HEARTBEAT "\x08\0\0\0\0\0\0\xce"

static fo_report_t report;
static void *conf;
static const char *warning;

static const fo_host_t host = { .name = "mq.example.com", .port = 5672 };

static const char *configure(const fo_probe_t *probe, const char *user, bool has_secret,
                             const char *path, const apr_table_t *options)
{
    fo_url_t url = { .text = apr_pstrcat(pool, probe->scheme, "://mq.example.com", path, NULL),
                     .scheme = probe->scheme, .user = user, .hosts = &host, .n_hosts = 1,
                     .path = path };
    fo_login_t login = { .user = user, .has_secret = has_secret };

    conf = NULL;
    warning = NULL;
    return probe->configure(&url, &login, options, &conf, &warning, pool);
}

static const apr_table_t *no_options(void)
{
    return apr_table_make(pool, 1);
}

/* ---------------------------------------------------------------- configuration */

#define NO_LOGIN                                                                                   \
    "needs a user and password=|RabbitMQ logs a warning or an error|rabbitmqctl add_user monitor|" \
    "rabbitmqctl set_permissions -p|'^$' '^$' '^$'|password=file:PATH|tcp://mq.example.com:5672"

static const struct {
    const char *user, *path;
    bool has_secret;
    const char *words; /* NULL: accepted */
} urls[] = {
    { "monitor", "", true, NULL },
    { "monitor", "/", true, NULL },
    { "monitor", "//", true, NULL },
    { "monitor", "/shop", true, NULL },
    { "monitor", "/shop/eu/1", true, NULL },
    { NULL, "/shop", false, NO_LOGIN "|://monitor@mq.example.com:5672/shop|-p 'shop'" },
    { NULL, "/it's", true, NO_LOGIN "|-p 'it'\\''s'" },
    { "", "", true, NO_LOGIN "|-p '/'" },
    { "monitor", "/shop", false, NO_LOGIN },
};

START_TEST(configures)
{
    unit_expect(configure(&fo_probe_amqp, urls[_i].user, urls[_i].has_secret, urls[_i].path,
                          no_options()),
                urls[_i].words);
    ck_assert(!urls[_i].words == (conf != NULL));
    unit_expect(configure(&fo_probe_amqps, urls[_i].user, urls[_i].has_secret, urls[_i].path,
                          no_options()),
                urls[_i].words);
    ck_assert_ptr_null(warning);
}
END_TEST

START_TEST(names_a_numeric_address)
{
    static const fo_host_t numeric = { .name = "::1", .port = 5671 };
    fo_url_t url = { .text = "amqps://[::1]", .scheme = "amqps", .hosts = &numeric, .n_hosts = 1,
                     .path = "" };
    fo_login_t login = { 0 };

    unit_expect(fo_probe_amqps.configure(&url, &login, no_options(), &conf, &warning, pool),
                "amqps://monitor@[::1]:5671 password|tcp://[::1]:5671");
}
END_TEST

START_TEST(a_long_vhost)
{
    char path[258];

    memset(path, 'v', sizeof(path));
    path[0] = '/';
    path[256] = '\0';
    unit_expect(configure(&fo_probe_amqp, "monitor", true, path, no_options()), NULL);
    path[256] = 'v';
    path[257] = '\0';
    unit_expect(configure(&fo_probe_amqp, "monitor", true, path, no_options()),
                "virtual host|more than 255 bytes");
}
END_TEST

/* ---------------------------------------------------------------- dialogues */

static void ask_at(const fo_probe_t *probe, apr_port_t port, const char *const *addresses,
                   unsigned n, apr_interval_time_t budget)
{
    fo_peer_t to = { .name = "mq.example.com", .addresses = addresses, .n_addresses = n,
                     .port = port };
    fo_ask_t ask = { .secret = "geheim", .peers = &to, .n_peers = 1, .budget = budget };
    apr_time_t began_at;

    unit_expect(configure(probe, "monitor", true, "/shop", no_options()), NULL);
    if (probe->tls == FO_TLS_ALWAYS)
        unit_expect(probe_tls_context(no_options(), false, &ask.tls, pool), NULL);
    report = (fo_report_t){ 0 };
    began_at = peer_now();
    probe->ask(conf, &ask, &report);
    report.took = peer_now() - began_at;
    ck_assert_ptr_null(strstr(report.text, "geheim"));
}

static void ask_probe(const fo_probe_t *probe, peer_t *peer, apr_interval_time_t budget)
{
    static const char *const address = "127.0.0.1";

    ask_at(probe, peer->port, &address, 1, budget);
    peer_stop(peer);
}

static void ask(peer_t *peer)
{
    ask_probe(&fo_probe_amqp, peer, PEER_BUDGET);
}

static void expect(fo_verdict_e verdict, fo_stage_e stage, apr_status_t status, const char *text)
{
    ck_assert_str_eq(report.text, text);
    ck_assert_int_eq(report.verdict, verdict);
    ck_assert_int_eq(report.stage, stage);
    ck_assert_int_eq(report.status, status);
}

static void expect_timeout(fo_stage_e stage)
{
    expect(FO_VERDICT_FAIL, stage, APR_TIMEUP, "timed out");
    ck_assert_int_ge(report.took, PEER_BUDGET);
    ck_assert_int_lt(report.took, PEER_BUDGET + PEER_SLACK);
}

static const peer_line_t fine[] = { SAYS(START), SAYS(TUNE), SAYS(OPEN_OK), SAYS(CLOSE_OK), { 0 } };

static bool was_sent(const peer_t *peer, const char *bytes, size_t n)
{
    return memmem(peer->got, peer->n_got, bytes, n) != NULL;
}

START_TEST(passes)
{
    peer_t peer;

    peer_start(&peer, fine, PEER_HOLD);
    ask(&peer);
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
    ck_assert_int_eq(report.code, 0);
    ck_assert_int_eq(memcmp(peer.got, "AMQP\0\0\x09\x01", 8), 0);
    ck_assert(was_sent(&peer, "\x05PLAIN\0\0\0\x0f\0monitor\0geheim", 25));
    ck_assert(was_sent(&peer, "authentication_failure_close" "t\x01", 30));
    ck_assert(was_sent(&peer, "\0\x0a\0\x1f\0\x01\0\0\x10\0\0\0\xce", 13)); /* 1, 4096, 0 */
    ck_assert(was_sent(&peer, "\0\x0a\0\x28\x04shop\0\0\xce", 12));
    ck_assert(was_sent(&peer, "\0\x0a\0\x32\0\xc8\0", 7));
}
END_TEST

START_TEST(passes_byte_by_byte)
{
    peer_line_t lines[COUNT(fine)];
    peer_t peer;

    memcpy(lines, fine, sizeof(fine));
    for (int i = 0; i < COUNT(lines) - 1; i++)
        lines[i].pause = 500;
    peer_start(&peer, lines, PEER_HOLD);
    ask_probe(&fo_probe_amqp, &peer, 5 * SEC);
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
}
END_TEST

START_TEST(heartbeats_are_passed_over)
{
    static const peer_line_t lines[] = { SAYS(START HEARTBEAT), SAYS(HEARTBEAT HEARTBEAT TUNE),
                                         SAYS(OPEN_OK), SAYS(HEARTBEAT CLOSE_OK), { 0 } };
    peer_t peer;

    peer_start(&peer, lines, PEER_HOLD);
    ask(&peer);
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
}
END_TEST

static const fo_stage_e stages[] = { FO_STAGE_LOGIN, FO_STAGE_LOGIN, FO_STAGE_ASK,
                                     FO_STAGE_ANSWER };

/* The first n lines of a dialogue that is fine. */
static const peer_line_t *first_lines(peer_line_t *lines, int n)
{
    memcpy(lines, fine, sizeof(fine));
    lines[n] = (peer_line_t){ 0 };
    return lines;
}

START_TEST(silent_from_here_on)
{
    peer_line_t lines[COUNT(fine)];
    peer_t peer;

    peer_start(&peer, first_lines(lines, _i), PEER_HOLD);
    ask(&peer);
    expect_timeout(stages[_i]);
}
END_TEST

/* Closed or reset once it has read what the step sends. */
static void end_here(int n, peer_end_e end)
{
    peer_line_t lines[COUNT(fine) + 1] = { 0 };
    peer_t peer;

    first_lines(lines, n);
    lines[n] = (peer_line_t){ .await = 1, .bytes = "" };
    lines[n + 1] = (peer_line_t){ 0 };
    peer_start(&peer, lines, end);
    ask(&peer);
}

START_TEST(closed_from_here_on)
{
    end_here(_i, PEER_CLOSE);
    expect(FO_VERDICT_FAIL, stages[_i], APR_EOF, "the server closed the connection");
    ck_assert_int_lt(report.took, PEER_SLACK);
}
END_TEST

START_TEST(reset_from_here_on)
{
    end_here(_i, PEER_RESET);
    expect(FO_VERDICT_FAIL, stages[_i], ECONNRESET, "");
}
END_TEST

/* Each line of the dialogue cut in the middle, then nothing. */
START_TEST(half_a_frame)
{
    peer_line_t lines[COUNT(fine)];
    peer_t peer;

    first_lines(lines, _i + 1);
    lines[_i].length /= 2;
    peer_start(&peer, lines, PEER_HOLD);
    ask(&peer);
    expect_timeout(stages[_i]);
}
END_TEST

START_TEST(dripping)
{
    static const peer_line_t lines[] = { { .await = 1, BYTES(START), .pause = 20 * 1000 }, { 0 } };
    peer_t peer;

    peer_start(&peer, lines, PEER_CLOSE);
    ask(&peer);
    expect_timeout(FO_STAGE_LOGIN);
}
END_TEST

/* It never lets a call wait, and never comes to the point. */
START_TEST(talks_on_and_on)
{
    size_t length = (size_t)32 * 1024 * 1024;
    char *bytes = malloc(length);
    peer_line_t lines[] = { { .await = 1, .bytes = bytes, .length = length }, { 0 } };
    peer_t peer;

    for (size_t i = 0; i < length; i += 8)
        memcpy(bytes + i, HEARTBEAT, 8);
    peer_start(&peer, lines, PEER_CLOSE);
    ask(&peer);
    expect_timeout(FO_STAGE_LOGIN);
    free(bytes);
}
END_TEST

static const struct {
    peer_line_t line;
    const char *text;
} garbage[] = {
    { SAYS("HTTP/1.1 400 Bad Request\r\n\r\n"), "the answer is not AMQP 0-9-1" },
    { SAYS("AMQP\0\0\x09\x00"), "the server does not speak AMQP 0-9-1" },
    { SAYS("AMQP\x03\1\0\0"), "the server does not speak AMQP 0-9-1" },
    { SAYS(HEAD("\x0e") "\0\x0a\0\x0a" "\x08\0" "\0\0\0\0" "\0\0\0\0" "\xce"),
      "the server does not speak AMQP 0-9-1" },
    { SAYS("\0\0\0\0\0\0\0\0"), "the answer is not AMQP 0-9-1" },
    { SAYS("\xff\xff\xff\xff\xff\xff\xff\xff"), "the answer is not AMQP 0-9-1" },
    { SAYS("\x01\0\x01\0\0\0\x04\0\x0a\0\x0a\xce"), "the answer is not AMQP 0-9-1" },
    { SAYS("\x02\0\0\0\0\0\x04\0\x0a\0\x0a\xce"), "the answer is not AMQP 0-9-1" },
    { SAYS("\x01\0\0\x7f\xff\xff\xff"), "the answer is not AMQP 0-9-1" },
    { SAYS("\x01\0\0\xff\xff\xff\xff"), "the answer is not AMQP 0-9-1" },
    { SAYS("\x01\0\0\0\0\x40\x01"), "the answer is not AMQP 0-9-1" },
    { SAYS(HEAD("\0") "\xce"), "the answer is not AMQP 0-9-1" },
    { SAYS(HEAD("\x03") "\0\x0a\0\xce"), "the answer is not AMQP 0-9-1" },
    { SAYS(HEAD("\x04") "\0\x0a\0\x0a" "\x00"), "the answer is not AMQP 0-9-1" },
    { SAYS(HEAD("\x04") "\0\x0a\0\x0a" "\xce"), "the answer is not AMQP 0-9-1" },
    { SAYS(TUNE), "the answer is not AMQP 0-9-1" },
    { SAYS(HEAD("\x0a") "\0\x0a\0\x0a" "\0\x09" "\xff\xff\xff\xff" "\xce"),
      "the answer is not AMQP 0-9-1" },
    { SAYS(HEAD("\x0a") "\0\x0a\0\x0a" "\0\x09" "\0\0\0\0" "\xce"),
      "the answer is not AMQP 0-9-1" },
    { SAYS(HEAD("\x12") "\0\x0a\0\x0a" "\0\x09" "\0\0\0\0" "\xff\xff\xff\xff" "PLAI" "\xce"),
      "the answer is not AMQP 0-9-1" },
    { SAYS(HEAD("\x04") "\0\x0a\0\x32" "\xce"), "the answer is not AMQP 0-9-1" },
    { SAYS(HEAD("\x07") "\0\x0a\0\x32" "\x02\x12" "\xff" "\xce"), "the answer is not AMQP 0-9-1" },
};

START_TEST(answers_garbage)
{
    peer_line_t lines[] = { garbage[_i].line, { 0 } };
    peer_t peer;

    peer_start(&peer, lines, PEER_HOLD);
    ask(&peer);
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, 0, garbage[_i].text);
    ck_assert_int_lt(report.took, PEER_SLACK);
}
END_TEST

/* At each later step. */
START_TEST(garbage_from_here_on)
{
    peer_line_t lines[COUNT(fine)];
    peer_t peer;

    first_lines(lines, _i + 1);
    lines[_i] = (peer_line_t)SAYS(HEAD("\x04") "\0\x3c\0\x3c" "\xce");
    peer_start(&peer, lines, PEER_HOLD);
    ask(&peer);
    expect(FO_VERDICT_FAIL, stages[_i], 0, "the answer is not AMQP 0-9-1");
}
END_TEST

/* A table in a table in a table, as deep as a frame holds: nobody reads it. */
START_TEST(nested_tables)
{
    char bytes[12 * 1024], *to = bytes;
    size_t depth = 1500, tables = depth * 6;
    peer_line_t lines[] = { { .await = 1, .bytes = bytes }, fine[1], fine[2], fine[3], { 0 } };
    size_t payload = 6 + 4 + tables + 4 + 5 + 4;
    peer_t peer;

    memcpy(to, HEAD("\0") "\0\x0a\0\x0a\0\x09", 13);
    to[5] = (char)(payload >> 8);
    to[6] = (char)payload;
    to += 13;
    for (size_t left = tables;; left -= 6, to += 6) {
        memcpy(to, "\0\0\0\0\0F", 6);
        to[2] = (char)(left >> 8);
        to[3] = (char)left;
        if (!left)
            break;
    }
    memcpy(to + 4, "\0\0\0\x05" "PLAIN" "\0\0\0\0\xce", 14);
    lines[0].length = (size_t)(to + 18 - bytes);
    peer_start(&peer, lines, PEER_HOLD);
    ask(&peer);
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
}
END_TEST

START_TEST(takes_no_plain)
{
    static const peer_line_t lines[] = {
        SAYS(HEAD("\x1c") "\0\x0a\0\x0a" "\0\x09" "\0\0\0\0" "\0\0\0\x0a" "PLAINER EX" "\0\0\0\0"
             "\xce"),
        { 0 },
    };
    peer_t peer;

    peer_start(&peer, lines, PEER_HOLD);
    ask(&peer);
    expect(FO_VERDICT_LOGIN, FO_STAGE_LOGIN, 0, "the server takes no PLAIN login");
}
END_TEST

/* The server's own words, as RabbitMQ 3.10 says them. */
static const struct {
    int after; /* lines of the dialogue */
    int code;
    const char *words;
    fo_verdict_e verdict;
} closes[] = {
    { 1, 403,
      "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see "
      "the broker logfile.",
      FO_VERDICT_LOGIN },
    { 2, 530, "NOT_ALLOWED - access to vhost 'shop' refused for user 'other'", FO_VERDICT_LOGIN },
    { 2, 530, "NOT_ALLOWED - vhost nothere not found", FO_VERDICT_FAIL },
    { 2, 530,
      "NOT_ALLOWED - connection refused for user 'm': user connection limit (0) is reached",
      FO_VERDICT_BUSY },
    { 2, 530,
      "NOT_ALLOWED - access to vhost 'shop' refused for user 'm': connection limit (0) is reached",
      FO_VERDICT_BUSY },
    { 2, 541, "INTERNAL_ERROR - access to vhost 'shop' refused for user 'm': vhost 'shop' is down",
      FO_VERDICT_FAIL },
    { 3, 320,
      "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'",
      FO_VERDICT_FAIL },
    { 0, 504, "", FO_VERDICT_FAIL },
    { 1, 501, "a\tb\n\x80", FO_VERDICT_FAIL },
};

static peer_line_t close_line(int code, const char *words)
{
    size_t n = strlen(words), payload = 4 + 2 + 1 + n + 4;
    char *bytes = apr_pcalloc(pool, payload + 8);

    bytes[0] = 1;
    bytes[6] = (char)payload;
    bytes[8] = 10;
    bytes[10] = 50;
    bytes[11] = (char)(code >> 8);
    bytes[12] = (char)code;
    bytes[13] = (char)n;
    memcpy(bytes + 14, words, n);
    bytes[payload + 7] = (char)0xce;
    return (peer_line_t){ .await = 1, .bytes = bytes, .length = payload + 8 };
}

START_TEST(server_closes)
{
    peer_line_t lines[COUNT(fine) + 1] = { 0 };
    char *words = apr_pstrdup(pool, closes[_i].words);
    peer_t peer;

    memcpy(lines, fine, sizeof(fine));
    lines[closes[_i].after] = close_line(closes[_i].code, words);
    lines[closes[_i].after + 1] = (peer_line_t){ 0 };
    for (char *c = words; *c; c++)
        *c = *c < 0x20 ? '?' : *c;
    if (!words[0])
        words = apr_psprintf(pool, "the server closed with %d", closes[_i].code);
    peer_start(&peer, lines, PEER_HOLD);
    ask(&peer);
    expect(closes[_i].verdict, stages[closes[_i].after], 0, words);
    ck_assert_int_eq(report.code, closes[_i].code);
    ck_assert(was_sent(&peer, CLOSE_OK, sizeof(CLOSE_OK) - 1));
}
END_TEST

START_TEST(long_words)
{
    char words[201];
    peer_line_t lines[] = { fine[0], { 0 }, { 0 } };
    peer_t peer;

    memset(words, 'w', 200);
    words[200] = '\0';
    lines[1] = close_line(403, words);
    peer_start(&peer, lines, PEER_HOLD);
    ask(&peer);
    ck_assert_int_eq(strlen(report.text), FO_REPORT_TEXT - 1);
    ck_assert_int_eq(report.verdict, FO_VERDICT_LOGIN);
}
END_TEST

/* ---------------------------------------------------------------- connects */

START_TEST(refused)
{
    peer_t peer;

    peer_bind(&peer);
    ask(&peer);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED, "");
}
END_TEST

START_TEST(unreachable)
{
    peer_t peer;

    peer_full(&peer);
    ask(&peer);
    expect_timeout(FO_STAGE_CONNECT);
}
END_TEST

START_TEST(mute)
{
    peer_t peer;

    peer_mute(&peer);
    ask(&peer);
    expect_timeout(FO_STAGE_LOGIN);
}
END_TEST

START_TEST(no_descriptor)
{
    struct rlimit usual;
    peer_t peer;

    peer_bind(&peer);
    usual = unit_leave_descriptors(0);
    ask(&peer);
    setrlimit(RLIMIT_NOFILE, &usual);
    expect(FO_VERDICT_SELF, FO_STAGE_CONNECT, EMFILE, "");
}
END_TEST

static void ask_two(peer_t *peer, const char *first, const char *second)
{
    const char *const addresses[] = { first, second };

    ask_at(&fo_probe_amqp, peer->port, addresses, 2, PEER_BUDGET);
    peer_stop(peer);
}

START_TEST(second_address_answers)
{
    peer_t peer;

    peer_start(&peer, fine, PEER_HOLD);
    ask_two(&peer, "127.0.0.2", "127.0.0.1");
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
}
END_TEST

START_TEST(first_address_is_mute)
{
    peer_t peer;

    peer_mute(&peer);
    ask_two(&peer, "127.0.0.1", "127.0.0.2");
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, APR_TIMEUP, "timed out");
    ck_assert_int_ge(report.took, PEER_BUDGET / 2);
    ck_assert_int_lt(report.took, PEER_BUDGET / 2 + PEER_SLACK);
}
END_TEST

/* A server that has spoken is not asked at its other address: both are the same peer here. */
START_TEST(an_answer_is_final)
{
    peer_line_t lines[] = { fine[0], { 0 }, { 0 } };
    peer_t peer;

    lines[1] = close_line(403, "no");
    peer_start(&peer, lines, PEER_HOLD);
    ask_two(&peer, "127.0.0.1", "127.0.0.1");
    expect(FO_VERDICT_LOGIN, FO_STAGE_LOGIN, 0, "no");
}
END_TEST

/* ---------------------------------------------------------------- TLS, without a server for it */

START_TEST(tls_mute)
{
    peer_t peer;

    peer_mute(&peer);
    ask_probe(&fo_probe_amqps, &peer, PEER_BUDGET);
    expect_timeout(FO_STAGE_TLS);
}
END_TEST

START_TEST(tls_refused)
{
    peer_t peer;

    peer_bind(&peer);
    ask_probe(&fo_probe_amqps, &peer, PEER_BUDGET);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED, "");
}
END_TEST

static const struct {
    peer_line_t line;
    apr_status_t status;
    const char *text;
} no_tls[] = {
    { SAYS("AMQP\0\0\x09\x01"), 0, "the server speaks no TLS here" },
    { SAYS("\x15\x03\x03\0\x02\x02\x28"), 0, "sslv3 alert handshake failure" },
    { SAYS("\x15\x03\x03\0\x02\x02\x46"), 0, "the server offers no TLS 1.2 or later" },
    { SAYS("\x16\x03\x03\0\x05"), APR_EOF, "the server closed the connection" },
    { SAYS(""), APR_EOF, "the server closed the connection" },
};

START_TEST(tls_with_none)
{
    peer_line_t lines[] = { no_tls[_i].line, { 0 } };
    peer_t peer;

    peer_start(&peer, lines, PEER_CLOSE);
    ask_probe(&fo_probe_amqps, &peer, PEER_BUDGET);
    expect(FO_VERDICT_FAIL, FO_STAGE_TLS, no_tls[_i].status, no_tls[_i].text);
}
END_TEST

START_TEST(tls_half_a_record)
{
    static const peer_line_t lines[] = { SAYS("\x16\x03\x03\0\x05"), { 0 } };
    peer_t peer;

    peer_start(&peer, lines, PEER_HOLD);
    ask_probe(&fo_probe_amqps, &peer, PEER_BUDGET);
    expect_timeout(FO_STAGE_TLS);
}
END_TEST

static void add_dialogues(TCase *tc)
{
    tcase_add_test(tc, passes);
    tcase_add_test(tc, passes_byte_by_byte);
    tcase_add_test(tc, heartbeats_are_passed_over);
    tcase_add_loop_test(tc, silent_from_here_on, 0, COUNT(stages));
    tcase_add_loop_test(tc, closed_from_here_on, 0, COUNT(stages));
    tcase_add_loop_test(tc, reset_from_here_on, 0, COUNT(stages));
    tcase_add_loop_test(tc, half_a_frame, 0, COUNT(stages));
    tcase_add_test(tc, dripping);
    tcase_add_test(tc, talks_on_and_on);
    tcase_add_loop_test(tc, answers_garbage, 0, COUNT(garbage));
    tcase_add_loop_test(tc, garbage_from_here_on, 0, COUNT(stages));
    tcase_add_test(tc, nested_tables);
    tcase_add_test(tc, takes_no_plain);
    tcase_add_loop_test(tc, server_closes, 0, COUNT(closes));
    tcase_add_test(tc, long_words);
}

static Suite *suite(void)
{
    Suite *s = suite_create("probe_amqp");
    TCase *tc = unit_case("configuration");

    tcase_add_loop_test(tc, configures, 0, COUNT(urls));
    tcase_add_test(tc, names_a_numeric_address);
    tcase_add_test(tc, a_long_vhost);
    suite_add_tcase(s, tc);
    tc = unit_case("dialogues");
    add_dialogues(tc);
    suite_add_tcase(s, tc);
    tc = unit_case("connects");
    tcase_add_test(tc, refused);
    tcase_add_test(tc, unreachable);
    tcase_add_test(tc, mute);
    tcase_add_test(tc, no_descriptor);
    tcase_add_test(tc, second_address_answers);
    tcase_add_test(tc, first_address_is_mute);
    tcase_add_test(tc, an_answer_is_final);
    suite_add_tcase(s, tc);
    tc = unit_case("tls");
    tcase_add_test(tc, tls_mute);
    tcase_add_test(tc, tls_refused);
    tcase_add_loop_test(tc, tls_with_none, 0, COUNT(no_tls));
    tcase_add_test(tc, tls_half_a_record);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

#include "probe/probe_http.h"

#include "probe/probe_curl_site.h"
#include "probe/probe_http_options.h"
#include "probe/probe_tls.h"
#include "probe_peer.h"
#include "unit.h"

#include <fcntl.h>
#include <openssl/x509.h>

#define PASSWORD "Geheim7"
#define BYTES(text) .bytes = text, .length = sizeof(text) - 1
#define SAYS(text) { .await = 1, BYTES(text) }
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

static peer_t peer;
#define PATIENCE (5 * SEC)

static fo_report_t report;
static apr_interval_time_t budget; /* of the next pings */
static void *conf;
static const char *warning;
static const char *host_name;    /* of the URL */

/* The words are "key=value" ...; NULL ends them. */
static const char *configure_as(const fo_probe_t *probe, const char *user, const char *path,
                                const char *const *words)
{
    static fo_host_t host;
    fo_url_t url = { .scheme = probe->scheme, .user = user, .hosts = &host, .n_hosts = 1,
                     .path = path };
    fo_login_t login = { .user = user, .has_secret = user != NULL };
    apr_table_t *options = apr_table_make(pool, 3);

    url.text = apr_pstrcat(pool, probe->scheme, "://app.example.com", path, NULL);
    host.name = host_name;
    host.port = peer.port ? peer.port : probe->port;
    for (; words && *words; words++) {
        const char *value = strchr(*words, '=');
        apr_table_set(options, apr_pstrmemdup(pool, *words, (apr_size_t)(value - *words)),
                      value + 1);
    }
    conf = NULL;
    warning = NULL;
    return probe->configure(&url, &login, options, &conf, &warning, pool);
}

static void setup(void)
{
    unit_setup();
    budget = PATIENCE;
    peer = (peer_t){ 0 };
    host_name = "app.example.com";
    fo_probe_http.child_init();
}

/* ---------------------------------------------------------------- configuration */

#define STATUS "is no status from 200 to 599|write status=200,204,300-399"
#define HEADER "is no header's name|\"header=Name: value\""

static const struct {
    const char *word;
    const char *error; /* NULL: accepted */
} options[] = {
    { "method=GET", NULL },
    { "method=HEAD", NULL },
    { "method=OPTIONS", NULL },
    { "method=POST", "method=: 'POST' is none of GET, HEAD and OPTIONS" },
    { "method=get", "'get' is none of" },
    { "status=200", NULL },
    { "status=200,204,300-399", NULL },
    { "status=599", NULL },
    { "status=", "status=: '' " STATUS },
    { "status=199", "'199' " STATUS },
    { "status=600", "'600' " STATUS },
    { "status=200,", "'' " STATUS },
    { "status=300-200", "'300-200' " STATUS },
    { "status=200-", "'200-' " STATUS },
    { "status=-200", "'-200' " STATUS },
    { "status=2xx", "'2xx' " STATUS },
    { "status=200 ", "'200 ' " STATUS },
    { "body=x", NULL },
    { "body=", "a text of 1 to 1024 bytes" },
    { "max-body=1", NULL },
    { "max-body=16777216", NULL },
    { "max-body=0", "max-body=: '0' is not a whole number from 1 to 16777216 of bytes" },
    { "max-body=16777217", "from 1 to 16777216" },
    { "max-body=64k", "from 1 to 16777216" },
    { "header=X-A: b", NULL },
    { "header=X-A:b|X-C: d e | X-F:g", NULL },
    { "header=X-A", "there is no ':' in 'X-A'" },
    { "header=X-A: b|", "there is no ':' in ''" },
    { "header=: b", "'' " HEADER },
    { "header=X A: b", "'X A' " HEADER },
    { "header=X-A:", "X-A: has no value" },
    { "header=X-A: b\r\nX-B: c", "X-A: has no value, or one with control bytes" },
    { "header=host: x", "Host: is not for you to set: write host=" },
    { "header=Authorization: Bearer x", "write the user in front of the host, and password=" },
    { "header=Content-Length: 1", "a ping sends no body" },
    { "header=User-Agent: x", "it names mod_failover" },
    { "host=www.example.com", NULL },
    { "host=[::1]:81", NULL },
    { "host=", "host=: '' is no host name or address" },
    { "host=a b", "host=: 'a b' is no host name or address" },
    { "query=a=b&c=%20", NULL },
    { "query=", NULL },
    { "query=a b", "query=: blanks, '#'" },
    { "query=a#b", "query=: blanks, '#'" },
};

START_TEST(reads_options)
{
    const char *const words[] = { options[_i].word, NULL };

    unit_expect(configure_as(&fo_probe_http, NULL, "", words), options[_i].error);
    ck_assert(!options[_i].error == (conf != NULL));
    unit_expect(configure_as(&fo_probe_https, NULL, "", words), options[_i].error);
}
END_TEST

START_TEST(refuses_what_does_not_fit_together)
{
    static const char *const words[] = { "method=HEAD", "body=x", NULL };
    fo_host_t host = { .name = "h", .port = 80 };
    fo_url_t url = { .text = "http://h", .scheme = "http", .hosts = &host, .n_hosts = 1,
                     .path = "" };
    fo_login_t login = { .has_secret = true };

    unit_expect(configure_as(&fo_probe_http, NULL, "", words),
                "body=: the answer to method=HEAD has none");
    unit_expect(configure_as(&fo_probe_http, "a:b", "", NULL), "has no ':' in its name");
    unit_expect(fo_probe_http.configure(&url, &login, apr_table_make(pool, 1), &conf, &warning,
                                        pool),
                "password= takes a user in front of the host, as in http://monitor@h");
}
END_TEST

START_TEST(reads_statuses)
{
    probe_http_statuses_t statuses;

    ck_assert_ptr_null(probe_http_read_statuses("201,300-302,299", &statuses, pool));
    for (int i = 0; i < PROBE_HTTP_STATUS_END; i++)
        ck_assert_int_eq(statuses.has[i], i == 201 || (i >= 299 && i <= 302));
}
END_TEST

static const struct {
    const char *path, *query, *target;
} targets[] = {
    { "", NULL, "/" },
    { "/", NULL, "/" },
    { "/a/b;c=d,e", NULL, "/a/b;c=d,e" },
    { "/a b?c#d%", NULL, "/a%20b%3Fc%23d%25" },
    { "/\xc3\xa4", "x=%C3%A4", "/%C3%A4?x=%C3%A4" },
    { "", "", "/?" },
};

START_TEST(writes_targets)
{
    const char *target = NULL;

    ck_assert_ptr_null(probe_http_target(targets[_i].path, targets[_i].query, &target, pool));
    ck_assert_str_eq(target, targets[_i].target);
}
END_TEST

/* ---------------------------------------------------------------- pings */

static void ping_as(const fo_probe_t *probe, const char *user, const char *path,
                    const char *const *words)
{
    static const char *const address = "127.0.0.1";
    fo_peer_t to = { .name = "app.example.com", .addresses = &address, .n_addresses = 1,
                     .port = peer.port };
    fo_ask_t ask = { .secret = user ? PASSWORD : NULL, .peers = &to, .n_peers = 1,
                     .budget = budget };

    unit_expect(configure_as(probe, user, path, words), NULL);
    if (probe->tls == FO_TLS_ALWAYS)
        unit_expect(probe_tls_context(apr_table_make(pool, 1), false, &ask.tls, pool), NULL);
    peer_drive(probe, conf, &ask, &report);
    peer_stop(&peer);
    ck_assert_ptr_null(strstr(report.text, PASSWORD));
}

static void ping(const char *option)
{
    const char *const words[] = { option, NULL };

    ping_as(&fo_probe_http, NULL, "", words);
}

static void ping_tls(void)
{
    ping_as(&fo_probe_https, NULL, "", NULL);
}

static void expect(fo_verdict_e verdict, fo_stage_e stage, apr_status_t status, int code,
                   const char *text)
{
    ck_assert_msg(report.verdict == verdict, "verdict %d: %s (%d)", report.verdict, report.text,
                  report.status);
    ck_assert_int_eq(report.stage, stage);
    ck_assert_int_eq(report.status, status);
    ck_assert_int_eq(report.code, code);
    if (text)
        ck_assert_str_eq(report.text, text);
}

static void expect_pass(void)
{
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, 0, "");
    ck_assert_int_lt(report.took, PATIENCE);
}

static void expect_timeout(fo_stage_e stage)
{
    expect(FO_VERDICT_FAIL, stage, APR_TIMEUP, 0, NULL);
    ck_assert_int_ge(report.took, PEER_BUDGET);
    ck_assert_int_lt(report.took, PEER_BUDGET + PEER_SLACK);
}

static void expect_request(const char *request)
{
    peer.got[peer.n_got < sizeof(peer.got) ? peer.n_got : sizeof(peer.got) - 1] = '\0';
    ck_assert_str_eq(peer.got, request);
}

#define AGENT "User-Agent: mod_failover/" FO_VERSION "\r\n"
#define REST "Accept: */*\r\nConnection: close\r\n"

START_TEST(passes)
{
    static const peer_line_t lines[] = { SAYS(OK), { 0 } };

    peer_start(&peer, lines, PEER_HOLD);
    ping("status=200");
    expect_pass();
    expect_request(apr_psprintf(pool,
                                "GET / HTTP/1.1\r\nHost: app.example.com:%d\r\n" AGENT REST "\r\n",
                                peer.port));
}
END_TEST

/* Also that nothing of this process's surroundings has a say. */
START_TEST(asks_as_told)
{
    static const peer_line_t lines[] = { SAYS(OK), { 0 } };
    static const char *const words[] = { "method=OPTIONS", "query=full=1", "host=www.example.com",
                                         "header=X-A: b|X-C: d e", NULL };

    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("ALL_PROXY", "http://127.0.0.1:1", 1);
    peer_start(&peer, lines, PEER_HOLD);
    ping_as(&fo_probe_http, "monitor", "/a b", words);
    expect_pass();
    expect_request("OPTIONS /a%20b?full=1 HTTP/1.1\r\nHost: www.example.com\r\n"
                   "Authorization: Basic bW9uaXRvcjpHZWhlaW03\r\n" AGENT "Accept: */*\r\n"
                   "X-A: b\r\nX-C: d e\r\nConnection: close\r\n\r\n");
}
END_TEST

/* The address is the driver's, whatever the URL says; a zone is for this host alone. */
START_TEST(names_an_address)
{
    static const peer_line_t lines[] = { SAYS(OK), { 0 } };

    host_name = _i ? "fe80::1%lo" : "2001:db8::1";
    peer_start(&peer, lines, PEER_HOLD);
    ping("status=200");
    expect_pass();
    ck_assert_ptr_nonnull(memmem(peer.got, peer.n_got,
                                 _i ? "\r\nHost: [fe80::1]:" : "\r\nHost: [2001:db8::1]:",
                                 _i ? 17 : 21));
}
END_TEST

START_TEST(head_has_no_body)
{
    static const peer_line_t lines[] = { SAYS("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
                                         { 0 } };

    peer_start(&peer, lines, PEER_HOLD);
    ping("method=HEAD");
    expect_pass();
    ck_assert_mem_eq(peer.got, "HEAD / ", 7);
}
END_TEST

START_TEST(passes_byte_by_byte)
{
    static const peer_line_t lines[] = {
        { .await = 1, BYTES(OK), .pause = 1000 },
        { 0 },
    };

    peer_start(&peer, lines, PEER_HOLD);
    ping("body=hello");
    expect_pass();
}
END_TEST

static const peer_line_t good[][2] = {
    { SAYS("HTTP/1.1 204 No Content\r\n\r\n") },
    { SAYS("HTTP/1.0 200 OK\r\n\r\n") },
    { SAYS("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n") },
    { SAYS("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX: y\r\n\r\n") },
    { SAYS("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
           "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") },
    { SAYS("HTTP/1.1 301 Moved\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n") },
    { SAYS("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nSet-Cookie: a=b\r\n"
           "Content-Length: 0\r\n\r\n") },
    { SAYS("HTTP/1.1 399 Odd\r\nContent-Length: 0\r\n\r\n") },
};

/* A redirect is an answer; nobody follows it. */
START_TEST(takes_what_is_good)
{
    peer_start(&peer, good[_i], PEER_CLOSE);
    ping("max-body=1000");
    expect_pass();
    ck_assert_ptr_null(memmem(peer.got + 1, peer.n_got - 1, "GET ", 4));
}
END_TEST

static const char whole[] = "HTTP/1.1 200 OK\r\nX-A: b\r\nContent-Length: 5\r\n\r\nhello";

START_TEST(cut_at_every_byte)
{
    for (size_t n = 0; n < sizeof(whole) - 1; n++) {
        const peer_line_t lines[] = { { .await = 1, .bytes = whole, .length = n }, { 0 } };
        peer_start(&peer, lines, PEER_CLOSE);
        ping("status=200");
        ck_assert_msg(report.verdict == FO_VERDICT_FAIL && report.status == APR_EOF,
                      "cut at %zu: verdict %d, status %d, %s", n, report.verdict, report.status,
                      report.text);
        ck_assert_int_eq(report.stage, FO_STAGE_ANSWER);
        ck_assert_ptr_nonnull(strstr(report.text, "the server closed the connection"));
    }
}
END_TEST

START_TEST(silent_from_here_on)
{
    static const size_t kept[] = { 0, 3, 17, 30, sizeof(whole) - 6, sizeof(whole) - 2 };
    const peer_line_t lines[] = { { .await = 1, .bytes = whole, .length = kept[_i] }, { 0 } };

    peer_start(&peer, lines, PEER_HOLD);
    budget = PEER_BUDGET;
    ping("status=200");
    expect_timeout(FO_STAGE_ANSWER);
}
END_TEST

START_TEST(dripping)
{
    static const peer_line_t lines[] = {
        SAYS("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"),
        { BYTES("one byte after the other, and each of them later than one would like"),
          .pause = 20 * 1000 },
        { 0 },
    };

    peer_start(&peer, lines, PEER_HOLD);
    budget = PEER_BUDGET;
    ping("status=200");
    expect_timeout(FO_STAGE_ANSWER);
}
END_TEST

static char huge[100 * 1000 * 1000];

START_TEST(huge_body)
{
    const peer_line_t lines[] = {
        SAYS("HTTP/1.1 200 OK\r\n\r\n"),
        { .bytes = huge, .length = sizeof(huge) },
        { 0 },
    };
    struct rusage usage;

    peer_start(&peer, lines, PEER_HOLD);
    ping("body=x");
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0, 200,
           "the answer has more than 1048576 bytes (max-body=)");
    ck_assert_int_lt(report.took, PATIENCE);
    getrusage(RUSAGE_SELF, &usage);
    ck_assert_int_lt(usage.ru_maxrss, 200 * 1000);
}
END_TEST

START_TEST(as_long_as_may_be)
{
    static const peer_line_t lines[] = { SAYS(OK), { 0 } };

    peer_start(&peer, lines, PEER_HOLD);
    ping("max-body=5");
    expect_pass();
    peer_start(&peer, lines, PEER_HOLD);
    ping("max-body=4");
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0, 200,
           "the answer has more than 4 bytes (max-body=)");
}
END_TEST

/* What the status says comes first. */
START_TEST(long_and_bad)
{
    static const peer_line_t lines[] = {
        SAYS("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 5\r\n\r\nhello"),
        { 0 },
    };

    peer_start(&peer, lines, PEER_HOLD);
    ping("max-body=4");
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0, 500, "500 Internal Server Error");
}
END_TEST

START_TEST(headers_without_end)
{
    char *line = malloc(1000 * 1000);
    peer_line_t lines[] = { SAYS("HTTP/1.1 200 OK\r\n"), { .bytes = line }, { 0 } };

    for (int i = 0; i < 100; i++)
        lines[1].length += (size_t)sprintf(line + lines[1].length, "X-%d: %0900d\r\n", i, i);
    peer_start(&peer, lines, PEER_HOLD);
    ping("status=200");
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0, 0, "the answer has headers without end");
    free(line);
}
END_TEST

/* One line of it is longer than libcurl can hold. */
START_TEST(a_line_without_end)
{
    char *line = malloc(1000 * 1000);
    peer_line_t lines[] = { SAYS("HTTP/1.1 200 "),
                            { .bytes = line, .length = 1000 * 1000 },
                            { 0 } };

    memset(line, 'x', 1000 * 1000);
    peer_start(&peer, lines, PEER_HOLD);
    ping("status=200");
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0, 0, "the answer has headers without end");
    free(line);
}
END_TEST

/* What was to be looked for stands behind the login. */
START_TEST(a_login_refused_hides_the_text)
{
    static const char *const words[] = { "body=fine", NULL };
    static const peer_line_t lines[] = {
        SAYS("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"), { 0 }
    };

    peer_start(&peer, lines, PEER_HOLD);
    ping_as(&fo_probe_http, "monitor", "", words);
    expect(FO_VERDICT_BARRED, FO_STAGE_ANSWER, 0, 401, "401 Unauthorized");
}
END_TEST

static const peer_line_t garbage[][2] = {
    { SAYS("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n") },
    { SAYS("\x15\x03\x03\0\x02\x02\x0a and so on and so forth") },
    { SAYS("HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n") },
    { SAYS("HTTP/1.1 999 High\r\nContent-Length: 0\r\n\r\n") },
    { SAYS("HTTP/1.1 abc\r\n\r\n") },
    { SAYS("HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n") },
    { SAYS("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnonsense") },
};

START_TEST(answers_garbage)
{
    peer_start(&peer, garbage[_i], PEER_CLOSE);
    ping("status=200-599");
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(report.code, 0);
    ck_assert_msg(report.status == 0 && report.text[0], "%d: status %d, %s", _i, report.status,
                  report.text);
    ck_assert_int_lt(report.took, PATIENCE);
}
END_TEST

START_TEST(only_an_interim_answer)
{
    static const peer_line_t lines[] = {
        SAYS("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), { 0 }
    };

    peer_start(&peer, lines, PEER_CLOSE);
    ping("status=200-599");
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_EOF, 0, "the server closed the connection");
}
END_TEST

#define STATUS_LINE(text) { SAYS("HTTP/1.1 " text "\r\nContent-Length: 0\r\n\r\n") }
#define X64 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
    peer_line_t lines[2];
    const char *user;
    const char *option;
    fo_verdict_e verdict;
    int code;
    const char *text;
} statuses[] = {
    { STATUS_LINE("503 Service Unavailable"), NULL, "status=200-399", FO_VERDICT_FAIL, 503,
      "503 Service Unavailable" },
    { STATUS_LINE("500"), NULL, "status=200-399", FO_VERDICT_FAIL, 500, "500" },
    { STATUS_LINE("404 Not\x1b Found"), NULL, "status=200-399", FO_VERDICT_FAIL, 404,
      "404 Not? Found" },
    { STATUS_LINE("429 Too Many Requests"), "monitor", "status=200-399", FO_VERDICT_FAIL, 429,
      "429 Too Many Requests" },
    { STATUS_LINE("404 Not Found"), NULL, "status=404", FO_VERDICT_PASS, 0, "" },
    { STATUS_LINE("200 OK"), NULL, "status=404", FO_VERDICT_FAIL, 200, "200 OK" },
    { STATUS_LINE("401 Unauthorized"), "monitor", "status=200", FO_VERDICT_LOGIN, 401,
      "401 Unauthorized" },
    { STATUS_LINE("401 Unauthorized"), NULL, "status=200", FO_VERDICT_FAIL, 401,
      "401 Unauthorized" },
    { STATUS_LINE("401 Unauthorized"), "monitor", "status=401", FO_VERDICT_PASS, 0, "" },
    { STATUS_LINE("503 " X64 X64 X64), NULL, "status=200", FO_VERDICT_FAIL, 503, NULL },
};

START_TEST(judges_statuses)
{
    const char *const words[] = { statuses[_i].option, NULL };

    peer_start(&peer, statuses[_i].lines, PEER_HOLD);
    ping_as(&fo_probe_http, statuses[_i].user, "", words);
    expect(statuses[_i].verdict, FO_STAGE_ANSWER, 0, statuses[_i].code, statuses[_i].text);
}
END_TEST

static const struct {
    const char *body, *text;
    bool is_there;
} bodies[] = {
    { "hello", "hello", true },        { "say hello to all", "hello", true },
    { "aaaab", "aab", true },          { "ababac", "abac", true },
    { "abababab", "abac", false },     { "hell", "hello", false },
    { "HELLO", "hello", false },       { "", "x", false },
    { "hellhello", "hello", true },    { "a\nb", "a", true },
};

START_TEST(looks_for_a_text)
{
    peer_line_t lines[] = { SAYS("HTTP/1.1 200 OK\r\n\r\n"), { .pause = 1000 }, { 0 } };

    lines[1].bytes = bodies[_i].body;
    lines[1].length = strlen(bodies[_i].body);
    peer_start(&peer, lines, PEER_CLOSE);
    ping(apr_pstrcat(pool, "body=", bodies[_i].text, NULL));
    if (bodies[_i].is_there)
        expect_pass();
    else
        expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0, 200, "the text of body= is not in the answer");
}
END_TEST

START_TEST(refused)
{
    peer_bind(&peer);
    ping("status=200");
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED, 0, "");
}
END_TEST

START_TEST(unreachable)
{
    peer_full(&peer);
    budget = PEER_BUDGET;
    ping("status=200");
    expect_timeout(FO_STAGE_CONNECT);
}
END_TEST

START_TEST(mute)
{
    peer_mute(&peer);
    budget = PEER_BUDGET;
    ping("status=200");
    expect_timeout(FO_STAGE_ANSWER);
}
END_TEST

START_TEST(reset)
{
    static const peer_line_t lines[] = { SAYS("HTTP/1.1 200 OK\r\n"), { 0 } };

    peer_start(&peer, lines, PEER_RESET);
    ping("status=200");
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, ECONNRESET, 0, "");
}
END_TEST

/* libcurl's own two, of the handle, are not missed. */
START_TEST(no_descriptors)
{
    struct rlimit usual;

    peer_mute(&peer);
    unit_expect(configure_as(&fo_probe_http, NULL, "", NULL), NULL);
    usual = unit_leave_descriptors(0);
    ping("status=200");
    setrlimit(RLIMIT_NOFILE, &usual);
    expect(FO_VERDICT_SELF, FO_STAGE_CONNECT, EMFILE, 0, "");
}
END_TEST

START_TEST(leaves_no_descriptor)
{
    static const char *const address = "127.0.0.1";
    fo_peer_t to = { .addresses = &address, .n_addresses = 1 };
    fo_ask_t ask = { .peers = &to, .n_peers = 1, .budget = PEER_BUDGET };
    void *state = calloc(1, fo_probe_http.steps->state_size);
    int next = dup(0), after;
    fo_wait_t wait;

    close(next);
    peer_mute(&peer);
    to.port = peer.port;
    unit_expect(configure_as(&fo_probe_http, NULL, "", NULL), NULL);
    ck_assert_int_eq(fo_probe_http.steps->begin(state, conf, &ask, &wait, &report), FO_MORE);
    for (int i = 0; i < 5 && wait.fd < 0; i++)
        ck_assert_int_eq(fo_probe_http.steps->step(state, 0, &wait, &report), FO_MORE);
    ck_assert_int_eq(fcntl(wait.fd, F_GETFD), FD_CLOEXEC);
    fo_probe_http.steps->end(state);
    free(state);
    peer_stop(&peer);
    after = dup(0);
    close(after);
    ck_assert_int_eq(after, next);
}
END_TEST

/* ---------------------------------------------------------------- TLS */

START_TEST(tls_mute)
{
    peer_mute(&peer);
    budget = PEER_BUDGET;
    ping_tls();
    expect_timeout(FO_STAGE_TLS);
}
END_TEST

static const struct {
    peer_line_t lines[2];
    const char *text;
} no_tls[] = {
    { { SAYS("HTTP/1.1 400 Bad Request\r\n\r\n") }, "wrong version number" },
    { { SAYS("\x15\x03\x03\0\x02\x02\x28") }, "sslv3 alert handshake failure" },
    { { SAYS("\x15\x03\x03\0\x02\x02\x46") }, "tlsv1 alert protocol version" },
};

START_TEST(tls_with_none)
{
    peer_start(&peer, no_tls[_i].lines, PEER_HOLD);
    ping_tls();
    expect(FO_VERDICT_FAIL, FO_STAGE_TLS, 0, 0, no_tls[_i].text);
}
END_TEST

START_TEST(tls_closed)
{
    static const peer_line_t lines[] = { SAYS(""), { 0 } };

    peer_start(&peer, lines, _i ? PEER_RESET : PEER_CLOSE);
    ping_tls();
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(report.stage, FO_STAGE_TLS);
    ck_assert_int_eq(report.status, _i ? ECONNRESET : APR_EOF);
    ck_assert_str_eq(report.text, _i ? "" : "the server closed the connection");
}
END_TEST

/* libcurl's context is given what mod_failover's has. */
START_TEST(takes_authorities_and_the_pair)
{
    SSL_CTX *from = SSL_CTX_new(TLS_client_method()), *to = SSL_CTX_new(TLS_client_method());
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();

    X509_set_pubkey(cert, key);
    ck_assert(X509_sign(cert, key, EVP_sha256()));
    ck_assert(SSL_CTX_use_certificate(from, cert));
    ck_assert(probe_curl_site_equip(from, to));
    ck_assert_ptr_eq(SSL_CTX_get_cert_store(to), SSL_CTX_get_cert_store(from));
    ck_assert_ptr_null(SSL_CTX_get0_certificate(to)); /* whose key has not been opened */
    ck_assert(SSL_CTX_use_PrivateKey(from, key));
    ck_assert(probe_curl_site_equip(from, to));
    ck_assert(SSL_CTX_check_private_key(to));
    X509_free(cert);
    EVP_PKEY_free(key);
    SSL_CTX_free(from);
    SSL_CTX_free(to);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("probe_http");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_set_timeout(tc, 30);
    tcase_add_loop_test(tc, reads_options, 0, COUNT(options));
    tcase_add_test(tc, refuses_what_does_not_fit_together);
    tcase_add_test(tc, reads_statuses);
    tcase_add_loop_test(tc, writes_targets, 0, COUNT(targets));
    tcase_add_test(tc, passes);
    tcase_add_test(tc, asks_as_told);
    tcase_add_loop_test(tc, names_an_address, 0, 2);
    tcase_add_test(tc, head_has_no_body);
    tcase_add_test(tc, passes_byte_by_byte);
    tcase_add_loop_test(tc, takes_what_is_good, 0, COUNT(good));
    tcase_add_test(tc, cut_at_every_byte);
    tcase_add_loop_test(tc, silent_from_here_on, 0, 6);
    tcase_add_test(tc, dripping);
    tcase_add_test(tc, huge_body);
    tcase_add_test(tc, as_long_as_may_be);
    tcase_add_test(tc, long_and_bad);
    tcase_add_test(tc, headers_without_end);
    tcase_add_test(tc, a_line_without_end);
    tcase_add_test(tc, a_login_refused_hides_the_text);
    tcase_add_loop_test(tc, answers_garbage, 0, COUNT(garbage));
    tcase_add_test(tc, only_an_interim_answer);
    tcase_add_loop_test(tc, judges_statuses, 0, COUNT(statuses));
    tcase_add_loop_test(tc, looks_for_a_text, 0, COUNT(bodies));
    tcase_add_test(tc, refused);
    tcase_add_test(tc, unreachable);
    tcase_add_test(tc, mute);
    tcase_add_test(tc, reset);
    tcase_add_test(tc, no_descriptors);
    tcase_add_test(tc, leaves_no_descriptor);
    tcase_add_test(tc, tls_mute);
    tcase_add_loop_test(tc, tls_with_none, 0, COUNT(no_tls));
    tcase_add_loop_test(tc, tls_closed, 0, 2);
    tcase_add_test(tc, takes_authorities_and_the_pair);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

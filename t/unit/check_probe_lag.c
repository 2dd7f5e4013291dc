#include "probe/probe_lag.h"

#include "probe/probe_lag_json.h"
#include "probe/probe_tls.h"
#include "probe_peer.h"
#include "unit.h"

#include <openssl/ssl.h>

#define PASSWORD "Geheim7"

#define PATIENCE (5 * SEC)

static fo_report_t report;
static apr_interval_time_t budget; /* of the next pings */
static void *conf;

/* ---------------------------------------------------------------- a cluster's REST API */

#define ANSWERS 3

static struct {
    int fd;
    apr_port_t port;
    SSL_CTX *tls;
    const char *answers[ANSWERS]; /* one for each request; NULL: silence */
    bool in_bytes;                /* each byte is a record of its own */
    bool closes;                  /* after each answer */
    size_t cut;                   /* bytes of an answer that are sent; 0: all */
    char got[4096];
    size_t n_got;
    unsigned n_connections;
    pthread_t thread;
} api;

/* A certificate that nobody trusts. */
static void make_tls(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();

    X509_gmtime_adj(X509_getm_notBefore(cert), 0);
    X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    X509_set_pubkey(cert, key);
    ck_assert(X509_sign(cert, key, EVP_sha256()));
    api.tls = SSL_CTX_new(TLS_server_method());
    ck_assert(SSL_CTX_use_certificate(api.tls, cert) && SSL_CTX_use_PrivateKey(api.tls, key));
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* False: the other side is gone. */
static bool read_request(SSL *ssl)
{
    size_t began = api.n_got;

    for (;;) {
        int n = SSL_read(ssl, api.got + api.n_got, (int)(sizeof(api.got) - 1 - api.n_got));
        if (n <= 0)
            return false;
        api.n_got += (size_t)n;
        if (memmem(api.got + began, api.n_got - began, "\r\n\r\n", 4))
            return true;
    }
}

/* False: that was all for this connection. */
static bool write_answer(SSL *ssl, const char *answer)
{
    size_t length = api.cut ? api.cut : strlen(answer);
    size_t chunk = api.in_bytes ? 1 : length;

    for (size_t i = 0; i < length; i += chunk)
        if (SSL_write(ssl, answer + i, (int)chunk) <= 0)
            return false;
    return !api.closes;
}

static void *serve(void *opaque)
{
    unsigned n = 0;
    int fd;

    (void)opaque;
    while ((fd = accept(api.fd, NULL, NULL)) >= 0) {
        SSL *ssl = SSL_new(api.tls);
        SSL_set_fd(ssl, fd);
        api.n_connections++;
        if (SSL_accept(ssl) == 1)
            while (read_request(ssl) && n < ANSWERS &&
                   (!api.answers[n] || write_answer(ssl, api.answers[n++])))
                ;
        SSL_free(ssl);
        close(fd);
    }
    return NULL;
}

static void start(const char *first, const char *second)
{
    peer_t peer;

    signal(SIGPIPE, SIG_IGN);
    peer_mute(&peer);
    api.fd = peer.fd;
    api.port = peer.port;
    api.answers[0] = first;
    api.answers[1] = second;
    ck_assert_int_eq(pthread_create(&api.thread, NULL, serve, NULL), 0);
}

static void stop(void)
{
    shutdown(api.fd, SHUT_RDWR);
    pthread_join(api.thread, NULL);
    close(api.fd);
    api.got[api.n_got] = '\0';
}

static void setup(void)
{
    unit_setup();
    budget = PATIENCE;
    memset(&api, 0, sizeof(api));
    make_tls();
    fo_probe_lag.child_init();
}

static void teardown(void)
{
    SSL_CTX_free(api.tls);
    unit_teardown();
}

/* ---------------------------------------------------------------- configuration */

static const char *configure(const char *path, const char *option)
{
    static fo_host_t host = { .name = "redis.example.com" };
    fo_url_t url = { .text = apr_pstrcat(pool, "redis-lag+https://m@redis.example.com", path, NULL),
                     .scheme = "redis-lag+https", .user = "m", .hosts = &host, .n_hosts = 1,
                     .path = path };
    fo_login_t login = { .user = "m", .has_secret = true };
    apr_table_t *options = apr_table_make(pool, 2);
    const char *value = option ? strchr(option, '=') : NULL, *warning = NULL;

    host.port = api.port ? api.port : fo_probe_lag.port;
    if (value)
        apr_table_set(options, apr_pstrmemdup(pool, option, (apr_size_t)(value - option)),
                      value + 1);
    conf = NULL;
    return fo_probe_lag.configure(&url, &login, options, &conf, &warning, pool);
}

static const struct {
    const char *path, *option, *words;
} urls[] = {
    { "", NULL, NULL },
    { "/", "tolerance=5s", NULL },
    { "", "tolerance=1ms", NULL },
    { "", "tolerance=0", "tolerance=: '0' is not within 1ms and 1h" },
    { "", "tolerance=2h", "tolerance=: '2h' is not within 1ms and 1h" },
    { "", "tolerance=x", "tolerance=: 'x' is not a duration" },
    { "", "database=redis-12000.example.com", NULL },
    { "", "database=10.0.0.1:12000", NULL },
    { "", "database=[2001:db8::1]:12000", NULL },
    { "", "database=", "database=: '' is not where clients reach it" },
    { "", "database=12000", "'12000' is not where clients reach it" },
    { "", "database=h:0", "'h:0' is not where clients reach it" },
    { "", "database=h:65536", "is not where clients reach it" },
    { "", "database=redis://h", "is not where clients reach it" },
    { "/v1", NULL, "redis-lag+https:// takes no path" },
};

START_TEST(configures)
{
    unit_expect(configure(urls[_i].path, urls[_i].option), urls[_i].words);
    ck_assert(!urls[_i].words == (conf != NULL));
}
END_TEST

/* ---------------------------------------------------------------- JSON */

#define AT(uid, name, port, addresses)                                                             \
    "{\"uid\": " uid ", \"endpoints\": [{\"dns_name\": \"" name "\", \"port\": " port              \
    ", \"addr\": [" addresses "]}], \"name\": \"x\"}"
#define TWO                                                                                        \
    "[" AT("3", "redis-1.example.com", "12001", "\"10.0.0.1\", \"10.0.0.2\"") ","                  \
    AT("7", "redis-2.example.com", "12002", "\"10.0.0.1\", \"2001:db8::1\"") "]"

#define DEEP "[[[[[[[[[[[[[["

static const struct {
    const char *json, *name;
    apr_port_t port;
    int uid;           /* -1: none */
    const char *words; /* then */
} lists[] = {
    { TWO, "redis-1.example.com", 0, 3, NULL },
    { TWO, "redis-2.example.com", 0, 7, NULL },
    { TWO, "Redis-2.Example.com.", 12002, 7, NULL },
    { TWO, "redis-2.example.com", 12001, -1,
      "no database has an endpoint at redis-2.example.com and this port" },
    { TWO, "redis-2", 0, -1, "no database has an endpoint at redis-2" },
    { TWO, "10.0.0.2", 0, 3, NULL },
    { TWO, "10.0.0.1", 0, -1, "2 databases are at 10.0.0.1: write database=HOST:PORT" },
    { TWO, "10.0.0.1", 12002, 7, NULL },
    { TWO, "2001:db8:0::1", 0, 7, NULL },
    { TWO, "10.0.0.3", 0, -1, "no database has an endpoint at 10.0.0.3" },
    /* A name comes before an address. */
    { "[" AT("1", "a", "1", "\"10.0.0.9\"") "," AT("2", "10.0.0.9", "1", "") "]", "10.0.0.9", 0, 2,
      NULL },
    { "[" AT("\"1\"", "a", "1", "") "]", "a", 0, -1, "the database at a has no uid" },
    { "[" AT("-1", "a", "1", "") "]", "a", 0, -1, "the database at a has no uid" },
    { "[]", "a", 0, -1, "no database has an endpoint at a" },
    { "{}", "a", 0, -1, "the answer is no list of databases" },
    { "", "a", 0, -1, "the answer is not JSON" },
    { "<html>", "a", 0, -1, "the answer is not JSON" },
    { DEEP DEEP DEEP DEEP DEEP, "a", 0, -1, "the answer is not JSON" },
    { TWO "x", "a", 0, -1, "the answer is not JSON" },
    { "[1, null, [], {}, {\"endpoints\": 5}, {\"endpoints\": [1, {}, {\"dns_name\": 5, "
      "\"addr\": 6}, {\"addr\": [7, null, \"nonsense\"]}]}]", "a", 0, -1,
      "no database has an endpoint at a" },
};

START_TEST(finds_the_database)
{
    const fo_host_t host = { .name = lists[_i].name, .port = lists[_i].port };
    char text[FO_REPORT_TEXT];
    apr_int64_t uid = -1;
    const char *error = probe_lag_find(lists[_i].json, strlen(lists[_i].json), &host, &uid, text);

    unit_expect(error, lists[_i].words);
    ck_assert_int_eq(uid, lists[_i].uid);
}
END_TEST

/* No answer makes it run off or out of its stack. */
START_TEST(a_list_cut_short_or_deep)
{
    const fo_host_t host = { .name = "redis-2.example.com" };
    char text[FO_REPORT_TEXT], *deep = malloc(1000 * 1000);
    apr_int64_t uid = -1;

    for (size_t n = 0; n < sizeof(TWO) - 1; n++)
        ck_assert_str_eq(probe_lag_find(TWO, n, &host, &uid, text), "the answer is not JSON");
    memset(deep, '[', 1000 * 1000);
    ck_assert_str_eq(probe_lag_find(deep, 1000 * 1000, &host, &uid, text),
                     "the answer is not JSON");
    free(deep);
}
END_TEST

static const struct {
    const char *json, *words;
} errors[] = {
    { "{\"error_code\": \"bdb_unavailable\", \"description\": \"Database is not available\"}",
      "Database is not available" },
    { "{\"error_code\": \"bdb_unavailable\"}", "bdb_unavailable" },
    { "{\"description\": 5}", "" },
    { "[]", "" },
    { "<html>", "" },
};

START_TEST(reads_the_words_of_an_error)
{
    char text[FO_REPORT_TEXT];

    ck_assert_str_eq(probe_lag_words(errors[_i].json, strlen(errors[_i].json), text),
                     errors[_i].words);
}
END_TEST

/* ---------------------------------------------------------------- pings */

static const char *says(const char *status, const char *body)
{
    return apr_psprintf(pool,
                        "HTTP/1.1 %s\r\nContent-Type: application/json\r\n"
                        "Content-Length: %" APR_SIZE_T_FMT "\r\n\r\n%s",
                        status, strlen(body), body);
}

static void ping(const char *option)
{
    static const char *const address = "127.0.0.1";
    fo_peer_t to = { .name = "redis.example.com", .addresses = &address, .n_addresses = 1,
                     .port = api.port };
    fo_ask_t ask = { .secret = PASSWORD, .peers = &to, .n_peers = 1, .budget = budget };
    apr_table_t *tls = apr_table_make(pool, 2);

    unit_expect(configure("", option), NULL);
    apr_table_set(tls, "verify", "off");
    apr_table_set(tls, "ca-path", "/"); /* the system's many would be read each time */
    unit_expect(probe_tls_context(tls, false, &ask.tls, pool), NULL);
    peer_drive(&fo_probe_lag, conf, &ask, &report);
    stop();
}

static void expect(fo_verdict_e verdict, fo_stage_e stage, apr_status_t status, int code,
                   const char *text)
{
    ck_assert_msg(report.verdict == verdict && report.stage == stage && report.status == status &&
                      report.code == code,
                  "verdict %d, stage %d, status %d, code %d: %s", report.verdict, report.stage,
                  report.status, report.code, report.text);
    if (text)
        ck_assert_str_eq(report.text, text);
}

static void expect_timeout(fo_stage_e stage)
{
    expect(FO_VERDICT_FAIL, stage, APR_TIMEUP, 0, NULL);
    ck_assert_int_ge(report.took, PEER_BUDGET);
    ck_assert_int_lt(report.took, PEER_BUDGET + PEER_SLACK);
}

/* On one connection. */
START_TEST(passes)
{
    start(says("200 OK", TWO), says("200 OK", ""));
    ping("database=10.0.0.1:12002");
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, 0, "");
    ck_assert_uint_eq(api.n_connections, 1);
    ck_assert_mem_eq(api.got, "GET /v1/bdbs HTTP/1.1\r\n", 23);
    ck_assert_ptr_nonnull(strstr(api.got, "\r\nAuthorization: Basic bTpHZWhlaW03\r\n"));
    ck_assert_ptr_nonnull(strstr(api.got, "\r\n\r\nGET /v1/bdbs/7/availability?extend_check=lag&"
                                          "availability_lag_tolerance_ms=100 HTTP/1.1\r\n"));
    ck_assert_ptr_nonnull(strstr(api.got, "\r\nConnection: close\r\n"));
}
END_TEST

#define LIST "[" AT("42", "redis.example.com", "1", "") "]"

/* The URL's host is what is looked for. The server may close after each answer, or drip. */
START_TEST(passes_in_other_ways)
{
    api.closes = _i == 0;
    api.in_bytes = _i == 1;
    start(api.closes ? "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" LIST : says("200 OK", LIST),
          says("204 No Content", ""));
    ping("tolerance=5s");
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, 0, "");
    ck_assert_uint_eq(api.n_connections, api.closes ? 2 : 1);
    ck_assert_ptr_nonnull(strstr(api.got, "/v1/bdbs/42/availability"));
    ck_assert_ptr_nonnull(strstr(api.got, "availability_lag_tolerance_ms=5000 "));
}
END_TEST

#define ERROR "{\"error_code\": \"bdb_unavailable\", \"description\": \"Database is\\nlate\"}"

static const struct {
    const char *first[2], *second[2];
    int code;
    const char *text;
} failures[] = {
    { { "401 Unauthorized", "" }, { NULL }, 401, "401 Unauthorized" },
    { { "307 Temporary Redirect", "" }, { NULL }, 307, "307 Temporary Redirect" },
    { { "200 OK", "[]" }, { NULL }, 0, "no database has an endpoint at redis-1.example.com" },
    { { "200 OK", "<html>" }, { NULL }, 0, "the answer is not JSON" },
    { { "200 OK", TWO }, { "503 Service Unavailable", ERROR }, 503,
      "503 Service Unavailable: Database is?late" },
    { { "200 OK", TWO }, { "404 Not Found", "" }, 404, "404 Not Found" },
};

START_TEST(fails)
{
    start(says(failures[_i].first[0], failures[_i].first[1]),
          failures[_i].second[0] ? says(failures[_i].second[0], failures[_i].second[1]) : NULL);
    ping("database=redis-1.example.com");
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0, failures[_i].code, failures[_i].text);
}
END_TEST

START_TEST(silent_from_here_on)
{
    start(_i ? says("200 OK", TWO) : NULL, NULL);
    budget = PEER_BUDGET;
    ping("database=redis-1.example.com");
    expect_timeout(FO_STAGE_ANSWER);
}
END_TEST

START_TEST(cut_at_every_byte)
{
    const char *answer = says("200 OK", LIST);

    api.closes = true;
    for (size_t n = 1; n < strlen(answer); n++) {
        api.cut = n;
        api.n_got = 0;
        start(answer, NULL);
        ping(NULL);
        ck_assert_msg(report.verdict == FO_VERDICT_FAIL && report.took < PATIENCE &&
                          report.stage == FO_STAGE_ANSWER &&
                          (report.status == APR_EOF || report.status == ECONNRESET),
                      "cut at %zu: verdict %d, stage %d, status %d, %s", n, report.verdict,
                      report.stage, report.status, report.text);
    }
}
END_TEST

START_TEST(a_long_answer)
{
    char *body = apr_palloc(pool, 3 * 1024 * 1024 + 1);

    memset(body, ' ', 3 * 1024 * 1024);
    body[3 * 1024 * 1024] = '\0';
    start(says("200 OK", body), NULL);
    ping(NULL);
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, 0, 0, "the answer has more than 1 MiB");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("probe_lag");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, configures, 0, COUNT(urls));
    tcase_add_loop_test(tc, finds_the_database, 0, COUNT(lists));
    tcase_add_test(tc, a_list_cut_short_or_deep);
    tcase_add_loop_test(tc, reads_the_words_of_an_error, 0, COUNT(errors));
    tcase_add_test(tc, passes);
    tcase_add_loop_test(tc, passes_in_other_ways, 0, 2);
    tcase_add_loop_test(tc, fails, 0, COUNT(failures));
    tcase_add_loop_test(tc, silent_from_here_on, 0, 2);
    tcase_add_test(tc, cut_at_every_byte);
    tcase_add_test(tc, a_long_answer);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

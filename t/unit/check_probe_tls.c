/* TLS: its options, and a dialogue over it with a server of OpenSSL's, or with none. */
#include "probe/probe_tls.h"

#include "core/fo_report.h"
#include "probe/probe_clock.h"
#include "probe/probe_flight.h"
#include "probe_rig.h"
#include "tls_rig.h"

#define TIMEOUT (3 * SEC)

static apr_table_t *options;
static void *context;

/* ---------------------------------------------------------------- options */

/* A value that begins with '@' is a file of the folder. */
static void set_options(const char *const *words, int n)
{
    options = apr_table_make(pool, 3);
    for (int i = 0; i < n && words[i]; i += 2)
        apr_table_set(options, words[i],
                      words[i + 1][0] == '@' ? tls_file(words[i + 1] + 1) : words[i + 1]);
}

static const struct {
    const char *options[6]; /* key, value ... */
    const char *words;      /* NULL: accepted */
} rows[] = {
    { { "verify", "on" }, NULL },
    { { "verify", "off" }, NULL },
    { { "ca", "@one.crt" }, NULL },
    { { "ca", "@one.crt", "cert", "@two.crt", "key", "@two.key" }, NULL },
    { { "verify", "maybe" }, "verify=: 'maybe' is neither on nor off" },
    { { "ca", "ca.pem" }, "ca=: 'ca.pem' is not an absolute path" },
    { { "ca", "" }, "ca=: '' is not an absolute path" },
    { { "ca", "@gone" }, "ca=: there is no file |/gone" },
    { { "ca", "@" }, "ca=: |is a directory" },
    { { "ca", "@text" }, "ca=: |/text: no certificate" },
    { { "ca-path", "@" }, NULL },
    { { "ca", "@one.crt", "ca-path", "@" }, NULL },
    { { "ca-path", "certs" }, "ca-path=: 'certs' is not an absolute path" },
    { { "ca-path", "@gone" }, "ca-path=: there is no directory |/gone" },
    { { "ca-path", "@one.crt" }, "ca-path=: |/one.crt is no directory" },
    { { "cert", "@one.crt" }, "cert= takes key= beside it" },
    { { "key", "@one.key" }, "key= takes cert= beside it" },
    { { "cert", "one.crt", "key", "@one.key" }, "cert=: 'one.crt' is not an absolute path" },
    { { "cert", "@one.crt", "key", "one.key" }, "key=: 'one.key' is not an absolute path" },
    { { "cert", "@gone", "key", "@one.key" }, "cert=: there is no file " },
    { { "cert", "@one.crt", "key", "@gone" }, "key=: there is no file " },
    { { "cert", "@text", "key", "@one.key" }, "cert=: |/text: no start line" },
    { { "cert", "@one.crt", "key", "@text" }, "key=: |/text: " },
    { { "cert", "@one.crt", "key", "@two.key" }, "key=: |key values mismatch" },
    { { "cert", "@one.crt", "key", "@rsa.key" }, "key=: |/rsa.key: " },
    { { "cert", "@locked.crt", "key", "@locked.key" }, "key=: |has a password|key-password=" },
};

START_TEST(reads_options)
{
    context = NULL;
    set_options(rows[_i].options, 6);
    unit_expect(probe_tls_context(options, false, &context, pool), rows[_i].words);
    ck_assert(!rows[_i].words == (context != NULL));
}
END_TEST

static const struct {
    const char *cert, *key;
    const char *words;    /* of the context; NULL: it is made */
    const char *password;
    const char *unlocked; /* what is said of it; NULL: it fits */
} locks[] = {
    { "@locked.crt", "@locked.key", NULL, "geheim", NULL },
    { "@locked.crt", "@locked.key", NULL, "falsch", "key=: the password of |another one" },
    { "@one.crt", "@one.key", NULL, "geheim", NULL }, /* it has none */
    { "@one.crt", "@locked.key", NULL, "geheim", "key values mismatch" },
    { "@gone", "@locked.key", "cert=: there is no file", NULL, NULL },
    { NULL, NULL, "key-password= takes cert= and key=", NULL, NULL },
};

START_TEST(opens_keys)
{
    const char *words[] = { "cert", locks[_i].cert, "key", locks[_i].key };

    set_options(words, locks[_i].cert ? 4 : 0);
    unit_expect(probe_tls_context(options, true, &context, pool), locks[_i].words);
    if (locks[_i].password) {
        const char *key = apr_table_get(options, "key");
        const char *error = probe_tls_unlock(context, key, locks[_i].password, pool);
        unit_expect(error, locks[_i].unlocked);
        ck_assert(!error || !strstr(error, locks[_i].password));
    }
}
END_TEST

START_TEST(knows_whom_it_trusts)
{
    static const char *const words[] = { "verify", "off" };

    set_options(words, 0);
    ck_assert(!probe_tls_trusts_all(options));
    set_options(words, 2);
    ck_assert(probe_tls_trusts_all(options));
}
END_TEST

/* ---------------------------------------------------------------- pings */

static probe_field_t field;
static fo_check_t check;
static probe_flight_t *flight;
static tls_peer_t server;

static void wake(void *unused)
{
    (void)unused;
}

static void setup(void)
{
    static const char *const trusts_one[] = { "ca", "@one.crt" };

    unit_setup();
    tls_make_folder();
    field.resolver = probe_resolver_make(1, wake, NULL);
    set_options(trusts_one, 2);
    unit_expect(probe_tls_context(options, false, &context, pool), NULL);
}

static void teardown(void)
{
    probe_resolver_stop(field.resolver, SEC);
    tls_remove_folder();
    unit_teardown();
}

/* As the loop does, until it is over; a name may be resolved meanwhile. */
static void drive(void)
{
    while (!flight->is_over) {
        struct pollfd fd = { .fd = flight->fd, .events = flight->events };
        apr_time_t left = probe_flight_wake_at(flight) - probe_clock_now();
        int n = poll(&fd, 1, left <= 0 ? 0 : left > 5 * MS ? 5 : (int)(left / 1000) + 1);
        probe_resolver_collect(field.resolver);
        if (n > 0)
            probe_flight_ready(flight, fd.revents, probe_clock_now());
        probe_flight_tick(flight, probe_clock_now());
    }
}

/* Pings the rig's dialogue at this name and port. */
static void ping(const char *name, apr_port_t port, apr_interval_time_t timeout)
{
    check = (fo_check_t){ .probe = &rig_probe_dialogue, .conf = rig_make(RIG_PASS),
                          .url = rig_url(name, port, NULL, 0), .tls = context };
    probe_order_t order = { .check = &check, .timeout = timeout, .is_final = true };

    flight = probe_flight_start(&field, &order, probe_clock_now());
    drive();
}

static void expect(fo_verdict_e verdict, fo_stage_e stage, apr_status_t status, const char *text)
{
    ck_assert_str_eq(flight->report.text, text);
    ck_assert_int_eq(flight->report.verdict, verdict);
    ck_assert_str_eq(fo_stage_name(flight->report.stage), fo_stage_name(stage));
    ck_assert_int_eq(flight->report.status, status);
    probe_flight_free(flight);
}

static void ping_server(const char *name, const char *answer)
{
    server.answer = answer;
    server.length = strlen(answer);
    tls_start(&server);
    ping(name, server.peer.port, TIMEOUT);
    tls_stop(&server);
}

static const size_t records[] = { 1, 2, 4 };

START_TEST(passes)
{
    tls_listen(&server, "one");
    server.record = records[_i];
    ping_server("127.0.0.1", "+OK\n");
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
    ck_assert_str_eq(server.greeting, "HELLO\n");
    ck_assert_str_eq(server.asked, ""); /* a number is no server name */
    ck_assert(server.was_told);
}
END_TEST

/* But for its last dot. */
static const char *const names[] = { "one.test", "one.test." };

START_TEST(asks_for_the_name)
{
    tls_listen(&server, "one");
    ping_server(names[_i], "+OK\n");
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
    ck_assert_str_eq(server.asked, "one.test");
}
END_TEST

/* Of the answer, what has come when the server ends without a word. */
START_TEST(cut_at_every_byte)
{
    static const char answer[] = "+OK\n";

    tls_listen(&server, "one");
    server.cuts = true;
    ping_server("127.0.0.1", apr_pstrmemdup(pool, answer, (size_t)_i));
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_EOF, "closed early");
}
END_TEST

/* Records that together are more than is held of an answer. */
START_TEST(long_records)
{
    char *answer = apr_pcalloc(pool, 24 * 1024 + 1);

    memset(answer, 'x', 24 * 1024);
    tls_listen(&server, "one");
    server.record = 8 * 1024;
    ping_server("127.0.0.1", answer);
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_EGENERAL, "the answer is too long");
}
END_TEST

static const struct {
    const char *name;
    const char *pair; /* the server's */
    const char *ca[2];
    const char *text;
} mistrusted[] = {
    { "one.test", "two", { "ca", "@one.crt" }, "self-signed certificate" },
    { "one.test", "two", { "ca", "@two.crt" }, "hostname mismatch" },
    { "127.0.0.1", "two", { "ca", "@two.crt" }, "IP address mismatch" },
};

START_TEST(is_not_the_server)
{
    set_options(mistrusted[_i].ca, 2);
    unit_expect(probe_tls_context(options, false, &context, pool), NULL);
    tls_listen(&server, mistrusted[_i].pair);
    ping_server(mistrusted[_i].name, "+OK\n");
    expect(FO_VERDICT_FAIL, FO_STAGE_TLS, 0, mistrusted[_i].text);
    ck_assert(!server.has_shaken);
}
END_TEST

START_TEST(trusts_all_if_told)
{
    static const char *const words[] = { "verify", "off" };

    set_options(words, 2);
    unit_expect(probe_tls_context(options, false, &context, pool), NULL);
    tls_listen(&server, "two");
    ping_server("127.0.0.1", "+OK\n");
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
}
END_TEST

START_TEST(an_old_server)
{
    tls_listen(&server, "one");
    SSL_CTX_set_security_level(server.context, 0);
    SSL_CTX_set_max_proto_version(server.context, TLS1_1_VERSION);
    ping_server("127.0.0.1", "+OK\n");
    expect(FO_VERDICT_FAIL, FO_STAGE_TLS, 0, "the server offers no TLS 1.2 or later");
}
END_TEST

/* TLS 1.3 tells only after the handshake. */
START_TEST(a_client_certificate_is_wanted)
{
    tls_listen(&server, "one");
    SSL_CTX_set_verify(server.context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    ping_server("127.0.0.1", "+OK\n");
    expect(FO_VERDICT_FAIL, FO_STAGE_TLS, 0, "the server demands a client certificate");
}
END_TEST

START_TEST(a_client_certificate_is_shown)
{
    static const char *const words[] = { "ca", "@one.crt", "cert", "@locked.crt",
                                         "key", "@locked.key" };

    set_options(words, 6);
    unit_expect(probe_tls_context(options, true, &context, pool), NULL);
    unit_expect(probe_tls_unlock(context, tls_file("locked.key"), "geheim", pool), NULL);
    tls_listen(&server, "one");
    SSL_CTX_set_verify(server.context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    ck_assert(SSL_CTX_load_verify_locations(server.context, tls_file("locked.crt"), NULL));
    ping_server("127.0.0.1", "+OK\n");
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0, "");
}
END_TEST

/* ---------------------------------------------------------------- peers that speak none */

#define SAYS(text) { .await = 1, .bytes = text, .length = sizeof(text) - 1 }

static const struct {
    peer_line_t line;
    apr_status_t status;
    const char *text;
} no_tls[] = {
    { SAYS("220 mail.example.com ESMTP\r\n"), 0, "the server speaks no TLS here" },
    { SAYS("\x15\x03\x03\0\x02\x02\x28"), 0, "sslv3 alert handshake failure" },
    { SAYS("\x15\x03\x03\0\x02\x02\x46"), 0, "the server offers no TLS 1.2 or later" },
    { SAYS("\x16\x03\x03\0\x05"), APR_EOF, "closed early" },
    { SAYS(""), APR_EOF, "closed early" },
};

START_TEST(speaks_no_tls)
{
    peer_line_t lines[] = { no_tls[_i].line, { 0 } };
    peer_t peer;

    peer_start(&peer, lines, PEER_CLOSE);
    ping("127.0.0.1", peer.port, TIMEOUT);
    expect(FO_VERDICT_FAIL, FO_STAGE_TLS, no_tls[_i].status, no_tls[_i].text);
    peer_stop(&peer);
}
END_TEST

/* Nothing, or half a record: the deadline holds to 20 ms. */
static const peer_line_t silences[][2] = { { SAYS(""), { 0 } },
                                           { SAYS("\x16\x03\x03\0\x05"), { 0 } } };

/* The machine may be late; not three times. */
START_TEST(hangs_in_the_handshake)
{
    apr_interval_time_t late = SEC;

    for (int i = 0; i < 3; i++) {
        apr_time_t began_at = probe_clock_now();
        peer_t peer;
        peer_start(&peer, silences[_i], PEER_HOLD);
        ping("127.0.0.1", peer.port, 100 * MS);
        expect(FO_VERDICT_FAIL, FO_STAGE_TLS, APR_TIMEUP, "timed out after 100ms");
        peer_stop(&peer);
        apr_interval_time_t over = probe_clock_now() - began_at - 100 * MS;
        late = over < late ? over : late;
    }
    ck_assert_int_lt(late, 20 * MS);
}
END_TEST

/* HelloRequests in a row, sixteen thousand bytes in a record: OpenSSL would read on for ever. */
START_TEST(talks_without_end)
{
    static char flood[64 * 16389];
    static const char head[] = "\x16\x03\x03\x40";
    peer_line_t lines[] = { { .await = 1, .bytes = flood, .length = sizeof(flood) },
                            { .bytes = flood, .length = sizeof(flood) },
                            { .bytes = flood, .length = sizeof(flood) },
                            { 0 } };
    apr_time_t began_at;
    peer_t peer;

    for (int i = 0; i < 64; i++)
        memcpy(flood + (size_t)i * 16389, head, sizeof(head));
    peer_start(&peer, lines, PEER_HOLD);
    began_at = probe_clock_now();
    ping("127.0.0.1", peer.port, 100 * MS);
    ck_assert_int_lt(probe_clock_now() - began_at, SEC);
    expect(FO_VERDICT_FAIL, FO_STAGE_TLS, APR_TIMEUP, "timed out after 100ms");
    peer_stop(&peer);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("probe_tls");
    TCase *tc = tcase_create("options");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, reads_options, 0, COUNT(rows));
    tcase_add_loop_test(tc, opens_keys, 0, COUNT(locks));
    tcase_add_test(tc, knows_whom_it_trusts);
    suite_add_tcase(s, tc);
    tc = tcase_create("pings");
    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, passes, 0, COUNT(records));
    tcase_add_loop_test(tc, asks_for_the_name, 0, COUNT(names));
    tcase_add_loop_test(tc, cut_at_every_byte, 0, 4);
    tcase_add_test(tc, long_records);
    tcase_add_loop_test(tc, is_not_the_server, 0, COUNT(mistrusted));
    tcase_add_test(tc, trusts_all_if_told);
    tcase_add_test(tc, an_old_server);
    tcase_add_test(tc, a_client_certificate_is_wanted);
    tcase_add_test(tc, a_client_certificate_is_shown);
    tcase_add_loop_test(tc, speaks_no_tls, 0, COUNT(no_tls));
    tcase_add_test(tc, talks_without_end);
    tcase_add_loop_test(tc, hangs_in_the_handshake, 0, COUNT(silences));
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

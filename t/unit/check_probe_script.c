/*
 * script://: its configuration, and dialogues that are fed whole, byte by byte and cut at every
 * byte: what is found, said and sent never depends on it.
 */
#include "probe/probe_script.h"

#include "probe/probe_script_file.h"
#include "unit.h"

#include <stdio.h>
#include <unistd.h>

#define OUT_ROOM 4096 /* as the driver's */
#define IN_ROOM (16 * 1024)

static char path[] = "/tmp/check_script_XXXXXX";
static void *conf;
static const char *warning;

static void setup(void)
{
    unit_setup();
    strcpy(path, "/tmp/check_script_XXXXXX");
    close(mkstemp(path));
}

static void teardown(void)
{
    unlink(path);
    unit_teardown();
}

static const char *configure_with(const char *user, bool has_secret, const char *url_path,
                                  const char *steps)
{
    static const fo_host_t host = { .name = "mail.example.com", .port = 25 };
    fo_url_t url = {
        .scheme = "script", .user = user, .hosts = &host, .n_hosts = 1, .path = url_path
    };
    fo_login_t login = { .user = user, .has_secret = has_secret };
    apr_table_t *options = apr_table_make(pool, 1);

    if (steps)
        apr_table_setn(options, "steps", steps);
    conf = NULL;
    warning = NULL;
    return fo_probe_script.configure(&url, &login, options, &conf, &warning, pool);
}

/* By a file with this text. */
static const char *configure(const char *user, bool has_secret, const char *text)
{
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    fclose(file);
    return configure_with(user, has_secret, "", path);
}

/* ---------------------------------------------------------------- configuration */

static const struct {
    const char *user;
    bool has_secret;
    const char *text, *words;
} logins[] = {
    { NULL, false, "find \"a\"", NULL },
    { "u", true, "send \"%{user} %{password}\"\nfind \"a\"", NULL },
    { "u", false, "send \"%{user}\"\nfind \"a\"", NULL },
    { NULL, true, "send \"%{password}\"\nfind \"a\"", NULL },
    { NULL, true, "find \"a\"\nsend \"%{user} %{password}\"",
      "steps=: |:2: %{user} needs a user in the URL, as in script://monitor@" },
    { "u", false, "find \"a\"\n\nsend \"%{user} %{password}\"",
      "steps=: |:3: %{password} needs password=file:PATH" },
    { "u", false, "find \"a\"", "the URL has a user, but no step of |sends %{user}" },
    { NULL, true, "find \"a\"", "password=: no step of |sends %{password}" },
    { NULL, false, "find \"a\"\nfind b", "steps=: |:2: text in double quotes must follow" },
};

START_TEST(configures)
{
    unit_expect(configure(logins[_i].user, logins[_i].has_secret, logins[_i].text),
                logins[_i].words);
    ck_assert(!logins[_i].words == (conf != NULL));
    ck_assert_ptr_null(warning);
}
END_TEST

static const char *many(char byte, size_t n)
{
    char *text = apr_palloc(pool, n + 1);

    memset(text, byte, n);
    text[n] = '\0';
    return text;
}

START_TEST(configures_what_it_can_send)
{
    const char *kilo = apr_psprintf(pool, "send \"%s\"\n", many('a', 1024));
    const char *four = apr_pstrcat(pool, kilo, kilo, kilo, kilo, NULL);
    const char *passwords = "send \"%{password}%{password}%{password}%{password}\"\n";

    unit_expect(configure(NULL, false, apr_pstrcat(pool, four, "find \"a\"\n", four, NULL)), NULL);
    unit_expect(configure(NULL, false, apr_pstrcat(pool, four, "send \"a\"\nfind \"a\"", NULL)),
                ":5: what is sent without an answer between has at most 4096 bytes");
    unit_expect(configure(NULL, true, apr_pstrcat(pool, passwords, "find \"a\"", NULL)), NULL);
    unit_expect(configure(NULL, true,
                          apr_pstrcat(pool, passwords, "send \"12345\"\nfind \"a\"", NULL)),
                ":2: |1023 of them for each %{password}");
    unit_expect(configure(many('u', 4096), false, "send \"%{user}\"\nfind \"a\""), NULL);
    unit_expect(configure(many('u', 4097), false, "send \"%{user}\"\nfind \"a\""), ":1: what is");
}
END_TEST

START_TEST(refuses_urls)
{
    unit_expect(configure_with(NULL, false, "", NULL), "steps=FILE is missing");
    unit_expect(configure_with(NULL, false, "/inbox", path), "script:// takes no path");
    unit_expect(configure_with(NULL, false, "", "smtp.steps"),
                "steps=: 'smtp.steps' is not an absolute path");
    unit_expect(configure_with(NULL, false, "", "/nowhere/smtp.steps"),
                "steps=: there is no file /nowhere/smtp.steps");
}
END_TEST

/* ---------------------------------------------------------------- dialogues */

/* A connection as the driver has it. */
typedef struct line_t {
    void *state;
    fo_talk_t talk;
    fo_report_t report;
    fo_progress_e progress;
    char in[IN_ROOM];
    size_t n_in;
    char sent[8192];
    size_t n_sent;
} line_t;

static void turn(line_t *line, fo_talk_event_e event)
{
    char out[OUT_ROOM];

    line->talk.in = line->in;
    line->talk.in_length = line->n_in;
    line->talk.taken = 0;
    line->talk.out = out;
    line->talk.out_length = 0;
    line->talk.out_room = sizeof(out);
    line->progress = fo_probe_script.dialogue->turn(line->state, event, &line->talk, &line->report);
    ck_assert_uint_le(line->talk.taken, line->n_in);
    ck_assert_uint_le(line->talk.out_length, sizeof(out));
    ck_assert_uint_le(line->n_sent + line->talk.out_length, sizeof(line->sent) - 1);
    memcpy(line->sent + line->n_sent, out, line->talk.out_length);
    line->n_sent += line->talk.out_length;
    line->n_in -= line->talk.taken;
    memmove(line->in, line->in + line->talk.taken, line->n_in);
}

static line_t *connect_as(const char *secret)
{
    line_t *line = apr_pcalloc(pool, sizeof(*line));
    fo_ask_t ask = { .secret = secret };

    line->state = apr_pcalloc(pool, fo_probe_script.dialogue->state_size);
    line->report.verdict = FO_VERDICT_COUNT;
    fo_probe_script.dialogue->begin(line->state, conf, &ask);
    turn(line, FO_TALK_CONNECTED);
    return line;
}

/* False: it is decided. */
static bool feed(line_t *line, const char *bytes, size_t length)
{
    while (length > 0 && line->progress == FO_MORE) {
        size_t room = sizeof(line->in) - line->n_in, n = length < room ? length : room;
        ck_assert_uint_gt(n, 0);
        memcpy(line->in + line->n_in, bytes, n);
        line->n_in += n;
        turn(line, FO_TALK_DATA);
        bytes += n;
        length -= n;
    }
    return line->progress == FO_MORE;
}

typedef enum {
    END_DECIDED, /* by the last byte */
    END_HANG,    /* the server says no more, and it is not decided */
    END_QUIET,   /* it says no more, and that decides */
    END_CLOSE
} end_e;

static void end(line_t *line, end_e how)
{
    if (how == END_DECIDED) {
        ck_assert_int_eq(line->progress, FO_DONE);
        return;
    }
    ck_assert_msg(line->progress == FO_MORE, "decided early: %s", line->report.text);
    ck_assert(how == END_CLOSE || (line->talk.quiet > 0) == (how == END_QUIET));
    ck_assert_int_le(line->talk.quiet, 20 * MS);
    if (how == END_CLOSE || how == END_QUIET)
        turn(line, how == END_QUIET ? FO_TALK_QUIET : FO_TALK_CLOSED);
    ck_assert_int_eq(line->progress, how == END_HANG ? FO_MORE : FO_DONE);
}

#define SMTP                                                                                       \
    "expect \"220 \"\n skip \"220-\"\n busy \"421\"\n login \"535\"\n refuse \"554\"\n"            \
    "send \"EHLO a\\r\\n\"\nexpect \"250 \"\n skip \"250-\"\n"                                     \
    "send \"QUIT\\r\\n\"\nexpect \"221\"\n"
#define LDAP                                                                                       \
    "send-hex 30 0c\nfind-hex 02 01 01 61\nfind-hex 0a 01\nexpect-hex 00\n busy-hex 33\n"          \
    " login-hex 31\nsend-hex 42\n"
#define BYTES "expect-hex 01 ?? 03\n busy-hex 01 02 04\n refuse \"no\"\nsend \"x\"\nfind \"end\"\n"
#define LOGIN                                                                                      \
    "send \"USER %{user}\\n\"\nexpect \"+OK\"\nsend \"PASS %{password}\\n\"\nexpect \"+OK\"\n"     \
    " login \"-ERR\"\n"

/* The secret is Geheim7, the user monitor. */
static const struct {
    const char *script, *answer;
    size_t length; /* 0: that of the text */
    end_e end;
    fo_verdict_e verdict;
    const char *text, *sent;
    int code;
} dialogues[] = {
    /* the whole way */
    { SMTP, "220 hi\r\n250 ok\r\n221 bye\r\n", 0, END_DECIDED, FO_VERDICT_PASS, "",
      "EHLO a\r\nQUIT\r\n", 0 },
    { SMTP, "220-a\r\n220-\n220 hi\n250-A\r\n250-B C\r\n250 D\r\n221\n", 0, END_DECIDED,
      FO_VERDICT_PASS, "", "EHLO a\r\nQUIT\r\n", 0 },
    { SMTP, "220 hi\r\n250 ok\r\n221 bye", 0, END_HANG, FO_VERDICT_COUNT, "", "EHLO a\r\nQUIT\r\n",
      0 },
    { SMTP, "220 hi\r\n250 ok\r\n221 bye", 0, END_CLOSE, FO_VERDICT_FAIL, "line 10: closed early",
      "EHLO a\r\nQUIT\r\n", 0 },
    { SMTP, "", 0, END_CLOSE, FO_VERDICT_FAIL, "line 1: closed early", "", 0 },
    { SMTP, "220 hi\r\n", 0, END_HANG, FO_VERDICT_COUNT, "", "EHLO a\r\n", 0 },
    { SMTP, "220-a\r\n220-b\r\n", 0, END_CLOSE, FO_VERDICT_FAIL, "line 1: closed early", "", 0 },
    /* what comes instead */
    { SMTP, "421 4.7.0 full\r\n", 0, END_DECIDED, FO_VERDICT_BUSY, "line 1: got \"421 4.7.0 full\"",
      "", 421 },
    { SMTP, "220-a\r\n535-5.7 who?\r\n", 0, END_DECIDED, FO_VERDICT_LOGIN,
      "line 1: got \"535-5.7 who?\"", "", 535 },
    { SMTP, "554 no\r\n", 0, END_DECIDED, FO_VERDICT_FAIL, "line 1: got \"554 no\"", "", 554 },
    { SMTP, "220 hi\r\n500 what?\r\n", 0, END_DECIDED, FO_VERDICT_FAIL,
      "line 7: expected \"250 \", got \"500 what?\"", "EHLO a\r\n", 500 },
    { SMTP, "220 hi\r\n500 what?", 0, END_QUIET, FO_VERDICT_FAIL,
      "line 7: expected \"250 \", got \"500 what?\"", "EHLO a\r\n", 500 },
    { SMTP, "220 hi\r\n500 what?", 0, END_CLOSE, FO_VERDICT_FAIL,
      "line 7: expected \"250 \", got \"500 what?\"", "EHLO a\r\n", 500 },
    { SMTP, "22\n", 0, END_DECIDED, FO_VERDICT_FAIL, "line 1: expected \"220 \", got \"22\"", "",
      22 },
    { SMTP, "\n", 0, END_DECIDED, FO_VERDICT_FAIL, "line 1: expected \"220 \", got \"\"", "", 0 },
    { SMTP, "4210\r\n", 0, END_DECIDED, FO_VERDICT_BUSY, "line 1: got \"4210\"", "", 4210 },
    { SMTP, "a\0\x80\t\"\\\r\r\n", 9, END_DECIDED, FO_VERDICT_FAIL,
      "line 1: expected \"220 \", got \"a\\x00\\x80\\x09\"\\\"", "", 0 },
    { "expect \"+PONG\\r\\n\"", "+PONG\r\n", 0, END_DECIDED, FO_VERDICT_PASS, "", "", 0 },
    { "expect \"+PONG\\r\\n\"", "+PONG \r\n", 0, END_DECIDED, FO_VERDICT_FAIL,
      "line 1: expected \"+PONG\", got \"+PONG \"", "", 0 },
    { "expect \"25\"\n busy \"2\"", "24\n", 0, END_DECIDED, FO_VERDICT_BUSY, "line 1: got \"24\"",
      "", 24 },
    /* bytes */
    { LDAP, "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0", 10, END_DECIDED, FO_VERDICT_PASS, "",
      "\x30\x0c"
      "B",
      0 },
    { LDAP, "\x30\x84\0\0\0\x10\x02\x01\x01\x61\x84\0\0\0\x07\x0a\x01\0", 18, END_DECIDED,
      FO_VERDICT_PASS, "",
      "\x30\x0c"
      "B",
      0 },
    { LDAP, "\x30\x02\x01\x02\x01\x01\x61\x0a\x0a\x0a\x01\x33", 12, END_DECIDED, FO_VERDICT_BUSY,
      "line 4: got 33", "\x30\x0c", 51 },
    { LDAP, "\x02\x01\x01\x61\x0a\x01\x31", 7, END_DECIDED, FO_VERDICT_LOGIN, "line 4: got 31",
      "\x30\x0c", 49 },
    { LDAP, "\x02\x01\x01\x61\x0a\x01\x02", 7, END_DECIDED, FO_VERDICT_FAIL,
      "line 4: expected 00, got 02", "\x30\x0c", 0 },
    { BYTES, "\x01\xff\x03--eend", 9, END_DECIDED, FO_VERDICT_PASS, "", "x", 0 },
    { BYTES, "\x01\x02\x04", 3, END_DECIDED, FO_VERDICT_BUSY, "line 1: got 01 02 04", "",
      0x010204 },
    { BYTES, "no", 2, END_DECIDED, FO_VERDICT_FAIL, "line 1: got \"no\"", "", 0 },
    { BYTES, "nn", 2, END_DECIDED, FO_VERDICT_FAIL, "line 1: expected 01 ?? 03, got 6e 6e", "", 0 },
    { BYTES, "\x01\xff", 2, END_HANG, FO_VERDICT_COUNT, "", "", 0 },
    { "find \"abcabd\"\n refuse \"ca\"", "abca", 0, END_DECIDED, FO_VERDICT_FAIL,
      "line 1: got \"ca\"", "", 0 },
    { "find \"abab\"", "xabaabab", 0, END_DECIDED, FO_VERDICT_PASS, "", "", 0 },
    { "find \"aab\"", "xaaaab", 0, END_DECIDED, FO_VERDICT_PASS, "", "", 0 },
    { "find \"aab\"\n busy \"full\"", "xaaa is full", 0, END_DECIDED, FO_VERDICT_BUSY,
      "line 1: got \"full\"", "", 0 },
    { "find \"aab\"", "xaaaa", 0, END_CLOSE, FO_VERDICT_FAIL, "line 1: closed early", "", 0 },
    /* secrets */
    { LOGIN, "+OK\n+OK\n", 0, END_DECIDED, FO_VERDICT_PASS, "", "USER monitor\nPASS Geheim7\n", 0 },
    { LOGIN, "+OK\n-ERR no user Geheim7, GEHEIM7?\n", 0, END_DECIDED, FO_VERDICT_LOGIN,
      "line 4: got \"-ERR no user ***, ***?\"", "USER monitor\nPASS Geheim7\n", 0 },
    { LOGIN, "+OK\nwhat is PASS Gehei", 0, END_QUIET, FO_VERDICT_FAIL,
      "line 4: expected \"+OK\", got \"what is PASS ***\"", "USER monitor\nPASS Geheim7\n", 0 },
};

static void check(const line_t *line, int row)
{
    ck_assert_int_eq(line->report.stage, FO_STAGE_ANSWER);
    ck_assert_uint_eq(line->n_sent, strlen(dialogues[row].sent));
    ck_assert_mem_eq(line->sent, dialogues[row].sent, line->n_sent);
    ck_assert_str_eq(line->report.text, dialogues[row].text);
    ck_assert_int_eq(line->report.verdict, dialogues[row].verdict);
    ck_assert_int_eq(line->report.code, dialogues[row].code);
}

/* The answer in two parts, the first one byte by byte if so wanted. */
static void run(int row, size_t cut, bool is_slow)
{
    const char *answer = dialogues[row].answer;
    size_t length = dialogues[row].length ? dialogues[row].length : strlen(answer), fed = 0;
    line_t *line = connect_as("Geheim7");

    while (fed < length && line->progress == FO_MORE) {
        size_t n = is_slow ? 1 : fed < cut ? cut - fed : length - fed;
        feed(line, answer + fed, n);
        fed += n;
    }
    ck_assert_uint_eq(fed, length);
    end(line, dialogues[row].end);
    check(line, row);
}

START_TEST(goes_through_the_steps)
{
    const char *script = dialogues[_i].script, *answer = dialogues[_i].answer;
    bool has_login = strstr(script, "%{") != NULL;

    unit_expect(configure(has_login ? "monitor" : NULL, has_login, script), NULL);
    run(_i, 0, false);
    run(_i, 0, true);
    for (size_t cut = 1; cut < (dialogues[_i].length ? dialogues[_i].length : strlen(answer));
         cut++)
        run(_i, cut, false);
}
END_TEST

START_TEST(shows_what_it_got_instead)
{
    line_t *line;

    unit_expect(configure(NULL, false, "expect-hex 01 02 03\n"), NULL);
    line = connect_as(NULL);
    ck_assert(!feed(line, "HTTP/1.1 400", 12));
    ck_assert_str_eq(line->report.text,
                     "line 1: expected 01 02 03, got 48 54 54 50 2f 31 2e 31 20 34 30 30");
    unit_expect(configure(NULL, false, apr_psprintf(pool, "expect \"%s\"", many('e', 200))), NULL);
    line = connect_as(NULL);
    feed(line, many('x', 1000), 1000);
    ck_assert(!feed(line, "\n", 1));
    ck_assert_uint_eq(strlen(line->report.text), FO_REPORT_TEXT - 1);
    ck_assert_ptr_nonnull(strstr(line->report.text, "\"eeeeeeeeeeeeeeeeeeeeeeee\"..., got \"xxx"));
}
END_TEST

/* Never more of the password than two bytes of a part of it, wherever the line or the text ends. */
START_TEST(never_shows_the_password)
{
    static const char secret[] = "Geheim7";

    unit_expect(configure(NULL, true, "send \"%{password}\"\nexpect \"+OK\""), NULL);
    for (size_t before = 0; before < 140; before++) {
        line_t *line = connect_as(secret);
        const char *answer = apr_pstrcat(pool, many('-', before), secret, "\n", NULL);
        feed(line, answer, strlen(answer));
        ck_assert_int_eq(line->progress, FO_DONE);
        ck_assert_ptr_null(strstr(line->report.text, "Geh"));
        ck_assert_ptr_null(strstr(line->report.text, "im7"));
    }
    unit_expect(configure(NULL, true, "send \"%{password}\"\nexpect-hex 00"), NULL);
    line_t *line = connect_as(secret);
    feed(line, secret, strlen(secret));
    ck_assert_str_eq(line->report.text, "line 2: expected 00, got ***");
}
END_TEST

static const struct {
    const char *script, *answer;
    const char *text; /* behind "line 1: " */
} endless[] = {
    { "expect \"a\"", "a", "16384 bytes, and not what is expected" },
    { "expect \"a\"", "xyz", "expected \"a\", got \"xyzxyz" },
    { "expect \"a\"\nskip \"b\"", "bc\r\n", "16384 bytes, and not what is expected" },
    { "expect \"a\"\nskip \"b\"", "bcdefghijklmnop\n", "16384 bytes, and not what is expected" },
    { "find \"hello\"", "hell", "16384 bytes, and not what is expected" },
    { "find \"hello\"\nbusy \"hellas is far\"", "hellas is  ", "16384 bytes, and not" },
};

/* However fast or slow it comes, 16 KiB are the most. */
START_TEST(ends_what_does_not_end)
{
    size_t length = strlen(endless[_i].answer), chunks[] = { 1, 7, 1000, 4096 };

    unit_expect(configure(NULL, false, endless[_i].script), NULL);
    for (int i = 0; i < COUNT(chunks); i++) {
        line_t *line = connect_as(NULL);
        char chunk[4096];
        size_t fed = 0;
        do {
            for (size_t k = 0; k < chunks[i]; k++)
                chunk[k] = endless[_i].answer[(fed + k) % length];
            fed += chunks[i];
        } while (feed(line, chunk, chunks[i]));
        ck_assert_int_eq(line->progress, FO_DONE);
        ck_assert_int_eq(line->report.verdict, FO_VERDICT_FAIL);
        unit_expect(line->report.text, apr_pstrcat(pool, "line 1: ", endless[_i].text, NULL));
        ck_assert_uint_ge(fed, PROBE_SCRIPT_MOST - 4096);
        ck_assert_uint_le(fed, PROBE_SCRIPT_MOST + 4096);
    }
}
END_TEST

/* Each step has its own 16 KiB. */
START_TEST(counts_for_each_step)
{
    line_t *line;
    const char *most = apr_pstrcat(pool, many('-', PROBE_SCRIPT_MOST - 2), "a", NULL);

    unit_expect(configure(NULL, false, "find \"a\"\nfind \"a\"\nfind \"b\""), NULL);
    line = connect_as(NULL);
    ck_assert(feed(line, most, strlen(most)));
    ck_assert(feed(line, most, strlen(most)));
    ck_assert(!feed(line, "b", 1));
    ck_assert_int_eq(line->report.verdict, FO_VERDICT_PASS);
}
END_TEST

START_TEST(does_not_wait_for_a_server_that_does_not_read)
{
    line_t *line = apr_pcalloc(pool, sizeof(*line));
    fo_ask_t ask = { .secret = NULL };
    char out[4];
    fo_talk_t talk = { .out = out, .out_room = sizeof(out) };

    unit_expect(configure(NULL, false, "send \"abcd\"\nsend \"e\"\nfind \"a\""), NULL);
    line->state = apr_pcalloc(pool, fo_probe_script.dialogue->state_size);
    fo_probe_script.dialogue->begin(line->state, conf, &ask);
    ck_assert_int_eq(fo_probe_script.dialogue->turn(line->state, FO_TALK_CONNECTED, &talk,
                                                    &line->report),
                     FO_DONE);
    ck_assert_int_eq(line->report.verdict, FO_VERDICT_FAIL);
    ck_assert_str_eq(line->report.text, "line 2: the server does not read what it is sent");
}
END_TEST

/* ---------------------------------------------------------------- the scripts of conf/ */

static const struct {
    const char *file, *answer;
    size_t length;
    fo_verdict_e verdict;
} shipped[] = {
    { "conf/smtp.steps", "220 hi\r\n250 ok\r\n221 bye\r\n", 25, FO_VERDICT_PASS },
    { "conf/smtp.steps", "421 full\r\n", 10, FO_VERDICT_BUSY },
    { "conf/smtp.steps", "554 no\r\n", 8, FO_VERDICT_FAIL },
    { "conf/ldap.steps", "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0", 14,
      FO_VERDICT_PASS },
    { "conf/ldap.steps", "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x30\x04\0\x04\0", 14,
      FO_VERDICT_LOGIN },
    { "conf/ldap.steps", "\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x34\x04\0\x04\0", 14,
      FO_VERDICT_FAIL },
};

START_TEST(ships_scripts)
{
    char *folder = realpath(".", NULL);
    line_t *line;

    unit_expect(configure_with(NULL, false, "",
                               apr_pstrcat(pool, folder, "/", shipped[_i].file, NULL)),
                NULL);
    free(folder);
    line = connect_as(NULL);
    ck_assert(!feed(line, shipped[_i].answer, shipped[_i].length));
    ck_assert_int_eq(line->report.verdict, shipped[_i].verdict);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("probe_script");
    TCase *tc = tcase_create("script");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, configures, 0, COUNT(logins));
    tcase_add_test(tc, configures_what_it_can_send);
    tcase_add_test(tc, refuses_urls);
    tcase_add_loop_test(tc, goes_through_the_steps, 0, COUNT(dialogues));
    tcase_add_test(tc, shows_what_it_got_instead);
    tcase_add_test(tc, never_shows_the_password);
    tcase_add_loop_test(tc, ends_what_does_not_end, 0, COUNT(endless));
    tcase_add_test(tc, counts_for_each_step);
    tcase_add_test(tc, does_not_wait_for_a_server_that_does_not_read);
    tcase_add_loop_test(tc, ships_scripts, 0, COUNT(shipped));
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

#include "core/fo_report.h"

#include "unit.h"

#include <errno.h>

static char text[256];

static const struct {
    fo_stage_e stage;
    const char *name;
} stages[] = {
    { FO_STAGE_RESOLVE, "resolve" }, { FO_STAGE_CONNECT, "connect" }, { FO_STAGE_TLS, "tls" },
    { FO_STAGE_LOGIN, "login" },     { FO_STAGE_ASK, "ask" },         { FO_STAGE_ANSWER, "answer" },
};

START_TEST(stage_names)
{
    ck_assert_int_eq(COUNT(stages), FO_STAGE_COUNT);
    ck_assert_str_eq(fo_stage_name(stages[_i].stage), stages[_i].name);
}
END_TEST

static const struct {
    fo_report_t report;
    const char *text;
} reports[] = {
    { { .stage = FO_STAGE_CONNECT, .status = ECONNREFUSED }, "connect: Connection refused" },
    { { .stage = FO_STAGE_ANSWER, .status = ECONNRESET }, "answer: Connection reset by peer" },
    { { .stage = FO_STAGE_ANSWER, .status = APR_EOF, .text = "closed at once" },
      "answer: closed at once" },
    { { .stage = FO_STAGE_LOGIN, .code = 1045, .text = "Access denied" }, "login: Access denied" },
    { { .stage = FO_STAGE_RESOLVE, .status = APR_EGENERAL, .text = "db: Name not known" },
      "resolve: db: Name not known" },
};

START_TEST(report_texts)
{
    fo_report_text(&reports[_i].report, text, sizeof(text));
    ck_assert_str_eq(text, reports[_i].text);
}
END_TEST

/* No byte that could forge a line or drive a terminal; what is UTF-8 stays. */
START_TEST(control_bytes_do_not_show)
{
    fo_report_t report = { .stage = FO_STAGE_ANSWER };

    for (int byte = 1; byte < 256; byte++) {
        bool is_control = byte < 0x20 || byte == 0x7f;
        char expected[32];
        apr_snprintf(report.text, sizeof(report.text), "a%cb", byte);
        apr_snprintf(expected, sizeof(expected), "answer: a%cb", is_control ? '?' : byte);
        fo_report_text(&report, text, sizeof(text));
        ck_assert_str_eq(text, expected);
    }
}
END_TEST

START_TEST(text_is_cut_to_the_room)
{
    fo_report_t report = { .stage = FO_STAGE_ANSWER };
    char small[12];

    memset(report.text, 'x', sizeof(report.text) - 1);
    fo_report_text(&report, small, sizeof(small));
    ck_assert_str_eq(small, "answer: xxx");
    fo_report_text(&report, text, sizeof(text));
    ck_assert_uint_eq(strlen(text), strlen("answer: ") + FO_REPORT_TEXT - 1);
}
END_TEST

static const struct {
    apr_interval_time_t after;
    const char *text;
} timeouts[] = {
    { 3 * SEC, "login: timed out after 3s" },
    { 100 * MS, "login: timed out after 100ms" },
    { 1500 * MS, "login: timed out after 1500ms" },
};

START_TEST(timeout_texts)
{
    fo_report_t report = { .stage = FO_STAGE_LOGIN, .code = 7, .text = "old" };

    fo_report_timeout(&report, FO_VERDICT_FAIL, timeouts[_i].after);
    fo_report_text(&report, text, sizeof(text));
    ck_assert_str_eq(text, timeouts[_i].text);
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(report.code, 0);
    ck_assert(fo_report_is_timeout(&report));
}
END_TEST

static const struct {
    apr_status_t status;
    bool is_timeout;
} statuses[] = {
    { APR_TIMEUP, true },     { APR_SUCCESS, false }, { APR_EOF, false },
    { ECONNREFUSED, false },  { ECONNRESET, false },  { APR_EGENERAL, false },
};

START_TEST(timeouts_are_told_apart)
{
    fo_report_t report = { .status = statuses[_i].status };

    ck_assert_int_eq(fo_report_is_timeout(&report), statuses[_i].is_timeout);
}
END_TEST

START_TEST(fill_keeps_the_stage_and_cuts_the_text)
{
    fo_report_t report = { .stage = FO_STAGE_TLS };
    char longer[FO_REPORT_TEXT + 10];

    memset(longer, 'y', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    fo_report_fill(&report, FO_VERDICT_BUSY, 5, 1040, longer);
    ck_assert_int_eq(report.verdict, FO_VERDICT_BUSY);
    ck_assert_int_eq(report.stage, FO_STAGE_TLS);
    ck_assert_int_eq(report.status, 5);
    ck_assert_int_eq(report.code, 1040);
    ck_assert_uint_eq(strlen(report.text), FO_REPORT_TEXT - 1);
    fo_report_fill(&report, FO_VERDICT_PASS, 0, 0, NULL);
    ck_assert_str_eq(report.text, "");
}
END_TEST

static const struct {
    int status;
    bool is_self;
} causes[] = {
    { EMFILE, true },        { ENFILE, true },       { ENOMEM, true },     { ENOBUFS, true },
    { EADDRNOTAVAIL, true }, { EACCES, true },       { EPERM, true },      { 0, false },
    { ECONNREFUSED, false }, { ECONNRESET, false },  { ETIMEDOUT, false }, { EHOSTUNREACH, false },
    { ENETUNREACH, false },  { EPIPE, false },       { ENOENT, false },    { EHOSTDOWN, false },
    { EBADF, true },
};

START_TEST(own_faults)
{
    ck_assert_int_eq(fo_status_is_self(causes[_i].status), causes[_i].is_self);
}
END_TEST

#define X120                                                                                       \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"                                 \
    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const struct {
    const char *text, *secret, *shown;
} secrets[] = {
    { "no such user", NULL, "no such user" },
    { "no such user", "", "no such user" },
    { "wrong: Geheim7", "Geheim7", "wrong: *******" },
    { "Geheim7 is not geheim7, Geheim7", "Geheim7", "******* is not geheim7, *******" },
    { "aaab", "aab", "a***" },
    { "***", "*", "***" },
    { "ends in Gehe", "Geheim7", "ends in Gehe" },
    { X120 " a Geheim7", "Geheim7", X120 " a ****" }, /* cut off */
    { X120 "xxx Geheim7", "Geheim7", X120 "xxx ***" },
    { X120 "xxxx Geheim7", "Geheim7", X120 "xxxx Ge" }, /* too little to tell */
};

START_TEST(hides_secrets)
{
    fo_report_t report = { 0 };

    fo_report_fill(&report, FO_VERDICT_FAIL, 0, 0, secrets[_i].text);
    fo_report_hide(&report, secrets[_i].secret);
    ck_assert_str_eq(report.text, secrets[_i].shown);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_report");
    TCase *tc = unit_case("all");

    tcase_add_loop_test(tc, stage_names, 0, COUNT(stages));
    tcase_add_loop_test(tc, report_texts, 0, COUNT(reports));
    tcase_add_test(tc, control_bytes_do_not_show);
    tcase_add_test(tc, text_is_cut_to_the_room);
    tcase_add_loop_test(tc, timeout_texts, 0, COUNT(timeouts));
    tcase_add_loop_test(tc, timeouts_are_told_apart, 0, COUNT(statuses));
    tcase_add_test(tc, fill_keeps_the_stage_and_cuts_the_text);
    tcase_add_loop_test(tc, hides_secrets, 0, COUNT(secrets));
    tcase_add_loop_test(tc, own_faults, 0, COUNT(causes));
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

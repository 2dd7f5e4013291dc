#include "core/fo_report.h"

#include "core/fo_parse.h"

#include <string.h>

static const char *const stage_names[FO_STAGE_COUNT] = {
    [FO_STAGE_RESOLVE] = "resolve", [FO_STAGE_CONNECT] = "connect", [FO_STAGE_TLS] = "tls",
    [FO_STAGE_LOGIN] = "login",     [FO_STAGE_ASK] = "ask",         [FO_STAGE_ANSWER] = "answer",
};

static const char *const verdict_names[FO_VERDICT_COUNT] = {
    [FO_VERDICT_FAIL] = "fail",   [FO_VERDICT_PASS] = "pass", [FO_VERDICT_BUSY] = "busy",
    [FO_VERDICT_LOGIN] = "login", [FO_VERDICT_SELF] = "self", [FO_VERDICT_BARRED] = "barred",
};

const char *fo_verdict_name(fo_verdict_e verdict)
{
    return verdict_names[verdict];
}

const char *fo_stage_name(fo_stage_e stage)
{
    return stage_names[stage];
}

void fo_report_text(const fo_report_t *report, char *text, apr_size_t size)
{
    char words[FO_REPORT_TEXT];

    if (report->text[0])
        apr_cpystrn(words, report->text, sizeof(words));
    else
        apr_strerror(report->status, words, sizeof(words));
    apr_snprintf(text, size, "%s: %s", fo_stage_name(report->stage), words);
    for (char *c = text; *c; c++) /* a server's words must not forge lines in the log */
        if ((unsigned char)*c < 0x20 || (unsigned char)*c == 0x7f)
            *c = '?';
}

/* Less of a secret than this is nothing that tells. */
#define TELLING 3

/* How many bytes of the secret stand here: all of them, or those up to the text's end; else 0. */
static apr_size_t length_here(const char *at, const char *secret, bool is_cut)
{
    apr_size_t n = 0;

    while (secret[n] && at[n] == secret[n])
        n++;
    if (!secret[n] || (is_cut && !at[n] && n >= TELLING))
        return n;
    return 0;
}

void fo_report_hide(fo_report_t *report, const char *secret)
{
    bool is_cut = strlen(report->text) == sizeof(report->text) - 1;

    if (!secret || !secret[0])
        return;
    for (char *at = report->text; *at;) {
        apr_size_t n = length_here(at, secret, is_cut);
        memset(at, '*', n);
        at += n ? n : 1;
    }
}

bool fo_report_is_timeout(const fo_report_t *report)
{
    return APR_STATUS_IS_TIMEUP(report->status);
}

bool fo_report_is_pass(const fo_report_t *report)
{
    return report->verdict == FO_VERDICT_PASS || report->verdict == FO_VERDICT_LOGIN;
}

bool fo_report_is_failure(const fo_report_t *report, bool busy_fails)
{
    return report->verdict == FO_VERDICT_FAIL || (report->verdict == FO_VERDICT_BUSY && busy_fails);
}

void fo_report_timeout(fo_report_t *report, fo_verdict_e verdict, apr_interval_time_t after)
{
    char text[FO_REPORT_TEXT], span[FO_SPAN_TEXT];

    apr_snprintf(text, sizeof(text), "timed out after %s", fo_span_text(after, span));
    fo_report_fill(report, verdict, APR_TIMEUP, 0, text);
}

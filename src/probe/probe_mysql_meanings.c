/* What MySQL's and MariaDB's codes mean, and those of the client library. */
#include "probe/probe_mysql_own.h"

#include "probe/probe_words.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <errmsg.h>
#include <mysqld_error.h>

/* Of MySQL alone, so not in mysqld_error.h. */
#define MYSQL_ACCOUNT_LOCKED 3118
#define MYSQL_NEEDS_TLS 3159

/* An errno is smaller than the codes of MySQL. */
#define ERRNO_MAX 999

typedef struct meaning_t {
    unsigned code;
    fo_verdict_e verdict;
    bool has_errno;   /* the library's text ends in an errno */
    bool is_end;      /* without one: the server closed the connection */
    const char *text; /* NULL: the server's or the library's own words */
} meaning_t;

/* Any other code is a FAIL in the server's or the library's own words. */
static const meaning_t meanings[] = {
    /* Full for everyone; an account's own limit (1226) is a fault in its settings. */
    { .code = ER_CON_COUNT_ERROR, .verdict = FO_VERDICT_BUSY },
    { .code = ER_TOO_MANY_USER_CONNECTIONS, .verdict = FO_VERDICT_BUSY },
    { .code = ER_DBACCESS_DENIED_ERROR, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_ACCESS_DENIED_ERROR, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_ACCESS_DENIED_NO_PASSWORD_ERROR, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_USER_LIMIT_REACHED, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_NOT_SUPPORTED_AUTH_MODE, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_MUST_CHANGE_PASSWORD, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_MUST_CHANGE_PASSWORD_LOGIN, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_ACCOUNT_HAS_BEEN_LOCKED, .verdict = FO_VERDICT_LOGIN },
    { .code = MYSQL_ACCOUNT_LOCKED, .verdict = FO_VERDICT_LOGIN },
    { .code = MYSQL_NEEDS_TLS, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_SPECIFIC_ACCESS_DENIED_ERROR, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_TABLEACCESS_DENIED_ERROR, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_COLUMNACCESS_DENIED_ERROR, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_PROCACCESS_DENIED_ERROR, .verdict = FO_VERDICT_LOGIN },
    { .code = CR_AUTH_PLUGIN_CANNOT_LOAD, .verdict = FO_VERDICT_LOGIN },
    { .code = CR_AUTH_PLUGIN_ERR, .verdict = FO_VERDICT_LOGIN },
    { .code = CR_PLUGIN_NOT_ALLOWED, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_HOST_IS_BLOCKED,
      .verdict = FO_VERDICT_FAIL,
      .text = "this host is blocked: run mariadb-admin flush-hosts (or FLUSH HOSTS) and raise "
              "max_connect_errors" },
    /* It has waited for us in vain, and says so before it closes. */
    { .code = ER_NET_READ_INTERRUPTED, .verdict = FO_VERDICT_FAIL, .is_end = true },
    { .code = CR_SOCKET_CREATE_ERROR, .verdict = FO_VERDICT_FAIL, .has_errno = true },
    { .code = CR_CONNECTION_ERROR, .verdict = FO_VERDICT_FAIL, .has_errno = true },
    { .code = CR_CONN_HOST_ERROR, .verdict = FO_VERDICT_FAIL, .has_errno = true },
    { .code = CR_IPSOCK_ERROR, .verdict = FO_VERDICT_FAIL, .has_errno = true },
    { .code = CR_ERR_NET_READ, .verdict = FO_VERDICT_FAIL, .has_errno = true },
    { .code = CR_ERR_NET_WRITE, .verdict = FO_VERDICT_FAIL, .has_errno = true },
    { .code = CR_SERVER_GONE_ERROR,
      .verdict = FO_VERDICT_FAIL,
      .is_end = true,
      .text = "the server closed the connection" },
    { .code = CR_SERVER_LOST,
      .verdict = FO_VERDICT_FAIL,
      .has_errno = true,
      .is_end = true,
      .text = "the server closed the connection" },
    { .code = CR_OUT_OF_MEMORY, .verdict = FO_VERDICT_SELF },
};

static const meaning_t garbage = {
    .verdict = FO_VERDICT_FAIL,
    .text = "the answer is not MySQL's protocol",
};

static const meaning_t too_long = {
    .verdict = FO_VERDICT_FAIL,
    .text = PROBE_MYSQL_TOO_LONG,
};

static const meaning_t own_words = { .verdict = FO_VERDICT_FAIL };

/*
 * The library keeps an errno in its text alone, as its last number: "... (111)" or "... system
 * error: 104". It prints what is there, so one left over from an earlier wait is none.
 */
static apr_status_t errno_in(const char *text)
{
    const char *mark = strrchr(text, '(');
    long number;

    if (!mark)
        mark = strrchr(text, ':');
    number = mark ? strtol(mark + 1, NULL, 10) : 0;
    return number <= 0 || number > ERRNO_MAX || number == EAGAIN || number == EINPROGRESS
               ? 0
               : (apr_status_t)number;
}

/*
 * What a server says before TLS, as that it is full, nobody vouches for: the library puts it as
 * "... cannot be verified: 1040 - Too many connections". Returns the number, or 0.
 */
static unsigned code_before_tls(MYSQL *mysql, const char **ret_words)
{
    static const char mark[] = "cannot be verified: ";
    const char *at = mysql_errno(mysql) == CR_CONNECTION_ERROR ? strstr(mysql_error(mysql), mark)
                                                               : NULL;
    const char *words;

    if (!at)
        return 0;
    at += sizeof(mark) - 1;
    words = strstr(at, " - ");
    *ret_words = words ? words + 3 : at;
    return (unsigned)strtoul(at, NULL, 10);
}

/* Of such a number a login that is refused is no more than a failure. */
static void judge_before_tls(unsigned code, const char *words, fo_report_t *report)
{
    fo_verdict_e verdict = FO_VERDICT_FAIL;

    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (meanings[i].code != code)
            continue;
        if (meanings[i].verdict == FO_VERDICT_BUSY)
            verdict = FO_VERDICT_BUSY;
        if (meanings[i].text)
            words = meanings[i].text;
    }
    report->stage = FO_STAGE_LOGIN;
    fo_report_fill(report, verdict, 0, (int)code, words);
}

static bool is_client_code(unsigned code)
{
    return (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR) ||
           (code >= CER_MIN_ERROR && code <= CER_MAX_ERROR);
}

static const meaning_t *meaning_of(MYSQL *mysql, bool is_question)
{
    unsigned code = mysql_errno(mysql);

    /*
     * A packet over the limit is reported as a lost connection, but a lost one has error 2. What
     * seems to ask for a login method of before 4.1 is no server of today.
     */
    if (code == 0 || (code == CR_SERVER_LOST && mysql->net.error == 1) ||
        (code == CR_PLUGIN_NOT_ALLOWED && !(mysql->server_capabilities & CLIENT_PROTOCOL_41)))
        return is_question ? &too_long : &garbage;
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].code == code)
            return &meanings[i];
    return &own_words;
}

/*
 * What an account that may not ask finds out is that the server is alive, and no more: where more
 * is asked for, the state stays.
 */
static fo_verdict_e verdict_of(const meaning_t *meaning, bool asks_more, apr_status_t status)
{
    if (fo_status_is_self(status))
        return FO_VERDICT_SELF;
    if (meaning->verdict == FO_VERDICT_LOGIN && asks_more)
        return FO_VERDICT_BARRED;
    return meaning->verdict;
}

/* The library says "TLS/SSL error: " of what the report's stage says already. */
static const char *words_of(MYSQL *mysql)
{
    static const char prefix[] = "TLS/SSL error: ";
    const char *words = mysql_error(mysql);

    return strncmp(words, prefix, sizeof(prefix) - 1) == 0 ? words + sizeof(prefix) - 1 : words;
}

static void judge_answer(MYSQL *mysql, bool asks_more, bool is_question, fo_report_t *report)
{
    const meaning_t *meaning = meaning_of(mysql, is_question);
    unsigned code = mysql_errno(mysql);
    const char *text = meaning->text ? meaning->text : words_of(mysql);
    apr_status_t status = meaning->has_errno ? errno_in(mysql_error(mysql)) : 0;
    fo_verdict_e verdict = verdict_of(meaning, asks_more, status);

    if (verdict == FO_VERDICT_SELF && !status)
        status = ENOMEM;
    fo_report_fill(report, verdict, status, is_client_code(code) ? 0 : (int)code,
                   status ? NULL : text);
    if (!status && meaning->is_end)
        report->status = APR_EOF;
}

void probe_mysql_judge(MYSQL *mysql, bool asks_more, bool is_question, fo_report_t *report)
{
    const char *words = NULL;
    unsigned code = code_before_tls(mysql, &words);

    if (code)
        judge_before_tls(code, words, report);
    else
        judge_answer(mysql, asks_more, is_question, report);
    probe_words_mask(report->text);
}

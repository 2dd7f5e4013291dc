#include "probe/probe_pgsql.h"

#include "probe/probe_conninfo.h"

#include <errno.h>
#include <libpq-fe.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define ANSWER_MAX (256 * 1024) /* a login takes some 2 KiB, a chain of certificates some 20 */
#define READ_AT_ONCE (32 * 1024)
#define SQLSTATE_LENGTH 5

static const char role_query[] = "SELECT pg_catalog.pg_is_in_recovery()";

typedef struct state_t {
    const probe_conninfo_t *conninfo;
    PGconn *conn;
    bool is_asking;    /* logged in, and the query is under way */
    size_t n_received; /* bytes of answers */
} state_t;

/* By SQLSTATE; any other is a FAIL in the server's words. */
static const struct {
    const char *sqlstate;
    fo_verdict_e verdict;
} meanings[] = {
    { "28000", FO_VERDICT_LOGIN }, /* no line in pg_hba.conf, no such role, not allowed to log in */
    { "28P01", FO_VERDICT_LOGIN }, /* the password */
    { "42501", FO_VERDICT_LOGIN }, /* not allowed to connect to the database */
    { "53300", FO_VERDICT_BUSY },
};

static const char *configure(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, void **ret_conf, const char **ret_warning,
                             apr_pool_t *pool)
{
    probe_conninfo_t *conninfo = NULL;
    const char *error = probe_conninfo_read(url, login, options, &conninfo, ret_warning, pool);

    *ret_conf = conninfo;
    return error;
}

/* A ping may outlast the exit of its child: nothing is torn down there. */
static void child_init(void)
{
    (void)OPENSSL_init_ssl(OPENSSL_INIT_NO_ATEXIT, NULL);
}

/* What a server remarks by the way would go to stderr. */
static void ignore_notice(void *baton, const char *message)
{
    (void)baton;
    (void)message;
}

/* ---- what came of it ---- */

static fo_progress_e fail(fo_report_t *report, apr_status_t status, const char *text)
{
    fo_report_fill(report, fo_status_is_self(status) ? FO_VERDICT_SELF : FO_VERDICT_FAIL, status, 0,
                   text);
    return FO_DONE;
}

/* Who asks for a role has learned nothing of it: the endpoint's state stays. */
static fo_progress_e refuse(const state_t *state, fo_report_t *report, const char *text)
{
    fo_report_fill(report, state->conninfo->role ? FO_VERDICT_BARRED : FO_VERDICT_LOGIN, 0, 0,
                   text);
    return FO_DONE;
}

/* "FATAL:  28P01: password ...": where the code begins; NULL: it is libpq's own message. */
static const char *find_sqlstate(const char *message)
{
    static const char letters[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    const char *mark = message;

    while ((mark = strstr(mark, ":  ")) != NULL) {
        mark += strlen(":  ");
        if (strspn(mark, letters) == SQLSTATE_LENGTH &&
            strncmp(mark + SQLSTATE_LENGTH, ": ", 2) == 0)
            return mark;
    }
    return NULL;
}

/* Without "connection to server at ... failed: ". */
static const char *own_words(const char *message)
{
    static const char mark[] = " failed: ";
    const char *words = strstr(message, mark);

    return words ? words + strlen(mark) : message;
}

/* The first line; in front of it what would help, if the server minds that it is no TLS. */
static void copy_words(char *text, apr_size_t size, const char *words, bool is_tls)
{
    bool wants_tls = !is_tls && strstr(words, "pg_hba.conf") && strstr(words, "no encryption");

    apr_snprintf(text, size, "%s%.*s", wants_tls ? "tls=on may help: " : "",
                 (int)strcspn(words, "\r\n"), words);
}

static fo_progress_e judge_message(const state_t *state, const char *message, fo_report_t *report)
{
    const char *sqlstate = find_sqlstate(message);
    char text[FO_REPORT_TEXT];

    copy_words(text, sizeof(text), sqlstate ? sqlstate : own_words(message),
               state->conninfo->is_tls);
    for (size_t i = 0; sqlstate && i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (strncmp(sqlstate, meanings[i].sqlstate, SQLSTATE_LENGTH) != 0)
            continue;
        if (meanings[i].verdict == FO_VERDICT_LOGIN)
            return refuse(state, report, text);
        fo_report_fill(report, meanings[i].verdict, 0, 0, text);
        return FO_DONE;
    }
    if (!sqlstate && report->stage == FO_STAGE_TLS &&
        !probe_tls_can_read(&state->conninfo->files, report))
        return FO_DONE;
    return fail(report, 0, text[0] ? text : "the answer is not PostgreSQL's protocol");
}

static fo_progress_e judge_login(const state_t *state, fo_report_t *report)
{
    if (PQconnectionNeedsPassword(state->conn))
        return refuse(state, report, "the server asks for a password: name it with password=");
    return judge_message(state, PQerrorMessage(state->conn), report);
}

static fo_progress_e judge_role(const state_t *state, bool is_replica, fo_report_t *report)
{
    report->stage = FO_STAGE_ANSWER;
    if (is_replica == (state->conninfo->role == PROBE_ROLE_REPLICA)) {
        fo_report_fill(report, FO_VERDICT_PASS, 0, 0, NULL);
        return FO_DONE;
    }
    return fail(report, 0,
                is_replica ? "it is a replica, not the primary" : "it is the primary, no replica");
}

/* ---- steps ---- */

static fo_progress_e wait_for(const state_t *state, short events, fo_wait_t *ret_wait)
{
    *ret_wait = (fo_wait_t){ .fd = PQsocket(state->conn), .events = events };
    return FO_MORE;
}

static fo_progress_e wait_for_role(const state_t *state, fo_wait_t *ret_wait, fo_report_t *report)
{
    int unsent = PQflush(state->conn);

    if (unsent < 0)
        return judge_message(state, PQerrorMessage(state->conn), report);
    report->stage = unsent ? FO_STAGE_ASK : FO_STAGE_ANSWER;
    return wait_for(state, unsent ? POLLIN | POLLOUT : POLLIN, ret_wait);
}

/* The answer to the query, if it is there. */
static fo_progress_e read_role(const state_t *state, fo_wait_t *ret_wait, fo_report_t *report)
{
    fo_progress_e progress;
    PGresult *result;

    if (!PQconsumeInput(state->conn))
        return judge_message(state, PQerrorMessage(state->conn), report);
    if (PQisBusy(state->conn))
        return wait_for_role(state, ret_wait, report);
    result = PQgetResult(state->conn);
    if (PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1 &&
        PQnfields(result) == 1)
        progress = judge_role(state, PQgetvalue(result, 0, 0)[0] == 't', report);
    else
        progress = judge_message(state, PQresultErrorMessage(result), report);
    PQclear(result);
    return progress;
}

/* PostgreSQL 14 and later say at the login what they are; others are asked. */
static fo_progress_e logged_in(state_t *state, fo_wait_t *ret_wait, fo_report_t *report)
{
    const char *in_hot_standby = PQparameterStatus(state->conn, "in_hot_standby");

    (void)PQsetnonblocking(state->conn, 1); /* the goodbye does not wait either */
    if (state->conninfo->role == PROBE_ROLE_ANY) {
        report->stage = FO_STAGE_ANSWER;
        fo_report_fill(report, FO_VERDICT_PASS, 0, 0, NULL);
        return FO_DONE;
    }
    if (in_hot_standby)
        return judge_role(state, strcmp(in_hot_standby, "on") == 0, report);
    report->stage = FO_STAGE_ASK;
    if (!PQsendQuery(state->conn, role_query))
        return judge_message(state, PQerrorMessage(state->conn), report);
    state->is_asking = true;
    return wait_for_role(state, ret_wait, report);
}

static fo_progress_e log_in(state_t *state, fo_wait_t *ret_wait, fo_report_t *report)
{
    PostgresPollingStatusType polled = PQconnectPoll(state->conn);
    ConnStatusType status = PQstatus(state->conn);

    if (polled == PGRES_POLLING_FAILED)
        return judge_login(state, report);
    if (status != CONNECTION_STARTED && status != CONNECTION_MADE &&
        status != CONNECTION_SSL_STARTUP)
        report->stage = FO_STAGE_LOGIN;
    if (polled == PGRES_POLLING_OK)
        return logged_in(state, ret_wait, report);
    return wait_for(state, polled == PGRES_POLLING_WRITING ? POLLOUT : POLLIN, ret_wait);
}

static void note_connected(const state_t *state, fo_report_t *report)
{
    if (report->stage == FO_STAGE_CONNECT)
        report->stage = state->conninfo->is_tls ? FO_STAGE_TLS : FO_STAGE_LOGIN;
}

/* How the connection ended; 0: it has not. */
static apr_status_t find_end(const state_t *state)
{
    char byte;
    ssize_t n = recv(PQsocket(state->conn), &byte, sizeof(byte), MSG_PEEK | MSG_DONTWAIT);

    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return 0;
    return n == 0 ? APR_EOF : errno;
}

/* Of a Unix socket it is known what waits there now. */
static size_t count_received(const state_t *state)
{
    struct tcp_info info = { .tcpi_bytes_received = 0 };
    socklen_t length = sizeof(info);
    int fd = PQsocket(state->conn), n_there = 0;

    if (!state->conninfo->is_local)
        (void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
    else if (ioctl(fd, FIONREAD, &n_there) != 0)
        n_there = 0;
    return state->conninfo->is_local ? state->n_received + (size_t)n_there
                                     : (size_t)info.tcpi_bytes_received;
}

/*
 * Before libpq reads: it has one text for all ends of a connection, no errno, and no limit to what
 * it will hold. MORE: it may go on.
 */
static fo_progress_e look_ahead(state_t *state, fo_report_t *report)
{
    apr_status_t status = find_end(state);

    if (status && status != APR_EOF)
        return fail(report, status, NULL);
    note_connected(state, report);
    state->n_received = count_received(state);
    if (state->n_received > ANSWER_MAX)
        return fail(report, 0, "the answer is too long");
    return status ? fail(report, status, "the server closed the connection") : FO_MORE;
}

/* libpq has the errno in words alone: the one that has just been is believed if these are its. */
static fo_progress_e fail_at_once(const state_t *state, apr_status_t status, fo_report_t *report)
{
    const char *message = PQerrorMessage(state->conn);
    char words[FO_REPORT_TEXT];

    if (status && strstr(message, apr_strerror(status, words, sizeof(words))))
        return fail(report, status, status == EAGAIN ? "the socket's queue is full" : NULL);
    copy_words(words, sizeof(words), own_words(message), false);
    fo_report_fill(report, FO_VERDICT_SELF, 0, 0, words); /* it did not come to a connect */
    return FO_DONE;
}

/* It reads on as long as there is more, and no limit of ours is looked at meanwhile. */
static void keep_short(PGconn *conn)
{
    int size = READ_AT_ONCE;

    (void)setsockopt(PQsocket(conn), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
}

static fo_progress_e begin(void *opaque, const void *conf, const fo_ask_t *ask, fo_wait_t *ret_wait,
                           fo_report_t *report)
{
    state_t *state = opaque;
    char *text;
    apr_status_t status;

    report->stage = FO_STAGE_CONNECT;
    state->conninfo = conf;
    text = probe_conninfo_write(state->conninfo, ask);
    errno = 0;
    state->conn = text ? PQconnectStart(text) : NULL;
    status = errno;
    probe_conninfo_free(text);
    if (!state->conn)
        return fail(report, ENOMEM, NULL);
    (void)PQsetErrorVerbosity(state->conn, PQERRORS_VERBOSE);
    (void)PQsetNoticeProcessor(state->conn, ignore_notice, NULL);
    if (PQstatus(state->conn) == CONNECTION_BAD)
        return fail_at_once(state, status, report);
    keep_short(state->conn);
    return wait_for(state, POLLOUT, ret_wait);
}

static fo_progress_e step(void *opaque, short ready, fo_wait_t *ret_wait, fo_report_t *report)
{
    state_t *state = opaque;

    (void)ready;
    if (look_ahead(state, report) == FO_DONE)
        return FO_DONE;
    return state->is_asking ? read_role(state, ret_wait, report) : log_in(state, ret_wait, report);
}

/* What is not read when a socket is closed makes the end a reset, which PostgreSQL logs. */
static void read_rest(PGconn *conn)
{
    char rest[4096];
    int n = 0;

    while (n++ < ANSWER_MAX / (int)sizeof(rest) &&
           recv(PQsocket(conn), rest, sizeof(rest), MSG_DONTWAIT) > 0)
        ;
}

/* Says goodbye if it has logged in, and never before: PostgreSQL logs that as well. */
static void end(void *opaque)
{
    state_t *state = opaque;

    if (state->conn && PQstatus(state->conn) != CONNECTION_OK && PQsocket(state->conn) >= 0)
        read_rest(state->conn);
    PQfinish(state->conn);
    state->conn = NULL;
}

static const fo_steps_t steps = {
    .state_size = sizeof(state_t),
    .begin = begin,
    .step = step,
    .end = end,
};

static const char *const options[] = { PROBE_CONNINFO_OPTIONS, NULL };

const fo_probe_t fo_probe_pgsql = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "postgresql",
    .summary = "logs in to PostgreSQL, up to its being ready for a query",
    .example = "postgresql://monitor@db1.example.com/shop",
    .port = 5432,
    .max_hosts = 1,
    .options = options,
    .configure = configure,
    .child_init = child_init,
    .steps = &steps,
};

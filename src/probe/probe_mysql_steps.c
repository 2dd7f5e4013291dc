/* A connection of mysql:// and mysqls://, driven by MariaDB's non-blocking calls. */
#include "probe/probe_mysql_own.h"

#include "probe/probe_connect.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <errmsg.h>
#include <mysqld_error.h>

/* The protocol's packets in a login are some 100 bytes; what claims to be longer is no server. */
#define LOGIN_MAX ((size_t)16 * 1024)

/*
 * What the server may ask for. It chooses, so the list leaves out whatever sends the password in
 * clear text (mysql_clear_password), asks on the terminal (dialog) or talks to a third party
 * (auth_gssapi_client).
 */
#define LOGIN_METHODS                                                                              \
    "mysql_native_password,client_ed25519,caching_sha2_password,parsec," PROBE_MYSQL_TLS_METHOD

typedef enum {
    CALL_CONNECT,
    CALL_PING,
    CALL_QUERY,
    CALL_ROW
} call_e;

typedef struct state_t {
    const probe_mysql_conf_t *conf;
    MYSQL *mysql;
    MYSQL *login; /* what the connect returned: not NULL once logged in */
    call_e call;  /* the one that is under way */
    int failed;   /* what the ping or query returned */
    MYSQL_ROW row;
    const probe_mysql_question_t *question; /* NULL: none yet */
    unsigned n_ways;                        /* in which it was put before */
    MYSQL_RES *result;                      /* NULL: none */
    probe_mysql_answer_t answer;
    size_t n_heard; /* bytes from the server, in all */
} state_t;

/*
 * The library limits each packet and not their number, and returns only when the socket has nothing
 * more: a server that talks on and on would hold the thread. The library tells us of each read, and
 * we cut it off; this connection alone, as others in the process may use the library too.
 */
int ma_pvio_register_callback(my_bool is_new,
                              void (*hear)(int mode, MYSQL *mysql, const unsigned char *bytes,
                                           size_t n)); /* exported, and in no installed header */

#define HEARD_MAX ((size_t)512 * 1024)

static _Thread_local state_t *heard; /* the one that calls the library; NULL: none */

static void hear(int mode, MYSQL *mysql, const unsigned char *bytes, size_t n)
{
    (void)bytes;
    if (mode != 0 || !heard || mysql != heard->mysql || (ssize_t)n <= 0)
        return;
    heard->n_heard += n;
    if (heard->n_heard > HEARD_MAX)
        (void)shutdown(mysql_get_socket(mysql), SHUT_RDWR);
}

/* Once, or each byte would be heard twice. */
void probe_mysql_steps_init(void)
{
    static bool is_heard;

    if (!is_heard)
        (void)ma_pvio_register_callback(1, hear);
    is_heard = true;
}

static bool asks_more(const probe_mysql_conf_t *conf)
{
    return probe_mysql_question(conf, NULL) != NULL;
}

/* NULL: out of memory, the only way in which setting an option fails. */
static MYSQL *open_handle(const probe_mysql_conf_t *conf, const fo_ask_t *ask)
{
    static const unsigned no_files = 0;
    static const size_t tls_stack = (size_t)256 * 1024; /* the library's own are of 60 KiB */
    static const my_bool no = 0;
    unsigned protocol = conf->socket ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    size_t answer_max = asks_more(conf) ? PROBE_MYSQL_ANSWER_MAX : LOGIN_MAX;
    MYSQL *mysql = mysql_init(NULL);

    if (!mysql)
        return NULL;
    if (mysql_options(mysql, MYSQL_OPT_NONBLOCK, conf->tls ? &tls_stack : NULL) == 0 &&
        mysql_options(mysql, MYSQL_OPT_PROTOCOL, &protocol) == 0 &&
        mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no_files) == 0 &&
        mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &answer_max) == 0 &&
        mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &no) == 0 &&
        mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &no) == 0 &&
        mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4") == 0 &&
        mysql_options(mysql, MARIADB_OPT_RESTRICTED_AUTH, LOGIN_METHODS) == 0 &&
        mysql_options4(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "mod_failover") == 0 &&
        (!conf->tls || probe_mysql_tls_prepare(mysql, conf->tls, ask->key_password)))
        return mysql;
    mysql_close(mysql);
    return NULL;
}

static bool is_connect_code(unsigned code)
{
    return code == CR_SOCKET_CREATE_ERROR || code == CR_CONNECTION_ERROR ||
           code == CR_CONN_HOST_ERROR || code == CR_IPSOCK_ERROR || code == CR_UNKNOWN_HOST;
}

static void judge(const state_t *state, fo_report_t *report)
{
    probe_mysql_judge(state->mysql, asks_more(state->conf), state->question != NULL, report);
    if (state->n_heard > HEARD_MAX)
        fo_report_fill(report, FO_VERDICT_FAIL, 0, 0, "the server talks without end");
}

static void start_waiting(MYSQL *mysql, int waits, fo_wait_t *ret_wait)
{
    apr_interval_time_t timeout = 0;

    if (waits & MYSQL_WAIT_TIMEOUT)
        timeout = apr_time_from_msec((apr_interval_time_t)mysql_get_timeout_value_ms(mysql));
    *ret_wait = (fo_wait_t){
        .fd = mysql_get_socket(mysql),
        .events = (short)((waits & MYSQL_WAIT_READ ? POLLIN : 0) |
                          (waits & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
                          (waits & MYSQL_WAIT_EXCEPT ? POLLPRI : 0)),
        .timeout = timeout,
    };
}

/* What comes when a call is over. Each returns false when the report is filled. */

static bool ask_next(state_t *state, fo_report_t *report)
{
    state->question = probe_mysql_question(state->conf, state->question);
    state->n_ways = 0;
    state->call = CALL_QUERY;
    if (!state->question)
        fo_report_fill(report, FO_VERDICT_PASS, 0, 0, NULL);
    return state->question != NULL;
}

static bool judge_answer(state_t *state, fo_report_t *report)
{
    char text[FO_REPORT_TEXT];
    const char *failure = state->question->judge(state->conf, &state->answer, text, sizeof(text));

    if (!failure)
        return ask_next(state, report);
    fo_report_fill(report, FO_VERDICT_FAIL, 0, 0, failure);
    return false;
}

static bool after_connect(state_t *state, fo_report_t *report)
{
    if (state->login)
        report->stage = FO_STAGE_ASK;
    else
        judge(state, report);
    state->call = CALL_PING;
    return state->login != NULL;
}

static bool after_ping(state_t *state, fo_report_t *report)
{
    if (!state->failed)
        return ask_next(state, report);
    judge(state, report);
    return false;
}

/* A statement that this server does not know may have another form; without rows it is over. */
static bool after_query(state_t *state, fo_report_t *report)
{
    if (state->failed && mysql_errno(state->mysql) == ER_PARSE_ERROR &&
        state->question->sql(state->conf, state->mysql, state->n_ways + 1)) {
        state->n_ways++;
        return true;
    }
    state->answer = (probe_mysql_answer_t){ 0 };
    state->result = state->failed ? NULL : mysql_use_result(state->mysql);
    state->call = CALL_ROW;
    if (state->result)
        return true;
    if (!mysql_errno(state->mysql))
        return judge_answer(state, report);
    judge(state, report);
    return false;
}

static bool after_row(state_t *state, fo_report_t *report)
{
    if (!state->row && mysql_errno(state->mysql)) {
        judge(state, report);
        return false;
    }
    if (!state->row) {
        mysql_free_result(state->result); /* all of it has come: nothing is waited for */
        state->result = NULL;
        return judge_answer(state, report);
    }
    if (probe_mysql_take_row(state->question, state->result, state->row, &state->answer))
        return true;
    fo_report_fill(report, FO_VERDICT_FAIL, 0, 0, PROBE_MYSQL_TOO_LONG);
    return false;
}

/* The calls. Each returns what it waits for; 0: it is over. */

static int cont_connect(state_t *state, int events)
{
    return mysql_real_connect_cont(&state->login, state->mysql, events);
}

static int start_ping(state_t *state)
{
    return mysql_ping_start(&state->failed, state->mysql);
}

static int cont_ping(state_t *state, int events)
{
    return mysql_ping_cont(&state->failed, state->mysql, events);
}

static int start_query(state_t *state)
{
    const char *sql = state->question->sql(state->conf, state->mysql, state->n_ways);

    return mysql_real_query_start(&state->failed, state->mysql, sql, strlen(sql));
}

static int cont_query(state_t *state, int events)
{
    return mysql_real_query_cont(&state->failed, state->mysql, events);
}

static int start_row(state_t *state)
{
    return mysql_fetch_row_start(&state->row, state->result);
}

static int cont_row(state_t *state, int events)
{
    return mysql_fetch_row_cont(&state->row, state->result, events);
}

static const struct {
    int (*start)(state_t *state); /* the connect is started by begin() */
    int (*cont)(state_t *state, int events);
    bool (*after)(state_t *state, fo_report_t *report);
} calls[] = {
    [CALL_CONNECT] = { .cont = cont_connect, .after = after_connect },
    [CALL_PING] = { .start = start_ping, .cont = cont_ping, .after = after_ping },
    [CALL_QUERY] = { .start = start_query, .cont = cont_query, .after = after_query },
    [CALL_ROW] = { .start = start_row, .cont = cont_row, .after = after_row },
};

/*
 * Reading means: for an answer. The first thing to be read is the greeting: until then it is the
 * connect that lasts.
 */
static void note_stage(const state_t *state, int waits, fo_report_t *report)
{
    if (state->call != CALL_CONNECT)
        report->stage = !waits || (waits & MYSQL_WAIT_READ) ? FO_STAGE_ANSWER : report->stage;
    else if ((waits & MYSQL_WAIT_READ) || (!waits && report->stage == FO_STAGE_CONNECT &&
                                           !is_connect_code(mysql_errno(state->mysql))))
        report->stage = FO_STAGE_LOGIN;
}

/* What was started waits as told, or is over: then what comes next. */
static fo_progress_e advance(state_t *state, int waits, fo_wait_t *ret_wait, fo_report_t *report)
{
    note_stage(state, waits, report);
    while (!waits) {
        if (!calls[state->call].after(state, report))
            return FO_DONE;
        errno = 0;
        waits = calls[state->call].start(state);
        note_stage(state, waits, report);
    }
    start_waiting(state->mysql, waits, ret_wait);
    return FO_MORE;
}

/*
 * False: the report says what failed of our own side, or of the way there. Where connect() fails at
 * once, the library (10.11) closes its socket twice, and the second time the number may be another
 * thread's.
 */
static bool can_connect(state_t *state, const fo_ask_t *ask, fo_report_t *report)
{
    const fo_peer_t *peer = ask->peers;
    apr_status_t status = state->conf->socket ? 0
                                              : probe_connect_miss(peer->addresses[0], peer->port);

    if (!status) {
        state->mysql = open_handle(state->conf, ask);
        status = state->mysql ? 0 : ENOMEM;
    }
    if (status)
        fo_report_fill(report, fo_status_is_self(status) ? FO_VERDICT_SELF : FO_VERDICT_FAIL,
                       status, 0, NULL);
    return !status;
}

static fo_progress_e begin(void *opaque, const void *conf, const fo_ask_t *ask, fo_wait_t *ret_wait,
                           fo_report_t *report)
{
    state_t *state = opaque;
    const fo_peer_t *peer = ask->peers;
    int waits, fd;

    state->conf = conf;
    report->stage = FO_STAGE_CONNECT;
    if (!can_connect(state, ask, report))
        return FO_DONE;
    errno = 0; /* so that the errno in the library's text is never an older one */
    /* A NULL password would be looked for in the environment. */
    waits = mysql_real_connect_start(&state->login, state->mysql,
                                     state->conf->socket ? "localhost" : peer->addresses[0],
                                     state->conf->user, ask->secret ? ask->secret : "",
                                     state->conf->database, peer->port, state->conf->socket, 0);
    fd = mysql_get_socket(state->mysql);
    if (fd >= 0)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return advance(state, waits, ret_wait, report);
}

static fo_progress_e go_on(state_t *state, int events, fo_wait_t *ret_wait, fo_report_t *report)
{
    fo_progress_e progress;

    heard = state;
    errno = 0;
    progress = advance(state, calls[state->call].cont(state, events), ret_wait, report);
    heard = NULL;
    return progress;
}

static fo_progress_e step(void *opaque, short ready, fo_wait_t *ret_wait, fo_report_t *report)
{
    state_t *state = opaque;
    bool is_broken = ready & (POLLERR | POLLHUP | POLLNVAL); /* the next call will say how */
    int events = (ready & POLLIN || is_broken ? MYSQL_WAIT_READ : 0) |
                 (ready & POLLOUT || is_broken ? MYSQL_WAIT_WRITE : 0) |
                 (ready & POLLPRI ? MYSQL_WAIT_EXCEPT : 0) | (ready ? 0 : MYSQL_WAIT_TIMEOUT);

    return go_on(state, events, ret_wait, report);
}

/*
 * Closes without the library's own goodbye, which could block. The reset instead of a regular end
 * is for a server that hangs: when it comes round, a connection in its queue that was reset has no
 * peer any more, and is not counted towards max_connect_errors.
 */
static void drop(MYSQL *mysql)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };
    int fd = mysql_get_socket(mysql);

    if (fd >= 0) {
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        (void)shutdown(fd, SHUT_RDWR);
    }
    mysql_close(mysql);
}

/* One that has logged in says COM_QUIT, also to a server that hangs; else it counts as aborted. */
static void end(void *opaque)
{
    state_t *state = opaque;
    MYSQL_RES *result = state->result;

    if (!state->mysql)
        return;
    if (result)
        result->handle = NULL; /* or the rest of the answer would be waited for */
    if (!state->login || mysql_close_start(state->mysql) != 0)
        drop(state->mysql);
    if (result)
        mysql_free_result(result);
    state->mysql = NULL;
}

const fo_steps_t probe_mysql_steps = {
    .state_size = sizeof(state_t),
    .begin = begin,
    .step = step,
    .end = end,
};

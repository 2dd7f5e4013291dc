#include "probe/probe_mysql.h"

#include "probe/probe_connect.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>

/* The protocol's packets in a login are some 100 bytes; what claims to be longer is no server. */
#define ANSWER_MAX ((size_t)16 * 1024)

/*
 * What the server may ask for. It chooses, so the list leaves out whatever sends the password in
 * clear text (mysql_clear_password), asks on the terminal (dialog) or talks to a third party
 * (auth_gssapi_client).
 */
#define LOGIN_METHODS "mysql_native_password,client_ed25519,caching_sha2_password,parsec"

/* Of MySQL alone, so not in mysqld_error.h. */
#define MYSQL_ACCOUNT_LOCKED 3118
#define MYSQL_NEEDS_TLS 3159

typedef struct conf_t {
    const char *user;
    const char *database; /* NULL: none */
} conf_t;

typedef enum {
    CALL_CONNECT,
    CALL_PING
} call_e;

typedef struct state_t {
    MYSQL *mysql;
    MYSQL *login; /* what the connect returned: not NULL once logged in */
    call_e call;  /* the one that is under way */
    int failed;   /* what the ping returned */
} state_t;

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
    { .code = CR_AUTH_PLUGIN_CANNOT_LOAD, .verdict = FO_VERDICT_LOGIN },
    { .code = CR_AUTH_PLUGIN_ERR, .verdict = FO_VERDICT_LOGIN },
    { .code = CR_PLUGIN_NOT_ALLOWED, .verdict = FO_VERDICT_LOGIN },
    { .code = ER_HOST_IS_BLOCKED,
      .verdict = FO_VERDICT_FAIL,
      .text = "this host is blocked: run mariadb-admin flush-hosts (or FLUSH HOSTS) and raise "
              "max_connect_errors" },
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

static const meaning_t own_words = { .verdict = FO_VERDICT_FAIL };

/* A backtick would end the name. */
static const char *grant_name(const char *name, apr_pool_t *pool)
{
    char *quoted = apr_palloc(pool, 2 * strlen(name) + 3), *to = quoted;

    *to++ = '`';
    for (; *name; name++) {
        if (*name == '`')
            *to++ = '`';
        *to++ = *name;
    }
    *to++ = '`';
    *to = '\0';
    return quoted;
}

/* The URL as written, with a user put in, or in place of a blank one. */
static const char *with_user(const fo_url_t *url, apr_pool_t *pool)
{
    const char *hosts = strstr(url->text, "://") + 3;

    if (*hosts == '@')
        hosts++;
    return apr_pstrcat(pool, "mysql://monitor@", hosts, NULL);
}

/*
 * LOCK TABLES is the least privilege that lets an account have a database as its current one:
 * without SELECT it can lock nothing, and it shows no table's name or definition.
 */
static const char *needs_user(const fo_url_t *url, const char *database, apr_pool_t *pool)
{
    const char *grant = "";

    if (database)
        grant = apr_psprintf(pool,
                             " GRANT LOCK TABLES ON %s.* TO 'monitor'@'%%'; (the least that a "
                             "login to a database takes; or leave the database out)",
                             grant_name(database, pool));
    return apr_psprintf(pool,
                        "mysql:// needs a user, as the server counts a connection without a login "
                        "as an error and ends up blocking this host: "
                        "CREATE USER 'monitor'@'%%' IDENTIFIED BY '...';%s then %s",
                        grant, with_user(url, pool));
}

static const char *configure(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, void **ret_conf, const char **ret_warning,
                             apr_pool_t *pool)
{
    const char *database = url->path[0] && url->path[1] ? url->path + 1 : NULL;
    conf_t *conf;

    (void)options;
    (void)ret_warning;
    if (database && strchr(database, '/'))
        return apr_psprintf(pool, "%s: the path of mysql:// is one database, as in /blog",
                            url->text);
    if (!login->user || !login->user[0])
        return needs_user(url, database, pool);
    conf = apr_palloc(pool, sizeof(*conf));
    *conf = (conf_t){
        .user = apr_pstrdup(pool, login->user),
        .database = database ? apr_pstrdup(pool, database) : NULL,
    };
    *ret_conf = conf;
    return NULL;
}

/* The library's tables and plugins are not safe to set up from a thread. */
static void child_init(void)
{
    (void)mysql_library_init(0, NULL, NULL);
}

/* NULL: out of memory, the only way in which setting an option fails. */
static MYSQL *open_handle(void)
{
    static const unsigned tcp = MYSQL_PROTOCOL_TCP, no_files = 0;
    static const size_t answer_max = ANSWER_MAX;
    static const my_bool no = 0;
    MYSQL *mysql = mysql_init(NULL);

    if (!mysql)
        return NULL;
    if (mysql_options(mysql, MYSQL_OPT_NONBLOCK, NULL) == 0 &&
        mysql_options(mysql, MYSQL_OPT_PROTOCOL, &tcp) == 0 &&
        mysql_options(mysql, MYSQL_OPT_LOCAL_INFILE, &no_files) == 0 &&
        mysql_options(mysql, MYSQL_OPT_MAX_ALLOWED_PACKET, &answer_max) == 0 &&
        mysql_options(mysql, MYSQL_OPT_SSL_ENFORCE, &no) == 0 &&
        mysql_options(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &no) == 0 &&
        mysql_options(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4") == 0 &&
        mysql_options(mysql, MARIADB_OPT_RESTRICTED_AUTH, LOGIN_METHODS) == 0 &&
        mysql_options4(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "mod_failover") == 0)
        return mysql;
    mysql_close(mysql);
    return NULL;
}

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
    return number == EAGAIN || number == EINPROGRESS ? 0 : (apr_status_t)number;
}

static bool is_client_code(unsigned code)
{
    return (code >= CR_MIN_ERROR && code <= CR_MAX_ERROR) ||
           (code >= CER_MIN_ERROR && code <= CER_MAX_ERROR);
}

static bool is_connect_code(unsigned code)
{
    return code == CR_SOCKET_CREATE_ERROR || code == CR_CONNECTION_ERROR ||
           code == CR_CONN_HOST_ERROR || code == CR_IPSOCK_ERROR || code == CR_UNKNOWN_HOST;
}

static const meaning_t *meaning_of(MYSQL *mysql)
{
    unsigned code = mysql_errno(mysql);

    /*
     * A packet over the limit is reported as a lost connection, but a lost one has error 2. What
     * seems to ask for a login method of before 4.1 is no server of today.
     */
    if (code == 0 || (code == CR_SERVER_LOST && mysql->net.error == 1) ||
        (code == CR_PLUGIN_NOT_ALLOWED && !(mysql->server_capabilities & CLIENT_PROTOCOL_41)))
        return &garbage;
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].code == code)
            return &meanings[i];
    return &own_words;
}

/* One line of ASCII: the words may come from anyone. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if (*text < 0x20 || *text > 0x7e)
            *text = '?';
}

static void judge(MYSQL *mysql, fo_report_t *report)
{
    const meaning_t *meaning = meaning_of(mysql);
    unsigned code = mysql_errno(mysql);
    const char *text = meaning->text ? meaning->text : mysql_error(mysql);
    apr_status_t status = meaning->has_errno ? errno_in(mysql_error(mysql)) : 0;
    fo_verdict_e verdict = fo_status_is_self(status) ? FO_VERDICT_SELF : meaning->verdict;

    if (verdict == FO_VERDICT_SELF && !status)
        status = ENOMEM;
    fo_report_fill(report, verdict, status, is_client_code(code) ? 0 : (int)code,
                   status ? NULL : text);
    if (!status && meaning->is_end)
        report->status = APR_EOF;
    make_printable(report->text);
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

/* What was started waits as told, or is done: then what comes next. */
static fo_progress_e advance(state_t *state, int waits, fo_wait_t *ret_wait, fo_report_t *report)
{
    if (!waits && state->call == CALL_CONNECT && state->login) {
        state->call = CALL_PING;
        report->stage = FO_STAGE_ASK;
        errno = 0;
        waits = mysql_ping_start(&state->failed, state->mysql);
    }
    /* The first thing to be read is the greeting: until then it is the connect that lasts. */
    if ((waits & MYSQL_WAIT_READ) || (!waits && !is_connect_code(mysql_errno(state->mysql))))
        report->stage = state->call == CALL_CONNECT ? FO_STAGE_LOGIN : FO_STAGE_ANSWER;
    if (waits) {
        start_waiting(state->mysql, waits, ret_wait);
        return FO_MORE;
    }
    if (state->call == CALL_PING && !state->failed)
        fo_report_fill(report, FO_VERDICT_PASS, 0, 0, NULL);
    else
        judge(state->mysql, report);
    return FO_DONE;
}

/*
 * Why no packet would find its way there; 0: none is known. Where connect() fails at once, the
 * library (10.11) closes its socket twice, and the second time the number may be another thread's.
 * A datagram socket looks the route up and sends nothing.
 */
static apr_status_t miss_route(const fo_peer_t *peer)
{
    int fd = probe_connect(peer->addresses[0], peer->port, SOCK_DGRAM);

    if (fd < 0)
        return errno;
    close(fd);
    return 0;
}

/* False: the report says what failed of our own side, or of the way there. */
static bool can_connect(state_t *state, const fo_peer_t *peer, fo_report_t *report)
{
    apr_status_t status = miss_route(peer);

    if (!status) {
        state->mysql = open_handle();
        status = state->mysql ? 0 : ENOMEM;
    }
    if (status)
        fo_report_fill(report, fo_status_is_self(status) ? FO_VERDICT_SELF : FO_VERDICT_FAIL,
                       status, 0, NULL);
    return !status;
}

static fo_progress_e begin(void *opaque, const void *opaque_conf, const fo_ask_t *ask,
                           fo_wait_t *ret_wait, fo_report_t *report)
{
    state_t *state = opaque;
    const conf_t *conf = opaque_conf;
    const fo_peer_t *peer = ask->peers;
    int waits, fd;

    report->stage = FO_STAGE_CONNECT;
    if (!can_connect(state, peer, report))
        return FO_DONE;
    errno = 0; /* so that the errno in the library's text is never an older one */
    /* A NULL password would be looked for in the environment. */
    waits = mysql_real_connect_start(&state->login, state->mysql, peer->addresses[0], conf->user,
                                     ask->secret ? ask->secret : "", conf->database, peer->port,
                                     NULL, 0);
    fd = mysql_get_socket(state->mysql);
    if (fd >= 0)
        (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    return advance(state, waits, ret_wait, report);
}

static fo_progress_e step(void *opaque, short ready, fo_wait_t *ret_wait, fo_report_t *report)
{
    state_t *state = opaque;
    bool is_broken = ready & (POLLERR | POLLHUP | POLLNVAL); /* the next call will say how */
    int events = (ready & POLLIN || is_broken ? MYSQL_WAIT_READ : 0) |
                 (ready & POLLOUT || is_broken ? MYSQL_WAIT_WRITE : 0) |
                 (ready & POLLPRI ? MYSQL_WAIT_EXCEPT : 0) | (ready ? 0 : MYSQL_WAIT_TIMEOUT);
    int waits;

    errno = 0;
    if (state->call == CALL_CONNECT)
        waits = mysql_real_connect_cont(&state->login, state->mysql, events);
    else
        waits = mysql_ping_cont(&state->failed, state->mysql, events);
    return advance(state, waits, ret_wait, report);
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

    if (!state->mysql)
        return;
    if (!state->login || mysql_close_start(state->mysql) != 0)
        drop(state->mysql);
    state->mysql = NULL;
}

static const fo_steps_t steps = {
    .state_size = sizeof(state_t),
    .begin = begin,
    .step = step,
    .end = end,
};

const fo_probe_t fo_probe_mysql = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "mysql",
    .summary = "logs in to MySQL or MariaDB and asks COM_PING",
    .example = "mysql://monitor@db1.example.com/blog",
    .port = 3306,
    .max_hosts = 1,
    .configure = configure,
    .child_init = child_init,
    .steps = &steps,
};

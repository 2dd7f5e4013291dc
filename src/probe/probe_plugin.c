#include "probe/probe_plugin.h"

#include "core/fo_parse.h"
#include "probe/probe_clock.h"
#include "probe/probe_plugin_wire.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct conf_t {
    unsigned command;
    bool warning_fails;
} conf_t;

typedef struct state_t {
    const conf_t *conf;
    int fd; /* where the helper answers; -1: it was not asked */
} state_t;

static apr_array_header_t *commands; /* of char ** */
static int channel = -1;

/* ---------------------------------------------------------------- the commands */

void probe_plugin_reset(apr_pool_t *pconf)
{
    commands = apr_array_make(pconf, 4, sizeof(char **));
}

bool probe_plugin_is_used(void)
{
    return commands && commands->nelts > 0;
}

char *const *probe_plugin_command(unsigned number)
{
    return commands && number < (unsigned)commands->nelts
               ? APR_ARRAY_IDX(commands, (int)number, char **)
               : NULL;
}

static bool is_same(char *const *a, char *const *b)
{
    for (; *a && *b; a++, b++)
        if (strcmp(*a, *b) != 0)
            return false;
    return !*a && !*b;
}

/* Its number; equal ones share it. */
static unsigned add_command(char **argv)
{
    unsigned n = (unsigned)commands->nelts;

    for (unsigned i = 0; i < n; i++)
        if (is_same(probe_plugin_command(i), argv))
            return i;
    APR_ARRAY_PUSH(commands, char **) = argv;
    return n;
}

/* ---------------------------------------------------------------- configuration */

static const char *const known_options[] = { "args", "warning", NULL };

static const char *check_file(const char *path, apr_pool_t *pool)
{
    struct stat info;

    if (stat(path, &info) != 0)
        return apr_psprintf(pool, "%s cannot be used: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return apr_psprintf(pool,
                            "%s is no plain file: the path of plugin:// is a program, as in %s",
                            path, fo_probe_plugin.example);
    if (!(info.st_mode & (S_IXUSR | S_IXGRP | S_IXOTH)))
        return apr_psprintf(pool, "%s is not executable: chmod +x %s", path, path);
    return NULL;
}

static const char *read_warning(const char *value, bool *ret_fails, apr_pool_t *pool)
{
    bool passes = true;
    const char *error = value ? fo_parse_either(value, "pass", "fail", &passes, pool) : NULL;

    *ret_fails = !passes;
    return error ? apr_psprintf(pool, "warning=: %s", error) : NULL;
}

/* Split as a shell would, without one. */
static const char *read_args(const char *path, const char *args, char ***ret_argv, apr_pool_t *pool)
{
    char **words = NULL, **argv;
    size_t n = 0;

    if (apr_tokenize_to_argv(args ? args : "", &words, pool) != APR_SUCCESS)
        return "args=: these are no words";
    while (words[n])
        n++;
    argv = apr_pcalloc(pool, (n + 2) * sizeof(*argv));
    argv[0] = apr_pstrdup(pool, path);
    memcpy(argv + 1, words, n * sizeof(*argv));
    *ret_argv = argv;
    return NULL;
}

static const char *configure(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, void **ret_conf, const char **ret_warning,
                             apr_pool_t *pool)
{
    conf_t *conf = apr_pcalloc(pool, sizeof(*conf));
    const char *error = NULL;
    char **argv = NULL;

    (void)ret_warning;
    if (login->user || login->has_secret)
        return "plugin:// takes no user and no password: everybody on this host can read a "
               "program's command line; let the plugin read a file of its own";
    error = check_file(url->path, pool);
    if (!error)
        error = read_warning(apr_table_get(options, "warning"), &conf->warning_fails, pool);
    if (!error)
        error = read_args(url->path, apr_table_get(options, "args"), &argv, pool);
    if (error)
        return error;
    conf->command = add_command(argv);
    *ret_conf = conf;
    return NULL;
}

/* ---------------------------------------------------------------- what the answers mean */

static fo_progress_e own_side(fo_report_t *report, apr_status_t status, const char *text)
{
    fo_report_fill(report, FO_VERDICT_SELF, status, 0, text);
    return FO_DONE;
}

/* What monitoring plugins mean by their exit codes. */
static const struct {
    fo_verdict_e verdict;
    const char *name; /* for those that say nothing */
} meanings[] = {
    { FO_VERDICT_PASS, "OK" },
    { FO_VERDICT_PASS, "WARNING" },
    { FO_VERDICT_FAIL, "CRITICAL" },
    { FO_VERDICT_SELF, "UNKNOWN" },
};

enum {
    CODE_WARNING = 1,
    CODE_COUNT = sizeof(meanings) / sizeof(meanings[0])
};

/* It is the plugin that does not work: nothing is known of the service. */
static void judge_broken(int status, const char *said, fo_report_t *report)
{
    bool has_exited = WIFEXITED(status);
    int number = has_exited ? WEXITSTATUS(status) : WTERMSIG(status);
    char text[FO_REPORT_TEXT];

    apr_snprintf(text, sizeof(text), "the plugin ended with %s %d%s%s",
                 has_exited ? "exit code" : "signal", number, said[0] ? ": " : "", said);
    fo_report_fill(report, FO_VERDICT_SELF, 0, number, text);
}

static void judge(const conf_t *conf, int status, const char *said, fo_report_t *report)
{
    int code = WIFEXITED(status) ? WEXITSTATUS(status) : CODE_COUNT;

    report->stage = FO_STAGE_ANSWER;
    if (code >= CODE_COUNT) {
        judge_broken(status, said, report);
        return;
    }
    fo_report_fill(report,
                   code == CODE_WARNING && conf->warning_fails ? FO_VERDICT_FAIL
                                                               : meanings[code].verdict,
                   0, code, said[0] ? said : meanings[code].name);
}

/* ---------------------------------------------------------------- a ping */

/* 0, or an errno. Never waits. */
static int send_ask(unsigned command, apr_interval_time_t budget, int peer)
{
    apr_time_t now = probe_clock_now();
    probe_plugin_ask_t ask = { .command = command, .asked_at = now, .until_at = now + budget };
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = { .bytes = "" };
    struct iovec part = { .iov_base = &ask, .iov_len = sizeof(ask) };
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(peer));
    memcpy(CMSG_DATA(&control.header), &peer, sizeof(peer));
    return sendmsg(channel, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? errno : 0;
}

static fo_progress_e begin(void *state, const void *conf, const fo_ask_t *ask, fo_wait_t *ret_wait,
                           fo_report_t *report)
{
    state_t *mine = state;
    int ends[2], error;

    *mine = (state_t){ .conf = conf, .fd = -1 };
    report->stage = FO_STAGE_ASK;
    if (channel < 0)
        return own_side(report, 0, "there is no helper process that runs plugins");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return own_side(report, errno, NULL);
    mine->fd = ends[0];
    error = send_ask(mine->conf->command, ask->budget, ends[1]);
    close(ends[1]);
    if (error == EAGAIN)
        return own_side(report, 0, PROBE_PLUGIN_OVERWHELMED);
    if (error == EPIPE || error == ECONNRESET)
        return own_side(report, 0, "there is no helper process that runs plugins");
    if (error)
        return own_side(report, error, NULL);
    *ret_wait = (fo_wait_t){ .fd = mine->fd, .events = POLLIN, .timeout = ask->budget };
    return FO_MORE;
}

/* Until the plugin runs, the time is the helper's: that it runs out says nothing of the service. */
static fo_progress_e step(void *state, short ready, fo_wait_t *ret_wait, fo_report_t *report)
{
    const state_t *mine = state;
    probe_plugin_answer_t answer;
    ssize_t n;

    if (!ready)
        return own_side(report, 0, "the helper process that runs plugins does not answer");
    n = recv(mine->fd, &answer, sizeof(answer), MSG_DONTWAIT);
    *ret_wait = (fo_wait_t){ .fd = mine->fd, .events = POLLIN };
    if (n != sizeof(answer))
        return own_side(report, 0, "the helper process that runs plugins has ended");
    if (answer.kind == PROBE_PLUGIN_BEGUN)
        return FO_MORE;
    if (answer.kind == PROBE_PLUGIN_REFUSED)
        return own_side(report, answer.number, answer.text);
    judge(mine->conf, answer.number, answer.text, report);
    return FO_DONE;
}

/* The helper sees it, and ends a plugin that still runs. */
static void end(void *state)
{
    const state_t *mine = state;

    if (mine->fd >= 0)
        close(mine->fd);
}

void probe_plugin_ask_at(int fd)
{
    channel = fd;
}

static const fo_steps_t steps = {
    .state_size = sizeof(state_t),
    .begin = begin,
    .step = step,
    .end = end,
};

const fo_probe_t fo_probe_plugin = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "plugin",
    .summary = "runs a monitoring plugin and takes its exit code",
    .example = "plugin:///usr/lib/nagios/plugins/check_load",
    .options = known_options,
    .configure = configure,
    .steps = &steps,
};

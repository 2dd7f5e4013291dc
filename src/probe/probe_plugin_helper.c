/*
 * The helper: one process that runs the plugins of all children, several at a time. It owns no
 * secret and no descriptor of httpd's, and ends with the last who could ask it.
 */
#include "probe/probe_plugin.h"

#include "probe/probe_clock.h"
#include "probe/probe_plugin_run.h"
#include "probe/probe_plugin_wire.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define RUNS_MAX 64

/* Milliseconds, where there is something wrong with poll() itself. */
#define SECOND_LOOK 100

/* Where what is polled stands: then the output and the ping of each run. */
enum {
    POLLED_CHANNEL,
    POLLED_SIGNALS,
    POLLED_RUNS,
    POLLED_COUNT = POLLED_RUNS + 2 * RUNS_MAX
};

typedef struct helper_t {
    int channel;
    int signals;
    probe_plugin_run_t runs[RUNS_MAX];
} helper_t;

static probe_plugin_run_t *free_run(helper_t *helper)
{
    for (int i = 0; i < RUNS_MAX; i++)
        if (probe_plugin_run_is_free(&helper->runs[i]))
            return &helper->runs[i];
    return NULL;
}

static void end_all(helper_t *helper)
{
    for (int i = 0; i < RUNS_MAX; i++)
        probe_plugin_run_kill(&helper->runs[i]);
    _exit(0);
}

/* ---------------------------------------------------------------- who asks */

/* The descriptor that came along; -1: none. */
static int passed_descriptor(struct msghdr *message)
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    int fd = -1;

    if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS &&
        header->cmsg_len == CMSG_LEN(sizeof(fd)))
        memcpy(&fd, CMSG_DATA(header), sizeof(fd));
    return fd;
}

/* The length of the message; 0: nobody is left who could ask. */
static ssize_t hear(int channel, probe_plugin_ask_t *ret_ask, int *ret_peer)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = { .iov_base = ret_ask, .iov_len = sizeof(*ret_ask) };
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = &control,
        .msg_controllen = sizeof(control),
    };
    ssize_t n = recvmsg(channel, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

    *ret_peer = n > 0 ? passed_descriptor(&message) : -1;
    return n;
}

static bool has_gone(int peer)
{
    struct pollfd polled = { .fd = peer };

    return poll(&polled, 1, 0) > 0;
}

/* More than half of its time has passed in the queue. */
static bool is_late(const probe_plugin_ask_t *ask)
{
    return probe_clock_now() > ask->asked_at + (ask->until_at - ask->asked_at) / 2;
}

static void serve(helper_t *helper, const probe_plugin_ask_t *ask, int peer)
{
    char *const *argv = probe_plugin_command(ask->command);
    probe_plugin_run_t *run = free_run(helper);
    bool comes_late = is_late(ask);

    if (argv && run && !comes_late && !has_gone(peer)) {
        probe_plugin_run_start(run, argv, peer, ask->until_at);
        return;
    }
    if (!run)
        probe_plugin_refuse(peer, 0, "too many plugins run at once, or cannot be killed");
    else if (comes_late)
        probe_plugin_refuse(peer, 0, PROBE_PLUGIN_OVERWHELMED);
    close(peer);
}

static void hear_all(helper_t *helper)
{
    probe_plugin_ask_t ask;
    ssize_t n;
    int peer;

    while ((n = hear(helper->channel, &ask, &peer)) > 0)
        if (peer >= 0)
            serve(helper, &ask, peer);
    if (n == 0)
        end_all(helper);
}

/* ---------------------------------------------------------------- who ends */

static probe_plugin_run_t *find_run(helper_t *helper, pid_t pid)
{
    for (int i = 0; i < RUNS_MAX; i++)
        if (helper->runs[i].pid == pid)
            return &helper->runs[i];
    return NULL;
}

/* Also those that a plugin has left behind: they become ours. */
static void reap(helper_t *helper)
{
    siginfo_t info = { .si_pid = 0 };

    while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid > 0) {
        probe_plugin_run_t *run = find_run(helper, info.si_pid);
        int status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0)
                                                : W_EXITCODE(0, info.si_status);
        if (run)
            probe_plugin_run_ended(run, status);
        waitpid(info.si_pid, NULL, 0);
        info.si_pid = 0;
    }
}

static void heed_signals(helper_t *helper)
{
    struct signalfd_siginfo info;

    while (read(helper->signals, &info, sizeof(info)) == sizeof(info))
        if (info.ssi_signo == SIGTERM)
            end_all(helper);
    reap(helper);
}

static void heed_deadlines(helper_t *helper)
{
    apr_time_t now = probe_clock_now();

    for (int i = 0; i < RUNS_MAX; i++)
        if (helper->runs[i].until_at && now >= helper->runs[i].until_at)
            probe_plugin_run_kill(&helper->runs[i]);
}

/* ---------------------------------------------------------------- the loop */

/* Milliseconds for poll(): until the first deadline; -1: there is none. */
static int patience(const helper_t *helper)
{
    apr_time_t first = 0, now = probe_clock_now();

    for (int i = 0; i < RUNS_MAX; i++) {
        apr_time_t until_at = helper->runs[i].until_at;
        if (until_at && (!first || until_at < first))
            first = until_at;
    }
    if (!first)
        return -1;
    return first > now ? (int)((first - now + 999) / 1000) : 0;
}

/* poll() takes no more entries than the process may have descriptors, whatever is in them. */
static void wait_for_all(const helper_t *helper, struct pollfd *polled)
{
    nfds_t n = POLLED_RUNS;

    polled[POLLED_CHANNEL] = (struct pollfd){ .fd = helper->channel, .events = POLLIN };
    polled[POLLED_SIGNALS] = (struct pollfd){ .fd = helper->signals, .events = POLLIN };
    for (int i = 0; i < RUNS_MAX; i++) {
        struct pollfd *two = &polled[POLLED_RUNS + 2 * i];
        two[0] = (struct pollfd){ .fd = helper->runs[i].out, .events = POLLIN };
        two[1] = (struct pollfd){ .fd = helper->runs[i].peer }; /* it only goes */
        if (two[0].fd >= 0 || two[1].fd >= 0)
            n = (nfds_t)(POLLED_RUNS + 2 * (i + 1));
    }
    if (poll(polled, n, patience(helper)) < 0 && errno != EINTR)
        poll(NULL, 0, SECOND_LOOK);
}

static void turn(helper_t *helper)
{
    struct pollfd polled[POLLED_COUNT];

    wait_for_all(helper, polled);
    if (polled[POLLED_SIGNALS].revents)
        heed_signals(helper);
    for (int i = 0; i < RUNS_MAX; i++) {
        const struct pollfd *two = &polled[POLLED_RUNS + 2 * i];
        if (two[0].revents && two[0].fd == helper->runs[i].out)
            probe_plugin_run_read(&helper->runs[i]);
        if (two[1].revents && two[1].fd == helper->runs[i].peer)
            probe_plugin_run_forsake(&helper->runs[i]);
    }
    heed_deadlines(helper);
    if (polled[POLLED_CHANNEL].revents)
        hear_all(helper);
}

/* Nothing of httpd's stays: handlers, descriptors, the session. The channel; -1: no /dev/null. */
static int leave_httpd(int fd)
{
    int null = open("/dev/null", O_RDWR);
    int channel = STDERR_FILENO + 1;

    setsid();
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    for (int i = STDIN_FILENO; null >= 0 && i <= STDERR_FILENO; i++)
        dup2(null, i);
    if (fd != channel)
        dup2(fd, channel);
    fcntl(channel, F_SETFD, FD_CLOEXEC);
    closefrom(channel + 1);
    return null < 0 ? -1 : channel;
}

void probe_plugin_serve(int fd, pid_t parent)
{
    static helper_t helper;
    sigset_t heeded;

    helper.channel = leave_httpd(fd);
    for (int i = 0; i < RUNS_MAX; i++)
        helper.runs[i] = (probe_plugin_run_t){ .out = -1, .peer = -1 };
    sigemptyset(&heeded);
    sigaddset(&heeded, SIGCHLD);
    sigaddset(&heeded, SIGTERM);
    sigprocmask(SIG_SETMASK, &heeded, NULL);
    helper.signals = signalfd(-1, &heeded, SFD_NONBLOCK | SFD_CLOEXEC);
    if (helper.channel < 0 || helper.signals < 0)
        _exit(1);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(0);
    for (;;)
        turn(&helper);
}

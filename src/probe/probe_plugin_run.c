#include "probe/probe_plugin_run.h"

#include "probe/probe_clock.h"
#include "probe/probe_plugin_wire.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* As much as a pipe holds; so that one that never stops talking does not hold up the others. */
#define READ_MAX (64 * 1024)

bool probe_plugin_run_is_free(const probe_plugin_run_t *run)
{
    return run->pid == 0 && run->peer < 0;
}

static void close_end(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Two short messages always find room; a ping that has gone needs none. */
static void tell(int peer, const probe_plugin_answer_t *answer)
{
    (void)!send(peer, answer, sizeof(*answer), MSG_NOSIGNAL | MSG_DONTWAIT);
}

void probe_plugin_refuse(int peer, int error, const char *text)
{
    probe_plugin_answer_t answer = { .kind = PROBE_PLUGIN_REFUSED, .number = error };

    apr_cpystrn(answer.text, text, sizeof(answer.text));
    tell(peer, &answer);
}

/* In the child between fork and exec. Descriptors 0 and 2 are /dev/null, as the helper's. */
static void exec_plugin(char *const argv[], int out, pid_t helper)
{
    static char *const environment[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
                                         (char *)"LANG=C", (char *)"LC_ALL=C", NULL };
    static const struct rlimit no_core = { 0, 0 };
    sigset_t none;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != helper) /* it died before it could be told */
        _exit(127);
    dup2(out, STDOUT_FILENO);
    closefrom(STDERR_FILENO + 1);
    setrlimit(RLIMIT_CORE, &no_core);
    (void)!chdir("/");
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(argv[0], argv, environment);
    dprintf(STDOUT_FILENO, "it cannot be run: %s", strerror(errno));
    _exit(127);
}

/* 0, or an errno. */
static int start(probe_plugin_run_t *run, char *const argv[])
{
    pid_t helper = getpid();
    int ends[2], error;

    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return errno;
    fcntl(ends[1], F_SETFL, 0); /* the plugin's end is as any other output */
    run->pid = fork();
    if (run->pid == 0)
        exec_plugin(argv, ends[1], helper);
    error = errno;
    close(ends[1]);
    if (run->pid < 0) {
        run->pid = 0;
        close(ends[0]);
        return error;
    }
    setpgid(run->pid, run->pid); /* both sides do it: whoever comes first */
    run->out = ends[0];
    return 0;
}

void probe_plugin_run_start(probe_plugin_run_t *run, char *const argv[], int peer,
                            apr_time_t until_at)
{
    static const probe_plugin_answer_t begun = { .kind = PROBE_PLUGIN_BEGUN };
    int error;
    char text[FO_REPORT_TEXT];

    *run = (probe_plugin_run_t){
        .out = -1,
        .peer = peer,
        .until_at = until_at,
    };
    error = start(run, argv);
    if (error) {
        apr_snprintf(text, sizeof(text), "the plugin cannot be started: %s", strerror(error));
        probe_plugin_refuse(peer, error == EAGAIN ? 0 : error, text); /* there: a limit of ours */
        close_end(&run->peer);
    } else {
        tell(peer, &begun);
    }
}

/* The first line up to the performance data; one line of ASCII, as it may come from anyone. */
static void keep(probe_plugin_run_t *run, const char *said, ssize_t n)
{
    for (ssize_t i = 0; i < n && !run->is_line_whole; i++) {
        run->is_line_whole = said[i] == '\n' || said[i] == '|' || run->n + 1 == sizeof(run->line);
        if (!run->is_line_whole)
            run->line[run->n++] = said[i] >= 0x20 && said[i] <= 0x7e ? said[i] : '?';
    }
}

void probe_plugin_run_read(probe_plugin_run_t *run)
{
    char said[4096];
    ssize_t n = 1;

    for (size_t taken = 0; run->out >= 0 && taken < READ_MAX; taken += (size_t)n) {
        n = read(run->out, said, sizeof(said));
        if (n == 0)
            close_end(&run->out);
        if (n <= 0)
            return;
        keep(run, said, n);
    }
}

/* It cannot be another's: its leader has not been waited for. */
void probe_plugin_run_kill(probe_plugin_run_t *run)
{
    if (run->pid > 0)
        kill(-run->pid, SIGKILL);
    run->until_at = 0;
}

/* Of one whose time was up the ping is not told: its own clock tells it. */
void probe_plugin_run_ended(probe_plugin_run_t *run, int status)
{
    probe_plugin_answer_t answer = { .kind = PROBE_PLUGIN_ENDED, .number = status };
    bool is_late = run->until_at == 0;

    probe_plugin_run_kill(run);
    probe_plugin_run_read(run);
    close_end(&run->out);
    run->pid = 0;
    if (is_late)
        return;
    while (run->n > 0 && run->line[run->n - 1] == ' ')
        run->n--;
    memcpy(answer.text, run->line, run->n);
    tell(run->peer, &answer);
    close_end(&run->peer);
}

void probe_plugin_run_forsake(probe_plugin_run_t *run)
{
    close_end(&run->peer);
    probe_plugin_run_kill(run);
}

/* Secrets: read at the real start, as root, from a file or a program; never shown. */
#include "httpd/httpd_failover.h"

#include "probe/probe_clock.h"

#include <apr_thread_proc.h>
#include <http_log.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECRET_MAX 1024
#define PROGRAM_SECONDS 10

/* Secrets leave memory with their pool. */
static apr_status_t wipe(void *secret)
{
    explicit_bzero(secret, strlen(secret));
    return APR_SUCCESS;
}

/* The first line, in pool memory that is wiped. */
static const char *keep(const char *text, const char *source, const char **ret_secret,
                        apr_pool_t *pool)
{
    apr_size_t length = strcspn(text, "\r\n");
    char *secret;

    if (length == 0)
        return apr_psprintf(pool, "%s yields no password", source);
    if (length >= SECRET_MAX)
        return apr_psprintf(pool, "%s yields a line of more than %d bytes", source, SECRET_MAX - 1);
    secret = apr_pstrmemdup(pool, text, length);
    apr_pool_cleanup_register(pool, secret, wipe, apr_pool_cleanup_null);
    *ret_secret = secret;
    return NULL;
}

static const char *check_file(int fd, const char *path, const char **ret_warning, apr_pool_t *pool)
{
    struct stat info;

    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return apr_psprintf(pool, "%s is no plain file", path);
    if (info.st_mode & (S_IRGRP | S_IROTH))
        *ret_warning = apr_psprintf(pool,
                                    "%s holds a password and is readable by others: "
                                    "chmod 0400 %s",
                                    path, path);
    return NULL;
}

static const char *read_file(const char *path, const char **ret_secret, const char **ret_warning,
                             apr_pool_t *pool)
{
    char text[SECRET_MAX + 1] = "";
    const char *error;
    ssize_t n;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return apr_psprintf(pool, "%s cannot be read: %s", path, strerror(errno));
    error = check_file(fd, path, ret_warning, pool);
    if (!error) {
        n = read(fd, text, SECRET_MAX);
        error = n < 0 ? apr_psprintf(pool, "%s cannot be read: %s", path, strerror(errno))
                      : keep(text, path, ret_secret, pool);
    }
    close(fd);
    explicit_bzero(text, sizeof(text));
    return error;
}

/* Milliseconds until then, for poll(); 0: it is past. */
static int left_until(apr_time_t until_at)
{
    apr_time_t left = until_at - probe_clock_now();

    return left > 0 ? (int)(left / 1000) + 1 : 0;
}

/* Reads until the end; what is too much is dropped. False: the deadline came first. */
static bool read_output(int fd, char *text, apr_size_t size, apr_time_t until_at)
{
    apr_size_t length = 0;
    char rest[256];

    for (;;) {
        struct pollfd polled = { .fd = fd, .events = POLLIN };
        if (left_until(until_at) == 0)
            return false;
        if (poll(&polled, 1, left_until(until_at)) <= 0)
            continue; /* a signal, or the deadline */
        bool is_full = length + 1 >= size;
        ssize_t n = is_full ? read(fd, rest, sizeof(rest))
                            : read(fd, text + length, size - 1 - length);
        if (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN))
            return true;
        if (n > 0 && !is_full)
            length += (apr_size_t)n;
        text[length] = '\0';
    }
}

/* In the child between fork and exec. Its own process group, so that it can be ended whole. */
static void exec_program(char **argv, int out)
{
    int null = open("/dev/null", O_RDWR);

    setpgid(0, 0);
    dup2(null, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    closefrom(STDERR_FILENO + 1);
    execv(argv[0], argv);
    _exit(127);
}

static bool wait_exit(pid_t pid, int *ret_status, apr_time_t until_at)
{
    do {
        if (waitpid(pid, ret_status, WNOHANG) == pid)
            return true;
        poll(NULL, 0, 10);
    } while (left_until(until_at) > 0);
    return false;
}

static const char *run_program(char **argv, char *text, apr_size_t size, apr_pool_t *pool)
{
    apr_time_t until_at = probe_clock_now() + PROGRAM_SECONDS * APR_USEC_PER_SEC;
    int ends[2], status = 0;
    bool in_time;
    pid_t pid;

    if (pipe2(ends, O_CLOEXEC) != 0)
        return apr_psprintf(pool, "%s cannot be run: %s", argv[0], strerror(errno));
    pid = fork();
    if (pid == 0)
        exec_program(argv, ends[1]);
    close(ends[1]);
    in_time = pid > 0 && read_output(ends[0], text, size, until_at) &&
              wait_exit(pid, &status, until_at);
    close(ends[0]);
    if (pid < 0)
        return apr_psprintf(pool, "%s cannot be run: %s", argv[0], strerror(errno));
    if (!in_time) {
        kill(-pid, SIGKILL);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        return apr_psprintf(pool, "%s was not done within %ds", argv[0], PROGRAM_SECONDS);
    }
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return apr_psprintf(pool, "%s failed with %s %d", argv[0],
                            WIFEXITED(status) ? "exit code" : "signal",
                            WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return NULL;
}

static const char *read_program(const char *line, const char **ret_secret, apr_pool_t *pool,
                                apr_pool_t *ptemp)
{
    char text[SECRET_MAX + 1] = "";
    char **argv = NULL;
    const char *error;

    if (apr_tokenize_to_argv(line, &argv, ptemp) != APR_SUCCESS || !argv[0])
        return apr_psprintf(pool, "exec:%s is no command line", line);
    error = run_program(argv, text, sizeof(text), pool);
    if (!error)
        error = keep(text, argv[0], ret_secret, pool);
    explicit_bzero(text, sizeof(text));
    return error;
}

const char *httpd_secret_read(const httpd_secret_t *secret, const char **ret_secret,
                              const char **ret_warning, apr_pool_t *pool, apr_pool_t *ptemp)
{
    return secret->kind == HTTPD_SECRET_FILE
               ? read_file(secret->source, ret_secret, ret_warning, pool)
               : read_program(secret->source, ret_secret, pool, ptemp);
}

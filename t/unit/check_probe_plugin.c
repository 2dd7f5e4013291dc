/* A real helper, forked as httpd's parent does, and plugins of every kind. */
#include "probe/probe_plugin.h"

#include "core/fo_report.h"
#include "probe/probe_clock.h"
#include "probe/probe_plugin_wire.h"

#include "unit.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT (10 * SEC) /* for what should take no time */
#define EXACT (50 * MS)

static char folder[] = "/tmp/fo-plugin-XXXXXX";
static int n_scripts;
static int ask_fd;
static pid_t helper;
static fo_report_t report;

/* ---------------------------------------------------------------- a helper and its plugins */

static void setup(void)
{
    unit_setup();
    strcpy(folder + strlen(folder) - 6, "XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    n_scripts = 0;
    ask_fd = -1;
    helper = 0;
    probe_plugin_reset(pool);
}

static void remove_folder(void)
{
    char path[600];
    DIR *dir = opendir(folder);

    for (const struct dirent *entry; dir && (entry = readdir(dir)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        unlink(path);
    }
    closedir(dir);
    rmdir(folder);
}

static void teardown(void)
{
    if (ask_fd >= 0)
        close(ask_fd);
    probe_plugin_ask_at(-1);
    if (helper > 0)
        waitpid(helper, NULL, 0);
    remove_folder();
    unit_teardown();
}

static char *in_folder(const char *name)
{
    return apr_pstrcat(pool, folder, "/", name, NULL);
}

/* A shell script. D in its place stands for the folder. */
static const char *script(const char *body)
{
    char *path = in_folder(apr_psprintf(pool, "plugin%d", n_scripts++));
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0755);

    dprintf(fd, "#!/bin/sh\nD=%s\n%s\n", folder, body);
    close(fd);
    return path;
}

static const char *configure(const char *path, const char *args, const char *warning,
                             const fo_login_t *login, void **ret_conf)
{
    static const fo_login_t nobody = { 0 };
    fo_url_t url = { .text = "plugin://", .scheme = "plugin", .path = path };
    apr_table_t *options = apr_table_make(pool, 2);
    const char *note = NULL, *error;

    if (args)
        apr_table_setn(options, "args", args);
    if (warning)
        apr_table_setn(options, "warning", warning);
    error = fo_probe_plugin.configure(&url, login ? login : &nobody, options, ret_conf, &note,
                                      pool);
    ck_assert_ptr_null(note);
    return error;
}

static void *plugin(const char *path, const char *args)
{
    void *conf = NULL;

    unit_expect(configure(path, args, NULL, NULL, &conf), NULL);
    return conf;
}

static void start_helper(void)
{
    pid_t parent = getpid();
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    helper = fork();
    if (helper == 0) {
        close(ends[0]);
        probe_plugin_serve(ends[1], parent);
    }
    close(ends[1]);
    ask_fd = ends[0];
    probe_plugin_ask_at(ask_fd);
}

/* ---------------------------------------------------------------- pings */

typedef struct ping_t {
    char state[64];
    fo_wait_t wait;
    fo_report_t report;
    fo_progress_e progress;
    apr_time_t began_at, own_at, until_at;
} ping_t;

static void begin(ping_t *ping, const void *conf, apr_interval_time_t budget)
{
    fo_ask_t ask = { .budget = budget };

    memset(ping, 0, sizeof(*ping));
    ck_assert_uint_le(fo_probe_plugin.steps->state_size, sizeof(ping->state));
    ping->began_at = probe_clock_now();
    ping->until_at = ping->began_at + budget;
    ping->progress = fo_probe_plugin.steps->begin(ping->state, conf, &ask, &ping->wait,
                                                  &ping->report);
    ping->own_at = ping->wait.timeout ? ping->began_at + ping->wait.timeout : 0;
}

/* As the loop: the probe's own timer first. */
static void turn(ping_t *ping)
{
    struct pollfd polled = { .fd = ping->wait.fd, .events = ping->wait.events };
    apr_interval_time_t left = ping->until_at - probe_clock_now();
    int n = poll(&polled, 1, left > 0 ? (int)(left / 1000) + 1 : 0);
    bool is_due = ping->own_at && probe_clock_now() >= ping->own_at;

    if (n > 0 || is_due) {
        ping->progress = fo_probe_plugin.steps->step(ping->state, n > 0 ? polled.revents : 0,
                                                     &ping->wait, &ping->report);
        ping->own_at = ping->wait.timeout ? probe_clock_now() + ping->wait.timeout : 0;
    } else if (probe_clock_now() >= ping->until_at) {
        fo_report_timeout(&ping->report, FO_VERDICT_FAIL, ping->until_at - ping->began_at);
        ping->progress = FO_DONE;
    }
}

static void finish(ping_t *ping)
{
    while (ping->progress == FO_MORE)
        turn(ping);
    fo_probe_plugin.steps->end(ping->state);
    ping->report.took = probe_clock_now() - ping->began_at;
    report = ping->report;
}

static void ask(const void *conf, apr_interval_time_t budget)
{
    ping_t ping;

    begin(&ping, conf, budget);
    finish(&ping);
}

static void expect(fo_verdict_e verdict, int code, const char *text)
{
    ck_assert_str_eq(report.text, text);
    ck_assert_int_eq(report.verdict, verdict);
    ck_assert_int_eq(report.code, code);
}

/* ---------------------------------------------------------------- waiting */

static void pause_shortly(void)
{
    poll(NULL, 0, 1);
}

static bool is_there(const char *name)
{
    return access(in_folder(name), F_OK) == 0;
}

static void wait_for_file(const char *name)
{
    for (apr_time_t until_at = probe_clock_now() + LIMIT; !is_there(name); pause_shortly())
        ck_assert_msg(probe_clock_now() < until_at, "%s does not come", name);
}

/* That a plugin wrote there; whole, as it was moved there. */
static pid_t pid_in(const char *name)
{
    int pid = 0;

    wait_for_file(name);
    FILE *file = fopen(in_folder(name), "r");
    ck_assert_int_eq(fscanf(file, "%d", &pid), 1);
    fclose(file);
    return pid;
}

static bool has_gone(pid_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static void wait_until_gone(pid_t pid)
{
    for (apr_time_t until_at = probe_clock_now() + LIMIT; !has_gone(pid); pause_shortly())
        ck_assert_msg(probe_clock_now() < until_at, "process %d does not go", (int)pid);
}

/* ---------------------------------------------------------------- configuration */

START_TEST(what_cannot_be_run_is_refused)
{
    static const fo_login_t user = { .user = "me" }, secret = { .has_secret = true };
    const char *good = script("exit 0"), *plain = script("exit 0");
    void *conf = NULL;

    chmod(plain, 0644);
    unit_expect(configure(good, NULL, NULL, NULL, &conf), NULL);
    unit_expect(configure(good, "-w 5 'two words'", "fail", NULL, &conf), NULL);
    unit_expect(configure(good, NULL, "pass", NULL, &conf), NULL);
    unit_expect(configure(plain, NULL, NULL, NULL, &conf), "is not executable: chmod +x ");
    unit_expect(configure(folder, NULL, NULL, NULL, &conf), "no plain file|check_load");
    unit_expect(configure("/no/such/plugin", NULL, NULL, NULL, &conf),
                "/no/such/plugin cannot be used: No such file");
    unit_expect(configure(good, NULL, "on", NULL, &conf), "'on' is neither pass nor fail");
    unit_expect(configure(good, NULL, NULL, &user, &conf), "no user and no password|command line");
    unit_expect(configure(good, NULL, NULL, &secret, &conf), "no user and no password");
}
END_TEST

START_TEST(equal_commands_are_one)
{
    const char *one = script("exit 0"), *other = script("exit 0");
    void *conf;

    ck_assert(!probe_plugin_is_used());
    unit_expect(configure(one, "a b", NULL, NULL, &conf), NULL);
    unit_expect(configure(one, "a  'b'", "fail", NULL, &conf), NULL);
    ck_assert(probe_plugin_is_used());
    ck_assert_ptr_nonnull(probe_plugin_command(0));
    ck_assert_ptr_null(probe_plugin_command(1));
    unit_expect(configure(one, "a", NULL, NULL, &conf), NULL);
    unit_expect(configure(other, "a", NULL, NULL, &conf), NULL);
    ck_assert_ptr_nonnull(probe_plugin_command(2));
    ck_assert_ptr_null(probe_plugin_command(3));
    probe_plugin_reset(pool);
    ck_assert(!probe_plugin_is_used());
}
END_TEST

/* ---------------------------------------------------------------- what the answers mean */

static const struct {
    const char *body;
    const char *warning;
    fo_verdict_e verdict;
    int code;
    const char *text;
} answers[] = {
    { "echo 'OK - fine|load=0.1'; exit 0", NULL, FO_VERDICT_PASS, 0, "OK - fine" },
    { "echo slow; exit 1", NULL, FO_VERDICT_PASS, 1, "slow" },
    { "echo slow; exit 1", "fail", FO_VERDICT_FAIL, 1, "slow" },
    { "echo 'CRITICAL - off | x=1'; exit 2", NULL, FO_VERDICT_FAIL, 2, "CRITICAL - off" },
    { "echo off; exit 2", "fail", FO_VERDICT_FAIL, 2, "off" },
    { "echo usage; exit 3", NULL, FO_VERDICT_SELF, 3, "usage" },
    { "exit 0", NULL, FO_VERDICT_PASS, 0, "OK" },
    { "exit 2", NULL, FO_VERDICT_FAIL, 2, "CRITICAL" },
    { "exit 3", "fail", FO_VERDICT_SELF, 3, "UNKNOWN" },
    { "exit 4", NULL, FO_VERDICT_SELF, 4, "the plugin ended with exit code 4" },
    { "echo what; exit 255", NULL, FO_VERDICT_SELF, 255,
      "the plugin ended with exit code 255: what" },
    { "kill -SEGV $$", NULL, FO_VERDICT_SELF, 11, "the plugin ended with signal 11" },
    { "kill -PIPE $$", NULL, FO_VERDICT_SELF, 13, "the plugin ended with signal 13" },
    { "echo fine; kill -KILL $$", NULL, FO_VERDICT_SELF, 9,
      "the plugin ended with signal 9: fine" },
    { "printf 'no end of line'; exit 2", NULL, FO_VERDICT_FAIL, 2, "no end of line" },
    { "printf 'first\\nsecond\\n'; exit 2", NULL, FO_VERDICT_FAIL, 2, "first" },
    { "printf 'a\\tb\\033[1m\\303\\251\\n'; exit 2", NULL, FO_VERDICT_FAIL, 2, "a?b?[1m??" },
    { "printf 'a\\0b\\n'; exit 2", NULL, FO_VERDICT_FAIL, 2, "a?b" },
    { "printf o; sleep 0.05; printf 'ff\\nmore'; exit 2", NULL, FO_VERDICT_FAIL, 2, "off" },
    { "echo wrong >&2; exit 2", NULL, FO_VERDICT_FAIL, 2, "CRITICAL" },
    { "exec >&-; exit 2", NULL, FO_VERDICT_FAIL, 2, "CRITICAL" },
    { "read x && echo $x; exit 2", NULL, FO_VERDICT_FAIL, 2, "CRITICAL" },
};

START_TEST(each_answer_has_its_meaning)
{
    void *conf = NULL;

    unit_expect(configure(script(answers[_i].body), NULL, answers[_i].warning, NULL, &conf), NULL);
    start_helper();
    ask(conf, LIMIT);
    expect(answers[_i].verdict, answers[_i].code, answers[_i].text);
    ck_assert_int_eq(report.stage, FO_STAGE_ANSWER);
}
END_TEST

START_TEST(a_line_that_is_too_long_is_cut)
{
    void *conf = plugin(script("head -c 1000 /dev/zero | tr '\\0' x; exit 2"), NULL);

    start_helper();
    ask(conf, LIMIT);
    ck_assert_int_eq(report.verdict, FO_VERDICT_FAIL);
    ck_assert_uint_eq(strlen(report.text), FO_REPORT_TEXT - 1);
    ck_assert_uint_eq(strspn(report.text, "x"), FO_REPORT_TEXT - 1);
}
END_TEST

START_TEST(a_flood_is_read_and_dropped)
{
    void *flood = plugin(script("echo off; head -c 104857600 /dev/zero; exit 2"), NULL);
    void *endless = plugin(script("exec cat /dev/zero"), NULL);
    void *other = plugin(script("exit 0"), NULL);
    ping_t ping;

    start_helper();
    ask(flood, 60 * SEC);
    expect(FO_VERDICT_FAIL, 2, "off");
    begin(&ping, endless, 500 * MS);
    ask(other, LIMIT); /* is not held up */
    expect(FO_VERDICT_PASS, 0, "OK");
    finish(&ping);
    expect(FO_VERDICT_FAIL, 0, "timed out after 500ms");
}
END_TEST

START_TEST(words_are_split_and_no_shell_sees_them)
{
    void *conf = plugin(script("echo \"$#\" \"$1\" \"$2\" \"$3\"; exit 2"),
                        "-w  'two words' $(id);*");

    start_helper();
    ask(conf, LIMIT);
    expect(FO_VERDICT_FAIL, 2, "3 -w two words $(id);*");
}
END_TEST

START_TEST(a_plugin_that_has_gone_is_our_own_fault)
{
    const char *path = script("exit 0");
    void *conf = plugin(path, NULL);

    start_helper();
    unlink(path);
    ask(conf, LIMIT);
    expect(FO_VERDICT_SELF, 127,
           "the plugin ended with exit code 127: it cannot be run: No such file or directory");
}
END_TEST

/* ---------------------------------------------------------------- what a plugin is given */

START_TEST(it_has_three_descriptors)
{
    void *conf = plugin("/bin/ls", "-m /proc/self/fd");

    for (int fd = 20; fd < 40; fd += 3)
        dup2(STDIN_FILENO, fd);
    start_helper();
    for (int i = 0; i < 3; i++) { /* one of them leaks into none of the next */
        ask(conf, LIMIT);
        expect(FO_VERDICT_PASS, 0, "0, 1, 2, 3"); /* 3 is ls's own, of the folder */
    }
    for (int fd = 20; fd < 40; fd += 3)
        close(fd);
}
END_TEST

START_TEST(it_has_an_environment_of_its_own)
{
    void *conf = plugin(script("echo $(env | grep -vE '^(PWD|OLDPWD|SHLVL|_)=' | sort) $(pwd)"),
                        NULL);

    setenv("SECRET", "Geheim7", 1);
    start_helper();
    ask(conf, LIMIT);
    expect(FO_VERDICT_PASS, 0, "LANG=C LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin /");
    unsetenv("SECRET");
}
END_TEST

/* But for 32 and 33, which are the C library's own. */
#define SOME_SIGNAL                                                                                \
    "'^Sig(Blk|Ign):.(.{0,6}[1-9a-f]|.{7}[2-9a-f]|.{8}[1-79a-f]|.{9,15}[1-9a-f])'"

START_TEST(signals_are_as_usual)
{
    void *conf = plugin("/bin/grep", "-hE " SOME_SIGNAL " /proc/self/status");
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_BLOCK, &all, NULL);
    signal(SIGPIPE, SIG_IGN);
    start_helper();
    ask(conf, LIMIT);
    sigemptyset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    signal(SIGPIPE, SIG_DFL);
    expect(FO_VERDICT_PASS, 1, "WARNING"); /* grep found nothing */
}
END_TEST

/* ---------------------------------------------------------------- the end of a plugin */

#define SAYS_PID(name) "echo $$ >$D/t." name "; mv $D/t." name " $D/" name "; "
#define OFFSPRING(name) "sh -c 'trap \"\" TERM; echo $$ >'$D'/t; mv '$D'/t '$D'/" name "; " \
                        "sleep 600; :' & "

static const char *const hanging[] = {
    SAYS_PID("leader") "while :; do printf x; sleep 1; done",
    SAYS_PID("leader") "exec sleep 600",
    "trap '' TERM INT HUP; " SAYS_PID("leader") "sleep 600; sleep 600",
    "trap '' TERM; " OFFSPRING("child") SAYS_PID("leader") "wait; wait",
};

/* The best of some tries, as others use this machine as well. */
START_TEST(at_the_deadline_the_whole_group_is_killed)
{
    void *conf = plugin(script(hanging[_i]), NULL);
    bool has_child = strstr(hanging[_i], "/child") != NULL;
    apr_interval_time_t best = LIMIT;

    start_helper();
    for (int i = 0; i < 10 && best > EXACT; i++) {
        ping_t ping;
        begin(&ping, conf, 400 * MS);
        pid_t leader = pid_in("leader"), child = has_child ? pid_in("child") : leader;
        while (!has_gone(leader) || !has_gone(child))
            poll(NULL, 0, 1);
        apr_interval_time_t late = probe_clock_now() - ping.until_at;
        ck_assert_int_ge(late, 0);
        best = late < best ? late : best;
        finish(&ping);
        expect(FO_VERDICT_FAIL, 0, "timed out after 400ms");
        ck_assert_int_eq(report.stage, FO_STAGE_ASK);
        unlink(in_folder("leader"));
        unlink(in_folder("child"));
    }
    ck_assert_int_le(best, EXACT);
}
END_TEST

START_TEST(a_ping_that_is_given_up_ends_its_plugin)
{
    void *conf = plugin(script(hanging[3]), NULL);
    ping_t ping;

    start_helper();
    begin(&ping, conf, 600 * SEC);
    pid_t leader = pid_in("leader"), child = pid_in("child");
    fo_probe_plugin.steps->end(ping.state);
    wait_until_gone(leader);
    wait_until_gone(child);
}
END_TEST

START_TEST(what_is_left_behind_is_killed_and_not_waited_for)
{
    void *conf = plugin(script(OFFSPRING("child") "while [ ! -e $D/child ]; do sleep 0.01; done; "
                                                  "echo off; exit 2"), NULL);

    start_helper();
    ask(conf, LIMIT);
    expect(FO_VERDICT_FAIL, 2, "off");
    wait_until_gone(pid_in("child"));
}
END_TEST

START_TEST(one_that_closes_its_output_is_waited_for)
{
    void *conf = plugin(script("exec >&-; sleep 0.2; exit 1"), NULL);

    start_helper();
    ask(conf, LIMIT);
    expect(FO_VERDICT_PASS, 1, "WARNING");
    ck_assert_int_ge(report.took, 200 * MS);
}
END_TEST

/* ---------------------------------------------------------------- many */

START_TEST(several_run_at_a_time)
{
    void *conf = plugin(script("echo $$ >$D/$$; while [ ! -e $D/go ]; do sleep 0.01; done; exit 0"),
                        NULL);
    ping_t ping[8];

    start_helper();
    for (int i = 0; i < COUNT(ping); i++)
        begin(&ping[i], conf, LIMIT);
    close(open(in_folder("go"), O_CREAT | O_WRONLY, 0644));
    for (int i = 0; i < COUNT(ping); i++) {
        finish(&ping[i]);
        expect(FO_VERDICT_PASS, 0, "OK");
    }
}
END_TEST

START_TEST(too_many_are_our_own_fault)
{
    void *conf = plugin(script("exec sleep 600"), NULL), *quick = plugin("/bin/true", NULL);
    static ping_t ping[64];

    start_helper();
    for (int i = 0; i < COUNT(ping); i++)
        begin(&ping[i], conf, 600 * SEC);
    ask(quick, LIMIT);
    expect(FO_VERDICT_SELF, 0, "too many plugins run at once, or cannot be killed");
    for (int i = 0; i < COUNT(ping); i++)
        fo_probe_plugin.steps->end(ping[i].state);
    for (int i = 0; i < 1000 && report.verdict == FO_VERDICT_SELF; i++)
        ask(quick, LIMIT);
    expect(FO_VERDICT_PASS, 0, "OK"); /* there is room again */
}
END_TEST

/* The helper has as many descriptors as it needs for itself and the ping. */
START_TEST(a_plugin_that_cannot_be_started_is_our_own_fault)
{
    void *conf = plugin("/bin/true", NULL);
    struct rlimit usual, few;

    getrlimit(RLIMIT_NOFILE, &usual);
    few = usual;
    few.rlim_cur = 7;
    start_helper();
    ask(conf, LIMIT);
    expect(FO_VERDICT_PASS, 0, "OK");
    prlimit(helper, RLIMIT_NOFILE, &few, NULL);
    ask(conf, LIMIT);
    expect(FO_VERDICT_SELF, 0, "the plugin cannot be started: Too many open files");
    ck_assert_int_eq(report.status, EMFILE);
    prlimit(helper, RLIMIT_NOFILE, &usual, NULL);
    ask(conf, LIMIT);
    expect(FO_VERDICT_PASS, 0, "OK");
}
END_TEST

/* Neither descriptors nor zombies. */
START_TEST(nothing_is_left_of_many_pings)
{
    void *conf = plugin(script(OFFSPRING("x") "exit 0"), NULL);
    void *count = plugin(script("echo $(ls /proc/$PPID/fd | wc -l) "
                                "$(cat /proc/$PPID/task/$PPID/children | wc -w)"),
                         NULL);
    char first[FO_REPORT_TEXT];

    start_helper();
    ask(count, LIMIT);
    strcpy(first, report.text);
    for (int i = 0; i < 100; i++) {
        ask(conf, LIMIT);
        expect(FO_VERDICT_PASS, 0, "OK");
    }
    for (int i = 0; i < 100 && (i == 0 || strcmp(first, report.text) != 0); i++)
        ask(count, LIMIT);
    ck_assert_str_eq(report.text, first);
}
END_TEST

/* ---------------------------------------------------------------- the end of the helper */

static void stop_helper(void)
{
    int status;

    kill(helper, SIGSTOP);
    waitpid(helper, &status, WUNTRACED);
    ck_assert(WIFSTOPPED(status));
}

START_TEST(without_a_helper_nothing_is_known)
{
    void *conf = plugin("/bin/true", NULL);

    ask(conf, LIMIT);
    expect(FO_VERDICT_SELF, 0, "there is no helper process that runs plugins");
    start_helper();
    kill(helper, SIGKILL);
    waitpid(helper, NULL, 0);
    helper = 0;
    ask(conf, LIMIT);
    expect(FO_VERDICT_SELF, 0, "there is no helper process that runs plugins");
}
END_TEST

START_TEST(a_helper_that_dies_leaves_no_plugin)
{
    void *conf = plugin(script(hanging[1]), NULL);
    ping_t ping;

    start_helper();
    begin(&ping, conf, LIMIT);
    pid_t leader = pid_in("leader");
    kill(helper, SIGKILL);
    waitpid(helper, NULL, 0);
    helper = 0;
    finish(&ping);
    expect(FO_VERDICT_SELF, 0, "the helper process that runs plugins has ended");
    wait_until_gone(leader);
}
END_TEST

/* What was asked meanwhile and given up is not run later. */
START_TEST(a_helper_that_hangs_is_our_own_fault)
{
    void *mark = plugin(script("echo >$D/ran"), NULL), *conf = plugin("/bin/true", NULL);

    start_helper();
    stop_helper();
    ask(mark, 200 * MS);
    expect(FO_VERDICT_SELF, 0, "the helper process that runs plugins does not answer");
    ck_assert_int_ge(report.took, 200 * MS);
    kill(helper, SIGCONT);
    ask(conf, LIMIT);
    expect(FO_VERDICT_PASS, 0, "OK");
    ck_assert(!is_there("ran"));
}
END_TEST

START_TEST(a_helper_that_is_overwhelmed_is_our_own_fault)
{
    void *conf = plugin("/bin/true", NULL);
    static ping_t ping[2000];
    int n = 0;

    start_helper();
    stop_helper();
    do
        begin(&ping[n], conf, LIMIT);
    while (ping[n].progress == FO_MORE && ++n < COUNT(ping));
    ck_assert_int_lt(n, COUNT(ping));
    ck_assert_int_eq(ping[n].report.verdict, FO_VERDICT_SELF);
    for (int i = 0; i <= n; i++)
        fo_probe_plugin.steps->end(ping[i].state);
    kill(helper, SIGCONT);
}
END_TEST

/* What is left of the time once the helper has come to it is not the plugin's to answer for. */
START_TEST(a_helper_that_is_late_is_our_own_fault)
{
    void *conf = plugin(script("sleep 600"), NULL);
    ping_t ping;

    start_helper();
    stop_helper();
    begin(&ping, conf, SEC);
    poll(NULL, 0, 600);
    kill(helper, SIGCONT);
    finish(&ping);
    expect(FO_VERDICT_SELF, 0, "the helper process that runs plugins is overwhelmed");
}
END_TEST

/* Of the last one who could ask it, and by SIGTERM. */
START_TEST(the_helper_ends_with_all_plugins)
{
    void *conf = plugin(script(hanging[3]), NULL);
    int status = -1;
    ping_t ping;

    start_helper();
    begin(&ping, conf, 600 * SEC);
    pid_t leader = pid_in("leader"), child = pid_in("child");
    if (_i == 0) {
        close(ask_fd);
        ask_fd = -1;
    } else {
        kill(helper, SIGTERM);
    }
    waitpid(helper, &status, 0);
    helper = 0;
    ck_assert_int_eq(status, 0);
    wait_until_gone(leader);
    wait_until_gone(child);
    fo_probe_plugin.steps->end(ping.state);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("probe_plugin");
    TCase *tc = tcase_create("probe_plugin");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_set_timeout(tc, 60);
    tcase_add_test(tc, what_cannot_be_run_is_refused);
    tcase_add_test(tc, equal_commands_are_one);
    tcase_add_loop_test(tc, each_answer_has_its_meaning, 0, COUNT(answers));
    tcase_add_test(tc, a_line_that_is_too_long_is_cut);
    tcase_add_test(tc, a_flood_is_read_and_dropped);
    tcase_add_test(tc, words_are_split_and_no_shell_sees_them);
    tcase_add_test(tc, a_plugin_that_has_gone_is_our_own_fault);
    tcase_add_test(tc, it_has_three_descriptors);
    tcase_add_test(tc, it_has_an_environment_of_its_own);
    tcase_add_test(tc, signals_are_as_usual);
    tcase_add_loop_test(tc, at_the_deadline_the_whole_group_is_killed, 0, COUNT(hanging));
    tcase_add_test(tc, a_ping_that_is_given_up_ends_its_plugin);
    tcase_add_test(tc, what_is_left_behind_is_killed_and_not_waited_for);
    tcase_add_test(tc, one_that_closes_its_output_is_waited_for);
    tcase_add_test(tc, several_run_at_a_time);
    tcase_add_test(tc, too_many_are_our_own_fault);
    tcase_add_test(tc, a_plugin_that_cannot_be_started_is_our_own_fault);
    tcase_add_test(tc, nothing_is_left_of_many_pings);
    tcase_add_test(tc, without_a_helper_nothing_is_known);
    tcase_add_test(tc, a_helper_that_dies_leaves_no_plugin);
    tcase_add_test(tc, a_helper_that_hangs_is_our_own_fault);
    tcase_add_test(tc, a_helper_that_is_overwhelmed_is_our_own_fault);
    tcase_add_test(tc, a_helper_that_is_late_is_our_own_fault);
    tcase_add_loop_test(tc, the_helper_ends_with_all_plugins, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

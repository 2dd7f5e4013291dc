/*
 * Not with libmemcached: its memcached_version() follows a NULL pointer when a server says
 * "VERSION\r\n", takes "220 smtp ready" for a version and "VERSION 0.5.0" for none, and starts its
 * time-out anew with every byte.
 */
#include "probe/probe_memcached.h"

#include "core/fo_parse.h"
#include "probe/probe_clock.h"
#include "probe/probe_connect.h"
#include "probe/probe_weight.h"
#include "probe/probe_words.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define NODES_MAX 64
#define ANSWER_MAX 96
#define WORDS_SHOWN "40"
#define QUESTION "version\r\n"

/* How often a socket file whose queue is full is tried again. */
#define FILE_PAUSE (20 * 1000)

/* One node of the URL, and what is known of it. */
typedef struct node_t {
    const fo_peer_t *peer;
    const char *path; /* of its socket file; NULL: TCP */
    unsigned n_ways;  /* addresses, or 1 for a socket file */
    unsigned tried;
    int fd;              /* -1: done */
    apr_time_t until_at; /* for the address in hand */
    fo_stage_e stage;
    fo_stage_e failed_stage; /* where the failure to be reported happened */
    unsigned failed_weight;
    fo_verdict_e verdict;
    apr_status_t status;
    size_t n_answer;
    char answer[ANSWER_MAX];
} node_t;

typedef struct meaning_t {
    const char *prefix;
    fo_verdict_e verdict;
} meaning_t;

/* Any other line is a FAIL. */
static const meaning_t meanings[] = {
    { .prefix = "VERSION ", .verdict = FO_VERDICT_PASS },
    { .prefix = "ERROR Too many open connections", .verdict = FO_VERDICT_BUSY },
    { .prefix = "CLIENT_ERROR unauthenticated", .verdict = FO_VERDICT_LOGIN },
};

/* From the best to the worst: the worst node decides. */
static const fo_verdict_e by_rank[] = {
    FO_VERDICT_PASS, FO_VERDICT_LOGIN, FO_VERDICT_SELF, FO_VERDICT_BUSY, FO_VERDICT_FAIL,
};

static const char *const said_of[FO_VERDICT_COUNT] = {
    [FO_VERDICT_FAIL] = "dead",
    [FO_VERDICT_BUSY] = "full",
    [FO_VERDICT_LOGIN] = "asking for a login",
    [FO_VERDICT_SELF] = "not asked",
};

/* What is kept is the path of a socket file; NULL: TCP. */
static const char *configure(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, void **ret_conf, const char **ret_warning,
                             apr_pool_t *pool)
{
    const char *path = apr_table_get(options, "socket");
    const char *error = path ? fo_parse_socket(path, pool) : NULL;

    (void)ret_warning;
    if (url->user || login->user || login->has_secret)
        return "memcached:// takes no user and no password: `version` is asked without a login";
    if (url->path[0] && strcmp(url->path, "/") != 0)
        return apr_psprintf(pool, "%s: memcached:// takes no path", url->text);
    if (error)
        return apr_psprintf(pool, "socket=: %s", error);
    if (path && url->n_hosts > 1)
        return "socket= is one server's, and the URL names several";
    *ret_conf = path ? apr_pstrdup(pool, path) : NULL;
    return NULL;
}

static void finish(node_t *node, fo_verdict_e verdict, apr_status_t status)
{
    if (node->fd >= 0)
        close(node->fd);
    node->fd = -1;
    node->verdict = verdict;
    node->status = status;
}

/* An address failed: that or what another one failed with before, whichever is heavier. */
static void give_up(node_t *node, apr_status_t status)
{
    fo_report_t report = {
        .verdict = fo_status_is_self(status) ? FO_VERDICT_SELF : FO_VERDICT_FAIL,
        .stage = node->stage,
        .status = status,
    };
    unsigned weight = node->path ? 0
                                 : probe_weight(&report, node->peer->addresses[node->tried - 1]);

    if (node->tried > 1 && weight < node->failed_weight) {
        node->stage = node->failed_stage;
        finish(node, node->verdict, node->status);
        return;
    }
    node->failed_stage = node->stage;
    node->failed_weight = weight;
    finish(node, report.verdict, status);
}

/* A socket file whose queue is full is tried again until its time is up. */
static int connect_file(const node_t *node)
{
    apr_interval_time_t left;
    int fd;

    while ((fd = probe_connect_file(node->path)) < 0 && errno == EAGAIN) {
        left = node->until_at - probe_clock_now();
        if (left <= 0) {
            errno = APR_TIMEUP;
            break;
        }
        (void)poll(NULL, 0, (int)(((left < FILE_PAUSE ? left : FILE_PAUSE) + 999) / 1000));
    }
    return fd;
}

/* Goes on to the next address, if there is one, with an even share of the time that is left. */
static void try_next(node_t *node, apr_time_t now, apr_time_t deadline_at)
{
    while (node->tried < node->n_ways && now < deadline_at) {
        const char *address = node->path ? NULL : node->peer->addresses[node->tried];
        node->until_at = now + (deadline_at - now) / (node->n_ways - node->tried++);
        node->stage = FO_STAGE_CONNECT;
        node->fd = node->path ? connect_file(node) : probe_connect(address, node->peer->port);
        if (node->fd >= 0) {
            node->n_answer = 0;
            return;
        }
        give_up(node, errno);
    }
}

static void fail(node_t *node, apr_status_t status, apr_time_t deadline_at)
{
    give_up(node, status);
    try_next(node, probe_clock_now(), deadline_at);
}

/* The line is there, or no more of it will come: it is this server's answer, whatever it is. */
static void judge(node_t *node)
{
    fo_verdict_e verdict = FO_VERDICT_FAIL;
    const char *end = memchr(node->answer, '\n', node->n_answer);
    size_t length = end ? (size_t)(end - node->answer) : node->n_answer;

    if (length && node->answer[length - 1] == '\r')
        length--;
    node->answer[length] = '\0';
    for (size_t i = 0; end && i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (strncmp(node->answer, meanings[i].prefix, strlen(meanings[i].prefix)) == 0)
            verdict = meanings[i].verdict;
    probe_words_mask(node->answer);
    finish(node, verdict, 0);
}

static void receive(node_t *node, apr_time_t deadline_at)
{
    size_t room = sizeof(node->answer) - 1 - node->n_answer;
    ssize_t n = recv(node->fd, node->answer + node->n_answer, room, 0);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        node->n_answer += (size_t)n;
    if (n <= 0 && !node->n_answer)
        fail(node, n < 0 ? errno : APR_EOF, deadline_at);
    else if (n <= 0 || (size_t)n == room || memchr(node->answer, '\n', node->n_answer))
        judge(node);
}

/* Connected, or not. A full server says so and closes at once: what it said decides. */
static void ask_version(node_t *node, apr_time_t deadline_at)
{
    int error = 0;
    socklen_t length = sizeof(error);

    (void)getsockopt(node->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        fail(node, error, deadline_at);
        return;
    }
    node->stage = FO_STAGE_ANSWER;
    (void)!send(node->fd, QUESTION, sizeof(QUESTION) - 1, MSG_NOSIGNAL);
}

static void time_out(node_t *node, apr_time_t deadline_at)
{
    if (node->n_answer)
        judge(node);
    else
        fail(node, APR_TIMEUP, deadline_at);
}

/*
 * Waits for any node, until the first of their times is up. False: none is left, or poll() itself
 * cannot wait.
 */
static bool wait_for(const node_t *nodes, unsigned n, struct pollfd *fds)
{
    apr_time_t now = probe_clock_now(), until_at = APR_INT64_MAX;

    for (unsigned i = 0; i < n; i++) {
        fds[i] = (struct pollfd){
            .fd = nodes[i].fd, /* poll() passes over -1 */
            .events = nodes[i].stage == FO_STAGE_CONNECT ? POLLOUT : POLLIN,
        };
        if (nodes[i].fd >= 0 && nodes[i].until_at < until_at)
            until_at = nodes[i].until_at;
    }
    if (until_at == APR_INT64_MAX)
        return false;
    return poll(fds, n, until_at > now ? (int)((until_at - now + 999) / 1000) : 0) >= 0 ||
           errno == EINTR; /* then revents are as set above */
}

static void ask_nodes(node_t *nodes, unsigned n, apr_time_t deadline_at)
{
    struct pollfd fds[NODES_MAX];

    while (wait_for(nodes, n, fds)) {
        apr_time_t now = probe_clock_now();
        for (unsigned i = 0; i < n; i++) {
            if (fds[i].revents && nodes[i].stage == FO_STAGE_CONNECT)
                ask_version(&nodes[i], deadline_at);
            else if (fds[i].revents)
                receive(&nodes[i], deadline_at);
            else if (nodes[i].fd >= 0 && nodes[i].until_at <= now)
                time_out(&nodes[i], deadline_at);
        }
    }
    for (unsigned i = 0; i < n; i++)
        if (nodes[i].fd >= 0)
            finish(&nodes[i], FO_VERDICT_SELF, ENOMEM);
}

/* "Connection refused", "timed out", "answered 'ERROR'". */
static void reason_of(const node_t *node, char *text, size_t size)
{
    if (APR_STATUS_IS_TIMEUP(node->status))
        apr_cpystrn(text, "timed out", size);
    else if (APR_STATUS_IS_EOF(node->status))
        apr_cpystrn(text, "closed the connection", size);
    else if (node->status)
        apr_strerror(node->status, text, size);
    else
        apr_snprintf(text, size, "answered '%." WORDS_SHOWN "s'", node->answer);
}

/* Appends what fits, and ", ..." for what does not. */
static bool append(char *text, const char *more)
{
    size_t used = strlen(text);

    if (used + strlen(more) + sizeof(", ...") > FO_REPORT_TEXT) {
        apr_cpystrn(text + used, ", ...", FO_REPORT_TEXT - used);
        return false;
    }
    apr_cpystrn(text + used, more, FO_REPORT_TEXT - used);
    return true;
}

/* "2 of 3 nodes dead: c1:11211: Connection refused, c3:11211: timed out"; false: too long. */
static bool list(const node_t *nodes, unsigned n, fo_verdict_e verdict, bool with_reasons,
                 char *text)
{
    unsigned n_such = 0;
    const char *separator = ": ";
    char item[FO_REPORT_TEXT], reason[FO_REPORT_TEXT];

    for (unsigned i = 0; i < n; i++)
        n_such += nodes[i].verdict == verdict;
    apr_snprintf(text, FO_REPORT_TEXT, "%u of %u nodes %s", n_such, n, said_of[verdict]);
    for (unsigned i = 0; i < n; i++) {
        const char *name = nodes[i].peer->name;
        bool is_v6 = strchr(name, ':') != NULL;
        if (nodes[i].verdict != verdict)
            continue;
        reason_of(&nodes[i], reason, sizeof(reason));
        apr_snprintf(item, sizeof(item), "%s%s%s%s:%u%s%s", separator, is_v6 ? "[" : "", name,
                     is_v6 ? "]" : "", (unsigned)nodes[i].peer->port, with_reasons ? ": " : "",
                     with_reasons ? reason : "");
        if (!append(text, item))
            return false;
        separator = ", ";
    }
    return true;
}

static unsigned rank_of(fo_verdict_e verdict)
{
    unsigned rank = 0;

    while (by_rank[rank] != verdict)
        rank++;
    return rank;
}

/* Of equals one that timed out: the driver must know that this ping got no answer in time. */
static bool is_worse(const node_t *node, const node_t *other)
{
    unsigned rank = rank_of(node->verdict), than = rank_of(other->verdict);

    return rank > than || (rank == than && APR_STATUS_IS_TIMEUP(node->status));
}

static void fill_report(const node_t *nodes, unsigned n, fo_report_t *report)
{
    const node_t *worst = nodes;
    char text[FO_REPORT_TEXT] = "";

    for (unsigned i = 1; i < n; i++)
        if (is_worse(&nodes[i], worst))
            worst = &nodes[i];
    if (worst->verdict != FO_VERDICT_PASS && n == 1)
        reason_of(worst, text, sizeof(text));
    else if (worst->verdict != FO_VERDICT_PASS && !list(nodes, n, worst->verdict, true, text))
        (void)list(nodes, n, worst->verdict, false, text);
    report->stage = worst->stage;
    fo_report_fill(report, worst->verdict, worst->status, 0, text);
}

static void ask(const void *conf, const fo_ask_t *ask, fo_report_t *report)
{
    node_t nodes[NODES_MAX];
    apr_time_t now = probe_clock_now(), deadline_at = now + ask->budget;

    report->stage = FO_STAGE_CONNECT;
    for (unsigned i = 0; i < ask->n_peers; i++) {
        const fo_peer_t *peer = &ask->peers[i];
        nodes[i] = (node_t){ .peer = peer,
                             .path = conf,
                             .n_ways = conf ? 1 : peer->n_addresses,
                             .fd = -1,
                             .stage = FO_STAGE_CONNECT };
        finish(&nodes[i], FO_VERDICT_FAIL, APR_TIMEUP);
        try_next(&nodes[i], now, deadline_at);
    }
    ask_nodes(nodes, ask->n_peers, deadline_at);
    fill_report(nodes, ask->n_peers, report);
}

static const char *const known_options[] = { "socket", NULL };

const fo_probe_t fo_probe_memcached = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "memcached",
    .summary = "asks every node of a memcached cluster for its version",
    .example = "memcached://cache1.example.com,cache2.example.com:11212",
    .port = 11211,
    .max_hosts = NODES_MAX,
    .options = known_options,
    .configure = configure,
    .ask = ask,
};

/*
 * probe_rig.h: for unit tests of what drives probes: names that resolve as told, and a probe of
 * each of the three forms that does as its conf says and counts its calls.
 */
#ifndef PROBE_RIG_H
#define PROBE_RIG_H

#include "probe_peer.h"

#include "unit.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <stdatomic.h>

/* Names. Numeric addresses and unknown names are libc's. */

static atomic_int rig_changing; /* changing.test: 0, or an EAI_ code */
static sem_t rig_slow;          /* slow.test waits for it */
static atomic_int rig_lookups;  /* of the names below */

static const struct {
    const char *name;
    int error;
    const char *addresses[2];
    int number; /* errno */
} rig_names[] = {
    { "one.test", 0, { "127.0.0.1", NULL }, 0 },
    { "one.test.", 0, { "127.0.0.1", NULL }, 0 },
    { "two.test", 0, { "127.0.0.2", "127.0.0.1" }, 0 },
    { "changing.test", 0, { "127.0.0.1", NULL }, 0 },
    { "slow.test", 0, { "127.0.0.1", NULL }, 0 },
    { "missing.test", EAI_NONAME, { NULL, NULL }, ENOENT },
    { "again.test", EAI_AGAIN, { NULL, NULL }, 0 },
    { "fail.test", EAI_FAIL, { NULL, NULL }, 0 },
    { "files.test", EAI_NONAME, { NULL, NULL }, EMFILE },
    { "system.test", EAI_SYSTEM, { NULL, NULL }, ENFILE },
};

typedef int (*rig_lookup_fn)(const char *, const char *, const struct addrinfo *,
                             struct addrinfo **);

static inline int rig_found(int row, rig_lookup_fn libc, const struct addrinfo *hints,
                            struct addrinfo **ret_found)
{
    struct addrinfo numeric = *hints, **end = ret_found;

    numeric.ai_flags |= AI_NUMERICHOST;
    for (int i = 0; i < 2 && rig_names[row].addresses[i]; i++) {
        int error = libc(rig_names[row].addresses[i], NULL, &numeric, end);
        if (error)
            return error;
        while (*end)
            end = &(*end)->ai_next;
    }
    return 0;
}

/* In place of libc's, for the whole program. */
int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **found)
{
    rig_lookup_fn libc = (rig_lookup_fn)dlsym(RTLD_NEXT, "getaddrinfo");

    for (int i = 0; i < COUNT(rig_names); i++) {
        if ((hints->ai_flags & AI_NUMERICHOST) || strcmp(rig_names[i].name, node) != 0)
            continue;
        atomic_fetch_add(&rig_lookups, 1);
        if (strcmp(node, "slow.test") == 0)
            while (sem_wait(&rig_slow) != 0)
                ;
        if (strcmp(node, "changing.test") == 0 && atomic_load(&rig_changing))
            return atomic_load(&rig_changing);
        errno = rig_names[i].number;
        return rig_names[i].error ? rig_names[i].error : rig_found(i, libc, hints, found);
    }
    return libc(node, service, hints, found);
}

/* What a probe of these tests did, and shall do. */
typedef struct rig_t {
    enum rig_does_e {
        RIG_PASS,  /* an answer of "+OK" passes; steps and asks pass at once */
        RIG_HANG,  /* never says anything; an ask comes back when its budget is spent */
        RIG_STUCK, /* an ask comes back when it is let `go`, whatever its budget */
        RIG_LATER, /* steps: pass after a span without a descriptor */
        RIG_FAIL,  /* steps: fail at once */
        RIG_READ,  /* steps: pass when there is something to read */
    } _Atomic does;
    const char *script; /* steps, in turn: T passes, F fails, h hangs; NULL: as `does` */
    bool takes_all; /* dialogue: each byte is taken at once; else the whole line */
    apr_interval_time_t budget; /* of the last ask; read it once that has `begun` */
    atomic_int n_begun, n_steps, n_ended, n_inside;
    sem_t begun; /* ask and steps: once for each beginning */
    sem_t go;
    struct rig_t *next;
} rig_t;

/* Never freed: a call may outlive its test. */
static rig_t *rig_all;

static inline rig_t *rig_make(enum rig_does_e does)
{
    rig_t *rig = calloc(1, sizeof(*rig));

    rig->next = rig_all;
    rig_all = rig;
    rig->does = does;
    sem_init(&rig->begun, 0, 0);
    sem_init(&rig->go, 0, 0);
    return rig;
}

/* The dialogue: says "HELLO\n", wants one line. */

typedef struct rig_line_t {
    rig_t *rig;
    unsigned n;
    char line[256];
} rig_line_t;

static inline void rig_line_begin(void *state, const void *conf, const fo_ask_t *ask)
{
    rig_line_t *line = state;

    ck_assert_uint_eq(ask->n_peers, 1);
    ck_assert_int_gt(ask->budget, 0);
    line->rig = (rig_t *)conf;
    atomic_fetch_add(&line->rig->n_begun, 1);
}

/* "+OK" passes, "+MORE 127.0.0.1 PORT" passes and names another host, "-LOGIN" and "-BUSY". */
static inline void rig_line_judge(char *text, fo_talk_t *talk, fo_report_t *report)
{
    unsigned port = 0;
    static char host[64];

    if (sscanf(text, "+MORE %63s %u", host, &port) == 2)
        talk->further[talk->n_further++] = (fo_host_t){ .name = host, .port = (apr_port_t)port };
    if (strncmp(text, "+OK", 3) == 0 || port)
        fo_report_fill(report, FO_VERDICT_PASS, 0, 0, NULL);
    else if (strcmp(text, "-LOGIN") == 0)
        fo_report_fill(report, FO_VERDICT_LOGIN, 0, 1045, "login refused");
    else
        fo_report_fill(report, FO_VERDICT_FAIL, APR_EGENERAL, 7, text);
    if (strcmp(text, "+OK, BYE") == 0) {
        memcpy(talk->out + talk->out_length, "BYE\n", 4);
        talk->out_length += 4;
    }
}

static inline fo_progress_e rig_line_turn(void *state, fo_talk_event_e event, fo_talk_t *talk,
                                          fo_report_t *report)
{
    rig_line_t *line = state;
    const char *end;

    if (event == FO_TALK_CONNECTED) {
        memcpy(talk->out, "HELLO\n", 6);
        talk->out_length = 6;
    }
    if (event != FO_TALK_DATA)
        return FO_MORE;
    end = memchr(talk->in, '\n', talk->in_length);
    if (!end && !line->rig->takes_all)
        return FO_MORE;
    for (; talk->taken < talk->in_length; talk->taken++)
        if (line->n < sizeof(line->line) - 1 && talk->in[talk->taken] != '\n')
            line->line[line->n++] = talk->in[talk->taken];
    if (!end)
        return FO_MORE;
    rig_line_judge(line->line, talk, report);
    return FO_DONE;
}

static const fo_dialogue_t rig_dialogue = {
    .state_size = sizeof(rig_line_t),
    .begin = rig_line_begin,
    .turn = rig_line_turn,
};

/* Steps */

typedef struct rig_step_t {
    rig_t *rig;
    int fd;
} rig_step_t;

static inline int rig_connect(const fo_peer_t *peer)
{
    struct sockaddr_in address = { .sin_family = AF_INET, .sin_port = htons(peer->port) };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    inet_pton(AF_INET, peer->addresses[0], &address.sin_addr);
    (void)!connect(fd, (struct sockaddr *)&address, sizeof(address));
    return fd;
}

static inline void rig_follow_script(rig_t *rig, int n)
{
    static const enum rig_does_e does[] = { ['T'] = RIG_PASS, ['F'] = RIG_FAIL, ['h'] = RIG_HANG };

    ck_assert(!rig->script || n < (int)strlen(rig->script));
    if (rig->script)
        rig->does = does[(int)rig->script[n]];
}

static inline fo_progress_e rig_steps_begin(void *state, const void *conf, const fo_ask_t *ask,
                                            fo_wait_t *ret_wait, fo_report_t *report)
{
    rig_step_t *step = state;

    step->rig = (rig_t *)conf;
    step->fd = -1;
    rig_follow_script(step->rig, atomic_fetch_add(&step->rig->n_begun, 1));
    ck_assert_uint_eq(ask->n_peers, 1);
    ck_assert_uint_eq(ask->peers[0].n_addresses, 1);
    report->stage = FO_STAGE_LOGIN;
    *ret_wait = (fo_wait_t){ .fd = -1 };
    if (step->rig->does == RIG_READ)
        *ret_wait = (fo_wait_t){ .fd = step->fd = rig_connect(&ask->peers[0]), .events = POLLIN };
    if (step->rig->does == RIG_LATER)
        ret_wait->timeout = 10 * MS;
    sem_post(&step->rig->begun);
    if (step->rig->does != RIG_PASS && step->rig->does != RIG_FAIL)
        return FO_MORE;
    fo_report_fill(report, step->rig->does == RIG_PASS ? FO_VERDICT_PASS : FO_VERDICT_FAIL, 0,
                   atomic_load(&step->rig->n_begun), NULL);
    return FO_DONE;
}

static inline fo_progress_e rig_steps_step(void *state, short ready, fo_wait_t *ret_wait,
                                           fo_report_t *report)
{
    rig_step_t *step = state;
    char byte;
    ssize_t n = 0;

    (void)ret_wait;
    atomic_fetch_add(&step->rig->n_steps, 1);
    ck_assert_int_eq(ready != 0, step->rig->does == RIG_READ);
    if (ready && (n = recv(step->fd, &byte, 1, 0)) <= 0)
        fo_report_fill(report, FO_VERDICT_FAIL, n < 0 ? errno : APR_EOF, 0, NULL);
    else
        fo_report_fill(report, FO_VERDICT_PASS, 0, 0, NULL);
    return FO_DONE;
}

static inline void rig_steps_end(void *state)
{
    rig_step_t *step = state;

    if (step->fd >= 0)
        close(step->fd);
    atomic_fetch_add(&step->rig->n_ended, 1);
}

static const fo_steps_t rig_steps = {
    .state_size = sizeof(rig_step_t),
    .begin = rig_steps_begin,
    .step = rig_steps_step,
    .end = rig_steps_end,
};

/* Ask */

/* True: it ran out of time. */
static inline bool rig_wait(rig_t *rig, enum rig_does_e does, apr_interval_time_t budget)
{
    while (does == RIG_STUCK && sem_wait(&rig->go) != 0)
        ;
    return does == RIG_HANG && !unit_wait(&rig->go, budget);
}

static inline void rig_ask(const void *conf, const fo_ask_t *ask, fo_report_t *report)
{
    rig_t *rig = (rig_t *)conf;
    enum rig_does_e does = rig->does; /* a test may change it once it has begun */
    char text[FO_REPORT_TEXT] = "";

    ck_assert_int_eq(atomic_fetch_add(&rig->n_inside, 1), 0); /* one call of a check at a time */
    atomic_fetch_add(&rig->n_begun, 1);
    rig->budget = ask->budget;
    sem_post(&rig->begun);
    bool is_late = rig_wait(rig, does, ask->budget);
    for (unsigned i = 0; i < ask->n_peers; i++)
        apr_snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s=%s/%u:%u;",
                     ask->peers[i].name, ask->peers[i].addresses[0], ask->peers[i].n_addresses,
                     (unsigned)ask->peers[i].port);
    if (ask->secret)
        apr_snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s", ask->secret);
    if (is_late)
        peer_timed_out(report);
    else
        fo_report_fill(report, FO_VERDICT_PASS, 0, 0, text);
    atomic_fetch_sub(&rig->n_inside, 1);
    atomic_fetch_add(&rig->n_ended, 1);
}

static const fo_probe_t rig_probe_dialogue = { .scheme = "line", .dialogue = &rig_dialogue };
static const fo_probe_t rig_probe_steps = { .scheme = "steps", .steps = &rig_steps };
static const fo_probe_t rig_probe_ask = { .scheme = "ask", .ask = rig_ask };

/* A URL of one or two hosts. */
static inline fo_url_t *rig_url(const char *host, apr_port_t port, const char *second,
                                apr_port_t second_port)
{
    fo_host_t *hosts = apr_pcalloc(pool, 2 * sizeof(*hosts));
    fo_url_t *url = apr_pcalloc(pool, sizeof(*url));

    hosts[0] = (fo_host_t){ .name = host, .port = port };
    hosts[1] = (fo_host_t){ .name = second, .port = second_port };
    url->hosts = hosts;
    url->n_hosts = second ? 2 : 1;
    url->path = "";
    return url;
}

#endif

/*
 * probe_peer.h: for unit tests of probes: a peer on loopback that plays a script, and a loop that
 * drives steps with an exact budget as the driver does.
 */
#ifndef PROBE_PEER_H
#define PROBE_PEER_H

#include "mod_failover.h"

#include <arpa/inet.h>
#include <check.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PEER_BUDGET (200 * 1000)

/* By which a budget may be missed. Under a sanitizer it is no measure. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define PEER_SLACK (500 * 1000)
#else
#define PEER_SLACK (50 * 1000)
#endif

/* One line of a script. */
typedef struct peer_line_t {
    unsigned await; /* first reads until this many bytes have come */
    const char *bytes;
    size_t length;
    apr_interval_time_t pause; /* after each byte; 0: all at once */
} peer_line_t;

/* What a peer does when its script is through. */
typedef enum {
    PEER_HOLD,  /* reads on until the other side closes */
    PEER_CLOSE, /* closes */
    PEER_RESET  /* closes with a reset */
} peer_end_e;

typedef struct peer_t {
    int fd;
    apr_port_t port;
    const peer_line_t *lines; /* ends with a line without bytes */
    peer_end_e end;
    char got[4096]; /* what it was sent; to be read after peer_stop() */
    size_t n_got;
    pthread_t thread;
    bool is_running;
} peer_t;

static inline apr_time_t peer_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return apr_time_from_sec(now.tv_sec) + now.tv_nsec / 1000;
}

/* Takes a port. Until someone listens, a connect to it is refused. */
static inline void peer_bind(peer_t *peer)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    socklen_t length = sizeof(address);

    *peer = (peer_t){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(bind(peer->fd, (struct sockaddr *)&address, length), 0);
    ck_assert_int_eq(getsockname(peer->fd, (struct sockaddr *)&address, &length), 0);
    peer->port = ntohs(address.sin_port);
}

/* Connects succeed, and nothing ever comes. */
static inline void peer_mute(peer_t *peer)
{
    peer_bind(peer);
    ck_assert_int_eq(listen(peer->fd, 8), 0);
}

/* Connects hang: the queue of one is full. */
static inline void peer_full(peer_t *peer)
{
    struct sockaddr_in address = { .sin_family = AF_INET };

    peer_bind(peer);
    address.sin_port = htons(peer->port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(listen(peer->fd, 0), 0);
    for (int i = 0; i < 3; i++) { /* closed by the end of the test's process */
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)!connect(fd, (struct sockaddr *)&address, sizeof(address));
    }
}

static inline bool peer_read(peer_t *peer, int fd)
{
    ssize_t n = recv(fd, peer->got + peer->n_got, sizeof(peer->got) - peer->n_got, 0);

    peer->n_got += n > 0 ? (size_t)n : 0;
    return n > 0;
}

static inline void peer_send(int fd, const peer_line_t *line)
{
    size_t chunk = line->pause ? 1 : line->length;

    for (size_t i = 0; i < line->length; i += chunk) {
        if (send(fd, line->bytes + i, chunk, MSG_NOSIGNAL) < 0)
            return;
        if (line->pause)
            usleep((useconds_t)line->pause);
    }
}

static inline void *peer_play(void *opaque)
{
    peer_t *peer = opaque;
    struct linger reset = { .l_onoff = 1 };
    int fd = accept(peer->fd, NULL, NULL);

    for (const peer_line_t *line = peer->lines; line->bytes; line++) {
        size_t enough = peer->n_got + line->await;
        while (peer->n_got < enough && peer_read(peer, fd))
            ;
        peer_send(fd, line);
    }
    while (peer->end == PEER_HOLD && peer_read(peer, fd))
        ;
    if (peer->end == PEER_RESET)
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
    close(fd);
    return NULL;
}

static inline void peer_start(peer_t *peer, const peer_line_t *lines, peer_end_e end)
{
    peer_mute(peer);
    peer->lines = lines;
    peer->end = end;
    peer->is_running = true;
    ck_assert_int_eq(pthread_create(&peer->thread, NULL, peer_play, peer), 0);
}

static inline void peer_stop(peer_t *peer)
{
    if (peer->is_running) {
        shutdown(peer->fd, SHUT_RDWR); /* ends an accept() that nobody has met */
        pthread_join(peer->thread, NULL);
    }
    close(peer->fd);
}

/* A time-out as the driver reports it. */
static inline void peer_timed_out(fo_report_t *report)
{
    fo_report_fill(report, FO_VERDICT_FAIL, APR_TIMEUP, 0, "timed out");
}

/* Waits as told: poll()'s revents, 0 for the timeout, or -1 when the deadline has come. */
static inline int peer_wait(const fo_wait_t *wait, apr_time_t deadline_at)
{
    struct pollfd fd = { .fd = wait->fd, .events = wait->events };
    apr_interval_time_t left = deadline_at - peer_now();
    apr_interval_time_t pause = wait->timeout && wait->timeout < left ? wait->timeout : left;

    if (left <= 0)
        return -1;
    if (poll(&fd, 1, (int)((pause + 999) / 1000)) > 0)
        return fd.revents;
    return pause < left ? 0 : -1;
}

/* Drives steps to their end. took: all of it, end() too. */
static inline void peer_drive(const fo_probe_t *probe, const void *conf, const fo_ask_t *ask,
                              fo_report_t *report)
{
    apr_time_t began_at = peer_now();
    void *state = calloc(1, probe->steps->state_size);
    fo_wait_t wait;
    fo_progress_e progress;

    *report = (fo_report_t){ 0 };
    progress = probe->steps->begin(state, conf, ask, &wait, report);
    while (progress == FO_MORE) {
        int ready = peer_wait(&wait, began_at + ask->budget);
        if (ready < 0) {
            peer_timed_out(report);
            break;
        }
        progress = probe->steps->step(state, (short)ready, &wait, report);
    }
    probe->steps->end(state);
    free(state);
    report->took = peer_now() - began_at;
}

#endif

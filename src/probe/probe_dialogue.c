/* Dialogues: the driver that owns the socket of a probe which only knows bytes. */
#include "probe/probe_flight.h"

#include "core/fo_report.h"
#include "probe/probe_connect.h"
#include "probe/probe_pages.h"
#include "probe/probe_stream.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define IN_BYTES (16 * 1024)
#define OUT_BYTES (4 * 1024)

/* Between two tries to connect to a Unix socket whose queue is full. */
#define RETRY (20 * 1000)

typedef enum {
    CONNECTING,
    SECURING,
    TALKING
} phase_e;

typedef struct connection_t {
    probe_stream_t stream;
    phase_e phase;
    short wants; /* what it takes to send the rest of `out`, and to receive */
    char *in;
    char *out;
    apr_size_t in_length;
    apr_size_t out_length; /* said and not yet sent */
    apr_status_t unsent;   /* why the peer takes no more; 0: it does, or has just closed */
    apr_size_t in_most;    /* that it has held */
    fo_talk_t talk;
    _Alignas(max_align_t) char state[]; /* the probe's, zeroed; then `out` and `in` */
} connection_t;

static const fo_dialogue_t *dialogue_of(const probe_flight_t *flight)
{
    return flight->order.check->probe->dialogue;
}

static void settle_error(probe_flight_t *flight, fo_stage_e stage, int error, apr_time_t now)
{
    flight->report.stage = stage;
    fo_report_fill(&flight->report, fo_status_is_self(error) ? FO_VERDICT_SELF : FO_VERDICT_FAIL,
                   error, 0, NULL);
    probe_flight_settle(flight, now);
}

/* A call of the stream has failed. */
static void settle_stream(probe_flight_t *flight, const connection_t *connection, fo_stage_e stage,
                          apr_status_t status, apr_time_t now)
{
    /* TLS 1.3 hears after the handshake what the server thinks of the certificate. */
    if (status == PROBE_STREAM_BROKEN) {
        flight->report.stage = FO_STAGE_TLS;
        fo_report_fill(&flight->report, FO_VERDICT_FAIL, 0, 0, connection->stream.words);
        probe_flight_settle(flight, now);
    } else if (APR_STATUS_IS_EOF(status)) {
        flight->report.stage = stage;
        fo_report_fill(&flight->report, FO_VERDICT_FAIL, status, 0, "closed early");
        probe_flight_settle(flight, now);
    } else {
        settle_error(flight, stage, status, now);
    }
}

static const char *path_of(const fo_check_t *check)
{
    return check->socket ? check->socket : check->url->path;
}

/* Reached by a path. */
static bool is_file(const probe_flight_t *flight)
{
    return flight->peer.name[0] == '\0';
}

/* The descriptor, or -1 with errno. */
static int start_connect(const probe_flight_t *flight)
{
    const fo_peer_t *peer = &flight->peer;

    return is_file(flight) ? probe_connect_file(path_of(flight->order.check))
                           : probe_connect(peer->addresses[0], peer->port);
}

/*
 * A peer that takes no more may have said why: what is left is dropped, and the next read tells. An
 * error is told once, so that after it a reset looks like a close.
 */
static void send_out(connection_t *connection)
{
    apr_status_t status = 0;
    size_t n;

    while (connection->out_length > 0 && !status) {
        status = probe_stream_send(&connection->stream, connection->out, connection->out_length,
                                   &n);
        connection->out_length -= n;
        memmove(connection->out, connection->out + n, connection->out_length);
    }
    if (status == EAGAIN)
        connection->wants |= connection->stream.wants;
    else if (status)
        connection->out_length = 0;
    if (status && status != EAGAIN && status != EPIPE)
        connection->unsent = status;
}

static void wait_more(probe_flight_t *flight, const connection_t *connection, apr_time_t now)
{
    flight->events = (short)(POLLIN | connection->wants);
    flight->wake_at = connection->talk.quiet ? now + connection->talk.quiet : 0;
}

/* Hosts that the dialogue has named must pass as well. */
static void add_further(probe_flight_t *flight, const fo_talk_t *talk)
{
    if (talk->n_further > FO_FURTHER_MAX ||
        !probe_flight_add_hosts(flight, talk->further, talk->n_further))
        fo_report_fill(&flight->report, FO_VERDICT_FAIL, APR_EGENERAL, 0, "names too many hosts");
}

/* What a turn has taken of the input goes, what it said is sent. True: it goes on. */
static bool after_turn(probe_flight_t *flight, connection_t *connection, fo_progress_e progress,
                       apr_time_t now)
{
    const fo_talk_t *talk = &connection->talk;

    if (talk->taken > 0 && talk->taken <= connection->in_length) {
        connection->in_length -= talk->taken;
        memmove(connection->in, connection->in + talk->taken, connection->in_length);
    }
    if (talk->out_length <= talk->out_room)
        connection->out_length += talk->out_length;
    send_out(connection); /* of a verdict's farewell, what can be sent at once */
    if (progress == FO_MORE)
        return true;
    if (talk->n_further && flight->report.verdict == FO_VERDICT_PASS)
        add_further(flight, talk);
    probe_flight_settle(flight, now);
    return false;
}

static bool take_turn(probe_flight_t *flight, connection_t *connection, fo_talk_event_e event,
                      apr_time_t now)
{
    fo_talk_t *talk = &connection->talk;

    talk->in = connection->in;
    talk->in_length = connection->in_length;
    talk->taken = 0;
    talk->out = connection->out + connection->out_length;
    talk->out_room = OUT_BYTES - connection->out_length;
    talk->out_length = 0;
    return after_turn(flight, connection,
                      dialogue_of(flight)->turn(connection->state, event, talk, &flight->report),
                      now);
}

static void begin_talk(probe_flight_t *flight, connection_t *connection, apr_time_t now)
{
    connection->phase = TALKING;
    flight->report.stage = FO_STAGE_ASK;
    if (take_turn(flight, connection, FO_TALK_CONNECTED, now))
        wait_more(flight, connection, now);
}

static void shake(probe_flight_t *flight, connection_t *connection, apr_time_t now)
{
    apr_status_t status = probe_stream_shake(&connection->stream);

    flight->events = connection->stream.wants;
    if (!status)
        begin_talk(flight, connection, now);
    else if (status != EAGAIN)
        settle_stream(flight, connection, FO_STAGE_TLS, status, now);
}

/* Of a socket the name is the URL's. */
static const char *name_of(const probe_flight_t *flight)
{
    return is_file(flight) ? flight->order.check->url->hosts[0].name : flight->peer.name;
}

static void secure(probe_flight_t *flight, connection_t *connection, apr_time_t now)
{
    apr_status_t status = probe_stream_secure(&connection->stream, flight->order.check->tls,
                                              name_of(flight));

    connection->phase = SECURING;
    flight->report.stage = FO_STAGE_TLS;
    if (status)
        settle_error(flight, FO_STAGE_TLS, status, now);
    else
        shake(flight, connection, now);
}

static void connected(probe_flight_t *flight, connection_t *connection, apr_time_t now)
{
    if (flight->order.check->tls)
        secure(flight, connection, now);
    else
        begin_talk(flight, connection, now);
}

/*
 * A socket file is connected at once, or not at all; where its queue is full, there is nothing to
 * be polled for.
 */
static void try_connect(probe_flight_t *flight, connection_t *connection, apr_time_t now)
{
    int error;

    connection->stream.fd = flight->fd = start_connect(flight);
    error = flight->fd < 0 ? errno : 0;
    flight->events = POLLOUT;
    if (error == EAGAIN && is_file(flight))
        flight->wake_at = now + RETRY;
    else if (error)
        settle_error(flight, FO_STAGE_CONNECT, error, now);
    else if (is_file(flight))
        connected(flight, connection, now);
}

static size_t size_of_head(const probe_flight_t *flight)
{
    return sizeof(connection_t) + dialogue_of(flight)->state_size;
}

static size_t size_of_connection(const probe_flight_t *flight)
{
    return size_of_head(flight) + OUT_BYTES + IN_BYTES;
}

/* NULL: no memory. */
static connection_t *make_connection(const probe_flight_t *flight)
{
    connection_t *connection = probe_pages_take(size_of_connection(flight));

    if (!connection)
        return NULL;
    connection->out = (char *)connection + size_of_head(flight);
    connection->in = connection->out + OUT_BYTES;
    connection->stream.fd = -1;
    return connection;
}

static void drop_connection(const probe_flight_t *flight, connection_t *connection)
{
    explicit_bzero(connection->in, connection->in_most);
    explicit_bzero(connection, size_of_head(flight) + OUT_BYTES);
    probe_pages_give(connection, size_of_connection(flight));
}

static void begin(probe_flight_t *flight, apr_time_t now)
{
    const fo_dialogue_t *dialogue = dialogue_of(flight);
    connection_t *connection = make_connection(flight);

    flight->state = connection;
    if (!connection) {
        settle_error(flight, FO_STAGE_CONNECT, ENOMEM, now);
        return;
    }
    if (dialogue->begin)
        dialogue->begin(connection->state, flight->order.check->conf, &flight->ask);
    try_connect(flight, connection, now);
}

/* Where nobody listens on a port of the ephemeral range, a socket can connect to itself. */
static bool is_own_echo(int fd, apr_port_t port)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage room;
    } own = { 0 }, peer = { 0 };
    socklen_t own_length = sizeof(own), peer_length = sizeof(peer);

    return getsockname(fd, &own.any, &own_length) == 0 &&
           (own.any.sa_family == AF_INET ? own.v4.sin_port : own.v6.sin6_port) == htons(port) &&
           getpeername(fd, &peer.any, &peer_length) == 0 && own_length == peer_length &&
           memcmp(&own, &peer, own_length) == 0;
}

/* Of a connect that has failed poll() says so. */
static int error_of(int fd, short events)
{
    int error = 0;
    socklen_t length = sizeof(error);

    if (!(events & (POLLERR | POLLHUP)))
        return 0;
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 ? error : errno;
}

static void connect_ended(probe_flight_t *flight, connection_t *connection, short events,
                          apr_time_t now)
{
    int error = error_of(connection->stream.fd, events);

    if (!error && is_own_echo(connection->stream.fd, flight->peer.port))
        error = ECONNREFUSED;
    if (error)
        settle_error(flight, FO_STAGE_CONNECT, error, now);
    else
        connected(flight, connection, now);
}

typedef enum {
    OVER,
    NOTHING,
    SOME
} received_e;

static received_e receive(probe_flight_t *flight, connection_t *connection, apr_time_t now)
{
    apr_status_t status;
    size_t n;

    if (connection->in_length == IN_BYTES) {
        flight->report.stage = FO_STAGE_ANSWER;
        fo_report_fill(&flight->report, FO_VERDICT_FAIL, APR_EGENERAL, 0, "the answer is too long");
        probe_flight_settle(flight, now);
        return OVER;
    }
    status = probe_stream_receive(&connection->stream, connection->in + connection->in_length,
                                  IN_BYTES - connection->in_length, &n);
    if (status == EAGAIN) {
        connection->wants |= connection->stream.wants;
        return NOTHING;
    }
    flight->report.stage = FO_STAGE_ANSWER;
    connection->in_length += n;
    if (connection->in_length > connection->in_most)
        connection->in_most = connection->in_length;
    if (!status)
        return take_turn(flight, connection, FO_TALK_DATA, now) ? SOME : OVER;
    if (APR_STATUS_IS_EOF(status) && !take_turn(flight, connection, FO_TALK_CLOSED, now))
        return OVER;
    if (APR_STATUS_IS_EOF(status) && connection->unsent)
        status = connection->unsent;
    settle_stream(flight, connection, flight->report.stage, status, now);
    return OVER;
}

static void talk(probe_flight_t *flight, connection_t *connection, apr_time_t now)
{
    received_e received;

    connection->wants = 0;
    send_out(connection);
    do
        received = receive(flight, connection, now);
    while (received == SOME && probe_stream_holds_more(&connection->stream));
    if (received == SOME)
        wait_more(flight, connection, now);
    else if (received == NOTHING)
        flight->events = connection->wants; /* the silence goes on */
}

static void ready(probe_flight_t *flight, short events, apr_time_t now)
{
    connection_t *connection = flight->state;

    switch (connection->phase) {
    case CONNECTING:
        connect_ended(flight, connection, events, now);
        break;
    case SECURING:
        shake(flight, connection, now);
        break;
    case TALKING:
        talk(flight, connection, now);
        break;
    }
}

static void timer(probe_flight_t *flight, apr_time_t now)
{
    connection_t *connection = flight->state;

    flight->wake_at = 0;
    if (connection->stream.fd < 0)
        try_connect(flight, connection, now);
    else if (take_turn(flight, connection, FO_TALK_QUIET, now))
        wait_more(flight, connection, now);
}

static void finish(probe_flight_t *flight)
{
    connection_t *connection = flight->state;

    flight->state = NULL;
    if (!connection)
        return;
    probe_stream_close(&connection->stream, flight->report.verdict != FO_VERDICT_FAIL);
    drop_connection(flight, connection);
}

const probe_form_t probe_form_dialogue = {
    .begin = begin,
    .ready = ready,
    .timer = timer,
    .finish = finish,
};

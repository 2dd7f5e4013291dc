/*
 * One ping from start to report, over real loopback sockets and an invented clock: no test waits
 * for a span to pass.
 */
#include "probe/probe_flight.h"

#include "core/fo_report.h"
#include "probe/probe_clock.h"
#include "probe/probe_tcp.h"
#include "probe/probe_weight.h"
#include "probe_rig.h"

#include <fcntl.h>
#include <sys/un.h>

#define TIMEOUT (3 * SEC)

static probe_field_t field;
static probe_calls_t calls[2];
static sem_t woken;
static fo_check_t check;
static probe_order_t order;
static rig_t *rig;
static peer_t peer;
static probe_flight_t *flight;
static apr_time_t now;

static void wake(void *unused)
{
    (void)unused;
    sem_post(&woken);
}

static void setup(void)
{
    unit_setup();
    sem_init(&woken, 0, 0);
    sem_init(&rig_slow, 0, 0);
    field.resolver = probe_resolver_make(4, wake, NULL);
    field.askers = probe_workers_make(2, wake, NULL);
    calls[0] = (probe_calls_t){ 0 };
    field.calls = calls;
    rig = rig_make(RIG_PASS);
    now = 1000 * SEC;
}

static void teardown(void)
{
    if (flight)
        probe_flight_free(flight);
    ck_assert(probe_workers_stop(field.askers, SEC, probe_ask_drop));
    probe_resolver_stop(field.resolver, SEC);
    unit_teardown();
}

/* Starts a ping of this probe. */
static void start(const fo_probe_t *probe, const fo_url_t *url)
{
    check = (fo_check_t){ .probe = probe, .conf = rig, .url = url, .secret = "Geheim7" };
    order.check = &check;
    order.timeout = TIMEOUT;
    flight = probe_flight_start(&field, &order, now);
    ck_assert_ptr_nonnull(flight);
}

static void start_local(const fo_probe_t *probe)
{
    start(probe, rig_url("127.0.0.1", peer.port, NULL, 0));
}

/* What a loop does when poll() has found something. */
static void pump(void)
{
    struct pollfd fd = { .fd = flight->fd, .events = flight->events };

    ck_assert_int_ge(flight->fd, 0);
    ck_assert_int_eq(poll(&fd, 1, 2000), 1);
    probe_flight_ready(flight, fd.revents, now);
}

static void pump_out(void)
{
    while (!flight->is_over)
        pump();
}

/* The other side of the connection under way. */
static int accept_one(void)
{
    int fd = accept(peer.fd, NULL, NULL);

    ck_assert_int_ge(fd, 0);
    return fd;
}

static void say(int fd, const char *text)
{
    ck_assert_int_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
}

static void reset(int fd)
{
    struct linger linger = { .l_onoff = 1 };

    setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(fd);
}

/* Until the flight's socket has something other than room to write. */
static void await_input(void)
{
    struct pollfd fd = { .fd = flight->fd, .events = POLLIN };

    ck_assert_int_eq(poll(&fd, 1, 2000), 1);
}

static void expect(fo_verdict_e verdict, fo_stage_e stage, apr_status_t status)
{
    ck_assert_msg(flight->is_over, "it goes on");
    ck_assert_msg(flight->report.verdict == verdict && flight->report.stage == stage &&
                  flight->report.status == status, "verdict %d, stage %s, status %d: %s",
                  flight->report.verdict, fo_stage_name(flight->report.stage),
                  flight->report.status, flight->report.text);
    ck_assert_int_eq(flight->report.took, now - flight->started_at);
}

/* Dialogues */

/* Connected, and greeted: the other side's socket. */
static int greet(void)
{
    char greeting[6];
    int fd;

    peer_mute(&peer);
    start_local(&rig_probe_dialogue);
    fd = accept_one();
    pump();
    ck_assert_int_eq(recv(fd, greeting, sizeof(greeting), MSG_WAITALL), 6);
    ck_assert_mem_eq(greeting, "HELLO\n", 6);
    return fd;
}

static const struct {
    const char *text;
    fo_verdict_e verdict;
    apr_status_t status;
    int code;
} answers[] = {
    { "+OK\n", FO_VERDICT_PASS, 0, 0 },
    { "+OK and more than was asked for\n", FO_VERDICT_PASS, 0, 0 },
    { "-LOGIN\n", FO_VERDICT_LOGIN, 0, 1045 },
    { "-ERR\n", FO_VERDICT_FAIL, APR_EGENERAL, 7 },
    { "\x01\xff garbage \n", FO_VERDICT_FAIL, APR_EGENERAL, 7 },
};

static void expect_answer(int i)
{
    expect(answers[i].verdict, FO_STAGE_ANSWER, answers[i].status);
    ck_assert_int_eq(flight->report.code, answers[i].code);
    ck_assert_int_eq(flight->fd, -1);
}

START_TEST(answer_at_once)
{
    int fd = greet();

    say(fd, answers[_i].text);
    pump_out();
    expect_answer(_i);
}
END_TEST

/* Byte by byte: undecided until the last one, whether the probe takes them one by one or not. */
START_TEST(answer_byte_by_byte)
{
    int row = _i / 2, fd;

    rig->takes_all = _i % 2;
    fd = greet();
    for (const char *c = answers[row].text; *c; c++) {
        ck_assert(!flight->is_over);
        ck_assert_int_eq(send(fd, c, 1, 0), 1);
        pump();
    }
    expect_answer(row);
}
END_TEST

START_TEST(answer_and_close)
{
    int fd = greet();

    say(fd, answers[_i].text);
    close(fd);
    pump_out();
    expect_answer(_i);
}
END_TEST

START_TEST(closed_early)
{
    int fd = greet();

    if (_i)
        say(fd, "+O");
    close(fd);
    pump_out();
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_EOF);
    ck_assert_str_eq(flight->report.text, "closed early");
}
END_TEST

START_TEST(reset_by_the_peer)
{
    reset(greet());
    pump_out();
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, ECONNRESET);
}
END_TEST

/* After poll() has been asked; the error is told to whoever sends, and to nobody after that. */
START_TEST(reset_just_before_it_is_asked)
{
    peer_mute(&peer);
    start_local(&rig_probe_dialogue);
    reset(accept_one());
    await_input();
    probe_flight_ready(flight, POLLOUT, now);
    pump_out();
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, ECONNRESET);
}
END_TEST

START_TEST(connection_refused)
{
    peer_bind(&peer);
    start_local(&rig_probe_dialogue);
    pump_out();
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED);
}
END_TEST

/* An answer that never ends is held up to a cap. */
START_TEST(answer_is_too_long)
{
    char chunk[1024];
    int fd = greet();

    memset(chunk, 'x', sizeof(chunk));
    for (int i = 0; i < 17 && !flight->is_over; i++) {
        (void)!send(fd, chunk, sizeof(chunk), MSG_NOSIGNAL);
        pump();
    }
    pump_out();
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_EGENERAL);
    ck_assert_str_eq(flight->report.text, "the answer is too long");
}
END_TEST

/* What is decided stands, though the peer no longer takes the farewell. */
START_TEST(decided_before_the_farewell)
{
    int fd = greet();

    say(fd, "+OK, BYE\n");
    await_input();
    if (_i)
        reset(fd);
    pump_out();
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
    if (!_i) {
        char farewell[4];
        ck_assert_int_eq(recv(fd, farewell, 4, MSG_WAITALL), 4);
        ck_assert_mem_eq(farewell, "BYE\n", 4);
    }
}
END_TEST

/*
 * A dialogue that leaves its secret wherever it may write, and finds nothing of the ping before.
 * What lies behind its input is looked at once that is empty.
 */
#define REMAINS "Geheim7"

typedef struct litter_t {
    char text[64];
} litter_t;

static void expect_zeroes(const char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(bytes[i] == 0, "byte %zu is %d", i, bytes[i]);
}

static void litter_begin(void *state, const void *conf, const fo_ask_t *ask)
{
    (void)conf;
    (void)ask;
    expect_zeroes(state, sizeof(litter_t));
    strcpy(((litter_t *)state)->text, REMAINS);
}

static fo_progress_e litter_turn(void *state, fo_talk_event_e event, fo_talk_t *talk,
                                 fo_report_t *report)
{
    (void)state;
    if (event == FO_TALK_CONNECTED) {
        expect_zeroes(talk->out, talk->out_room);
        expect_zeroes(talk->in, 4 * sizeof(REMAINS));
        for (apr_size_t i = 0; i + sizeof(REMAINS) < talk->out_room; i += sizeof(REMAINS))
            strcpy(talk->out + i, REMAINS);
        return FO_MORE;
    }
    talk->taken = talk->in_length;
    if (event != FO_TALK_QUIET)
        talk->quiet = 1;
    if (event == FO_TALK_DATA)
        return FO_MORE;
    fo_report_fill(report, FO_VERDICT_PASS, 0, 0, NULL);
    return FO_DONE;
}

static const fo_dialogue_t litter_dialogue = {
    .state_size = sizeof(litter_t),
    .begin = litter_begin,
    .turn = litter_turn,
};

static const fo_probe_t litter_probe = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "litter",
    .dialogue = &litter_dialogue,
};

START_TEST(finds_nothing_of_the_ping_before)
{
    int fds[3];

    peer_mute(&peer);
    for (int i = 0; i < COUNT(fds); i++) {
        start_local(&litter_probe);
        fds[i] = accept_one();
        say(fds[i], REMAINS);
        pump();
        await_input();
        pump();
        now += 1;
        probe_flight_tick(flight, now);
        expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
        probe_flight_free(flight);
        flight = NULL;
    }
    for (int i = 0; i < COUNT(fds); i++)
        close(fds[i]);
}
END_TEST

START_TEST(descriptors_close_on_exec)
{
    peer_mute(&peer);
    start_local(&rig_probe_dialogue);
    ck_assert_int_eq(fcntl(flight->fd, F_GETFD), FD_CLOEXEC);
}
END_TEST

START_TEST(no_descriptor_is_our_own_fault)
{
    struct rlimit usual;

    peer_mute(&peer);
    usual = unit_leave_descriptors(0);
    start_local(&rig_probe_dialogue);
    setrlimit(RLIMIT_NOFILE, &usual);
    expect(FO_VERDICT_SELF, FO_STAGE_CONNECT, EMFILE);
}
END_TEST

/* Deadlines */

START_TEST(times_out_while_connecting)
{
    peer_full(&peer);
    start_local(&rig_probe_dialogue);
    now += TIMEOUT - 1;
    probe_flight_tick(flight, now);
    ck_assert(!flight->is_over);
    now += 1;
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, APR_TIMEUP);
    ck_assert_str_eq(flight->report.text, "timed out after 3s");
}
END_TEST

START_TEST(times_out_while_asking)
{
    greet();
    ck_assert_int_eq(probe_flight_wake_at(flight), now + TIMEOUT);
    now += TIMEOUT;
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_FAIL, FO_STAGE_ASK, APR_TIMEUP);
    ck_assert_str_eq(flight->report.text, "timed out after 3s");
}
END_TEST

/* A slow drip is no answer: the deadline is for the whole ping. */
START_TEST(times_out_while_dripping)
{
    int fd = greet();

    for (int i = 0; i < 30; i++) {
        say(fd, "+");
        now += TIMEOUT / 30;
        pump();
        probe_flight_tick(flight, now);
    }
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_TIMEUP);
}
END_TEST

static const struct {
    apr_interval_time_t late;
    bool was_starved, is_final;
    fo_verdict_e verdict;
} timeouts[] = {
    { 0, false, false, FO_VERDICT_FAIL },
    { TIMEOUT / 4, false, false, FO_VERDICT_FAIL },
    { TIMEOUT / 4 + 1, false, false, FO_VERDICT_SELF },
    { TIMEOUT / 4 + 1, false, true, FO_VERDICT_FAIL },
    { 0, true, false, FO_VERDICT_SELF },
    { 0, true, true, FO_VERDICT_FAIL },
};

/* What a starved process measured proves nothing, until it had to be thrown away too often. */
START_TEST(time_out_of_the_starved)
{
    order.is_final = timeouts[_i].is_final;
    greet();
    flight->is_starved = timeouts[_i].was_starved;
    now += TIMEOUT + timeouts[_i].late;
    probe_flight_tick(flight, now);
    expect(timeouts[_i].verdict, FO_STAGE_ASK, APR_TIMEUP);
}
END_TEST

static const struct {
    const char *said; /* NULL: reset; empty: closed */
    bool is_final;
    fo_verdict_e verdict;
    apr_status_t status;
} late_answers[] = {
    { "+OK\n", false, FO_VERDICT_PASS, 0 },
    { "-GONE\n", false, FO_VERDICT_FAIL, APR_EGENERAL },
    { NULL, false, FO_VERDICT_SELF, ECONNRESET },
    { NULL, true, FO_VERDICT_FAIL, ECONNRESET },
    { "", false, FO_VERDICT_SELF, APR_EOF },
    { "", true, FO_VERDICT_FAIL, APR_EOF },
};

/*
 * What the server said is believed however late. That it ended a connection on which we made it
 * wait is not, until that had to be thrown away too often.
 */
START_TEST(answers_of_the_starved)
{
    int fd;

    order.is_final = late_answers[_i].is_final;
    fd = greet();
    flight->is_starved = true;
    now += 10 * TIMEOUT;
    if (!late_answers[_i].said)
        reset(fd);
    else if (late_answers[_i].said[0])
        say(fd, late_answers[_i].said);
    else
        close(fd);
    pump_out();
    expect(late_answers[_i].verdict, FO_STAGE_ANSWER, late_answers[_i].status);
}
END_TEST

/* tcp:// and unix:// */

/* Connected; the other side's socket. */
static int connect_tcp(void)
{
    int fd;

    peer_mute(&peer);
    start_local(&fo_probe_tcp);
    fd = accept_one();
    pump();
    ck_assert(!flight->is_over);
    return fd;
}

START_TEST(tcp_silence_passes)
{
    connect_tcp();
    ck_assert_int_eq(probe_flight_wake_at(flight), now + 20 * MS);
    now += 20 * MS - 1;
    probe_flight_tick(flight, now);
    ck_assert(!flight->is_over);
    now += 1;
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_PASS, FO_STAGE_ASK, 0);
}
END_TEST

START_TEST(tcp_banner_passes)
{
    say(connect_tcp(), "220 ready\r\n");
    pump_out();
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
}
END_TEST

START_TEST(tcp_closed_at_once)
{
    close(connect_tcp());
    pump_out();
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, APR_EOF);
    ck_assert_str_eq(flight->report.text, "closed at once");
}
END_TEST

START_TEST(tcp_reset)
{
    reset(connect_tcp());
    pump_out();
    expect(FO_VERDICT_FAIL, FO_STAGE_ANSWER, ECONNRESET);
}
END_TEST

START_TEST(tcp_refused)
{
    peer_bind(&peer);
    start_local(&fo_probe_tcp);
    pump_out();
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED);
}
END_TEST

/* The silence was there: that we woke too late for the deadline as well does not undo it. */
START_TEST(tcp_silence_is_believed_however_late)
{
    order.is_final = _i;
    connect_tcp();
    now += 10 * TIMEOUT;
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_PASS, FO_STAGE_ASK, 0);
}
END_TEST

START_TEST(unix_sockets)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    fo_url_t url = { .path = address.sun_path };
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    apr_snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/check_probe_flight.%d",
                 (int)getpid());
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    if (_i)
        ck_assert_int_eq(listen(fd, 1), 0);
    start(&fo_probe_unix, &url);
    unlink(address.sun_path);
    if (_i) {
        now += 20 * MS;
        probe_flight_tick(flight, now);
        expect(FO_VERDICT_PASS, FO_STAGE_ASK, 0);
    } else {
        expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED);
    }
    close(fd);
}
END_TEST

START_TEST(unix_socket_is_missing)
{
    fo_url_t url = { .path = "/nowhere/at/all.sock" };

    start(&fo_probe_unix, &url);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ENOENT);
}
END_TEST

/* Names */

/* Until the look-up under way has ended, and the flight has taken it in. */
static void await_name(void)
{
    while (sem_wait(&woken) != 0)
        ;
    probe_resolver_collect(field.resolver);
    probe_flight_tick(flight, now);
}

static const struct {
    const char *name;
    fo_verdict_e verdict;
    apr_status_t status;
} unresolved[] = {
    { "missing.test", FO_VERDICT_FAIL, APR_EGENERAL },
    { "again.test", FO_VERDICT_SELF, APR_EGENERAL },
    { "fail.test", FO_VERDICT_SELF, APR_EGENERAL },
    { "files.test", FO_VERDICT_SELF, EMFILE },
    { "system.test", FO_VERDICT_SELF, ENFILE },
};

START_TEST(name_does_not_resolve)
{
    start(&rig_probe_dialogue, rig_url(unresolved[_i].name, 1, NULL, 0));
    await_name();
    expect(unresolved[_i].verdict, FO_STAGE_RESOLVE, unresolved[_i].status);
    ck_assert_ptr_nonnull(strstr(flight->report.text, unresolved[_i].name));
}
END_TEST

/* A look-up that nobody waits for any more comes back. */
static void end_lookup(void)
{
    sem_post(&rig_slow);
    while (sem_wait(&woken) != 0)
        ;
    probe_resolver_collect(field.resolver);
}

/* A resolver that does not answer says nothing of the service. */
START_TEST(name_takes_too_long)
{
    start(&rig_probe_dialogue, rig_url("slow.test", 1, NULL, 0));
    now += TIMEOUT;
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_SELF, FO_STAGE_RESOLVE, APR_TIMEUP);
    end_lookup();
}
END_TEST

/* A first ping by a name that resolves, to its end. */
static void ping_by_name(const char *name)
{
    peer_mute(&peer);
    start(&rig_probe_dialogue, rig_url(name, peer.port, NULL, 0));
    await_name();
    say(accept_one(), "+OK\n");
    pump_out();
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
    probe_flight_free(flight);
}

START_TEST(last_good_address_is_kept)
{
    static const struct {
        int error;
        bool is_kept;
    } errors[] = { { EAI_AGAIN, true }, { EAI_FAIL, true }, { EAI_SYSTEM, true },
                   { EAI_NONAME, false } };

    ping_by_name("changing.test");
    atomic_store(&rig_changing, errors[_i].error);
    start(&rig_probe_dialogue, rig_url("changing.test", peer.port, NULL, 0));
    await_name();
    if (errors[_i].is_kept) {
        say(accept_one(), "+OK\n");
        pump_out();
        expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
    } else {
        expect(FO_VERDICT_FAIL, FO_STAGE_RESOLVE, APR_EGENERAL);
    }
}
END_TEST

/* A slow resolver takes no more than a part of the time when the last address is at hand. */
START_TEST(slow_resolver_and_a_last_good_address)
{
    sem_post(&rig_slow);
    ping_by_name("slow.test");
    start(&rig_probe_dialogue, rig_url("slow.test", peer.port, NULL, 0));
    ck_assert_int_le(probe_flight_wake_at(flight), now + TIMEOUT / 4);
    now = probe_flight_wake_at(flight);
    probe_flight_tick(flight, now);
    say(accept_one(), "+OK\n");
    pump_out();
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
    end_lookup();
}
END_TEST

/* Several addresses: 127.0.0.2, where nobody listens, then 127.0.0.1. */

static void start_at_the_second(void)
{
    peer_mute(&peer);
    start(&rig_probe_dialogue, rig_url("two.test", peer.port, NULL, 0));
    await_name();
    while (atomic_load(&rig->n_begun) < 2)
        pump();
}

START_TEST(second_address_answers)
{
    start_at_the_second();
    say(accept_one(), "+OK\n");
    pump_out();
    expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
}
END_TEST

/* Each address has its share of the time; of several failures the time-out is told of. */
START_TEST(first_address_is_mute)
{
    struct sockaddr_in address = { .sin_family = AF_INET };
    int fd, other = socket(AF_INET, SOCK_STREAM, 0);

    peer_mute(&peer);
    address.sin_port = htons(peer.port);
    inet_pton(AF_INET, "127.0.0.2", &address.sin_addr);
    ck_assert_int_eq(bind(other, (struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(other, 1), 0);
    start(&rig_probe_dialogue, rig_url("two.test", peer.port, NULL, 0));
    await_name();
    pump();
    ck_assert_int_eq(probe_flight_wake_at(flight), now + TIMEOUT / 2);
    now += TIMEOUT / 2;
    probe_flight_tick(flight, now);
    ck_assert(!flight->is_over);
    fd = accept_one();
    pump();
    ck_assert_int_eq(probe_flight_wake_at(flight), now + TIMEOUT / 2);
    if (_i)
        say(fd, "+OK\n");
    else
        reset(fd);
    pump_out();
    if (_i)
        expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
    else
        expect(FO_VERDICT_FAIL, FO_STAGE_ASK, APR_TIMEUP);
    close(other);
}
END_TEST

/* What was refused at one address says nothing where we were too late for the other. */
START_TEST(starved_for_the_second_address)
{
    start_at_the_second();
    flight->is_starved = true;
    now = probe_flight_wake_at(flight);
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_SELF, FO_STAGE_CONNECT, APR_TIMEUP);
}
END_TEST

#define ANYWHERE "127.0.0.1"
#define NOWHERE "255.255.255.255" /* not even a datagram may go there */

/* Groups of equal weight, from the lightest to the heaviest. */
static const struct {
    unsigned weight;
    const char *address;
    fo_verdict_e verdict;
    fo_stage_e stage;
    apr_status_t status;
} weights[] = {
    { 0, NOWHERE, FO_VERDICT_SELF, FO_STAGE_CONNECT, EADDRNOTAVAIL },
    { 0, ANYWHERE, FO_VERDICT_SELF, FO_STAGE_CONNECT, EACCES },
    { 1, ANYWHERE, FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED },
    { 2, ANYWHERE, FO_VERDICT_FAIL, FO_STAGE_CONNECT, APR_TIMEUP },
    { 3, ANYWHERE, FO_VERDICT_SELF, FO_STAGE_CONNECT, APR_TIMEUP },
    { 3, ANYWHERE, FO_VERDICT_SELF, FO_STAGE_CONNECT, EMFILE },
    { 3, ANYWHERE, FO_VERDICT_SELF, FO_STAGE_CONNECT, EADDRNOTAVAIL }, /* ports */
    { 3, ANYWHERE, FO_VERDICT_SELF, FO_STAGE_TLS, EACCES },
};

START_TEST(weight)
{
    fo_report_t report = { .verdict = weights[_i].verdict, .stage = weights[_i].stage,
                           .status = weights[_i].status };

    ck_assert_uint_eq(probe_weight(&report, weights[_i].address), weights[_i].weight);
}
END_TEST

START_TEST(no_address_answers)
{
    peer_bind(&peer);
    start(&rig_probe_dialogue, rig_url("two.test", peer.port, NULL, 0));
    await_name();
    pump_out();
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, ECONNREFUSED);
    ck_assert_int_eq(atomic_load(&rig->n_begun), 2);
}
END_TEST

/* Several hosts: all must pass. */

static const struct {
    const char *first; /* what the first host answers */
    const char *second; /* NULL: refused */
    fo_verdict_e verdict;
    const char *text; /* of the second, behind its name */
} hosts[] = {
    { "+OK\n", "+OK\n", FO_VERDICT_PASS, NULL },
    { "+OK\n", NULL, FO_VERDICT_FAIL, "Connection refused" },
    { "+OK\n", "-ERR\n", FO_VERDICT_FAIL, "-ERR" },
    { "+OK\n", "-LOGIN\n", FO_VERDICT_LOGIN, "login refused" },
    { "-ERR\n", "+OK\n", FO_VERDICT_FAIL, NULL },
    /* a login refused is a pass: the others still count */
    { "-LOGIN\n", NULL, FO_VERDICT_FAIL, "Connection refused" },
};

static void play_second(peer_t *second, const char *text)
{
    int fd;

    if (!text || flight->is_over)
        return;
    fd = accept(second->fd, NULL, NULL);
    say(fd, text);
}

static void play_hosts(int row, peer_t *second, const char *first)
{
    const char *text = hosts[row].text;

    say(accept_one(), first);
    while (!flight->is_over && atomic_load(&rig->n_begun) < 2)
        pump();
    play_second(second, hosts[row].second);
    pump_out();
    ck_assert_int_eq(flight->report.verdict, hosts[row].verdict);
    if (text)
        ck_assert_str_eq(flight->report.text,
                         apr_psprintf(pool, "127.0.0.1:%u: %s", second->port, text));
}

static void make_second(int row, peer_t *second)
{
    peer_mute(&peer);
    peer_bind(second);
    if (hosts[row].second)
        ck_assert_int_eq(listen(second->fd, 1), 0);
}

START_TEST(all_hosts_must_pass)
{
    peer_t second;

    make_second(_i, &second);
    start(&rig_probe_dialogue, rig_url("127.0.0.1", peer.port, "127.0.0.1", second.port));
    play_hosts(_i, &second, hosts[_i].first);
}
END_TEST

/* A host that the first one's answer named. */
START_TEST(further_hosts_must_pass)
{
    peer_t second;

    make_second(_i, &second);
    start_local(&rig_probe_dialogue);
    play_hosts(_i, &second, apr_psprintf(pool, "+MORE 127.0.0.1 %u\n", second.port));
}
END_TEST

START_TEST(further_hosts_by_name)
{
    static const char *const names[] = { "one.test", "missing.test" };

    peer_mute(&peer);
    start_local(&rig_probe_dialogue);
    say(accept_one(), apr_psprintf(pool, "+MORE %s %u\n", names[_i], peer.port));
    while (!flight->is_over && !flight->name)
        pump();
    await_name();
    if (_i == 0) {
        say(accept_one(), "+OK\n");
        pump_out();
        expect(FO_VERDICT_PASS, FO_STAGE_ANSWER, 0);
    } else {
        expect(FO_VERDICT_FAIL, FO_STAGE_RESOLVE, APR_EGENERAL);
    }
}
END_TEST

/* What the hosts before took says nothing of this one's look-up. */
START_TEST(slow_hosts_before)
{
    peer_mute(&peer);
    start_local(&rig_probe_dialogue);
    now += TIMEOUT * 6 / 10;
    say(accept_one(), apr_psprintf(pool, "+MORE one.test %u\n", peer.port));
    while (!flight->is_over && !flight->name)
        pump();
    await_name();
    (void)accept_one();
    pump();
    now = probe_flight_wake_at(flight);
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_FAIL, FO_STAGE_ASK, APR_TIMEUP);
}
END_TEST

/* Steps */

static void expect_ended(int n)
{
    ck_assert_int_eq(atomic_load(&rig->n_begun), n);
    ck_assert_int_eq(atomic_load(&rig->n_ended), n);
}

START_TEST(steps_decided_at_once)
{
    start_local(&rig_probe_steps);
    expect(FO_VERDICT_PASS, FO_STAGE_LOGIN, 0);
    expect_ended(1);
}
END_TEST

START_TEST(steps_with_a_descriptor)
{
    int fd;

    rig->does = RIG_READ;
    peer_mute(&peer);
    start_local(&rig_probe_steps);
    fd = accept_one();
    if (_i)
        say(fd, "x");
    else
        close(fd);
    pump_out();
    expect(_i ? FO_VERDICT_PASS : FO_VERDICT_FAIL, FO_STAGE_LOGIN, _i ? 0 : APR_EOF);
    expect_ended(1);
}
END_TEST

static const struct {
    apr_status_t status; /* that the handshake fails with */
    int n_left;          /* descriptors: TLS takes one for the connection, and one for its files */
    fo_verdict_e verdict;
} handshakes[] = {
    { 0, 0, FO_VERDICT_SELF },          { 0, 1, FO_VERDICT_SELF },
    { 0, 2, FO_VERDICT_FAIL },          { APR_TIMEUP, 1, FO_VERDICT_FAIL },
    { ECONNRESET, 1, FO_VERDICT_FAIL }, { APR_EOF, 1, FO_VERDICT_FAIL },
};
static apr_status_t handshake_status;

static fo_progress_e shake_hands(void *state, const void *conf, const fo_ask_t *ask,
                                 fo_wait_t *ret_wait, fo_report_t *report)
{
    (void)state;
    (void)conf;
    (void)ask;
    (void)ret_wait;
    report->stage = FO_STAGE_TLS;
    fo_report_fill(report, FO_VERDICT_FAIL, handshake_status, 0, "certificate verify failed");
    return FO_DONE;
}

static void end_nothing(void *state)
{
    (void)state;
}

START_TEST(steps_that_shake_hands)
{
    static const fo_steps_t steps = { .begin = shake_hands, .end = end_nothing, .state_size = 1 };
    static const fo_probe_t probe = { .scheme = "shake", .steps = &steps };
    struct rlimit usual = unit_leave_descriptors(handshakes[_i].n_left);

    handshake_status = handshakes[_i].status;
    start_local(&probe);
    setrlimit(RLIMIT_NOFILE, &usual);
    expect(handshakes[_i].verdict, FO_STAGE_TLS,
           handshakes[_i].verdict == FO_VERDICT_SELF ? EMFILE : handshake_status);
}
END_TEST

START_TEST(steps_with_a_span)
{
    rig->does = RIG_LATER;
    start_local(&rig_probe_steps);
    ck_assert_int_eq(flight->fd, -1);
    ck_assert_int_eq(probe_flight_wake_at(flight), now + 10 * MS);
    now += 10 * MS - 1;
    probe_flight_tick(flight, now);
    ck_assert_int_eq(atomic_load(&rig->n_steps), 0);
    now += 1;
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_PASS, FO_STAGE_LOGIN, 0);
    expect_ended(1);
}
END_TEST

START_TEST(steps_and_the_deadline)
{
    rig->does = RIG_HANG;
    start_local(&rig_probe_steps);
    now += TIMEOUT;
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, APR_TIMEUP);
    expect_ended(1);
    probe_flight_tick(flight, now + TIMEOUT);
    expect_ended(1);
}
END_TEST

START_TEST(steps_left_half_way)
{
    rig->does = RIG_HANG;
    start_local(&rig_probe_steps);
    probe_flight_free(flight);
    flight = NULL;
    expect_ended(1);
}
END_TEST

START_TEST(steps_on_several_addresses)
{
    rig->does = RIG_HANG;
    start(&rig_probe_steps, rig_url("two.test", 1, NULL, 0));
    await_name();
    now += TIMEOUT / 2;
    probe_flight_tick(flight, now);
    ck_assert_int_eq(atomic_load(&rig->n_begun), 2);
    ck_assert_int_eq(atomic_load(&rig->n_ended), 1);
    now += TIMEOUT / 2;
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_FAIL, FO_STAGE_LOGIN, APR_TIMEUP);
    expect_ended(2);
}
END_TEST

/* Asks */

static probe_job_t *take_call(void)
{
    probe_job_t *job;

    while (!(job = probe_workers_take(field.askers)))
        while (sem_wait(&woken) != 0)
            ;
    return job;
}

static void await_call(void)
{
    probe_ask_ended(take_call(), now);
}

START_TEST(ask_gets_all_hosts_and_the_secret)
{
    start(&rig_probe_ask, rig_url("two.test", 1, "one.test", 2));
    await_name();
    if (flight->name)
        await_name();
    await_call();
    expect(FO_VERDICT_PASS, FO_STAGE_CONNECT, 0);
    ck_assert_str_eq(flight->report.text, "two.test=127.0.0.2/2:1;one.test=127.0.0.1/1:2;*******");
    ck_assert(!calls[0].is_asking);
}
END_TEST

START_TEST(ask_and_the_deadline)
{
    rig->does = RIG_STUCK;
    start_local(&rig_probe_ask);
    while (sem_wait(&rig->begun) != 0)
        ;
    now += TIMEOUT / 2;
    probe_flight_tick(flight, now);
    ck_assert(!flight->is_over);
    now = probe_flight_wake_at(flight);
    ck_assert_int_le(now - flight->started_at, TIMEOUT / 2 * 3 + 100 * MS);
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, APR_TIMEUP);
    sem_post(&rig->go);
    await_call();
    expect(FO_VERDICT_FAIL, FO_STAGE_CONNECT, APR_TIMEUP);
}
END_TEST

/* How a ping has left its call behind, and what the next ones make of it. */
static const struct {
    bool has_timed_out, was_starved, is_final;
    fo_verdict_e verdict;
} unreturned[] = {
    { true, false, false, FO_VERDICT_FAIL }, { true, true, false, FO_VERDICT_SELF },
    { true, true, true, FO_VERDICT_FAIL },   { false, false, false, FO_VERDICT_SELF },
    { false, false, true, FO_VERDICT_FAIL },
};

static void expect_unreturned(fo_verdict_e verdict)
{
    start_local(&rig_probe_ask);
    expect(verdict, FO_STAGE_ASK, APR_TIMEUP);
    ck_assert_int_eq(atomic_load(&rig->n_begun), 1);
    probe_flight_free(flight);
}

/* One whose call has not come back is not asked again, until it has. */
START_TEST(ask_that_has_not_come_back)
{
    rig->does = RIG_STUCK;
    start_local(&rig_probe_ask);
    while (sem_wait(&rig->begun) != 0)
        ;
    flight->is_starved = unreturned[_i].was_starved;
    now = flight->until_at;
    if (unreturned[_i].has_timed_out)
        probe_flight_tick(flight, now);
    probe_flight_free(flight);
    ck_assert(calls[0].is_asking);
    order.is_final = unreturned[_i].is_final;
    expect_unreturned(unreturned[_i].verdict);
    order.is_final = false;
    expect_unreturned(unreturned[_i].verdict); /* what was believed once stays so */
    sem_post(&rig->go);
    await_call();
    ck_assert(!calls[0].is_asking);
    sem_post(&rig->go);
    start_local(&rig_probe_ask);
    await_call();
    expect(FO_VERDICT_PASS, FO_STAGE_CONNECT, 0);
}
END_TEST

static void run_busy(probe_job_t *job)
{
    (void)job;
    while (sem_wait(&rig->go) != 0)
        ;
}

/* Every worker is busy: what queued past half its budget says nothing of the service. */
START_TEST(ask_without_a_worker_in_time)
{
    static probe_job_t busy[2] = { { .run = run_busy }, { .run = run_busy } };

    for (int i = 0; i < 2; i++)
        probe_workers_submit(field.askers, &busy[i]);
    start_local(&rig_probe_ask);
    now += TIMEOUT / 2 - 1;
    probe_flight_tick(flight, now);
    ck_assert(!flight->is_over);
    now += 1;
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_SELF, FO_STAGE_ASK, EAGAIN);
    ck_assert_int_eq(atomic_load(&rig->n_begun), 0);
    ck_assert(!calls[0].is_asking);
    for (int i = 0; i < 2; i++) {
        sem_post(&rig->go);
        while (!probe_workers_take(field.askers))
            sched_yield();
    }
}
END_TEST

static sem_t busy_go;

static void run_until_told(probe_job_t *job)
{
    (void)job;
    while (sem_wait(&busy_go) != 0)
        ;
}

static void expect_call(int n)
{
    ck_assert(unit_wait(&rig->begun, 3 * SEC));
    ck_assert_int_eq(atomic_load(&rig->n_begun), n);
}

/*
 * The worker that is left gives it a trial; then it waits for the other one, in vain: nothing is
 * known of the service but that it gets no further trial.
 */
START_TEST(ask_on_trial)
{
    static probe_job_t busy = { .run = run_until_told };

    sem_init(&busy_go, 0, 0);
    probe_workers_submit(field.askers, &busy);
    rig->does = RIG_HANG;
    start_local(&rig_probe_ask);
    expect_call(1);
    ck_assert(!unit_wait(&woken, 300 * MS)); /* its trial is over, its call is not */
    now += TIMEOUT / 2;
    probe_flight_tick(flight, now);
    expect(FO_VERDICT_SELF, FO_STAGE_ASK, EAGAIN);
    ck_assert(calls[0].was_cut);
    ck_assert(!calls[0].is_asking);
    probe_flight_free(flight);
    start_local(&rig_probe_ask);
    ck_assert(!unit_wait(&woken, 200 * MS));
    ck_assert_int_eq(atomic_load(&rig->n_begun), 1);
    sem_post(&busy_go);
    expect_call(2);
    sem_post(&rig->go); /* it answers after all */
    while (!flight->is_over) {
        probe_job_t *job = probe_workers_take(field.askers);
        if (job && job != &busy)
            probe_ask_ended(job, now);
        else if (!job)
            ck_assert(unit_wait(&woken, 3 * SEC));
    }
    expect(FO_VERDICT_PASS, FO_STAGE_CONNECT, 0);
    ck_assert(!calls[0].was_cut);
}
END_TEST

static const struct {
    apr_interval_time_t took, trial;
} trials[] = {
    { MS, 20 * MS },       { 5 * MS, 20 * MS }, { 10 * MS, 40 * MS },
    { 25 * MS, 100 * MS }, { SEC, 100 * MS },
};

/* How long it may take depends on how long the last answer took. */
START_TEST(ask_on_trial_after_an_answer)
{
    static probe_job_t busy = { .run = run_until_told };

    sem_init(&busy_go, 0, 0);
    start_local(&rig_probe_ask);
    expect_call(1);
    probe_job_t *job = take_call();
    job->ended_at = job->begun_at + trials[_i].took;
    probe_ask_ended(job, now);
    expect(FO_VERDICT_PASS, FO_STAGE_CONNECT, 0);
    probe_flight_free(flight);
    probe_workers_submit(field.askers, &busy);
    rig->does = RIG_HANG;
    start_local(&rig_probe_ask);
    expect_call(2);
    ck_assert_int_eq(rig->budget, trials[_i].trial);
    sem_post(&busy_go);
    sem_post(&rig->go);
    for (int i = 0; i < 2; i++)
        if ((job = take_call()) != &busy)
            probe_ask_ended(job, now);
}
END_TEST

static TCase *dialogue_case(void)
{
    TCase *tc = tcase_create("dialogue");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, answer_at_once, 0, COUNT(answers));
    tcase_add_loop_test(tc, answer_byte_by_byte, 0, 2 * COUNT(answers));
    tcase_add_loop_test(tc, answer_and_close, 0, COUNT(answers));
    tcase_add_loop_test(tc, closed_early, 0, 2);
    tcase_add_test(tc, reset_by_the_peer);
    tcase_add_test(tc, reset_just_before_it_is_asked);
    tcase_add_test(tc, connection_refused);
    tcase_add_test(tc, answer_is_too_long);
    tcase_add_loop_test(tc, decided_before_the_farewell, 0, 2);
    tcase_add_test(tc, finds_nothing_of_the_ping_before);
    tcase_add_test(tc, descriptors_close_on_exec);
    tcase_add_test(tc, no_descriptor_is_our_own_fault);
    tcase_add_test(tc, times_out_while_connecting);
    tcase_add_test(tc, times_out_while_asking);
    tcase_add_test(tc, times_out_while_dripping);
    tcase_add_loop_test(tc, time_out_of_the_starved, 0, COUNT(timeouts));
    tcase_add_loop_test(tc, answers_of_the_starved, 0, COUNT(late_answers));
    return tc;
}

static TCase *tcp_case(void)
{
    TCase *tc = tcase_create("tcp");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, tcp_silence_passes);
    tcase_add_test(tc, tcp_banner_passes);
    tcase_add_test(tc, tcp_closed_at_once);
    tcase_add_test(tc, tcp_reset);
    tcase_add_test(tc, tcp_refused);
    tcase_add_loop_test(tc, tcp_silence_is_believed_however_late, 0, 2);
    tcase_add_loop_test(tc, unix_sockets, 0, 2);
    tcase_add_test(tc, unix_socket_is_missing);
    return tc;
}

static TCase *hosts_case(void)
{
    TCase *tc = tcase_create("hosts");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_loop_test(tc, name_does_not_resolve, 0, COUNT(unresolved));
    tcase_add_test(tc, name_takes_too_long);
    tcase_add_loop_test(tc, last_good_address_is_kept, 0, 4);
    tcase_add_test(tc, slow_resolver_and_a_last_good_address);
    tcase_add_test(tc, second_address_answers);
    tcase_add_loop_test(tc, first_address_is_mute, 0, 2);
    tcase_add_test(tc, no_address_answers);
    tcase_add_test(tc, starved_for_the_second_address);
    tcase_add_loop_test(tc, weight, 0, COUNT(weights));
    tcase_add_loop_test(tc, all_hosts_must_pass, 0, COUNT(hosts));
    tcase_add_loop_test(tc, further_hosts_must_pass, 0, 4);
    tcase_add_loop_test(tc, further_hosts_by_name, 0, 2);
    tcase_add_test(tc, slow_hosts_before);
    return tc;
}

static TCase *calls_case(void)
{
    TCase *tc = tcase_create("calls");

    tcase_add_checked_fixture(tc, setup, teardown);
    tcase_add_test(tc, steps_decided_at_once);
    tcase_add_loop_test(tc, steps_with_a_descriptor, 0, 2);
    tcase_add_loop_test(tc, steps_that_shake_hands, 0, COUNT(handshakes));
    tcase_add_test(tc, steps_with_a_span);
    tcase_add_test(tc, steps_and_the_deadline);
    tcase_add_test(tc, steps_left_half_way);
    tcase_add_test(tc, steps_on_several_addresses);
    tcase_add_test(tc, ask_gets_all_hosts_and_the_secret);
    tcase_add_test(tc, ask_and_the_deadline);
    tcase_add_loop_test(tc, ask_that_has_not_come_back, 0, COUNT(unreturned));
    tcase_add_test(tc, ask_without_a_worker_in_time);
    tcase_add_test(tc, ask_on_trial);
    tcase_add_loop_test(tc, ask_on_trial_after_an_answer, 0, COUNT(trials));
    return tc;
}

static Suite *suite(void)
{
    Suite *s = suite_create("probe_flight");

    suite_add_tcase(s, dialogue_case());
    suite_add_tcase(s, tcp_case());
    suite_add_tcase(s, hosts_case());
    suite_add_tcase(s, calls_case());
    return s;
}

UNIT_MAIN(suite)

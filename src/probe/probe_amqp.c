/*
 * librabbitmq writes and reads the methods here; the connection is our own. Its amqp_login() has
 * one error for four stages, its open drops the errno, looks up names without a deadline and knows
 * no certificate for an address; and of a peer that never stops talking it sees no deadline at all.
 */
#include "probe/probe_amqp.h"

#include "probe/probe_in_turn.h"
#include "probe/probe_link.h"

#include <amqp.h>
#include <amqp_framing.h>
#include <string.h>

#define FRAME_MAX ((size_t)4096)        /* every server takes this much, before and after tuning */
#define ANSWER_MAX ((size_t)16 * 1024)  /* what claims to be longer is no server */
#define FRAME_HEAD 7                    /* type, channel, length */
#define METHOD_HEAD 4                   /* class and method */
#define PROPERTIES_AT (METHOD_HEAD + 2) /* in Connection.Start */
#define SHORT_STRING_MAX 255

static const char garbage[] = "the answer is not AMQP 0-9-1";
static const char other_version[] = "the server does not speak AMQP 0-9-1";

typedef struct conf_t {
    const char *user;
    const char *vhost;
} conf_t;

/* One connection. */
typedef struct talk_t {
    const conf_t *conf;
    const char *secret;
    fo_report_t *report;
    probe_link_t link;
    bool is_over; /* both sides have said all */
    unsigned char answer[ANSWER_MAX + 1];
    size_t n_answer;
} talk_t;

typedef struct meaning_t {
    int code;
    const char *words; /* NULL: any */
    fo_verdict_e verdict;
} meaning_t;

/* The first that fits; any other close is a FAIL. A full virtual host says "refused" as well. */
static const meaning_t meanings[] = {
    { .code = AMQP_ACCESS_REFUSED, .verdict = FO_VERDICT_LOGIN },
    { .code = AMQP_NOT_ALLOWED, .words = "connection limit (", .verdict = FO_VERDICT_BUSY },
    { .code = AMQP_NOT_ALLOWED, .words = " refused for user ", .verdict = FO_VERDICT_LOGIN },
};

/* A word of a shell's command line. */
static const char *quoted(const char *word, apr_pool_t *pool)
{
    const char *text = "'", *end;

    for (; (end = strchr(word, '\'')) != NULL; word = end + 1)
        text = apr_pstrcat(pool, text, apr_pstrmemdup(pool, word, (apr_size_t)(end - word)),
                           "'\\''", NULL);
    return apr_pstrcat(pool, text, word, "'", NULL);
}

static const char *needs_login(const fo_url_t *url, const char *vhost, apr_pool_t *pool)
{
    const fo_host_t *host = &url->hosts[0];
    bool is_v6 = strchr(host->name, ':') != NULL;
    const char *at = apr_psprintf(pool, "%s%s%s:%u", is_v6 ? "[" : "", host->name, is_v6 ? "]" : "",
                                  (unsigned)host->port);

    return apr_psprintf(pool,
                        "%s:// needs a user and password=, as RabbitMQ logs a warning or an error "
                        "for each connection that does not log in: rabbitmqctl add_user monitor "
                        "... and rabbitmqctl set_permissions -p %s monitor '^$' '^$' '^$' (it may "
                        "open the virtual host, and nothing in it), then %s://monitor@%s%s "
                        "password=file:PATH; or without a login tcp://%s, which RabbitMQ does not "
                        "log",
                        url->scheme, quoted(vhost, pool), url->scheme, at, url->path, at);
}

static const char *configure(const fo_url_t *url, const fo_login_t *login,
                             const apr_table_t *options, void **ret_conf, const char **ret_warning,
                             apr_pool_t *pool)
{
    const char *vhost = url->path[0] && url->path[1] ? url->path + 1 : "/";
    conf_t *conf;

    (void)options;
    (void)ret_warning;
    if (strlen(vhost) > SHORT_STRING_MAX)
        return apr_psprintf(pool, "the virtual host in %s:// has more than %d bytes", url->scheme,
                            SHORT_STRING_MAX);
    if (!login->user || !login->user[0] || !login->has_secret)
        return needs_login(url, vhost, pool);
    conf = apr_pcalloc(pool, sizeof(*conf));
    conf->user = apr_pstrdup(pool, login->user);
    conf->vhost = apr_pstrdup(pool, vhost);
    *ret_conf = conf;
    return NULL;
}

/* False, always: the talk is over. */
static bool fail(talk_t *talk, apr_status_t status, const char *text)
{
    fo_report_t *report = talk->report;
    fo_verdict_e verdict = fo_status_is_self(status) ? FO_VERDICT_SELF : FO_VERDICT_FAIL;

    if (APR_STATUS_IS_TIMEUP(status))
        text = "timed out";
    else if (APR_STATUS_IS_EOF(status))
        text = "the server closed the connection";
    else if (status == PROBE_STREAM_BROKEN)
        text = talk->link.stream.words;
    if (status == PROBE_STREAM_BROKEN)
        report->stage = FO_STAGE_TLS; /* TLS 1.3 hears after the handshake what the server thinks */
    if (status == PROBE_STREAM_BROKEN)
        status = 0;
    fo_report_fill(report, verdict, status, 0, text);
    return false;
}

/* Of a server that no longer listens, what it said before is still to be read: it may be why. */
static bool send_bytes(talk_t *talk, const void *bytes, size_t n)
{
    apr_status_t status = probe_link_send(&talk->link, bytes, n);

    if (status == EPIPE || status == ECONNRESET)
        return true;
    return status ? fail(talk, status, NULL) : true;
}

/* Writes one frame; 0: it does not fit. */
static size_t write_frame(unsigned char *frame, size_t room, amqp_method_number_t id, void *method)
{
    amqp_bytes_t body = { .len = room - FRAME_HEAD - METHOD_HEAD - 1,
                          .bytes = frame + FRAME_HEAD + METHOD_HEAD };
    int length = amqp_encode_method(id, method, body);
    size_t payload = (size_t)length + METHOD_HEAD;

    if (length < 0)
        return 0;
    memset(frame, 0, FRAME_HEAD); /* channel 0 */
    frame[0] = AMQP_FRAME_METHOD;
    frame[5] = (unsigned char)(payload >> 8);
    frame[6] = (unsigned char)payload;
    for (int i = 0; i < METHOD_HEAD; i++)
        frame[FRAME_HEAD + i] = (unsigned char)(id >> (8 * (METHOD_HEAD - 1 - i)));
    frame[FRAME_HEAD + payload] = AMQP_FRAME_END;
    return FRAME_HEAD + payload + 1;
}

static uint32_t number_at(const unsigned char *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Reads one frame of channel 0 into the answer; its type, or 0 when the report is filled. */
static unsigned receive_frame(talk_t *talk)
{
    unsigned char head[FRAME_HEAD];
    apr_status_t status = probe_link_receive(&talk->link, head, sizeof(head));
    uint32_t length;

    if (status)
        return fail(talk, status, NULL);
    length = number_at(head + 3);
    if (memcmp(head, "AMQP", 4) == 0)
        return fail(talk, 0, other_version);
    if ((head[0] != AMQP_FRAME_METHOD && head[0] != AMQP_FRAME_HEARTBEAT) || head[1] || head[2] ||
        length > ANSWER_MAX)
        return fail(talk, 0, garbage);
    status = probe_link_receive(&talk->link, talk->answer, length + 1);
    if (status)
        return fail(talk, status, NULL);
    if (talk->answer[length] != AMQP_FRAME_END)
        return fail(talk, 0, garbage);
    talk->n_answer = length;
    return head[0];
}

/* "NOT_ALLOWED - vhost shop not found": the code stands beside it. One line of ASCII. */
static void copy_words(amqp_bytes_t from, char *to, size_t size)
{
    size_t n = from.len < size ? from.len : size - 1;

    for (size_t i = 0; i < n; i++) {
        char c = ((const char *)from.bytes)[i];
        to[i] = (char)(c < 0x20 || c > 0x7e ? '?' : c);
    }
    to[n] = '\0';
}

/* The server closes with a code and words. It is told that they have come. */
static bool judge_close(talk_t *talk, const amqp_connection_close_t *server)
{
    amqp_connection_close_ok_t ok = { 0 };
    unsigned char frame[FRAME_HEAD + METHOD_HEAD + 1];
    size_t length = write_frame(frame, sizeof(frame), AMQP_CONNECTION_CLOSE_OK_METHOD, &ok);
    fo_verdict_e verdict = FO_VERDICT_FAIL;
    char words[SHORT_STRING_MAX + 1];

    (void)probe_link_send(&talk->link, frame, length);
    talk->is_over = true;
    copy_words(server->reply_text, words, sizeof(words));
    if (!words[0])
        apr_snprintf(words, sizeof(words), "the server closed with %d", server->reply_code);
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        const meaning_t *meaning = &meanings[i];
        if (meaning->code != server->reply_code ||
            (meaning->words && !strstr(words, meaning->words)))
            continue;
        verdict = meaning->verdict;
        break;
    }
    fo_report_fill(talk->report, verdict, 0, server->reply_code, words);
    return false;
}

static bool read_close(talk_t *talk)
{
    amqp_bytes_t body = { .len = talk->n_answer - METHOD_HEAD,
                          .bytes = talk->answer + METHOD_HEAD };
    amqp_pool_t pool;
    void *method = NULL;

    init_amqp_pool(&pool, FRAME_MAX);
    if (amqp_decode_method(AMQP_CONNECTION_CLOSE_METHOD, &pool, body, &method) < 0)
        fail(talk, 0, garbage);
    else
        judge_close(talk, method);
    empty_amqp_pool(&pool);
    return false;
}

/* Waits for this method. */
static bool receive(talk_t *talk, amqp_method_number_t expected)
{
    unsigned type;
    amqp_method_number_t id;

    do
        type = receive_frame(talk);
    while (type == AMQP_FRAME_HEARTBEAT);
    if (!type)
        return false;
    id = talk->n_answer < METHOD_HEAD ? 0 : number_at(talk->answer);
    if (id == AMQP_CONNECTION_CLOSE_METHOD)
        return read_close(talk);
    return id == expected ? true : fail(talk, 0, garbage);
}

/*
 * Connection.Start: version, a table of properties, the login methods, of which PLAIN must be one.
 * The table is passed over: librabbitmq reads tables in tables by recursion, as deep as the server
 * likes, and a worker's stack is small.
 */
static bool offers_plain(talk_t *talk)
{
    static const char plain[] = "PLAIN";
    const unsigned char *bytes = talk->answer;
    size_t at = PROPERTIES_AT, left = talk->n_answer;
    uint32_t skip = left >= at + 4 ? number_at(bytes + at) : 0, length;

    if (left < at + 4 || skip > left - at - 4 || left - at - 4 - skip < 4)
        return fail(talk, 0, garbage);
    if (bytes[METHOD_HEAD] != AMQP_PROTOCOL_VERSION_MAJOR ||
        bytes[METHOD_HEAD + 1] != AMQP_PROTOCOL_VERSION_MINOR)
        return fail(talk, 0, other_version);
    at += 4 + skip;
    length = number_at(bytes + at);
    at += 4;
    if (length > left - at)
        return fail(talk, 0, garbage);
    for (const unsigned char *word = bytes + at, *end = word + length, *next; word < end;
         word = next + 1) {
        next = memchr(word, ' ', (size_t)(end - word));
        next = next ? next : end;
        if (next - word == sizeof(plain) - 1 && memcmp(word, plain, sizeof(plain) - 1) == 0)
            return true;
    }
    fo_report_fill(talk->report, FO_VERDICT_LOGIN, 0, 0, "the server takes no PLAIN login");
    return false;
}

static size_t write_start_ok(const talk_t *talk, unsigned char *frame)
{
    amqp_table_entry_t can = {
        .key = amqp_cstring_bytes("authentication_failure_close"), /* or it is closed in silence */
        .value = { .kind = AMQP_FIELD_KIND_BOOLEAN, .value = { .boolean = 1 } },
    };
    amqp_table_entry_t properties[] = {
        { .key = amqp_cstring_bytes("product"),
          .value = { .kind = AMQP_FIELD_KIND_UTF8,
                     .value = { .bytes = amqp_cstring_bytes("mod_failover") } } },
        { .key = amqp_cstring_bytes("capabilities"),
          .value = { .kind = AMQP_FIELD_KIND_TABLE,
                     .value = { .table = { .num_entries = 1, .entries = &can } } } },
    };
    char response[FRAME_MAX];
    int length = apr_snprintf(response, sizeof(response), "%c%s%c%s", 0, talk->conf->user, 0,
                              talk->secret ? talk->secret : "");
    amqp_connection_start_ok_t method = {
        .client_properties = { .num_entries = 2, .entries = properties },
        .mechanism = amqp_cstring_bytes("PLAIN"),
        .response = { .len = (size_t)length, .bytes = response },
        .locale = amqp_cstring_bytes("en_US"),
    };
    size_t written = write_frame(frame, FRAME_MAX, AMQP_CONNECTION_START_OK_METHOD, &method);

    explicit_bzero(response, sizeof(response));
    return written;
}

static bool log_in(talk_t *talk)
{
    static const unsigned char header[] = { 'A', 'M', 'Q', 'P', 0, 0, 9, 1 };
    unsigned char frame[FRAME_MAX];
    size_t length;
    bool ok;

    talk->report->stage = FO_STAGE_LOGIN;
    if (!send_bytes(talk, header, sizeof(header)) || !receive(talk, AMQP_CONNECTION_START_METHOD) ||
        !offers_plain(talk))
        return false;
    length = write_start_ok(talk, frame);
    ok = length ? send_bytes(talk, frame, length)
                : fail(talk, 0, "user and password do not fit into a frame");
    explicit_bzero(frame, sizeof(frame));
    return ok && receive(talk, AMQP_CONNECTION_TUNE_METHOD);
}

/* In one piece, or the second would wait for the first one's acknowledgement. */
static bool open_vhost(talk_t *talk)
{
    amqp_connection_tune_ok_t tune = { .channel_max = 1, .frame_max = FRAME_MAX };
    amqp_connection_open_t open = { .virtual_host = amqp_cstring_bytes(talk->conf->vhost) };
    unsigned char frames[FRAME_MAX];
    size_t length = write_frame(frames, sizeof(frames), AMQP_CONNECTION_TUNE_OK_METHOD, &tune);

    talk->report->stage = FO_STAGE_ASK;
    length += write_frame(frames + length, sizeof(frames) - length, AMQP_CONNECTION_OPEN_METHOD,
                          &open);
    return send_bytes(talk, frames, length) && receive(talk, AMQP_CONNECTION_OPEN_OK_METHOD);
}

static bool say_goodbye(talk_t *talk)
{
    amqp_connection_close_t close = { .reply_code = AMQP_REPLY_SUCCESS };
    unsigned char frame[64];
    size_t length = write_frame(frame, sizeof(frame), AMQP_CONNECTION_CLOSE_METHOD, &close);

    talk->report->stage = FO_STAGE_ANSWER;
    if (!send_bytes(talk, frame, length) || !receive(talk, AMQP_CONNECTION_CLOSE_OK_METHOD))
        return false;
    talk->is_over = true;
    fo_report_fill(talk->report, FO_VERDICT_PASS, 0, 0, NULL);
    return true;
}

static bool reach(talk_t *talk, const fo_ask_t *ask, unsigned i)
{
    const fo_peer_t *peer = ask->peers;
    apr_status_t status;

    talk->report->stage = FO_STAGE_CONNECT;
    status = probe_link_connect(&talk->link, peer->addresses[i], peer->port);
    if (!status && ask->tls) {
        talk->report->stage = FO_STAGE_TLS;
        status = probe_link_secure(&talk->link, ask->tls, peer->name);
    }
    return status ? fail(talk, status, NULL) : true;
}

static void ask_address(const void *conf, const fo_ask_t *ask, unsigned i, apr_time_t until_at,
                        fo_report_t *report)
{
    talk_t talk;

    talk.conf = conf;
    talk.secret = ask->secret;
    talk.report = report;
    talk.link = (probe_link_t){ .stream = { .fd = -1 }, .until_at = until_at };
    talk.is_over = false;
    if (reach(&talk, ask, i) && log_in(&talk) && open_vhost(&talk))
        (void)say_goodbye(&talk);
    probe_link_close(&talk.link, talk.is_over);
}

static void ask(const void *conf, const fo_ask_t *ask, fo_report_t *report)
{
    probe_in_turn(ask_address, conf, ask, report);
}

const fo_probe_t fo_probe_amqp = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "amqp",
    .summary = "logs in to an AMQP broker, opens the virtual host and closes again",
    .example = "amqp://monitor@mq.example.com/shop",
    .port = 5672,
    .max_hosts = 1,
    .configure = configure,
    .ask = ask,
};

const fo_probe_t fo_probe_amqps = {
    .abi = FO_PROBE_ABI,
    .size = sizeof(fo_probe_t),
    .scheme = "amqps",
    .summary = "logs in to an AMQP broker over TLS, opens the virtual host and closes again",
    .example = "amqps://monitor@mq.example.com/shop",
    .port = 5671,
    .max_hosts = 1,
    .tls = FO_TLS_ALWAYS,
    .configure = configure,
    .ask = ask,
};

#include "probe/probe_curl.h"

#include "probe/probe_clock.h"
#include "probe/probe_connect.h"
#include "probe/probe_curl_site.h"
#include "probe/probe_words.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/x509.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX ((apr_size_t)64 * 1024)

/* libcurl's own deadline, which must not come before the driver's. */
#define CONNECT_SECONDS 7200L

typedef struct meaning_t {
    CURLcode code;
    apr_status_t status;
    const char *text; /* NULL: of the status, or libcurl's own words */
} meaning_t;

static const char closed[] = "the server closed the connection";
static const char cut_short[] = "the server closed the connection in the middle of its answer";

/* Where no errno says more. */
static const meaning_t meanings[] = {
    { CURLE_OUT_OF_MEMORY, ENOMEM, NULL },
    { CURLE_GOT_NOTHING, APR_EOF, closed },
    { CURLE_PARTIAL_FILE, APR_EOF, cut_short },
    { CURLE_UNSUPPORTED_PROTOCOL, 0, "the answer is not HTTP" },
    { CURLE_WEIRD_SERVER_REPLY, 0, "the answer is not HTTP" },
    { CURLE_HTTP2, 0, "the answer is not HTTP/1.1" },
};

static const meaning_t cut = { .status = APR_EOF, .text = cut_short };
static const meaning_t cut_tls = { .status = APR_EOF, .text = closed };

void probe_curl_child_init(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

/* ---------------------------------------------------------------- what libcurl calls */

/* The driver's address in place of the one that libcurl was told, which stands for any. */
static bool set_address(const fo_peer_t *peer, struct curl_sockaddr *address)
{
    struct sockaddr_storage at;
    socklen_t length;

    if (!probe_connect_address(peer->addresses[0], peer->port, &at, &length))
        return false;
    address->family = at.ss_family;
    address->addrlen = length;
    memcpy(&address->addr, &at, length);
    return true;
}

static curl_socket_t on_open(void *opaque, curlsocktype purpose, struct curl_sockaddr *address)
{
    probe_curl_t *curl = opaque;
    int fd;

    (void)purpose;
    curl->report->stage = FO_STAGE_CONNECT;
    if (!set_address(curl->ask->peers, address)) {
        curl->own = ENOMEM;
        return CURL_SOCKET_BAD;
    }
    fd = socket(address->family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        curl->own = errno;
    return fd < 0 ? CURL_SOCKET_BAD : fd;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *opaque, void *own)
{
    probe_curl_t *curl = opaque;

    (void)easy;
    (void)own;
    if (what == CURL_POLL_REMOVE) {
        if (curl->fd == fd)
            curl->fd = -1;
        return 0;
    }
    curl->fd = fd;
    curl->events = (short)((what & CURL_POLL_IN ? POLLIN : 0) |
                           (what & CURL_POLL_OUT ? POLLOUT : 0));
    return 0;
}

static int on_timer(CURLM *multi, long ms, void *opaque)
{
    probe_curl_t *curl = opaque;

    (void)multi;
    curl->timer_at = ms < 0 ? 0 : probe_clock_now() + apr_time_from_msec((apr_time_t)ms);
    return 0;
}

static CURLcode on_tls(CURL *easy, void *context, void *opaque)
{
    probe_curl_t *curl = opaque;

    (void)easy;
    curl->report->stage = FO_STAGE_TLS; /* the connect is through */
    if (probe_curl_site_equip(curl->ask->tls, context))
        return CURLE_OK;
    curl->own = ENOMEM;
    return CURLE_OUT_OF_MEMORY;
}

/* "HTTP/1.1 503 Service Unavailable\r\n" */
static void keep_reason(probe_curl_t *curl, const char *line, apr_size_t length)
{
    const char *end = line + length, *word = memchr(line, ' ', length);
    apr_size_t n;

    curl->reason[0] = '\0';
    word = word ? memchr(word + 1, ' ', (apr_size_t)(end - word - 1)) : NULL;
    if (!word)
        return;
    while (end > word + 1 && (end[-1] == '\r' || end[-1] == '\n'))
        end--;
    n = (apr_size_t)(end - word - 1);
    n = n < sizeof(curl->reason) ? n : sizeof(curl->reason) - 1;
    memcpy(curl->reason, word + 1, n);
    curl->reason[n] = '\0';
}

/* One line; of an interim answer too, and of trailers. */
static size_t on_header(char *line, size_t one, size_t length, void *opaque)
{
    probe_curl_t *curl = opaque;

    (void)one;
    curl->n_head += length;
    if (curl->n_head > HEAD_MAX)
        return 0;
    if (length >= 5 && memcmp(line, "HTTP/", 5) == 0) {
        curl->has_head = false;
        keep_reason(curl, line, length);
    }
    if (line[0] == '\r' || line[0] == '\n')
        curl->has_head = true;
    return length;
}

static size_t on_body(char *bytes, size_t one, size_t length, void *opaque)
{
    probe_curl_t *curl = opaque;

    (void)one;
    curl->is_long = length > curl->body_max - curl->n_body;
    if (curl->is_long)
        return 0;
    curl->n_body += length;
    if (!curl->take || curl->take(curl->baton, bytes, length))
        return length;
    curl->own = ENOMEM;
    return 0;
}

/* ---------------------------------------------------------------- a request */

static bool set_callbacks(probe_curl_t *curl)
{
    CURLM *multi = curl->multi;
    CURL *easy = curl->easy;

    return curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, curl) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, curl) == CURLM_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, on_open) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, curl) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, curl) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, curl) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, curl->words) == CURLE_OK;
}

/* What libcurl might do beside the one exchange. */
static bool set_bounds(CURL *easy)
{
    return curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP09_ALLOWED, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT, CONNECT_SECONDS) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, "mod_failover/" FO_VERSION) == CURLE_OK;
}

static bool set_tls(probe_curl_t *curl)
{
    CURL *easy = curl->easy;
    bool verifies;

    if (!curl->site->is_tls)
        return true;
    verifies = SSL_CTX_get_verify_mode(curl->ask->tls) != SSL_VERIFY_NONE;
    return curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAINFO, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CAPATH, NULL) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verifies ? 1L : 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verifies ? 2L : 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_SESSIONID_CACHE, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_FUNCTION, on_tls) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_CTX_DATA, curl) == CURLE_OK;
}

static bool set_login(probe_curl_t *curl)
{
    if (!curl->site->user)
        return true;
    return curl_easy_setopt(curl->easy, CURLOPT_HTTPAUTH, CURLAUTH_BASIC) == CURLE_OK &&
           curl_easy_setopt(curl->easy, CURLOPT_USERNAME, curl->site->user) == CURLE_OK &&
           curl_easy_setopt(curl->easy, CURLOPT_PASSWORD,
                            curl->ask->secret ? curl->ask->secret : "") == CURLE_OK;
}

static bool open_handles(probe_curl_t *curl)
{
    curl->fd = -1;
    curl->multi = curl_multi_init();
    curl->easy = curl_easy_init();
    return curl->multi && curl->easy && set_callbacks(curl) && set_bounds(curl->easy) &&
           set_tls(curl) && set_login(curl);
}

/* Whatever the name, it is this address: libcurl would start a thread to look it up. */
static bool resolve_all(probe_curl_t *curl)
{
    char entry[32];

    apr_snprintf(entry, sizeof(entry), "*:%u:127.0.0.1", (unsigned)curl->site->port);
    curl->resolve = curl_slist_append(NULL, entry);
    return curl->resolve &&
           curl_easy_setopt(curl->easy, CURLOPT_RESOLVE, curl->resolve) == CURLE_OK;
}

static bool set_request(probe_curl_t *curl, const probe_curl_request_t *request)
{
    CURL *easy = curl->easy;
    bool is_head = strcmp(request->method, "HEAD") == 0;

    curl->body_max = request->body_max;
    curl->take = request->take;
    curl->baton = request->baton;
    curl->n_head = curl->n_body = 0;
    curl->has_head = curl->is_long = false;
    curl->words[0] = curl->reason[0] = '\0';
    return curl_easy_setopt(easy, CURLOPT_URL, request->url) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_NOBODY, is_head ? 1L : 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, request->method) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, request->headers) == CURLE_OK;
}

/* ---------------------------------------------------------------- what came of it */

/* OpenSSL failed by our own side: "error:8000000D:system library::Permission denied"; 0: else. */
static apr_status_t errno_in(const char *words)
{
    const char *mark = strstr(words, "error:8");
    apr_status_t number = mark ? (apr_status_t)(strtoul(mark + 6, NULL, 16) & INT_MAX) : 0;

    return fo_status_is_self(number) ? number : 0;
}

static apr_status_t errno_of(const probe_curl_t *curl)
{
    long number = errno_in(curl->words);

    if (curl->own)
        return curl->own;
    if (number)
        return (apr_status_t)number;
    (void)curl_easy_getinfo(curl->easy, CURLINFO_OS_ERRNO, &number);
    return number == EAGAIN || number == EINPROGRESS ? 0 : (apr_status_t)number;
}

/*
 * OpenSSL's words out of libcurl's: "OpenSSL/3.0.19: error:0A00010B:SSL routines::wrong version
 * number", "OpenSSL SSL_read: error:0A00045C:SSL routines::tlsv13 alert certificate required,
 * errno 0", "SSL: no alternative certificate subject name ...".
 */
static const char *tls_words(probe_curl_t *curl, CURLcode code)
{
    long verified = X509_V_ERR_UNSPECIFIED; /* by libcurl: nobody has looked */
    char *words = strstr(curl->words, "::");
    char *end;

    (void)curl_easy_getinfo(curl->easy, CURLINFO_SSL_VERIFYRESULT, &verified);
    if (code == CURLE_PEER_FAILED_VERIFICATION && verified != X509_V_OK &&
        verified != X509_V_ERR_UNSPECIFIED)
        return X509_verify_cert_error_string(verified);
    if (words)
        words += 2;
    else
        words = strncmp(curl->words, "SSL: ", 5) == 0 ? curl->words + 5 : curl->words;
    end = strstr(words, ", errno ");
    if (end)
        *end = '\0';
    return words;
}

static const meaning_t *meaning_of(const probe_curl_t *curl, CURLcode code)
{
    static const meaning_t own_words = { 0 };

    if (code == CURLE_OK && !curl->has_head)
        return &cut;
    if (strstr(curl->words, "SSL_ERROR_SYSCALL") || strstr(curl->words, "unexpected eof"))
        return &cut_tls;
    for (apr_size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
        if (meanings[i].code == code)
            return &meanings[i];
    return &own_words;
}

static const char *text_of(probe_curl_t *curl, CURLcode code, const meaning_t *meaning)
{
    const char *words;

    if (meaning->text)
        return meaning->text;
    if (curl->n_head > HEAD_MAX)
        return "the answer has headers without end";
    words = tls_words(curl, code);
    return words[0] ? words : curl_easy_strerror(code);
}

/* An errno says it all. */
static void judge(probe_curl_t *curl, CURLcode code, fo_report_t *report)
{
    const meaning_t *meaning = meaning_of(curl, code);
    /* It says so of a line that is longer than it can hold as well. */
    bool is_shortage = meaning->status == ENOMEM && report->stage != FO_STAGE_ANSWER;
    apr_status_t status = code == CURLE_OK ? 0 : errno_of(curl);
    const char *text = NULL;

    if (!meaning->status && strstr(curl->words, "SSL routines"))
        report->stage = FO_STAGE_TLS; /* TLS 1.3 hears after the handshake what the server thinks */
    if (!status && meaning->status == ENOMEM && !is_shortage)
        text = "the answer has headers without end";
    else if (!status && !is_shortage)
        text = text_of(curl, code, meaning);
    if (!status && (meaning->status != ENOMEM || is_shortage))
        status = meaning->status;
    fo_report_fill(report, fo_status_is_self(status) ? FO_VERDICT_SELF : FO_VERDICT_FAIL, status, 0,
                   text);
    probe_words_mask(report->text);
}

/* The answer is whole, or as long as it may be. */
static probe_curl_e finish(probe_curl_t *curl, CURLcode code, fo_report_t *report)
{
    long status = 0;

    if (!curl->has_head || (code != CURLE_OK && !curl->is_long)) {
        judge(curl, code, report);
        return PROBE_CURL_OVER;
    }
    (void)curl_easy_getinfo(curl->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 599) {
        fo_report_fill(report, FO_VERDICT_FAIL, 0, 0, "the answer has no status from 200 to 599");
        return PROBE_CURL_OVER;
    }
    curl->status = (int)status;
    return PROBE_CURL_ANSWERED;
}

static fo_stage_e stage_of(const probe_curl_t *curl)
{
    curl_off_t connected = 0, secured = 0, sent = 0;

    (void)curl_easy_getinfo(curl->easy, CURLINFO_CONNECT_TIME_T, &connected);
    (void)curl_easy_getinfo(curl->easy, CURLINFO_APPCONNECT_TIME_T, &secured);
    (void)curl_easy_getinfo(curl->easy, CURLINFO_PRETRANSFER_TIME_T, &sent);
    if (!connected)
        return FO_STAGE_CONNECT;
    if (curl->site->is_tls && !secured)
        return FO_STAGE_TLS;
    return sent ? FO_STAGE_ANSWER : FO_STAGE_ASK;
}

static probe_curl_e advance(probe_curl_t *curl, curl_socket_t fd, int events, fo_wait_t *ret_wait,
                            fo_report_t *report)
{
    int n = 0;
    CURLMsg *message;
    fo_stage_e stage;
    apr_time_t now;

    curl->report = report;
    (void)curl_multi_socket_action(curl->multi, fd, events, &n);
    stage = stage_of(curl);
    if (stage > report->stage)
        report->stage = stage;
    message = curl_multi_info_read(curl->multi, &n);
    if (message)
        return finish(curl, message->data.result, report);
    now = probe_clock_now();
    *ret_wait = (fo_wait_t){ .fd = curl->fd, .events = curl->events };
    if (curl->timer_at)
        ret_wait->timeout = curl->timer_at > now ? curl->timer_at - now : 1;
    return PROBE_CURL_MORE;
}

probe_curl_e probe_curl_send(probe_curl_t *curl, const probe_curl_request_t *request,
                             fo_wait_t *ret_wait, fo_report_t *report)
{
    curl->report = report;
    if (curl->easy)
        (void)curl_multi_remove_handle(curl->multi, curl->easy);
    if ((!curl->easy && !(open_handles(curl) && resolve_all(curl))) ||
        !set_request(curl, request) || curl_multi_add_handle(curl->multi, curl->easy) != CURLM_OK) {
        fo_report_fill(report, FO_VERDICT_SELF, ENOMEM, 0, NULL);
        return PROBE_CURL_OVER;
    }
    return advance(curl, CURL_SOCKET_TIMEOUT, 0, ret_wait, report);
}

probe_curl_e probe_curl_step(probe_curl_t *curl, short ready, fo_wait_t *ret_wait,
                             fo_report_t *report)
{
    bool is_broken = ready & (POLLERR | POLLHUP | POLLNVAL); /* the next call will say how */
    int events = (ready & POLLIN || is_broken ? CURL_CSELECT_IN : 0) |
                 (ready & POLLOUT || is_broken ? CURL_CSELECT_OUT : 0);

    if (!ready || curl->fd < 0)
        return advance(curl, CURL_SOCKET_TIMEOUT, 0, ret_wait, report);
    return advance(curl, curl->fd, events, ret_wait, report);
}

void probe_curl_refuse(const probe_curl_t *curl, fo_verdict_e verdict, const char *words,
                       fo_report_t *report)
{
    char text[FO_REPORT_TEXT];

    apr_snprintf(text, sizeof(text), "%d%s%s%s%s", curl->status, curl->reason[0] ? " " : "",
                 curl->reason, words[0] ? ": " : "", words);
    probe_words_mask(text);
    fo_report_fill(report, verdict, 0, curl->status, text);
}

void probe_curl_close(probe_curl_t *curl)
{
    if (curl->multi && curl->easy)
        (void)curl_multi_remove_handle(curl->multi, curl->easy);
    curl_easy_cleanup(curl->easy);
    if (curl->multi)
        (void)curl_multi_cleanup(curl->multi);
    curl_slist_free_all(curl->resolve);
}

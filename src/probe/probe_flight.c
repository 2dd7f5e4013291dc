#include "probe/probe_flight_own.h"

#include "core/fo_report.h"
#include "probe/probe_weight.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* The most that a ping waits for a look-up when the last good address is at hand. */
#define RESOLVE_PATIENCE (500 * 1000)

static const probe_form_t *form_of(const fo_probe_t *probe)
{
    if (probe->dialogue)
        return &probe_form_dialogue;
    return probe->steps ? &probe_form_steps : &probe_form_ask;
}

static void start_host(probe_flight_t *flight, apr_time_t now);
static void check_name(probe_flight_t *flight, apr_time_t now);

/* Begins the look-up of a host's name, unless that has happened. False: no memory. */
static bool ask_name(probe_flight_t *flight, unsigned host)
{
    probe_query_t *query = &flight->queries[host];
    probe_name_t *name;

    if (query->name)
        return true;
    name = probe_resolver_ask(flight->field->resolver, flight->hosts[host].name);
    if (name)
        *query = (probe_query_t){ .name = name, .serial = probe_name_serial(name) };
    return name != NULL;
}

/* All look-ups side by side, so that a slow resolver costs its patience once. */
static void ask_names(probe_flight_t *flight)
{
    probe_addresses_t unused;

    for (unsigned i = 0; i < flight->n_hosts; i++)
        if (flight->hosts[i].name[0] && !probe_resolver_numeric(flight->hosts[i].name, &unused))
            ask_name(flight, i);
}

probe_flight_t *probe_flight_start(const probe_field_t *field, const probe_order_t *order,
                                   apr_time_t now)
{
    static const fo_host_t nowhere = { .name = "" }; /* reached by a path */
    const fo_url_t *url = order->check->url;
    bool has_hosts = url->n_hosts && !order->check->socket;
    probe_flight_t *flight = probe_flight_take();

    if (!flight)
        return NULL;
    flight->field = field;
    flight->order = *order;
    flight->started_at = now;
    flight->deadline_at = now + order->timeout;
    flight->fd = -1;
    flight->form = form_of(order->check->probe);
    if (!probe_flight_add_hosts(flight, has_hosts ? url->hosts : &nowhere,
                                has_hosts ? url->n_hosts : 1)) {
        probe_flight_free(flight);
        return NULL;
    }
    if (flight->form->takes_all_hosts)
        ask_names(flight);
    start_host(flight, now);
    return flight;
}

static void end(probe_flight_t *flight, apr_time_t now)
{
    flight->is_over = true;
    flight->fd = -1;
    flight->wake_at = 0;
    flight->name = NULL;
    flight->report.took = now - flight->started_at;
}

static void end_with(probe_flight_t *flight, fo_stage_e stage, fo_verdict_e verdict,
                     apr_status_t status, const char *text, apr_time_t now)
{
    flight->report.stage = stage;
    fo_report_fill(&flight->report, verdict, status, 0, text);
    end(flight, now);
}

static void start_run(probe_flight_t *flight, apr_time_t now)
{
    probe_addresses_t *addresses = &flight->addresses[flight->host];
    const fo_host_t *host = &flight->hosts[flight->host];
    unsigned left = addresses->n > flight->address ? addresses->n - flight->address : 1;

    if (flight->form->takes_all_hosts)
        left = 1;
    flight->begun_at = now;
    flight->until_at = now + (flight->deadline_at - now) / left;
    flight->peer_address = addresses->text[flight->address];
    flight->peer = (fo_peer_t){
        .name = host->name,
        .addresses = &flight->peer_address,
        .n_addresses = 1,
        .port = host->port,
    };
    flight->ask = (fo_ask_t){
        .secret = flight->order.check->secret,
        .key_password = flight->order.check->key_password,
        .tls = flight->order.check->tls,
        .peers = &flight->peer,
        .n_peers = 1,
        .budget = flight->until_at - now,
    };
    memset(&flight->report, 0, sizeof(flight->report));
    flight->report.stage = FO_STAGE_CONNECT;
    flight->is_running = true;
    flight->form->begin(flight, now);
}

static void finish_run(probe_flight_t *flight)
{
    if (flight->is_running)
        flight->form->finish(flight);
    flight->is_running = false;
    flight->fd = -1;
    flight->wake_at = 0;
}

/*
 * The host's addresses are known. When that took most of the time, what is left proves nothing by
 * running out.
 */
static void host_resolved(probe_flight_t *flight, apr_time_t now)
{
    if (flight->name && now - flight->asked_at > flight->order.timeout / 2)
        flight->is_starved = true;
    flight->name = NULL;
    flight->wake_at = 0;
    flight->address = 0;
    if (flight->form->takes_all_hosts && flight->host + 1 < flight->n_hosts) {
        flight->host++;
        start_host(flight, now);
    } else {
        start_run(flight, now);
    }
}

static void start_host(probe_flight_t *flight, apr_time_t now)
{
    const char *text = flight->hosts[flight->host].name;
    probe_addresses_t *addresses = &flight->addresses[flight->host];

    flight->report.stage = FO_STAGE_RESOLVE;
    if (flight->host == 0 || !flight->form->takes_all_hosts)
        flight->asked_at = now;
    if (text[0] == '\0') {
        addresses->n = 0;
        addresses->text[0][0] = '\0';
        host_resolved(flight, now);
        return;
    }
    if (probe_resolver_numeric(text, addresses)) {
        host_resolved(flight, now);
        return;
    }
    if (!ask_name(flight, flight->host)) {
        end_with(flight, FO_STAGE_RESOLVE, FO_VERDICT_SELF, ENOMEM, NULL, now);
        return;
    }
    apr_interval_time_t patience = flight->order.timeout / 4;
    flight->name = flight->queries[flight->host].name;
    if (probe_name_addresses(flight->name)->n > 0)
        flight->wake_at = flight->asked_at +
                          (patience < RESOLVE_PATIENCE ? patience : RESOLVE_PATIENCE);
    check_name(flight, now); /* it may have ended while another host was waited for */
}

/* The resolver itself is in trouble; the name may well exist. */
static bool is_resolver_error(int error)
{
    switch (error) {
    case EAI_AGAIN:
    case EAI_FAIL:
    case EAI_SYSTEM:
    case EAI_MEMORY:
        return true;
    default:
        return false;
    }
}

static void use_addresses(probe_flight_t *flight, apr_time_t now)
{
    flight->addresses[flight->host] = *probe_name_addresses(flight->name);
    host_resolved(flight, now);
}

static void resolve_failed(probe_flight_t *flight, int error, apr_time_t now)
{
    apr_status_t shortage = probe_name_shortage(flight->name);
    char text[FO_REPORT_TEXT], words[FO_REPORT_TEXT];

    apr_snprintf(text, sizeof(text), "%s: %s", flight->hosts[flight->host].name,
                 shortage ? apr_strerror(shortage, words, sizeof(words)) : gai_strerror(error));
    end_with(flight, FO_STAGE_RESOLVE, is_resolver_error(error) ? FO_VERDICT_SELF : FO_VERDICT_FAIL,
             shortage ? shortage : APR_EGENERAL, text, now);
}

static void check_name(probe_flight_t *flight, apr_time_t now)
{
    bool has_addresses = probe_name_addresses(flight->name)->n > 0;
    bool has_ended = probe_name_serial(flight->name) != flight->queries[flight->host].serial;
    int error = has_ended ? probe_name_error(flight->name) : 0;

    if (has_ended && error && !(has_addresses && is_resolver_error(error)))
        resolve_failed(flight, error, now);
    else if (has_ended || (has_addresses && flight->wake_at && now >= flight->wake_at))
        use_addresses(flight, now);
}

/* A failure of one address is only final when no other is left. */
static void keep_failure(probe_flight_t *flight)
{
    unsigned weight = probe_weight(&flight->report, flight->peer_address);

    if (!flight->has_failed || weight >= flight->failed_weight) {
        flight->failed = flight->report;
        flight->failed_weight = weight;
    }
    flight->has_failed = true;
}

/* Alive in any way. Of several hosts the worst such answer is the one to be reported. */
static void keep_answer(probe_flight_t *flight)
{
    static const int rank[FO_VERDICT_COUNT] = {
        [FO_VERDICT_PASS] = 1,
        [FO_VERDICT_LOGIN] = 2,
        [FO_VERDICT_BARRED] = 3,
        [FO_VERDICT_BUSY] = 4,
    };

    if (rank[flight->report.verdict] > rank[flight->answered.verdict])
        flight->answered = flight->report;
}

static void next_address(probe_flight_t *flight, apr_time_t now)
{
    keep_failure(flight);
    if (!flight->form->takes_all_hosts && now < flight->deadline_at &&
        flight->address + 1 < flight->addresses[flight->host].n) {
        flight->address++;
        start_run(flight, now);
        return;
    }
    flight->report = flight->failed;
    end(flight, now);
}

static void next_host(probe_flight_t *flight, apr_time_t now)
{
    keep_answer(flight);
    if (!flight->form->takes_all_hosts && flight->host + 1 < flight->n_hosts) {
        flight->has_failed = false;
        flight->host++;
        start_host(flight, now);
        return;
    }
    flight->report = flight->answered;
    end(flight, now);
}

/* People know the endpoint by its first host: of another one the text says which it is. */
static void name_host(probe_flight_t *flight)
{
    const fo_host_t *host = &flight->hosts[flight->host];
    bool is_v6 = strchr(host->name, ':') != NULL;
    char text[FO_REPORT_TEXT], words[FO_REPORT_TEXT];

    if (flight->host == 0 || flight->form->takes_all_hosts)
        return;
    apr_cpystrn(words, flight->report.text, sizeof(words));
    if (!words[0])
        apr_strerror(flight->report.status, words, sizeof(words));
    apr_snprintf(text, sizeof(text), "%s%s%s:%u: %s", is_v6 ? "[" : "", host->name,
                 is_v6 ? "]" : "", (unsigned)host->port, words);
    apr_cpystrn(flight->report.text, text, sizeof(flight->report.text));
}

/* The server ended a connection that it had accepted. */
static bool is_given_up(const fo_report_t *report)
{
    return report->verdict == FO_VERDICT_FAIL &&
           (APR_STATUS_IS_EOF(report->status) || report->status == ECONNRESET ||
            report->status == EPIPE);
}

/*
 * TLS opens files in the middle of a handshake, and what it says of one that it could not open is
 * no errno. It needs a descriptor for that besides the connection's, which is closed by now.
 */
static void judge_handshake(probe_flight_t *flight)
{
    const fo_report_t *report = &flight->report;
    int connection, file;
    apr_status_t error;

    if (report->verdict != FO_VERDICT_FAIL || report->stage != FO_STAGE_TLS ||
        fo_report_is_timeout(report) || is_given_up(report))
        return;
    connection = eventfd(0, EFD_CLOEXEC);
    file = eventfd(0, EFD_CLOEXEC);
    error = connection < 0 || file < 0 ? errno : 0;
    if (connection >= 0)
        close(connection);
    if (file >= 0)
        close(file);
    if (error)
        fo_report_fill(&flight->report, FO_VERDICT_SELF, error, 0, NULL);
}

void probe_flight_settle(probe_flight_t *flight, apr_time_t now)
{
    fo_verdict_e verdict;

    finish_run(flight);
    judge_handshake(flight);
    fo_report_hide(&flight->report, flight->order.check->secret);
    fo_report_hide(&flight->report, flight->order.check->key_password);
    /* It may have lost patience with us: MariaDB gives a client 10 s to log in. */
    if (flight->is_starved && !flight->order.is_final && is_given_up(&flight->report))
        flight->report.verdict = FO_VERDICT_SELF;
    verdict = flight->report.verdict;
    if (verdict != FO_VERDICT_PASS)
        name_host(flight);
    if (verdict == FO_VERDICT_FAIL || verdict == FO_VERDICT_SELF)
        next_address(flight, now);
    else
        next_host(flight, now);
}

/*
 * Time is up for this address or for all. What a starved process measured proves nothing, nor does
 * a resolver that did not answer.
 */
static void time_out(probe_flight_t *flight, apr_time_t now)
{
    apr_time_t late = now - flight->until_at;
    bool is_starved = flight->is_starved ||
                      (flight->is_running && late > flight->order.timeout / 4);
    bool is_share;

    if (!flight->is_running) {
        fo_report_timeout(&flight->report, FO_VERDICT_SELF, flight->order.timeout);
        end(flight, now);
        return;
    }
    /* A share of the time is told as such; what the look-up took is not worth a word. */
    is_share = !flight->form->takes_all_hosts && flight->until_at < flight->deadline_at;
    fo_report_timeout(&flight->report,
                      is_starved && !flight->order.is_final ? FO_VERDICT_SELF : FO_VERDICT_FAIL,
                      is_share ? flight->ask.budget : flight->order.timeout);
    probe_flight_settle(flight, now);
}

void probe_flight_ready(probe_flight_t *flight, short events, apr_time_t now)
{
    if (flight->is_running && !flight->is_over)
        flight->form->ready(flight, events, now);
}

void probe_flight_tick(probe_flight_t *flight, apr_time_t now)
{
    if (flight->is_over)
        return;
    if (flight->name) {
        check_name(flight, now);
        if (flight->name && now >= flight->deadline_at)
            time_out(flight, now);
        return;
    }
    /* The probe's own timer first: what it makes of silence is believed however late we woke. */
    if (flight->wake_at && now >= flight->wake_at)
        flight->form->timer(flight, now);
    if (!flight->is_over && flight->is_running && now >= flight->until_at)
        time_out(flight, now);
}

apr_time_t probe_flight_wake_at(const probe_flight_t *flight)
{
    apr_time_t last = flight->is_running ? flight->until_at : flight->deadline_at;

    return flight->wake_at && flight->wake_at < last ? flight->wake_at : last;
}

void probe_flight_free(probe_flight_t *flight)
{
    finish_run(flight);
    probe_flight_give(flight);
}

/*
 * Asks: blocking calls of a client library, on a worker. The budget starts when a worker takes the
 * call. A call that has not come back is left alone: its endpoint is not asked again until then.
 */
#include "probe/probe_flight.h"

#include "core/fo_report.h"

#include <stdlib.h>
#include <string.h>

/* The runner's deadline lies behind the probe's own, or it would race with it, losing the stage. */
#define GRACE (50 * 1000)

/* A trial leaves room for an answer that takes several times as long as the last one. */
#define TRIAL_MIN (20 * 1000)
#define TRIAL_ANSWERS 4

/* What is left to a call whose flight is gone: everything it reads is in here. */
typedef struct call_t {
    probe_job_t job;        /* first: the pool hands back the job, which is the call */
    probe_flight_t *flight; /* NULL: it has ended meanwhile */
    probe_calls_t *calls;   /* the loop's; not the worker's to touch */
    apr_interval_time_t trial;
    const fo_probe_t *probe;
    const void *conf;
    fo_ask_t ask;
    fo_report_t report;
    fo_peer_t *peers;
    const char **address_lists; /* PROBE_ADDRESSES_MAX for each peer */
    probe_addresses_t *addresses;
    char **names;
    char *secret;
    char *key_password;
} call_t;

static void free_secret(char *secret)
{
    if (secret)
        explicit_bzero(secret, strlen(secret));
    free(secret);
}

static void free_call(call_t *call)
{
    if (!call)
        return;
    for (unsigned i = 0; call->names && i < call->ask.n_peers; i++)
        free(call->names[i]);
    free(call->names);
    free(call->peers);
    free(call->address_lists);
    free(call->addresses);
    free_secret(call->secret);
    free_secret(call->key_password);
    free(call);
}

void probe_ask_drop(probe_job_t *job)
{
    free_call((call_t *)job);
}

static void run_call(probe_job_t *job)
{
    call_t *call = (call_t *)job;
    fo_ask_t ask = call->ask;

    if (job->is_trial && ask.budget > call->trial)
        ask.budget = call->trial;
    call->report = (fo_report_t){ .stage = FO_STAGE_CONNECT };
    call->probe->ask(call->conf, &ask, &call->report);
    job->is_cut = ask.budget < call->ask.budget && fo_report_is_timeout(&call->report);
}

static bool copy_peer(call_t *call, unsigned i, const fo_host_t *host,
                      const probe_addresses_t *addresses)
{
    const char **list = call->address_lists + (size_t)i * PROBE_ADDRESSES_MAX;

    call->addresses[i] = *addresses;
    for (unsigned n = 0; n < addresses->n; n++)
        list[n] = call->addresses[i].text[n];
    call->names[i] = strdup(host->name);
    call->peers[i] = (fo_peer_t){
        .name = call->names[i],
        .addresses = list,
        .n_addresses = addresses->n,
        .port = host->port,
    };
    return call->names[i] != NULL;
}

/* False: no memory. Of none there is none. */
static bool copy_secret(const char *secret, char **ret_copy)
{
    *ret_copy = secret ? strdup(secret) : NULL;
    return *ret_copy || !secret;
}

/* NULL: no memory. */
static call_t *make_call(probe_flight_t *flight)
{
    unsigned n = flight->n_hosts;
    const fo_check_t *check = flight->order.check;
    call_t *call = calloc(1, sizeof(*call));
    bool ok = call != NULL;

    if (ok) {
        call->names = calloc(n, sizeof(*call->names));
        call->peers = calloc(n, sizeof(*call->peers));
        call->address_lists = calloc((size_t)n * PROBE_ADDRESSES_MAX, sizeof(*call->address_lists));
        call->addresses = calloc(n, sizeof(*call->addresses));
        ok = copy_secret(check->secret, &call->secret) &&
             copy_secret(check->key_password, &call->key_password) && call->names && call->peers &&
             call->address_lists && call->addresses;
        call->ask = (fo_ask_t){
            .secret = call->secret,
            .key_password = call->key_password,
            .tls = check->tls,
            .peers = call->peers,
            .n_peers = n,
        };
    }
    for (unsigned i = 0; ok && i < n; i++)
        ok = copy_peer(call, i, &flight->hosts[i], &flight->addresses[i]);
    if (!ok) {
        free_call(call);
        call = NULL;
    }
    return call;
}

static void settle_self(probe_flight_t *flight, apr_status_t status, const char *text,
                        apr_time_t now)
{
    flight->report.stage = FO_STAGE_ASK;
    fo_report_fill(&flight->report, FO_VERDICT_SELF, status, 0, text);
    probe_flight_settle(flight, now);
}

static probe_calls_t *calls_of(const probe_flight_t *flight)
{
    return &flight->field->calls[flight->order.check->index];
}

/* A call that never ran, or has ended. */
static void drop_call(probe_flight_t *flight, call_t *call)
{
    calls_of(flight)->is_asking = false;
    flight->state = NULL;
    free_call(call);
}

static apr_status_t submit_call(probe_flight_t *flight, call_t *call, apr_time_t now)
{
    call->flight = flight;
    call->calls = calls_of(flight);
    call->calls->is_asking = true;
    call->calls->is_overdue = false;
    call->trial = call->calls->trial ? call->calls->trial : PROBE_TRIAL;
    call->probe = flight->order.check->probe;
    call->conf = flight->order.check->conf;
    call->ask.budget = flight->until_at - now;
    call->job.run = run_call;
    call->job.is_suspect = flight->order.is_slow || call->calls->was_cut;
    return probe_workers_submit(flight->field->askers, &call->job);
}

/* Unless its own ping's time-out was believed, it may be us who gave the call no time. */
static void settle_unreturned(probe_flight_t *flight, apr_time_t now)
{
    probe_calls_t *calls = calls_of(flight);

    calls->is_overdue = calls->is_overdue || flight->order.is_final;
    flight->report.stage = FO_STAGE_ASK;
    fo_report_fill(&flight->report, calls->is_overdue ? FO_VERDICT_FAIL : FO_VERDICT_SELF,
                   APR_TIMEUP, 0, "the last call has still not come back");
    probe_flight_settle(flight, now);
}

static void begin(probe_flight_t *flight, apr_time_t now)
{
    call_t *call;
    apr_status_t error;

    if (calls_of(flight)->is_asking) {
        settle_unreturned(flight, now);
        return;
    }
    call = make_call(flight);
    flight->state = call;
    error = call ? submit_call(flight, call, now) : ENOMEM;
    if (error) {
        drop_call(flight, call);
        settle_self(flight, error, NULL, now);
        return;
    }
    /* In the queue for half its budget, then on a worker for all of it. */
    flight->wake_at = now + call->ask.budget / 2;
    flight->until_at = flight->wake_at + call->ask.budget + GRACE;
}

static void settle_unasked(probe_flight_t *flight, apr_time_t now)
{
    settle_self(flight, EAGAIN, "no worker was free in time", now);
}

/* Half the budget has passed: a call that waits for a worker says nothing of the service. */
static void timer(probe_flight_t *flight, apr_time_t now)
{
    call_t *call = flight->state;

    flight->wake_at = 0;
    if (!probe_workers_cancel(flight->field->askers, &call->job))
        return;
    call->calls->was_cut = call->job
                               .is_suspect; /* a further trial would take as long from the others */
    drop_call(flight, call);
    settle_unasked(flight, now);
}

static void ready(probe_flight_t *flight, short events, apr_time_t now)
{
    (void)flight;
    (void)events;
    (void)now;
}

static bool is_late(const fo_report_t *report)
{
    return report->verdict == FO_VERDICT_FAIL && fo_report_is_timeout(report);
}

/* A call that runs goes on without its flight, and is freed when it comes back. */
static void finish(probe_flight_t *flight)
{
    call_t *call = flight->state;

    flight->state = NULL;
    if (!call)
        return;
    if (probe_workers_cancel(flight->field->askers, &call->job)) {
        drop_call(flight, call);
        return;
    }
    call->flight = NULL;
    call->calls->is_overdue = is_late(&flight->report);
}

/* A time-out that a starved worker measured is none of the service's. */
static void judge_timeout(call_t *call, const probe_flight_t *flight)
{
    apr_interval_time_t took = call->job.ended_at - call->job.begun_at;
    bool is_starved = flight->is_starved || took > call->ask.budget * 5 / 4 + GRACE;

    if (!fo_report_is_timeout(&call->report))
        return;
    if (is_starved && !flight->order.is_final)
        call->report.verdict = FO_VERDICT_SELF;
    if (call->ask.n_peers == 1) /* of several, the probe's own words name those that are meant */
        fo_report_timeout(&call->report, call->report.verdict, flight->order.timeout);
}

static apr_interval_time_t trial_after(const call_t *call)
{
    apr_interval_time_t trial = (call->job.ended_at - call->job.begun_at) * TRIAL_ANSWERS;

    if (trial < TRIAL_MIN)
        return TRIAL_MIN;
    return trial < PROBE_TRIAL ? trial : PROBE_TRIAL;
}

static void remember(const call_t *call)
{
    fo_verdict_e verdict = call->report.verdict;

    call->calls->is_asking = false;
    call->calls->was_cut = call->job.is_cut;
    if (verdict != FO_VERDICT_FAIL && verdict != FO_VERDICT_SELF)
        call->calls->trial = trial_after(call);
}

void probe_ask_ended(probe_job_t *job, apr_time_t now)
{
    call_t *call = (call_t *)job;
    probe_flight_t *flight = call->flight;

    remember(call);
    if (flight && job->is_cut) { /* on trial when half the budget had passed */
        flight->state = NULL;
        settle_unasked(flight, now);
    } else if (flight) {
        judge_timeout(call, flight);
        flight->report = call->report;
        flight->state = NULL;
        probe_flight_settle(flight, now);
    }
    free_call(call);
}

const probe_form_t probe_form_ask = {
    .takes_all_hosts = true,
    .begin = begin,
    .ready = ready,
    .timer = timer,
    .finish = finish,
};

/* The status as JSON; doc/status.md has its keys. It is written part by part: with a thousand
 * services the whole would take much memory. */
#include "httpd/httpd_status.h"

#include "core/fo_report.h"

#include <http_protocol.h>

#define REAL_DIGITS 15

static json_t *text_part(const char *text, apr_pool_t *scratch)
{
    return json_string(fo_view_words(text, scratch));
}

/* NULL for an instant that never was or that is not planned. */
static json_t *instant_part(const fo_view_t *view, apr_time_t at)
{
    char text[HTTPD_STATUS_INSTANT];

    return at && at != FO_NEVER ? json_string(httpd_status_instant(view, at, text)) : json_null();
}

/* Seconds to the millisecond. */
static json_t *span_part(apr_interval_time_t span)
{
    return json_real((double)(span / 1000) / 1000);
}

static json_t *age_part(const fo_view_t *view, apr_time_t at)
{
    return at && at != FO_NEVER ? span_part(view->now - at) : json_null();
}

static json_t *wait_part(const fo_view_t *view, apr_time_t at)
{
    if (at == FO_NEVER)
        return json_null();
    return span_part(at > view->now ? at - view->now : 0);
}

json_t *httpd_status_server_part(const fo_view_t *view)
{
    bool is_lease = view->plan->ways.lease != 0;

    return json_pack("{s:s, s:o, s:I, s:s, s:o, s:i, s:i, s:i, s:i, s:I}", "version", FO_VERSION,
                     "now", instant_part(view, view->now), "generation",
                     (json_int_t)view->plan->generation, "scope", is_lease ? "server" : "child",
                     "lease_holder", view->leader ? json_integer(view->leader) : json_null(),
                     "services", view->plan->services->nelts, "children", (int)view->n_counted,
                     "slots_used", (int)view->n_children, "slots", (int)view->n_slots,
                     "events_lost",
                     view->shared ? (json_int_t)fo_shared_lost_events(view->shared) : 0);
}

/* How many children see what. */
static json_t *endpoint_counts(const fo_view_endpoint_t *seen)
{
    json_t *counts = json_object();

    for (int state = 0; state < FO_STATE_COUNT; state++)
        json_object_set_new(counts, fo_state_name((fo_state_e)state),
                            json_integer(seen->parts[state].n));
    return counts;
}

static json_t *service_counts(const fo_view_service_t *seen)
{
    json_t *counts = json_object();

    for (int state = 0; state < FO_VIEW_STATE_COUNT; state++)
        json_object_set_new(counts, fo_view_state_name((fo_view_state_e)state),
                            json_integer(seen->parts[state].n));
    return counts;
}

static json_t *ping_counts(const fo_record_t *record)
{
    json_t *counts = json_object();

    for (int verdict = 0; verdict < FO_VERDICT_COUNT; verdict++)
        json_object_set_new(counts, fo_verdict_name((fo_verdict_e)verdict),
                            json_integer((json_int_t)record->counts[verdict]));
    return counts;
}

static json_t *history_part(const fo_view_t *view, const fo_record_t *record)
{
    json_t *history = json_array();

    for (unsigned i = 0; i < record->n_history; i++) {
        const fo_past_t *past = &record->history[i];
        json_array_append_new(history,
                              json_pack("{s:o, s:s, s:s, s:I}", "at", instant_part(view, past->at),
                                        "verdict", fo_verdict_name(past->verdict), "stage",
                                        fo_stage_name(past->stage), "took_us",
                                        (json_int_t)past->took));
    }
    return history;
}

static json_t *reason_part(const fo_view_t *view, const fo_failure_t *failure, apr_pool_t *scratch)
{
    const fo_report_t *report = &failure->report;
    char status[FO_REPORT_TEXT] = "";

    if (!failure->at)
        return json_null();
    if (report->status)
        apr_strerror(report->status, status, sizeof(status));
    return json_pack("{s:o, s:o, s:s, s:s, s:i, s:o, s:i, s:o}", "at",
                     instant_part(view, failure->at), "at_seconds", age_part(view, failure->at),
                     "verdict", fo_verdict_name(report->verdict), "stage",
                     fo_stage_name(report->stage), "status", report->status, "status_text",
                     text_part(status, scratch), "code", report->code, "text",
                     text_part(report->text, scratch));
}

static json_t *endpoint_part(const fo_view_t *view, const fo_view_endpoint_t *seen,
                             apr_pool_t *scratch)
{
    const fo_endpoint_t *endpoint = seen->endpoint;
    apr_time_t since_at = seen->parts[seen->state].since_at;
    apr_time_t due_at = seen->due_at ? seen->due_at : view->now;
    fo_record_t record;

    fo_view_record(view, endpoint, &record);
    return json_pack("{s:o, s:o, s:s, s:f, s:i, s:s, "
                     "s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}",
                     "name", text_part(endpoint->name, scratch), "url",
                     text_part(endpoint->url->text, scratch), "scheme", endpoint->probe->scheme,
                     "weight", endpoint->weight, "in_use", (int)seen->n_users, "state",
                     fo_state_name(seen->state), "children", endpoint_counts(seen), "since",
                     instant_part(view, since_at), "since_seconds", age_part(view, since_at),
                     "last_ping", instant_part(view, seen->pinged_at), "last_ping_seconds",
                     age_part(view, seen->pinged_at), "last_verdict",
                     seen->pinged_at ? json_string(fo_verdict_name(seen->verdict)) : json_null(),
                     "took_us", seen->pinged_at ? json_integer(seen->took) : json_null(),
                     "next_due", instant_part(view, due_at), "next_due_seconds",
                     wait_part(view, due_at), "pings", ping_counts(&record), "last_reason",
                     reason_part(view, &record.failure, scratch), "history",
                     history_part(view, &record));
}

/* NULL for a service without one. */
static json_t *breaker_part(const fo_view_t *view, const fo_service_t *service)
{
    fo_tally_t tally;

    if (!fo_view_tally(view, service, &tally))
        return json_null();
    return json_pack("{s:i, s:i, s:i, s:o}", "calls", (int)tally.calls, "failures",
                     (int)tally.failures, "consecutive", (int)tally.streak, "window_seconds",
                     span_part(service->policy.value[FO_POLICY_WINDOW]));
}

json_t *httpd_status_service_part(const fo_view_t *view, const fo_view_service_t *seen,
                                  apr_pool_t *scratch)
{
    const fo_service_t *service = seen->service;
    apr_time_t since_at = seen->parts[seen->state].since_at;
    json_t *endpoints = json_array();

    for (unsigned rank = 0; rank < (unsigned)service->endpoints->nelts; rank++) {
        const fo_endpoint_t *endpoint = fo_service_endpoint(service, rank);
        json_array_append_new(endpoints,
                              endpoint_part(view, &view->endpoints[endpoint->index], scratch));
    }
    return json_pack("{s:o, s:s, s:b, s:b, s:s, s:o, s:o, s:i, s:o, s:o, s:o}", "name",
                     text_part(service->full_name, scratch), "state",
                     fo_view_state_name(seen->state), "unavailable", (int)seen->is_unavailable,
                     "critical", (int)service->is_critical, "mode",
                     fo_policy_mode(&service->policy), "since", instant_part(view, since_at),
                     "since_seconds", age_part(view, since_at), "epoch", (int)seen->epoch,
                     "children", service_counts(seen), "breaker", breaker_part(view, service),
                     "endpoints", endpoints);
}

json_t *httpd_status_child_part(const fo_view_t *view, const fo_view_child_t *child,
                                apr_pool_t *scratch)
{
    const fo_slot_t *slot = &child->slot;
    json_t *names = json_array();

    for (unsigned i = 0; i < child->n_down && i < FO_VIEW_NAMES; i++)
        json_array_append_new(names, text_part(child->down[i]->full_name, scratch));
    return json_pack("{s:I, s:I, s:b, s:o, s:o, s:o, s:o, s:b, s:I, s:I, s:I, s:i, s:o}", "pid",
                     (json_int_t)slot->pid, "generation", (json_int_t)slot->generation, "counted",
                     (int)child->is_counted, "started", instant_part(view, slot->started_at),
                     "started_seconds", age_part(view, slot->started_at), "beat",
                     instant_part(view, slot->beat_at), "beat_seconds",
                     age_part(view, slot->beat_at), "late", (int)child->is_late, "waits",
                     (json_int_t)slot->waits, "waited_us", (json_int_t)slot->waited,
                     "unknown_errors", (json_int_t)slot->unknown_errors, "down", (int)child->n_down,
                     "down_names", names);
}

static int write_bytes(const char *bytes, size_t length, void *r)
{
    return ap_rwrite(bytes, (int)length, r) < 0 ? -1 : 0;
}

void httpd_status_write(request_rec *r, json_t *part)
{
    json_dump_callback(part, write_bytes, r, JSON_COMPACT | JSON_REAL_PRECISION(REAL_DIGITS));
    json_decref(part);
}

/* Before each but the first of a list comes a comma. */
static void write_part(request_rec *r, json_t *part, bool is_first)
{
    ap_rputs(is_first ? "\n" : ",\n", r);
    httpd_status_write(r, part);
}

void httpd_status_json(request_rec *r, const fo_view_t *view)
{
    apr_pool_t *scratch;

    apr_pool_create(&scratch, r->pool);
    ap_rputs("{\"server\":", r);
    write_part(r, httpd_status_server_part(view), true);
    ap_rputs(",\n\"services\":[", r);
    for (unsigned i = 0; i < (unsigned)view->plan->services->nelts; i++) {
        write_part(r, httpd_status_service_part(view, &view->services[i], scratch), i == 0);
        apr_pool_clear(scratch);
    }
    ap_rputs("],\n\"children\":[", r);
    for (unsigned i = 0; i < view->n_children; i++) {
        write_part(r, httpd_status_child_part(view, &view->children[i], scratch), i == 0);
        apr_pool_clear(scratch);
    }
    ap_rputs("]}\n", r);
    apr_pool_destroy(scratch);
}

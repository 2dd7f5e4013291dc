/* The status as a page: one document without script or anything from elsewhere. */
#include "httpd/httpd_status.h"

#include "core/fo_parse.h"
#include "core/fo_report.h"

#include <http_protocol.h>

static const char style[] =
    "body{font:14px sans-serif;margin:1em;color:#222;background:#fff}"
    "table{border-collapse:collapse;margin:0 0 1.5em}"
    "th,td{border:1px solid #bbb;padding:.2em .5em;text-align:left;vertical-align:top}"
    "th{background:#eee}.history{font-family:monospace}"
    ".up{background:#dfd}.failover,.failing,.rising{background:#ffc}"
    ".down{background:#fdd;font-weight:bold}.unknown{color:#666}";

/* The hash is that of the style above. */
const char httpd_status_policy[] =
    "default-src 'none'; style-src 'sha256-JzwMNCVJ5B7xf4vW/tW4zDMEu7RmKeBNQDu7bin/swk='; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

static const char marks[FO_VERDICT_COUNT] = {
    [FO_VERDICT_FAIL] = '-',  [FO_VERDICT_PASS] = '+', [FO_VERDICT_BUSY] = 'b',
    [FO_VERDICT_LOGIN] = 'l', [FO_VERDICT_SELF] = 's', [FO_VERDICT_BARRED] = 'x',
};

static const char *const server_heads[] = { "Version",  "Now",   "Generation", "Scope",
                                            "Children", "Slots", NULL };
static const char *const service_heads[] = { "Service", "State",   "Critical",  "Mode",
                                             "Since",   "Epoch",   "See it up", "In failover",
                                             "Down",    "Unknown", "Breaker",   NULL };
static const char *const endpoint_heads[] = { "Service", "Endpoint",  "URL",         "Probe",
                                              "Weight",  "In use by", "State",       "Children",
                                              "Since",   "Last ping", "Took",        "Next due",
                                              "History", "Pings",     "Last reason", NULL };
static const char *const child_heads[] = { "Process",     "Generation", "Started",
                                           "Last beat",   "Late",       "Waits",
                                           "Waited (us)", "Sees down",  NULL };

/* The page while it is written. */
typedef struct page_t {
    request_rec *r;
    const fo_view_t *view;
    apr_pool_t *pool; /* cleared with each row */
} page_t;

static const char *harmless(page_t *page, const char *text)
{
    return ap_escape_html(page->pool, fo_view_words(text, page->pool));
}

static void begin_table(page_t *page, const char *title, const char *const *heads)
{
    ap_rprintf(page->r, "<h2>%s</h2>\n<table>\n<tr>", title);
    for (; *heads; heads++)
        ap_rprintf(page->r, "<th>%s</th>", *heads);
    ap_rputs("</tr>\n", page->r);
}

static void begin_row(page_t *page)
{
    apr_pool_clear(page->pool);
    ap_rputs("<tr>", page->r);
}

static void end_row(page_t *page)
{
    ap_rputs("</tr>\n", page->r);
}

static void end_table(page_t *page)
{
    ap_rputs("</table>\n", page->r);
}

static void cell(page_t *page, const char *text)
{
    ap_rprintf(page->r, "<td>%s</td>", harmless(page, text));
}

static void number_cell(page_t *page, apr_uint64_t number)
{
    ap_rprintf(page->r, "<td>%" APR_UINT64_T_FMT "</td>", number);
}

/* A state's name is its class as well. */
static void state_cell(page_t *page, const char *state)
{
    ap_rprintf(page->r, "<td class=\"%s\">%s</td>", state, state);
}

/* The instant, and how long ago it was or is still to come. */
static void instant_cell(page_t *page, apr_time_t at)
{
    apr_interval_time_t ago = page->view->now - at;
    char instant[HTTPD_STATUS_INSTANT], span[FO_SPAN_TEXT];

    if (at == 0 || at == FO_NEVER) {
        cell(page, "-");
        return;
    }
    httpd_status_instant(page->view, at, instant);
    fo_span_text(fo_span_round(ago < 0 ? -ago : ago), span);
    ap_rprintf(page->r, "<td>%s (%s%s%s)</td>", instant, ago < 0 ? "in " : "", span,
               ago < 0 ? "" : " ago");
}

/* The text with "2 up" behind it; NULL: nothing stands there yet. */
static const char *with_count(const char *text, apr_uint64_t n, const char *word, apr_pool_t *pool)
{
    return apr_psprintf(pool, "%s%s%" APR_UINT64_T_FMT " %s", text ? text : "", text ? ", " : "", n,
                        word);
}

/* "2 up, 1 down" */
static const char *parts_text(const fo_view_part_t *parts, apr_pool_t *pool)
{
    const char *text = NULL;

    for (int state = 0; state < FO_STATE_COUNT; state++)
        if (parts[state].n)
            text = with_count(text, parts[state].n, fo_state_name((fo_state_e)state), pool);
    return text ? text : "-";
}

static const char *counts_text(const fo_record_t *record, apr_pool_t *pool)
{
    const char *text = NULL;

    for (int verdict = 0; verdict < FO_VERDICT_COUNT; verdict++)
        if (record->counts[verdict])
            text = with_count(text, record->counts[verdict], fo_verdict_name((fo_verdict_e)verdict),
                              pool);
    return text ? text : "-";
}

/* One letter for each of the last pings, the oldest first. */
static const char *history_text(const fo_record_t *record, char text[FO_HISTORY + 1])
{
    for (unsigned i = 0; i < record->n_history; i++)
        text[i] = marks[record->history[i].verdict];
    text[record->n_history] = '\0';
    return text;
}

/* What fo_report_text() says, the server's own code and when it was. */
static void reason_cell(page_t *page, const fo_failure_t *failure)
{
    char words[2 * FO_REPORT_TEXT], instant[HTTPD_STATUS_INSTANT], code[32] = "";

    if (!failure->at) {
        cell(page, "-");
        return;
    }
    fo_report_text(&failure->report, words, sizeof(words));
    if (failure->report.code)
        apr_snprintf(code, sizeof(code), " (%d)", failure->report.code);
    cell(page, apr_psprintf(page->pool, "%s: %s%s, %s", fo_verdict_name(failure->report.verdict),
                            words, code, httpd_status_instant(page->view, failure->at, instant)));
}

static void write_server(page_t *page)
{
    const fo_view_t *view = page->view;
    char instant[HTTPD_STATUS_INSTANT];
    const char *scope = "child";

    begin_table(page, "Server", server_heads);
    begin_row(page);
    if (view->plan->ways.lease)
        scope = view->leader
                    ? apr_psprintf(page->pool, "server: process %" APR_INT64_T_FMT " pings",
                                   view->leader)
                    : "server: nobody pings yet";
    cell(page, FO_VERSION);
    cell(page, httpd_status_instant(view, view->now, instant));
    number_cell(page, view->plan->generation);
    cell(page, scope);
    number_cell(page, view->n_counted);
    cell(page, apr_psprintf(page->pool, "%u of %u", view->n_children, view->n_slots));
    end_row(page);
    end_table(page);
}

static void breaker_cell(page_t *page, const fo_service_t *service)
{
    fo_tally_t tally;

    if (fo_view_tally(page->view, service, &tally))
        cell(page, apr_psprintf(page->pool, "%u of %u failed, %u in a row", tally.failures,
                                tally.calls, tally.streak));
    else
        cell(page, "-");
}

static void write_services(page_t *page)
{
    begin_table(page, "Services", service_heads);
    for (int i = 0; i < page->view->plan->services->nelts; i++) {
        const fo_view_service_t *seen = &page->view->services[i];
        begin_row(page);
        cell(page, seen->service->full_name);
        state_cell(page, fo_view_state_name(seen->state));
        cell(page, seen->service->is_critical ? "yes" : "-");
        cell(page, fo_policy_mode(&seen->service->policy));
        instant_cell(page, seen->parts[seen->state].since_at);
        number_cell(page, seen->epoch);
        for (int state = 0; state < FO_VIEW_STATE_COUNT; state++)
            number_cell(page, seen->parts[state].n);
        breaker_cell(page, seen->service);
        end_row(page);
    }
    end_table(page);
}

static void write_endpoint(page_t *page, const fo_view_endpoint_t *seen)
{
    const fo_endpoint_t *endpoint = seen->endpoint;
    char history[FO_HISTORY + 1], took[32], weight[32];
    fo_record_t record;

    fo_view_record(page->view, endpoint, &record);
    snprintf(weight, sizeof(weight), "%.6g", endpoint->weight);
    begin_row(page);
    cell(page, endpoint->service->full_name);
    cell(page, endpoint->name);
    cell(page, endpoint->url->text);
    cell(page, endpoint->probe->scheme);
    cell(page, weight);
    number_cell(page, seen->n_users);
    state_cell(page, fo_state_name(seen->state));
    cell(page, parts_text(seen->parts, page->pool));
    instant_cell(page, seen->parts[seen->state].since_at);
    instant_cell(page, seen->pinged_at);
    snprintf(took, sizeof(took), "%.1fms", (double)seen->took / 1000);
    cell(page, seen->pinged_at ? took : "-");
    instant_cell(page, seen->due_at ? seen->due_at : page->view->now);
    ap_rprintf(page->r, "<td class=\"history\">%s</td>", history_text(&record, history));
    cell(page, counts_text(&record, page->pool));
    reason_cell(page, &record.failure);
    end_row(page);
}

static void write_endpoints(page_t *page)
{
    begin_table(page, "Endpoints", endpoint_heads);
    for (int i = 0; i < page->view->plan->endpoints->nelts; i++)
        write_endpoint(page, &page->view->endpoints[i]);
    end_table(page);
    ap_rputs("<p>History: the last pings of all children, the oldest first: + passed, - failed, "
             "b busy, l login refused, x the same and so more was not asked, s thrown away as this "
             "host's own fault.</p>\n",
             page->r);
}

/* "3: db, cache, broker" */
static const char *down_text(const fo_view_child_t *child, apr_pool_t *pool)
{
    const char *text = apr_psprintf(pool, "%u", child->n_down);

    for (unsigned i = 0; i < child->n_down && i < FO_VIEW_NAMES; i++)
        text = apr_pstrcat(pool, text, i ? ", " : ": ", child->down[i]->full_name, NULL);
    return child->n_down > FO_VIEW_NAMES ? apr_pstrcat(pool, text, ", ...", NULL) : text;
}

static void write_children(page_t *page)
{
    begin_table(page, "Children", child_heads);
    for (unsigned i = 0; i < page->view->n_children; i++) {
        const fo_view_child_t *child = &page->view->children[i];
        begin_row(page);
        number_cell(page, (apr_uint64_t)child->slot.pid);
        number_cell(page, child->slot.generation);
        instant_cell(page, child->slot.started_at);
        instant_cell(page, child->slot.beat_at);
        cell(page, child->is_late ? "yes" : "-");
        number_cell(page, child->slot.waits);
        number_cell(page, (apr_uint64_t)child->slot.waited);
        cell(page, down_text(child, page->pool));
        end_row(page);
    }
    end_table(page);
}

void httpd_status_tables(request_rec *r, const fo_view_t *view)
{
    page_t page = { .r = r, .view = view };

    apr_pool_create(&page.pool, r->pool);
    write_server(&page);
    write_services(&page);
    write_endpoints(&page);
    write_children(&page);
    apr_pool_destroy(page.pool);
}

void httpd_status_html(request_rec *r, const fo_view_t *view)
{
    ap_rprintf(r,
               "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\" />\n"
               "<title>Failover status</title>\n<style>%s</style>\n</head>\n<body>\n"
               "<h1>Failover status</h1>\n",
               style);
    httpd_status_tables(r, view);
    ap_rputs("</body>\n</html>\n", r);
}

#include "httpd/httpd_log.h"

#include "core/fo_parse.h"
#include "core/fo_report.h"

#include <http_core.h>
#include <http_log.h>
#include <unistd.h>

APLOG_USE_MODULE(failover);

#define LINE_TEXT 512

/* What is done about an outage. */
static const char *measure(const fo_service_t *service)
{
    return service->policy.value[FO_POLICY_OBSERVE] ? "Observing only." : "Failover initiated.";
}

/* One child's word is enough for those who are woken by it. */
static int level_of(const fo_change_t *change, int level)
{
    return change->is_news ? level : APLOG_INFO;
}

static void log_outage(const fo_change_t *change, const server_rec *s)
{
    char reason[LINE_TEXT];

    fo_report_text(change->report, reason, sizeof(reason));
    ap_log_error(APLOG_MARK, level_of(change, APLOG_CRIT), 0, s,
                 "FO0001: %s outage. %s (Process ID: %d) endpoint %s: %s",
                 change->service->full_name, measure(change->service), (int)getpid(),
                 change->endpoint->name, reason);
}

static void log_outage_lasts(const fo_change_t *change, const server_rec *s)
{
    char reason[LINE_TEXT], span[FO_SPAN_TEXT];

    fo_report_text(change->report, reason, sizeof(reason));
    ap_log_error(APLOG_MARK, level_of(change, APLOG_CRIT), 0, s,
                 "FO0002: %s outage. %s (Process ID: %d) endpoint %s: %s, since %s",
                 change->service->full_name, measure(change->service), (int)getpid(),
                 change->endpoint->name, reason, fo_span_text(fo_span_round(change->lasted), span));
}

static void log_recovery(const fo_change_t *change, const server_rec *s)
{
    char span[FO_SPAN_TEXT];

    ap_log_error(APLOG_MARK, level_of(change, APLOG_NOTICE), 0, s,
                 "FO0003: %s is back up. Recovery complete. (Process ID: %d) after %s",
                 change->service->full_name, (int)getpid(),
                 fo_span_text(fo_span_round(change->lasted), span));
}

static void log_unavailable(const fo_change_t *change, const server_rec *s)
{
    char span[FO_SPAN_TEXT];

    ap_log_error(APLOG_MARK, level_of(change, APLOG_WARNING), 0, s,
                 "FO0016: %s: unavailable: no endpoint has worked for %s (Process ID: %d)",
                 change->service->full_name, fo_span_text(fo_span_round(change->lasted), span),
                 (int)getpid());
}

static void log_rescue(const fo_change_t *change, const server_rec *s)
{
    char span[FO_SPAN_TEXT];

    ap_log_error(APLOG_MARK, level_of(change, APLOG_NOTICE), 0, s,
                 "FO0017: %s: endpoint %s is back, using it (Process ID: %d) after %s",
                 change->service->full_name, change->endpoint->name, (int)getpid(),
                 fo_span_text(fo_span_round(change->lasted), span));
}

static void log_switch(const fo_change_t *change, const server_rec *s)
{
    char reason[LINE_TEXT];

    fo_report_text(change->report, reason, sizeof(reason));
    ap_log_error(APLOG_MARK, level_of(change, APLOG_WARNING), 0, s,
                 "FO0018: %s: endpoint %s down, %s %s (Process ID: %d): %s",
                 change->service->full_name, change->endpoint->name,
                 change->service->policy.value[FO_POLICY_OBSERVE] ? "would use" : "using",
                 change->other->name, (int)getpid(), reason);
}

static void log_failback(const fo_change_t *change, const server_rec *s)
{
    char span[FO_SPAN_TEXT];

    ap_log_error(
        APLOG_MARK, level_of(change, APLOG_NOTICE), 0, s,
        "FO0019: %s: endpoint %s is back, using it again (Process ID: %d) after %s with %s",
        change->service->full_name, change->endpoint->name, (int)getpid(),
        fo_span_text(fo_span_round(change->lasted), span), change->other->name);
}

/* The primary may be one as well, while it is not in use. */
static void log_spare_down(const fo_change_t *change, const server_rec *s)
{
    char reason[LINE_TEXT];

    fo_report_text(change->report, reason, sizeof(reason));
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, s,
                 "FO0020: %s: endpoint %s down, not in use (Process ID: %d): %s",
                 change->service->full_name, change->endpoint->name, (int)getpid(), reason);
}

static void log_spare_back(const fo_change_t *change, const server_rec *s)
{
    ap_log_error(APLOG_MARK, APLOG_INFO, 0, s,
                 "FO0021: %s: endpoint %s is back, not in use (Process ID: %d)",
                 change->service->full_name, change->endpoint->name, (int)getpid());
}

static void log_login(const fo_change_t *change, const server_rec *s)
{
    const char *words = change->report->text[0] ? change->report->text : "no further word";
    const char *hidden = change->report->verdict == FO_VERDICT_BARRED
                             ? ", so its state stays as it is"
                             : "";
    char code[16] = "";

    if (change->report->code)
        apr_snprintf(code, sizeof(code), " (%d)", change->report->code);

    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "FO0004: %s: login refused%s: the server is alive, the ping's own credentials "
                 "are wrong%s: endpoint %s: %s",
                 change->service->full_name, code, hidden, change->endpoint->name, words);
}

/* What an administrator can do about a fault of our own side. */
static const char *remedy(const fo_report_t *report)
{
    bool is_file = report->status == EACCES || report->status == APR_EGENERAL;

    if (report->stage == FO_STAGE_TLS && is_file)
        return "User and Group must be able to read the files of TLS";
    switch (report->status) {
    case EMFILE:
    case ENFILE:
        return "raise the limit of open files";
    case ENOMEM:
    case ENOBUFS:
        return "this host is short of memory";
    case EADDRNOTAVAIL:
        return "this host has no local port or address left";
    case EACCES:
    case EPERM:
        return "something here forbids the connect; with SELinux see httpd_can_network_connect";
    case EBADF:
        return "other code of this process closed the ping's descriptor";
    case EAGAIN:
        return "calls to services that hang hold the workers of this child";
    case APR_TIMEUP:
    case APR_EOF:
    case ECONNRESET:
    case EPIPE:
        return "this host is overloaded, or its resolver does not answer";
    case APR_SUCCESS:
        return "what asks is out of order, not what is asked";
    default:
        return "look at this host's resolver (/etc/resolv.conf)";
    }
}

static void log_self(const fo_change_t *change, const server_rec *s)
{
    char reason[LINE_TEXT];

    fo_report_text(change->report, reason, sizeof(reason));
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "FO0005: %s: %" APR_UINT64_T_FMT " ping%s thrown away (self): it is this server's "
                 "own side that failed (Process ID: %d) endpoint %s: %s: %s",
                 change->service->full_name, change->discards, change->discards == 1 ? "" : "s",
                 (int)getpid(), change->endpoint->name, reason, remedy(change->report));
}

static void (*const log_kind[])(const fo_change_t *, const server_rec *) = {
    [FO_CHANGE_OUTAGE] = log_outage,
    [FO_CHANGE_OUTAGE_LASTS] = log_outage_lasts,
    [FO_CHANGE_UNAVAILABLE] = log_unavailable,
    [FO_CHANGE_RECOVERY] = log_recovery,
    [FO_CHANGE_RESCUE] = log_rescue,
    [FO_CHANGE_SWITCH] = log_switch,
    [FO_CHANGE_FAILBACK] = log_failback,
    [FO_CHANGE_SPARE_DOWN] = log_spare_down,
    [FO_CHANGE_SPARE_BACK] = log_spare_back,
    [FO_CHANGE_LOGIN] = log_login,
    [FO_CHANGE_SELF] = log_self,
};

void httpd_log_change(void *baton, const fo_change_t *change)
{
    (void)baton;
    log_kind[change->kind](change, change->service->owner);
}

void httpd_log_secret_unreadable(const server_rec *s, const httpd_place_t *place, const char *error,
                                 const char *missing)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, 0, s, "FO0006: %s:%d: %s; the pings go on without %s",
                 place->file, place->line, error, missing);
}

void httpd_log_secret_exposed(const server_rec *s, const httpd_place_t *place, const char *warning)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "FO0007: %s:%d: %s", place->file, place->line,
                 warning);
}

void httpd_log_no_monitor(const server_rec *s, apr_status_t status, const char *what)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, status, s,
                 "FO0008: %s; this child does not monitor, its services count as up "
                 "(Process ID: %d)",
                 what, (int)getpid());
}

void httpd_log_warning(const server_rec *s, const httpd_warning_t *warning)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s, "FO0009: %s:%d: %s", warning->place.file,
                 warning->place.line, warning->text);
}

void httpd_log_refused(const char *error)
{
    ap_log_error(APLOG_MARK, APLOG_EMERG, 0, NULL, "FO0010: %s", error);
}

void httpd_log_bare_alias(request_rec *r, const fo_service_t *service, const fo_setting_t *setting)
{
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                  "FO0011: %s: FailoverAlias %s %s: no variable that begins with %s has a "
                  "counterpart that begins with %s, so nothing is changed",
                  service->full_name, setting->name, setting->value, setting->name, setting->value);
}

void httpd_log_evaluation(request_rec *r, const fo_service_t *service, const fo_setting_t *setting,
                          const char *error)
{
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                  "FO0012: %s: the expression for %s failed, the variable is left alone: %s",
                  service->full_name, setting->name, error);
}

void httpd_log_control_bytes(request_rec *r, const fo_service_t *service,
                             const fo_setting_t *setting)
{
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                  "FO0013: %s: the expression for %s yields control bytes, the variable is left "
                  "alone",
                  service->full_name, setting->name);
}

void httpd_log_unshared(const server_rec *s, apr_status_t status)
{
    ap_log_error(
        APLOG_MARK, APLOG_ERR, status, s,
        "FO0014: no memory to share: the children do not hear of each other's discoveries, "
        "and FailoverPingConcurrency holds for each alone");
}

void httpd_log_no_slot(const server_rec *s)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "FO0015: more children than there is room for in the memory that they share: this "
                 "one monitors, but what it sees is not published (Process ID: %d)",
                 (int)getpid());
}

void httpd_log_listener(const server_rec *s, const char *module, const fo_event_t *event,
                        const char *error)
{
    ap_log_error(APLOG_MARK, APLOG_WARNING, 0, s,
                 "FO0022: %s: %s was told of '%s' and failed: %s (Process ID: %d)", event->service,
                 module ? module : "a module", event->name, error, (int)getpid());
}

void httpd_log_event_log(const server_rec *s, apr_status_t status, const httpd_place_t *place,
                         const char *target)
{
    ap_log_error(APLOG_MARK, APLOG_EMERG, status, s,
                 "FO0023: %s:%d: FailoverEventLog %s cannot be opened", place->file, place->line,
                 target);
}

void httpd_log_unknown_error(request_rec *r, const char *header, const char *name)
{
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r,
                  "FO0024: the response header %s names '%.64s', which is no service here: it is "
                  "ignored, as all such will be (Process ID: %d)",
                  header, name, (int)getpid());
}

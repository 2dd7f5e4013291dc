/*
 * Who is told of changes, on the monitor thread: the error log, the event log and other modules. Of
 * the event log a slow or dead reader costs nothing but lines, which are counted.
 */
#include "httpd/httpd_failover.h"

#include "core/fo_report.h"
#include "httpd/httpd_log.h"

#include <apr_optional_hooks.h>
#include <apr_portable.h>
#include <fcntl.h>
#include <http_log.h>
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FO_DECLARE(type) type
APR_DECLARE_EXTERNAL_HOOK(fo, FO, const char *, failover_change, (const fo_event_t *event))

/* What others than the error log are told of. */
static const char *const names[FO_CHANGE_COUNT] = {
    [FO_CHANGE_OUTAGE] = "outage",         [FO_CHANGE_UNAVAILABLE] = "unavailable",
    [FO_CHANGE_RECOVERY] = "recovery",     [FO_CHANGE_RESCUE] = "rescue",
    [FO_CHANGE_SWITCH] = "switch",         [FO_CHANGE_FAILBACK] = "failback",
    [FO_CHANGE_SPARE_DOWN] = "spare-down", [FO_CHANGE_SPARE_BACK] = "spare-back",
};

/* ---------------------------------------------------------------- other modules */

static void tell_modules(const fo_event_t *event, const server_rec *s)
{
    const apr_array_header_t *hooks = apr_optional_hook_get("failover_change");

    for (int i = 0; hooks && i < hooks->nelts; i++) {
        const fo_LINK_failover_change_t *hook = &APR_ARRAY_IDX(hooks, i, fo_LINK_failover_change_t);
        const char *error = hook->pFunc(event);
        if (error)
            httpd_log_listener(s, hook->szName, event, error);
    }
}

/* ---------------------------------------------------------------- the event log */

/* RFC 3339, UTC, to the microsecond. */
static const char *instant(apr_time_t at, char *text, apr_size_t size)
{
    apr_time_exp_t when;

    apr_time_exp_gmt(&when, at);
    apr_snprintf(text, size, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", when.tm_year + 1900,
                 when.tm_mon + 1, when.tm_mday, when.tm_hour, when.tm_min, when.tm_sec,
                 when.tm_usec);
    return text;
}

/* A server may have said anything: what is no UTF-8 becomes a '?'. */
static json_t *text_part(const char *text)
{
    char copy[FO_REPORT_TEXT * 2];
    json_t *part = text ? json_string(text) : json_null();

    if (part)
        return part;
    apr_cpystrn(copy, text, sizeof(copy));
    for (char *c = copy; *c; c++)
        if ((unsigned char)*c >= 0x80)
            *c = '?';
    return json_string(copy);
}

/* malloc'ed; NULL: no memory. */
static char *line_of(const fo_event_t *event)
{
    char at[40];
    json_t *object = json_pack("{s:s, s:i, s:s, s:o, s:o, s:o, s:s, s:s, s:o, s:i, s:b, s:o}",
                               "time", instant(event->at, at, sizeof(at)), "pid", (int)getpid(),
                               "event", event->name, "service", text_part(event->service),
                               "endpoint", text_part(event->endpoint), "other",
                               text_part(event->other), "before", event->before, "after",
                               event->after, "reason", text_part(event->reason), "epoch",
                               (int)event->epoch, "news", (int)event->is_news, "lasted_us",
                               event->lasted ? json_integer(event->lasted) : json_null());
    char *line = object ? json_dumps(object, JSON_COMPACT | JSON_PRESERVE_ORDER) : NULL;

    json_decref(object);
    return line;
}

/* One write of at most PIPE_BUF bytes goes into a pipe whole or not at all. */
static bool write_line(int fd, char *line)
{
    size_t length = strlen(line);

    if (length + 1 > PIPE_BUF)
        return false;
    line[length] = '\n'; /* in place of the zero byte */
    return write(fd, line, length + 1) == (ssize_t)length + 1;
}

static void tell_log(const fo_event_t *event)
{
    const httpd_config_t *config = httpd_config();
    char *line;

    if (config->event_fd < 0)
        return;
    line = line_of(event);
    if ((!line || !write_line(config->event_fd, line)) && config->shared)
        fo_shared_count_lost_event(config->shared);
    free(line);
}

/* ---------------------------------------------------------------- a change */

void httpd_event_observe(void *baton, const fo_change_t *change)
{
    char reason[FO_REPORT_TEXT + 16] = "";
    fo_event_t event = {
        .size = sizeof(event),
        .name = names[change->kind],
        .service = change->service->full_name,
        .endpoint = change->endpoint->name,
        .other = change->other ? change->other->name : NULL,
        .before = fo_service_state_name(change->before),
        .after = fo_service_state_name(change->after),
        .reason = reason,
        .epoch = change->epoch,
        .is_news = change->is_news,
        .at = apr_time_now(),
        .lasted = change->lasted,
    };

    httpd_log_change(baton, change);
    if (!event.name)
        return;
    fo_report_text(change->report, reason, sizeof(reason));
    tell_log(&event);
    tell_modules(&event, change->service->owner);
}

/* ---------------------------------------------------------------- the start */

static apr_status_t open_file(const char *path, apr_file_t **ret_file, apr_pool_t *pconf)
{
    return apr_file_open(ret_file, ap_server_root_relative(pconf, path),
                         APR_FOPEN_WRITE | APR_FOPEN_APPEND | APR_FOPEN_CREATE |
                             APR_FOPEN_LARGEFILE,
                         APR_UREAD | APR_UWRITE | APR_GREAD, pconf);
}

static apr_status_t open_pipe(const char *program, apr_file_t **ret_file, apr_pool_t *pconf)
{
    piped_log *log = ap_open_piped_log(pconf, program);

    if (!log)
        return APR_EGENERAL;
    *ret_file = ap_piped_log_write_fd(log);
    return APR_SUCCESS;
}

/* All children write to it; it must never hold them up. -1: it cannot be had. */
static int never_blocking(apr_file_t *file)
{
    apr_os_file_t fd = -1;
    int flags;

    apr_os_file_get(&fd, file);
    flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ? -1 : fd;
}

bool httpd_event_start(httpd_config_t *config, server_rec *s, apr_pool_t *pconf)
{
    const char *target = config->event_log;
    apr_file_t *file = NULL;
    apr_status_t status;

    if (!target)
        return true;
    status = target[0] == '|' ? open_pipe(target + 1, &file, pconf)
                              : open_file(target, &file, pconf);
    if (status == APR_SUCCESS)
        config->event_fd = never_blocking(file);
    if (config->event_fd >= 0)
        return true;
    httpd_log_event_log(s, status, &config->event_place, target);
    return false;
}

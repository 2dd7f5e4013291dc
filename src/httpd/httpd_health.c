/*
 * SetHandler failover-health, permitted by FailoverHealth: whether this server lives, and whether
 * it is to be sent requests. For load balancers and supervisors; doc/health.md has the answers.
 */
#include "httpd/httpd_status.h"

#include "probe/probe_clock.h"

#include <http_protocol.h>
#include <http_request.h>
#include <string.h>

#define HANDLER "failover-health"

/* What is asked: the end of the path says so, wherever the handler stands. */
typedef struct question_t {
    bool is_live;
    const char *name; /* of one service; NULL: of all that are critical */
} question_t;

/* What is known of one service. */
typedef struct finding_t {
    fo_view_state_e state;
    apr_time_t since_at; /* 0: nobody knows */
} finding_t;

/* Takes the last word off the path; "": there is none. */
static const char *cut_word(char *path)
{
    size_t length = strlen(path);
    char *slash;

    while (length > 0 && path[length - 1] == '/')
        path[--length] = '\0';
    slash = strrchr(path, '/');
    if (!slash)
        return "";
    *slash = '\0';
    return slash + 1;
}

/* Behind "ready" stands a name, also one that is "live" or "ready" itself. */
static question_t question_of(const request_rec *r)
{
    char *path = apr_pstrdup(r->pool, r->uri);
    const char *last = cut_word(path);

    if (strcmp(cut_word(path), "ready") == 0)
        return (question_t){ .name = last };
    return (question_t){ .is_live = strcmp(last, "live") == 0 };
}

/* The status is set, not returned: the body is the answer, and stays so with an ErrorDocument. */
static int answer(request_rec *r, int status, json_t *document)
{
    r->status = status;
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    ap_set_content_type(r, "application/json");
    httpd_status_write(r, document);
    ap_rputs("\n", r);
    return OK;
}

/* Where no child that published knows it, this one may: there is no memory, or no place in it. */
static finding_t find(const fo_view_t *view, const fo_service_t *service)
{
    const fo_view_service_t *seen = &view->services[service->index];
    const fo_board_t *board = httpd_child_board();
    fo_word_t word = { .state = FO_SERVICE_UP };

    if (seen->state != FO_VIEW_UNKNOWN)
        return (finding_t){ seen->state, seen->parts[seen->state].since_at };
    if (board)
        word = fo_board_word(board, service);
    if (word.state == FO_SERVICE_UP) /* which it is before the first ping as well */
        return (finding_t){ .state = FO_VIEW_UNKNOWN };
    return (finding_t){ (fo_view_state_e)word.state, fo_board_detail(board, service).since_at };
}

/* Nothing is done about a service that is only observed, so it does not count here either. */
static bool is_failing(const fo_service_t *service, const finding_t *finding)
{
    return finding->state == FO_VIEW_DOWN && !service->policy.value[FO_POLICY_OBSERVE];
}

static json_t *service_part(const fo_view_t *view, const fo_service_t *service,
                            const finding_t *finding)
{
    char text[HTTPD_STATUS_INSTANT];
    json_t *since = finding->since_at
                        ? json_string(httpd_status_instant(view, finding->since_at, text))
                        : json_null();

    return json_pack("{s:s, s:s, s:o, s:s, s:b}", "name", service->name, "state",
                     fo_view_state_name(finding->state), "since", since, "mode",
                     fo_policy_mode(&service->policy), "critical", (int)service->is_critical);
}

static int answer_ready(request_rec *r, const apr_array_header_t *services)
{
    const httpd_config_t *config = httpd_config();
    const fo_view_t *view = fo_view_of(config->plan, services, config->shared, probe_clock_now(),
                                       apr_time_now(), r->pool);
    json_t *failing = json_array(), *parts = json_array();
    bool is_ready;

    for (int i = 0; i < services->nelts; i++) {
        const fo_service_t *service = APR_ARRAY_IDX(services, i, const fo_service_t *);
        finding_t finding = find(view, service);
        json_array_append_new(parts, service_part(view, service, &finding));
        if (is_failing(service, &finding))
            json_array_append_new(failing, json_string(service->name));
    }
    is_ready = json_array_size(failing) == 0;
    return answer(r, is_ready ? HTTP_OK : HTTP_SERVICE_UNAVAILABLE,
                  json_pack("{s:s, s:o, s:o}", "status", is_ready ? "ready" : "unready", "failing",
                            failing, "services", parts));
}

static int answer_all(request_rec *r, const fo_scope_t *scope)
{
    apr_array_header_t *critical = apr_array_make(r->pool, 8, sizeof(const fo_service_t *));

    for (unsigned i = 0; i < (unsigned)scope->services->nelts; i++)
        if (fo_scope_service(scope, i)->is_critical)
            APR_ARRAY_PUSH(critical, const fo_service_t *) = fo_scope_service(scope, i);
    return answer_ready(r, critical);
}

static int answer_one(request_rec *r, const fo_scope_t *scope, const char *name)
{
    const fo_service_t *service = fo_scope_find(scope, name);
    apr_array_header_t *one = apr_array_make(r->pool, 1, sizeof(const fo_service_t *));

    if (!service)
        return answer(r, HTTP_NOT_FOUND, json_pack("{s:s}", "status", "no such service"));
    APR_ARRAY_PUSH(one, const fo_service_t *) = service;
    return answer_ready(r, one);
}

static __attribute__((noinline)) int tell(request_rec *r)
{
    const fo_scope_t *scope = httpd_server_of(r->server)->scope;
    int status = httpd_status_admit(r, httpd_directory_of(r->per_dir_config)->tells_health);
    question_t question;

    if (status != OK)
        return status;
    httpd_uses_exempt(r);
    question = question_of(r);
    if (question.is_live)
        return answer(r, HTTP_OK, json_pack("{s:s}", "status", "live"));
    return question.name ? answer_one(r, scope, question.name) : answer_all(r, scope);
}

static int handle(request_rec *r)
{
    return httpd_status_is_for(r, HANDLER) ? tell(r) : DECLINED;
}

void httpd_health_serve(void)
{
    if (!httpd_config()->serves_health)
        ap_hook_handler(handle, NULL, NULL, APR_HOOK_MIDDLE);
    httpd_config()->serves_health = true;
}

/* A service as a block, and what stands in it: endpoints, as lines or blocks, and their checks. */
#include "httpd/httpd_declare.h"

#include "core/fo_parse.h"

#include <string.h>

/* The most endpoints of a service are FO_ENDPOINTS_MAX; checks of one endpoint: */
#define CHECKS_MAX 16

typedef bool (*fits_fn)(const char *name);

/* ap_walk_config would run any other directive as if it stood outside. */
static const char *check_children(cmd_parms *cmd, fits_fn fits, const char *where)
{
    for (const ap_directive_t *child = cmd->directive->first_child; child; child = child->next) {
        if (fits(child->directive))
            continue;
        cmd->err_directive = child;
        return apr_psprintf(cmd->pool, "%s has no place inside %s", child->directive, where);
    }
    return NULL;
}

/* "NAME ...>": the words before the closing '>'; NULL: there is none. */
static const char *words_of(cmd_parms *cmd, const char *args)
{
    const char *end = strrchr(args, '>');

    return end ? apr_pstrmemdup(cmd->pool, args, (apr_size_t)(end - args)) : NULL;
}

static const char *walk_service(cmd_parms *cmd, httpd_service_t *service)
{
    httpd_server_t *server = httpd_server_of(cmd->server);
    const char *error;

    server->open_service = service;
    error = ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
    server->open_service = NULL;
    return error;
}

const char *httpd_declare_block(cmd_parms *cmd, void *unused, const char *args)
{
    const char *words = words_of(cmd, args);
    const char *name = words ? ap_getword_conf(cmd->pool, &words) : "";
    httpd_service_t *service;
    const char *error;

    (void)unused;
    if (!words)
        return "<FailoverService: the closing '>' is missing";
    if (words[0])
        return apr_psprintf(cmd->pool, "<FailoverService NAME> takes one name; '%s' is too much",
                            words);
    error = httpd_service_check_name(cmd, name);
    if (error)
        return apr_pstrcat(cmd->pool, "<FailoverService>: ", error, NULL);
    service = httpd_service_make(cmd, name);
    error = check_children(cmd, httpd_directive_fits_block,
                           "<FailoverService>: it takes FailoverEndpoint, FailoverCheck, "
                           "FailoverCritical, settings (FailoverSetEnv, FailoverUnsetEnv, "
                           "FailoverAlias, FailoverNote) and policy");
    if (!error)
        error = walk_service(cmd, service);
    if (!error && service->endpoints->nelts == 0)
        error = apr_psprintf(cmd->pool, "<FailoverService %s> has no FailoverEndpoint", name);
    if (!error)
        error = httpd_service_register(cmd, service);
    return error;
}

static const char *check_endpoint_name(cmd_parms *cmd, const httpd_service_t *service,
                                       const char *name)
{
    const char *error = fo_parse_name(name, cmd->pool);

    for (int i = 0; !error && i < service->endpoints->nelts; i++) {
        const httpd_endpoint_t *other = APR_ARRAY_IDX(service->endpoints, i, httpd_endpoint_t *);
        if (fo_name_equal(other->name, name))
            error = apr_psprintf(cmd->pool, "%s has an endpoint '%s' already, at %s:%d",
                                 service->name, other->name, other->own.place.file,
                                 other->own.place.line);
    }
    if (!error && service->endpoints->nelts >= FO_ENDPOINTS_MAX)
        error = apr_psprintf(cmd->pool, "%s has %d endpoints, and no service may have more",
                             service->name, FO_ENDPOINTS_MAX);
    return error;
}

/* The same address as another name would be pinged twice and help nobody. */
static const char *check_endpoint_url(cmd_parms *cmd, const httpd_service_t *service,
                                      const httpd_endpoint_t *added)
{
    for (int i = 0; i < service->endpoints->nelts; i++) {
        const httpd_endpoint_t *other = APR_ARRAY_IDX(service->endpoints, i, httpd_endpoint_t *);
        if (other != added && strcmp(other->own.url->text, added->own.url->text) == 0)
            return apr_psprintf(cmd->pool,
                                "%s has an endpoint with this URL already, '%s' at %s:%d: a second "
                                "one could not take its place",
                                service->name, other->name, other->own.place.file,
                                other->own.place.line);
    }
    return NULL;
}

/* *ret_endpoint is set if there is no error. */
static const char *declare_endpoint(cmd_parms *cmd, int argc, char *const argv[],
                                    httpd_endpoint_t **ret_endpoint)
{
    httpd_draft_t draft = { .cmd = cmd, .service = httpd_declare_open(cmd) };
    const char *error;

    if (!draft.service)
        return httpd_declare_outside(cmd);
    error = httpd_check_words(cmd, argc, 2, "NAME URL [weight=N] [option=value ...]");
    if (error)
        return error;
    error = check_endpoint_name(cmd, draft.service, argv[0]);
    if (!error)
        error = httpd_endpoint_add(&draft, argv[0], argv[1], argc - 2, argv + 2, false);
    if (!error)
        error = check_endpoint_url(cmd, draft.service, draft.endpoint);
    *ret_endpoint = draft.endpoint;
    return httpd_prefixed(cmd, error);
}

const char *httpd_declare_endpoint(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    httpd_endpoint_t *endpoint;

    (void)unused;
    return declare_endpoint(cmd, argc, argv, &endpoint);
}

static const char *walk_endpoint(cmd_parms *cmd, httpd_endpoint_t *endpoint)
{
    httpd_server_t *server = httpd_server_of(cmd->server);
    const char *error;

    server->open_endpoint = endpoint;
    error = ap_walk_config(cmd->directive->first_child, cmd, cmd->context);
    server->open_endpoint = NULL;
    return error;
}

const char *httpd_declare_endpoint_block(cmd_parms *cmd, void *unused, const char *args)
{
    const char *words = words_of(cmd, args);
    apr_array_header_t *list = apr_array_make(cmd->pool, 4, sizeof(char *));
    httpd_endpoint_t *endpoint = NULL;
    const char *error;

    (void)unused;
    if (!words)
        return "<FailoverEndpoint: the closing '>' is missing";
    while (*words)
        APR_ARRAY_PUSH(list, char *) = ap_getword_conf(cmd->pool, &words);
    error = check_children(cmd, httpd_directive_fits_endpoint,
                           "<FailoverEndpoint>: it takes FailoverCheck and settings "
                           "(FailoverSetEnv, FailoverUnsetEnv, FailoverAlias, FailoverNote)");
    if (!error)
        error = declare_endpoint(cmd, list->nelts, (char *const *)list->elts, &endpoint);
    return error ? error : walk_endpoint(cmd, endpoint);
}

const char *httpd_declare_check(cmd_parms *cmd, void *unused, int argc, char *const argv[])
{
    const httpd_server_t *server = httpd_server_of(cmd->server);
    httpd_draft_t draft = { .cmd = cmd, .service = server->open_service };
    apr_array_header_t *checks;
    const char *error;

    (void)unused;
    if (!draft.service)
        return httpd_declare_outside(cmd);
    error = httpd_check_words(cmd, argc, 1, "URL [option=value ...]");
    if (error)
        return error;
    checks = server->open_endpoint ? server->open_endpoint->checks : draft.service->checks;
    if (checks->nelts >= CHECKS_MAX)
        error = apr_psprintf(cmd->pool,
                             "there are %d of them already, and no endpoint may have more",
                             CHECKS_MAX);
    else
        error = httpd_check_add(&draft, checks, argv[0], argc - 1, argv + 1);
    return httpd_prefixed(cmd, error);
}

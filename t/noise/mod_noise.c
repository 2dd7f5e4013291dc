/*
 * mod_noise.c: for tests alone: writes errors wherever a module may, with s, c and r NULL or not,
 * in the parent, in each phase of a child's life, in a signal handler, and from within the hook on
 * the error log. All of them say "Connection refused".
 */
#include <ap_mpm.h>
#include <httpd.h>
#include <http_config.h>
#include <http_connection.h>
#include <http_core.h>
#include <http_log.h>
#include <http_main.h>
#include <http_protocol.h>
#include <mpm_common.h>
#include <signal.h>
#include <string.h>

extern module AP_MODULE_DECLARE_DATA noise_module;

#define WORDS "Connection refused: noise of "

static void say(const char *where, const server_rec *s)
{
    ap_log_error(APLOG_MARK, APLOG_ERR, ECONNREFUSED, s, WORDS "%s", where);
}

/* What a request wants to hear, by its query. */
static int handler(request_rec *r)
{
    const char *kind = r->args ? r->args : "";

    if (!r->handler || strcmp(r->handler, "noise") != 0)
        return DECLINED;
    if (strcmp(kind, "nobody") == 0)
        say(kind, NULL);
    else if (strcmp(kind, "server") == 0)
        say(kind, r->server);
    else if (strcmp(kind, "pool") == 0)
        ap_log_perror(APLOG_MARK, APLOG_ERR, ECONNREFUSED, r->pool, WORDS "%s", kind);
    else if (strcmp(kind, "connection") == 0)
        ap_log_cerror(APLOG_MARK, APLOG_ERR, ECONNREFUSED, r->connection, WORDS "%s", kind);
    else
        ap_log_rerror(APLOG_MARK, APLOG_ERR, ECONNREFUSED, r, WORDS "%s", kind);
    ap_rputs("noisy", r);
    return OK;
}

/* Errors about errors, three deep. */
static void echo(const ap_errorlog_info *info, const char *text)
{
    static volatile int depth;

    if (info->module_index != noise_module.module_index || depth >= 3 || !strstr(text, "echo"))
        return;
    depth++;
    ap_log_error(APLOG_MARK, APLOG_ERR, ECONNREFUSED, info->s, WORDS "an echo");
    depth--;
}

static void on_signal(int number)
{
    (void)number;
    say("a signal handler", NULL);
}

static apr_status_t early_end(void *unused)
{
    (void)unused;
    say("a child's first cleanup", NULL);
    return APR_SUCCESS;
}

static apr_status_t late_end(void *unused)
{
    (void)unused;
    say("a child's last cleanup", ap_server_conf);
    return APR_SUCCESS;
}

static void child_init(apr_pool_t *pchild, server_rec *s)
{
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };

    say("a child's beginning", s);
    apr_pool_pre_cleanup_register(pchild, NULL, early_end);
    apr_pool_cleanup_register(pchild, NULL, late_end, apr_pool_cleanup_null);
    sigaction(SIGRTMIN, &action, NULL);
}

static void child_stopping(apr_pool_t *pchild, int graceful)
{
    (void)pchild;
    (void)graceful;
    say("a child that stops", NULL);
}

static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    (void)pconf;
    (void)plog;
    ap_log_perror(APLOG_MARK, APLOG_ERR, ECONNREFUSED, ptemp, WORDS "a start");
    say("the parent", s);
    return OK;
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_REALLY_LAST);
    ap_hook_child_stopping(child_stopping, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_error_log(echo, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_handler(handler, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(noise) = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};

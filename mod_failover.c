/*
 * mod_failover: the map. What it is made of hangs on these hooks, in the order in which they run;
 * doc/ARCHITECTURE.md tells the rest.
 */
#include "httpd/httpd_failover.h"

#include <ap_expr.h>
#include <http_protocol.h>
#include <http_request.h>
#include <mpm_common.h>

static void register_hooks(apr_pool_t *pool)
{
    static const char *const log_config[] = { "mod_log_config.c", NULL };
    static const char *const setenvif[] = { "mod_setenvif.c", NULL };
    static const char *const env[] = { "mod_env.c", "mod_setenvif.c", NULL };

    (void)pool;
    /* Configuration */
    ap_hook_pre_config(httpd_config_reset, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_pre_config(httpd_expr_log_handler, log_config, NULL, APR_HOOK_MIDDLE);
    ap_hook_expr_lookup(httpd_expr_lookup, NULL, NULL, APR_HOOK_FIRST);
    ap_hook_check_config(httpd_config_check, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_test_config(httpd_config_test, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(httpd_config_start, NULL, NULL, APR_HOOK_MIDDLE);
    /* Child */
    ap_hook_child_status(httpd_shm_child_status, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(httpd_child_init, NULL, NULL, APR_HOOK_MIDDLE);
    /* Errors */
    ap_hook_error_log(httpd_error_log, NULL, NULL, APR_HOOK_MIDDLE);
    /* Request */
    ap_hook_post_read_request(httpd_request_begin, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_post_read_request(httpd_request_early, setenvif, NULL, APR_HOOK_MIDDLE);
    ap_hook_header_parser(httpd_request_header_parser, setenvif, NULL, APR_HOOK_MIDDLE);
    ap_hook_fixups(httpd_request_late, env, NULL, APR_HOOK_MIDDLE);
    /* People. The handlers come with the first FailoverStatus or FailoverHealth On: each costs. */
    httpd_status_register();
}

AP_DECLARE_MODULE(failover) = {
    STANDARD20_MODULE_STUFF,
    httpd_config_create_directory,
    httpd_config_merge_directory,
    httpd_config_create_server,
    httpd_config_merge_server,
    httpd_directives,
    register_hooks,
    AP_MODULE_FLAG_NONE,
};

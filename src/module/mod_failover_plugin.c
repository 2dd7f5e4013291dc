/*
 * mod_failover_plugin.c: registers the probe for plugin://, and looks after the helper process that
 * runs the plugins. Each start of the configuration has a helper of its own; that of an older one
 * ends with the last child that could still ask it.
 */
#include "mod_failover.h"
#include "probe/probe_plugin.h"

#include <ap_provider.h>
#include <apr_thread_proc.h>
#include <dlfcn.h>
#include <httpd.h>
#include <http_config.h>
#include <http_core.h>
#include <mpm_common.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* One that lives shorter than this is not started again at once. */
#define SHORT_LIFE (2 * APR_USEC_PER_SEC)

/* One helper, in a pool of its own below the process's: it may outlive its configuration. */
typedef struct helper_t {
    apr_pool_t *pool;
    apr_proc_t process;
    apr_time_t started_at;
} helper_t;

/* Of the parent; what it began with, its children have as well. */
static struct {
    int ask_fd;   /* inherited by all children */
    int serve_fd; /* the helper's end, kept for one that takes its place */
    helper_t *helper;
    server_rec *server;
} current = { .ask_fd = -1, .serve_fd = -1 };

static void start_helper(void);

/* The parent learns of a death within a second. What else may be told here is nothing to us. */
static void maintain(int reason, void *data, int status)
{
    helper_t *helper = data;
    bool is_current = helper == current.helper;
    bool was_short = apr_time_now() - helper->started_at < SHORT_LIFE;

    (void)status;
    if (reason != APR_OC_REASON_DEATH && reason != APR_OC_REASON_LOST)
        return;
    apr_proc_other_child_unregister(helper);
    apr_pool_destroy(helper->pool);
    if (!is_current)
        return;
    current.helper = NULL;
    if (!was_short)
        start_helper();
}

static void run_helper(pid_t parent)
{
    apr_pool_t *pool;

    prctl(PR_SET_NAME, "failover-plugin");
    apr_pool_create(&pool, NULL);
    if (ap_run_drop_privileges(pool, current.server) != OK)
        _exit(1);
    probe_plugin_serve(current.serve_fd, parent);
}

/* Where the fork fails, the monitor hook tries again. */
static void start_helper(void)
{
    apr_pool_t *pool;
    helper_t *helper;
    pid_t parent = getpid(), pid = fork();

    if (pid == 0)
        run_helper(parent);
    if (pid < 0)
        return;
    apr_pool_create(&pool, current.server->process->pool);
    helper = apr_pcalloc(pool, sizeof(*helper));
    helper->pool = pool;
    helper->process.pid = pid;
    helper->started_at = apr_time_now();
    current.helper = helper;
    apr_proc_other_child_register(&helper->process, maintain, helper, NULL, pool);
}

/* The configuration goes: the helper ends when the last of its children has gone. */
static apr_status_t leave_helper(void *unused)
{
    (void)unused;
    close(current.ask_fd);
    close(current.serve_fd);
    current.ask_fd = current.serve_fd = -1;
    current.helper = NULL;
    probe_plugin_ask_at(-1);
    return APR_SUCCESS;
}

/* maintain() may be called after a restart has unloaded this module. */
static void stay_mapped(void)
{
    Dl_info info;

    if (dladdr((const void *)&current, &info) && info.dli_fname)
        dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE);
}

static int pre_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp)
{
    (void)plog;
    (void)ptemp;
    probe_plugin_reset(pconf);
    return OK;
}

/* Before any other module has read secrets that the helper would inherit. */
static int post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s)
{
    int ends[2];

    (void)plog;
    (void)ptemp;
    if (ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG || !probe_plugin_is_used())
        return OK;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return OK; /* the pings say that there is no helper */
    current.ask_fd = ends[0];
    current.serve_fd = ends[1];
    current.server = s;
    apr_pool_cleanup_register(pconf, NULL, leave_helper, apr_pool_cleanup_null);
    probe_plugin_ask_at(current.ask_fd);
    stay_mapped();
    start_helper();
    return OK;
}

/* Every ten seconds, in the parent. */
static int monitor(apr_pool_t *p, server_rec *s)
{
    (void)p;
    (void)s;
    if (current.serve_fd >= 0 && !current.helper)
        start_helper();
    return DECLINED;
}

/* That end is the helper's, and the parent's for the next one. */
static void child_init(apr_pool_t *pchild, server_rec *s)
{
    (void)pchild;
    (void)s;
    if (current.serve_fd >= 0)
        close(current.serve_fd);
    current.serve_fd = -1;
}

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, FO_PROBE_GROUP, "plugin", FO_PROBE_VERSION, &fo_probe_plugin);
    ap_hook_pre_config(pre_config, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_post_config(post_config, NULL, NULL, APR_HOOK_REALLY_FIRST);
    ap_hook_monitor(monitor, NULL, NULL, APR_HOOK_MIDDLE);
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(failover_plugin) = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};

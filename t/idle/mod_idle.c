/*
 * mod_idle.c: for tests alone: each child has a second thread, which does nothing. A process of two
 * threads pays more in libc than one of a single thread, whatever its modules do; this module is
 * what figures of ours are compared with.
 */
#include <httpd.h>
#include <http_config.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

static void *idle(void *unused)
{
    (void)unused;
    for (;;)
        pause();
    return NULL;
}

/* Signals are for httpd's own threads: this one has none to be woken by. */
static void child_init(apr_pool_t *pchild, server_rec *s)
{
    sigset_t all, before;
    pthread_t thread;

    (void)pchild;
    (void)s;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (pthread_create(&thread, NULL, idle, NULL) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void register_hooks(apr_pool_t *pool)
{
    (void)pool;
    ap_hook_child_init(child_init, NULL, NULL, APR_HOOK_MIDDLE);
}

AP_DECLARE_MODULE(idle) = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};

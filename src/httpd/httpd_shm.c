/*
 * The memory that the children share. It belongs to the server process, not to a configuration: a
 * restart finds it again, while this module's own variables are gone, as it is loaded anew.
 */
#include "httpd/httpd_failover.h"

#include "core/fo_slot.h"
#include "httpd/httpd_log.h"

#include <apr_shm.h>
#include <http_main.h>
#include <signal.h>
#include <sys/eventfd.h>

/* Children of an earlier generation that still drain have slots beside the new ones. */
#define SLOTS_PER_DAEMON 2

/* Seats for what a later configuration adds, so that it finds room in the same memory. */
#define SPARE_SEATS(n) ((n) + (n) / 4 + 8)

/* What outlives a restart. The name tells versions of this struct apart. */
#define KEPT_NAME "mod_failover 1"

typedef struct kept_t {
    apr_pool_t *pool; /* the memory's own, so that nothing of it stays behind; NULL: none yet */
    fo_shared_t *shared;
    bool has_fd;
    int fd;
} kept_t;

static kept_t *kept(void)
{
    kept_t *found = ap_retained_data_get(KEPT_NAME);

    return found ? found : ap_retained_data_create(KEPT_NAME, sizeof(kept_t));
}

/* Also of another user: then it is no child of ours, but its number is taken. */
static bool is_alive(apr_int64_t pid)
{
    return kill((pid_t)pid, 0) == 0 || errno != ESRCH;
}

static unsigned max_slots(void)
{
    int daemons = 1;

    ap_mpm_query(AP_MPMQ_HARD_LIMIT_DAEMONS, &daemons);
    return SLOTS_PER_DAEMON * (unsigned)(daemons > 0 ? daemons : 1);
}

/* New memory, which takes over what the old one knows. The children that live keep theirs. */
static apr_status_t renew(kept_t *held, fo_plan_t *plan, fo_capacity_t capacity)
{
    apr_pool_t *pool;
    apr_shm_t *memory = NULL;
    fo_shared_t *shared;
    apr_status_t status;

    capacity.services = SPARE_SEATS(capacity.services);
    capacity.targets = SPARE_SEATS(capacity.targets);
    capacity.endpoints = SPARE_SEATS(capacity.endpoints);
    apr_pool_create(&pool, ap_server_conf->process->pool);
    apr_pool_tag(pool, "failover shared memory");
    status = apr_shm_create(&memory, fo_shared_size(&capacity), NULL, pool);
    if (status != APR_SUCCESS) {
        apr_pool_destroy(pool);
        return status;
    }
    shared = fo_shared_init(apr_shm_baseaddr_get(memory), &capacity);
    fo_shared_adopt(shared, plan, held->shared);
    if (held->pool)
        apr_pool_destroy(held->pool);
    held->pool = pool;
    held->shared = shared;
    return APR_SUCCESS;
}

/* Each child has a copy of its own of this. */
static fo_shared_t *alone(fo_plan_t *plan, unsigned cells, apr_pool_t *pool)
{
    fo_capacity_t capacity = fo_shared_need(plan, 1, cells);
    fo_shared_t *shared = fo_shared_init(apr_pcalloc(pool, fo_shared_size(&capacity)), &capacity);

    fo_shared_adopt(shared, plan, NULL);
    return shared;
}

static void share(httpd_config_t *config, kept_t *held, const server_rec *s, apr_pool_t *pconf)
{
    unsigned cells = (unsigned)config->ping_concurrency;
    fo_capacity_t capacity = fo_shared_need(config->plan, max_slots(), cells);
    apr_status_t status = APR_SUCCESS;

    if (held->shared) /* first: the seats that the dead alone knew are free */
        fo_slot_sweep(held->shared, is_alive);
    if (!held->shared || !fo_shared_fits(held->shared, &capacity) ||
        !fo_shared_adopt(held->shared, config->plan, NULL))
        status = renew(held, config->plan, capacity);
    if (status != APR_SUCCESS) {
        httpd_log_unshared(s, status);
        config->plan->ways.lease = 0;
        config->shared = alone(config->plan, cells, pconf);
        return;
    }
    config->shared = held->shared;
}

static int wake_fd(kept_t *held)
{
    if (!held->has_fd)
        held->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    held->has_fd = held->fd >= 0;
    return held->fd;
}

void httpd_shm_start(httpd_config_t *config, const server_rec *s, apr_pool_t *pconf)
{
    kept_t *held = kept();

    config->shared_fd = -1;
    if (config->plan->targets->nelts == 0)
        return;
    share(config, held, s, pconf);
    if (config->plan->ways.lease)
        config->shared_fd = wake_fd(held);
}

/* Parent. A child that lost its slot in httpd's scoreboard still lives. */
void httpd_shm_child_status(server_rec *s, pid_t pid, ap_generation_t generation, int slot,
                            mpm_child_status status)
{
    fo_shared_t *shared = httpd_config()->shared;

    (void)s;
    (void)generation;
    (void)slot;
    if (shared && status == MPM_CHILD_EXITED)
        fo_slot_release(shared, pid);
}

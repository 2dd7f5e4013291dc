/* mod_failover_redis.c: registers the probes for redis:// and rediss://, with hiredis. */
#include "mod_failover.h"
#include "probe/probe_redis.h"

#include <ap_provider.h>
#include <httpd.h>
#include <http_config.h>

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, FO_PROBE_GROUP, "redis", FO_PROBE_VERSION, &fo_probe_redis);
    ap_register_provider(pool, FO_PROBE_GROUP, "rediss", FO_PROBE_VERSION, &fo_probe_rediss);
}

AP_DECLARE_MODULE(failover_redis) = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};

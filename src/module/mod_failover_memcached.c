/*
 * mod_failover_memcached.c: registers the probe for memcached://.
 */
#include "mod_failover.h"
#include "probe/probe_memcached.h"

#include <ap_provider.h>
#include <httpd.h>
#include <http_config.h>

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, FO_PROBE_GROUP, "memcached", FO_PROBE_VERSION, &fo_probe_memcached);
}

AP_DECLARE_MODULE(failover_memcached) = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};

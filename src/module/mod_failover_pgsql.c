/*
 * mod_failover_pgsql.c: registers the probe for postgresql://, with libpq.
 */
#include "mod_failover.h"
#include "probe/probe_pgsql.h"

#include <ap_provider.h>
#include <httpd.h>
#include <http_config.h>

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, FO_PROBE_GROUP, "postgresql", FO_PROBE_VERSION, &fo_probe_pgsql);
}

AP_DECLARE_MODULE(failover_pgsql) = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};

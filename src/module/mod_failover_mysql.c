/*
 * mod_failover_mysql.c: registers the probe for mysql://, with MariaDB's client library.
 */
#include "mod_failover.h"
#include "probe/probe_mysql.h"

#include <ap_provider.h>
#include <httpd.h>
#include <http_config.h>

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, FO_PROBE_GROUP, "mysql", FO_PROBE_VERSION, &fo_probe_mysql);
}

AP_DECLARE_MODULE(failover_mysql) = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};

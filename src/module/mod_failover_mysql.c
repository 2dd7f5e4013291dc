/*
 * mod_failover_mysql.c: registers the probes for mysql:// and mysqls://, with MariaDB's client
 * library and OpenSSL.
 */
#include "mod_failover.h"
#include "probe/probe_mysql.h"

#include <ap_provider.h>
#include <httpd.h>
#include <http_config.h>

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, FO_PROBE_GROUP, "mysql", FO_PROBE_VERSION, &fo_probe_mysql);
    ap_register_provider(pool, FO_PROBE_GROUP, "mysqls", FO_PROBE_VERSION, &fo_probe_mysqls);
}

AP_DECLARE_MODULE(failover_mysql) = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};

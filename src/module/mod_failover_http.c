/*
 * mod_failover_http.c: registers the probes for http://, https:// and redis-lag+https://, with
 * libcurl.
 */
#include "mod_failover.h"
#include "probe/probe_http.h"
#include "probe/probe_lag.h"

#include <ap_provider.h>
#include <httpd.h>
#include <http_config.h>

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, FO_PROBE_GROUP, "http", FO_PROBE_VERSION, &fo_probe_http);
    ap_register_provider(pool, FO_PROBE_GROUP, "https", FO_PROBE_VERSION, &fo_probe_https);
    ap_register_provider(pool, FO_PROBE_GROUP, "redis-lag+https", FO_PROBE_VERSION, &fo_probe_lag);
}

AP_DECLARE_MODULE(failover_http) = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};

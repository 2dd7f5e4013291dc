/*
 * mod_failover_amqp.c: registers the probes for amqp:// and amqps://, with librabbitmq and OpenSSL.
 */
#include "mod_failover.h"
#include "probe/probe_amqp.h"

#include <ap_provider.h>
#include <httpd.h>
#include <http_config.h>

static void register_hooks(apr_pool_t *pool)
{
    ap_register_provider(pool, FO_PROBE_GROUP, "amqp", FO_PROBE_VERSION, &fo_probe_amqp);
    ap_register_provider(pool, FO_PROBE_GROUP, "amqps", FO_PROBE_VERSION, &fo_probe_amqps);
}

AP_DECLARE_MODULE(failover_amqp) = {
    STANDARD20_MODULE_STUFF,
    .register_hooks = register_hooks,
};

/*
 * probe_curl_site.h: for probe_curl alone: a connection's certificates, as configured.
 */
#ifndef PROBE_CURL_SITE_H
#define PROBE_CURL_SITE_H

#include "probe/probe_curl.h"

/*
 * For CURLOPT_SSL_CTX_FUNCTION: puts the authorities and the client certificate of mod_failover's
 * context into libcurl's. False: no memory.
 */
bool probe_curl_site_equip(SSL_CTX *from, SSL_CTX *to);

#endif

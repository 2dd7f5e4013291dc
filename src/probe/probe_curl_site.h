/*
 * probe_curl_site.h: for probe_curl alone: a connection's certificates, as configured.
 */
#ifndef PROBE_CURL_SITE_H
#define PROBE_CURL_SITE_H

#include "probe/probe_curl.h"

/*
 * For CURLOPT_SSL_CTX_FUNCTION: puts the site's authorities and client certificate into libcurl's
 * context. False: key-password= does not open the key, or no memory.
 */
bool probe_curl_site_equip(const probe_curl_site_t *site, const char *key_password,
                           SSL_CTX *context);

#endif

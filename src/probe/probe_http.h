/*
 * probe_http.h: http:// and https://, one request whose status, and body if wanted, must be as
 * told; with libcurl. doc/probe-http.md says what each answer means.
 */
#ifndef PROBE_HTTP_H
#define PROBE_HTTP_H

#include "mod_failover.h"

extern const fo_probe_t fo_probe_http;
extern const fo_probe_t fo_probe_https;

#endif

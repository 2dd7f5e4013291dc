/*
 * probe_resolver.h: names to numeric addresses, on threads of their own. Every ping asks anew; the
 * last good addresses are kept for when the resolver is slow or fails. Monitor thread alone.
 */
#ifndef PROBE_RESOLVER_H
#define PROBE_RESOLVER_H

#include "probe/probe_workers.h"

#define PROBE_ADDRESSES_MAX 8
#define PROBE_ADDRESS_TEXT 64

typedef struct probe_addresses_t {
    unsigned n;
    char text[PROBE_ADDRESSES_MAX][PROBE_ADDRESS_TEXT]; /* numeric, in the resolver's order */
} probe_addresses_t;

/* One name. */
typedef struct probe_name_t probe_name_t;

typedef struct probe_resolver_t probe_resolver_t;

/* NULL: no memory. */
probe_resolver_t *probe_resolver_make(unsigned max_threads, void (*wake)(void *baton), void *baton);

/* As probe_workers_stop; the names are freed with it. */
void probe_resolver_stop(probe_resolver_t *resolver, apr_interval_time_t patience);

/* True when the text is an address already; needs no thread. */
bool probe_resolver_numeric(const char *text, probe_addresses_t *ret_addresses);

/* The entry of a name; a look-up is under way after this. NULL: no memory. */
probe_name_t *probe_resolver_ask(probe_resolver_t *resolver, const char *text);

/* Takes in what the threads have found. */
void probe_resolver_collect(probe_resolver_t *resolver);

/* Counts the look-ups that have ended. */
unsigned probe_name_serial(const probe_name_t *name);

/* What the last ended look-up said: 0 or an EAI_ code. */
int probe_name_error(const probe_name_t *name);

/* The errno, of descriptors or memory, that made it fail; 0: none did. */
apr_status_t probe_name_shortage(const probe_name_t *name);

/* The last good addresses; n is 0 when there were never any. */
const probe_addresses_t *probe_name_addresses(const probe_name_t *name);

#endif

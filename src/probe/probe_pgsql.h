/*
 * probe_pgsql.h: postgresql://, a login up to ReadyForQuery, as steps of libpq. doc/probe-pgsql.md
 * says what each answer means.
 */
#ifndef PROBE_PGSQL_H
#define PROBE_PGSQL_H

#include "mod_failover.h"

extern const fo_probe_t fo_probe_pgsql;

#endif

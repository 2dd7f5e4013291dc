/*
 * probe_mysql.h: mysql://, a login, a COM_PING and a COM_QUIT, as steps of MariaDB's client
 * library, and mysqls://, the same over TLS, as an ask. doc/probe-mysql.md says what each answer
 * means.
 */
#ifndef PROBE_MYSQL_H
#define PROBE_MYSQL_H

#include "mod_failover.h"

extern const fo_probe_t fo_probe_mysql;
extern const fo_probe_t fo_probe_mysqls;

#endif

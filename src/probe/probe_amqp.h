/*
 * probe_amqp.h: amqp:// and amqps://, login, Connection.Open and Connection.Close, as an ask.
 * doc/probe-amqp.md says what each answer means.
 */
#ifndef PROBE_AMQP_H
#define PROBE_AMQP_H

#include "mod_failover.h"

extern const fo_probe_t fo_probe_amqp;
extern const fo_probe_t fo_probe_amqps;

#endif

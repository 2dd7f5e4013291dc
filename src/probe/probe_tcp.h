/* probe_tcp.h: tcp:// and unix://: connects, and is not closed at once. */
#ifndef PROBE_TCP_H
#define PROBE_TCP_H

#include "mod_failover.h"

extern const fo_probe_t fo_probe_tcp;
extern const fo_probe_t fo_probe_unix;

#endif

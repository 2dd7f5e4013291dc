/* probe_script.h: script://: the steps of a file, one after the other: sent, and expected. */
#ifndef PROBE_SCRIPT_H
#define PROBE_SCRIPT_H

#include "mod_failover.h"

/* Bytes of the answer that may go by in one step. */
#define PROBE_SCRIPT_MOST (16 * 1024)

extern const fo_probe_t fo_probe_script;

#endif

/*
 * probe_plugin_wire.h: what a ping and the helper say to each other. Both are one program, so the
 * structs travel as they are, one a message.
 */
#ifndef PROBE_PLUGIN_WIRE_H
#define PROBE_PLUGIN_WIRE_H

#include "mod_failover.h"

/* From the ping, with one end of a pair of sockets: the answers go there. */
typedef struct probe_plugin_ask_t {
    unsigned command;    /* of probe_plugin_command() */
    apr_time_t asked_at; /* of probe_clock_now(), which is one for all processes */
    apr_time_t until_at; /* the deadline */
} probe_plugin_ask_t;

typedef enum {
    PROBE_PLUGIN_BEGUN,   /* it runs: from now on the time is its own */
    PROBE_PLUGIN_ENDED,   /* number: its status, as of waitpid(); text: what it said */
    PROBE_PLUGIN_REFUSED, /* number: an errno that has a remedy, or 0; text: why */
} probe_plugin_kind_e;

/* BEGUN and then, unless the deadline comes first, ENDED; or REFUSED alone. */
typedef struct probe_plugin_answer_t {
    probe_plugin_kind_e kind;
    int number;
    char text[FO_REPORT_TEXT];
} probe_plugin_answer_t;

/* Why a plugin that could begin no sooner is refused: what is left of the time is not its own. */
#define PROBE_PLUGIN_OVERWHELMED "the helper process that runs plugins is overwhelmed"

/* The program and its words, ending with NULL. NULL: there is none of this number. */
char *const *probe_plugin_command(unsigned number);

#endif

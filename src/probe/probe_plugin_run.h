/* probe_plugin_run.h: one run of a plugin, from its fork until nobody waits for it any more. */
#ifndef PROBE_PLUGIN_RUN_H
#define PROBE_PLUGIN_RUN_H

#include "mod_failover.h"

#include <sys/types.h>

typedef struct probe_plugin_run_t {
    pid_t pid;           /* its process group as well; 0: it has ended */
    int out;             /* the pipe from its standard output; -1: closed */
    int peer;            /* the ping; -1: it waits no more */
    apr_time_t until_at; /* of probe_clock_now(); 0: its time is up, and its group killed */
    bool is_line_whole;  /* what it says from now on is dropped */
    unsigned n;          /* bytes of the line */
    char line[FO_REPORT_TEXT];
} probe_plugin_run_t;

bool probe_plugin_run_is_free(const probe_plugin_run_t *run);

/* Starts it and tells the ping, which is told as well if that fails. */
void probe_plugin_run_start(probe_plugin_run_t *run, char *const argv[], int peer,
                            apr_time_t until_at);

/* Takes what it has said, as far as that is there. */
void probe_plugin_run_read(probe_plugin_run_t *run);

/* Its whole process group. */
void probe_plugin_run_kill(probe_plugin_run_t *run);

/* It has ended and was not yet waited for: tells the ping, and kills what it has left behind. */
void probe_plugin_run_ended(probe_plugin_run_t *run, int status);

/* The ping waits no more. */
void probe_plugin_run_forsake(probe_plugin_run_t *run);

/* To the ping: it is not run. error: an errno that has a remedy, or 0. */
void probe_plugin_refuse(int peer, int error, const char *text);

#endif

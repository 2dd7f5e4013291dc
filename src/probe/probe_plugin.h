/*
 * probe_plugin.h: plugin:///PATH, the exit code of a monitoring plugin, as steps. httpd's children
 * have threads and must not fork: they ask one helper process, which the parent has forked.
 * doc/probe-plugin.md says what each answer means.
 */
#ifndef PROBE_PLUGIN_H
#define PROBE_PLUGIN_H

#include "mod_failover.h"

#include <sys/types.h>

extern const fo_probe_t fo_probe_plugin;

/* Before each reading of the configuration, which lives in pconf: no command is known. */
void probe_plugin_reset(apr_pool_t *pconf);

/* Was any command configured? */
bool probe_plugin_is_used(void);

/*
 * Where pings ask from now on: one end of a pair of sockets (SOCK_SEQPACKET) whose other end the
 * helper serves. -1: there is no helper. Before any ping is under way.
 */
void probe_plugin_ask_at(int fd);

/*
 * What the helper does, in a process of its own that was forked after the configuration, and has
 * given up its privileges already. Keeps no descriptor but fd. Ends the process, and all plugins,
 * when nobody is left who could ask, by SIGTERM, or with its parent.
 */
__attribute__((noreturn)) void probe_plugin_serve(int fd, pid_t parent);

#endif

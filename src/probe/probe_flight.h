/*
 * probe_flight.h: one probe under way, from its start to its report: names are resolved, addresses
 * tried in order, hosts one after the other, all within the one deadline, in whichever of the three
 * forms the probe has. Monitor thread alone; nothing here blocks.
 */
#ifndef PROBE_FLIGHT_H
#define PROBE_FLIGHT_H

#include "core/fo_monitor.h"
#include "probe/probe_gate.h"
#include "probe/probe_resolver.h"

/* What is remembered of a check's calls, if its probe is an ask. */
typedef struct probe_calls_t {
    bool is_asking;            /* one has not come back */
    bool is_overdue;           /* that one: a ping of the service timed out by it */
    bool was_cut;              /* the last one had a trial only, which was too short */
    apr_interval_time_t trial; /* that may be expected to do; 0: nothing is known */
} probe_calls_t;

struct probe_flight_t;

/* What flights share. */
typedef struct probe_field_t {
    probe_resolver_t *resolver;
    probe_workers_t *askers;
    probe_calls_t *calls; /* by check */
    /* Told of each flight that has ended, for what it has learned; may be NULL. */
    void (*landed)(void *baton, const fo_target_t *target, const struct probe_flight_t *flight);
    void *baton;
} probe_field_t;

/* One probe to be made. */
typedef struct probe_order_t {
    const fo_check_t *check;
    apr_interval_time_t timeout;
    bool is_final; /* as the ping's */
    bool is_slow;  /* likewise */
} probe_order_t;

/* How one connection, or one call, of a probe's form is driven. */
typedef struct probe_form_t {
    bool takes_all_hosts; /* in one call; else host by host, address by address */
    /* Each either leaves fd, events and wake_at to wait for, or calls probe_flight_settle(). */
    void (*begin)(struct probe_flight_t *flight, apr_time_t now);
    void (*ready)(struct probe_flight_t *flight, short events, apr_time_t now);
    void (*timer)(struct probe_flight_t *flight, apr_time_t now);
    /* Frees all that begin made; called exactly once for each begin, before settling or freeing. */
    void (*finish)(struct probe_flight_t *flight);
} probe_form_t;

extern const probe_form_t probe_form_dialogue;
extern const probe_form_t probe_form_steps;
extern const probe_form_t probe_form_ask;

/* A look-up that a flight has asked for. */
typedef struct probe_query_t {
    probe_name_t *name; /* NULL: not asked */
    unsigned serial;    /* of its last look-up before */
} probe_query_t;

typedef struct probe_flight_t {
    const probe_field_t *field;
    probe_order_t order;
    apr_time_t started_at;
    apr_time_t asked_at; /* when the host's name was first wanted; of an ask, all at once */
    apr_time_t deadline_at;
    apr_interval_time_t late; /* by which we woke after the instants that were planned, in all */
    bool is_starved; /* we woke too late: our own time-outs prove nothing, nor what we made wait */
    bool is_over;
    fo_report_t report; /* of the run under way; final once is_over */
    fo_report_t failed; /* the failure to be reported when no address is left */
    unsigned failed_weight;
    bool has_failed;
    fo_report_t answered; /* the worst answer of the hosts before; FAIL: none yet */

    /* What the loop waits for; fd -1: no descriptor; wake_at 0: no timer. */
    int fd;
    short events;
    apr_time_t wake_at;

    /* The host and address under way. */
    fo_host_t *hosts;
    unsigned n_hosts;
    unsigned host;
    probe_addresses_t *addresses; /* by host */
    probe_query_t *queries;       /* by host */
    unsigned address;
    probe_name_t *name; /* being resolved; NULL: not */

    /* The run under way. */
    const probe_form_t *form;
    bool is_running;
    apr_time_t begun_at;
    apr_time_t until_at; /* this address's share of the time */
    const char *peer_address;
    fo_peer_t peer;
    fo_ask_t ask;
    void *state; /* the form's */
} probe_flight_t;

/* NULL: no memory. */
probe_flight_t *probe_flight_start(const probe_field_t *field, const probe_order_t *order,
                                   apr_time_t now);

/* poll() found events. */
void probe_flight_ready(probe_flight_t *flight, short events, apr_time_t now);

/* Time has passed, or names may have been resolved. */
void probe_flight_tick(probe_flight_t *flight, apr_time_t now);

/* When tick is wanted at the latest. */
apr_time_t probe_flight_wake_at(const probe_flight_t *flight);

/* What this host came to; NULL: it was not looked up. */
const probe_addresses_t *probe_flight_addresses(const probe_flight_t *flight,
                                                const fo_host_t *host);

/* Ends what is under way. */
void probe_flight_free(probe_flight_t *flight);

/* Forms: the run's report is complete. */
void probe_flight_settle(probe_flight_t *flight, apr_time_t now);

/* Forms: adds hosts that must pass as well; false: too many, or no memory. */
bool probe_flight_add_hosts(probe_flight_t *flight, const fo_host_t *hosts, unsigned n);

/* Forms: hands the ended call of an ask back to its flight, if that still waits. */
void probe_ask_ended(probe_job_t *job, apr_time_t now);

/* Frees a call that nobody waits for any more. */
void probe_ask_drop(probe_job_t *job);

#endif

/*
 * fo_policy.h: the numbers that rule when a service is pinged and what an answer needs to change
 * its state; design: "Policy". A policy is laid down in layers, built in, server, virtual host,
 * service, each of which may leave any number unset.
 */
#ifndef FO_POLICY_H
#define FO_POLICY_H

#include "mod_failover.h"

/* Not set in this layer: the layer below holds. */
#define FO_UNSET ((apr_int64_t)-1)

typedef enum {
    FO_POLICY_MONITORING,   /* microseconds between pings while up */
    FO_POLICY_OUTAGE,       /* while down */
    FO_POLICY_ERROR,        /* after an error or a hint; while unknown or rising */
    FO_POLICY_LOGGING,      /* how often a lasting outage is logged again */
    FO_POLICY_TIMEOUT_UP,   /* for one probe while usable */
    FO_POLICY_TIMEOUT_DOWN, /* while down */
    FO_POLICY_FALL,         /* consecutive failures that make it down */
    FO_POLICY_RISE,         /* consecutive passes that bring it back */
    FO_POLICY_CONFIRM,      /* the first span between pings while failing */
    FO_POLICY_CAP,          /* the longest such span */
    FO_POLICY_SPREAD,       /* percent */
    FO_POLICY_OBSERVE,      /* 1: nothing that a request can branch on changes */
    FO_POLICY_PROBES,       /* of one check in a ping */
    FO_POLICY_PROBES_DELAY, /* between them */
    FO_POLICY_PROBES_MUST,  /* fo_probes_e: how many of them must pass */
    FO_POLICY_GRACE,        /* how long an endpoint that fell is kept out */
    FO_POLICY_STAYS,        /* 1: no failback by itself */
    FO_POLICY_FAILBACK,     /* how often a better endpoint is looked for */
    FO_POLICY_ATTEMPTS,     /* these many ... */
    FO_POLICY_ATTEMPT,      /* ... spans of an outage make it "unavailable" */
    FO_POLICY_BREAKER,      /* 1: outcomes of requests count */
    FO_POLICY_WINDOW,       /* over which they do */
    FO_POLICY_FAILURES,     /* so many in it, and ... */
    FO_POLICY_RATE,         /* ... such a part of the calls, in millionths, are too much */
    FO_POLICY_STREAK,       /* so many in a row are, too; 0: never */
    FO_POLICY_RESET,        /* how long an endpoint that was left for it is not pinged */
    FO_POLICY_COUNTS_5XX,   /* 1: responses of the server's fault count as well as errors */
    FO_POLICY_OPENS,        /* 1: it is left at once; 0: a ping decides */
    FO_POLICY_COUNT
} fo_policy_e;

typedef struct fo_policy_t {
    apr_int64_t value[FO_POLICY_COUNT]; /* spans in microseconds */
} fo_policy_t;

/* All unset. */
void fo_policy_init(fo_policy_t *policy);

/* `over` where it is set, else `base`. ret_policy may be either of them. */
void fo_policy_merge(const fo_policy_t *base, const fo_policy_t *over, fo_policy_t *ret_policy);

/* The built-in numbers. */
const fo_policy_t *fo_policy_built_in(void);

/* How long an outage is a temporary one (FailoverAttempts). */
apr_interval_time_t fo_policy_hope(const fo_policy_t *policy);

/* "enforce" or "observe". */
const char *fo_policy_mode(const fo_policy_t *policy);

#endif

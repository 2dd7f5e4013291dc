/*
 * fo_series.h: what several probes of one check come to, and several checks of one ping; design:
 * "Policy", FailoverProbes. Pure.
 */
#ifndef FO_SERIES_H
#define FO_SERIES_H

#include "mod_failover.h"

/* How many of them must pass. */
typedef enum {
    FO_PROBES_MAJORITY, /* more than half */
    FO_PROBES_ALL,
    FO_PROBES_ANY,
    FO_PROBES_COUNT
} fo_probes_e;

#define FO_PROBES_MAX 100

/* FailoverProbes. */
typedef struct fo_probes_t {
    unsigned n;                /* at least 1 */
    apr_interval_time_t delay; /* from one's end to the next one's start */
    fo_probes_e policy;
} fo_probes_t;

/* The most that so many probes of that time each may take. */
apr_interval_time_t fo_probes_deadline(const fo_probes_t *probes, apr_interval_time_t timeout);

const char *fo_probes_name(fo_probes_e policy);

/* The probes of one check so far. Zeroed: none. */
typedef struct fo_series_t {
    unsigned n_passed;
    unsigned n_failed;
    unsigned n_open;     /* busy, or our own side's fault: neither of the two */
    fo_report_t passed;  /* the last, or a refusal of our credentials */
    fo_report_t failed;  /* the last */
    fo_report_t neither; /* the last */
} fo_series_t;

/*
 * Counts one probe. True: it is decided, further ones would change nothing; *ret_report is what
 * they come to. busy_fails: a busy server counts as one that fails.
 */
bool fo_series_add(fo_series_t *series, const fo_probes_t *probes, const fo_report_t *report,
                   bool busy_fails, fo_report_t *ret_report);

/*
 * Of two checks of one ping the report that stands for both: a failure before all, then what says
 * nothing, then a warning.
 */
const fo_report_t *fo_series_worse(const fo_report_t *one, const fo_report_t *other,
                                   bool busy_fails);

#endif

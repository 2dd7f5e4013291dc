/*
 * fo_record.h: what the whole server knows of one target: the last pings of all children, the last
 * reason why one did not pass, and how many there were. For people to read.
 */
#ifndef FO_RECORD_H
#define FO_RECORD_H

#include "core/fo_shared.h"

/* How many of the last pings are remembered. */
#define FO_HISTORY 64

/* A ping of the past. */
typedef struct fo_past_t {
    fo_verdict_e verdict;
    fo_stage_e stage;
    apr_time_t at;            /* its end; exact to a tenth of a second */
    apr_interval_time_t took; /* at most some 67 s are told */
} fo_past_t;

/* The last ping that did not pass. */
typedef struct fo_failure_t {
    apr_time_t at; /* 0: there was none */
    fo_report_t report;
} fo_failure_t;

typedef struct fo_record_t {
    apr_uint64_t counts[FO_VERDICT_COUNT];
    unsigned n_history;
    fo_past_t history[FO_HISTORY]; /* the oldest first */
    fo_failure_t failure;
} fo_record_t;

/* Any child's monitor thread. */
void fo_record_add(fo_shared_t *shared, unsigned target, const fo_report_t *report, apr_time_t now);

/* Any thread. A failure that is just being written is left out. */
void fo_record_read(const fo_shared_t *shared, unsigned target, fo_record_t *ret_record);
void fo_record_failure(const fo_shared_t *shared, unsigned target, fo_failure_t *ret_failure);

#endif

/*
 * fo_report.h: a report in words, for logs, status and expressions.
 */
#ifndef FO_REPORT_H
#define FO_REPORT_H

#include "mod_failover.h"

const char *fo_stage_name(fo_stage_e stage);
const char *fo_verdict_name(fo_verdict_e verdict);

/* "connect: Connection refused": the stage, then the report's own text or that of its status. */
void fo_report_text(const fo_report_t *report, char *text, apr_size_t size);

/* The ping ran out of time: nothing came back that could be judged. */
bool fo_report_is_timeout(const fo_report_t *report);

/* The protocol's own "ok", or a refusal of our credentials alone. */
bool fo_report_is_pass(const fo_report_t *report);

/* It says that the service does not work; busy_fails: so does one that is full. */
bool fo_report_is_failure(const fo_report_t *report, bool busy_fails);

/*
 * Of a text that repeats the secret, stars in its place; also where the end of the text has cut it
 * off. NULL: there is none.
 */
void fo_report_hide(fo_report_t *report, const char *secret);

/* "timed out after 3s". */
void fo_report_timeout(fo_report_t *report, fo_verdict_e verdict, apr_interval_time_t after);

#endif

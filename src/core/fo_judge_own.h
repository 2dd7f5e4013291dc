/*
 * fo_judge_own.h: the judge's inside, for the files that it is made of: fo_judge.c, and
 * fo_judge_siblings.c for what it takes over of other children's rows.
 */
#ifndef FO_JUDGE_OWN_H
#define FO_JUDGE_OWN_H

#include "core/fo_judge.h"

struct fo_judge_t {
    const fo_plan_t *plan;
    fo_standings_t *standings;
    fo_shared_t *shared; /* NULL: no siblings */
    int slot;
    fo_health_t *healths; /* by endpoint */
    fo_doubt_t *doubt;
    fo_row_t *rows; /* by endpoint: what is published */
};

/* What is known now of the service's endpoints. */
fo_lineup_t fo_judge_line_up(const fo_judge_t *judge, const fo_service_t *service, apr_time_t now);

/* Shows others what this child sees of them. */
void fo_judge_write_rows(fo_judge_t *judge, const fo_service_t *service);

/* As if its own pings had brought it there; how many of a threshold another has counted is lost. */
void fo_judge_set_state(fo_judge_t *judge, const fo_endpoint_t *endpoint, fo_state_e state,
                        apr_time_t since_at);

#endif

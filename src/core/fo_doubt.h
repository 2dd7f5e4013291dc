/*
 * fo_doubt.h: when so many services fall together that it may be us. Then each one's fall is put
 * off once, and a confirming ping decides. One per child; belongs to the monitor thread alone.
 */
#ifndef FO_DOUBT_H
#define FO_DOUBT_H

#include "core/fo_health.h"
#include "core/fo_plan.h"

/* Falls within this span of each other count as one event. */
#define FO_DOUBT_WINDOW APR_USEC_PER_SEC

/* The fewest that arouse doubt, however few services there are. */
#define FO_DOUBT_LEAST 3

typedef struct fo_doubt_t fo_doubt_t;

/* healths: by endpoint; they are read and, by fo_doubt_step() alone, moved on. */
fo_doubt_t *fo_doubt_make(const fo_plan_t *plan, fo_health_t *healths, apr_pool_t *pool);

/*
 * This answer has come and is about to be counted. True: with it, it may be us: more than half of
 * all services, at least FO_DOUBT_LEAST, have an endpoint that fell within the window. Those that
 * have been down for longer count among all alone. May be called twice for an answer.
 */
bool fo_doubt_hear(fo_doubt_t *doubt, const fo_target_t *target, const fo_report_t *report,
                   apr_time_t now);

/*
 * While it may be us: takes one endpoint of this target that fell before that was known; true:
 * there is one, to be asked once more.
 */
bool fo_doubt_takes_back(fo_doubt_t *doubt, const fo_target_t *target, apr_time_t now);

/*
 * Counts an answer that was heard, as fo_health_step() does, but in doubt a FALL as a FAIL; once,
 * until the endpoint passes.
 */
void fo_doubt_step(fo_doubt_t *doubt, const fo_endpoint_t *endpoint, bool passed, apr_time_t now);

#endif

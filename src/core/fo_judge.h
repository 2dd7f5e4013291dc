/*
 * fo_judge.h: what an answer changes: the endpoint's state, the service's word on the board, the
 * child's row in the shared memory, and what the log is told. Belongs to the monitor thread alone.
 */
#ifndef FO_JUDGE_H
#define FO_JUDGE_H

#include "core/fo_board.h"
#include "core/fo_doubt.h"
#include "core/fo_row.h"
#include "core/fo_slot.h"
#include "core/fo_standing.h"

typedef struct fo_judge_t fo_judge_t;

/* observer may be NULL. Without shared memory all that this child sees is news. */
fo_judge_t *fo_judge_make(const fo_plan_t *plan, fo_board_t *board, fo_observer_fn observer,
                          void *baton, apr_pool_t *pool);

/*
 * Before it is joined: what siblings see of this service, by rank; NULL: nothing is known of that
 * endpoint. Not told: the first own verdict is.
 */
void fo_judge_inherit(fo_judge_t *judge, const fo_shared_t *shared, const fo_service_t *service,
                      const fo_row_t *const rows[], apr_time_t now);

/* Before the thread starts. slot: this child's, or FO_SLOT_NONE. */
void fo_judge_join(fo_judge_t *judge, fo_shared_t *shared, int slot);

/*
 * An answer that counts, of a ping that started at pinged_at; one that says "busy" leaves
 * everything as it is. True: the endpoint fell or recovered.
 */
bool fo_judge_answer(fo_judge_t *judge, const fo_endpoint_t *endpoint, const fo_report_t *report,
                     apr_time_t pinged_at, apr_time_t now);

/* Another one of its service is known to work, or not known at all. */
bool fo_judge_has_other(const fo_judge_t *judge, const fo_endpoint_t *endpoint, apr_time_t now);

/*
 * A breaker has opened this endpoint, unless it is the only one: it is down until then, whatever
 * its pings say, and the first one after that decides; or the first one of all, when nothing else
 * works any more. False: nothing happens.
 */
bool fo_judge_open(fo_judge_t *judge, const fo_endpoint_t *endpoint, apr_time_t until_at,
                   const fo_report_t *report, apr_time_t now);

/* Until when; 0: it is not open. */
apr_time_t fo_judge_open_until(const fo_judge_t *judge, const fo_endpoint_t *endpoint);

/* The one in use; NULL: none is. */
const fo_endpoint_t *fo_judge_in_use(const fo_judge_t *judge, const fo_service_t *service);

/* What the child sees that pings for all, by rank; NULL: that endpoint has no ping yet. */
void fo_judge_follow(fo_judge_t *judge, const fo_service_t *service, const fo_row_t *const rows[],
                     apr_time_t now);

/* No answer. */
void fo_judge_discard(fo_judge_t *judge, const fo_endpoint_t *endpoint, apr_time_t now);

/* No answer: says that an outage lasts, when it is time to. */
void fo_judge_remind(fo_judge_t *judge, const fo_service_t *service, apr_time_t now);

/*
 * What follows from time alone: the return to a better endpoint, and what is to be said then. The
 * instant at which it is to be called again at the latest.
 */
apr_time_t fo_judge_look_at(const fo_judge_t *judge);
void fo_judge_look(fo_judge_t *judge, apr_time_t now);

/* For people: when the next ping is due. */
void fo_judge_publish_due(fo_judge_t *judge, const fo_endpoint_t *endpoint, apr_time_t due_at);

void fo_judge_observe(const fo_judge_t *judge, const fo_change_t *change);
const fo_health_t *fo_judge_health(const fo_judge_t *judge, const fo_endpoint_t *endpoint);
fo_service_state_e fo_judge_state(const fo_judge_t *judge, const fo_service_t *service);

/* What is thought of falls that come together; answers are to be heard by it before they count. */
fo_doubt_t *fo_judge_doubt(const fo_judge_t *judge);

#endif

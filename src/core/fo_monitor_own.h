/*
 * fo_monitor_own.h: the monitor's inside, for the files that it is made of: fo_monitor.c, and
 * fo_monitor_siblings.c for what it hears of other children.
 */
#ifndef FO_MONITOR_OWN_H
#define FO_MONITOR_OWN_H

#include "core/fo_course.h"
#include "core/fo_lease.h"
#include "core/fo_monitor.h"

struct fo_monitor_t {
    const fo_plan_t *plan;
    fo_board_t *board;
    fo_judge_t *judge;
    fo_shared_t *shared; /* NULL: no siblings */
    fo_leader_t leader;
    bool has_led;         /* when it last looked */
    unsigned hints_heard; /* the count up to which that has happened */
    fo_course_t *courses; /* by target */
    apr_time_t *due_at;   /* by target: working space */
    apr_uint64_t random;
};

/* Some service sees it otherwise than that. */
bool fo_monitor_is_news(const fo_monitor_t *monitor, const fo_target_t *target, bool is_down);

/* What people are told of the next ping. */
void fo_monitor_publish_course(fo_monitor_t *monitor, const fo_target_t *target);

#endif

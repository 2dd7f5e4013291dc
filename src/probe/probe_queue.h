/*
 * probe_queue.h: targets that are due and wait for a place among the pings under way, in the order
 * in which they came. Monitor thread alone.
 */
#ifndef PROBE_QUEUE_H
#define PROBE_QUEUE_H

#include "core/fo_plan.h"

typedef struct probe_queue_t {
    const fo_plan_t *plan;
    unsigned *indices; /* a ring with room for every target */
    unsigned first;
    unsigned length;
} probe_queue_t;

probe_queue_t probe_queue_make(const fo_plan_t *plan, apr_pool_t *pool);

/* It must not be in it already. */
void probe_queue_put(probe_queue_t *queue, const fo_target_t *target);

/* The next one; NULL: nobody waits. take: it waits no longer. */
const fo_target_t *probe_queue_look(const probe_queue_t *queue);
const fo_target_t *probe_queue_take(probe_queue_t *queue);

#endif

#include "probe/probe_queue.h"

probe_queue_t probe_queue_make(const fo_plan_t *plan, apr_pool_t *pool)
{
    size_t n = (size_t)plan->targets->nelts + 1;

    return (probe_queue_t){
        .plan = plan,
        .indices = apr_pcalloc(pool, n * sizeof(unsigned)),
    };
}

void probe_queue_put(probe_queue_t *queue, const fo_target_t *target)
{
    unsigned size = (unsigned)queue->plan->targets->nelts;

    queue->indices[(queue->first + queue->length++) % size] = target->index;
}

const fo_target_t *probe_queue_look(const probe_queue_t *queue)
{
    return queue->length ? fo_plan_target_at(queue->plan, queue->indices[queue->first]) : NULL;
}

const fo_target_t *probe_queue_take(probe_queue_t *queue)
{
    const fo_target_t *target = probe_queue_look(queue);

    if (target) {
        queue->first = (queue->first + 1) % (unsigned)queue->plan->targets->nelts;
        queue->length--;
    }
    return target;
}

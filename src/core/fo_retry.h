/*
 * fo_retry.h: what a client is told that is turned away during an outage: when it is worth asking
 * again.
 */
#ifndef FO_RETRY_H
#define FO_RETRY_H

#include "core/fo_plan.h"
#include "core/fo_slot.h"

/* The child that answers. */
typedef struct fo_retry_t {
    const fo_plan_t *plan;
    const fo_shared_t *shared; /* NULL: the outage frequency is all that is known */
    int slot;                  /* its own, or FO_SLOT_NONE: likewise */
    apr_time_t now;
} fo_retry_t;

/*
 * Seconds until the next ping of the service is due, at least 1; 0: it has been down since
 * since_at, for so long that nobody can tell (FailoverAttempts).
 */
apr_int64_t fo_retry_after(const fo_retry_t *retry, const fo_service_t *service,
                           apr_time_t since_at);

#endif

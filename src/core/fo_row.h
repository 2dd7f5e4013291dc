/*
 * fo_row.h: what one child sees of one endpoint, published for people and for new children. Each
 * child decides for itself: nobody acts on another's row but a new child, which starts from it, and
 * where FailoverScope says so.
 */
#ifndef FO_ROW_H
#define FO_ROW_H

#include "core/fo_health.h"
#include "core/fo_shared.h"

typedef struct fo_row_t {
    apr_byte_t state;        /* fo_state_e */
    apr_byte_t verdict;      /* fo_verdict_e of the last ping */
    apr_byte_t is_in_use;    /* by this child's requests */
    apr_byte_t is_inherited; /* not yet confirmed by a ping of its own */
    apr_uint32_t epoch;      /* of the service */
    apr_time_t since_at;     /* the state's; 0: since the child began */
    apr_time_t pinged_at;    /* when the ping that it rests on started; 0: never */
    apr_time_t due_at;       /* the next ping's; FO_NEVER: none is planned, or one is under way */
    apr_interval_time_t took;
    apr_time_t open_until;  /* the breaker's: no ping before that decides; 0: it is not open */
    apr_time_t grace_until; /* it fell, and is not to be used before that; 0: it may be */
} fo_row_t;

/* The child whose slot it is. Endpoints are named by their seats. */
void fo_row_write(fo_shared_t *shared, int slot, unsigned endpoint, const fo_row_t *row);

/* False: nothing has been written there, or not to its end. */
bool fo_row_read(const fo_shared_t *shared, unsigned slot, unsigned endpoint, fo_row_t *ret_row);

/*
 * It was measured before somebody discovered the contrary of this target, and nothing has changed
 * in it since.
 */
bool fo_row_is_outdated(const fo_shared_t *shared, const fo_target_t *target, const fo_row_t *row);

/* None has been written in this slot. */
void fo_row_clear(fo_shared_t *shared, unsigned slot);

#endif

/*
 * fo_board.h: what the monitor publishes: one word per service, a few numbers per scope. Written by
 * the monitor thread alone, read by any thread without a lock.
 */
#ifndef FO_BOARD_H
#define FO_BOARD_H

#include "core/fo_plan.h"
#include "core/fo_schedule.h"
#include "core/fo_shared.h"

typedef enum {
    FO_SERVICE_UP,       /* the primary is in use */
    FO_SERVICE_FAILOVER, /* another endpoint is in use */
    FO_SERVICE_DOWN,     /* none works */
    FO_SERVICE_STATE_COUNT
} fo_service_state_e;

/* The state of one service at one instant; a word in the board. */
typedef struct fo_word_t {
    fo_service_state_e state;
    unsigned endpoint; /* rank of the endpoint in use; while down, of the one last in use */
    unsigned epoch;    /* rises with each change */
} fo_word_t;

/* What is told of a service besides its word. */
typedef struct fo_detail_t {
    apr_time_t since_at;         /* monotonic; 0: since the child began */
    char reason[FO_REPORT_TEXT]; /* why it went down; "" while up */
} fo_detail_t;

/* One service that is not up, as a request sees it. */
typedef struct fo_seen_t {
    const fo_service_t *service;
    fo_word_t word;
    const char *epoch; /* the word's, in decimal; in a snapshot it ends where digits ends */
    char digits[11];
} fo_seen_t;

/* All that a request sees of its services: those not listed are up. */
typedef struct fo_snapshot_t {
    bool is_plain; /* all of them are */
    unsigned n;
    fo_seen_t seen[];
} fo_snapshot_t;

typedef struct fo_board_t fo_board_t;

/* All up, nothing due, no siblings. */
fo_board_t *fo_board_make(const fo_plan_t *plan, apr_pool_t *pool);

/* Before any request: from now on a sibling's discovery is worth a look. */
void fo_board_join(fo_board_t *board, const fo_shared_t *shared);

/* Monitor thread: hints up to this count have been heard. */
void fo_board_hints_heard(fo_board_t *board, unsigned count);

/* Monitor thread. */
void fo_board_publish(fo_board_t *board, const fo_service_t *service, fo_word_t word,
                      const fo_detail_t *detail);
void fo_board_publish_due(fo_board_t *board, const fo_scope_t *scope, fo_trigger_e trigger,
                          bool is_due);

/* Any thread. */
fo_word_t fo_board_word(const fo_board_t *board, const fo_service_t *service);
fo_detail_t fo_board_detail(const fo_board_t *board, const fo_service_t *service);

/*
 * Nothing is due, no sibling has found anything, and all is up: all that most requests ask. trigger
 * may be the COUNT: none, then hints are no matter either.
 */
bool fo_board_is_calm(const fo_board_t *board, const fo_scope_t *scope, fo_trigger_e trigger);

/*
 * True for exactly one caller once something in this scope is due, or a sibling has found
 * something. The others go on, until the monitor publishes that more is due or a sibling finds
 * something else.
 */
bool fo_board_claim_due(fo_board_t *board, const fo_scope_t *scope, fo_trigger_e trigger);

/* NULL: all services of the scope are up. Lives in pool. */
const fo_snapshot_t *fo_board_snapshot(const fo_board_t *board, const fo_scope_t *scope,
                                       apr_pool_t *pool);

/* NULL: it was up. snapshot may be NULL. */
const fo_seen_t *fo_snapshot_find(const fo_snapshot_t *snapshot, const fo_service_t *service);

extern const char *const fo_service_state_names[FO_SERVICE_STATE_COUNT];

static inline const char *fo_service_state_name(fo_service_state_e state)
{
    return fo_service_state_names[state];
}

#endif

/*
 * fo_standing.h: what a service comes to: which of its endpoints is in use, since when, and what
 * the log is told of it. Belongs to the monitor thread alone.
 */
#ifndef FO_STANDING_H
#define FO_STANDING_H

#include "core/fo_board.h"
#include "core/fo_choose.h"
#include "core/fo_slot.h"

/* The most endpoints of one service. */
#define FO_ENDPOINTS_MAX 32

typedef enum {
    FO_CHANGE_OUTAGE,       /* a service went down */
    FO_CHANGE_OUTAGE_LASTS, /* it still is, and it is time to say so again */
    FO_CHANGE_UNAVAILABLE,  /* it has been for so long that nobody need hope */
    FO_CHANGE_RECOVERY,     /* it is back, its primary in use */
    FO_CHANGE_RESCUE,       /* it is back, another endpoint in use */
    FO_CHANGE_SWITCH,       /* the endpoint in use fell, another one took over */
    FO_CHANGE_FAILBACK,     /* a better endpoint is in use again */
    FO_CHANGE_SPARE_DOWN,   /* an endpoint fell that was not in use */
    FO_CHANGE_SPARE_BACK,
    FO_CHANGE_LOGIN, /* the server is alive, but refuses the ping's own credentials */
    FO_CHANGE_SELF,  /* pings were thrown away because of our own side */
    FO_CHANGE_COUNT
} fo_change_e;

/* What the observer is told. Valid during the call. */
typedef struct fo_change_t {
    fo_change_e kind;
    bool is_news; /* it is for this child to tell (FailoverOutageLogging) */
    const fo_service_t *service;
    const fo_endpoint_t *endpoint; /* that fell, or recovered, or is in use again */
    const fo_endpoint_t *other;    /* SWITCH: the one that took over; FAILBACK: that was left */
    const fo_report_t *report;     /* the failure; that which is over, of a recovery */
    apr_interval_time_t lasted;    /* of the outage, or of the use of the one that was left */
    apr_uint64_t discards;         /* SELF: since it was last told */
    unsigned epoch;                /* of the service, after the change */
    fo_service_state_e before;     /* of the service, as was told of last */
    fo_service_state_e after;
} fo_change_t;

/* Called on the monitor thread; of what requests can see after the board shows it. */
typedef void (*fo_observer_fn)(void *baton, const fo_change_t *change);

/* What is known of a service's endpoints at one instant. */
typedef struct fo_lineup_t {
    fo_candidate_t candidates[FO_ENDPOINTS_MAX];   /* by rank */
    const fo_report_t *failures[FO_ENDPOINTS_MAX]; /* by rank: the last one of each */
    apr_time_t pinged_at; /* when the last ping of any began that said something; 0: none */
    bool is_undecided;    /* one has not been asked yet: nobody can say that none works */
    bool has_passed;      /* one has just been found to work */
} fo_lineup_t;

typedef struct fo_standings_t fo_standings_t;

/* observer may be NULL. Without shared memory all that this child sees is news. */
fo_standings_t *fo_standings_make(const fo_plan_t *plan, fo_board_t *board, fo_observer_fn observer,
                                  void *baton, apr_pool_t *pool);

/* Before the thread starts. slot: this child's, or FO_SLOT_NONE. */
void fo_standings_join(fo_standings_t *standings, fo_shared_t *shared, int slot);

/* What is judged from now on is another's, who tells of it itself; or this child's own again. */
void fo_standings_follow(fo_standings_t *standings, bool follows);

const fo_word_t *fo_standing_word(const fo_standings_t *standings, const fo_service_t *service);

/*
 * Something is known anew: chooses, publishes and tells. True: the word has changed. Two steps, as
 * between them the caller publishes its rows, by which siblings decide whose news it is.
 */
bool fo_standing_choose(fo_standings_t *standings, const fo_service_t *service,
                        const fo_lineup_t *lineup, bool may_fail_back, apr_time_t now);
void fo_standing_tell(fo_standings_t *standings, const fo_service_t *service,
                      const fo_lineup_t *lineup, apr_time_t now);

/*
 * The word is another's: of the child that pings for all, or of those before this child. hush: what
 * that is need not be told.
 */
void fo_standing_adopt(fo_standings_t *standings, const fo_service_t *service,
                       const fo_lineup_t *lineup, fo_word_t word, apr_time_t since_at,
                       apr_time_t now);
void fo_standing_hush(fo_standings_t *standings, const fo_service_t *service);

/* No answer: says that an outage lasts, when it is time to. */
void fo_standing_remind(fo_standings_t *standings, const fo_service_t *service,
                        const fo_lineup_t *lineup, apr_time_t now);

/* When fo_standing_choose() with may_fail_back and fo_standing_remind() are wanted again. */
apr_time_t fo_standing_look_at(const fo_standings_t *standings, const fo_service_t *service);

void fo_standings_observe(const fo_standings_t *standings, const fo_change_t *change);

#endif

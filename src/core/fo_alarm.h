/*
 * fo_alarm.h: what an entry of the error log sets off in one child. A target is raised by an entry
 * and lowered when its ping begins; while all that an entry could raise is raised, it is not looked
 * at. Made once in each child.
 */
#ifndef FO_ALARM_H
#define FO_ALARM_H

#include "core/fo_breaker.h"
#include "core/fo_rules.h"

#define FO_ALARM_ADDRESSES 8 /* of one host of a URL */

typedef struct fo_alarm_t fo_alarm_t;

/* One entry. What it points to need not outlive the call. */
typedef struct fo_entry_t {
    const fo_scope_t *scope; /* whose services it may speak of */
    int module;              /* the index of the module that wrote it */
    apr_status_t status;     /* 0: none */
    const char *text;        /* as the log escapes it */
    apr_size_t length;       /* of the text, up to its zero byte */
    bool must_name;          /* it counts for nobody but an endpoint that it names */
    fo_sent_fn sent;         /* what a client sent with this request; NULL: there is none */
    /* It speaks of the client's connection, and not of a service. Asked last. NULL: it does not. */
    bool (*is_of_client)(void *baton);
    /*
     * Told which targets it speaks of, 64 by each word of bits, whether they are raised already or
     * not. NULL: nobody wants to know, and it is not looked at if it would raise nothing.
     */
    void (*found)(void *baton, unsigned word, apr_uint64_t bits);
    void *baton; /* of all three */
} fo_entry_t;

fo_alarm_t *fo_alarm_make(const fo_rules_t *rules, apr_pool_t *pool);

/*
 * Any thread, also in a signal handler and from within itself: it takes no lock and allocates
 * nothing. True: something was raised, and the monitor is to be woken.
 */
bool fo_alarm_hear(fo_alarm_t *alarm, const fo_entry_t *entry);

/* Any thread, likewise: too many requests have failed that use this service (fo_breaker.h). */
void fo_alarm_trip(fo_alarm_t *alarm, const fo_service_t *service, const fo_tally_t *tally);

/* Monitor thread: it was said of some service; then, of which, and what was said last. */
bool fo_alarm_take_any_trip(fo_alarm_t *alarm);
bool fo_alarm_take_trip(fo_alarm_t *alarm, const fo_service_t *service, fo_tally_t *ret_tally);

/* Monitor thread: an entry has raised this target since its last ping began. */
bool fo_alarm_is_raised(const fo_alarm_t *alarm, const fo_target_t *target);
bool fo_alarm_is_any_raised(const fo_alarm_t *alarm);

/* Any thread: an application says that it failed. True: whoever pings is to be woken. */
bool fo_alarm_raise(fo_alarm_t *alarm, const fo_target_t *target);

/* Monitor thread: a ping of this target is about to begin. */
void fo_alarm_lower(fo_alarm_t *alarm, const fo_target_t *target);

/*
 * Monitor thread: the addresses that the target's host of this number has now; by them an entry may
 * name it as well. i: 0 to FO_ALARM_ADDRESSES - 1; NULL: it has no such one.
 */
void fo_alarm_learn(fo_alarm_t *alarm, const fo_target_t *target, unsigned host, unsigned i,
                    const char *address);

#endif

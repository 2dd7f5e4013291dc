/*
 * fo_news.h: whose outages and recoveries are news to those who read the log: the first child's
 * that sees a service down, and the last one's that sees it back. A child that dies while it sees
 * an outage takes nothing along: the next one whose ping passes says that it is over. So it is with
 * one that has had no ping for twice its longest frequency: no request comes to it.
 */
#ifndef FO_NEWS_H
#define FO_NEWS_H

#include "core/fo_row.h"

/*
 * All of these: after this child's own rows say what it sees. slot: its own, or FO_SLOT_NONE.
 * True: it is the one to tell. An outage and its end are told in turn.
 */
bool fo_news_outage(fo_shared_t *shared, const fo_service_t *service, apr_time_t now);

/* The service works. ret_lasted: how long it did not. */
bool fo_news_recovery(fo_shared_t *shared, const fo_service_t *service, int slot, apr_time_t now,
                      apr_interval_time_t *ret_lasted);

/* The same by the child that pings for all: what others see follows. */
bool fo_news_close(fo_shared_t *shared, const fo_service_t *service, apr_time_t now,
                   apr_interval_time_t *ret_lasted);

/* It is still down, and time to say so again. ret_lasted: since when it is. */
bool fo_news_reminder(fo_shared_t *shared, const fo_service_t *service, apr_time_t now,
                      apr_interval_time_t *ret_lasted);

/* It has been down for too long; once for each outage. */
bool fo_news_unavailable(fo_shared_t *shared, const fo_service_t *service);

/* The endpoint is in use now; the first child to go over to it tells. */
bool fo_news_use(fo_shared_t *shared, const fo_endpoint_t *endpoint, apr_time_t now);

/*
 * This child uses the endpoint, and not the one that was told of last. True: nobody uses that any
 * more, as the children that did are gone. It is *ret_left, which was used for *ret_lasted.
 */
bool fo_news_return(fo_shared_t *shared, const fo_endpoint_t *endpoint, int slot, apr_time_t now,
                    const fo_endpoint_t **ret_left, apr_interval_time_t *ret_lasted);

/* An outage has been told of, and not yet its end. */
bool fo_news_is_open(const fo_shared_t *shared, const fo_service_t *service);

/* None is told of, and a ping that began then began after the last one's end. */
bool fo_news_is_over(const fo_shared_t *shared, const fo_service_t *service, apr_time_t pinged_at);

#endif

/* probe_weight.h: of several addresses of a host that all failed, which failure is the host's. */
#ifndef PROBE_WEIGHT_H
#define PROBE_WEIGHT_H

#include "mod_failover.h"
#include "probe/probe_connect.h"

#include <errno.h>

/* No way there is known, or none is allowed. */
static inline bool probe_weight_is_no_way(apr_status_t status)
{
    switch (status) {
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case ENETUNREACH:
    case EHOSTUNREACH:
    case EACCES:
    case EPERM:
        return true;
    default:
        return false;
    }
}

/*
 * This host cannot connect to that address, as it has no IPv6, say, or a policy forbids it: a word
 * on that address alone. EADDRNOTAVAIL also says that no port is left for TCP; then there is a way.
 */
static inline bool probe_weight_is_barred(const fo_report_t *report, const char *address)
{
    if (report->verdict != FO_VERDICT_SELF || report->stage != FO_STAGE_CONNECT)
        return false;
    return probe_weight_is_no_way(report->status == EADDRNOTAVAIL ? probe_connect_miss(address, 9)
                                                                  : report->status);
}

/*
 * The heaviest counts. A failure yields to a time-out, which is the longer, and either to what we
 * could not find out, starved or short of something: there it may work. address: the numeric one
 * that was asked.
 */
static inline unsigned probe_weight(const fo_report_t *report, const char *address)
{
    if (probe_weight_is_barred(report, address))
        return 0;
    if (report->verdict == FO_VERDICT_SELF)
        return 3;
    return APR_STATUS_IS_TIMEUP(report->status) ? 2 : 1;
}

#endif

/* probe_weight.h: of several addresses of a host that all failed, which failure is the host's. */
#ifndef PROBE_WEIGHT_H
#define PROBE_WEIGHT_H

#include "mod_failover.h"

#include <errno.h>

/* This host cannot connect there, as it has no IPv6, say: a word on that address alone. */
static inline bool probe_weight_is_barred(const fo_report_t *report)
{
    return report->verdict == FO_VERDICT_SELF && report->stage == FO_STAGE_CONNECT &&
           (report->status == EADDRNOTAVAIL || report->status == EACCES || report->status == EPERM);
}

/*
 * The heaviest counts. A failure yields to a time-out, which is the longer, and either to what we
 * could not find out, starved or short of something: there it may work.
 */
static inline unsigned probe_weight(const fo_report_t *report)
{
    if (probe_weight_is_barred(report))
        return 0;
    if (report->verdict == FO_VERDICT_SELF)
        return 3;
    return APR_STATUS_IS_TIMEUP(report->status) ? 2 : 1;
}

#endif

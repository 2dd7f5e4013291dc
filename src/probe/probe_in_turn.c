#include "probe/probe_in_turn.h"

#include "probe/probe_clock.h"
#include "probe/probe_weight.h"

static bool is_answer(const fo_report_t *report)
{
    return report->code ||
           (report->verdict != FO_VERDICT_FAIL && report->verdict != FO_VERDICT_SELF);
}

void probe_in_turn(probe_in_turn_fn ask_address, const void *conf, const fo_ask_t *ask,
                   fo_report_t *report)
{
    unsigned n = ask->peers->n_addresses;
    apr_time_t deadline_at = probe_clock_now() + ask->budget;
    unsigned weight, heaviest = 0;
    fo_report_t worst;

    for (unsigned i = 0; i < n; i++) {
        apr_time_t now = probe_clock_now();
        if (i && now >= deadline_at)
            break;
        ask_address(conf, ask, i, now + (deadline_at - now) / (n - i), report);
        if (is_answer(report))
            return;
        weight = probe_weight(report, ask->peers->addresses[i]);
        if (i && weight < heaviest)
            *report = worst;
        else
            heaviest = weight;
        worst = *report;
    }
}

#include "core/fo_series.h"

#include "core/fo_report.h"

static const char *const names[FO_PROBES_COUNT] = {
    [FO_PROBES_MAJORITY] = "majority",
    [FO_PROBES_ALL] = "all",
    [FO_PROBES_ANY] = "any",
};

const char *fo_probes_name(fo_probes_e policy)
{
    return names[policy];
}

apr_interval_time_t fo_probes_deadline(const fo_probes_t *probes, apr_interval_time_t timeout)
{
    return probes->n * timeout + (probes->n - 1) * probes->delay;
}

static unsigned n_needed(const fo_probes_t *probes)
{
    const unsigned needed[FO_PROBES_COUNT] = {
        [FO_PROBES_MAJORITY] = probes->n / 2 + 1,
        [FO_PROBES_ALL] = probes->n,
        [FO_PROBES_ANY] = 1,
    };

    return needed[probes->policy];
}

static void count(fo_series_t *series, const fo_report_t *report, bool busy_fails)
{
    if (fo_report_is_failure(report, busy_fails)) {
        series->n_failed++;
        series->failed = *report;
    } else if (!fo_report_is_pass(report)) {
        series->n_open++;
        series->neither = *report;
    } else if (series->n_passed++ == 0 || report->verdict == FO_VERDICT_LOGIN) {
        series->passed = *report;
    }
}

bool fo_series_add(fo_series_t *series, const fo_probes_t *probes, const fo_report_t *report,
                   bool busy_fails, fo_report_t *ret_report)
{
    unsigned needed = n_needed(probes);

    count(series, report, busy_fails);
    if (series->n_passed >= needed)
        *ret_report = series->passed;
    else if (series->n_failed > probes->n - needed)
        *ret_report = series->failed;
    else if (series->n_passed + series->n_failed + series->n_open >= probes->n)
        *ret_report = series->neither;
    else
        return false;
    return true;
}

static int badness_of(const fo_report_t *report, bool busy_fails)
{
    static const int badness[FO_VERDICT_COUNT] = {
        [FO_VERDICT_PASS] = 0,   [FO_VERDICT_LOGIN] = 1, [FO_VERDICT_BUSY] = 2,
        [FO_VERDICT_BARRED] = 3, [FO_VERDICT_SELF] = 4,  [FO_VERDICT_FAIL] = 5,
    };

    return fo_report_is_failure(report, busy_fails) ? badness[FO_VERDICT_FAIL]
                                                    : badness[report->verdict];
}

const fo_report_t *fo_series_worse(const fo_report_t *one, const fo_report_t *other,
                                   bool busy_fails)
{
    return badness_of(other, busy_fails) > badness_of(one, busy_fails) ? other : one;
}

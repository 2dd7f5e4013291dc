#include "core/fo_breaker.h"

#include "core/fo_parse.h"

#define PARTS 30 /* of the window */

#define COUNT_BITS FO_BREAKER_COUNT_BITS
#define COUNT_MAX ((1u << COUNT_BITS) - 1)
#define AHEAD_MAX (1u << 12) /* parts that a call may have lasted */

apr_interval_time_t fo_breaker_part(const fo_policy_t *policy)
{
    return policy->value[FO_POLICY_WINDOW] / PARTS;
}

static unsigned stamp_at(const fo_policy_t *policy, apr_time_t at)
{
    return (unsigned)(at / fo_breaker_part(policy));
}

static unsigned stamp_of(apr_uint64_t bucket)
{
    return (unsigned)(bucket >> 2 * COUNT_BITS);
}

static unsigned calls_of(apr_uint64_t bucket)
{
    return (unsigned)(bucket >> COUNT_BITS) & COUNT_MAX;
}

static unsigned failures_of(apr_uint64_t bucket)
{
    return (unsigned)bucket & COUNT_MAX;
}

/* How many parts one stamp lies before another. */
static unsigned age_of(unsigned stamp, unsigned now)
{
    return now - stamp;
}

/* The place holds a part of the time that came after this one, and not one of long ago. */
static bool is_taken(apr_uint64_t bucket, unsigned stamp)
{
    unsigned ahead = age_of(stamp, stamp_of(bucket));

    return bucket != 0 && ahead > 0 && ahead < AHEAD_MAX;
}

/*
 * A failure is counted as it happens, so what comes more than a window after it was counted before
 * the clock was set back, and would keep its places from being used until that time is there again.
 */
static void forget_future(fo_breaker_t *breaker, unsigned stamp)
{
    for (int i = 0; i < FO_BREAKER_BUCKETS; i++) {
        apr_uint64_t bucket = atomic_load(&breaker->buckets[i]);
        if (is_taken(bucket, stamp) && age_of(stamp, stamp_of(bucket)) > PARTS)
            atomic_compare_exchange_strong(&breaker->buckets[i], &bucket, 0);
    }
}

/* Of one that is full, as many parts failed as before. */
static apr_uint64_t halve(apr_uint64_t bucket)
{
    return (apr_uint64_t)stamp_of(bucket) << 2 * COUNT_BITS |
           (apr_uint64_t)(calls_of(bucket) / 2) << COUNT_BITS | failures_of(bucket) / 2;
}

/* What began so long ago that its part of the time has been given up is not counted any more. */
void fo_breaker_count(fo_breaker_t *breaker, unsigned stamp, apr_uint64_t more)
{
    _Atomic apr_uint64_t *place = &breaker->buckets[stamp % FO_BREAKER_BUCKETS];
    apr_uint64_t before = atomic_load_explicit(place, memory_order_relaxed), after;

    do {
        bool is_same = stamp_of(before) == stamp;
        if (is_taken(before, stamp))
            return;
        after = is_same ? before : (apr_uint64_t)stamp << 2 * COUNT_BITS;
        if (calls_of(after) == COUNT_MAX)
            after = halve(after);
        after += more;
    } while (!atomic_compare_exchange_weak_explicit(place, &before, after, memory_order_relaxed,
                                                    memory_order_relaxed));
}

bool fo_breaker_is_on(const fo_policy_t *policy)
{
    return policy->value[FO_POLICY_BREAKER] != 0;
}

fo_tally_t fo_breaker_tally(const fo_breaker_t *breaker, const fo_policy_t *policy, apr_time_t now)
{
    fo_tally_t tally = { .streak = atomic_load(&breaker->streak) };
    unsigned stamp = stamp_at(policy, now);

    for (int i = 0; i < FO_BREAKER_BUCKETS; i++) {
        apr_uint64_t bucket = atomic_load(&breaker->buckets[i]);
        if (age_of(stamp_of(bucket), stamp) >= PARTS)
            continue;
        tally.calls += calls_of(bucket);
        tally.failures += failures_of(bucket);
    }
    return tally;
}

/* Both the number and the rate, of all calls; or so many in a row. */
static bool is_too_much(const fo_policy_t *policy, const fo_tally_t *tally)
{
    const apr_int64_t *value = policy->value;
    bool is_rate = (apr_int64_t)tally->failures * FO_BREAKER_ONE >=
                   (apr_int64_t)tally->calls * value[FO_POLICY_RATE];

    return (tally->failures >= value[FO_POLICY_FAILURES] && is_rate) ||
           (value[FO_POLICY_STREAK] && tally->streak >= value[FO_POLICY_STREAK]);
}

static void begin_anew(fo_breaker_t *breaker, apr_time_t now)
{
    atomic_store(&breaker->emptied_at, now);
    for (int i = 0; i < FO_BREAKER_BUCKETS; i++)
        atomic_store(&breaker->buckets[i], 0);
    atomic_store(&breaker->streak, 0);
}

bool fo_breaker_fail(fo_breaker_t *breaker, const fo_policy_t *policy, apr_time_t began_at,
                     apr_time_t now, fo_tally_t *ret_tally)
{
    apr_time_t emptied_at = atomic_load(&breaker->emptied_at);
    unsigned stamp = stamp_at(policy, now);

    *ret_tally = (fo_tally_t){ 0 };
    if (began_at < emptied_at && emptied_at <= now) /* the clock has not been set back */
        return false;
    forget_future(breaker, stamp);
    fo_breaker_count(breaker, stamp, FO_BREAKER_CALL + 1);
    atomic_fetch_add(&breaker->streak, 1);
    *ret_tally = fo_breaker_tally(breaker, policy, now);
    if (!is_too_much(policy, ret_tally))
        return false;
    begin_anew(breaker, now);
    return true;
}

fo_report_t fo_breaker_report(const fo_policy_t *policy, const fo_tally_t *tally)
{
    fo_report_t report = { .verdict = FO_VERDICT_FAIL, .stage = FO_STAGE_ANSWER };
    char span[FO_SPAN_TEXT];

    if (tally)
        apr_snprintf(report.text, sizeof(report.text),
                     "breaker: %u of %u requests failed within %s", tally->failures, tally->calls,
                     fo_span_text(policy->value[FO_POLICY_WINDOW], span));
    else
        apr_cpystrn(report.text, "breaker: too many requests failed", sizeof(report.text));
    return report;
}

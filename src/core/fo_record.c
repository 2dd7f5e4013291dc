#include "core/fo_record.h"

#include "core/fo_layout.h"

#include <stdatomic.h>
#include <string.h>

/* A past ping is one word: its end in tenths of a second, how long it took, stage, verdict. */
#define AT_SHIFT 32
#define TOOK_SHIFT 6
#define TOOK_MAX 0x3ffffff
#define STAGE_SHIFT 3
#define FIELD_MASK 7
#define TENTH (APR_USEC_PER_SEC / 10)

_Static_assert((int)FO_STAGE_COUNT <= FIELD_MASK + 1 && (int)FO_VERDICT_COUNT <= FIELD_MASK + 1,
               "stage and verdict have three bits each");

static apr_uint64_t pack(const fo_report_t *report, apr_time_t now)
{
    apr_interval_time_t took = report->took < 0 ? 0 : report->took;

    took = took < TOOK_MAX ? took : TOOK_MAX;
    return (apr_uint64_t)(now / TENTH) << AT_SHIFT | (apr_uint64_t)took << TOOK_SHIFT |
           (apr_uint64_t)report->stage << STAGE_SHIFT | (apr_uint64_t)report->verdict;
}

static fo_past_t unpack(apr_uint64_t word)
{
    return (fo_past_t){
        .verdict = (fo_verdict_e)(word & FIELD_MASK),
        .stage = (fo_stage_e)(word >> STAGE_SHIFT & FIELD_MASK),
        .took = (apr_interval_time_t)(word >> TOOK_SHIFT & TOOK_MAX),
        .at = (apr_time_t)(word >> AT_SHIFT) * TENTH,
    };
}

/*
 * Never 0, which is the sum of what was never written. A product carries upwards alone: the shift
 * brings it down, or words that differ in their highest bytes would cancel each other.
 */
static apr_uint64_t sum_of(const apr_uint64_t *words)
{
    apr_uint64_t sum = 1;

    for (size_t i = 0; i < FO_LAYOUT_REPORT_WORDS; i++) {
        sum = (sum ^ words[i]) * 0x9e3779b97f4a7c15u;
        sum ^= sum >> 32;
    }
    return sum ? sum : 1;
}

static void write_failure(fo_target_words_t *target, const fo_report_t *report, apr_time_t now)
{
    apr_uint64_t words[FO_LAYOUT_REPORT_WORDS] = { 0 };
    fo_failure_t failure;

    memset(&failure, 0, sizeof(failure));
    failure.at = now;
    failure.report = *report;
    memcpy(words, &failure, sizeof(failure));
    for (size_t i = 0; i < FO_LAYOUT_REPORT_WORDS; i++)
        atomic_store(&target->failure[i], words[i]);
    atomic_store(&target->failure_sum, sum_of(words));
}

void fo_record_add(fo_shared_t *shared, unsigned target, const fo_report_t *report, apr_time_t now)
{
    fo_target_words_t *words = &shared->targets[target];
    unsigned n = atomic_fetch_add(&words->n_history, 1);

    atomic_store(&words->history[n % FO_HISTORY], pack(report, now));
    atomic_fetch_add(&words->counts[report->verdict], 1);
    if (report->verdict != FO_VERDICT_PASS)
        write_failure(words, report, now);
}

void fo_record_failure(const fo_shared_t *shared, unsigned target, fo_failure_t *ret_failure)
{
    const fo_target_words_t *source = &shared->targets[target];
    apr_uint64_t words[FO_LAYOUT_REPORT_WORDS];

    for (size_t i = 0; i < FO_LAYOUT_REPORT_WORDS; i++)
        words[i] = atomic_load(&source->failure[i]);
    memset(ret_failure, 0, sizeof(*ret_failure));
    if (sum_of(words) != atomic_load(&source->failure_sum))
        return;
    memcpy(ret_failure, words, sizeof(*ret_failure));
    ret_failure->report.text[FO_REPORT_TEXT - 1] = '\0';
}

void fo_record_read(const fo_shared_t *shared, unsigned target, fo_record_t *ret_record)
{
    const fo_target_words_t *words = &shared->targets[target];
    unsigned n = atomic_load(&words->n_history);
    unsigned first = n < FO_HISTORY ? 0 : n - FO_HISTORY;

    memset(ret_record, 0, sizeof(*ret_record));
    for (int i = 0; i < FO_VERDICT_COUNT; i++)
        ret_record->counts[i] = atomic_load(&words->counts[i]);
    for (unsigned i = first; i != n; i++) {
        apr_uint64_t word = atomic_load(&words->history[i % FO_HISTORY]);
        if (word) /* else it is just being written */
            ret_record->history[ret_record->n_history++] = unpack(word);
    }
    fo_record_failure(shared, target, &ret_record->failure);
}

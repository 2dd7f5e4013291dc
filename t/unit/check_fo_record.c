/* What the server knows of a target: the last pings of all children, counts, the last reason. */
#include "core/fo_record.h"

#include "core/fo_report.h"
#include "shared_rig.h"

#define TARGETS 2
#define WRITERS 4

static fo_shared_t *shared;
static fo_record_t record;

static void setup(void)
{
    fo_capacity_t capacity = { 1, 1, TARGETS, 1, 1 };

    unit_setup();
    shared = rig_shared(&capacity);
}

static void add(fo_verdict_e verdict, fo_stage_e stage, apr_interval_time_t took, apr_time_t at)
{
    fo_report_t report = { .verdict = verdict, .stage = stage, .took = took };

    fo_record_add(shared, 0, &report, at);
}

START_TEST(nothing_yet)
{
    fo_record_read(shared, 0, &record);
    ck_assert_uint_eq(record.n_history, 0);
    ck_assert_int_eq(record.failure.at, 0);
    for (int i = 0; i < FO_VERDICT_COUNT; i++)
        ck_assert_uint_eq(record.counts[i], 0);
}
END_TEST

/* Every verdict at every stage comes back, each counted, of this target alone. */
START_TEST(history_and_counts)
{
    int n = 0;

    for (int verdict = 0; verdict < FO_VERDICT_COUNT; verdict++)
        for (int stage = 0; stage < FO_STAGE_COUNT; stage++, n++)
            add((fo_verdict_e)verdict, (fo_stage_e)stage, 1000 + n, (1000 + n) * SEC);
    fo_record_read(shared, 0, &record);
    ck_assert_uint_eq(record.n_history, (unsigned)n);
    for (int i = 0; i < n; i++) {
        ck_assert_int_eq(record.history[i].verdict, i / FO_STAGE_COUNT);
        ck_assert_int_eq(record.history[i].stage, i % FO_STAGE_COUNT);
        ck_assert_int_eq(record.history[i].took, 1000 + i);
        ck_assert_int_eq(record.history[i].at, (1000 + i) * SEC);
    }
    for (int i = 0; i < FO_VERDICT_COUNT; i++)
        ck_assert_uint_eq(record.counts[i], FO_STAGE_COUNT);
    fo_record_read(shared, 1, &record);
    ck_assert_uint_eq(record.n_history, 0);
}
END_TEST

/* The last 64, the oldest first, however many there were. */
START_TEST(the_last_pings_are_kept)
{
    static const int totals[] = { 1, FO_HISTORY - 1, FO_HISTORY, FO_HISTORY + 1,
                                  5 * FO_HISTORY + 3 };
    int total = totals[_i], kept = total < FO_HISTORY ? total : FO_HISTORY;

    for (int i = 0; i < total; i++)
        add(FO_VERDICT_PASS, FO_STAGE_ANSWER, i, (1000 + i) * SEC);
    fo_record_read(shared, 0, &record);
    ck_assert_int_eq((int)record.n_history, kept);
    for (int i = 0; i < kept; i++)
        ck_assert_int_eq(record.history[i].took, total - kept + i);
    ck_assert_uint_eq(record.counts[FO_VERDICT_PASS], (unsigned)total);
}
END_TEST

/* To a tenth of a second, and the time taken within what there is room for. */
START_TEST(what_a_past_ping_is_told_with)
{
    static const struct {
        apr_interval_time_t took, told;
    } spans[] = {
        { 0, 0 }, { 1, 1 }, { 0x3ffffff, 0x3ffffff }, { 0x4000000, 0x3ffffff },
        { 3600 * SEC, 0x3ffffff }, { -5, 0 },
    };
    const apr_time_t at = 10 * 365 * 86400 * SEC + 123456; /* ten years after the boot */

    for (int i = 0; i < COUNT(spans); i++) {
        add(FO_VERDICT_PASS, FO_STAGE_ASK, spans[i].took, at);
        fo_record_read(shared, 0, &record);
        ck_assert_int_eq(record.history[i].took, spans[i].told);
        ck_assert_int_eq(record.history[i].at, at - at % (SEC / 10));
        ck_assert_int_eq(record.history[i].verdict, FO_VERDICT_PASS);
        ck_assert_int_eq(record.history[i].stage, FO_STAGE_ASK);
    }
}
END_TEST

/* What is no pass is a reason; a pass leaves the last one where it is. */
START_TEST(the_last_reason_is_kept)
{
    fo_report_t report = {
        .verdict = FO_VERDICT_FAIL, .stage = FO_STAGE_LOGIN, .status = ECONNRESET, .code = 1129,
        .took = 77, .text = "Host is blocked",
    };

    add(FO_VERDICT_PASS, FO_STAGE_ANSWER, 1, 1 * SEC);
    fo_record_read(shared, 0, &record);
    ck_assert_int_eq(record.failure.at, 0);
    fo_record_add(shared, 0, &report, 2 * SEC);
    add(FO_VERDICT_PASS, FO_STAGE_ANSWER, 1, 3 * SEC);
    fo_record_read(shared, 0, &record);
    ck_assert_int_eq(record.failure.at, 2 * SEC);
    ck_assert_int_eq(record.failure.report.verdict, FO_VERDICT_FAIL);
    ck_assert_int_eq(record.failure.report.stage, FO_STAGE_LOGIN);
    ck_assert_int_eq(record.failure.report.status, ECONNRESET);
    ck_assert_int_eq(record.failure.report.code, 1129);
    ck_assert_int_eq(record.failure.report.took, 77);
    ck_assert_str_eq(record.failure.report.text, "Host is blocked");
    memset(report.text, 'x', sizeof(report.text)); /* no end: it is told with one */
    fo_record_add(shared, 0, &report, 4 * SEC);
    fo_record_failure(shared, 0, &record.failure);
    ck_assert_uint_eq(strlen(record.failure.report.text), FO_REPORT_TEXT - 1);
}
END_TEST

/* Any word of it that is another's makes the whole no reason at all. */
START_TEST(a_torn_reason_is_left_out)
{
    fo_target_words_t *words = &shared->targets[0];

    add(FO_VERDICT_FAIL, FO_STAGE_TLS, 1, 1 * SEC);
    for (size_t i = 0; i < FO_LAYOUT_REPORT_WORDS; i++) {
        atomic_fetch_xor(&words->failure[i], 0x100);
        fo_record_failure(shared, 0, &record.failure);
        ck_assert_int_eq(record.failure.at, 0);
        ck_assert_str_eq(record.failure.report.text, "");
        atomic_fetch_xor(&words->failure[i], 0x100);
    }
    fo_record_failure(shared, 0, &record.failure);
    ck_assert_int_eq(record.failure.at, 1 * SEC);
}
END_TEST

/* Processes */

static atomic_int *is_over, *n_done;

/* A report that says the same number all over. */
static fo_report_t report_of(unsigned n)
{
    fo_report_t report;

    memset(&report, 0, sizeof(report));
    report.verdict = FO_VERDICT_FAIL;
    report.stage = (fo_stage_e)(n % FO_STAGE_COUNT);
    report.code = (int)n;
    report.status = (apr_status_t)n;
    report.took = n;
    for (int i = 0; i + 8 < FO_REPORT_TEXT; i += 8)
        apr_snprintf(report.text + i, 9, "%08x", n);
    return report;
}

static bool is_whole(const fo_failure_t *failure)
{
    fo_report_t whole = report_of((unsigned)failure->report.code);

    return memcmp(&failure->report, &whole, sizeof(whole)) == 0 &&
           failure->at == failure->report.code * SEC;
}

static bool write_on(int n)
{
    for (unsigned number = (unsigned)n; !atomic_load(is_over); number += WRITERS) {
        fo_report_t report = report_of(number % 1000000 + 1);
        fo_record_add(shared, 0, &report, report.code * SEC);
        atomic_fetch_add(n_done, 1);
    }
    return true;
}

static bool read_on(int unused)
{
    int n = 0;

    (void)unused;
    while (!atomic_load(is_over)) {
        fo_record_read(shared, 0, &record);
        if (record.failure.at && !is_whole(&record.failure))
            return false;
        n += record.failure.at != 0;
        for (unsigned i = 0; i < record.n_history; i++)
            if (record.history[i].verdict != FO_VERDICT_FAIL ||
                record.history[i].at != record.history[i].took * SEC)
                return false;
    }
    return n > 0;
}

START_TEST(no_reason_is_torn_whoever_is_killed)
{
    apr_uint64_t random = 99;
    pid_t writers[WRITERS], reader;
    unsigned n_counted, n_known;

    is_over = rig_map(sizeof(*is_over));
    n_done = rig_map(sizeof(*n_done));
    reader = rig_fork(read_on, 0);
    for (int i = 0; i < WRITERS; i++)
        writers[i] = rig_fork(write_on, i);
    for (int round = 0; round < 200; round++) {
        int i = (int)(rig_random(&random) % WRITERS);
        rig_linger(&random);
        rig_kill(writers[i]);
        writers[i] = rig_fork(write_on, i);
    }
    atomic_store(is_over, 1);
    for (int i = 0; i < WRITERS; i++)
        rig_expect_well(writers[i]);
    rig_expect_well(reader);
    fo_record_read(shared, 0, &record);
    n_counted = (unsigned)record.counts[FO_VERDICT_FAIL];
    n_known = (unsigned)atomic_load(n_done); /* each of the killed may have missed one count */
    ck_assert_uint_ge(n_counted, n_known);
    ck_assert_uint_le(n_counted, n_known + 200);
    add(FO_VERDICT_FAIL, FO_STAGE_TLS, 1, 1 * SEC); /* whatever was left half written */
    fo_record_failure(shared, 0, &record.failure);
    ck_assert_int_eq(record.failure.at, 1 * SEC);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_record");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_set_timeout(tc, RIG_LIMIT);
    tcase_add_test(tc, nothing_yet);
    tcase_add_test(tc, history_and_counts);
    tcase_add_loop_test(tc, the_last_pings_are_kept, 0, 5);
    tcase_add_test(tc, what_a_past_ping_is_told_with);
    tcase_add_test(tc, the_last_reason_is_kept);
    tcase_add_test(tc, a_torn_reason_is_left_out);
    tcase_add_test(tc, no_reason_is_torn_whoever_is_killed);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

#include "core/fo_series.h"

#include "core/fo_report.h"
#include "unit.h"

/*
 * Probes in turn: T passes, F fails, b is busy, s our own side's fault, l a refused login. What is
 * behind a slash is not asked for any more: it was decided before.
 */
typedef struct row_t {
    fo_probes_e policy;
    const char *probes;
    const char *verdict;
} row_t;

static const row_t rows[] = {
    /* redis-py test_healthcheck: HealthyAllPolicy. */
    { FO_PROBES_ALL, "TTT", "pass" },
    { FO_PROBES_ALL, "TTF", "fail" },
    { FO_PROBES_ALL, "F/TT", "fail" },

    /* HealthyMajorityPolicy's table; it stops as soon as it is decided, as Jedis does. */
    { FO_PROBES_MAJORITY, "FF/T", "fail" },
    { FO_PROBES_MAJORITY, "TFF", "fail" },
    { FO_PROBES_MAJORITY, "TFT", "pass" },
    { FO_PROBES_MAJORITY, "TT/F", "pass" },
    { FO_PROBES_MAJORITY, "TTFF", "fail" },
    { FO_PROBES_MAJORITY, "FTTT", "pass" },
    { FO_PROBES_MAJORITY, "TTFFT", "pass" },
    { FO_PROBES_MAJORITY, "FFF/TT", "fail" },
    { FO_PROBES_MAJORITY, "T", "pass" },
    { FO_PROBES_MAJORITY, "F", "fail" },

    /* HealthyAnyPolicy. */
    { FO_PROBES_ANY, "FFF", "fail" },
    { FO_PROBES_ANY, "FT/T", "pass" },
    { FO_PROBES_ANY, "FFT", "pass" },
    { FO_PROBES_ANY, "T/FF", "pass" },

    /* What says nothing leaves it to the others; where they cannot decide, nothing is said. */
    { FO_PROBES_ALL, "Tb", "busy" },
    { FO_PROBES_ALL, "bF", "fail" },
    { FO_PROBES_ALL, "Ts", "self" },
    { FO_PROBES_MAJORITY, "sTT", "pass" },
    { FO_PROBES_MAJORITY, "sFF", "fail" },
    { FO_PROBES_MAJORITY, "sTF", "self" },
    { FO_PROBES_MAJORITY, "bbT", "busy" },
    { FO_PROBES_ANY, "FFs", "self" },
    { FO_PROBES_ANY, "bs", "self" },
    { FO_PROBES_MAJORITY, "s", "self" },
    { FO_PROBES_MAJORITY, "b", "busy" },

    /* A refused login passes, and is worth its warning. */
    { FO_PROBES_ALL, "lT", "login" },
    { FO_PROBES_ALL, "Tl", "login" },
    { FO_PROBES_MAJORITY, "lFT", "login" },

    /* One that hides what was asked does not. */
    { FO_PROBES_ALL, "Tx", "barred" },
    { FO_PROBES_MAJORITY, "xTT", "pass" },
    { FO_PROBES_MAJORITY, "xFF", "fail" },
};

static fo_report_t report_of(char probe)
{
    static const fo_verdict_e verdicts[] = {
        ['T'] = FO_VERDICT_PASS, ['F'] = FO_VERDICT_FAIL,  ['b'] = FO_VERDICT_BUSY,
        ['s'] = FO_VERDICT_SELF, ['l'] = FO_VERDICT_LOGIN, ['x'] = FO_VERDICT_BARRED,
    };

    return (fo_report_t){ .verdict = verdicts[(int)probe] };
}

START_TEST(decides)
{
    const row_t *row = &rows[_i];
    const char *slash = strchr(row->probes, '/');
    fo_probes_t probes = {
        .n = (unsigned)(strlen(row->probes) - (slash != NULL)),
        .policy = row->policy,
    };
    size_t n_asked = slash ? (size_t)(slash - row->probes) : probes.n;
    fo_series_t series = { 0 };
    fo_report_t result = { .verdict = FO_VERDICT_COUNT };

    for (size_t i = 0; i < n_asked; i++) {
        fo_report_t report = report_of(row->probes[i]);
        bool is_decided = fo_series_add(&series, &probes, &report, false, &result);
        ck_assert_msg(is_decided == (i + 1 == n_asked), "%s %s: after %d", row->probes,
                      fo_probes_name(row->policy), (int)i + 1);
    }
    ck_assert_str_eq(fo_verdict_name(result.verdict), row->verdict);
}
END_TEST

/* Whatever comes: it is decided after n at the latest, and a pass and a failure never both hold. */
START_TEST(always_ends)
{
    static const char kinds[] = "TFbsl";

    for (unsigned n = 1; n <= 5; n++)
        for (unsigned code = 0; code < 3125; code++) {
            fo_probes_t probes = { .n = n, .policy = (fo_probes_e)_i };
            fo_series_t series = { 0 };
            fo_report_t result;
            unsigned i = 0, rest = code;
            bool is_decided = false;
            for (; i < n && !is_decided; i++, rest /= 5) {
                fo_report_t report = report_of(kinds[rest % 5]);
                is_decided = fo_series_add(&series, &probes, &report, false, &result);
            }
            ck_assert(is_decided);
        }
}
END_TEST

START_TEST(busy_may_fail)
{
    fo_probes_t probes = { .n = 3, .policy = FO_PROBES_ALL };
    fo_series_t series = { 0 };
    fo_report_t busy = report_of('b'), result;

    ck_assert(fo_series_add(&series, &probes, &busy, true, &result));
    ck_assert_int_eq(result.verdict, FO_VERDICT_BUSY); /* shown as such */
    ck_assert(fo_report_is_failure(&result, true));
}
END_TEST

/* The words are those of the probe that decided, not of one that was overruled. */
START_TEST(words_of_the_last_failure)
{
    fo_probes_t probes = { .n = 3, .policy = FO_PROBES_MAJORITY };
    fo_series_t series = { 0 };
    fo_report_t failures[2] = { report_of('F'), report_of('F') }, result;

    failures[0].code = 1;
    failures[1].code = 2;
    ck_assert(!fo_series_add(&series, &probes, &failures[0], false, &result));
    ck_assert(fo_series_add(&series, &probes, &failures[1], false, &result));
    ck_assert_int_eq(result.code, 2);
}
END_TEST

static const struct {
    char one, other, worse;
    bool busy_fails;
} pairs[] = {
    { 'T', 'T', 'T', false }, { 'T', 'l', 'l', false }, { 'l', 'b', 'b', false },
    { 'b', 's', 's', false }, { 's', 'F', 'F', false }, { 'T', 'F', 'F', false },
    { 'b', 's', 'b', true },  { 'T', 'b', 'b', true },
};

START_TEST(worse_of_two)
{
    fo_report_t one = report_of(pairs[_i].one), other = report_of(pairs[_i].other);
    fo_report_t worse = report_of(pairs[_i].worse);
    bool busy_fails = pairs[_i].busy_fails;

    ck_assert_int_eq(fo_series_worse(&one, &other, busy_fails)->verdict, worse.verdict);
    ck_assert_int_eq(fo_series_worse(&other, &one, busy_fails)->verdict, worse.verdict);
}
END_TEST

START_TEST(deadline)
{
    fo_probes_t one = { .n = 1, .delay = SEC / 2 }, three = { .n = 3, .delay = SEC / 2 };

    ck_assert_int_eq(fo_probes_deadline(&one, 3 * SEC), 3 * SEC);
    ck_assert_int_eq(fo_probes_deadline(&three, 1 * SEC), 4 * SEC);
}
END_TEST

static Suite *suite(void)
{
    Suite *suite = suite_create("fo_series");
    TCase *tc = tcase_create("series");

    tcase_add_loop_test(tc, decides, 0, COUNT(rows));
    tcase_add_loop_test(tc, always_ends, 0, FO_PROBES_COUNT);
    tcase_add_test(tc, busy_may_fail);
    tcase_add_test(tc, words_of_the_last_failure);
    tcase_add_loop_test(tc, worse_of_two, 0, COUNT(pairs));
    tcase_add_test(tc, deadline);
    suite_add_tcase(suite, tc);
    return suite;
}

UNIT_MAIN(suite)

/* What an expression of FailoverErrorMatch matches, costs, and must not be. */
#include "core/fo_regex.h"

#include "unit.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

static const fo_regex_t *make(const char *text, bool ignores_case)
{
    const fo_regex_t *regex = NULL;

    unit_expect(fo_regex_make(text, strlen(text), ignores_case, &regex, pool), NULL);
    ck_assert_ptr_nonnull(regex);
    return regex;
}

static bool matches_in(const fo_regex_t *regex, const char *text, size_t length)
{
    size_t begin, n;

    return fo_regex_find(regex, text, length, &begin, &n);
}

static bool matches(const fo_regex_t *regex, const char *text)
{
    return matches_in(regex, text, strlen(text));
}

static const struct {
    const char *expression, *text;
    bool ignores_case, matches;
} rows[] = {
    { "gone away", "MySQL server has gone away", false, true },
    { "gone away", "MySQL server has Gone Away", false, false },
    { "gone away", "MySQL server has Gone Away", true, true },
    { "GONE AWAY", "MySQL server has gone away", true, true },
    { "gone.away", "gone away", false, true },
    { "gone\\.away", "gone away", false, false },
    { "^db\\d+: (lost|gone)$", "db12: gone", false, true },
    { "^db\\d+: (lost|gone)$", "db: gone", false, false },
    { "^db\\d+: (lost|gone)$", "the db12: gone", false, false },
    { "[Cc]onnect(ion|ing)?", "Connecting", false, true },
    { "a{2,3}b", "ab", false, false },
    { "a{2,3}b", "aaaab", false, true },
    { "\\bredis\\b", "my redis: down", false, true },
    { "\\bredis\\b", "predisposed", false, false },
    { "db(?=:3306)", "db:3306", false, true },
    { "db(?=:3306)", "db:5432", false, false },
    { "db(?!:3306)", "db:3306", false, false },
    { "(?<!no )error", "no error", false, false },
    { "(?<!no )error", "an error", false, true },
    { "(?i)Error", "ERROR", false, true },
    { "(?>a+)b", "aaab", false, true },
    { "a++a", "aaa", false, false },
    { "a+?b", "aab", false, true },
    { "(?:\\((?R)?\\))", "x(())", false, true },
    { "\\x41", "A", false, true },
    { "a b # c", "a b # c", false, true },
    { "\\(*x", "((x", false, true }, /* no verb: the parenthesis is escaped */
    { "\\(\\?\\(", "(?(", false, true },
    { "\\\\K", "\\K", false, true }, /* a backslash, then a K */
    { "x[(*]y", "x(y", false, true }, /* nor in a class */
    { "x[(?(]y", "x?y", false, true },
    { "[](*]y", "*y", false, true },
    { "[^](*]y", "ay", false, true },
    { "[^](*]y", "]y", false, false },
    { "x", "", false, false },
};

START_TEST(an_expression_matches)
{
    const fo_regex_t *regex = make(rows[_i].expression, rows[_i].ignores_case);

    ck_assert_msg(matches(regex, rows[_i].text) == rows[_i].matches, "/%s/ on '%s'",
                  rows[_i].expression, rows[_i].text);
}
END_TEST

static const struct {
    const char *expression, *words;
} refused[] = {
    { "(a", "parenthesis|, at character 3" },
    { "a)", "parenthesis|, at character 2" },
    { "ab[c", "]|, at character 5" },
    { "ab*{", NULL },
    { "*a", "quantifier|, at character 1" },
    { "a{3,2}", "numbers out of order|, at character" },
    { "a\\", "\\ at end|, at character 3" },
    { "(?<x", "name|, at character 5" },
    { "(a)\\1", "back references" },
    { "(?<n>a)\\k<n>", "back references" },
    { "(a)\\g{1}", "back references" },
    { "db\\Kgone", "\\K and \\C" },
    { "\\C", "\\K and \\C" },
    { "a(*SKIP)b", "(*SKIP)" },
    { "(*UTF)a", "(*SKIP)" },
    { "(*LIMIT_MATCH=100000000)a", "(*SKIP)" },
    { "(a)?(?(1)b|c)", "(?(1)...)" },
    { "(?(?=a)ab|c)", "(?(1)...)" },
    { "\\\\\\Ka", "\\K and \\C" },
    { "[a](*SKIP)b", "(*SKIP)" },
    { "[]a](*SKIP)b", "(*SKIP)" },
    { "[^]a](?(1)b)", "(?(1)...)" },
    { "\\[(*SKIP)]", "(*SKIP)" },
    { "a*", "no character at all" },
    { "", "no character at all" },
    { "^", "no character at all" },
    { "$", "no character at all" },
    { "(a|b?)", "no character at all" },
    { "(?!x)", "no character at all" },
    { "^(?=.*db1)(?=.*refused)", "no character at all" },
    { "\\b", "no character at all" },
    { "(?<=a)", "no character at all" },
    { "a*b*c?", "no character at all" },
    { "(?:.*a|.*b|.*c|.*d|.*e|.*f|.*g|.*h|.*i|.*j|.*k|.*l|.*m|.*n){40}z", "too large" },
};

/* The message says what and where; the output is left alone. */
START_TEST(an_expression_is_refused)
{
    const char *text = refused[_i].expression;
    const fo_regex_t *regex = NULL;

    unit_expect(fo_regex_make(text, strlen(text), false, &regex, pool), refused[_i].words);
    ck_assert(!regex == (refused[_i].words != NULL));
}
END_TEST

START_TEST(an_expression_of_1024_bytes_and_no_more)
{
    char text[FO_REGEX_MAX + 1];
    const fo_regex_t *regex = NULL;

    memset(text, 'x', sizeof(text));
    unit_expect(fo_regex_make(text, FO_REGEX_MAX, false, &regex, pool), NULL);
    ck_assert(matches_in(regex, text, FO_REGEX_MAX));
    ck_assert(!matches_in(regex, text, FO_REGEX_MAX - 1));
    regex = NULL;
    unit_expect(fo_regex_make(text, FO_REGEX_MAX + 1, false, &regex, pool), "1024 bytes");
    ck_assert_ptr_null(regex);
}
END_TEST

/* Neither the expression nor the text has to end in a zero byte, and a text may hold one. */
START_TEST(lengths_rule)
{
    const fo_regex_t *regex = NULL;

    unit_expect(fo_regex_make("gone(", 4, false, &regex, pool), NULL);
    ck_assert(matches_in(regex, "x gone", 6));
    ck_assert(!matches_in(regex, "x gone", 5));
    ck_assert(matches_in(regex, "a\0gone", 6));
}
END_TEST

START_TEST(only_the_beginning_of_a_text_is_looked_at)
{
    const fo_regex_t *regex = make("ab", false);
    char text[3 * FO_REGEX_TEXT];

    memset(text, 'x', sizeof(text));
    memcpy(text + FO_REGEX_TEXT - 2, "ab", 2);
    ck_assert(matches_in(regex, text, sizeof(text)));
    memcpy(text + FO_REGEX_TEXT - 2, "xab", 3);
    ck_assert(!matches_in(regex, text, sizeof(text)));
}
END_TEST

/* Cost */

static const struct {
    const char *expression, *unit; /* the text is this, again and again */
} hostile[] = {
    { "(a+)+b", "a" },
    { "(a|aa)+b", "a" },
    { "(a*)*b", "a" },
    { "(.*)(.*)(.*)(.*)(.*)b", "a" },
    { "(x+x+)+y", "x" },
    { "([a-zA-Z]+)*\\d", "a" },
    { "(a?){64}a{64}b", "a" },
    { "((a{1,30}){1,30}){1,10}b", "a" },
    { "(?=(a+)+b)a", "a" },
    { "(?>(a+)+)b", "a" },
    { "(?:a++)+b", "a" },
    { "(?=a*(?=a*(?=a*b)))", "a" },
    { "(?<=a)a(?=.*(?=.*b))", "a" },
    { "\\((?R)*\\)b", "(" },
    { "(a(?1)?b)+c", "ab" },
    { "(a|b|ab)*c", "ab" },
    { ".*.*.*=.*", "x" },
};

static apr_interval_time_t cpu_time(void)
{
    struct timespec at;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return at.tv_sec * SEC + at.tv_nsec / 1000;
}

/* No expression is made to last by what others write. */
START_TEST(a_hostile_expression_ends)
{
    const fo_regex_t *regex = NULL;
    const char *expression = hostile[_i].expression;
    const char *error = fo_regex_make(expression, strlen(expression), false, &regex, pool);
    char text[FO_REGEX_TEXT];
    apr_interval_time_t began_at = cpu_time(), took;

    ck_assert_msg(!error, "%s: %s", expression, error);
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = hostile[_i].unit[i % strlen(hostile[_i].unit)];
    (void)matches_in(regex, text, sizeof(text));
    took = cpu_time() - began_at;
    ck_assert_msg(took < 1 * SEC, "/%s/ took %d ms", expression, (int)(took / MS));
}
END_TEST

/* The sanitizers' hook for each allocation, where there is one. */
int __sanitizer_install_malloc_and_free_hooks(void (*)(const volatile void *, size_t),
                                              void (*)(const volatile void *))
    __attribute__((weak));

static _Thread_local int n_allocations;

static void count_allocation(const volatile void *memory, size_t size)
{
    (void)memory;
    (void)size;
    n_allocations++;
}

static void ignore_free(const volatile void *memory)
{
    (void)memory;
}

/* Deep look-aheads and recursion ask the matcher for more than its first workspace. */
START_TEST(nothing_is_allocated_while_matching)
{
    const fo_regex_t *deep = make("k(?=j(?=i(?=h(?=g(?=f(?=e(?=d(?=c(?=b(?=a))))))))))|zz", false);
    const fo_regex_t *recursive = make("\\((?R)*\\)", false);
    char *text = apr_palloc(pool, FO_REGEX_TEXT);
    struct mallinfo2 before, after;
    bool has_matched;
    int n;

    memset(text, '(', FO_REGEX_TEXT);
    if (__sanitizer_install_malloc_and_free_hooks)
        __sanitizer_install_malloc_and_free_hooks(count_allocation, ignore_free);
    n_allocations = 0;
    before = mallinfo2();
    (void)matches(deep, "kjihgfedcba");
    (void)matches_in(recursive, text, FO_REGEX_TEXT);
    has_matched = matches(recursive, "(())") && matches(deep, "zz");
    after = mallinfo2();
    n = n_allocations; /* before Check's own */
    ck_assert(has_matched);
    ck_assert_int_eq(n, 0);
    ck_assert_uint_eq(after.uordblks, before.uordblks);
    ck_assert_uint_eq(after.arena, before.arena);
}
END_TEST

#define THREADS 8

static const fo_regex_t *shared_regex;
static atomic_int n_wrong;

static void *match_on(void *unused)
{
    for (int i = 0; i < 2000; i++)
        if (!matches(shared_regex, "the server has gone away") ||
            matches(shared_regex, "the server has gone"))
            atomic_fetch_add(&n_wrong, 1);
    return unused;
}

START_TEST(many_threads_at_once)
{
    pthread_t threads[THREADS];

    shared_regex = make("(has|had) gone +(away|off)", true);
    for (int i = 0; i < THREADS; i++)
        pthread_create(&threads[i], NULL, match_on, NULL);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&n_wrong), 0);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_regex");
    TCase *tc = unit_case("all");

    tcase_add_loop_test(tc, an_expression_matches, 0, COUNT(rows));
    tcase_add_loop_test(tc, an_expression_is_refused, 0, COUNT(refused));
    tcase_add_test(tc, an_expression_of_1024_bytes_and_no_more);
    tcase_add_test(tc, lengths_rule);
    tcase_add_test(tc, only_the_beginning_of_a_text_is_looked_at);
    tcase_add_loop_test(tc, a_hostile_expression_ends, 0, COUNT(hostile));
    tcase_add_test(tc, nothing_is_allocated_while_matching);
    tcase_add_test(tc, many_threads_at_once);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

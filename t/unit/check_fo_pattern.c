/* FailoverErrorMatch's words, the built-in list, and how httpd's log escapes text. */
#include "core/fo_pattern.h"

#include "unit.h"

#include <ctype.h>

static const fo_match_t *parse(const char *words)
{
    fo_match_t *match = NULL;

    unit_expect(fo_match_parse(words, &match, pool), NULL);
    ck_assert_ptr_nonnull(match);
    return match;
}

static const fo_pattern_t *pattern_of(const fo_match_t *match, int i)
{
    ck_assert_int_lt(i, match->patterns->nelts);
    return &APR_ARRAY_IDX(match->patterns, i, fo_pattern_t);
}

/* The only pattern of these words. */
static const fo_pattern_t *parse_one(const char *words)
{
    const fo_match_t *match = parse(words);

    ck_assert_int_eq(match->patterns->nelts, 1);
    ck_assert_int_eq(match->modules->nelts, 0);
    return pattern_of(match, 0);
}

static const struct {
    const char *name;
    int number;
} errnos[] = {
    { "ECONNREFUSED", ECONNREFUSED }, { "ECONNRESET", ECONNRESET },
    { "ECONNABORTED", ECONNABORTED }, { "ETIMEDOUT", ETIMEDOUT },
    { "EHOSTUNREACH", EHOSTUNREACH }, { "ENETUNREACH", ENETUNREACH },
    { "EHOSTDOWN", EHOSTDOWN },       { "EPIPE", EPIPE },
    { "EPERM", EPERM },               { "EHWPOISON", EHWPOISON },
    { "EAGAIN", EAGAIN },             { "EWOULDBLOCK", EWOULDBLOCK },
    { "EDEADLOCK", EDEADLK },         { "ENOTSUP", EOPNOTSUPP },
    { "ENOTCONN", ENOTCONN },
};

START_TEST(an_errno_by_its_name)
{
    const fo_pattern_t *pattern = parse_one(errnos[_i].name);

    ck_assert_int_eq(pattern->kind, FO_PATTERN_ERRNO);
    ck_assert_int_eq(pattern->status, errnos[_i].number);
    ck_assert_str_eq(pattern->text, errnos[_i].name);
}
END_TEST

/* text: as shown to people; NULL: as written. */
static const struct {
    const char *words, *literal, *text;
} literals[] = {
    { "\"gone away\"", "gone away", NULL },
    { "'gone away'", "gone away", NULL },
    { "\"Can't connect\"", "Can't connect", NULL },
    { "'say \"no\"'", "say \"no\"", NULL },
    { "\"say \\\"no\\\"\"", "say \"no\"", NULL },
    { "'it\\'s'", "it's", NULL },
    { "\"a\\\\b\"", "a\\\\b", NULL },        /* one backslash, which the log doubles */
    { "\"a\\nb\"", "a\\\\nb", NULL },        /* a backslash and an n, no line feed */
    { "\"a\\'b\"", "a\\\\'b", NULL },        /* the other quote needs no escape */
    { "\"a\\/b\"", "a\\\\/b", NULL },
    { "\"\\\\\"", "\\\\", NULL },
    { "\"a\tb\"", "a\\tb", NULL },
    { "\"a\x01\x7f\"", "a\\x01\\x7f", NULL },
    { "\"caf\xc3\xa9\"", "caf\\xc3\\xa9", NULL },
    { "\"/no regex/\"", "/no regex/", NULL },
    { "\"ECONNRESET\"", "ECONNRESET", NULL },
    { "\"from=x\"", "from=x", NULL },
    { " \t\"x\"\t ", "x", "\"x\"" },
    { "add \"x\"", "x", "\"x\"" },
    { "\" \"", " ", NULL },
};

START_TEST(a_literal_as_the_log_escapes_it)
{
    const fo_pattern_t *pattern = parse_one(literals[_i].words);

    ck_assert_int_eq(pattern->kind, FO_PATTERN_LITERAL);
    ck_assert_str_eq(pattern->literal, literals[_i].literal);
    ck_assert_str_eq(pattern->text, literals[_i].text ? literals[_i].text : literals[_i].words);
}
END_TEST

static const struct {
    const char *words, *yes, *no;
} regexes[] = {
    { "/gone.away/", "gone away", "Gone away" },
    { "/gone.away/i", "Gone Away", "gone" },
    { "/GONE/i", "gone", "gon" },
    { "/a\\/b/", "a/b", "a\\b" },
    { "/a\\d+b/", "a12b", "a\\d+b" },
    { "/a\\\\b/", "a\\b", "ab" },
    { "/a\\\\/", "a\\", "a" },
    { "/a\\.b/", "a.b", "axb" },
    { "/say \"no\"/", "say \"no\"", "say no" },
    { "/\\\"/", "\"", "x" },
    { "/a b\tc/", "a b\tc", "a b c" },
};

static bool matches(const fo_regex_t *regex, const char *text)
{
    size_t begin, length;

    return fo_regex_find(regex, text, strlen(text), &begin, &length);
}

START_TEST(an_expression)
{
    const fo_pattern_t *pattern = parse_one(regexes[_i].words);

    ck_assert_int_eq(pattern->kind, FO_PATTERN_REGEX);
    ck_assert_str_eq(pattern->text, regexes[_i].words);
    ck_assert(matches(pattern->regex, regexes[_i].yes));
    ck_assert(!matches(pattern->regex, regexes[_i].no));
}
END_TEST

/* modules: with commas between. */
static const struct {
    const char *words;
    bool replaces;
    const char *modules;
    int n_patterns;
} lines[] = {
    { "ECONNRESET", false, "", 1 },
    { "add ECONNRESET", false, "", 1 },
    { "ADD ECONNRESET", false, "", 1 },
    { "only ECONNRESET", true, "", 1 },
    { "Only \"x\" /y/i EPIPE", true, "", 3 },
    { "only\tECONNRESET", true, "", 1 },
    { "  only   ECONNRESET  ", true, "", 1 },
    { "none", true, "", 0 },
    { "NONE", true, "", 0 },
    { " none ", true, "", 0 },
    { "from=core EPIPE", false, "core", 1 },
    { "from=core,ssl,mod_x.c EPIPE", false, "core,ssl,mod_x.c", 1 },
    { "from=core", false, "core", 0 }, /* more modules for the patterns that hold already */
    { "add from=core", false, "core", 0 },
    { "from=core from=ssl EPIPE", false, "core,ssl", 1 },
    { "only from=core,ssl EPIPE \"x\"", true, "core,ssl", 2 },
    { "from=php* EPIPE", false, "php*", 1 },
    { "\"add\" \"only\" \"none\"", false, "", 3 },
};

START_TEST(a_line)
{
    const fo_match_t *match = parse(lines[_i].words);

    ck_assert_int_eq(match->replaces, lines[_i].replaces);
    ck_assert_int_eq(match->patterns->nelts, lines[_i].n_patterns);
    ck_assert_str_eq(apr_array_pstrcat(pool, match->modules, ','), lines[_i].modules);
}
END_TEST

START_TEST(patterns_stay_in_order)
{
    const fo_match_t *match = parse("EPIPE \"a\" /b/ 'c' ETIMEDOUT");

    ck_assert_int_eq(match->patterns->nelts, 5);
    ck_assert_int_eq(pattern_of(match, 0)->status, EPIPE);
    ck_assert_str_eq(pattern_of(match, 1)->literal, "a");
    ck_assert_int_eq(pattern_of(match, 2)->kind, FO_PATTERN_REGEX);
    ck_assert_str_eq(pattern_of(match, 3)->literal, "c");
    ck_assert_int_eq(pattern_of(match, 4)->status, ETIMEDOUT);
}
END_TEST

static const struct {
    const char *words, *says;
} refused[] = {
    { "", "a pattern is missing" },
    { "   ", "a pattern is missing" },
    { "add", "a pattern is missing" },
    { "only", "a pattern is missing" },
    { "only from=core", "a pattern is missing" },
    { "none EPIPE", "nothing may follow none" },
    { "none none", "nothing may follow none" },
    { "EPIPE none", "'none' is no errno" },
    { "EPIPE only", "'only' is no errno" },
    { "add only EPIPE", "'only' is no errno" },
    { "ECONNREFUSE", "'ECONNREFUSE' is no errno|ECONNREFUSED" },
    { "econnrefused", "'econnrefused' is no errno" },
    { "ECONNREFUSED,EPIPE", "'ECONNREFUSED,EPIPE' is no errno" },
    { "111", "'111' is no errno" },
    { "0", "'0' is no errno" },
    { "gone away", "'gone' is no errno|\"gone away\"|/gone.away/" },
    { "EPIPE\"x\"", "is no errno" },
    { "EPIPE from=core", "'from=core' is no errno" }, /* they come first */
    { "from= EPIPE", "from= takes names" },
    { "from=, EPIPE", "from= takes names" },
    { "from=a,,b EPIPE", "from= takes names" },
    { "from=a, b EPIPE", "from= takes names" },
    { "from=,a EPIPE", "from= takes names" },
    { "FROM=a EPIPE", "'FROM=a' is no errno" },
    { "\"gone", "closing quote of \"gone is missing" },
    { "'gone\"", "closing quote of 'gone\" is missing" },
    { "\"", "closing quote" },
    { "\"gone\\", "closing quote" },
    { "\"gone\\\"", "closing quote" },
    { "/gone", "closing '/' of /gone is missing" },
    { "/", "closing '/'" },
    { "/gone\\/", "closing '/'" },
    { "/gone\\", "closing '/'" },
    { "\"\"", "an empty pattern" },
    { "''", "an empty pattern" },
    { "//", "an empty pattern" },
    { "//i", "an empty pattern" },
    { "\"a\"b", "a blank must follow \"a\", not 'b'" },
    { "\"a\"\"b\"", "a blank must follow \"a\"" },
    { "\"a\"/b/", "a blank must follow \"a\"" },
    { "/a/x", "a blank must follow /a/, not 'x'|i alone" },
    { "/a/ix", "a blank must follow /a/i, not 'x'|i alone" },
    { "/a/I", "a blank must follow /a/, not 'I'|i alone" },
    { "/a/b/", "a blank must follow /a/" },
    { "/(a/", "/(a/: |parenthesis|character 3" },
    { "/a*/", "/a*/: |no character at all" },
    { "/(a)\\1/i", "/(a)\\1/i: |back references" },
    { "EPIPE \"x\" NOSUCH", "'NOSUCH' is no errno" },
};

START_TEST(a_line_is_refused)
{
    fo_match_t *match = NULL;

    unit_expect(fo_match_parse(refused[_i].words, &match, pool), refused[_i].says);
    ck_assert_ptr_null(match);
}
END_TEST

static const char *quoted(const char *unit, size_t n)
{
    char *words = apr_pcalloc(pool, n * strlen(unit) + 3), *end = words;

    *end++ = '"';
    for (size_t i = 0; i < n; i++)
        end = apr_cpystrn(end, unit, strlen(unit) + 1);
    *end = '"';
    return words;
}

/* As the log escapes it, 256 bytes. */
START_TEST(a_literal_that_is_too_long)
{
    fo_match_t *match = NULL;

    ck_assert_uint_eq(strlen(parse_one(quoted("x", 256))->literal), 256);
    ck_assert_uint_eq(strlen(parse_one(quoted("\x80", 64))->literal), 256);
    unit_expect(fo_match_parse(quoted("x", 257), &match, pool), "longer than 256 bytes");
    unit_expect(fo_match_parse(quoted("\x80", 65), &match, pool), "longer than 256 bytes");
    ck_assert_ptr_null(match);
}
END_TEST

/* The rest of the built-in list are words, the first eight are the errnos of a lost peer. */
START_TEST(the_built_in_list)
{
    const fo_match_t *match = fo_match_built_in(pool);
    const fo_pattern_t *pattern;

    ck_assert(match->replaces);
    ck_assert_int_eq(match->patterns->nelts, 35);
    for (int i = 0; i < match->patterns->nelts; i++) {
        pattern = pattern_of(match, i);
        ck_assert_ptr_nonnull(pattern->text);
        if (i < 8) {
            ck_assert_int_eq(pattern->kind, FO_PATTERN_ERRNO);
            ck_assert_str_eq(pattern->text, errnos[i].name);
            ck_assert_int_eq(pattern->status, errnos[i].number);
        } else {
            ck_assert_int_eq(pattern->kind, FO_PATTERN_LITERAL);
            ck_assert_str_eq(pattern->text, apr_pstrcat(pool, "\"", pattern->literal, "\"", NULL));
        }
        for (int j = 0; j < i; j++)
            ck_assert_str_ne(pattern_of(match, j)->text, pattern->text);
    }
    ck_assert_str_eq(apr_array_pstrcat(pool, match->modules, ','),
                     "proxy*,cgi,cgid,fcgid,php*,wsgi,perl,lua,dbd,authn_dbd,session*,ldap,"
                     "authnz_ldap");
}
END_TEST

/* What people lose, as clients print it, and what else their logs hold. */
static const struct {
    const char *text;
    bool is_known;
} printed[] = {
    { "PHP Warning:  mysqli::__construct(): (HY000/2002): Connection refused in /x.php", true },
    { "SQLSTATE[HY000]: General error: 2006 MySQL server has gone away", true },
    { "(2002, \"Can't connect to MySQL server on 'db' (115)\")", true },
    { "Lost connection to MySQL server during query", true },
    { "connection to server at \"db\" (10.0.0.1), port 5432 failed: ", true },
    { "could not connect to server: Connection refused", true },
    { "FATAL:  the database system is starting up", true },
    { "cURL error 28: Operation timed out after 3000 milliseconds", true },
    { "PHP Notice:  Undefined index: x in /x.php on line 3", false },
    { "File does not exist: /favicon.ico", false },
    { "Access denied for user 'x'@'y' (using password: YES)", false },
};

START_TEST(the_built_in_words)
{
    const fo_match_t *match = fo_match_built_in(pool);
    bool is_known = false;

    for (int i = 8; i < match->patterns->nelts; i++)
        is_known |= strstr(printed[_i].text, pattern_of(match, i)->literal) != NULL;
    ck_assert_int_eq(is_known, printed[_i].is_known);
}
END_TEST

/* ap_escape_errorlog_item: what is printable stays, but for the backslash. */
START_TEST(each_byte_is_escaped_as_httpd_does)
{
    static const char named[] = { '\b', 'b', '\n', 'n', '\r', 'r', '\t', 't',
                                  '\v', 'v', '\\', '\\' };

    for (int byte = 0; byte < 256; byte++) {
        char expected[8], escaped[5] = "";
        unsigned n = fo_log_escape((unsigned char)byte, escaped);
        if (isprint(byte) && byte != '\\')
            apr_snprintf(expected, sizeof(expected), "%c", byte);
        else
            apr_snprintf(expected, sizeof(expected), "\\x%02x", (unsigned)byte);
        for (int i = 0; i < COUNT(named); i += 2)
            if (named[i] == byte)
                apr_snprintf(expected, sizeof(expected), "\\%c", named[i + 1]);
        ck_assert_uint_eq(n, strlen(expected));
        ck_assert_msg(memcmp(escaped, expected, n) == 0, "%d: %s, not %s", byte, escaped, expected);
    }
}
END_TEST

static const struct {
    const char *name, *wanted;
    bool fits;
} names[] = {
    { "proxy", "proxy*", true },       { "proxy_http", "proxy*", true },
    { "prox", "proxy*", false },       { "myproxy", "proxy*", false },
    { "cgi", "cgi", true },            { "cgid", "cgi", false },
    { "cg", "cgi", false },            { "anything", "*", true },
    { "a*", "a*", true },              { "php8", "php*", true },
    { "PHP", "php*", false },          { "", "", true },
    { "x", "", false },                { "ab", "*b", false },
};

START_TEST(a_module_fits)
{
    ck_assert_int_eq(fo_module_fits(names[_i].name, names[_i].wanted), names[_i].fits);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_pattern");
    TCase *tc = unit_case("all");

    tcase_add_loop_test(tc, an_errno_by_its_name, 0, COUNT(errnos));
    tcase_add_loop_test(tc, a_literal_as_the_log_escapes_it, 0, COUNT(literals));
    tcase_add_loop_test(tc, an_expression, 0, COUNT(regexes));
    tcase_add_loop_test(tc, a_line, 0, COUNT(lines));
    tcase_add_test(tc, patterns_stay_in_order);
    tcase_add_loop_test(tc, a_line_is_refused, 0, COUNT(refused));
    tcase_add_test(tc, a_literal_that_is_too_long);
    tcase_add_test(tc, the_built_in_list);
    tcase_add_loop_test(tc, the_built_in_words, 0, COUNT(printed));
    tcase_add_test(tc, each_byte_is_escaped_as_httpd_does);
    tcase_add_loop_test(tc, a_module_fits, 0, COUNT(names));
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

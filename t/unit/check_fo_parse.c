#include "core/fo_parse.h"

#include "unit.h"

#define SPAN_MAX (3650 * 86400 * SEC)

static const struct {
    const char *text;
    apr_interval_time_t span;
} durations[] = {
    { "0", 0 },          { "0ms", 0 },           { "1", SEC },         { "120", 120 * SEC },
    { "100ms", 100 * MS }, { "1ms", MS },        { "3s", 3 * SEC },    { "5m", 300 * SEC },
    { "5min", 300 * SEC }, { "2h", 7200 * SEC }, { "1d", 86400 * SEC }, { "007s", 7 * SEC },
    { "3650d", SPAN_MAX }, { "315360000", SPAN_MAX }, { "87600h", SPAN_MAX },
    { "315360000000ms", SPAN_MAX }, { "000000000000001", SEC },
};

START_TEST(good_durations)
{
    apr_interval_time_t span = -1;

    unit_expect(fo_parse_duration(durations[_i].text, &span, pool), NULL);
    ck_assert_int_eq(span, durations[_i].span);
}
END_TEST

#define DURATION_WORDS "not a duration|whole number|ms, s, m, min, h or d|bare number is seconds"

static const struct {
    const char *text, *words;
} bad_durations[] = {
    { "", "''|" DURATION_WORDS },
    { "s", "'s'|" DURATION_WORDS },
    { "-1", "'-1'|" DURATION_WORDS },
    { "+1", DURATION_WORDS },
    { " 1", DURATION_WORDS },
    { "1 ", DURATION_WORDS },
    { "1 s", DURATION_WORDS },
    { "1.5s", "'1.5s'|" DURATION_WORDS },
    { "1e3", DURATION_WORDS },
    { "0x10", DURATION_WORDS },
    { "5S", DURATION_WORDS },
    { "5us", DURATION_WORDS },
    { "5sec", DURATION_WORDS },
    { "5mins", DURATION_WORDS },
    { "5m5s", DURATION_WORDS },
    { "3w", DURATION_WORDS },
    { "3651d", "'3651d'|longer than 3650 days" },
    { "315360001", "longer than 3650 days" },
    { "315360000001ms", "longer than 3650 days" },
    { "999999999999999d", "longer than 3650 days" },
    { "1000000000000000s", DURATION_WORDS },
    { "99999999999999999999", DURATION_WORDS },
    { "18446744073709551617", DURATION_WORDS },
};

START_TEST(refused_durations)
{
    apr_interval_time_t span = 4711;

    unit_expect(fo_parse_duration(bad_durations[_i].text, &span, pool), bad_durations[_i].words);
    ck_assert_int_eq(span, 4711);
}
END_TEST

static const struct {
    const char *text;
    apr_int64_t low, high, number;
    const char *words;
} numbers[] = {
    { "1", 1, 10, 1, NULL },
    { "10", 1, 10, 10, NULL },
    { "0", 0, 0, 0, NULL },
    { "0010", 1, 10, 10, NULL },
    { "999999999999999", 0, APR_INT64_MAX, 999999999999999, NULL },
    { "0", 1, 10, 0, "'0'|whole number from 1 to 10" },
    { "11", 1, 10, 0, "'11'|from 1 to 10" },
    { "", 1, 10, 0, "''|from 1 to 10" },
    { "5x", 1, 10, 0, "'5x'|whole number" },
    { " 5", 1, 10, 0, "whole number" },
    { "-5", 1, 10, 0, "whole number" },
    { "+5", 1, 10, 0, "whole number" },
    { "5.0", 1, 10, 0, "whole number" },
    { "1000000000000000", 0, APR_INT64_MAX, 0, "whole number" },
    { "18446744073709551621", 1, 10, 0, "whole number" },
};

START_TEST(whole_numbers)
{
    apr_int64_t number = 4711;

    unit_expect(fo_parse_number(numbers[_i].text, numbers[_i].low, numbers[_i].high, &number, pool),
                numbers[_i].words);
    ck_assert_int_eq(number, numbers[_i].words ? 4711 : numbers[_i].number);
}
END_TEST

#define WEIGHT_WORDS "not a weight|decimal number greater than 0|at most 1000000"

static const struct {
    const char *text;
    double weight;
    const char *words;
} weights[] = {
    { "1", 1, NULL },
    { "1.0", 1, NULL },
    { "0.5", 0.5, NULL },
    { ".5", 0.5, NULL },
    { "0.25", 0.25, NULL },
    { "1000000", 1000000, NULL },
    { "0.00000000000001", 0.00000000000001, NULL },
    { "0", 0, "'0'|" WEIGHT_WORDS },
    { "0.0", 0, WEIGHT_WORDS },
    { "-1", 0, "'-1'|" WEIGHT_WORDS },
    { "1000000.1", 0, WEIGHT_WORDS },
    { "", 0, WEIGHT_WORDS },
    { ".", 0, WEIGHT_WORDS },
    { "1,5", 0, WEIGHT_WORDS },
    { "1.5x", 0, WEIGHT_WORDS },
    { "1.5.5", 0, WEIGHT_WORDS },
    { "1e3", 0, WEIGHT_WORDS },
    { "inf", 0, WEIGHT_WORDS },
    { "nan", 0, WEIGHT_WORDS },
    { "0x1p4", 0, WEIGHT_WORDS },
    { " 1", 0, WEIGHT_WORDS },
};

START_TEST(decimal_weights)
{
    double weight = 4711;

    unit_expect(fo_parse_weight(weights[_i].text, &weight, pool), weights[_i].words);
    ck_assert_double_eq(weight, weights[_i].words ? 4711 : weights[_i].weight);
}
END_TEST

#define LETTERS_32 "abcdefghijklmnopqrstuvwxyzABCDEF"
#define NAME_WORDS "not a name|a letter, then up to 31 letters, digits, '_' or '-'"

static const struct {
    const char *text, *words;
} names[] = {
    { "a", NULL },
    { "Redis", NULL },
    { "redis-east_2", NULL },
    { "x-", NULL },
    { LETTERS_32, NULL },
    { "", "''|" NAME_WORDS },
    { LETTERS_32 "x", LETTERS_32 "x|" NAME_WORDS },
    { "1redis", "'1redis'|" NAME_WORDS },
    { "_redis", NAME_WORDS },
    { "-redis", NAME_WORDS },
    { "redis.east", NAME_WORDS },
    { "redis east", NAME_WORDS },
    { "redis@vhost", "name" },
    { "mysql://m:Geheim7@db", "name" },
    { "password=Geheim7", "name" },
    { "r\xc3\xa9""dis", NAME_WORDS },
    { "redis\n", NAME_WORDS },
};

START_TEST(service_names)
{
    const char *error = fo_parse_name(names[_i].text, pool);

    unit_expect(error, names[_i].words);
    ck_assert(!error || !strstr(error, "Geheim7"));
}
END_TEST

#define VARIABLE_WORDS "not a variable's name|printable|without blanks or '='"

static const struct {
    const char *text, *words;
} variables[] = {
    { "X", NULL },
    { "REDIS_HOST", NULL },
    { "redis.host", NULL },
    { "HTTP_X-Y", NULL },
    { "!~", NULL },
    { "", "''|" VARIABLE_WORDS },
    { "A B", VARIABLE_WORDS },
    { "A=B", "'A=B'|" VARIABLE_WORDS },
    { "A\tB", VARIABLE_WORDS },
    { "A\nB", VARIABLE_WORDS },
    { "A\x7f", VARIABLE_WORDS },
    { "\xc3\x84", VARIABLE_WORDS },
};

START_TEST(variable_names)
{
    unit_expect(fo_parse_variable(variables[_i].text, pool), variables[_i].words);
}
END_TEST

START_TEST(variable_name_length)
{
    char name[257];

    memset(name, 'N', sizeof(name));
    name[255] = '\0';
    unit_expect(fo_parse_variable(name, pool), NULL);
    name[255] = 'N';
    name[256] = '\0';
    unit_expect(fo_parse_variable(name, pool), VARIABLE_WORDS);
}
END_TEST

static const struct {
    const char *text, *key, *value;
    bool is_variable;
} pairs[] = {
    { "weight=1", "weight", "1", false },
    { "ca-path=/etc/ssl", "ca-path", "/etc/ssl", false },
    { "password=file:/a=b", "password", "file:/a=b", false },
    { "x=", "x", "", false },
    { "a1=2", "a1", "2", false },
    { "X=", "X", "", true },
    { "WORDPRESS_CONFIG=spare", "WORDPRESS_CONFIG", "spare", true },
    { "_X=1", "_X", "1", true },
    { "A1=a b", "A1", "a b", true },
};

START_TEST(good_pairs)
{
    fo_pair_t pair;

    unit_expect(fo_parse_pair(pairs[_i].text, &pair, pool), NULL);
    ck_assert_str_eq(pair.key, pairs[_i].key);
    ck_assert_str_eq(pair.value, pairs[_i].value);
    ck_assert_int_eq(pair.is_variable, pairs[_i].is_variable);
}
END_TEST

#define PAIR_WORDS                                                                                 \
    "neither an option (option=value, lower case) nor a variable (VAR=value, upper case)"

static const struct {
    const char *text, *words;
} bad_pairs[] = {
    { "", PAIR_WORDS },
    { "Geheim7", PAIR_WORDS },
    { "=Geheim7", PAIR_WORDS },
    { "Password=Geheim7", "'Password|" PAIR_WORDS },
    { "passWord=Geheim7", "'passWord|" PAIR_WORDS },
    { "pass_word=Geheim7", "'pass_word|" PAIR_WORDS },
    { "password:Geheim7", "'password|" PAIR_WORDS },
    { "password Geheim7", "'password|" PAIR_WORDS },
    { "1x=Geheim7", "'1x|" PAIR_WORDS },
    { "-x=Geheim7", "'-x|" PAIR_WORDS },
    { "X-Y=Geheim7", "'X-Y|" PAIR_WORDS },
    { "x y=Geheim7", "'x|" PAIR_WORDS },
    { "pass\xc3\xa9=Geheim7", PAIR_WORDS },
    { "x=\"Geheim7", "x=|quote|\"x=value\"" },
    { "X='Geheim7'", "X=|quote|\"X=value\"" },
};

/* What follows a sign may be a secret, and so may a word without one: it is never repeated. */
START_TEST(refused_pairs)
{
    fo_pair_t pair = { .key = "untouched" };
    const char *error = fo_parse_pair(bad_pairs[_i].text, &pair, pool);

    unit_expect(error, bad_pairs[_i].words);
    ck_assert_ptr_null(strstr(error, "Geheim7"));
    ck_assert_str_eq(pair.key, "untouched");
}
END_TEST

static const struct {
    const char *text, *scheme;
} schemes[] = {
    { "tcp://h:1", "tcp" },         { "redis-lag+https://h", "redis-lag+https" },
    { "plugin:/usr/lib/x", "plugin" }, { "s3:x", "s3" },
    { "", NULL },                   { "tcp", NULL },
    { "://h", NULL },               { "TCP://h", NULL },
    { "1tcp://h", NULL },           { " tcp://h", NULL },
    { "db.example.com:3306", NULL }, { "User:Geheim7@db", NULL },
    { "tcp/Geheim7:", NULL },       { "abcdefghijklmnopqrstuvwxyzabcdefg://h", NULL },
};

START_TEST(schemes_of_urls)
{
    const char *scheme = "untouched";
    const char *error = fo_parse_scheme(schemes[_i].text, &scheme, pool);

    unit_expect(error, schemes[_i].scheme ? NULL : "no URL|begins with a scheme|tcp://|unix:///");
    ck_assert_str_eq(scheme, schemes[_i].scheme ? schemes[_i].scheme : "untouched");
    ck_assert(!error || !strstr(error, "Geheim7"));
}
END_TEST

static const struct {
    const char *a, *b;
    bool is_equal;
} equals[] = {
    { "redis", "redis", true },   { "redis", "REDIS", true },   { "redis-1", "Redis_1", true },
    { "redis", "redis2", false }, { "redis2", "redis", false }, { "a-b", "ab", false },
    { "", "", true },             { "", "a", false },
};

START_TEST(names_equal_as_variables)
{
    ck_assert_int_eq(fo_name_equal(equals[_i].a, equals[_i].b), equals[_i].is_equal);
    ck_assert_int_eq(strcmp(fo_name_variable(equals[_i].a, pool),
                            fo_name_variable(equals[_i].b, pool)) == 0, equals[_i].is_equal);
}
END_TEST

START_TEST(names_as_variables)
{
    ck_assert_str_eq(fo_name_variable("redis-east", pool), "REDIS_EAST");
    ck_assert_str_eq(fo_name_variable("Blog_db2", pool), "BLOG_DB2");
}
END_TEST

static const struct {
    apr_interval_time_t span;
    const char *text;    /* exact to the millisecond */
    const char *rounded; /* what is worth telling of a measured one */
} spans[] = {
    { 0, "0ms", "0ms" },
    { 999, "0ms", "0ms" },
    { 100 * MS, "100ms", "100ms" },
    { 999 * MS, "999ms", "999ms" },
    { SEC, "1s", "1s" },
    { 1500 * MS, "1500ms", "1s" },
    { 3 * SEC, "3s", "3s" },
    { 42 * SEC, "42s", "42s" },
    { 42 * SEC + 7 * MS, "42007ms", "42s" },
    { 60 * SEC, "60s", "60s" },
    { 90 * SEC, "90s", "90s" },
    { 119 * SEC, "119s", "119s" },
    { 120 * SEC, "2m", "2m" },
    { 121 * SEC, "121s", "2m" },
    { 3600 * SEC, "1h", "1h" },
    { 3601 * SEC, "3601s", "1h" },
    { 5400 * SEC, "90m", "90m" },
    { 7199 * SEC, "7199s", "119m" },
    { 7200 * SEC, "2h", "2h" },
    { 7200 * SEC + 184 * SEC, "7384s", "2h" },
    { 86400 * SEC, "1d", "1d" },
    { 129600 * SEC, "36h", "36h" },
    { 172799 * SEC, "172799s", "47h" },
    { 172800 * SEC, "2d", "2d" },
    { SPAN_MAX, "3650d", "3650d" },
};

START_TEST(spans_for_people)
{
    char text[FO_SPAN_TEXT];
    apr_interval_time_t rounded = fo_span_round(spans[_i].span);

    ck_assert_str_eq(fo_span_text(spans[_i].span, text), spans[_i].text);
    ck_assert_str_eq(fo_span_text(rounded, text), spans[_i].rounded);
    ck_assert_int_le(rounded, spans[_i].span);
}
END_TEST

static const struct {
    const char *text, *words;
    bool is_yes;
} either[] = {
    { "on", NULL, true },
    { "off", NULL, false },
    { "On", "'On' is neither on nor off", true },
    { "", "'' is neither on nor off", true },
    { "one", "'one' is neither on nor off", true },
};

/* What is no word leaves the answer as it was. */
START_TEST(one_of_two_words)
{
    bool is_yes = true;

    unit_expect(fo_parse_either(either[_i].text, "on", "off", &is_yes, pool), either[_i].words);
    ck_assert_int_eq(is_yes, either[_i].is_yes);
}
END_TEST

START_TEST(socket_paths)
{
    char path[FO_SOCKET_MAX + 2] = "/";

    unit_expect(fo_parse_socket("/run/app.sock", pool), NULL);
    unit_expect(fo_parse_socket("run/app.sock", pool), "'run/app.sock' is not an absolute path");
    unit_expect(fo_parse_socket("", pool), "'' is not an absolute path");
    memset(path + 1, 'x', FO_SOCKET_MAX - 1);
    unit_expect(fo_parse_socket(path, pool), NULL);
    path[FO_SOCKET_MAX] = 'x';
    unit_expect(fo_parse_socket(path, pool), "a socket's path has at most 107 bytes");
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_parse");
    TCase *tc = unit_case("all");

    tcase_add_loop_test(tc, good_durations, 0, COUNT(durations));
    tcase_add_loop_test(tc, refused_durations, 0, COUNT(bad_durations));
    tcase_add_loop_test(tc, whole_numbers, 0, COUNT(numbers));
    tcase_add_loop_test(tc, decimal_weights, 0, COUNT(weights));
    tcase_add_loop_test(tc, service_names, 0, COUNT(names));
    tcase_add_loop_test(tc, variable_names, 0, COUNT(variables));
    tcase_add_test(tc, variable_name_length);
    tcase_add_loop_test(tc, good_pairs, 0, COUNT(pairs));
    tcase_add_loop_test(tc, refused_pairs, 0, COUNT(bad_pairs));
    tcase_add_loop_test(tc, schemes_of_urls, 0, COUNT(schemes));
    tcase_add_loop_test(tc, names_equal_as_variables, 0, COUNT(equals));
    tcase_add_test(tc, names_as_variables);
    tcase_add_loop_test(tc, spans_for_people, 0, COUNT(spans));
    tcase_add_loop_test(tc, one_of_two_words, 0, COUNT(either));
    tcase_add_test(tc, socket_paths);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

/* Many patterns in one text, beside the plain search for each of them. */
#include "core/fo_matcher.h"

#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

static fo_matcher_t *matcher;
static fo_patterns_t all;

static void setup(void)
{
    unit_setup();
    matcher = fo_matcher_make(pool);
    memset(&all, 0xff, sizeof(all));
}

static unsigned add_pattern(const fo_pattern_t *pattern)
{
    unsigned number = FO_PATTERNS_MAX;

    unit_expect(fo_matcher_add(matcher, pattern, &number), NULL);
    ck_assert_uint_lt(number, FO_PATTERNS_MAX);
    return number;
}

/* The literal as the log escapes it. */
static unsigned add_literal(const char *literal)
{
    fo_pattern_t pattern = { .kind = FO_PATTERN_LITERAL, .text = literal, .literal = literal };

    return add_pattern(&pattern);
}

/* One word of FailoverErrorMatch. */
static unsigned add(const char *words)
{
    fo_match_t *match = NULL;

    unit_expect(fo_match_parse(words, &match, pool), NULL);
    ck_assert_int_eq(match->patterns->nelts, 1);
    return add_pattern(&APR_ARRAY_IDX(match->patterns, 0, fo_pattern_t));
}

static fo_spans_t spans;

static fo_patterns_t find(const char *text)
{
    fo_patterns_t found = { { 0 } };

    fo_matcher_find(matcher, text, strlen(text), &all, &found, &spans);
    return found;
}

/* The baton is the only text. */
static const char *only_text(void *text, unsigned i)
{
    return i == 0 ? text : NULL;
}

static fo_patterns_t find_sent(const char *text)
{
    fo_patterns_t found = { { 0 } };

    fo_matcher_find_sent(matcher, only_text, (void *)text, &found, NULL, 0);
    return found;
}

static int count(const fo_patterns_t *set)
{
    int n = 0;

    for (unsigned i = 0; i < FO_PATTERNS_MAX; i++)
        n += fo_patterns_has(set, i);
    return n;
}

/* Exactly these numbers; the list ends with -1. */
static void expect(fo_patterns_t found, const int *numbers)
{
    int n = 0;

    for (; numbers[n] >= 0; n++)
        ck_assert_msg(fo_patterns_has(&found, (unsigned)numbers[n]), "%d is missing", numbers[n]);
    ck_assert_int_eq(count(&found), n);
}

/* Sets */

START_TEST(a_set_holds_each_number)
{
    for (unsigned i = 0; i < FO_PATTERNS_MAX; i++) {
        fo_patterns_t one = { { 0 } }, other = { { 0 } };
        fo_patterns_put(&one, i);
        fo_patterns_put(&other, (i + 64) % FO_PATTERNS_MAX);
        ck_assert(fo_patterns_has(&one, i));
        ck_assert_int_eq(count(&one), 1);
        ck_assert(!fo_patterns_meet(&one, &other));
        ck_assert(fo_patterns_meet(&one, &all));
        fo_patterns_put(&other, i);
        ck_assert(fo_patterns_meet(&one, &other));
    }
}
END_TEST

START_TEST(equal_patterns_are_one)
{
    ck_assert_uint_eq(add("\"gone away\""), 0);
    ck_assert_uint_eq(add("'gone away'"), 0);
    ck_assert_uint_eq(add("\"gone\""), 1);
    ck_assert_uint_eq(add("/gone/"), 2);
    ck_assert_uint_eq(add("/gone/i"), 3);
    ck_assert_uint_eq(add("/gone/"), 2);
    ck_assert_uint_eq(add("EAGAIN"), 4);
    ck_assert_uint_eq(add("EWOULDBLOCK"), 4);
    ck_assert_uint_eq(add("EPIPE"), 5);
    ck_assert_uint_eq(add("\"EPIPE\""), 6);
    ck_assert_uint_eq(add("\"gone away\""), 0);
}
END_TEST

/* Of each kind in turn. */
START_TEST(at_most_256_patterns)
{
    fo_pattern_t pattern = { .kind = FO_PATTERN_LITERAL, .text = "\"x\"", .literal = "one more" };
    unsigned number = 4711;

    for (unsigned i = 0; i < FO_PATTERNS_MAX; i++)
        ck_assert_uint_eq(add(apr_psprintf(pool, i % 2 ? "\"literal-%u!\"" : "/regex-%u!/", i)), i);
    unit_expect(fo_matcher_add(matcher, &pattern, &number), "more than 256 different patterns");
    ck_assert_uint_eq(number, 4711);
    ck_assert_uint_eq(add("\"literal-255!\""), 255);
    fo_matcher_build(matcher);
    for (int i = 0; i < FO_PATTERNS_MAX; i++) {
        const int numbers[] = { i, -1 };
        expect(find(apr_psprintf(pool, i % 2 ? "a literal-%d!" : "a regex-%d!", i)), numbers);
    }
}
END_TEST

/* Errnos */

static const struct {
    apr_status_t status;
    int number;
} statuses[] = {
    { ECONNREFUSED, 0 }, { ETIMEDOUT, 1 }, { APR_TIMEUP, 1 }, { EPIPE, 2 },
    { 0, -1 },           { EAGAIN, -1 },   { APR_EOF, -1 },   { APR_EGENERAL, -1 },
};

START_TEST(an_errno_is_found)
{
    fo_patterns_t found = { { 0 } };
    const int numbers[] = { statuses[_i].number, -1 };

    add("ECONNREFUSED");
    add("ETIMEDOUT");
    add("EPIPE");
    add("\"Connection refused\"");
    fo_matcher_build(matcher);
    fo_matcher_find_status(matcher, statuses[_i].status, &all, &found);
    expect(found, numbers);
}
END_TEST

START_TEST(an_errno_that_is_not_wanted)
{
    fo_patterns_t wanted = { { 0 } }, found = { { 0 } };

    add("ECONNREFUSED");
    fo_patterns_put(&wanted, add("EPIPE"));
    fo_matcher_build(matcher);
    fo_matcher_find_status(matcher, ECONNREFUSED, &wanted, &found);
    ck_assert_int_eq(count(&found), 0);
    fo_matcher_find_status(matcher, EPIPE, &wanted, &found);
    ck_assert_int_eq(count(&found), 1);
}
END_TEST

/* Text */

START_TEST(nothing_to_look_for)
{
    static const int nothing[] = { -1 };

    if (_i)
        add("EPIPE");
    fo_matcher_build(matcher);
    expect(find("some text EPIPE"), nothing);
    expect(find_sent("a%20b+c"), nothing);
}
END_TEST

static const struct {
    const char *text;
    int numbers[6];
} texts[] = {
    { "", { -1 } },
    { "g", { -1 } },
    { "gon", { -1 } },
    { "gone", { 0, -1 } },
    { "gone away", { 0, 1, -1 } },
    { "xgone", { 0, -1 } },
    { "gone away from the server", { 0, 1, -1 } },
    { "the server: gone", { 0, -1 } },
    { "server has gone away", { 0, 1, 2, -1 } },
    { "server has gone", { 0, -1 } },
    { "gogone", { 0, -1 } },
    { "gongone away", { 0, 1, -1 } },
    { "go", { -1 } },
    { "#", { 3, -1 } },
    { "x#", { 3, -1 } },
    { "#~~", { 3, 4, -1 } },
    { "~#~", { 3, -1 } },
    { "one away", { -1 } },
    { "Gone", { -1 } },
};

/* One within another, the very beginning and end, texts shorter than all, short literals. */
START_TEST(literals_in_a_text)
{
    add("\"gone\"");
    add("\"gone away\"");
    add("\"server has gone away\"");
    add("\"#\"");
    add("\"~~\"");
    fo_matcher_build(matcher);
    expect(find(texts[_i].text), texts[_i].numbers);
}
END_TEST

/* Past its length a text is nobody's. */
START_TEST(the_length_rules)
{
    fo_patterns_t found = { { 0 } };
    char *text = malloc(8);

    memcpy(text, "xxxxgone", 8); /* no zero byte: the address sanitizer looks on */
    add("\"gone\"");
    add("/gone/");
    add("\"e\"");
    fo_matcher_build(matcher);
    fo_matcher_find(matcher, text, 7, &all, &found, &spans);
    ck_assert_int_eq(count(&found), 0);
    fo_matcher_find(matcher, text, 8, &all, &found, &spans);
    ck_assert_int_eq(count(&found), 3);
    free(text);
}
END_TEST

START_TEST(only_what_is_wanted_is_found)
{
    for (unsigned wanted_one = 0; wanted_one < 4; wanted_one++) {
        fo_patterns_t wanted = { { 0 } }, found = { { 0 } };
        const int numbers[] = { (int)wanted_one, -1 };
        matcher = fo_matcher_make(pool);
        add("\"gone\"");
        add("\"go\"");
        add("/g.ne/");
        add("/GO/i");
        fo_matcher_build(matcher);
        fo_patterns_put(&wanted, wanted_one);
        fo_matcher_find(matcher, "it is gone", 10, &wanted, &found, &spans);
        expect(found, numbers);
    }
}
END_TEST

/* Where the shortest first match of each expression is. */
START_TEST(an_expression_tells_where)
{
    static const char text[] = "redis: it is gone, and gone again";
    const int numbers[] = { 0, 1, -1 };

    add("/is.*?gone/");
    add("/g.n+e/");
    add("/nowhere/");
    fo_matcher_build(matcher);
    expect(find(text), numbers);
    ck_assert_uint_eq(spans.n, 2);
    for (unsigned i = 0; i < spans.n; i++) {
        const char *words = spans.span[i].number == 0 ? "is: it is gone" : "gone";
        ck_assert_uint_eq(spans.span[i].length, strlen(words));
        ck_assert(memcmp(spans.span[i].begin, words, strlen(words)) == 0);
        ck_assert_ptr_eq(spans.span[i].begin, strstr(text, words));
    }
}
END_TEST

/* One that finds no room among those has not matched: nobody could tell whether it was sent. */
START_TEST(more_expressions_than_spans)
{
    fo_patterns_t found;

    for (int i = 0; i < FO_SPANS_MAX + 4; i++)
        add(apr_psprintf(pool, "/gone{1,%d}/", i + 1));
    fo_matcher_build(matcher);
    found = find("gone");
    ck_assert_int_eq(count(&found), FO_SPANS_MAX);
    ck_assert_uint_eq(spans.n, FO_SPANS_MAX);
}
END_TEST

/* An errno that was found before stays. */
START_TEST(what_was_found_stays)
{
    fo_patterns_t found = { { 0 } };
    const int numbers[] = { 0, 1, -1 };

    add("EPIPE");
    add("\"gone\"");
    fo_matcher_build(matcher);
    fo_matcher_find_status(matcher, EPIPE, &all, &found);
    fo_matcher_find(matcher, "gone", 4, &all, &found, &spans);
    fo_matcher_find(matcher, "back", 4, &all, &found, &spans);
    expect(found, numbers);
}
END_TEST

/* Against the plain search */

#define SETS 1500
#define LITERALS 40
#define LITERAL_ROOM 48

static uint64_t random_state;

static unsigned draw(unsigned n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

static void draw_text(char *text, unsigned length, const char *alphabet)
{
    unsigned n = (unsigned)strlen(alphabet);

    for (unsigned i = 0; i < length; i++)
        text[i] = alphabet[draw(n)];
    text[length] = '\0';
}

/* New, or a part, a beginning or a longer form of one before: within and over each other. */
static void draw_literal(char (*literals)[LITERAL_ROOM], unsigned i, const char *alphabet)
{
    unsigned length = 1 + (draw(3) ? draw(8) : draw(40)), from;
    const char *other = i ? literals[draw(i)] : "";

    draw_text(literals[i], length, alphabet);
    if (!other[0] || draw(3) == 0)
        return;
    from = draw(2) ? 0 : draw((unsigned)strlen(other));
    if (draw(2) && length + strlen(other + from) <= 40)
        memmove(literals[i] + strlen(other + from), literals[i], length + 1);
    else if (strlen(other + from) < length)
        literals[i][strlen(other + from)] = '\0';
    memcpy(literals[i], other + from, strlen(other + from) < strlen(literals[i])
                                          ? strlen(other + from) : strlen(literals[i]));
}

static void compare(const char *text, const fo_patterns_t *wanted, const unsigned *numbers,
                    char (*literals)[LITERAL_ROOM], unsigned n)
{
    fo_patterns_t found = { { 0 } };

    fo_matcher_find(matcher, text, strlen(text), wanted, &found, &spans);
    for (unsigned i = 0; i < n; i++) {
        bool is_there = strstr(text, literals[i]) && fo_patterns_has(wanted, numbers[i]);
        ck_assert_msg(fo_patterns_has(&found, numbers[i]) == is_there, "'%s' in '%s': %d",
                      literals[i], text, is_there);
    }
}

/* Half of the texts end in a literal or a part of it. */
START_TEST(the_same_is_found_as_by_the_plain_search)
{
    static const char *const alphabets[] = { "ab", "abc", "abcdefgh" };
    char literals[LITERALS][LITERAL_ROOM], text[512];
    unsigned numbers[LITERALS];

    random_state = 4711 + (unsigned)_i;
    for (int round = 0; round < SETS; round++) {
        unsigned n = 1 + draw(LITERALS), least = draw(2) ? 1 : 5;
        matcher = fo_matcher_make(pool);
        for (unsigned i = 0; i < n; i++) {
            do
                draw_literal(literals, i, alphabets[_i]);
            while (strlen(literals[i]) < least);
            numbers[i] = add_literal(literals[i]);
        }
        fo_matcher_build(matcher);
        for (int j = 0; j < 8; j++) {
            const char *last = literals[draw(n)];
            fo_patterns_t wanted = all;
            draw_text(text, draw(draw(2) ? 10 : 300), alphabets[_i]);
            if (draw(2))
                strcat(text, last + draw((unsigned)strlen(last)));
            for (int bit = 0; j % 2 && bit < 32; bit++)
                wanted.bits[0] &= ~((apr_uint64_t)1 << draw(64));
            compare(text, &wanted, numbers, literals, n);
        }
        apr_pool_clear(pool);
    }
}
END_TEST

/* What a client sent */

static const struct {
    const char *text;
    bool is_there;
} sents[] = {
    { "GET /?x=gone away HTTP/1.1", true },
    { "GET /?x=gone%20away HTTP/1.1", true },
    { "GET /?x=gone+away HTTP/1.1", true },
    { "GET /?x=%67%6F%6e%65%20%61way", true },
    { "gone%2520away", false }, /* decoded once */
    { "gone%2", false },
    { "gone%", false },
    { "%gone away%", true },
    { "%zzgone%20away%z", true },
    { "gone%2gaway", false },
    { "gone%00away", false },
    { "gone", false },
    { "", false },
    { "%", false },
    { "%2", false },
    { "+", false },
    { "gone%20off", false },
    { "gone\taway", false },
};

START_TEST(a_text_that_a_client_sent)
{
    const int numbers[] = { sents[_i].is_there ? 0 : -1, -1 };

    add("\"gone away\"");
    add("/gone (away|off)/"); /* expressions are no matter here */
    fo_matcher_build(matcher);
    expect(find_sent(sents[_i].text), numbers);
}
END_TEST

static const struct {
    const char *words, *text;
} escaped[] = {
    { "\"caf\xc3\xa9 gone\"", "caf\xc3\xa9 gone" },
    { "\"caf\xc3\xa9 gone\"", "caf%C3%A9+gone" },
    { "\"a\\\\b gone\"", "a\\b gone" },
    { "\"a\\\\b gone\"", "a%5cb%20gone" },
    { "\"a\tb\"", "a\tb" },
    { "\"a\tb\"", "a%09b" },
    { "\"a\nb gone\"", "a%0Ab+gone" },
    { "\"a\x01gone\"", "a%01gone" },
    { "\"100% gone\"", "100% gone" },
    { "\"100% gone\"", "100%25+gone" },
    { "\"a+b gone\"", "a+b gone" },
    { "\"a+b gone\"", "a%2bb%20gone" },
    { "\"a+b gone\"", "a+b%20gone" }, /* as in a path, where '+' is itself */
    { "\"\\\\n\"", "\\n" },
};

/* Both as the log escapes them. */
START_TEST(what_was_sent_is_escaped_as_in_the_log)
{
    static const int numbers[] = { 0, -1 };

    add(escaped[_i].words);
    fo_matcher_build(matcher);
    expect(find_sent(escaped[_i].text), numbers);
}
END_TEST

static const struct {
    const char *literal; /* NULL: 256 bytes */
    const char *sent;    /* how it is sent; NULL: so */
} borders[] = {
    { NULL, NULL },         { "#", NULL },
    { "gone", NULL },       { "server has gone away", NULL },
    { "a\\xc3z", "a\xc3z" }, { "gone away", "%67one+away" },
};

/* Texts are looked at in chunks: what lies over the border of two is found. */
START_TEST(a_literal_at_each_offset)
{
    char longest[FO_LITERAL_MAX + 1], text[5000];
    const char *literal = borders[_i].literal, *sent = borders[_i].sent;
    static const int numbers[] = { 0, -1 };

    for (int i = 0; i < FO_LITERAL_MAX; i++)
        longest[i] = (char)('a' + i % 7 + i / 50);
    longest[FO_LITERAL_MAX] = '\0';
    add_literal(literal ? literal : longest);
    fo_matcher_build(matcher);
    sent = sent ? sent : literal ? literal : longest;
    for (unsigned at = 0; at < 4200; at += at < 700 ? 50 : 1) {
        memset(text, '.', at);
        strcpy(text + at, sent);
        expect(find_sent(text), numbers);
        memset(text + strlen(text), '-', 300);
        text[at + strlen(sent) + 300] = '\0';
        expect(find_sent(text), numbers);
    }
}
END_TEST

/* The text as the log would show it: as sent (0), with %XX decoded (1), with '+' as well (2). */
static const char *show(const char *text, int form)
{
    char *shown = apr_palloc(pool, 4 * strlen(text) + 1), *to = shown;
    unsigned byte;
    int n;

    for (; *text; text += n) {
        n = 1;
        byte = (unsigned char)*text;
        if (form > 0 && byte == '%' && strspn(text + 1, "0123456789abcdefABCDEF") >= 2) {
            sscanf(text + 1, "%2x", &byte);
            n = 3;
        } else if (form == 2 && byte == '+') {
            byte = ' ';
        }
        to += fo_log_escape((unsigned char)byte, to);
    }
    *to = '\0';
    return shown;
}

static void compare_sent(const char *text, char (*literals)[LITERAL_ROOM], unsigned n)
{
    fo_patterns_t found = find_sent(text);

    for (unsigned i = 0; i < n; i++) {
        fo_patterns_t one = { { 0 } };
        bool is_there = false;
        for (int form = 0; form < 3; form++)
            is_there = is_there || strstr(show(text, form), literals[i]);
        fo_patterns_put(&one, add_literal(literals[i]));
        ck_assert_msg(fo_patterns_meet(&found, &one) == is_there, "'%s' in '%s': %d", literals[i],
                      text, is_there);
    }
}

/* Long ones of bytes that mean something to the decoder or the escaper. */
START_TEST(what_was_sent_beside_the_plain_search)
{
    char literals[LITERALS][LITERAL_ROOM], text[6001];

    random_state = 99;
    for (int round = 0; round < 300; round++) {
        matcher = fo_matcher_make(pool);
        for (unsigned i = 0; i < LITERALS; i++) {
            char plain[12];
            draw_text(plain, 1 + draw(8), "ab %+2\\\xc3\n");
            strcpy(literals[i], show(plain, 0));
            add_literal(literals[i]);
        }
        fo_matcher_build(matcher);
        draw_text(text, draw(round % 2 ? 60 : 6000), "ab %+2c3\\\xc3\n");
        compare_sent(text, literals, LITERALS);
        apr_pool_clear(pool);
    }
}
END_TEST

/* Threads */

static atomic_int n_wrong;

static void *find_on(void *unused)
{
    for (int i = 0; i < 2000; i++) {
        static const char text[] = "the server has gone away";
        fo_patterns_t found = { { 0 } }, sent = find_sent("it+has+gone");
        fo_spans_t own;
        fo_matcher_find(matcher, text, strlen(text), &all, &found, &own);
        if (count(&found) != 3 || count(&sent) != 1)
            atomic_fetch_add(&n_wrong, 1);
    }
    return unused;
}

START_TEST(many_threads_at_once)
{
    pthread_t threads[8];

    add("\"gone away\"");
    add("\"has\"");
    add("/ser.er/");
    fo_matcher_build(matcher);
    for (int i = 0; i < COUNT(threads); i++)
        pthread_create(&threads[i], NULL, find_on, NULL);
    for (int i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
    ck_assert_int_eq(atomic_load(&n_wrong), 0);
}
END_TEST

static TCase *case_of(const char *name)
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_set_timeout(tc, 60); /* the sanitizers take their time */
    return tc;
}

static Suite *suite(void)
{
    Suite *s = suite_create("fo_matcher");
    TCase *tc = case_of("entries"), *sent = case_of("sent");

    tcase_add_test(tc, a_set_holds_each_number);
    tcase_add_test(tc, equal_patterns_are_one);
    tcase_add_test(tc, at_most_256_patterns);
    tcase_add_loop_test(tc, an_errno_is_found, 0, COUNT(statuses));
    tcase_add_test(tc, an_errno_that_is_not_wanted);
    tcase_add_loop_test(tc, nothing_to_look_for, 0, 2);
    tcase_add_loop_test(tc, literals_in_a_text, 0, COUNT(texts));
    tcase_add_test(tc, the_length_rules);
    tcase_add_test(tc, only_what_is_wanted_is_found);
    tcase_add_test(tc, an_expression_tells_where);
    tcase_add_test(tc, more_expressions_than_spans);
    tcase_add_test(tc, what_was_found_stays);
    tcase_add_loop_test(tc, the_same_is_found_as_by_the_plain_search, 0, 3);
    tcase_add_loop_test(sent, a_text_that_a_client_sent, 0, COUNT(sents));
    tcase_add_loop_test(sent, what_was_sent_is_escaped_as_in_the_log, 0, COUNT(escaped));
    tcase_add_loop_test(sent, a_literal_at_each_offset, 0, COUNT(borders));
    tcase_add_test(sent, what_was_sent_beside_the_plain_search);
    tcase_add_test(sent, many_threads_at_once);
    suite_add_tcase(s, tc);
    suite_add_tcase(s, sent);
    return s;
}

UNIT_MAIN(suite)

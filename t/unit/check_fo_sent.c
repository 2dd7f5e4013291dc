/* What a client sent, in the forms in which the log may show it. */
#include "core/fo_pattern.h"
#include "core/fo_sent.h"

#include "unit.h"

static const char *texts[4];

static const char *sent(void *baton, unsigned i)
{
    ck_assert_ptr_eq(baton, &texts);
    return texts[i];
}

static void look(void *needle, const char *piece, apr_size_t length)
{
    fo_sent_mark(needle, 1, piece, length);
}

/* Any of the texts. */
static bool any_holds(const char *bytes)
{
    fo_needle_t needle = { .bytes = bytes, .length = strlen(bytes) };

    fo_sent_walk(sent, &texts, look, &needle);
    return needle.is_sent;
}

static bool holds(const char *text, const char *bytes)
{
    texts[0] = text;
    texts[1] = NULL;
    return any_holds(bytes);
}

static const struct {
    const char *text, *bytes;
    bool is_there;
} rows[] = {
    { "GET /?q=gone away", "gone away", true },
    { "GET /?q=gone%20away", "gone away", true },
    { "GET /?q=gone%20away", "gone%20away", true },
    { "GET /?q=gone+away", "gone away", true },
    { "GET /?q=gone+away", "gone+away", true },
    { "GET /C++%20gone", "C++ gone", true }, /* a path keeps its '+' */
    { "GET /C++%20gone", "C   gone", true }, /* a query does not */
    { "gone%2520away", "gone%20away", true },
    { "gone%2520away", "gone away", false }, /* decoded once */
    { "gone%2", "gone%2", true },
    { "a%00b", "a\\x00b", true }, /* as the log shows a zero byte */
    { "caf%c3%a9", "caf\\xc3\\xa9", true },
    { "caf\xc3\xa9", "caf\\xc3\\xa9", true },
    { "a\\b", "a\\\\b", true },
    { "gone", "gone away", false },
    { "", "x", false },
};

START_TEST(a_text_holds_what_the_log_may_show)
{
    ck_assert_int_eq(holds(rows[_i].text, rows[_i].bytes), rows[_i].is_there);
}
END_TEST

/* Bytes as long as may be, wherever they stand in a long text. */
START_TEST(bytes_at_each_offset)
{
    static char text[3 * FO_SENT_OVERLAP + 2], bytes[FO_SENT_OVERLAP + 1];

    for (int i = 0; i < FO_SENT_OVERLAP; i++)
        bytes[i] = (char)('a' + i % 23 + i / 1000);
    for (unsigned at = 0; at <= 2 * FO_SENT_OVERLAP; at += 17) {
        memset(text, '.', sizeof(text) - 1);
        memcpy(text + at, bytes, FO_SENT_OVERLAP);
        ck_assert_msg(holds(text, bytes), "at %u", at);
        text[at + FO_SENT_OVERLAP / 2] = '!';
        ck_assert_msg(!holds(text, bytes), "at %u", at);
    }
}
END_TEST

/* Each of a request's texts is looked at. */
START_TEST(any_of_the_texts)
{
    for (int i = 0; i < 3; i++) {
        for (int j = 0; j < 3; j++)
            texts[j] = i == j ? "x: gone away" : "y";
        texts[3] = NULL;
        ck_assert(any_holds("gone away"));
        ck_assert(!any_holds("gone astray"));
    }
}
END_TEST

/* In one walk, each for itself. */
START_TEST(several_needles)
{
    fo_needle_t needles[] = {
        { .bytes = "gone", .length = 4 },
        { .bytes = "stray", .length = 5 },
        { .bytes = "away", .length = 4 },
    };

    fo_sent_mark(needles, 3, "it has gone", 11);
    fo_sent_mark(needles, 3, "far away", 8);
    ck_assert(needles[0].is_sent && !needles[1].is_sent && needles[2].is_sent);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_sent");
    TCase *tc = unit_case("all");

    tcase_add_loop_test(tc, a_text_holds_what_the_log_may_show, 0, COUNT(rows));
    tcase_add_test(tc, bytes_at_each_offset);
    tcase_add_test(tc, any_of_the_texts);
    tcase_add_test(tc, several_needles);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

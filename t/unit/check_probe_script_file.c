/* The steps of a file: each word, each escape, and each mistake with its line. */
#include "probe/probe_script_file.h"

#include "unit.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static script_t *script;

static const char *parse(const char *text)
{
    script = NULL;
    return probe_script_parse("x.steps", text, strlen(text), &script, pool);
}

/* ---------------------------------------------------------------- what is read */

static const struct {
    const char *text;
    script_word_e word;
    bool is_hex;
    const char *bytes, *places; /* places: of '.' byte, '?' any, 'u' user, 'p' password */
} lines[] = {
    { "expect \"220\"", SCRIPT_EXPECT, false, "220", "..." },
    { "  find\t\"a\"  ", SCRIPT_FIND, false, "a", "." },
    { "find\"a\"", SCRIPT_FIND, false, "a", "." },
    { "find \"a\"# because", SCRIPT_FIND, false, "a", "." },
    { "find \"# a \" # because", SCRIPT_FIND, false, "# a ", "...." },
    { "find \"\\r\\n\\t\\\\\\\"\\x41\\x7f\\xFa\"", SCRIPT_FIND, false, "\r\n\t\\\"A\x7f\xfa",
      "........" },
    { "find \"100% \\x25{user} \xc3\xa4\"", SCRIPT_FIND, false, "100% %{user} \xc3\xa4",
      "..............." },
    { "find \"%{user}\"", SCRIPT_FIND, false, "%{user}", "......." },
    { "find-hex 30 0C 02", SCRIPT_FIND, true, "\x30\x0c\x02", "..." },
    { "find-hex 300c  ?? 02 # four", SCRIPT_FIND, true, "\x30\x0c?\x02", "..?." },
    { "expect-hex fF", SCRIPT_EXPECT, true, "\xff", "." },
    { "expect \"+PONG\\r\\n\"", SCRIPT_EXPECT, false, "+PONG\r\n", "......." },
    { "send \"%{user} 5% %{password}\\n\"\nfind \"a\"", SCRIPT_SEND, false, "? 5% ?\n", "u....p." },
    { "send-hex 00 ff\nfind \"a\"", SCRIPT_SEND, true, NULL, ".." },
};

START_TEST(reads_a_line)
{
    static const char marks[] = {
        [SCRIPT_BYTE] = '.', [SCRIPT_ANY] = '?', [SCRIPT_USER] = 'u', [SCRIPT_PASSWORD] = 'p'
    };
    const char *const forms[] = { "%s", "\r\n# first\r\n \r\n%s\r\n", "%s\n\n#" };

    for (int form = 0; form < COUNT(forms); form++) {
        unit_expect(parse(apr_psprintf(pool, forms[form], lines[_i].text)), NULL);
        const script_step_t *step = &script->steps[0];
        ck_assert_int_eq(step->word, lines[_i].word);
        ck_assert_int_eq(step->is_hex, lines[_i].is_hex);
        ck_assert_uint_eq(step->line, form == 1 ? 4 : 1);
        ck_assert_uint_eq(step->length, strlen(lines[_i].places));
        for (apr_size_t i = 0; i < step->length; i++) {
            ck_assert_int_eq(marks[(int)step->places[i]], lines[_i].places[i]);
            if (lines[_i].bytes && step->places[i] == SCRIPT_BYTE)
                ck_assert_int_eq(step->bytes[i], lines[_i].bytes[i]);
        }
    }
}
END_TEST

START_TEST(knows_who_logs_in)
{
    unit_expect(parse("find \"%{user}\"\nsend \"a\"\n"), NULL);
    ck_assert_uint_eq(script->user_line, 0);
    ck_assert_uint_eq(script->password_line, 0);
    unit_expect(parse("find \"a\"\nsend \"%{password}\"\nsend \"%{user}\"\nsend \"%{user}\"\n"),
                NULL);
    ck_assert_uint_eq(script->user_line, 3);
    ck_assert_uint_eq(script->password_line, 2);
}
END_TEST

START_TEST(reads_alternatives)
{
    unit_expect(parse("expect \"2\"\n skip \"1\"\n busy \"4\"\n login-hex 35 33\n"
                      "refuse \"5\"\nsend \"x\"\nfind-hex 01\nrefuse-hex 02\nbusy \"a\"\n"),
                NULL);
    static const script_word_e words[] = { SCRIPT_EXPECT, SCRIPT_SKIP,   SCRIPT_BUSY,
                                           SCRIPT_LOGIN,  SCRIPT_REFUSE, SCRIPT_SEND,
                                           SCRIPT_FIND,   SCRIPT_REFUSE, SCRIPT_BUSY };
    ck_assert_uint_eq(script->n_steps, COUNT(words));
    for (int i = 0; i < COUNT(words); i++)
        ck_assert_int_eq(script->steps[i].word, words[i]);
}
END_TEST

/* ---------------------------------------------------------------- mistakes */

#define ONE "find \"a\"\n"

static const struct {
    const char *text, *words;
} mistakes[] = {
    { "", "x.steps: nothing is expected|needs an expect or a find" },
    { "# nothing\n\n", "x.steps: nothing is expected" },
    { "send \"a\"\n", "x.steps: nothing is expected" },
    { "\nwait 5\n", "x.steps:2: 'wait' is no word of a script: there are send, expect, find, skip, "
                    "busy, login and refuse" },
    { "Expect \"a\"", "x.steps:1: 'Expect' is no word" },
    { "skip-hex 01", "x.steps:1: 'skip-hex' is no word|each but skip also with -hex" },
    { "-hex 01", "'-hex' is no word" },
    { "\"a\"", "'' is no word" },
    { "\x01\x02 a", "x.steps:1: a line begins with a word" },
    { "expect", "x.steps:1: text in double quotes must follow" },
    { "expect # \"a\"", "text in double quotes must follow" },
    { "expect 220", "text in double quotes must follow" },
    { "expect '220'", "text in double quotes must follow" },
    { "expect \"220", "the closing '\"' is missing" },
    { "expect \"220\\\"", "the closing '\"' is missing" },
    { "expect \"220\\", "after a backslash stands r, n, t, \\, \", or x and two hex digits" },
    { "expect \"\\0\"", "after a backslash stands" },
    { "expect \"\\x\"", "after a backslash stands" },
    { "expect \"\\x4\"", "after a backslash stands" },
    { "expect \"\\x4g\"", "after a backslash stands" },
    { "expect \"a\tb\"", "a control character stands in the quotes: write it as \\r, \\n, \\t" },
    { "expect \"a\x7f\"", "a control character stands in the quotes" },
    { "expect \"\"", "there are no bytes" },
    { "expect \"a\" \"b\"", "something follows the closing quote: a line holds one step" },
    { "expect \"a\\nb\"", "a line of the answer ends at \\n: write one expect for each" },
    { "expect \"a\"\nbusy \"a\\nb\"", "x.steps:2: |it would never be found" },
    { "expect \"a\"\nbusy \"b\\nb\"", "x.steps:2: a line of the answer ends at \\n" },
    { ONE "send \"%{pass}\"", "x.steps:2: %{ begins %{user} or %{password}|\\x25{" },
    { ONE "send \"%{user\"", "%{ begins %{user} or %{password}" },
    { "expect-hex", "there are no bytes" },
    { "expect-hex 3", "bytes are two hex digits each, as in 30 0c 02, or ?? for any" },
    { "expect-hex 30 0 02", "bytes are two hex digits each" },
    { "expect-hex 0x30", "bytes are two hex digits each" },
    { "expect-hex \"30\"", "bytes are two hex digits each" },
    { "expect-hex 30 ?", "bytes are two hex digits each" },
    { "send-hex 30 ??", "?? is any byte of an answer: it cannot be sent" },
    { "busy \"a\"\n" ONE, "x.steps:1: busy tells what may come instead|below an expect or a find" },
    { ONE "send \"a\"\nrefuse-hex 01", "x.steps:3: refuse tells what may come instead" },
    { "expect-hex 01\nskip \"a\"", "x.steps:2: skip passes over lines" },
    { ONE "skip \"b\"", "x.steps:2: skip passes over lines" },
    { "expect \"25\"\nskip \"250\"", "x.steps:2: it would never be found: line 1 takes whatever" },
    { "expect \"2\"\nskip \"3\"\nbusy \"3\"", "x.steps:3: it would never be found: line 2 takes" },
    { "expect-hex ?? 01\nbusy-hex 02 01 03", "x.steps:2: it would never be found" },
    { "expect-hex 01\nbusy-hex ?? 01\nlogin-hex 02 ??\n", NULL },
    { "expect \"25\"\nskip \"2\"", NULL },
};

START_TEST(says_what_is_wrong)
{
    unit_expect(parse(mistakes[_i].text), mistakes[_i].words);
    ck_assert(!mistakes[_i].words == (script != NULL));
}
END_TEST

static char *many(const char *part, int n)
{
    char *text = apr_palloc(pool, strlen(part) * (size_t)n + 1), *end = text;

    for (int i = 0; i < n; i++)
        end = apr_cpystrn(end, part, strlen(part) + 1);
    *end = '\0';
    return text;
}

START_TEST(has_limits)
{
    unit_expect(parse(many("find \"a\"\n", SCRIPT_STEPS_MOST)), NULL);
    unit_expect(parse(many("find \"a\"\n", SCRIPT_STEPS_MOST + 1)),
                "x.steps:65: |at most 64 steps");
    unit_expect(parse(apr_pstrcat(pool, "find \"", many("a", 1024), "\"", NULL)), NULL);
    unit_expect(parse(apr_pstrcat(pool, "find \"", many("a", 1025), "\"", NULL)),
                "x.steps:1: a step has at most 1024 bytes");
    unit_expect(parse(apr_pstrcat(pool, "find-hex ", many("00 ", 1025), NULL)), "1024 bytes");
    unit_expect(parse(apr_pstrcat(pool, many("x", 40), " 1", NULL)),
                apr_psprintf(pool, "'%s' is no word", many("x", 32)));
    unit_expect(probe_script_parse("x.steps", "find \"a\0\"", 9, &script, pool), "a zero byte");
}
END_TEST

/* ---------------------------------------------------------------- files */

static char folder[] = "/tmp/check_script_XXXXXX";

static const char *write_file(const char *text)
{
    const char *path = apr_pstrcat(pool, folder, "/steps", NULL);
    FILE *file = fopen(path, "w");

    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    fclose(file);
    return path;
}

static const char *read_path(const char *path)
{
    script = NULL;
    return probe_script_read(path, &script, pool);
}

START_TEST(reads_files)
{
    ck_assert_ptr_nonnull(mkdtemp(folder));
    const char *path = write_file("find \"a\"\nfind b\n");
    unit_expect(read_path(path), apr_psprintf(pool, "%s:2: text in double quotes", path));
    path = write_file(ONE);
    unit_expect(read_path(path), NULL);
    path = write_file(many("# 2345678901234\n", SCRIPT_FILE_MOST / 16));
    unit_expect(read_path(path), "nothing is expected");
    path = write_file(many("# 2345678901234\n", SCRIPT_FILE_MOST / 16 + 1));
    unit_expect(read_path(path), "is longer than 65536 bytes");
    unit_expect(read_path("smtp.steps"), "'smtp.steps' is not an absolute path");
    unit_expect(read_path(apr_pstrcat(pool, path, "/x", NULL)), "there is no file");
    unit_expect(read_path("/dev/zero"), "/dev/zero is no plain file");
    unit_expect(read_path(folder), "is no plain file");
    ck_assert_int_eq(unlink(path), 0);
    unit_expect(read_path(path), "there is no file");
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    unit_expect(read_path(path), "is no plain file");
    unlink(path);
    rmdir(folder);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("probe_script_file");
    TCase *tc = unit_case("steps");

    tcase_add_loop_test(tc, reads_a_line, 0, COUNT(lines));
    tcase_add_test(tc, knows_who_logs_in);
    tcase_add_test(tc, reads_alternatives);
    tcase_add_loop_test(tc, says_what_is_wrong, 0, COUNT(mistakes));
    tcase_add_test(tc, has_limits);
    tcase_add_test(tc, reads_files);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

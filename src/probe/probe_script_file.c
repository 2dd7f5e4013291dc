#include "probe/probe_script_file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What has been read, and the line that is being read. */
typedef struct reader_t {
    const char *at, *end; /* of the line */
    unsigned line;
    apr_array_header_t *steps; /* of script_step_t */
    int main;                  /* of them: what alternatives would belong to; -1: nothing */
    bool expects;
    script_t *script;
    apr_pool_t *pool;
} reader_t;

static const struct {
    const char *name;
    bool has_hex;
} words[SCRIPT_WORD_COUNT] = {
    [SCRIPT_SEND] = { "send", true },     [SCRIPT_EXPECT] = { "expect", true },
    [SCRIPT_FIND] = { "find", true },     [SCRIPT_SKIP] = { "skip", false },
    [SCRIPT_BUSY] = { "busy", true },     [SCRIPT_LOGIN] = { "login", true },
    [SCRIPT_REFUSE] = { "refuse", true },
};

bool probe_script_is_alternative(script_word_e word)
{
    return word >= SCRIPT_SKIP;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void pass_blanks(reader_t *reader)
{
    while (reader->at < reader->end && is_blank(*reader->at))
        reader->at++;
}

/* Nothing more, or a comment. */
static bool is_at_end(reader_t *reader)
{
    pass_blanks(reader);
    return reader->at == reader->end || *reader->at == '#';
}

/* Words */

static const char *unknown_word(const char *word, size_t length, apr_pool_t *pool)
{
    static const char known[] = "there are send, expect, find, skip, busy, login and refuse, each "
                                "but skip also with -hex";

    for (size_t i = 0; i < length; i++)
        if (word[i] < '!' || word[i] > '~')
            return apr_psprintf(pool, "a line begins with a word, and %s", known);
    return apr_psprintf(pool, "'%.*s' is no word of a script: %s", length > 32 ? 32 : (int)length,
                        word, known);
}

static const char *read_word(reader_t *reader, script_step_t *step)
{
    const char *word = reader->at;
    size_t length, stem;

    while (reader->at < reader->end && !is_blank(*reader->at) && *reader->at != '"')
        reader->at++;
    length = (size_t)(reader->at - word);
    step->is_hex = length > 4 && memcmp(word + length - 4, "-hex", 4) == 0;
    stem = step->is_hex ? length - 4 : length;
    for (int i = 0; i < SCRIPT_WORD_COUNT; i++) {
        if (strlen(words[i].name) != stem || memcmp(words[i].name, word, stem) != 0 ||
            (step->is_hex && !words[i].has_hex))
            continue;
        step->word = (script_word_e)i;
        return NULL;
    }
    return unknown_word(word, length, reader->pool);
}

/* What belongs to a word */

/* The bytes of the step that is being read. */
typedef struct bytes_t {
    char bytes[SCRIPT_BYTES_MOST];
    char places[SCRIPT_BYTES_MOST];
    apr_size_t n;
} bytes_t;

static const char *put(bytes_t *bytes, script_place_e place, char byte)
{
    if (bytes->n == SCRIPT_BYTES_MOST)
        return "a step has at most " APR_STRINGIFY(SCRIPT_BYTES_MOST) " bytes";
    bytes->bytes[bytes->n] = byte;
    bytes->places[bytes->n++] = (char)place;
    return NULL;
}

/* -1: none. */
static int hex_digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *found = c ? strchr(digits, c >= 'A' && c <= 'F' ? c - 'A' + 'a' : c) : NULL;

    return found ? (int)(found - digits) : -1;
}

/* The byte of two digits; -1: they are none. */
static int hex_byte(const char *text, const char *end)
{
    int high = end - text >= 2 ? hex_digit(text[0]) : -1;
    int low = high >= 0 ? hex_digit(text[1]) : -1;

    return low < 0 ? -1 : high * 16 + low;
}

/* Behind a backslash. */
static const char *read_escape(reader_t *reader, bytes_t *bytes)
{
    static const char names[] = "r\rn\nt\t\\\\\"\"";
    char name = reader->at < reader->end ? *reader->at++ : '\0';
    int byte;

    for (const char *known = names; *known; known += 2)
        if (*known == name)
            return put(bytes, SCRIPT_BYTE, known[1]);
    byte = name == 'x' ? hex_byte(reader->at, reader->end) : -1;
    if (byte < 0)
        return "after a backslash stands r, n, t, \\, \", or x and two hex digits";
    reader->at += 2;
    return put(bytes, SCRIPT_BYTE, (char)byte);
}

/* At a "%{". */
static const char *read_name(reader_t *reader, bytes_t *bytes)
{
    static const struct {
        const char *text;
        script_place_e place;
    } names[] = { { "%{user}", SCRIPT_USER }, { "%{password}", SCRIPT_PASSWORD } };

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        size_t length = strlen(names[i].text);
        if ((size_t)(reader->end - reader->at) < length ||
            memcmp(reader->at, names[i].text, length) != 0)
            continue;
        reader->at += length;
        return put(bytes, names[i].place, '\0');
    }
    return "%{ begins %{user} or %{password}; the two bytes themselves are \\x25{";
}

static bool is_name(const reader_t *reader, const script_step_t *step)
{
    return step->word == SCRIPT_SEND && reader->end - reader->at >= 2 && reader->at[0] == '%' &&
           reader->at[1] == '{';
}

/* "..." */
static const char *read_text(reader_t *reader, const script_step_t *step, bytes_t *bytes)
{
    const char *error = NULL;

    if (reader->at == reader->end || *reader->at++ != '"')
        return "text in double quotes must follow";
    while (!error) {
        if (reader->at == reader->end)
            return "the closing '\"' is missing";
        if (*reader->at == '"')
            break;
        if (is_name(reader, step))
            error = read_name(reader, bytes);
        else if (*reader->at == '\\' && reader->at++)
            error = read_escape(reader, bytes);
        else if ((unsigned char)*reader->at < ' ' || *reader->at == '\x7f')
            error = "a control character stands in the quotes: write it as \\r, \\n, \\t or \\xHH";
        else
            error = put(bytes, SCRIPT_BYTE, *reader->at++);
    }
    reader->at += !error;
    return error;
}

/* 30 0c 02 ?? */
static const char *read_hex(reader_t *reader, const script_step_t *step, bytes_t *bytes)
{
    const char *error = NULL;

    while (!error && !is_at_end(reader)) {
        int byte = hex_byte(reader->at, reader->end);
        bool is_any = byte < 0 && reader->end - reader->at >= 2 && memcmp(reader->at, "??", 2) == 0;
        if (is_any && step->word == SCRIPT_SEND)
            error = "?? is any byte of an answer: it cannot be sent";
        else if (byte < 0 && !is_any)
            error = "bytes are two hex digits each, as in 30 0c 02, or ?? for any";
        else
            error = put(bytes, is_any ? SCRIPT_ANY : SCRIPT_BYTE, is_any ? '\0' : (char)byte);
        reader->at += error ? 0 : 2;
    }
    return error;
}

static const char *read_bytes(reader_t *reader, script_step_t *step)
{
    bytes_t bytes = { .n = 0 };
    const char *error;

    pass_blanks(reader);
    error = step->is_hex ? read_hex(reader, step, &bytes) : read_text(reader, step, &bytes);
    if (error)
        return error;
    if (!is_at_end(reader))
        return "something follows the closing quote: a line holds one step";
    if (bytes.n == 0)
        return "there are no bytes: nothing would come of it";
    step->length = bytes.n;
    step->bytes = apr_pmemdup(reader->pool, bytes.bytes, bytes.n);
    step->places = apr_pmemdup(reader->pool, bytes.places, bytes.n);
    return NULL;
}

/* Where a step may stand, and what it may hold there */

static const script_step_t *step_at(const reader_t *reader, int i)
{
    return &APR_ARRAY_IDX(reader->steps, i, script_step_t);
}

static void know_line(unsigned *line, const script_step_t *step, script_place_e place)
{
    if (*line == 0 && memchr(step->places, place, step->length))
        *line = step->line;
}

static bool is_of_lines(const script_step_t *step)
{
    return step->word == SCRIPT_EXPECT && !step->is_hex;
}

/* Whether one leaves nothing for the other. */
static bool takes_all_of(const script_step_t *one, const script_step_t *other)
{
    for (apr_size_t i = 0; i < one->length; i++)
        if (i == other->length ||
            (one->places[i] != SCRIPT_ANY &&
             (other->places[i] == SCRIPT_ANY || one->bytes[i] != other->bytes[i])))
            return false;
    return true;
}

static const char *check_alternative(const reader_t *reader, const script_step_t *step)
{
    if (reader->main < 0)
        return apr_psprintf(reader->pool,
                            "%s tells what may come instead of something that is expected: it "
                            "stands below an expect or a find",
                            words[step->word].name);
    if (step->word == SCRIPT_SKIP && !is_of_lines(step_at(reader, reader->main)))
        return "skip passes over lines: it stands below an expect with text";
    for (int i = reader->main; i < reader->steps->nelts; i++)
        if (takes_all_of(step_at(reader, i), step))
            return apr_psprintf(reader->pool,
                                "it would never be found: line %u takes whatever begins so",
                                step_at(reader, i)->line);
    return NULL;
}

/* A line's own newline may end it, and nothing follows that. */
static const char *check_line(const script_step_t *step)
{
    const char *newline = memchr(step->bytes, '\n', step->length);

    return newline && newline + 1 < step->bytes + step->length
               ? "a line of the answer ends at \\n: write one expect for each"
               : NULL;
}

/* Where alternatives would belong to after it; -1: to nothing. */
static int main_after(const reader_t *reader, const script_step_t *step)
{
    if (step->word == SCRIPT_SEND)
        return -1;
    return probe_script_is_alternative(step->word) ? reader->main : reader->steps->nelts;
}

static const char *add_step(reader_t *reader, const script_step_t *step)
{
    const char *error = NULL;

    if (reader->steps->nelts == SCRIPT_STEPS_MOST)
        return "a script has at most " APR_STRINGIFY(SCRIPT_STEPS_MOST) " steps";
    if (probe_script_is_alternative(step->word))
        error = check_alternative(reader, step);
    if (error)
        return error;
    reader->main = main_after(reader, step);
    APR_ARRAY_PUSH(reader->steps, script_step_t) = *step;
    know_line(&reader->script->user_line, step, SCRIPT_USER);
    know_line(&reader->script->password_line, step, SCRIPT_PASSWORD);
    if (reader->main < 0)
        return NULL;
    reader->expects = true;
    return is_of_lines(step_at(reader, reader->main)) ? check_line(step) : NULL;
}

static const char *read_line(reader_t *reader)
{
    script_step_t step = { .line = reader->line };
    const char *error;

    if (reader->at < reader->end && reader->end[-1] == '\r')
        reader->end--;
    if (is_at_end(reader))
        return NULL;
    if (memchr(reader->at, '\0', (size_t)(reader->end - reader->at)))
        return "a zero byte: this is no text";
    error = read_word(reader, &step);
    if (!error)
        error = read_bytes(reader, &step);
    return error ? error : add_step(reader, &step);
}

const char *probe_script_parse(const char *name, const char *text, apr_size_t length,
                               script_t **ret_script, apr_pool_t *pool)
{
    script_t *script = apr_pcalloc(pool, sizeof(*script));
    reader_t reader = {
        .steps = apr_array_make(pool, 16, sizeof(script_step_t)),
        .main = -1,
        .script = script,
        .pool = pool,
    };
    const char *end = text + length;

    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t)(end - text)), *error;
        reader.at = text;
        reader.end = newline ? newline : end;
        reader.line++;
        text = newline ? newline + 1 : end;
        error = read_line(&reader);
        if (error)
            return apr_psprintf(pool, "%s:%u: %s", name, reader.line, error);
    }
    if (!reader.expects)
        return apr_psprintf(pool,
                            "%s: nothing is expected, so nothing would be proved: it needs "
                            "an expect or a find",
                            name);
    script->steps = (const script_step_t *)reader.steps->elts;
    script->n_steps = (unsigned)reader.steps->nelts;
    *ret_script = script;
    return NULL;
}

/* Files */

static const char *read_open(int fd, const char *path, script_t **ret_script, apr_pool_t *pool)
{
    char *text;
    size_t length = 0;
    ssize_t n = 1;
    struct stat info;

    if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode))
        return apr_psprintf(pool, "%s is no plain file", path);
    text = apr_palloc(pool, SCRIPT_FILE_MOST + 1);
    while (n > 0 && length <= SCRIPT_FILE_MOST) {
        n = read(fd, text + length, SCRIPT_FILE_MOST + 1 - length);
        length += n > 0 ? (size_t)n : 0;
    }
    if (n < 0)
        return apr_psprintf(pool, "%s cannot be read: %s", path, strerror(errno));
    if (length > SCRIPT_FILE_MOST)
        return apr_psprintf(pool, "%s is longer than %d bytes", path, SCRIPT_FILE_MOST);
    return probe_script_parse(path, text, length, ret_script, pool);
}

const char *probe_script_read(const char *path, script_t **ret_script, apr_pool_t *pool)
{
    const char *error;
    int fd;

    if (path[0] != '/')
        return apr_psprintf(pool, "'%s' is not an absolute path", path);
    fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY); /* a pipe must not hang us */
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return apr_psprintf(pool, "there is no file %s", path);
    if (fd < 0)
        return apr_psprintf(pool, "%s cannot be read: %s", path, strerror(errno));
    error = read_open(fd, path, ret_script, pool);
    close(fd);
    return error;
}

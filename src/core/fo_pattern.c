#include "core/fo_pattern.h"

#include "core/fo_parse.h"

#include <errno.h>
#include <string.h>

#define ERRNO_MAX 200

/* A module is only taken at its word as a peer's mouth when relaying is what it does. */
static const char *const relays[] = {
    "proxy*", "cgi", "cgid",      "fcgid",    "php*", "wsgi",        "perl",
    "lua",    "dbd", "authn_dbd", "session*", "ldap", "authnz_ldap",
};

/*
 * The errnos of a lost peer, then what clients of databases, caches, brokers and URLs print when
 * they lose their server: MySQL's and MariaDB's libraries, PHP's mysqlnd, libpq, Redis' and
 * memcached's clients, AMQP's, curl, and the C library's own words for the errnos.
 */
static const char *const built_in[] = {
    "ECONNREFUSED",
    "ECONNRESET",
    "ECONNABORTED",
    "ETIMEDOUT",
    "EHOSTUNREACH",
    "ENETUNREACH",
    "EHOSTDOWN",
    "EPIPE",
    "\"Connection refused\"",
    "\"Connection reset by peer\"",
    "\"Connection timed out\"",
    "\"connection timed out\"",
    "\"Broken pipe\"",
    "\"No route to host\"",
    "\"Network is unreachable\"",
    "\"Can't connect to\"",
    "\"server has gone away\"",
    "\"Lost connection to\"",
    "\"could not connect to server\"",
    "\"connection to server at\"",
    "\"connection to server on\"",
    "\"server closed the connection unexpectedly\"",
    "\"terminating connection due to administrator command\"",
    "\"the database system is starting up\"",
    "\"the database system is shutting down\"",
    "\"Failed to connect to\"",
    "\"Unable to connect to\"",
    "\"Connection lost\"",
    "\"Connection closed by server\"",
    "\"read error on connection\"",
    "\"Error while reading line from the server\"",
    "\"SERVER HAS FAILED AND IS DISABLED\"",
    "\"a socket error occurred\"",
    "\"Couldn't connect to server\"",
    "\"Operation timed out after\"",
};

/* Names that the C library gives to numbers that have another one already. */
static const struct {
    const char *name;
    int number;
} other_names[] = { { "EWOULDBLOCK", EWOULDBLOCK },
                    { "EDEADLOCK", EDEADLK },
                    { "ENOTSUP", ENOTSUP } };

unsigned fo_log_escape(unsigned char byte, char ret_escaped[FO_ESCAPED_MAX])
{
    static const char named[] = "\bb\nn\rr\tt\vv\\\\";
    static const char digits[] = "0123456789abcdef";

    ret_escaped[0] = (char)byte;
    if (byte >= 0x20 && byte < 0x7f && byte != '\\')
        return 1;
    ret_escaped[0] = '\\';
    for (size_t i = 0; i + 1 < sizeof(named); i += 2) {
        if ((unsigned char)named[i] == byte) {
            ret_escaped[1] = named[i + 1];
            return 2;
        }
    }
    ret_escaped[1] = 'x';
    ret_escaped[2] = digits[byte >> 4];
    ret_escaped[3] = digits[byte & 15];
    return 4;
}

bool fo_module_fits(const char *name, const char *wanted)
{
    size_t n = strlen(wanted);

    return n > 0 && wanted[n - 1] == '*' ? strncmp(name, wanted, n - 1) == 0
                                         : strcmp(name, wanted) == 0;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* The length of what stands at text up to a blank or the end. */
static size_t word_length(const char *text)
{
    size_t n = 0;

    while (text[n] && !is_blank(text[n]))
        n++;
    return n;
}

static int errno_of(const char *name)
{
    for (int number = 1; number < ERRNO_MAX; number++) {
        const char *known = strerrorname_np(number);
        if (known && strcmp(known, name) == 0)
            return number;
    }
    for (size_t i = 0; i < sizeof(other_names) / sizeof(other_names[0]); i++)
        if (strcmp(other_names[i].name, name) == 0)
            return other_names[i].number;
    return 0;
}

/* A bare word. */
static const char *read_errno(const char **text, fo_pattern_t *pattern, apr_pool_t *pool)
{
    const char *word = apr_pstrndup(pool, *text, word_length(*text));

    pattern->kind = FO_PATTERN_ERRNO;
    pattern->text = word;
    pattern->status = errno_of(word);
    if (pattern->status == 0)
        return apr_psprintf(
            pool,
            "'%s' is no errno that this system knows, as ECONNREFUSED is; text "
            "stands in quotes, \"gone away\", an expression in slashes, /gone.away/",
            word);
    *text += strlen(word);
    return NULL;
}

static const char *escape(const char *text, apr_pool_t *pool)
{
    char *escaped = apr_palloc(pool, 4 * strlen(text) + 1), *to = escaped;

    for (; *text; text++)
        to += fo_log_escape((unsigned char)*text, to);
    *to = '\0';
    return escaped;
}

/* Takes what stands up to the same quote or slash; only that one may follow a backslash. */
static const char *read_enclosed(const char **text, apr_pool_t *pool)
{
    char mark = **text;
    char *inner = apr_palloc(pool, strlen(*text)), *to = inner;

    for (const char *c = *text + 1; *c; c++) {
        if (*c == mark) {
            *to = '\0';
            *text = c + 1;
            return inner;
        }
        if (*c == '\\' && (c[1] == mark || (mark != '/' && c[1] == '\\')))
            c++;
        else if (*c == '\\' && c[1]) /* an escape of the expression's own */
            *to++ = *c++;
        *to++ = *c;
    }
    return NULL;
}

static const char *read_literal(const char **text, fo_pattern_t *pattern, apr_pool_t *pool)
{
    const char *begin = *text;
    const char *literal = read_enclosed(text, pool);

    if (!literal)
        return apr_psprintf(pool, "the closing quote of %s is missing", begin);
    pattern->kind = FO_PATTERN_LITERAL;
    pattern->text = apr_pstrmemdup(pool, begin, (size_t)(*text - begin));
    pattern->literal = escape(literal, pool);
    if (!literal[0])
        return "an empty pattern would match everything";
    if (strlen(pattern->literal) > FO_LITERAL_MAX)
        return apr_psprintf(pool, "%s is longer than %d bytes", pattern->text, FO_LITERAL_MAX);
    return NULL;
}

static const char *read_regex(const char **text, fo_pattern_t *pattern, apr_pool_t *pool)
{
    const char *begin = *text;
    const char *expression = read_enclosed(text, pool);
    bool ignores_case = **text == 'i';
    const char *error;

    if (!expression)
        return apr_psprintf(pool, "the closing '/' of %s is missing", begin);
    if (!expression[0])
        return "an empty pattern would match everything";
    *text += ignores_case;
    pattern->kind = FO_PATTERN_REGEX;
    pattern->text = apr_pstrmemdup(pool, begin, (size_t)(*text - begin));
    error = fo_regex_make(expression, strlen(expression), ignores_case, &pattern->regex, pool);
    return error ? apr_psprintf(pool, "%s: %s", pattern->text, error) : NULL;
}

static const char *read_pattern(const char **text, apr_array_header_t *patterns, apr_pool_t *pool)
{
    fo_pattern_t pattern = { .status = 0 };
    const char *error;

    if (**text == '"' || **text == '\'')
        error = read_literal(text, &pattern, pool);
    else if (**text == '/')
        error = read_regex(text, &pattern, pool);
    else
        error = read_errno(text, &pattern, pool);
    if (!error && **text && !is_blank(**text))
        error = apr_psprintf(pool, "a blank must follow %s, not '%s'%s", pattern.text, *text,
                             pattern.kind == FO_PATTERN_REGEX
                                 ? "; an expression may end in i alone, to ignore case"
                                 : "");
    if (!error)
        APR_ARRAY_PUSH(patterns, fo_pattern_t) = pattern;
    return error;
}

/* "from=MODULE,...", at *text. */
static const char *read_modules(const char **text, apr_array_header_t *modules, apr_pool_t *pool)
{
    size_t length = word_length(*text);
    char *list = apr_pstrndup(pool, *text + strlen("from="), length - strlen("from="));
    char *last = NULL;

    if (!list[0] || list[0] == ',' || list[strlen(list) - 1] == ',' || strstr(list, ",,"))
        return "from= takes names of modules with commas between them, as in from=core,ssl";
    for (char *name = apr_strtok(list, ",", &last); name; name = apr_strtok(NULL, ",", &last))
        APR_ARRAY_PUSH(modules, const char *) = name;
    *text += length;
    return NULL;
}

static bool take_word(const char **text, const char *word)
{
    size_t n = word_length(*text);

    if (n != strlen(word) || strncasecmp(*text, word, n) != 0)
        return false;
    *text += n;
    *text += strspn(*text, " \t");
    return true;
}

static const char *read_words(const char *words, fo_match_t *match, apr_pool_t *pool)
{
    const char *error = NULL;
    bool is_only;

    words += strspn(words, " \t");
    match->replaces = take_word(&words, "none");
    if (match->replaces)
        return *words ? "nothing may follow none" : NULL;
    is_only = match->replaces = take_word(&words, "only");
    if (!is_only)
        take_word(&words, "add");
    for (; !error && *words; words += strspn(words, " \t")) {
        if (strncmp(words, "from=", strlen("from=")) == 0 && match->patterns->nelts == 0)
            error = read_modules(&words, match->modules, pool);
        else
            error = read_pattern(&words, match->patterns, pool);
    }
    if (!error && match->patterns->nelts == 0 && (is_only || match->modules->nelts == 0))
        error = "a pattern is missing: an errno name, \"text\" or /expression/; none switches the "
                "trigger off";
    return error;
}

const char *fo_match_parse(const char *words, fo_match_t **ret_match, apr_pool_t *pool)
{
    fo_match_t *match = apr_pcalloc(pool, sizeof(*match));
    const char *error;

    match->modules = apr_array_make(pool, 2, sizeof(const char *));
    match->patterns = apr_array_make(pool, 4, sizeof(fo_pattern_t));
    error = read_words(words, match, pool);
    if (!error)
        *ret_match = match;
    return error;
}

const fo_match_t *fo_match_built_in(apr_pool_t *pool)
{
    fo_match_t *match = apr_pcalloc(pool, sizeof(*match));

    match->replaces = true;
    match->modules = apr_array_make(pool, 16, sizeof(const char *));
    match->patterns = apr_array_make(pool, 32, sizeof(fo_pattern_t));
    for (size_t i = 0; i < sizeof(relays) / sizeof(relays[0]); i++)
        APR_ARRAY_PUSH(match->modules, const char *) = relays[i];
    for (size_t i = 0; i < sizeof(built_in) / sizeof(built_in[0]); i++) {
        const char *text = built_in[i];
        read_pattern(&text, match->patterns, pool);
    }
    return match;
}

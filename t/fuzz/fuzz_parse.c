/*
 * Every parser of the configuration on the same text: what is accepted can be written down and read
 * again, what is refused leaves the outputs alone, and no message repeats a password.
 */
#include "core/fo_parse.h"

#include "fuzz.h"

#define UNTOUCHED 4711

static const fo_probe_t shapes[] = {
    { .scheme = "tcp", .example = "tcp://app.example.com:5000", .max_hosts = 1 },
    { .scheme = "mysql", .example = "mysql://monitor@db/shop", .port = 3306, .max_hosts = 1 },
    { .scheme = "memcached", .example = "memcached://c1,c2", .port = 11211, .max_hosts = 64 },
    { .scheme = "many", .example = "many://h:1", .port = 1, .max_hosts = 3 },
    { .scheme = "unix", .example = "unix:///run/app.sock" },
};

static void duration(const char *text, apr_pool_t *pool)
{
    apr_interval_time_t span = UNTOUCHED, again = UNTOUCHED;
    char words[FO_SPAN_TEXT];

    if (fo_parse_duration(text, &span, pool)) {
        FUZZ_HOLDS(span == UNTOUCHED, "%s", text);
        return;
    }
    FUZZ_HOLDS(span >= 0 && span % 1000 == 0, "%s", text);
    FUZZ_HOLDS(!fo_parse_duration(apr_psprintf(pool, "%" APR_INT64_T_FMT "ms", span / 1000), &again,
                                  pool) && again == span, "%s", text);
    FUZZ_HOLDS(!fo_parse_duration(fo_span_text(span, words), &again, pool) && again == span,
               "%s, shown as %s", text, words);
    FUZZ_HOLDS(fo_span_round(span) <= span, "%s", text);
}

static void number(const char *text, apr_pool_t *pool)
{
    apr_int64_t value = UNTOUCHED, again = UNTOUCHED;

    if (fo_parse_number(text, 1, 65535, &value, pool)) {
        FUZZ_HOLDS(value == UNTOUCHED, "%s", text);
        return;
    }
    FUZZ_HOLDS(value >= 1 && value <= 65535, "%s", text);
    FUZZ_HOLDS(!fo_parse_number(apr_psprintf(pool, "%" APR_INT64_T_FMT, value), value, value,
                                &again, pool) && again == value, "%s", text);
}

static void weight(const char *text, apr_pool_t *pool)
{
    double value = UNTOUCHED;

    if (fo_parse_weight(text, &value, pool))
        FUZZ_HOLDS(value == UNTOUCHED, "%s", text);
    else
        FUZZ_HOLDS(value > 0 && value <= 1000000, "%s", text);
}

static void rate(const char *text, apr_pool_t *pool)
{
    apr_int64_t millionths = UNTOUCHED;

    if (fo_parse_rate(text, &millionths, pool))
        FUZZ_HOLDS(millionths == UNTOUCHED, "%s", text);
    else
        FUZZ_HOLDS(millionths >= 0 && millionths <= 1000000, "%s", text);
}

static void names(const char *text, apr_pool_t *pool)
{
    const char *variable = fo_name_variable(text, pool);

    FUZZ_HOLDS(fo_name_equal(text, variable), "%s", text);
    if (!fo_parse_name(text, pool)) {
        FUZZ_HOLDS(strlen(text) <= FO_NAME_MAX, "%s", text);
        FUZZ_HOLDS(!fo_parse_name(variable, pool), "%s", text);
        FUZZ_HOLDS(!fo_parse_variable(variable, pool), "%s", text);
    }
}

static void pair(const char *text, apr_pool_t *pool)
{
    const char *sign = strchr(text, '=');
    fo_pair_t parsed = { .key = NULL };
    const char *error = fo_parse_pair(text, &parsed, pool);

    FUZZ_HOLDS(!error == (parsed.key != NULL), "%s", text);
    if (!error) {
        FUZZ_HOLDS(strcmp(apr_pstrcat(pool, parsed.key, "=", parsed.value, NULL), text) == 0, "%s",
                   text);
    } else if (sign) { /* the message is the same whatever follows the sign and a quote */
        size_t kept = (size_t)(sign - text) + 1 + (sign[1] == '"' || sign[1] == '\'');
        const char *other = apr_pstrcat(pool, apr_pstrmemdup(pool, text, kept), "other", NULL);
        const char *words = fo_parse_pair(other, &parsed, pool);
        FUZZ_HOLDS(words && strcmp(words, error) == 0, "%s", error);
    }
}

/* URLs */

static const char *encode(const char *text, apr_pool_t *pool)
{
    char *encoded = apr_palloc(pool, 3 * strlen(text) + 1), *end = encoded;

    for (; *text; text++) {
        if (*text == '/')
            *end++ = '/';
        else
            end += sprintf(end, "%%%02x", (unsigned char)*text);
    }
    *end = '\0';
    return encoded;
}

/* A user holds no slash in clear. */
static const char *encode_user(const char *text, apr_pool_t *pool)
{
    char *encoded = apr_palloc(pool, 3 * strlen(text) + 1), *end = encoded;

    for (; *text; text++)
        end += sprintf(end, "%%%02X", (unsigned char)*text);
    *end = '\0';
    return encoded;
}

static const char *write_url(const fo_url_t *url, apr_pool_t *pool)
{
    const char *text = apr_pstrcat(pool, url->scheme, "://", NULL);

    if (url->user)
        text = apr_pstrcat(pool, text, encode_user(url->user, pool), "@", NULL);
    for (unsigned i = 0; i < url->n_hosts; i++) {
        bool is_v6 = strchr(url->hosts[i].name, ':') != NULL;
        text = apr_psprintf(pool, "%s%s%s%s%s:%u", text, i ? "," : "", is_v6 ? "[" : "",
                            url->hosts[i].name, is_v6 ? "]" : "", url->hosts[i].port);
    }
    return apr_pstrcat(pool, text, encode(url->path, pool), NULL);
}

static bool is_same(const fo_url_t *a, const fo_url_t *b)
{
    bool same = strcmp(a->scheme, b->scheme) == 0 && strcmp(a->path, b->path) == 0 &&
                !a->user == !b->user && (!a->user || strcmp(a->user, b->user) == 0) &&
                a->n_hosts == b->n_hosts;

    for (unsigned i = 0; same && i < a->n_hosts; i++)
        same = strcmp(a->hosts[i].name, b->hosts[i].name) == 0 &&
               a->hosts[i].port == b->hosts[i].port;
    return same;
}

static void accepted(const char *text, const fo_probe_t *probe, const fo_url_t *url,
                     apr_pool_t *pool)
{
    fo_url_t *again = NULL;
    const char *written = write_url(url, pool);

    FUZZ_HOLDS(strcmp(url->text, text) == 0, "%s", text);
    FUZZ_HOLDS(!strpbrk(url->text, "\r\n"), "%s", text);
    FUZZ_HOLDS(url->n_hosts <= probe->max_hosts && !url->n_hosts == !probe->max_hosts, "%s", text);
    FUZZ_HOLDS(!url->user || url->user[0], "%s", text);
    for (unsigned i = 0; i < url->n_hosts; i++)
        FUZZ_HOLDS(url->hosts[i].name[0] && url->hosts[i].port, "%s", text);
    if (strlen(written) > FO_URL_MAX)
        return;
    FUZZ_HOLDS(!fo_parse_url(written, probe, &again, pool), "%s, written as %s", text, written);
    FUZZ_HOLDS(is_same(url, again), "%s, written as %s", text, written);
}

static char other_letter(char c)
{
    if (c == 'z' || c == 'Z')
        return (char)(c - 25);
    return (c >= 'a' && c < 'z') || (c >= 'A' && c < 'Z') ? (char)(c + 1) : c;
}

/*
 * What stands between the first ':' and the last '@' is a password, slashes or not, but for the
 * colons of an IPv6 address, and where a comma tells of several hosts. With other letters in it the
 * message is the same: it repeats none.
 */
static void refused(const char *text, const char *error, const fo_probe_t *probe, apr_pool_t *pool)
{
    char *twin = apr_pstrdup(pool, text);
    char *authority = strstr(twin, "://"), *at = strrchr(twin, '@');
    char *colon = authority ? strchr(authority + 3, ':') : NULL;
    fo_url_t *parsed = NULL;
    const char *words;

    if (!colon || !at || at < colon || memchr(authority, '[', (size_t)(colon - authority)) ||
        memchr(colon, '%', (size_t)(at - colon)) || memchr(colon, ',', (size_t)(at - colon)))
        return;
    for (; colon < at; colon++)
        *colon = other_letter(*colon);
    words = fo_parse_url(twin, probe, &parsed, pool);
    FUZZ_HOLDS(words && strcmp(words, error) == 0, "%s\nand for %s: %s", error, twin,
               words ? words : "accepted");
}

static void url(const char *text, apr_pool_t *pool)
{
    const char *scheme = NULL;

    if (fo_parse_scheme(text, &scheme, pool)) {
        FUZZ_HOLDS(!scheme, "%s", text);
        return;
    }
    FUZZ_HOLDS(strncmp(text, scheme, strlen(scheme)) == 0, "%s", text);
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++) {
        fo_url_t *parsed = NULL;
        const char *error = fo_parse_url(text, &shapes[i], &parsed, pool);
        FUZZ_HOLDS(!error == (parsed != NULL), "%s", text);
        if (parsed)
            accepted(text, &shapes[i], parsed, pool);
        else
            refused(text, error, &shapes[i], pool);
    }
}

static void words(const char *text, apr_pool_t *pool)
{
    bool is_on = strcmp(text, "on") == 0, is_word = is_on || strcmp(text, "off") == 0;
    bool answer = !is_on;

    FUZZ_HOLDS(!fo_parse_either(text, "on", "off", &answer, pool) == is_word, "%s", text);
    FUZZ_HOLDS(answer == (is_word ? is_on : !is_on), "%s", text);
    if (!fo_parse_socket(text, pool))
        FUZZ_HOLDS(text[0] == '/' && strlen(text) <= FO_SOCKET_MAX, "%s", text);
}

static void fuzz_one(const char *text, size_t length, apr_pool_t *pool)
{
    (void)length;
    duration(text, pool);
    number(text, pool);
    weight(text, pool);
    rate(text, pool);
    names(text, pool);
    words(text, pool);
    (void)fo_parse_variable(text, pool);
    pair(text, pool);
    url(text, pool);
}

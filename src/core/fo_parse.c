#include "core/fo_parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#define DURATION_UNITS "ms, s, m, min, h or d"
#define DAYS_MAX 3650

/* clang-format off */
static const struct {
    const char *suffix;
    apr_interval_time_t span;
} units[] = {
    { "", APR_USEC_PER_SEC },
    { "ms", 1000 },
    { "s", APR_USEC_PER_SEC },
    { "m", 60 * APR_USEC_PER_SEC },
    { "min", 60 * APR_USEC_PER_SEC },
    { "h", 3600 * APR_USEC_PER_SEC },
    { "d", 86400 * APR_USEC_PER_SEC },
};
/* clang-format on */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_lower(char c)
{
    return c >= 'a' && c <= 'z';
}

/* Digits alone; at most 15 of them, so that no product below can overflow. */
static size_t read_digits(const char *text, apr_int64_t *ret_number)
{
    apr_int64_t number = 0;
    size_t n = 0;

    while (is_digit(text[n]) && n < 16) {
        number = number * 10 + (text[n] - '0');
        n++;
    }
    *ret_number = number;
    return n < 16 ? n : 0;
}

const char *fo_parse_duration(const char *text, apr_interval_time_t *ret_span, apr_pool_t *pool)
{
    apr_int64_t number;
    size_t n = read_digits(text, &number);

    for (size_t i = 0; n > 0 && i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(text + n, units[i].suffix) == 0) {
            if (number > DAYS_MAX * 86400 * APR_USEC_PER_SEC / units[i].span)
                return apr_psprintf(pool, "'%s' is longer than %d days", text, DAYS_MAX);
            *ret_span = number * units[i].span;
            return NULL;
        }
    }
    return apr_psprintf(pool,
                        "'%s' is not a duration: write a whole number and " DURATION_UNITS
                        "; a bare number is seconds",
                        text);
}

const char *fo_parse_number(const char *text, apr_int64_t low, apr_int64_t high,
                            apr_int64_t *ret_number, apr_pool_t *pool)
{
    apr_int64_t number;
    size_t n = read_digits(text, &number);

    if (n == 0 || text[n] != '\0' || number < low || number > high)
        return apr_psprintf(pool,
                            "'%s' is not a whole number from %" APR_INT64_T_FMT
                            " to %" APR_INT64_T_FMT,
                            text, low, high);
    *ret_number = number;
    return NULL;
}

const char *fo_parse_weight(const char *text, double *ret_weight, apr_pool_t *pool)
{
    size_t whole = strspn(text, "0123456789");
    size_t point = text[whole] == '.' ? 1 : 0;
    size_t part = strspn(text + whole + point, "0123456789");
    double weight = 0;

    if (whole + part > 0 && whole + part < 16 && text[whole + point + part] == '\0')
        weight = strtod(text, NULL);
    if (weight <= 0 || weight > 1000000)
        return apr_psprintf(pool,
                            "'%s' is not a weight: write a decimal number greater than 0 and "
                            "at most 1000000",
                            text);
    *ret_weight = weight;
    return NULL;
}

const char *fo_parse_rate(const char *text, apr_int64_t *ret_millionths, apr_pool_t *pool)
{
    size_t whole = strspn(text, "0123456789");
    size_t point = text[whole] == '.' ? 1 : 0;
    size_t part = strspn(text + whole + point, "0123456789");
    double rate = whole + part > 0 && whole + part < 16 ? strtod(text, NULL) : 2;

    if (text[whole + point + part] != '\0' || rate > 1)
        return apr_psprintf(pool, "'%s' is not a rate: write a decimal number from 0 to 1", text);
    *ret_millionths = (apr_int64_t)(rate * 1000000 + 0.5);
    return NULL;
}

/* What a message may repeat: behind ':', '=' or '@' there may be a misplaced password. */
static const char *shown(const char *text, size_t length, apr_pool_t *pool)
{
    const char *copy = apr_pstrndup(pool, text, length);
    size_t n = strcspn(copy, ":=@");

    return copy[n] ? apr_psprintf(pool, "%.*s...", (int)n + 1, copy) : copy;
}

const char *fo_parse_name(const char *text, apr_pool_t *pool)
{
    size_t n = 0;

    if (is_letter(text[0]))
        while (is_letter(text[n]) || is_digit(text[n]) || text[n] == '_' || text[n] == '-')
            n++;
    if (strstr(text, "://"))
        return "the name is missing: it stands before the URL";
    if (n == 0 || n > FO_NAME_MAX || text[n] != '\0')
        return apr_psprintf(pool,
                            "'%s' is not a name: a letter, then up to %d letters, digits, "
                            "'_' or '-'",
                            shown(text, strlen(text), pool), FO_NAME_MAX - 1);
    return NULL;
}

const char *fo_parse_variable(const char *text, apr_pool_t *pool)
{
    size_t n = 0;

    while (text[n] > ' ' && text[n] < 0x7f && text[n] != '=')
        n++;
    if (n == 0 || n > 255 || text[n] != '\0')
        return apr_psprintf(pool,
                            "'%s' is not a variable's name: printable characters without "
                            "blanks or '='",
                            text);
    return NULL;
}

/* The length of a key of one case: an option's [a-z][a-z0-9-]*, a variable's [A-Z_][A-Z0-9_]*. */
static size_t key_length(const char *text, bool *ret_is_variable)
{
    bool is_variable = !is_lower(text[0]);
    size_t n = 0;

    if (is_digit(text[0]))
        return 0;
    while (is_digit(text[n]) || (is_variable ? (text[n] >= 'A' && text[n] <= 'Z') || text[n] == '_'
                                             : is_lower(text[n]) || text[n] == '-'))
        n++;
    *ret_is_variable = is_variable;
    return n;
}

const char *fo_parse_pair(const char *text, fo_pair_t *ret_pair, apr_pool_t *pool)
{
    bool is_variable = false;
    size_t n = key_length(text, &is_variable);

    if (n == 0 || text[n] != '=') {
        size_t known = strcspn(text, ":=\"' "); /* what follows may be a secret */
        const char *what = text[known] ? apr_psprintf(pool, "'%.*s'", (int)known, text)
                                       : "a word without '='";
        return apr_psprintf(pool,
                            "%s is neither an option (option=value, lower case) nor a variable "
                            "(VAR=value, upper case)",
                            what);
    }
    if (text[n + 1] == '"' || text[n + 1] == '\'')
        return apr_psprintf(pool,
                            "%.*s=: a quote inside a word is not taken away: put it before the "
                            "key, as in \"%.*s=value\"",
                            (int)n, text, (int)n, text);
    ret_pair->key = apr_pstrndup(pool, text, n);
    ret_pair->value = apr_pstrdup(pool, text + n + 1);
    ret_pair->is_variable = is_variable;
    return NULL;
}

static size_t scheme_length(const char *text)
{
    size_t n = 0;

    if (is_lower(text[0]))
        while (is_lower(text[n]) || is_digit(text[n]) || text[n] == '+' || text[n] == '-')
            n++;
    return n;
}

const char *fo_parse_scheme(const char *text, const char **ret_scheme, apr_pool_t *pool)
{
    size_t n = scheme_length(text);

    if (n == 0 || n > FO_NAME_MAX || text[n] != ':')
        return apr_pstrcat(pool,
                           "no URL: it begins with a scheme, as in "
                           "tcp://db.example.com:5000 or unix:///run/app.sock",
                           NULL);
    *ret_scheme = apr_pstrndup(pool, text, n);
    return NULL;
}

static int hex_value(char c)
{
    if (is_digit(c))
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes; NULL where a sequence is broken or stands for a control byte. */
static const char *decode(const char *text, size_t length, apr_pool_t *pool)
{
    char *decoded = apr_palloc(pool, length + 1);
    size_t n = 0;

    for (size_t i = 0; i < length; i++) {
        int byte = (unsigned char)text[i];
        if (text[i] == '%') {
            if (i + 2 >= length || hex_value(text[i + 1]) < 0 || hex_value(text[i + 2]) < 0)
                return NULL;
            byte = hex_value(text[i + 1]) * 16 + hex_value(text[i + 2]);
            i += 2;
        }
        if (byte < 0x20 || byte == 0x7f)
            return NULL;
        decoded[n++] = (char)byte;
    }
    decoded[n] = '\0';
    return decoded;
}

static bool is_host_name(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!is_letter(text[i]) && !is_digit(text[i]) && !strchr("._-", text[i]))
            return false;
    return length > 0 && length <= FO_HOST_MAX && text[0] != '-' && text[0] != '.';
}

/* What stands between the brackets of an IPv6 address, a zone included. */
static bool is_host_in_brackets(const char *text, size_t length)
{
    bool has_colon = false;

    for (size_t i = 0; i < length; i++) {
        has_colon = has_colon || text[i] == ':';
        if (!is_letter(text[i]) && !is_digit(text[i]) && !strchr(":.%_-", text[i]))
            return false;
    }
    return has_colon && length <= FO_HOST_MAX;
}

/* One of the hosts, text[0..length), such as "db", "db:3306" or "[::1]:3306". */
static const char *parse_host(const char *text, size_t length, const fo_probe_t *probe,
                              fo_host_t *host, apr_pool_t *pool)
{
    const char *name = text;
    size_t n = 0;
    bool ok;
    const char *rest;
    apr_int64_t port = probe->port;

    if (length > 0 && text[0] == '[') {
        const char *end = memchr(text, ']', length);
        name = text + 1;
        n = end ? (size_t)(end - name) : 0;
        ok = n > 0 && is_host_in_brackets(name, n);
        rest = end ? end + 1 : text;
    } else {
        const char *end = memchr(text, ':', length);
        n = end ? (size_t)(end - text) : length;
        ok = is_host_name(name, n);
        rest = text + n;
    }
    if (!ok)
        return apr_psprintf(pool,
                            "'%s' is not a host name or address (an IPv6 address stands in "
                            "brackets)",
                            shown(text, length, pool));
    size_t left = length - (size_t)(rest - text);
    if (left > 0 && (rest[0] != ':' || fo_parse_number(apr_pstrndup(pool, rest + 1, left - 1), 1,
                                                       65535, &port, pool)))
        return apr_psprintf(pool, "what stands behind '%.*s' is not ':' and a port from 1 to 65535",
                            (int)n, name); /* the rest may be a misplaced password */
    if (port == 0)
        return apr_psprintf(pool, "'%.*s' needs a port, as in %s", (int)length, text,
                            probe->example);
    host->name = apr_pstrndup(pool, name, n);
    host->port = (apr_port_t)port;
    return NULL;
}

static const char *parse_hosts(const char *text, size_t length, const fo_probe_t *probe,
                               fo_url_t *url, apr_pool_t *pool)
{
    fo_host_t *hosts = apr_pcalloc(pool, sizeof(*hosts) * FO_HOSTS_MAX);
    unsigned most = probe->max_hosts < FO_HOSTS_MAX ? probe->max_hosts : FO_HOSTS_MAX;
    unsigned n = 0;

    if (most == 0)
        return length == 0 ? NULL
                           : apr_psprintf(pool, "%s takes a path and no host, as in %s",
                                          url->scheme, probe->example);
    if (length == 0)
        return apr_psprintf(pool, "a host is missing, as in %s", probe->example);
    for (const char *end = text + length; text <= end; n++) {
        const char *comma = memchr(text, ',', (size_t)(end - text));
        const char *stop = comma ? comma : end;
        if (n == most)
            return apr_psprintf(pool, "%s takes at most %u host%s, as in %s", url->scheme, most,
                                most == 1 ? "" : "s", probe->example);
        const char *error = parse_host(text, (size_t)(stop - text), probe, &hosts[n], pool);
        if (error)
            return error;
        text = stop + 1;
    }
    url->hosts = hosts;
    url->n_hosts = n;
    return NULL;
}

static const char a_password[] =
    "a password has no place in a URL, where anyone can read it: write password=file:PATH or "
    "password=exec:PROGRAM behind the URL";

/* The part before '@'. A ':' in it would begin a password, so the part is never repeated. */
static const char *parse_user(const char *text, size_t length, fo_url_t *url, apr_pool_t *pool)
{
    if (memchr(text, ':', length))
        return a_password;
    url->user = decode(text, length, pool);
    if (!url->user || !url->user[0])
        return "the user before '@' is empty or has a broken %XX in it";
    return NULL;
}

/* "user:pass/word@host": the slash of a password makes it look like a host and a path. */
static bool is_split_password(const char *authority, size_t length, const char *path)
{
    return memchr(authority, ':', length) && !memchr(authority, '@', length) && strchr(path, '@');
}

const char *fo_parse_url(const char *text, const fo_probe_t *probe, fo_url_t **ret_url,
                         apr_pool_t *pool)
{
    fo_url_t *url = apr_pcalloc(pool, sizeof(*url));
    size_t n = scheme_length(text);
    const char *error = NULL;

    if (strlen(text) > FO_URL_MAX)
        return apr_psprintf(pool, "a URL of more than %d bytes", FO_URL_MAX);
    if (strncmp(text + n, "://", 3) != 0)
        return apr_psprintf(pool, "'://' is missing behind the scheme, as in %s", probe->example);
    if (strpbrk(text, "?#"))
        return apr_psprintf(pool,
                            "a URL has no '?' or '#' here; options follow it as words, as in "
                            "%s timeout=1s",
                            probe->example);
    url->scheme = apr_pstrndup(pool, text, n);
    const char *authority = text + n + 3;
    size_t length = strcspn(authority, "/");
    const char *path = authority + length;
    if (is_split_password(authority, length, path))
        error = a_password;
    for (size_t i = length; i > 0 && !error; i--) {
        if (authority[i - 1] == '@') {
            error = parse_user(authority, i - 1, url, pool);
            authority += i;
            length -= i;
            break;
        }
    }
    if (!error)
        error = parse_hosts(authority, length, probe, url, pool);
    if (error)
        return error;
    url->path = decode(path, strlen(path), pool);
    if (!url->path)
        return "the path has a control byte or a broken %XX in it";
    if (probe->max_hosts == 0 && !url->path[0])
        return apr_psprintf(pool, "a path is missing, as in %s", probe->example);
    url->text = apr_pstrdup(pool, text);
    *ret_url = url;
    return NULL;
}

const char *fo_parse_either(const char *text, const char *yes, const char *no, bool *ret_is_yes,
                            apr_pool_t *pool)
{
    bool is_yes = strcmp(text, yes) == 0;

    if (!is_yes && strcmp(text, no) != 0)
        return apr_psprintf(pool, "'%s' is neither %s nor %s", text, yes, no);
    *ret_is_yes = is_yes;
    return NULL;
}

const char *fo_parse_socket(const char *text, apr_pool_t *pool)
{
    if (text[0] != '/')
        return apr_psprintf(pool, "'%s' is not an absolute path", text);
    if (strlen(text) > FO_SOCKET_MAX)
        return apr_psprintf(pool, "a socket's path has at most %d bytes", FO_SOCKET_MAX);
    return NULL;
}

bool fo_is_listed(const char *name, const char *const *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcasecmp(list[i], name) == 0)
            return true;
    return false;
}

static char variable_char(char c)
{
    return c == '-' ? '_' : (char)toupper((unsigned char)c);
}

bool fo_name_equal(const char *a, const char *b)
{
    while (*a && variable_char(*a) == variable_char(*b)) {
        a++;
        b++;
    }
    return *a == *b;
}

const char *fo_name_variable(const char *name, apr_pool_t *pool)
{
    char *variable = apr_pstrdup(pool, name);

    for (char *c = variable; *c; c++)
        *c = variable_char(*c);
    return variable;
}

/* From the largest: a span is printed in the first unit of which it is `least` or more. */
static const struct {
    apr_interval_time_t span;
    apr_int64_t least;
    const char *suffix;
} span_units[] = {
    { 86400 * APR_USEC_PER_SEC, 1, "d" },
    { 3600 * APR_USEC_PER_SEC, 1, "h" },
    { 60 * APR_USEC_PER_SEC, 2, "m" },
    { APR_USEC_PER_SEC, 1, "s" },
    { 1000, 0, "ms" },
};

#define SPAN_UNITS (sizeof(span_units) / sizeof(span_units[0]))

const char *fo_span_text(apr_interval_time_t span, char text[FO_SPAN_TEXT])
{
    apr_interval_time_t whole = span - span % 1000;
    size_t i = 0;

    while (i + 1 < SPAN_UNITS &&
           (whole % span_units[i].span != 0 || whole / span_units[i].span < span_units[i].least))
        i++;
    apr_snprintf(text, FO_SPAN_TEXT, "%" APR_INT64_T_FMT "%s", whole / span_units[i].span,
                 span_units[i].suffix);
    return text;
}

apr_interval_time_t fo_span_round(apr_interval_time_t span)
{
    for (size_t i = 0; i < SPAN_UNITS; i++)
        if (span >= 2 * span_units[i].span ||
            (span >= span_units[i].span && span_units[i].span <= APR_USEC_PER_SEC))
            return span - span % span_units[i].span;
    return span;
}

#include "probe/probe_http_options.h"

#include "core/fo_parse.h"

#include <string.h>

#define TOKEN_CHARS "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define PATH_CHARS                                                                                 \
    "/-._~!$&'()*+,;=:@0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#define HOST_CHARS ".-_:[]%0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* "204" or "300-399". */
static bool read_range(const char *text, probe_http_statuses_t *statuses, apr_pool_t *pool)
{
    const char *dash = strchr(text, '-');
    const char *first = dash ? apr_pstrmemdup(pool, text, (apr_size_t)(dash - text)) : text;
    apr_int64_t low, high;

    if (fo_parse_number(first, 200, PROBE_HTTP_STATUS_END - 1, &low, pool))
        return false;
    high = low;
    if (dash && fo_parse_number(dash + 1, low, PROBE_HTTP_STATUS_END - 1, &high, pool))
        return false;
    for (apr_int64_t status = low; status <= high; status++)
        statuses->has[status] = true;
    return true;
}

const char *probe_http_read_statuses(const char *text, probe_http_statuses_t *ret_statuses,
                                     apr_pool_t *pool)
{
    probe_http_statuses_t statuses = { { false } };
    char *rest = apr_pstrdup(pool, text);

    while (rest) {
        char *range = rest, *comma = strchr(rest, ',');
        rest = comma ? comma + 1 : NULL;
        if (comma)
            *comma = '\0';
        if (!read_range(range, &statuses, pool))
            return apr_psprintf(pool,
                                "status=: '%s' is no status from 200 to 599, nor a range of them: "
                                "write status=200,204,300-399",
                                range);
    }
    *ret_statuses = statuses;
    return NULL;
}

/* Those that have an option of their own, or that frame the request. */
static const struct {
    const char *name;
    const char *advice;
} taken[] = {
    { "Host", "write host=" },
    { "User-Agent", "it names mod_failover" },
    { "Authorization", "write the user in front of the host, and password=" },
    { "Proxy-Authorization", "no proxy is asked" },
    { "Connection", "each ping is a connection of its own" },
    { "Content-Length", "a ping sends no body" },
    { "Transfer-Encoding", "a ping sends no body" },
    { "Expect", "a ping sends no body" },
    { "Upgrade", "a ping stays HTTP/1.1" },
};

static const char *check_name(const char *name, apr_pool_t *pool)
{
    if (!name[0] || name[strspn(name, TOKEN_CHARS)])
        return apr_psprintf(pool,
                            "header=: '%s' is no header's name: write \"header=Name: value\", "
                            "several parted by '|'",
                            name);
    for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++)
        if (strcasecmp(name, taken[i].name) == 0)
            return apr_psprintf(pool, "header=: %s: is not for you to set: %s", taken[i].name,
                                taken[i].advice);
    return NULL;
}

/* Without the blanks around it. */
static char *trimmed(char *text)
{
    char *end = text + strlen(text);

    while (end > text && (end[-1] == ' ' || end[-1] == '\t'))
        *--end = '\0';
    return text + strspn(text, " \t");
}

static bool is_printable(const char *text)
{
    for (; *text; text++)
        if (((unsigned char)*text < 0x20 && *text != '\t') || *text == 0x7f)
            return false;
    return true;
}

/* One "Name: value", which is cut up. */
static const char *read_header(char *line, apr_table_t *headers, apr_pool_t *pool)
{
    char *colon = strchr(line, ':');
    const char *name, *value, *error;

    if (!colon)
        return apr_psprintf(pool, "header=: there is no ':' in '%s': write \"header=Name: value\"",
                            line);
    *colon = '\0';
    name = trimmed(line);
    value = trimmed(colon + 1);
    error = check_name(name, pool);
    if (error)
        return error;
    if (!value[0] || !is_printable(value))
        return apr_psprintf(pool, "header=: %s: has no value, or one with control bytes", name);
    apr_table_addn(headers, name, value);
    return NULL;
}

const char *probe_http_read_headers(const char *text, apr_table_t **ret_headers, apr_pool_t *pool)
{
    apr_table_t *headers = apr_table_make(pool, 2);
    char *rest = apr_pstrdup(pool, text);

    while (rest) {
        char *line = rest, *bar = strchr(rest, '|');
        const char *error;
        rest = bar ? bar + 1 : NULL;
        if (bar)
            *bar = '\0';
        error = read_header(line, headers, pool);
        if (error)
            return error;
    }
    *ret_headers = headers;
    return NULL;
}

const char *probe_http_read_host(const char *text, apr_pool_t *pool)
{
    if (text[0] && !text[strspn(text, HOST_CHARS)])
        return NULL;
    return apr_psprintf(pool,
                        "host=: '%s' is no host name or address, with or without ':' and "
                        "a port",
                        text);
}

static const char *encoded(const char *path, apr_pool_t *pool)
{
    static const char digits[] = "0123456789ABCDEF";
    char *target = apr_palloc(pool, 3 * strlen(path) + 1), *to = target;

    for (; *path; path++) {
        unsigned char byte = (unsigned char)*path;
        if (strchr(PATH_CHARS, byte)) {
            *to++ = (char)byte;
            continue;
        }
        *to++ = '%';
        *to++ = digits[byte >> 4];
        *to++ = digits[byte & 15];
    }
    *to = '\0';
    return target;
}

const char *probe_http_target(const char *path, const char *query, const char **ret_target,
                              apr_pool_t *pool)
{
    for (const char *c = query; c && *c; c++)
        if (*c <= ' ' || *c >= 0x7f || *c == '#')
            return apr_pstrcat(
                pool,
                "query=: blanks, '#' and what is not ASCII are written as %XX, as in "
                "query=full=1&name=a%20b",
                NULL);
    path = encoded(path[0] ? path : "/", pool);
    *ret_target = query ? apr_pstrcat(pool, path, "?", query, NULL) : path;
    return NULL;
}

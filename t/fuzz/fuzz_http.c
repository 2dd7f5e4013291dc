/*
 * The options of http:// on any text: what is accepted can be sent as a request, whose lines and
 * words nothing in it can break; what is refused leaves the outputs alone.
 */
#include "probe/probe_http_options.h"

#include "fuzz.h"

#include <apr_tables.h>

static void statuses(const char *text, apr_pool_t *pool)
{
    probe_http_statuses_t found = { { [0] = true } };
    int n = 0;

    if (probe_http_read_statuses(text, &found, pool)) {
        FUZZ_HOLDS(found.has[0], "%s", text);
        return;
    }
    for (int i = 0; i < PROBE_HTTP_STATUS_END; i++)
        n += found.has[i];
    FUZZ_HOLDS(n > 0, "%s", text);
    for (int i = 0; i < 200; i++)
        FUZZ_HOLDS(!found.has[i], "%s: %d", text, i);
}

static int breaks_nothing(void *text, const char *name, const char *value)
{
    FUZZ_HOLDS(name[0] && !strpbrk(name, "\r\n: \t"), "%s", (const char *)text);
    FUZZ_HOLDS(value[0] && !strpbrk(value, "\r\n|"), "%s", (const char *)text);
    FUZZ_HOLDS(strcasecmp(name, "Host") && strcasecmp(name, "Authorization"), "%s",
               (const char *)text);
    return 1;
}

static void headers(const char *text, apr_pool_t *pool)
{
    apr_table_t *found = NULL;

    if (probe_http_read_headers(text, &found, pool))
        FUZZ_HOLDS(!found, "%s", text);
    else
        apr_table_do(breaks_nothing, (void *)text, found, NULL);
}

static void target(const char *path, const char *query, apr_pool_t *pool)
{
    const char *found = NULL;

    if (probe_http_target(path, query, &found, pool)) {
        FUZZ_HOLDS(!found, "%s?%s", path, query);
        return;
    }
    for (const char *c = found; *c; c++)
        FUZZ_HOLDS(*c > ' ' && *c < 0x7f && *c != '#', "%s?%s", path, query);
    FUZZ_HOLDS(!query == !strchr(found, '?'), "%s?%s", path, query);
}

static void fuzz_one(const char *text, size_t length, apr_pool_t *pool)
{
    (void)length;
    statuses(text, pool);
    headers(text, pool);
    target(text, NULL, pool);
    target("/", text, pool);
    if (!probe_http_read_host(text, pool))
        FUZZ_HOLDS(text[0] && !strpbrk(text, "\r\n /\t"), "%s", text);
}

#include "probe/probe_lag_json.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <string.h>

/* What Redis Enterprise answers is some five deep. */
#define DEPTH_MAX 64

/* True: the endpoint is reached by the host's name, or at its address. */
typedef bool (*fits_fn)(const json_t *endpoint, const char *name);

/* Case ignored, and a dot at the end. */
static bool fits_name(const json_t *endpoint, const char *name)
{
    const char *other = json_string_value(json_object_get(endpoint, "dns_name"));
    size_t n = strlen(name), length = other ? strlen(other) : 0;

    n -= n && name[n - 1] == '.';
    length -= length && other[length - 1] == '.';
    return length && n == length && strncasecmp(name, other, n) == 0;
}

static bool is_same_address(const char *a, const char *b)
{
    unsigned char bytes_a[sizeof(struct in6_addr)], bytes_b[sizeof(struct in6_addr)];
    int family = strchr(a, ':') ? AF_INET6 : AF_INET;

    return inet_pton(family, a, bytes_a) == 1 && inet_pton(family, b, bytes_b) == 1 &&
           memcmp(bytes_a, bytes_b, family == AF_INET6 ? 16 : 4) == 0;
}

static bool fits_address(const json_t *endpoint, const char *name)
{
    const json_t *addresses = json_object_get(endpoint, "addr");

    for (size_t i = 0; i < json_array_size(addresses); i++) {
        const char *address = json_string_value(json_array_get(addresses, i));
        if (address && is_same_address(address, name))
            return true;
    }
    return false;
}

static bool fits(const json_t *database, const fo_host_t *host, fits_fn is_there)
{
    const json_t *endpoints = json_object_get(database, "endpoints");

    for (size_t i = 0; i < json_array_size(endpoints); i++) {
        const json_t *endpoint = json_array_get(endpoints, i);
        const json_t *port = json_object_get(endpoint, "port");
        if ((!host->port || json_integer_value(port) == host->port) &&
            is_there(endpoint, host->name))
            return true;
    }
    return false;
}

/* How many there are; the first one's uid. */
static unsigned count(const json_t *databases, const fo_host_t *host, fits_fn is_there,
                      const json_t **ret_uid)
{
    unsigned n = 0;

    for (size_t i = 0; i < json_array_size(databases); i++) {
        const json_t *database = json_array_get(databases, i);
        if (fits(database, host, is_there) && n++ == 0)
            *ret_uid = json_object_get(database, "uid");
    }
    return n;
}

static const char *find(const json_t *databases, const fo_host_t *host, apr_int64_t *ret_uid,
                        char text[FO_REPORT_TEXT])
{
    const json_t *uid = NULL;
    unsigned n = count(databases, host, fits_name, &uid);

    if (!json_is_array(databases))
        return "the answer is no list of databases";
    if (!n)
        n = count(databases, host, fits_address, &uid);
    if (n > 1)
        apr_snprintf(text, FO_REPORT_TEXT, "%u databases are at %s: write database=HOST:PORT", n,
                     host->name);
    else if (n == 0)
        apr_snprintf(text, FO_REPORT_TEXT, "no database has an endpoint at %s%s", host->name,
                     host->port ? " and this port" : "");
    else if (!json_is_integer(uid) || json_integer_value(uid) < 0)
        apr_snprintf(text, FO_REPORT_TEXT, "the database at %s has no uid", host->name);
    else
        *ret_uid = json_integer_value(uid);
    return text[0] ? text : NULL;
}

/* Jansson reads by recursion, and a thread's stack is small. Brackets in strings count as well. */
static json_t *load(const char *json, apr_size_t n)
{
    unsigned depth = 0;

    for (apr_size_t i = 0; i < n && depth <= DEPTH_MAX; i++)
        if (json[i] == '[' || json[i] == '{')
            depth++;
        else if (depth && (json[i] == ']' || json[i] == '}'))
            depth--;
    return depth > DEPTH_MAX ? NULL : json_loadb(json, n, 0, NULL);
}

const char *probe_lag_find(const char *json, apr_size_t n, const fo_host_t *host,
                           apr_int64_t *ret_uid, char text[FO_REPORT_TEXT])
{
    json_t *databases = load(json, n);
    const char *error;

    text[0] = '\0';
    error = databases ? find(databases, host, ret_uid, text) : "the answer is not JSON";
    json_decref(databases);
    return error;
}

const char *probe_lag_words(const char *json, apr_size_t n, char text[FO_REPORT_TEXT])
{
    json_t *error = load(json, n);
    const char *words = json_string_value(json_object_get(error, "description"));

    if (!words)
        words = json_string_value(json_object_get(error, "error_code"));
    apr_cpystrn(text, words ? words : "", FO_REPORT_TEXT);
    json_decref(error);
    return text;
}

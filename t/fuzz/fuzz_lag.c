/*
 * What a Redis Enterprise cluster may answer: a database is found or the words say why not, and an
 * error's words are one text within its bounds.
 */
#include "probe/probe_lag_json.h"

#include "fuzz.h"

static void find(const char *text, size_t length, const char *name, apr_port_t port)
{
    const fo_host_t host = { .name = name, .port = port };
    char words[FO_REPORT_TEXT];
    apr_int64_t uid = -1;
    const char *error = probe_lag_find(text, length, &host, &uid, words);

    FUZZ_HOLDS(!error == (uid >= 0), "%s", text);
    FUZZ_HOLDS(!error || (error[0] && strlen(error) < FO_REPORT_TEXT), "%s", text);
}

static void fuzz_one(const char *text, size_t length, apr_pool_t *pool)
{
    char words[FO_REPORT_TEXT];

    (void)pool;
    find(text, length, "redis.example.com", 0);
    find(text, length, "redis.example.com.", 12000);
    find(text, length, "10.0.0.1", 12000);
    find(text, length, "2001:db8::1", 0);
    FUZZ_HOLDS(strlen(probe_lag_words(text, length, words)) < FO_REPORT_TEXT, "%s", text);
}

/* TLS of connections that mod_failover makes itself: the options, and the contexts they make. */
#include "httpd/httpd_declare.h"

#include "core/fo_parse.h"
#include "probe/probe_tls.h"

#include <string.h>

/* Equal options share a context: the system's authorities alone are over a megabyte. */
typedef struct shared_t {
    const char *key; /* all of the options */
    void *context;
} shared_t;

const char *const httpd_tls_keys[] = { "tls", "ca",           "ca-path", "cert",
                                       "key", "key-password", "verify",  NULL };

/* All but the first, which is the choice itself. */
static const char *const *const keys = httpd_tls_keys + 1;

const char *const *httpd_tls_options(const fo_probe_t *probe)
{
    static const char *const none[] = { NULL };

    switch (probe->tls) {
    case FO_TLS_CHOICE:
        return httpd_tls_keys;
    case FO_TLS_ALWAYS:
        return keys;
    default:
        return none;
    }
}

/* What has no sense without TLS. */
static const char *refuse_all(const httpd_draft_t *draft)
{
    if (draft->check->key_secret.kind)
        return "key-password= takes tls=on beside it";
    for (const char *const *key = keys; *key; key++)
        if (apr_table_get(draft->tls_options, *key))
            return apr_psprintf(draft->cmd->pool, "%s= takes tls=on beside it", *key);
    return NULL;
}

static const char *read_choice(const httpd_draft_t *draft, bool *ret_is_wanted)
{
    const char *tls = apr_table_get(draft->tls_options, "tls"), *error = NULL;

    if (tls)
        error = fo_parse_either(tls, "on", "off", ret_is_wanted, draft->cmd->pool);
    if (error)
        return apr_psprintf(draft->cmd->pool, "tls=: %s", error);
    return *ret_is_wanted ? NULL : refuse_all(draft);
}

static const char *key_of(const httpd_draft_t *draft)
{
    const httpd_secret_t *secret = &draft->check->key_secret;
    apr_pool_t *pool = draft->cmd->pool;
    const char *all = apr_psprintf(pool, "%d:%s", (int)secret->kind,
                                   secret->kind ? secret->source : "");

    for (const char *const *key = keys; *key; key++) {
        const char *value = apr_table_get(draft->tls_options, *key);
        all = apr_pstrcat(pool, all, "\n", value ? value : "", NULL);
    }
    return all;
}

static void *find_context(const apr_array_header_t *contexts, const char *key)
{
    for (int i = 0; i < contexts->nelts; i++)
        if (strcmp(APR_ARRAY_IDX(contexts, i, shared_t).key, key) == 0)
            return APR_ARRAY_IDX(contexts, i, shared_t).context;
    return NULL;
}

static const char *context_of(const httpd_draft_t *draft, void **ret_context)
{
    apr_array_header_t *contexts = httpd_config()->tls_contexts;
    shared_t shared = { .key = key_of(draft) };
    const char *error;

    *ret_context = find_context(contexts, shared.key);
    if (*ret_context)
        return NULL;
    error = probe_tls_context(draft->tls_options, draft->check->key_secret.kind, &shared.context,
                              draft->cmd->pool);
    if (error)
        return error;
    APR_ARRAY_PUSH(contexts, shared_t) = shared;
    *ret_context = shared.context;
    return NULL;
}

void httpd_tls_reset(apr_pool_t *pconf)
{
    httpd_config()->tls_contexts = apr_array_make(pconf, 1, sizeof(shared_t));
}

const char *httpd_tls_configure(const httpd_draft_t *draft)
{
    httpd_check_t *check = draft->check;
    bool is_wanted = check->probe->tls == FO_TLS_ALWAYS;
    const char *error = check->probe->tls == FO_TLS_CHOICE ? read_choice(draft, &is_wanted) : NULL;
    const char *doubt = probe_tls_doubt(draft->tls_options, check->secret.kind);

    if (error || !is_wanted)
        return error;
    if (doubt)
        httpd_config_warn(httpd_place_of(draft->cmd),
                          apr_pstrcat(draft->cmd->pool, draft->service->name, ": ", doubt, NULL));
    check->key = apr_table_get(draft->tls_options, "key");
    return context_of(draft, &check->tls);
}

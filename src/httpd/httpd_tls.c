/* TLS of connections that mod_failover makes itself: the options, and the contexts they make. */
#include "httpd/httpd_declare.h"

#include "probe/probe_tls.h"

#include <string.h>

/* Equal options share a context: the system's authorities alone are over a megabyte. */
typedef struct shared_t {
    const char *key; /* all of the options */
    void *context;
} shared_t;

static const char *const keys[] = { "ca", "ca-path", "cert", "key", "verify", NULL };

const char *const *httpd_tls_options(const fo_probe_t *probe)
{
    static const char *const none[] = { NULL };
    static const char *const choice[] = { "tls", "ca",           "ca-path", "cert",
                                          "key", "key-password", "verify",  NULL };

    switch (probe->tls) {
    case FO_TLS_CHOICE:
        return choice;
    case FO_TLS_ALWAYS:
        return choice + 1;
    default:
        return none;
    }
}

/* False, with a message: it says something of TLS, and that it is not to be. */
static bool is_wanted(const httpd_draft_t *draft, const char **ret_error)
{
    const char *tls = apr_table_get(draft->tls_options, "tls");

    if (draft->check->probe->tls == FO_TLS_ALWAYS || (tls && strcmp(tls, "on") == 0))
        return true;
    if (tls && strcmp(tls, "off") != 0) {
        *ret_error = apr_psprintf(draft->cmd->pool, "tls=: '%s' is neither on nor off", tls);
        return false;
    }
    for (const char *const *key = keys; draft->check->probe->tls == FO_TLS_CHOICE && *key; key++)
        if (apr_table_get(draft->tls_options, *key))
            *ret_error = apr_psprintf(draft->cmd->pool, "%s= takes tls=on beside it", *key);
    if (draft->check->probe->tls == FO_TLS_CHOICE && draft->check->key_secret.kind)
        *ret_error = "key-password= takes tls=on beside it";
    return false;
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
    const char *error = NULL;

    if (!is_wanted(draft, &error))
        return error;
    if (probe_tls_trusts_all(draft->tls_options))
        httpd_config_warn(httpd_place_of(draft->cmd),
                          apr_psprintf(draft->cmd->pool,
                                       "%s: verify=off: whoever answers there is taken for the "
                                       "server%s",
                                       draft->service->name,
                                       check->secret.kind ? ", and is sent the password" : ""));
    check->key = apr_table_get(draft->tls_options, "key");
    return context_of(draft, &check->tls);
}

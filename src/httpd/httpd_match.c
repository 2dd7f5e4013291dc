/* FailoverErrorMatch, from the directives to the rules. */
#include "httpd/httpd_match.h"

#include "httpd/httpd_declare.h"

#include <string.h>

/* "proxy_http" of mod_proxy_http.c, proxy_http_module and the like. */
static const char *stem_of(const char *name, apr_pool_t *pool)
{
    static const char *const endings[] = { ".c", ".so", "_module" };
    char *stem = apr_pstrdup(pool, strncmp(name, "mod_", 4) == 0 ? name + 4 : name);

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t n = strlen(stem), m = strlen(endings[i]);
        if (n > m && strcmp(stem + n - m, endings[i]) == 0)
            stem[n - m] = '\0';
    }
    return stem;
}

/* As the log shows it, and httpd -M; or as its file is called. */
bool httpd_module_fits(const module *one, const char *wanted, apr_pool_t *pool)
{
    const char *stem = stem_of(wanted, pool);

    return fo_module_fits(httpd_module_name(one), stem) ||
           fo_module_fits(stem_of(one->name, pool), stem);
}

const char *httpd_module_name(const module *one)
{
    const char *name = ap_find_module_short_name(one->module_index);

    return name ? name : one->name;
}

static bool is_loaded(const char *wanted, apr_pool_t *pool)
{
    for (module **one = ap_loaded_modules; *one; one++)
        if (httpd_module_fits(*one, wanted, pool))
            return true;
    return false;
}

static const char *check_modules(const apr_array_header_t *modules, apr_pool_t *pool)
{
    for (int i = 0; i < modules->nelts; i++) {
        const char *name = APR_ARRAY_IDX(modules, i, const char *);
        if (!is_loaded(name, pool))
            return apr_psprintf(pool,
                                "from=: no module '%s' is loaded; httpd -M lists them, and "
                                "proxy_http, mod_proxy_http.c and proxy_http_module are the same",
                                name);
    }
    return NULL;
}

const char *httpd_match_declare(cmd_parms *cmd, void *unused, const char *args)
{
    httpd_service_t *service = httpd_declare_open(cmd);
    apr_array_header_t *matches = service ? service->matches
                                          : httpd_server_of(cmd->server)->matches;
    fo_match_t *match = NULL;
    const char *error = fo_match_parse(args, &match, cmd->pool);

    (void)unused;
    if (!error)
        error = check_modules(match->modules, cmd->pool);
    if (!error)
        APR_ARRAY_PUSH(matches, const fo_match_t *) = match;
    return httpd_prefixed(cmd, error);
}

unsigned httpd_module_count(void)
{
    unsigned n = 0;

    for (module **one = ap_loaded_modules; *one; one++)
        if ((unsigned)(*one)->module_index >= n)
            n = (unsigned)(*one)->module_index + 1;
    return n;
}

void httpd_match_relays(bool *is_relay, const fo_match_t *match, apr_pool_t *pool)
{
    for (module **one = ap_loaded_modules; *one; one++)
        for (int i = 0; i < match->modules->nelts; i++)
            if (httpd_module_fits(*one, APR_ARRAY_IDX(match->modules, i, const char *), pool))
                is_relay[(*one)->module_index] = true;
}

/* The lines of one level, on top of those below. */
static void lay(const apr_array_header_t *matches, apr_array_header_t *patterns, bool *is_relay,
                apr_pool_t *pool)
{
    for (int i = 0; i < matches->nelts; i++) {
        const fo_match_t *match = APR_ARRAY_IDX(matches, i, const fo_match_t *);
        if (match->replaces)
            apr_array_clear(patterns);
        apr_array_cat(patterns, match->patterns);
        httpd_match_relays(is_relay, match, pool);
    }
}

static const char *make_set(fo_rules_t *rules, const apr_array_header_t *below,
                            const apr_array_header_t *own, unsigned *ret_set)
{
    apr_pool_t *pool = rules->plan->pool;
    const fo_match_t *built_in = fo_match_built_in(pool);
    apr_array_header_t *patterns = apr_array_copy(pool, built_in->patterns);
    unsigned n_modules = httpd_module_count();
    bool *is_relay = apr_pcalloc(pool, n_modules * sizeof(*is_relay));

    httpd_match_relays(is_relay, built_in, pool);
    lay(below, patterns, is_relay, pool);
    if (own)
        lay(own, patterns, is_relay, pool);
    return fo_rules_add_set(rules, patterns, is_relay, n_modules, ret_set);
}

/* A set that servers with the same lines share. */
typedef struct shared_set_t {
    const apr_array_header_t *matches;
    unsigned set;
} shared_set_t;

static const char *set_of_server(fo_rules_t *rules, apr_array_header_t *sets,
                                 const apr_array_header_t *matches, unsigned *ret_set)
{
    shared_set_t made = { .matches = matches };
    const char *error;

    for (int i = 0; i < sets->nelts; i++) {
        if (APR_ARRAY_IDX(sets, i, shared_set_t).matches == matches) {
            *ret_set = APR_ARRAY_IDX(sets, i, shared_set_t).set;
            return NULL;
        }
    }
    error = make_set(rules, matches, NULL, &made.set);
    if (!error) {
        APR_ARRAY_PUSH(sets, shared_set_t) = made;
        *ret_set = made.set;
    }
    return error;
}

const char *httpd_match_rules(const fo_plan_t *plan, const apr_array_header_t *declared,
                              fo_rules_t **ret_rules)
{
    fo_rules_t *rules = fo_rules_make(plan);
    apr_array_header_t *sets = apr_array_make(plan->pool, 2, sizeof(shared_set_t));

    for (int i = 0; i < declared->nelts; i++) {
        const httpd_service_t *service = APR_ARRAY_IDX(declared, i, httpd_service_t *);
        const apr_array_header_t *below = httpd_server_of(service->server)->matches;
        unsigned set = 0;
        const char *error = service->matches->nelts ? make_set(rules, below, service->matches, &set)
                                                    : set_of_server(rules, sets, below, &set);
        if (error)
            return httpd_misplaced(service->place, "FailoverErrorMatch", error, plan->pool);
        fo_rules_listen(rules, fo_plan_service(plan, (unsigned)i), set);
    }
    fo_rules_finish(rules);
    *ret_rules = rules;
    return NULL;
}

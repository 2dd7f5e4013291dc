/* Where LogLevel hides the entries that would trigger pings. */
#include "httpd/httpd_match.h"

#include "core/fo_parse.h"

#include <http_log.h>
#include <string.h>

/* Whether a module's errors are hidden; the baton is the server or the words of a LogLevel. */
typedef bool (*is_hidden_fn)(const void *baton, const module *one, apr_pool_t *pool);

/* Sections that stand for a part of the URL space. */
static const char *const directories[] = {
    "<Directory", "<DirectoryMatch", "<Location", "<LocationMatch", "<Files",      "<FilesMatch",
    "<If",        "<ElseIf",         "<Else",     "<Proxy",         "<ProxyMatch",
};

static bool is_hidden_in_server(const void *baton, const module *one, apr_pool_t *pool)
{
    const server_rec *server = baton;

    (void)pool;
    return ap_get_server_module_loglevel(server, one->module_index) < APLOG_ERR;
}

static bool is_deaf(const char *level)
{
    static const char *const levels[] = { "emerg", "alert", "crit" };

    return fo_is_listed(level, levels, sizeof(levels) / sizeof(levels[0]));
}

/* A level for all makes httpd forget those of single modules. */
static bool is_hidden_by_words(const void *baton, const module *one, apr_pool_t *pool)
{
    const char *words = baton;
    bool is_hidden = false;

    while (*words) {
        char *word = ap_getword_conf(pool, &words);
        char *colon = strchr(word, ':');
        if (colon)
            *colon = '\0';
        if (!colon)
            is_hidden = is_deaf(word);
        else if (httpd_module_fits(one, word, pool))
            is_hidden = is_deaf(colon + 1);
    }
    return is_hidden;
}

static bool has_patterns(const fo_patterns_t *patterns)
{
    return fo_patterns_meet(patterns, patterns);
}

/* Some service listens to this module in this scope; NULL: in any. */
static bool is_listened_to(const module *one, const fo_scope_t *scope)
{
    const fo_rules_t *rules = httpd_config()->rules;

    for (unsigned i = 0; i < (unsigned)rules->plan->scopes->nelts; i++) {
        const apr_array_header_t *ears = rules->ears[i];
        for (int j = 0; (!scope || scope->index == i) && j < ears->nelts; j++) {
            const fo_rule_set_t *set = APR_ARRAY_IDX(ears, j, fo_ear_t).set;
            if (fo_rule_set_hears(set, one->module_index) && has_patterns(&set->patterns))
                return true;
        }
    }
    return false;
}

/* The modules that somebody listens to, and whose errors are hidden, as a list; NULL: none. */
static const char *list_hidden(is_hidden_fn is_hidden, const void *baton, const fo_scope_t *scope,
                               apr_pool_t *pool)
{
    const char *list = NULL;

    for (module **one = ap_loaded_modules; *one; one++)
        if (is_listened_to(*one, scope) && is_hidden(baton, *one, pool))
            list = apr_pstrcat(pool, list ? list : "", list ? ", " : "", httpd_module_name(*one),
                               NULL);
    return list;
}

static void warn(const char *file, int line, const char *list, apr_pool_t *pool)
{
    httpd_config_warn((httpd_place_t){ .file = file, .line = line },
                      apr_psprintf(pool,
                                   "LogLevel hides the errors of %s, so they trigger no ping; they "
                                   "do from LogLevel error on",
                                   list));
}

static bool is_directory(const ap_directive_t *section)
{
    return fo_is_listed(section->directive, directories,
                        sizeof(directories) / sizeof(directories[0]));
}

/* Calls back for each LogLevel in the tree; is_inside: below a section for a part of the URLs. */
typedef void (*found_fn)(const ap_directive_t *directive, bool is_inside, void *baton,
                         apr_pool_t *pool);

static void each_loglevel(const ap_directive_t *tree, bool is_inside, found_fn found, void *baton,
                          apr_pool_t *pool)
{
    for (; tree; tree = tree->next) {
        if (strcasecmp(tree->directive, "LogLevel") == 0)
            found(tree, is_inside, baton, pool);
        if (strcasecmp(tree->directive, "<VirtualHost") != 0 || is_inside)
            each_loglevel(tree->first_child, is_inside || is_directory(tree), found, baton, pool);
        else /* a virtual host's own is judged with its server */
            each_loglevel(tree->first_child, false, found, NULL, pool);
    }
}

static void judge_directory(const ap_directive_t *directive, bool is_inside, void *baton,
                            apr_pool_t *pool)
{
    const ap_directive_t **last = baton;
    const char *list;

    if (!is_inside && last)
        *last = directive;
    list = is_inside ? list_hidden(is_hidden_by_words, directive->args, NULL, pool) : NULL;
    if (list)
        warn(directive->filename, directive->line_num, list, pool);
}

void httpd_match_warn_deaf(server_rec *main_server, apr_pool_t *pool)
{
    const char *of_main = list_hidden(is_hidden_in_server, main_server,
                                      httpd_server_of(main_server)->scope, pool);
    const ap_directive_t *last = NULL; /* of the main server's own */

    each_loglevel(ap_conftree, false, judge_directory, &last, pool);
    if (of_main)
        warn(last ? last->filename : "the configuration", last ? last->line_num : 0, of_main, pool);
    for (const server_rec *s = main_server->next; s; s = s->next) {
        const char *list = list_hidden(is_hidden_in_server, s, httpd_server_of(s)->scope, pool);
        if (list && (!of_main || strcmp(list, of_main) != 0))
            warn(s->defn_name, (int)s->defn_line_number, list, pool);
    }
}

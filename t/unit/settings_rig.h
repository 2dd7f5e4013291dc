/*
 * settings_rig.h: for unit tests of what settings do to a request's tables: the tables, services
 * with their settings, and what a CGI would see.
 */
#ifndef SETTINGS_RIG_H
#define SETTINGS_RIG_H

#include "core/fo_settings.h"

#include "unit.h"

static fo_plan_t *plan;
static fo_policy_t policy;
static fo_layer_t layer;
static int n_bare;
static unsigned next_serial;

/* The expressions of these tests: what X holds now, and a word. "" yields nothing. */
static inline const char *evaluate(void *baton, const fo_service_t *service,
                                   const fo_setting_t *setting)
{
    const char *word = setting->expression;
    const char *now = apr_table_get(layer.env, setting->name);

    (void)baton;
    (void)service;
    return word[0] ? apr_pstrcat(pool, now ? now : "", word, NULL) : NULL;
}

static inline void bare_alias(void *baton, const fo_service_t *service, const fo_setting_t *setting)
{
    (void)service;
    (void)setting;
    ++*(int *)baton;
}

static inline void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
    layer = (fo_layer_t){
        .env = apr_table_make(pool, 4),
        .notes = apr_table_make(pool, 4),
        .undo = fo_settings_undo_make(pool),
        .evaluate = evaluate,
        .bare_alias = bare_alias,
        .baton = &n_bare,
        .pool = pool,
    };
}

/* A service that does this and that while it is down. One without a name ends the list. */
static inline fo_service_t *make(const char *name, const fo_setting_t *settings)
{
    apr_array_header_t *list = apr_array_make(pool, 2, sizeof(fo_setting_t));

    for (; settings->name; settings++) {
        fo_setting_t setting = *settings;
        setting.serial = next_serial++;
        APR_ARRAY_PUSH(list, fo_setting_t) = setting;
    }
    fo_service_t *service = unit_service(plan, name, &policy,
                                         apr_pstrcat(pool, "tcp://", name, ":1", NULL), list);
    service->initials = fo_settings_initials(service);
    return service;
}

static inline void apply(const fo_service_t *service)
{
    fo_seen_t seen = { .service = service, .word = { FO_SERVICE_DOWN, 0, 7 }, .epoch = "7" };

    fo_settings_apply(&layer, &seen);
}

static inline void undo(void)
{
    fo_settings_undo(&layer, layer.undo, false);
}

static inline const char *env(const char *name)
{
    return apr_table_get(layer.env, name);
}

/* All of a table, in its order: "A=1;B=2;". */
static inline const char *dump(const apr_table_t *table)
{
    const apr_array_header_t *array = apr_table_elts(table);
    const char *text = "";

    for (int i = 0; i < array->nelts; i++) {
        const apr_table_entry_t *entry = &APR_ARRAY_IDX(array, i, apr_table_entry_t);
        text = apr_pstrcat(pool, text, entry->key, "=", entry->val, ";", NULL);
    }
    return text;
}

/* What mod_env does in fixups. */
static inline void set_env(const char *name, const char *value)
{
    apr_table_t *vars = apr_table_make(pool, 1);

    apr_table_set(vars, name, value);
    layer.env = apr_table_overlay(pool, layer.env, vars);
}

/* What a CGI gets to see: the last of several. */
static inline const char *cgi(const char *name)
{
    apr_table_t *seen = apr_table_make(pool, 8);

    apr_table_overlap(seen, layer.env, APR_OVERLAP_TABLES_SET);
    return apr_table_get(seen, name);
}

/* What a service may do to the variable X, and what that comes to. */
typedef struct kind_t {
    const char *name;
    fo_setting_t settings[2];
} kind_t;

static const kind_t kinds[] = {
    { "plain", { { FO_SETTING_SET, "X", "plain", NULL, 0 } } },
    { "gone", { { FO_SETTING_UNSET, "X", NULL, NULL, 0 } } },
    { "more", { { FO_SETTING_SET, "X", NULL, "+more", 0 } } },
    { "alias", { { FO_SETTING_ALIAS, "X", "Y", NULL, 0 } } },
};

/* Of X, which holds this or is not there. */
static inline const char *model(const char *value, const char *kind)
{
    if (strcmp(kind, "plain") == 0)
        return "plain";
    if (strcmp(kind, "gone") == 0)
        return NULL;
    if (strcmp(kind, "more") == 0)
        return apr_pstrcat(pool, value ? value : "", "+more", NULL);
    return value ? "stand-in" : NULL;
}

#endif

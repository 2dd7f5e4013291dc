#include "core/fo_settings.h"

#include "unit.h"

static fo_plan_t *plan;
static fo_policy_t policy;
static fo_layer_t layer;
static int n_bare;
static unsigned next_serial;

/* The expressions of these tests: what X holds now, and a word. "" yields nothing. */
static const char *evaluate(void *baton, const fo_service_t *service, const fo_setting_t *setting)
{
    const char *word = setting->expression;
    const char *now = apr_table_get(layer.env, setting->name);

    (void)baton;
    (void)service;
    return word[0] ? apr_pstrcat(pool, now ? now : "", word, NULL) : NULL;
}

static void bare_alias(void *baton, const fo_service_t *service, const fo_setting_t *setting)
{
    (void)service;
    (void)setting;
    ++*(int *)baton;
}

static void setup(void)
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
static fo_service_t *make(const char *name, const fo_setting_t *settings)
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

static void apply(const fo_service_t *service)
{
    fo_seen_t seen = { .service = service, .word = { FO_SERVICE_DOWN, 0, 7 }, .epoch = "7" };

    fo_settings_apply(&layer, &seen);
}

static void undo(void)
{
    fo_settings_undo(&layer, layer.undo, false);
}

static const char *env(const char *name)
{
    return apr_table_get(layer.env, name);
}

/* All of a table, in its order: "A=1;B=2;". */
static const char *dump(const apr_table_t *table)
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
static void set_env(const char *name, const char *value)
{
    apr_table_t *vars = apr_table_make(pool, 1);

    apr_table_set(vars, name, value);
    layer.env = apr_table_overlay(pool, layer.env, vars);
}

/* What a CGI gets to see: the last of several. */
static const char *cgi(const char *name)
{
    apr_table_t *seen = apr_table_make(pool, 8);

    apr_table_overlap(seen, layer.env, APR_OVERLAP_TABLES_SET);
    return apr_table_get(seen, name);
}

/* Three services on one variable, in every order and every combination of states */

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

static const char *model(const char *value, const char *kind)
{
    if (strcmp(kind, "plain") == 0)
        return "plain";
    if (strcmp(kind, "gone") == 0)
        return NULL;
    if (strcmp(kind, "more") == 0)
        return apr_pstrcat(pool, value ? value : "", "+more", NULL);
    return value ? "stand-in" : NULL;
}

static const int orders[6][3] = {
    { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 }, { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 },
};

/* The three of the four kinds that leave out one. */
static const kind_t *kind_of(int left_out, int i)
{
    return &kinds[i < left_out ? i : i + 1];
}

/* A new request that comes with these. */
static void make_originals(bool is_present)
{
    apr_table_clear(layer.env);
    apr_table_set(layer.env, "Y", "stand-in");
    if (is_present)
        apr_table_set(layer.env, "X", "original");
    layer.undo = fo_settings_undo_make(pool);
}

/* Applies those that are down, in their order; the value that must stand there then. */
static const char *apply_down(fo_service_t *const *services, unsigned down, const char *value)
{
    for (int i = 0; i < 3; i++) {
        if (!(down >> i & 1))
            continue;
        apply(services[i]);
        value = model(value, services[i]->name);
    }
    return value;
}

START_TEST(three_services_on_one_variable)
{
    fo_service_t *services[3];

    for (int i = 0; i < 3; i++) {
        const kind_t *kind = kind_of(_i / 6, orders[_i % 6][i]);
        services[i] = make(kind->name, kind->settings);
    }
    for (unsigned down = 0; down < 16; down++) {
        const char *original = down & 8 ? "original" : NULL;
        make_originals(original);
        for (int pass = 0; pass < 3; pass++) {
            const char *wanted = apply_down(services, down & 7, original);
            ck_assert_pstr_eq(env("X"), wanted);
            ck_assert(pass > 0 || !fo_settings_lost(&layer));
            undo();
            ck_assert_pstr_eq(env("X"), original);
            ck_assert_str_eq(env("Y"), "stand-in");
            ck_assert_int_eq(apr_table_elts(layer.env)->nelts, original ? 2 : 1);
            ck_assert_str_eq(dump(layer.notes), "");
            ck_assert_int_eq(layer.undo->nelts, 0);
        }
    }
}
END_TEST

/* mod_env between the passes */

static const struct {
    const char *early;    /* what SetEnvIf left; NULL: nothing */
    const char *set_env;  /* what mod_env brings */
    const char *seen;     /* by an expression of the late pass */
    const char *for_cgi;  /* after an undo */
} overlays[] = {
    { NULL, "s", "s", "s" },
    { "o", "s", "o", "s" },
    { "o", NULL, "o", "o" },
    { NULL, NULL, NULL, NULL },
};

START_TEST(late_pass_starts_from_the_originals)
{
    const fo_service_t *first = make("plain", kinds[0].settings);
    const fo_service_t *second = make("more", kinds[2].settings);
    const fo_service_t *one = _i < COUNT(overlays) ? NULL : first;
    int row = _i % COUNT(overlays);
    const char *late = one ? "plain+more"
                           : apr_pstrcat(pool, overlays[row].seen ? overlays[row].seen : "",
                                         "+more", NULL);

    if (overlays[row].early)
        apr_table_set(layer.env, "X", overlays[row].early);
    if (one)
        apply(one);
    apply(second);
    if (overlays[row].set_env)
        set_env("X", overlays[row].set_env);
    undo();
    ck_assert_pstr_eq(env("X"), overlays[row].seen);
    ck_assert_pstr_eq(cgi("X"), overlays[row].for_cgi);
    if (one)
        apply(one);
    apply(second);
    ck_assert_pstr_eq(env("X"), late);
    ck_assert_pstr_eq(cgi("X"), late);
    undo();
    ck_assert_pstr_eq(env("X"), overlays[row].seen);
}
END_TEST

/* SetEnv's value lies behind ours, so that a CGI would get it: the late pass must remove it. */
START_TEST(late_pass_leaves_one_entry)
{
    const fo_service_t *service = make("plain", kinds[0].settings);

    apply(service);
    set_env("X", "s");
    ck_assert_str_eq(cgi("X"), "s");
    undo();
    apply(service);
    ck_assert_str_eq(cgi("X"), "plain");
    ck_assert_ptr_null(strstr(dump(layer.env), "X=s;"));
}
END_TEST

START_TEST(unset_holds_behind_mod_env)
{
    const fo_service_t *service = make("gone", kinds[1].settings);

    apr_table_set(layer.env, "X", "o");
    apply(service);
    ck_assert_ptr_null(env("X"));
    set_env("X", "s");
    undo();
    ck_assert_ptr_nonnull(env("X"));
    ck_assert_str_eq(cgi("X"), "s");
    apply(service);
    ck_assert_ptr_null(env("X"));
}
END_TEST

/* An expression that reads its own variable is applied once over both passes. */
START_TEST(expression_is_applied_once)
{
    const fo_service_t *service = make("more", kinds[2].settings);

    apr_table_set(layer.env, "X", "o");
    for (int pass = 0; pass < 3; pass++) {
        undo();
        apply(service);
        ck_assert_str_eq(env("X"), "o+more");
    }
}
END_TEST

/* A partly applied failover is given back as far as it went. */
START_TEST(failed_expression_leaves_the_variable_alone)
{
    const fo_setting_t settings[] = {
        { FO_SETTING_SET, "X", NULL, "", 0 },
        { FO_SETTING_SET, "Z", NULL, "", 0 },
        { FO_SETTING_SET, "W", "w", NULL, 0 },
        { 0 },
    };
    const fo_service_t *service = make("s", settings);

    apr_table_set(layer.env, "X", "o");
    apply(service);
    ck_assert_str_eq(env("X"), "o");
    ck_assert_ptr_null(env("Z"));
    ck_assert_str_eq(env("W"), "w");
    undo();
    ck_assert_str_eq(dump(layer.env), "X=o;");
}
END_TEST

START_TEST(names_ignore_case)
{
    const fo_setting_t settings[] = { { FO_SETTING_SET, "x", "plain", NULL, 0 }, { 0 } };

    apr_table_set(layer.env, "X", "o");
    apply(make("s", settings));
    ck_assert_str_eq(env("X"), "plain");
    undo();
    ck_assert_str_eq(dump(layer.env), "X=o;");
}
END_TEST

/* Aliases */

static const fo_setting_t database[] = { { FO_SETTING_ALIAS, "DB_SLAVE_", "DB_DEFAULT_", NULL, 0 },
                                         { 0 } };

static void set_all(const char *const *pairs)
{
    for (; *pairs; pairs += 2)
        apr_table_set(layer.env, pairs[0], pairs[1]);
}

static const char *const databases[] = {
    "DB_SLAVE_HOST", "db2", "DB_SLAVE_PORT", "3307", "DB_DEFAULT_HOST", "db1",
    "DB_DEFAULT_NAME", "shop", NULL,
};

START_TEST(alias_takes_the_counterparts)
{
    const fo_service_t *service = make("replica", database);
    const char *before;

    set_all(databases);
    before = dump(layer.env);
    apply(service);
    ck_assert_str_eq(env("DB_SLAVE_HOST"), "db1");
    ck_assert_ptr_null(env("DB_SLAVE_PORT"));
    ck_assert_ptr_null(env("DB_SLAVE_NAME"));
    ck_assert_str_eq(env("DB_DEFAULT_HOST"), "db1");
    ck_assert_int_eq(n_bare, 0);
    undo();
    ck_assert_str_eq(env("DB_SLAVE_HOST"), "db2");
    ck_assert_str_eq(env("DB_SLAVE_PORT"), "3307");
    ck_assert_uint_eq(strlen(dump(layer.env)), strlen(before));
}
END_TEST

static const char *const lonely[] = { "DB_SLAVE_HOST", "db2", "DB_SLAVE_PORT", "3307", NULL };

START_TEST(alias_without_any_counterpart_touches_nothing)
{
    const fo_service_t *service = make("replica", database);

    set_all(lonely);
    apply(service);
    ck_assert_str_eq(env("DB_SLAVE_HOST"), "db2");
    ck_assert_str_eq(env("DB_SLAVE_PORT"), "3307");
    ck_assert_int_eq(n_bare, 1);
    undo();
    layer.bare_alias = NULL;
    apply(service);
    ck_assert_int_eq(n_bare, 1);
}
END_TEST

START_TEST(alias_without_variables_is_no_matter)
{
    apr_table_set(layer.env, "DB_DEFAULT_HOST", "db1");
    apply(make("replica", database));
    ck_assert_ptr_null(env("DB_SLAVE_HOST"));
    ck_assert_int_eq(n_bare, 0);
}
END_TEST

/* Of SetEnvIf's and SetEnv's value a CGI gets the last: so does the alias, and so the undo. */
START_TEST(alias_with_doubled_entries)
{
    const fo_service_t *service = make("replica", database);

    apr_table_set(layer.env, "DB_SLAVE_HOST", "early2");
    apr_table_set(layer.env, "DB_DEFAULT_HOST", "early1");
    apply(service);
    ck_assert_str_eq(env("DB_SLAVE_HOST"), "early1");
    set_env("DB_SLAVE_HOST", "late2");
    set_env("DB_DEFAULT_HOST", "late1");
    undo();
    apply(service);
    ck_assert_str_eq(env("DB_SLAVE_HOST"), "late1");
    ck_assert_str_eq(cgi("DB_SLAVE_HOST"), "late1");
    undo();
    ck_assert_ptr_nonnull(env("DB_SLAVE_HOST"));
    ck_assert_str_ne(env("DB_SLAVE_HOST"), "late1");
}
END_TEST

/* SetEnv's variables come late: the early pass finds none, the late one all. */
START_TEST(alias_of_late_variables)
{
    const fo_service_t *service = make("replica", database);

    apply(service);
    for (const char *const *pair = databases; *pair; pair += 2)
        set_env(pair[0], pair[1]);
    undo();
    apply(service);
    ck_assert_str_eq(env("DB_SLAVE_HOST"), "db1");
    ck_assert_ptr_null(env("DB_SLAVE_PORT"));
}
END_TEST

START_TEST(alias_sees_what_came_before)
{
    const fo_setting_t settings[] = { { FO_SETTING_SET, "DB_DEFAULT_HOST", "spare", NULL, 0 },
                                      { 0 } };
    const fo_service_t *before = make("db", settings);
    const fo_service_t *after = make("replica", database);

    set_all(databases);
    apply(before);
    apply(after);
    ck_assert_str_eq(env("DB_SLAVE_HOST"), "spare");
    undo();
    ck_assert_str_eq(env("DB_SLAVE_HOST"), "db2");
    ck_assert_str_eq(env("DB_DEFAULT_HOST"), "db1");
    apply(after);
    apply(before);
    ck_assert_str_eq(env("DB_SLAVE_HOST"), "db1");
    undo();
    ck_assert_str_eq(env("DB_SLAVE_HOST"), "db2");
}
END_TEST

/* A stand-in whose name begins with the alias is one of its variables as well. */
START_TEST(alias_that_covers_its_stand_in)
{
    const fo_setting_t settings[] = { { FO_SETTING_ALIAS, "DB_", "DB_DEFAULT_", NULL, 0 }, { 0 } };

    apr_table_set(layer.env, "DB_HOST", "db2");
    apr_table_set(layer.env, "DB_DEFAULT_HOST", "db1");
    apply(make("replica", settings));
    ck_assert_str_eq(env("DB_HOST"), "db1");
    undo();
    ck_assert_str_eq(env("DB_HOST"), "db2");
    ck_assert_str_eq(env("DB_DEFAULT_HOST"), "db1");
}
END_TEST

/* Notes and exports */

START_TEST(notes_are_given_back)
{
    const fo_setting_t settings[] = {
        { FO_SETTING_NOTE, "X", "ours", NULL, 0 },
        { FO_SETTING_NOTE, "Y", "new", NULL, 0 },
        { 0 },
    };

    apr_table_set(layer.notes, "X", "theirs");
    apr_table_set(layer.env, "X", "variable");
    apply(make("s", settings));
    ck_assert_str_eq(apr_table_get(layer.notes, "X"), "ours");
    ck_assert_str_eq(apr_table_get(layer.notes, "Y"), "new");
    ck_assert_str_eq(env("X"), "variable");
    undo();
    ck_assert_str_eq(dump(layer.notes), "X=theirs;");
}
END_TEST

static const struct {
    fo_word_t word;
    const char *state, *endpoint, *epoch;
} exports[] = {
    { { FO_SERVICE_DOWN, 0, 1 }, "down", "tcp://redis-east:1", "1" },
    { { FO_SERVICE_FAILOVER, 1, 42 }, "failover", "west", "42" },
    { { FO_SERVICE_DOWN, 1, 3000000000u }, "down", "west", "3000000000" },
};

START_TEST(exports_of_a_service)
{
    static const fo_setting_t none[] = { { 0 } };
    fo_service_t *service = make("redis-east", none);
    fo_seen_t seen = { .service = service, .word = exports[_i].word, .epoch = exports[_i].epoch };

    fo_plan_add_endpoint(plan, service, "west", "tcp://west:1", 0.5,
                         fo_plan_target(plan, "tcp://west:1"));
    apr_table_set(layer.env, "FAILOVER_REDIS_EAST", "theirs");
    fo_settings_apply(&layer, &seen);
    ck_assert_str_eq(env("FAILOVER_REDIS_EAST"), exports[_i].state);
    ck_assert_str_eq(env("FAILOVER_REDIS_EAST_ENDPOINT"), exports[_i].endpoint);
    ck_assert_str_eq(env("FAILOVER_REDIS_EAST_EPOCH"), exports[_i].epoch);
    ck_assert_str_eq(apr_table_get(layer.notes, "failover:redis-east"), exports[_i].state);
    ck_assert_str_eq(apr_table_get(layer.notes, "failover:redis-east:endpoint"),
                     exports[_i].endpoint);
    undo();
    ck_assert_str_eq(dump(layer.env), "FAILOVER_REDIS_EAST=theirs;");
    ck_assert_str_eq(dump(layer.notes), "");
}
END_TEST

/* Losing a variable to others */

START_TEST(lost_when_someone_else_wrote)
{
    apply(make("plain", kinds[0].settings));
    ck_assert(!fo_settings_lost(&layer));
    apr_table_set(layer.env, "X", "theirs");
    ck_assert(fo_settings_lost(&layer));
}
END_TEST

START_TEST(lost_when_removed_or_there_again)
{
    apr_table_set(layer.env, "X", "o");
    apply(make("gone", kinds[1].settings));
    ck_assert(!fo_settings_lost(&layer));
    apr_table_set(layer.env, "X", "o");
    ck_assert(fo_settings_lost(&layer));
    make_originals(false);
    apply(make("plain", kinds[0].settings));
    ck_assert(!fo_settings_lost(&layer));
    apr_table_unset(layer.env, "X");
    ck_assert(fo_settings_lost(&layer));
}
END_TEST

START_TEST(not_lost_to_our_own_next_service)
{
    apr_table_set(layer.env, "X", "o");
    apply(make("gone", kinds[1].settings));
    apply(make("plain", kinds[0].settings));
    apply(make("more", kinds[2].settings));
    ck_assert(!fo_settings_lost(&layer));
}
END_TEST

START_TEST(others_values_stay_on_undo)
{
    apr_table_set(layer.env, "X", "o");
    apply(make("plain", kinds[0].settings));
    apr_table_set(layer.env, "X", "plain"); /* equal, but not ours */
    apr_table_setn(layer.notes, "failover:plain", "theirs");
    undo();
    ck_assert_str_eq(env("X"), "plain");
    ck_assert_str_eq(apr_table_get(layer.notes, "failover:plain"), "theirs");
}
END_TEST

START_TEST(an_unset_variable_that_is_there_again_stays)
{
    apr_table_set(layer.env, "X", "o");
    apply(make("gone", kinds[1].settings));
    apr_table_set(layer.env, "X", "theirs");
    undo();
    ck_assert_str_eq(env("X"), "theirs");
}
END_TEST

/* Passes over one request */

START_TEST(passes_do_not_lengthen_the_list)
{
    const fo_service_t *service = make("plain", kinds[0].settings);
    int n;

    apr_table_set(layer.env, "X", "o");
    apply(service);
    n = layer.undo->nelts;
    for (int pass = 0; pass < 10; pass++) {
        undo();
        apply(service);
    }
    ck_assert_int_eq(layer.undo->nelts, n);
}
END_TEST

/* An expression's value differs in each pass; the service behind it has the last word. */
START_TEST(not_lost_after_several_passes)
{
    const fo_service_t *first = make("more", kinds[2].settings);
    const fo_service_t *second = make("plain", kinds[0].settings);

    apr_table_set(layer.env, "X", "o");
    for (int pass = 0; pass < 3; pass++) {
        undo();
        ck_assert_str_eq(env("X"), "o");
        apply(first);
        apply(second);
        ck_assert_str_eq(env("X"), "plain");
        ck_assert_msg(!fo_settings_lost(&layer), "in pass %d", pass);
    }
    apr_table_set(layer.env, "X", "theirs");
    ck_assert(fo_settings_lost(&layer));
}
END_TEST

/* Sub-requests: the variables are copied from the parent, the notes are not, the list is new. */
static void become_sub_request(void)
{
    layer.env = apr_table_copy(pool, layer.env);
    layer.notes = apr_table_make(pool, 2);
    layer.undo = fo_settings_undo_make(pool);
}

static const struct {
    const char *early, *late; /* the parent's, from SetEnvIf and SetEnv */
    const char *sub;          /* SetEnv's in the sub-request's directory */
    const char *original;     /* what its expressions see */
    const char *unset;        /* the same where the service had unset it: SetEnv has the say */
} families[] = {
    { "o", NULL, NULL, "o", "o" },
    { "o", NULL, "s", "o", "s" },
    { NULL, NULL, NULL, NULL, NULL },
    { NULL, NULL, "s", "s", "s" },
    { NULL, "p", NULL, "p", "p" },
    { NULL, "p", "p", "p", "p" },
};

/* The parent's passes, early and late. */
static void pass_twice(const fo_service_t *service, const char *early, const char *late)
{
    if (early)
        apr_table_set(layer.env, "X", early);
    apply(service);
    if (late)
        set_env("X", late);
    undo();
    apply(service);
}

START_TEST(sub_request_starts_from_the_originals)
{
    const kind_t *kind = &kinds[_i / COUNT(families)];
    const fo_service_t *service = make(kind->name, kind->settings);
    int row = _i % COUNT(families);
    const char *original = strcmp(kind->name, "gone") == 0 ? families[row].unset
                                                           : families[row].original;
    fo_layer_t parent;
    int n;

    pass_twice(service, families[row].early, families[row].late);
    parent = layer;
    n = parent.undo->nelts;
    become_sub_request();
    if (families[row].sub)
        set_env("X", families[row].sub);
    fo_settings_undo(&layer, parent.undo, false);
    ck_assert_int_eq(parent.undo->nelts, n);
    ck_assert_pstr_eq(env("X"), original);
    ck_assert_ptr_null(env(service->env_state));
    apply(service);
    ck_assert_pstr_eq(env("X"), model(original, kind->name));
    ck_assert_pstr_eq(cgi("X"), model(original, kind->name));
    ck_assert_str_eq(apr_table_get(layer.notes, service->note_state), "down");
    undo();
    ck_assert_pstr_eq(env("X"), original);
    ck_assert_str_eq(dump(layer.notes), "");
    layer = parent;
    undo();
    ck_assert_pstr_eq(env("X"), families[row].early ? families[row].early : families[row].late);
}
END_TEST

START_TEST(sub_request_leaves_the_parent_alone)
{
    const fo_service_t *service = make("more", kinds[2].settings);
    fo_layer_t parent;

    apr_table_set(layer.env, "X", "o");
    apply(service);
    parent = layer;
    become_sub_request();
    fo_settings_undo(&layer, parent.undo, false);
    apply(service);
    ck_assert_str_eq(apr_table_get(parent.env, "X"), "o+more");
    ck_assert_str_eq(apr_table_get(parent.notes, "failover:more"), "down");
    ck_assert_str_eq(env("X"), "o+more");
}
END_TEST

/*
 * A stranger's list: that of a sub-request whose variables have been laid over ours, as a redirect
 * without a new request does. What it wrote is taken back; what it unset had never been here.
 */
START_TEST(strangers_values_go_strangers_gaps_stay)
{
    const fo_setting_t settings[] = {
        { FO_SETTING_SET, "X", "ours", NULL, 0 },
        { FO_SETTING_UNSET, "Z", NULL, NULL, 0 },
        { 0 },
    };
    const fo_service_t *service = make("s", settings);
    fo_layer_t parent = layer;

    become_sub_request();
    apr_table_set(layer.env, "X", "o");
    apr_table_set(layer.env, "Z", "of the sub-request");
    apply(service);
    apr_array_header_t *strangers = layer.undo;
    parent.env = apr_table_overlay(pool, layer.env, parent.env);
    layer = parent;
    fo_settings_undo(&layer, strangers, true);
    ck_assert_str_eq(env("X"), "o");
    ck_assert_ptr_null(env("Z"));
    ck_assert_ptr_null(env("FAILOVER_S"));
    ck_assert_int_gt(strangers->nelts, 0);
}
END_TEST

static fo_snapshot_t *see(const fo_seen_t *seen, unsigned n)
{
    fo_snapshot_t *snapshot = apr_palloc(pool, sizeof(*snapshot) + n * sizeof(*seen));

    snapshot->is_plain = true;
    snapshot->n = n;
    memcpy(snapshot->seen, seen, n * sizeof(*seen));
    return snapshot;
}

/* A plain service's short way must write what the long way writes. */
START_TEST(plain_writes_the_same)
{
    static const fo_setting_t plain[] = {
        { .kind = FO_SETTING_SET, .name = "X", .value = "spare" },
        { .kind = FO_SETTING_UNSET, .name = "Y" },
        { .kind = FO_SETTING_NOTE, .name = "n", .value = "note" },
        { .name = NULL },
    };
    fo_service_t *service = make("plain", plain);
    fo_seen_t seen = { .service = service, .word = { FO_SERVICE_DOWN, 0, 7 }, .epoch = "7" };
    fo_snapshot_t *snapshot = see(&seen, 1);
    fo_run_t run = { 0 };
    apr_table_t *env = apr_table_make(pool, 4), *notes = apr_table_make(pool, 4);

    ck_assert(fo_settings_are_plain(service->settings));
    apr_table_set(layer.env, "Y", "original");
    apr_table_set(env, "Y", "original");
    fo_settings_apply(&layer, &seen);
    for (int pass = 0; pass < 2; pass++) {
        fo_settings_write_plain(env, snapshot, &run);
        fo_settings_write_plain_notes(notes, snapshot);
        ck_assert_str_eq(dump(env), dump(layer.env));
        ck_assert_str_eq(dump(notes), dump(layer.notes));
        ck_assert(!fo_settings_lost_plain(env, snapshot, &run));
    }
    apr_table_set(env, "Y", "another");
    ck_assert(fo_settings_lost_plain(env, snapshot, &run));
    fo_settings_write_plain(env, snapshot, &run);
    apr_table_set(env, "X", "another");
    ck_assert(fo_settings_lost_plain(env, snapshot, &run));
}
END_TEST

/* Two plain services that change different variables, and how often a table holds a name. */

static fo_snapshot_t *two_plain(void)
{
    static const fo_setting_t one[] = {
        { .kind = FO_SETTING_SET, .name = "DB_HOST", .value = "spare" },
        { .kind = FO_SETTING_SET, .name = "DB_PORT", .value = "3307" },
        { .name = NULL },
    };
    static const fo_setting_t other[] = {
        { .kind = FO_SETTING_SET, .name = "CACHE", .value = "none" },
        { .kind = FO_SETTING_UNSET, .name = "CACHE_KEY" },
        { .name = NULL },
    };
    fo_seen_t seen[] = {
        { .service = make("one", one), .word = { FO_SERVICE_DOWN, 0, 7 }, .epoch = "7" },
        { .service = make("other", other), .word = { FO_SERVICE_DOWN, 0, 3 }, .epoch = "3" },
    };

    return see(seen, 2);
}

static int count_name(void *n, const char *key, const char *value)
{
    (void)key;
    (void)value;
    ++*(int *)n;
    return 1;
}

static int times(const apr_table_t *table, const char *name)
{
    int n = 0;

    apr_table_do(count_name, &n, table, name, NULL);
    return n;
}

static void write_plain(fo_snapshot_t *snapshot, fo_run_t *run)
{
    fo_settings_write_plain(layer.env, snapshot, run);
    ck_assert_str_eq(env("DB_HOST"), "spare");
    ck_assert_str_eq(env("DB_PORT"), "3307");
    ck_assert_str_eq(env("CACHE"), "none");
    ck_assert_ptr_null(env("CACHE_KEY"));
    ck_assert_str_eq(env("FAILOVER_ONE"), "down");
    ck_assert_str_eq(env("FAILOVER_OTHER_EPOCH"), "3");
    ck_assert_int_eq(times(layer.env, "DB_HOST"), 1);
    ck_assert_int_eq(times(layer.env, "FAILOVER_ONE"), 1);
    ck_assert(!fo_settings_lost_plain(layer.env, snapshot, run));
}

/* What may happen to a table between two writings. */

static void nothing(void)
{
}

static void another_comes(void)
{
    apr_table_setn(layer.env, "DB_USER", "shop");
}

static void one_is_set(void)
{
    apr_table_setn(layer.env, "db_host", "theirs");
}

static void one_is_unset(void)
{
    apr_table_unset(layer.env, "DB_PORT");
}

static void one_before_goes(void)
{
    apr_table_unset(layer.env, "FIRST");
}

static void one_is_added(void)
{
    apr_table_addn(layer.env, "DB_HOST", "theirs");
}

static void an_unset_one_comes(void)
{
    apr_table_addn(layer.env, "CACHE_KEY", "theirs");
}

/* What mod_env does: the table is another, and holds names twice. */
static void it_is_laid_over(void)
{
    apr_table_t *theirs = apr_table_make(pool, 2);

    apr_table_setn(theirs, "DB_HOST", "theirs");
    apr_table_setn(theirs, "CACHE_KEY", "theirs");
    layer.env = apr_table_overlay(pool, layer.env, theirs);
}

static void it_is_another(void)
{
    layer.env = apr_table_make(pool, 2);
}

static const struct {
    void (*happens)(void);
    bool is_lost;    /* a lookup finds another value than ours */
    bool is_in_order; /* there is nothing to write */
} between[] = {
    { nothing, false, true },
    { another_comes, false, true },
    { one_is_set, true, false },
    { one_is_unset, true, false },
    { one_before_goes, false, false },
    { one_is_added, false, false },
    { an_unset_one_comes, true, false },
    { it_is_laid_over, true, false },
    { it_is_another, true, false },
};

START_TEST(plain_is_written_again_where_it_must)
{
    fo_snapshot_t *snapshot = two_plain();
    fo_run_t run = { 0 };

    apr_table_setn(layer.env, "FIRST", "1");
    write_plain(snapshot, &run);
    ck_assert_int_eq(run.n, 9);
    between[_i].happens();
    ck_assert_int_eq(fo_settings_lost_plain(layer.env, snapshot, &run), between[_i].is_lost);
    write_plain(snapshot, &run);
    ck_assert_int_eq(run.n, between[_i].is_in_order || run.first == 0 ? 9 : 0);
    write_plain(snapshot, &run);
}
END_TEST

/* Variables that are there already are not added: nobody shall find them twice. */
START_TEST(plain_finds_a_name_there)
{
    static const char *const names[] = { "DB_HOST", "db_port", "CACHE", "CACHE_KEY",
                                         "FAILOVER_ONE", "FAILOVER_OTHER_ENDPOINT" };
    fo_snapshot_t *snapshot = two_plain();
    fo_run_t run = { 0 };

    apr_table_addn(layer.env, names[_i], "before");
    apr_table_addn(layer.env, names[_i], "before");
    write_plain(snapshot, &run);
    ck_assert_int_eq(run.n, 0);
    write_plain(snapshot, &run);
}
END_TEST

START_TEST(plain_names_one_twice)
{
    static const fo_setting_t twice[] = {
        { .kind = FO_SETTING_SET, .name = "X", .value = "1" },
        { .kind = FO_SETTING_SET, .name = "x", .value = "2" },
        { .name = NULL },
    };
    static const fo_setting_t export[] = {
        { .kind = FO_SETTING_SET, .name = "FAILOVER_E", .value = "1" },
        { .name = NULL },
    };
    fo_seen_t seen = { .service = make("twice", twice), .word = { FO_SERVICE_DOWN, 0, 7 },
                       .epoch = "7" };
    fo_run_t run = { 0 };

    ck_assert_uint_eq(seen.service->initials, 0);
    ck_assert_uint_eq(make("e", export)->initials, 0);
    fo_settings_write_plain(layer.env, see(&seen, 1), &run);
    ck_assert_str_eq(env("X"), "2");
    ck_assert_int_eq(times(layer.env, "X"), 1);
}
END_TEST

START_TEST(plain_observes)
{
    fo_snapshot_t *snapshot = two_plain();
    fo_run_t run = { 0 };

    ((fo_service_t *)snapshot->seen[0].service)->policy.value[FO_POLICY_OBSERVE] = 1;
    for (int pass = 0; pass < 2; pass++) {
        fo_settings_write_plain(layer.env, snapshot, &run);
        ck_assert_ptr_null(env("DB_HOST"));
        ck_assert_ptr_null(env("FAILOVER_ONE"));
        ck_assert_str_eq(env("CACHE"), "none");
        ck_assert_int_eq(run.n, 4);
    }
}
END_TEST

START_TEST(what_is_not_plain)
{
    static const fo_setting_t settings[] = {
        { .kind = FO_SETTING_ALIAS, .name = "A_", .value = "B_" },
        { .kind = FO_SETTING_SET, .name = "X", .value = "%{env:Y}", .expression = "" },
        { .kind = FO_SETTING_NOTE, .name = "X", .value = "%{env:Y}", .expression = "" },
    };
    apr_array_header_t *one = apr_array_make(pool, 1, sizeof(fo_setting_t));

    APR_ARRAY_PUSH(one, fo_setting_t) = settings[_i];
    ck_assert(!fo_settings_are_plain(one));
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_settings");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, plain_writes_the_same);
    tcase_add_loop_test(tc, plain_is_written_again_where_it_must, 0, COUNT(between));
    tcase_add_loop_test(tc, plain_finds_a_name_there, 0, 6);
    tcase_add_test(tc, plain_names_one_twice);
    tcase_add_test(tc, plain_observes);
    tcase_add_loop_test(tc, what_is_not_plain, 0, 3);
    tcase_add_loop_test(tc, three_services_on_one_variable, 0, COUNT(kinds) * 6);
    tcase_add_loop_test(tc, late_pass_starts_from_the_originals, 0, 2 * COUNT(overlays));
    tcase_add_test(tc, late_pass_leaves_one_entry);
    tcase_add_test(tc, unset_holds_behind_mod_env);
    tcase_add_test(tc, expression_is_applied_once);
    tcase_add_test(tc, failed_expression_leaves_the_variable_alone);
    tcase_add_test(tc, names_ignore_case);
    tcase_add_test(tc, alias_takes_the_counterparts);
    tcase_add_test(tc, alias_without_any_counterpart_touches_nothing);
    tcase_add_test(tc, alias_without_variables_is_no_matter);
    tcase_add_test(tc, alias_with_doubled_entries);
    tcase_add_test(tc, alias_of_late_variables);
    tcase_add_test(tc, alias_sees_what_came_before);
    tcase_add_test(tc, alias_that_covers_its_stand_in);
    tcase_add_test(tc, notes_are_given_back);
    tcase_add_loop_test(tc, exports_of_a_service, 0, COUNT(exports));
    tcase_add_test(tc, lost_when_someone_else_wrote);
    tcase_add_test(tc, lost_when_removed_or_there_again);
    tcase_add_test(tc, not_lost_to_our_own_next_service);
    tcase_add_test(tc, others_values_stay_on_undo);
    tcase_add_test(tc, an_unset_variable_that_is_there_again_stays);
    tcase_add_test(tc, passes_do_not_lengthen_the_list);
    tcase_add_test(tc, not_lost_after_several_passes);
    tcase_add_loop_test(tc, sub_request_starts_from_the_originals, 0, 3 * COUNT(families));
    tcase_add_test(tc, sub_request_leaves_the_parent_alone);
    tcase_add_test(tc, strangers_values_go_strangers_gaps_stay);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

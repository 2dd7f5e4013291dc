/* What settings do to a request's tables, and how the originals come back. */
#include "settings_rig.h"

/* Three services on one variable, in every order and every combination of states */

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

static Suite *suite(void)
{
    Suite *s = suite_create("fo_settings");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
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
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

/* Several passes over one request, sub-requests, and the short way of what is plain. */
#include "settings_rig.h"

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
    Suite *s = suite_create("fo_settings_passes");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, plain_writes_the_same);
    tcase_add_loop_test(tc, plain_is_written_again_where_it_must, 0, COUNT(between));
    tcase_add_loop_test(tc, plain_finds_a_name_there, 0, 6);
    tcase_add_test(tc, plain_names_one_twice);
    tcase_add_test(tc, plain_observes);
    tcase_add_loop_test(tc, what_is_not_plain, 0, 3);
    tcase_add_test(tc, passes_do_not_lengthen_the_list);
    tcase_add_test(tc, not_lost_after_several_passes);
    tcase_add_loop_test(tc, sub_request_starts_from_the_originals, 0, 3 * COUNT(families));
    tcase_add_test(tc, sub_request_leaves_the_parent_alone);
    tcase_add_test(tc, strangers_values_go_strangers_gaps_stay);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

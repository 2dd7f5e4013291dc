/* From lines of FailoverErrorMatch to who listens where, and which hosts an entry may name. */
#include "rules_rig.h"

static fo_plan_t *plan;
static fo_rules_t *rules;

static void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
}

static const fo_scope_t *scope_of(fo_service_t *a, fo_service_t *b)
{
    fo_service_t *const both[] = { a, b };
    apr_array_header_t *services = apr_array_make(pool, 2, sizeof(fo_service_t *));

    for (int i = 0; i < COUNT(both); i++)
        if (both[i])
            APR_ARRAY_PUSH(services, fo_service_t *) = both[i];
    return fo_plan_scope(plan, services);
}

static bool hears_for(const fo_ear_t *ear, const fo_service_t *service)
{
    unsigned target = unit_target(service)->index;

    return ear->targets[target / 64] >> target % 64 & 1;
}

static const fo_ear_t *ear_at(const fo_scope_t *scope, int i)
{
    ck_assert_int_lt(i, rules->ears[scope->index]->nelts);
    return &APR_ARRAY_IDX(rules->ears[scope->index], i, const fo_ear_t);
}

START_TEST(an_empty_plan)
{
    const fo_scope_t *scope = unit_scope(plan);
    const fo_known_host_t *end;

    rules = fo_rules_make(plan);
    fo_rules_finish(rules);
    ck_assert_int_eq(rules->ears[scope->index]->nelts, 0);
    ck_assert_ptr_null(fo_rules_host(rules, fo_host_hash("db", 2, 1), &end));
}
END_TEST

/* Services of one scope that have the same lines share one ear. */
START_TEST(a_set_is_shared)
{
    fo_service_t *services[70];
    const fo_scope_t *scope;
    unsigned one, other;

    for (int i = 0; i < COUNT(services); i++)
        services[i] = rig_service(plan, apr_psprintf(pool, "s%d", i), "db:1");
    rules = fo_rules_make(plan);
    one = rig_set(rules, "EPIPE \"gone\"", rig_relays);
    other = rig_set(rules, "only ECONNRESET \"gone\"", rig_core_relays);
    ck_assert_uint_ne(one, other);
    for (int i = 0; i < COUNT(services); i++)
        fo_rules_listen(rules, services[i], i % 2 ? other : one);
    scope = unit_scope(plan);
    fo_rules_finish(rules);
    ck_assert_int_eq(rules->ears[scope->index]->nelts, 2);
    for (int i = 0; i < COUNT(services); i++)
        for (int ear = 0; ear < 2; ear++)
            ck_assert_int_eq(hears_for(ear_at(scope, ear), services[i]), ear == i % 2);
    ck_assert_ptr_eq(ear_at(scope, 0)->set->is_relay, rig_relays);
    ck_assert_ptr_eq(ear_at(scope, 1)->set->is_relay, rig_core_relays);
    ck_assert_uint_eq(ear_at(scope, 0)->set->n_modules, RIG_N_MODULES);
}
END_TEST

/* Two sets that have a pattern in common have one number for it. */
START_TEST(a_pattern_has_one_number)
{
    const fo_service_t *a = rig_service(plan, "a", "db:1"), *b = rig_service(plan, "b", "db:2");
    const fo_patterns_t *of_a, *of_b;
    const fo_scope_t *scope;

    rules = fo_rules_make(plan);
    fo_rules_listen(rules, a, rig_set(rules, "EPIPE \"gone\"", rig_relays));
    fo_rules_listen(rules, b, rig_set(rules, "\"lost\" \"gone\"", rig_relays));
    scope = unit_scope(plan);
    fo_rules_finish(rules);
    of_a = &ear_at(scope, 0)->set->patterns;
    of_b = &ear_at(scope, 1)->set->patterns;
    ck_assert_uint_eq(of_a->bits[0], 3);
    ck_assert_uint_eq(of_b->bits[0], 6);
    ck_assert(fo_patterns_meet(of_a, of_b));
}
END_TEST

START_TEST(a_scope_hears_for_its_own_services)
{
    fo_service_t *all = rig_service(plan, "all", "db:1"), *own = rig_service(plan, "own", "db:2");
    const fo_scope_t *server, *host;
    unsigned set;

    rules = fo_rules_make(plan);
    set = rig_set(rules, "EPIPE", rig_relays);
    fo_rules_listen(rules, all, set);
    fo_rules_listen(rules, own, set);
    server = scope_of(all, NULL);
    host = scope_of(all, own);
    fo_rules_finish(rules);
    ck_assert(hears_for(ear_at(server, 0), all));
    ck_assert(!hears_for(ear_at(server, 0), own));
    ck_assert(hears_for(ear_at(host, 0), all));
    ck_assert(hears_for(ear_at(host, 0), own));
}
END_TEST

START_TEST(too_many_patterns)
{
    apr_array_header_t *patterns = apr_array_make(pool, 300, sizeof(fo_pattern_t));
    unsigned set = 4711;

    for (int i = 0; i <= FO_PATTERNS_MAX; i++) {
        fo_pattern_t pattern = { .kind = FO_PATTERN_LITERAL };
        pattern.text = pattern.literal = apr_psprintf(pool, "literal %d", i);
        APR_ARRAY_PUSH(patterns, fo_pattern_t) = pattern;
    }
    rules = fo_rules_make(plan);
    unit_expect(fo_rules_add_set(rules, patterns, rig_relays, RIG_N_MODULES, &set),
                "more than 256 different patterns");
    ck_assert_uint_eq(set, 4711);
}
END_TEST

/* Hosts */

static bool is_same_host(const char *a, unsigned a_port, const char *b, unsigned b_port)
{
    return fo_host_hash(a, strlen(a), a_port) == fo_host_hash(b, strlen(b), b_port);
}

START_TEST(a_host_is_its_name_in_any_case_and_its_port)
{
    ck_assert(is_same_host("db.example.com", 3306, "DB.Example.COM", 3306));
    ck_assert(is_same_host("2001:DB8::A", 1, "2001:db8::a", 1));
    ck_assert(!is_same_host("db", 3306, "db", 3307));
    ck_assert(!is_same_host("db", 0x0102, "db", 0x0201));
    ck_assert(!is_same_host("db1", 1, "db2", 1));
    ck_assert(!is_same_host("db", 1, "d", 1));
    ck_assert(!is_same_host("@db", 1, "`db", 1)); /* beside the letters case is no matter */
    ck_assert(!is_same_host("[db", 1, "{db", 1));
    ck_assert_uint_eq(fo_host_hash("dbxyz", 2, 1), fo_host_hash("db", 2, 1));
}
END_TEST

static unsigned n_known(const char *host, unsigned port, const fo_service_t *service)
{
    apr_uint64_t hash = fo_host_hash(host, strlen(host), port);
    const fo_known_host_t *end, *known = fo_rules_host(rules, hash, &end);
    unsigned n = 0;

    for (; known && known < end && known->hash == hash; known++)
        n += !service || known->target == unit_target(service)->index;
    return n;
}

START_TEST(each_host_is_known)
{
    const fo_service_t *a = rig_service(plan, "a", "db:1 cache:2"),
                       *b = rig_service(plan, "b", "DB:1 db:2"),
                       *none = rig_service(plan, "none", "");

    ck_assert_int_eq(unit_target(none)->hosts->nelts, 0);
    rules = fo_rules_make(plan);
    fo_rules_finish(rules);
    ck_assert_uint_eq(n_known("db", 1, NULL), 2);
    ck_assert_uint_eq(n_known("db", 1, a), 1);
    ck_assert_uint_eq(n_known("db", 1, b), 1);
    ck_assert_uint_eq(n_known("cache", 2, a), 1);
    ck_assert_uint_eq(n_known("db", 2, b), 1);
    ck_assert_uint_eq(n_known("db", 2, NULL), 1);
    ck_assert_uint_eq(n_known("cache", 1, NULL), 0);
    ck_assert_uint_eq(n_known("", 1, NULL), 0);
}
END_TEST

/* The first, the last, and all between. */
START_TEST(any_number_of_hosts)
{
    for (int n = 1; n < 70; n += n < 5 ? 1 : 13) {
        plan = fo_plan_make(pool);
        for (int i = 0; i < n; i++)
            rig_service(plan, apr_psprintf(pool, "s%d", i), apr_psprintf(pool, "h%d:%d", i, i + 1));
        rules = fo_rules_make(plan);
        fo_rules_finish(rules);
        for (int i = 0; i < n; i++)
            ck_assert_uint_eq(n_known(apr_psprintf(pool, "h%d", i), (unsigned)i + 1,
                                      fo_plan_service(plan, (unsigned)i)), 1);
        ck_assert_uint_eq(n_known("h", 1, NULL), 0);
    }
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_rules");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, an_empty_plan);
    tcase_add_test(tc, a_set_is_shared);
    tcase_add_test(tc, a_pattern_has_one_number);
    tcase_add_test(tc, a_scope_hears_for_its_own_services);
    tcase_add_test(tc, too_many_patterns);
    tcase_add_test(tc, a_host_is_its_name_in_any_case_and_its_port);
    tcase_add_test(tc, each_host_is_known);
    tcase_add_test(tc, any_number_of_hosts);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

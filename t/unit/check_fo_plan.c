#include "core/fo_plan.h"

#include "unit.h"

static fo_plan_t *plan;
static fo_policy_t policy;

static void setup(void)
{
    unit_setup();
    plan = fo_plan_make(pool);
    policy = unit_policy();
}

static apr_array_header_t *list(fo_service_t *a, fo_service_t *b, fo_service_t *c)
{
    fo_service_t *const all[] = { a, b, c };
    apr_array_header_t *services = apr_array_make(pool, 3, sizeof(fo_service_t *));

    for (int i = 0; i < COUNT(all); i++)
        if (all[i])
            APR_ARRAY_PUSH(services, fo_service_t *) = all[i];
    return services;
}

START_TEST(empty_plan)
{
    const fo_scope_t *scope = unit_scope(plan);

    ck_assert_int_eq(plan->services->nelts, 0);
    ck_assert_ptr_null(fo_plan_find(plan, "db"));
    ck_assert_ptr_null(fo_scope_find(scope, "db"));
    ck_assert_ptr_eq(unit_scope(plan), scope);
}
END_TEST

START_TEST(indexes_follow_the_order)
{
    fo_service_t *a = unit_service(plan, "a", &policy, "tcp://a:1", NULL);
    fo_service_t *b = unit_service(plan, "b", &policy, "tcp://b:1", NULL);

    ck_assert_uint_eq(a->index, 0);
    ck_assert_uint_eq(b->index, 1);
    ck_assert_ptr_eq(fo_plan_service(plan, 1), b);
    ck_assert_uint_eq(fo_service_endpoint(b, 0)->index, 1);
    ck_assert_ptr_eq(fo_plan_endpoint(plan, 1), fo_service_endpoint(b, 0));
    ck_assert_ptr_eq(fo_plan_target_at(plan, 1), unit_target(b));
    ck_assert_ptr_eq(fo_service_endpoint(b, 0)->service, b);
}
END_TEST

START_TEST(names_and_exports)
{
    const apr_array_header_t *none = apr_array_make(pool, 1, sizeof(fo_setting_t));
    fo_service_t *own = fo_plan_add_service(plan, "Redis-east", NULL, &policy, none, plan);
    fo_service_t *hosted = fo_plan_add_service(plan, "db", "www.example.com:443", &policy, none,
                                               NULL);

    ck_assert_str_eq(own->full_name, "Redis-east");
    ck_assert_str_eq(hosted->full_name, "db@www.example.com:443");
    ck_assert_str_eq(hosted->name, "db");
    ck_assert_ptr_eq(own->owner, plan);
    ck_assert_str_eq(own->env_state, "FAILOVER_REDIS_EAST");
    ck_assert_str_eq(own->env_endpoint, "FAILOVER_REDIS_EAST_ENDPOINT");
    ck_assert_str_eq(own->env_epoch, "FAILOVER_REDIS_EAST_EPOCH");
    ck_assert_str_eq(own->note_state, "failover:Redis-east");
    ck_assert_str_eq(own->note_endpoint, "failover:Redis-east:endpoint");
}
END_TEST

START_TEST(the_plan_keeps_its_own_copies)
{
    char name[] = "db", key[] = "tcp://h:1";
    apr_array_header_t *settings = apr_array_make(pool, 1, sizeof(fo_setting_t));
    fo_service_t *service;

    APR_ARRAY_PUSH(settings, fo_setting_t) = (fo_setting_t){ .name = "X", .value = "1" };
    service = unit_service(plan, name, &policy, key, settings);
    memset(name, '?', 2);
    memset(key, '?', 2);
    policy.value[FO_POLICY_FALL] = 9;
    apr_array_clear(settings);
    ck_assert_str_eq(service->name, "db");
    ck_assert_str_eq(unit_target(service)->key, "tcp://h:1");
    ck_assert_int_eq(service->policy.value[FO_POLICY_FALL], 1);
    ck_assert_int_eq(service->settings->nelts, 1);
}
END_TEST

START_TEST(equal_checks_are_one)
{
    fo_service_t *a = unit_service(plan, "a", &policy, "tcp://h:1", NULL);
    fo_service_t *b = unit_service(plan, "b", &policy, "tcp://h:1", NULL);
    fo_service_t *c = unit_service(plan, "c", &policy, "tcp://h:2", NULL);
    fo_target_t *shared = unit_target(a);

    ck_assert_ptr_eq(unit_target(b), shared);
    ck_assert_ptr_ne(unit_target(c), shared);
    ck_assert_int_eq(plan->targets->nelts, 2);
    ck_assert_int_eq(plan->endpoints->nelts, 3);
    ck_assert_int_eq(shared->endpoints->nelts, 2);
    ck_assert_ptr_eq(fo_target_endpoint(shared, 0)->service, a);
    ck_assert_ptr_eq(fo_target_endpoint(shared, 1)->service, b);
}
END_TEST

START_TEST(scopes_of_the_same_services_are_one)
{
    fo_service_t *a = unit_service(plan, "a", &policy, "tcp://a:1", NULL);
    fo_service_t *b = unit_service(plan, "b", &policy, "tcp://b:1", NULL);
    const fo_scope_t *ab = fo_plan_scope(plan, list(a, b, NULL));
    const fo_scope_t *only_b = fo_plan_scope(plan, list(b, NULL, NULL));

    ck_assert_ptr_eq(fo_plan_scope(plan, list(a, b, NULL)), ab);
    ck_assert_ptr_ne(only_b, ab);
    ck_assert_ptr_ne(fo_plan_scope(plan, list(b, a, NULL)), ab);
    ck_assert_ptr_ne(fo_plan_scope(plan, list(NULL, NULL, NULL)), ab);
    ck_assert_int_eq(plan->scopes->nelts, 4);
    ck_assert_ptr_eq(fo_plan_scope_at(plan, 1), only_b);
}
END_TEST

START_TEST(a_service_knows_its_places)
{
    fo_service_t *a = unit_service(plan, "a", &policy, "tcp://a:1", NULL);
    fo_service_t *b = unit_service(plan, "b", &policy, "tcp://b:1", NULL);

    fo_plan_scope(plan, list(a, b, NULL));
    fo_plan_scope(plan, list(b, NULL, NULL));
    fo_plan_scope(plan, list(b, NULL, NULL));
    ck_assert_int_eq(a->places->nelts, 1);
    ck_assert_int_eq(b->places->nelts, 2);
    for (int i = 0; i < 2; i++) {
        fo_place_t place = APR_ARRAY_IDX(b->places, i, fo_place_t);
        const fo_scope_t *scope = fo_plan_scope_at(plan, place.scope);
        ck_assert_ptr_eq(fo_scope_service(scope, place.position), b);
    }
}
END_TEST

/* A scope keeps the services it was made of, whatever becomes of the list. */
START_TEST(a_scope_copies_its_list)
{
    fo_service_t *a = unit_service(plan, "a", &policy, "tcp://a:1", NULL);
    const fo_scope_t *scope = unit_scope(plan);

    unit_service(plan, "b", &policy, "tcp://b:1", NULL);
    ck_assert_int_eq(scope->services->nelts, 1);
    ck_assert_ptr_eq(fo_scope_service(scope, 0), a);
}
END_TEST

/* A virtual host's service hides the server's in its own scope. */
START_TEST(names_are_found_as_variables)
{
    fo_service_t *server = unit_service(plan, "blog-db", &policy, "tcp://a:1", NULL);
    fo_service_t *hosted = unit_service(plan, "Blog_DB", &policy, "tcp://b:1", NULL);
    const fo_scope_t *hosts = fo_plan_scope(plan, list(hosted, NULL, NULL));

    ck_assert_ptr_eq(fo_scope_find(hosts, "blog-db"), hosted);
    ck_assert_ptr_eq(fo_scope_find(hosts, "BLOG_DB"), hosted);
    ck_assert_ptr_null(fo_scope_find(hosts, "blog"));
    ck_assert_ptr_eq(fo_plan_find(plan, "blog_db"), server);
    ck_assert_ptr_null(fo_plan_find(plan, "blogdb"));
}
END_TEST

START_TEST(several_endpoints_of_one_service)
{
    fo_service_t *service = unit_service(plan, "redis", &policy, "tcp://east:1", NULL);
    fo_endpoint_t *west = fo_plan_add_endpoint(plan, service, "west", "tcp://west:1", 0.5,
                                               fo_plan_target(plan, "tcp://west:1"));

    ck_assert_int_eq(service->endpoints->nelts, 2);
    ck_assert_ptr_eq(fo_service_endpoint(service, 1), west);
    ck_assert_str_eq(west->name, "west");
    ck_assert_double_eq(west->weight, 0.5);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_plan");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_test(tc, empty_plan);
    tcase_add_test(tc, indexes_follow_the_order);
    tcase_add_test(tc, names_and_exports);
    tcase_add_test(tc, the_plan_keeps_its_own_copies);
    tcase_add_test(tc, equal_checks_are_one);
    tcase_add_test(tc, scopes_of_the_same_services_are_one);
    tcase_add_test(tc, a_service_knows_its_places);
    tcase_add_test(tc, a_scope_copies_its_list);
    tcase_add_test(tc, names_are_found_as_variables);
    tcase_add_test(tc, several_endpoints_of_one_service);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

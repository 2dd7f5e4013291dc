/*
 * unit.h: what the unit tests share: a pool for each test, messages that must hold certain words,
 * plans built by hand, and a main() that prints TAP.
 */
#ifndef UNIT_H
#define UNIT_H

#include "core/fo_settings.h"

#include <apr_general.h>
#include <check.h>
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define COUNT(array) (int)(sizeof(array) / sizeof((array)[0]))

#define MS ((apr_interval_time_t)1000)
#define SEC APR_USEC_PER_SEC

/* Fresh in each test. */
static apr_pool_t *pool;

static inline void unit_setup(void)
{
    apr_initialize();
    apr_pool_create(&pool, NULL);
}

static inline void unit_teardown(void)
{
    apr_pool_destroy(pool);
    apr_terminate();
}

/* So many more can be opened, at most three. Returns the usual limit, to be set again. */
static inline struct rlimit unit_leave_descriptors(int n)
{
    int taken[4] = { 0 };
    struct rlimit usual, few;

    for (int i = 0; i <= n; i++)
        taken[i] = dup(0);
    getrlimit(RLIMIT_NOFILE, &usual);
    few = (struct rlimit){ .rlim_cur = (rlim_t)taken[n], .rlim_max = usual.rlim_max };
    setrlimit(RLIMIT_NOFILE, &few);
    for (int i = 0; i <= n; i++)
        close(taken[i]);
    return usual;
}

/* A suite of one case, whose tests have a pool. */
static inline TCase *unit_case(const char *name)
{
    TCase *tc = tcase_create(name);

    tcase_add_checked_fixture(tc, unit_setup, unit_teardown);
    return tc;
}

/* words NULL: accepted; else the message holds each of them, which '|' parts. */
static inline void unit_expect(const char *message, const char *words)
{
    if (!words) {
        ck_assert_msg(!message, "refused: %s", message);
        return;
    }
    ck_assert_msg(message != NULL, "accepted, but should say: %s", words);
    char *last, *copy = strdup(words);
    for (char *word = strtok_r(copy, "|", &last); word; word = strtok_r(NULL, "|", &last))
        ck_assert_msg(strstr(message, word) != NULL, "'%s' is missing in: %s", word, message);
    free(copy);
}

/* The built-in numbers with exact spans: no spread. No outage lasts too long. */
static inline fo_policy_t unit_policy(void)
{
    fo_policy_t policy = *fo_policy_built_in();

    policy.value[FO_POLICY_SPREAD] = 0;
    policy.value[FO_POLICY_ATTEMPT] = 3650 * 24 * 3600 * SEC;
    return policy;
}

/* A service with one endpoint, pinged by the target of this key. settings may be NULL. */
static inline fo_service_t *unit_service(fo_plan_t *plan, const char *name,
                                         const fo_policy_t *policy, const char *key,
                                         const apr_array_header_t *settings)
{
    const apr_array_header_t *none = apr_array_make(plan->pool, 1, sizeof(fo_setting_t));
    fo_service_t *service = fo_plan_add_service(plan, name, NULL, policy,
                                                settings ? settings : none, NULL);
    fo_target_t *target = fo_plan_target(plan, key);

    target->timeout_up = policy->value[FO_POLICY_TIMEOUT_UP];
    target->timeout_down = policy->value[FO_POLICY_TIMEOUT_DOWN];
    fo_plan_add_endpoint(plan, service, key, key, 1, target);
    return service;
}

static inline fo_target_t *unit_target(const fo_service_t *service)
{
    return fo_service_endpoint(service, 0)->target;
}

/* The scope of all services of the plan. */
static inline const fo_scope_t *unit_scope(fo_plan_t *plan)
{
    return fo_plan_scope(plan, plan->services);
}

/* Memory for that many of each, not shared with anybody else. */
static inline fo_shared_t *unit_shared(unsigned n_targets, unsigned n_cells)
{
    fo_capacity_t capacity = { 4, n_targets + 8, n_targets, n_targets + 8, n_cells };

    return fo_shared_init(apr_pcalloc(pool, fo_shared_size(&capacity)), &capacity);
}

/* False: it took longer. Not by sem_clockwait(), which the thread sanitizer does not know. */
static inline bool unit_wait(sem_t *sem, apr_interval_time_t limit)
{
    struct timespec at;
    int error;

    clock_gettime(CLOCK_REALTIME, &at);
    limit += at.tv_nsec / 1000;
    at.tv_sec += limit / SEC;
    at.tv_nsec = limit % SEC * 1000;
    while ((error = sem_timedwait(sem, &at)) != 0 && errno == EINTR)
        ;
    return error == 0;
}

static inline int unit_run(Suite *suite)
{
    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_set_tap(runner, "-");
    srunner_run_all(runner, CK_SILENT);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#define UNIT_MAIN(suite)                                                                           \
    int main(void)                                                                                 \
    {                                                                                              \
        return unit_run(suite());                                                                  \
    }

#endif

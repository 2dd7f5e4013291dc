/* What a client that is turned away is told. */
#include "core/fo_retry.h"

#include "core/fo_lease.h"
#include "core/fo_row.h"

#include "unit.h"

#define NOW (1000 * SEC)
#define OUTAGE (30 * SEC) /* the frequency */
#define HOPE (120 * SEC)  /* FailoverAttempts: 10 spans of 12 s */

static fo_plan_t *plan;
static fo_service_t *db;
static fo_retry_t retry;

static void setup(void)
{
    fo_policy_t policy;

    unit_setup();
    policy = unit_policy();
    policy.value[FO_POLICY_OUTAGE] = OUTAGE;
    policy.value[FO_POLICY_ATTEMPTS] = 10;
    policy.value[FO_POLICY_ATTEMPT] = 12 * SEC;
    plan = fo_plan_make(pool);
    db = unit_service(plan, "db", &policy, "tcp://a:1", NULL);
    fo_plan_add_endpoint(plan, db, "spare", "tcp://b:2", 0.5, fo_plan_target(plan, "tcp://b:2"));
    retry = (fo_retry_t){ .plan = plan, .shared = unit_shared(2, 4), .now = NOW };
    ck_assert(fo_shared_adopt((fo_shared_t *)retry.shared, plan, NULL));
    retry.slot = fo_slot_claim((fo_shared_t *)retry.shared, 11, plan->generation, 1);
}

static void due(int slot, unsigned rank, apr_time_t due_at)
{
    fo_row_t row = { .state = FO_STATE_DOWN, .due_at = due_at };

    fo_row_write((fo_shared_t *)retry.shared, slot, fo_service_endpoint(db, rank)->seat, &row);
}

static const struct {
    apr_time_t due_at[2]; /* of its endpoints */
    apr_int64_t seconds;
} dues[] = {
    { { NOW + 5 * SEC, NOW + 9 * SEC }, 5 },
    { { NOW + 9 * SEC, NOW + 5 * SEC }, 5 },
    { { NOW + 5 * SEC + 1, FO_NEVER }, 6 }, /* never sooner than it can be of use */
    { { NOW + 1, NOW + 9 * SEC }, 1 },
    { { NOW, NOW + 9 * SEC }, 1 },
    { { NOW - 9 * SEC, NOW + 9 * SEC }, 1 },
    { { FO_NEVER, FO_NEVER }, 1 }, /* pings are under way */
};

START_TEST(when_the_next_ping_is_due)
{
    due(retry.slot, 0, dues[_i].due_at[0]);
    due(retry.slot, 1, dues[_i].due_at[1]);
    ck_assert_int_eq(fo_retry_after(&retry, db, NOW), dues[_i].seconds);
}
END_TEST

START_TEST(nothing_is_known)
{
    ck_assert_int_eq(fo_retry_after(&retry, db, NOW), 30);
    retry.slot = FO_SLOT_NONE;
    ck_assert_int_eq(fo_retry_after(&retry, db, NOW), 30);
    retry.shared = NULL;
    ck_assert_int_eq(fo_retry_after(&retry, db, NOW), 30);
}
END_TEST

START_TEST(it_lasts_too_long)
{
    ck_assert_int_eq(fo_retry_after(&retry, db, NOW - HOPE + 1), 30);
    ck_assert_int_eq(fo_retry_after(&retry, db, NOW - HOPE), 0);
}
END_TEST

/* The rows of one that follows are of no use. */
START_TEST(another_child_pings_for_all)
{
    fo_shared_t *shared = (fo_shared_t *)retry.shared;
    int leader = fo_slot_claim(shared, 12, plan->generation, 1);

    plan->ways.lease = 10 * SEC;
    ck_assert(fo_lease_take(shared, leader, plan->generation, NOW, 10 * SEC));
    for (unsigned rank = 0; rank < 2; rank++) {
        due(retry.slot, rank, NOW + 3 * SEC);
        due(leader, rank, NOW + 7 * SEC);
    }
    ck_assert_int_eq(fo_retry_after(&retry, db, NOW), 7);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("fo_retry");
    TCase *tc = tcase_create("all");

    tcase_add_checked_fixture(tc, setup, unit_teardown);
    tcase_add_loop_test(tc, when_the_next_ping_is_due, 0, COUNT(dues));
    tcase_add_test(tc, nothing_is_known);
    tcase_add_test(tc, it_lasts_too_long);
    tcase_add_test(tc, another_child_pings_for_all);
    suite_add_tcase(s, tc);
    return s;
}

UNIT_MAIN(suite)

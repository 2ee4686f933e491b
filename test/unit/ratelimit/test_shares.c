/* Shares by client, over limits, reloads, full tables; and how many gateways there are. */
#include "ratelimit/fixed_window.h"
#include "ratelimit/shares.h"
#include "ratelimit/token_bucket.h"
#include "test/unit/shm/fresh.h"

#define T0    (1000 * NS_PER_S)
#define EVERY (200 * NS_PER_MS)

static struct region *region;
static struct cells cells;

static void make(void)
{
    region = region_new(SMALL);
    region_begin(region);
    ck_assert(cells_table(region, STR("limits"), 4, &cells));
    region_commit(region);
}

static void drop(void)
{
    region_close(region);
}

static struct shares shares_of(const char *name, const struct algorithm *a, uint64_t count,
                               uint64_t burst, enum when_full when_full)
{
    struct limit l = { count, NS_PER_S, burst };
    struct remote r;
    struct shares s;

    ck_assert_ptr_null(remote_init(&r, a, &l, false, EVERY));
    shares_init(&s, region_header(region), &cells, str_from(name), &r, when_full);
    return s;
}

static void grant(const struct shares *s, uint64_t key, uint64_t count, uint64_t now_ns)
{
    struct remote_answer a = { .granted = count, .left = 50, .lasts_ns = NS_PER_S };

    shares_grant(s, key, now_ns, now_ns, &a);
}

static enum remote_verdict take(const struct shares *s, uint64_t key, uint64_t cost,
                                uint64_t now_ns)
{
    struct remote_taking t;

    shares_take(s, key, cost, now_ns, &t);
    return t.verdict;
}

START_TEST(test_clients_and_limits_have_shares_of_their_own)
{
    struct shares a = shares_of("a", &token_bucket, 100, 200, FULL_EVICT);
    struct shares b = shares_of("b", &token_bucket, 100, 200, FULL_EVICT);

    grant(&a, 11 << 20, 3, T0);
    ck_assert_int_eq(take(&b, 11 << 20, 1, T0), REMOTE_ASK);
    ck_assert_int_eq(take(&a, 12 << 20, 1, T0), REMOTE_ASK);
    ck_assert_int_eq(take(&a, 11 << 20, 3, T0), REMOTE_TAKEN);
    ck_assert_int_eq(take(&a, 11 << 20, 1, T0), REMOTE_ASK);
}
END_TEST

START_TEST(test_what_the_store_had_left_is_said)
{
    struct shares a = shares_of("a", &token_bucket, 100, 200, FULL_EVICT);
    struct remote_taking t;

    grant(&a, 11, 3, T0);
    shares_take(&a, 11, 1, T0, &t);
    ck_assert_uint_eq(remote_remaining(&a.remote, &t), 52);
}
END_TEST

/* Two snapshots of one limit at work at once, as in a reload. */
START_TEST(test_a_changed_limit_goes_on_with_the_share)
{
    struct shares was = shares_of("a", &token_bucket, 100, 200, FULL_EVICT);
    struct shares is = shares_of("a", &token_bucket, 50, 5, FULL_EVICT);
    struct shares other = shares_of("a", &fixed_window, 50, 5, FULL_EVICT);

    grant(&was, 11, 20, T0);
    ck_assert_int_eq(take(&was, 11, 12, T0), REMOTE_TAKEN);
    ck_assert_int_eq(take(&is, 11, 1, T0), REMOTE_TAKEN);
    ck_assert_int_eq(take(&was, 11, 5, T0), REMOTE_ASK);
    ck_assert_int_eq(take(&was, 11, 4, T0), REMOTE_TAKEN);
    /* another algorithm starts afresh */
    grant(&was, 11, 20, T0);
    ck_assert_int_eq(take(&other, 11, 1, T0), REMOTE_ASK);
}
END_TEST

START_TEST(test_a_share_that_nobody_used_for_long_is_forgotten)
{
    struct shares a = shares_of("a", &token_bucket, 100, 200, FULL_EVICT);

    grant(&a, 11, 20, T0);
    ck_assert_int_eq(take(&a, 11, 1, T0 + a.remote.idle_ns - 1), REMOTE_TAKEN);
    ck_assert_int_eq(take(&a, 11, 1, T0 + 3 * a.remote.idle_ns), REMOTE_ASK);
}
END_TEST

/* Four cells in one group, five clients. */
START_TEST(test_who_finds_no_cell_is_told_so_before_asking)
{
    struct shares a = shares_of("a", &token_bucket, 1, 200, _i ? FULL_EVICT : FULL_DENY);
    int held = 0;

    for (uint64_t i = 1; i <= 5; i++) {
        ck_assert(shares_has_place(&a, i << 32, T0 + i) == (i < 5 || _i));
        grant(&a, i << 32, 2, T0 + i);
    }
    for (uint64_t i = 1; i <= 5; i++)
        held += take(&a, i << 32, 1, T0 + 10) == REMOTE_TAKEN;
    ck_assert_int_eq(held, 4);
    ck_assert(shares_has_place(&a, UINT64_C(4) << 32, T0));
    ck_assert_uint_eq(shares_want(&a, _i ? UINT64_C(1) << 32 : UINT64_C(5) << 32, 1, 7, T0, T0), 7);
}
END_TEST

START_TEST(test_one_worker_asks_ahead_and_the_others_know)
{
    struct shares a = shares_of("a", &token_bucket, 1000, 2000, FULL_EVICT);
    uint64_t until = T0 + 150 * NS_PER_MS;

    grant(&a, 11, 20, T0);
    ck_assert_int_eq(take(&a, 11, 18, T0 + NS_PER_MS), REMOTE_TAKEN);
    ck_assert_uint_gt(shares_want(&a, 11, 1, 0, T0 + 100 * NS_PER_MS, until), 0);
    ck_assert_uint_eq(shares_want(&a, 11, 1, 0, T0 + 100 * NS_PER_MS, until), 0);
    /* who waits is not told to wait for a colleague, who may have died */
    ck_assert_uint_eq(shares_want(&a, 11, 1, 3, T0 + 100 * NS_PER_MS, until), 3);
    ck_assert_uint_gt(shares_want(&a, 11, 1, 0, until + NS_PER_MS, until + 100 * NS_PER_MS), 0);
}
END_TEST

/* Others may have given back, or the store may have begun anew. */
START_TEST(test_who_is_refused_for_long_is_asked_for_now_and_then)
{
    struct shares a = shares_of("a", &token_bucket, 1, 200, FULL_EVICT);
    struct remote_answer none = { .paced = true, .pace_ns = 100 * NS_PER_S };
    struct remote_taking t;

    shares_grant(&a, 11, T0, T0, &none);
    shares_take(&a, 11, 1, T0 + 20 * NS_PER_S, &t);
    ck_assert_int_eq(t.verdict, REMOTE_REFUSED);
    ck_assert(!t.low);
    shares_take(&a, 11, 1, T0 + 40 * NS_PER_S, &t);
    ck_assert_int_eq(t.verdict, REMOTE_REFUSED);
    ck_assert(t.low);
    ck_assert_uint_eq(shares_want(&a, 11, 1, 0, T0 + 40 * NS_PER_S, T0 + 41 * NS_PER_S), 1);
    ck_assert_uint_eq(shares_want(&a, 11, 1, 0, T0 + 40 * NS_PER_S, T0 + 41 * NS_PER_S), 0);
    grant(&a, 11, 1, T0 + 40 * NS_PER_S);
    ck_assert_int_eq(take(&a, 11, 1, T0 + 40 * NS_PER_S), REMOTE_TAKEN);
}
END_TEST

START_TEST(test_gateways_are_asked_for_by_one_worker_in_turn)
{
    struct gateways g;

    gateways_init(&g, region_header(region), &cells, STR("gw:"));
    ck_assert(gateways_is_due(&g, T0, NS_PER_S));
    ck_assert(!gateways_is_due(&g, T0, NS_PER_S));
    ck_assert(!gateways_is_due(&g, T0 + NS_PER_S / 2, NS_PER_S));
    ck_assert(gateways_is_due(&g, T0 + NS_PER_S, NS_PER_S));
    ck_assert(!gateways_is_due(&g, T0 + NS_PER_S, NS_PER_S));
}
END_TEST

START_TEST(test_a_gateway_that_knows_nothing_is_careful)
{
    struct gateways g;

    gateways_init(&g, region_header(region), &cells, STR("gw:"));
    ck_assert_uint_eq(gateways_count(&g), 1);
    ck_assert_uint_ge(gateways_most(&g), 3);
    gateways_seen(&g, 2, T0);
    ck_assert_uint_eq(gateways_count(&g), 2);
    ck_assert_uint_ge(gateways_most(&g), 3); /* others may be about to come */
    gateways_seen(&g, 2, T0 + NS_PER_S);
    ck_assert_uint_eq(gateways_most(&g), 2);
    gateways_seen(&g, 9, T0 + 2 * NS_PER_S);
    ck_assert_uint_eq(gateways_most(&g), 9);
    gateways_seen(&g, 3, T0 + 3 * NS_PER_S);
    ck_assert_uint_eq(gateways_count(&g), 9); /* the others may only have had a pause */
    ck_assert_uint_eq(gateways_most(&g), 9);
    gateways_seen(&g, 3, T0 + 4 * NS_PER_S);
    ck_assert_uint_eq(gateways_count(&g), 3);
    ck_assert(gateways_is_due(&g, T0 + 4 * NS_PER_S, NS_PER_S));
    ck_assert_uint_eq(gateways_count(&g), 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shares");
    TCase *t = tcase_create("shares");

    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_clients_and_limits_have_shares_of_their_own);
    tcase_add_test(t, test_what_the_store_had_left_is_said);
    tcase_add_test(t, test_a_changed_limit_goes_on_with_the_share);
    tcase_add_test(t, test_a_share_that_nobody_used_for_long_is_forgotten);
    tcase_add_loop_test(t, test_who_finds_no_cell_is_told_so_before_asking, 0, 2);
    tcase_add_test(t, test_one_worker_asks_ahead_and_the_others_know);
    tcase_add_test(t, test_who_is_refused_for_long_is_asked_for_now_and_then);
    tcase_add_test(t, test_gateways_are_asked_for_by_one_worker_in_turn);
    tcase_add_test(t, test_a_gateway_that_knows_nothing_is_careful);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

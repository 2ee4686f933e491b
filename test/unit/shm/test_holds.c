/* What is held now. */
#include "shm/holds.h"
#include "test/unit/shm/fresh.h"

static struct region *region;
static struct holds holds;
static uint32_t a, b;

static void make(void)
{
    struct seats_shared *seats;

    region = region_new(SMALL);
    region_begin(region);
    seats = seats_table(region);
    ck_assert(holds_table(region, STR("inflight"), 3, &holds));
    region_commit(region);
    a = seats_claim(seats, 100, SEAT_WORKER, 0, 1, 1);
    b = seats_claim(seats, 101, SEAT_WORKER, 1, 1, 1);
}

static void drop(void)
{
    region_close(region);
}

START_TEST(test_all_together_hold_at_most_the_maximum)
{
    for (int i = 0; i < 5; i++)
        ck_assert(holds_take(&holds, i % 2 ? a : b, 1, 5));
    ck_assert(!holds_take(&holds, a, 1, 5));
    ck_assert(!holds_take(&holds, b, 1, 5));
    ck_assert_uint_eq(holds_sum(&holds, 1), 5);
    holds_give(&holds, a, 1);
    ck_assert(holds_take(&holds, b, 1, 5));
    ck_assert(!holds_take(&holds, b, 1, 0));
    ck_assert_uint_eq(holds_sum(&holds, 0), 0);
    ck_assert_uint_eq(holds_sum(&holds, 2), 0);
}
END_TEST

START_TEST(test_what_a_dead_holder_held_is_free)
{
    for (int i = 0; i < 3; i++) {
        ck_assert(holds_take(&holds, a, 0, 100));
        ck_assert(holds_take(&holds, a, 2, 100));
        ck_assert(holds_take(&holds, b, 2, 100));
    }
    holds_retire_seat(region, a);
    ck_assert_uint_eq(holds_sum(&holds, 0), 0);
    ck_assert_uint_eq(holds_sum(&holds, 2), 3);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("holds");
    TCase *t = tcase_create("holds");

    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_all_together_hold_at_most_the_maximum);
    tcase_add_test(t, test_what_a_dead_holder_held_is_free);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

/* Who is alive. */
#include "shm/seats.h"
#include "test/unit/shm/fresh.h"

static struct region *region;
static struct seats_shared *seats;

static void make(void)
{
    region = region_new(SMALL);
    region_begin(region);
    seats = seats_table(region);
    region_commit(region);
}

static void drop(void)
{
    region_close(region);
}

START_TEST(test_the_lowest_free_seat_is_claimed)
{
    ck_assert_uint_eq(seats_claim(seats, 100, SEAT_WORKER, 0, 1, 5), 0);
    ck_assert_uint_eq(seats_claim(seats, 101, SEAT_CARETAKER, 0, 1, 5), 1);
    ck_assert_uint_eq(seats_claim(seats, 102, SEAT_WORKER, 3, 1, 5), 2);
    ck_assert_uint_eq(seats_high(seats), 3);
    ck_assert_uint_eq(seats_retire(seats, 101), 1);
    seats_free(seats, 1);
    ck_assert_uint_eq(seats_claim(seats, 103, SEAT_WORKER, 1, 1, 5), 1);
    ck_assert_uint_eq(seats_high(seats), 3);
    ck_assert_uint_eq(seats_view(seats, 1).holders, 2);
}
END_TEST

START_TEST(test_a_seat_says_who_holds_it_since_when)
{
    uint32_t seat = seats_claim(seats, 4242, SEAT_WORKER, 7, 3, 1000);
    struct seat_view v;

    seats_beat(seats, seat, 2000);
    v = seats_view(seats, seat);
    ck_assert_int_eq(v.pid, 4242);
    ck_assert_uint_eq(v.slot, 7);
    ck_assert_int_eq(v.role, SEAT_WORKER);
    ck_assert_int_eq(v.state, SEAT_ALIVE);
    ck_assert_uint_eq(v.oldest_generation, 3);
    ck_assert_uint_eq(v.since_ns, 1000);
    ck_assert_uint_eq(v.heartbeat_ns, 2000);
}
END_TEST

START_TEST(test_all_seats_taken_is_said_and_not_fatal)
{
    for (int i = 0; i < SEATS_MAX; i++)
        ck_assert_uint_eq(seats_claim(seats, 100 + i, SEAT_WORKER, 0, 1, 1), (uint32_t)i);
    ck_assert_uint_eq(seats_claim(seats, 999, SEAT_WORKER, 0, 1, 1), SEAT_NONE);
}
END_TEST

START_TEST(test_a_retired_seat_is_nobodys_until_it_is_freed)
{
    ck_assert_uint_eq(seats_claim(seats, 100, SEAT_WORKER, 0, 1, 1), 0);
    ck_assert_uint_eq(seats_retire(seats, 55), SEAT_NONE);
    ck_assert_uint_eq(seats_retire(seats, 100), 0);
    ck_assert_uint_eq(seats_find(seats, SEAT_WORKER, 0), SEAT_NONE);
    ck_assert_uint_eq(seats_claim(seats, 101, SEAT_WORKER, 0, 1, 1), 1);
    /* a master that was killed here has a successor that asks again */
    ck_assert_uint_eq(seats_retire(seats, 100), 0);
    seats_free(seats, 0);
    ck_assert_uint_eq(seats_retire(seats, 100), SEAT_NONE);
    ck_assert_uint_eq(seats_claim(seats, 102, SEAT_WORKER, 0, 1, 1), 0);
}
END_TEST

START_TEST(test_seats_are_found_by_role)
{
    ck_assert_uint_eq(seats_claim(seats, 1, SEAT_WORKER, 0, 1, 1), 0);
    ck_assert_uint_eq(seats_claim(seats, 2, SEAT_CARETAKER, 0, 1, 1), 1);
    ck_assert_uint_eq(seats_claim(seats, 3, SEAT_WORKER, 1, 1, 1), 2);
    ck_assert_uint_eq(seats_find(seats, SEAT_WORKER, 0), 0);
    ck_assert_uint_eq(seats_find(seats, SEAT_WORKER, 1), 2);
    ck_assert_uint_eq(seats_find(seats, SEAT_WORKER, 3), SEAT_NONE);
    ck_assert_uint_eq(seats_find(seats, SEAT_CARETAKER, 0), 1);
}
END_TEST

START_TEST(test_the_oldest_generation_is_that_of_the_living)
{
    ck_assert_uint_eq(seats_oldest_generation(seats), UINT64_MAX);
    ck_assert_uint_eq(seats_claim(seats, 1, SEAT_WORKER, 0, 5, 1), 0);
    ck_assert_uint_eq(seats_claim(seats, 2, SEAT_WORKER, 1, 3, 1), 1);
    ck_assert_uint_eq(seats_oldest_generation(seats), 3);
    seats_hold_since(seats, 1, 6);
    ck_assert_uint_eq(seats_oldest_generation(seats), 5);
    ck_assert_uint_eq(seats_retire(seats, 1), 0);
    ck_assert_uint_eq(seats_oldest_generation(seats), 6);
    /* somebody is just sitting down: he may hold anything */
    word_put(&seats->seat[2].owner, UINT64_C(77) << 32 | SEAT_WORKER << 8 | SEAT_ENTERED);
    word_raise(&seats->high, 3);
    ck_assert_uint_eq(seats_oldest_generation(seats), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("seats");
    TCase *t = tcase_create("seats");

    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_the_lowest_free_seat_is_claimed);
    tcase_add_test(t, test_a_seat_says_who_holds_it_since_when);
    tcase_add_test(t, test_all_seats_taken_is_said_and_not_fatal);
    tcase_add_test(t, test_a_retired_seat_is_nobodys_until_it_is_freed);
    tcase_add_test(t, test_seats_are_found_by_role);
    tcase_add_test(t, test_the_oldest_generation_is_that_of_the_living);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

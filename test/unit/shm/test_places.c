/* Places of keys: who takes, who waits, whose turn it is, and what the dead leave behind. */
#include <poll.h>

#include "shm/places.h"
#include "test/unit/shm/fresh.h"

#define NOW   (100 * NS_PER_S)
#define KEY   UINT64_C(0x123456789abcdef0)
#define OTHER UINT64_C(0x9999999900000007)

static struct region *region;
static struct seats_shared *seats;
static struct places places;
static uint32_t a, b, c;

static void make(void)
{
    region = region_new(SMALL);
    region_begin(region);
    seats = seats_table(region);
    ck_assert(places_table(region, STR("places"), &places));
    region_commit(region);
    a = seats_claim(seats, 100, SEAT_WORKER, 0, 1, 1);
    b = seats_claim(seats, 101, SEAT_WORKER, 1, 1, 1);
    c = seats_claim(seats, 102, SEAT_WORKER, 2, 1, 1);
}

static void drop(void)
{
    region_close(region);
}

static void take(uint32_t seat, uint64_t key, uint64_t max)
{
    ck_assert_int_eq(places_take(&places, seat, key, max), PLACES_GOT);
}

static void wait_since(uint32_t seat, uint64_t key, uint64_t since_ns)
{
    ck_assert_int_eq(places_wait(&places, seat, key, 100, since_ns), PLACES_GOT);
}

static bool is_rung(const struct bells *bells, uint32_t seat)
{
    struct pollfd p = { .fd = bells_fd(bells, seat), .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

START_TEST(test_all_together_have_at_most_the_maximum)
{
    for (int i = 0; i < 5; i++)
        take(i % 2 ? a : b, KEY, 5);
    ck_assert_int_eq(places_take(&places, a, KEY, 5), PLACES_NONE);
    ck_assert_int_eq(places_take(&places, c, KEY, 5), PLACES_NONE);
    ck_assert_uint_eq(places_look(&places, c, KEY, NOW).taken, 5);
    places_give(&places, b, KEY);
    take(c, KEY, 5);
    ck_assert_int_eq(places_take(&places, b, KEY, 5), PLACES_NONE);
}
END_TEST

START_TEST(test_each_key_has_places_of_its_own)
{
    /* the same group, and the same place in it */
    uint64_t near = KEY + (UINT64_C(1) << 40);

    take(a, KEY, 1);
    take(a, OTHER, 1);
    take(a, near, 1);
    ck_assert_int_eq(places_take(&places, b, KEY, 1), PLACES_NONE);
    ck_assert_int_eq(places_take(&places, b, near, 1), PLACES_NONE);
    places_give(&places, a, near);
    ck_assert_int_eq(places_take(&places, b, KEY, 1), PLACES_NONE);
    take(b, near, 1);
}
END_TEST

START_TEST(test_a_key_that_nobody_has_leaves_nothing_behind)
{
    for (uint64_t key = 1; key < 200000; key++) {
        MUST(places_take(&places, a, key << 12 | 5, 1) == PLACES_GOT);
        places_give(&places, a, key << 12 | 5);
    }
    ck_assert_uint_eq(word_peek(&places.shared->full), 0);
}
END_TEST

static uint64_t crowd(uint64_t i)
{
    return (i + 1) << 32 | 77;
}

START_TEST(test_more_keys_than_a_group_has_ways_are_told_and_counted)
{
    for (uint64_t i = 0; i < PLACES_WAYS; i++)
        take(a, crowd(i), 1);
    ck_assert_int_eq(places_take(&places, a, crowd(PLACES_WAYS), 1), PLACES_FULL);
    ck_assert_int_eq(places_wait(&places, a, crowd(PLACES_WAYS), 1, 1), PLACES_FULL);
    ck_assert_uint_eq(word_peek(&places.shared->full), 2);
    take(b, crowd(PLACES_WAYS), 1); /* each process has ways of its own */
    places_give(&places, a, crowd(3));
    ck_assert_int_eq(places_take(&places, a, crowd(PLACES_WAYS), 1), PLACES_NONE);
    take(a, crowd(PLACES_WAYS), 2);
}
END_TEST

START_TEST(test_as_many_may_wait_as_told_over_all)
{
    take(a, KEY, 1);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(places_wait(&places, i % 2 ? a : b, KEY, 4, 1), PLACES_GOT);
    ck_assert_int_eq(places_wait(&places, a, KEY, 4, 1), PLACES_NONE);
    ck_assert_int_eq(places_wait(&places, c, KEY, 4, 1), PLACES_NONE);
    ck_assert_uint_eq(places_look(&places, c, KEY, NOW).waiting, 4);
    places_leave(&places, b, KEY);
    ck_assert_int_eq(places_wait(&places, c, KEY, 4, 1), PLACES_GOT);
}
END_TEST

START_TEST(test_a_newcomer_does_not_pass_those_who_wait)
{
    take(a, KEY, 2);
    take(a, KEY, 2);
    wait_since(b, KEY, 1);
    places_give(&places, a, KEY);
    ck_assert_int_eq(places_take(&places, a, KEY, 2), PLACES_NONE); /* it is b's */
    places_give(&places, a, KEY);
    take(a, KEY, 2); /* there is one for each */
    ck_assert(places_advance(&places, b, KEY, 2));
    ck_assert_uint_eq(places_look(&places, a, KEY, NOW).waiting, 0);
    ck_assert_uint_eq(places_look(&places, a, KEY, NOW).taken, 2);
}
END_TEST

START_TEST(test_who_waits_advances_only_to_a_free_place)
{
    take(a, KEY, 1);
    wait_since(b, KEY, 1);
    ck_assert(!places_advance(&places, b, KEY, 1));
    ck_assert_uint_eq(places_look(&places, a, KEY, NOW).waiting, 1);
    places_give(&places, a, KEY);
    ck_assert(places_advance(&places, b, KEY, 1));
    ck_assert_int_eq(places_take(&places, a, KEY, 1), PLACES_NONE);
}
END_TEST

START_TEST(test_the_turn_is_of_who_has_waited_longest)
{
    take(a, KEY, 1);
    ck_assert_uint_eq(places_look(&places, a, KEY, NOW).next, SEAT_NONE);
    wait_since(c, KEY, 30);
    wait_since(a, KEY, 20);
    wait_since(b, KEY, 10);
    wait_since(b, KEY, 40); /* its first one has waited since 10 */
    ck_assert_uint_eq(places_look(&places, a, KEY, NOW).next, b);
    places_leave(&places, b, KEY);
    places_first_since(&places, b, KEY, 40);
    ck_assert_uint_eq(places_look(&places, b, KEY, NOW).next, a);
    places_leave(&places, a, KEY);
    ck_assert_uint_eq(places_look(&places, c, KEY, NOW).next, c);
    places_leave(&places, c, KEY);
    ck_assert_uint_eq(places_look(&places, c, KEY, NOW).next, b);
}
END_TEST

START_TEST(test_who_is_called_is_promised_the_place_for_a_while)
{
    struct bells *bells = bells_new();
    struct places_view v;

    take(a, KEY, 1);
    wait_since(b, KEY, 10);
    wait_since(c, KEY, 20);
    places_call(&places, bells, b, KEY, NOW);
    ck_assert(is_rung(bells, b) && !is_rung(bells, c));
    v = places_look(&places, a, KEY, NOW + PLACES_PATIENCE_NS);
    ck_assert_uint_eq(v.promised, 1);
    ck_assert_uint_eq(v.next, c);
    ck_assert_uint_eq(places_look(&places, b, KEY, NOW).next, b); /* it is there */
    places_call(&places, bells, c, KEY, NOW);
    v = places_look(&places, a, KEY, NOW + PLACES_PATIENCE_NS);
    ck_assert_uint_eq(v.promised, 2);
    ck_assert_uint_eq(v.next, SEAT_NONE);
    ck_assert(places_calls(&places, b) >> places_number(KEY) & 1);
    ck_assert_uint_eq(places_calls(&places, b), 0);
    v = places_look(&places, a, KEY, NOW + PLACES_PATIENCE_NS);
    ck_assert_uint_eq(v.promised, 1);
    ck_assert_uint_eq(v.next, b);
    bells_free(bells);
}
END_TEST

START_TEST(test_who_does_not_come_is_passed_over)
{
    uint64_t late = NOW + PLACES_PATIENCE_NS + 1;
    struct places_view v;

    take(a, KEY, 1);
    wait_since(b, KEY, 10);
    places_call(&places, NULL, b, KEY, NOW);
    v = places_look(&places, a, KEY, late);
    ck_assert_uint_eq(v.promised, 0);
    ck_assert_uint_eq(v.next, b); /* better twice than nobody */
    places_call(&places, NULL, b, KEY, late);
    wait_since(c, KEY, 20);
    ck_assert_uint_eq(places_look(&places, a, KEY, late).next, c);
    ck_assert_uint_eq(places_look(&places, a, KEY, late).promised, 0); /* it is late still */
    (void)places_calls(&places, b);
    ck_assert_uint_eq(places_look(&places, a, KEY, late).next, b);
    places_call(&places, NULL, b, KEY, late);
    ck_assert_uint_eq(places_look(&places, a, KEY, late).promised, 1);
}
END_TEST

START_TEST(test_who_may_not_wait_passes_those_who_do_not_come_and_nobody_else)
{
    uint64_t late = NOW + PLACES_PATIENCE_NS + 1;

    take(a, KEY, 2);
    take(a, KEY, 2);
    wait_since(b, KEY, 10);
    places_give(&places, a, KEY);
    ck_assert_int_eq(places_take_past(&places, c, KEY, 2, NOW), PLACES_NONE); /* it is b's turn */
    places_call(&places, NULL, b, KEY, NOW);
    ck_assert_int_eq(places_take_past(&places, c, KEY, 2, NOW), PLACES_NONE); /* it is coming */
    ck_assert_int_eq(places_take_past(&places, c, KEY, 2, late), PLACES_GOT);
    ck_assert_int_eq(places_take_past(&places, c, KEY, 2, late), PLACES_NONE); /* never too many */
    places_give(&places, c, KEY);
    (void)places_calls(&places, b);
    ck_assert(places_advance(&places, b, KEY, 2));
    ck_assert_int_eq(places_take_past(&places, c, KEY, 2, late), PLACES_NONE);
}
END_TEST

START_TEST(test_what_a_dead_process_had_is_free)
{
    struct bells *bells = bells_new();
    uint32_t seat;

    for (int i = 0; i < 3; i++) {
        take(a, KEY, 5);
        take(a, OTHER, 9);
    }
    take(b, KEY, 5);
    wait_since(a, KEY, 1);
    places_call(&places, NULL, a, KEY, NOW);
    wait_since(c, KEY, 2);
    seat = seats_retire(seats, 100);
    ck_assert_uint_eq(seat, a);
    places_retire_seat(region, seat);
    places_call_all(region, bells);
    seats_free(seats, seat);
    ck_assert_uint_eq(places_look(&places, b, KEY, NOW).taken, 1);
    ck_assert_uint_eq(places_look(&places, b, KEY, NOW).waiting, 1);
    ck_assert_uint_eq(places_look(&places, b, OTHER, NOW).taken, 0);
    ck_assert_uint_eq(places_calls(&places, a), 0);
    ck_assert(is_rung(bells, b) && is_rung(bells, c) && !is_rung(bells, a));
    ck_assert(places_calls(&places, c) >> places_number(KEY) & 1);
    bells_free(bells);
}
END_TEST

START_TEST(test_the_most_that_may_be_fits)
{
    for (uint64_t i = 0; i < PLACES_MOST; i++)
        MUST(places_take(&places, a, KEY, PLACES_MOST) == PLACES_GOT);
    for (uint64_t i = 0; i < PLACES_MOST; i++)
        MUST(places_wait(&places, a, KEY, PLACES_MOST, 1) == PLACES_GOT);
    ck_assert_int_eq(places_take(&places, a, KEY, PLACES_MOST), PLACES_NONE);
    ck_assert_int_eq(places_wait(&places, a, KEY, PLACES_MOST, 1), PLACES_NONE);
    ck_assert_uint_eq(places_look(&places, b, KEY, NOW).taken, PLACES_MOST);
    ck_assert_uint_eq(places_look(&places, b, KEY, NOW).waiting, PLACES_MOST);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("places");
    TCase *t = tcase_create("places");

    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_all_together_have_at_most_the_maximum);
    tcase_add_test(t, test_each_key_has_places_of_its_own);
    tcase_add_test(t, test_a_key_that_nobody_has_leaves_nothing_behind);
    tcase_add_test(t, test_more_keys_than_a_group_has_ways_are_told_and_counted);
    tcase_add_test(t, test_as_many_may_wait_as_told_over_all);
    tcase_add_test(t, test_a_newcomer_does_not_pass_those_who_wait);
    tcase_add_test(t, test_who_waits_advances_only_to_a_free_place);
    tcase_add_test(t, test_the_turn_is_of_who_has_waited_longest);
    tcase_add_test(t, test_who_is_called_is_promised_the_place_for_a_while);
    tcase_add_test(t, test_who_does_not_come_is_passed_over);
    tcase_add_test(t, test_who_may_not_wait_passes_those_who_do_not_come_and_nobody_else);
    tcase_add_test(t, test_what_a_dead_process_had_is_free);
    tcase_add_test(t, test_the_most_that_may_be_fits);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

/* Waking others. */
#include <poll.h>

#include "shm/bell.h"
#include "test/unit/shm/fresh.h"

static struct region *region;
static struct bells *bells;
static struct bell_topic *topic;

static void make(void)
{
    region = region_new(SMALL);
    region_begin(region);
    topic = bell_table(region, STR("keys"));
    region_commit(region);
    bells = bells_new();
}

static void drop(void)
{
    bells_free(bells);
    region_close(region);
}

static bool was_rung(uint32_t seat)
{
    struct pollfd p = { .fd = bells_fd(bells, seat), .events = POLLIN };

    return poll(&p, 1, 0) == 1;
}

START_TEST(test_who_wants_to_know_is_woken_once_and_nobody_else)
{
    bell_want(topic, 2);
    bell_want(topic, 127);
    bell_want(topic, 64);
    bell_want_no_more(topic, 64);
    bell_ring(bells, topic);
    for (uint32_t seat = 0; seat < SEATS_MAX; seat++)
        ck_assert_int_eq(was_rung(seat), seat == 2 || seat == 127);
    bells_hush(bells, 2);
    bell_ring(bells, topic);
    ck_assert(!was_rung(2)); /* it did not ask again */
    ck_assert(was_rung(127));
}
END_TEST

START_TEST(test_a_bell_rung_often_is_quiet_after_one_hush)
{
    for (int i = 0; i < 1000; i++)
        bells_ring_seat(bells, 5);
    ck_assert(was_rung(5));
    bells_hush(bells, 5);
    ck_assert(!was_rung(5));
    bells_hush(bells, 5);
    ck_assert(!was_rung(5));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("bell");
    TCase *t = tcase_create("bell");

    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_who_wants_to_know_is_woken_once_and_nobody_else);
    tcase_add_test(t, test_a_bell_rung_often_is_quiet_after_one_hush);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

/* Timers fire once, when they are due, never early, and moving them later is free. */
#include <check.h>
#include <stdlib.h>

#include "gateway/base/check.h"
#include "workers/timer.h"

#define MANY 500
#define LOOK 500 /* ns between two looks */

struct alarm {
    struct timer timer;
    uint64_t fired_at;
    unsigned fired;
};

static struct timers h;
static struct alarm alarms[MANY];
static uint64_t now;

static void on_due(struct timer *t)
{
    struct alarm *a = CONTAINER(t, struct alarm, timer);

    a->fired++;
    a->fired_at = now;
    ck_assert_uint_eq(t->due_ns, 0);
    ck_assert_uint_eq(t->place, 0);
}

static void begin(void)
{
    timers_init(&h);
    now = 0;
    for (int i = 0; i < MANY; i++) {
        alarms[i] = (struct alarm){ 0 };
        timer_init(&alarms[i].timer, on_due);
    }
}

static void run_until(uint64_t ns)
{
    now = ns;
    timers_run(&h, now);
}

START_TEST(test_a_timer_fires_once_and_not_early)
{
    begin();
    timer_set(&h, &alarms[0].timer, 100);
    ck_assert_uint_eq(timers_next(&h), 100);
    run_until(99);
    ck_assert_uint_eq(alarms[0].fired, 0);
    run_until(100);
    run_until(1000);
    ck_assert_uint_eq(alarms[0].fired, 1);
    ck_assert_uint_eq(timers_next(&h), UINT64_MAX);
    timers_end(&h);
}
END_TEST

START_TEST(test_moving_later_and_earlier_counts_as_set_last)
{
    begin();
    timer_set(&h, &alarms[0].timer, 100);
    timer_set(&h, &alarms[0].timer, 300); /* later: only a number */
    ck_assert_uint_eq(h.count, 1);
    run_until(200);
    ck_assert_uint_eq(alarms[0].fired, 0);
    ck_assert_uint_le(timers_next(&h), 300);
    timer_set(&h, &alarms[0].timer, 250); /* earlier */
    run_until(250);
    ck_assert_uint_eq(alarms[0].fired, 1);
    timers_end(&h);
}
END_TEST

START_TEST(test_an_unset_timer_does_not_fire_and_may_be_set_again)
{
    begin();
    timer_set(&h, &alarms[0].timer, 100);
    timer_unset(&alarms[0].timer);
    run_until(150);
    ck_assert_uint_eq(alarms[0].fired, 0);
    ck_assert_uint_eq(h.count, 0);
    timer_set(&h, &alarms[0].timer, 200);
    timer_unset(&alarms[0].timer);
    timer_set(&h, &alarms[0].timer, 220);
    run_until(219);
    ck_assert_uint_eq(alarms[0].fired, 0);
    run_until(220);
    ck_assert_uint_eq(alarms[0].fired, 1);
    timers_end(&h);
}
END_TEST

/* Among those that are due at one look any order will do. */
static void in_time(struct timer *t)
{
    struct alarm *a = CONTAINER(t, struct alarm, timer);

    ck_assert(a->fired_at <= now && a->fired_at + LOOK > now); /* fired_at holds when it was due */
    a->fired++;
}

/* Any mixture of setting, moving, unsetting and removing: what is left fires at the first look at which it is due. */
START_TEST(test_any_mixture_fires_in_time)
{
    begin();
    srand((unsigned)_i + 1);
    for (int i = 0; i < MANY; i++)
        alarms[i].timer.on_due = in_time;
    for (int step = 0; step < 20000; step++) {
        struct alarm *a = &alarms[rand() % MANY];
        uint64_t due = 1 + (uint64_t)rand() % 100000;

        switch (rand() % 8) {
        case 0:
            timer_unset(&a->timer);
            break;
        case 1:
            timer_remove(&h, &a->timer);
            ck_assert_uint_eq(a->timer.place, 0);
            break;
        default:
            timer_set(&h, &a->timer, due);
            a->fired_at = due;
        }
    }
    for (int i = 0; i < MANY; i++)
        if (alarms[i].timer.due_ns == 0)
            alarms[i].fired = 1; /* not to be fired: as if it had */
    for (uint64_t at = 0; at <= 100000; at += LOOK) {
        run_until(at);
        ck_assert_uint_gt(timers_next(&h), at);
        for (int i = 0; i < MANY; i++)
            ck_assert(alarms[i].timer.due_ns == 0 || alarms[i].timer.due_ns > at);
    }
    for (int i = 0; i < MANY; i++)
        ck_assert_uint_eq(alarms[i].fired, 1);
    ck_assert_uint_eq(h.count, 0);
    timers_end(&h);
}
END_TEST

static void set_for_now(struct timer *t)
{
    CONTAINER(t, struct alarm, timer)->fired++;
    timer_set(&h, t, now);
}

START_TEST(test_a_timer_that_sets_itself_for_now_fires_once_a_turn)
{
    begin();
    alarms[0].timer.on_due = set_for_now;
    timer_set(&h, &alarms[0].timer, 10);
    timer_set(&h, &alarms[1].timer, 10);
    run_until(10);
    ck_assert_uint_le(alarms[0].fired, 2);
    run_until(10);
    ck_assert_uint_eq(alarms[1].fired, 1); /* nobody starves */
    timer_remove(&h, &alarms[0].timer);
    timers_end(&h);
}
END_TEST

static void remove_another(struct timer *t)
{
    CONTAINER(t, struct alarm, timer)->fired++;
    timer_remove(&h, &alarms[1].timer);
}

START_TEST(test_a_timer_removed_by_another_that_is_due_with_it_does_not_fire)
{
    begin();
    alarms[0].timer.on_due = remove_another;
    timer_set(&h, &alarms[0].timer, 10);
    timer_set(&h, &alarms[1].timer, 11);
    run_until(20);
    ck_assert_uint_eq(alarms[0].fired, 1);
    ck_assert_uint_eq(alarms[1].fired, 0);
    timers_end(&h);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("timer");
    TCase *t = tcase_create("timer");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_a_timer_fires_once_and_not_early);
    tcase_add_test(t, test_moving_later_and_earlier_counts_as_set_last);
    tcase_add_test(t, test_an_unset_timer_does_not_fire_and_may_be_set_again);
    tcase_add_loop_test(t, test_any_mixture_fires_in_time, 0, 10);
    tcase_add_test(t, test_a_timer_that_sets_itself_for_now_fires_once_a_turn);
    tcase_add_test(t, test_a_timer_removed_by_another_that_is_due_with_it_does_not_fire);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

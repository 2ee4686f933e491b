/* Whoever waits is called once: by a wake, or by the time, or not at all when it has left. */
#include <check.h>
#include <stdlib.h>

#include "gateway/base/number.h"
#include "workers/waiter.h"

struct guest {
    struct waiter waiter;
    unsigned woken;
    enum waiter_status status;
    int heard;
    bool wait_again;
};

static struct loop l;
static struct wait_queue q;
static struct guest guests[3];

static void on_wake(struct waiter *w)
{
    struct guest *g = CONTAINER(w, struct guest, waiter);

    g->woken++;
    g->status = w->status;
    if (g->wait_again) {
        g->wait_again = false;
        waiter_wait(w, &q, 0);
    }
}

static void deliver(struct waiter *w, const void *answer)
{
    CONTAINER(w, struct guest, waiter)->heard = *(const int *)answer;
}

static void begin(void)
{
    loop_init(&l);
    wait_queue_init(&q);
    for (int i = 0; i < 3; i++) {
        guests[i] = (struct guest){ 0 };
        waiter_init(&guests[i].waiter, &l, on_wake);
    }
}

static void finish(void)
{
    for (int i = 0; i < 3; i++)
        waiter_cancel(&guests[i].waiter);
    ck_assert_uint_eq(l.timers.count, 0);
    ck_assert(list_is_empty(&l.tasks));
    loop_end(&l);
}

START_TEST(test_a_wake_calls_all_that_wait_from_the_loop_and_not_from_inside)
{
    begin();
    waiter_wait(&guests[0].waiter, &q, 0);
    waiter_wait(&guests[1].waiter, &q, l.now_ns + NS_PER_S);
    wait_queue_wake(&q, WAITER_FAILED, NULL);
    ck_assert_uint_eq(guests[0].woken, 0);
    loop_turn(&l, 0);
    ck_assert_uint_eq(guests[0].woken, 1);
    ck_assert_uint_eq(guests[1].woken, 1);
    ck_assert_int_eq(guests[1].status, WAITER_FAILED);
    timers_run(&l.timers, l.now_ns + 2 * NS_PER_S);
    loop_turn(&l, 0);
    ck_assert_uint_eq(guests[1].woken, 1); /* the time that was set too is void */
    finish();
}
END_TEST

START_TEST(test_the_time_wakes_whom_nobody_woke)
{
    begin();
    waiter_wait(&guests[0].waiter, &q, l.now_ns + NS_PER_S);
    waiter_wait(&guests[1].waiter, NULL, l.now_ns + NS_PER_S);
    timers_run(&l.timers, l.now_ns + NS_PER_S);
    wait_queue_wake(&q, WAITER_OK, NULL); /* too late */
    loop_turn(&l, 0);
    ck_assert_int_eq(guests[0].status, WAITER_TIMEOUT);
    ck_assert_int_eq(guests[1].status, WAITER_TIMEOUT);
    ck_assert_uint_eq(guests[0].woken, 1);
    finish();
}
END_TEST

START_TEST(test_who_has_left_is_not_called)
{
    begin();
    waiter_wait(&guests[0].waiter, &q, l.now_ns + 1);
    waiter_wait(&guests[1].waiter, &q, 0);
    waiter_cancel(&guests[0].waiter);
    wait_queue_wake(&q, WAITER_OK, NULL);
    waiter_cancel(&guests[1].waiter); /* the call is on its way already */
    timers_run(&l.timers, l.now_ns + NS_PER_S);
    loop_turn(&l, 0);
    ck_assert_uint_eq(guests[0].woken + guests[1].woken, 0);
    ck_assert_int_eq(guests[0].waiter.status, WAITER_IDLE);
    finish();
}
END_TEST

START_TEST(test_an_answer_is_delivered_at_the_wake_itself)
{
    int answer = 42;

    begin();
    guests[0].waiter.deliver = deliver;
    waiter_wait(&guests[0].waiter, &q, 0);
    wait_queue_wake(&q, WAITER_OK, &answer);
    ck_assert_int_eq(guests[0].heard, 42);
    ck_assert_uint_eq(guests[0].woken, 0);
    finish();
}
END_TEST

START_TEST(test_who_waits_again_when_called_needs_another_wake)
{
    begin();
    guests[0].wait_again = true;
    waiter_wait(&guests[0].waiter, &q, 0);
    wait_queue_wake(&q, WAITER_OK, NULL);
    loop_turn(&l, 0);
    loop_turn(&l, 0);
    ck_assert_uint_eq(guests[0].woken, 1);
    wait_queue_wake(&q, WAITER_OK, NULL);
    loop_turn(&l, 0);
    ck_assert_uint_eq(guests[0].woken, 2);
    finish();
}
END_TEST

START_TEST(test_cancelling_is_always_allowed)
{
    struct waiter never = { 0 };

    begin();
    waiter_cancel(&never);
    waiter_cancel(&guests[0].waiter);
    waiter_cancel(&guests[0].waiter);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("waiter");
    TCase *t = tcase_create("waiter");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_a_wake_calls_all_that_wait_from_the_loop_and_not_from_inside);
    tcase_add_test(t, test_the_time_wakes_whom_nobody_woke);
    tcase_add_test(t, test_who_has_left_is_not_called);
    tcase_add_test(t, test_an_answer_is_delivered_at_the_wake_itself);
    tcase_add_test(t, test_who_waits_again_when_called_needs_another_wake);
    tcase_add_test(t, test_cancelling_is_always_allowed);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* A turn: events, timers, tasks, ends; nothing is called that has been taken away in the same turn. */
#include <check.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/number.h"
#include "workers/loop.h"

static struct loop l;
static char story[64];

static void tell(char what)
{
    size_t n = strlen(story);

    ck_assert_uint_lt(n + 1, sizeof story);
    story[n] = what;
    story[n + 1] = '\0';
}

struct bell {
    struct watch watch;
    struct bell *other; /* is closed when this one rings */
    bool kept;          /* not read: rings on */
    unsigned rung;
};

static void on_ready(struct watch *w, uint32_t events)
{
    struct bell *b = CONTAINER(w, struct bell, watch);
    uint64_t n;

    ck_assert(events & EPOLLIN);
    b->rung++;
    tell('e');
    if (!b->kept)
        ck_assert_int_eq(read(w->fd, &n, sizeof n), sizeof n);
    if (b->other) {
        int fd = b->other->watch.fd;

        loop_forget(&b->other->watch);
        close(fd);
        b->other = NULL;
    }
}

static void bell_init(struct bell *b)
{
    *b = (struct bell){ 0 };
    watch_init(&b->watch, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), on_ready);
    ck_assert(loop_watch(&l, &b->watch, EPOLLIN));
}

static void ring(struct bell *b)
{
    ck_assert_int_eq(eventfd_write(b->watch.fd, 1), 0);
}

static void bell_end(struct bell *b)
{
    int fd = b->watch.fd;

    loop_unwatch(&l, &b->watch);
    close(fd);
}

struct act {
    struct task task;
    struct timer timer;
    struct act *next; /* is queued by this one */
    struct act *gone; /* is cancelled by this one */
    char name;
};

static void run(struct task *t)
{
    struct act *a = CONTAINER(t, struct act, task);

    tell(a->name);
    if (a->next)
        loop_queue(&l, &a->next->task);
    if (a->gone)
        task_cancel(&a->gone->task);
}

static void on_due(struct timer *t)
{
    (void)t;
    tell('t');
}

static void act_init(struct act *a, char name)
{
    *a = (struct act){ .name = name };
    task_init(&a->task, run);
    timer_init(&a->timer, on_due);
}

static void before_sleep(struct loop *loop)
{
    (void)loop;
    tell('s');
}

static void begin(void)
{
    loop_init(&l);
    story[0] = '\0';
}

START_TEST(test_a_turn_goes_events_timers_tasks_sleep_ends)
{
    struct act task, end, timed;
    struct bell b;

    begin();
    bell_init(&b);
    act_init(&task, 'k');
    act_init(&end, 'z');
    act_init(&timed, '-');
    l.before_sleep = before_sleep;
    loop_queue_end(&l, &end.task);
    loop_queue(&l, &task.task);
    loop_queue(&l, &task.task); /* twice is once */
    timer_set(&l.timers, &timed.timer, 1);
    ring(&b);
    loop_turn(&l, UINT64_MAX);
    ck_assert_str_eq(story, "etksz");
    bell_end(&b);
    loop_end(&l);
}
END_TEST

START_TEST(test_a_task_queued_by_a_task_runs_in_the_next_turn_which_does_not_sleep)
{
    struct act a, b;

    begin();
    act_init(&a, 'a');
    act_init(&b, 'b');
    a.next = &b;
    loop_queue(&l, &a.task);
    loop_turn(&l, 0);
    ck_assert_str_eq(story, "a");
    loop_turn(&l, UINT64_MAX);
    ck_assert_str_eq(story, "ab");
    loop_end(&l);
}
END_TEST

START_TEST(test_a_task_cancelled_by_one_before_it_does_not_run)
{
    struct act a, b, c;

    begin();
    act_init(&a, 'a');
    act_init(&b, 'b');
    act_init(&c, 'c');
    a.gone = &b;
    loop_queue(&l, &a.task);
    loop_queue(&l, &b.task);
    loop_queue(&l, &c.task);
    loop_turn(&l, 0);
    ck_assert_str_eq(story, "ac");
    loop_end(&l);
}
END_TEST

START_TEST(test_a_task_that_becomes_an_end_runs_once_as_the_end)
{
    struct act a;

    begin();
    act_init(&a, 'a');
    l.before_sleep = before_sleep;
    loop_queue(&l, &a.task);
    loop_queue_end(&l, &a.task);
    loop_turn(&l, 0);
    ck_assert_str_eq(story, "sa");
    loop_end(&l);
}
END_TEST

/* Both are ready in one turn; whichever is called first closes the other, whose number may be given out again. */
START_TEST(test_a_descriptor_closed_in_a_turn_is_not_called_in_it)
{
    struct bell one, two, three;

    begin();
    bell_init(&one);
    bell_init(&two);
    one.other = &two;
    two.other = &one;
    ring(&one);
    ring(&two);
    loop_turn(&l, 0);
    ck_assert_uint_eq(one.rung + two.rung, 1);
    bell_init(&three); /* has the number of the closed one */
    loop_turn(&l, 0);
    ck_assert_uint_eq(three.rung, 0);
    bell_end(&three);
    bell_end(one.rung ? &one : &two);
    loop_end(&l);
}
END_TEST

START_TEST(test_unwatching_what_was_never_watched_is_allowed)
{
    struct watch w;

    begin();
    watch_init(&w, -1, on_ready);
    loop_unwatch(&l, &w);
    loop_end(&l);
}
END_TEST

START_TEST(test_what_the_kernel_refuses_to_watch_is_said)
{
    struct watch w;
    int fds[2];

    begin();
    ck_assert_int_eq(pipe(fds), 0);
    close(fds[0]);
    watch_init(&w, fds[0], on_ready);
    ck_assert(!loop_watch(&l, &w, EPOLLIN));
    close(fds[1]);
    loop_end(&l);
}
END_TEST

START_TEST(test_a_turn_sleeps_until_its_timer_and_not_longer)
{
    struct act timed;
    uint64_t began = clock_now_ns(), took;

    begin();
    act_init(&timed, '-');
    timer_set(&l.timers, &timed.timer, began + 20 * NS_PER_MS);
    while (!story[0])
        loop_turn(&l, UINT64_MAX);
    took = clock_now_ns() - began;
    ck_assert_uint_ge(took, 20 * NS_PER_MS);
    ck_assert_uint_lt(took, 10 * NS_PER_S);
    loop_end(&l);
}
END_TEST

static void stop(struct task *t)
{
    (void)t;
    loop_stop(&l);
}

START_TEST(test_a_loop_runs_until_it_is_stopped)
{
    struct task t;

    begin();
    task_init(&t, stop);
    loop_queue(&l, &t);
    loop_run(&l);
    ck_assert(l.stopping);
    loop_end(&l);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("loop");
    TCase *t = tcase_create("loop");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_a_turn_goes_events_timers_tasks_sleep_ends);
    tcase_add_test(t, test_a_task_queued_by_a_task_runs_in_the_next_turn_which_does_not_sleep);
    tcase_add_test(t, test_a_task_cancelled_by_one_before_it_does_not_run);
    tcase_add_test(t, test_a_task_that_becomes_an_end_runs_once_as_the_end);
    tcase_add_test(t, test_a_descriptor_closed_in_a_turn_is_not_called_in_it);
    tcase_add_test(t, test_unwatching_what_was_never_watched_is_allowed);
    tcase_add_test(t, test_what_the_kernel_refuses_to_watch_is_said);
    tcase_add_test(t, test_a_turn_sleeps_until_its_timer_and_not_longer);
    tcase_add_test(t, test_a_loop_runs_until_it_is_stopped);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

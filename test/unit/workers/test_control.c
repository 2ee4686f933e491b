/* The line between the master and a child. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workers/control.h"

static struct loop loop;
static struct control here, there;
static struct control_message heard[64];
static int heard_fd[64];
static unsigned heard_count, closed_count;

static void on_message(struct control *c, const struct control_message *m, int fd)
{
    (void)c;
    ck_assert_uint_lt(heard_count, ARRAY_LEN(heard));
    heard[heard_count] = *m;
    heard_fd[heard_count++] = fd;
}

static void on_closed(struct control *c)
{
    closed_count++;
    control_close(c, &loop);
}

static void begin(void)
{
    int ends[2];

    loop_init(&loop);
    heard_count = closed_count = 0;
    ck_assert(control_pair(ends));
    control_init(&here, ends[0], on_message, on_closed);
    control_init(&there, ends[1], on_message, on_closed);
    ck_assert(control_watch(&there, &loop));
}

static void end(void)
{
    control_close(&here, &loop);
    control_close(&there, &loop);
    loop_end(&loop);
}

START_TEST(test_a_message_arrives_whole_and_in_order)
{
    struct control_message m = { .kind = CONTROL_ADOPT, .generation = 7, .workers = 3 };

    snprintf(m.text, sizeof m.text, "127.0.0.1:80");
    ck_assert(control_send(&here, &m, -1));
    m.generation = 8;
    ck_assert(control_send(&here, &m, -1));
    loop_turn(&loop, 0);
    ck_assert_uint_eq(heard_count, 2);
    ck_assert_uint_eq(heard[0].generation, 7);
    ck_assert_uint_eq(heard[1].generation, 8);
    ck_assert_str_eq(heard[1].text, "127.0.0.1:80");
    ck_assert_int_eq(heard_fd[0], -1);
}
END_TEST

START_TEST(test_a_descriptor_comes_along_and_closes_on_exec)
{
    struct control_message m = { .kind = CONTROL_LOG };
    struct stat sent, got;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    ck_assert(control_send(&here, &m, fd) && fstat(fd, &sent) == 0);
    close(fd);
    loop_turn(&loop, 0);
    ck_assert_uint_eq(heard_count, 1);
    ck_assert(fstat(heard_fd[0], &got) == 0 && got.st_rdev == sent.st_rdev);
    ck_assert(fcntl(heard_fd[0], F_GETFD) & FD_CLOEXEC);
    close(heard_fd[0]);
}
END_TEST

START_TEST(test_the_end_of_the_other_is_heard_once_after_its_last_words)
{
    ck_assert(control_send(&here, &(struct control_message){ .kind = CONTROL_ENDED }, -1));
    control_close(&here, &loop);
    loop_turn(&loop, 0);
    loop_turn(&loop, 0);
    ck_assert_uint_eq(heard_count, 1);
    ck_assert_uint_eq(closed_count, 1);
}
END_TEST

START_TEST(test_sending_to_nobody_fails_and_kills_nobody)
{
    struct control_message m = { .kind = CONTROL_DRAIN };

    control_close(&there, &loop);
    ck_assert(!control_send(&here, &m, -1));
    ck_assert(errno == EPIPE || errno == ECONNRESET);
    control_close(&here, &loop);
    ck_assert(!control_send(&here, &m, -1));
}
END_TEST

/* The master must not wait for a child that does not read; hundreds of orders fit before it gives it up. */
START_TEST(test_one_that_does_not_read_is_told_by_eagain_and_not_by_waiting)
{
    struct control_message m = { .kind = CONTROL_LISTENER };
    unsigned sent = 0;

    while (sent < 1000000 && control_send(&here, &m, -1))
        sent++;
    ck_assert_int_eq(errno, EAGAIN);
    ck_assert_uint_ge(sent, 100);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("control");
    TCase *t = tcase_create("control");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, test_a_message_arrives_whole_and_in_order);
    tcase_add_test(t, test_a_descriptor_comes_along_and_closes_on_exec);
    tcase_add_test(t, test_the_end_of_the_other_is_heard_once_after_its_last_words);
    tcase_add_test(t, test_sending_to_nobody_fails_and_kills_nobody);
    tcase_add_test(t, test_one_that_does_not_read_is_told_by_eagain_and_not_by_waiting);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}

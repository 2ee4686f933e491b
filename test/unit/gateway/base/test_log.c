/* The error log: a line an event, whatever it holds, and nobody waits. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/log.h"

static int pipe_fds[2];
static char got[70000];

static void make(void)
{
    ck_assert_int_eq(pipe2(pipe_fds, O_NONBLOCK | O_CLOEXEC), 0);
    log_set_fd(pipe_fds[1]);
}

static void drop(void)
{
    log_set_fd(STDERR_FILENO);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

/* All that was written, NUL-ended; the time cut from the front of a text line is not checked. */
static const char *written(void)
{
    ssize_t len = read(pipe_fds[0], got, sizeof got - 1);

    got[len < 0 ? 0 : len] = '\0';
    return got;
}

START_TEST(test_a_text_line_says_when_how_bad_who_and_what)
{
    char expected[100];

    log_set_role("worker 0");
    log_line(LOG_LEVEL_WARN, "cannot reach %s: %d", "users", 5);
    snprintf(expected, sizeof expected, "Z warn worker 0[%d]: cannot reach users: 5\n",
             (int)getpid());
    ck_assert_ptr_nonnull(strstr(written(), expected));
    ck_assert_int_eq((int)(strchr(got, 'Z') - got), 23);
}
END_TEST

START_TEST(test_a_json_line_has_the_same_as_fields)
{
    char expected[100];

    log_set_role("master");
    log_set_format(LOG_FORMAT_JSON);
    log_line(LOG_LEVEL_ERROR, "a \"quoted\" word\n");
    snprintf(expected, sizeof expected,
             "Z\",\"level\":\"error\",\"role\":\"master\",\"pid\":%d,\"message\":\"a "
             "\\\"quoted\\\" word\\n\"}\n",
             (int)getpid());
    ck_assert_ptr_nonnull(strstr(written(), expected));
    ck_assert_int_eq(strncmp(got, "{\"ts\":\"2", 8), 0);
}
END_TEST

START_TEST(test_a_message_cannot_make_a_second_line)
{
    log_line(LOG_LEVEL_INFO, "a\nb\x1b[2J\x7f");
    ck_assert_ptr_nonnull(strstr(written(), ": a\\x0ab\\x1b[2J\\x7f\n"));
}
END_TEST

START_TEST(test_below_the_level_nothing_is_written)
{
    log_line(LOG_LEVEL_DEBUG, "no");
    ck_assert_str_eq(written(), "");
    log_set_level(LOG_LEVEL_ERROR);
    ck_assert(!log_wants(LOG_LEVEL_WARN));
    log_line(LOG_LEVEL_WARN, "no");
    ck_assert_str_eq(written(), "");
    log_set_level(LOG_LEVEL_DEBUG);
    log_line(LOG_LEVEL_DEBUG, "yes");
    ck_assert_ptr_nonnull(strstr(written(), "yes"));
}
END_TEST

START_TEST(test_a_long_message_is_cut_and_the_line_still_whole)
{
    static const char fill[] = { 'x', '\x01' };
    char message[5000];

    for (int i = 0; i < 4; i++) {
        memset(message, fill[i % 2], sizeof message - 1);
        message[sizeof message - 1] = '\0';
        log_set_format(i < 2 ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON);
        log_line(LOG_LEVEL_ERROR, "%s", message);
        ck_assert_uint_le(strlen(written()), 4096);
        ck_assert_uint_gt(strlen(got), 500);
        ck_assert_int_eq(got[strlen(got) - 1], '\n');
        if (i >= 2)
            ck_assert_int_eq(got[strlen(got) - 2], '}');
    }
}
END_TEST

/* Also when the pipe itself would block: standard error often is such a one. */
START_TEST(test_a_full_pipe_loses_lines_counts_them_and_blocks_nobody)
{
    int i;

    if (_i)
        fcntl(pipe_fds[1], F_SETFL, 0);
    for (i = 0; i < 10000 && !log_dropped(); i++)
        log_line(LOG_LEVEL_ERROR, "%0200d", i);
    ck_assert_uint_eq(log_dropped(), 1);
    log_line(LOG_LEVEL_ERROR, "one more");
    ck_assert_uint_eq(log_dropped(), 2);
    written();
    log_line(LOG_LEVEL_ERROR, "room again");
    ck_assert_uint_eq(log_dropped(), 2);
}
END_TEST

START_TEST(test_a_full_disk_and_a_closed_descriptor_lose_lines_and_count_them)
{
    int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);

    log_set_fd(fd);
    log_line(LOG_LEVEL_ERROR, "lost");
    ck_assert_uint_eq(log_dropped(), 1);
    close(fd);
    log_line(LOG_LEVEL_ERROR, "lost");
    ck_assert_uint_eq(log_dropped(), 2);
}
END_TEST

START_TEST(test_errno_is_as_before)
{
    errno = ENOENT;
    log_line(LOG_LEVEL_ERROR, "%m");
    ck_assert_int_eq(errno, ENOENT);
    ck_assert_ptr_nonnull(strstr(written(), "No such file or directory"));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("log");
    TCase *t = tcase_create("log");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_a_text_line_says_when_how_bad_who_and_what);
    tcase_add_test(t, test_a_json_line_has_the_same_as_fields);
    tcase_add_test(t, test_a_message_cannot_make_a_second_line);
    tcase_add_test(t, test_below_the_level_nothing_is_written);
    tcase_add_test(t, test_a_long_message_is_cut_and_the_line_still_whole);
    tcase_add_loop_test(t, test_a_full_pipe_loses_lines_counts_them_and_blocks_nobody, 0, 2);
    tcase_add_test(t, test_a_full_disk_and_a_closed_descriptor_lose_lines_and_count_them);
    tcase_add_test(t, test_errno_is_as_before);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

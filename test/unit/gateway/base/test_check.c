/* How a process of ours ends by its own hand. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/check.h"

static int ends[2];

static void make(void)
{
    ck_assert_int_eq(pipe(ends), 0);
}

static void drop(void)
{
    close(ends[0]);
    close(ends[1]);
}

static void fill(int fd)
{
    static const char block[4096];
    int flags = fcntl(fd, F_GETFL);

    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    while (write(fd, block, sizeof block) > 0)
        ;
    fcntl(fd, F_SETFL, flags);
}

static void dies(void)
{
    errno = ENOMEM;
    die("nothing left for %s", "a test");
}

static void dies_without_a_cause(void)
{
    errno = 0;
    die("it is over");
}

static void dies_at_length(void)
{
    char text[2000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    die("%s", text);
}

static void fails_a_check(void)
{
    CHECK(ends[0] == -7);
}

/* How it ended, as a shell says it: the status, or 128 and the signal. */
static int end_of(void (*child)(void))
{
    int status;
    pid_t pid = fork();

    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL); /* not libcheck's, not a sanitizer's */
        dup2(ends[1], STDERR_FILENO);
        child();
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static const char *words(void)
{
    static char text[4096];
    ssize_t n = read(ends[0], text, sizeof text - 1);

    ck_assert_int_gt((int)n, 0);
    text[n] = '\0';
    return text;
}

START_TEST(test_who_dies_says_why)
{
    ck_assert_int_eq(end_of(dies), 1);
    ck_assert_ptr_nonnull(strstr(words(), "nothing left for a test: Cannot allocate memory\n"));
    ck_assert_int_eq(end_of(dies_without_a_cause), 1);
    ck_assert_ptr_nonnull(strstr(words(), ": it is over\n"));
}
END_TEST

START_TEST(test_a_long_reason_is_cut)
{
    ck_assert_int_eq(end_of(dies_at_length), 1);
    ck_assert_uint_lt(strlen(words()), 800);
}
END_TEST

START_TEST(test_a_failed_check_aborts_and_says_where)
{
    ck_assert_int_eq(end_of(fails_a_check), 128 + SIGABRT);
    ck_assert_ptr_nonnull(strstr(words(), "check failed: ends[0] == -7 ("));
}
END_TEST

/* It once waited for ever for the reader of a pipe, holding its listening socket. */
START_TEST(test_last_words_that_nobody_reads_do_not_keep_it_alive)
{
    fill(ends[1]);
    ck_assert_int_eq(end_of(dies), 1);
    ck_assert_int_eq(end_of(fails_a_check), 128 + SIGABRT);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("check");
    TCase *t = tcase_create("check");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_who_dies_says_why);
    tcase_add_test(t, test_a_long_reason_is_cut);
    tcase_add_test(t, test_a_failed_check_aborts_and_says_where);
    tcase_add_test(t, test_last_words_that_nobody_reads_do_not_keep_it_alive);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

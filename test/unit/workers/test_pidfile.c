/* The pid file: the lock says who runs, not the number. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "workers/pidfile.h"

static char dir[64], path[96];

static void begin(void)
{
    log_set_level(LOG_LEVEL_ERROR);
    snprintf(dir, sizeof dir, "/tmp/sluice-pid-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/pid", dir);
}

static void end(void)
{
    unlink(path);
    rmdir(dir);
}

/* A process that has the file and lives until it is killed. */
static pid_t holder(void)
{
    struct pidfile f;
    int ends[2];
    char ok;
    pid_t pid;

    ck_assert(pipe(ends) == 0);
    pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!pidfile_take(&f, path) || write(ends[1], "x", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ends[1]);
    ck_assert(read(ends[0], &ok, 1) == 1);
    close(ends[0]);
    return pid;
}

START_TEST(test_it_holds_our_number_and_goes_at_the_end)
{
    struct pidfile f;
    FILE *file;
    int pid = 0;

    ck_assert(pidfile_take(&f, path));
    file = fopen(path, "r");
    ck_assert(file && fscanf(file, "%d", &pid) == 1);
    fclose(file);
    ck_assert_int_eq(pid, (int)getpid());
    pidfile_end(&f);
    ck_assert_int_ne(access(path, F_OK), 0);
}
END_TEST

START_TEST(test_who_runs_is_found_and_nobody_takes_it_from_him)
{
    struct pidfile f;
    pid_t other = holder(), found = 0;

    ck_assert_int_eq(pidfile_look(path, &found), PIDFILE_RUNS);
    ck_assert_int_eq(found, other);
    ck_assert(!pidfile_take(&f, path));
    ck_assert_int_lt(f.fd, 0);
    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
}
END_TEST

/* The number may be another process's by now; here it is one that lives: our own. */
START_TEST(test_a_file_left_by_a_crash_deceives_nobody)
{
    struct pidfile f;
    pid_t other = holder(), found;
    FILE *file;

    kill(other, SIGKILL);
    waitpid(other, NULL, 0);
    ck_assert_int_eq(pidfile_look(path, &found), PIDFILE_NOBODY);
    file = fopen(path, "w");
    fprintf(file, "%d\n", (int)getppid());
    fclose(file);
    ck_assert_int_eq(pidfile_look(path, &found), PIDFILE_NOBODY);
    ck_assert(pidfile_take(&f, path));
    pidfile_end(&f);
}
END_TEST

START_TEST(test_a_child_that_leaves_it_does_not_hold_it_after_us)
{
    struct pidfile f;
    int ends[2], left[2];
    char ok;
    pid_t child, found;

    ck_assert(pidfile_take(&f, path) && pipe(ends) == 0 && pipe(left) == 0);
    child = fork();
    if (child == 0) {
        char c;

        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pidfile_leave(&f);
        _exit(write(left[1], "x", 1) == 1 && close(ends[1]) == 0 && read(ends[0], &c, 1) == 0 ? 0
                                                                                              : 1);
    }
    ck_assert(read(left[0], &ok, 1) == 1);
    close(f.fd); /* as if we had been killed */
    ck_assert_int_eq(pidfile_look(path, &found), PIDFILE_NOBODY);
    close(ends[1]);
    waitpid(child, NULL, 0);
    close(ends[0]);
}
END_TEST

START_TEST(test_a_file_that_is_not_there_is_nobody_and_one_that_cannot_be_made_is_said)
{
    struct pidfile f;
    pid_t found;

    ck_assert_int_eq(pidfile_look(path, &found), PIDFILE_NOBODY);
    ck_assert(!pidfile_take(&f, "/nowhere/at/all"));
}
END_TEST

START_TEST(test_a_link_is_not_followed)
{
    struct pidfile f;
    char target[96];

    snprintf(target, sizeof target, "%s/target", dir);
    ck_assert(symlink(target, path) == 0);
    ck_assert(!pidfile_take(&f, path));
    ck_assert_int_ne(access(target, F_OK), 0);
}
END_TEST

START_TEST(test_a_file_of_another_is_not_removed_at_the_end)
{
    struct pidfile f;
    FILE *file;

    ck_assert(pidfile_take(&f, path) && unlink(path) == 0);
    file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    fclose(file);
    pidfile_end(&f);
    ck_assert_int_eq(access(path, F_OK), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pidfile");
    TCase *t = tcase_create("pidfile");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, test_it_holds_our_number_and_goes_at_the_end);
    tcase_add_test(t, test_who_runs_is_found_and_nobody_takes_it_from_him);
    tcase_add_test(t, test_a_file_left_by_a_crash_deceives_nobody);
    tcase_add_test(t, test_a_child_that_leaves_it_does_not_hold_it_after_us);
    tcase_add_test(t, test_a_file_that_is_not_there_is_nobody_and_one_that_cannot_be_made_is_said);
    tcase_add_test(t, test_a_link_is_not_followed);
    tcase_add_test(t, test_a_file_of_another_is_not_removed_at_the_end);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}

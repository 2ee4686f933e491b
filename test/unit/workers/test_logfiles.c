/* Log files: opened, kept, opened anew, all or none. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "workers/logfiles.h"

static struct logfiles all;
static char dir[64], path[96], other[96];
static unsigned gone_count;

static void begin(void)
{
    logfiles_init(&all);
    gone_count = 0;
    snprintf(dir, sizeof dir, "/tmp/sluice-logs-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof path, "%s/a", dir);
    snprintf(other, sizeof other, "%s/b", dir);
}

static void end(void)
{
    logfiles_end(&all);
    unlink(path);
    unlink(other);
    rmdir(dir);
}

static void on_gone(void *who, const struct logfile *f)
{
    ck_assert_ptr_eq(who, &all);
    ck_assert_str_eq(f->path, path);
    gone_count++;
}

static int fd_of(const char *name)
{
    LIST_EACH (&all.list, n) {
        if (strcmp(logfile_at(n)->path, name) == 0)
            return logfile_at(n)->fd;
    }
    return -1;
}

START_TEST(test_a_file_is_appended_to_and_never_for_all_to_read)
{
    struct str names[] = { str_from(path) };
    struct stat st;

    ck_assert(logfiles_open(&all, names, 1));
    ck_assert(fcntl(fd_of(path), F_GETFL) & O_APPEND);
    ck_assert(stat(path, &st) == 0 && (st.st_mode & 07) == 0);
}
END_TEST

START_TEST(test_the_same_name_after_a_reload_is_the_same_descriptor)
{
    struct str names[] = { str_from(path), str_from(other) };
    int fd;

    ck_assert(logfiles_open(&all, names, 1));
    logfiles_keep(&all, on_gone, &all);
    fd = fd_of(path);
    ck_assert(logfiles_open(&all, names, 2));
    logfiles_keep(&all, on_gone, &all);
    ck_assert_int_eq(fd_of(path), fd);
    ck_assert_int_ge(fd_of(other), 0);
    ck_assert_uint_eq(gone_count, 0);
    ck_assert(logfiles_open(&all, names + 1, 1));
    logfiles_keep(&all, on_gone, &all);
    ck_assert_uint_eq(gone_count, 1);
    ck_assert_int_eq(fd_of(path), -1);
}
END_TEST

START_TEST(test_one_that_cannot_be_opened_undoes_the_others)
{
    struct str first[] = { str_from(path) }, next[] = { str_from(other), STR_INIT("/nowhere/x") };

    ck_assert(logfiles_open(&all, first, 1));
    logfiles_keep(&all, on_gone, &all);
    ck_assert(!logfiles_open(&all, next, 2));
    ck_assert_int_eq(fd_of(other), -1);
    logfiles_keep(&all, on_gone, &all); /* the old one is wanted again */
    ck_assert_uint_eq(gone_count, 0);
    ck_assert_int_ge(fd_of(path), 0);
}
END_TEST

START_TEST(test_a_file_moved_away_is_made_anew)
{
    struct str names[] = { str_from(path) };
    struct stat st;

    ck_assert(logfiles_open(&all, names, 1));
    ck_assert(rename(path, other) == 0);
    logfiles_reopen(&all);
    ck_assert(write(fd_of(path), "x", 1) == 1);
    ck_assert(stat(path, &st) == 0 && st.st_size == 1);
}
END_TEST

START_TEST(test_one_that_cannot_be_opened_anew_goes_on)
{
    struct str names[] = { str_from(path) };
    struct stat st;
    int fd;

    ck_assert(logfiles_open(&all, names, 1));
    fd = fd_of(path);
    ck_assert(rename(path, other) == 0 && mkdir(path, 0755) == 0);
    logfiles_reopen(&all);
    ck_assert_int_eq(fd_of(path), fd);
    ck_assert(write(fd, "x", 1) == 1);
    ck_assert(stat(other, &st) == 0 && st.st_size == 1);
    rmdir(path);
}
END_TEST

START_TEST(test_standard_output_is_lent_and_never_closed)
{
    struct str names[] = { STR_INIT("-"), STR_INIT("stderr") };

    ck_assert(logfiles_open(&all, names, 2));
    ck_assert_int_eq(fd_of("-"), STDOUT_FILENO);
    ck_assert_int_eq(fd_of("stderr"), STDERR_FILENO);
    logfiles_reopen(&all);
    logfiles_end(&all);
    ck_assert_int_ge(fcntl(STDOUT_FILENO, F_GETFD), 0);
}
END_TEST

/* A pipe without a reader would hold open(2) up for ever. */
START_TEST(test_a_pipe_that_nobody_reads_does_not_hold_the_master_up)
{
    struct str names[] = { str_from(path) };

    ck_assert(mkfifo(path, 0600) == 0);
    ck_assert(!logfiles_open(&all, names, 1));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("logfiles");
    TCase *t = tcase_create("logfiles");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, begin, end);
    tcase_add_test(t, test_a_file_is_appended_to_and_never_for_all_to_read);
    tcase_add_test(t, test_the_same_name_after_a_reload_is_the_same_descriptor);
    tcase_add_test(t, test_one_that_cannot_be_opened_undoes_the_others);
    tcase_add_test(t, test_a_file_moved_away_is_made_anew);
    tcase_add_test(t, test_one_that_cannot_be_opened_anew_goes_on);
    tcase_add_test(t, test_standard_output_is_lent_and_never_closed);
    tcase_add_test(t, test_a_pipe_that_nobody_reads_does_not_hold_the_master_up);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}

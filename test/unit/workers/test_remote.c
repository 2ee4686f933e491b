/* Words to a gateway that runs, by its pid file. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shm/region.h"
#include "test/unit/workers/stage.h"
#include "workers/remote.h"

static struct stage stage;
static char pid_file[128];

static void begin(void)
{
    stage_open(&stage);
    dup2(stage.log, STDERR_FILENO);
    snprintf(pid_file, sizeof pid_file, "%s/pid", stage.dir);
}

static void end(void)
{
    stage_close(&stage);
}

static void run(const char *config)
{
    stage_config(&stage, config);
    stage_launch(&stage, pid_file, false);
    stage_hear(&stage, "READY=1");
}

static const char *status(int expected)
{
    static char text[4096];
    FILE *out = fmemopen(text, sizeof text, "w");

    memset(text, 0, sizeof text);
    ck_assert_int_eq(remote_status(pid_file, out), expected);
    fclose(out);
    return text;
}

START_TEST(test_where_nobody_runs_all_say_so)
{
    ck_assert_int_eq(remote_reload(pid_file), REMOTE_NOBODY);
    ck_assert_int_eq(remote_stop(pid_file), REMOTE_NOBODY);
    ck_assert_str_eq(status(REMOTE_NOBODY), "");
}
END_TEST

START_TEST(test_a_reload_returns_when_it_is_taken)
{
    run("workers 2\nlisten 127.0.0.1:%P\ngreeting old\n");
    stage_config(&stage, "workers 2\nlisten 127.0.0.1:%P\ngreeting new\n");
    ck_assert_int_eq(remote_reload(pid_file), REMOTE_OK);
    ck_assert_str_eq(client_who(client_connect(stage.port)).greeting, "new");
    ck_assert_ptr_nonnull(strstr(status(REMOTE_OK), "last_reload: taken\n"));
}
END_TEST

START_TEST(test_a_reload_that_is_refused_fails)
{
    run("workers 1\nlisten 127.0.0.1:%P\n");
    stage_config(&stage, "nonsense\n");
    ck_assert_int_eq(remote_reload(pid_file), REMOTE_FAILED);
    ck_assert_ptr_nonnull(strstr(status(REMOTE_OK), "reloads_refused: 1\nlast_reload: refused\n"));
}
END_TEST

START_TEST(test_the_status_names_the_processes)
{
    char line[64];
    const char *text;
    int fd;

    run("workers 1\nlisten 127.0.0.1:%P\n");
    fd = client_connect(stage.port);
    snprintf(line, sizeof line, "process: %d ", client_who(fd).pid);
    text = status(REMOTE_OK);
    ck_assert_ptr_nonnull(strstr(text, line));
    snprintf(line, sizeof line, "pid: %d\n", (int)stage.master);
    ck_assert_ptr_nonnull(strstr(text, line));
    ck_assert_ptr_nonnull(strstr(text, "generation: 1\n"));
}
END_TEST

START_TEST(test_stop_returns_when_it_has_ended)
{
    run("workers 2\nlisten 127.0.0.1:%P\n");
    ck_assert_int_eq(remote_stop(pid_file), REMOTE_OK);
    ck_assert_int_lt(client_try(stage.port), 0);
    ck_assert_int_eq(stage_wait(&stage), 0);
    ck_assert_str_eq(status(REMOTE_NOBODY), "");
}
END_TEST

START_TEST(test_the_memory_of_who_runs_may_be_looked_at)
{
    struct region *r;
    int fd;

    ck_assert_int_eq(remote_memory(pid_file, &fd), REMOTE_NOBODY);
    ck_assert_int_eq(fd, -1);
    run("workers 1\nlisten 127.0.0.1:%P\n");
    ck_assert_int_eq(remote_memory(pid_file, &fd), REMOTE_OK);
    r = region_look(fd);
    ck_assert_ptr_nonnull(r);
    ck_assert_uint_eq(word_peek(&region_header(r)->generation), 1);
    region_close(r);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("remote");
    TCase *t = tcase_create("remote");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, begin, end);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_where_nobody_runs_all_say_so);
    tcase_add_test(t, test_a_reload_returns_when_it_is_taken);
    tcase_add_test(t, test_a_reload_that_is_refused_fails);
    tcase_add_test(t, test_the_status_names_the_processes);
    tcase_add_test(t, test_stop_returns_when_it_has_ended);
    tcase_add_test(t, test_the_memory_of_who_runs_may_be_looked_at);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}

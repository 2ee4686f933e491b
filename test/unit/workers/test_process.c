/* The small helpers of a process: its title, its signals, its rights, and what it tells a service manager. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "workers/notify.h"
#include "workers/privilege.h"
#include "workers/signals.h"
#include "workers/title.h"

/* ---- titles ---- */

START_TEST(test_a_title_takes_the_place_of_arguments_and_is_cut_to_it)
{
    char area[] = "sluice\0config.yaml\0";
    char *argv[] = { area, area + 7, NULL };
    char name[16] = "";
    char **before = environ;
    struct title t = title_claim(2, argv);

    ck_assert_uint_eq(t.size, 19);
    title_set(&t, "sluice: %s", "master");
    ck_assert_str_eq(area, "sluice: master");
    ck_assert_int_eq(area[18], '\0');
    title_set(&t, "sluice: a title that is longer than the arguments were");
    ck_assert_str_eq(area, "sluice: a title th");
    ck_assert(prctl(PR_GET_NAME, name) == 0);
    ck_assert_str_eq(name, "sluice a title ");
    for (size_t i = 0; environ[i]; i++) /* the copy */
        free(environ[i]);
    free((void *)environ);
    environ = before;
}
END_TEST

START_TEST(test_the_environment_is_found_after_it_has_moved)
{
    char area[64] = "x\0HERE=there\0";
    char *argv[] = { area, NULL }, *envp[] = { area + 2, NULL };
    char **before = environ;
    struct title t;

    environ = envp;
    t = title_claim(1, argv);
    ck_assert_uint_eq(t.size, 13);
    title_set(&t, "sluice: master");
    ck_assert_str_eq(getenv("HERE"), "there");
    free(environ[0]);
    free((void *)environ);
    environ = before;
}
END_TEST

START_TEST(test_without_an_area_only_the_short_name_is_set)
{
    char name[16] = "";

    title_set(NULL, "sluice: worker %d", 7);
    ck_assert(prctl(PR_GET_NAME, name) == 0);
    ck_assert_str_eq(name, "sluice worker 7");
}
END_TEST

/* ---- signals ---- */

static const struct {
    int number;
    enum order order;
} meanings[] = {
    { SIGHUP, ORDER_RELOAD }, { SIGTERM, ORDER_STOP },   { SIGINT, ORDER_STOP },
    { SIGQUIT, ORDER_STOP },  { SIGUSR1, ORDER_REOPEN }, { SIGUSR2, ORDER_UPGRADE },
    { SIGCHLD, ORDER_CHILD },
};

START_TEST(test_a_signal_is_read_with_its_meaning)
{
    enum order order;
    const char *name;
    int fd;

    signal(meanings[_i].number, SIG_IGN); /* as nohup leaves SIGHUP */
    fd = signals_open();
    ck_assert(!signals_next(fd, &order, &name));
    ck_assert(raise(meanings[_i].number) == 0);
    ck_assert(signals_next(fd, &order, &name));
    ck_assert_int_eq(order, meanings[_i].order);
    ck_assert(!signals_next(fd, &order, &name));
    close(fd);
}
END_TEST

/* A terminal's Ctrl-C and a service manager's SIGTERM reach every process: only the master says what they mean. */
START_TEST(test_a_child_is_not_touched_by_what_the_master_reads)
{
    int fd = signals_open();

    signals_leave();
    ck_assert(raise(meanings[_i].number) == 0);
    close(fd);
}
END_TEST

/* ---- rights ---- */

START_TEST(test_without_a_user_nothing_changes)
{
    struct rights r;

    ck_assert(rights_find(STR_NONE, STR_NONE, &r));
    ck_assert(!r.change);
}
END_TEST

START_TEST(test_a_user_or_group_that_is_not_there_fails_the_start)
{
    struct rights r;

    ck_assert(!rights_find(STR("no-such-user-here"), STR_NONE, &r));
    ck_assert(!rights_find(STR_NONE, STR("no-such-group-here"), &r));
}
END_TEST

START_TEST(test_a_user_is_given_up_to_for_good_and_numbers_do)
{
    struct rights r;
    int status;
    pid_t pid;

    if (geteuid() != 0)
        return;
    ck_assert(rights_find(STR("54321"), STR("54322"), &r));
    ck_assert(r.change && r.user == 54321 && r.group == 54322);
    pid = fork();
    if (pid == 0) {
        rights_drop(&r);
        _exit(geteuid() == 54321 && getegid() == 54322 && getgroups(0, NULL) == 1 &&
                      setuid(0) != 0 && setgid(0) != 0 &&
                      prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
                  ? 0
                  : 1);
    }
    ck_assert(waitpid(pid, &status, 0) == pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(test_descriptors_are_raised_as_far_as_allowed_and_never_lowered)
{
    struct rlimit l = { .rlim_cur = 100, .rlim_max = 200 };

    ck_assert(setrlimit(RLIMIT_NOFILE, &l) == 0);
    ck_assert_uint_eq(descriptors_allow(50), 100);
    ck_assert_uint_eq(descriptors_allow(150), 150);
    if (geteuid() != 0)
        ck_assert_uint_eq(descriptors_allow(1000), 200);
    ck_assert(getrlimit(RLIMIT_NOFILE, &l) == 0 && l.rlim_cur >= 150);
}
END_TEST

/* ---- the service manager ---- */

static int manager(char *path, size_t size)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(path, size, "/tmp/sluice-notify-%d", (int)getpid());
    memcpy(un.sun_path, path, strlen(path) + 1);
    unlink(path);
    ck_assert(fd >= 0 && bind(fd, (struct sockaddr *)&un, sizeof un) == 0);
    setenv("NOTIFY_SOCKET", path, 1);
    return fd;
}

START_TEST(test_the_manager_hears_lines_and_the_time_of_a_reload)
{
    char path[64], text[256] = "";
    int fd = manager(path, sizeof path);

    notify_send("READY=1\nMAINPID=%d", 7);
    ck_assert(recv(fd, text, sizeof text - 1, MSG_DONTWAIT) > 0);
    ck_assert_str_eq(text, "READY=1\nMAINPID=7");
    notify_reloading();
    memset(text, 0, sizeof text);
    ck_assert(recv(fd, text, sizeof text - 1, MSG_DONTWAIT) > 0);
    ck_assert_ptr_nonnull(strstr(text, "RELOADING=1\nMONOTONIC_USEC="));
    close(fd);
    unlink(path);
    notify_send("READY=1"); /* a manager that is gone is nobody's trouble */
    unsetenv("NOTIFY_SOCKET");
    notify_send("READY=1");
}
END_TEST

START_TEST(test_an_abstract_socket_is_found_too)
{
    struct sockaddr_un un = { .sun_family = AF_UNIX };
    char name[64], text[64] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int len = snprintf(name, sizeof name, "@sluice-test-%d", (int)getpid());

    memcpy(un.sun_path + 1, name + 1, (size_t)len - 1);
    ck_assert(bind(fd, (struct sockaddr *)&un,
                   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len)) == 0);
    setenv("NOTIFY_SOCKET", name, 1);
    notify_send("STOPPING=1");
    ck_assert(recv(fd, text, sizeof text - 1, MSG_DONTWAIT) > 0);
    ck_assert_str_eq(text, "STOPPING=1");
    close(fd);
}
END_TEST

START_TEST(test_the_watchdog_is_fed_twice_as_often_as_asked_and_only_by_whom_it_means)
{
    char pid[32];

    unsetenv("WATCHDOG_USEC");
    unsetenv("WATCHDOG_PID");
    ck_assert_uint_eq(notify_watchdog_ns(), 0);
    setenv("WATCHDOG_USEC", "30000000", 1);
    ck_assert_uint_eq(notify_watchdog_ns(), 15 * NS_PER_S);
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    setenv("WATCHDOG_PID", pid, 1);
    ck_assert_uint_eq(notify_watchdog_ns(), 15 * NS_PER_S);
    setenv("WATCHDOG_PID", "1", 1);
    ck_assert_uint_eq(notify_watchdog_ns(), 0);
    unsetenv("WATCHDOG_PID");
    setenv("WATCHDOG_USEC", "often", 1);
    ck_assert_uint_eq(notify_watchdog_ns(), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("process");
    TCase *t = tcase_create("process");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_a_title_takes_the_place_of_arguments_and_is_cut_to_it);
    tcase_add_test(t, test_the_environment_is_found_after_it_has_moved);
    tcase_add_test(t, test_without_an_area_only_the_short_name_is_set);
    tcase_add_loop_test(t, test_a_signal_is_read_with_its_meaning, 0, ARRAY_LEN(meanings));
    tcase_add_loop_test(t, test_a_child_is_not_touched_by_what_the_master_reads, 0,
                        ARRAY_LEN(meanings));
    tcase_add_test(t, test_without_a_user_nothing_changes);
    tcase_add_test(t, test_a_user_or_group_that_is_not_there_fails_the_start);
    tcase_add_test(t, test_a_user_is_given_up_to_for_good_and_numbers_do);
    tcase_add_test(t, test_descriptors_are_raised_as_far_as_allowed_and_never_lowered);
    tcase_add_test(t, test_the_manager_hears_lines_and_the_time_of_a_reload);
    tcase_add_test(t, test_an_abstract_socket_is_found_too);
    tcase_add_test(t, test_the_watchdog_is_fed_twice_as_often_as_asked_and_only_by_whom_it_means);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    log_set_level(LOG_LEVEL_ERROR);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}

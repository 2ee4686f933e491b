/* The engine with a program that answers lines: real processes, real sockets, no HTTP. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test/unit/workers/stage.h"

#define TWO "workers 2\nlisten 127.0.0.1:%P\n"

static struct stage stage;

static void open_stage(void)
{
    stage_open(&stage);
}

static void close_stage(void)
{
    stage_close(&stage);
}

/* ---- serving ---- */

START_TEST(test_all_workers_answer_and_each_has_a_process_of_its_own)
{
    int fds[3];

    stage_config(&stage, "workers 3\nlisten 127.0.0.1:%P\ngreeting hello\n");
    stage_start(&stage);
    clients_of_all(stage.port, fds, 3);
    ck_assert_int_ne(client_who(fds[0]).pid, client_who(fds[1]).pid);
    ck_assert_int_ne(client_who(fds[1]).pid, client_who(fds[2]).pid);
    ck_assert_int_ne(client_who(fds[0]).pid, stage.master);
    ck_assert_str_eq(client_who(fds[0]).greeting, "hello");
}
END_TEST

START_TEST(test_a_pinned_worker_may_run_on_one_cpu)
{
    stage_config(&stage, TWO);
    stage_start(&stage);
    ck_assert_str_eq(client_ask(client_connect(stage.port), "cpus"), "1");
}
END_TEST

START_TEST(test_a_worker_has_no_descriptor_that_is_not_its_own)
{
    char pid_file[128];
    const char *fds;

    snprintf(pid_file, sizeof pid_file, "%s/pid", stage.dir);
    stage_config(&stage, "workers 3\nlisten 127.0.0.1:%P\nlog %D/access\n");
    stage_launch(&stage, pid_file, false);
    stage_hear(&stage, "READY=1");
    fds = client_ask(client_connect(stage.port), "fds");
    ck_assert_ptr_null(strstr(fds, "signalfd"));
    ck_assert_ptr_null(strstr(fds, "/pid"));
    ck_assert_ptr_null(strstr(fds, "/access"));
    ck_assert_ptr_null(strstr(fds, "bundle"));
    fds = strstr(fds, "eventpoll");
    ck_assert_ptr_nonnull(fds);
    ck_assert_msg(!strstr(fds + 1, "eventpoll"), "the master's epoll is still open");
}
END_TEST

START_TEST(test_a_unix_socket_is_shared_and_its_file_goes_with_the_gateway)
{
    char path[128];
    struct stat st;

    snprintf(path, sizeof path, "%s/gateway.sock", stage.dir);
    stage_config(&stage, "workers 2\nlisten unix:%D/gateway.sock\n");
    stage_start(&stage);
    ck_assert_int_gt(client_who(client_connect_unix(path)).pid, 0);
    ck_assert(stat(path, &st) == 0);
    ck_assert_uint_eq(st.st_mode & 0777, 0660);
    stage_signal(&stage, SIGTERM);
    ck_assert_int_eq(stage_wait(&stage), 0);
    ck_assert(stat(path, &st) != 0);
}
END_TEST

START_TEST(test_the_third_connection_waits_until_one_of_two_is_closed)
{
    int first, second, third;
    struct pollfd p;

    stage_config(&stage, "workers 1\nmax_connections 2\nlisten 127.0.0.1:%P\n");
    stage_start(&stage);
    first = client_connect(stage.port);
    second = client_connect(stage.port);
    client_who(first);
    client_who(second);
    third = client_connect(stage.port);
    client_send(third, "hello\n");
    client_who(first); /* a turn of the worker has passed */
    p = (struct pollfd){ .fd = third, .events = POLLIN };
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    close(first);
    ck_assert_str_eq(client_line(third), "hello");
    ck_assert(stage_logged(&stage, "max_connections is reached"));
}
END_TEST

/* ---- not starting ---- */

START_TEST(test_a_file_that_cannot_be_read_is_status_1)
{
    stage_config(&stage, "nonsense\n");
    stage_launch(&stage, NULL, false);
    ck_assert_int_eq(stage_wait(&stage), 1);
    ck_assert(stage_logged(&stage, "cannot read: nonsense"));
}
END_TEST

START_TEST(test_an_address_in_use_is_named_with_the_process_that_holds_it)
{
    char holder[64];
    pid_t first;

    stage_config(&stage, TWO);
    stage_start(&stage);
    first = stage.master;
    stage_launch(&stage, NULL, false);
    ck_assert_int_eq(stage_wait(&stage), 1);
    stage.master = first;
    snprintf(holder, sizeof holder, "(process ");
    ck_assert(stage_logged(&stage, "cannot listen on 127.0.0.1"));
    ck_assert(stage_logged(&stage, holder));
}
END_TEST

START_TEST(test_workers_that_die_at_birth_end_the_start_with_status_1)
{
    stage_config(&stage, TWO);
    setenv("ECHO_DIE_AT_START", "1", 1);
    stage_launch(&stage, NULL, false);
    ck_assert_int_eq(stage_wait(&stage), 1);
}
END_TEST

START_TEST(test_a_second_gateway_with_the_same_pid_file_does_not_start)
{
    char pid_file[128];
    struct stat st;
    pid_t first;

    snprintf(pid_file, sizeof pid_file, "%s/pid", stage.dir);
    stage_config(&stage, TWO);
    stage_launch(&stage, pid_file, false);
    stage_hear(&stage, "READY=1");
    first = stage.master;
    stage_config(&stage, "workers 1\nlisten 127.0.0.1:%Q\n");
    stage_launch(&stage, pid_file, false);
    ck_assert_int_eq(stage_wait(&stage), 1);
    ck_assert(stage_logged(&stage, "already running as process"));
    stage.master = first;
    stage_signal(&stage, SIGTERM);
    ck_assert_int_eq(stage_wait(&stage), 0);
    ck_assert(stat(pid_file, &st) != 0);
}
END_TEST

START_TEST(test_the_caller_of_a_daemon_returns_with_0_when_it_is_ready)
{
    char pid_file[128];
    int pid = 0;
    FILE *f;

    snprintf(pid_file, sizeof pid_file, "%s/pid", stage.dir);
    stage_config(&stage, TWO);
    stage_launch(&stage, pid_file, true);
    ck_assert_int_eq(stage_wait(&stage), 0);
    client_who(client_connect(stage.port)); /* at once: ready is ready */
    f = fopen(pid_file, "r");
    ck_assert(f && fscanf(f, "%d", &pid) == 1);
    fclose(f);
    ck_assert_int_gt(pid, 1);
    ck_assert_int_eq(getsid(pid) != getsid(0), 1);
    ck_assert(kill(pid, SIGTERM) == 0);
    process_gone(pid);
}
END_TEST

START_TEST(test_the_caller_of_a_daemon_returns_with_1_when_it_cannot_start)
{
    stage_config(&stage, "nonsense\n");
    stage_launch(&stage, NULL, true);
    ck_assert_int_eq(stage_wait(&stage), 1);
    ck_assert(stage_logged(&stage, "cannot read: nonsense"));
}
END_TEST

/* ---- dying ---- */

START_TEST(test_a_killed_worker_is_replaced_and_no_new_connection_fails)
{
    int fds[2], again[2], old;

    stage_config(&stage, TWO);
    stage_start(&stage);
    clients_of_all(stage.port, fds, 2);
    /* From the second death on the post is empty for a while: the neighbour answers. */
    for (int death = 0; death < 3; death++) {
        old = client_who(fds[1]).pid;
        ck_assert(kill(old, SIGKILL) == 0);
        for (int i = 0; i < 20; i++) {
            int fd = client_connect(stage.port);

            ck_assert_str_eq(client_ask(fd, "there?"), "there?");
            close(fd);
        }
        stage_hear(&stage, "BORN=worker 1");
        clients_of_all(stage.port, again, 2);
        ck_assert_int_ne(client_who(again[1]).pid, old);
        fds[1] = again[1];
    }
    ck_assert(stage_logged(&stage, "died 2 times in a row"));
}
END_TEST

START_TEST(test_a_worker_that_hangs_is_killed_and_replaced)
{
    int fd;
    struct who before;

    stage_config(&stage, "workers 1\nstuck_ms 400\nlisten 127.0.0.1:%P\n");
    stage_start(&stage);
    fd = client_connect(stage.port);
    before = client_who(fd);
    client_send(fd, "hang\n");
    ck_assert_str_eq(client_line(fd), "");
    ck_assert_int_ne(client_who(client_connect(stage.port)).pid, before.pid);
    ck_assert(stage_logged(&stage, "has not moved for"));
}
END_TEST

START_TEST(test_the_end_of_the_master_ends_the_workers_when_they_have_finished)
{
    int fds[2], pids[2];

    stage_config(&stage, TWO);
    stage_start(&stage);
    clients_of_all(stage.port, fds, 2);
    pids[0] = client_who(fds[0]).pid;
    pids[1] = client_who(fds[1]).pid;
    client_send(fds[0], "half");
    client_who(fds[1]);
    stage_signal(&stage, SIGKILL);
    ck_assert_int_eq(stage_wait(&stage), -1);
    process_gone(pids[1]);
    ck_assert_str_eq(client_ask(fds[0], " line"), "half line");
    process_gone(pids[0]);
}
END_TEST

/* ---- logs ---- */

START_TEST(test_logs_are_opened_anew_by_the_master_and_written_by_the_caretaker)
{
    char path[128], moved[128];
    struct stat st;

    snprintf(path, sizeof path, "%s/access", stage.dir);
    snprintf(moved, sizeof moved, "%s/access.1", stage.dir);
    setenv("ECHO_LOG", path, 1);
    stage_config(&stage, TWO "log %D/access\n");
    stage_start(&stage);
    ck_assert(rename(path, moved) == 0);
    stage_signal(&stage, SIGUSR1);
    stage_hear(&stage, "LOG=open");
    ck_assert(stat(path, &st) == 0);
    ck_assert_int_gt(st.st_size, 0);
    stage_config(&stage, TWO);
    stage_signal(&stage, SIGHUP);
    stage_hear(&stage, "LOG=gone");
}
END_TEST

START_TEST(test_a_log_that_cannot_be_opened_refuses_the_reload)
{
    stage_config(&stage, TWO);
    stage_start(&stage);
    ck_assert(!stage_reload(&stage, TWO "log /nowhere/access\n"));
    ck_assert(stage_logged(&stage, "cannot open the log /nowhere/access"));
}
END_TEST

/* ---- stopping ---- */

START_TEST(test_sigterm_finishes_what_has_begun_and_ends_with_0)
{
    int half, idle;

    stage_config(&stage, TWO);
    stage_start(&stage);
    idle = client_connect(stage.port);
    half = client_connect(stage.port);
    client_who(idle);
    client_who(half);
    client_send(half, "half");
    client_send(idle, "x\n");
    client_line(idle);
    stage_signal(&stage, SIGTERM);
    stage_hear(&stage, "STOPPING=1");
    ck_assert_str_eq(client_line(idle), "");
    ck_assert_str_eq(client_ask(half, " line"), "half line");
    ck_assert_int_eq(stage_wait(&stage), 0);
    ck_assert_int_lt(client_try(stage.port), 0);
    ck_assert(stage_logged(&stage, "; 0 unfinished were cut"));
}
END_TEST

/* The kernel has promised them an answer; closing the socket would break that. */
START_TEST(test_connections_in_the_queue_at_sigterm_are_answered)
{
    int fds[2], waiting[20], pids[2];

    stage_config(&stage, TWO);
    stage_start(&stage);
    clients_of_all(stage.port, fds, 2);
    for (int i = 0; i < 2; i++) {
        pids[i] = client_who(fds[i]).pid;
        ck_assert(kill(pids[i], SIGSTOP) == 0);
    }
    for (int i = 0; i < 20; i++) {
        waiting[i] = client_connect(stage.port);
        client_send(waiting[i], "me too\n");
    }
    stage_signal(&stage, SIGTERM);
    stage_hear(&stage, "STOPPING=1");
    for (int i = 0; i < 2; i++)
        ck_assert(kill(pids[i], SIGCONT) == 0);
    for (int i = 0; i < 20; i++)
        ck_assert_str_eq(client_line(waiting[i]), "me too");
    ck_assert_int_eq(stage_wait(&stage), 0);
}
END_TEST

START_TEST(test_a_second_signal_ends_at_once_and_the_cut_are_counted)
{
    int half;

    stage_config(&stage, TWO);
    stage_start(&stage);
    half = client_connect(stage.port);
    client_who(half);
    client_send(half, "hello\nhalf");
    ck_assert_str_eq(client_line(half), "hello");
    stage_signal(&stage, SIGTERM);
    stage_hear(&stage, "STOPPING=1");
    stage_signal(&stage, SIGINT);
    ck_assert_int_eq(stage_wait(&stage), 0);
    ck_assert_str_eq(client_line(half), "");
    ck_assert(stage_logged(&stage, "stopping now"));
    ck_assert(stage_logged(&stage, "; 1 unfinished were cut"));
}
END_TEST

START_TEST(test_what_is_unfinished_after_the_grace_is_cut)
{
    int half;

    stage_config(&stage, TWO "grace_ms 100\n");
    stage_start(&stage);
    half = client_connect(stage.port);
    client_send(half, "hello\nhalf");
    ck_assert_str_eq(client_line(half), "hello");
    stage_signal(&stage, SIGQUIT);
    ck_assert_int_eq(stage_wait(&stage), 0);
    ck_assert(stage_logged(&stage, "; 1 unfinished were cut"));
}
END_TEST

/* A worker that hangs does not hold the end up. */
START_TEST(test_a_worker_that_hangs_is_killed_at_the_end_of_the_grace)
{
    int fd;

    stage_config(&stage, "workers 1\ngrace_ms 100\nlisten 127.0.0.1:%P\n");
    stage_start(&stage);
    fd = client_connect(stage.port);
    client_who(fd);
    client_send(fd, "hang\n");
    stage_signal(&stage, SIGTERM);
    ck_assert_int_eq(stage_wait(&stage), 0);
    ck_assert(stage_logged(&stage, "did not end in time"));
}
END_TEST

START_TEST(test_during_the_drain_delay_it_accepts_and_says_that_it_will_not_be_ready)
{
    int fd;

    stage_config(&stage, TWO "drain_delay_ms 300\n");
    stage_start(&stage);
    fd = client_connect(stage.port);
    ck_assert_str_eq(client_ask(fd, "ready"), "yes");
    stage_signal(&stage, SIGTERM);
    stage_hear(&stage, "STOPPING=1");
    while (strcmp(client_ask(fd, "ready"), "no") != 0)
        ck_assert_str_ne(client_line(fd), "");
    ck_assert_str_eq(client_ask(client_connect(stage.port), "ready"), "no");
    ck_assert_int_eq(stage_wait(&stage), 0);
}
END_TEST

/* ---- rights ---- */

START_TEST(test_workers_give_up_root)
{
    char path[64], text[4096] = "";
    int fd, pid;
    ssize_t n;

    if (geteuid() != 0) /* nothing to give up */
        return;
    stage_config(&stage, TWO "user nobody\n");
    stage_start(&stage);
    pid = client_who(client_connect(stage.port)).pid;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    fd = open(path, O_RDONLY);
    ck_assert(fd >= 0);
    n = read(fd, text, sizeof text - 1);
    ck_assert(n > 0);
    close(fd);
    ck_assert_ptr_null(strstr(text, "Uid:\t0"));
    ck_assert_ptr_null(strstr(text, "Gid:\t0"));
    ck_assert_ptr_nonnull(strstr(text, "NoNewPrivs:\t1"));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("engine");
    TCase *serving = tcase_create("serving"), *starting = tcase_create("starting");
    TCase *dying = tcase_create("dying");
    TCase *logs = tcase_create("logs"), *stopping = tcase_create("stopping");
    TCase *all[] = { serving, starting, dying, logs, stopping };
    SRunner *runner;
    int failed;

    tcase_add_test(serving, test_all_workers_answer_and_each_has_a_process_of_its_own);
    tcase_add_test(serving, test_a_pinned_worker_may_run_on_one_cpu);
    tcase_add_test(serving, test_a_worker_has_no_descriptor_that_is_not_its_own);
    tcase_add_test(serving, test_a_unix_socket_is_shared_and_its_file_goes_with_the_gateway);
    tcase_add_test(serving, test_the_third_connection_waits_until_one_of_two_is_closed);
    tcase_add_test(serving, test_workers_give_up_root);
    tcase_add_test(starting, test_a_file_that_cannot_be_read_is_status_1);
    tcase_add_test(starting, test_an_address_in_use_is_named_with_the_process_that_holds_it);
    tcase_add_test(starting, test_workers_that_die_at_birth_end_the_start_with_status_1);
    tcase_add_test(starting, test_a_second_gateway_with_the_same_pid_file_does_not_start);
    tcase_add_test(starting, test_the_caller_of_a_daemon_returns_with_0_when_it_is_ready);
    tcase_add_test(starting, test_the_caller_of_a_daemon_returns_with_1_when_it_cannot_start);
    tcase_add_test(dying, test_a_killed_worker_is_replaced_and_no_new_connection_fails);
    tcase_add_test(dying, test_a_worker_that_hangs_is_killed_and_replaced);
    tcase_add_test(dying, test_the_end_of_the_master_ends_the_workers_when_they_have_finished);
    tcase_add_test(logs, test_logs_are_opened_anew_by_the_master_and_written_by_the_caretaker);
    tcase_add_test(logs, test_a_log_that_cannot_be_opened_refuses_the_reload);
    tcase_add_test(stopping, test_sigterm_finishes_what_has_begun_and_ends_with_0);
    tcase_add_test(stopping, test_connections_in_the_queue_at_sigterm_are_answered);
    tcase_add_test(stopping, test_a_second_signal_ends_at_once_and_the_cut_are_counted);
    tcase_add_test(stopping, test_what_is_unfinished_after_the_grace_is_cut);
    tcase_add_test(stopping, test_a_worker_that_hangs_is_killed_at_the_end_of_the_grace);
    tcase_add_test(stopping,
                   test_during_the_drain_delay_it_accepts_and_says_that_it_will_not_be_ready);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        tcase_add_checked_fixture(all[i], open_stage, close_stage);
        tcase_set_timeout(all[i], 60);
        suite_add_tcase(suite, all[i]);
    }
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}

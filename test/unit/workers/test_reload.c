/* Reloading the engine: nothing is closed, and all run the old or all run the new. */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/check.h"
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

START_TEST(test_a_reload_changes_what_open_connections_get_and_closes_none)
{
    struct who before[2], after;
    int fds[2];

    stage_config(&stage, TWO "greeting old\n");
    stage_start(&stage);
    clients_of_all(stage.port, fds, 2);
    for (int i = 0; i < 2; i++)
        before[i] = client_who(fds[i]);
    client_send(fds[0], "half a li");
    ck_assert(stage_reload(&stage, TWO "greeting new\n"));
    client_send(fds[0], "ne\n");
    ck_assert_str_eq(client_line(fds[0]), "half a line");
    for (int i = 0; i < 2; i++) {
        after = client_who(fds[i]);
        ck_assert_int_eq(after.pid, before[i].pid);
        ck_assert_str_eq(before[i].greeting, "old");
        ck_assert_str_eq(after.greeting, "new");
        ck_assert_uint_gt(after.generation, before[i].generation);
    }
}
END_TEST

START_TEST(test_a_bad_file_leaves_everything_as_it_was)
{
    int fd;

    stage_config(&stage, TWO "greeting old\n");
    stage_start(&stage);
    fd = client_connect(stage.port);
    ck_assert(!stage_reload(&stage, TWO "listen 127.0.0.1:%Q\ngreeting new\nnonsense\n"));
    ck_assert_str_eq(client_who(fd).greeting, "old");
    ck_assert_int_lt(client_try(stage.other_port), 0);
    ck_assert(stage_reload(&stage, TWO "greeting newer\n"));
    ck_assert_str_eq(client_who(fd).greeting, "newer");
}
END_TEST

/* Worker 0 has adopted by then, and goes back. */
START_TEST(test_when_one_worker_refuses_all_keep_the_old)
{
    int fds[2];

    stage_config(&stage, TWO "greeting old\n");
    stage_start(&stage);
    clients_of_all(stage.port, fds, 2);
    ck_assert(!stage_reload(&stage, TWO "listen 127.0.0.1:%Q\ngreeting new\nrefuse_slot 1\n"));
    ck_assert_str_eq(client_who(fds[0]).greeting, "old");
    ck_assert_str_eq(client_who(fds[1]).greeting, "old");
    ck_assert_int_lt(client_try(stage.other_port), 0);
    ck_assert(stage_reload(&stage, TWO "greeting newer\n"));
    ck_assert_str_eq(client_who(fds[1]).greeting, "newer");
}
END_TEST

START_TEST(test_when_a_worker_dies_of_the_new_one_all_keep_the_old)
{
    int fds[2], again[2];

    stage_config(&stage, TWO "greeting old\n");
    stage_start(&stage);
    clients_of_all(stage.port, fds, 2);
    ck_assert(!stage_reload(&stage, TWO "greeting new\ndie_slot 0\n"));
    ck_assert_str_eq(client_who(fds[1]).greeting, "old");
    ck_assert_str_eq(client_line(fds[0]), "");
    clients_of_all(stage.port, again, 2);
    ck_assert_str_eq(client_who(again[0]).greeting, "old");
}
END_TEST

START_TEST(test_a_worker_that_takes_too_long_to_adopt_has_refused)
{
    int fd;

    stage_config(&stage, TWO "greeting old\nadopt_ms 2000\n");
    stage_start(&stage);
    fd = client_connect(stage.port);
    ck_assert(!stage_reload(&stage, TWO "greeting new\nslow\nadopt_ms 100\n"));
    ck_assert_str_eq(client_who(fd).greeting, "old");
    ck_assert(stage_logged(&stage, "not everybody adopted it in time"));
}
END_TEST

START_TEST(test_a_second_sighup_during_a_reload_is_remembered)
{
    stage_config(&stage, TWO "greeting old\nadopt_ms 300\n");
    stage_start(&stage);
    stage_config(&stage, TWO "greeting new\nslow\nadopt_ms 300\n");
    stage_signal(&stage, SIGHUP);
    stage_hear(&stage, "BUILDING");
    stage_config(&stage, TWO "greeting last\n");
    stage_signal(&stage, SIGHUP);
    stage_hear(&stage, "the last reload was refused");
    stage_hear(&stage, "RELOADING=1");
    stage_hear(&stage, "READY=1");
    ck_assert_str_eq(client_who(client_connect(stage.port)).greeting, "last");
}
END_TEST

START_TEST(test_a_listener_that_is_added_answers_and_one_that_is_removed_keeps_its_connections)
{
    int fd, half;

    stage_config(&stage, TWO "greeting old\n");
    stage_start(&stage);
    fd = client_connect(stage.port);
    half = client_connect(stage.port);
    client_who(fd);
    client_who(half);
    client_send(half, "half");
    ck_assert(stage_reload(&stage, "workers 2\nlisten 127.0.0.1:%Q\ngreeting new\n"));
    ck_assert_str_eq(client_who(client_connect(stage.other_port)).greeting, "new");
    ck_assert_str_eq(client_who(fd).greeting, "new");
    ck_assert_str_eq(client_ask(half, " line"), "half line");
    /* The workers close their copies when they have emptied the queues; who has answered twice has done so. */
    for (int i = 0; i < 2; i++) {
        int fds[2];

        clients_of_all(stage.other_port, fds, 2);
        close(fds[0]);
        close(fds[1]);
    }
    ck_assert_int_lt(client_try(stage.port), 0);
}
END_TEST

START_TEST(test_a_reload_to_an_address_in_use_is_refused_and_nothing_is_lost)
{
    int fd;

    stage_config(&stage, TWO "greeting old\n");
    stage_start(&stage);
    fd = client_connect(stage.port);
    ck_assert(!stage_reload(&stage, TWO "listen 0.0.0.0:%P\ngreeting new\n"));
    ck_assert_str_eq(client_who(fd).greeting, "old");
    ck_assert_str_eq(client_who(client_connect(stage.port)).greeting, "old");
}
END_TEST

START_TEST(test_workers_are_added_by_a_reload)
{
    int fds[4];

    stage_config(&stage, "workers 1\nlisten 127.0.0.1:%P\n");
    stage_start(&stage);
    ck_assert(stage_reload(&stage, "workers 4\nlisten 127.0.0.1:%P\n"));
    clients_of_all(stage.port, fds, 4);
}
END_TEST

/* Every slot's queue goes on being looked at by those who stay, and what the others had begun is ended. */
START_TEST(test_a_worker_taken_away_finishes_what_it_has_and_its_queue_goes_to_others)
{
    int fds[4], pid;

    stage_config(&stage, "workers 4\nlisten 127.0.0.1:%P\n");
    stage_start(&stage);
    clients_of_all(stage.port, fds, 4);
    pid = client_who(fds[3]).pid;
    client_send(fds[3], "half");
    client_who(fds[0]);
    ck_assert(stage_reload(&stage, "workers 1\nlisten 127.0.0.1:%P\n"));
    for (int i = 0; i < 50; i++) {
        int fd = client_connect(stage.port);

        ck_assert_str_eq(client_ask(fd, "you?"), "you?");
        close(fd);
    }
    ck_assert_str_eq(client_ask(fds[3], " line"), "half line");
    process_gone(pid);
    ck_assert_uint_eq(client_who(fds[0]).slot, 0);
}
END_TEST

START_TEST(test_a_hundred_reloads_close_no_connection)
{
    char config[128];
    struct who before;
    int fds[2];

    stage_config(&stage, TWO);
    stage_start(&stage);
    clients_of_all(stage.port, fds, 2);
    before = client_who(fds[0]);
    for (int i = 0; i < 100; i++) {
        snprintf(config, sizeof config, "workers %d\nlisten 127.0.0.1:%%P\n%sgreeting g%d\n",
                 2 + i % 3 / 2, i % 2 ? "listen 127.0.0.1:%Q\n" : "", i);
        ck_assert(stage_reload(&stage, config));
        snprintf(config, sizeof config, "g%d", i);
        ck_assert_str_eq(client_who(fds[0]).greeting, config);
        ck_assert_str_eq(client_who(fds[1]).greeting, config);
    }
    ck_assert_int_eq(client_who(fds[0]).pid, before.pid);
}
END_TEST

/* Whatever dies whenever: afterwards the configuration that was taken last is served by all. */
START_TEST(test_deaths_and_reloads_in_any_order_leave_a_gateway_that_serves)
{
    static const char *const wrongs[] = {
        "", "nonsense\n", "refuse_slot 99\n", "die_slot 99\n", "log /nowhere/x\n", ""
    };
    char config[256], taken[32] = "g0";
    unsigned seed = (unsigned)_i + 1;
    int fds[4];

    stage_config(&stage, TWO "adopt_ms 5000\ngreeting g0\n");
    stage_start(&stage);
    for (int i = 1; i <= 25; i++) {
        unsigned roll = (unsigned)rand_r(&seed);
        const char *wrong = wrongs[roll % ARRAY_LEN(wrongs)];
        int victim = client_connect(stage.port);

        /* Its death may come before, in the middle of or after the reload. */
        client_send(victim, roll & 64 ? "crash\n" : "fine\n");
        snprintf(config, sizeof config,
                 "workers %u\nlisten 127.0.0.1:%%P\n%sadopt_ms 5000\ngreeting g%d\n%s",
                 1 + roll / 128 % 4, roll & 1024 ? "listen 127.0.0.1:%Q\n" : "", i, wrong);
        if (stage_reload(&stage, config)) {
            ck_assert_msg(strcmp(wrong, "nonsense\n") != 0, "nonsense was taken");
            ck_assert_msg(!strstr(wrong, "slot"), "what kills workers was taken");
            snprintf(taken, sizeof taken, "g%d", i);
        }
        client_line(victim); /* an answer or an end: whom it met has died by now */
        close(victim);
        for (int k = 0; k < 5; k++) {
            int fd = client_connect(stage.port);

            ck_assert_str_eq(client_who(fd).greeting, taken);
            close(fd);
        }
    }
    ck_assert(stage_reload(&stage, "workers 4\nlisten 127.0.0.1:%P\ngreeting last\n"));
    clients_of_all(stage.port, fds, 4);
    for (int i = 0; i < 4; i++)
        ck_assert_str_eq(client_who(fds[i]).greeting, "last");
    stage_signal(&stage, SIGTERM);
    ck_assert_int_eq(stage_wait(&stage), 0);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("reload");
    TCase *t = tcase_create("reload");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, open_stage, close_stage);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_a_reload_changes_what_open_connections_get_and_closes_none);
    tcase_add_test(t, test_a_bad_file_leaves_everything_as_it_was);
    tcase_add_test(t, test_when_one_worker_refuses_all_keep_the_old);
    tcase_add_test(t, test_when_a_worker_dies_of_the_new_one_all_keep_the_old);
    tcase_add_test(t, test_a_worker_that_takes_too_long_to_adopt_has_refused);
    tcase_add_test(t, test_a_second_sighup_during_a_reload_is_remembered);
    tcase_add_test(
        t, test_a_listener_that_is_added_answers_and_one_that_is_removed_keeps_its_connections);
    tcase_add_test(t, test_a_reload_to_an_address_in_use_is_refused_and_nothing_is_lost);
    tcase_add_test(t, test_workers_are_added_by_a_reload);
    tcase_add_test(t, test_a_worker_taken_away_finishes_what_it_has_and_its_queue_goes_to_others);
    tcase_add_test(t, test_a_hundred_reloads_close_no_connection);
    tcase_add_loop_test(t, test_deaths_and_reloads_in_any_order_leave_a_gateway_that_serves, 0, 4);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed;
}

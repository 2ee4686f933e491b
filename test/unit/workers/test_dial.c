/* Connecting out: what became of it is told, now or later, and nothing is left. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/number.h"
#include "test/unit/workers/conn_play.h"
#include "workers/dial.h"

#define TURNS_MAX 100000

/* ---- dialling --------------------------------------------------------------------------------- */

START_TEST(test_a_dialled_conn_opens_and_then_speaks)
{
    struct sockaddr_in at;
    char text[8];

    begin();
    at = listen_somewhere();
    play.c = dial(&play.l, &play.pool, (struct sockaddr *)&at, sizeof at, &play_events, NULL);
    ck_assert_ptr_nonnull(play.c);
    ck_assert_uint_eq(conn_write(play.c, STR("early")), 5); /* before it stands: kept */
    for (int n = 0; play.opens == 0; n++) {
        ck_assert_int_lt(n, TURNS_MAX);
        turns(1);
    }
    play.peer = accept(play.listener, NULL, NULL);
    ck_assert_int_eq(read(play.peer, text, sizeof text), 5);
    finish();
}
END_TEST

/* More than is buffered before it stands: there is room again when that has left, and it is said. */
START_TEST(test_room_wanted_while_dialling_is_told_of)
{
    struct sockaddr_in at;
    char *text = noise(100000);

    begin();
    at = listen_somewhere();
    play.c = dial(&play.l, &play.pool, (struct sockaddr *)&at, sizeof at, &play_events, NULL);
    ck_assert_ptr_nonnull(play.c);
    ck_assert_uint_lt(conn_write(play.c, str_of(text, 100000)), 100000);
    play.peer = accept(play.listener, NULL, NULL);
    for (int n = 0; play.rooms == 0; n++) {
        ck_assert_int_lt(n, TURNS_MAX);
        turns(1);
    }
    free(text);
    finish();
}
END_TEST

START_TEST(test_a_refused_dial_is_told_now_or_later_and_leaves_nothing)
{
    struct sockaddr_in at;

    begin();
    at = listen_somewhere();
    close(play.listener);
    play.listener = -1;
    play.c = dial(&play.l, &play.pool, (struct sockaddr *)&at, sizeof at, &play_events, NULL);
    if (play.c) {
        for (int n = 0; play.brokens == 0; n++) {
            ck_assert_int_lt(n, TURNS_MAX);
            turns(1);
        }
        ck_assert_int_eq(play.error, ECONNREFUSED);
    } else {
        ck_assert_int_eq(errno, ECONNREFUSED);
    }
    ck_assert_uint_eq(play.opens, 0);
    finish();
}
END_TEST

START_TEST(test_a_dial_may_be_given_up)
{
    struct sockaddr_in at;

    begin();
    at = listen_somewhere();
    play.c = dial(&play.l, &play.pool, (struct sockaddr *)&at, sizeof at, &play_events, NULL);
    ck_assert_ptr_nonnull(play.c);
    ck_assert_uint_eq(conn_write(play.c, STR("never")), 5);
    conn_close(play.c, CLOSE_WRITTEN);
    play.c = NULL;
    turns(2);
    ck_assert_uint_eq(play.opens, 0);
    ck_assert_uint_eq(play.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_what_cannot_be_watched_is_closed_and_said)
{
    int fds[2];

    begin();
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    ck_assert_ptr_null(conn_open(&play.l, &play.pool, fds[0], false, &play_events, NULL));
    ck_assert_int_eq(errno, EBADF);
    ck_assert_uint_eq(play.pool.used, 0);
    close(fds[1]);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("dial");
    TCase *t = tcase_create("dial");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 30);
    tcase_add_test(t, test_a_dialled_conn_opens_and_then_speaks);
    tcase_add_test(t, test_room_wanted_while_dialling_is_told_of);
    tcase_add_test(t, test_a_refused_dial_is_told_now_or_later_and_leaves_nothing);
    tcase_add_test(t, test_a_dial_may_be_given_up);
    tcase_add_test(t, test_what_cannot_be_watched_is_closed_and_said);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

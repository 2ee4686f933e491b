/* The end of a byte stream: what was promised is sent, nobody waits for ever, and it is told once. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/number.h"
#include "test/unit/workers/conn_play.h"

#define TURNS_MAX 100000

/* ---- ends ------------------------------------------------------------------------------------- */

static void reset_peer(void)
{
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(play.peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(play.peer);
    play.peer = -1;
}

/* Paused or not. */
START_TEST(test_a_reset_is_told_once_with_its_reason)
{
    begin_with(true);
    if (_i)
        conn_pause(play.c);
    reset_peer();
    turns(2);
    if (_i)
        conn_resume(play.c);
    turns(2);
    ck_assert_uint_eq(play.brokens, 1);
    ck_assert_int_eq(play.error, ECONNRESET);
    finish();
}
END_TEST

START_TEST(test_a_write_that_fails_lets_the_peer_s_last_words_be_read_first)
{
    begin_with(false);
    conn_pause(play.c);
    say("last words");
    turns(1);
    close(play.peer);
    play.peer = -1;
    conn_resume(play.c); /* its task runs behind the send */
    ck_assert_uint_eq(conn_write(play.c, STR("who is there?")), 13);
    turns(3);
    ck_assert(str_equal(str_of(play.in, play.in_len), STR("last words")));
    ck_assert_uint_eq(play.brokens, 1);
    ck_assert_int_eq(play.error, EPIPE);
    finish();
}
END_TEST

START_TEST(test_close_written_sends_all_to_a_slow_peer_and_then_ends)
{
    size_t size = 8 << 20, given, got = 0;
    char *text = noise(size), *back = malloc(size);
    bool ended = false;

    begin_with(_i);
    ck_assert_ptr_nonnull(back);
    given = conn_write(play.c, str_of(text, size));
    ck_assert_uint_lt(given, size); /* else nothing is tried here */
    given += conn_write(play.c, str_of(text + given, 100));
    conn_close(play.c, CLOSE_WRITTEN);
    play.c = NULL;
    ck_assert_uint_eq(play.l.closing_count, 1);
    for (int n = 0; !ended; n++) {
        ck_assert_int_lt(n, TURNS_MAX);
        got += hear(back + got, 50000 < size - got ? 50000 : size - got, &ended);
        turns(1);
    }
    ck_assert_uint_eq(got, given);
    ck_assert_mem_eq(back, text, given);
    ck_assert_uint_eq(play.pool.used, 0);
    free(text);
    free(back);
    finish();
}
END_TEST

START_TEST(test_close_written_gives_up_on_a_peer_that_reads_nothing)
{
    char *text = noise(8 << 20);

    begin_with(_i);
    ck_assert_uint_lt(conn_write(play.c, str_of(text, 8 << 20)), 8 << 20);
    ck_assert_uint_eq(conn_write(play.c, STR("the rest")), 8);
    conn_close(play.c, CLOSE_WRITTEN);
    play.c = NULL;
    turns(3);
    ck_assert_uint_eq(play.l.closing_count, 1);
    timers_run(&play.l.timers, play.l.now_ns + 31 * NS_PER_S);
    turns(1);
    ck_assert_uint_eq(play.pool.used, 0);
    free(text);
    finish();
}
END_TEST

/* The peer is in the middle of its upload; what it sends is dropped, what it was told arrives, with an end behind it. */
START_TEST(test_a_lingering_close_drops_input_and_ends_with_the_peer)
{
    char text[64];
    bool ended = false;
    char *more = noise(200000);

    begin_with(_i);
    conn_pause(play.c);
    ck_assert_int_gt(write(play.peer, more, 200000), 0);
    turns(1);
    ck_assert_uint_eq(conn_write(play.c, STR("too much")), 8);
    conn_close(play.c, CLOSE_LINGERING);
    play.c = NULL;
    turns(100);
    ck_assert_uint_eq(hear(text, sizeof text, &ended), 8);
    ck_assert(ended);
    ck_assert_uint_eq(play.pool.used, 1);
    for (int n = 0; n < 20; n++) { /* it goes on, and nothing resets it */
        ck_assert(write(play.peer, more, 200000) > 0 || errno == EAGAIN);
        turns(10);
    }
    close(play.peer);
    play.peer = -1;
    turns(100);
    ck_assert_uint_eq(play.pool.used, 0);
    free(more);
    finish();
}
END_TEST

START_TEST(test_a_lingering_close_does_not_wait_for_ever)
{
    begin_with(_i);
    conn_close(play.c, CLOSE_LINGERING);
    play.c = NULL;
    turns(3);
    ck_assert_uint_eq(play.pool.used, 1);
    ck_assert_uint_eq(play.l.closing_count, 1);
    ck_assert(list_is_empty(&play.l.tasks));
    timers_run(&play.l.timers, play.l.now_ns + 3 * NS_PER_S);
    turns(1);
    ck_assert_uint_eq(play.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_lingering_is_over_at_once_where_the_peer_has_ended)
{
    begin_with(_i);
    shutdown(play.peer, SHUT_WR);
    turns(2);
    conn_close(play.c, CLOSE_LINGERING);
    play.c = NULL;
    turns(2);
    ck_assert_uint_eq(play.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_those_that_linger_are_cut_when_the_process_ends)
{
    begin_with(_i);
    conn_close(play.c, CLOSE_LINGERING);
    play.c = NULL;
    ck_assert_uint_eq(play.l.closing_count, 1);
    conns_cut(&play.l);
    ck_assert_uint_eq(play.l.closing_count, 0);
    turns(1);
    ck_assert_uint_eq(play.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_a_closed_conn_tells_its_owner_nothing_more)
{
    begin_with(_i);
    ck_assert_uint_eq(conn_write(play.c, STR("bye")), 3);
    say("hello?");
    conn_close(play.c, CLOSE_WRITTEN);
    play.c = NULL;
    turns(3);
    ck_assert_uint_eq(play.bytes_told + play.rooms + play.brokens + play.dues, 0);
    ck_assert_uint_eq(play.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_a_conn_closed_by_its_owner_when_told_of_the_end_is_gone)
{
    begin_with(_i);
    play.close_on_end = true;
    say("x");
    shutdown(play.peer, SHUT_WR);
    turns(3);
    ck_assert_uint_eq(play.ends_told, 1);
    ck_assert_uint_eq(play.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_a_reset_on_close_is_one)
{
    char text[8];

    begin_with(true);
    conn_reset_on_close(play.c);
    conn_close(play.c, CLOSE_NOW);
    play.c = NULL;
    turns(1);
    ck_assert_int_lt(read(play.peer, text, sizeof text), 0);
    ck_assert_int_eq(errno, ECONNRESET);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn_end");
    TCase *t = tcase_create("conn_end");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, test_a_reset_is_told_once_with_its_reason, 0, 2);
    tcase_add_test(t, test_a_write_that_fails_lets_the_peer_s_last_words_be_read_first);
    tcase_add_loop_test(t, test_close_written_sends_all_to_a_slow_peer_and_then_ends, 0, 2);
    tcase_add_loop_test(t, test_close_written_gives_up_on_a_peer_that_reads_nothing, 0, 2);
    tcase_add_loop_test(t, test_a_lingering_close_drops_input_and_ends_with_the_peer, 0, 2);
    tcase_add_loop_test(t, test_a_lingering_close_does_not_wait_for_ever, 0, 2);
    tcase_add_loop_test(t, test_lingering_is_over_at_once_where_the_peer_has_ended, 0, 2);
    tcase_add_loop_test(t, test_those_that_linger_are_cut_when_the_process_ends, 0, 2);
    tcase_add_loop_test(t, test_a_closed_conn_tells_its_owner_nothing_more, 0, 2);
    tcase_add_loop_test(t, test_a_conn_closed_by_its_owner_when_told_of_the_end_is_gone, 0, 2);
    tcase_add_test(t, test_a_reset_on_close_is_one);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

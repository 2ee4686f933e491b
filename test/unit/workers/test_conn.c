/* A byte stream: nothing is lost, doubled or told twice, whatever the edges and the pauses. */
#include <check.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/number.h"
#include "test/unit/workers/conn_play.h"

#define TURNS_MAX 100000

START_TEST(test_what_arrives_is_told_and_its_buffer_goes_back_when_it_is_consumed)
{
    begin_with(_i);
    say("hello");
    turns(1);
    ck_assert_uint_eq(play.bytes_told, 1);
    ck_assert(str_equal(str_of(play.in, play.in_len), STR("hello")));
    ck_assert_uint_eq(play.l.small_buffers.used, 0);
    finish();
}
END_TEST

START_TEST(test_what_is_not_consumed_stays_and_grows)
{
    begin_with(_i);
    play.consume_most = 0;
    say("one ");
    turns(1);
    say("two");
    turns(1);
    ck_assert_uint_eq(play.bytes_told, 2);
    ck_assert(str_equal(conn_input(play.c), STR("one two")));
    conn_consume(play.c, 4);
    ck_assert(str_equal(conn_input(play.c), STR("two")));
    finish();
}
END_TEST

/* kind, bytes consumed at once, pause after so many, large buffers */
static const struct {
    bool tcp;
    size_t most, pause;
    bool large;
} readers[] = {
    { false, SIZE_MAX, 0, false }, { true, SIZE_MAX, 0, false }, { true, SIZE_MAX, 0, true },
    { false, 1000, 0, false },     { true, 1000, 3, true },      { false, 16384, 1, false },
    { true, 16383, 2, false },     { true, SIZE_MAX, 1, true },  { false, 70000, 5, true },
};

START_TEST(test_a_long_stream_arrives_whole_however_it_is_taken)
{
    size_t size = 3 << 20, sent = 0;
    char *text = noise(size);

    begin_with(readers[_i].tcp);
    play.consume_most = readers[_i].most;
    play.pause_every = readers[_i].pause;
    conn_expect_large(play.c, readers[_i].large);
    for (int n = 0; play.ends_told == 0; n++) {
        ck_assert_int_lt(n, TURNS_MAX);
        if (sent < size) {
            ssize_t w = write(play.peer, text + sent, size - sent);

            sent += w > 0 ? (size_t)w : 0;
            if (sent == size)
                shutdown(play.peer, SHUT_WR);
        }
        turns(1);
        if (play.c->paused)
            conn_resume(play.c);
    }
    ck_assert_uint_eq(play.in_len, size);
    ck_assert_mem_eq(play.in, text, size);
    turns(5);
    ck_assert_uint_le(play.ends_told, 2);
    free(text);
    finish();
}
END_TEST

START_TEST(test_data_and_end_in_one_edge_are_both_told)
{
    begin_with(_i);
    say("last words");
    shutdown(play.peer, SHUT_WR);
    turns(2);
    ck_assert(str_equal(str_of(play.in, play.in_len), STR("last words")));
    ck_assert_uint_eq(play.ends_told, 1);
    ck_assert(play.c->ended);
    turns(3);
    ck_assert_uint_eq(play.ends_told, 1);
    finish();
}
END_TEST

START_TEST(test_a_paused_conn_hears_of_the_hang_up_and_reads_what_was_before_it_later)
{
    begin_with(_i);
    conn_pause(play.c);
    say("before");
    turns(1);
    ck_assert_uint_eq(play.bytes_told, 0);
    shutdown(play.peer, SHUT_WR);
    turns(1);
    ck_assert(play.hung_up_told);
    ck_assert_uint_eq(play.in_len, 0);
    conn_resume(play.c);
    turns(2);
    ck_assert(str_equal(str_of(play.in, play.in_len), STR("before")));
    ck_assert_uint_eq(play.ends_told, 1);
    finish();
}
END_TEST

START_TEST(test_a_full_buffer_that_nobody_empties_makes_no_work)
{
    char *text = noise(100000);

    begin_with(true);
    play.consume_most = 0;
    ck_assert_int_gt(write(play.peer, text, 100000), 50000);
    turns(20);
    ck_assert_uint_eq(conn_input(play.c).len, LOOP_SMALL_BUFFER);
    ck_assert(list_is_empty(&play.l.tasks));
    close(play.peer);
    play.peer = -1;
    turns(20);
    ck_assert(list_is_empty(&play.l.tasks));
    play.consume_most = SIZE_MAX;
    conn_resume(play.c);
    turns(20);
    ck_assert_uint_ge(play.in_len, 100000);
    free(text);
    finish();
}
END_TEST

START_TEST(test_quiet_means_nothing_unread_not_even_in_the_kernel)
{
    char fill[LOOP_SMALL_BUFFER] = { 0 };

    begin_with(true);
    ck_assert(conn_is_quiet(play.c));
    conn_pause(play.c);
    ck_assert_int_eq(write(play.peer, fill, sizeof fill), sizeof fill);
    turns(1);
    ck_assert(!conn_is_quiet(play.c));
    conn_resume(play.c);
    turns(2);
    ck_assert_uint_eq(play.in_len, sizeof fill);
    ck_assert(conn_is_quiet(play.c));
    play.c->readable = true; /* as after a read that filled all there was */
    ck_assert(conn_is_quiet(play.c));
    ck_assert(!play.c->readable);
    finish();
}
END_TEST

static bool acknowledges_at_once(void)
{
    int at_once;
    socklen_t len = sizeof at_once;

    ck_assert_int_eq(getsockopt(play.c->watch.fd, IPPROTO_TCP, TCP_QUICKACK, &at_once, &len), 0);
    return at_once;
}

START_TEST(test_a_peer_whose_rest_is_awaited_is_acknowledged_at_once)
{
    char text[8];
    bool ended;

    begin_with(true);
    for (int i = 0; i < 8;
         i++) { /* question and answer: the kernel begins to wait for the answers */
        say("?");
        turns(1);
        ck_assert_uint_eq(conn_write(play.c, STR("!")), 1);
        turns(1);
        ck_assert_uint_eq(hear(text, sizeof text, &ended), 1);
    }
    ck_assert(!acknowledges_at_once());
    conn_await_rest(play.c);
    ck_assert(acknowledges_at_once());
    finish();
}
END_TEST

START_TEST(test_awaiting_the_rest_of_what_a_local_peer_says_does_nothing)
{
    begin_with(false);
    say("half of a li");
    conn_await_rest(play.c);
    turns(1);
    ck_assert_uint_eq(play.in_len, 12);
    ck_assert_int_eq(play.brokens, 0);
    finish();
}
END_TEST

/* ---- writing ---------------------------------------------------------------------------------- */

/* Two conns and their peers, ready in the same turn. */
struct two {
    struct conn *conns[2];
    int peers[2];
};

/* Answers, and looks that all have been read and nobody has been answered before. */
static void answer(struct conn *c)
{
    const struct two *two = c->owner;
    char octet;

    play.bytes_told++;
    for (int i = 0; i < 2; i++) {
        if (play.bytes_told == 1)
            ck_assert_uint_eq(conn_input(two->conns[i]).len, 1);
        ck_assert_int_lt(recv(two->peers[i], &octet, 1, MSG_PEEK | MSG_DONTWAIT), 0);
    }
    conn_consume(c, 1);
    ck_assert_uint_eq(conn_write(c, STR("!")), 1);
}

static void two_begin(struct two *two, const struct conn_events *events)
{
    begin();
    for (int i = 0; i < 2; i++) {
        int fds[2];

        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
                         0);
        two->peers[i] = fds[1];
        two->conns[i] = conn_open(&play.l, &play.pool, fds[0], false, events, two);
        ck_assert_ptr_nonnull(two->conns[i]);
    }
    turns(1);
}

static void two_finish(struct two *two)
{
    for (int i = 0; i < 2; i++) {
        if (two->conns[i])
            conn_close(two->conns[i], CLOSE_NOW);
        close(two->peers[i]);
    }
    finish();
}

START_TEST(test_many_are_read_before_many_are_told_and_then_many_are_written)
{
    const struct conn_events events = { .on_bytes = answer };
    struct two two;
    char octet;

    two_begin(&two, &events);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(write(two.peers[i], "?", 1), 1);
    turns(1);
    ck_assert_uint_eq(play.bytes_told, 2);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(recv(two.peers[i], &octet, 1, 0), 1);
    two_finish(&two);
}
END_TEST

/* The first to be told looks at the other, which has been read and not told yet; then it closes it. */
static void look_at_the_other(struct conn *c)
{
    struct two *two = c->owner;
    struct conn **other = &two->conns[c == two->conns[0]];

    play.bytes_told++;
    ck_assert_ptr_nonnull(*other);
    ck_assert(!conn_is_quiet(*other));
    conn_close(*other, CLOSE_NOW);
    *other = NULL;
}

START_TEST(test_who_has_been_read_and_not_told_yet_is_not_quiet_and_may_be_closed)
{
    const struct conn_events events = { .on_bytes = look_at_the_other };
    struct two two;

    two_begin(&two, &events);
    for (int i = 0; i < 2; i++) {
        if (_i == 0)
            ck_assert_int_eq(write(two.peers[i], "?", 1), 1);
        else
            shutdown(two.peers[i], SHUT_WR);
    }
    turns(1);
    ck_assert_uint_eq(play.bytes_told, 1);
    two_finish(&two);
}
END_TEST

/* The first to be told pauses the other: that is told when it is resumed, and nothing is lost. */
static void pause_the_other(struct conn *c)
{
    const struct two *two = c->owner;

    conn_consume(c, conn_input(c).len);
    if (play.bytes_told++ == 0)
        conn_pause(two->conns[c == two->conns[0]]);
}

START_TEST(test_who_is_paused_between_reading_and_being_told_is_told_when_it_goes_on)
{
    const struct conn_events events = { .on_bytes = pause_the_other };
    struct two two;
    int paused;

    two_begin(&two, &events);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(write(two.peers[i], "?", 1), 1);
    turns(2);
    ck_assert_uint_eq(play.bytes_told, 1);
    paused = two.conns[0]->paused ? 0 : 1;
    ck_assert_uint_eq(conn_input(two.conns[paused]).len, 1);
    conn_resume(two.conns[paused]);
    turns(1);
    ck_assert_uint_eq(play.bytes_told, 2);
    ck_assert_uint_eq(conn_input(two.conns[paused]).len, 0);
    two_finish(&two);
}
END_TEST

START_TEST(test_what_is_written_in_a_turn_leaves_in_one_piece)
{
    char text[64];
    bool ended;

    begin_with(_i);
    memcpy(conn_reserve(play.c, 5), "head ", 5);
    conn_commit(play.c, 5);
    ck_assert_uint_eq(conn_write(play.c, STR("body")), 4);
    ck_assert_uint_eq(hear(text, sizeof text, &ended), 0);
    turns(1);
    ck_assert_uint_eq(hear(text, sizeof text, &ended), 9);
    ck_assert_mem_eq(text, "head body", 9);
    ck_assert_uint_eq(play.l.small_buffers.used, 0);
    finish();
}
END_TEST

static const struct {
    bool tcp;
    size_t piece, reads;
} writers[] = { { false, 1 << 20, 65536 }, { true, 1 << 20, 65536 }, { true, 100, 100000 },
                { false, 16384, 3000 },    { true, 16385, 1000000 }, { true, 70001, 7001 } };

START_TEST(test_a_long_stream_leaves_whole_however_it_is_given_and_read)
{
    size_t size = 3 << 20, given = 0, got = 0;
    char *text = noise(size), *back = malloc(size);
    bool ended = false, waits = false;

    begin_with(writers[_i].tcp);
    ck_assert_ptr_nonnull(back);
    for (int n = 0; got < size; n++) {
        unsigned rooms = play.rooms;

        ck_assert_int_lt(n, TURNS_MAX);
        while (!waits && given < size) {
            size_t len = size - given < writers[_i].piece ? size - given : writers[_i].piece;
            size_t taken = conn_write(play.c, str_of(text + given, len));

            given += taken;
            waits = taken < len;
        }
        got += hear(back + got, writers[_i].reads < size - got ? writers[_i].reads : size - got,
                    &ended);
        turns(1);
        if (play.rooms > rooms)
            waits = false;
    }
    ck_assert_mem_eq(back, text, size);
    ck_assert_uint_eq(play.c->bytes_out, size);
    free(text);
    free(back);
    finish();
}
END_TEST

START_TEST(test_a_reserved_head_keeps_what_was_buffered_before_it)
{
    static char text[LOOP_LARGE_BUFFER];
    size_t got = 0, large = LOOP_SMALL_BUFFER * 3;
    bool ended;

    begin_with(_i);
    ck_assert_uint_eq(conn_write(play.c, STR("first")), 5);
    memset(conn_reserve(play.c, large), 'x', large);
    conn_commit(play.c, large);
    ck_assert(!conn_has_room(play.c) || conn_unsent(play.c) < LOOP_SMALL_BUFFER);
    for (int n = 0; n < 50; n++) {
        turns(1);
        got += hear(text + got, sizeof text - got, &ended);
    }
    ck_assert_uint_eq(got, 5 + large);
    ck_assert_mem_eq(text, "firstx", 6);
    finish();
}
END_TEST

START_TEST(test_who_has_no_room_is_told_when_there_is)
{
    static char text[1 << 20];
    bool ended;

    begin_with(_i);
    for (int n = 0; conn_has_room(play.c); n++) {
        ck_assert_int_lt(n, 10000);
        memset(conn_reserve(play.c, LOOP_SMALL_BUFFER), 'x', LOOP_SMALL_BUFFER);
        conn_commit(play.c, LOOP_SMALL_BUFFER);
    }
    turns(3);
    ck_assert_uint_eq(play.rooms, 0);
    for (int n = 0; play.rooms == 0; n++) {
        ck_assert_int_lt(n, 1000);
        hear(text, sizeof text, &ended);
        turns(1);
    }
    ck_assert(conn_has_room(play.c));
    finish();
}
END_TEST

START_TEST(test_the_timer_fires_unless_it_was_unset)
{
    begin_with(_i);
    conn_set_due(play.c, play.l.now_ns + NS_PER_S);
    timers_run(&play.l.timers, play.l.now_ns + 2 * NS_PER_S);
    ck_assert_uint_eq(play.dues, 1);
    conn_set_due(play.c, play.l.now_ns + NS_PER_S);
    conn_set_due(play.c, 0);
    timers_run(&play.l.timers, play.l.now_ns + 2 * NS_PER_S);
    ck_assert_uint_eq(play.dues, 1);
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("conn");
    TCase *t = tcase_create("conn");
    SRunner *runner;
    int failed;

    tcase_set_timeout(t, 30);
    tcase_add_loop_test(t, test_what_arrives_is_told_and_its_buffer_goes_back_when_it_is_consumed,
                        0, 2);
    tcase_add_loop_test(t, test_what_is_not_consumed_stays_and_grows, 0, 2);
    tcase_add_loop_test(t, test_a_long_stream_arrives_whole_however_it_is_taken, 0,
                        (int)ARRAY_LEN(readers));
    tcase_add_loop_test(t, test_data_and_end_in_one_edge_are_both_told, 0, 2);
    tcase_add_loop_test(
        t, test_a_paused_conn_hears_of_the_hang_up_and_reads_what_was_before_it_later, 0, 2);
    tcase_add_test(t, test_a_full_buffer_that_nobody_empties_makes_no_work);
    tcase_add_test(t, test_quiet_means_nothing_unread_not_even_in_the_kernel);
    tcase_add_test(t, test_a_peer_whose_rest_is_awaited_is_acknowledged_at_once);
    tcase_add_test(t, test_awaiting_the_rest_of_what_a_local_peer_says_does_nothing);
    tcase_add_test(t, test_many_are_read_before_many_are_told_and_then_many_are_written);
    tcase_add_loop_test(t, test_who_has_been_read_and_not_told_yet_is_not_quiet_and_may_be_closed,
                        0, 2);
    tcase_add_test(t, test_who_is_paused_between_reading_and_being_told_is_told_when_it_goes_on);
    tcase_add_loop_test(t, test_what_is_written_in_a_turn_leaves_in_one_piece, 0, 2);
    tcase_add_loop_test(t, test_a_long_stream_leaves_whole_however_it_is_given_and_read, 0,
                        (int)ARRAY_LEN(writers));
    tcase_add_loop_test(t, test_a_reserved_head_keeps_what_was_buffered_before_it, 0, 2);
    tcase_add_loop_test(t, test_who_has_no_room_is_told_when_there_is, 0, 2);
    tcase_add_loop_test(t, test_the_timer_fires_unless_it_was_unset, 0, 2);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

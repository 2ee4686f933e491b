/* A byte stream: nothing is lost, doubled or told twice, whatever the edges, the pauses and the ends. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/number.h"
#include "workers/conn.h"
#include "workers/dial.h"

#define TURNS_MAX 100000

/* Whoever owns the conn, and the other end. */
struct play {
    struct loop l;
    struct pool pool;
    struct conn *c;
    int peer;
    int listener;
    /* what was told */
    unsigned opens, bytes_told, rooms, brokens, dues, ends_told;
    int error;
    bool hung_up_told;
    /* what it does */
    size_t consume_most; /* at each on_bytes; 0: nothing */
    size_t pause_every;  /* pauses after so many on_bytes; 0: never */
    bool close_on_end;
    char *in;
    size_t in_len;
};

static struct play p;

static void on_open(struct conn *c)
{
    ck_assert_ptr_eq(c, p.c);
    p.opens++;
}

static void on_bytes(struct conn *c)
{
    struct str in = conn_input(c);
    size_t n = in.len < p.consume_most ? in.len : p.consume_most;

    p.bytes_told++;
    p.hung_up_told |= c->hung_up;
    if (n) {
        memcpy(p.in + p.in_len, in.at, n);
        p.in_len += n;
        conn_consume(c, n);
    }
    if (conn_peer_ended(c) && conn_input(c).len == 0) {
        p.ends_told++;
        if (p.close_on_end) {
            conn_close(c, CLOSE_WRITTEN);
            p.c = NULL;
            return;
        }
    }
    if (p.pause_every && p.bytes_told % p.pause_every == 0)
        conn_pause(c);
    else if (n < in.len && n > 0) { /* to come again */
        conn_pause(c);
        conn_resume(c);
    }
}

static void on_room(struct conn *c)
{
    ck_assert_uint_eq(conn_unsent(c), 0);
    p.rooms++;
}

static void on_broken(struct conn *c)
{
    p.brokens++;
    p.error = c->error;
    conn_close(c, CLOSE_NOW);
    p.c = NULL;
}

static void on_due(struct conn *c)
{
    (void)c;
    p.dues++;
}

static const struct conn_events events = { on_open, on_bytes, on_room, on_broken, on_due };

static void not_blocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static void begin(void)
{
    p = (struct play){ .peer = -1, .listener = -1, .consume_most = SIZE_MAX };
    loop_init(&p.l);
    conn_pool_init(&p.pool);
    p.in = malloc(16 << 20);
    ck_assert_ptr_nonnull(p.in);
}

static struct sockaddr_in listen_somewhere(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;

    p.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(p.listener, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(listen(p.listener, 8), 0);
    ck_assert_int_eq(getsockname(p.listener, (struct sockaddr *)&at, &len), 0);
    return at;
}

/* An accepted connection of this kind. */
static void begin_with(bool tcp)
{
    int fds[2];

    begin();
    if (tcp) {
        struct sockaddr_in at = listen_somewhere();

        p.peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(p.peer, (struct sockaddr *)&at, sizeof at), 0);
        fds[0] = accept4(p.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        ck_assert_int_ge(fds[0], 0);
    } else {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        not_blocking(fds[0]);
        p.peer = fds[1];
    }
    not_blocking(p.peer);
    p.c = conn_open(&p.l, &p.pool, fds[0], false, &events, NULL);
    ck_assert_ptr_nonnull(p.c);
    loop_turn(&p.l, 0);
}

static void turns(int n)
{
    while (n-- > 0)
        loop_turn(&p.l, 0);
}

static void finish(void)
{
    if (p.c)
        conn_close(p.c, CLOSE_NOW);
    conns_cut(&p.l);
    turns(2);
    ck_assert_uint_eq(p.pool.used, 0);
    ck_assert_uint_eq(p.l.small_buffers.used, 0);
    ck_assert_uint_eq(p.l.large_buffers.used, 0);
    ck_assert_uint_eq(p.l.timers.count, 0);
    ck_assert_uint_eq(p.l.closing_count, 0);
    pool_end(&p.pool);
    loop_end(&p.l);
    free(p.in);
    if (p.peer >= 0)
        close(p.peer);
    if (p.listener >= 0)
        close(p.listener);
}

static void say(const char *text)
{
    ck_assert_int_eq(write(p.peer, text, strlen(text)), (ssize_t)strlen(text));
}

/* What the peer can read now, up to `room`; *ended: its end. */
static size_t hear(char *to, size_t room, bool *ended)
{
    size_t len = 0;
    ssize_t n = 1;

    while (len < room && (n = read(p.peer, to + len, room - len)) > 0)
        len += (size_t)n;
    *ended = n == 0 || (n < 0 && errno != EAGAIN);
    return len;
}

static char noise_at(size_t i)
{
    return (char)(i * 2654435761u >> 13);
}

static char *noise(size_t len)
{
    char *text = malloc(len);

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < len; i++)
        text[i] = noise_at(i);
    return text;
}

/* ---- reading ---------------------------------------------------------------------------------- */

START_TEST(test_what_arrives_is_told_and_its_buffer_goes_back_when_it_is_consumed)
{
    begin_with(_i);
    say("hello");
    turns(1);
    ck_assert_uint_eq(p.bytes_told, 1);
    ck_assert(str_equal(str_of(p.in, p.in_len), STR("hello")));
    ck_assert_uint_eq(p.l.small_buffers.used, 0);
    finish();
}
END_TEST

START_TEST(test_what_is_not_consumed_stays_and_grows)
{
    begin_with(_i);
    p.consume_most = 0;
    say("one ");
    turns(1);
    say("two");
    turns(1);
    ck_assert_uint_eq(p.bytes_told, 2);
    ck_assert(str_equal(conn_input(p.c), STR("one two")));
    conn_consume(p.c, 4);
    ck_assert(str_equal(conn_input(p.c), STR("two")));
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
    p.consume_most = readers[_i].most;
    p.pause_every = readers[_i].pause;
    conn_expect_large(p.c, readers[_i].large);
    for (int n = 0; p.ends_told == 0; n++) {
        ck_assert_int_lt(n, TURNS_MAX);
        if (sent < size) {
            ssize_t w = write(p.peer, text + sent, size - sent);

            sent += w > 0 ? (size_t)w : 0;
            if (sent == size)
                shutdown(p.peer, SHUT_WR);
        }
        turns(1);
        if (p.c->paused)
            conn_resume(p.c);
    }
    ck_assert_uint_eq(p.in_len, size);
    ck_assert_mem_eq(p.in, text, size);
    turns(5);
    ck_assert_uint_le(p.ends_told, 2);
    free(text);
    finish();
}
END_TEST

START_TEST(test_data_and_end_in_one_edge_are_both_told)
{
    begin_with(_i);
    say("last words");
    shutdown(p.peer, SHUT_WR);
    turns(2);
    ck_assert(str_equal(str_of(p.in, p.in_len), STR("last words")));
    ck_assert_uint_eq(p.ends_told, 1);
    ck_assert(p.c->ended);
    turns(3);
    ck_assert_uint_eq(p.ends_told, 1);
    finish();
}
END_TEST

START_TEST(test_a_paused_conn_hears_of_the_hang_up_and_reads_what_was_before_it_later)
{
    begin_with(_i);
    conn_pause(p.c);
    say("before");
    turns(1);
    ck_assert_uint_eq(p.bytes_told, 0);
    shutdown(p.peer, SHUT_WR);
    turns(1);
    ck_assert(p.hung_up_told);
    ck_assert_uint_eq(p.in_len, 0);
    conn_resume(p.c);
    turns(2);
    ck_assert(str_equal(str_of(p.in, p.in_len), STR("before")));
    ck_assert_uint_eq(p.ends_told, 1);
    finish();
}
END_TEST

START_TEST(test_a_full_buffer_that_nobody_empties_makes_no_work)
{
    char *text = noise(100000);

    begin_with(true);
    p.consume_most = 0;
    ck_assert_int_gt(write(p.peer, text, 100000), 50000);
    turns(20);
    ck_assert_uint_eq(conn_input(p.c).len, LOOP_SMALL_BUFFER);
    ck_assert(list_is_empty(&p.l.tasks));
    close(p.peer);
    p.peer = -1;
    turns(20);
    ck_assert(list_is_empty(&p.l.tasks));
    p.consume_most = SIZE_MAX;
    conn_resume(p.c);
    turns(20);
    ck_assert_uint_ge(p.in_len, 100000);
    free(text);
    finish();
}
END_TEST

START_TEST(test_quiet_means_nothing_unread_not_even_in_the_kernel)
{
    char fill[LOOP_SMALL_BUFFER] = { 0 };

    begin_with(true);
    ck_assert(conn_is_quiet(p.c));
    conn_pause(p.c);
    ck_assert_int_eq(write(p.peer, fill, sizeof fill), sizeof fill);
    turns(1);
    ck_assert(!conn_is_quiet(p.c));
    conn_resume(p.c);
    turns(2);
    ck_assert_uint_eq(p.in_len, sizeof fill);
    ck_assert(conn_is_quiet(p.c));
    p.c->readable = true; /* as after a read that filled all there was */
    ck_assert(conn_is_quiet(p.c));
    ck_assert(!p.c->readable);
    finish();
}
END_TEST

/* ---- writing ---------------------------------------------------------------------------------- */

START_TEST(test_what_is_written_in_a_turn_leaves_in_one_piece)
{
    char text[64];
    bool ended;

    begin_with(_i);
    memcpy(conn_reserve(p.c, 5), "head ", 5);
    conn_commit(p.c, 5);
    ck_assert_uint_eq(conn_write(p.c, STR("body")), 4);
    ck_assert_uint_eq(hear(text, sizeof text, &ended), 0);
    turns(1);
    ck_assert_uint_eq(hear(text, sizeof text, &ended), 9);
    ck_assert_mem_eq(text, "head body", 9);
    ck_assert_uint_eq(p.l.small_buffers.used, 0);
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
        unsigned rooms = p.rooms;

        ck_assert_int_lt(n, TURNS_MAX);
        while (!waits && given < size) {
            size_t len = size - given < writers[_i].piece ? size - given : writers[_i].piece;
            size_t taken = conn_write(p.c, str_of(text + given, len));

            given += taken;
            waits = taken < len;
        }
        got += hear(back + got, writers[_i].reads < size - got ? writers[_i].reads : size - got,
                    &ended);
        turns(1);
        if (p.rooms > rooms)
            waits = false;
    }
    ck_assert_mem_eq(back, text, size);
    ck_assert_uint_eq(p.c->bytes_out, size);
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
    ck_assert_uint_eq(conn_write(p.c, STR("first")), 5);
    memset(conn_reserve(p.c, large), 'x', large);
    conn_commit(p.c, large);
    ck_assert(!conn_has_room(p.c) || conn_unsent(p.c) < LOOP_SMALL_BUFFER);
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
    for (int n = 0; conn_has_room(p.c); n++) {
        ck_assert_int_lt(n, 10000);
        memset(conn_reserve(p.c, LOOP_SMALL_BUFFER), 'x', LOOP_SMALL_BUFFER);
        conn_commit(p.c, LOOP_SMALL_BUFFER);
    }
    turns(3);
    ck_assert_uint_eq(p.rooms, 0);
    for (int n = 0; p.rooms == 0; n++) {
        ck_assert_int_lt(n, 1000);
        hear(text, sizeof text, &ended);
        turns(1);
    }
    ck_assert(conn_has_room(p.c));
    finish();
}
END_TEST

/* ---- ends ------------------------------------------------------------------------------------- */

static void reset_peer(void)
{
    struct linger hard = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(p.peer, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close(p.peer);
    p.peer = -1;
}

/* Paused or not. */
START_TEST(test_a_reset_is_told_once_with_its_reason)
{
    begin_with(true);
    if (_i)
        conn_pause(p.c);
    reset_peer();
    turns(2);
    if (_i)
        conn_resume(p.c);
    turns(2);
    ck_assert_uint_eq(p.brokens, 1);
    ck_assert_int_eq(p.error, ECONNRESET);
    finish();
}
END_TEST

START_TEST(test_a_write_that_fails_lets_the_peer_s_last_words_be_read_first)
{
    begin_with(false);
    conn_pause(p.c);
    say("last words");
    turns(1);
    close(p.peer);
    p.peer = -1;
    conn_resume(p.c); /* its task runs behind the send */
    ck_assert_uint_eq(conn_write(p.c, STR("who is there?")), 13);
    turns(3);
    ck_assert(str_equal(str_of(p.in, p.in_len), STR("last words")));
    ck_assert_uint_eq(p.brokens, 1);
    ck_assert_int_eq(p.error, EPIPE);
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
    given = conn_write(p.c, str_of(text, size));
    ck_assert_uint_lt(given, size); /* else nothing is tried here */
    given += conn_write(p.c, str_of(text + given, 100));
    conn_close(p.c, CLOSE_WRITTEN);
    p.c = NULL;
    ck_assert_uint_eq(p.l.closing_count, 1);
    for (int n = 0; !ended; n++) {
        ck_assert_int_lt(n, TURNS_MAX);
        got += hear(back + got, 50000 < size - got ? 50000 : size - got, &ended);
        turns(1);
    }
    ck_assert_uint_eq(got, given);
    ck_assert_mem_eq(back, text, given);
    ck_assert_uint_eq(p.pool.used, 0);
    free(text);
    free(back);
    finish();
}
END_TEST

START_TEST(test_close_written_gives_up_on_a_peer_that_reads_nothing)
{
    char *text = noise(8 << 20);

    begin_with(_i);
    ck_assert_uint_lt(conn_write(p.c, str_of(text, 8 << 20)), 8 << 20);
    ck_assert_uint_eq(conn_write(p.c, STR("the rest")), 8);
    conn_close(p.c, CLOSE_WRITTEN);
    p.c = NULL;
    turns(3);
    ck_assert_uint_eq(p.l.closing_count, 1);
    timers_run(&p.l.timers, p.l.now_ns + 31 * NS_PER_S);
    turns(1);
    ck_assert_uint_eq(p.pool.used, 0);
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
    conn_pause(p.c);
    ck_assert_int_gt(write(p.peer, more, 200000), 0);
    turns(1);
    ck_assert_uint_eq(conn_write(p.c, STR("too much")), 8);
    conn_close(p.c, CLOSE_LINGERING);
    p.c = NULL;
    turns(100);
    ck_assert_uint_eq(hear(text, sizeof text, &ended), 8);
    ck_assert(ended);
    ck_assert_uint_eq(p.pool.used, 1);
    for (int n = 0; n < 20; n++) { /* it goes on, and nothing resets it */
        ck_assert(write(p.peer, more, 200000) > 0 || errno == EAGAIN);
        turns(10);
    }
    close(p.peer);
    p.peer = -1;
    turns(100);
    ck_assert_uint_eq(p.pool.used, 0);
    free(more);
    finish();
}
END_TEST

START_TEST(test_a_lingering_close_does_not_wait_for_ever)
{
    begin_with(_i);
    conn_close(p.c, CLOSE_LINGERING);
    p.c = NULL;
    turns(3);
    ck_assert_uint_eq(p.pool.used, 1);
    ck_assert_uint_eq(p.l.closing_count, 1);
    ck_assert(list_is_empty(&p.l.tasks));
    timers_run(&p.l.timers, p.l.now_ns + 3 * NS_PER_S);
    turns(1);
    ck_assert_uint_eq(p.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_lingering_is_over_at_once_where_the_peer_has_ended)
{
    begin_with(_i);
    shutdown(p.peer, SHUT_WR);
    turns(2);
    conn_close(p.c, CLOSE_LINGERING);
    p.c = NULL;
    turns(2);
    ck_assert_uint_eq(p.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_those_that_linger_are_cut_when_the_process_ends)
{
    begin_with(_i);
    conn_close(p.c, CLOSE_LINGERING);
    p.c = NULL;
    ck_assert_uint_eq(p.l.closing_count, 1);
    conns_cut(&p.l);
    ck_assert_uint_eq(p.l.closing_count, 0);
    turns(1);
    ck_assert_uint_eq(p.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_a_closed_conn_tells_its_owner_nothing_more)
{
    begin_with(_i);
    ck_assert_uint_eq(conn_write(p.c, STR("bye")), 3);
    say("hello?");
    conn_close(p.c, CLOSE_WRITTEN);
    p.c = NULL;
    turns(3);
    ck_assert_uint_eq(p.bytes_told + p.rooms + p.brokens + p.dues, 0);
    ck_assert_uint_eq(p.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_a_conn_closed_by_its_owner_when_told_of_the_end_is_gone)
{
    begin_with(_i);
    p.close_on_end = true;
    say("x");
    shutdown(p.peer, SHUT_WR);
    turns(3);
    ck_assert_uint_eq(p.ends_told, 1);
    ck_assert_uint_eq(p.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_a_reset_on_close_is_one)
{
    char text[8];

    begin_with(true);
    conn_reset_on_close(p.c);
    conn_close(p.c, CLOSE_NOW);
    p.c = NULL;
    turns(1);
    ck_assert_int_lt(read(p.peer, text, sizeof text), 0);
    ck_assert_int_eq(errno, ECONNRESET);
    finish();
}
END_TEST

START_TEST(test_the_timer_fires_unless_it_was_unset)
{
    begin_with(_i);
    conn_set_due(p.c, p.l.now_ns + NS_PER_S);
    timers_run(&p.l.timers, p.l.now_ns + 2 * NS_PER_S);
    ck_assert_uint_eq(p.dues, 1);
    conn_set_due(p.c, p.l.now_ns + NS_PER_S);
    conn_set_due(p.c, 0);
    timers_run(&p.l.timers, p.l.now_ns + 2 * NS_PER_S);
    ck_assert_uint_eq(p.dues, 1);
    finish();
}
END_TEST

/* ---- dialling --------------------------------------------------------------------------------- */

START_TEST(test_a_dialled_conn_opens_and_then_speaks)
{
    struct sockaddr_in at;
    char text[8];

    begin();
    at = listen_somewhere();
    p.c = dial(&p.l, &p.pool, (struct sockaddr *)&at, sizeof at, &events, NULL);
    ck_assert_ptr_nonnull(p.c);
    ck_assert_uint_eq(conn_write(p.c, STR("early")), 5); /* before it stands: kept */
    for (int n = 0; p.opens == 0; n++) {
        ck_assert_int_lt(n, TURNS_MAX);
        turns(1);
    }
    p.peer = accept(p.listener, NULL, NULL);
    ck_assert_int_eq(read(p.peer, text, sizeof text), 5);
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
    p.c = dial(&p.l, &p.pool, (struct sockaddr *)&at, sizeof at, &events, NULL);
    ck_assert_ptr_nonnull(p.c);
    ck_assert_uint_lt(conn_write(p.c, str_of(text, 100000)), 100000);
    p.peer = accept(p.listener, NULL, NULL);
    for (int n = 0; p.rooms == 0; n++) {
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
    close(p.listener);
    p.listener = -1;
    p.c = dial(&p.l, &p.pool, (struct sockaddr *)&at, sizeof at, &events, NULL);
    if (p.c) {
        for (int n = 0; p.brokens == 0; n++) {
            ck_assert_int_lt(n, TURNS_MAX);
            turns(1);
        }
        ck_assert_int_eq(p.error, ECONNREFUSED);
    } else {
        ck_assert_int_eq(errno, ECONNREFUSED);
    }
    ck_assert_uint_eq(p.opens, 0);
    finish();
}
END_TEST

START_TEST(test_a_dial_may_be_given_up)
{
    struct sockaddr_in at;

    begin();
    at = listen_somewhere();
    p.c = dial(&p.l, &p.pool, (struct sockaddr *)&at, sizeof at, &events, NULL);
    ck_assert_ptr_nonnull(p.c);
    ck_assert_uint_eq(conn_write(p.c, STR("never")), 5);
    conn_close(p.c, CLOSE_WRITTEN);
    p.c = NULL;
    turns(2);
    ck_assert_uint_eq(p.opens, 0);
    ck_assert_uint_eq(p.pool.used, 0);
    finish();
}
END_TEST

START_TEST(test_what_cannot_be_watched_is_closed_and_said)
{
    int fds[2];

    begin();
    ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
    close(fds[0]);
    ck_assert_ptr_null(conn_open(&p.l, &p.pool, fds[0], false, &events, NULL));
    ck_assert_int_eq(errno, EBADF);
    ck_assert_uint_eq(p.pool.used, 0);
    close(fds[1]);
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
    tcase_add_loop_test(t, test_what_is_written_in_a_turn_leaves_in_one_piece, 0, 2);
    tcase_add_loop_test(t, test_a_long_stream_leaves_whole_however_it_is_given_and_read, 0,
                        (int)ARRAY_LEN(writers));
    tcase_add_loop_test(t, test_a_reserved_head_keeps_what_was_buffered_before_it, 0, 2);
    tcase_add_loop_test(t, test_who_has_no_room_is_told_when_there_is, 0, 2);
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
    tcase_add_loop_test(t, test_the_timer_fires_unless_it_was_unset, 0, 2);
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

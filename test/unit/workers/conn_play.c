/* A conn and whoever plays with it. */
#include "test/unit/workers/conn_play.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct play play;

static void on_open(struct conn *c)
{
    ck_assert_ptr_eq(c, play.c);
    play.opens++;
}

static void on_bytes(struct conn *c)
{
    struct str in = conn_input(c);
    size_t n = in.len < play.consume_most ? in.len : play.consume_most;

    play.bytes_told++;
    play.hung_up_told |= c->hung_up;
    if (n) {
        memcpy(play.in + play.in_len, in.at, n);
        play.in_len += n;
        conn_consume(c, n);
    }
    if (conn_peer_ended(c) && conn_input(c).len == 0) {
        play.ends_told++;
        if (play.close_on_end) {
            conn_close(c, CLOSE_WRITTEN);
            play.c = NULL;
            return;
        }
    }
    if (play.pause_every && play.bytes_told % play.pause_every == 0)
        conn_pause(c);
    else if (n < in.len && n > 0) { /* to come again */
        conn_pause(c);
        conn_resume(c);
    }
}

static void on_room(struct conn *c)
{
    ck_assert_uint_eq(conn_unsent(c), 0);
    play.rooms++;
}

static void on_broken(struct conn *c)
{
    play.brokens++;
    play.error = c->error;
    conn_close(c, CLOSE_NOW);
    play.c = NULL;
}

static void on_due(struct conn *c)
{
    (void)c;
    play.dues++;
}

const struct conn_events play_events = { on_open, on_bytes, on_room, on_broken, on_due };

void not_blocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

void begin(void)
{
    play = (struct play){ .peer = -1, .listener = -1, .consume_most = SIZE_MAX };
    loop_init(&play.l);
    conn_pool_init(&play.pool);
    play.in = malloc(16 << 20);
    ck_assert_ptr_nonnull(play.in);
}

struct sockaddr_in listen_somewhere(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof at;

    play.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(play.listener, (struct sockaddr *)&at, len), 0);
    ck_assert_int_eq(listen(play.listener, 8), 0);
    ck_assert_int_eq(getsockname(play.listener, (struct sockaddr *)&at, &len), 0);
    return at;
}

void begin_with(bool tcp)
{
    int fds[2];

    begin();
    if (tcp) {
        struct sockaddr_in at = listen_somewhere();

        play.peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        ck_assert_int_eq(connect(play.peer, (struct sockaddr *)&at, sizeof at), 0);
        fds[0] = accept4(play.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        ck_assert_int_ge(fds[0], 0);
    } else {
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
        not_blocking(fds[0]);
        play.peer = fds[1];
    }
    not_blocking(play.peer);
    play.c = conn_open(&play.l, &play.pool, fds[0], false, &play_events, NULL);
    ck_assert_ptr_nonnull(play.c);
    loop_turn(&play.l, 0);
}

void turns(int n)
{
    while (n-- > 0)
        loop_turn(&play.l, 0);
}

void finish(void)
{
    if (play.c)
        conn_close(play.c, CLOSE_NOW);
    conns_cut(&play.l);
    turns(2);
    ck_assert_uint_eq(play.pool.used, 0);
    ck_assert_uint_eq(play.l.small_buffers.used, 0);
    ck_assert_uint_eq(play.l.large_buffers.used, 0);
    ck_assert_uint_eq(play.l.timers.count, 0);
    ck_assert_uint_eq(play.l.closing_count, 0);
    pool_end(&play.pool);
    loop_end(&play.l);
    free(play.in);
    if (play.peer >= 0)
        close(play.peer);
    if (play.listener >= 0)
        close(play.listener);
}

void say(const char *text)
{
    ck_assert_int_eq(write(play.peer, text, strlen(text)), (ssize_t)strlen(text));
}

size_t hear(char *to, size_t room, bool *ended)
{
    size_t len = 0;
    ssize_t n = 1;

    while (len < room && (n = read(play.peer, to + len, room - len)) > 0)
        len += (size_t)n;
    *ended = n == 0 || (n < 0 && errno != EAGAIN);
    return len;
}

char noise_at(size_t i)
{
    return (char)(i * 2654435761u >> 13);
}

char *noise(size_t len)
{
    char *text = malloc(len);

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < len; i++)
        text[i] = noise_at(i);
    return text;
}

/* ---- reading ---------------------------------------------------------------------------------- */

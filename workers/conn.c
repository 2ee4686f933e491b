/* A byte stream either way. */
#include "workers/conn.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/check.h"
#include "workers/plain_io.h"

#define CONN_MAGIC      0xc0441e57u
#define READS_PER_EVENT 8                                   /* then others have their turn */
#define WRITTEN_WITHIN  ((uint64_t)30 * 1000 * 1000 * 1000) /* ns without progress          */
#define LINGER_WITHIN   ((uint64_t)2 * 1000 * 1000 * 1000)  /* ns                           */

static struct conn *conn_of(struct watch *w)
{
    struct conn *c = CONTAINER(w, struct conn, watch);

    CHECK(c->magic == CONN_MAGIC);
    return c;
}

/* ---- buffers ---------------------------------------------------------------------------------- */

static char *buffer_take(struct conn *c, bool large)
{
    return pool_take(large ? &c->loop->large_buffers : &c->loop->small_buffers);
}

static void buffer_give(struct conn *c, char *buffer, bool large)
{
    pool_give(large ? &c->loop->large_buffers : &c->loop->small_buffers, buffer);
}

static size_t buffer_size(bool large)
{
    return large ? LOOP_LARGE_BUFFER : LOOP_SMALL_BUFFER;
}

static void input_drop(struct conn *c)
{
    if (c->in)
        buffer_give(c, c->in, c->in_large);
    c->in = NULL;
    c->in_begin = c->in_end = 0;
}

static void output_drop(struct conn *c)
{
    if (c->out)
        buffer_give(c, c->out, c->out_large);
    c->out = NULL;
    c->out_begin = c->out_end = 0;
}

/* Make space behind the input, in the size that is wanted now. */
static size_t input_space(struct conn *c)
{
    size_t kept = c->in_end - c->in_begin;

    if (!c->in) {
        c->in_large = c->large_input;
        c->in = buffer_take(c, c->in_large);
    } else if (c->large_input && !c->in_large) {
        char *large = buffer_take(c, true);

        memcpy(large, c->in + c->in_begin, kept);
        buffer_give(c, c->in, false);
        c->in = large;
        c->in_large = true;
        c->in_begin = 0;
        c->in_end = (uint32_t)kept;
    } else if (c->in_begin > 0 && c->in_end == buffer_size(c->in_large)) {
        memmove(c->in, c->in + c->in_begin, kept);
        c->in_begin = 0;
        c->in_end = (uint32_t)kept;
    }
    return buffer_size(c->in_large) - c->in_end;
}

/* ---- the end ---------------------------------------------------------------------------------- */

static void free_conn(struct task *t)
{
    struct conn *c = CONTAINER(t, struct conn, task);

    c->magic = 0;
    pool_give(c->pool, c);
}

static void end(struct conn *c)
{
    link_remove(&c->unsent);
    timer_remove(&c->loop->timers, &c->timer);
    input_drop(c);
    output_drop(c);
    close(c->watch.fd);
    loop_forget(&c->watch);
    c->loop->closing_count -= c->stays;
    c->stays = false;
    c->closing = true;
    c->task.run = free_conn;
    loop_queue_end(c->loop, &c->task);
}

static void linger(struct conn *c)
{
    shutdown(c->watch.fd, SHUT_WR);
    c->lingering = true;
    list_push_back(&c->loop->closing, &c->unsent);
    loop_queue(c->loop, &c->task); /* what lies unread has had its edge: it is not reported again */
    timer_set(&c->loop->timers, &c->timer, c->loop->now_ns + LINGER_WITHIN);
}

/* Closing and nothing left to write. */
static void written(struct conn *c)
{
    if (c->linger_after && !c->ended && !c->broken)
        linger(c);
    else
        end(c);
}

static void breaks(struct conn *c, int error)
{
    c->broken = true;
    c->readable = c->writable = false;
    c->error = error;
    output_drop(c);
    if (c->closing)
        end(c);
    else
        c->events->on_broken(c);
}

/* ---- reading ---------------------------------------------------------------------------------- */

static void drain_lingering(struct conn *c)
{
    char scrap[4096];

    for (int i = 0; i < READS_PER_EVENT; i++) {
        ssize_t n = c->io->receive(c, scrap, sizeof scrap);

        if (n < 0 && errno == EAGAIN)
            return;
        if (n <= 0) {
            end(c);
            return;
        }
    }
    loop_queue(c->loop, &c->task);
}

/* One read. False: nothing more to read now. */
static bool read_once(struct conn *c)
{
    size_t space = input_space(c);
    ssize_t n;

    if (space == 0)
        return false;
    n = c->io->receive(c, c->in + c->in_end, space);
    if (n > 0) {
        c->in_end += (uint32_t)n;
        if ((size_t)n < space && !c->hung_up)
            c->readable = false;
        return true;
    }
    if (c->in_begin == c->in_end)
        input_drop(c);
    c->readable = false;
    if (n == 0)
        c->ended = true;
    else if (errno != EAGAIN)
        breaks(c, errno);
    return false;
}

static void go_on(struct conn *c)
{
    for (int i = 0; i < READS_PER_EVENT && c->readable && !c->paused; i++) {
        bool more = read_once(c);

        if (c->closing || c->broken)
            return;
        if (!more)
            break;
        c->events->on_bytes(c);
        if (c->closing || c->broken)
            return;
        if (c->in && c->in_begin == c->in_end)
            input_drop(c);
    }
    if (c->ended && !c->reported && !c->paused) {
        c->reported = true;
        c->events->on_bytes(c);
        return;
    }
    if (c->readable && !c->paused && (!c->in || c->in_end - c->in_begin < buffer_size(c->in_large)))
        loop_queue(c->loop, &c->task);
}

static void on_task(struct task *t)
{
    struct conn *c = CONTAINER(t, struct conn, task);

    if (c->lingering) {
        drain_lingering(c);
        return;
    }
    if (c->closing || c->broken)
        return;
    if (c->error) { /* a send failed: the last words of the peer first, then the news */
        if (!c->paused)
            go_on(c);
        if (!c->closing && !c->broken)
            breaks(c, c->error);
        return;
    }
    if (c->paused)
        return;
    if (c->in_end > c->in_begin) {
        c->events->on_bytes(c);
        if (c->closing || c->broken)
            return;
    }
    if (c->in && c->in_begin == c->in_end)
        input_drop(c);
    go_on(c);
}

void conn_consume(struct conn *c, size_t n)
{
    CHECK(n <= c->in_end - c->in_begin);
    c->in_begin += (uint32_t)n;
}

bool conn_is_quiet(struct conn *c)
{
    char next;

    if (c->in_end > c->in_begin || c->hung_up || c->ended)
        return false;
    if (c->readable && recv(c->watch.fd, &next, 1, MSG_PEEK) < 0 && errno == EAGAIN)
        c->readable = false;
    return !c->readable;
}

void conn_pause(struct conn *c)
{
    c->paused = true;
}

void conn_resume(struct conn *c)
{
    c->paused = false;
    if (c->readable || c->in_end > c->in_begin || (c->ended && !c->reported))
        loop_queue(c->loop, &c->task);
}

void conn_await_rest(const struct conn *c)
{
    int on = 1;

    /* fails on a Unix socket, where nobody waits for acknowledgements */
    setsockopt(c->watch.fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof on);
}

void conn_expect_large(struct conn *c, bool large)
{
    c->large_input = large;
}

/* ---- writing ---------------------------------------------------------------------------------- */

/* Send what is buffered and, behind it, `then`. Returns the bytes of `then` that were taken. */
static size_t send_now(struct conn *c, struct str then)
{
    struct str first = { c->out + c->out_begin, c->out_end - c->out_begin };
    ssize_t n;

    if (!c->writable || c->opening)
        return 0;
    n = c->io->send(c, first, then);
    if (n < 0) {
        c->writable = false;
        if (errno != EAGAIN) {
            c->error = errno; /* told from the loop, not from inside the owner's call */
            c->hung_up = c->readable = true;
            output_drop(c);
            loop_queue(c->loop, &c->task);
        }
        return 0;
    }
    c->bytes_out += (uint64_t)n;
    if ((size_t)n < first.len + then.len)
        c->writable = false;
    if ((size_t)n < first.len) {
        c->out_begin += (uint32_t)n;
        return 0;
    }
    output_drop(c);
    return (size_t)n - first.len;
}

static void flush(struct conn *c)
{
    link_remove(&c->unsent);
    if (conn_unsent(c) > 0)
        send_now(c, STR_NONE);
    if (c->closing && c->error)
        end(c);
    else if (c->closing && !c->lingering && conn_unsent(c) == 0)
        written(c);
    else if (c->closing && !c->lingering) {
        list_push_back(&c->loop->closing, &c->unsent);
        timer_set(&c->loop->timers, &c->timer, c->loop->now_ns + WRITTEN_WITHIN);
    }
}

static void send_unsent(struct loop *l)
{
    struct link_node *n;

    while ((n = list_first(&l->unsent)))
        flush(CONTAINER(n, struct conn, unsent));
}

static void note_unsent(struct conn *c)
{
    if (!link_is_on_list(&c->unsent))
        list_push_back(&c->loop->unsent, &c->unsent);
}

char *conn_reserve(struct conn *c, size_t n)
{
    size_t pending = conn_unsent(c);

    CHECK(pending + n <= LOOP_LARGE_BUFFER);
    if (!c->out) {
        c->out_large = n > LOOP_SMALL_BUFFER;
        c->out = buffer_take(c, c->out_large);
    } else if (n > buffer_size(c->out_large) - c->out_end) {
        if (!c->out_large && pending + n > LOOP_SMALL_BUFFER) {
            char *large = buffer_take(c, true);

            memcpy(large, c->out + c->out_begin, pending);
            buffer_give(c, c->out, false);
            c->out = large;
            c->out_large = true;
        } else {
            memmove(c->out, c->out + c->out_begin, pending);
        }
        c->out_begin = 0;
        c->out_end = (uint32_t)pending;
    }
    return c->out + c->out_end;
}

void conn_commit(struct conn *c, size_t n)
{
    c->out_end += (uint32_t)n;
    note_unsent(c);
}

bool conn_has_room(struct conn *c)
{
    if (conn_unsent(c) >= LOOP_SMALL_BUFFER)
        send_now(c, STR_NONE);
    if (conn_unsent(c) < LOOP_SMALL_BUFFER)
        return true;
    c->wants_room = true;
    return false;
}

size_t conn_room(const struct conn *c)
{
    size_t pending = conn_unsent(c);

    return pending < LOOP_SMALL_BUFFER ? LOOP_SMALL_BUFFER - pending : 0;
}

size_t conn_write(struct conn *c, struct str data)
{
    size_t taken = 0, room = conn_room(c);

    if (c->broken || c->closing)
        return data.len; /* nobody will see it; the owner hears why by itself */
    if (data.len > room && c->writable && !c->opening) {
        taken = send_now(c, data);
        room = conn_room(c);
        if (conn_unsent(c) == 0 && taken < data.len && c->writable)
            room = 0;
    }
    if (taken < data.len && (taken == 0 || data.len - taken <= room)) {
        size_t n = data.len - taken < room ? data.len - taken : room;

        if (n > 0) {
            memcpy(conn_reserve(c, n), data.at + taken, n);
            conn_commit(c, n);
            taken += n;
        }
    }
    if (taken < data.len)
        c->wants_room = true;
    return taken;
}

/* ---- events ----------------------------------------------------------------------------------- */

static void opened(struct conn *c)
{
    int error = 0;
    socklen_t len = sizeof error;

    if (FAULT(c->loop, "getsockopt", ECONNREFUSED) ||
        getsockopt(c->watch.fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        error = errno;
    c->opening = false;
    if (error) {
        breaks(c, error);
        return;
    }
    c->writable = true;
    c->events->on_open(c);
    if (!c->closing && conn_unsent(c) > 0)
        flush(c);
    if (!c->closing && c->wants_room && conn_unsent(c) == 0) {
        c->wants_room = false;
        c->events->on_room(c);
    }
}

static void on_writable(struct conn *c)
{
    c->writable = true;
    if (conn_unsent(c) > 0)
        flush(c);
    if (c->closing || c->broken || conn_unsent(c) > 0)
        return;
    if (c->wants_room) {
        c->wants_room = false;
        c->events->on_room(c);
    }
}

/* Read now, and tell the owner when all others of this turn have been read, too. Not a long body: its pieces are as
 * large as the cache, so each leaves before the next one comes. */
static void arrived(struct conn *c)
{
    if (c->large_input) {
        go_on(c);
        return;
    }
    (void)read_once(c);
    if (!c->closing && !c->broken && !link_is_on_list(&c->task.node))
        list_push_back(&c->loop->arrivals, &c->task.node);
}

static void on_ready(struct watch *w, uint32_t events)
{
    struct conn *c = conn_of(w);

    if (c->opening) {
        if (!(events & (EPOLLOUT | EPOLLERR | EPOLLHUP)))
            return;
        opened(c);
        if (c->closing || c->broken)
            return;
    } else if (events & EPOLLOUT && !c->writable) {
        on_writable(c);
        if (c->watch.fd < 0 || c->broken)
            return;
    }
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->readable = true;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        c->hung_up = true;
    if (!c->readable)
        return;
    if (c->lingering)
        drain_lingering(c);
    else if (c->closing && events & (EPOLLHUP | EPOLLERR))
        end(c); /* both directions are over: nobody waits for the rest */
    else if (!c->closing && !c->paused)
        arrived(c);
    else if (!c->closing && c->hung_up)
        c->events->on_bytes(c);
}

static void on_due(struct timer *t)
{
    struct conn *c = CONTAINER(t, struct conn, timer);

    if (c->closing)
        end(c);
    else
        c->events->on_due(c);
}

void conn_set_due(struct conn *c, uint64_t due_ns)
{
    if (due_ns)
        timer_set(&c->loop->timers, &c->timer, due_ns);
    else
        timer_unset(&c->timer);
}

/* ---- life ------------------------------------------------------------------------------------- */

void conn_farewell(struct conn *c)
{
    c->farewell = true;
}

void conn_pool_init(struct pool *p)
{
    pool_init(p, sizeof(struct conn), 0);
}

struct conn *conn_open(struct loop *l, struct pool *pool, int fd, bool opening,
                       const struct conn_events *events, void *owner)
{
    struct conn *c = pool_take(pool);

    *c = (struct conn){ .magic = CONN_MAGIC,
                        .loop = l,
                        .pool = pool,
                        .events = events,
                        .owner = owner,
                        .io = &plain_io,
                        .opening = opening,
                        .writable = !opening };
    watch_init(&c->watch, fd, on_ready);
    link_init(&c->unsent);
    task_init(&c->task, on_task);
    timer_init(&c->timer, on_due);
    l->send_unsent = send_unsent;
    if (!loop_watch(l, &c->watch, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
        int error = errno;

        close(fd);
        c->magic = 0;
        pool_give(pool, c);
        errno = error;
        return NULL;
    }
    return c;
}

void conn_close(struct conn *c, enum conn_close how)
{
    CHECK(!c->closing);
    c->closing = true;
    c->linger_after = how == CLOSE_LINGERING;
    c->events = NULL;
    c->owner = NULL;
    input_drop(c);
    if (how == CLOSE_NOW || c->broken || c->opening || c->error) {
        end(c);
        return;
    }
    c->stays = true;
    c->loop->closing_count++;
    if (conn_unsent(c) == 0)
        written(c);
    else {
        timer_set(&c->loop->timers, &c->timer, c->loop->now_ns + WRITTEN_WITHIN);
        note_unsent(c);
    }
}

void conns_cut(struct loop *l)
{
    struct link_node *n;

    if (l->send_unsent)
        l->send_unsent(l);
    while ((n = list_first(&l->closing)))
        end(CONTAINER(n, struct conn, unsent));
}

void conn_reset_on_close(struct conn *c)
{
    struct linger reset = { .l_onoff = 1, .l_linger = 0 };

    setsockopt(c->watch.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

/* A byte stream either way: an accepted client or a link to a service.
 *
 * One edge-triggered registration for its whole life; `readable` and `writable` are remembered bits. A
 * read that came back short was the last one, unless the peer has hung up. Writing only buffers: the
 * loop sends when the events of a turn have been told, so a head and the first of its body leave in one
 * send, and many conns are read before many are written. Buffers come from the loop's pools and go back as
 * soon as they are empty, so an idle connection holds none.
 *
 * A conn tells its owner through conn_events. After conn_close the owner hears nothing more, and the
 * memory ends in a later turn. One process, one thread.
 */
#ifndef WORKERS_CONN_H
#define WORKERS_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "gateway/base/str.h"
#include "workers/loop.h"

struct conn;

/* What a conn tells its owner. No function is called from inside a call of the owner's, but for conn_close. */
struct conn_events {
    void (*on_open)(struct conn *c); /* dialled conns only: the connection stands */
    void (*on_bytes)(
        struct conn *c); /* input grew, or the peer will send no more: conn_peer_ended when all has
                                           been read; c->hung_up at once, also while paused */
    void (*on_room)(
        struct conn *c); /* all output has left, after conn_write had taken too little */
    void (*on_broken)(
        struct conn *c);            /* reset, or never stood; c->error is an errno. Close it now. */
    void (*on_due)(struct conn *c); /* conn_set_due's time has come */
};

/* The socket operations, so that TLS can stand in for them. As recv(2), send(2) and sendmsg(2) of two pieces:
 * bytes, 0 at the end of input, -1 with errno (EAGAIN: not now). */
struct conn_io {
    ssize_t (*receive)(struct conn *c, void *to, size_t len);
    ssize_t (*send)(struct conn *c, struct str first, struct str then);
};

struct conn {
    struct watch watch; /* first: the loop's pointer is ours */
    uint32_t magic;
    bool readable : 1, writable : 1;
    bool hung_up : 1; /* RDHUP seen: what is left can be read, then the end */
    bool ended : 1;   /* read to the end */
    bool broken : 1;
    bool opening : 1; /* connect(2) has not finished */
    bool paused : 1;  /* the owner takes no input now */
    bool closing : 1; /* the owner is gone: writing the rest, or lingering */
    bool lingering : 1;
    bool stays : 1;        /* closing, and counted in loop->closing_count */
    bool linger_after : 1; /* once the rest is written */
    bool wants_room : 1;
    bool in_large : 1, out_large : 1, large_input : 1;
    bool farewell : 1; /* what is buffered is the last, a close follows in this turn */
    bool reported : 1; /* the end of input has been told */
    int error;
    struct loop *loop;
    struct pool *pool; /* where this conn came from */
    const struct conn_events *events;
    void *owner;
    const struct conn_io *io;
    char *in, *out; /* buffers, or NULL */
    uint32_t in_begin, in_end, out_begin, out_end;
    struct link_node unsent; /* in loop->unsent; later in loop->closing */
    struct task task;        /* go on reading; later: end */
    struct timer timer;
    uint64_t bytes_out;
};

/* Where conns come from; one per loop. */
void conn_pool_init(struct pool *p);

/* Take over a connected or connecting non-blocking stream socket. NULL with errno if it cannot be watched: the
 * descriptor is then closed. */
struct conn *conn_open(struct loop *l, struct pool *pool, int fd, bool opening,
                       const struct conn_events *events, void *owner) MUST_USE;

/* What has arrived and was not consumed; valid until the owner returns to the loop or consumes. */
static inline struct str conn_input(const struct conn *c)
{
    return (struct str){ c->in + c->in_begin, c->in_end - c->in_begin };
}
void conn_consume(struct conn *c, size_t n);
/* Is there nothing more to read for now, not even in the socket? Asks the kernel only if that is not known. */
bool conn_is_quiet(struct conn *c) MUST_USE;
/* No more input will come. There may be some left. */
static inline bool conn_peer_ended(const struct conn *c)
{
    return c->ended;
}
/* Take no input for now: nothing is read, the peer is slowed by its window. */
void conn_pause(struct conn *c);
/* Take input again; on_bytes is called from a task if there is unconsumed or unread input. */
void conn_resume(struct conn *c);
/* The peer has begun to say something and the owner waits for the rest: acknowledge what has come at once. A peer that
 * writes in small pieces sends the next one only then (Nagle's algorithm, RFC 9293 3.7.4), and we would wait for each
 * other until the kernel's delay of 40 ms ends. */
void conn_await_rest(const struct conn *c);
/* Read in large pieces from now on (a body is coming), or not. */
void conn_expect_large(struct conn *c, bool large);

/* Memory for `n` bytes of output at the end of what is buffered; conn_commit says how many were used. For heads
 * and framing, which are bounded by limits: never refused up to LOOP_LARGE_BUFFER. */
char *conn_reserve(struct conn *c, size_t n) MUST_USE;
void conn_commit(struct conn *c, size_t n);
/* Write of a body: takes what it can and says how much. Small pieces are buffered, large ones are sent at once,
 * straight from `data`. If it took less than all, on_room follows. */
size_t conn_write(struct conn *c, struct str data) MUST_USE;
/* Is there room for another head and what follows it? If not, on_room follows. */
bool conn_has_room(struct conn *c) MUST_USE;
/* How many bytes conn_write would surely buffer now. */
size_t conn_room(const struct conn *c);
static inline size_t conn_unsent(const struct conn *c)
{
    return c->out_end - c->out_begin;
}

/* What has been buffered is the last that will be: let it leave together with the end of the stream. conn_close must
 * follow in this turn. */
void conn_farewell(struct conn *c);

/* on_due once at `due_ns`; 0: not. Moving it later is free. */
void conn_set_due(struct conn *c, uint64_t due_ns);

enum conn_close {
    CLOSE_NOW,      /* what is buffered may be lost */
    CLOSE_WRITTEN,  /* when what is buffered has been sent, or after 30 s without progress */
    CLOSE_LINGERING /* the same, then read and drop for up to 2 s until the peer closes: it may still
                            be sending, and a reset would take the answer from it (RFC 9112 9.6) */
};
void conn_close(struct conn *c, enum conn_close how);
/* End those that are closed and still write or linger, since the process ends. How many: loop->closing_count. */
void conns_cut(struct loop *l);
/* Let the coming close reset the connection: the peer must not take what it has for the whole. */
void conn_reset_on_close(struct conn *c);

#endif

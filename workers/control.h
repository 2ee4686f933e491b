/* The line between the master and each of its children: a SOCK_SEQPACKET pair, one message a packet,
 * descriptors by SCM_RIGHTS.
 *
 * Both ends are non-blocking and never wait for the other: a child that does not read its orders is
 * replaced by the master, and a master that is gone is an end of file. Messages are structs, because both
 * ends are forks of one binary.
 */
#ifndef WORKERS_CONTROL_H
#define WORKERS_CONTROL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/check.h"
#include "workers/loop.h"

enum control_kind {
    /* master -> child */
    CONTROL_LISTENER = 1, /* fd: poll this socket (listener, slot, text = its address) */
    CONTROL_DROP,      /* stop polling (listener, slot); number != 0: you are the last, empty it */
    CONTROL_ADOPT,     /* fd: the bundle; generation, workers; answer ADOPTED or REFUSED */
    CONTROL_LOG,       /* fd: the file `text` was opened (anew); no fd: it is not used any more */
    CONTROL_ERROR_LOG, /* fd: standard error from now on */
    CONTROL_CLOSING_SOON, /* /ready says no from now on; accepting goes on */
    CONTROL_DRAIN,        /* empty the queues, finish what runs, exit within number nanoseconds */
    CONTROL_CUT,          /* exit now */
    /* child -> master */
    CONTROL_READY, /* the first snapshot is adopted: generation */
    CONTROL_ADOPTED,
    CONTROL_REFUSED,
    CONTROL_ENDED /* number: how much was cut */
};

#define CONTROL_TEXT_MAX 256

enum { CONTROL_FLAG_LOCAL = 1 }; /* LISTENER: a Unix socket */

struct control_message {
    enum control_kind kind;
    uint32_t listener, slot, workers;
    uint64_t generation;
    uint64_t number;
    uint32_t flags;
    char text[CONTROL_TEXT_MAX]; /* NUL-ended */
};

struct control {
    struct watch watch; /* first: the loop's pointer is ours */
    int fd;             /* -1: closed */
    /* fd is -1 or a descriptor that came with the message and is the receiver's now. */
    void (*on_message)(struct control *c, const struct control_message *m, int fd);
    void (*on_closed)(struct control *c);
};

/* Two connected ends, close-on-exec and non-blocking. False with errno. */
bool control_pair(int ends[2]) MUST_USE;
/* Listen to `fd`, ours from here. */
void control_init(struct control *c, int fd,
                  void (*on_message)(struct control *, const struct control_message *, int),
                  void (*on_closed)(struct control *));
bool control_watch(struct control *c, struct loop *l) MUST_USE;
/* fd       -1, or a descriptor to lend; stays ours
 * returns  false with errno when the other end is gone or does not read (EAGAIN) */
bool control_send(struct control *c, const struct control_message *m, int fd) MUST_USE;
/* Read what is there now, calling on_message for each (the watch does this by itself). */
void control_read(struct control *c);
void control_close(struct control *c, struct loop *l);

#endif

/* The listening sockets that this worker polls: accepts what comes and hands it to the program.
 *
 * The sockets belong to the master, which lends copies of the descriptors over the control socket: those of
 * our own slot, and of a neighbour's while the neighbour is dead or gone. They are watched level-triggered
 * and a turn takes a bounded number, so a flood of connections cannot starve those that stand. When
 * descriptors or max_connections are used up the sockets are left alone (connections wait in the kernel's
 * queue) until a connection closes or a moment has passed; never a spin.
 */
#ifndef WORKERS_ACCEPTOR_H
#define WORKERS_ACCEPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/list.h"
#include "gateway/base/str.h"
#include "workers/loop.h"
#include "workers/timer.h"

struct worker;
struct acceptors;

/* One listening socket. */
struct acceptor {
    struct watch watch; /* first: the loop's pointer is ours */
    uint32_t magic;
    uint32_t listener, slot; /* as the master numbers them */
    bool local;              /* a Unix socket, shared by all workers */
    bool watched;
    struct str address;
    struct acceptors *all;
    struct link_node node;
    struct task end;
};

struct acceptors {
    struct worker *worker;
    struct list list;
    struct list addresses; /* texts that live as long as the process */
    size_t max_connections;
    bool paused;
    struct timer again;       /* while paused */
    uint64_t accepted;        /* for tests and the log */
    uint64_t pauses, said_ns; /* how often, and when it was last logged */
};

void acceptors_init(struct acceptors *all, struct worker *w, size_t max_connections);
/* Close all without a look at what waits; nothing more is accepted. */
void acceptors_close(struct acceptors *all);
/* The same, and free what is left. */
void acceptors_end(struct acceptors *all);
/* Poll `fd` from now on; ours from here. */
void acceptors_add(struct acceptors *all, uint32_t listener, uint32_t slot, bool local, int fd,
                   struct str address);
/* Stop polling one socket and close our copy.
 * last     nobody polls it after us: what waits in its queue is accepted first, closing would drop it */
void acceptors_drop(struct acceptors *all, uint32_t listener, uint32_t slot, bool last);
/* The same for all of them. */
void acceptors_drop_all(struct acceptors *all);
bool acceptors_has(const struct acceptors *all, uint32_t listener, uint32_t slot);
/* A connection was closed: if we were paused, look again. */
void acceptors_resume(struct acceptors *all);

#endif

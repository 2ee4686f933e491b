/* This process: a worker, or the caretaker (the same loop and life in another role; it only accepts nothing).
 *
 * A child of the master claims a seat, gives up its rights, goes to its core, starts the program, builds the
 * snapshot and says READY. After that the control socket tells it what to do; its end of file means that
 * the master is gone, and is taken as DRAIN. One process, one thread.
 */
#ifndef WORKERS_WORKER_H
#define WORKERS_WORKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/list.h"
#include "gateway/base/str.h"
#include "workers/acceptor.h"
#include "workers/control.h"
#include "workers/loop.h"
#include "workers/privilege.h"
#include "workers/program.h"
#include "workers/timer.h"

struct seats_shared;

#define WORKER_MAGIC 0x30c4e25eu

struct worker {
    uint32_t magic;
    enum worker_role role;
    uint32_t slot;    /* which of the workers: 0 … workers-1; the caretaker's is 0 */
    uint32_t seat;    /* our index in everything that is shared, see shm/seats.h */
    uint32_t workers; /* how many there are now; changes with a reload */
    struct region *region;
    struct seats_shared *seats;
    const struct program *program;
    void *local; /* the program's own */
    struct loop loop;
    struct snapshot *snapshot; /* the current one */
    uint64_t generation;       /* of the current one */
    bool closing_soon;         /* told to stop after the drain delay: /ready should say no */
    bool draining;
    bool started;       /* program->start has been called */
    size_t connections; /* accepted and not yet let go */

    struct acceptors acceptors;
    struct list logs; /* what the master lent us, see worker_log */
    struct control control;
    struct {
        struct snapshot *snapshot; /* being built; NULL: nothing */
        uint64_t generation;
        uint32_t workers;
        int bundle;
        struct task task;
    } next;
    struct timer heartbeat, grace;
};

/* What the master gives a child on its way. Borrowed, but for the descriptors, which are the child's. */
struct worker_birth {
    const struct program *program;
    struct region *region;
    const struct rights *rights;
    enum worker_role role;
    uint32_t slot, workers;
    int control, bundle;
    uint64_t generation; /* of the bundle */
    bool pinned;
    cpu_set_t cpus;
};

/* Live, in a process forked for it.
 * returns  the exit status */
int worker_run(const struct worker_birth *b);

/* A connection that program->accepted was given has been closed. */
void worker_let_go(struct worker *w);
/* The descriptor of a log that settings->logs names, or -1. It is the engine's: never close it, and ask again
 * after program->logs_changed. Only the caretaker has any. */
int worker_log(const struct worker *w, struct str path);
/* The seat says which generation of tables this process may still touch; the program moves it on when
 * the last exchange of an older snapshot has ended. */
void worker_holds_since(struct worker *w, uint64_t oldest_generation);

#endif

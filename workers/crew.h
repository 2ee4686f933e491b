/* The children: one post for each worker and one for the caretaker, and who mans it.
 *
 * A post whose process died is manned again, at once the first time, then with a growing delay that is
 * forgotten after a while of living. Meanwhile the neighbours poll its sockets. A worker that has not
 * turned its loop for too long is killed; time in which the machine itself stood still does not count.
 */
#ifndef WORKERS_CREW_H
#define WORKERS_CREW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "gateway/base/list.h"
#include "workers/control.h"
#include "workers/loop.h"
#include "workers/program.h"
#include "workers/timer.h"

struct master;

enum child_state {
    CHILD_AWAITED,  /* nobody: the timer will fork one */
    CHILD_STARTING, /* forked, has not said READY */
    CHILD_READY,
    CHILD_LEAVING /* told to drain; nothing takes its place */
};

struct held_socket {
    uint32_t listener, slot;
};

struct child {
    struct link_node node;
    struct master *master;
    enum worker_role role;
    uint32_t slot;
    enum child_state state;
    pid_t pid;
    struct control control;
    struct timer respawn;
    uint64_t born_ns;
    uint32_t failures;   /* in a row */
    uint64_t generation; /* of what it runs */
    uint64_t asked;      /* generation it was told to adopt and has not answered; 0: none */
    uint32_t seat;
    uint64_t beat, silent_ns; /* the last heartbeat seen, and for how long */
    bool aborted;
    struct held_socket *held; /* what it polls */
    size_t held_count, held_room;
    struct task end;
};

struct crew {
    struct list children;
    uint64_t ticked_ns; /* when we last looked at the heartbeats */
    uint32_t epoch;     /* of processes: how many were forked */
};

void crew_init(struct crew *c);
/* Posts for workers 0 … workers-1 and the caretaker, manned; workers beyond that drain. */
void crew_resize(struct master *m, uint32_t workers);
/* SIGCHLD. */
void crew_reap(struct master *m);
/* Look at the heartbeats. */
void crew_tick(struct master *m);

/* Send to one; one that cannot be told is killed, since it cannot be relied upon. */
void child_tell(struct child *c, const struct control_message *msg, int fd);
void child_kill(struct child *c, int signal);

/* The log files to the caretaker, standard error to all. */
void crew_send_logs(struct master *m);
void crew_send_error_log(struct master *m);
/* `role` < 0: everybody who lives. */
void crew_tell(struct master *m, int role, const struct control_message *msg, int fd);
/* Drain all of a role; posts without a process go. */
void crew_dismiss(struct master *m, enum worker_role role, uint64_t grace_ns);
size_t crew_count(const struct master *m, enum worker_role role);
/* The first READY worker, or NULL. */
struct child *crew_first_ready(struct master *m);
bool crew_is_starting(const struct master *m);
/* Fork now whom a delay holds back, and forget why it did. */
void crew_hurry(struct master *m);
/* Somebody was forked and may not have claimed a seat: what it holds is not known yet. */
bool crew_has_unseated(const struct master *m);
/* Free what is left; all processes must be gone. */
void crew_end(struct master *m);

/* A worker that turns its loop. */
static inline bool child_may_poll(const struct child *c)
{
    return c->role == ROLE_WORKER && c->state == CHILD_READY && !c->aborted;
}

static inline struct child *child_at(struct link_node *n)
{
    return CONTAINER(n, struct child, node);
}

#endif

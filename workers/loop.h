/* One epoll loop: the heart of a worker, of the caretaker and of the master.
 *
 * A turn:  wait for events · read the clock once · call the watches that are ready: conns read · tell their
 * owners what has arrived · call the timers that are due · run the tasks · send what all of these buffered ·
 * free what has ended.
 *
 * Many are read, many are told, and then many are sent to: the code of each phase stays in the cache, a peer that
 * the first send wakes is awake at the next ones, and what an exchange held is free before its client has the answer.
 *
 * Waking is never immediate and freeing is never immediate: both are tasks, so no function finds the
 * ground gone under its feet. Tasks run in the turn in which they were queued, after the events; ends
 * run last. One process, one thread.
 */
#ifndef WORKERS_LOOP_H
#define WORKERS_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/list.h"
#include "gateway/base/pool.h"
#include "workers/faults.h"
#include "workers/timer.h"

/* A descriptor that the loop looks at. Embedded in whoever owns the descriptor. */
struct watch {
    uint32_t magic;
    int fd; /* -1: not watched; late events are ignored */
    void (*on_ready)(struct watch *w, uint32_t events); /* EPOLLIN and so on */
};

/* Work for this turn, with an empty stack. A task that is queued already is not queued twice. */
struct task {
    struct link_node node;
    void (*run)(struct task *t);
};

struct loop {
    int epoll;
    bool stopping;
    bool full;       /* this turn took as many events as one can: there may be more */
    uint64_t now_ns; /* clock_now_ns() of this turn */
    struct timers timers;
    struct list arrivals; /* tasks to run right behind the events (conn.c) */
    struct list tasks;    /* to run in this turn */
    struct list ends;     /* to run when everything else of this turn is done: freeing */
    struct list unsent;   /* conns that buffered output since it was last sent (conn.c) */
    struct list closing;  /* conns without an owner that still write or linger (conn.c) */
    size_t closing_count; /* of them */
    void (*send_unsent)(struct loop *l);  /* set by conn.c's first conn */
    void (*before_sleep)(struct loop *l); /* set by the owner: heartbeat and the like */
    void *owner;
#ifdef FAULTS
    struct faults faults;
#endif
    struct pool small_buffers; /* LOOP_SMALL_BUFFER bytes each, slabs */
    struct pool large_buffers; /* LOOP_LARGE_BUFFER bytes each; idle ones above 2 MiB go back */
};

#define LOOP_EVENTS       64 /* that a turn takes at most: nobody waits for more others to be read */
#define LOOP_SMALL_BUFFER ((size_t)16 * 1024)
#define LOOP_LARGE_BUFFER ((size_t)256 * 1024)

void loop_init(struct loop *l);
/* Close the epoll descriptor and free the heap and the buffers. Watches must have been removed. */
void loop_end(struct loop *l);
/* Turn until loop_stop. */
void loop_run(struct loop *l);
/* One turn; sleeps at most `most_ns`. */
void loop_turn(struct loop *l, uint64_t most_ns);
void loop_stop(struct loop *l);

void watch_init(struct watch *w, int fd, void (*on_ready)(struct watch *, uint32_t events));
/* events   EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET …
 * returns  false with errno if the kernel refuses (out of memory or watches) */
bool loop_watch(struct loop *l, struct watch *w, uint32_t events) MUST_USE;
/* Stop looking; the descriptor stays open and is the caller's to close. Never watched: nothing happens. */
void loop_unwatch(struct loop *l, struct watch *w);
/* The same when the descriptor is closed right after: closing it takes it off epoll without a call. */
void loop_forget(struct watch *w);

static inline void task_init(struct task *t, void (*run)(struct task *))
{
    link_init(&t->node);
    t->run = run;
}
static inline void loop_queue(struct loop *l, struct task *t)
{
    if (!link_is_on_list(&t->node))
        list_push_back(&l->tasks, &t->node);
}
/* For freeing: runs at the end of the turn, once. */
static inline void loop_queue_end(struct loop *l, struct task *t)
{
    link_remove(&t->node);
    list_push_back(&l->ends, &t->node);
}
static inline void task_cancel(struct task *t)
{
    link_remove(&t->node);
}

#endif

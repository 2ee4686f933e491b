/* THE way to wait: to be called once when something happens, or when it took too long.
 *
 * Waiters are embedded in whoever waits. Whoever will wake keeps a queue of them, never a pointer to
 * one; cancelling unlinks. Waking queues a task: `on_wake` runs from the loop with an empty stack.
 * One process, one thread; a wake from another process goes through shm/bell, which wakes a queue here.
 */
#ifndef WORKERS_WAITER_H
#define WORKERS_WAITER_H

#include <stdint.h>

#include "gateway/base/list.h"
#include "workers/loop.h"

enum waiter_status {
    WAITER_IDLE, /* not waiting */
    WAITER_WAITING,
    WAITER_OK,     /* the queue was woken */
    WAITER_FAILED, /* the queue was woken with failure */
    WAITER_TIMEOUT
};

struct waiter {
    struct link_node node; /* on a wait_queue */
    struct task task;
    struct timer timer;
    struct loop *loop;
    enum waiter_status status;
    void (*on_wake)(struct waiter *w);
    /* Optional: called at the wake itself with what cannot be looked up again (a reply that lives as long
     * as a callback). It may only copy. */
    void (*deliver)(struct waiter *w, const void *answer);
};

struct wait_queue {
    struct list waiters;
};

void wait_queue_init(struct wait_queue *q);
/* Wake all that wait: status OK or FAILED. `answer` is handed to those with `deliver`. */
void wait_queue_wake(struct wait_queue *q, enum waiter_status status, const void *answer);

void waiter_init(struct waiter *w, struct loop *l, void (*on_wake)(struct waiter *));
/* queue    NULL: only time passes (a sleep)
 * due_ns   when to give up; 0: never */
void waiter_wait(struct waiter *w, struct wait_queue *queue, uint64_t due_ns);
/* Not waiting any more; on_wake will not be called. Always allowed. Must be called before the memory ends. */
void waiter_cancel(struct waiter *w);

#endif

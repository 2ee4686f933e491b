/* THE way to wait. */
#include "workers/waiter.h"

#include "gateway/base/check.h"

static void finish(struct waiter *w, enum waiter_status status)
{
    link_remove(&w->node);
    timer_unset(&w->timer);
    w->status = status;
    loop_queue(w->loop, &w->task);
}

static void on_due(struct timer *t)
{
    finish(CONTAINER(t, struct waiter, timer), WAITER_TIMEOUT);
}

static void run(struct task *t)
{
    struct waiter *w = CONTAINER(t, struct waiter, task);

    w->on_wake(w);
}

void wait_queue_init(struct wait_queue *q)
{
    list_init(&q->waiters);
}

void wait_queue_wake(struct wait_queue *q, enum waiter_status status, const void *answer)
{
    struct link_node *n;

    while ((n = list_first(&q->waiters))) {
        struct waiter *w = CONTAINER(n, struct waiter, node);

        if (w->deliver)
            w->deliver(w, answer);
        finish(w, status);
    }
}

void waiter_init(struct waiter *w, struct loop *l, void (*on_wake)(struct waiter *))
{
    *w = (struct waiter){ .loop = l, .on_wake = on_wake };
    link_init(&w->node);
    task_init(&w->task, run);
    timer_init(&w->timer, on_due);
}

void waiter_wait(struct waiter *w, struct wait_queue *queue, uint64_t due_ns)
{
    CHECK(!link_is_on_list(&w->node) && !link_is_on_list(&w->task.node));
    CHECK(queue || due_ns);
    w->status = WAITER_WAITING;
    if (queue)
        list_push_back(&queue->waiters, &w->node);
    if (due_ns)
        timer_set(&w->loop->timers, &w->timer, due_ns);
}

void waiter_cancel(struct waiter *w)
{
    if (!w->loop) /* never initialised: a frame that did not wait */
        return;
    link_remove(&w->node);
    task_cancel(&w->task);
    timer_remove(&w->loop->timers, &w->timer);
    w->status = WAITER_IDLE;
}

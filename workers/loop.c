/* One epoll loop. */
#include "workers/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "gateway/base/check.h"
#include "gateway/base/clock.h"

#define WATCH_MAGIC    0x57a7c41eu
#define LARGE_KEPT     (2 * 1024 * 1024 / LOOP_LARGE_BUFFER)
#define TASKS_PER_SEND 256 /* what they buffer is bounded */

void loop_init(struct loop *l)
{
    *l = (struct loop){ .epoll = epoll_create1(EPOLL_CLOEXEC) };
    if (l->epoll < 0)
        die("epoll_create1");
    timers_init(&l->timers);
    list_init(&l->arrivals);
    list_init(&l->tasks);
    list_init(&l->ends);
    list_init(&l->unsent);
    list_init(&l->closing);
    pool_init(&l->small_buffers, LOOP_SMALL_BUFFER, 0);
    pool_init(&l->large_buffers, LOOP_LARGE_BUFFER, LARGE_KEPT);
    l->now_ns = clock_now_ns();
}

void loop_end(struct loop *l)
{
    close(l->epoll);
    l->epoll = -1;
    timers_end(&l->timers);
    pool_end(&l->small_buffers);
    pool_end(&l->large_buffers);
}

void watch_init(struct watch *w, int fd, void (*on_ready)(struct watch *, uint32_t))
{
    *w = (struct watch){ .magic = WATCH_MAGIC, .fd = fd, .on_ready = on_ready };
}

bool loop_watch(struct loop *l, struct watch *w, uint32_t events)
{
    struct epoll_event ev = { .events = events, .data.ptr = w };

    CHECK(w->magic == WATCH_MAGIC && w->fd >= 0);
    return !FAULT(l, "epoll_ctl", ENOSPC) && epoll_ctl(l->epoll, EPOLL_CTL_ADD, w->fd, &ev) == 0;
}

void loop_unwatch(struct loop *l, struct watch *w)
{
    if (w->fd >= 0)
        epoll_ctl(l->epoll, EPOLL_CTL_DEL, w->fd, NULL);
    loop_forget(w);
}

void loop_forget(struct watch *w)
{
    w->fd = -1;
}

static void send_what_was_buffered(struct loop *l)
{
    if (!list_is_empty(&l->unsent))
        l->send_unsent(l);
}

static void run_list(struct loop *l, struct list *from)
{
    struct list now;
    struct link_node *n;

    list_move(&now, from);
    for (size_t i = 1; (n = list_pop_front(&now)); i++) {
        struct task *t = CONTAINER(n, struct task, node);

        t->run(t);
        if (i % TASKS_PER_SEND == 0)
            send_what_was_buffered(l);
    }
}

/* Milliseconds for epoll_wait, rounded up: waking early only to sleep again would be a spin. */
static int timeout_ms(struct loop *l, uint64_t most_ns)
{
    uint64_t next = timers_next(&l->timers), wait_ns = most_ns;

    if (!list_is_empty(&l->tasks) || !list_is_empty(&l->ends))
        return 0;
    if (next != UINT64_MAX) {
        uint64_t now = l->now_ns;

        wait_ns = next <= now ? 0 : next - now;
        wait_ns = wait_ns < most_ns ? wait_ns : most_ns;
    }
    if (wait_ns >= (uint64_t)3600 * 1000000000u)
        return wait_ns == UINT64_MAX ? -1 : 3600 * 1000;
    return (int)((wait_ns + 999999) / 1000000);
}

void loop_turn(struct loop *l, uint64_t most_ns)
{
    struct epoll_event events[LOOP_EVENTS];
    int n = epoll_wait(l->epoll, events, LOOP_EVENTS, timeout_ms(l, most_ns));

    if (n < 0 && errno != EINTR)
        die("epoll_wait");
    l->now_ns = clock_now_ns();
    l->full = n == LOOP_EVENTS;
    for (int i = 0; i < n; i++) {
        struct watch *w = events[i].data.ptr;

        CHECK(w->magic == WATCH_MAGIC);
        if (w->fd < 0) /* closed earlier in this turn */
            continue;
        w->on_ready(w, events[i].events);
    }
    run_list(l, &l->arrivals);
    timers_run(&l->timers, l->now_ns);
    run_list(l, &l->tasks);
    send_what_was_buffered(l);
    if (l->before_sleep)
        l->before_sleep(l);
    run_list(l, &l->ends);
    send_what_was_buffered(l);
}

void loop_run(struct loop *l)
{
    while (!l->stopping)
        loop_turn(l, UINT64_MAX);
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}

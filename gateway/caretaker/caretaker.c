/* The caretaker. */
#include "gateway/caretaker/caretaker.h"

#include <stdlib.h>
#include <sys/epoll.h>

#include "gateway/base/number.h"
#include "gateway/caretaker/scribe.h"

/* How soon to look at the rings again. Records wait that long for the sake of one write for many. */
#define LOOK_MORE_NS NS_PER_MS
#define LOOK_BUSY_NS (10 * NS_PER_MS)
#define LOOK_IDLE_NS (100 * NS_PER_MS)

struct caretaker {
    struct worker *worker;
    struct shared *shared;
    const struct bells *bells;
    struct scribe scribe;
    struct timer look;
    struct watch bell;
};

static uint64_t pause_after(enum scribe_result r)
{
    switch (r) {
    case SCRIBE_IDLE:
        return LOOK_IDLE_NS;
    case SCRIBE_BUSY:
        return LOOK_BUSY_NS;
    case SCRIBE_MORE:
        return LOOK_MORE_NS;
    }
    UNREACHABLE();
}

static void look(struct caretaker *c)
{
    struct loop *l = &c->worker->loop;
    uint64_t next_ns, due_ns;

    /* Before looking: who passes half from here on rings. */
    bell_want(c->shared->records, c->worker->seat);
    next_ns = l->now_ns + pause_after(scribe_drain(&c->scribe, l->now_ns));
    due_ns = scribe_due(&c->scribe);
    if (due_ns < next_ns)
        next_ns = due_ns > l->now_ns ? due_ns : l->now_ns + LOOK_MORE_NS;
    timer_set(&l->timers, &c->look, next_ns);
}

static void on_look(struct timer *t)
{
    look(CONTAINER(t, struct caretaker, look));
}

static void on_bell(struct watch *w, uint32_t events)
{
    struct caretaker *c = CONTAINER(w, struct caretaker, bell);

    (void)events;
    bells_hush(c->bells, c->worker->seat);
    look(c);
}

static int log_descriptor(void *owner, struct str path)
{
    return worker_log(owner, path);
}

struct caretaker *caretaker_start(struct worker *w, const struct bells *bells)
{
    struct caretaker *c = calloc(1, sizeof *c);

    if (!c)
        die("out of memory for the caretaker");
    c->worker = w;
    c->bells = bells;
    c->shared = shared_open(w->region, NULL);
    if (!c->shared)
        die("the shared tables are not there");
    scribe_init(&c->scribe, c->shared, log_descriptor, w);
    timer_init(&c->look, on_look);
    if (bells) {
        watch_init(&c->bell, bells_fd(bells, w->seat), on_bell);
        if (!loop_watch(&w->loop, &c->bell, EPOLLIN))
            die("cannot watch the caretaker's bell");
    }
    return c;
}

void caretaker_configure(struct caretaker *c, const struct conf_globals *g)
{
    scribe_configure(&c->scribe, &g->logging, c->worker->loop.now_ns);
    look(c);
}

void caretaker_logs_changed(struct caretaker *c)
{
    scribe_reopen(&c->scribe, c->worker->loop.now_ns);
}

void caretaker_drain(struct caretaker *c)
{
    look(c);
}

size_t caretaker_unfinished(const struct caretaker *c)
{
    return scribe_unfinished(&c->scribe);
}

void caretaker_stop(struct caretaker *c)
{
    struct loop *l = &c->worker->loop;
    size_t left;

    do { /* as long as it gets less */
        left = scribe_unfinished(&c->scribe);
        scribe_drain(&c->scribe, l->now_ns);
    } while (scribe_unfinished(&c->scribe) < left);
    scribe_end(&c->scribe, l->now_ns);
    bell_want_no_more(c->shared->records, c->worker->seat);
    if (c->bells)
        loop_unwatch(l, &c->bell);
    timer_remove(&l->timers, &c->look);
    shared_close(c->shared);
    free(c);
}

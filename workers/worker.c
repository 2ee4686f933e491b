/* This process: a worker, or the caretaker. */
#include "workers/worker.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/base/check.h"
#include "gateway/base/clock.h"
#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "shm/seats.h"
#include "workers/signals.h"

/* A build may not hold up those who are being served. */
#define SLICE_NS          NS_PER_MS
#define BEAT_NS           NS_PER_S
/* Descriptors that are no connection: epoll, control, listeners, logs, and a bell for each seat. */
#define OTHER_DESCRIPTORS 192

struct log_copy {
    struct link_node node;
    int fd;
    char path[CONTROL_TEXT_MAX];
};

/* ---- what the master is told ---- */

static void tell(struct worker *w, enum control_kind kind, uint64_t generation, uint64_t number)
{
    struct control_message m = { .kind = kind, .generation = generation, .number = number };

    /* A master that is gone or stuck is noticed elsewhere. */
    if (!control_send(&w->control, &m, -1) && errno != EPIPE && errno != ECONNRESET)
        log_line(LOG_LEVEL_WARN, "cannot tell the master: %s", strerror(errno));
}

/* ---- adopting ---- */

static const struct engine_settings *settings_of(const struct worker *w)
{
    return w->program->settings(w->snapshot);
}

/* As configured, but no more than there are descriptors for. A quarter of them is for services: who is let in shall be
 * served, and most who are let in are idle. */
static size_t connections_allowed(const struct engine_settings *s)
{
    size_t wanted = engine_max_connections(s);
    struct rlimit limit;
    size_t have;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return wanted;
    have = limit.rlim_cur > 2 * OTHER_DESCRIPTORS ? (limit.rlim_cur - OTHER_DESCRIPTORS) / 4 * 3
                                                  : limit.rlim_cur / 2;
    return wanted < have ? wanted : have;
}

static void forget_next(struct worker *w)
{
    if (w->next.bundle >= 0)
        close(w->next.bundle);
    w->next.bundle = -1;
    w->next.snapshot = NULL;
    task_cancel(&w->next.task);
}

static void adopt_next(struct worker *w)
{
    w->workers = w->next.workers;
    w->program->adopt(w, w->next.snapshot);
    w->snapshot = w->next.snapshot;
    w->generation = w->next.generation;
    w->acceptors.max_connections = connections_allowed(settings_of(w));
    forget_next(w);
    acceptors_resume(&w->acceptors);
}

static void refuse_next(struct worker *w)
{
    uint64_t generation = w->next.generation;

    forget_next(w);
    tell(w, CONTROL_REFUSED, generation, 0);
}

/* A slice a turn: what stands is served between. */
static void on_slice(struct task *t)
{
    struct worker *w = CONTAINER(t, struct worker, next.task);

    switch (w->program->build_more(w, w->next.snapshot, clock_now_ns() + SLICE_NS)) {
    case BUILD_MORE:
        loop_queue(&w->loop, t);
        return;
    case BUILD_DONE:
        adopt_next(w);
        tell(w, CONTROL_ADOPTED, w->generation, 0);
        if (w->role == ROLE_WORKER)
            FAULTS_ARM(&w->loop, w->generation);
        return;
    case BUILD_FAILED:
        refuse_next(w);
        return;
    }
}

static void drop_next(struct worker *w)
{
    if (w->next.snapshot)
        w->program->build_drop(w, w->next.snapshot);
    forget_next(w);
}

static void begin_next(struct worker *w, int bundle, uint64_t generation, uint32_t workers)
{
    drop_next(w);
    w->next.bundle = bundle;
    w->next.generation = generation;
    w->next.workers = workers;
    /* Going back to an older one: its tables must not be swept before the program says so itself. */
    if (generation < w->generation)
        worker_holds_since(w, generation);
    w->next.snapshot = w->program->build(w, bundle, generation);
}

static void adopt_when_built(struct worker *w, const struct control_message *m, int fd)
{
    if (w->draining || fd < 0) {
        if (fd >= 0)
            close(fd);
        tell(w, CONTROL_REFUSED, m->generation, 0);
        return;
    }
    begin_next(w, fd, m->generation, m->workers);
    if (w->next.snapshot)
        loop_queue(&w->loop, &w->next.task);
    else
        refuse_next(w);
}

/* The first snapshot: nobody is being served yet, so at one go. */
static void adopt_first(struct worker *w, const struct worker_birth *b)
{
    enum build_result r = BUILD_FAILED;

    begin_next(w, b->bundle, b->generation, b->workers);
    if (w->next.snapshot)
        do
            r = w->program->build_more(w, w->next.snapshot, UINT64_MAX);
        while (r == BUILD_MORE);
    errno = 0;
    if (r != BUILD_DONE)
        die("cannot build from what the master has built from");
    adopt_next(w);
}

/* ---- ending ---- */

static void begin_drain(struct worker *w, uint64_t grace_ns)
{
    if (w->draining)
        return;
    w->draining = true;
    w->closing_soon = true;
    drop_next(w);
    acceptors_drop_all(&w->acceptors);
    w->program->drain(w);
    timer_set(&w->loop.timers, &w->grace, w->loop.now_ns + (grace_ns ? grace_ns : 1));
}

static void on_grace_over(struct timer *t)
{
    loop_stop(&CONTAINER(t, struct worker, grace)->loop);
}

static void on_turn_done(struct loop *l)
{
    struct worker *w = l->owner;

    seats_beat(w->seats, w->seat, l->now_ns);
    if (w->program->turned)
        w->program->turned(w);
    if (w->draining && w->program->unfinished(w) == 0)
        loop_stop(l);
}

static void on_heartbeat(struct timer *t)
{
    struct worker *w = CONTAINER(t, struct worker, heartbeat);
    uint64_t stuck = settings_of(w)->stuck_ns;
    uint64_t every = stuck && stuck / 4 < BEAT_NS ? stuck / 4 : BEAT_NS;

    /* To have turned is the beat, see on_turn_done. */
    timer_set(&w->loop.timers, t, w->loop.now_ns + every);
}

/* ---- logs ---- */

static struct log_copy *find_log(const struct worker *w, struct str path)
{
    for (struct link_node *n = w->logs.head.next; n != &w->logs.head; n = n->next) {
        struct log_copy *one = CONTAINER(n, struct log_copy, node);

        if (str_equal(str_from(one->path), path))
            return one;
    }
    return NULL;
}

static void set_log(struct worker *w, const char *path, int fd)
{
    struct log_copy *one = find_log(w, str_from(path));

    if (one) {
        link_remove(&one->node);
        close(one->fd);
    } else {
        one = malloc(sizeof *one);
        if (!one)
            die("out of memory for a log");
    }
    if (fd < 0) {
        free(one);
    } else {
        *one = (struct log_copy){ .fd = fd };
        snprintf(one->path, sizeof one->path, "%s", path);
        list_push_back(&w->logs, &one->node);
    }
    if (w->started && w->program->logs_changed)
        w->program->logs_changed(w);
}

static void set_error_log(int fd)
{
    if (fd < 0)
        return;
    if (dup2(fd, STDERR_FILENO) < 0)
        log_line(LOG_LEVEL_ERROR, "cannot change the error log: %s", strerror(errno));
    close(fd);
}

/* ---- orders ---- */

static void on_order(struct control *c, const struct control_message *m, int fd)
{
    struct worker *w = CONTAINER(c, struct worker, control);

    switch (m->kind) {
    case CONTROL_LISTENER:
        if (fd <
            0) /* until its own worker is there again the neighbours' clients wait, which is better than to die */
            log_line(LOG_LEVEL_ERROR, "no descriptor is left for the listening socket of %s",
                     m->text);
        else if (w->draining)
            close(fd);
        else
            acceptors_add(&w->acceptors, m->listener, m->slot, m->flags & CONTROL_FLAG_LOCAL, fd,
                          str_from(m->text));
        return;
    case CONTROL_DROP:
        acceptors_drop(&w->acceptors, m->listener, m->slot, m->number != 0);
        return;
    case CONTROL_ADOPT:
        adopt_when_built(w, m, fd);
        return;
    case CONTROL_LOG:
        set_log(w, m->text, fd);
        return;
    case CONTROL_ERROR_LOG:
        set_error_log(fd);
        return;
    case CONTROL_CLOSING_SOON:
        w->closing_soon = true;
        return;
    case CONTROL_DRAIN:
        if (!w->started) /* stopped as we were born: nothing runs */
            exit(0);
        begin_drain(w, m->number);
        return;
    case CONTROL_CUT:
        if (!w->started)
            exit(0);
        loop_stop(&w->loop);
        return;
    case CONTROL_READY:
    case CONTROL_ADOPTED:
    case CONTROL_REFUSED:
    case CONTROL_ENDED:
        break;
    }
    UNREACHABLE();
}

static void on_master_gone(struct control *c)
{
    struct worker *w = CONTAINER(c, struct worker, control);
    if (!w->snapshot) /* we have not begun */
        exit(1);
    control_close(c, &w->loop);
    if (!w->draining)
        log_line(LOG_LEVEL_ERROR, "the master is gone: finishing what runs");
    begin_drain(w, engine_grace_ns(settings_of(w)));
}

/* ---- life ---- */

static void sit_down(struct worker *w, const struct worker_birth *b)
{
    enum seat_role role = b->role == ROLE_WORKER ? SEAT_WORKER : SEAT_CARETAKER;

    w->seats = seats_table(b->region);
    errno = 0;
    if (!w->seats)
        die("the region has no seats");
    w->seat = seats_claim(w->seats, (int)getpid(), role, b->slot, b->generation, clock_now_ns());
    if (w->seat == SEAT_NONE)
        die("all %d seats are taken", SEATS_MAX);
}

static void begin(struct worker *w, const struct worker_birth *b)
{
    *w = (struct worker){ .magic = WORKER_MAGIC,
                          .role = b->role,
                          .slot = b->slot,
                          .workers = b->workers,
                          .region = b->region,
                          .program = b->program,
                          .next.bundle = -1 };
    list_init(&w->logs);
    task_init(&w->next.task, on_slice);
    timer_init(&w->heartbeat, on_heartbeat);
    timer_init(&w->grace, on_grace_over);
    sit_down(w, b);
    if (b->pinned && sched_setaffinity(0, sizeof b->cpus, &b->cpus) != 0)
        log_line(LOG_LEVEL_WARN, "cannot stay on one CPU: %s", strerror(errno));
    rights_drop(b->rights);
    descriptors_keep_back();
    loop_init(&w->loop);
    w->loop.owner = w;
    w->loop.before_sleep = on_turn_done;
    acceptors_init(&w->acceptors, w, ENGINE_MAX_CONNECTIONS);
    control_init(&w->control, b->control, on_order, on_master_gone);
}

static void end(struct worker *w)
{
    struct link_node *n;

    drop_next(w);
    tell(w, CONTROL_ENDED, w->generation, w->draining ? w->program->unfinished(w) : w->connections);
    /* The program may turn the loop to end things: nothing new comes in by that. */
    control_close(&w->control, &w->loop);
    acceptors_close(&w->acceptors);
    timer_unset(&w->heartbeat);
    w->loop.before_sleep = NULL;
    if (w->program->stop)
        w->program->stop(w);
    acceptors_end(&w->acceptors);
    while ((n = list_pop_front(&w->logs))) {
        close(CONTAINER(n, struct log_copy, node)->fd);
        free(CONTAINER(n, struct log_copy, node));
    }
    loop_end(&w->loop);
}

int worker_run(const struct worker_birth *b)
{
    struct worker w;

    begin(&w, b);
    control_read(&w.control); /* the logs, sent before we were born */
    w.program->start(&w);
    w.started = true;
    adopt_first(&w, b);
    if (!control_watch(&w.control, &w.loop))
        die("cannot poll the control socket");
    tell(&w, CONTROL_READY, w.generation, w.seat);
    on_heartbeat(&w.heartbeat);
    loop_run(&w.loop);
    end(&w);
    return 0;
}

void worker_let_go(struct worker *w)
{
    CHECK(w->magic == WORKER_MAGIC && w->connections > 0);
    w->connections--;
    acceptors_resume(&w->acceptors);
}

int worker_log(const struct worker *w, struct str path)
{
    const struct log_copy *one = find_log(w, path);

    return one ? one->fd : -1;
}

void worker_holds_since(struct worker *w, uint64_t oldest_generation)
{
    seats_hold_since(w->seats, w->seat, oldest_generation);
}

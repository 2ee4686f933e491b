/* The listening sockets that this worker polls. */
#include "workers/acceptor.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/check.h"
#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "workers/program.h"
#include "workers/worker.h"

#define ACCEPTOR_MAGIC  0xacce9705u
/* A burst of connections waits a little so that those that stand are served between. */
#define ACCEPT_PER_TURN 64
/* When descriptors are used up by others than our connections, nobody tells us that there are some again. */
#define PAUSE_NS        (100 * NS_PER_MS)
#define SAY_AGAIN_NS    (10 * NS_PER_S)

struct address {
    struct link_node node;
    size_t len;
    char text[];
};

static struct acceptor *acceptor_at(struct link_node *n)
{
    struct acceptor *a = CONTAINER(n, struct acceptor, node);

    CHECK(a->magic == ACCEPTOR_MAGIC);
    return a;
}

/* Those that we have closed and that still linger have their descriptors, too. */
static bool is_full(const struct acceptors *all)
{
    return all->worker->connections + all->worker->loop.closing_count >= all->max_connections;
}

/* False with errno: the kernel has no room for another watch. */
static bool look_at(struct acceptor *a)
{
    uint32_t events = EPOLLIN;

    if (a->watched)
        return true;
    if (a->local) /* all workers poll one socket: wake one of them, not all */
        events |= EPOLLEXCLUSIVE;
    a->watched = loop_watch(&a->all->worker->loop, &a->watch, events);
    return a->watched;
}

static void look_away(struct acceptor *a)
{
    int fd = a->watch.fd;

    if (!a->watched)
        return;
    loop_unwatch(&a->all->worker->loop, &a->watch);
    a->watch.fd = fd; /* still ours */
    a->watched = false;
}

static void pause_all(struct acceptors *all, const char *why)
{
    struct loop *l = &all->worker->loop;

    if (all->pauses++ == 0 || l->now_ns - all->said_ns >= SAY_AGAIN_NS) {
        log_line(LOG_LEVEL_WARN, "accepting nothing for a moment: %s (%zu connections, %llu times)",
                 why, all->worker->connections, (unsigned long long)all->pauses);
        all->said_ns = l->now_ns;
    }
    all->paused = true;
    LIST_EACH (&all->list, n) {
        look_away(acceptor_at(n));
    }
    timer_set(&l->timers, &all->again, l->now_ns + PAUSE_NS);
}

void acceptors_resume(struct acceptors *all)
{
    if (!all->paused || is_full(all))
        return;
    all->paused = false;
    timer_unset(&all->again);
    LIST_EACH (&all->list, n) {
        if (!look_at(acceptor_at(n))) {
            pause_all(all, strerror(errno));
            return;
        }
    }
}

static void on_again(struct timer *t)
{
    struct acceptors *all = CONTAINER(t, struct acceptors, again);
    struct loop *l = &all->worker->loop;

    acceptors_resume(all);
    if (all->paused)
        timer_set(&l->timers, t, l->now_ns + PAUSE_NS);
}

enum accept_result { ACCEPTED, ACCEPT_EMPTY, ACCEPT_GONE, ACCEPT_FULL };

/* One connection out of the queue and into the program. */
static enum accept_result accept_one(struct acceptor *a)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    struct worker *w = a->all->worker;
    int fd = -1;

    if (!FAULT(&w->loop, "accept4", EMFILE))
        fd = accept4(a->watch.fd, (struct sockaddr *)&peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        switch (errno) {
        case EAGAIN:
            return ACCEPT_EMPTY;
        case ECONNABORTED: /* the peer was gone again before we came; the rest as accept(2) has it */
        case EINTR:
        case EPERM:
        case EPROTO:
        case ENOPROTOOPT:
        case ENETDOWN:
        case ENETUNREACH:
        case EHOSTDOWN:
        case EHOSTUNREACH:
        case ENONET:
        case EOPNOTSUPP:
            return ACCEPT_GONE;
        default: /* EMFILE, ENFILE, ENOBUFS, ENOMEM; and what nobody foresaw must not spin */
            return ACCEPT_FULL;
        }
    }
    w->connections++;
    a->all->accepted++;
    w->program->accepted(
        w,
        &(struct arrival){
            .fd = fd, .local = a->local, .listener = a->address, .peer = &peer, .peer_len = len });
    return ACCEPTED;
}

static void on_ready(struct watch *watch, uint32_t events)
{
    struct acceptor *a = CONTAINER(watch, struct acceptor, watch);
    struct acceptors *all = a->all;

    (void)events;
    CHECK(a->magic == ACCEPTOR_MAGIC);
    if (!a->watched) /* paused by another socket in this turn */
        return;
    for (int i = 0; i < ACCEPT_PER_TURN; i++) {
        if (is_full(all)) {
            pause_all(all, "max_connections is reached");
            return;
        }
        switch (accept_one(a)) {
        case ACCEPTED:
        case ACCEPT_GONE:
            break;
        case ACCEPT_EMPTY:
            return;
        case ACCEPT_FULL:
            pause_all(all, strerror(errno));
            return;
        }
    }
}

/* What is in the queue has been promised an answer by the kernel's handshake. */
static void empty_queue(struct acceptor *a)
{
    enum accept_result r;

    do
        r = accept_one(a);
    while (r == ACCEPTED || r == ACCEPT_GONE);
    if (r == ACCEPT_FULL)
        log_line(LOG_LEVEL_WARN, "%.*s: connections were left in the queue at the end: %s",
                 STR_ARGS(a->address), strerror(errno));
}

static void on_end(struct task *t)
{
    struct acceptor *a = CONTAINER(t, struct acceptor, end);

    a->magic = 0;
    free(a);
}

static void drop(struct acceptor *a, bool last)
{
    int fd = a->watch.fd;

    if (last)
        empty_queue(a);
    look_away(a); /* the master has the socket too, so closing our copy would leave it on epoll */
    loop_forget(&a->watch);
    close(fd);
    link_remove(&a->node);
    loop_queue_end(&a->all->worker->loop, &a->end);
}

/* The program may keep the text of a listener for as long as a connection lives, which may be longer than the
 * listener does. There are as many as addresses were ever configured. */
static struct str keep_address(struct acceptors *all, struct str text)
{
    struct address *kept;

    LIST_EACH (&all->addresses, n) {
        struct address *one = CONTAINER(n, struct address, node);

        if (str_equal(str_of(one->text, one->len), text))
            return str_of(one->text, one->len);
    }
    kept = malloc(sizeof *kept + text.len);
    if (!kept)
        die("out of memory for a listener");
    kept->len = text.len;
    memcpy(kept->text, text.at, text.len);
    link_init(&kept->node);
    list_push_back(&all->addresses, &kept->node);
    return str_of(kept->text, kept->len);
}

static struct acceptor *find(const struct acceptors *all, uint32_t listener, uint32_t slot)
{
    for (struct link_node *n = all->list.head.next; n != &all->list.head; n = n->next) {
        struct acceptor *a = acceptor_at(n);

        if (a->listener == listener && a->slot == slot)
            return a;
    }
    return NULL;
}

void acceptors_init(struct acceptors *all, struct worker *w, size_t max_connections)
{
    *all = (struct acceptors){ .worker = w, .max_connections = max_connections };
    list_init(&all->list);
    list_init(&all->addresses);
    timer_init(&all->again, on_again);
}

void acceptors_add(struct acceptors *all, uint32_t listener, uint32_t slot, bool local, int fd,
                   struct str address)
{
    struct acceptor *a;

    if (find(all, listener, slot)) {
        close(fd);
        return;
    }
    a = malloc(sizeof *a);
    if (!a)
        die("out of memory for a listener");
    *a = (struct acceptor){ .magic = ACCEPTOR_MAGIC,
                            .listener = listener,
                            .slot = slot,
                            .local = local,
                            .address = keep_address(all, address),
                            .all = all };
    watch_init(&a->watch, fd, on_ready);
    link_init(&a->node);
    task_init(&a->end, on_end);
    list_push_back(&all->list, &a->node);
    if (!all->paused && !look_at(a))
        pause_all(all, strerror(errno));
}

void acceptors_drop(struct acceptors *all, uint32_t listener, uint32_t slot, bool last)
{
    struct acceptor *a = find(all, listener, slot);

    if (a)
        drop(a, last);
}

void acceptors_drop_all(struct acceptors *all)
{
    LIST_EACH (&all->list, n) {
        drop(acceptor_at(n), true);
    }
    all->paused = false;
    timer_unset(&all->again);
}

bool acceptors_has(const struct acceptors *all, uint32_t listener, uint32_t slot)
{
    return find(all, listener, slot) != NULL;
}

void acceptors_close(struct acceptors *all)
{
    struct link_node *n;

    while ((n = list_pop_front(&all->list))) {
        struct acceptor *a = acceptor_at(n);
        int fd = a->watch.fd;

        look_away(a);
        close(fd);
        a->magic = 0;
        free(a);
    }
    all->paused = true; /* nothing is left to resume */
    timer_unset(&all->again);
}

void acceptors_end(struct acceptors *all)
{
    struct link_node *n;

    acceptors_close(all);
    while ((n = list_pop_front(&all->addresses)))
        free(CONTAINER(n, struct address, node));
    timer_remove(&all->worker->loop.timers, &all->again);
}

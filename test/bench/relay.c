/* The floor: bytes from clients to one service and back, and nothing else.
 *
 * What no proxy can save is here: a recv and a send in each direction and their share of an
 * epoll_wait. One link to the service per client, one registration per socket (edge triggered, both
 * directions), no look at the bytes.
 *
 *     relay --port N --to N
 */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/check.h"
#include "test/bench/tcp.h"

enum { PIECE = 256 * 1024, EVENTS = 256 };

struct pair;

/* One socket of a pair. */
struct end {
    struct pair *pair;
    int fd;
    bool readable;
    bool finished; /* its peer will hear no more from it */
    char *held;    /* bytes for it that the kernel did not take yet; NULL for none */
    size_t held_len, held_sent;
};

struct pair {
    struct end client, service;
    struct pair *next_dead; /* freed after the turn: its other end may still have an event */
    bool dead;
};

struct relay {
    int epoll;
    int listener;
    uint16_t to;
    struct pair *dead;
    char *piece;
};

static struct end *peer_of(struct end *e)
{
    return e == &e->pair->client ? &e->pair->service : &e->pair->client;
}

static void pair_end(struct relay *r, struct pair *p)
{
    if (p->dead)
        return;
    p->dead = true;
    p->next_dead = r->dead;
    r->dead = p;
    close(p->client.fd);
    close(p->service.fd);
}

static void bury(struct relay *r)
{
    while (r->dead != NULL) {
        struct pair *p = r->dead;

        r->dead = p->next_dead;
        free(p->client.held);
        free(p->service.held);
        free(p);
    }
}

/* Send to `e`; what does not fit is held until it has room. False when it is gone. */
static bool end_send(struct end *e, const char *bytes, size_t len)
{
    ssize_t n = send(e->fd, bytes, len, MSG_NOSIGNAL);

    if (n < 0 && errno != EAGAIN && errno != ENOTCONN)
        return false;
    n = n < 0 ? 0 : n;
    if ((size_t)n < len) {
        e->held_len = len - (size_t)n;
        e->held_sent = 0;
        e->held = malloc(e->held_len);
        if (e->held == NULL)
            die("out of memory");
        memcpy(e->held, bytes + n, e->held_len);
    }
    return true;
}

static bool end_send_held(struct end *e)
{
    while (e->held_sent < e->held_len) {
        ssize_t n = send(e->fd, e->held + e->held_sent, e->held_len - e->held_sent, MSG_NOSIGNAL);

        if (n < 0)
            return errno == EAGAIN;
        e->held_sent += (size_t)n;
    }
    free(e->held);
    e->held = NULL;
    e->held_len = e->held_sent = 0;
    return true;
}

/* Move what `from` has to say as long as its peer takes it; false when the pair is over. */
static bool pump(struct relay *r, struct end *from, bool closing)
{
    struct end *to = peer_of(from);

    while (from->readable && to->held == NULL) {
        ssize_t n = recv(from->fd, r->piece, PIECE, 0);

        if (n < 0 && errno == EAGAIN) {
            from->readable = false;
            return true;
        }
        if (n < 0)
            return false;
        if (n == 0) {
            from->readable = false;
            from->finished = true;
            shutdown(to->fd, SHUT_WR);
            return !to->finished;
        }
        /* less than asked for: the socket is empty, and a new edge will say when it is not,
         * unless the end has been announced already */
        if (n < PIECE && !closing)
            from->readable = false;
        if (!end_send(to, r->piece, (size_t)n))
            return false;
    }
    return true;
}

static void on_event(struct relay *r, struct end *e, uint32_t events)
{
    const uint32_t closing = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    bool alive = true;

    if (e->pair->dead)
        return;
    if ((events & EPOLLOUT) && e->held != NULL)
        alive = end_send_held(e) && pump(r, peer_of(e), true);
    if (alive && (events & (EPOLLIN | closing))) {
        e->readable = true;
        alive = pump(r, e, (events & closing) != 0);
    }
    if (!alive)
        pair_end(r, e->pair);
}

static void on_client(struct relay *r)
{
    const uint32_t all = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    int fd = tcp_accept(r->listener);
    struct pair *p;

    if (fd < 0)
        return;
    p = calloc(1, sizeof *p);
    if (p == NULL)
        die("out of memory");
    p->client = (struct end){ .pair = p, .fd = fd };
    p->service = (struct end){ .pair = p, .fd = tcp_dial(r->to, 0) };
    if (p->service.fd < 0) {
        close(fd);
        free(p);
        return;
    }
    tcp_watch(r->epoll, EPOLL_CTL_ADD, p->client.fd, all, &p->client);
    tcp_watch(r->epoll, EPOLL_CTL_ADD, p->service.fd, all, &p->service);
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "port", required_argument, NULL, 'p' },
                                             { "to", required_argument, NULL, 't' },
                                             { NULL, 0, NULL, 0 } };
    struct epoll_event events[EVENTS];
    struct relay r = { .epoll = epoll_create1(EPOLL_CLOEXEC), .piece = malloc(PIECE) };
    uint16_t port = 0;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'p':
            port = (uint16_t)option_number("--port", optarg, UINT16_MAX);
            break;
        case 't':
            r.to = (uint16_t)option_number("--to", optarg, UINT16_MAX);
            break;
        default:
            return 2;
        }
    }
    if (port == 0 || r.to == 0 || r.epoll < 0 || r.piece == NULL)
        die("--port and --to are needed");
    r.listener = tcp_listen(port, false);
    tcp_watch(r.epoll, EPOLL_CTL_ADD, r.listener, EPOLLIN, NULL);

    for (;;) {
        int n = epoll_wait(r.epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                on_client(&r);
            else
                on_event(&r, events[i].data.ptr, events[i].events);
        }
        bury(&r);
    }
}

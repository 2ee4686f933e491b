/* The service behind the proxies: as cheap as a service can be, so that what is measured is them.
 *
 * A path that ends in "/1m" is answered with 1 MiB, any other with 1 KiB; heads and bodies stand
 * ready in memory and leave in one send. Bodies of requests are thrown away inside the kernel
 * (MSG_TRUNC). Connections are kept for ever.
 *
 *     origin --port N [--processes N]
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "gateway/base/check.h"
#include "test/bench/tcp.h"

enum { HEAD_MOST = 8192, EVENTS = 256 };

/* A whole answer, head and body, in one piece. */
struct page {
    char *bytes;
    size_t len;
};

struct client {
    int fd;
    bool blocked;     /* epoll tells when there is room to send again */
    size_t body_left; /* of the request, still to be thrown away */
    const char *out;  /* what is left of the answer */
    size_t out_len;
    size_t filled; /* bytes in head */
    char head[HEAD_MOST];
};

struct origin {
    int epoll;
    int listener;
    struct page small, large;
};

static struct page page_of(size_t body)
{
    char head[160];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 200 OK\r\n"
                     "Server: origin\r\n"
                     "Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                     "Content-Type: text/plain\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     body);
    struct page p = { .len = (size_t)n + body };

    p.bytes = malloc(p.len);
    if (p.bytes == NULL)
        die("out of memory");
    memcpy(p.bytes, head, (size_t)n);
    memset(p.bytes + n, 'x', body);
    return p;
}

static void client_close(struct client *c)
{
    close(c->fd);
    free(c);
}

/* Send what is left; false when the other side is gone. */
static bool client_flush(struct origin *o, struct client *c)
{
    while (c->out_len > 0) {
        ssize_t n = send(c->fd, c->out, c->out_len, MSG_NOSIGNAL);

        if (n < 0 && errno == EAGAIN) {
            if (!c->blocked)
                tcp_watch(o->epoll, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
            c->blocked = true;
            return true;
        }
        if (n < 0)
            return false;
        c->out += n;
        c->out_len -= (size_t)n;
    }
    if (c->blocked)
        tcp_watch(o->epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
    c->blocked = false;
    return true;
}

/* The length of the request's body; false for what this service does not speak. */
static bool body_length(const char *head, size_t *length)
{
    const char *field = strcasestr(head, "\r\ncontent-length:");

    *length = field == NULL ? 0 : strtoul(field + strlen("\r\ncontent-length:"), NULL, 10);
    return strcasestr(head, "\r\ntransfer-encoding:") == NULL;
}

/* Answer the request whose head is complete; `end` is behind its empty line. */
static bool client_answer(struct origin *o, struct client *c, char *end)
{
    const struct page *p = &o->small;
    size_t have = c->filled - (size_t)(end - c->head);
    const char *target_end;

    end[-1] = '\0'; /* the head as text; its last LF is not needed any more */
    target_end = strstr(c->head, " HTTP/1.");
    if (target_end == NULL || !body_length(c->head, &c->body_left))
        return false;
    if (target_end - c->head > 3 && memcmp(target_end - 3, "/1m", 3) == 0)
        p = &o->large;
    c->out = p->bytes;
    c->out_len = p->len;

    if (have > c->body_left)
        return false; /* nobody pipelines to a service */
    c->body_left -= have;
    c->filled = 0;
    return c->body_left > 0 || client_flush(o, c);
}

/* One recv; false when the connection is over. */
static bool client_read(struct origin *o, struct client *c)
{
    ssize_t n;
    char *end;

    if (c->body_left > 0) {
        n = recv(c->fd, NULL, c->body_left, MSG_TRUNC);
        if (n <= 0)
            return n < 0 && errno == EAGAIN;
        c->body_left -= (size_t)n;
        return c->body_left > 0 || client_flush(o, c);
    }
    n = recv(c->fd, c->head + c->filled, HEAD_MOST - c->filled, 0);
    if (n <= 0)
        return n < 0 && errno == EAGAIN;
    c->filled += (size_t)n;
    end = memmem(c->head, c->filled, "\r\n\r\n", 4);
    if (end != NULL)
        return client_answer(o, c, end + 4);
    return c->filled < HEAD_MOST;
}

static void client_accept(struct origin *o)
{
    struct client *c;
    int fd = tcp_accept(o->listener);

    if (fd < 0)
        return;
    c = calloc(1, sizeof *c);
    if (c == NULL)
        die("out of memory");
    c->fd = fd;
    tcp_watch(o->epoll, EPOLL_CTL_ADD, fd, EPOLLIN, c);
}

NORETURN static void serve(uint16_t port, bool shared)
{
    struct origin o = { .epoll = epoll_create1(EPOLL_CLOEXEC),
                        .listener = tcp_listen(port, shared),
                        .small = page_of(1024),
                        .large = page_of(1024 * 1024) };
    struct epoll_event events[EVENTS];

    if (o.epoll < 0)
        die("epoll_create1");
    tcp_watch(o.epoll, EPOLL_CTL_ADD, o.listener, EPOLLIN, NULL);
    for (;;) {
        int n = epoll_wait(o.epoll, events, EVENTS, -1);

        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;

            if (c == NULL)
                client_accept(&o);
            else if (!(c->blocked ? client_flush(&o, c) : client_read(&o, c)))
                client_close(c);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "port", required_argument, NULL, 'p' },
                                             { "processes", required_argument, NULL, 'n' },
                                             { NULL, 0, NULL, 0 } };
    uint16_t port = 0;
    uint64_t processes = 1;

    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (c) {
        case 'p':
            port = (uint16_t)option_number("--port", optarg, UINT16_MAX);
            break;
        case 'n':
            processes = option_number("--processes", optarg, 64);
            break;
        default:
            return 2;
        }
    }
    if (port == 0)
        die("--port is missing");

    for (uint64_t i = 1; i < processes; i++) {
        if (fork() == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            serve(port, true);
        }
    }
    serve(port, processes > 1);
}

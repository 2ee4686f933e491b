/* A small, fast service to put behind the gateway: for `make run`, the README and load tests.
 *
 *   demo-service --port 8081 --text "Hello from ..."
 *
 * One process, one epoll loop, HTTP/1.1 with keep-alive and pipelining. It knows nothing of the gateway
 * and borrows nothing from it: a stranger's service. Paths to play with:
 *
 *   /bytes/N      a body of N bytes             /status/CODE  an answer with that status
 *   /sleep/MS     the text, MS later            /echo         the request's body back
 *   /chunked/N    N chunks of 1 KiB             /headers      the head of the request as it arrived
 *   /close        the text, then close          everything else: the text
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum {
    HEAD_MAX = 65536,
    BODY_MAX = 1 << 30,
    OUT_ENOUGH = 1 << 20, /* stop answering a pipeline until this has been sent */
    FILL_STEP = 65536
};

/* What epoll points at; the first member of each of its kinds. */
struct source {
    void (*ready)(struct source *s, uint32_t events);
    int fd;
};

struct bytes {
    char *at;
    size_t len, room;
};

struct conn {
    struct source source;
    struct source timer; /* .fd is -1 unless the answer is being delayed */
    struct bytes in, out;
    size_t sent; /* of out */
    size_t fill; /* bytes of 'x' still to be made for /bytes/N, so that a large N costs no memory */
    bool writable; /* whether epoll watches for it */
    bool closing;
    struct conn *next_dead;
};

struct request {
    const char *head, *target, *body;
    size_t head_len, target_len, body_len;
    bool keep_alive, head_only, wants_continue;
};

struct service {
    int epoll;
    struct source listeners[2];
    struct bytes text;
    struct conn
        *dead; /* freed at the end of a turn: an event of the same turn may still name them */
};

static struct service service;

static void give_up(const char *what)
{
    fprintf(stderr, "demo-service: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void bytes_reserve(struct bytes *b, size_t more)
{
    if (b->room - b->len >= more)
        return;
    size_t room = b->room ? b->room : 4096;
    while (room - b->len < more)
        room *= 2;
    b->at = realloc(b->at, room);
    if (!b->at)
        give_up("memory");
    b->room = room;
}

static void bytes_add(struct bytes *b, const void *at, size_t len)
{
    if (len == 0)
        return;
    bytes_reserve(b, len);
    memcpy(b->at + b->len, at, len);
    b->len += len;
}

static void bytes_drop(struct bytes *b, size_t n)
{
    b->len -= n;
    if (b->len)
        memmove(b->at, b->at + n, b->len);
}

static void watch(struct source *s, int op, uint32_t events)
{
    struct epoll_event e = { .events = events, .data.ptr = s };

    if (epoll_ctl(service.epoll, op, s->fd, &e) < 0)
        give_up("epoll_ctl");
}

static void conn_close(struct conn *c)
{
    if (c->source.fd < 0)
        return;
    close(c->source.fd);
    if (c->timer.fd >= 0)
        close(c->timer.fd);
    c->source.fd = c->timer.fd = -1;
    c->next_dead = service.dead;
    service.dead = c;
}

static void answer_head(struct conn *c, int status, const char *type, long long length)
{
    char head[256];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %d %s\r\nServer: demo-service\r\nContent-Type: %s\r\n", status,
                     status == 200 ? "OK" : "Demo", type);

    bytes_add(&c->out, head, (size_t)n);
    if (length >= 0)
        n = snprintf(head, sizeof head, "Content-Length: %lld\r\n", length);
    else
        n = snprintf(head, sizeof head, "Transfer-Encoding: chunked\r\n");
    if (status != 204 && status != 304)
        bytes_add(&c->out, head, (size_t)n);
    if (c->closing)
        bytes_add(&c->out, "Connection: close\r\n", 19);
    bytes_add(&c->out, "\r\n", 2);
}

static void answer(struct conn *c, const struct request *r, int status, const void *body,
                   size_t len)
{
    bool bodyless = status == 204 || status == 304;

    answer_head(c, status, "text/plain; charset=utf-8", bodyless ? 0 : (long long)len);
    if (!r->head_only && !bodyless)
        bytes_add(&c->out, body, len);
}

static void answer_chunked(struct conn *c, const struct request *r, unsigned long chunks)
{
    char piece[1024];

    memset(piece, 'x', sizeof piece);
    answer_head(c, 200, "application/octet-stream", -1);
    if (r->head_only)
        return;
    for (unsigned long i = 0; i < chunks; i++) {
        bytes_add(&c->out, "400\r\n", 5);
        bytes_add(&c->out, piece, sizeof piece);
        bytes_add(&c->out, "\r\n", 2);
    }
    bytes_add(&c->out, "0\r\n\r\n", 5);
}

static void answer_later(struct conn *c, unsigned long ms)
{
    struct itimerspec when = { .it_value = { .tv_sec = (time_t)(ms / 1000),
                                             .tv_nsec = (long)(ms % 1000) * 1000000 + 1 } };

    c->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (c->timer.fd < 0 || timerfd_settime(c->timer.fd, 0, &when, NULL) < 0)
        give_up("timerfd");
    watch(&c->timer, EPOLL_CTL_ADD, EPOLLIN);
}

/* "/bytes/100" with "/bytes/" -> true and 100. */
static bool number_after(const struct request *r, const char *prefix, unsigned long at_most,
                         unsigned long *n)
{
    size_t len = strlen(prefix);

    if (r->target_len <= len || memcmp(r->target, prefix, len) != 0)
        return false;
    *n = 0;
    for (size_t i = len; i < r->target_len && r->target[i] != '?'; i++) {
        if (r->target[i] < '0' || r->target[i] > '9')
            return false;
        *n = *n * 10 + (unsigned long)(r->target[i] - '0');
        if (*n > at_most)
            return false;
    }
    return true;
}

static bool target_is(const struct request *r, const char *path)
{
    size_t len = strlen(path);

    return r->target_len >= len && memcmp(r->target, path, len) == 0 &&
           (r->target_len == len || r->target[len] == '?');
}

static void respond(struct conn *c, const struct request *r)
{
    unsigned long n;

    if (target_is(r, "/close"))
        c->closing = true;
    if (number_after(r, "/bytes/", BODY_MAX, &n)) {
        answer_head(c, 200, "application/octet-stream", (long long)n);
        if (!r->head_only)
            c->fill = n;
    } else if (number_after(r, "/chunked/", 4096, &n)) {
        answer_chunked(c, r, n);
    } else if (number_after(r, "/status/", 599, &n) && n >= 200) {
        answer(c, r, (int)n, service.text.at, service.text.len);
    } else if (number_after(r, "/sleep/", 600000, &n)) {
        answer(c, r, 200, service.text.at, service.text.len);
        answer_later(c, n);
    } else if (target_is(r, "/echo")) {
        answer(c, r, 200, r->body, r->body_len);
    } else if (target_is(r, "/headers")) {
        answer(c, r, 200, r->head, r->head_len);
    } else {
        answer(c, r, 200, service.text.at, service.text.len);
    }
}

/* The body of a chunked request, joined in place. Returns the bytes it took, 0 when more must come, -1 if it is broken. */
static long unchunk(char *at, size_t len, size_t *body_len)
{
    size_t from = 0, to = 0;

    for (;;) {
        char *line = memchr(at + from, '\n', len - from), *end;

        if (!line)
            return len - from > 256 ? -1 : 0;
        unsigned long size = strtoul(at + from, &end, 16);
        if (end == at + from || size > BODY_MAX)
            return -1;
        size_t start = (size_t)(line + 1 - at);
        if (size == 0) { /* trailers up to an empty line */
            for (;;) {
                line = memchr(at + start, '\n', len - start);
                if (!line)
                    return 0;
                size_t width = (size_t)(line - (at + start));
                start += width + 1;
                if (width <= 1) {
                    *body_len = to;
                    return (long)start;
                }
            }
        }
        if (len - start < size + 2)
            return 0;
        if (to + size > BODY_MAX)
            return -1;
        memmove(at + to, at + start, size);
        to += size;
        from = start + size + 2;
    }
}

enum parsed { PARSED, PARSE_MORE, PARSE_BAD };

/* One request from the front of the buffer; `used` is what it took. Chunked bodies are joined from a copy, so that coming back with
 * more starts from the same bytes. */
static enum parsed parse(struct conn *c, struct request *r, size_t *used, struct bytes *joined)
{
    char *end = c->in.len ? memmem(c->in.at, c->in.len, "\r\n\r\n", 4) : NULL;
    bool chunked = false;
    char *line, *sp;

    *r = (struct request){ 0 };
    if (!end)
        return c->in.len > HEAD_MAX ? PARSE_BAD : PARSE_MORE;
    *r = (struct request){ .head = c->in.at,
                           .head_len = (size_t)(end + 4 - c->in.at),
                           .keep_alive = true };
    line = memchr(c->in.at, '\r', r->head_len);
    sp = memchr(c->in.at, ' ', (size_t)(line - c->in.at));
    if (!sp)
        return PARSE_BAD;
    r->head_only = sp - c->in.at == 4 && memcmp(c->in.at, "HEAD", 4) == 0;
    r->target = sp + 1;
    sp = memchr(r->target, ' ', (size_t)(line - r->target));
    if (!sp)
        return PARSE_BAD;
    r->target_len = (size_t)(sp - r->target);
    if (line - sp == 9 && memcmp(sp + 1, "HTTP/1.0", 8) == 0)
        r->keep_alive = false;

    for (char *at = line + 2; at < end + 2; at = line + 2) {
        line = memchr(at, '\r', (size_t)(end + 4 - at));
        size_t len = (size_t)(line - at);

        if (len > 15 && strncasecmp(at, "Content-Length:", 15) == 0)
            r->body_len = strtoul(at + 15, NULL, 10);
        else if (len > 18 && strncasecmp(at, "Transfer-Encoding:", 18) == 0)
            chunked = true;
        else if (len > 11 && strncasecmp(at, "Connection:", 11) == 0)
            r->keep_alive = memmem(at, len, "close", 5)  ? false
                            : memmem(at, len, "eep-", 4) ? true
                                                         : r->keep_alive;
        else if (len > 7 && strncasecmp(at, "Expect:", 7) == 0)
            r->wants_continue = true;
    }
    if (r->body_len > BODY_MAX)
        return PARSE_BAD;

    size_t rest = c->in.len - r->head_len;
    if (chunked) {
        joined->len = 0;
        bytes_add(joined, c->in.at + r->head_len, rest);
        long took = rest ? unchunk(joined->at, rest, &r->body_len) : 0;
        r->body = joined->at;
        if (took <= 0)
            return took < 0 ? PARSE_BAD : PARSE_MORE;
        *used = r->head_len + (size_t)took;
        return PARSED;
    }
    r->body = r->head + r->head_len;
    *used = r->head_len + r->body_len;
    return rest >= r->body_len ? PARSED : PARSE_MORE;
}

/* Answer what has arrived, in order; a delayed or a large answer holds back those behind it. True if any was. */
static bool conn_answer(struct conn *c)
{
    struct bytes joined = { 0 };
    struct request r;
    size_t used, done = 0;
    struct bytes all = c->in;

    while (!c->closing && c->timer.fd < 0 && c->fill == 0 && c->out.len - c->sent < OUT_ENOUGH &&
           c->in.len) {
        enum parsed p = parse(c, &r, &used, &joined);

        if (p == PARSE_MORE) {
            if (r.wants_continue && c->in.len == r.head_len)
                bytes_add(&c->out, "HTTP/1.1 100 Continue\r\n\r\n", 25);
            break;
        }
        if (p == PARSE_BAD) {
            c->closing = true;
            answer(c, &(struct request){ 0 }, 400, "bad request\n", 12);
            break;
        }
        c->closing = !r.keep_alive;
        respond(c, &r);
        c->in.at += used;
        c->in.len -= used;
        done += used;
    }
    c->in.at = all.at;
    c->in.len = all.len;
    bytes_drop(&c->in, done);
    free(joined.at);
    return done > 0;
}

/* True while something waits for the socket to take more. */
static bool conn_send(struct conn *c)
{
    while (c->timer.fd < 0 && (c->sent < c->out.len || c->fill)) {
        if (c->sent == c->out.len && c->fill) {
            size_t n = c->fill < FILL_STEP ? c->fill : FILL_STEP;

            c->sent = c->out.len = 0;
            bytes_reserve(&c->out, n);
            memset(c->out.at, 'x', n);
            c->out.len = n;
            c->fill -= n;
        }
        ssize_t n = send(c->source.fd, c->out.at + c->sent, c->out.len - c->sent, MSG_NOSIGNAL);
        if (n < 0 && errno == EAGAIN)
            return true;
        if (n < 0) {
            conn_close(c);
            return false;
        }
        c->sent += (size_t)n;
    }
    if (c->sent == c->out.len)
        c->sent = c->out.len = 0;
    return false;
}

static void conn_go_on(struct conn *c)
{
    bool blocked, answered;

    do { /* again: what is left may be a whole request, free to go now that the large answer before it has gone */
        answered = conn_answer(c);
        blocked = conn_send(c);
    } while (answered && !blocked && c->source.fd >= 0);
    if (c->source.fd < 0)
        return;
    if (c->closing && !blocked && c->timer.fd < 0) {
        shutdown(c->source.fd, SHUT_WR);
        conn_close(c);
        return;
    }
    if (blocked != c->writable) {
        c->writable = blocked;
        watch(&c->source, EPOLL_CTL_MOD, EPOLLIN | (blocked ? (uint32_t)EPOLLOUT : 0));
    }
}

static void on_timer(struct source *s, uint32_t events)
{
    struct conn *c = (struct conn *)((char *)s - offsetof(struct conn, timer));

    (void)events;
    if (s->fd < 0)
        return;
    close(s->fd);
    s->fd = -1;
    conn_go_on(c);
}

static void on_conn(struct source *s, uint32_t events)
{
    struct conn *c = (struct conn *)s;

    if (c->source.fd < 0)
        return;
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) {
        bytes_reserve(&c->in, 16384);
        ssize_t n = recv(s->fd, c->in.at + c->in.len, c->in.room - c->in.len, 0);

        if (n == 0 || (n < 0 && errno != EAGAIN)) {
            conn_close(c);
            return;
        }
        if (n > 0)
            c->in.len += (size_t)n;
    }
    conn_go_on(c);
}

static void on_listener(struct source *s, uint32_t events)
{
    (void)events;
    for (;;) {
        int fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), one = 1;
        struct conn *c;

        if (fd < 0)
            return; /* all taken, or out of descriptors: the next event asks again */
        c = calloc(1, sizeof *c);
        if (!c)
            give_up("memory");
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        c->source = (struct source){ on_conn, fd };
        c->timer = (struct source){ on_timer, -1 };
        watch(&c->source, EPOLL_CTL_ADD, EPOLLIN);
    }
}

/* "localhost" may mean either family, so both are listened on; a machine without IPv6 has one of them. */
static bool listen_on(struct source *listener, int family, const void *address, socklen_t len)
{
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

    if (fd < 0)
        return false;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof one);
    if (bind(fd, address, len) < 0 || listen(fd, 4096) < 0) {
        bool no_such_family = errno == EADDRNOTAVAIL || errno == EAFNOSUPPORT;

        if (!no_such_family)
            give_up("cannot listen");
        close(fd);
        return false;
    }
    *listener = (struct source){ on_listener, fd };
    watch(listener, EPOLL_CTL_ADD, EPOLLIN);
    return true;
}

static void on_signal(struct source *s, uint32_t events)
{
    (void)s;
    (void)events;
    exit(0);
}

static void usage(void)
{
    fputs("usage: demo-service --port PORT [--text TEXT]\n", stderr);
    exit(2);
}

int main(int argc, char **argv)
{
    const char *text = "Hello";
    unsigned long port = 0;
    struct epoll_event events[256];
    sigset_t ends;

    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc)
            usage();
        if (strcmp(argv[i], "--port") == 0)
            port = strtoul(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--text") == 0)
            text = argv[i + 1];
        else
            usage();
    }
    if (port == 0 || port > 65535)
        usage();
    bytes_add(&service.text, text, strlen(text));
    bytes_add(&service.text, "\n", 1);

    service.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (service.epoll < 0)
        give_up("epoll_create1");
    struct sockaddr_in v4 = { .sin_family = AF_INET,
                              .sin_port = htons((uint16_t)port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct sockaddr_in6 v6 = { .sin6_family = AF_INET6,
                               .sin6_port = htons((uint16_t)port),
                               .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    bool any = listen_on(&service.listeners[0], AF_INET, &v4, sizeof v4);
    any |= listen_on(&service.listeners[1], AF_INET6, &v6, sizeof v6);
    if (!any)
        give_up("no address to listen on");

    sigemptyset(&ends);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGINT);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    struct source signals = { on_signal, signalfd(-1, &ends, SFD_CLOEXEC) };
    watch(&signals, EPOLL_CTL_ADD, EPOLLIN);

    printf("listening on port %lu\n", port); /* whoever started us may wait for this line */
    fflush(stdout);

    for (;;) {
        int n = epoll_wait(service.epoll, events, 256, -1);

        for (int i = 0; i < n; i++) {
            struct source *s = events[i].data.ptr;
            s->ready(s, events[i].events);
        }
        while (service.dead) {
            struct conn *c = service.dead;

            service.dead = c->next_dead;
            free(c->in.at);
            free(c->out.at);
            free(c);
        }
    }
}

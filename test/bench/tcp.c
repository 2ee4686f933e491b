/* Sockets of the benchmark's programs. */
#include "test/bench/tcp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/check.h"

static struct sockaddr_in loopback(uint8_t host, uint16_t port)
{
    return (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(port),
        .sin_addr.s_addr = htonl(0x7f000000u | host),
    };
}

static void set_flag(int fd, int level, int option)
{
    const int on = 1;

    if (setsockopt(fd, level, option, &on, sizeof on) != 0)
        die("setsockopt(%d, %d)", level, option);
}

int tcp_listen(uint16_t port, bool shared)
{
    struct sockaddr_in at = loopback(1, port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    set_flag(fd, SOL_SOCKET, SO_REUSEADDR);
    if (shared)
        set_flag(fd, SOL_SOCKET, SO_REUSEPORT);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0)
        die("cannot bind 127.0.0.1:%u", port);
    if (listen(fd, 4096) != 0)
        die("listen");
    return fd;
}

int tcp_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0) {
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            die("accept");
        return -1;
    }
    set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
    return fd;
}

int tcp_dial(uint16_t port, uint8_t source)
{
    struct sockaddr_in to = loopback(1, port);
    struct sockaddr_in from = loopback(source, 0);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        die("socket");
    set_flag(fd, IPPROTO_TCP, TCP_NODELAY);
    if (source != 0) {
        /* the port is chosen at connect, when the other end is known: it may be shared */
        set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT);
        if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
            die("bind 127.0.0.%u", source);
    }
    if (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) {
        close(fd);
        return -1;
    }
    return fd;
}

void tcp_watch(int epoll, int operation, int fd, uint32_t events, void *who)
{
    struct epoll_event event = { .events = events, .data.ptr = who };

    if (epoll_ctl(epoll, operation, fd, &event) != 0)
        die("epoll_ctl");
}

uint64_t option_number(const char *option, const char *text, uint64_t most)
{
    char *end;
    unsigned long long n;

    errno = 0;
    n = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || *text == '-' || n > most) {
        errno = 0;
        die("%s: not a number up to %llu: %s", option, (unsigned long long)most, text);
    }
    return n;
}

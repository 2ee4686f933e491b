/* The line between the master and each of its children. */
#include "workers/control.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "workers/privilege.h"

/* More than one turn's worth of orders; a reload with very many listeners queues one message each. */
#define CONTROL_QUEUE_BYTES (4 * 1024 * 1024)

union rights_room {
    struct cmsghdr head;
    char bytes[CMSG_SPACE(sizeof(int))];
};

bool control_pair(int ends[2])
{
    int size = CONTROL_QUEUE_BYTES;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) != 0)
        return false;
    /* Without the privilege the system's maximum has to do. */
    for (int i = 0; i < 2; i++)
        if (setsockopt(ends[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) != 0)
            setsockopt(ends[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    return true;
}

bool control_send(struct control *c, const struct control_message *m, int fd)
{
    union rights_room room;
    struct iovec io = { .iov_base = (void *)(uintptr_t)m, .iov_len = sizeof *m };
    struct msghdr packet = { .msg_iov = &io, .msg_iovlen = 1 };
    ssize_t n;

    if (c->fd < 0) {
        errno = EPIPE;
        return false;
    }
    if (fd >= 0) {
        struct cmsghdr *rights;

        memset(&room, 0, sizeof room);
        packet.msg_control = room.bytes;
        packet.msg_controllen = sizeof room.bytes;
        rights = CMSG_FIRSTHDR(&packet);
        *rights = (struct cmsghdr){ .cmsg_level = SOL_SOCKET,
                                    .cmsg_type = SCM_RIGHTS,
                                    .cmsg_len = CMSG_LEN(sizeof fd) };
        memcpy(CMSG_DATA(rights), &fd, sizeof fd);
    }
    do
        n = sendmsg(c->fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *m;
}

static int descriptor_in(struct msghdr *packet)
{
    struct cmsghdr *rights = CMSG_FIRSTHDR(packet);
    int fd = -1;

    if (rights && rights->cmsg_level == SOL_SOCKET && rights->cmsg_type == SCM_RIGHTS &&
        rights->cmsg_len == CMSG_LEN(sizeof fd))
        memcpy(&fd, CMSG_DATA(rights), sizeof fd);
    return fd;
}

enum receipt { RECEIVED, NOTHING_NOW, OTHER_END_GONE };

static enum receipt receive(struct control *c, struct control_message *m, int *fd)
{
    union rights_room room;
    struct iovec io = { .iov_base = m, .iov_len = sizeof *m };
    struct msghdr packet = { .msg_iov = &io,
                             .msg_iovlen = 1,
                             .msg_control = room.bytes,
                             .msg_controllen = sizeof room.bytes };
    uint64_t limit = descriptors_lend();
    ssize_t n;
    int error;

    do
        n = recvmsg(c->fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    error = errno;
    descriptors_return(limit);
    if (n < 0)
        return error == EAGAIN ? NOTHING_NOW : OTHER_END_GONE;
    if (n == 0)
        return OTHER_END_GONE;
    *fd = descriptor_in(&packet);
    /* Both ends are forks of one binary: another length cannot be. */
    CHECK(n == (ssize_t)sizeof *m);
    m->text[CONTROL_TEXT_MAX - 1] = '\0';
    return RECEIVED;
}

void control_read(struct control *c)
{
    struct control_message m;
    int fd;

    while (c->fd >= 0) {
        switch (receive(c, &m, &fd)) {
        case RECEIVED:
            c->on_message(c, &m, fd);
            continue;
        case NOTHING_NOW:
            return;
        case OTHER_END_GONE:
            c->on_closed(c);
            return;
        }
    }
}

static void on_ready(struct watch *w, uint32_t events)
{
    (void)events;
    control_read(CONTAINER(w, struct control, watch));
}

void control_init(struct control *c, int fd,
                  void (*on_message)(struct control *, const struct control_message *, int),
                  void (*on_closed)(struct control *))
{
    *c = (struct control){ .fd = fd, .on_message = on_message, .on_closed = on_closed };
    watch_init(&c->watch, -1, on_ready);
}

bool control_watch(struct control *c, struct loop *l)
{
    c->watch.fd = c->fd;
    return loop_watch(l, &c->watch, EPOLLIN);
}

void control_close(struct control *c, struct loop *l)
{
    loop_unwatch(l, &c->watch);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

/* The operations of a plain stream socket. */
#include "workers/plain_io.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

static ssize_t plain_receive(struct conn *c, void *to, size_t len)
{
    ssize_t n;

    if (FAULT(c->loop, "recv", ECONNRESET))
        return -1;
    do
        n = recv(c->watch.fd, to, len, 0);
    while (UNLIKELY(n < 0 && errno == EINTR)); /* the edge would be lost */
    return n;
}

static ssize_t plain_send(struct conn *c, struct str first, struct str then)
{
    int flags = MSG_NOSIGNAL | (c->farewell ? MSG_MORE : 0); /* data and FIN in one segment */

    if (FAULT(c->loop, "send", ECONNRESET))
        return -1;
    if (then.len == 0)
        return send(c->watch.fd, first.at, first.len, flags);
    if (first.len == 0)
        return send(c->watch.fd, then.at, then.len, flags);

    struct iovec parts[2] = { { (void *)(uintptr_t)first.at, first.len },
                              { (void *)(uintptr_t)then.at, then.len } };
    struct msghdr message = { .msg_iov = parts, .msg_iovlen = 2 };

    return sendmsg(c->watch.fd, &message, flags);
}

const struct conn_io plain_io = { plain_receive, plain_send };

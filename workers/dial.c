/* Connecting out. */
#include "workers/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

struct conn *dial(struct loop *l, struct pool *pool, const struct sockaddr *to, socklen_t len,
                  const struct conn_events *events, void *owner)
{
    int fd = -1, on = 1;

    if (!FAULT(l, "socket", EMFILE))
        fd = socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return NULL;
    if (to->sa_family != AF_UNIX)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if ((FAULT(l, "connect", EADDRNOTAVAIL) || connect(fd, to, len) < 0) && errno != EINPROGRESS) {
        int error = errno;

        close(fd);
        errno = error;
        return NULL;
    }
    return conn_open(l, pool, fd, true, events, owner);
}

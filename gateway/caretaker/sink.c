/* Where an access log goes. */
#include "gateway/caretaker/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define FIRST_PAUSE_NS   NS_PER_MS /* a pipe whose reader is a little behind */
#define LONGEST_PAUSE_NS (100 * NS_PER_MS)
#define ERROR_PAUSE_NS   NS_PER_S /* a full disk */

void sink_init(struct sink *s)
{
    *s = (struct sink){ .fd = -1, .buffer = malloc(SINK_BYTES) };
    if (!s->buffer)
        die("out of memory for an access log");
}

void sink_end(struct sink *s, uint64_t now_ns)
{
    s->retry_ns = 0;
    sink_flush(s, now_ns);
    free(s->buffer);
    s->buffer = NULL;
}

static enum sink_way way_of(int fd)
{
    struct stat st;

    if (fd < 0 || fstat(fd, &st) != 0)
        return SINK_NOWHERE;
    if (S_ISSOCK(st.st_mode))
        return SINK_SOCKET;
    if (S_ISREG(st.st_mode) || (fcntl(fd, F_GETFL) & O_NONBLOCK))
        return SINK_PLAIN;
    return SINK_CAREFUL;
}

static void forget_failure(struct sink *s)
{
    s->since_ns = s->retry_ns = s->pause_ns = 0;
    s->stuck = false;
    s->error = 0;
}

/* The rest of a line whose beginning went to another file helps nobody. */
static void skip_torn_line(struct sink *s)
{
    if (!s->torn)
        return;
    s->begin += str_index(str_of(s->buffer + s->begin, s->end - s->begin), '\n') + 1;
    if (s->begin > s->end)
        s->begin = s->end;
    s->torn = false;
    s->lines--;
    s->dropped++;
}

void sink_open(struct sink *s, int fd)
{
    s->fd = fd;
    s->way = way_of(fd);
    skip_torn_line(s);
    forget_failure(s);
}

char *sink_room(struct sink *s, size_t most)
{
    if (LIKELY(most <= SINK_BYTES - s->end))
        return s->buffer + s->end;
    if (s->begin > 0) {
        memmove(s->buffer, s->buffer + s->begin, s->end - s->begin);
        s->end -= s->begin;
        s->begin = 0;
    }
    return most <= SINK_BYTES - s->end ? s->buffer + s->end : NULL;
}

void sink_add(struct sink *s, size_t len)
{
    s->end += len;
    s->lines++;
}

void sink_drop(struct sink *s)
{
    s->dropped++;
}

/* As many whole lines as a pipe takes at once; of a longer line a part. */
static size_t careful_len(const struct sink *s)
{
    size_t len = s->end - s->begin;
    const char *newline;

    if (len <= PIPE_BUF)
        return len;
    newline = memrchr(s->buffer + s->begin, '\n', PIPE_BUF);
    return newline ? (size_t)(newline + 1 - (s->buffer + s->begin)) : PIPE_BUF;
}

static ssize_t write_carefully(const struct sink *s)
{
    struct pollfd p = { .fd = s->fd, .events = POLLOUT };

    if (poll(&p, 1, 0) == 0) {
        errno = EAGAIN;
        return -1;
    }
    return write(s->fd, s->buffer + s->begin, careful_len(s));
}

static ssize_t write_once(const struct sink *s)
{
    switch (s->way) {
    case SINK_PLAIN:
        return write(s->fd, s->buffer + s->begin, s->end - s->begin);
    case SINK_SOCKET:
        return send(s->fd, s->buffer + s->begin, s->end - s->begin, MSG_DONTWAIT | MSG_NOSIGNAL);
    case SINK_CAREFUL:
        return write_carefully(s);
    case SINK_NOWHERE:
        errno = EAGAIN;
        return -1;
    }
    UNREACHABLE();
}

static void try_later(struct sink *s, int error, uint64_t now_ns)
{
    if (s->since_ns == 0)
        s->since_ns = now_ns;
    if (now_ns - s->since_ns >= SINK_PATIENCE_NS)
        s->stuck = true;
    if (error == EAGAIN || error == EINTR) {
        s->pause_ns = s->pause_ns ? s->pause_ns * 2 : FIRST_PAUSE_NS;
        if (s->pause_ns > LONGEST_PAUSE_NS)
            s->pause_ns = LONGEST_PAUSE_NS;
    } else {
        s->failures++;
        s->error = error;
        s->stuck = true; /* it will not be better in a moment */
        s->pause_ns = ERROR_PAUSE_NS;
    }
    s->retry_ns = now_ns + s->pause_ns;
}

void sink_flush(struct sink *s, uint64_t now_ns)
{
    if (now_ns < s->retry_ns)
        return;
    while (s->begin < s->end) {
        ssize_t n = write_once(s);

        if (n <= 0) {
            try_later(s, n < 0 ? errno : EIO, now_ns);
            return;
        }
        s->begin += (size_t)n;
        s->torn = s->buffer[s->begin - 1] != '\n';
        forget_failure(s);
    }
    s->begin = s->end = 0;
}

size_t sink_waiting(const struct sink *s)
{
    return s->stuck ? 0 : s->end - s->begin;
}

uint64_t sink_due(const struct sink *s)
{
    return s->begin == s->end ? UINT64_MAX : s->retry_ns;
}

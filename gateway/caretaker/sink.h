/* Where an access log goes: a buffer of whole lines before a descriptor that may be slow, full or broken, and must
 * hold nobody up.
 *
 * A write that would block, or fails, leaves the lines in the buffer and is tried again later, at growing
 * intervals. A sink that has taken nothing for SINK_PATIENCE_NS is stuck: what finds no room is dropped.
 *
 * The descriptor is the engine's or the standard output, both shared with other processes, so O_NONBLOCK is not
 * set and epoll not asked (the flag and the registration belong to the open file, not to us). Files are
 * written plainly; log pipes were opened with O_NONBLOCK; of a standard output that is a socket MSG_DONTWAIT is
 * asked; any other is polled and given at most PIPE_BUF bytes at a time, which a pipe that polls as writable
 * takes without blocking.
 */
#ifndef GATEWAY_CARETAKER_SINK_H
#define GATEWAY_CARETAKER_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/check.h"
#include "gateway/base/number.h"
#include "gateway/base/str.h"

#define SINK_BYTES       ((size_t)64 * 1024)
#define SINK_PATIENCE_NS NS_PER_S

enum sink_way {
    SINK_NOWHERE, /* no descriptor yet */
    SINK_PLAIN,
    SINK_SOCKET,
    SINK_CAREFUL
};

struct sink {
    int fd; /* borrowed */
    enum sink_way way;
    char *buffer;      /* SINK_BYTES */
    size_t begin, end; /* what waits to be written */
    bool torn;         /* the last write ended within a line */
    bool stuck;        /* nothing was taken for too long: drop */
    int error; /* errno of the last write that failed; 0: it went well, or would have blocked */
    uint64_t since_ns;           /* of the first write that was not taken; 0: the last one was */
    uint64_t retry_ns, pause_ns; /* not before; the next pause */
    uint64_t lines, dropped, failures; /* all in all */
};

void sink_init(struct sink *s);
/* Tries once more to write what waits. */
void sink_end(struct sink *s, uint64_t now_ns);
/* Go on with this descriptor (-1: none), which stays the caller's. */
void sink_open(struct sink *s, int fd);

/* Where a line of at most `most` bytes may be written, or NULL. */
char *sink_room(struct sink *s, size_t most) MUST_USE;
/* A whole line of that length was written there. */
void sink_add(struct sink *s, size_t len);
/* A line found no room. */
void sink_drop(struct sink *s);
/* Write what waits, as far as it is taken, unless it is too early to try again. */
void sink_flush(struct sink *s, uint64_t now_ns);
/* Bytes waiting in a sink that is not stuck. */
size_t sink_waiting(const struct sink *s);
/* When to flush again; UINT64_MAX: nothing waits. */
uint64_t sink_due(const struct sink *s);

#endif

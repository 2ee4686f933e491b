/* The master's listening sockets: one for each address and slot, so that each worker has a queue of its own
 * (SO_REUSEPORT), and one for all with a Unix socket.
 *
 * They outlive workers and reloads: the kernel drops what waits in a queue when its last descriptor is
 * closed, so a socket is closed only when its address has left the configuration, or at the end. Fewer
 * workers than slots: the surplus sockets stay and are polled by the others.
 */
#ifndef WORKERS_LISTENER_H
#define WORKERS_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "gateway/base/check.h"
#include "gateway/base/list.h"
#include "gateway/base/str.h"
#include "workers/program.h"

struct listener {
    struct link_node node;
    uint32_t id; /* never used twice in the life of a master */
    bool local;  /* a Unix socket: one descriptor for all slots */
    bool wanted; /* by the configuration being looked at */
    uint32_t backlog, unix_mode;
    struct sockaddr_storage bound;
    socklen_t bound_len;
    dev_t file_dev; /* of a Unix socket's file */
    ino_t file_ino;
    uint32_t count;     /* of sockets that are bound: slots, or 1 */
    uint32_t listening; /* of them, from the front: what no failed reload takes away */
    int *fds;
    char address[]; /* as configured, NUL-ended */
};

struct listeners {
    struct list list;
    uint32_t next_id;
};

/* Read an address as listen_address.address has it. Port 0 is allowed: the kernel chooses.
 * returns  NULL, or what is wrong with it */
const char *listen_address_read(struct str text, struct sockaddr_storage *to,
                                socklen_t *len) MUST_USE;

void listeners_init(struct listeners *all);
/* Bind what `wanted` names and is not bound, with `slots` sockets each, and mark what is not wanted any more. Nothing
 * listens yet: a connection must not wait in a queue that nobody may ever look at.
 * returns  false: everything is as before, and the reason has been logged, with the process that sits on the address
 *          if /proc tells */
bool listeners_bind(struct listeners *all, const struct listen_address *wanted, size_t count,
                    uint32_t slots) MUST_USE;
/* Undo listeners_bind. */
void listeners_undo(struct listeners *all);
/* Listen on what was bound; false if one cannot, which has been logged (the others do). Queues get their new lengths. */
bool listeners_listen(struct listeners *all, const struct listen_address *wanted, size_t count);
/* Close and free one; a Unix socket's file is removed if it is still ours. */
void listener_close(struct listener *l);
/* Close and free all. keep_files: in a child, which has copies only. */
void listeners_end(struct listeners *all, bool keep_files);

#endif

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

#include "gateway/base/check.h"
#include "gateway/base/list.h"
#include "gateway/base/str.h"
#include "workers/program.h"

struct listener {
    struct link_node node;
    uint32_t id;                        /* never used twice in the life of a master                    */
    bool local;                         /* a Unix socket: one descriptor for all slots                 */
    bool wanted;                        /* by the configuration being looked at                        */
    bool fresh;                         /* opened for a reload that has not been adopted yet           */
    uint32_t backlog, unix_mode;
    struct sockaddr_storage bound;
    socklen_t bound_len;
    uint32_t count;                     /* of sockets: slots, or 1                                     */
    int *fds;
    char address[];                     /* as configured, NUL-ended                                    */
};

struct listeners {
    struct list list;
    uint32_t next_id;
};

/* Read an address as listen_address.address has it. Port 0 is allowed: the kernel chooses.
 * returns  NULL, or what is wrong with it */
const char *listen_address_read(struct str text, struct sockaddr_storage *to, socklen_t *len) MUST_USE;

void listeners_init(struct listeners *all);
/* Open what `wanted` names and is not open, with `slots` sockets each, and mark what is not wanted any more.
 * On failure everything is as before and the reason has been logged: a name and, where /proc tells, the process that
 * sits on the address. */
bool listeners_open(struct listeners *all, const struct listen_address *wanted, size_t count,
                    uint32_t slots) MUST_USE;
/* The sockets opened by listeners_open stay. */
void listeners_keep(struct listeners *all);
/* Undo listeners_open. */
void listeners_undo(struct listeners *all);
/* Close and free one that is not wanted; a Unix socket's file is removed if it is still ours. */
void listener_close(struct listener *l);
/* Close our descriptors without touching files: in a child, and at a drain before the children empty the queues. */
void listeners_close_fds(struct listeners *all);
/* Close and free all. remove: unlink the files of Unix sockets too (only the master that ends for good). */
void listeners_end(struct listeners *all, bool remove);

#endif

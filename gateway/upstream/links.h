/* Connections to services: one set per worker, found by value, warm over reloads.
 *
 * A target is one endpoint's address by value; its idle links are taken last in, first out, so that what is
 * not needed grows old and is closed. A call for which there is no link and no room for another waits in
 * the target's bounded line. An idle link that its service closes is noticed at once (it is watched).
 */
#ifndef GATEWAY_UPSTREAM_LINKS_H
#define GATEWAY_UPSTREAM_LINKS_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/list.h"
#include "gateway/http/h1_body.h"
#include "gateway/http/h1_head.h"
#include "gateway/upstream/protocol.h"

struct call;
struct endpoint;
struct links;
struct local;

struct target {
    uint64_t id; /* endpoint->id */
    struct links *links;
    struct list idle; /* of struct link, the warmest first */
    struct list line; /* of struct call, first come first served */
    uint32_t open, idle_count, line_count;
    uint8_t good_address; /* the last one that answered */
    struct target *next;  /* in its bucket */
};

enum link_state { LINK_OPENING, LINK_BUSY, LINK_IDLE, LINK_CLOSED };

struct link {
    uint32_t magic;
    enum link_state state;
    bool served;       /* has carried a call before: the reuse race is possible */
    struct pool *pool; /* where it came from */
    const struct upstream_protocol *protocol;
    struct target *target;
    struct conn *conn;
    struct link_node node; /* among the idle */
    struct task end_task;
    struct call *call;
    uint64_t due_ns; /* of the present wait */
    /* HTTP/1.1 */
    struct h1_scan scan;
    struct h1_body body; /* of the answer */
    uint32_t chunk_left; /* of the request's chunk being sent */
    bool head_seen, keep_alive, blocked;
};

struct link_limits {
    uint32_t max_idle;     /* of all targets, this worker's share */
    uint32_t max_per_host; /* open, this worker's share */
    uint32_t max_pending;  /* in line, each target */
};

struct links {
    struct local *local;
    struct link_limits limits;
    uint32_t idle, open, targets;
    uint32_t bucket_mask;
    struct target **buckets;
    uint64_t dialled, reused; /* counts */
};

struct links *links_new(struct local *local);
/* Close what is idle and free. No call may be running. */
void links_end(struct links *l);
void links_limit(struct links *l, const struct link_limits *limits);
struct target *links_target(struct links *l, uint64_t id);
/* Forget the targets that nobody is connected to: after a reload, from a task, so that a stream of reloads with ever new
 * services leaves nothing behind. */
void links_sweep(struct links *l);

/* A warm link for this target, or NULL. */
struct link *links_take(struct target *t);
/* Begin to connect to address `address` of the endpoint for `call`. NULL with errno: not possible. */
struct link *links_dial(struct target *t, const struct endpoint *e, uint8_t address,
                        struct call *call);
/* May one more be opened? */
bool links_may_open(const struct target *t);
/* A call is over and the link can serve again: to the next in line, or to the idle. */
void link_put(struct link *l);
/* The end of a link. */
void link_close(struct link *l);
struct link *link_of(struct conn *c);
/* Move the one timer of a link's conn. */
void link_set_due(struct link *l, uint64_t due_ns);

#endif

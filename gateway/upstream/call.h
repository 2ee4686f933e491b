/* One attempt at an endpoint: find or make a link, send, wait, report.
 *
 * A call knows no exchange: it has an owner (proxy, later aggregate, probes and key fetches) that hears what
 * becomes of it. It lives in its owner's arena; between call_start and its end (failed, the last piece of
 * the body, call_cancel) the link points to it. From inside call_start the owner hears `room` at most, from
 * inside call_cancel nothing.
 */
#ifndef GATEWAY_UPSTREAM_CALL_H
#define GATEWAY_UPSTREAM_CALL_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/arena.h"
#include "gateway/base/list.h"
#include "gateway/exchange/middleware.h"
#include "gateway/exchange/protocol.h"
#include "gateway/exchange/service.h"
#include "gateway/http/message.h"
#include "workers/timer.h"

struct call;
struct link;
struct links;
struct target;

struct call_owner {
    /* The link stands and the head is on its way: a body may follow (call_send_body). Also when there is room again.
     * May be called from inside call_start: it may only note or resume. */
    void (*room)(struct call *c);
    void (*early)(struct call *c, const struct response *r); /* 1xx */
    void (*head)(struct call *c, bool last);                 /* c->resp; last: no body */
    size_t (*body)(struct call *c, const struct piece *p);   /* bytes taken */
    /* The attempt has failed: c->attempt says how far it came and why. The call is over and may be started again. */
    void (*failed)(struct call *c);
};

enum call_state {
    CALL_IDLE,    /* not begun, or over */
    CALL_WAITING, /* for a link */
    CALL_SENT,    /* the head is on its way, no answer yet */
    CALL_ANSWERED /* the answer's head has come */
};

struct call {
    enum call_state state;
    bool request_done; /* the request's body has been given to the link */
    bool answer_done;  /* the answer is complete */
    uint8_t address;   /* of the endpoint, being tried */
    uint8_t addresses_left;
    const struct call_owner *owner;
    void *owned_by;
    struct links *links;
    struct arena *arena;
    const struct request *req; /* as the service shall see it */
    struct upstream_timeouts timeouts;
    struct response resp;
    struct fields trailers; /* of a chunked answer, as they come */
    uint32_t early_count;   /* of 1xx answers */
    struct attempt attempt; /* endpoint and number are set by the owner, the rest here */
    struct link *link;
    struct link_node waiting; /* in a target's line */
    struct timer timer;       /* while in line */
    struct task task;         /* brings what cannot be said from inside call_start */
};

void call_init(struct call *c, struct links *links, struct arena *arena, const struct request *req,
               const struct upstream_timeouts *timeouts, const struct call_owner *owner,
               void *owned_by);
/* Try c->attempt.endpoint. */
void call_start(struct call *c);
/* A piece of the request's body; returns the bytes taken. Fewer: owner->room follows. */
size_t call_send_body(struct call *c, const struct piece *p) MUST_USE;
/* The owner can take more of the answer. */
void call_resume(struct call *c);
/* Stop. Nothing calls back after this. Always allowed. */
void call_cancel(struct call *c);

/* ---- for protocols and links ---- */
void call_fail(struct call *c, enum sent sent, enum reason reason);
/* The link being made for it could not be made: tries the next address of the endpoint, or fails. */
void call_dial_failed(struct call *c, enum reason reason);

#endif

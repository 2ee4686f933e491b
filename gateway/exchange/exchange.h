/* One request and its answer, neutral to the protocols on both sides. The heart of the gateway.
 *
 *   client protocol      exchange_begin → exchange_start → … → exchange_end
 *   chain (chain.h)      steps in → handler → steps out
 *   handler              exchange_head, exchange_body; or exchange_fail
 *
 * Request and answer go their own ways (early answers, uploads): the exchange is over when the answer is
 * done and the request is done or abandoned. One process, one thread; all memory is the arena's.
 */
#ifndef GATEWAY_EXCHANGE_EXCHANGE_H
#define GATEWAY_EXCHANGE_EXCHANGE_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/arena.h"
#include "gateway/exchange/identity.h"
#include "gateway/exchange/middleware.h"
#include "gateway/exchange/protocol.h"
#include "gateway/exchange/reason.h"
#include "gateway/exchange/record.h"
#include "gateway/exchange/route.h"
#include "gateway/exchange/router.h"
#include "gateway/http/message.h"

struct local;
struct part;

enum side { SIDE_HEAD, SIDE_BODY, SIDE_DONE, SIDE_ABANDONED };

enum phase {
    PHASE_NEW,     /* the head is being read */
    PHASE_IN,      /* steps, inwards */
    PHASE_HANDLER, /* the handler works on it */
    PHASE_OUT,     /* steps, outwards */
    PHASE_SENDING, /* the answer's head has been sent */
    PHASE_OVER
};

struct exchange {
    uint32_t magic;
    enum phase phase;
    enum side in, out;
    bool made_here;    /* the answer was made by us, not by a service */
    bool handler_runs; /* start was called, and neither its end nor cancel was */
    bool client_lost;  /* the client left before the answer was complete */
    bool resp_last;    /* the handler's answer has no body */
    bool body_waited;  /* its body came before the steps had let the head pass */
    bool end_waited;   /* and so did its end, with nothing more before it */
    bool delivered;    /* the client has been given the end of the answer */
    bool request_tapped, response_tapped;
    bool drops_trailers; /* of the request: they could pass for what a step says of the client */
    struct local *local; /* this worker's loop, links, pools */
    struct part *part;   /* the service's share of the snapshot it began with */
    const struct route *route; /* never NULL once started */
    struct str pattern;        /* by which it was found */
    struct request req;
    struct fields req_trailers;        /* of a chunked body, as they come */
    const struct fields *end_trailers; /* with end_waited */
    struct response resp;              /* final once the head is sent */
    struct params params;              /* {id} and the like, from the route */
    struct identity who;
    enum reason reason;
    struct client_stream *client; /* who asked; NULL once gone */
    void *answer;                 /* the handler's own state */
    struct frame *frames;         /* one per step of the route */
    uint32_t entered;             /* steps before it have been entered */
    uint32_t cursor;              /* on the way out: steps before it are still to be passed */
    uint64_t due_ns;              /* of the whole exchange */
    uint64_t body_limit;          /* bytes of the request's body */
    uint32_t allowed_methods;     /* with REASON_METHOD_NOT_ALLOWED: for Allow */
    struct {
        uint16_t status;
        enum reason reason;
        uint64_t retry_ns;   /* when it may be worth to come again; 0: not said */
    } refusal;               /* of an attempt, by a step's on_attempt */
    uint64_t retry_after_ns; /* for an error answer's Retry-After; 0: none */
    struct str own_body;     /* of an answer made here, what has not been sent */
    struct record record;
    struct task end_task;
    struct arena arena;
};

/* Begin: a head is complete (or cannot be read). Fields and texts are filled by the protocol; then exchange_start.
 * client_address: see identity. */
struct exchange *exchange_begin(struct local *local, struct client_stream *client) MUST_USE;
/* Find the route and walk the chain. The answer may be complete when this returns. */
void exchange_start(struct exchange *x);
/* The head could not be read, or broke a limit: answer without a route, by the route `unmatched`. */
void exchange_reject(struct exchange *x, unsigned status, enum reason reason, const char *why);

/* ---- for client protocols ---- */
/* A piece of the request's body; returns the bytes taken. Fewer: client->resume_body follows. */
size_t exchange_request_body(struct exchange *x, const struct piece *p) MUST_USE;
/* The client can take more. */
void exchange_client_room(struct exchange *x);
/* The client has left, or does not take or send any more (reason). Nothing is sent to it from here on. */
void exchange_client_gone(struct exchange *x, enum reason reason);
/* x->due_ns has passed. */
void exchange_expired(struct exchange *x);

/* ---- for handlers ---- */
/* x->resp is filled: pass it outwards. `last`: no body follows. */
void exchange_head(struct exchange *x, bool last);
/* A piece of the answer's body; returns the bytes taken. Fewer: handler->room follows. */
size_t exchange_body(struct exchange *x, const struct piece *p) MUST_USE;
/* An informational answer (1xx), passed on at once. */
void exchange_early(struct exchange *x, const struct response *r);
/* The handler can take more of the request's body. */
void exchange_resume_body(struct exchange *x);
/* No answer can be had. Before the head was sent: an error answer; after it: the connection is cut. */
void exchange_fail(struct exchange *x, unsigned status, enum reason reason, const char *why);

/* ---- for steps ---- */
/* In on_attempt, before returning false. */
void exchange_refuse(struct exchange *x, unsigned status, enum reason reason, uint64_t retry_ns);
uint64_t exchange_now_ns(const struct exchange *x);

/* ---- inside exchange/ ---- */
/* The chain has passed all steps outwards: send the head, and the body if it is ours. */
void exchange_send_head(struct exchange *x);
/* Over when both sides are: frees in a later turn. */
void exchange_end_if_over(struct exchange *x);

#endif

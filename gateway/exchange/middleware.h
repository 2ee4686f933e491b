/* The whole contract of a step. (see gateway/exchange/README.md for a picture)
 *
 * An exchange walks its route's steps inwards, reaches the handler, and walks the same steps outwards. A
 * step has no state of its own: per exchange there is frame->state, what workers share is in shm.
 */
#ifndef GATEWAY_EXCHANGE_MIDDLEWARE_H
#define GATEWAY_EXCHANGE_MIDDLEWARE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/settings.h"
#include "gateway/exchange/protocol.h"
#include "gateway/exchange/reason.h"
#include "workers/waiter.h"

struct builder;
struct endpoint;
struct exchange;
struct frame;

enum verdict {
    NEXT,    /* go on: inwards from on_request, outwards from on_response */
    REPLIED, /* x->resp is an answer (see reply.h); turn round here */
    WAIT,    /* frame_wait() was called; nothing happens until it calls the named function */
};

enum flow { FLOW_ON, FLOW_FAIL };

typedef enum verdict (*step_fn)(struct exchange *x, struct frame *f);

/* How far an attempt at an endpoint had come when it ended: this decides whether it may be made again. */
enum sent {
    SENT_NOTHING,           /* no byte of the request left us */
    SENT_ON_REUSED_NO_BYTE, /* on a link that had served before, and no byte of an answer came */
    SENT_PART,              /* something was sent on a fresh link, no byte of an answer came */
    SENT_ANSWERED           /* an answer, or a part of one, came */
};

struct attempt {
    const struct endpoint *endpoint;
    uint32_t number; /* from 1 */
    enum sent sent;
    uint16_t status;    /* of the answer; 0: none */
    enum reason reason; /* REASON_OK, or what went wrong */
    bool client_late;   /* … while the service waited for a body that the client still owed */
    uint64_t begun_ns, head_ns, end_ns;
};

/* A kind of middleware: one constant per file in middleware/, named `<name>_middleware`. */
struct middleware {
    struct conf_schema settings; /* name as in config.yaml, doc, keys, check */
    size_t state_size;           /* of frame->state, zeroed for each exchange; may be 0 */
    bool identifies;             /* it says who asks: steps that go by that stand behind it */

    /* Part of a build, once for each step of each service: first in the master (which makes the shared tables), then in
     * each process that adopts (which finds them). The result is step->prepared. Problems go to the builder. */
    const void *(*prepare)(struct builder *b, const void *settings);
    /* What of that may take long, in slices to about until_ns on clock_now_ns(): a living worker has clients. Called until
     * it returns true, unless prepare gave NULL. NULL: prepare does it all. */
    bool (*prepare_more)(struct builder *b, const void *settings, void *prepared,
                         uint64_t until_ns);

    /* The request's head is known; its body may still be on its way. */
    step_fn on_request;
    /* The answer's head is known and not yet sent. Outermost last. Also called for answers made by inner steps
     * and for errors; x->resp.status says. REPLIED: the answer was replaced. */
    step_fn on_response;
    /* A piece of a body, only after frame_tap_*_body(f). Pass on zero or more pieces with frame_emit(); what the next one
     * cannot take yet, the chain holds for you, and it offers nothing more until that is gone. */
    enum flow (*on_request_body)(struct exchange *x, struct frame *f, const struct piece *p);
    enum flow (*on_response_body)(struct exchange *x, struct frame *f, const struct piece *p);
    /* Around each attempt at an endpoint (the handler may make several). False: not now; say why with exchange_refuse. */
    bool (*on_attempt)(struct exchange *x, struct frame *f, const struct attempt *a);
    void (*on_attempt_done)(struct exchange *x, struct frame *f, const struct attempt *a);
    /* Exactly once for each step that was entered, innermost first, whatever happened; a pending wait has been cancelled
     * already. Cannot fail, cannot wait. */
    void (*on_done)(struct exchange *x, struct frame *f);
};

/* A middleware with settings, on a route. */
struct step {
    const struct middleware *type;
    const void *settings;
    const void *prepared;
    enum conf_mode mode;   /* ENFORCE, or SHADOW: judge, count and log, never act */
    uint32_t state_offset; /* where frame->state lies in the memory of all frames */
};

/* The same at work in one exchange. */
struct frame {
    const struct step *step;
    struct exchange *x;
    void *state;
    step_fn again;           /* where to continue; set by frame_wait */
    struct waiter waiter;    /* one wait at a time; waiter.loop == NULL: it never waited */
    struct held_piece *held; /* emitted, not yet taken by the next */
    bool entered, taps_request, taps_response, emits_response;
};

/* Park the exchange until `queue` is woken or `ms` have passed; then `again` is called as if it were on_request
 * (or on_response) and f->waiter.status says OK, FAILED or TIMEOUT. If the client leaves first, the wait is cancelled
 * and on_done is called. Returns WAIT so that callers can `return` it. */
enum verdict frame_wait(struct frame *f, struct wait_queue *queue, uint32_t ms, step_fn again);
enum verdict frame_sleep(struct frame *f, uint32_t ms, step_fn again);
void frame_tap_request_body(struct frame *f);
void frame_tap_response_body(struct frame *f);
enum flow frame_emit(struct exchange *x, struct frame *f, const struct piece *p);
/* False in SHADOW: leave no trace. */
static inline bool frame_acts(const struct frame *f)
{
    return f->step->mode != CONF_MODE_SHADOW;
}

#endif

/* How a client protocol meets an exchange: bytes become exchanges, answers become bytes.
 *
 * Bodies move with the semantics of write(2): the receiver takes what it can and says how much; what it did
 * not take stays with the producer, who is told when there is room. The same in both directions.
 */
#ifndef GATEWAY_EXCHANGE_PROTOCOL_H
#define GATEWAY_EXCHANGE_PROTOCOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/str.h"
#include "gateway/http/message.h"

struct exchange;
struct client_stream;

struct piece {
    struct str data;
    bool last;                     /* the body ends behind this piece */
    bool flush;                    /* somebody waits for it: do not collect more */
    const struct fields *trailers; /* only with last; may be NULL */
};

struct client_protocol {
    const char *name;                                                       /* "http/1.1" */
    void (*send_early)(struct client_stream *cs, const struct response *r); /* 1xx */
    /* x->resp is final. `last`: no body follows. May set the framing fields of *r. */
    void (*send_head)(struct client_stream *cs, struct response *r, bool last);
    size_t (*send_body)(struct client_stream *cs,
                        const struct piece *p); /* bytes taken; fewer: handler->room() later */
    void (*resume_body)(
        struct client_stream *cs);           /* whoever takes the request's body can take more */
    void (*reset)(struct client_stream *cs); /* the answer cannot be completed */
    void (*ended)(struct client_stream *cs); /* the exchange is over: the next one may begin */
};

/* One request of a client, embedded in the session (h1) or in a stream of it (h2). */
struct client_stream {
    const struct client_protocol *protocol;
    struct exchange *x;       /* NULL: between requests */
    struct str listener_port; /* as text; empty: a Unix socket */
};

#endif

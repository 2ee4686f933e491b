/* The interface of a protocol towards services.
 *
 * A link carries calls: one with HTTP/1.1, many with HTTP/2. Links belong to the worker and are found by
 * value, so a reload keeps them warm.
 */
#ifndef GATEWAY_UPSTREAM_PROTOCOL_H
#define GATEWAY_UPSTREAM_PROTOCOL_H

#include "gateway/exchange/protocol.h"
#include "workers/conn.h"

struct call;
struct link;

struct upstream_protocol {
    const char *name;
    struct conn_events events;                     /* of the link's conn; owner: the link */
    void (*start)(struct link *l, struct call *c); /* the connection stands: send the head */
    size_t (*send_body)(struct link *l, struct call *c, const struct piece *p);
    void (*resume_body)(struct link *l, struct call *c); /* the owner can take more of the answer */
    void (*cancel)(struct link *l, struct call *c); /* h1: close the link; h2: reset the stream */
};

#endif

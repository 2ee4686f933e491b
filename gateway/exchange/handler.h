/* Whoever answers at the centre of the onion. */
#ifndef GATEWAY_EXCHANGE_HANDLER_H
#define GATEWAY_EXCHANGE_HANDLER_H

#include <stddef.h>

#include "gateway/exchange/protocol.h"

struct exchange;

/* A kind of handler: one constant per file in handlers/. Its state of one exchange is x->answer; what it
 * was built with is x->route->prepared. */
struct handler {
    const char *name;
    /* Begin. Later, or at once: exchange_head and exchange_body, or exchange_fail. */
    void (*start)(struct exchange *x);
    /* A piece of the request's body. Returns the bytes taken; fewer than offered: exchange_resume_body later. NULL: bodies
     * are dropped. */
    size_t (*body)(struct exchange *x, const struct piece *p);
    /* The client can take more of the answer. May be NULL for answers that fit in one piece. */
    void (*room)(struct exchange *x);
    /* Stop. Nothing may call back after this. May be NULL. */
    void (*cancel)(struct exchange *x);
};

#endif

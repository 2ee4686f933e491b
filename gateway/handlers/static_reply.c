/* A fixed answer. */
#include "gateway/handlers/static_reply.h"

#include "gateway/exchange/reply.h"
#include "gateway/handlers/own.h"

static void start(struct exchange *x)
{
    const struct static_reply *r = x->route->prepared;

    if (x->reason == REASON_METHOD_NOT_ALLOWED) {
        own_refuse_method(x, x->allowed_methods);
        return;
    }
    if (r->content_type.len)
        reply_text(x, r->status, REASON_NO_ROUTE, r->content_type, r->body);
    else
        reply_problem(x, r->status, REASON_NO_ROUTE,
                      r->body.len ? str_keep_z(&x->arena, r->body) : NULL);
    exchange_head(x, false);
}

const struct handler static_reply_handler = { .name = "static_reply", .start = start };

/* What the pages of the gateway's own have in common. */
#include "gateway/handlers/own.h"

#include "gateway/exchange/reply.h"

static struct str list_methods(struct arena *a, uint32_t methods)
{
    char *at = arena_take_bytes(a, METHOD_COUNT * 10);
    size_t len = 0;

    for (unsigned m = METHOD_OTHER + 1; m < METHOD_COUNT; m++) {
        struct str name = method_text((enum method)m);

        if (!(methods >> m & 1))
            continue;
        if (len) {
            memcpy(at + len, ", ", 2);
            len += 2;
        }
        memcpy(at + len, name.at, name.len);
        len += name.len;
    }
    return str_of(at, len);
}

void own_refuse_method(struct exchange *x, uint32_t methods)
{
    reply_problem(x, 405, REASON_METHOD_NOT_ALLOWED, NULL);
    fields_add_known(&x->resp.fields, FIELD_ALLOW, list_methods(&x->arena, methods));
    exchange_head(x, false);
}

bool own_is_read(struct exchange *x)
{
    if (x->req.method == METHOD_GET || x->req.method == METHOD_HEAD)
        return true;
    own_refuse_method(x, 1u << METHOD_GET | 1u << METHOD_HEAD);
    return false;
}

void own_page(struct exchange *x, unsigned status, struct str text)
{
    reply_text(x, status, REASON_OK, STR("text/plain; charset=utf-8"), text);
    fields_add(&x->resp.fields, STR("Cache-Control"), STR("no-store"));
    exchange_head(x, false);
}

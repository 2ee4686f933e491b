/* Whom a limit does not count: by address, and by the names that a step before has verified. */
#ifndef GATEWAY_LIMITING_LIMIT_EXEMPT_H
#define GATEWAY_LIMITING_LIMIT_EXEMPT_H

#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"

struct limit_exempt_settings {
    struct conf_list ips, consumers;
};

extern const struct conf_schema limit_exempt_schema;

/* Const after the build. */
struct limit_exempt {
    const struct cidr *ips;
    size_t ip_count;
    const struct str *names;
    size_t name_count;
};

struct limit_exempt limit_exempt_build(struct builder *b, const struct limit_exempt_settings *s);
bool limit_exempt_is(const struct limit_exempt *e, const struct exchange *x);

#endif

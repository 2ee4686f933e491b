/* A credential as a request presents it: in a header, in a parameter of the query, in a cookie.
 *
 * A request with two of them has none, wherever they stand: two programs could take different ones.
 */
#ifndef GATEWAY_MIDDLEWARE_PRESENTED_H
#define GATEWAY_MIDDLEWARE_PRESENTED_H

#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"

struct presented {
    struct str header; /* its name */
    enum known_field known;
    struct str query, cookie; /* names; empty: not there */
};

/* False: a name cannot be one, and a problem has been reported. The texts are copied. */
bool presented_build(struct presented *p, struct builder *b, struct str header, struct str query,
                     struct str cookie) MUST_USE;
/* The one that the request has; empty: none, or several. Borrowed from the exchange. */
struct str presented_find(const struct presented *p, struct exchange *x);
/* Take it off what the service will see. */
void presented_strip(const struct presented *p, struct exchange *x);

#endif

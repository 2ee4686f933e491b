/* A fixed answer: of the route `unmatched`, where everything ends that no service claims.
 */
#ifndef GATEWAY_HANDLERS_STATIC_REPLY_H
#define GATEWAY_HANDLERS_STATIC_REPLY_H

#include <stdint.h>

#include "gateway/exchange/handler.h"

/* route->prepared */
struct static_reply {
    uint16_t status;
    struct str body;         /* empty: the standard phrase of the status */
    struct str content_type; /* empty: text, or problem+json for who prefers that */
};

extern const struct handler static_reply_handler;

#endif

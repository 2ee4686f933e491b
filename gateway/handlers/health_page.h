/* /health and /ready: is this worker alive, and are clients welcome?
 *
 * Ready says no from the moment that the gateway was told to stop, while it still accepts
 * (shutdown.drain_delay), so that whoever balances over several gateways can go elsewhere in time.
 */
#ifndef GATEWAY_HANDLERS_HEALTH_PAGE_H
#define GATEWAY_HANDLERS_HEALTH_PAGE_H

#include <stdbool.h>

#include "gateway/exchange/handler.h"

/* route->prepared */
struct health_page {
    bool ready; /* asks whether clients are welcome; else only whether the worker turns */
};

extern const struct handler health_page_handler;

#endif

/* The handler that forwards to a service. */
#ifndef GATEWAY_HANDLERS_PROXY_H
#define GATEWAY_HANDLERS_PROXY_H

#include "gateway/exchange/handler.h"

extern const struct handler proxy_handler;

#endif

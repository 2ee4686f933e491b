/* HTTP/1.1 towards services. (RFC 9112) */
#ifndef GATEWAY_UPSTREAM_H1_UPSTREAM_H
#define GATEWAY_UPSTREAM_H1_UPSTREAM_H

#include "gateway/upstream/protocol.h"

extern const struct upstream_protocol h1_upstream;

#endif

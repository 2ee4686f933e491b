/* A named set of places that answer. Plain data of a snapshot; const after the build. */
#ifndef GATEWAY_EXCHANGE_SERVICE_H
#define GATEWAY_EXCHANGE_SERVICE_H

#include <stdint.h>
#include <sys/socket.h>

#include "gateway/base/str.h"
#include "shm/word.h"

#define ENDPOINT_ADDRESSES 4 /* of one name, tried in this order */

struct endpoint_address {
    struct sockaddr_storage at;
    socklen_t len;
};

struct endpoint {
    struct str authority; /* "localhost:8081" */
    uint64_t id;          /* keyed hash of everything by which a link is found */
    struct endpoint_address addresses[ENDPOINT_ADDRESSES];
    uint32_t address_count; /* 0: the name could not be resolved */
};

struct upstream_timeouts {
    uint64_t connect_ns, header_ns, idle_read_ns, keepalive_ns;
};

struct service {
    struct str name;
    const struct endpoint *endpoints;
    uint32_t endpoint_count;
    shared_word *turn; /* round robin: one counter for all workers */
    struct upstream_timeouts timeouts;
};

#endif

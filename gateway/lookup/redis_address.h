/* Where a Redis is: a numeric address and port, or the path of a Unix socket. Names are not looked up: a worker never waits
 * for a resolver.
 */
#ifndef GATEWAY_LOOKUP_REDIS_ADDRESS_H
#define GATEWAY_LOOKUP_REDIS_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "gateway/base/str.h"

#define REDIS_ADDRESS_TEXT 128

struct redis_address {
    struct sockaddr_storage at;
    socklen_t len;
    char text
        [REDIS_ADDRESS_TEXT]; /* as redis_address_read takes it; equal addresses have equal texts */
};

/* "10.0.0.5:6379", "[::1]:6379" or "unix:/run/redis.sock"; anything else is false. */
bool redis_address_read(struct str text, struct redis_address *a) MUST_USE;
/* An address and a port apart, as servers tell of one another. A name is false. */
bool redis_address_of(struct str host, uint64_t port, struct redis_address *a) MUST_USE;
bool redis_address_equal(const struct redis_address *a, const struct redis_address *b);

#endif

/* Slots of a Redis Cluster: of a key, and of servers as CLUSTER SLOTS tells them. Pure.
 */
#ifndef GATEWAY_LOOKUP_REDIS_SLOTS_H
#define GATEWAY_LOOKUP_REDIS_SLOTS_H

#include "gateway/lookup/redis_address.h"
#include "gateway/lookup/redis_reply.h"

#define REDIS_SLOTS 16384

/* CRC16 of the key, or of what stands between its first { and the next }, if that is anything. */
uint16_t redis_slot_of(struct str key);

struct redis_slot_range {
    uint16_t first, last;
    struct redis_address master;
};

enum redis_slots_result { SLOTS_RANGE, SLOTS_NAMED /* by a name, and by no address */, SLOTS_BAD };

/* The i-th member of an answer to CLUSTER SLOTS. asked: who answered; a member without an address means that host.
 * SLOTS_NAMED: `*name` says which. */
enum redis_slots_result redis_slots_read(const struct redis_reply *r, size_t i,
                                         const struct redis_address *asked,
                                         struct redis_slot_range *range, struct str *name);

/* An address as servers tell it: an empty host means that of who says it. */
bool redis_address_told(struct str host, uint64_t port, const struct redis_address *by,
                        struct redis_address *a) MUST_USE;

#endif

/* How a store begins and ends: for lookups.c.
 */
#ifndef GATEWAY_LOOKUP_REDIS_STORE_H
#define GATEWAY_LOOKUP_REDIS_STORE_H

#include "gateway/base/random.h"
#include "gateway/lookup/lookups.h"

struct redis_store *redis_store_new(struct loop *l, struct pool *conns, struct random *random,
                                    const struct lookups_observer *observer,
                                    const struct redis_target *target);
/* The target is copied. Questions on their way are forgotten. */
void redis_store_end(struct redis_store *s);

uint64_t redis_store_id(const struct redis_store *s);
/* Nothing is on its way, and nothing was asked since. */
bool redis_store_is_idle_since(const struct redis_store *s, uint64_t ns);

#endif

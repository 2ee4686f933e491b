/* A worker's stores: found by value, warm over reloads, closed when nobody has asked for a while.
 *
 * One per worker, made and ended by the assembly above. One process, one thread.
 */
#ifndef GATEWAY_LOOKUP_LOOKUPS_H
#define GATEWAY_LOOKUP_LOOKUPS_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/lookup/redis.h"

struct loop;
struct lookups;
struct pool;

/* Whoever counts. Called from inside the store: it may only count. */
struct lookups_observer {
    /* A question was answered (cancelled ones are not told). */
    void (*on_answer)(void *owner, struct str store, enum redis_outcome outcome, uint64_t took_ns);
    /* A question was refused at once. */
    void (*on_refused)(void *owner, struct str store);
    /* This worker sees a server of the store away (true), or none. Told when it changes, and false at first. */
    void (*on_away)(void *owner, struct str store, bool away);
    void *owner;
};

/* conns     where connections come from
 * observer  copied; NULL: nobody counts */
struct lookups *lookups_new(struct loop *l, struct pool *conns,
                            const struct lookups_observer *observer);
/* The store of this target; made at first. Costs a comparison or two: ask anew each time, the pointer is only good until
 * the loop turns, unless a question is on its way. */
struct redis_store *lookups_redis(struct lookups *l, const struct redis_target *t);
/* Close all. Questions on their way are not answered any more, and forgotten. */
void lookups_end(struct lookups *l);

#endif

/* A worker's questions about limits that several gateways keep together, while they are on their way.
 *
 * For each client there is at most one question of a worker for more of its share; whoever comes meanwhile waits for the
 * same answer or, when that was too little, for the next one, which asks for all of them. A question is about copies: what
 * it was asked for may be gone with its snapshot before the answer comes.
 *
 * One per worker. One process, one thread.
 */
#ifndef GATEWAY_LIMITING_LIMIT_ASKS_H
#define GATEWAY_LIMITING_LIMIT_ASKS_H

#include "gateway/exchange/local.h"
#include "gateway/lookup/redis.h"
#include "ratelimit/shares.h"
#include "workers/waiter.h"

#define LIMIT_ASK_KEY 224 /* bytes of a key in Redis */

struct limit_asks;

struct limit_asks *limit_asks_new(struct local *l);
/* No exchange waits any more, and the stores still are. */
void limit_asks_end(struct limit_asks *a);

/* What a question is about; borrowed. */
struct limit_ask_about {
    struct redis_store *store;
    const struct shares *shares;
    const struct gateways *gateways;
    uint64_t key; /* of the client in the cells */
    struct str (*redis_key)(const void *context,
                            char *to); /* at most LIMIT_ASK_KEY bytes; rare, so made when needed */
    const void *context;
    uint64_t timeout_ns; /* of the store */
};

/* For more of the share. `needed`: what somebody who wants to wait needs; 0: nobody waits.
 * returns  the queue to wait in; NULL: the store is away, or nobody waits */
struct wait_queue *limit_asks_share(struct limit_asks *a, const struct limit_ask_about *about,
                                    uint64_t needed);
/* For this one request. Who waits is delivered a struct remote_answer, if there is one. NULL: the store is away. */
struct wait_queue *limit_asks_exactly(struct limit_asks *a, const struct limit_ask_about *about,
                                      uint64_t cost);
/* Nobody waits: want tokens have been used, or (less than 0, with their id) have not. */
void limit_asks_tell(struct limit_asks *a, const struct limit_ask_about *about, int64_t want,
                     int64_t id);

/* Is it time to look whether the store should be told that this gateway lives? For every request, so it is quick. */
bool limit_asks_is_time(struct limit_asks *a, const struct gateways *gateways);
/* Tell it, if no colleague has lately, and hear how many live.
 * key, name   of the list of gateways, and of this one in it */
void limit_asks_announce(struct limit_asks *a, struct redis_store *store,
                         const struct gateways *gateways, struct str key, struct str name);

#endif

/* Limits that several gateways keep together (scope: cluster).
 *
 * The truth lies in a store; this node spends a share of it that lies in the cells of limits, and asks for more in good
 * time (limit_asks.h, ratelimit/shares.h). Only who finds the share used up waits, for one question; with sync 0 each
 * request waits for its own. While the store is away, slow or lying, nobody waits any longer than the store's timeout, and
 * what is done then is said by on_store_failure.
 */
#ifndef GATEWAY_LIMITING_LIMIT_CLUSTER_H
#define GATEWAY_LIMITING_LIMIT_CLUSTER_H

#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"
#include "gateway/limiting/limit_key.h"
#include "ratelimit/limiter.h"

enum limit_scope { LIMIT_NODE, LIMIT_CLUSTER };

struct limit_sync_settings {
    uint64_t every;
};
struct limit_cluster_settings {
    int scope; /* enum limit_scope */
    struct str store;
    struct limit_sync_settings sync;
    int on_store_failure;
    bool settles; /* what a request costs may be said afterwards */
};

extern const struct conf_schema limit_sync_schema;
extern const char *const limit_store_failures[]; /* names of on_store_failure */

struct limit_cluster;

/* name     of the limit's state
 * l        the same limit for this node alone; what is kept must live as long as the part
 * delays   requests wait for their turn
 * returns  NULL: a problem has been reported */
const struct limit_cluster *limit_cluster_build(struct builder *b, struct str name,
                                                const struct limiter *l,
                                                const struct limit_key *key, bool delays,
                                                const struct limit_cluster_settings *s,
                                                enum when_full when_full) MUST_USE;

/* Whose tokens a request has got. */
enum limit_source {
    LIMIT_FROM_NOBODY,
    LIMIT_FROM_SHARE,
    LIMIT_FROM_STORE, /* asked for it alone */
    LIMIT_FROM_LOCAL, /* the whole limit, of this node */
    LIMIT_FROM_PART   /* this node's part of it, while the store is away */
};

struct limit_asking;

/* Of an exchange at a limit; what frame->state begins with. */
struct limit_hold {
    struct limit_asking *asking; /* once it has waited */
    struct str
        redis_key; /* once it has been asked for; by the answer a later step may have taken away what it is made of */
    uint64_t
        due_ns; /* the loop's clock: not to wait any longer, here and at what follows; 0: not yet */
    enum limit_source source;
    uint32_t part; /* which one, with LIMIT_FROM_PART */
};

enum limit_outcome {
    LIMIT_DECIDED,
    LIMIT_STORE_AWAY, /* decided, by on_store_failure */
    LIMIT_WAITS       /* frame_wait was called: return WAIT; `again` calls this again */
};

enum limit_outcome limit_cluster_take(const struct limit_cluster *c, struct exchange *x,
                                      struct frame *f, uint64_t key, uint32_t cost, step_fn again,
                                      struct decision *d) MUST_USE;
/* What was taken at d.at_ns has not been used after all, or not so much of it. */
void limit_cluster_give_back(const struct limit_cluster *c, struct exchange *x,
                             const struct limit_hold *h, uint64_t key, uint32_t count,
                             uint64_t at_ns);
/* More has been used: take what there is. */
void limit_cluster_take_more(const struct limit_cluster *c, struct exchange *x,
                             const struct limit_hold *h, uint64_t key, uint32_t count);

#endif

/* A limiter: an algorithm, a limit, and the shared cells it counts in. Here is the only loop that changes
 * a word of a limit.
 *
 * The name is part of every key: a reload that keeps the name keeps the counts, whatever else it changes;
 * other parameters rescale a word when it is next used, another algorithm starts afresh. Several processes
 * may use old and new parameters side by side while a reload spreads; key, parameters' tag and word change
 * in one step, so no word is ever read under the wrong ones.
 */
#ifndef RATELIMIT_LIMITER_H
#define RATELIMIT_LIMITER_H

#include "ratelimit/algorithm.h"
#include "ratelimit/sliding_log.h"
#include "shm/cells.h"

/* When the cells of a key's group are all in use. */
enum when_full { FULL_EVICT, FULL_ALLOW, FULL_DENY };

/* Const once made; lives in a snapshot. */
struct limiter {
    const struct algorithm *algorithm;
    struct limit limit;
    struct cells cells;
    struct hash_key key; /* the region's secret and the limit's name */
    uint64_t tag;        /* of the cells: algorithm and limit */
    uint64_t idle_ns;
    uint64_t wall_ns;    /* what the algorithm's clock is ahead of the region's */
    shared_word *stamps; /* of an algorithm that keeps a log; else NULL */
    enum when_full when_full;
};

/* name       of the limit ("users/rate_limit"): its state goes by it
 * cells      the gateway's table, see cells_table
 * algorithm  one that keeps no log
 * returns    NULL, or why the limit does not fit the algorithm, for people: fail the load with it */
const char *limiter_init(struct limiter *l, const struct region_header *h,
                         const struct cells *cells, struct str name,
                         const struct algorithm *algorithm, const struct limit *limit,
                         enum when_full when_full) MUST_USE;

/* The same for an algorithm that keeps a log, in a table of this limit's own. */
const char *limiter_init_log(struct limiter *l, const struct region_header *h,
                             const struct limit_log *log, struct str name,
                             const struct algorithm *algorithm, const struct limit *limit,
                             enum when_full when_full) MUST_USE;

/* A limiter for whoever only looks (limiter_take with cost 0) into a region that it cannot write. `log` is NULL but for
 * an algorithm that keeps one. */
const char *limiter_init_to_look(struct limiter *l, const struct region_header *h,
                                 const struct cells *cells, const struct limit_log *log,
                                 struct str name, const struct algorithm *algorithm,
                                 const struct limit *limit) MUST_USE;

/* What stands for the limit's name where there is no room for it. */
uint64_t limiter_id(const struct limiter *l);
/* Algorithm and limit in a word, as limit_pack has it, and back; false: nobody knows such an algorithm. */
uint64_t limiter_meaning(const struct limiter *l);
bool limiter_read_meaning(uint64_t meaning, const struct algorithm **algorithm,
                          struct limit *limit) MUST_USE;

/* The key of a client (an address, an API key) under this limit. */
uint64_t limiter_key(const struct limiter *l, struct str client);

/* Take `cost` out of what `key` may still use; 0 only looks, less than 0 gives back what was taken.
 *
 * now_ns   region_now() of the loop's clock, not of a fresh reading; to give back, d.at_ns of the taking
 * returns  the decision; d.retry_ns is 0 when allowed
 * Never blocks, never fails: a full table answers by when_full and counts it.
 * Processes: any number at once. Threads: the same.
 */
struct decision limiter_take(const struct limiter *l, uint64_t key, int32_t cost, uint64_t now_ns);
/* The cost of what has been done already: what is not there any more cannot be taken. */
void limiter_take_up_to(const struct limiter *l, uint64_t key, uint32_t cost, uint64_t now_ns);

#endif

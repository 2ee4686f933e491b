/* Sliding log: exactly `count` in any period, whenever it begins, for at most 128 of them.
 *
 * It is no word. Each key has a cell in a table of its own, and beside it a log: the times of what was let
 * pass. See sliding_log.c.
 */
#ifndef RATELIMIT_SLIDING_LOG_H
#define RATELIMIT_SLIDING_LOG_H

#include "ratelimit/algorithm.h"
#include "shm/cells.h"

#define SLIDING_LOG_STAMPS 128 /* per key: 1 KiB */

extern const struct algorithm sliding_log;

/* This process's view; may be copied. */
struct limit_log {
    struct cells cells;
    shared_word *stamps; /* SLIDING_LOG_STAMPS for each cell */
};

struct limiter;

/* A table for at least `keys` keys at once: made within a load, found otherwise. The name is the limit's. False as
 * region_table. */
bool limit_log_table(struct region *r, struct str name, size_t keys,
                     struct limit_log *out) MUST_USE;

/* The table of this name in a region that is only looked at. */
bool limit_log_look(struct region *r, struct str name, struct limit_log *out) MUST_USE;

/* limiter_take for a limiter that has a log. */
struct decision sliding_log_take(const struct limiter *l, uint64_t key, int32_t cost,
                                 uint64_t now_ns);

#endif

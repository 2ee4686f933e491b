/* Bump allocation that is freed whole: the memory of an exchange, a part, a load.
 *
 * An arena takes its blocks from a source: malloc for what is built at load time, the worker's pool of
 * blocks on the hot path. There is no free of one object; the end of the arena ends them all. Running
 * out of memory ends the process (limits are checked before anything grows), so takes never fail.
 *
 * One that grows large at load time goes on in large blocks of the system's. These leave no holes in the heap, and each
 * of them can be given back alone: see arena_leave. One process, one thread.
 */
#ifndef GATEWAY_BASE_ARENA_H
#define GATEWAY_BASE_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/base/check.h"

struct pool;

struct arena_block {
    struct arena_block *next;
    struct arena_block *beside; /* in a bin: the first block of another arena */
    size_t size;                /* of the whole block, this header included */
    size_t total;               /* of this one and those before it */
    enum arena_source { ARENA_FROM_MALLOC, ARENA_FROM_POOL, ARENA_FROM_SYSTEM } from;
};

struct arena {
    char *at, *end; /* what is left of the current block */
    struct arena_block *blocks;
    struct pool *pool; /* where ordinary blocks come from; NULL: malloc */
};

/* An empty arena; takes nothing until the first take. `pool` lends blocks of pool->size bytes, or NULL. */
void arena_init(struct arena *a, struct pool *pool);
/* Start with memory that somebody else owns (the tail of a pooled object); it is not freed. */
void arena_lend(struct arena *a, void *memory, size_t size);
/* Give everything back. The arena may be used again. */
void arena_free(struct arena *a);

/* What arenas have left, to be given back when there is time: to give back what a large one holds takes milliseconds. */
struct arena_bin {
    struct arena_block *first;
};

/* The end of the arena, in constant time: what it holds goes into the bin. NULL: arena_free. No arena with a pool. */
void arena_leave(struct arena *a, struct arena_bin *bin);
/* Give one block back (256 KiB, but for single wishes that are larger). False: the bin is empty. */
bool arena_bin_give_one(struct arena_bin *bin);
/* Give all of it back. */
void arena_bin_empty(struct arena_bin *bin);

void *arena_take_slow(struct arena *a, size_t size, size_t align);

/* Zeroed, aligned for anything. */
void *arena_take(struct arena *a, size_t size) MUST_USE;
/* Not zeroed, not aligned: text. */
static inline char *arena_take_bytes(struct arena *a, size_t size)
{
    char *at = a->at;

    if (LIKELY(size <= (size_t)(a->end - at))) {
        MEMORY_UNPOISON(at, size);
        a->at = at + size;
        return at;
    }
    return arena_take_slow(a, size, 1);
}

#define ARENA_NEW(a, type)      ((type *)arena_take((a), sizeof(type)))
#define ARENA_ARRAY(a, type, n) ((type *)arena_take((a), sizeof(type) * (size_t)(n)))

#endif

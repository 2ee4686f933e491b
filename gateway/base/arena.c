/* Bump allocation that is freed whole. */
#include "gateway/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/pool.h"

#define BLOCK_SIZE ((size_t)4096) /* of malloc'd blocks; larger wishes get a block of their own */

void arena_init(struct arena *a, struct pool *pool)
{
    *a = (struct arena){ .pool = pool };
}

void arena_lend(struct arena *a, void *memory, size_t size)
{
    CHECK(a->blocks == NULL);
    a->at = memory;
    a->end = a->at + size;
    MEMORY_POISON(memory, size);
}

void arena_free(struct arena *a)
{
    struct arena_block *next;

    for (struct arena_block *b = a->blocks; b; b = next) {
        next = b->next;
        MEMORY_UNPOISON(b, b->size);
        if (b->from_pool)
            pool_give(a->pool, b);
        else
            free(b);
    }
    a->blocks = NULL;
    a->at = a->end = NULL;
}

static void add_block(struct arena *a, size_t wanted)
{
    size_t size = wanted + sizeof(struct arena_block);
    bool from_pool = a->pool && size <= a->pool->size;
    struct arena_block *b;

    if (from_pool) {
        size = a->pool->size;
        b = pool_take(a->pool);
    } else {
        size = size < BLOCK_SIZE ? BLOCK_SIZE : size;
        b = malloc(size);
        if (!b)
            die("out of memory for %zu bytes", size);
    }
    *b = (struct arena_block){ .next = a->blocks, .size = size, .from_pool = from_pool };
    a->blocks = b;
    a->at = (char *)(b + 1);
    a->end = (char *)b + size;
    MEMORY_POISON(a->at, (size_t)(a->end - a->at));
}

void *arena_take_slow(struct arena *a, size_t size, size_t align)
{
    size_t skip = (size_t)(-(uintptr_t)a->at) & (align - 1);
    char *at;

    if (!a->at || skip > (size_t)(a->end - a->at) || size > (size_t)(a->end - a->at) - skip) {
        CHECK(size < SIZE_MAX / 2);
        add_block(a, size + align);
        skip = (size_t)(-(uintptr_t)a->at) & (align - 1);
    }
    at = a->at + skip;
    a->at = at + size;
    MEMORY_UNPOISON(at, size);
    return at;
}

void *arena_take(struct arena *a, size_t size)
{
    return memset(arena_take_slow(a, size, _Alignof(max_align_t)), 0, size);
}

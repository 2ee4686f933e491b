/* Bump allocation that is freed whole. */
#include "gateway/base/arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "gateway/base/pool.h"

/* Larger wishes get a block of their own. */
#define BLOCK_SIZE   ((size_t)4096)       /* of malloc's */
#define LARGE_FROM   ((size_t)64 * 1024)  /* who holds so much goes on with the system's */
#define SYSTEM_BLOCK ((size_t)256 * 1024) /* of which only what is touched is memory */

/* ---- blocks of the system's ---- */

#ifdef UNDER_ASAN /* which looks for lost blocks, and for pointers in blocks, only among malloc's */
static void *system_take(size_t size)
{
    return calloc(1, size);
}

static void system_give(void *block, size_t size)
{
    (void)size;
    free(block);
}
#else
static void *system_take(size_t size)
{
    void *block = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    return block == MAP_FAILED ? NULL : block;
}

static void system_give(void *block, size_t size)
{
    munmap(block, size);
}
#endif

/* ---- the life of an arena ---- */

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

static void give_back(struct arena_block *b, struct pool *pool)
{
    MEMORY_UNPOISON(b, b->size);
    switch (b->from) {
    case ARENA_FROM_MALLOC:
        free(b);
        return;
    case ARENA_FROM_POOL:
        pool_give(pool, b);
        return;
    case ARENA_FROM_SYSTEM:
        system_give(b, b->size);
        return;
    }
}

void arena_free(struct arena *a)
{
    struct arena_block *next;

    for (struct arena_block *b = a->blocks; b; b = next) {
        next = b->next;
        give_back(b, a->pool);
    }
    a->blocks = NULL;
    a->at = a->end = NULL;
}

/* ---- a bin ---- */

/* A late reader is caught in the act while it lies in the bin, too. */
static void poison(struct arena_block *blocks)
{
#ifdef UNDER_ASAN
    for (struct arena_block *b = blocks; b; b = b->next)
        MEMORY_POISON(b + 1, b->size - sizeof *b);
#else
    (void)blocks;
#endif
}

void arena_leave(struct arena *a, struct arena_bin *bin)
{
    struct arena_block *first = a->blocks;

    if (!bin || !first) {
        arena_free(a);
        return;
    }
    CHECK(a->pool == NULL);
    poison(first);
    first->beside = bin->first;
    bin->first = first;
    a->blocks = NULL;
    a->at = a->end = NULL;
}

bool arena_bin_give_one(struct arena_bin *bin)
{
    struct arena_block *b = bin->first;

    if (!b)
        return false;
    if (b->next)
        b->next->beside = b->beside;
    bin->first = b->next ? b->next : b->beside;
    give_back(b, NULL);
    return true;
}

void arena_bin_empty(struct arena_bin *bin)
{
    while (arena_bin_give_one(bin))
        ;
}

/* ---- taking ---- */

static struct arena_block *block_new(struct arena *a, size_t size, size_t before)
{
    enum arena_source from = ARENA_FROM_MALLOC;
    struct arena_block *b;

    if (a->pool && size <= a->pool->size) {
        from = ARENA_FROM_POOL;
        size = a->pool->size;
        b = pool_take(a->pool);
    } else if (!a->pool && before + size > LARGE_FROM) {
        from = ARENA_FROM_SYSTEM;
        size = size < SYSTEM_BLOCK ? SYSTEM_BLOCK : (size + BLOCK_SIZE - 1) & ~(BLOCK_SIZE - 1);
        b = system_take(size);
    } else {
        size = size < BLOCK_SIZE ? BLOCK_SIZE : size;
        b = malloc(size);
    }
    if (!b)
        die("out of memory for %zu bytes", size);
    *b = (struct arena_block){
        .next = a->blocks, .size = size, .total = before + size, .from = from
    };
    return b;
}

static void add_block(struct arena *a, size_t wanted)
{
    size_t before = a->blocks ? a->blocks->total : 0;
    struct arena_block *b = block_new(a, wanted + sizeof *b, before);

    a->blocks = b;
    a->at = (char *)(b + 1);
    a->end = (char *)b + b->size;
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
    void *at = arena_take_slow(a, size, _Alignof(max_align_t));

    /* The system's blocks are zeroed; to say it again to a large table would bring in every page of it at once. */
    if (UNLIKELY(size >= LARGE_FROM) && a->blocks && a->blocks->from == ARENA_FROM_SYSTEM)
        return at;
    return memset(at, 0, size);
}

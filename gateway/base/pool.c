/* Objects of one size on a free list. */
#include "gateway/base/pool.h"

#include <stdlib.h>

#define SLAB_SIZE ((size_t)64 * 1024)

void pool_init(struct pool *p, size_t size, size_t keep)
{
    size_t align = _Alignof(max_align_t);

    CHECK(size >= sizeof(struct pool_free));
    *p = (struct pool){ .size = (size + align - 1) & ~(align - 1), .keep = keep };
}

static void put_free(struct pool *p, void *object)
{
    struct pool_free *f = object;

    f->next = p->list;
    p->list = f;
    p->free++;
    MEMORY_POISON(object, p->size);
}

static void add_slab(struct pool *p)
{
    size_t first = _Alignof(max_align_t);
    size_t count = p->size * 4 > SLAB_SIZE - first ? 4 : (SLAB_SIZE - first) / p->size;
    char *slab = malloc(first + count * p->size);

    if (!slab)
        die("out of memory for a slab of %zu objects of %zu bytes", count, p->size);
    *(void **)slab = p->slabs;
    p->slabs = slab;
    for (size_t i = count; i-- > 0;)
        put_free(p, slab + first + i * p->size);
}

void *pool_take(struct pool *p)
{
    struct pool_free *f;

    if (!p->list) {
        if (p->keep) {
            f = malloc(p->size);
            if (!f)
                die("out of memory for an object of %zu bytes", p->size);
            p->used++;
            return f;
        }
        add_slab(p);
    }
    f = p->list;
    MEMORY_UNPOISON(f, p->size);
    p->list = f->next;
    p->free--;
    p->used++;
    return f;
}

void pool_give(struct pool *p, void *object)
{
    CHECK(p->used > 0);
    p->used--;
    if (p->keep && p->free >= p->keep)
        free(object);
    else
        put_free(p, object);
}

void pool_end(struct pool *p)
{
    void *next;

    CHECK(p->used == 0);
    while (p->keep && p->list) {
        struct pool_free *f = p->list;

        MEMORY_UNPOISON(f, p->size);
        p->list = f->next;
        free(f);
    }
    for (void *slab = p->slabs; slab; slab = next) {
        next = *(void **)slab;
        free(slab);
    }
    *p = (struct pool){ .size = p->size, .keep = p->keep };
}

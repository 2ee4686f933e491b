/* Objects of one size on a free list: connections, exchanges, buffers.
 *
 * Taking and giving are a pointer move; memory comes in slabs and stays with the pool, except that what
 * lies free above `keep` objects goes back to the system when objects are large (see pool_init). One
 * process, one thread. A given object is poisoned under ASan.
 */
#ifndef GATEWAY_BASE_POOL_H
#define GATEWAY_BASE_POOL_H

#include <stddef.h>

#include "gateway/base/check.h"

struct pool_free {
    struct pool_free *next;
};

struct pool {
    size_t size; /* of one object */
    size_t keep; /* free objects kept; more are given back to the system. 0: keep all (slabs) */
    size_t used, free; /* counts */
    struct pool_free *list;
    void *slabs;
};

/* size     bytes of an object, at least a pointer
 * keep     0: small objects, carved from slabs that stay. Otherwise each object is a mapping or malloc
 *          of its own and at most `keep` of them lie free. */
void pool_init(struct pool *p, size_t size, size_t keep);
/* Not zeroed. Never NULL: dies when memory is gone. */
void *pool_take(struct pool *p) MUST_USE;
void pool_give(struct pool *p, void *object);
/* Give all slabs back; nothing may be in use. */
void pool_end(struct pool *p);

#endif

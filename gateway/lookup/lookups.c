/* A worker's stores. */
#include "gateway/lookup/lookups.h"

#include <stdlib.h>

#include "gateway/base/check.h"
#include "gateway/base/number.h"
#include "gateway/base/random.h"
#include "gateway/lookup/redis_store.h"
#include "workers/loop.h"

#define UNUSED_FOR (60 * NS_PER_S) /* then a store is closed */
#define SWEEP_NS   (15 * NS_PER_S)

struct lookups {
    struct loop *loop;
    struct pool *conns;
    struct lookups_observer observer;
    struct random random;
    struct timer sweep;
    struct redis_store **stores; /* few; the first is the likely one */
    size_t count, room;
};

static void on_sweep(struct timer *t)
{
    struct lookups *l = CONTAINER(t, struct lookups, sweep);
    uint64_t now = l->loop->now_ns, since = now > UNUSED_FOR ? now - UNUSED_FOR : 0;
    size_t kept = 0;

    for (size_t i = 0; i < l->count; i++) {
        if (redis_store_is_idle_since(l->stores[i], since))
            redis_store_end(l->stores[i]);
        else
            l->stores[kept++] = l->stores[i];
    }
    l->count = kept;
    if (l->count > 0)
        timer_set(&l->loop->timers, &l->sweep, now + SWEEP_NS);
}

struct lookups *lookups_new(struct loop *l, struct pool *conns,
                            const struct lookups_observer *observer)
{
    struct lookups *lookups = calloc(1, sizeof *lookups);

    if (!lookups)
        die("out of memory for lookups");
    lookups->loop = l;
    lookups->conns = conns;
    if (observer)
        lookups->observer = *observer;
    random_seed(&lookups->random);
    timer_init(&lookups->sweep, on_sweep);
    return lookups;
}

static struct redis_store *add(struct lookups *l, const struct redis_target *t)
{
    if (l->count == l->room) {
        l->room = l->room ? l->room * 2 : 4;
        l->stores = realloc(l->stores, l->room * sizeof(struct redis_store *));
        if (!l->stores)
            die("out of memory for %zu stores", l->room);
    }
    if (l->count == 0)
        timer_set(&l->loop->timers, &l->sweep, l->loop->now_ns + SWEEP_NS);
    l->stores[l->count] = redis_store_new(l->loop, l->conns, &l->random, &l->observer, t);
    return l->stores[l->count++];
}

struct redis_store *lookups_redis(struct lookups *l, const struct redis_target *t)
{
    CHECK(t->id != 0); /* sealed */
    for (size_t i = 0; i < l->count; i++)
        if (redis_store_id(l->stores[i]) == t->id)
            return l->stores[i];
    return add(l, t);
}

void lookups_end(struct lookups *l)
{
    while (l->count > 0)
        redis_store_end(l->stores[--l->count]);
    timer_remove(&l->loop->timers, &l->sweep);
    free(l->stores);
    free(l);
}

/* What a store is, by value. */
#include "conf/store.h"
#include "gateway/base/arena.h"
#include "gateway/base/hash.h"
#include "gateway/lookup/redis.h"

/* Not keyed: only the configuration decides on it. */
static void mix(uint64_t *id, const void *at, size_t len)
{
    struct hash_key key = { *id, len };

    *id = hash_keyed(&key, at, len);
}

void redis_target_seal(struct redis_target *t)
{
    uint64_t numbers[] = { (uint64_t)t->mode, t->address_count, t->database,       t->connect_ns,
                           t->timeout_ns,     t->open_after,    t->retry_every_ns, t->connections };

    t->id = 1;
    mix(&t->id, numbers, sizeof numbers);
    mix(&t->id, t->name.at, t->name.len);
    for (size_t i = 0; i < t->address_count; i++)
        mix(&t->id, t->addresses[i].at, t->addresses[i].len);
    mix(&t->id, t->master_name.at, t->master_name.len);
    mix(&t->id, t->username.at, t->username.len);
    mix(&t->id, t->password.at, t->password.len);
}

static enum redis_mode mode_of(const struct conf_redis *c)
{
    switch ((enum conf_redis_mode)c->mode) {
    case CONF_REDIS_SINGLE:
        return REDIS_SINGLE;
    case CONF_REDIS_SENTINEL:
        return REDIS_SENTINEL;
    case CONF_REDIS_CLUSTER:
        return REDIS_CLUSTER;
    }
    UNREACHABLE();
}

const struct redis_target *redis_target_of(struct arena *a, const struct conf_redis *c)
{
    struct redis_target *t = ARENA_NEW(a, struct redis_target);
    struct str *addresses = ARENA_ARRAY(a, struct str, c->address_count + 1);

    for (size_t i = 0; i < c->address_count; i++)
        addresses[i] = str_keep(a, c->addresses[i]);
    *t = (struct redis_target){ .name = str_keep(a, c->name),
                                .mode = mode_of(c),
                                .addresses = addresses,
                                .address_count = c->address_count,
                                .database = conf_redis_database(c),
                                .master_name = str_keep(a, c->master_name),
                                .username = str_keep(a, c->username),
                                .password = str_keep(a, c->password),
                                .connect_ns = c->connect_timeout,
                                .timeout_ns = c->timeout,
                                .open_after = c->outage.open_after,
                                .retry_every_ns = c->outage.retry_every,
                                .connections = c->pool.per_worker };
    redis_target_seal(t);
    return t;
}

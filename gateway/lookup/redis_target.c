/* What a store is, by value. */
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
    t->id |= t->id == 0; /* 0 is not sealed */
}

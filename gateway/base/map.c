/* Text -> pointer, open addressing. */
#include "gateway/base/map.h"

#include "gateway/base/arena.h"
#include "gateway/base/hash.h"

void map_init(struct map *m, struct arena *a)
{
    *m = (struct map){ .arena = a };
}

/* The place of `key`: its entry, or the empty one where it would go. */
static struct map_entry *place_of(const struct map *m, struct str key)
{
    static const struct hash_key open = { 0, 0 };
    size_t i = (size_t)hash_str(&open, key);

    for (;; i++) {
        struct map_entry *e = &m->entries[i & (m->places - 1)];

        if (!e->value || str_equal(e->key, key))
            return e;
    }
}

static void grow(struct map *m)
{
    struct map was = *m;

    m->places = was.places ? was.places * 2 : 8;
    m->entries = ARENA_ARRAY(m->arena, struct map_entry, m->places);
    MAP_EACH(&was, e)
    *place_of(m, e->key) = *e;
}

void *map_get(const struct map *m, struct str key)
{
    return m->places ? place_of(m, key)->value : NULL;
}

void map_set(struct map *m, struct str key, void *value)
{
    struct map_entry *e;

    CHECK(value != NULL);
    if (m->count >= m->places / 2)
        grow(m);
    e = place_of(m, key);
    m->count += !e->value;
    *e = (struct map_entry){ key, value };
}

bool map_add(struct map *m, struct str key, void *value)
{
    if (map_get(m, key))
        return false;
    map_set(m, key, value);
    return true;
}

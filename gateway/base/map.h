/* Text -> pointer, for what is built at load time: names of services, variants, keys already seen.
 *
 * Lives in an arena and dies with it; grows by building a larger table beside the old one. Keys are
 * borrowed and must live as long. What clients fill does not belong here (see hash.h).
 */
#ifndef GATEWAY_BASE_MAP_H
#define GATEWAY_BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>

#include "gateway/base/check.h"
#include "gateway/base/str.h"

struct arena;

struct map_entry {
    struct str key;
    void *value; /* NULL: an empty place */
};

struct map {
    struct arena *arena;
    struct map_entry *entries;
    size_t count, places; /* places: 0 or a power of two */
};

void map_init(struct map *m, struct arena *a);
/* The value, or NULL. */
void *map_get(const struct map *m, struct str key);
/* False, and nothing changed, if the key is there already. `value` is not NULL. */
bool map_add(struct map *m, struct str key, void *value) MUST_USE;
/* Add or replace. */
void map_set(struct map *m, struct str key, void *value);

/* Every entry, in no order: MAP_EACH(&m, e) use(e->key, e->value); */
#define MAP_EACH(m, e)                                                                             \
    for (const struct map_entry *e = (m)->entries; e && e < (m)->entries + (m)->places; e++)       \
        if (e->value)

#endif

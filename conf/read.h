/* Walk a tree with a table: fill a settings struct, report every problem on the way.
 *
 * Settings come in layers: defaults, then one block after the other on top. A map adds to what the layers
 * below said, anything else replaces it.
 */
#ifndef CONF_READ_H
#define CONF_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/schema.h"

/* The keys that some layer has given: bit i is schema->keys[i]. */
struct conf_given {
    uint64_t bits;
};

/* A zeroed settings struct gets its defaults; required keys stay 0. A default that its own reader refuses is a bug: dies. */
void conf_read_defaults(const struct conf_schema *s, void *settings, struct arena *a);
/* One layer. Unknown keys are problems, except those in `also` (NULL, or ended by NULL), which somebody else reads.
 * True if nothing was wrong. */
bool conf_read_layer(const struct conf_schema *s, const struct conf_node *block, void *settings,
                     struct conf_given *given, const char *const *also, struct arena *a,
                     struct conf_problems *p);
/* After the last layer: report required keys that nobody gave, then, if all was well, ask schema->check. */
bool conf_read_finish(const struct conf_schema *s, const struct conf_node *at, const void *settings,
                      const struct conf_given *given, bool good, struct conf_problems *p);
/* The three in one, for a block with one layer; `block` NULL or empty: the defaults. */
bool conf_read_block(const struct conf_schema *s, const struct conf_node *block, void *settings,
                     struct arena *a, struct conf_problems *p);
/* One key's field from one node. */
bool conf_read_key(const struct conf_key *key, const struct conf_node *n, void *settings,
                   struct arena *a, struct conf_problems *p);
/* The name that a slip of the fingers could have made into `name`, or NULL. `offer` names the candidates one by one
 * and returns NULL past the last. */
const char *conf_nearest(struct str name, const char *(*offer)(const void *from, size_t i),
                         const void *from);

#endif

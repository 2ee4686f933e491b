/* Consumers as they are looked for: by the digest of the key that somebody presents.
 *
 * Const once built. Counted with a plain integer (one process, one thread): snapshots and their parts hold one, so what an
 * exchange knows of who asks lives as long as the part that it began with.
 */
#ifndef GATEWAY_EXCHANGE_CONSUMERS_H
#define GATEWAY_EXCHANGE_CONSUMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/settings.h"
#include "gateway/base/arena.h"
#include "gateway/base/cidr.h"
#include "gateway/base/digest.h"
#include "gateway/base/str.h"

struct consumer {
    struct str name, plan; /* plan empty: none */
    uint32_t plan_number;  /* in conf_globals.plans, from 1; 0: none */
    uint32_t group_count, service_count, allow_count;
    const struct str *groups;
    struct str groups_text;     /* all of them, with commas between */
    const struct str *services; /* that it may ask, sorted; none: all */
    const struct cidr *allow;   /* addresses that it may ask from; none: all */
};

struct consumer_key {
    struct digest digest;
    uint64_t expires_ns; /* wall clock; 0: never */
    const struct consumer *consumer;
};

struct consumers;

/* Empty, held once, with room for so many keys. hash: of its source; equal: the same consumers. */
struct consumers *consumers_new(uint64_t hash, size_t keys);
void consumers_hold(struct consumers *all);
/* NULL is allowed. bin: where the memory of very many goes that nobody holds any more; NULL: back at once. */
void consumers_release(struct consumers *all, struct arena_bin *bin);
uint64_t consumers_hash(const struct consumers *all);
/* Where conf_read_consumer is to put what consumers_add is given. */
struct arena *consumers_arena(struct consumers *all);
/* c lives in consumers_arena. Two keys of one digest have been refused before. */
void consumers_add(struct consumers *all, const struct conf_consumer *c,
                   const struct conf_list *plans);

/* Whose key is it? NULL: nobody's. Takes about as long for many keys as for few, and says nothing by how long it takes
 * about how much of a key was right. */
const struct consumer_key *consumers_find(const struct consumers *all, struct str key);
bool consumer_may_ask(const struct consumer *c, struct str service);
bool consumer_may_come_from(const struct consumer *c, const struct ip *address);

#endif

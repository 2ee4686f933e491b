/* Consumers by the digests of their keys.
 *
 * Open addressing by the first bytes of the digest, which nobody can choose: to make many keys meet in one place they would
 * have to be in the table, and who asks puts nothing there.
 */
#include "gateway/exchange/consumers.h"

#include <stdlib.h>

struct place {
    uint64_t front;                 /* of the digest */
    const struct consumer_key *key; /* NULL: free */
};

struct consumers {
    uint32_t holders;
    uint64_t hash;
    struct arena arena;
    struct place *places;
    size_t count, mask; /* places, a power of two, minus one; at most half are taken */
};

struct consumers *consumers_new(uint64_t hash, size_t keys)
{
    struct consumers *all = calloc(1, sizeof *all);

    if (!all)
        die("out of memory for consumers");
    all->holders = 1;
    all->hash = hash;
    arena_init(&all->arena, NULL);
    all->mask = 1;
    while (all->mask + 1 < 2 * keys)
        all->mask = all->mask * 2 + 1;
    all->places = ARENA_ARRAY(&all->arena, struct place, all->mask + 1);
    return all;
}

void consumers_hold(struct consumers *all)
{
    all->holders++;
}

void consumers_release(struct consumers *all, struct arena_bin *bin)
{
    if (!all)
        return;
    CHECK(all->holders > 0);
    if (--all->holders > 0)
        return;
    arena_leave(&all->arena, bin);
    free(all);
}

uint64_t consumers_hash(const struct consumers *all)
{
    return all->hash;
}

struct arena *consumers_arena(struct consumers *all)
{
    return &all->arena;
}

static uint64_t front_of(const struct digest *d)
{
    uint64_t front;

    memcpy(&front, d->at, sizeof front);
    return front;
}

static void put(struct consumers *all, struct place p)
{
    size_t i = p.front & all->mask;

    while (all->places[i].key)
        i = (i + 1) & all->mask;
    all->places[i] = p;
}

static void add_key(struct consumers *all, const struct consumer *who,
                    const struct conf_consumer_key *conf)
{
    struct consumer_key *key = ARENA_NEW(&all->arena, struct consumer_key);

    *key = (struct consumer_key){ .digest = *conf_consumer_digest(conf),
                                  .expires_ns = conf->expires,
                                  .consumer = who };
    CHECK(++all->count * 2 <= all->mask + 1);
    put(all, (struct place){ front_of(&key->digest), key });
}

static int compare(const void *a, const void *b)
{
    return str_compare(*(const struct str *)a, *(const struct str *)b);
}

static struct str joined(struct arena *a, const struct conf_list *texts)
{
    const struct str *text = texts->items;
    struct str all = STR_NONE;

    for (size_t i = 0; i < texts->count; i++)
        all = str_format(a, "%.*s%s%.*s", STR_ARGS(all), i ? "," : "", STR_ARGS(text[i]));
    return all;
}

void consumers_add(struct consumers *all, const struct conf_consumer *c,
                   const struct conf_list *plans)
{
    struct consumer *who = ARENA_NEW(&all->arena, struct consumer);
    const struct conf_consumer_key *keys = c->keys.items;
    size_t plan = conf_plan_named(plans, c->plan);

    *who = (struct consumer){ .name = c->name,
                              .plan = c->plan,
                              .plan_number = plan < plans->count ? (uint32_t)plan + 1 : 0,
                              .group_count = (uint32_t)c->groups.count,
                              .service_count = (uint32_t)c->services.count,
                              .allow_count = (uint32_t)c->allow_ips.count,
                              .groups = c->groups.items,
                              .groups_text = joined(&all->arena, &c->groups),
                              .services = c->services.items,
                              .allow = c->allow_ips.items };
    if (c->services.count)
        qsort(c->services.items, c->services.count, sizeof(struct str), compare);
    for (size_t i = 0; i < c->keys.count; i++)
        add_key(all, who, &keys[i]);
}

const struct consumer_key *consumers_find(const struct consumers *all, struct str key)
{
    const struct digest d = digest_of(key);
    uint64_t front = front_of(&d);

    for (size_t i = front & all->mask; all->places[i].key; i = (i + 1) & all->mask)
        if (all->places[i].front == front && digest_equal(&all->places[i].key->digest, &d))
            return all->places[i].key;
    return NULL;
}

bool consumer_may_ask(const struct consumer *c, struct str service)
{
    return c->service_count == 0 ||
           bsearch(&service, c->services, c->service_count, sizeof service, compare) != NULL;
}

bool consumer_may_come_from(const struct consumer *c, const struct ip *address)
{
    return c->allow_count == 0 || cidr_any_holds(c->allow, c->allow_count, address);
}

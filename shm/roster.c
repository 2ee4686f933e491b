/* The list is a board; health is found by the hash of the address, claimed by CAS, never freed. */
#include "shm/roster.h"

#include <string.h>

#define HEALTH_MAX (2 * ROSTER_MAX)

struct roster_shared {
    _Alignas(CACHE_LINE) shared_word turn;
    struct roster_health health[HEALTH_MAX];
    struct board list; /* last: its copies follow */
};

#define LIST_BYTES (ROSTER_MAX * sizeof(struct roster_endpoint))

bool roster_table(struct region *r, struct str service, struct roster *out)
{
    out->key = region_header(r)->key;
    out->shared = region_table(r, TABLE_ROSTER, service,
                               offsetof(struct roster_shared, list) + board_size(LIST_BYTES));
    return out->shared != NULL;
}

static bool same_endpoint(const struct roster_endpoint *a, const struct roster_endpoint *b)
{
    return a->weight == b->weight && a->flags == b->flags &&
           strncmp(a->address, b->address, sizeof a->address) == 0;
}

bool roster_publish(const struct roster *r, const struct roster_endpoint *endpoints, size_t count)
{
    struct roster_list now = { 0 }, next = { 0 };

    next.count = (uint32_t)(count < ROSTER_MAX ? count : ROSTER_MAX);
    roster_read(r, &now);
    for (uint32_t i = 0; i < next.count; i++) {
        /* bytes behind the end of a text are nobody's business */
        memcpy(next.endpoints[i].address, endpoints[i].address,
               strnlen(endpoints[i].address, ROSTER_ADDRESS - 1));
        next.endpoints[i].weight = endpoints[i].weight;
        next.endpoints[i].flags = endpoints[i].flags;
    }
    if (now.version && now.count == next.count) {
        uint32_t same = 0;

        while (same < next.count && same_endpoint(&now.endpoints[same], &next.endpoints[same]))
            same++;
        if (same == next.count)
            return false;
    }
    board_publish(&r->shared->list, LIST_BYTES, next.endpoints,
                  next.count * sizeof next.endpoints[0]);
    return true;
}

bool roster_read(const struct roster *r, struct roster_list *list)
{
    struct roster_endpoint copy[ROSTER_MAX];
    uint64_t version;
    size_t len;

    if (board_sequence(&r->shared->list) == list->version ||
        !board_read(&r->shared->list, LIST_BYTES, copy, &len, &version))
        return false;
    memcpy(list->endpoints, copy, len);
    list->count = (uint32_t)(len / sizeof copy[0]);
    list->version = version;
    return true;
}

struct roster_health *roster_health_of(const struct roster *r, struct str address)
{
    uint64_t hash = hash_str(&r->key, address) | 1; /* 0 is free */

    for (uint64_t n = 0; n < HEALTH_MAX; n++) {
        struct roster_health *h = &r->shared->health[(hash / 2 + n) % HEALTH_MAX];
        uint64_t seen = word_peek(&h->address_hash);

        /* what a newcomer finds behind the hash is zeros, so there is nothing to order */
        if (seen == hash ||
            (seen == 0 && (word_swap(&h->address_hash, &seen, hash) || seen == hash)))
            return h;
    }
    return NULL;
}

uint64_t roster_turn(const struct roster *r)
{
    return word_add(&r->shared->turn, 1);
}

/* The block of memory that is a router: what router_builder.c makes and router.c looks into. Nobody else does.
 *
 * Nodes and leaves (routes) are slots of one cache line each in one array, a leaf mostly right behind its node; an
 * edge is an entry of one hash table, found by the number of the parent and the text of the segment. With ten
 * thousand routes it is the cache lines and pages touched that cost: a look-up of one segment touches an edge, a
 * node and the leaf beside it.
 */
#ifndef GATEWAY_EXCHANGE_ROUTER_BLOCK_H
#define GATEWAY_EXCHANGE_ROUTER_BLOCK_H

#include "gateway/exchange/router.h"

#define ROUTER_NOTHING  UINT32_MAX
#define ROUTER_HOST_MAX 255

/* Nodes that are always there. The hosts hang below the first two, in the same table as segments. */
enum { ROUTER_HOSTS, ROUTER_WILDCARDS, ROUTER_ANY_HOST, ROUTER_FIRST_FREE };

#define ROUTER_TEXT_INSIDE 32 /* bytes of a segment that lie in its node */

struct router_node {
    uint32_t parent, hash; /* the edge that leads here is found by both, and by the text */
    uint32_t variable;     /* the child for any segment, or ROUTER_NOTHING */
    uint32_t exact, below; /* lists of leaves */
    bool has_children;
    uint32_t len;
    union {
        char inside[ROUTER_TEXT_INSIDE];
        uint32_t at; /* in router.text, of a longer one */
    } text;
};

struct router_leaf {
    void *route;
    struct str label;
    const void *owner;
    uint32_t methods, priority;
    uint32_t next;      /* of the same host and path, by falling priority */
    uint32_t variables; /* index of the first */
    uint32_t variable_count;
};

#define ROUTER_LINE 64
union router_slot {
    struct router_node node;
    struct router_leaf leaf;
};
_Static_assert(sizeof(union router_slot) == ROUTER_LINE, "a slot is a cache line");

struct router_variable {
    struct str name;
    uint32_t depth;
};

struct router {
    size_t size;
    const union router_slot *slots;
    const struct router_variable *variables;
    const uint32_t *edges; /* nodes by hash, open addressing; ROUTER_NOTHING: free */
    const char *text;
    uint32_t edge_mask;
    uint32_t labels; /* of the wildcard with the most; 0: there is none */
    bool has_hosts;
};

static inline uint64_t router_mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* 1 to 7 bytes as a number. */
static inline uint64_t router_load_short(const char *p, size_t len)
{
    uint32_t low, high;

    if (len >= 4) {
        memcpy(&low, p, 4);
        memcpy(&high, p + len - 4, 4);
        return (uint64_t)high << 32 | low;
    }
    return (uint64_t)(unsigned char)p[0] << 16 | (uint64_t)(unsigned char)p[len / 2] << 8 |
           (unsigned char)p[len - 1];
}

/* Not keyed: what is in the table comes from the configuration, so no client can crowd it. */
static inline uint64_t router_hash_text(struct str s)
{
    uint64_t hash = s.len * UINT64_C(0x9e3779b97f4a7c15), word;
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8) {
        memcpy(&word, s.at + i, 8);
        hash = router_mix(hash ^ word, UINT64_C(0xa0761d6478bd642f));
    }
    if (i < s.len)
        hash =
            router_mix(hash ^ router_load_short(s.at + i, s.len - i), UINT64_C(0xe7037ed1a0b428db));
    return hash;
}

static inline uint32_t router_hash_edge(uint32_t parent, uint64_t text_hash)
{
    return (uint32_t)(router_mix(text_hash ^ parent, UINT64_C(0x8ebc6af09c88c6e3)) >> 16);
}

/* The tables of a router that is made or being made. */
struct router_tables {
    const union router_slot *slots;
    const char *text;
    const uint32_t *edges;
    uint32_t edge_mask;
};

static inline struct str router_node_text(const struct router_tables *t,
                                          const struct router_node *n)
{
    return str_of(n->len > ROUTER_TEXT_INSIDE ? t->text + n->text.at : n->text.inside, n->len);
}

static inline uint32_t router_find_edge(const struct router_tables *t, uint32_t parent,
                                        struct str text, uint64_t text_hash)
{
    uint32_t hash = router_hash_edge(parent, text_hash);

    for (uint32_t i = hash & t->edge_mask;; i = (i + 1) & t->edge_mask) {
        uint32_t found = t->edges[i];
        const struct router_node *n = &t->slots[found == ROUTER_NOTHING ? 0 : found].node;

        if (found == ROUTER_NOTHING)
            return ROUTER_NOTHING;
        if (n->hash == hash && n->parent == parent && str_equal(router_node_text(t, n), text))
            return found;
    }
}

/* As hosts are compared: in small letters, at `to` (ROUTER_HOST_MAX bytes). */
static inline struct str router_fold_host(struct str host, char *to)
{
    for (size_t i = 0; i < host.len; i++)
        to[i] = (char)ascii_fold((unsigned char)host.at[i]);
    return str_of(to, host.len);
}

/* Of a host: its dots and one. */
static inline uint32_t router_count_labels(struct str name)
{
    uint32_t count = 1;

    for (size_t i = 0; i < name.len; i++)
        count += name.at[i] == '.';
    return count;
}

#endif

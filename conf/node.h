/* One place of a configuration as it was written: a scalar, a list or a map, with line and column.
 *
 * Nodes belong to their tree (conf/tree.h) and are const once it is built.
 */
#ifndef CONF_NODE_H
#define CONF_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/problems.h"
#include "gateway/base/arena.h"
#include "gateway/base/map.h"
#include "gateway/base/str.h"

#define CONF_DEPTH_MAX 32 /* of a tree: maps in lists in maps ... */

enum conf_kind { CONF_SCALAR, CONF_LIST, CONF_MAP };

struct conf_node {
    enum conf_kind kind;
    bool quoted;              /* a scalar in quotes is text, never nothing */
    bool broken;              /* what is wrong with it has been reported: say no more */
    bool from_env;            /* holds a value of ${...}: not for logs */
    struct conf_place at;     /* of the value */
    struct conf_place key_at; /* of the key, in a map; else as `at` */
    struct str key;           /* its name in the map above, else empty */
    struct str text;          /* a scalar's value */
    uint32_t index;           /* its number in the list or map above */
    uint32_t count;           /* of children */
    const struct conf_node *parent;
    struct conf_node *first, *last, *next; /* children in the order of the file; the next sibling */
    struct map *names;                     /* key -> child, for maps of many */
    uint64_t hash;                         /* see conf_node_hash */
};

/* The value of `key`, or NULL. NULL for what is no map. */
const struct conf_node *conf_node_get(const struct conf_node *map, struct str key);
/* The i-th child, or NULL; fast when asked in order is not needed: walk first/next instead. */
const struct conf_node *conf_node_at(const struct conf_node *list, size_t i);
/* Nothing was written: `key:` or `key: ~` or `key: null`. */
bool conf_node_is_empty(const struct conf_node *n);
/* services[0].rate_limit_rps; keys that are not plain words are quoted. */
struct str conf_node_path(const struct conf_node *n, struct arena *a);
/* A hash of what a node says, values of ${...} included and places and its own key not: equal before and after a reload
 * means unchanged. NULL has one too. Known once the tree is built, however large the node is. */
uint64_t conf_node_hash(const struct conf_node *n);

/* The node after `n` when walking everything from `top` on, parents before children; NULL at the end. */
const struct conf_node *conf_node_walk(const struct conf_node *n, const struct conf_node *top);

#define CONF_EACH(node, child)                                                                     \
    for (const struct conf_node *child = (node)->first; child; child = child->next)

#endif

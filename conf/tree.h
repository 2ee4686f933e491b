/* YAML as a tree of nodes that know their line and column.
 *
 * The tree is what people wrote, checked only for form: syntax, keys given twice, ${…} put in, aliases
 * and merge keys written out (each use is a copy, so that a node has one path). Limits keep hostile files
 * from costing more than their size: CONF_TREE_*.
 *
 * Building goes in slices, because a living worker reads the configuration between two turns of its loop:
 *
 *     t = conf_tree_begin(name, bytes, env, problems);
 *     while (!conf_tree_more(t, clock_now_ns() + NS_PER_MS))
 *         …another turn…
 *     root = conf_tree_root(t);         NULL: see problems
 */
#ifndef CONF_TREE_H
#define CONF_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/env.h"
#include "conf/problems.h"
#include "gateway/base/arena.h"
#include "gateway/base/str.h"

#define CONF_TREE_BYTES_MAX  ((size_t)16 << 20) /* of a file                                     */
#define CONF_TREE_DEPTH_MAX  32                /* maps in lists in maps …                       */
#define CONF_TREE_NODES_MAX  ((size_t)2000000) /* of a tree                                     */
#define CONF_TREE_COPIES_MAX ((size_t)100000)  /* nodes made by aliases and merge keys          */

enum conf_kind { CONF_SCALAR, CONF_LIST, CONF_MAP };

struct map;

struct conf_node {
    enum conf_kind kind;
    bool quoted;              /* a scalar in quotes is text, never nothing                   */
    bool from_env;            /* holds a value of ${…}: not for logs                         */
    struct conf_place at;     /* of the value                                                */
    struct conf_place key_at; /* of the key, in a map; else as `at`                          */
    struct str key;           /* its name in the map above, else empty                       */
    struct str text;          /* a scalar's value                                            */
    uint32_t index;           /* its number in the list or map above                         */
    uint32_t count;           /* of children                                                 */
    const struct conf_node *parent;
    struct conf_node *first, *last, *next; /* children in the order of the file; the next sibling */
    struct map *names; /* key -> child, for maps of many                              */
};

struct conf_tree;

/* file     the name for problems
 * bytes    the file; borrowed until the tree ends
 * env      where ${…} is found; borrowed
 * Never NULL; what is wrong is among the problems when conf_tree_more says that it is done. */
struct conf_tree *conf_tree_begin(struct str file, struct str bytes,
                                  const struct conf_env_source *env, struct conf_problems *p);
/* A slice, to about `until_ns` on clock_now_ns(). True when done, for better or worse. */
bool conf_tree_more(struct conf_tree *t, uint64_t until_ns) MUST_USE;
/* The outermost node, valid as long as the tree; NULL when the file has a problem of form. An empty file is an empty map. */
const struct conf_node *conf_tree_root(const struct conf_tree *t);
/* Ends the tree and every node of it, also in the middle of building. NULL is allowed. */
void conf_tree_free(struct conf_tree *t);
/* All at once. */
struct conf_tree *conf_tree_read(struct str file, struct str bytes,
                                 const struct conf_env_source *env,
                                 struct conf_problems *p) MUST_USE;

/* The value of `key`, or NULL. NULL for what is no map. */
const struct conf_node *conf_node_get(const struct conf_node *map, struct str key);
/* The i-th child, or NULL; fast when asked in order is not needed: walk first/next instead. */
const struct conf_node *conf_node_at(const struct conf_node *list, size_t i);
/* Nothing was written: `key:` or `key: ~` or `key: null`. */
bool conf_node_is_empty(const struct conf_node *n);
/* services[0].rate_limit_rps; keys that are not plain words are quoted. */
struct str conf_node_path(const struct conf_node *n, struct arena *a);
/* A hash of what a node says, values of ${…} included and places not: equal before and after a reload means
 * unchanged. NULL has one too. */
uint64_t conf_node_hash(const struct conf_node *n);

#define CONF_EACH(node, child)                                                                     \
    for (const struct conf_node *child = (node)->first; child; child = child->next)

#endif

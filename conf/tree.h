/* YAML as a tree of nodes that know their line and column.
 *
 * The tree is what people wrote, checked only for form: syntax, keys given twice, ${...} put in, aliases
 * and merge keys written out (each use is a copy, so that a node has one path). Limits keep hostile files
 * from costing more than their size: CONF_TREE_*.
 *
 * Building goes in slices, because a living worker reads the configuration between two turns of its loop:
 *
 *     t = conf_tree_begin(name, bytes, env, problems);
 *     while (!conf_tree_more(t, clock_now_ns() + NS_PER_MS))
 *         ...another turn...
 *     root = conf_tree_root(t);         NULL: see problems
 */
#ifndef CONF_TREE_H
#define CONF_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/env.h"
#include "conf/node.h"
#include "conf/problems.h"
#include "gateway/base/arena.h"
#include "gateway/base/str.h"

#define CONF_TREE_BYTES_MAX  ((size_t)16 << 20) /* of a file */
#define CONF_TREE_TEXT_MAX   ((size_t)64 << 20) /* of all values, ${...} put in */
#define CONF_TREE_NODES_MAX  ((size_t)2000000)
#define CONF_TREE_COPIES_MAX ((size_t)200000) /* nodes made by aliases, all together */
#define CONF_TREE_ALIAS_MAX  ((size_t)10000)  /* nodes made by one alias */

struct conf_tree;

/* file     the name for problems
 * bytes    the file; borrowed until the tree ends
 * env      where ${...} is found; borrowed
 * Never NULL; what is wrong is among the problems when conf_tree_more says that it is done. */
struct conf_tree *conf_tree_begin(struct str file, struct str bytes,
                                  const struct conf_env_source *env, struct conf_problems *p);
/* A slice, to about `until_ns` on clock_now_ns(). True when done, for better or worse. */
bool conf_tree_more(struct conf_tree *t, uint64_t until_ns) MUST_USE;
/* The outermost node, valid as long as the tree; NULL when the file has a problem of form. An empty file is an empty map. */
const struct conf_node *conf_tree_root(const struct conf_tree *t);
/* Ends the tree and every node of it, also in the middle of building. NULL is allowed. */
void conf_tree_free(struct conf_tree *t);
/* The same in constant time: a large tree is many megabytes, which go into the bin (NULL: back at once). */
void conf_tree_leave(struct conf_tree *t, struct arena_bin *bin);
/* All at once. */
struct conf_tree *conf_tree_read(struct str file, struct str bytes,
                                 const struct conf_env_source *env,
                                 struct conf_problems *p) MUST_USE;

#endif

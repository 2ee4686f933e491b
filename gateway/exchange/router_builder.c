/* Routes -> the block of memory that is a router, one at a time.
 *
 * While it is made its parts are arrays that double; finishing copies them behind one another, in pieces if need be.
 */
#include <stdlib.h>

#include "gateway/base/arena.h"
#include "gateway/exchange/router_block.h"
#include "gateway/http/octets.h"
#include "gateway/http/target.h"

/* An array that grows. */
struct items {
    void *at;
    uint32_t count, room;
};

struct router_builder {
    struct items slots, variables, text;
    uint32_t *edges;
    uint32_t edge_mask, edge_count;
    uint32_t labels;
    bool has_hosts;
    struct arena scratch;
    struct router *router; /* being copied to; NULL: not begun */
    size_t copied;
};

/* Room for `more` items at the end; returns the first, which is not counted yet. */
static void *items_room(struct items *items, size_t size, uint32_t more)
{
    if (more > items->room - items->count) {
        uint32_t room =
            items->room * 2 > items->count + more ? items->room * 2 : items->count + more + 16;

        items->at = realloc(items->at, size * room);
        if (!items->at)
            die("out of memory for %u entries of a router", room);
        items->room = room;
    }
    return (char *)items->at + size * items->count;
}

static struct router_node *node_at(struct router_builder *b, uint32_t i)
{
    return &((union router_slot *)b->slots.at)[i].node;
}

static struct router_leaf *leaf_at(struct router_builder *b, uint32_t i)
{
    return &((union router_slot *)b->slots.at)[i].leaf;
}

static struct router_tables tables_of(const struct router_builder *b)
{
    return (struct router_tables){
        .slots = b->slots.at, .text = b->text.at, .edges = b->edges, .edge_mask = b->edge_mask
    };
}

static void edges_make(struct router_builder *b, uint32_t count)
{
    b->edges = malloc(sizeof *b->edges * count);
    if (!b->edges)
        die("out of memory for %u edges of a router", count);
    for (uint32_t i = 0; i < count; i++)
        b->edges[i] = ROUTER_NOTHING;
    b->edge_mask = count - 1;
}

static void edges_put(struct router_builder *b, uint32_t node)
{
    uint32_t i = node_at(b, node)->hash & b->edge_mask;

    while (b->edges[i] != ROUTER_NOTHING)
        i = (i + 1) & b->edge_mask;
    b->edges[i] = node;
}

/* Half of the places stay free, so that a look-up rarely needs a second. */
static void edges_grow(struct router_builder *b)
{
    uint32_t *old = b->edges, count = b->edge_mask + 1;

    if (b->edge_count < count / 2)
        return;
    edges_make(b, count * 2);
    for (uint32_t i = 0; i < count; i++)
        if (old[i] != ROUTER_NOTHING)
            edges_put(b, old[i]);
    free(old);
}

static uint32_t add_node(struct router_builder *b)
{
    union router_slot *slot = items_room(&b->slots, sizeof *slot, 1);

    slot->node = (struct router_node){ .parent = ROUTER_NOTHING,
                                       .variable = ROUTER_NOTHING,
                                       .exact = ROUTER_NOTHING,
                                       .below = ROUTER_NOTHING };
    return b->slots.count++;
}

static uint32_t add_text(struct router_builder *b, struct str s)
{
    char *to = items_room(&b->text, 1, (uint32_t)s.len);

    memcpy(to, s.at, s.len);
    b->text.count += (uint32_t)s.len;
    return b->text.count - (uint32_t)s.len;
}

/* The child of `parent` by that text, made if need be. */
static uint32_t child_of(struct router_builder *b, uint32_t parent, struct str text)
{
    uint64_t text_hash = router_hash_text(text);
    struct router_tables t = tables_of(b);
    uint32_t child = router_find_edge(&t, parent, text, text_hash);
    struct router_node *n;

    if (child != ROUTER_NOTHING)
        return child;
    edges_grow(b);
    child = add_node(b);
    n = node_at(b, child);
    n->parent = parent;
    n->hash = router_hash_edge(parent, text_hash);
    n->len = (uint32_t)text.len;
    if (text.len <= ROUTER_TEXT_INSIDE)
        memcpy(n->text.inside, text.at, text.len);
    else
        n->text.at = add_text(b, text);
    node_at(b, parent)->has_children = true;
    edges_put(b, child);
    b->edge_count++;
    return child;
}

static uint32_t variable_child_of(struct router_builder *b, uint32_t parent)
{
    uint32_t child = node_at(b, parent)->variable;

    if (child == ROUTER_NOTHING) {
        child = add_node(b);
        node_at(b, parent)->variable = child;
    }
    return child;
}

struct router_builder *router_builder_new(void)
{
    struct router_builder *b = calloc(1, sizeof *b);

    if (!b)
        die("out of memory for a router");
    arena_init(&b->scratch, NULL);
    edges_make(b, 64);
    while (b->slots.count < ROUTER_FIRST_FREE)
        add_node(b);
    return b;
}

void router_builder_free(struct router_builder *b)
{
    router_free(b->router);
    free(b->slots.at);
    free(b->variables.at);
    free(b->text.at);
    free(b->edges);
    arena_free(&b->scratch);
    free(b);
}

/* --- patterns ----------------------------------------------------------------------------------- */

/* A pattern taken apart. */
struct parsed {
    struct str segments[ROUTER_DEPTH_MAX]; /* normalised; of a variable its name */
    bool is_variable[ROUTER_DEPTH_MAX];
    uint32_t depth, variables;
    bool below;
};

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!octet_is(s.at[i], OCTET_HOST) || s.at[i] == '.' || s.at[i] == '~')
            return false;
    return s.len > 0;
}

static bool parse_variable(struct parsed *p, struct str segment)
{
    struct str name = str_of(segment.at + 1, segment.len - 2);

    if (segment.len < 3 || segment.at[segment.len - 1] != '}' || !is_name(name))
        return false;
    p->segments[p->depth] = name;
    p->is_variable[p->depth] = true;
    return ++p->variables <= ROUTER_VARIABLES_MAX;
}

static bool has_any(struct str s, const char *set)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.at[i] && strchr(set, s.at[i]))
            return true;
    return false;
}

/* A literal is compared with normalised paths, so it is normalised like them. */
static bool parse_literal(struct parsed *p, struct str segment, struct arena *arena)
{
    struct str path = str_format(arena, "/%.*s", STR_ARGS(segment)), normal;
    const char *why;

    if (has_any(segment, "{};") || str_equal(segment, STR("*")) ||
        memchr(segment.at, '\0', segment.len))
        return false;
    if (!target_normalise(path, arena, &normal, &why) || normal.len < 2)
        return false;
    p->segments[p->depth] = str_from_index(normal, 1);
    p->is_variable[p->depth] = false;
    return true;
}

static bool parse_path(struct parsed *p, const struct route_pattern *pattern, struct arena *arena)
{
    struct str rest = pattern->path;

    *p = (struct parsed){ .below = pattern->below };
    if (rest.len == 0 || rest.at[0] != '/')
        return false;
    rest = str_from_index(rest, 1);
    while (rest.len) {
        struct str segment = str_cut(rest, '/', &rest);

        if (str_equal(segment, STR("**"))) {
            p->below = true;
            return rest.len == 0;
        }
        if (segment.len == 0 || p->depth == ROUTER_DEPTH_MAX)
            return false;
        if (segment.at[0] == '{' ? !parse_variable(p, segment) : !parse_literal(p, segment, arena))
            return false;
        p->depth++;
    }
    return true;
}

/* The node at which the paths of a host begin, or ROUTER_NOTHING if it is no host. */
static uint32_t root_of_host(struct router_builder *b, struct str host)
{
    bool wildcard = str_starts(host, STR("*."));
    struct str name, port;
    char folded[ROUTER_HOST_MAX];

    if (host.len == 0)
        return ROUTER_ANY_HOST;
    if (!target_split_host(wildcard ? str_from_index(host, 2) : host, &name, &port) ||
        name.len > ROUTER_HOST_MAX)
        return ROUTER_NOTHING;
    name = router_fold_host(name, folded);
    b->has_hosts = true;
    if (wildcard && router_count_labels(name) > b->labels)
        b->labels = router_count_labels(name);
    return child_of(b, wildcard ? ROUTER_WILDCARDS : ROUTER_HOSTS, name);
}

static uint32_t node_of(struct router_builder *b, uint32_t root, const struct parsed *p)
{
    uint32_t node = root;

    for (uint32_t i = 0; i < p->depth; i++)
        node = p->is_variable[i] ? variable_child_of(b, node) : child_of(b, node, p->segments[i]);
    return node;
}

static uint32_t *leaves_of(struct router_builder *b, uint32_t node, bool below)
{
    return below ? &node_at(b, node)->below : &node_at(b, node)->exact;
}

/* A route that takes one of the methods with the same priority, or NULL. */
static const struct router_leaf *find_conflict(struct router_builder *b, uint32_t list,
                                               const struct route_pattern *pattern)
{
    for (; list != ROUTER_NOTHING; list = leaf_at(b, list)->next)
        if (leaf_at(b, list)->priority == pattern->priority &&
            (leaf_at(b, list)->methods & pattern->methods))
            return leaf_at(b, list);
    return NULL;
}

static uint32_t add_leaf(struct router_builder *b, const struct parsed *p,
                         const struct route_pattern *pattern, void *route)
{
    union router_slot *slot = items_room(&b->slots, sizeof *slot, 1);

    slot->leaf = (struct router_leaf){ .route = route,
                                       .label = pattern->label,
                                       .owner = pattern->owner,
                                       .methods = pattern->methods,
                                       .priority = pattern->priority,
                                       .next = ROUTER_NOTHING,
                                       .variables = b->variables.count,
                                       .variable_count = p->variables };
    for (uint32_t i = 0; i < p->depth; i++)
        if (p->is_variable[i]) {
            struct router_variable *v = items_room(&b->variables, sizeof *v, 1);

            *v = (struct router_variable){ .name = p->segments[i], .depth = i };
            b->variables.count++;
        }
    return b->slots.count++;
}

static void put_leaf(struct router_builder *b, uint32_t *list, uint32_t leaf)
{
    while (*list != ROUTER_NOTHING && leaf_at(b, *list)->priority >= leaf_at(b, leaf)->priority)
        list = &leaf_at(b, *list)->next;
    leaf_at(b, leaf)->next = *list;
    *list = leaf;
}

enum router_added router_builder_add(struct router_builder *b, const struct route_pattern *pattern,
                                     void *route, void **other)
{
    struct parsed parsed;
    const struct router_leaf *conflict;
    uint32_t root, node, leaf;

    CHECK(route);
    arena_free(&b->scratch);
    if (pattern->methods == 0 || !parse_path(&parsed, pattern, &b->scratch))
        return ROUTER_BAD_PATTERN;
    root = root_of_host(b, pattern->host);
    if (root == ROUTER_NOTHING)
        return ROUTER_BAD_PATTERN;
    node = node_of(b, root, &parsed);
    conflict = find_conflict(b, *leaves_of(b, node, parsed.below), pattern);
    if (conflict) {
        if (other)
            *other = conflict->route;
        return ROUTER_CONFLICT;
    }
    leaf = add_leaf(b, &parsed, pattern, route);
    put_leaf(b, leaves_of(b, node, parsed.below), leaf);
    return ROUTER_ADDED;
}

/* --- the finished block ------------------------------------------------------------------------- */

static size_t lines_up(size_t size)
{
    return (size + ROUTER_LINE - 1) & ~(size_t)(ROUTER_LINE - 1);
}

/* What is copied behind the head of the block, one after the other. */
enum { SLOTS, VARIABLES, EDGES, TEXT, ARRAYS };

struct array {
    const void *from;
    size_t size;
};

static void arrays_of(const struct router_builder *b, struct array *arrays)
{
    arrays[SLOTS] = (struct array){ b->slots.at, sizeof(union router_slot) * b->slots.count };
    arrays[VARIABLES] =
        (struct array){ b->variables.at, sizeof(struct router_variable) * b->variables.count };
    arrays[EDGES] = (struct array){ b->edges, sizeof *b->edges * (b->edge_mask + 1) };
    arrays[TEXT] = (struct array){ b->text.at, b->text.count };
}

static void begin_copy(struct router_builder *b, const struct array *arrays)
{
    const void *places[ARRAYS];
    size_t size = lines_up(sizeof(struct router));
    struct router *r;

    for (int i = 0; i < ARRAYS; i++)
        size += lines_up(arrays[i].size);
    r = b->router = aligned_alloc(ROUTER_LINE, size);
    if (!r)
        die("out of memory for a router of %zu bytes", size);
    size = lines_up(sizeof *r);
    for (int i = 0; i < ARRAYS; i++) {
        places[i] = (char *)r + size;
        size += lines_up(arrays[i].size);
    }
    *r = (struct router){ .size = size,
                          .slots = places[SLOTS],
                          .variables = places[VARIABLES],
                          .edges = places[EDGES],
                          .text = places[TEXT],
                          .edge_mask = b->edge_mask,
                          .labels = b->labels,
                          .has_hosts = b->has_hosts };
}

/* At most so many bytes more; true when all are there. */
static bool copy_some(struct router_builder *b, const struct array *arrays, size_t most)
{
    char *to = (char *)b->router + lines_up(sizeof *b->router);
    size_t skip = b->copied;

    for (int i = 0; i < ARRAYS; i++) {
        size_t left = arrays[i].size > skip ? arrays[i].size - skip : 0;
        size_t now = left < most ? left : most;

        if (now)
            memcpy(to + skip, (const char *)arrays[i].from + skip, now);
        b->copied += now;
        if (now < left)
            return false;
        most -= now;
        skip -= arrays[i].size - left;
        to += lines_up(arrays[i].size);
    }
    return true;
}

struct router *router_builder_finish_some(struct router_builder *b, size_t most)
{
    struct array arrays[ARRAYS];
    struct router *r;

    arrays_of(b, arrays);
    if (!b->router)
        begin_copy(b, arrays);
    if (!copy_some(b, arrays, most))
        return NULL;
    r = b->router;
    b->router = NULL;
    router_builder_free(b);
    return r;
}

struct router *router_builder_finish(struct router_builder *b)
{
    return router_builder_finish_some(b, SIZE_MAX);
}

/* Host + method + path -> route. */
#include "gateway/exchange/router.h"

#include <stdlib.h>

#include "gateway/base/arena.h"
#include "gateway/http/octets.h"
#include "gateway/http/target.h"

#define NOTHING  UINT32_MAX
#define HOST_MAX 255

/* Nodes that are always there. The hosts hang below the first two, in the same table as segments. */
enum { HOSTS, WILDCARDS, ANY_HOST, FIRST_FREE };

struct node {
    uint32_t parent, hash; /* the edge that leads here is found by both, and by the text */
    uint32_t text, len;
    uint32_t variable;     /* the child for any segment, or NOTHING        */
    uint32_t exact, below; /* lists of leaves                              */
    bool has_children;
};

struct leaf {
    void *route;
    const void *owner;
    uint32_t methods, priority;
    uint32_t next;      /* of the same host and path, by falling priority */
    uint32_t variables; /* index of the first */
    uint32_t variable_count;
};

struct variable {
    struct str name;
    uint32_t depth;
};

struct router {
    size_t size;
    const struct node *nodes;
    const struct leaf *leaves;
    const struct variable *variables;
    const uint32_t *edges; /* node numbers by hash, open addressing; NOTHING: free */
    const char *text;
    uint32_t edge_mask;
    uint32_t labels; /* of the wildcard with the most; 0: there is none */
    bool has_hosts;
};

/* --- hashing ------------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t a, uint64_t b)
{
    __extension__ unsigned __int128 product = (unsigned __int128)a * b;

    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* 1 to 7 bytes as a number. */
static uint64_t load_short(const char *p, size_t len)
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
static uint64_t hash_text(struct str s)
{
    uint64_t hash = s.len * UINT64_C(0x9e3779b97f4a7c15), word;
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8) {
        memcpy(&word, s.at + i, 8);
        hash = mix(hash ^ word, UINT64_C(0xa0761d6478bd642f));
    }
    if (i < s.len)
        hash = mix(hash ^ load_short(s.at + i, s.len - i), UINT64_C(0xe7037ed1a0b428db));
    return hash;
}

static uint32_t hash_edge(uint32_t parent, uint64_t text_hash)
{
    return (uint32_t)(mix(text_hash ^ parent, UINT64_C(0x8ebc6af09c88c6e3)) >> 16);
}

/* The tables of a router that is made or being made. */
struct tables {
    const struct node *nodes;
    const char *text;
    const uint32_t *edges;
    uint32_t edge_mask;
};

static uint32_t find_edge(const struct tables *t, uint32_t parent, struct str text,
                          uint64_t text_hash)
{
    uint32_t hash = hash_edge(parent, text_hash);

    for (uint32_t i = hash & t->edge_mask;; i = (i + 1) & t->edge_mask) {
        uint32_t found = t->edges[i];
        const struct node *n = &t->nodes[found == NOTHING ? 0 : found];

        if (found == NOTHING)
            return NOTHING;
        if (n->hash == hash && n->parent == parent &&
            str_equal(str_of(t->text + n->text, n->len), text))
            return found;
    }
}

/* --- building ----------------------------------------------------------------------------------- */

/* An array that grows. */
struct items {
    void *at;
    uint32_t count, room;
};

struct router_builder {
    struct items nodes, leaves, variables, text;
    uint32_t *edges;
    uint32_t edge_mask, edge_count;
    uint32_t labels;
    bool has_hosts;
    struct arena scratch;
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

static struct node *node_at(struct router_builder *b, uint32_t i)
{
    return (struct node *)b->nodes.at + i;
}

static struct leaf *leaf_at(struct router_builder *b, uint32_t i)
{
    return (struct leaf *)b->leaves.at + i;
}

static struct tables tables_of(const struct router_builder *b)
{
    return (struct tables){
        .nodes = b->nodes.at, .text = b->text.at, .edges = b->edges, .edge_mask = b->edge_mask
    };
}

static void edges_make(struct router_builder *b, uint32_t count)
{
    b->edges = malloc(sizeof *b->edges * count);
    if (!b->edges)
        die("out of memory for %u edges of a router", count);
    for (uint32_t i = 0; i < count; i++)
        b->edges[i] = NOTHING;
    b->edge_mask = count - 1;
}

static void edges_put(struct router_builder *b, uint32_t node)
{
    uint32_t i = node_at(b, node)->hash & b->edge_mask;

    while (b->edges[i] != NOTHING)
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
        if (old[i] != NOTHING)
            edges_put(b, old[i]);
    free(old);
}

static uint32_t add_node(struct router_builder *b)
{
    struct node *n = items_room(&b->nodes, sizeof *n, 1);

    *n =
        (struct node){ .parent = NOTHING, .variable = NOTHING, .exact = NOTHING, .below = NOTHING };
    return b->nodes.count++;
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
    uint64_t text_hash = hash_text(text);
    struct tables t = tables_of(b);
    uint32_t child = find_edge(&t, parent, text, text_hash);
    struct node *n;

    if (child != NOTHING)
        return child;
    edges_grow(b);
    child = add_node(b);
    n = node_at(b, child);
    n->parent = parent;
    n->hash = hash_edge(parent, text_hash);
    n->text = add_text(b, text);
    n->len = (uint32_t)text.len;
    node_at(b, parent)->has_children = true;
    edges_put(b, child);
    b->edge_count++;
    return child;
}

static uint32_t variable_child_of(struct router_builder *b, uint32_t parent)
{
    uint32_t child = node_at(b, parent)->variable;

    if (child == NOTHING) {
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
    while (b->nodes.count < FIRST_FREE)
        add_node(b);
    return b;
}

void router_builder_free(struct router_builder *b)
{
    free(b->nodes.at);
    free(b->leaves.at);
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

static size_t fold_host(struct str host, char *to)
{
    for (size_t i = 0; i < host.len; i++)
        to[i] = (char)ascii_fold((unsigned char)host.at[i]);
    return host.len;
}

static uint32_t count_labels(struct str name)
{
    uint32_t count = 1;

    for (size_t i = 0; i < name.len; i++)
        count += name.at[i] == '.';
    return count;
}

/* The node at which the paths of a host begin, or NOTHING if it is no host. */
static uint32_t root_of_host(struct router_builder *b, struct str host)
{
    bool wildcard = str_starts(host, STR("*."));
    struct str name, port;
    char folded[HOST_MAX];

    if (host.len == 0)
        return ANY_HOST;
    if (!target_split_host(wildcard ? str_from_index(host, 2) : host, &name, &port) ||
        name.len > HOST_MAX)
        return NOTHING;
    name = str_of(folded, fold_host(name, folded));
    b->has_hosts = true;
    if (wildcard && count_labels(name) > b->labels)
        b->labels = count_labels(name);
    return child_of(b, wildcard ? WILDCARDS : HOSTS, name);
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
static const struct leaf *find_conflict(struct router_builder *b, uint32_t list,
                                        const struct route_pattern *pattern)
{
    for (; list != NOTHING; list = leaf_at(b, list)->next)
        if (leaf_at(b, list)->priority == pattern->priority &&
            (leaf_at(b, list)->methods & pattern->methods))
            return leaf_at(b, list);
    return NULL;
}

static uint32_t add_leaf(struct router_builder *b, const struct parsed *p,
                         const struct route_pattern *pattern, void *route)
{
    struct leaf *leaf = items_room(&b->leaves, sizeof *leaf, 1);

    *leaf = (struct leaf){ .route = route,
                           .owner = pattern->owner,
                           .methods = pattern->methods,
                           .priority = pattern->priority,
                           .next = NOTHING,
                           .variables = b->variables.count,
                           .variable_count = p->variables };
    for (uint32_t i = 0; i < p->depth; i++)
        if (p->is_variable[i]) {
            struct variable *v = items_room(&b->variables, sizeof *v, 1);

            *v = (struct variable){ .name = p->segments[i], .depth = i };
            b->variables.count++;
        }
    return b->leaves.count++;
}

static void put_leaf(struct router_builder *b, uint32_t *list, uint32_t leaf)
{
    while (*list != NOTHING && leaf_at(b, *list)->priority >= leaf_at(b, leaf)->priority)
        list = &leaf_at(b, *list)->next;
    leaf_at(b, leaf)->next = *list;
    *list = leaf;
}

enum router_added router_builder_add(struct router_builder *b, const struct route_pattern *pattern,
                                     void *route, void **other)
{
    struct parsed parsed;
    const struct leaf *conflict;
    uint32_t root, node, leaf;

    CHECK(route);
    arena_free(&b->scratch);
    if (pattern->methods == 0 || !parse_path(&parsed, pattern, &b->scratch))
        return ROUTER_BAD_PATTERN;
    root = root_of_host(b, pattern->host);
    if (root == NOTHING)
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

static void *copy_to(char **at, const void *from, size_t size)
{
    void *place = *at;

    if (size)
        memcpy(place, from, size);
    *at += (size + 15) & ~(size_t)15;
    return place;
}

struct router *router_builder_finish(struct router_builder *b)
{
    size_t nodes = sizeof(struct node) * b->nodes.count,
           leaves = sizeof(struct leaf) * b->leaves.count;
    size_t variables = sizeof(struct variable) * b->variables.count;
    size_t edges = sizeof *b->edges * (b->edge_mask + 1);
    size_t size =
        sizeof(struct router) + nodes + leaves + variables + edges + b->text.count + 6 * 16;
    struct router *r = malloc(size);
    char *at = (char *)r;

    if (!r)
        die("out of memory for a router of %zu bytes", size);
    *r = (struct router){
        .size = size, .edge_mask = b->edge_mask, .labels = b->labels, .has_hosts = b->has_hosts
    };
    at += (sizeof *r + 15) & ~(size_t)15;
    r->nodes = copy_to(&at, b->nodes.at, nodes);
    r->leaves = copy_to(&at, b->leaves.at, leaves);
    r->variables = copy_to(&at, b->variables.at, variables);
    r->edges = copy_to(&at, b->edges, edges);
    r->text = copy_to(&at, b->text.at, b->text.count);
    router_builder_free(b);
    return r;
}

void router_free(struct router *r)
{
    free(r);
}

size_t router_size(const struct router *r)
{
    return r->size;
}

/* --- finding ------------------------------------------------------------------------------------ */

struct segment {
    struct str text;
    uint64_t hash;
};

/* One look-up: the path, taken apart as far as the trie is followed, and what was met on the way. */
struct search {
    const struct router *r;
    struct tables tables;
    struct str rest;     /* of the path, behind the segments that are taken apart */
    bool cut_parameters; /* as Java servers do */
    uint32_t count;
    struct segment segments[ROUTER_DEPTH_MAX + 1];
    enum method method;
    uint32_t mismatched; /* the most specific leaves that fit but for the method */
    uint32_t allowed;
    const struct leaf *found;
};

/* Is there a segment at that depth? Empty ones (the slash at the end) do not count. */
static bool has_segment(struct search *s, uint32_t depth)
{
    while (s->count <= depth) {
        struct segment *next = &s->segments[s->count];

        if (s->rest.len == 0)
            return false;
        next->text = str_cut(s->rest, '/', &s->rest);
        if (s->cut_parameters)
            next->text.len = str_index(next->text, ';');
        if (next->text.len == 0)
            continue;
        next->hash = hash_text(next->text);
        s->count++;
    }
    return true;
}

static uint32_t method_bit(enum method m)
{
    return UINT32_C(1) << m;
}

static const struct leaf *leaf_for(const struct router *r, uint32_t list, uint32_t bit)
{
    for (; list != NOTHING; list = r->leaves[list].next)
        if (r->leaves[list].methods & bit)
            return &r->leaves[list];
    return NULL;
}

/* May a less specific route take what the mismatched ones could not? Only if it has an owner of theirs. */
static bool may_stand_in(const struct search *s, const struct leaf *leaf)
{
    if (s->mismatched == NOTHING)
        return true;
    for (uint32_t i = s->mismatched; i != NOTHING; i = s->r->leaves[i].next)
        if (s->r->leaves[i].owner == leaf->owner)
            return true;
    return false;
}

/* The path fits these leaves: does the method? */
static bool take_leaf(struct search *s, uint32_t list)
{
    const struct leaf *leaf;

    if (list == NOTHING)
        return false;
    leaf = leaf_for(s->r, list, method_bit(s->method));
    if (!leaf && s->method == METHOD_HEAD)
        leaf = leaf_for(s->r, list, method_bit(METHOD_GET));
    if (leaf && may_stand_in(s, leaf)) {
        s->found = leaf;
        return true;
    }
    if (s->mismatched == NOTHING) {
        s->mismatched = list;
        for (uint32_t i = list; i != NOTHING; i = s->r->leaves[i].next)
            s->allowed |= s->r->leaves[i].methods;
    }
    return false;
}

/* Depth first, the more specific branch first. Patterns have at most ROUTER_DEPTH_MAX segments, so the
 * stack is as deep; each node of the trie is entered at most once. */
static bool walk(struct search *s, uint32_t root)
{
    struct {
        uint32_t node;
        enum { LITERAL, VARIABLE, BELOW, BACK } next;
    } stack[ROUTER_DEPTH_MAX + 1];
    uint32_t depth = 0, child;

    stack[0].node = root;
    stack[0].next = LITERAL;
    for (;;) {
        const struct node *n = &s->r->nodes[stack[depth].node];

        child = NOTHING;
        switch (stack[depth].next++) {
        case LITERAL:
            if (!has_segment(s, depth)) {
                if (take_leaf(s, n->exact))
                    return true;
                stack[depth].next = BELOW;
            } else if (n->has_children) {
                child = find_edge(&s->tables, stack[depth].node, s->segments[depth].text,
                                  s->segments[depth].hash);
            }
            break;
        case VARIABLE:
            child = n->variable;
            break;
        case BELOW:
            if (take_leaf(s, n->below))
                return true;
            break;
        case BACK:
            if (depth-- == 0)
                return false;
            break;
        }
        if (child != NOTHING) {
            depth++;
            stack[depth].node = child;
            stack[depth].next = LITERAL;
        }
    }
}

static uint32_t find_host(const struct search *s, uint32_t parent, struct str name)
{
    return find_edge(&s->tables, parent, name, hash_text(name));
}

/* "b.example.com", then "example.com", then "com" of "a.b.example.com", as far as there are wildcards. */
static bool walk_wildcards(struct search *s, struct str name)
{
    uint32_t labels = count_labels(name);

    while (labels-- > 1) {
        uint32_t root;

        (void)str_cut(name, '.', &name);
        if (labels > s->r->labels)
            continue;
        root = find_host(s, WILDCARDS, name);
        if (root != NOTHING && walk(s, root))
            return true;
    }
    return false;
}

static bool walk_hosts(struct search *s, struct str host)
{
    struct str name, port;
    char folded[HOST_MAX];
    uint32_t root;

    if (!target_split_host(host, &name, &port) || name.len > HOST_MAX)
        return false;
    name = str_of(folded, fold_host(name, folded));
    root = find_host(s, HOSTS, name);
    if (root != NOTHING && walk(s, root))
        return true;
    return s->r->labels && walk_wildcards(s, name);
}

static void search_for(struct search *s, const struct router *r, struct str host,
                       enum method method, struct str path)
{
    s->r = r;
    s->tables = (struct tables){
        .nodes = r->nodes, .text = r->text, .edges = r->edges, .edge_mask = r->edge_mask
    };
    s->rest = str_from_index(path, 1);
    s->count = 0;
    s->method = method;
    s->mismatched = NOTHING;
    s->allowed = 0;
    s->found = NULL;
    if (r->has_hosts && walk_hosts(s, host))
        return;
    (void)walk(s, ANY_HOST);
}

static void fill_params(const struct search *s, struct params *params)
{
    const struct variable *v = &s->r->variables[s->found->variables];

    params->count = s->found->variable_count;
    for (uint32_t i = 0; i < params->count; i++) {
        params->at[i].name = v[i].name;
        params->at[i].value = s->segments[v[i].depth].text;
    }
}

static struct route_match match_of(const struct search *s)
{
    struct route_match m = { .route = s->found ? s->found->route : NULL };

    if (!s->found && s->mismatched != NOTHING) {
        m.method_mismatch = true;
        m.allowed_methods = s->allowed;
        if (s->allowed & method_bit(METHOD_GET))
            m.allowed_methods |= method_bit(METHOD_HEAD);
    }
    return m;
}

/* Does the other reading of the path lead to the same place? */
static bool is_same_without_parameters(const struct search *s, const struct router *r,
                                       struct str host, struct str path)
{
    struct search other;

    other.cut_parameters = true;
    search_for(&other, r, host, s->method, path);
    return other.found == s->found && other.mismatched == s->mismatched;
}

struct route_match router_find(const struct router *r, struct str host, enum method method,
                               struct str path, struct params *params)
{
    struct search s;

    params->count = 0;
    if (path.len == 0 || path.at[0] != '/')
        return (struct route_match){ .route = NULL };
    s.cut_parameters = false;
    search_for(&s, r, host, method, path);
    if (UNLIKELY(memchr(path.at, ';', path.len)) && !is_same_without_parameters(&s, r, host, path))
        return (struct route_match){ .ambiguous = true };
    if (s.found)
        fill_params(&s, params);
    return match_of(&s);
}

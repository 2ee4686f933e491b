/* Host + method + path -> route. */
#include "gateway/exchange/router.h"

#include <stdlib.h>

#include "gateway/exchange/router_block.h"
#include "gateway/http/target.h"

void router_free(struct router *r)
{
    free(r);
}

size_t router_size(const struct router *r)
{
    return r->size;
}

struct segment {
    struct str text;
    uint64_t hash;
};

/* One look-up: the path, taken apart as far as the trie is followed, and what was met on the way. */
struct search {
    const struct router *r;
    struct router_tables tables;
    struct str rest;     /* of the path, behind the segments that are taken apart */
    bool cut_parameters; /* as Java servers do */
    uint32_t count;
    struct segment segments[ROUTER_DEPTH_MAX + 1];
    enum method method;
    uint32_t mismatched; /* the most specific leaves that fit but for the method */
    uint32_t allowed;
    const struct router_leaf *found;
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
        next->hash = router_hash_text(next->text);
        s->count++;
    }
    return true;
}

static uint32_t method_bit(enum method m)
{
    return UINT32_C(1) << m;
}

static const struct router_leaf *leaf_at(const struct router *r, uint32_t i)
{
    return &r->slots[i].leaf;
}

static const struct router_leaf *leaf_for(const struct router *r, uint32_t list, uint32_t bit)
{
    for (; list != ROUTER_NOTHING; list = leaf_at(r, list)->next)
        if (leaf_at(r, list)->methods & bit)
            return leaf_at(r, list);
    return NULL;
}

/* May a less specific route take what the mismatched ones could not? Only if it has an owner of theirs. */
static bool may_stand_in(const struct search *s, const struct router_leaf *leaf)
{
    if (s->mismatched == ROUTER_NOTHING)
        return true;
    for (uint32_t i = s->mismatched; i != ROUTER_NOTHING; i = leaf_at(s->r, i)->next)
        if (leaf_at(s->r, i)->owner == leaf->owner)
            return true;
    return false;
}

/* The path fits these leaves: does the method? */
static bool take_leaf(struct search *s, uint32_t list)
{
    const struct router_leaf *leaf;

    if (list == ROUTER_NOTHING)
        return false;
    leaf = leaf_for(s->r, list, method_bit(s->method));
    if (!leaf && s->method == METHOD_HEAD)
        leaf = leaf_for(s->r, list, method_bit(METHOD_GET));
    if (leaf && may_stand_in(s, leaf)) {
        s->found = leaf;
        return true;
    }
    if (s->mismatched == ROUTER_NOTHING) {
        s->mismatched = list;
        for (uint32_t i = list; i != ROUTER_NOTHING; i = leaf_at(s->r, i)->next)
            s->allowed |= leaf_at(s->r, i)->methods;
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
        const struct router_node *n = &s->r->slots[stack[depth].node].node;

        child = ROUTER_NOTHING;
        switch (stack[depth].next++) {
        case LITERAL:
            if (!has_segment(s, depth)) {
                if (take_leaf(s, n->exact))
                    return true;
                stack[depth].next = BELOW;
            } else if (n->has_children) {
                child = router_find_edge(&s->tables, stack[depth].node, s->segments[depth].text,
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
        if (child != ROUTER_NOTHING) {
            depth++;
            stack[depth].node = child;
            stack[depth].next = LITERAL;
        }
    }
}

static uint32_t find_host(const struct search *s, uint32_t parent, struct str name)
{
    return router_find_edge(&s->tables, parent, name, router_hash_text(name));
}

/* "b.example.com", then "example.com", then "com" of "a.b.example.com", as far as there are wildcards. */
static bool walk_wildcards(struct search *s, struct str name)
{
    uint32_t labels = router_count_labels(name);

    while (labels-- > 1) {
        uint32_t root;

        (void)str_cut(name, '.', &name);
        if (labels > s->r->labels)
            continue;
        root = find_host(s, ROUTER_WILDCARDS, name);
        if (root != ROUTER_NOTHING && walk(s, root))
            return true;
    }
    return false;
}

static bool walk_hosts(struct search *s, struct str host)
{
    struct str name, port;
    char folded[ROUTER_HOST_MAX];
    uint32_t root;

    if (!target_split_host(host, &name, &port) || name.len > ROUTER_HOST_MAX)
        return false;
    name = router_fold_host(name, folded);
    root = find_host(s, ROUTER_HOSTS, name);
    if (root != ROUTER_NOTHING && walk(s, root))
        return true;
    return s->r->labels && walk_wildcards(s, name);
}

static void search_for(struct search *s, const struct router *r, struct str host,
                       enum method method, struct str path)
{
    s->r = r;
    s->tables = (struct router_tables){
        .slots = r->slots, .text = r->text, .edges = r->edges, .edge_mask = r->edge_mask
    };
    s->rest = str_from_index(path, 1);
    s->count = 0;
    s->method = method;
    s->mismatched = ROUTER_NOTHING;
    s->allowed = 0;
    s->found = NULL;
    if (r->has_hosts && walk_hosts(s, host))
        return;
    (void)walk(s, ROUTER_ANY_HOST);
}

static void fill_params(const struct search *s, struct params *params)
{
    const struct router_variable *v = &s->r->variables[s->found->variables];

    params->count = s->found->variable_count;
    for (uint32_t i = 0; i < params->count; i++) {
        params->at[i].name = v[i].name;
        params->at[i].value = s->segments[v[i].depth].text;
    }
}

static struct route_match match_of(const struct search *s)
{
    struct route_match m = { .route = NULL };

    if (s->found) {
        m.route = s->found->route;
        m.label = s->found->label;
    }
    if (!s->found && s->mismatched != ROUTER_NOTHING) {
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

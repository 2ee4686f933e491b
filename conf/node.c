/* One place of a configuration. */
#include "conf/node.h"

const struct conf_node *conf_node_get(const struct conf_node *map, struct str key)
{
    if (!map || map->kind != CONF_MAP)
        return NULL;
    if (map->names)
        return map_get(map->names, key);
    CONF_EACH (map, child)
        if (str_equal(child->key, key))
            return child;
    return NULL;
}

const struct conf_node *conf_node_at(const struct conf_node *list, size_t i)
{
    if (!list || list->kind == CONF_SCALAR || i >= list->count)
        return NULL;
    CONF_EACH (list, child)
        if (child->index == i)
            return child;
    return NULL;
}

bool conf_node_is_empty(const struct conf_node *n)
{
    return n->kind == CONF_SCALAR && !n->quoted && !n->from_env &&
           (n->text.len == 0 || str_equal(n->text, STR("~")) ||
            str_equal_folded(n->text, STR("null")));
}

static bool is_plain(struct str key)
{
    for (size_t i = 0; i < key.len; i++) {
        unsigned char c = ascii_fold((unsigned char)key.at[i]);

        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
            return false;
    }
    return key.len > 0;
}

/* A key that may hold anything, in quotes, cut and without control characters. */
static struct str quoted(struct str key, struct arena *a)
{
    char shown[64];
    size_t len = key.len < sizeof shown ? key.len : sizeof shown;

    for (size_t i = 0; i < len; i++)
        shown[i] = (unsigned char)key.at[i] < 0x20 || key.at[i] == 0x7f ? '?' : key.at[i];
    return str_format(a, "\"%.*s%s\"", (int)len, shown, len < key.len ? "..." : "");
}

static struct str with_last(struct str path, const struct conf_node *n, struct arena *a)
{
    struct str key;

    if (n->parent->kind == CONF_LIST)
        return str_format(a, "%.*s[%u]", STR_ARGS(path), n->index);
    key = is_plain(n->key) ? n->key : quoted(n->key, a);
    return str_format(a, "%.*s%s%.*s", STR_ARGS(path), path.len ? "." : "", STR_ARGS(key));
}

struct str conf_node_path(const struct conf_node *n, struct arena *a)
{
    const struct conf_node *way[CONF_DEPTH_MAX + 2];
    struct str path = STR_NONE;
    size_t depth = 0;

    for (; n->parent; n = n->parent) {
        CHECK(depth < ARRAY_LEN(way));
        way[depth++] = n;
    }
    while (depth > 0)
        path = with_last(path, way[--depth], a);
    return path;
}

const struct conf_node *conf_node_walk(const struct conf_node *n, const struct conf_node *top)
{
    if (n->first)
        return n->first;
    while (n != top && !n->next)
        n = n->parent;
    return n == top ? NULL : n->next;
}

uint64_t conf_node_hash(const struct conf_node *n)
{
    return n ? n->hash : 0;
}

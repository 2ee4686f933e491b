/* The types of values that hold other values: lists, maps of text or of blocks, blocks. */
#include <stdlib.h>

#include "conf/pace.h"
#include "conf/read.h"
#include "gateway/base/check.h"

/* ---- lists ---- */

static struct conf_key key_of_item(const struct conf_key *list)
{
    const struct conf_element *e = list->arg;
    struct conf_key item = *list;

    item.type = e->type;
    item.arg = e->arg;
    item.offset = 0;
    return item;
}

static bool read_item(const struct conf_key *item, const struct conf_node *n, void *to,
                      struct arena *a, struct conf_problems *p)
{
    if (item->type == &conf_type_block)
        conf_read_defaults(item->arg, to, a);
    return conf_read_key(item, n, to, a, p);
}

static bool count_fits(const struct conf_element *e, const struct conf_node *n, size_t count,
                       struct conf_problems *p)
{
    if (count < e->at_least)
        return conf_problem(p, n, "must hold at least %zu, holds %zu", e->at_least, count);
    if (e->at_most && count > e->at_most)
        return conf_problem(p, n, "must hold at most %zu, holds %zu", e->at_most, count);
    return true;
}

/* Its first items: none, but what all of them begin with (for blocks: there may be many) is where the last one will be. */
static void begin_list(struct conf_list_reading *l, const struct conf_element *e, size_t count,
                       struct arena *a)
{
    l->list = (struct conf_list){ .count = count };
    l->at = l->node->kind == CONF_LIST ? l->node->first : l->node;
    if (count == 0)
        return;
    l->list.items = arena_take(a, count * e->size);
    if (e->type == &conf_type_block)
        conf_read_defaults(e->arg, (char *)l->list.items + (count - 1) * e->size, a);
}

static void read_one_more(struct conf_list_reading *l, const struct conf_key *item, size_t size,
                          struct arena *a, struct conf_problems *p)
{
    char *to = (char *)l->list.items + l->done * size;
    const char *last = (char *)l->list.items + (l->list.count - 1) * size;

    if (item->type == &conf_type_block && to != last)
        memcpy(to, last, size);
    l->bad |= !conf_read_key(item, l->at, to, a, p);
    l->at = l->at->next;
    l->done++;
}

/* That was begun before at this pace, or is begun now. */
static struct conf_list_reading *long_list(struct conf_pace *pace, const struct conf_element *e,
                                           const struct conf_node *n, struct arena *a)
{
    struct conf_list_reading *l = pace->lists;

    while (l && !(l->node == n && l->element == e))
        l = l->next;
    if (l)
        return l;
    l = ARENA_NEW(a, struct conf_list_reading);
    *l = (struct conf_list_reading){ .next = pace->lists, .node = n, .element = e };
    begin_list(l, e, n->count, a);
    pace->lists = l;
    return l;
}

static bool read_list_of(const struct conf_key *key, const struct conf_node *n, void *field,
                         struct arena *a, struct conf_problems *p)
{
    const struct conf_element *e = key->arg;
    struct conf_key item = key_of_item(key);
    size_t count = n->kind == CONF_LIST ? n->count : !conf_node_is_empty(n);
    struct conf_pace *pace = count > CONF_LONG_LIST ? p->pace : NULL;
    struct conf_list_reading own = { .node = n }, *l = &own;

    if (!count_fits(e, n, count, p))
        own.bad = true;
    if (pace)
        l = long_list(pace, e, n, a);
    else
        begin_list(l, e, count, a);
    while (l->done < count && !(pace && pace->items == 0)) {
        read_one_more(l, &item, e->size, a, p);
        if (pace)
            pace->items--;
    }
    if (l->done < count)
        pace->unfinished = true;
    if (l->done < count || l->bad || own.bad)
        return false;
    *(struct conf_list *)field = l->list;
    return true;
}

static void print_list_of(const struct conf_key *key, const void *field, FILE *to)
{
    const struct conf_list *list = field;
    const struct conf_element *e = key->arg;
    struct conf_key item = key_of_item(key);
    const char *at = list->items;

    fputc('[', to);
    for (size_t i = 0; i < list->count; i++, at += e->size) {
        fputs(i ? ", " : "", to);
        item.type->print(&item, at, to);
    }
    fputc(']', to);
}

/* ---- maps of text ---- */

static bool read_pairs(const struct conf_key *key, const struct conf_node *n, void *field,
                       struct arena *a, struct conf_problems *p)
{
    struct conf_list list = { .count = n->count };
    struct conf_pair *to;
    bool good = true;

    if (n->kind != CONF_MAP && !conf_node_is_empty(n))
        return conf_misfit(key, n, p);
    list.items = to = n->count ? ARENA_ARRAY(a, struct conf_pair, n->count) : NULL;
    CONF_EACH (n, child) {
        to->name = str_keep(a, child->key);
        good &= !child->broken && conf_type_text.read(key, child, &to->value, a, p);
        to++;
    }
    if (good)
        *(struct conf_list *)field = list;
    return good;
}

static void print_pairs(const struct conf_key *key, const void *field, FILE *to)
{
    const struct conf_list *list = field;
    const struct conf_pair *pair = list->items;

    (void)key;
    fputc('{', to);
    for (size_t i = 0; i < list->count; i++) {
        fputs(i ? ", " : "", to);
        conf_print_text(pair[i].name, to);
        fputs(": ", to);
        conf_print_text(pair[i].value, to);
    }
    fputc('}', to);
}

/* ---- maps of blocks ---- */

#define NAME_MAX_LEN 64 /* CONF_NAME_RULE says so, too */

bool conf_is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = ascii_fold((unsigned char)s.at[i]);

        if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !memchr("-_.", c, 3))
            return false;
    }
    return s.len > 0 && s.len <= NAME_MAX_LEN;
}

static bool read_name(const struct conf_node *n, struct str *name, struct arena *a,
                      struct conf_problems *p)
{
    if (!conf_is_name(n->key))
        return conf_problem(p, n, CONF_NAME_RULE);
    *name = str_keep(a, n->key);
    return true;
}

static bool read_map_of(const struct conf_key *key, const struct conf_node *n, void *field,
                        struct arena *a, struct conf_problems *p)
{
    const struct conf_element *e = key->arg;
    struct conf_key item = key_of_item(key);
    struct conf_list list = { .count = n->count };
    bool good;
    char *to;

    if (n->kind != CONF_MAP && !conf_node_is_empty(n))
        return conf_misfit(key, n, p);
    good = count_fits(e, n, n->count, p);
    list.items = to = n->count ? arena_take(a, n->count * e->size) : NULL;
    CONF_EACH (n, child) {
        good &= read_name(child, (struct str *)(void *)(to + e->name_at), a, p);
        good &= read_item(&item, child, to, a, p);
        to += e->size;
    }
    if (good)
        *(struct conf_list *)field = list;
    return good;
}

static void print_map_of(const struct conf_key *key, const void *field, FILE *to)
{
    const struct conf_list *list = field;
    const struct conf_element *e = key->arg;
    struct conf_key item = key_of_item(key);
    const char *at = list->items;

    fputc('{', to);
    for (size_t i = 0; i < list->count; i++, at += e->size) {
        fputs(i ? ", " : "", to);
        conf_print_text(*(const struct str *)(const void *)(at + e->name_at), to);
        fputs(": ", to);
        item.type->print(&item, at, to);
    }
    fputc('}', to);
}

/* ---- blocks ---- */

static bool read_block(const struct conf_key *key, const struct conf_node *n, void *field,
                       struct arena *a, struct conf_problems *p)
{
    struct conf_given given = { 0 };
    bool good = conf_read_layer(key->arg, n, field, &given, NULL, a, p);

    return conf_read_finish(key->arg, n, field, &given, good, p);
}

void conf_print_secret(const struct conf_key *key, const void *field, FILE *to)
{
    char *text = NULL;
    size_t len = 0;
    FILE *plain = open_memstream(&text, &len);

    if (!plain)
        die("out of memory for hiding a secret");
    key->type->print(key, field, plain);
    if (fclose(plain) != 0 || !text)
        die("out of memory for hiding a secret");
    fputs(str_equal(str_from(text), STR("\"\"")) || str_equal(str_from(text), STR("[]"))
              ? text
              : "\"***\"",
          to);
    free(text);
}

static void print_block(const struct conf_key *key, const void *field, FILE *to)
{
    const struct conf_schema *s = key->arg;
    const char *between = "";

    fputc('{', to);
    for (const struct conf_key *k = s->keys; k && k->name; k++) {
        fprintf(to, "%s%s: ", between, k->name);
        if (k->flags & CONF_SECRET)
            conf_print_secret(k, (const char *)field + k->offset, to);
        else
            k->type->print(k, (const char *)field + k->offset, to);
        between = ", ";
    }
    fputc('}', to);
}

const struct conf_type conf_type_list_of = { "list", "a list", sizeof(struct conf_list),
                                             read_list_of, print_list_of };
const struct conf_type conf_type_pairs = { "map", "a map of text to text", sizeof(struct conf_list),
                                           read_pairs, print_pairs };
const struct conf_type conf_type_map_of = { "map", "a map of names to blocks",
                                            sizeof(struct conf_list), read_map_of, print_map_of };
const struct conf_type conf_type_block = { "block", "a map of keys", 0, read_block, print_block };

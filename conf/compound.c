/* The types of values that hold other values: lists, maps of text or of blocks, blocks. */
#include <stdlib.h>

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

static bool read_list_of(const struct conf_key *key, const struct conf_node *n, void *field,
                         struct arena *a, struct conf_problems *p)
{
    const struct conf_element *e = key->arg;
    struct conf_key item = key_of_item(key);
    size_t count = n->kind == CONF_LIST ? n->count : !conf_node_is_empty(n);
    bool good = count_fits(e, n, count, p);
    struct conf_list list = { .count = count };
    const struct conf_node *one = n->kind == CONF_LIST ? n->first : n;
    char *to, *last = NULL;

    list.items = to = count ? arena_take(a, count * e->size) : NULL;
    if (count && item.type == &conf_type_block) { /* there may be many: once for all of them */
        last = to + (count - 1) * e->size;
        conf_read_defaults(item.arg, last, a);
    }
    for (size_t i = 0; i < count; i++, one = one->next, to += e->size) {
        if (last && to != last)
            memcpy(to, last, e->size);
        good &= conf_read_key(&item, one, to, a, p);
    }
    if (good)
        *(struct conf_list *)field = list;
    return good;
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

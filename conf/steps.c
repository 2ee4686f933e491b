/* Lists of middlewares: names -> types, and their settings in layers. */
#include "conf/file.h"
#include "gateway/base/hash.h"

#define SHOWN_MAX 63

/* ---- names ---- */

const struct conf_schema *conf_find_type(const struct conf_file *f, struct str name,
                                         const struct conf_node **variant)
{
    const struct conf_schema *type = f->catalog->find_middleware(name);
    const struct conf_node *type_name;

    *variant = NULL;
    if (type)
        return type;
    *variant = conf_node_get(f->config, name);
    type_name = conf_node_get(*variant, STR("type"));
    return type_name && type_name->kind == CONF_SCALAR
               ? f->catalog->find_middleware(type_name->text)
               : NULL;
}

/* Types first, then the variants of this file. */
static const char *offer_names(const void *from, size_t i)
{
    const struct conf_file *f = from;
    const struct conf_schema *type;
    const struct conf_node *variant;
    size_t types = 0;

    while ((type = f->catalog->middleware_at(types))) {
        if (types == i)
            return type->name;
        types++;
    }
    variant = conf_node_at(f->config, i - types);
    return variant ? str_keep_z(&f->problems->arena, variant->key) : NULL;
}

static const char *offer_types(const void *from, size_t i)
{
    const struct conf_file *f = from;
    const struct conf_schema *type = f->catalog->middleware_at(i);

    return type ? type->name : NULL;
}

static bool report_unknown(struct conf_file *f, const struct conf_node *n, struct str name,
                           const char *(*offer)(const void *from, size_t i), const char *more)
{
    const char *hint = conf_nearest(name, offer, f);
    int len = name.len > SHOWN_MAX ? SHOWN_MAX : (int)name.len;

    return hint
               ? conf_problem(f->problems, n, "unknown middleware \"%.*s\"; did you mean \"%s\"?%s",
                              len, name.at, hint, more)
               : conf_problem(f->problems, n, "unknown middleware \"%.*s\"%s", len, name.at, more);
}

bool conf_step_item(const struct conf_node *item, struct str *name, const struct conf_node **own)
{
    *own = NULL;
    if (item->broken)
        return false;
    if (item->kind == CONF_SCALAR && item->text.len && !conf_node_is_empty(item)) {
        *name = item->text;
        return true;
    }
    if (item->kind != CONF_MAP || item->count != 1)
        return false;
    *own = item->first;
    *name = item->first->key;
    return true;
}

/* ---- layers ---- */

#define LAYERS 4

static const struct conf_key mode_key = { .name = "mode",
                                          .type = &conf_type_one_of,
                                          .arg = NAMES("enforce", "shadow", "off") };

/* What stands behind a step: its type's entry in middleware_config, its variant's, the block of its name in the service,
 * its own block in the list. */
struct behind {
    const struct conf_schema *type;
    const struct conf_node *layers[LAYERS]; /* outermost first; NULL: none */
    const struct conf_node *item;
    int mode;
    void *settings;
    struct conf_given given;
    bool good;
};

static struct behind find_behind(const struct conf_file *f, const struct conf_schema *type,
                                 const struct conf_node *variant, const struct conf_node *block,
                                 const struct conf_node *own)
{
    return (struct behind){
        .type = type,
        .layers = { conf_node_get(f->config, str_from(type->name)), variant, block, own },
        .mode = CONF_MODE_ENFORCE,
        .good = true,
    };
}

static bool read_mode(const struct conf_node *layer, int *mode, struct conf_problems *p)
{
    const struct conf_node *n = conf_node_get(layer, STR("mode"));

    return !n || conf_read_key(&mode_key, n, mode, NULL, p);
}

static void read_layers(struct conf_file *f, struct behind *b, struct arena *a)
{
    static const char *const common[] = { "mode", NULL };
    static const char *const variants[] = { "mode", "type", NULL };

    b->settings = arena_take(a, b->type->size ? b->type->size : 1);
    conf_read_defaults(b->type, b->settings, a);
    for (size_t i = 0; i < LAYERS; i++) {
        if (!b->layers[i])
            continue;
        b->good &= conf_read_layer(b->type, b->layers[i], b->settings, &b->given,
                                   i == 1 ? variants : common, a, f->problems);
        b->good &= read_mode(b->layers[i], &b->mode, f->problems);
    }
}

void conf_check_middleware_config(struct conf_file *f)
{
    const struct conf_node *variant, *type_name;
    const struct conf_schema *type;
    struct arena scratch;
    struct behind b;

    if (!f->config || f->config->broken || conf_node_is_empty(f->config))
        return;
    if (f->config->kind != CONF_MAP) {
        conf_problem(f->problems, f->config, "must be a map of middlewares to their settings");
        return;
    }
    arena_init(&scratch, NULL);
    CONF_EACH (f->config, entry) {
        type = conf_find_type(f, entry->key, &variant);
        type_name = conf_node_get(entry, STR("type"));
        if (type) {
            if (variant && !conf_is_name(entry->key))
                conf_problem(f->problems, entry, CONF_NAME_RULE);
            b = find_behind(f, type, variant, NULL, NULL);
            read_layers(f, &b, &scratch);
        } else if (!type_name) {
            report_unknown(f, entry, entry->key, offer_types, "; a variant needs a \"type\"");
        } else {
            report_unknown(f, type_name, type_name->text, offer_types, "");
        }
    }
    arena_free(&scratch);
}

/* ---- short spellings ---- */

/* The node that says the same in the long spelling, or NULL. */
static const struct conf_node *long_spelling(const struct conf_node *own,
                                             const struct conf_flat *flat)
{
    if (own && own->kind != CONF_MAP) /* it fills the main key */
        return flat->type->main && strcmp(flat->type->main, flat->way[0]) == 0 ? own : NULL;
    for (size_t i = 0; own && flat->way[i]; i++)
        own = conf_node_get(own, str_from(flat->way[i]));
    return own;
}

/* The step that a short spelling speaks of: the one named as its type, else the first of that type. */
static size_t step_meant(const struct conf_steps *steps, const struct behind *all,
                         const struct conf_schema *type)
{
    size_t meant = steps->count;

    for (size_t i = steps->count; i-- > 0;)
        if (all[i].type == type && (meant == steps->count || !all[i].layers[1]))
            meant = i;
    return meant;
}

/* Where this service says the same in the long spelling, or NULL. */
static const struct conf_node *said_at_length(const struct behind *b, const struct conf_flat *flat)
{
    const struct conf_node *same = long_spelling(b->layers[LAYERS - 1], flat);

    return same ? same : long_spelling(b->layers[LAYERS - 2], flat);
}

static void read_flat(struct conf_file *f, const struct conf_flat *flat, const struct conf_node *n,
                      struct behind *b, struct arena *a)
{
    const struct conf_node *same = said_at_length(b, flat);

    if (same) {
        conf_problem(f->problems, n, "says the same as \"%s\" in line %u; give one of the two",
                     flat->way[0], same->key_at.line);
        b->good = false;
        return;
    }
    for (const struct conf_key *key = flat->type->keys; key->name; key++)
        if (!flat->way[1] && strcmp(key->name, flat->way[0]) == 0)
            b->given.bits |= UINT64_C(1) << (key - flat->type->keys);
    b->good &= conf_read_key(&flat->key, n, b->settings, a, f->problems);
}

/* No step takes it: its value is looked at all the same. */
static void read_idle_flat(struct conf_file *f, const struct conf_flat *flat,
                           const struct conf_node *n)
{
    struct arena scratch;

    arena_init(&scratch, NULL);
    if (conf_read_key(&flat->key, n, arena_take(&scratch, flat->type->size), &scratch, f->problems))
        conf_warning(f->problems, n,
                     "has no effect: \"%s\" is not in the middleware of this service",
                     flat->type->name);
    arena_free(&scratch);
}

static void read_flats(struct conf_file *f, const struct conf_node *service,
                       const struct conf_steps *steps, struct behind *all, struct arena *a)
{
    if (service->kind != CONF_MAP)
        return;
    CONF_EACH (service, child) {
        const struct conf_flat *flat = map_get(&f->flats, child->key);
        size_t i;

        if (!flat)
            continue;
        i = step_meant(steps, all, flat->type);
        if (i < steps->count)
            read_flat(f, flat, child, &all[i], a);
        else
            read_idle_flat(f, flat, child);
    }
}

/* ---- blocks of a service ---- */

/* A name that the table of services has means what it says there. */
static bool is_key_of_services(struct str name)
{
    for (const struct conf_key *key = conf_service_schema.keys; key->name; key++)
        if (str_equal(str_from(key->name), name))
            return true;
    return false;
}

const struct conf_node *conf_service_block_of(const struct conf_node *service, struct str name)
{
    return is_key_of_services(name) ? NULL : conf_node_get(service, name);
}

/* ---- lists ---- */

static bool is_listed(const struct conf_steps *steps, struct str name)
{
    for (size_t i = 0; i < steps->count; i++)
        if (str_equal(steps->items[i].name, name))
            return true;
    return false;
}

/* Look an item up and read its layers; false: it was a problem, and is left out. */
static bool read_item(struct conf_file *f, const struct conf_node *item,
                      const struct conf_node *service, const struct conf_steps *steps,
                      struct conf_step *step, struct behind *b, struct arena *a)
{
    const struct conf_node *own, *variant;
    const struct conf_schema *type;
    struct str name;

    if (!conf_step_item(item, &name, &own))
        return !item->broken &&
               conf_problem(
                   f->problems, item,
                   "must be the name of a middleware, or a map of one name to its settings");
    if (is_listed(steps, name))
        return conf_problem(f->problems, item, "\"%.*s\" is in this list already", STR_ARGS(name));
    type = conf_find_type(f, name, &variant);
    if (!type && variant)
        return false; /* reported with middleware_config */
    if (!type)
        return report_unknown(f, item, name, offer_names, "");
    *b = find_behind(f, type, variant, conf_service_block_of(service, name), own);
    b->item = own ? own : item;
    read_layers(f, b, a);
    *step = (struct conf_step){
        .name = str_keep(a, name), .type = type, .settings = b->settings, .at = item->at
    };
    return true;
}

/* Blocks that no step takes: they are looked at all the same. */
static void read_idle_blocks(struct conf_file *f, const struct conf_node *service,
                             const struct conf_steps *steps)
{
    struct arena scratch;

    if (service->kind != CONF_MAP)
        return;
    arena_init(&scratch, NULL);
    CONF_EACH (service, child) {
        const struct conf_node *variant;
        const struct conf_schema *type;
        struct behind b;

        if (is_key_of_services(child->key) || is_listed(steps, child->key) ||
            map_get(&f->flats, child->key))
            continue;
        type = conf_find_type(f, child->key, &variant);
        if (!type)
            continue;
        b = find_behind(f, type, variant, child, NULL);
        read_layers(f, &b, &scratch);
        if (b.good)
            conf_warning(f->problems, child,
                         "has no effect: \"%.*s\" is not in the middleware of this service",
                         STR_ARGS(child->key));
    }
    arena_free(&scratch);
}

void conf_read_steps(struct conf_file *f, const struct conf_node *list,
                     const struct conf_node *service, struct conf_steps *steps, struct arena *a)
{
    size_t wanted = list && list->kind == CONF_LIST ? list->count : 0;
    struct behind *all;
    struct arena scratch;

    *steps =
        (struct conf_steps){ .items = wanted ? ARENA_ARRAY(a, struct conf_step, wanted) : NULL };
    arena_init(&scratch, NULL);
    all = ARENA_ARRAY(&scratch, struct behind, wanted + 1);
    for (const struct conf_node *item = wanted ? list->first : NULL; item; item = item->next)
        if (read_item(f, item, service, steps, &steps->items[steps->count], &all[steps->count], a))
            steps->count++;
    if (service) {
        read_flats(f, service, steps, all, a);
        read_idle_blocks(f, service, steps);
    }
    for (size_t i = 0; i < steps->count; i++) {
        steps->items[i].mode = (enum conf_mode)all[i].mode;
        conf_read_finish(all[i].type, all[i].item, all[i].settings, &all[i].given, all[i].good,
                         f->problems);
    }
    arena_free(&scratch);
}

uint64_t conf_steps_hash(const struct conf_file *f, const struct conf_node *list)
{
    uint64_t sum = 0;

    for (const struct conf_node *item = list && list->kind == CONF_LIST ? list->first : NULL; item;
         item = item->next) {
        const struct conf_node *own, *variant, *shared = NULL;
        const struct conf_schema *type;
        struct hash_key key;
        struct str name;

        if (!conf_step_item(item, &name, &own))
            continue;
        type = conf_find_type(f, name, &variant);
        if (type)
            shared = conf_node_get(f->config, str_from(type->name));
        key = (struct hash_key){ sum, conf_node_hash(variant) };
        key.k0 = hash_str(&key, name);
        key.k1 = conf_node_hash(shared);
        sum = hash_keyed(&key, NULL, 0);
    }
    return sum;
}

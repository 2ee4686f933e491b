/* The tables as text for people. */
#include "conf/reference.h"

#include "conf/file.h"

/* ---- the reference ---- */

/* What a value looks like, from the type and its argument. */
static void describe(const struct conf_key *key, FILE *to)
{
    const char *const *names = key->arg;
    const struct conf_element *e = key->arg;
    const struct conf_type *type = key->type;

    if (type == &conf_type_list_of) {
        fprintf(to, "list of %s", e->type == &conf_type_block ? "blocks" : e->type->name);
        names = e->type == &conf_type_one_of ? e->arg : NULL;
    } else if (type == &conf_type_map_of) {
        fputs("map of blocks", to);
        names = NULL;
    } else if (type == &conf_type_one_of || type == &conf_type_some_of) {
        fprintf(to, "%s", type == &conf_type_one_of ? "" : "list of ");
    } else {
        fprintf(to, "%s", type->name);
        names = NULL;
    }
    for (size_t i = 0; names && names[i]; i++)
        fprintf(to, "%s%s", i ? ", " : type == &conf_type_list_of ? ": " : "", names[i]);
}

/* The bar that ends a cell of a table must not stand in it. */
static void put_cell(const char *text, FILE *to)
{
    for (; *text; text++) {
        if (*text == '|')
            fputc('\\', to);
        fputc(*text, to);
    }
}

static void put_default(const struct conf_key *key, FILE *to)
{
    if (key->flags & CONF_INHERITED)
        fputs("the gateway's", to);
    else if (!key->init)
        fputs("required", to);
    else if (!*key->init)
        fputs("empty", to);
    else
        fprintf(to, "`%s`", key->init);
}

static const struct conf_schema *inner(const struct conf_key *key)
{
    const struct conf_element *e = key->arg;

    if (key->type == &conf_type_block)
        return key->arg;
    if (key->type == &conf_type_map_of)
        return e->arg;
    return key->type == &conf_type_list_of && e->type == &conf_type_block ? e->arg : NULL;
}

static void put_row(const struct conf_key *key, const char *above, FILE *to)
{
    fprintf(to, "| `%s%s` | ", above, key->name);
    describe(key, to);
    fputs(" | ", to);
    put_default(key, to);
    fputs(" | ", to);
    put_cell(key->doc ? key->doc : "", to);
    if (key->flat)
        fprintf(to, " Short spelling in a service: `%s`%s%s%s.", key->flat,
                key->flat_type ? " (" : "", key->flat_type ? key->flat_type->name : "",
                key->flat_type ? ")" : "");
    if (key->flags & CONF_AT_START)
        fputs(" Takes effect at start.", to);
    fputs(" |\n", to);
}

/* The keys of a table; blocks inside are written out with the way to them before their names. */
static void put_rows(const struct conf_schema *s, const char *above, FILE *to)
{
    for (const struct conf_key *key = s->keys; key && key->name; key++) {
        const struct conf_schema *within = inner(key);
        char way[128];

        if (key->type != &conf_type_block)
            put_row(key, above, to);
        if (!within)
            continue;
        snprintf(way, sizeof way, "%s%s%s.", above, key->name,
                 key->type == &conf_type_list_of  ? "[]"
                 : key->type == &conf_type_map_of ? ".NAME"
                                                  : "");
        put_rows(within, way, to);
    }
}

static void put_table(const struct conf_schema *s, const char *above, FILE *to)
{
    if (!s->keys || !s->keys->name) {
        fputs("No settings.\n\n", to);
        return;
    }
    fputs("| key | type | default | |\n| --- | --- | --- | --- |\n", to);
    put_rows(s, above, to);
    fputc('\n', to);
}

static void put_types(FILE *to)
{
    static const struct conf_type *const types[] = {
        &conf_type_text,     &conf_type_word, &conf_type_uint,  &conf_type_boolean, &conf_type_size,
        &conf_type_duration, &conf_type_rate, &conf_type_share, &conf_type_prefix,
    };

    fputs("## Values\n\n| type | must be |\n| --- | --- |\n", to);
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        fprintf(to, "| %s | %s |\n", types[i]->name, types[i]->grammar);
    fputs("\n`${NAME}` and `${NAME:-default}` in a value are replaced from the environment, "
          "`${file:/path}` by what "
          "the file holds\nwithout the newline at its end; `$${` stands for a plain `${`. They are "
          "looked up by the "
          "master at the start and at each reload.\nOne value in the place of a list is a list of "
          "one. Anchors, "
          "aliases and `<<` work as in YAML 1.1.\n\n",
          to);
}

void conf_reference(const struct conf_catalog *catalog, FILE *to)
{
    const struct conf_schema *type;

    fputs("# Reference of config.yaml\n\nWritten by `make reference` from the tables in the code. "
          "Unknown keys are "
          "errors.\n\n",
          to);
    put_types(to);
    fputs("## The gateway\n\n", to);
    put_table(&conf_globals_schema, "", to);
    fputs("`middleware` is a list as in a service: these steps run for every request, before those "
          "of its "
          "service.\n\n## consumers\n\n",
          to);
    put_table(&conf_consumer_schema, "consumers[].", to);
    fputs("## services\n\n", to);
    put_table(&conf_service_schema, "services[].", to);
    fputs("`middleware` lists the steps of a service, outermost first: each the name of a "
          "middleware, or a map of one "
          "name to settings\n(`- rate_limit: {rate: 5/s}`). The settings may stand beside the list "
          "too, under "
          "the name of the step (`rate_limit: {rate: 5/s}`).\n\n## middleware_config\n\nA key that "
          "is the name of a "
          "middleware sets its defaults. Any other key makes a variant and says its `type`. "
          "Settings come in\nlayers: "
          "the defaults below, the middleware's entry here, the variant's, the service's own, the "
          "one in its list. All "
          "take `mode`: enforce "
          "(the\ndefault), shadow (judge, count and log, never act) or off.\n\n",
          to);
    for (size_t i = 0; (type = catalog->middleware_at(i)); i++) {
        fprintf(to, "### %s\n\n%s\n\n", type->name, type->doc ? type->doc : "");
        put_table(type, "", to);
    }
}

/* ---- effective values ---- */

#define LAYERS_MAX 4

/* Where a value may have been written, to know whether it came from ${...}. */
struct sources {
    const struct conf_node *layers[LAYERS_MAX]; /* each may be NULL */
    const struct conf_node *service;            /* may hold short spellings; NULL: none */
};

static bool any_from_env(const struct conf_node *n)
{
    for (const struct conf_node *at = n; at; at = conf_node_walk(at, n))
        if (at->from_env)
            return true;
    return false;
}

static struct sources below(const struct sources *s, const char *key)
{
    struct sources inside = { .service = s->service };

    for (size_t i = 0; i < LAYERS_MAX; i++)
        inside.layers[i] = conf_node_get(s->layers[i], str_from(key));
    return inside;
}

/* A value that somebody kept out of the file. */
static bool is_hidden(const struct conf_key *key, const struct sources *from)
{
    for (size_t i = 0; i < LAYERS_MAX; i++)
        if (any_from_env(from->layers[i]))
            return true;
    return key->flat && any_from_env(conf_node_get(from->service, str_from(key->flat)));
}

static void indent(unsigned depth, FILE *to)
{
    fprintf(to, "%*s", (int)depth * 2, "");
}

static void print_keys(const struct conf_schema *s, const void *settings,
                       const struct sources *from, unsigned depth, FILE *to);

/* Each block by itself: one secret in one of them hides no other. */
static void print_entries(const struct conf_key *key, const struct conf_list *list,
                          const struct sources *from, unsigned depth, FILE *to)
{
    const struct conf_element *e = key->arg;
    const char *at = list->items;

    fputs(list->count ? "\n" : " {}\n", to);
    for (size_t i = 0; i < list->count; i++, at += e->size) {
        struct str name = *(const struct str *)(const void *)(at + e->name_at);
        struct sources here = { .service = from->service };

        for (size_t n = 0; n < LAYERS_MAX; n++)
            here.layers[n] = conf_node_get(from->layers[n], name);
        indent(depth, to);
        conf_print_text(name, to);
        fputs(":\n", to);
        print_keys(e->arg, at, &here, depth + 1, to);
    }
}

static void print_keys(const struct conf_schema *s, const void *settings,
                       const struct sources *from, unsigned depth, FILE *to)
{
    for (const struct conf_key *key = s->keys; key && key->name; key++) {
        struct sources here = below(from, key->name);

        indent(depth, to);
        fprintf(to, "%s:", key->name);
        if (key->type == &conf_type_block) {
            fputc('\n', to);
            print_keys(key->arg, (const char *)settings + key->offset, &here, depth + 1, to);
            continue;
        }
        if (key->type == &conf_type_map_of && !(key->flags & CONF_SECRET)) {
            print_entries(key, (const void *)((const char *)settings + key->offset), &here,
                          depth + 1, to);
            continue;
        }
        fputc(' ', to);
        if (is_hidden(key, &here))
            fputs("\"***\"", to);
        else if (key->flags & CONF_SECRET)
            conf_print_secret(key, (const char *)settings + key->offset, to);
        else
            key->type->print(key, (const char *)settings + key->offset, to);
        fputc('\n', to);
    }
}

static const struct conf_node *item_own(const struct conf_node *list, struct str name)
{
    const struct conf_node *own;
    struct str item;

    if (list && list->kind == CONF_LIST)
        CONF_EACH (list, n)
            if (conf_step_item(n, &item, &own) && str_equal(item, name))
                return own;
    return NULL;
}

/* from: the service, which may hold short spellings, or NULL. */
static void print_steps(struct conf_file *f, const struct conf_steps *steps,
                        const struct conf_node *list, const struct conf_node *service,
                        unsigned depth, FILE *to)
{
    static const char *const modes[] = { "enforce", "shadow", "off" };
    const struct conf_node *variant;

    indent(depth, to);
    fputs(steps->count ? "middleware:\n" : "middleware: []\n", to);
    for (size_t i = 0; i < steps->count; i++) {
        const struct conf_step *step = &steps->items[i];
        struct sources from = { .layers = { conf_node_get(f->config, str_from(step->type->name)),
                                            NULL, conf_service_block_of(service, step->name),
                                            item_own(list, step->name) },
                                .service = service };

        conf_find_type(f, step->name, &variant);
        from.layers[1] = variant;
        indent(depth + 1, to);
        fprintf(to, "- ");
        conf_print_text(step->name, to);
        fputs(":\n", to);
        indent(depth + 3, to);
        fprintf(to, "mode: %s\n", modes[step->mode]);
        print_keys(step->type, step->settings, &from, depth + 3, to);
    }
}

/* Variants are written out, so that the names in `middleware:` mean something when this is read back. */
static void print_variants(struct conf_file *f, FILE *to)
{
    const struct conf_schema *type;
    const struct conf_node *variant;
    bool begun = false;

    if (!f->config || f->config->kind != CONF_MAP)
        return;
    CONF_EACH (f->config, entry) {
        type = conf_find_type(f, entry->key, &variant);
        if (!type || !variant)
            continue;
        fputs(begun ? "" : "middleware_config:\n", to);
        begun = true;
        indent(1, to);
        conf_print_text(entry->key, to);
        fprintf(to, ": {type: %s}\n", type->name);
    }
}

static void print_service(struct conf_file *f, const struct conf_globals *g, size_t i, FILE *to)
{
    const struct conf_node *n = conf_walk_to(&f->services, i);
    struct sources from = { .layers = { n } };
    struct conf_service_block *block;
    struct arena a;

    arena_init(&a, NULL);
    block = ARENA_NEW(&a, struct conf_service_block);
    conf_read_service_block(f, g, n, block, &a);
    fputs("  -\n", to);
    print_keys(&conf_service_schema, block, &from, 2, to);
    print_steps(f, &block->s.steps, conf_node_get(n, STR("middleware")), n, 2, to);
    arena_free(&a);
}

static void print_consumers(struct conf_file *f, FILE *to)
{
    size_t count = conf_consumer_count(f);

    fputs(count ? "consumers:\n" : "consumers: []\n", to);
    for (size_t i = 0; i < count; i++) {
        struct sources from = { .layers = { conf_walk_to(&f->consumers, i) } };
        struct arena a;

        arena_init(&a, NULL);
        fputs("  -\n", to);
        print_keys(&conf_consumer_schema, conf_read_consumer(f, i, &a), &from, 2, to);
        arena_free(&a);
    }
}

void conf_print(struct conf_file *f, FILE *to)
{
    const struct conf_globals *g;
    struct sources from = { .layers = { f->root } };
    size_t count = conf_service_count(f);
    struct arena a;

    arena_init(&a, NULL);
    g = conf_read_globals(f, &a);
    print_keys(&conf_globals_schema, g, &from, 0, to);
    print_variants(f, to);
    print_steps(f, &g->steps, conf_node_get(f->root, STR("middleware")), NULL, 0, to);
    print_consumers(f, to);
    fputs(count ? "services:\n" : "services: []\n", to);
    for (size_t i = 0; i < count; i++)
        print_service(f, g, i, to);
    arena_free(&a);
}

/* A reading in progress: begin, the globals, what may not change, what is unchanged. */
#include "conf/file.h"

#include <errno.h>
#include <stdlib.h>

#include "conf/places.h"
#include "gateway/base/hash.h"

/* Read by other functions than the table's. */
static const char *const OTHER_KEYS[] = { "middleware", "middleware_config", "services",
                                          "consumers", NULL };

/* ---- short spellings ---- */

static void add_flats(struct conf_file *f, const struct conf_schema *type,
                      const struct conf_schema *block, size_t offset, const char *way[4],
                      size_t depth)
{
    CHECK(depth < 3);
    for (const struct conf_key *key = block->keys; key && key->name; key++) {
        struct conf_flat *flat;

        way[depth] = key->name;
        way[depth + 1] = NULL;
        if (depth == 0) /* these belong to every middleware and are read by steps.c */
            CHECK(strcmp(key->name, "mode") != 0 && strcmp(key->name, "type") != 0);
        if (key->type == &conf_type_block)
            add_flats(f, type, key->arg, offset + key->offset, way, depth + 1);
        if (!key->flat)
            continue;
        flat = ARENA_NEW(&f->arena, struct conf_flat);
        flat->type = type;
        flat->key = *key;
        flat->key.name = key->flat;
        flat->key.offset += offset;
        if (key->flat_type)
            flat->key.type = key->flat_type;
        memcpy(flat->way, way, sizeof flat->way);
        errno = 0; /* no call failed */
        if (!map_add(&f->flats, str_from(key->flat), flat))
            die("two middlewares have the short spelling %s", key->flat);
    }
}

/* What a service may say beside the keys of its table. */
static void name_all_of_service(struct conf_file *f)
{
    const struct conf_node *config = f->config && f->config->kind == CONF_MAP ? f->config : NULL;
    const struct conf_schema *type;
    size_t types = 0, i = 0;

    while (f->catalog->middleware_at(types))
        types++;
    f->service_also = ARENA_ARRAY(&f->arena, const char *,
                                  f->flats.count + types + (config ? config->count : 0) + 2);
    f->service_also[i++] = "middleware";
    MAP_EACH(&f->flats, e)
    f->service_also[i++] = ((const struct conf_flat *)e->value)->key.name;
    for (size_t n = 0; (type = f->catalog->middleware_at(n)); n++)
        f->service_also[i++] = type->name;
    for (const struct conf_node *entry = config ? config->first : NULL; entry; entry = entry->next)
        if (!f->catalog->find_middleware(entry->key))
            f->service_also[i++] = str_keep_z(&f->arena, entry->key);
}

/* ---- beginning and end ---- */

static const struct conf_node *list_named(struct conf_file *f, const char *name)
{
    const struct conf_node *n = conf_node_get(f->root, str_from(name));

    if (!n || n->broken || conf_node_is_empty(n))
        return NULL;
    if (n->kind == CONF_LIST)
        return n;
    conf_problem(f->problems, n, "must be a list");
    return NULL;
}

struct conf_file *conf_open(const struct conf_node *root, const struct conf_catalog *catalog,
                            const struct conf_env_source *env, struct conf_problems *p)
{
    struct conf_file *f = calloc(1, sizeof *f);
    const struct conf_schema *type;
    const char *way[4];

    if (!f)
        die("out of memory for reading the configuration");
    arena_init(&f->arena, NULL);
    map_init(&f->flats, &f->arena);
    f->root = root;
    f->catalog = catalog;
    f->env = env;
    f->problems = p;
    for (size_t i = 0; (type = catalog->middleware_at(i)); i++)
        add_flats(f, type, type, 0, way, 0);
    f->config = conf_node_get(root, STR("middleware_config"));
    name_all_of_service(f);
    f->services.list = list_named(f, "services");
    f->consumers.list = list_named(f, "consumers");
    return f;
}

void conf_close(struct conf_file *f)
{
    if (!f)
        return;
    arena_free(&f->arena);
    free(f);
}

size_t conf_service_count(const struct conf_file *f)
{
    return f->services.list ? f->services.list->count : 0;
}

const struct conf_node *conf_walk_to(struct conf_walk *w, size_t i)
{
    if (!w->list)
        return NULL;
    if (!w->at || w->number > i) {
        w->at = w->list->first;
        w->number = 0;
    }
    for (; w->at && w->number < i; w->number++)
        w->at = w->at->next;
    return w->at;
}

/* ---- the globals ---- */

/* GATEWAY_PORT, if it is set; true if it was. */
static bool read_env_port(struct conf_file *f, struct conf_globals *g, struct arena *a)
{
    struct conf_key key = { .name = "port", .type = &conf_type_listen };
    struct conf_node n = { .kind = CONF_SCALAR };
    struct conf_problems own;

    if (f->env->find(f->env->owner, &f->arena, CONF_ENV_NAME, STR("GATEWAY_PORT"), &n.text) ||
        n.text.len == 0)
        return false;
    conf_problems_init(&own);
    if (!conf_type_listen.read(&key, &n, &g->port, a, &own))
        conf_problem(f->problems, NULL, "environment variable GATEWAY_PORT %.*s",
                     STR_ARGS(own.first->text));
    conf_problems_free(&own);
    return true;
}

static void check_listeners(struct conf_file *f, const struct conf_globals *g)
{
    const struct conf_listener *all = g->listeners.items;
    const struct conf_node *list = conf_node_get(f->root, STR("listeners"));
    size_t plain = g->listeners.count - g->more_listeners.count;

    for (size_t i = 0; i < g->listeners.count; i++)
        for (size_t j = 0; j < i; j++) {
            const struct conf_node *n = conf_node_at(list, i - plain);

            if (str_equal(all[i].name, all[j].name))
                conf_problem(f->problems, n, "there is a listener \"%.*s\" already",
                             STR_ARGS(all[i].name));
            if (str_equal(all[i].address, all[j].address) && !str_ends(all[i].address, STR(":0")))
                conf_problem(f->problems, n, "%.*s is the address of listener \"%.*s\"",
                             STR_ARGS(all[i].address), STR_ARGS(all[j].name));
        }
}

/* `port:` first, then `listeners:`. */
static void join_listeners(struct conf_file *f, struct conf_globals *g, bool has_port,
                           struct arena *a)
{
    size_t more = g->more_listeners.count;
    struct conf_listener *all = ARENA_ARRAY(a, struct conf_listener, more + 1);
    size_t count = 0;

    if (!has_port && more)
        g->port = STR_NONE;
    if (g->port.len)
        all[count++] =
            (struct conf_listener){ .name = STR("default"), .address = g->port, .backlog = 4096 };
    if (more)
        memcpy(all + count, g->more_listeners.items, more * sizeof *all);
    g->listeners = (struct conf_list){ .items = all, .count = count + more };
    if (!g->listeners.count)
        conf_problem(f->problems, conf_node_get(f->root, STR("port")), "leaves no listener at all");
    check_listeners(f, g);
}

static void leave_out_silent_logs(struct conf_logging *l)
{
    struct conf_access *all = l->access.items;
    size_t count = 0;

    for (size_t i = 0; i < l->access.count; i++)
        if (all[i].to.sink != CONF_SINK_OFF)
            all[count++] = all[i];
    l->access.count = count;
}

static void check_root(struct conf_file *f)
{
    if (!f->root || f->root->kind != CONF_MAP)
        return;
    if (!conf_node_get(f->root, STR("services")))
        conf_problem(f->problems, NULL, "\"services\" is missing");
    else if (!conf_service_count(f) && !f->problems->errors)
        conf_warning(f->problems, conf_node_get(f->root, STR("services")),
                     "there are no services: every request is answered by `unmatched`");
}

const struct conf_globals *conf_read_globals(struct conf_file *f, struct arena *a)
{
    struct conf_globals *g = ARENA_NEW(a, struct conf_globals);
    struct conf_given given = { 0 };
    bool good, has_port;

    conf_read_defaults(&conf_globals_schema, g, a);
    good = conf_read_layer(&conf_globals_schema, f->root, g, &given, OTHER_KEYS, a, f->problems);
    conf_read_finish(&conf_globals_schema, f->root, g, &given, good, f->problems);
    has_port = read_env_port(f, g, a) || conf_node_get(f->root, STR("port"));
    join_listeners(f, g, has_port, a);
    leave_out_silent_logs(&g->logging);
    conf_check_middleware_config(f);
    conf_read_steps(f, list_named(f, "middleware"), NULL, &g->steps, a);
    check_root(f);
    return g;
}

void conf_check_services(struct conf_file *f)
{
    struct map names;

    map_init(&names, &f->arena);
    for (const struct conf_node *s = f->services.list ? f->services.list->first : NULL; s;
         s = s->next) {
        const struct conf_node *name = conf_node_get(s, STR("name")), *first;

        if (!name || name->kind != CONF_SCALAR || name->text.len == 0)
            continue; /* its own problem has been reported */
        first = map_get(&names, name->text);
        if (first)
            conf_problem(f->problems, name, "there is a service \"%.*s\" already, in line %u",
                         STR_ARGS(name->text), first->at.line);
        else
            map_set(&names, name->text, (struct conf_node *)(uintptr_t)name);
    }
}

/* ---- unchanged? ---- */

static uint64_t combine(uint64_t a, uint64_t b)
{
    struct hash_key key = { a, b };

    return hash_keyed(&key, NULL, 0);
}

/* What every service inherits. */
static uint64_t inherited_hash(struct conf_file *f)
{
    static const char *const keys[] = { "limits",        "timeouts", "upstream_pool", "client_ip",
                                        "shared_memory", "errors",   "metrics",       "middleware",
                                        "stores",        "plans" };
    uint64_t sum = 0;

    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        sum = combine(sum, conf_node_hash(conf_node_get(f->root, str_from(keys[i]))));
    return combine(sum, conf_steps_hash(f, conf_node_get(f->root, STR("middleware"))));
}

uint64_t conf_service_hash(struct conf_file *f, size_t i)
{
    const struct conf_node *n = conf_walk_to(&f->services, i);

    CHECK(n != NULL);
    if (!f->inherited_known) {
        f->inherited = inherited_hash(f);
        f->inherited_known = true;
    }
    return combine(combine(f->inherited, conf_node_hash(n)),
                   conf_steps_hash(f, conf_node_get(n, STR("middleware"))));
}

/* ---- what may change only with the process ---- */

/* A value as the text that reads back as the same. */
static char *printed(const struct conf_key *key, const void *settings)
{
    char *text = NULL;
    size_t len = 0;
    FILE *to = open_memstream(&text, &len);

    if (!to)
        die("out of memory for comparing settings");
    key->type->print(key, (const char *)settings + key->offset, to);
    if (fclose(to) != 0 || !text)
        die("out of memory for comparing settings");
    return text;
}

static void keep_one(const struct conf_key *key, const char *block, const void *running, void *next,
                     struct arena *a, struct conf_problems *p)
{
    char *was = printed(key, running), *is = printed(key, next);
    struct conf_tree *tree;

    if (strcmp(was, is) != 0) {
        conf_problem_at(p, CONF_WARNING, (struct conf_place){ 0 }, STR_NONE,
                        "%s%s%s takes effect at the next upgrade or start; until then it is %s",
                        block, *block ? "." : "", key->name, was);
        tree = conf_tree_read(STR("running"), str_from(was), &conf_env_none, p);
        CHECK(conf_tree_root(tree) && conf_read_key(key, conf_tree_root(tree), next, a, p));
        conf_tree_free(tree);
    }
    free(was);
    free(is);
}

static void keep_block(const struct conf_schema *s, const char *path, const void *running,
                       void *next, struct arena *a, struct conf_problems *p)
{
    for (const struct conf_key *key = s->keys; key && key->name; key++) {
        if (key->type == &conf_type_block) {
            struct str inner = str_format(a, "%s%s%s", path, *path ? "." : "", key->name);

            keep_block(key->arg, str_keep_z(a, inner), (const char *)running + key->offset,
                       (char *)next + key->offset, a, p);
        } else if (key->flags & CONF_AT_START) {
            keep_one(key, path, running, next, a, p);
        }
    }
}

void conf_keep_at_start(const struct conf_globals *running, struct conf_globals *next,
                        struct arena *a, struct conf_problems *p)
{
    keep_block(&conf_globals_schema, "", running, next, a, p);
}

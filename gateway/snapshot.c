/* Everything derived from one reading of the configuration. */
#include "gateway/snapshot.h"

#include <stdlib.h>

#include "conf/pace.h"
#include "gateway/base/clock.h"
#include "gateway/base/date.h"
#include "gateway/base/hash.h"
#include "gateway/base/log.h"
#include "gateway/catalog.h"
#include "gateway/exchange/consumers.h"
#include "gateway/exchange/router.h"
#include "gateway/exchange/shared.h"
#include "gateway/names.h"
#include "gateway/settings.h"
#include "gateway/stores.h"

#define ROUTER_PIECE ((size_t)128 * 1024) /* of it, copied in one step */
#define ITEMS_PIECE  1000                 /* of the long lists of a service, read in one step */

enum build_phase {
    BUILD_TREE,
    BUILD_GLOBALS,
    BUILD_KNOWN, /* are the consumers those of the snapshot before? */
    BUILD_CONSUMERS,
    BUILD_OWN,
    BUILD_SERVICES,
    BUILD_ROUTES,
    BUILD_ROUTER,
    BUILD_TIDY /* what it was read from is not needed any more */
};

struct snapshot_build {
    enum build_phase phase;
    enum build_role role;
    struct region *region;
    struct bundle *bundle;
    const struct snapshot *previous;
    struct shared *shared;
    struct conf_problems problems;
    struct conf_env_source env;
    struct conf_tree *tree;
    struct conf_file *file;
    struct router_builder *router;
    struct part_build part; /* .part NULL: none has been begun */
    struct conf_pace pace;  /* at which its service is read */
    uint64_t stores;        /* a hash of where they are */
    uint64_t consumers;     /* a hash of those looked at so far */
    size_t consumer_keys;   /* that they have */
    uint32_t next;          /* service, or part whose routes are added */
    size_t next_route;      /* of that part */
    uint32_t found;         /* where the last part that is shared stood */
};

/* ---- parts ----------------------------------------------------------------------------------- */

static struct builder builder_of(struct snapshot *s, struct part *p, struct str service_name)
{
    struct snapshot_build *build = s->build;

    return (struct builder){ .role = build->role,
                             .arena = &p->arena,
                             .region = build->region,
                             .problems = &build->problems,
                             .globals = s->globals,
                             .shared = build->shared,
                             .consumers = s->consumers,
                             .service_name = service_name,
                             .bundle = build->bundle };
}

/* Begin a part; it is the snapshot's, whatever becomes of it. */
static struct part *begin_part(struct snapshot *s, uint64_t hash)
{
    struct part *p = part_new(hash, s->consumers);

    s->build->part = (struct part_build){ .b = builder_of(s, p, STR("")), .part = p };
    s->build->pace = (struct conf_pace){ 0 };
    return p;
}

static void read_service(struct snapshot *s, uint32_t index)
{
    struct part_build *w = &s->build->part;

    s->build->pace.items = s->build->role == BUILD_WORKER ? ITEMS_PIECE : SIZE_MAX;
    w->part->conf =
        conf_read_service_some(s->build->file, s->globals, index, &w->part->arena, &s->build->pace);
    if (!w->part->conf) /* there is more of it */
        return;
    w->b.service_name = w->part->conf->name;
    w->b.at = w->part->conf->at;
    if (s->build->problems.errors == 0)
        part_build_service(w);
    else
        w->part = NULL; /* what could not be read cannot be built */
}

static void begin_own(struct snapshot *s)
{
    s->own = begin_part(s, 0);
    part_build_own(&s->build->part);
}

/* Go on with the part that has been begun. False: there is none. */
static bool part_goes_on(struct snapshot *s, uint64_t until_ns)
{
    struct part_build *w = &s->build->part;

    if (!w->part)
        return false;
    if (w->part != s->own && !w->part->conf)
        read_service(s, s->part_count - 1);
    else if (part_build_more(w, until_ns))
        w->part = NULL;
    return true;
}

/* ---- routes ----------------------------------------------------------------------------------- */

static void add_own_route(struct snapshot *s, struct str path, enum own_route which)
{
    struct route *route = &s->own->routes[which];
    struct route_pattern pattern = { .path = path,
                                     .methods = ROUTER_METHODS_ALL,
                                     .label = route->service_name };

    if (path.len == 0)
        return;
    if (router_builder_add(s->build->router, &pattern, route, NULL) == ROUTER_BAD_PATTERN)
        conf_problem(&s->build->problems, NULL, "%.*s is not a path", STR_ARGS(path));
}

static void add_own_routes(struct snapshot *s)
{
    const struct conf_globals *g = s->globals;

    if (g->metrics.on_public_listener)
        add_own_route(s, g->metrics.path, OWN_METRICS);
    add_own_route(s, g->health.live, OWN_LIVE);
    add_own_route(s, g->health.ready, OWN_READY);
}

static uint32_t methods_of(const struct conf_route *conf)
{
    const struct str *names = conf->methods.items;
    uint32_t methods = 0;

    for (size_t i = 0; i < conf->methods.count; i++)
        methods |= UINT32_C(1) << method_from(names[i]);
    return methods ? methods : ROUTER_METHODS_ALL;
}

static void add_route(struct snapshot *s, struct part *p, const struct conf_route *conf,
                      struct str host)
{
    struct route_pattern pattern = { .host = host,
                                     .path = conf->path,
                                     .below = conf->below,
                                     .methods = methods_of(conf),
                                     .priority = (uint32_t)p->conf->priority,
                                     .owner = p,
                                     .label = conf->path };
    void *other = NULL;

    switch (router_builder_add(s->build->router, &pattern, p->routes, &other)) {
    case ROUTER_ADDED:
        return;
    case ROUTER_CONFLICT:
        conf_problem_at(&s->build->problems, CONF_ERROR, conf->at, p->conf->name,
                        "the route %.*s is taken by the service %.*s already", STR_ARGS(conf->path),
                        STR_ARGS(((const struct route *)other)->service_name));
        return;
    case ROUTER_BAD_PATTERN:
        conf_problem_at(&s->build->problems, CONF_ERROR, conf->at, p->conf->name,
                        "%.*s cannot be used as a route", STR_ARGS(conf->path));
        return;
    }
}

/* The next route of the next part, with all its hosts. False: there is none. */
static bool add_next_route(struct snapshot *s)
{
    struct snapshot_build *build = s->build;
    struct part *p;
    const struct str *hosts;
    const struct conf_route *route;

    while (build->next < s->part_count &&
           build->next_route == s->parts[build->next]->conf->routes.count) {
        build->next++;
        build->next_route = 0;
    }
    if (build->next == s->part_count)
        return false;
    p = s->parts[build->next];
    route = (const struct conf_route *)p->conf->routes.items + build->next_route++;
    hosts = p->conf->hosts.items;
    for (size_t h = 0; h < p->conf->hosts.count; h++)
        add_route(s, p, route, hosts[h]);
    if (p->conf->hosts.count == 0)
        add_route(s, p, route, STR(""));
    return true;
}

/* ---- building --------------------------------------------------------------------------------- */

struct snapshot *snapshot_begin(enum build_role role, struct str path, struct region *r,
                                struct bundle *bundle, const struct snapshot *previous)
{
    struct snapshot *s = calloc(1, sizeof *s);
    struct snapshot_build *b = calloc(1, sizeof *b);
    struct str text;

    if (!s || !b)
        die("out of memory for a snapshot");
    arena_init(&s->arena, NULL);
    link_init(&s->node);
    s->build = b;
    *b = (struct snapshot_build){
        .role = role, .region = r, .bundle = bundle, .previous = previous
    };
    conf_problems_init(&b->problems);
    b->env = bundle_env(bundle, role == BUILD_MASTER);
    if (!bundle_get(bundle, BUNDLE_CONFIG, path, &text)) {
        /* A worker does not know the path; there is one configuration in a bundle. */
        CHECK(role != BUILD_MASTER && bundle_first(bundle, BUNDLE_CONFIG, &path, &text));
    }
    if (role == BUILD_MASTER) /* of the configuration's bytes: nothing else is in it yet */
        s->config_hash = bundle_hash(bundle);
    b->tree = conf_tree_begin(
        path, role == BUILD_MASTER ? str_of(str_keep_z(&s->arena, text), text.len) : text, &b->env,
        &b->problems);
    b->router = router_builder_new();
    b->found = UINT32_MAX; /* the first is looked for at the beginning */
    return s;
}

static void read_globals(struct snapshot *s)
{
    struct snapshot_build *b = s->build;
    const struct snapshot *previous = b->previous;

    b->file = conf_open(conf_tree_root(b->tree), &catalog, &b->env, &b->problems);
    s->globals = conf_read_globals(b->file, &s->arena);
    if (previous && b->problems.errors == 0)
        conf_keep_at_start(previous->globals, (struct conf_globals *)(uintptr_t)s->globals,
                           &s->arena, &b->problems);
    b->stores =
        names_of_stores(b->bundle, b->role, (struct conf_stores *)(uintptr_t)&s->globals->stores,
                        &s->arena, &b->problems);
    s->part_count = 0;
    s->parts = ARENA_ARRAY(&s->arena, struct part *, conf_service_count(b->file) + 1);
    b->shared = shared_open(b->region, b->role == BUILD_MASTER ? s->globals : NULL);
    if (!b->shared)
        conf_problem(&b->problems, NULL, "shared_memory: no room for counters, records and limits");
    if (b->role == BUILD_MASTER && !stores_tables(b->region, s->globals))
        conf_problem(&b->problems, NULL, "stores: no room in the shared memory for so many");
}

/* ---- consumers -------------------------------------------------------------------------------- */

/* The numbers of plans are part of what is known of a consumer. */
static uint64_t plans_hash(const struct conf_globals *g)
{
    const struct conf_plan *plans = g->plans.items;
    struct hash_key sum = { g->plans.count, 0 };

    for (size_t i = 0; i < g->plans.count; i++)
        sum.k0 = hash_str(&sum, plans[i].name);
    return sum.k0;
}

/* One more looked at; then whether all are known already. */
static void look_at_consumer(struct snapshot *s)
{
    struct snapshot_build *b = s->build;
    struct consumers *before = b->previous ? b->previous->consumers : NULL;
    struct hash_key sum;

    /* The caretaker serves nobody; the master reads them all, to see what is wrong with them. */
    if (b->role == BUILD_CARETAKER || conf_consumer_count(b->file) == 0) {
        b->phase = BUILD_OWN;
        return;
    }
    if (b->next == 0)
        b->consumers = plans_hash(s->globals);
    if (b->next < conf_consumer_count(b->file)) {
        b->consumer_keys += conf_consumer_keys(b->file, b->next);
        sum = (struct hash_key){ b->consumers, conf_consumer_hash(b->file, b->next++) };
        b->consumers = hash_keyed(&sum, NULL, 0);
        return;
    }
    b->next = 0;
    if (b->role == BUILD_WORKER && before && consumers_hash(before) == b->consumers) {
        consumers_hold(before);
        s->consumers = before;
        b->phase = BUILD_OWN;
        return;
    }
    s->consumers = consumers_new(b->consumers, b->consumer_keys);
    b->phase = BUILD_CONSUMERS;
}

/* Master: who reads the file may have forgotten what stands in it. */
static void say_what_has_ended(struct snapshot *s, const struct conf_consumer *c)
{
    const struct conf_consumer_key *keys = c->keys.items;

    for (size_t i = 0; i < c->keys.count; i++) {
        char text[DATE_TEXT_MAX];

        if (keys[i].expires && keys[i].expires <= clock_wall_ns())
            conf_problem_at(&s->build->problems, CONF_WARNING, c->at, c->name,
                            "its key %s%.*s has ended (%.*s)", keys[i].id.len ? "" : "number ",
                            STR_ARGS(keys[i].id.len
                                         ? keys[i].id
                                         : str_format(&s->build->problems.arena, "%zu", i + 1)),
                            (int)date_write(text, keys[i].expires), text);
    }
}

static void read_consumer(struct snapshot *s)
{
    struct snapshot_build *b = s->build;
    const struct conf_consumer *c;

    if (b->next == conf_consumer_count(b->file)) {
        b->next = 0;
        b->phase = BUILD_OWN;
        return;
    }
    c = conf_read_consumer(b->file, b->next, consumers_arena(s->consumers));
    if (b->role == BUILD_MASTER) {
        conf_check_consumer(b->file, s->globals, b->next, c);
        say_what_has_ended(s, c);
    }
    consumers_add(s->consumers, c, &s->globals->plans);
    b->next++;
}

/* ---- services --------------------------------------------------------------------------------- */

/* The same service in the snapshot before, or NULL. */
static struct part *part_before(struct snapshot *s, uint64_t hash)
{
    const struct snapshot *before = s->build->previous;
    uint32_t count = before ? before->part_count : 0, at = s->build->found;
    struct part *p = NULL;
    struct builder b;

    if (s->build->role != BUILD_WORKER) /* the master builds all: it writes the bundle */
        return NULL;
    for (uint32_t n = 0; !p && n < count; n++) { /* mostly behind the one before */
        at = at + 1 < count ? at + 1 : 0;
        if (before->parts[at]->hash == hash)
            p = before->parts[at];
    }
    if (!p)
        return NULL;
    s->build->found = at;
    b = builder_of(s, p, p->conf->name);
    return part_addresses_stand(&b, p) ? p : NULL;
}

static void take_service(struct snapshot *s, uint32_t i)
{
    uint64_t hash = conf_service_hash(s->build->file, i) + s->build->stores +
                    (s->consumers ? consumers_hash(s->consumers) : 0);
    struct part *p = part_before(s, hash);

    if (p) {
        part_enter(p);
        s->shared_count++;
    } else {
        p = begin_part(s, hash);
    }
    s->parts[s->part_count++] = p;
}

/* One of the things that were read from, as large as the configuration. False: there is none left. */
static bool put_away_one(struct snapshot *s)
{
    struct snapshot_build *b = s->build;

    if (b->file) {
        conf_close(b->file);
        b->file = NULL;
    } else if (b->tree) {
        conf_tree_leave(b->tree, s->bin);
        b->tree = NULL;
    } else if (b->bundle) {
        bundle_free(b->bundle);
        b->bundle = NULL;
    } else {
        return false;
    }
    return true;
}

/* One step of the build. True: it was the last. */
static bool step_on(struct snapshot *s, uint64_t until_ns)
{
    struct snapshot_build *b = s->build;

    switch (b->phase) {
    case BUILD_TREE:
        if (conf_tree_more(b->tree, until_ns))
            b->phase = BUILD_GLOBALS;
        return false;
    case BUILD_GLOBALS:
        read_globals(s);
        b->phase = BUILD_KNOWN;
        return false;
    case BUILD_KNOWN:
        look_at_consumer(s);
        return false;
    case BUILD_CONSUMERS:
        read_consumer(s);
        return false;
    case BUILD_OWN:
        if (!s->own)
            begin_own(s);
        if (part_goes_on(s, until_ns))
            return false;
        b->phase = b->role == BUILD_CARETAKER ? BUILD_ROUTER : BUILD_SERVICES;
        return false;
    case BUILD_SERVICES:
        if (part_goes_on(s, until_ns))
            return false;
        if (b->next < conf_service_count(b->file)) {
            take_service(s, b->next++);
            return false;
        }
        if (b->role == BUILD_MASTER) /* a worker builds from bytes that have been checked */
            conf_check_services(b->file);
        if (b->problems.errors > 0)
            return true;
        b->next = 0;
        b->phase = BUILD_ROUTES;
        add_own_routes(s);
        return false;
    case BUILD_ROUTES:
        if (add_next_route(s))
            return false;
        if (b->problems.errors > 0)
            return true;
        b->phase = BUILD_ROUTER;
        return false;
    case BUILD_ROUTER:
        s->router = router_builder_finish_some(b->router, ROUTER_PIECE);
        if (!s->router)
            return false;
        b->router = NULL;
        s->engine = settings_of_engine(s->globals, &s->arena);
        s->current = settings_of_exchanges(s->globals);
        s->current.router = s->router;
        s->current.unmatched = &s->own->routes[OWN_UNMATCHED];
        s->current.snapshot = s;
        b->phase = BUILD_TIDY;
        return b->role == BUILD_MASTER; /* who seals the bundle, and may print what was read */
    case BUILD_TIDY:
        return !put_away_one(s);
    }
    UNREACHABLE();
}

enum build_result snapshot_more(struct snapshot *s, uint64_t until_ns)
{
    do {
        if (step_on(s, until_ns))
            return s->build->problems.errors > 0 ? BUILD_FAILED : BUILD_DONE;
    } while (clock_now_ns() < until_ns);
    return BUILD_MORE;
}

struct conf_problems *snapshot_problems(struct snapshot *s)
{
    return s->build ? &s->build->problems : NULL;
}

struct conf_file *snapshot_conf_file(struct snapshot *s)
{
    return s->build ? s->build->file : NULL;
}

void snapshot_log_problems(struct snapshot *s)
{
    struct conf_problems *p = &s->build->problems;

    for (const struct conf_problem *one = p->first; one; one = one->next)
        log_line(one->severity == CONF_ERROR ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "%.*s",
                 STR_ARGS(conf_problem_text(p, one, &p->arena)));
    if (p->errors + p->warnings > p->kept)
        log_line(LOG_LEVEL_ERROR, "… and %zu problems more", p->errors + p->warnings - p->kept);
}

void snapshot_seal(struct snapshot *s)
{
    struct snapshot_build *b = s->build;

    if (!b)
        return;
    while (put_away_one(s))
        ;
    if (b->router)
        router_builder_free(b->router);
    conf_problems_free(&b->problems);
    shared_close(b->shared);
    free(b);
    s->build = NULL;
}

struct part *snapshot_take_part(struct snapshot *s)
{
    struct part *p = s->own;

    if (s->part_count > 0)
        return s->parts[--s->part_count];
    s->own = NULL;
    return p;
}

void snapshot_forget_routes(struct snapshot *s)
{
    struct part *p;

    while ((p = snapshot_take_part(s)))
        (void)part_leave(p, s->bin);
    consumers_release(s->consumers, s->bin);
    s->consumers = NULL;
    if (s->router)
        router_free(s->router);
    s->router = NULL;
    s->current = (struct current){ .snapshot = s, .globals = s->globals };
}

void snapshot_free(struct snapshot *s)
{
    if (!s)
        return;
    snapshot_seal(s);
    snapshot_forget_routes(s);
    bundle_free(s->names);
    link_remove(&s->node);
    arena_leave(&s->arena, s->bin);
    free(s);
}

/* Everything derived from one reading of the configuration. */
#include "gateway/snapshot.h"

#include <malloc.h>
#include <netdb.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/base/hash.h"
#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "gateway/catalog.h"
#include "gateway/exchange/middleware.h"
#include "gateway/exchange/router.h"
#include "gateway/exchange/shared.h"
#include "gateway/handlers/health_page.h"
#include "gateway/handlers/metrics_page.h"
#include "gateway/handlers/proxy.h"
#include "gateway/handlers/static_reply.h"

enum build_phase {
    BUILD_TREE,
    BUILD_GLOBALS,
    BUILD_OWN,
    BUILD_SERVICES,
    BUILD_ROUTES,
    BUILD_ROUTER
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
    uint32_t next; /* service, or part whose routes are added          */
};

/* ---- parts ------------------------------------------------------------------------------------ */

void part_hold(struct part *p)
{
    p->holders++;
}

void part_release(struct part *p)
{
    CHECK(p->holders > 0);
    if (--p->holders > 0)
        return;
    link_remove(&p->node);
    arena_free(&p->arena);
    free(p);
}

static struct part *part_new(uint64_t hash)
{
    struct part *p = calloc(1, sizeof *p);

    if (!p)
        die("out of memory for a service");
    p->holders = 1;
    p->hash = hash;
    link_init(&p->node);
    arena_init(&p->arena, NULL);
    return p;
}

/* ---- names ------------------------------------------------------------------------------------ */

static size_t ask_the_system(struct str host, struct ip *ips, size_t room)
{
    struct addrinfo hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM }, *found, *a;
    struct arena scratch;
    size_t n = 0;

    arena_init(&scratch, NULL);
    if (getaddrinfo(str_keep_z(&scratch, host), NULL, &hints, &found) == 0) {
        for (a = found; a && n < room; a = a->ai_next)
            if (ip_of_sockaddr(a->ai_addr, &ips[n]))
                n++;
        freeaddrinfo(found);
    }
    arena_free(&scratch);
    return n;
}

/* The addresses of a name: the master asks and writes them down, a worker reads them. */
static bool resolve(struct builder *b, struct str host, struct ip *ips, size_t room, size_t *count)
{
    struct str known;

    if (!bundle_get(b->bundle, BUNDLE_ADDRESSES, host, &known)) {
        if (b->role != BUILD_MASTER)
            return false;
        *count = ask_the_system(host, ips, room);
        bundle_put(b->bundle, BUNDLE_ADDRESSES, host,
                   str_of((const char *)ips, *count * sizeof *ips));
        return *count > 0;
    }
    *count = known.len / sizeof *ips < room ? known.len / sizeof *ips : room;
    if (*count)
        memcpy(ips, known.at, *count * sizeof *ips);
    return *count > 0;
}

static void set_address(struct endpoint_address *to, const struct ip *ip, uint16_t port)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&to->at;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&to->at;

    if (ip_is_v4(ip)) {
        *v4 = (struct sockaddr_in){ .sin_family = AF_INET, .sin_port = htons(port) };
        memcpy(&v4->sin_addr, ip->at + 12, 4);
        to->len = sizeof *v4;
        return;
    }
    *v6 = (struct sockaddr_in6){ .sin6_family = AF_INET6, .sin6_port = htons(port) };
    memcpy(&v6->sin6_addr, ip->at, 16);
    to->len = sizeof *v6;
}

/* ---- a service -------------------------------------------------------------------------------- */

/* An endpoint is known by value: its name, and what that stands for now. */
static uint64_t endpoint_id(struct region *r, struct str authority, const struct ip *ips,
                            size_t count)
{
    const struct hash_key *key = &region_header(r)->key;
    uint64_t id = hash_keyed(key, authority.at, authority.len);

    for (size_t i = 0; i < count; i++)
        id = id * 31 + hash_keyed(key, ips[i].at, sizeof ips[i].at);
    return id;
}

static void build_endpoint(struct builder *b, const struct conf_url *url, struct endpoint *e)
{
    struct ip ips[ENDPOINT_ADDRESSES];
    size_t count = 1;

    e->authority = url->authority;
    if (url->is_ip)
        ips[0] = url->ip;
    else if (!resolve(b, url->host, ips, ENDPOINT_ADDRESSES, &count)) {
        builder_warning(b,
                        "the name %.*s has no address now: its requests will be answered with 502",
                        STR_ARGS(url->host));
        count = 0;
    }
    for (size_t i = 0; i < count; i++)
        set_address(&e->addresses[i], &ips[i], url->port);
    e->address_count = (uint32_t)count;
    e->id = endpoint_id(b->region, e->authority, ips, count);
}

static void build_service(struct builder *b, struct part *p)
{
    const struct conf_service *conf = p->conf;
    const struct conf_url *urls = conf->urls.items;
    struct endpoint *endpoints = ARENA_ARRAY(&p->arena, struct endpoint, conf->urls.count + 1);

    for (size_t i = 0; i < conf->urls.count; i++)
        build_endpoint(b, &urls[i], &endpoints[i]);
    p->service = (struct service){
        .name = conf->name,
        .endpoints = endpoints,
        .endpoint_count = (uint32_t)conf->urls.count,
        .timeouts = { .connect_ns = conf->timeouts.upstream_connect,
                      .header_ns = conf->timeouts.upstream_header,
                      .idle_read_ns = conf->timeouts.upstream_idle_read,
                      .keepalive_ns = conf->timeouts.upstream_keepalive },
    };
    p->service.turn =
        region_words(b->region, str_format(&p->arena, "turn/%.*s", STR_ARGS(conf->name)), 1);
    if (!p->service.turn)
        builder_problem(b, "no room for the shared counter of its endpoints");
}

static struct route_limits limits_of(const struct conf_limits *l, const struct conf_timeouts *t)
{
    return (struct route_limits){ .body_size = l->body_size,
                                  .request_ns = t->request,
                                  .client_body_ns = t->client_body,
                                  .client_write_ns = t->client_write };
}

static void build_steps(struct builder *b, const struct conf_steps *from, struct step *steps,
                        uint32_t *count, bool *counts_for_s3)
{
    for (size_t i = 0; i < from->count; i++) {
        const struct conf_step *conf = &from->items[i];
        const struct middleware *type = catalog_middleware(conf->type);
        struct step *s = &steps[*count];
        uint32_t offset = 0;

        if (conf->mode == CONF_MODE_OFF)
            continue;
        if (*count > 0)
            offset = (steps[*count - 1].state_offset +
                      (uint32_t)steps[*count - 1].type->state_size + 15) &
                     ~15u;
        *s = (struct step){
            .type = type, .settings = conf->settings, .mode = conf->mode, .state_offset = offset
        };
        b->step_name = conf->name;
        b->at = conf->at;
        if (type->prepare)
            s->prepared = type->prepare(b, conf->settings);
        if (str_equal(str_from(type->settings.name), STR("metrics")))
            *counts_for_s3 = true;
        ++*count;
    }
}

static struct builder builder_of(struct snapshot *s, struct part *p, struct str service_name)
{
    struct snapshot_build *build = s->build;

    return (struct builder){ .role = build->role,
                             .arena = &p->arena,
                             .region = build->region,
                             .problems = &build->problems,
                             .globals = s->globals,
                             .shared = build->shared,
                             .service_name = service_name,
                             .bundle = build->bundle,
                             .resolve = resolve };
}

static uint64_t id_of(const struct snapshot_build *build, struct str name)
{
    return hash_keyed(&region_header(build->region)->key, name.at, name.len);
}

static struct part *build_part(struct snapshot *s, uint32_t index, uint64_t hash)
{
    struct snapshot_build *build = s->build;
    struct part *p = part_new(hash);
    const struct conf_service *conf = conf_read_service(build->file, s->globals, index, &p->arena);
    struct builder b = builder_of(s, p, conf->name);
    struct route shape = { .part = p, .handler = &proxy_handler };
    struct step *steps;

    p->conf = conf;
    if (build->problems.errors > 0) /* what could not be read cannot be built */
        return p;
    b.at = conf->at;
    build_service(&b, p);
    steps = ARENA_ARRAY(&p->arena, struct step, s->globals->steps.count + conf->steps.count + 1);
    b.whole_gateway = true;
    build_steps(&b, &s->globals->steps, steps, &shape.step_count, &shape.counts_for_s3);
    b.whole_gateway = false;
    build_steps(&b, &conf->steps, steps, &shape.step_count, &shape.counts_for_s3);
    shape.steps = steps;
    shape.service = &p->service;
    shape.service_name = conf->name;
    shape.service_id = id_of(build, conf->name);
    shape.limits = limits_of(&conf->limits, &conf->timeouts);
    p->routes = ARENA_NEW(&p->arena, struct route);
    *p->routes = shape;
    p->entry_count = (uint32_t)conf->routes.count;
    p->entries = ARENA_ARRAY(&p->arena, struct route_entry, conf->routes.count + 1);
    for (uint32_t i = 0; i < p->entry_count; i++)
        p->entries[i] = (struct route_entry){
            .route = p->routes, .pattern = ((const struct conf_route *)conf->routes.items)[i].path
        };
    return p;
}

/* ---- the gateway's own routes ----------------------------------------------------------------- */

enum own_route { OWN_UNMATCHED, OWN_METRICS, OWN_LIVE, OWN_READY, OWN_COUNT };

static void build_own(struct snapshot *s)
{
    static const char *const names[] = { "unmatched", "metrics", "health", "ready" };
    struct part *p = s->own = part_new(0);
    const struct conf_globals *g = s->globals;
    struct builder b = builder_of(s, p, STR(""));
    struct static_reply *none = ARENA_NEW(&p->arena, struct static_reply);
    struct health_page *live = ARENA_NEW(&p->arena, struct health_page),
                       *ready = ARENA_NEW(&p->arena, struct health_page);
    struct route *r;

    *none = (struct static_reply){ .status = (uint16_t)g->unmatched.status,
                                   .body = str_keep(&p->arena, g->unmatched.body) };
    ready->ready = true;
    p->entry_count = OWN_COUNT;
    p->entries = ARENA_ARRAY(&p->arena, struct route_entry, OWN_COUNT);
    r = p->routes = ARENA_ARRAY(&p->arena, struct route, OWN_COUNT);
    for (int i = 0; i < OWN_COUNT; i++) {
        p->entries[i] = (struct route_entry){ .route = &r[i], .pattern = str_from(names[i]) };
        r[i] = (struct route){ .part = p,
                               .service_name = str_from(names[i]),
                               .service_id = id_of(s->build, str_from(names[i])),
                               .limits = limits_of(&g->limits, &g->timeouts) };
    }
    r[OWN_UNMATCHED].handler = &static_reply_handler;
    r[OWN_UNMATCHED].prepared = none;
    r[OWN_METRICS].handler = &metrics_page_handler;
    r[OWN_LIVE].handler = r[OWN_READY].handler = &health_page_handler;
    r[OWN_LIVE].prepared = live;
    r[OWN_READY].prepared = ready;
    if (g->steps.count) { /* a limit of the whole gateway sees every request */
        struct step *steps = ARENA_ARRAY(&p->arena, struct step, g->steps.count);

        b.service_name = STR("unmatched");
        b.whole_gateway = true;
        build_steps(&b, &g->steps, steps, &r[OWN_UNMATCHED].step_count,
                    &r[OWN_UNMATCHED].counts_for_s3);
        r[OWN_UNMATCHED].steps = steps;
    }
}

static void add_own_route(struct snapshot *s, struct str path, enum own_route which)
{
    struct route_pattern pattern = { .path = path, .methods = ROUTER_METHODS_ALL };

    if (path.len == 0)
        return;
    if (router_builder_add(s->build->router, &pattern, &s->own->entries[which], NULL) ==
        ROUTER_BAD_PATTERN)
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

/* ---- routes ----------------------------------------------------------------------------------- */

static uint32_t methods_of(const struct conf_route *conf)
{
    const struct str *names = conf->methods.items;
    uint32_t methods = 0;

    for (size_t i = 0; i < conf->methods.count; i++)
        methods |= UINT32_C(1) << method_from(names[i]);
    return methods ? methods : ROUTER_METHODS_ALL;
}

static void add_route(struct snapshot *s, struct part *p, uint32_t i, struct str host)
{
    const struct conf_route *conf = &((const struct conf_route *)p->conf->routes.items)[i];
    struct route_pattern pattern = { .host = host,
                                     .path = conf->path,
                                     .below = conf->below,
                                     .methods = methods_of(conf),
                                     .priority = (uint32_t)p->conf->priority,
                                     .owner = p };
    void *other = NULL;

    switch (router_builder_add(s->build->router, &pattern, &p->entries[i], &other)) {
    case ROUTER_ADDED:
        return;
    case ROUTER_CONFLICT:
        conf_problem_at(&s->build->problems, CONF_ERROR, conf->at, p->conf->name,
                        "the route %.*s is taken by the service %.*s already", STR_ARGS(conf->path),
                        STR_ARGS(((const struct route_entry *)other)->route->service_name));
        return;
    case ROUTER_BAD_PATTERN:
        conf_problem_at(&s->build->problems, CONF_ERROR, conf->at, p->conf->name,
                        "%.*s cannot be used as a route", STR_ARGS(conf->path));
        return;
    }
}

static void add_routes_of(struct snapshot *s, struct part *p)
{
    const struct str *hosts = p->conf->hosts.items;

    for (uint32_t i = 0; i < p->entry_count; i++) {
        for (size_t h = 0; h < p->conf->hosts.count; h++)
            add_route(s, p, i, hosts[h]);
        if (p->conf->hosts.count == 0)
            add_route(s, p, i, STR(""));
    }
}

/* ---- what the engine and the exchanges look at ------------------------------------------------ */

static void set_engine(struct snapshot *s)
{
    const struct conf_globals *g = s->globals;
    const struct conf_listener *from = g->listeners.items;
    struct listen_address *to = ARENA_ARRAY(&s->arena, struct listen_address, g->listeners.count);
    const struct conf_access *access = g->logging.access.items;
    struct str *logs = ARENA_ARRAY(&s->arena, struct str, g->logging.access.count + 1);
    size_t log_count = 0;

    for (size_t i = 0; i < g->listeners.count; i++)
        to[i] = (struct listen_address){ .address = from[i].address,
                                         .backlog = (uint32_t)from[i].backlog };
    for (size_t i = 0; i < g->logging.access.count; i++)
        if (access[i].to.sink == CONF_SINK_FILE)
            logs[log_count++] = access[i].to.path;
    s->engine = (struct engine_settings){
        .workers = (uint32_t)g->process.workers,
        .pin = g->process.cpu_affinity == CONF_AFFINITY_NONE ? PIN_NONE : PIN_AUTO,
        .user = g->process.user,
        .group = g->process.group,
        .pid_file = g->process.pid_file,
        .max_connections = (uint32_t)g->process.max_connections,
        .descriptors = g->process.rlimit_nofile,
        .listeners = to,
        .listener_count = g->listeners.count,
        .drain_delay_ns = g->shutdown.drain_delay,
        .grace_ns = g->shutdown.grace,
        .stuck_ns = 30 * NS_PER_S,
        .error_log =
            g->logging.error.to.sink == CONF_SINK_FILE ? g->logging.error.to.path : STR(""),
        .logs = logs,
        .log_count = log_count,
    };
}

static void set_current(struct snapshot *s)
{
    const struct conf_globals *g = s->globals;

    s->current = (struct current){
        .router = s->router,
        .unmatched = &s->own->entries[OWN_UNMATCHED],
        .snapshot = s,
        .globals = g,
        .clients = { .head = { .first_line = (uint32_t)g->limits.request_line,
                               .field_line = (uint32_t)g->limits.header_size,
                               .total = (uint32_t)g->limits.headers_total,
                               .count = (uint32_t)g->limits.headers_count },
                     .header_ns = g->timeouts.client_header,
                     .idle_ns = g->timeouts.client_idle,
                     .requests_per_connection = g->limits.requests_per_connection,
                     .trusted = g->client_ip.trusted_proxies.items,
                     .trusted_count = g->client_ip.trusted_proxies.count,
                     .address_field = (enum client_address_field)g->client_ip.header,
                     .ipv6_prefix = (unsigned)g->client_ip.ipv6_prefix,
                     .forward = (enum hop_forward)g->client_ip.forward,
                     .send_forwarded = g->client_ip.send_forwarded },
        .errors = (enum errors_format)g->errors.format,
    };
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
    s->config_hash = bundle_hash(bundle);
    b->tree = conf_tree_begin(
        path, role == BUILD_MASTER ? str_of(str_keep_z(&s->arena, text), text.len) : text, &b->env,
        &b->problems);
    b->router = router_builder_new();
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
    s->part_count = 0;
    s->parts = ARENA_ARRAY(&s->arena, struct part *, conf_service_count(b->file) + 1);
    b->shared = shared_open(b->region, b->role == BUILD_MASTER ? s->globals : NULL);
    if (!b->shared)
        conf_problem(&b->problems, NULL, "shared_memory: no room for counters, records and limits");
}

/* Do the names of its endpoints still stand for the same addresses? */
static bool addresses_stand(struct snapshot *s, struct part *p)
{
    const struct conf_url *urls = p->conf->urls.items;
    struct builder b = builder_of(s, p, p->conf->name);
    struct ip ips[ENDPOINT_ADDRESSES];
    size_t count;

    for (size_t i = 0; i < p->conf->urls.count; i++) {
        if (urls[i].is_ip)
            continue;
        if (!resolve(&b, urls[i].host, ips, ENDPOINT_ADDRESSES, &count))
            count = 0;
        if (p->service.endpoints[i].id != endpoint_id(b.region, urls[i].authority, ips, count))
            return false;
    }
    return true;
}

/* The same service in the snapshot before, or NULL. */
static struct part *part_before(struct snapshot *s, uint32_t i, uint64_t hash)
{
    const struct snapshot *before = s->build->previous;

    if (!before || s->build->role != BUILD_WORKER) /* the master builds all: it writes the bundle */
        return NULL;
    if (i < before->part_count &&
        before->parts[i]->hash == hash) /* mostly it stands where it stood */
        return addresses_stand(s, before->parts[i]) ? before->parts[i] : NULL;
    for (uint32_t n = 0; n < before->part_count; n++)
        if (before->parts[n]->hash == hash)
            return addresses_stand(s, before->parts[n]) ? before->parts[n] : NULL;
    return NULL;
}

static void take_service(struct snapshot *s, uint32_t i)
{
    uint64_t hash = conf_service_hash(s->build->file, i);
    struct part *p = part_before(s, i, hash);

    if (p) {
        part_hold(p);
        s->shared_count++;
    } else {
        p = build_part(s, i, hash);
    }
    s->parts[s->part_count++] = p;
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
        b->phase = BUILD_OWN;
        return false;
    case BUILD_OWN:
        build_own(s);
        b->phase = b->role == BUILD_CARETAKER ? BUILD_ROUTER : BUILD_SERVICES;
        return false;
    case BUILD_SERVICES:
        if (b->next < conf_service_count(b->file)) {
            take_service(s, b->next++);
            return false;
        }
        conf_check_services(b->file);
        if (b->problems.errors > 0)
            return true;
        b->next = 0;
        b->phase = BUILD_ROUTES;
        add_own_routes(s);
        return false;
    case BUILD_ROUTES:
        if (b->next < s->part_count) {
            add_routes_of(s, s->parts[b->next++]);
            return false;
        }
        if (b->problems.errors > 0)
            return true;
        b->phase = BUILD_ROUTER;
        return false;
    case BUILD_ROUTER:
        s->router = router_builder_finish(b->router);
        b->router = NULL;
        set_engine(s);
        set_current(s);
        return true;
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
    if (b->file)
        conf_close(b->file);
    conf_tree_free(b->tree);
    if (b->router)
        router_builder_free(b->router);
    conf_problems_free(&b->problems);
    bundle_free(b->bundle);
    shared_close(b->shared);
    free(b);
    s->build = NULL;
    malloc_trim(0); /* the tree was many times as large as what was made of it */
}

void snapshot_forget_routes(struct snapshot *s)
{
    for (uint32_t i = 0; i < s->part_count; i++)
        part_release(s->parts[i]);
    s->part_count = 0;
    if (s->own)
        part_release(s->own);
    s->own = NULL;
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
    arena_free(&s->arena);
    free(s);
}

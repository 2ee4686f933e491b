/* A service's share of a snapshot. */
#include "gateway/part.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "gateway/base/hash.h"
#include "gateway/bundle.h"
#include "gateway/catalog.h"
#include "gateway/exchange/consumers.h"
#include "gateway/exchange/middleware.h"
#include "gateway/handlers/health_page.h"
#include "gateway/handlers/metrics_page.h"
#include "gateway/handlers/proxy.h"
#include "gateway/handlers/static_reply.h"
#include "gateway/names.h"

/* ---- parts ------------------------------------------------------------------------------------ */

void part_hold(struct part *p)
{
    p->holders++;
}

void part_release(struct part *p, struct arena_bin *bin)
{
    CHECK(p->holders > p->snapshots);
    if (--p->holders > 0)
        return;
    link_remove(&p->node);
    consumers_release(p->consumers, bin);
    arena_leave(&p->arena, bin);
    free(p);
}

void part_enter(struct part *p)
{
    p->holders++;
    p->snapshots++;
}

bool part_leave(struct part *p, struct arena_bin *bin)
{
    bool orphan = p->snapshots == 1 && p->holders > 1;

    CHECK(p->snapshots > 0);
    p->snapshots--;
    part_release(p, bin);
    return orphan;
}

struct part *part_new(uint64_t hash, struct consumers *consumers)
{
    struct part *p = calloc(1, sizeof *p);

    if (!p)
        die("out of memory for a service");
    p->holders = p->snapshots = 1;
    p->hash = hash;
    if (consumers)
        consumers_hold(consumers);
    p->consumers = consumers;
    link_init(&p->node);
    arena_init(&p->arena, NULL);
    return p;
}

/* ---- a service -------------------------------------------------------------------------------- */

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
    else if (!names_resolve(b->bundle, b->role, url->host, ips, ENDPOINT_ADDRESSES, &count)) {
        builder_warning(b,
                        "the name %.*s has no address now: its requests will be answered with 502",
                        STR_ARGS(url->host));
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

static void begin_steps(struct part_build *w, struct route *r, size_t most)
{
    w->route = r;
    w->steps = ARENA_ARRAY(&w->part->arena, struct step, most + 1);
    r->steps = w->steps;
    w->from = &w->b.globals->steps;
    w->next = 0;
    w->b.whole_gateway = true;
}

/* Behind those that are there. True: it has more to prepare. */
static bool add_step(struct part_build *w, const struct conf_step *conf)
{
    const struct middleware *type = catalog_middleware(conf->type);
    struct step *s = &w->steps[w->route->step_count], *before = s - 1;
    uint32_t offset = 0;

    if (conf->mode == CONF_MODE_OFF)
        return false;
    if (w->route->step_count > 0)
        offset = (before->state_offset + (uint32_t)before->type->state_size + 15) & ~15u;
    *s = (struct step){
        .type = type, .settings = conf->settings, .mode = conf->mode, .state_offset = offset
    };
    w->b.step_name = conf->name;
    w->b.at = conf->at;
    if (type->prepare)
        s->prepared = type->prepare(&w->b, conf->settings);
    w->b.identified |= type->identifies;
    if (str_equal(str_from(type->settings.name), STR("metrics")))
        w->route->counts_for_s3 = true;
    w->route->step_count++;
    return s->prepared && type->prepare_more;
}

bool part_build_more(struct part_build *w, uint64_t until_ns)
{
    const struct step *last;

    if (w->preparing) {
        last = &w->steps[w->route->step_count - 1];
        w->preparing = !last->type->prepare_more(&w->b, last->settings,
                                                 (void *)(uintptr_t)last->prepared, until_ns);
        return false;
    }
    if (w->next < w->from->count) {
        w->preparing = add_step(w, &w->from->items[w->next++]);
        return false;
    }
    if (!w->b.whole_gateway || !w->part->conf)
        return true;
    w->from = &w->part->conf->steps;
    w->next = 0;
    w->b.whole_gateway = false;
    return false;
}

static uint64_t id_of(const struct builder *b, struct str name)
{
    return hash_keyed(&region_header(b->region)->key, name.at, name.len);
}

void part_build_service(struct part_build *w)
{
    struct part *p = w->part;
    const struct conf_service *conf = p->conf;
    struct route *r = p->routes = ARENA_NEW(&p->arena, struct route);

    build_service(&w->b, p);
    r->part = p;
    r->handler = &proxy_handler;
    r->service = &p->service;
    r->service_name = conf->name;
    r->service_id = id_of(&w->b, conf->name);
    r->limits = limits_of(&conf->limits, &conf->timeouts);
    begin_steps(w, r, w->b.globals->steps.count + conf->steps.count);
}

/* ---- the gateway's own routes ----------------------------------------------------------------- */

static void own_handlers(struct builder *b, struct part *p)
{
    const struct conf_globals *g = b->globals;
    struct static_reply *none = ARENA_NEW(&p->arena, struct static_reply);
    struct health_page *live = ARENA_NEW(&p->arena, struct health_page);
    struct health_page *ready = ARENA_NEW(&p->arena, struct health_page);

    *none = (struct static_reply){ .status = (uint16_t)g->unmatched.status,
                                   .body = str_keep(&p->arena, g->unmatched.body) };
    ready->ready = true;
    p->routes[OWN_UNMATCHED].handler = &static_reply_handler;
    p->routes[OWN_UNMATCHED].prepared = none;
    p->routes[OWN_METRICS].handler = &metrics_page_handler;
    p->routes[OWN_LIVE].handler = p->routes[OWN_READY].handler = &health_page_handler;
    p->routes[OWN_LIVE].prepared = live;
    p->routes[OWN_READY].prepared = ready;
}

void part_build_own(struct part_build *w)
{
    static const char *const names[] = { "unmatched", "metrics", "health", "ready" };
    const struct conf_globals *g = w->b.globals;
    struct part *p = w->part;

    p->routes = ARENA_ARRAY(&p->arena, struct route, OWN_COUNT);
    for (int i = 0; i < OWN_COUNT; i++) {
        struct str name = str_from(names[i]);

        p->routes[i] = (struct route){ .part = p,
                                       .service_name = name,
                                       .service_id = id_of(&w->b, name),
                                       .limits = limits_of(&g->limits, &g->timeouts) };
    }
    own_handlers(&w->b, p);
    /* A limit of the whole gateway sees every request, also those that nobody claims. */
    w->b.service_name = p->routes[OWN_UNMATCHED].service_name;
    begin_steps(w, &p->routes[OWN_UNMATCHED], g->steps.count);
}

bool part_addresses_stand(struct builder *b, const struct part *p)
{
    const struct conf_url *urls = p->conf->urls.items;
    struct ip ips[ENDPOINT_ADDRESSES];
    size_t count;

    for (size_t i = 0; i < p->conf->urls.count; i++) {
        if (urls[i].is_ip)
            continue;
        (void)names_resolve(b->bundle, b->role, urls[i].host, ips, ENDPOINT_ADDRESSES, &count);
        if (p->service.endpoints[i].id != endpoint_id(b->region, urls[i].authority, ips, count))
            return false;
    }
    return true;
}

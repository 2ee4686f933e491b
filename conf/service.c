/* One service. */
#include "conf/file.h"
#include "conf/pace.h"
#include "conf/places.h"

#define SOME_TIME RANGE(NS_PER_MS, 365 * 86400 * NS_PER_S)
#define ANY_TIME  RANGE(0, 365 * 86400 * NS_PER_S)

/* What a service may say otherwise than the gateway. The rest is decided before the service is known. The defaults here
 * are never seen: the gateway's values stand below. */
static const struct conf_key limits_keys[] = {
    KEY(conf_limits, body_size, size, "8m", "As limits.body_size.", .flags = CONF_INHERITED),
    KEY_END,
};
static const struct conf_schema limits_schema = { .name = "limits",
                                                  .doc = "Limits of this service.",
                                                  .size = sizeof(struct conf_limits),
                                                  .keys = limits_keys };

#define TIMEOUT(member, init, range)                                                               \
    KEY(conf_timeouts, member, duration, init, "As timeouts." #member ".", .arg = range,           \
        .flags = CONF_INHERITED)

static const struct conf_key timeouts_keys[] = {
    TIMEOUT(request, "60s", ANY_TIME),
    TIMEOUT(client_body, "30s", SOME_TIME),
    TIMEOUT(client_write, "30s", SOME_TIME),
    TIMEOUT(upstream_connect, "2s", SOME_TIME),
    TIMEOUT(upstream_header, "30s", SOME_TIME),
    TIMEOUT(upstream_idle_read, "60s", SOME_TIME),
    TIMEOUT(upstream_keepalive, "90s", ANY_TIME),
    KEY_END,
};
static const struct conf_schema timeouts_schema = { .name = "timeouts",
                                                    .doc = "Times of this service.",
                                                    .size = sizeof(struct conf_timeouts),
                                                    .keys = timeouts_keys };

static const struct conf_key route_keys[] = {
    { .name = "path",
      .type = &conf_type_exact_path,
      .offset = 0,
      .doc =
          "/users is that path only, /users/{id} has one segment more, /users/** is /users and all "
          "below it." },
    KEY(conf_route, methods, list_of, "[]", "Methods; none: those of the service.",
        .arg = ELEMENT(method, .at_most = 32)),
    KEY_END,
};
static const struct conf_schema route_schema = { .name = "route",
                                                 .doc = "A path of a service.",
                                                 .size = sizeof(struct conf_route),
                                                 .keys = route_keys,
                                                 .main = "path" };

#define AT(member) offsetof(struct conf_service_block, member)

static const struct conf_key service_keys[] = {
    { .name = "name",
      .type = &conf_type_word,
      .offset = AT(s.name),
      .doc = "Its name in logs and metrics; state such as limits is kept by it over reloads." },
    { .name = "description",
      .type = &conf_type_text,
      .offset = AT(s.description),
      .init = "",
      .doc = "For people." },
    { .name = "route_pattern",
      .type = &conf_type_path_below,
      .offset = AT(pattern),
      .init = "",
      .doc = "Path that it takes, with all below it by whole segments: /users takes /users and "
             "/users/7 but not "
             "/users2; / takes all. With {name} in it, the path only. Either this or `routes` is "
             "needed." },
    { .name = "urls",
      .type = &conf_type_list_of,
      .offset = AT(s.urls),
      .doc = "Where it answers: http://host:port, asked in turn.",
      .arg = ELEMENT(url, .at_least = 1, .at_most = 4096) },
    { .name = "hosts",
      .type = &conf_type_list_of,
      .offset = AT(s.hosts),
      .init = "[]",
      .doc = "Hosts that it serves: names, or *.name for all below one; none: all.",
      .arg = ELEMENT(host, .at_most = 1024) },
    { .name = "methods",
      .type = &conf_type_list_of,
      .offset = AT(methods),
      .init = "[]",
      .doc = "Methods that it serves; none: all.",
      .arg = ELEMENT(method, .at_most = 32) },
    { .name = "priority",
      .type = &conf_type_uint,
      .offset = AT(s.priority),
      .init = "0",
      .doc = "Of two routes that fit equally well, the higher is taken.",
      .arg = RANGE(0, 1000000) },
    { .name = "routes",
      .type = &conf_type_list_of,
      .offset = AT(routes),
      .init = "[]",
      .doc = "More paths, each with its methods.",
      .arg = ELEMENT_BLOCK(&route_schema, sizeof(struct conf_route)) },
    { .name = "limits", .type = &conf_type_block, .offset = AT(s.limits), .arg = &limits_schema },
    { .name = "timeouts",
      .type = &conf_type_block,
      .offset = AT(s.timeouts),
      .arg = &timeouts_schema },
    KEY_END,
};

static void check_service(const void *settings, const struct conf_node *at, struct conf_problems *p)
{
    const struct conf_service_block *block = settings;

    if (block->s.name.len > 128)
        conf_problem(p, at, "\"name\" has more than 128 bytes");
    if (!block->pattern.path.len && !block->routes.count)
        conf_problem(p, at, "\"route_pattern\" is missing");
}

const struct conf_schema conf_service_schema = { .name = "services",
                                                 .doc = "Where requests go.",
                                                 .size = sizeof(struct conf_service_block),
                                                 .keys = service_keys,
                                                 .check = check_service };

/* route_pattern first, then `routes:`, each with its methods. */
static void join_routes(struct conf_service_block *block, struct arena *a)
{
    size_t more = block->routes.count, count = more;
    struct conf_route *all = block->routes.items;

    if (block->pattern.path.len) {
        all = ARENA_ARRAY(a, struct conf_route, ++count);
        all[0] = block->pattern;
        if (more)
            memcpy(all + 1, block->routes.items, more * sizeof *all);
    }
    for (size_t i = 0; i < count; i++)
        if (!all[i].methods.count)
            all[i].methods = block->methods;
    block->s.routes = (struct conf_list){ .items = all, .count = count };
}

void conf_read_service_block(struct conf_file *f, const struct conf_globals *g,
                             const struct conf_node *n, struct conf_service_block *block,
                             struct arena *a)
{
    const struct conf_node *list = conf_node_get(n, STR("middleware"));
    struct conf_given given = { 0 };
    bool good;

    conf_read_defaults(&conf_service_schema, block, a);
    block->s.limits = g->limits;
    block->s.timeouts = g->timeouts;
    block->s.at = n->at;
    good = conf_read_layer(&conf_service_schema, n, block, &given, f->service_also, a, f->problems);
    conf_read_finish(&conf_service_schema, n, block, &given, good, f->problems);
    if (list && !list->broken && list->kind != CONF_LIST && !conf_node_is_empty(list))
        conf_problem(f->problems, list, "must be a list of names");
    conf_read_steps(f, list, n, &block->s.steps, a);
    join_routes(block, a);
}

const struct conf_service *conf_read_service(struct conf_file *f, const struct conf_globals *g,
                                             size_t i, struct arena *a)
{
    struct conf_service_block *block = ARENA_NEW(a, struct conf_service_block);
    const struct conf_node *n = conf_walk_to(&f->services, i);

    CHECK(n != NULL);
    conf_read_service_block(f, g, n, block, a);
    return &block->s;
}

const struct conf_service *conf_read_service_some(struct conf_file *f, const struct conf_globals *g,
                                                  size_t i, struct arena *a, struct conf_pace *pace)
{
    const struct conf_service *s;

    pace->unfinished = false;
    f->problems->pace = pace;
    s = conf_read_service(f, g, i, a);
    f->problems->pace = NULL;
    return pace->unfinished ? NULL : s;
}

/* The router against cases from its manual and against a slow model that is right by looking at every route. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/arena.h"
#include "gateway/exchange/router.h"

#define GET  (UINT32_C(1) << METHOD_GET)
#define HEAD (UINT32_C(1) << METHOD_HEAD)
#define POST (UINT32_C(1) << METHOD_POST)
#define ALL  ROUTER_METHODS_ALL

static struct arena arena;
static struct router_builder *builder;
static struct router *router;
static struct params params;

static void setup(void)
{
    arena_init(&arena, NULL);
    builder = router_builder_new();
    router = NULL;
}

static void teardown(void)
{
    if (router)
        router_free(router);
    else
        router_builder_free(builder);
    arena_free(&arena);
}

/* Routes are named by their patterns: a route is the text that a test knows it by. */
static enum router_added add_full(const char *name, const char *host, const char *path, bool below,
                                  uint32_t methods, uint32_t priority, const void *owner)
{
    struct route_pattern p = { .host = str_from(host),
                               .path = str_from(path),
                               .below = below,
                               .methods = methods,
                               .priority = priority,
                               .owner = owner,
                               .label = str_from(path) };

    return router_builder_add(builder, &p, (void *)(uintptr_t)name, NULL);
}

static void add(const char *path, bool below)
{
    ck_assert_int_eq(add_full(path, "", path, below, ALL, 0, NULL), ROUTER_ADDED);
}

static void finish(void)
{
    router = router_builder_finish(builder);
}

static struct route_match find(const char *host, enum method m, const char *path)
{
    return router_find(router, str_from(host), m, str_from(path), &params);
}

static const char *found(const char *path)
{
    const char *name = find("any.test", METHOD_GET, path).route;

    return name ? name : "nothing";
}

/* --- the manual --------------------------------------------------------------------------------- */

START_TEST(test_a_prefix_takes_itself_and_what_is_below_by_whole_segments)
{
    add("/users", true);
    finish();
    ck_assert_str_eq(found("/users"), "/users");
    ck_assert_str_eq(found("/users/"), "/users");
    ck_assert_str_eq(found("/users/7/orders"), "/users");
    ck_assert_str_eq(found("/usersx"), "nothing");
    ck_assert_str_eq(found("/user"), "nothing");
    ck_assert_str_eq(found("/"), "nothing");
    ck_assert_str_eq(found("/x/users"), "nothing");
    ck_assert_str_eq(found("*"), "nothing");
    ck_assert_str_eq(found(""), "nothing");
}
END_TEST

START_TEST(test_slash_takes_all_and_exact_slash_only_itself)
{
    add("/", true);
    ck_assert_int_eq(add_full("root", "", "/", false, ALL, 0, NULL), ROUTER_ADDED);
    finish();
    ck_assert_str_eq(found("/"), "root");
    ck_assert_str_eq(found("/a/b/c"), "/");
}
END_TEST

START_TEST(test_the_most_specific_route_wins)
{
    add("/", true);
    add("/a/{x}", false);
    add("/a/b", false);
    add("/a/b/c/**", false);
    add("/a/{x}/d", false);
    add("/{y}/z", false);
    finish();
    ck_assert_str_eq(found("/a/b"), "/a/b");
    ck_assert_str_eq(found("/a/b/"), "/a/b");
    ck_assert_str_eq(found("/a/q"), "/a/{x}");
    ck_assert_str_eq(found("/a/b/c"), "/a/b/c/**");
    ck_assert_str_eq(found("/a/b/c/x/y"), "/a/b/c/**");
    ck_assert_str_eq(found("/a/b/d"), "/a/{x}/d"); /* the literal branch was a dead end */
    ck_assert_str_eq(found("/a/z"), "/a/{x}");
    ck_assert_str_eq(found("/q/z"), "/{y}/z");
    ck_assert_str_eq(found("/a/b/q"), "/");
}
END_TEST

START_TEST(test_variables_say_what_they_took)
{
    add("/a/{id}/b/{other_id}", false);
    add("/a/{name}/c", true);
    finish();
    ck_assert_str_eq(found("/a/7/b/x%20y/"), "/a/{id}/b/{other_id}");
    ck_assert_uint_eq(params.count, 2);
    ck_assert(str_equal(params.at[0].name, STR("id")) && str_equal(params.at[0].value, STR("7")));
    ck_assert(str_equal(params.at[1].name, STR("other_id")) &&
              str_equal(params.at[1].value, STR("x%20y")));
    ck_assert_str_eq(found("/a/8/c/d"), "/a/{name}/c");
    ck_assert_uint_eq(params.count, 1);
    ck_assert(str_equal(params.at[0].name, STR("name")) && str_equal(params.at[0].value, STR("8")));
    ck_assert_str_eq(found("/a/8"), "nothing");
    ck_assert_uint_eq(params.count, 0);
}
END_TEST

START_TEST(test_hosts_come_before_paths)
{
    ck_assert_int_eq(add_full("any", "", "/", true, ALL, 0, NULL), ROUTER_ADDED);
    ck_assert_int_eq(add_full("long path", "", "/a/b/c", true, ALL, 0, NULL), ROUTER_ADDED);
    ck_assert_int_eq(add_full("wild", "*.wild.test", "/", true, ALL, 0, NULL), ROUTER_ADDED);
    ck_assert_int_eq(add_full("wilder", "*.very.wild.test", "/", true, ALL, 0, NULL), ROUTER_ADDED);
    ck_assert_int_eq(add_full("shop", "Shop.test", "/a", true, ALL, 0, NULL), ROUTER_ADDED);
    finish();
    ck_assert_str_eq(find("shop.test", METHOD_GET, "/a/b/c").route, "shop");
    ck_assert_str_eq(find("SHOP.TEST.:8080", METHOD_GET, "/a").route, "shop");
    ck_assert_str_eq(find("shop.test", METHOD_GET, "/b").route, "any");
    ck_assert_str_eq(find("xshop.test", METHOD_GET, "/a").route, "any");
    ck_assert_str_eq(find("x.wild.test", METHOD_GET, "/").route, "wild");
    ck_assert_str_eq(find("y.x.wild.test", METHOD_GET, "/").route, "wild");
    ck_assert_str_eq(find("x.very.wild.test", METHOD_GET, "/").route, "wilder");
    ck_assert_str_eq(find("very.wild.test", METHOD_GET, "/").route, "wild");
    ck_assert_str_eq(find("wild.test", METHOD_GET, "/").route, "any");
    ck_assert_str_eq(find("", METHOD_GET, "/").route, "any");
    ck_assert_str_eq(find("[::1]:80", METHOD_GET, "/a/b/c").route, "long path");
}
END_TEST

START_TEST(test_an_endless_host_finds_any)
{
    char host[400];

    memset(host, 'a', sizeof host);
    ck_assert_int_eq(add_full("any", "", "/", true, ALL, 0, NULL), ROUTER_ADDED);
    ck_assert_int_eq(add_full("one", "a.test", "/", true, ALL, 0, NULL), ROUTER_ADDED);
    ck_assert_int_eq(router_builder_add(builder,
                                        &(struct route_pattern){ .host = str_of(host, sizeof host),
                                                                 .path = STR("/"),
                                                                 .methods = ALL },
                                        builder, NULL),
                     ROUTER_BAD_PATTERN);
    finish();
    ck_assert_str_eq(
        router_find(router, str_of(host, sizeof host), METHOD_GET, STR("/"), &params).route, "any");
}
END_TEST

START_TEST(test_a_wrong_method_is_a_mismatch_that_names_the_right_ones)
{
    struct route_match m;

    ck_assert_int_eq(add_full("r", "", "/o/{id}", false, GET, 0, NULL), ROUTER_ADDED);
    ck_assert_int_eq(add_full("w", "", "/o/{n}", false, UINT32_C(1) << METHOD_PUT, 0, NULL),
                     ROUTER_ADDED);
    finish();
    ck_assert_str_eq(find("", METHOD_GET, "/o/1").route, "r");
    ck_assert_str_eq(find("", METHOD_HEAD, "/o/1").route, "r");
    ck_assert_str_eq(find("", METHOD_PUT, "/o/1").route, "w");
    ck_assert(str_equal(params.at[0].name, STR("n")));
    m = find("", METHOD_POST, "/o/1");
    ck_assert(!m.route && m.method_mismatch);
    ck_assert_uint_eq(m.allowed_methods, GET | HEAD | UINT32_C(1) << METHOD_PUT);
    ck_assert(find("", METHOD_OTHER, "/o/1").method_mismatch);
    ck_assert(!find("", METHOD_POST, "/o").method_mismatch);
}
END_TEST

START_TEST(test_head_has_its_own_route_if_one_names_it)
{
    ck_assert_int_eq(add_full("get", "", "/a", false, GET, 0, NULL), ROUTER_ADDED);
    ck_assert_int_eq(add_full("head", "", "/a", false, HEAD, 0, NULL), ROUTER_ADDED);
    finish();
    ck_assert_str_eq(find("", METHOD_HEAD, "/a").route, "head");
    ck_assert_str_eq(find("", METHOD_GET, "/a").route, "get");
}
END_TEST

/* GET /orders/{id} wants a key; POST must not fall through to somebody else's "/". */
START_TEST(test_a_mismatch_is_served_by_a_less_specific_route_of_the_same_owner_only)
{
    static const int orders, site;
    struct route_match m;

    ck_assert_int_eq(add_full("one", "", "/orders/{id}", false, GET, 0, &orders), ROUTER_ADDED);
    ck_assert_int_eq(add_full("rest", "", "/orders", true, POST, 0, &orders), ROUTER_ADDED);
    ck_assert_int_eq(add_full("site", "", "/", true, ALL, 0, &site), ROUTER_ADDED);
    finish();
    ck_assert_str_eq(find("", METHOD_POST, "/orders/1").route, "rest");
    ck_assert_str_eq(find("", METHOD_GET, "/orders/1").route, "one");
    m = find("", METHOD_DELETE, "/orders/1");
    ck_assert(!m.route && m.method_mismatch);
    ck_assert_str_eq(find("", METHOD_DELETE, "/other").route, "site");
}
END_TEST

START_TEST(test_priority_decides_between_equals_and_equals_conflict)
{
    void *other = NULL;
    struct route_pattern again = { .path = STR("/a/{other}/"),
                                   .methods = GET | POST,
                                   .priority = 1 };

    ck_assert_int_eq(add_full("low", "", "/a/{x}", false, ALL, 1, NULL), ROUTER_ADDED);
    ck_assert_int_eq(add_full("high", "", "/a/{y}", false, GET, 2, NULL), ROUTER_ADDED);
    ck_assert_int_eq(add_full("lowest", "", "/a/{z}", false, ALL, 0, NULL), ROUTER_ADDED);
    ck_assert_int_eq(router_builder_add(builder, &again, builder, &other), ROUTER_CONFLICT);
    ck_assert_str_eq(other, "low");
    again.below = true;
    ck_assert_int_eq(router_builder_add(builder, &again, (void *)(uintptr_t) "below", NULL),
                     ROUTER_ADDED);
    finish();
    ck_assert_str_eq(find("", METHOD_GET, "/a/1").route, "high");
    ck_assert_str_eq(find("", METHOD_POST, "/a/1").route, "low");
    ck_assert_str_eq(find("", METHOD_GET, "/a/1/2").route, "below");
}
END_TEST

START_TEST(test_what_is_no_pattern_is_said_to_be_none)
{
    static const char *const bad[] = { "",
                                       "users",
                                       "/a//b",
                                       "//",
                                       "/a/../b",
                                       "/a/./b",
                                       "/a/**/b",
                                       "/a/*",
                                       "/{}",
                                       "/{a",
                                       "/a}",
                                       "/a{b}",
                                       "/{a b}",
                                       "/{a.b}",
                                       "/a;b",
                                       "/a%2fb",
                                       "/a%zz",
                                       "/a?b",
                                       "/a#b",
                                       "/a\\b",
                                       "/\xff",
                                       "/{a}x",
                                       "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}" };
    static const char *const bad_hosts[] = {
        "a b", "*", "*.", "a.*.b", "**.a", "a:b", "u@a", ".a"
    };
    char deep[2 * 33 + 1] = "";

    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(add_full("x", "", bad[i], false, ALL, 0, NULL) == ROUTER_BAD_PATTERN, "%s",
                      bad[i]);
    for (size_t i = 0; i < ARRAY_LEN(bad_hosts); i++)
        ck_assert_msg(add_full("x", bad_hosts[i], "/", false, ALL, 0, NULL) == ROUTER_BAD_PATTERN,
                      "%s", bad_hosts[i]);
    ck_assert_int_eq(add_full("x", "", "/", false, 0, 0, NULL), ROUTER_BAD_PATTERN);
    for (size_t i = 0; i < sizeof deep - 1; i += 2)
        memcpy(deep + i, "/d", 2);
    ck_assert_int_eq(add_full("x", "", deep, false, ALL, 0, NULL), ROUTER_BAD_PATTERN);
    deep[2 * 32] = '\0';
    ck_assert_int_eq(add_full(deep, "", deep, true, ALL, 0, NULL), ROUTER_ADDED);
    finish();
    ck_assert_str_eq(found(deep), deep);
    ck_assert_str_eq(found("/d/d/d"), "nothing");
}
END_TEST

/* A pattern may be written as people write, and is compared as paths are. */
START_TEST(test_literals_are_normalised_like_paths)
{
    add("/caf\xc3\xa9/a%62", false);
    add("/a b", false);
    finish();
    ck_assert_str_eq(found("/caf%C3%A9/ab"), "/caf\xc3\xa9/a%62");
    ck_assert_str_eq(found("/a%20b"), "/a b");
}
END_TEST

START_TEST(test_a_path_with_parameters_that_two_servers_read_differently_finds_nothing)
{
    add("/", true);
    add("/admin", true);
    add("/v/{id}", false);
    finish();
    ck_assert_str_eq(found("/a/b;c=1"), "/");
    ck_assert_str_eq(found("/;x/b"), "/");
    ck_assert_str_eq(found("/admin/a;x"), "/admin");
    ck_assert_str_eq(found("/v/7;x=1"), "/v/{id}");
    ck_assert(str_equal(params.at[0].value, STR("7;x=1")));
    ck_assert(find("", METHOD_GET, "/admin;x").ambiguous);
    ck_assert(find("", METHOD_GET, "/;x/admin").ambiguous);
    ck_assert(find("", METHOD_GET, "/admin;x/a").ambiguous);
    ck_assert(find("", METHOD_GET, "/v/;x").ambiguous);
    ck_assert_ptr_null(find("", METHOD_GET, "/admin;x").route);
}
END_TEST

/* Short ones lie in their node, longer ones beside it. */
START_TEST(test_segments_of_any_length_are_told_apart)
{
    char a[2][128], path[130];
    size_t len = (size_t)_i;

    for (size_t i = 0; i < 2; i++) {
        memset(a[i], 'x', len + 1);
        a[i][0] = '/';
        a[i][len] = (char)('a' + i);
        a[i][len + 1] = '\0';
        add(a[i], true);
    }
    finish();
    for (size_t i = 0; i < 2; i++) {
        struct route_match m = find("any.test", METHOD_GET, a[i]);

        ck_assert_ptr_eq(m.route, a[i]);
        ck_assert(str_equal(m.label, str_from(a[i])));
    }
    snprintf(path, sizeof path, "%sx", a[0]);
    ck_assert_str_eq(found(path), "nothing");
    path[len] = 'c';
    path[len + 1] = '\0';
    ck_assert_str_eq(found(path), "nothing");
}
END_TEST

START_TEST(test_a_router_without_routes_finds_nothing)
{
    finish();
    ck_assert_str_eq(found("/"), "nothing");
    ck_assert_str_eq(found("/a/b"), "nothing");
}
END_TEST

/* 10 000 routes in 4 MiB, all told apart. */
START_TEST(test_ten_thousand_routes_fit_into_four_mebibytes)
{
    static char names[10000][48];

    for (int i = 0; i < 10000; i++) {
        snprintf(names[i], sizeof names[i], "/api/v1/service-%d/items/{id}", i);
        add(names[i], i % 2);
    }
    finish();
    ck_assert_uint_le(router_size(router), 4 << 20);
    for (int i = 0; i < 10000; i += 7)
        ck_assert_str_eq(
            found(str_keep_z(&arena, str_format(&arena, "/api/v1/service-%d/items/7", i))),
            names[i]);
    ck_assert_str_eq(found("/api/v1/service-10000/items/7"), "nothing");
    ck_assert_str_eq(found("/api/v1/service-2/items/7/x"), "nothing");
    ck_assert_str_eq(found("/api/v1/service-3/items/7/x"), names[3]);
}
END_TEST

/* --- the model ---------------------------------------------------------------------------------- */

#define MODEL_ROUTES 24
#define MODEL_DEPTH  4

/* A route of the model: segments "a" to "d", or "{v}". */
struct model_route {
    char path[64];
    const char *host;
    const char *segments[MODEL_DEPTH];
    int depth;
    bool below;
    uint32_t methods, priority;
    const void *owner;
};

struct model {
    struct model_route routes[MODEL_ROUTES];
    int count;
};

static uint64_t random_state;

static unsigned random_below(unsigned n)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(random_state >> 33) % n;
}

static const char *const words[] = { "a", "b", "c", "longer-segment", "{v}", "{v}" };
static const char *const hosts[] = { "", "", "x.test", "*.test", "*.x.test" };
static const int owners[3];

static char *append(char *to, size_t size, const char *what)
{
    size_t len = strlen(to);

    snprintf(to + len, size - len, "%s", what);
    return to;
}

static struct model_route random_route(void)
{
    struct model_route r = { .host = hosts[random_below(5)],
                             .depth = (int)random_below(MODEL_DEPTH + 1),
                             .below = random_below(2),
                             .methods = 1 + random_below(15),
                             .priority = random_below(2),
                             .owner = &owners[random_below(3)] };

    append(r.path, sizeof r.path, r.depth ? "" : "/");
    for (int i = 0; i < r.depth; i++) {
        r.segments[i] = words[random_below(6)];
        append(append(r.path, sizeof r.path, "/"), sizeof r.path, r.segments[i]);
    }
    return r;
}

static bool is_same_place(const struct model_route *a, const struct model_route *b)
{
    return strcmp(a->path, b->path) == 0 && a->host == b->host && a->below == b->below;
}

/* 0: does not fit; else the more specific the host the higher. */
static int host_rank(const char *pattern, const char *host)
{
    size_t p = strlen(pattern), h = strlen(host);

    if (p == 0)
        return 1;
    if (pattern[0] != '*')
        return strcmp(pattern, host) == 0 ? 100 : 0;
    return h > p - 1 && strcmp(host + h - (p - 1), pattern + 1) == 0 ? (int)p : 0;
}

/* What it is worth for that path: a letter a segment, 'a' the best; false if it does not fit. */
static bool path_rank(const struct model_route *r, const char *const *path, int depth, char *rank)
{
    if (r->below ? depth < r->depth : depth != r->depth)
        return false;
    for (int i = 0; i < r->depth; i++) {
        if (r->segments[i][0] == '{')
            rank[i] = 'b';
        else if (strcmp(r->segments[i], path[i]) == 0)
            rank[i] = 'a';
        else
            return false;
    }
    memcpy(rank + r->depth, r->below ? "c" : "a", 2);
    return true;
}

/* Is a better than b? */
static int compare_ranks(int host_a, const char *a, int host_b, const char *b)
{
    return host_a != host_b ? host_b - host_a : strcmp(a, b);
}

static const struct model_route *best_of_place(const struct model *m,
                                               const struct model_route *place, uint32_t bit)
{
    const struct model_route *best = NULL;

    for (int i = 0; i < m->count; i++) {
        const struct model_route *r = &m->routes[i];

        if (is_same_place(r, place) && (r->methods & bit) &&
            (!best || r->priority > best->priority))
            best = r;
    }
    return best;
}

static bool place_has_owner(const struct model *m, const struct model_route *place,
                            const void *owner)
{
    for (int i = 0; i < m->count; i++)
        if (is_same_place(&m->routes[i], place) && m->routes[i].owner == owner)
            return true;
    return false;
}

/* The best place behind `*host, rank`, or NULL. */
static const struct model_route *next_place(const struct model *m, const char *host,
                                            const char *const *path, int depth, int *last_host,
                                            char *last_rank)
{
    const struct model_route *best = NULL;
    int best_host = 0;
    char best_rank[MODEL_DEPTH + 2] = "";

    for (int i = 0; i < m->count; i++) {
        const struct model_route *r = &m->routes[i];
        char rank[MODEL_DEPTH + 2] = "";
        int h = host_rank(r->host, host);

        if (!h || !path_rank(r, path, depth, rank) ||
            compare_ranks(h, rank, *last_host, last_rank) <= 0)
            continue;
        if (!best || compare_ranks(h, rank, best_host, best_rank) < 0) {
            best = r;
            best_host = h;
            memcpy(best_rank, rank, sizeof rank);
        }
    }
    *last_host = best_host;
    memcpy(last_rank, best_rank, sizeof best_rank);
    return best;
}

static const struct model_route *model_find(const struct model *m, const char *host,
                                            enum method method, const char *const *path, int depth,
                                            bool *mismatch)
{
    const struct model_route *place, *first = NULL;
    int last_host = 1000;
    char last_rank[MODEL_DEPTH + 2] = "";

    while ((place = next_place(m, host, path, depth, &last_host, last_rank))) {
        const struct model_route *r = best_of_place(m, place, UINT32_C(1) << method);

        if (!r && method == METHOD_HEAD)
            r = best_of_place(m, place, GET);
        if (r && (!first || place_has_owner(m, first, r->owner)))
            return r;
        if (!first)
            first = place;
    }
    *mismatch = first != NULL;
    return NULL;
}

static void model_fill(struct model *m)
{
    m->count = 0;
    for (int i = 0; i < MODEL_ROUTES; i++) {
        struct model_route r = random_route(), *kept = &m->routes[m->count];
        bool conflict = false;
        struct route_pattern p = { .host = str_from(r.host),
                                   .below = r.below,
                                   .methods = r.methods,
                                   .priority = r.priority,
                                   .owner = r.owner };

        for (int k = 0; k < m->count; k++)
            conflict = conflict ||
                       (is_same_place(&m->routes[k], &r) && m->routes[k].priority == r.priority &&
                        (m->routes[k].methods & r.methods));
        *kept = r;
        p.path = str_from(kept->path);
        ck_assert_int_eq(router_builder_add(builder, &p, kept, NULL),
                         conflict ? ROUTER_CONFLICT : ROUTER_ADDED);
        m->count += !conflict;
    }
}

static void compare_once(const struct model *m)
{
    static const char *const asked[] = { "x.test", "y.test", "y.x.test", "other" };
    const char *path[MODEL_DEPTH + 1], *host = asked[random_below(4)];
    int depth = (int)random_below(MODEL_DEPTH + 2);
    enum method method = (enum method)random_below(4);
    char text[128] = "";
    bool mismatch = false;
    const struct model_route *expected;
    struct route_match got;

    for (int i = 0; i < depth; i++) {
        path[i] = random_below(8) ? words[random_below(4)] : "unknown";
        append(append(text, sizeof text, "/"), sizeof text, path[i]);
    }
    if (depth == 0 || random_below(4) == 0)
        append(text, sizeof text, "/");
    expected = model_find(m, host, method, path, depth, &mismatch);
    got = find(host, method, text);
    ck_assert_msg(got.route == expected, "%d %s%s: %s%s and not %s%s", (int)method, host, text,
                  got.route ? ((struct model_route *)got.route)->host : "",
                  got.route ? ((struct model_route *)got.route)->path : "nothing",
                  expected ? expected->host : "", expected ? expected->path : "nothing");
    ck_assert_int_eq(got.method_mismatch, mismatch);
}

START_TEST(test_random_routes_and_paths_agree_with_the_model)
{
    static struct model m;

    random_state = (uint64_t)_i + 1;
    for (int round = 0; round < 20; round++) {
        model_fill(&m);
        finish();
        for (int i = 0; i < 500; i++)
            compare_once(&m);
        teardown();
        setup();
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("router");
    TCase *tests = tcase_create("router");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_a_prefix_takes_itself_and_what_is_below_by_whole_segments);
    tcase_add_test(tests, test_slash_takes_all_and_exact_slash_only_itself);
    tcase_add_test(tests, test_the_most_specific_route_wins);
    tcase_add_test(tests, test_variables_say_what_they_took);
    tcase_add_test(tests, test_hosts_come_before_paths);
    tcase_add_test(tests, test_an_endless_host_finds_any);
    tcase_add_test(tests, test_a_wrong_method_is_a_mismatch_that_names_the_right_ones);
    tcase_add_test(tests, test_head_has_its_own_route_if_one_names_it);
    tcase_add_test(tests,
                   test_a_mismatch_is_served_by_a_less_specific_route_of_the_same_owner_only);
    tcase_add_test(tests, test_priority_decides_between_equals_and_equals_conflict);
    tcase_add_test(tests, test_what_is_no_pattern_is_said_to_be_none);
    tcase_add_test(tests, test_literals_are_normalised_like_paths);
    tcase_add_test(tests,
                   test_a_path_with_parameters_that_two_servers_read_differently_finds_nothing);
    tcase_add_loop_test(tests, test_segments_of_any_length_are_told_apart, 1, 70);
    tcase_add_test(tests, test_a_router_without_routes_finds_nothing);
    tcase_add_test(tests, test_ten_thousand_routes_fit_into_four_mebibytes);
    tcase_add_loop_test(tests, test_random_routes_and_paths_agree_with_the_model, 0, 20);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

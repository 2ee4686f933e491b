/* The router against a slow model that is right by looking at every route. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/exchange/router.h"

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
            r = best_of_place(m, place, UINT32_C(1) << METHOD_GET);
        if (r && (!first || place_has_owner(m, first, r->owner)))
            return r;
        if (!first)
            first = place;
    }
    *mismatch = first != NULL;
    return NULL;
}

static void model_fill(struct model *m, struct router_builder *builder)
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

static void compare_once(const struct model *m, const struct router *router)
{
    static const char *const asked[] = { "x.test", "y.test", "y.x.test", "other" };
    const char *path[MODEL_DEPTH + 1], *host = asked[random_below(4)];
    int depth = (int)random_below(MODEL_DEPTH + 2);
    enum method method = (enum method)random_below(4);
    char text[128] = "";
    bool mismatch = false;
    const struct model_route *expected;
    struct route_match got;
    struct params params;

    for (int i = 0; i < depth; i++) {
        path[i] = random_below(8) ? words[random_below(4)] : "unknown";
        append(append(text, sizeof text, "/"), sizeof text, path[i]);
    }
    if (depth == 0 || random_below(4) == 0)
        append(text, sizeof text, "/");
    expected = model_find(m, host, method, path, depth, &mismatch);
    got = router_find(router, str_from(host), method, str_from(text), &params);
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
        struct router_builder *builder = router_builder_new();
        struct router *router;

        model_fill(&m, builder);
        router = router_builder_finish(builder);
        for (int i = 0; i < 500; i++)
            compare_once(&m, router);
        router_free(router);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("router_model");
    TCase *tests = tcase_create("router_model");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, test_random_routes_and_paths_agree_with_the_model, 0, 20);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

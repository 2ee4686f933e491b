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
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

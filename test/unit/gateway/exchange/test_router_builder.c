/* A router is copied together in pieces, if its maker has no time. */
#include <check.h>
#include <stdio.h>

#include "gateway/exchange/router.h"

#define ROUTES 300

static char names[ROUTES][64];

/* Some of every array: long and short texts, variables, hosts. */
static struct router_builder *begin(void)
{
    struct router_builder *b = router_builder_new();

    for (int i = 0; i < ROUTES; i++) {
        struct route_pattern p = { .below = i % 2,
                                   .methods = ROUTER_METHODS_ALL,
                                   .host = i % 3 ? STR("") : STR("api.example.com") };

        snprintf(names[i], sizeof names[i], "/route-%d%s%s", i,
                 i % 5 ? "" : "-whose-segment-does-not-fit-in-a-node", i % 2 ? "" : "/{id}");
        p.path = p.label = str_from(names[i]);
        ck_assert_int_eq(router_builder_add(b, &p, names[i], NULL), ROUTER_ADDED);
    }
    return b;
}

static void all_are_found(const struct router *r)
{
    struct params params;
    char path[80];

    for (int i = 0; i < ROUTES; i++) {
        struct str name = str_from(names[i]), rest, head = str_cut(name, '{', &rest);

        snprintf(path, sizeof path, "%.*s77", STR_ARGS(head));
        if (i % 2)
            snprintf(path, sizeof path, "%s/below", names[i]);
        ck_assert_ptr_eq(
            router_find(r, STR("api.example.com"), METHOD_GET, str_from(path), &params).route,
            names[i]);
        ck_assert_uint_eq(params.count, i % 2 ? 0 : 1);
        if (i % 2 == 0)
            ck_assert(str_equal(params.at[0].value, STR("77")));
    }
}

START_TEST(test_pieces_of_any_size_give_the_same_router)
{
    static const size_t sizes[] = { 1, 7, 64, 1000, 4096, 50000, SIZE_MAX };
    struct router *whole = router_builder_finish(begin());
    struct router_builder *b = begin();
    struct router *r;
    size_t pieces = 1;

    while (!(r = router_builder_finish_some(b, sizes[_i])))
        pieces++;
    ck_assert_uint_eq(router_size(r), router_size(whole));
    ck_assert_uint_le(pieces, router_size(r) / sizes[_i] + 1);
    if (sizes[_i] == SIZE_MAX)
        ck_assert_uint_eq(pieces, 1);
    else
        ck_assert_uint_gt(pieces, router_size(r) / sizes[_i] / 2);
    all_are_found(r);
    all_are_found(whole);
    router_free(r);
    router_free(whole);
}
END_TEST

START_TEST(test_a_builder_ends_in_the_middle_of_copying_too)
{
    struct router_builder *b = begin();

    ck_assert_ptr_null(router_builder_finish_some(b, 100));
    router_builder_free(b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("router_builder");
    TCase *t = tcase_create("router_builder");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_loop_test(t, test_pieces_of_any_size_give_the_same_router, 0, 7);
    tcase_add_test(t, test_a_builder_ends_in_the_middle_of_copying_too);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

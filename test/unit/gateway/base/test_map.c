/* Text -> pointer. */
#include <check.h>

#include "gateway/base/arena.h"
#include "gateway/base/map.h"

static struct arena arena;
static struct map map;

static void make(void)
{
    arena_init(&arena, NULL);
    map_init(&map, &arena);
}

static void drop(void)
{
    arena_free(&arena);
}

START_TEST(test_what_was_added_is_found_and_nothing_else)
{
    int values[1000];

    ck_assert_ptr_null(map_get(&map, STR("k0")));
    for (unsigned i = 0; i < ARRAY_LEN(values); i++)
        ck_assert(map_add(&map, str_format(&arena, "k%u", i), &values[i]));
    ck_assert_uint_eq(map.count, ARRAY_LEN(values));
    for (unsigned i = 0; i < ARRAY_LEN(values); i++)
        ck_assert_ptr_eq(map_get(&map, str_format(&arena, "k%u", i)), &values[i]);
    ck_assert_ptr_null(map_get(&map, STR("k1000")));
    ck_assert_ptr_null(map_get(&map, STR("")));
}
END_TEST

START_TEST(test_a_key_is_added_once_and_may_be_replaced)
{
    int a, b;

    ck_assert(map_add(&map, STR(""), &a));
    ck_assert(!map_add(&map, STR(""), &b));
    ck_assert_ptr_eq(map_get(&map, STR("")), &a);
    map_set(&map, STR(""), &b);
    ck_assert_ptr_eq(map_get(&map, STR("")), &b);
    ck_assert_uint_eq(map.count, 1);
}
END_TEST

START_TEST(test_each_entry_is_visited_once)
{
    int values[50], visits[50] = { 0 };

    MAP_EACH(&map, none)
    ck_abort_msg("an entry %.*s in an empty map", STR_ARGS(none->key));
    for (unsigned i = 0; i < ARRAY_LEN(values); i++)
        ck_assert(map_add(&map, str_format(&arena, "k%u", i), &values[i]));
    MAP_EACH(&map, e)
    visits[(int *)e->value - values]++;
    for (unsigned i = 0; i < ARRAY_LEN(values); i++)
        ck_assert_int_eq(visits[i], 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("map");
    TCase *t = tcase_create("map");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_what_was_added_is_found_and_nothing_else);
    tcase_add_test(t, test_a_key_is_added_once_and_may_be_replaced);
    tcase_add_test(t, test_each_entry_is_visited_once);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

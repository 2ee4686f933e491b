/* Objects of one size on a free list. */
#include <check.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>

#include "gateway/base/pool.h"

/* keep 0: slabs; else objects of their own. */
static const size_t keeps[] = { 0, 2 };

START_TEST(test_objects_are_apart_aligned_and_counted)
{
    unsigned char *taken[200];
    struct pool p;

    pool_init(&p, 100, keeps[_i]);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        taken[i] = pool_take(&p);
        ck_assert_uint_eq((uintptr_t)taken[i] % _Alignof(max_align_t), 0);
        memset(taken[i], (int)i, 100);
    }
    ck_assert_uint_eq(p.used, ARRAY_LEN(taken));
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        for (size_t j = 0; j < 100; j++)
            ck_assert_uint_eq(taken[i][j], (unsigned char)i);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        pool_give(&p, taken[i]);
    ck_assert_uint_eq(p.used, 0);
    pool_end(&p);
}
END_TEST

START_TEST(test_the_object_given_last_is_taken_first)
{
    struct pool p;
    void *a, *b;

    pool_init(&p, 64, keeps[_i]);
    a = pool_take(&p);
    b = pool_take(&p);
    pool_give(&p, a);
    pool_give(&p, b);
    ck_assert_ptr_eq(pool_take(&p), b);
    ck_assert_ptr_eq(pool_take(&p), a);
    pool_give(&p, a);
    pool_give(&p, b);
    pool_end(&p);
}
END_TEST

START_TEST(test_large_objects_above_what_is_kept_go_back_to_the_system)
{
    void *taken[5];
    struct pool p;

    pool_init(&p, 4096, 2);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        taken[i] = pool_take(&p);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        pool_give(&p, taken[i]);
    ck_assert_uint_eq(p.free, 2);
    pool_end(&p);
    ck_assert_uint_eq(p.free, 0);
}
END_TEST

START_TEST(test_giving_more_than_was_taken_ends_the_process)
{
    struct pool p;
    char object[64];

    pool_init(&p, sizeof object, 0);
    pool_give(&p, object);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pool");
    TCase *t = tcase_create("pool");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_loop_test(t, test_objects_are_apart_aligned_and_counted, 0, ARRAY_LEN(keeps));
    tcase_add_loop_test(t, test_the_object_given_last_is_taken_first, 0, ARRAY_LEN(keeps));
    tcase_add_test(t, test_large_objects_above_what_is_kept_go_back_to_the_system);
    tcase_add_test_raise_signal(t, test_giving_more_than_was_taken_ends_the_process, SIGABRT);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* What all processes share is found by all, whatever a later configuration says. */
#include <check.h>
#include <stdlib.h>

#include "gateway/exchange/shared.h"

static const uint64_t few[] = { 1000000, 2000000 };
static const uint64_t many[32] = { 1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16,
                                   17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32 };

static struct conf_globals globals(const uint64_t *buckets, size_t count, uint64_t max_series)
{
    return (struct conf_globals){
        .metrics = { .buckets = { (void *)(uintptr_t)buckets, count }, .max_series = max_series },
        .shared_memory = { .limits = { .size = 1 << 20 }, .metrics = { .size = 32 << 20 } },
    };
}

static struct region *region(void)
{
    struct region *r = region_new(0);

    region_begin(r);
    ck_assert_ptr_nonnull(seats_table(r));
    return r;
}

START_TEST(test_children_find_what_the_master_made)
{
    struct region *r = region();
    struct conf_globals g = globals(few, 2, 1000);
    struct shared *master = shared_open(r, &g), *child;
    struct str service = STR("u");
    struct rows_series series;
    size_t i = 0;

    region_commit(r);
    child = shared_open(r, NULL);
    ck_assert_ptr_nonnull(child);
    ck_assert_ptr_eq(master->rings, child->rings);
    ck_assert_ptr_eq(master->limits.shared, child->limits.shared);
    rows_add(&child->rows, 0, rows_find(&child->rows, FAMILY_CANCELED, &service), 3);
    ck_assert(rows_next(&master->rows, FAMILY_CANCELED, 1, &i, &series));
    ck_assert_uint_eq(series.total, 3);
    shared_close(child);
    shared_close(master);
    region_close(r);
}
END_TEST

/* metrics.buckets and the sizes take effect at start only: a reload that changes them changes no table. */
START_TEST(test_a_later_configuration_changes_no_table)
{
    struct region *r = region();
    struct conf_globals g = globals(few, 2, 1000), other = globals(many, 5, 20000);
    struct shared *first = shared_open(r, &g), *second;

    region_commit(r);
    other.shared_memory.limits.size = 64 << 20;
    region_begin(r);
    second = shared_open(r, &other);
    region_commit(r);
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_eq(first->rows.columns, second->rows.columns);
    ck_assert_ptr_eq(first->limits.shared, second->limits.shared);
    ck_assert_uint_eq(second->families[FAMILY_DURATION].bucket_count, 2);
    shared_close(second);
    shared_close(first);
    region_close(r);
}
END_TEST

START_TEST(test_a_load_that_was_aborted_decides_nothing)
{
    struct region *r = region();
    struct conf_globals g = globals(few, 2, 1000), other = globals(many, 5, 20000);
    struct shared *s = shared_open(r, &g);

    shared_close(s);
    region_abort(r);
    ck_assert_ptr_null(shared_open(r, NULL));
    region_begin(r);
    ck_assert_ptr_nonnull(seats_table(r));
    s = shared_open(r, &other);
    ck_assert_uint_eq(s->families[FAMILY_DURATION].bucket_count, 5);
    shared_close(s);
    region_close(r);
}
END_TEST

START_TEST(test_more_buckets_than_there_is_room_for_are_left_out)
{
    struct region *r = region();
    struct conf_globals g = globals(many, 32, 1000);
    struct shared *s = shared_open(r, &g);

    ck_assert_ptr_nonnull(s);
    ck_assert_uint_eq(s->families[FAMILY_DURATION].bucket_count, ROWS_BUCKETS_MAX);
    shared_close(s);
    region_close(r);
}
END_TEST

START_TEST(test_series_are_as_many_as_fit_in_the_memory_for_metrics)
{
    struct conf_globals g = globals(few, 2, 1000000);
    struct rows_family large[FAMILY_COUNT], small[FAMILY_COUNT];
    struct families_shape shape = families_shape_of(&g);

    shape.size = UINT64_C(8) << 30;
    families_declare(large, &shape);
    shape.size = 4 << 20;
    families_declare(small, &shape);
    ck_assert_uint_gt(large[FAMILY_REQUESTS].max_series, 60000);
    ck_assert_uint_lt(small[FAMILY_REQUESTS].max_series, 10000);
    for (size_t i = 0; i < FAMILY_COUNT; i++)
        ck_assert_uint_ge(small[i].max_series, 64);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("shared");
    TCase *c = tcase_create("shared");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_children_find_what_the_master_made);
    tcase_add_test(c, test_a_later_configuration_changes_no_table);
    tcase_add_test(c, test_a_load_that_was_aborted_decides_nothing);
    tcase_add_test(c, test_more_buckets_than_there_is_room_for_are_left_out);
    tcase_add_test(c, test_series_are_as_many_as_fit_in_the_memory_for_metrics);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

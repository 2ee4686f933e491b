/* Bump allocation freed whole. */
#include <check.h>
#include <stdint.h>
#include <string.h>

#include "gateway/base/arena.h"
#include "gateway/base/pool.h"

static bool is_all(const unsigned char *at, unsigned char value, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (at[i] != value)
            return false;
    return true;
}

START_TEST(test_takes_are_zeroed_aligned_and_apart)
{
    struct arena a;
    unsigned char *taken[300];

    arena_init(&a, NULL);
    for (size_t i = 0; i < ARRAY_LEN(taken); i++) {
        size_t size = 1 + i * 37 % 5000;

        taken[i] = arena_take(&a, size);
        ck_assert_uint_eq((uintptr_t)taken[i] % _Alignof(max_align_t), 0);
        ck_assert(is_all(taken[i], 0, size));
        memset(taken[i], (int)i, size);
    }
    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        ck_assert(is_all(taken[i], (unsigned char)i, 1 + i * 37 % 5000));
    arena_free(&a);
}
END_TEST

START_TEST(test_text_takes_no_padding)
{
    struct arena a;
    char *first, *second;

    arena_init(&a, NULL);
    first = arena_take_bytes(&a, 3);
    second = arena_take_bytes(&a, 5);
    ck_assert_ptr_eq(second, first + 3);
    arena_free(&a);
}
END_TEST

START_TEST(test_blocks_come_from_the_pool_and_go_back_to_it)
{
    struct pool pool;
    struct arena a;

    pool_init(&pool, 1024, 0);
    arena_init(&a, &pool);
    ck_assert_uint_eq(pool.used, 0);
    for (unsigned i = 0; i < 20; i++)
        memset(arena_take(&a, 300), 1, 300);
    ck_assert_uint_ge(pool.used, 7);
    memset(arena_take(&a, 100000), 1, 100000); /* larger than a block: of its own */
    arena_free(&a);
    ck_assert_uint_eq(pool.used, 0);
    memset(arena_take(&a, 300), 1, 300); /* may be used again */
    ck_assert_uint_eq(pool.used, 1);
    arena_free(&a);
    pool_end(&pool);
}
END_TEST

START_TEST(test_lent_memory_is_used_first_and_not_freed)
{
    _Alignas(max_align_t) char memory[256];
    struct arena a;
    char *taken;

    arena_init(&a, NULL);
    arena_lend(&a, memory, sizeof memory);
    taken = arena_take(&a, 100);
    ck_assert_ptr_eq(taken, memory);
    ck_assert_ptr_null(a.blocks);
    taken = arena_take(&a, 200);
    ck_assert(taken < memory || taken >= memory + sizeof memory);
    arena_free(&a);
    MEMORY_UNPOISON(memory, sizeof memory);
}
END_TEST

/* The large blocks of a large arena are zeroed like the small ones, and those of large single wishes. */
START_TEST(test_a_large_arena_keeps_the_same_promises)
{
    static const size_t sizes[] = { 24, 3000, 60000, 300000, 1, 2000000, 4096 };
    struct arena a;
    size_t total = 0;

    arena_init(&a, NULL);
    for (unsigned i = 0; total < ((size_t)8 << 20); i++) {
        size_t size = sizes[i % ARRAY_LEN(sizes)];
        unsigned char *taken = arena_take(&a, size);

        ck_assert_uint_eq((uintptr_t)taken % _Alignof(max_align_t), 0);
        ck_assert(is_all(taken, 0, size));
        memset(taken, 0xff, size);
        memset(arena_take_bytes(&a, 7), 0xff, 7);
        total += size;
    }
    arena_free(&a);
    ck_assert(is_all(arena_take(&a, 100000), 0, 100000)); /* may be used again */
    arena_free(&a);
}
END_TEST

static unsigned char *fill(struct arena *a, size_t size)
{
    unsigned char *first = arena_take(a, 100);

    for (size_t taken = 0; taken < size; taken += 1000)
        memset(arena_take(a, 1000), 1, 1000);
    return first;
}

/* 0, one and many blocks, several arenas, one that goes on after it has left something. */
START_TEST(test_what_is_left_in_a_bin_is_given_back_block_by_block)
{
    struct arena_bin bin = { NULL };
    struct arena a, b, none;
    size_t blocks = 0;

    arena_init(&a, NULL);
    arena_init(&b, NULL);
    arena_init(&none, NULL);
    arena_leave(&none, &bin);
    ck_assert(!arena_bin_give_one(&bin));
    fill(&a, (size_t)4 << 20);
    fill(&b, 10);
    arena_leave(&a, &bin);
    arena_leave(&b, &bin);
    arena_leave(&none, &bin);
    ck_assert_ptr_null(a.blocks);
    fill(&a, (size_t)1 << 20);
    ck_assert(arena_bin_give_one(&bin)); /* while some is given back already, more is left */
    arena_leave(&a, &bin);
    while (arena_bin_give_one(&bin))
        blocks++;
    ck_assert_uint_ge(blocks, 5 * 4); /* of 256 KiB at most */
    ck_assert_uint_lt(blocks, 5 * 4 + 60);
    ck_assert(!arena_bin_give_one(&bin));
    fill(&a, (size_t)1 << 20);
    arena_leave(&a, &bin);
    arena_bin_empty(&bin);
    ck_assert_ptr_null(bin.first);
    fill(&a, 1000);
    arena_leave(&a, NULL); /* no bin: at once */
    ck_assert_ptr_null(a.blocks);
}
END_TEST

#ifdef UNDER_ASAN
START_TEST(test_memory_in_a_bin_is_poisoned)
{
    struct arena_bin bin = { NULL };
    unsigned char *first;
    struct arena a;

    arena_init(&a, NULL);
    first = fill(&a, (size_t)1 << 20);
    ck_assert(!__asan_address_is_poisoned(first));
    arena_leave(&a, &bin);
    ck_assert(__asan_address_is_poisoned(first));
    arena_bin_empty(&bin);
}
END_TEST

/* How ASan ends a process is its options' affair; that it ends is what counts. */
START_TEST(test_memory_of_an_ended_arena_is_poisoned)
{
    struct pool pool;
    struct arena a;
    char *taken;

    pool_init(&pool, 1024, 0);
    arena_init(&a, &pool);
    taken = arena_take(&a, 8);
    ck_assert(!__asan_address_is_poisoned(taken));
    ck_assert(__asan_address_is_poisoned(taken + 64));
    arena_free(&a);
    ck_assert(__asan_address_is_poisoned(taken));
    pool_end(&pool);
}
END_TEST
#endif

int main(void)
{
    Suite *s = suite_create("arena");
    TCase *t = tcase_create("arena");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_takes_are_zeroed_aligned_and_apart);
    tcase_add_test(t, test_text_takes_no_padding);
    tcase_add_test(t, test_blocks_come_from_the_pool_and_go_back_to_it);
    tcase_add_test(t, test_lent_memory_is_used_first_and_not_freed);
    tcase_add_test(t, test_a_large_arena_keeps_the_same_promises);
    tcase_add_test(t, test_what_is_left_in_a_bin_is_given_back_block_by_block);
#ifdef UNDER_ASAN
    tcase_add_test(t, test_memory_in_a_bin_is_poisoned);
    tcase_add_test(t, test_memory_of_an_ended_arena_is_poisoned);
#endif
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* Random numbers: even, repeatable where asked for, never the same where secret. */
#include <check.h>
#include <stdbool.h>
#include <string.h>

#include "gateway/base/check.h"
#include "gateway/base/random.h"

START_TEST(test_the_same_seed_gives_the_same_sequence)
{
    struct random a, b, c;
    bool differs = false;

    random_seed_with(&a, 7);
    random_seed_with(&b, 7);
    random_seed_with(&c, 8);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t x = random_u64(&a);

        ck_assert_uint_eq(x, random_u64(&b));
        differs |= x != random_u64(&c);
    }
    ck_assert(differs);
}
END_TEST

START_TEST(test_below_is_even_and_stays_below)
{
    unsigned counts[7] = { 0 };
    struct random r;

    random_seed_with(&r, 3);
    for (unsigned i = 0; i < 70000; i++) {
        uint64_t x = random_below(&r, 7);

        ck_assert_uint_lt(x, 7);
        counts[x]++;
    }
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        ck_assert_uint_gt(counts[i], 9500);
        ck_assert_uint_lt(counts[i], 10500);
    }
    ck_assert_uint_eq(random_below(&r, 1), 0);
    ck_assert_uint_lt(random_below(&r, UINT64_MAX), UINT64_MAX);
}
END_TEST

START_TEST(test_every_bit_is_set_half_of_the_time)
{
    unsigned counts[64] = { 0 };
    struct random r;

    random_seed_with(&r, 4);
    for (unsigned i = 0; i < 10000; i++) {
        uint64_t x = random_u64(&r);

        for (unsigned bit = 0; bit < 64; bit++)
            counts[bit] += (unsigned)(x >> bit & 1);
    }
    for (unsigned bit = 0; bit < 64; bit++) {
        ck_assert_uint_gt(counts[bit], 4700);
        ck_assert_uint_lt(counts[bit], 5300);
    }
}
END_TEST

START_TEST(test_secrets_and_seeds_differ)
{
    unsigned char a[300], b[300];
    struct random r, s;

    random_secret(a, sizeof a);
    random_secret(b, sizeof b);
    ck_assert_int_ne(memcmp(a, b, sizeof a), 0);
    random_seed(&r);
    random_seed(&s);
    ck_assert_uint_ne(random_u64(&r), random_u64(&s));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("random");
    TCase *t = tcase_create("random");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_the_same_seed_gives_the_same_sequence);
    tcase_add_test(t, test_below_is_even_and_stays_below);
    tcase_add_test(t, test_every_bit_is_set_half_of_the_time);
    tcase_add_test(t, test_secrets_and_seeds_differ);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

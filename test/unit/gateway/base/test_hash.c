/* The keyed hash against known values, and what tables need of it. */
#include <check.h>

#include "gateway/base/hash.h"
#include "gateway/base/map.h"

START_TEST(test_known_values)
{
    /* As CPython 3.11 computes them for bytes with an all-zero key (PYTHONHASHSEED=0). */
    static const struct {
        struct str text;
        uint64_t hash;
    } known[] = {
        { STR_INIT("a"), UINT64_C(0x407448d2b89b1813) },
        { STR_INIT("abc"), UINT64_C(0xc03bc3a0042630f2) },
        { STR_INIT("0123456"), UINT64_C(0x810aaf7acf670379) },
        { STR_INIT("01234567"), UINT64_C(0xda3dcedf84ea6cc6) },
        { STR_INIT("012345678"), UINT64_C(0xb79d8581f8552753) },
    };
    struct hash_key zero = { 0, 0 };
    unsigned char bytes[64];

    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        ck_assert_uint_eq(hash_str(&zero, known[i].text), known[i].hash);
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (unsigned char)i;
    ck_assert_uint_eq(hash_keyed(&zero, bytes, sizeof bytes), UINT64_C(0x75e05fd5bbc870c6));
}
END_TEST

START_TEST(test_either_half_of_the_key_changes_the_hash)
{
    struct hash_key a = { 1, 2 }, b = { 3, 2 }, c = { 1, 3 };

    ck_assert_uint_ne(hash_str(&a, STR("x")), hash_str(&b, STR("x")));
    ck_assert_uint_ne(hash_str(&a, STR("x")), hash_str(&c, STR("x")));
    ck_assert_uint_eq(hash_str(&a, STR("x")), hash_str(&a, STR("x")));
    ck_assert_uint_ne(hash_str(&a, STR("")), hash_str(&a, STR("\0")));
}
END_TEST

START_TEST(test_keys_are_not_given_twice)
{
    struct hash_key a = hash_key_new(), b = hash_key_new();

    ck_assert(a.k0 != b.k0 && a.k1 != b.k1);
}
END_TEST

START_TEST(test_short_texts_that_differ_in_one_bit_spread_over_all_bits)
{
    struct hash_key key = { 5, 6 };
    uint64_t plain = hash_str(&key, STR("counter-0")), seen = 0;
    char text[] = "counter-0";

    for (size_t i = 0; i < 9; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            text[i] = (char)(text[i] ^ 1 << bit);
            seen |= plain ^ hash_keyed(&key, text, 9);
            text[i] = (char)(text[i] ^ 1 << bit);
        }
    ck_assert_uint_eq(seen, UINT64_MAX);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("hash");
    TCase *t = tcase_create("hash");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_known_values);
    tcase_add_test(t, test_either_half_of_the_key_changes_the_hash);
    tcase_add_test(t, test_keys_are_not_given_twice);
    tcase_add_test(t, test_short_texts_that_differ_in_one_bit_spread_over_all_bits);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* Text <-> numbers. */
#include <check.h>
#include <stdio.h>

#include "gateway/base/number.h"
#include "gateway/base/random.h"

static const struct {
    const char *text;
    bool good;
    uint64_t value;
} u64s[] = {
    { "0", true, 0 },
    { "7", true, 7 },
    { "10", true, 10 },
    { "007", true, 7 },
    { "18446744073709551615", true, UINT64_MAX },
    { "18446744073709551616", false, 0 },
    { "99999999999999999999", false, 0 },
    { "000000000000000000000", false, 0 }, /* 21 digits */
    { "", false, 0 },
    { "-1", false, 0 },
    { "+1", false, 0 },
    { " 1", false, 0 },
    { "1 ", false, 0 },
    { "1x", false, 0 },
    { "0x1", false, 0 },
};

START_TEST(test_a_whole_number_is_digits_only_and_fits)
{
    uint64_t value = 0;

    ck_assert(number_read_u64(str_from(u64s[_i].text), &value) == u64s[_i].good);
    if (u64s[_i].good)
        ck_assert_uint_eq(value, u64s[_i].value);
}
END_TEST

static void check_written(uint64_t value)
{
    char text[NUMBER_TEXT_MAX], expected[32];
    size_t len = number_write_u64(text, value);
    uint64_t read;

    snprintf(expected, sizeof expected, "%llu", (unsigned long long)value);
    ck_assert_msg(str_equal(str_of(text, len), str_from(expected)), "%.*s", (int)len, text);
    ck_assert(number_read_u64(str_of(text, len), &read));
    ck_assert_uint_eq(read, value);
}

START_TEST(test_what_is_written_reads_back)
{
    struct random r;

    random_seed_with(&r, 1);
    check_written(0);
    check_written(UINT64_MAX);
    for (uint64_t power = 1, i = 0; i < 20; i++, power *= 10) {
        check_written(power);
        check_written(power - 1);
        check_written(power + 1);
    }
    for (unsigned i = 0; i < 10000; i++)
        check_written(random_u64(&r) >> random_below(&r, 64));
}
END_TEST

START_TEST(test_signed_numbers_keep_their_sign_to_the_ends)
{
    static const int64_t values[] = { 0, -1, 1, INT64_MIN, INT64_MAX, -99 };
    char text[NUMBER_TEXT_MAX];
    int64_t read;

    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        ck_assert(number_read_i64(str_of(text, number_write_i64(text, values[i])), &read));
        ck_assert_int_eq(read, values[i]);
    }
    ck_assert(!number_read_i64(STR("9223372036854775808"), &read));
    ck_assert(!number_read_i64(STR("-9223372036854775809"), &read));
    ck_assert(!number_read_i64(STR("-"), &read));
    ck_assert(!number_read_i64(STR("--1"), &read));
}
END_TEST

START_TEST(test_hexadecimal_is_digits_only_and_fits)
{
    uint64_t value;

    ck_assert(number_read_hex(STR("fF0"), &value));
    ck_assert_uint_eq(value, 0xff0);
    ck_assert(number_read_hex(STR("ffffffffffffffff"), &value));
    ck_assert_uint_eq(value, UINT64_MAX);
    ck_assert(!number_read_hex(STR("10000000000000000"), &value));
    ck_assert(!number_read_hex(STR(""), &value));
    ck_assert(!number_read_hex(STR("0x1"), &value));
    ck_assert(!number_read_hex(STR("g"), &value));
}
END_TEST

enum kind { SIZE, DURATION, SHARE };

static const struct {
    enum kind kind;
    const char *text;
    uint64_t value;
    const char *written; /* NULL: refused */
} units[] = {
    { SIZE, "0", 0, "0" },
    { SIZE, "512", 512, "512" },
    { SIZE, "64k", 65536, "64k" },
    { SIZE, "8M", 8 << 20, "8m" },
    { SIZE, "1g", 1 << 30, "1g" },
    { SIZE, "2t", UINT64_C(2) << 40, "2t" },
    { SIZE, "2048k", 2 << 20, "2m" },
    { SIZE, "1025", 1025, "1025" },
    { SIZE, "16777216t", 0, NULL },
    { SIZE, "16777215t", UINT64_C(16777215) << 40, "16777215t" },
    { SIZE, "k", 0, NULL },
    { SIZE, "1kb", 0, NULL },
    { SIZE, "1.5k", 0, NULL },
    { SIZE, "1 k", 0, NULL },
    { SIZE, "-1k", 0, NULL },
    { DURATION, "0", 0, "0s" },
    { DURATION, "0s", 0, "0s" },
    { DURATION, "500ms", 500 * NS_PER_MS, "500ms" },
    { DURATION, "250us", 250 * NS_PER_US, "250us" },
    { DURATION, "10s", 10 * NS_PER_S, "10s" },
    { DURATION, "90s", 90 * NS_PER_S, "90s" },
    { DURATION, "60s", 60 * NS_PER_S, "1m" },
    { DURATION, "5m", 300 * NS_PER_S, "5m" },
    { DURATION, "1h", 3600 * NS_PER_S, "1h" },
    { DURATION, "7d", 7 * 86400 * NS_PER_S, "7d" },
    { DURATION, "2500ms", 2500 * NS_PER_MS, "2500ms" },
    { DURATION, "10", 0, NULL },
    { DURATION, "1w", 0, NULL },
    { DURATION, "", 0, NULL },
    { DURATION, "s", 0, NULL },
    { DURATION, "99999999999d", 0, NULL },
    { SHARE, "50%", 500000, "50%" },
    { SHARE, "0.5", 500000, "50%" },
    { SHARE, "1", 1000000, "100%" },
    { SHARE, "12.5%", 125000, "12.5%" },
    { SHARE, "0.000001", 1, "0.0001%" },
    { SHARE, "0.0000019", 1, "0.0001%" },
    { SHARE, "125%", 1250000, "125%" },
    { SHARE, "0", 0, "0%" },
    { SHARE, "10000%", 100000000, "10000%" },
    { SHARE, "10001%", 0, NULL },
    { SHARE, "101", 0, NULL },
    { SHARE, "%", 0, NULL },
    { SHARE, ".5", 0, NULL },
    { SHARE, "5.%", 0, NULL },
    { SHARE, "5.x%", 0, NULL },
    { SHARE, "-5%", 0, NULL },
};

START_TEST(test_values_with_units_are_read_and_written_in_the_largest_unit)
{
    static bool (*const read[])(struct str, uint64_t *) = { number_read_size, number_read_duration,
                                                            number_read_share };
    static size_t (*const write[])(char *, uint64_t) = { number_write_size, number_write_duration,
                                                         number_write_share };
    char text[NUMBER_TEXT_MAX];
    uint64_t value = 0;
    size_t len;

    ck_assert_msg(read[units[_i].kind](str_from(units[_i].text), &value) == !!units[_i].written,
                  "%s", units[_i].text);
    if (!units[_i].written)
        return;
    ck_assert_uint_eq(value, units[_i].value);
    len = write[units[_i].kind](text, value);
    ck_assert_msg(str_equal(str_of(text, len), str_from(units[_i].written)), "%.*s", (int)len,
                  text);
}
END_TEST

START_TEST(test_a_rate_has_a_count_and_one_of_four_periods)
{
    static const struct {
        const char *text;
        uint64_t count, per_s;
    } good[] = {
        { "200/s", 200, 1 }, { "600/m", 600, 60 }, { "0/h", 0, 3600 }, { "5000/D", 5000, 86400 }
    };
    static const char *const bad[] = { "200",   "/s",     "200/", "200/ms",
                                       "200/x", "200/2s", "-1/s", "2/s/s" };
    char text[NUMBER_TEXT_MAX];
    struct number_rate rate;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        ck_assert(number_read_rate(str_from(good[i].text), &rate));
        ck_assert_uint_eq(rate.count, good[i].count);
        ck_assert_uint_eq(rate.per_ns, good[i].per_s * NS_PER_S);
        ck_assert(
            str_equal_folded(str_of(text, number_write_rate(text, rate)), str_from(good[i].text)));
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        ck_assert_msg(!number_read_rate(str_from(bad[i]), &rate), "%s", bad[i]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("number");
    TCase *t = tcase_create("number");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_loop_test(t, test_a_whole_number_is_digits_only_and_fits, 0, ARRAY_LEN(u64s));
    tcase_add_test(t, test_what_is_written_reads_back);
    tcase_add_test(t, test_signed_numbers_keep_their_sign_to_the_ends);
    tcase_add_test(t, test_hexadecimal_is_digits_only_and_fits);
    tcase_add_loop_test(t, test_values_with_units_are_read_and_written_in_the_largest_unit, 0,
                        ARRAY_LEN(units));
    tcase_add_test(t, test_a_rate_has_a_count_and_one_of_four_periods);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

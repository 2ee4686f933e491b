/* Limits as text and as bits. */
#include "gateway/base/random.h"
#include "ratelimit/limit.h"
#include "test/unit/shm/fresh.h"

static const struct {
    const char *text;
    uint64_t count, per_ns, burst;
} good[] = {
    { "100/s", 100, NS_PER_S, 100 },
    { "100/s burst 200", 100, NS_PER_S, 200 },
    { "  5/m   burst   1  ", 5, 60 * NS_PER_S, 1 },
    { "1/h", 1, 3600 * NS_PER_S, 1 },
    { "10000/d burst 3", 10000, 86400 * NS_PER_S, 3 },
};

static const char *const bad[] = {
    "",
    "100",
    "100/",
    "100/x",
    "0/s",
    "-1/s",
    "100/s 200",
    "100/s burst",
    "100/s burst 0",
    "100/s burst -1",
    "100/s burst 2 3",
    "burst 2",
    "100 /s",
    "100/s burst2",
    "100/s Burst 2",
    "100/ms",
    "18446744073709551616/s",
};

START_TEST(test_what_can_be_written_can_be_read_and_written_again)
{
    char text[LIMIT_TEXT_MAX];
    struct limit l, again;

    ck_assert_ptr_null(limit_read(str_from(good[_i].text), &l));
    ck_assert_uint_eq(l.count, good[_i].count);
    ck_assert_uint_eq(l.per_ns, good[_i].per_ns);
    ck_assert_uint_eq(l.burst, good[_i].burst);
    ck_assert_ptr_null(limit_read(str_of(text, limit_write(text, &l)), &again));
    ck_assert_mem_eq(&again, &l, sizeof l);
}
END_TEST

START_TEST(test_the_largest_numbers_fit_the_text)
{
    struct limit l = { UINT64_MAX, 86400 * NS_PER_S, UINT64_MAX };
    char text[LIMIT_TEXT_MAX];

    ck_assert_uint_le(limit_write(text, &l), LIMIT_TEXT_MAX);
}
END_TEST

START_TEST(test_what_is_no_limit_is_refused_with_a_reason)
{
    struct limit l;
    const char *why = limit_read(str_from(bad[_i]), &l);

    ck_assert_msg(why != NULL, "%s was taken", bad[_i]);
    ck_assert_uint_gt(str_from(why).len, 10);
}
END_TEST

START_TEST(test_a_period_without_a_name_is_refused)
{
    struct limit l = { 1, 2 * NS_PER_S, 1 };

    ck_assert_ptr_nonnull(limit_check(&l));
}
END_TEST

START_TEST(test_packed_it_is_exact_up_to_a_million_and_almost_beyond)
{
    static const uint64_t periods[] = { NS_PER_S, 60 * NS_PER_S, 3600 * NS_PER_S,
                                        86400 * NS_PER_S };
    struct random random;

    random_seed_with(&random, 1);
    for (int i = 0; i < 100000; i++) {
        struct limit l = { .count = 1 + (random_u64(&random) >> 1 >> random_below(&random, 62)),
                           .per_ns = periods[i % 4],
                           .burst = 1 + (random_u64(&random) >> 1 >> random_below(&random, 62)) };
        struct limit u = limit_unpack(limit_pack(&l));

        MUST(limit_pack(&l) != 0);
        MUST(limit_pack(&l) < UINT64_C(1) << 54);
        MUST(u.per_ns == l.per_ns);
        MUST(u.count <= l.count);
        MUST(u.burst <= l.burst);
        MUST(l.count - u.count <= l.count >> 19);
        MUST(l.burst - u.burst <= l.burst >> 19);
        if (l.count <= 1000000)
            MUST(u.count == l.count);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("limit");
    TCase *t = tcase_create("limit");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_what_can_be_written_can_be_read_and_written_again, 0,
                        (int)ARRAY_LEN(good));
    tcase_add_test(t, test_the_largest_numbers_fit_the_text);
    tcase_add_loop_test(t, test_what_is_no_limit_is_refused_with_a_reason, 0, (int)ARRAY_LEN(bad));
    tcase_add_test(t, test_a_period_without_a_name_is_refused);
    tcase_add_test(t, test_packed_it_is_exact_up_to_a_million_and_almost_beyond);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

/* The fixed window against a list of windows and their counts. */
#include "properties.h"
#include "ratelimit/fixed_window.h"

static const char *const limits[] = {
    "1/s", "10/s", "100/s", "1000/m", "7/m", "3/h", "100000/h", "1/d", "5000/d", "1000000/s",
};
#define LIMITS ((int)ARRAY_LEN(limits))

/* A count for each window that there ever was, and who is ahead decides which one it is. */
struct model {
    uint64_t window, used;
};

static bool model_take(struct model *m, const struct limit *l, uint64_t now, uint64_t cost)
{
    if (now / l->per_ns > m->window)
        *m = (struct model){ now / l->per_ns, 0 };
    if (m->used + cost > l->count)
        return false;
    m->used += cost;
    return true;
}

START_TEST(test_it_decides_as_a_count_per_window_does_whatever_the_clocks)
{
    struct limit l = limit_for(&fixed_window, limits[_i]);
    struct model m = { 0 };
    uint64_t word = 0, begin = TODAY, one = l.per_ns / l.count + 1;
    struct random random;

    random_seed_with(&random, (uint64_t)_i + 1);
    for (int i = 0; i < 200000; i++) {
        /* each try by some process, whose clock is up to 50 ms behind or ahead */
        uint64_t now = begin + random_below(&random, 100 * NS_PER_MS);
        int32_t cost = random_below(&random, 10)
                           ? 1
                           : 1 + (int32_t)random_below(&random, l.count < 99 ? l.count : 99);
        struct decision d;
        bool may = model_take(&m, &l, now, (uint64_t)cost);

        word = fixed_window.step(word, &l, now, cost, &d);
        MUST(d.allowed == may);
        MUST(d.remaining == l.count - m.used);
        MUST(word >> 32 == m.window || m.used == 0);
        begin += random_below(&random, one);
        if (random_below(&random, 1000) == 0)
            begin += random_below(&random, 3 * l.per_ns);
    }
}
END_TEST

START_TEST(test_its_windows_are_those_of_the_clock)
{
    struct limit l = limit_for(&fixed_window, "3/m");
    uint64_t word = 0, minute = TODAY + 60 * NS_PER_S;
    struct decision d;

    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, minute - 1, 5), 3);
    fixed_window.step(word, &l, minute - 1, 1, &d);
    ck_assert_uint_eq(d.retry_ns, 1);
    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, minute, 5), 3);
    fixed_window.step(word, &l, minute + NS_PER_S, 1, &d);
    ck_assert_uint_eq(d.retry_ns, 59 * NS_PER_S);
    ck_assert_uint_eq(d.reset_ns, 59 * NS_PER_S);
}
END_TEST

START_TEST(test_a_colleague_ahead_has_begun_the_window_for_all)
{
    struct limit l = limit_for(&fixed_window, "3/s");
    uint64_t word = 0;
    struct decision d;

    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, TODAY, 2), 2);
    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, TODAY - 50 * NS_PER_MS, 2), 1);
    fixed_window.step(word, &l, TODAY - 50 * NS_PER_MS, 1, &d);
    ck_assert_uint_eq(d.retry_ns, NS_PER_S + 50 * NS_PER_MS);
    ck_assert_uint_eq(d.at_ns, TODAY);
    /* and what was counted there is given back there */
    word = fixed_window.step(word, &l, d.at_ns, -1, &d);
    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, TODAY - 50 * NS_PER_MS, 2), 1);
}
END_TEST

START_TEST(test_a_window_that_was_begun_is_not_forgotten_when_all_is_given_back)
{
    struct limit l = limit_for(&fixed_window, "3/s");
    uint64_t word = 0;
    struct decision d;

    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, TODAY - 1, 9), 3);
    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, TODAY, 1), 1);
    word = fixed_window.step(word, &l, TODAY, -1, &d);
    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, TODAY - 1, 9), 3);
    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, TODAY, 9), 0);
}
END_TEST

START_TEST(test_what_was_taken_in_an_earlier_window_is_not_given_back_in_this_one)
{
    struct limit l = limit_for(&fixed_window, "3/s");
    uint64_t word = 0;
    struct decision d;

    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, TODAY - 1, 1), 1);
    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, TODAY, 9), 3);
    word = fixed_window.step(word, &l, TODAY - 1, -1, &d);
    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &l, TODAY, 9), 0);
}
END_TEST

START_TEST(test_properties)
{
    struct limit l = limit_for(&fixed_window, limits[_i]);

    property_look_tells_what_a_taking_would_decide(&fixed_window, &l, 1);
    property_retry_is_the_first_moment(&fixed_window, &l, 2, 0);
    property_idle_means_none(&fixed_window, &l, 3);
    property_any_word_is_bounded(&fixed_window, &l, 4);
    property_given_back_is_as_never_taken(&fixed_window, &l, 5);
    property_too_much_is_never_allowed(&fixed_window, &l);
}
END_TEST

START_TEST(test_other_parameters_keep_what_was_used)
{
    for (int i = 0; i < LIMITS; i++) {
        struct limit was = limit_for(&fixed_window, limits[_i]),
                     is = limit_for(&fixed_window, limits[i]);

        property_rescale_keeps_what_was_used(&fixed_window, &was, &is, (uint64_t)i + 1);
    }
}
END_TEST

START_TEST(test_limits_that_do_not_fit_are_refused_at_load)
{
    struct limit most = { UINT32_MAX, NS_PER_S, 1 }, more = { UINT64_C(1) << 32, NS_PER_S, 1 };
    uint64_t word = 0;
    struct decision d;

    ck_assert_ptr_null(fixed_window.cannot(&most));
    ck_assert_ptr_nonnull(fixed_window.cannot(&more));
    for (int i = 0; i < 2; i++) {
        word = fixed_window.step(word, &most, TODAY, INT32_MAX, &d);
        ck_assert(d.allowed);
    }
    ck_assert_uint_eq(allowed_of(&fixed_window, &word, &most, TODAY, 5), 1);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("fixed_window");
    TCase *t = tcase_create("fixed_window");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_it_decides_as_a_count_per_window_does_whatever_the_clocks, 0,
                        LIMITS);
    tcase_add_test(t, test_its_windows_are_those_of_the_clock);
    tcase_add_test(t, test_a_colleague_ahead_has_begun_the_window_for_all);
    tcase_add_test(t, test_a_window_that_was_begun_is_not_forgotten_when_all_is_given_back);
    tcase_add_test(t, test_what_was_taken_in_an_earlier_window_is_not_given_back_in_this_one);
    tcase_add_loop_test(t, test_properties, 0, LIMITS);
    tcase_add_loop_test(t, test_other_parameters_keep_what_was_used, 0, LIMITS);
    tcase_add_test(t, test_limits_that_do_not_fit_are_refused_at_load);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

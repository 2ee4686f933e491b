/* The sliding window against two counters per window and fractions that are not rounded. */
#include "properties.h"
#include "ratelimit/sliding_window.h"

static const char *const limits[] = {
    "1/s", "10/s",   "100/s",     "1000/m",    "7/m",       "3/h",       "100000/h",
    "1/d", "5000/d", "1000000/s", "1048575/s", "1048576/s", "3000001/h", "500000000/d",
};
#define LIMITS ((int)ARRAY_LEN(limits))

/* Counts of the window of the last taking, or of now's if that is later, and of the one before. */
struct model {
    uint64_t window, last, this;
};

static struct model model_at(struct model m, const struct limit *l, uint64_t now)
{
    uint64_t window = now / l->per_ns;

    if (window == m.window + 1)
        return (struct model){ window, m.this, 0 };
    return window > m.window ? (struct model){ window, 0, 0 } : m;
}

/* used < count - cost + 1, with used = this + last * left / per, multiplied by per. */
static bool model_may(const struct model *m, const struct limit *l, uint64_t now, uint64_t cost)
{
    uint64_t left = now / l->per_ns == m->window ? l->per_ns - now % l->per_ns : l->per_ns;

    return (unsigned __int128)m->this * l->per_ns + (unsigned __int128)m->last * left +
               (unsigned __int128)cost * l->per_ns <
           (unsigned __int128)(l->count + 1) * l->per_ns;
}

static bool is_exact(const struct limit *l)
{
    return l->count < (1 << 20);
}

START_TEST(test_it_decides_as_exact_fractions_do_whatever_the_clocks)
{
    struct limit l = limit_for(&sliding_window, limits[_i]);
    struct model m = { 0 };
    uint64_t word = 0, begin = TODAY, one = l.per_ns / l.count + 1, slack = l.count >> 19;
    struct random random;

    random_seed_with(&random, (uint64_t)_i + 1);
    for (int i = 0; i < 200000; i++) {
        /* whole ticks, so that time is rounded nowhere */
        uint64_t now = (begin + random_below(&random, 100 * NS_PER_MS)) & ~UINT64_C(15);
        uint64_t most = l.count < 999999 ? l.count : 999999;
        int32_t cost = random_below(&random, 10) ? 1 : 1 + (int32_t)random_below(&random, most);
        struct model at = model_at(m, &l, now);
        bool may = model_may(&at, &l, now, (uint64_t)cost);
        struct decision d;

        word = sliding_window.step(word, &l, now, cost, &d);
        if (is_exact(&l))
            MUST(d.allowed == may);
        else /* never more than the fractions say, and less by no more than a few units */
            MUST(d.allowed ? may : !model_may(&at, &l, now, (uint64_t)cost + 3 * slack) || !may);
        if (d.allowed)
            m = (struct model){ at.window, at.last, at.this + (uint64_t)cost };
        begin += random_below(&random, one);
        if (random_below(&random, 1000) == 0)
            begin += random_below(&random, 3 * l.per_ns);
    }
}
END_TEST

/* Whoever offers more than the limit all the time gets the limit, window for window. */
START_TEST(test_whoever_asks_all_the_time_gets_the_rate)
{
    struct limit l = limit_for(&sliding_window, "1000/s");
    uint64_t word = 0, allowed = 0;

    allowed_of(&sliding_window, &word, &l, TODAY, 2000);
    for (uint64_t t = NS_PER_S; t < 21 * NS_PER_S; t += NS_PER_S / 5000)
        allowed += allowed_of(&sliding_window, &word, &l, TODAY + t, 1);
    ck_assert_uint_eq(allowed, 20000);
}
END_TEST

START_TEST(test_half_into_a_window_half_of_the_last_one_counts)
{
    struct limit l = limit_for(&sliding_window, "100/m");
    uint64_t word = 0;
    struct decision d;

    ck_assert_uint_eq(allowed_of(&sliding_window, &word, &l, TODAY, 200), 100);
    sliding_window.step(word, &l, TODAY + 59 * NS_PER_S, 1, &d);
    ck_assert(!d.allowed);
    ck_assert_uint_eq(
        d.retry_ns, NS_PER_S + 16); /* the first moment of the next at which it is less than 100 */
    ck_assert_uint_eq(d.reset_ns, 61 * NS_PER_S);
    ck_assert_uint_eq(allowed_of(&sliding_window, &word, &l, TODAY + 90 * NS_PER_S, 200), 50);
    sliding_window.step(word, &l, TODAY + 90 * NS_PER_S, 0, &d);
    ck_assert_uint_eq(d.remaining, 0);
}
END_TEST

START_TEST(test_what_was_taken_in_the_last_window_is_given_back_there)
{
    struct limit l = limit_for(&sliding_window, "100/s");
    uint64_t word = 0;
    struct decision d;

    ck_assert_uint_eq(allowed_of(&sliding_window, &word, &l, TODAY - 1, 100), 100);
    ck_assert_uint_eq(allowed_of(&sliding_window, &word, &l, TODAY + NS_PER_S / 2, 100), 50);
    word = sliding_window.step(word, &l, TODAY - 1, -20, &d);
    ck_assert_uint_eq(allowed_of(&sliding_window, &word, &l, TODAY + NS_PER_S / 2, 100), 10);
    /* and two windows later nowhere */
    word = sliding_window.step(word, &l, TODAY - 2 * NS_PER_S, -20, &d);
    ck_assert_uint_eq(allowed_of(&sliding_window, &word, &l, TODAY + NS_PER_S / 2, 100), 0);
}
END_TEST

START_TEST(test_properties)
{
    struct limit l = limit_for(&sliding_window, limits[_i]);

    property_look_tells_what_a_taking_would_decide(&sliding_window, &l, 1);
    property_retry_is_the_first_moment(&sliding_window, &l, 2, 0);
    property_any_word_is_bounded(&sliding_window, &l, 4);
    property_given_back_is_as_never_taken(&sliding_window, &l, 5);
    property_too_much_is_never_allowed(&sliding_window, &l);
    if (is_exact(&l)) /* the window's number has its 24 bits */
        property_idle_means_none(&sliding_window, &l, 3);
}
END_TEST

START_TEST(test_other_parameters_keep_what_was_used)
{
    for (int i = 0; i < LIMITS; i++) {
        struct limit was = limit_for(&sliding_window, limits[_i]),
                     is = limit_for(&sliding_window, limits[i]);

        property_rescale_keeps_what_was_used(&sliding_window, &was, &is, (uint64_t)i + 1);
    }
}
END_TEST

/* 100 in the last window, then the rate doubles: a quarter into the next, 75 of 200 are used. */
START_TEST(test_another_rate_of_the_same_period_keeps_both_counters)
{
    struct limit was = limit_for(&sliding_window, "100/s"),
                 is = limit_for(&sliding_window, "200/s");
    struct limit wide = limit_for(&sliding_window, "3000000/s");
    uint64_t word = 0, now = TODAY + NS_PER_S + NS_PER_S / 4, next;
    struct decision d;

    ck_assert_uint_eq(allowed_of(&sliding_window, &word, &was, TODAY, 100), 100);
    next = sliding_window.rescale(word, &was, &is, now);
    ck_assert_uint_eq(allowed_of(&sliding_window, &next, &is, now, 500), 125);
    next = sliding_window.rescale(word, &was, &wide, now);
    sliding_window.step(next, &wide, now, 0, &d);
    ck_assert_uint_ge(d.remaining, 3000000 - 75 - 8);
    ck_assert_uint_le(d.remaining, 3000000 - 75);
    /* and back */
    next = sliding_window.rescale(next, &wide, &was, now);
    ck_assert_uint_le(allowed_of(&sliding_window, &next, &was, now, 500), 25);
}
END_TEST

START_TEST(test_limits_that_do_not_fit_are_refused_at_load)
{
    struct limit most = { UINT32_MAX, NS_PER_S, 1 }, more = { UINT64_C(1) << 32, NS_PER_S, 1 };

    ck_assert_ptr_null(sliding_window.cannot(&most));
    ck_assert_ptr_nonnull(sliding_window.cannot(&more));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sliding_window");
    TCase *t = tcase_create("sliding_window");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_it_decides_as_exact_fractions_do_whatever_the_clocks, 0, LIMITS);
    tcase_add_test(t, test_whoever_asks_all_the_time_gets_the_rate);
    tcase_add_test(t, test_half_into_a_window_half_of_the_last_one_counts);
    tcase_add_test(t, test_what_was_taken_in_the_last_window_is_given_back_there);
    tcase_add_loop_test(t, test_properties, 0, LIMITS);
    tcase_add_loop_test(t, test_other_parameters_keep_what_was_used, 0, LIMITS);
    tcase_add_test(t, test_another_rate_of_the_same_period_keeps_both_counters);
    tcase_add_test(t, test_limits_that_do_not_fit_are_refused_at_load);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

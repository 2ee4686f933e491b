/* The token bucket against arithmetic that is slow and exact. */
#include "gateway/base/random.h"
#include "ratelimit/token_bucket.h"
#include "test/unit/shm/fresh.h"

#define DAYS(n) ((uint64_t)(n)*86400 * NS_PER_S)

static struct limit limit_of(const char *text)
{
    struct limit l;
    const char *why = limit_read(str_from(text), &l);

    ck_assert_msg(why == NULL, "%s: %s", text, why);
    ck_assert_ptr_null(token_bucket.cannot(&l));
    return l;
}

/* How many of `tries` at this moment are allowed. */
static uint64_t allowed_of(uint64_t *word, const struct limit *l, uint64_t now, uint64_t tries)
{
    uint64_t allowed = 0;
    struct decision d;

    while (tries-- > 0) {
        *word = token_bucket.step(*word, l, now, 1, &d);
        allowed += d.allowed;
    }
    return allowed;
}

static const char *const limits[] = {
    "1/s burst 1",     "10/s burst 20",
    "100/s burst 200", "1000/s burst 1000",
    "5/m burst 10",    "1/h burst 3",
    "1/d burst 1",     "1000000/s burst 50",
    "64/s burst 100",  "3/s burst 7",
    "7/m burst 2",     "700001/s burst 1000",
    "9999/h burst 1",  "31999999/s burst 100000",
};

/* The bucket as a level, in parts of which a token has per_ns and a ns earns count: nothing is ever rounded. */
struct model {
    unsigned __int128 level;
    uint64_t at;
};

static unsigned __int128 model_full(const struct limit *l)
{
    return (unsigned __int128)l->burst * l->per_ns;
}

static bool model_take(struct model *m, const struct limit *l, uint64_t now, uint64_t cost)
{
    m->level += (unsigned __int128)(now - m->at) * l->count;
    if (m->level > model_full(l))
        m->level = model_full(l);
    m->at = now;
    if (m->level < (unsigned __int128)cost * l->per_ns)
        return false;
    m->level -= (unsigned __int128)cost * l->per_ns;
    return true;
}

/* A token is a whole number of grains of 1/32 ns: then nothing is rounded here either. */
static bool is_exact(const struct limit *l)
{
    return l->per_ns * 32 % l->count == 0;
}

START_TEST(test_it_decides_as_exact_arithmetic_does_and_never_allows_more)
{
    struct limit l = limit_of(limits[_i]);
    struct model m = { model_full(&l), 1 };
    uint64_t now = 1, word = 0, mine = 0, exact = 0, token_ns = l.per_ns / l.count + 1;
    struct random random;

    random_seed_with(&random, (uint64_t)_i + 1);
    for (int i = 0; i < 200000 && now < DAYS(3000); i++) {
        int32_t cost = random_below(&random, 10) ? 1 : 1 + (int32_t)random_below(&random, l.burst);
        struct decision d;
        bool may;

        /* mostly faster than the rate, now and then a pause that fills it */
        if (random_below(&random, 3) == 0)
            now += random_below(&random, 2 * token_ns);
        if (random_below(&random, 2000) == 0)
            now += random_below(&random, 2 * token_ns * l.burst);
        may = model_take(&m, &l, now, (uint64_t)cost);
        word = token_bucket.step(word, &l, now, cost, &d);
        if (is_exact(&l)) {
            MUST(d.allowed == may);
            MUST(d.remaining == (uint64_t)(m.level / l.per_ns));
        }
        mine += d.allowed ? (uint64_t)cost : 0;
        exact += may ? (uint64_t)cost : 0;
        MUST(mine <= l.burst + (uint64_t)((unsigned __int128)now * l.count / l.per_ns) + 1);
    }
    MUST(mine > 0);
    MUST(mine + 1 >= exact - exact / 500);
}
END_TEST

START_TEST(test_retry_is_the_first_moment_at_which_it_would_be_allowed)
{
    struct limit l = limit_of(limits[_i]);
    uint64_t word = 0, now = DAYS(3);
    struct random random;
    struct decision d;

    random_seed_with(&random, (uint64_t)_i + 1);
    for (int i = 0; i < 2000 && now < DAYS(5000); i++) {
        int32_t cost = 1 + (int32_t)random_below(&random, l.burst);
        struct decision then;

        word = token_bucket.step(word, &l, now, cost, &d);
        if (d.allowed) {
            MUST(d.retry_ns == 0);
            continue;
        }
        MUST(d.retry_ns > 0);
        token_bucket.step(word, &l, now + d.retry_ns - 1, cost, &then);
        MUST(!then.allowed);
        token_bucket.step(word, &l, now + d.retry_ns, cost, &then);
        MUST(then.allowed);
        now += d.retry_ns;
    }
}
END_TEST

START_TEST(test_idle_bucket_is_full_not_overflowing)
{
    struct limit l = limit_of("10/s burst 20");
    uint64_t word = 0, pause;

    ck_assert_uint_eq(allowed_of(&word, &l, 5, 50), 20);
    for (pause = DAYS(1); pause < DAYS(3000); pause *= 3)
        ck_assert_uint_eq(allowed_of(&word, &l, pause, 50), 20);
}
END_TEST

START_TEST(test_after_idle_ns_a_word_means_as_little_as_none)
{
    struct limit l = limit_of(limits[_i]);
    uint64_t word = 0, now = DAYS(1);
    struct decision left, fresh;

    allowed_of(&word, &l, now, 2 * l.burst < 300000 ? 2 * l.burst : 300000);
    now += token_bucket.idle_ns(&l);
    token_bucket.step(word, &l, now, 1, &left);
    token_bucket.step(0, &l, now, 1, &fresh);
    ck_assert_int_eq(left.allowed, fresh.allowed);
    ck_assert_uint_eq(left.remaining, fresh.remaining);
    ck_assert_uint_eq(left.reset_ns, fresh.reset_ns);
}
END_TEST

START_TEST(test_to_look_takes_nothing_and_says_whether_one_more_would_pass)
{
    struct limit l = limit_of("10/s burst 3");
    uint64_t word = 0;
    struct decision d;

    for (uint64_t left = 3; left > 0; left--) {
        ck_assert_uint_eq(token_bucket.step(word, &l, 100, 0, &d), word);
        ck_assert(d.allowed);
        ck_assert_uint_eq(d.remaining, left);
        ck_assert_uint_eq(allowed_of(&word, &l, 100, 1), 1);
    }
    ck_assert_uint_eq(token_bucket.step(word, &l, 100, 0, &d), word);
    ck_assert(!d.allowed);
    ck_assert_uint_eq(d.retry_ns, NS_PER_S / 10);
    ck_assert_uint_eq(d.reset_ns, 3 * NS_PER_S / 10);
}
END_TEST

START_TEST(test_what_is_given_back_can_be_taken_again_but_never_more_than_the_burst)
{
    struct limit l = limit_of("10/s burst 5");
    uint64_t word = 0;
    struct decision d;

    ck_assert_uint_eq(allowed_of(&word, &l, 100, 10), 5);
    word = token_bucket.step(word, &l, 100, -2, &d);
    ck_assert(d.allowed);
    ck_assert_uint_eq(d.remaining, 2);
    ck_assert_uint_eq(allowed_of(&word, &l, 100, 10), 2);
    word = token_bucket.step(word, &l, 100, INT32_MIN, &d);
    ck_assert_uint_eq(d.remaining, 5);
    ck_assert_uint_eq(allowed_of(&word, &l, 100, 10), 5);
}
END_TEST

START_TEST(test_what_costs_more_than_the_burst_is_never_allowed_and_says_so)
{
    struct limit l = limit_of("10/s burst 5");
    struct decision d;

    ck_assert_uint_eq(token_bucket.step(0, &l, 100, 6, &d), 0);
    ck_assert(!d.allowed);
    ck_assert_uint_eq(d.retry_ns, RETRY_NEVER);
    token_bucket.step(0, &l, 100, INT32_MAX, &d);
    ck_assert(!d.allowed);
    ck_assert_uint_eq(d.retry_ns, RETRY_NEVER);
}
END_TEST

START_TEST(test_words_that_it_could_not_have_written_count_as_none)
{
    struct limit l = limit_of("10/s burst 5");
    static const uint64_t garbage[] = { UINT64_MAX, UINT64_MAX / 2, UINT64_C(1) << 62,
                                        (DAYS(1) + 3600 * NS_PER_S) * 32 };
    uint64_t word = garbage[_i];

    ck_assert_uint_eq(allowed_of(&word, &l, DAYS(1), 10), 5);
}
END_TEST

START_TEST(test_clocks_apart_by_fifty_ms_allow_together_what_arithmetic_allows)
{
    struct limit l = limit_of(limits[_i]);
    uint64_t word = 0, allowed = 0, begin = DAYS(1), t, step_ns = l.per_ns / l.count / 7 + 1;
    struct random random;

    random_seed_with(&random, (uint64_t)_i + 1);
    for (t = 0; t < 100000; t++) {
        /* each try by some process, whose clock is up to 50 ms behind or ahead */
        uint64_t now = begin + t * step_ns + random_below(&random, 100 * NS_PER_MS);

        allowed += allowed_of(&word, &l, now, 1);
    }
    ck_assert_uint_le(allowed,
                      l.burst + (uint64_t)((unsigned __int128)(t * step_ns + 100 * NS_PER_MS) *
                                           l.count / l.per_ns));
}
END_TEST

START_TEST(test_other_parameters_keep_what_was_used)
{
    struct limit was = limit_of("10/s burst 20"), is = limit_of("1000/s burst 200");
    struct limit less = limit_of("5/m burst 3");
    uint64_t word = 0, next;
    struct decision d;

    ck_assert_uint_eq(token_bucket.rescale(0, &was, &is, 1000), 0);
    ck_assert_uint_eq(allowed_of(&word, &was, 1000, 15), 15);
    next = token_bucket.rescale(word, &was, &is, 1000);
    token_bucket.step(next, &is, 1000, 0, &d);
    ck_assert_uint_eq(d.remaining, 185);
    next = token_bucket.rescale(next, &is, &was, 1000);
    token_bucket.step(next, &was, 1000, 0, &d);
    ck_assert_uint_eq(d.remaining, 5);
    next = token_bucket.rescale(word, &was, &less, 1000); /* 15 of 3 is all */
    token_bucket.step(next, &less, 1000, 0, &d);
    ck_assert_uint_eq(d.remaining, 0);
    ck_assert_uint_eq(d.retry_ns, 12 * NS_PER_S);
    ck_assert_uint_eq(token_bucket.rescale(word, &was, &is, DAYS(1)), 0);
    ck_assert_uint_eq(token_bucket.rescale(UINT64_MAX, &was, &is, 1000), 0);
}
END_TEST

START_TEST(test_limits_that_do_not_fit_are_refused_at_load)
{
    struct limit fast = { 32000001, NS_PER_S, 1 }, fastest = { 32000000, NS_PER_S, 1 };
    struct limit deep = { 1, DAYS(1), 2000 }, deepest = { 1, DAYS(1), 1600 };
    struct limit endless = { UINT64_MAX, UINT64_MAX, UINT64_MAX };

    ck_assert_ptr_nonnull(token_bucket.cannot(&fast));
    ck_assert_ptr_null(token_bucket.cannot(&fastest));
    ck_assert_ptr_nonnull(token_bucket.cannot(&deep));
    ck_assert_ptr_null(token_bucket.cannot(&deepest));
    ck_assert_ptr_nonnull(token_bucket.cannot(&endless));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("token_bucket");
    TCase *t = tcase_create("arithmetic");
    int n = (int)ARRAY_LEN(limits);

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_it_decides_as_exact_arithmetic_does_and_never_allows_more, 0, n);
    tcase_add_loop_test(t, test_retry_is_the_first_moment_at_which_it_would_be_allowed, 0, n);
    tcase_add_test(t, test_idle_bucket_is_full_not_overflowing);
    tcase_add_loop_test(t, test_after_idle_ns_a_word_means_as_little_as_none, 0, n);
    tcase_add_test(t, test_to_look_takes_nothing_and_says_whether_one_more_would_pass);
    tcase_add_test(t, test_what_is_given_back_can_be_taken_again_but_never_more_than_the_burst);
    tcase_add_test(t, test_what_costs_more_than_the_burst_is_never_allowed_and_says_so);
    tcase_add_loop_test(t, test_words_that_it_could_not_have_written_count_as_none, 0, 4);
    tcase_add_loop_test(t, test_clocks_apart_by_fifty_ms_allow_together_what_arithmetic_allows, 0,
                        n);
    tcase_add_test(t, test_other_parameters_keep_what_was_used);
    tcase_add_test(t, test_limits_that_do_not_fit_are_refused_at_load);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

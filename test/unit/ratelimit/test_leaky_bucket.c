/* The leaky bucket against a bucket of drops and against a line of people. */
#include "properties.h"
#include "ratelimit/leaky_bucket.h"

static const char *const limits[] = {
    "1/s burst 1", "10/s burst 20",  "100/s burst 200", "1000/s burst 1000",  "5/m burst 10",
    "1/h burst 3", "64/s burst 100", "100/d burst 5",   "1000000/s burst 50",
};
#define LIMITS ((int)ARRAY_LEN(limits))

/* The level, in parts of which a request has per_ns and count leave in a ns: nothing is rounded. */
struct meter {
    unsigned __int128 level;
    uint64_t at;
};

static bool meter_pour(struct meter *m, const struct limit *l, uint64_t now, uint64_t cost)
{
    unsigned __int128 gone = (unsigned __int128)(now - m->at) * l->count;

    m->level = m->level > gone ? m->level - gone : 0;
    m->at = now;
    if (m->level + (unsigned __int128)cost * l->per_ns > (unsigned __int128)l->burst * l->per_ns)
        return false;
    m->level += (unsigned __int128)cost * l->per_ns;
    return true;
}

START_TEST(test_as_a_meter_it_holds_the_burst_and_runs_out_at_the_rate)
{
    struct limit l = limit_for(&leaky_bucket, limits[_i]);
    struct meter m = { 0, TODAY };
    uint64_t word = 0, now = TODAY, one = l.per_ns / l.count + 1;
    struct random random;

    random_seed_with(&random, (uint64_t)_i + 1);
    for (int i = 0; i < 200000; i++) {
        int32_t cost = random_below(&random, 10) ? 1 : 1 + (int32_t)random_below(&random, l.burst);
        struct decision d;
        bool may;

        now += random_below(&random, one);
        if (random_below(&random, 1000) == 0)
            now += random_below(&random, 2 * l.per_ns);
        may = meter_pour(&m, &l, now, (uint64_t)cost);
        word = leaky_bucket.step(word, &l, now, cost, &d);
        MUST(d.allowed == may);
        MUST(d.remaining == l.burst - (uint64_t)((m.level + l.per_ns - 1) / l.per_ns));
    }
}
END_TEST

/* A line before one desk: everybody is served when the one before is done, and who would wait too long goes away. */
START_TEST(test_as_a_queue_all_leave_in_order_evenly_and_none_later_than_the_delay)
{
    static const uint64_t rates[] = { 10, 100, 1000, 64 };
    static const uint64_t delays[] = { 0, 50, 500, 3000 };
    uint64_t rate = rates[_i / 4], delay = delays[_i % 4] * NS_PER_MS, turn = NS_PER_S / rate;
    struct limit l = leaky_bucket_queue(rate, NS_PER_S, delay);
    uint64_t word = 0, now = TODAY, free_at = 0, last = 0, served = 0, refused = 0;
    struct random random;

    random_seed_with(&random, (uint64_t)_i + 1);
    ck_assert_ptr_null(leaky_bucket.cannot(&l));
    for (int i = 0; i < 100000; i++) {
        uint64_t begin = free_at > now ? free_at : now;
        struct decision d;

        word = leaky_bucket.step(word, &l, now, 1, &d);
        MUST(d.allowed == (begin - now <= (l.burst - 1) * turn));
        if (d.allowed) {
            MUST(d.delay_ns == begin - now);
            MUST(d.delay_ns <= delay);
            MUST(now + d.delay_ns >= last + turn || served == 0);
            last = now + d.delay_ns;
            free_at = begin + turn;
            served++;
        } else {
            MUST(d.delay_ns == 0);
            MUST(begin - now + turn >
                 delay); /* nobody is sent away who would have been served in time */
            refused++;
        }
        now += random_below(&random, turn + turn / 2);
        if (random_below(&random, 500) == 0)
            now += random_below(&random, 20 * turn);
    }
    MUST(served > 10000 && refused > 100);
}
END_TEST

START_TEST(test_who_looks_or_gives_back_is_not_delayed_for_it)
{
    struct limit l = leaky_bucket_queue(10, NS_PER_S, NS_PER_S);
    uint64_t word = 0;
    struct decision d;

    ck_assert_uint_eq(l.burst, 11);
    ck_assert_uint_eq(allowed_of(&leaky_bucket, &word, &l, TODAY, 4), 4);
    ck_assert_uint_eq(leaky_bucket.step(word, &l, TODAY, 0, &d), word);
    ck_assert_uint_eq(d.delay_ns, 400 * NS_PER_MS); /* what the next one would wait */
    leaky_bucket.step(word, &l, TODAY, -1, &d);
    ck_assert_uint_eq(d.delay_ns, 0);
    ck_assert_uint_eq(leaky_bucket_queue(10, NS_PER_S, UINT64_MAX / 4).burst, UINT32_MAX);
}
END_TEST

/* The sum over clocks that differ is bounded by the one most ahead. */
START_TEST(test_clocks_apart_by_fifty_ms_allow_together_what_arithmetic_allows)
{
    struct limit l = limit_for(&leaky_bucket, limits[_i]);
    uint64_t word = 0, allowed = 0, t, step_ns = l.per_ns / l.count / 7 + 1;
    struct random random;

    random_seed_with(&random, (uint64_t)_i + 1);
    for (t = 0; t < 100000; t++)
        allowed += allowed_of(&leaky_bucket, &word, &l,
                              TODAY + t * step_ns + random_below(&random, 100 * NS_PER_MS), 1);
    MUST(allowed <= l.burst + (uint64_t)((unsigned __int128)(t * step_ns + 100 * NS_PER_MS) *
                                         l.count / l.per_ns));
}
END_TEST

START_TEST(test_properties)
{
    struct limit l = limit_for(&leaky_bucket, limits[_i]);

    property_look_tells_what_a_taking_would_decide(&leaky_bucket, &l, 1);
    if (l.burst > 1)
        property_retry_is_the_first_moment(&leaky_bucket, &l, 2, 0);
    property_idle_means_none(&leaky_bucket, &l, 3);
    property_any_word_is_bounded(&leaky_bucket, &l, 4);
    property_given_back_is_as_never_taken(&leaky_bucket, &l, 5);
    property_too_much_is_never_allowed(&leaky_bucket, &l);
}
END_TEST

START_TEST(test_other_parameters_keep_what_was_used)
{
    for (int i = 0; i < LIMITS; i++) {
        struct limit was = limit_for(&leaky_bucket, limits[_i]),
                     is = limit_for(&leaky_bucket, limits[i]);

        property_rescale_keeps_what_was_used(&leaky_bucket, &was, &is, (uint64_t)i + 1);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("leaky_bucket");
    TCase *t = tcase_create("leaky_bucket");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_as_a_meter_it_holds_the_burst_and_runs_out_at_the_rate, 0, LIMITS);
    tcase_add_loop_test(t, test_as_a_queue_all_leave_in_order_evenly_and_none_later_than_the_delay,
                        0, 16);
    tcase_add_test(t, test_who_looks_or_gives_back_is_not_delayed_for_it);
    tcase_add_loop_test(t, test_clocks_apart_by_fifty_ms_allow_together_what_arithmetic_allows, 0,
                        LIMITS);
    tcase_add_loop_test(t, test_properties, 0, LIMITS);
    tcase_add_loop_test(t, test_other_parameters_keep_what_was_used, 0, LIMITS);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

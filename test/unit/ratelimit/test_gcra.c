/* GCRA against the virtual scheduling algorithm as ITU-T I.371 writes it down, in whole parts of a turn. */
#include "properties.h"
#include "ratelimit/gcra.h"

/* All of them have turns of whole grains, so nothing is rounded. */
static const char *const limits[] = {
    "1/s burst 1", "10/s burst 20",  "100/s burst 200", "1000/s burst 1000",  "5/m burst 10",
    "1/h burst 3", "64/s burst 100", "100/d burst 5",   "1000000/s burst 50",
};
#define LIMITS ((int)ARRAY_LEN(limits))

struct model {
    unsigned __int128 arrival; /* theoretical, in 1/count ns */
};

/* A cell that comes before its arrival time less the tolerance does not conform. */
static bool model_take(struct model *m, const struct limit *l, uint64_t now)
{
    unsigned __int128 at = (unsigned __int128)now * l->count;
    unsigned __int128 tolerance = (unsigned __int128)(l->burst - 1) * l->per_ns;

    if (at + tolerance < m->arrival)
        return false;
    m->arrival = (at > m->arrival ? at : m->arrival) + l->per_ns;
    return true;
}

START_TEST(test_it_decides_as_virtual_scheduling_does)
{
    struct limit l = limit_for(&gcra, limits[_i]);
    struct model m = { 0 };
    uint64_t word = 0, begin = TODAY, one = l.per_ns / l.count + 1;
    struct random random;

    random_seed_with(&random, (uint64_t)_i + 1);
    for (int i = 0; i < 200000; i++) {
        uint64_t now = begin + random_below(&random, 100 * NS_PER_MS); /* clocks that differ */
        struct decision d;
        bool may = model_take(&m, &l, now);

        word = gcra.step(word, &l, now, 1, &d);
        MUST(d.allowed == may);
        begin += random_below(&random, one);
        if (random_below(&random, 1000) == 0)
            begin += random_below(&random, 2 * l.per_ns);
    }
}
END_TEST

START_TEST(test_a_tolerance_is_how_much_too_early_a_request_may_come)
{
    struct limit l = gcra_limit(10, NS_PER_S, 250 * NS_PER_MS);
    uint64_t word = 0;
    struct decision d;

    ck_assert_uint_eq(l.burst, 3);
    ck_assert_uint_eq(gcra_limit(10, NS_PER_S, 0).burst, 1);
    ck_assert_uint_eq(gcra_limit(1000, NS_PER_S, UINT64_MAX / 4).burst, UINT32_MAX);
    ck_assert_uint_eq(allowed_of(&gcra, &word, &l, TODAY, 10), 3);
    gcra.step(word, &l, TODAY, 1, &d);
    ck_assert_uint_eq(d.retry_ns, 100 * NS_PER_MS);
}
END_TEST

START_TEST(test_properties)
{
    struct limit l = limit_for(&gcra, limits[_i]);

    property_look_tells_what_a_taking_would_decide(&gcra, &l, 1);
    if (l.burst > 1)
        property_retry_is_the_first_moment(&gcra, &l, 2, 0);
    property_idle_means_none(&gcra, &l, 3);
    property_any_word_is_bounded(&gcra, &l, 4);
    property_given_back_is_as_never_taken(&gcra, &l, 5);
    property_too_much_is_never_allowed(&gcra, &l);
}
END_TEST

START_TEST(test_other_parameters_keep_what_was_used)
{
    for (int i = 0; i < LIMITS; i++) {
        struct limit was = limit_for(&gcra, limits[_i]), is = limit_for(&gcra, limits[i]);

        property_rescale_keeps_what_was_used(&gcra, &was, &is, (uint64_t)i + 1);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gcra");
    TCase *t = tcase_create("gcra");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_it_decides_as_virtual_scheduling_does, 0, LIMITS);
    tcase_add_test(t, test_a_tolerance_is_how_much_too_early_a_request_may_come);
    tcase_add_loop_test(t, test_properties, 0, LIMITS);
    tcase_add_loop_test(t, test_other_parameters_keep_what_was_used, 0, LIMITS);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

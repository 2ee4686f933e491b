/* The limit that finds itself, against services that are simulated: a service serves `width` requests at once, each in
 * `base_ns`, and those beyond wait inside it in a row.
 */
#include <check.h>
#include <stdlib.h>

#include "gateway/base/number.h"
#include "gateway/base/random.h"
#include "ratelimit/gradient.h"

#define FLIGHT_MOST 4096

/* Told apart from a limit that is asked for: what a service is. */
struct service {
    uint64_t width, base_ns;
    uint64_t noise_ppm; /* a request takes longer or shorter by up to so much */
};

struct play {
    struct gradient g;
    struct gradient_words words;
    struct service service;
    struct random random;
    uint64_t now_ns;
    uint64_t offered;      /* clients that always want to be served */
    uint64_t free_ns[256]; /* when each of the service's hands is free again */
    struct {
        uint64_t begun_ns, end_ns;
    } flight[FLIGHT_MOST];
    size_t in_flight, most_in_flight;
    uint64_t served;
};

static void play_begin(struct play *p, uint64_t min, uint64_t max, struct service service,
                       uint64_t offered)
{
    *p = (struct play){ .g = { .min = min,
                               .max = max,
                               .measure_ns = 60 * NS_PER_S,
                               .window_ns = 100 * NS_PER_MS,
                               .headroom_ppm = 250000 },
                        .service = service,
                        .offered = offered,
                        .now_ns = NS_PER_S };
    random_seed_with(&p->random, 42);
}

static uint64_t noisy(struct play *p, uint64_t ns)
{
    uint64_t most = ns / 1000000 * p->service.noise_ppm;

    return most ? ns - most + random_below(&p->random, 2 * most) : ns;
}

static void begin_one(struct play *p)
{
    size_t hand = 0;
    uint64_t begins;

    for (size_t i = 1; i < p->service.width; i++)
        if (p->free_ns[i] < p->free_ns[hand])
            hand = i;
    begins = p->free_ns[hand] > p->now_ns ? p->free_ns[hand] : p->now_ns;
    p->free_ns[hand] = begins + noisy(p, p->service.base_ns);
    p->flight[p->in_flight].begun_ns = p->now_ns;
    p->flight[p->in_flight++].end_ns = p->free_ns[hand];
    if (p->in_flight > p->most_in_flight)
        p->most_in_flight = p->in_flight;
}

static void end_next(struct play *p)
{
    size_t next = 0;
    struct gradient_answer a;

    for (size_t i = 1; i < p->in_flight; i++)
        if (p->flight[i].end_ns < p->flight[next].end_ns)
            next = i;
    if (p->flight[next].end_ns > p->now_ns)
        p->now_ns = p->flight[next].end_ns;
    a = (struct gradient_answer){ .begun_ns = p->flight[next].begun_ns,
                                  .now_ns = p->now_ns,
                                  .latency_ns = p->now_ns - p->flight[next].begun_ns,
                                  .in_flight = p->in_flight };
    p->flight[next] = p->flight[--p->in_flight];
    p->served++;
    gradient_tell(&p->g, &p->words, &a);
}

static uint64_t limit_of(const struct play *p)
{
    return gradient_limit(&p->g, &p->words);
}

/* Everybody asks again at once; the limit lets in. */
static void play_for(struct play *p, uint64_t ns)
{
    uint64_t until = p->now_ns + ns;

    while (p->now_ns < until) {
        while (p->in_flight < p->offered && p->in_flight < limit_of(p))
            begin_one(p);
        end_next(p);
    }
}

static void play_until_measured(struct play *p)
{
    for (int i = 0; i < 1000 && gradient_look(&p->words).measuring; i++)
        play_for(p, 10 * NS_PER_MS);
    ck_assert(!gradient_look(&p->words).measuring);
}

/* The limit on average over a while. */
static double average_limit(struct play *p, uint64_t ns)
{
    double sum = 0;

    for (int i = 0; i < 100; i++) {
        play_for(p, ns / 100);
        sum += (double)gradient_look(&p->words).limit;
    }
    return sum / 100;
}

static const struct {
    struct service service;
} kinds[] = {
    { { 40, 10 * NS_PER_MS, 0 } },       { { 10, 50 * NS_PER_MS, 100000 } },
    { { 100, 5 * NS_PER_MS, 300000 } },  { { 20, 200 * NS_PER_MS, 200000 } },
    { { 200, 20 * NS_PER_MS, 300000 } }, { { 8, NS_PER_MS, 500000 } },
};

START_TEST(test_it_finds_what_a_service_can_do_at_once)
{
    struct service s = kinds[_i].service;
    struct play p;
    double limit;
    uint64_t served;

    play_begin(&p, 3, 1000, s, 1000);
    play_for(&p, 30 * NS_PER_S);
    served = p.served;
    limit = average_limit(&p, 10 * NS_PER_S);
    /* at 1.25 of the width the latency is within the headroom; the root adds to that */
    ck_assert_double_ge(limit, 0.9 * (double)s.width);
    ck_assert_double_le(limit, 1.3 * (double)s.width + 2 * 17);
    /* and the service is kept busy */
    ck_assert_double_ge((double)(p.served - served),
                        0.9 * 10e9 / (double)s.base_ns * (double)s.width);
}
END_TEST

START_TEST(test_it_stays_within_its_bounds_whatever_it_is_told)
{
    struct gradient g = { 5, 80, 10 * NS_PER_S, 100 * NS_PER_MS, 250000 };
    struct gradient_words w = { 0 };
    struct random random;
    uint64_t now = 1;

    random_seed_with(&random, (uint64_t)_i);
    for (int i = 0; i < 200000; i++) {
        uint64_t latency = random_u64(&random) >> (random_below(&random, 60) + 4);
        struct gradient_answer a = { .now_ns = now,
                                     .begun_ns = now > latency ? now - latency : 0,
                                     .latency_ns = latency,
                                     .in_flight = random_below(&random, 1000),
                                     .failed = random_below(&random, 10) == 0 };

        gradient_tell(&g, &w, &a);
        if (gradient_limit(&g, &w) < 5 || gradient_limit(&g, &w) > 80)
            ck_abort_msg("%llu", (unsigned long long)gradient_limit(&g, &w));
        now += random_below(&random, 20) == 0 ? random_u64(&random) >> 20
                                              : random_below(&random, 10 * NS_PER_MS);
    }
}
END_TEST

START_TEST(test_any_word_is_a_state_that_heals)
{
    struct play p;

    play_begin(&p, 3, 200, (struct service){ 20, 10 * NS_PER_MS, 100000 }, 100);
    for (int i = 0; i < 30; i++) {
        word_put(&p.words.state, random_u64(&p.random));
        word_put(&p.words.window, random_u64(&p.random));
        play_for(&p, 200 * NS_PER_MS);
        ck_assert_uint_ge(limit_of(&p), 3);
        ck_assert_uint_le(limit_of(&p), 200);
    }
    p.g.measure_ns = 5 * NS_PER_S;
    play_for(&p, 60 * NS_PER_S);
    ck_assert_double_le(average_limit(&p, 5 * NS_PER_S), 60);
    ck_assert_double_ge(average_limit(&p, 5 * NS_PER_S), 15);
}
END_TEST

START_TEST(test_a_service_that_became_slower_gets_less_until_it_is_measured_anew)
{
    struct play p;
    double before, worse, after;

    play_begin(&p, 3, 500, (struct service){ 40, 10 * NS_PER_MS, 100000 }, 500);
    play_for(&p, 10 * NS_PER_S);
    before = average_limit(&p, 5 * NS_PER_S);
    p.service.base_ns = 40 * NS_PER_MS; /* as many hands, each slower: it may be overloaded */
    play_for(&p, 5 * NS_PER_S);
    worse = average_limit(&p, 2 * NS_PER_S);
    ck_assert_double_le(worse, before / 2);
    play_for(&p, 80 * NS_PER_S);
    ck_assert_uint_ge(gradient_look(&p.words).base_ns, 35 * NS_PER_MS);
    after = average_limit(&p, 5 * NS_PER_S);
    ck_assert_double_ge(after, 0.9 * 40);
}
END_TEST

START_TEST(test_a_service_that_lost_hands_gets_less)
{
    struct play p;

    play_begin(&p, 3, 500, (struct service){ 100, 10 * NS_PER_MS, 100000 }, 500);
    play_for(&p, 10 * NS_PER_S);
    ck_assert_double_ge(average_limit(&p, 2 * NS_PER_S), 90);
    p.service.width = 20;
    play_for(&p, 10 * NS_PER_S);
    ck_assert_double_le(average_limit(&p, 2 * NS_PER_S), 60);
}
END_TEST

START_TEST(test_while_it_measures_only_the_least_get_in)
{
    struct play p;

    play_begin(&p, 3, 500, (struct service){ 40, 10 * NS_PER_MS, 0 }, 500);
    ck_assert_uint_eq(limit_of(&p), 3);
    while (gradient_look(&p.words).measuring)
        play_for(&p, NS_PER_MS);
    ck_assert_uint_eq(p.most_in_flight, 3);
    /* nobody queued at three of forty */
    ck_assert_uint_eq(gradient_look(&p.words).base_ns, 10 * NS_PER_MS);
    ck_assert_uint_gt(limit_of(&p), 3);
}
END_TEST

START_TEST(test_it_measures_as_often_as_told)
{
    struct play p;
    unsigned begun = 0;
    bool was = true;

    play_begin(&p, 3, 100, (struct service){ 40, 10 * NS_PER_MS, 100000 }, 100);
    p.g.measure_ns = 10 * NS_PER_S;
    for (int i = 0; i < 10000; i++) {
        bool is;

        play_for(&p, 10 * NS_PER_MS);
        is = gradient_look(&p.words).measuring;
        begun += is && !was;
        was = is;
    }
    ck_assert_uint_ge(
        begun, 8); /* in a hundred seconds, each a bit late so that gateways do not keep step */
    ck_assert_uint_le(begun, 10);
}
END_TEST

START_TEST(test_a_measurement_does_not_forget_the_limit)
{
    struct play p;
    uint64_t before;

    play_begin(&p, 3, 500, (struct service){ 40, 10 * NS_PER_MS, 0 }, 500);
    play_for(&p, 20 * NS_PER_S);
    before = gradient_look(&p.words).limit;
    for (int i = 0; i < 100000 && !gradient_look(&p.words).measuring; i++)
        play_for(&p, NS_PER_MS);
    ck_assert_uint_eq(limit_of(&p), 3);
    play_until_measured(&p);
    ck_assert_uint_ge(limit_of(&p) * 2, before);
}
END_TEST

START_TEST(test_requests_that_began_before_the_measurement_do_not_count)
{
    struct gradient g = { 3, 100, 10 * NS_PER_S, 100 * NS_PER_MS, 250000 };
    struct gradient_words w = { 0 };
    struct gradient_answer a = { .now_ns = 100 * NS_PER_S };

    for (int i = 0; i < 1000; i++) { /* all of them of before */
        a.now_ns += NS_PER_MS;
        a.latency_ns = a.now_ns - 99 * NS_PER_S;
        a.begun_ns = 99 * NS_PER_S;
        gradient_tell(&g, &w, &a);
    }
    ck_assert(gradient_look(&w).measuring);
    for (int i = 0; i < 200; i++) {
        a.now_ns += NS_PER_MS;
        a.latency_ns = 2 * NS_PER_MS;
        a.begun_ns = a.now_ns - a.latency_ns;
        gradient_tell(&g, &w, &a);
    }
    ck_assert(!gradient_look(&w).measuring);
    ck_assert_uint_eq(gradient_look(&w).base_ns, 2 * NS_PER_MS);
}
END_TEST

START_TEST(test_what_timed_out_says_nothing_about_the_base)
{
    struct gradient g = { 3, 100, 10 * NS_PER_S, 100 * NS_PER_MS, 250000 };
    struct gradient_words w = { 0 };
    struct gradient_answer a = { .now_ns = 100 * NS_PER_S, .failed = true };

    for (int i = 0; i < 1000; i++) {
        a.now_ns += 10 * NS_PER_MS;
        a.begun_ns = a.now_ns - NS_PER_MS;
        a.latency_ns = NS_PER_MS;
        gradient_tell(&g, &w, &a);
    }
    ck_assert(gradient_look(&w).measuring);
}
END_TEST

START_TEST(test_what_timed_out_lowers_the_limit)
{
    struct play p;
    uint64_t before;

    play_begin(&p, 3, 200, (struct service){ 40, 10 * NS_PER_MS, 0 }, 200);
    play_for(&p, 10 * NS_PER_S);
    before = limit_of(&p);
    for (int i = 0; i < 200; i++) {
        struct gradient_answer a = { .now_ns = p.now_ns + NS_PER_S,
                                     .begun_ns = p.now_ns,
                                     .latency_ns = NS_PER_S,
                                     .in_flight = before,
                                     .failed = true };

        gradient_tell(&p.g, &p.words, &a);
        p.now_ns += 10 * NS_PER_MS;
    }
    ck_assert_uint_lt(limit_of(&p) * 2, before);
}
END_TEST

START_TEST(test_a_limit_that_nobody_uses_does_not_grow)
{
    struct play p;

    play_begin(&p, 3, 1000, (struct service){ 100, 10 * NS_PER_MS, 0 }, 1000);
    play_for(&p, 5 * NS_PER_S);
    p.offered = 10;
    play_for(&p, NS_PER_S);
    word_put(&p.words.state,
             (word_peek(&p.words.state) & ((UINT64_C(1) << 44) - 1)) | UINT64_C(50 * 16) << 44);
    play_for(&p, 10 * NS_PER_S);
    ck_assert_uint_le(limit_of(&p), 50);
    p.offered = 1000;
    play_for(&p, 10 * NS_PER_S);
    ck_assert_uint_ge(limit_of(&p), 90);
}
END_TEST

START_TEST(test_other_bounds_hold_at_once)
{
    struct play p;

    play_begin(&p, 3, 1000, (struct service){ 100, 10 * NS_PER_MS, 0 }, 1000);
    play_for(&p, 10 * NS_PER_S);
    ck_assert_uint_gt(limit_of(&p), 50);
    p.g.max = 20;
    ck_assert_uint_eq(limit_of(&p), 20);
    p.g.max = 1000;
    p.g.min = 500;
    ck_assert_uint_eq(limit_of(&p), 500);
}
END_TEST

START_TEST(test_after_a_long_sleep_it_measures_again)
{
    struct play p;

    play_begin(&p, 3, 100, (struct service){ 40, 10 * NS_PER_MS, 0 }, 100);
    for (uint64_t hours = 1; hours < 40; hours++) {
        bool measured = false;

        play_for(&p, 5 * NS_PER_S);
        play_until_measured(&p);
        p.now_ns += hours * 3600 * NS_PER_S;
        for (int i = 0; i < 300 && !measured; i++) {
            play_for(&p, 10 * NS_PER_MS);
            measured = gradient_look(&p.words).measuring;
        }
        /* but for the one in which its counter of hours comes round to the very minute */
        ck_assert_msg(measured, "after %u hours", (unsigned)hours);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("gradient");
    TCase *t = tcase_create("gradient");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(t, test_it_finds_what_a_service_can_do_at_once, 0,
                        (int)(sizeof kinds / sizeof *kinds));
    tcase_add_loop_test(t, test_it_stays_within_its_bounds_whatever_it_is_told, 0, 4);
    tcase_add_test(t, test_any_word_is_a_state_that_heals);
    tcase_add_test(t, test_a_service_that_became_slower_gets_less_until_it_is_measured_anew);
    tcase_add_test(t, test_a_service_that_lost_hands_gets_less);
    tcase_add_test(t, test_while_it_measures_only_the_least_get_in);
    tcase_add_test(t, test_it_measures_as_often_as_told);
    tcase_add_test(t, test_a_measurement_does_not_forget_the_limit);
    tcase_add_test(t, test_requests_that_began_before_the_measurement_do_not_count);
    tcase_add_test(t, test_what_timed_out_says_nothing_about_the_base);
    tcase_add_test(t, test_what_timed_out_lowers_the_limit);
    tcase_add_test(t, test_a_limit_that_nobody_uses_does_not_grow);
    tcase_add_test(t, test_other_bounds_hold_at_once);
    tcase_add_test(t, test_after_a_long_sleep_it_measures_again);
    suite_add_tcase(s, t);
    tcase_set_timeout(t, 60);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* How busy a worker is, and the share of requests that it turns away: with turns that are played. */
#include <check.h>
#include <stdlib.h>

#include "gateway/base/number.h"
#include "gateway/exchange/pressure.h"

static const struct pressure_rule by_delay = { .delay_ns = 50 * NS_PER_MS };
static const struct pressure_rule by_cpu = { .cpu_ppm = 900000 };

struct play {
    struct pressure p;
    uint64_t now_ns, cpu_ns;
};

/* Turns of so long, one after the other or with pauses, for a time; somebody asks in each. */
static void play_for(struct play *a, const struct pressure_rule *rule, uint64_t turn_ns,
                     uint64_t pause_ns, uint64_t ns)
{
    uint64_t until = a->now_ns + ns;

    while (a->now_ns < until) {
        uint64_t woken = a->now_ns += pause_ns;

        (void)pressure_share(&a->p, rule, woken);
        a->now_ns += turn_ns;
        a->cpu_ns += turn_ns;
        pressure_turned(&a->p, woken, a->now_ns, 0);
        if (pressure_is_due(&a->p, a->now_ns))
            pressure_look(&a->p, a->now_ns, a->cpu_ns);
    }
}

static void play_begin(struct play *a)
{
    *a = (struct play){ .now_ns = NS_PER_S };
    ck_assert(!pressure_is_watched(&a->p));
}

static uint64_t share(struct play *a, const struct pressure_rule *rule)
{
    return pressure_share(&a->p, rule, a->now_ns);
}

START_TEST(test_who_asks_for_nothing_is_not_measured)
{
    struct play a;

    play_begin(&a);
    (void)share(&a, &by_delay);
    ck_assert(pressure_is_watched(&a.p));
    play_for(&a, &by_delay, NS_PER_MS, NS_PER_MS, NS_PER_S);
    a.now_ns += 11 * NS_PER_S;
    pressure_turned(&a.p, a.now_ns, a.now_ns + 1, 0);
    ck_assert(!pressure_is_watched(&a.p));
}
END_TEST

START_TEST(test_the_delay_is_how_long_turns_take)
{
    struct play a;

    play_begin(&a);
    play_for(&a, &by_delay, 20 * NS_PER_MS, 0, 2 * NS_PER_S);
    ck_assert_uint_ge(a.p.delay_ns, 19 * NS_PER_MS);
    ck_assert_uint_le(a.p.delay_ns, 20 * NS_PER_MS);
    play_for(&a, &by_delay, NS_PER_MS, 20 * NS_PER_MS, 2 * NS_PER_S);
    ck_assert_uint_le(a.p.delay_ns, 2 * NS_PER_MS);
}
END_TEST

START_TEST(test_what_does_not_fit_into_a_turn_has_waited_for_several)
{
    struct play a;

    play_begin(&a);
    (void)share(&a, &by_delay);
    for (int i = 0; i < 300; i++) { /* all are full, and four turns take all there is */
        pressure_turned(&a.p, a.now_ns, a.now_ns + 10 * NS_PER_MS, 3);
        a.now_ns += 10 * NS_PER_MS;
    }
    ck_assert_uint_ge(a.p.delay_ns, 39 * NS_PER_MS);
    ck_assert_uint_le(a.p.delay_ns, 40 * NS_PER_MS);
    for (int i = 0; i < 300; i++) { /* every other one is full */
        pressure_turned(&a.p, a.now_ns, a.now_ns + 10 * NS_PER_MS, i % 2 ? 3 : 0);
        a.now_ns += 10 * NS_PER_MS;
    }
    ck_assert_uint_ge(a.p.delay_ns, 14 * NS_PER_MS);
    ck_assert_uint_le(a.p.delay_ns, 17 * NS_PER_MS);
}
END_TEST

START_TEST(test_one_long_turn_is_smoothed_and_forgotten)
{
    struct play a;
    uint64_t at_once;

    play_begin(&a);
    play_for(&a, &by_delay, NS_PER_MS, 9 * NS_PER_MS, NS_PER_S);
    play_for(&a, &by_delay, 200 * NS_PER_MS, 0, 200 * NS_PER_MS);
    at_once = share(&a, &by_delay);
    ck_assert_uint_le(at_once, 250000); /* a stumble is no overload */
    play_for(&a, &by_delay, NS_PER_MS, 9 * NS_PER_MS, 2 * NS_PER_S);
    ck_assert_uint_eq(share(&a, &by_delay), 0);
}
END_TEST

START_TEST(test_below_the_rule_nothing_is_shed)
{
    struct play a;

    play_begin(&a);
    play_for(&a, &by_delay, 40 * NS_PER_MS, 0, 10 * NS_PER_S);
    ck_assert_uint_eq(share(&a, &by_delay), 0);
    play_for(&a, &by_cpu, 80 * NS_PER_MS, 20 * NS_PER_MS, 10 * NS_PER_S);
    ck_assert_uint_eq(share(&a, &by_cpu), 0);
}
END_TEST

START_TEST(test_above_the_rule_the_share_rises_step_by_step_and_falls_again)
{
    struct play a;
    uint64_t before = 0;

    play_begin(&a);
    play_for(&a, &by_delay, 100 * NS_PER_MS, 0, 500 * NS_PER_MS);
    for (int i = 0; i < 10; i++) {
        uint64_t now;

        play_for(&a, &by_delay, 100 * NS_PER_MS, 0, 100 * NS_PER_MS);
        now = share(&a, &by_delay);
        ck_assert_uint_gt(now, before);
        if (before)
            ck_assert_uint_le(now, before + 100000); /* no jumps */
        before = now;
    }
    play_for(&a, &by_delay, 100 * NS_PER_MS, 0, 10 * NS_PER_S);
    ck_assert_uint_eq(share(&a, &by_delay), PRESSURE_MOST_SHED); /* some always get through */
    for (int i = 0; i < 5; i++) {
        uint64_t now;

        play_for(&a, &by_delay, NS_PER_MS, 9 * NS_PER_MS, 400 * NS_PER_MS);
        now = share(&a, &by_delay);
        ck_assert_uint_lt(now, i ? before : PRESSURE_MOST_SHED + 1);
        before = now;
    }
    play_for(&a, &by_delay, NS_PER_MS, 9 * NS_PER_MS, 3 * NS_PER_S);
    ck_assert_uint_eq(share(&a, &by_delay), 0);
}
END_TEST

START_TEST(test_the_further_above_the_faster)
{
    struct play a, b;

    play_begin(&a);
    play_begin(&b);
    play_for(&a, &by_delay, 70 * NS_PER_MS, 0, NS_PER_S);
    play_for(&b, &by_delay, 150 * NS_PER_MS, 0, NS_PER_S);
    ck_assert_uint_gt(share(&b, &by_delay), share(&a, &by_delay));
}
END_TEST

START_TEST(test_a_full_core_is_shed_by_cpu)
{
    struct play a;

    play_begin(&a);
    play_for(&a, &by_cpu, 10 * NS_PER_MS, 0, 5 * NS_PER_S);
    ck_assert_uint_gt(share(&a, &by_cpu), 100000);
    play_for(&a, &by_cpu, 5 * NS_PER_MS, 5 * NS_PER_MS, 20 * NS_PER_S);
    ck_assert_uint_eq(share(&a, &by_cpu), 0);
}
END_TEST

/* A worker that is offered three times what it can do: whoever is not shed takes its time. The share finds a level and
 * stays there.
 */
START_TEST(test_under_steady_overload_it_finds_its_level)
{
    struct play a;
    uint64_t least = UINT64_MAX, most = 0, cost_ns = NS_PER_MS, backlog_ns = 0;
    double sum = 0;

    play_begin(&a);
    for (int i = 0; i < 60000; i++) { /* each millisecond three requests of a millisecond */
        uint64_t shed = pressure_share(&a.p, &by_delay, a.now_ns);

        for (int n = 0; n < 3; n++)
            backlog_ns += pressure_sheds(&a.p, shed) ? 0 : cost_ns;
        /* a turn does what had come before it */
        a.now_ns += NS_PER_MS;
        a.cpu_ns += NS_PER_MS;
        backlog_ns = backlog_ns > NS_PER_MS ? backlog_ns - NS_PER_MS : 0;
        pressure_turned(&a.p, a.now_ns - backlog_ns, a.now_ns, 0);
        if (pressure_is_due(&a.p, a.now_ns))
            pressure_look(&a.p, a.now_ns, a.cpu_ns);
        if (i < 30000)
            continue;
        least = shed < least ? shed : least;
        most = shed > most ? shed : most;
        sum += (double)shed;
    }
    /* two of three have to go */
    ck_assert_double_ge(sum / 30000, 600000);
    ck_assert_double_le(sum / 30000, 740000);
    ck_assert_uint_ge(least, 300000); /* not on and off */
    ck_assert_uint_lt(most, PRESSURE_MOST_SHED);
}
END_TEST

START_TEST(test_a_share_is_a_share)
{
    struct pressure p = { 0 };
    unsigned shed = 0;

    (void)pressure_share(&p, &by_delay, 1);
    for (int i = 0; i < 100000; i++) {
        ck_assert(!pressure_sheds(&p, 0));
        shed += pressure_sheds(&p, 300000);
    }
    ck_assert_uint_ge(shed, 29000);
    ck_assert_uint_le(shed, 31000);
}
END_TEST

START_TEST(test_rules_have_shares_of_their_own_and_the_oldest_makes_room)
{
    struct play a;
    struct pressure_rule rules[PRESSURE_RULES + 1];

    play_begin(&a);
    play_for(&a, &by_delay, 200 * NS_PER_MS, 0, NS_PER_S);
    ck_assert_uint_gt(share(&a, &by_delay), 0);
    ck_assert_uint_eq(share(&a, &by_cpu), 0);
    ck_assert_uint_eq(pressure_shed_most(&a.p), share(&a, &by_delay));
    for (uint64_t i = 0; i <= PRESSURE_RULES; i++) {
        rules[i] = (struct pressure_rule){ .delay_ns = NS_PER_S + i };
        a.now_ns++;
        ck_assert_uint_eq(share(&a, &rules[i]), 0);
    }
    ck_assert_uint_eq(share(&a, &by_delay), 0); /* begins anew */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pressure");
    TCase *t = tcase_create("pressure");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_who_asks_for_nothing_is_not_measured);
    tcase_add_test(t, test_the_delay_is_how_long_turns_take);
    tcase_add_test(t, test_what_does_not_fit_into_a_turn_has_waited_for_several);
    tcase_add_test(t, test_one_long_turn_is_smoothed_and_forgotten);
    tcase_add_test(t, test_below_the_rule_nothing_is_shed);
    tcase_add_test(t, test_above_the_rule_the_share_rises_step_by_step_and_falls_again);
    tcase_add_test(t, test_the_further_above_the_faster);
    tcase_add_test(t, test_a_full_core_is_shed_by_cpu);
    tcase_add_test(t, test_under_steady_overload_it_finds_its_level);
    tcase_add_test(t, test_a_share_is_a_share);
    tcase_add_test(t, test_rules_have_shares_of_their_own_and_the_oldest_makes_room);
    suite_add_tcase(s, t);
    tcase_set_timeout(t, 30);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

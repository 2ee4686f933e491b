/* The breaker of a server: when it opens, what closes it, what it costs meanwhile. */
#include <check.h>

#include "gateway/base/number.h"
#include "gateway/base/random.h"
#include "gateway/lookup/redis_outage.h"

#define AFTER 5
#define EVERY NS_PER_S

static struct redis_outage o;

static void begin(void)
{
    redis_outage_init(&o, AFTER, EVERY);
}

static void fails(unsigned times, bool silent, uint64_t now_ns)
{
    while (times-- > 0)
        (void)redis_outage_failed(&o, silent, now_ns);
}

START_TEST(test_only_failures_in_a_row_open_it)
{
    for (int i = 0; i < 100; i++) {
        fails(AFTER - 1, true, 0);
        ck_assert(redis_outage_allows(&o));
        ck_assert(!redis_outage_succeeded(&o));
    }
    fails(AFTER - 1, true, 0);
    ck_assert(redis_outage_failed(&o, true, 0)); /* it says so once */
    ck_assert(!redis_outage_failed(&o, true, 0));
    ck_assert(!redis_outage_allows(&o));
}
END_TEST

START_TEST(test_while_it_is_away_nothing_goes_through_however_long_it_takes)
{
    fails(AFTER, true, 0);
    for (uint64_t t = 0; t < 1000 * EVERY; t += EVERY)
        ck_assert(!redis_outage_allows(&o));
    ck_assert(!redis_outage_succeeded(&o)); /* what comes late proves nothing */
    ck_assert(!redis_outage_allows(&o));
}
END_TEST

START_TEST(test_a_ping_brings_a_silent_one_back_on_probation)
{
    fails(AFTER, true, 0);
    ck_assert(redis_outage_pinged(&o, 1));
    ck_assert(redis_outage_allows(&o));
    ck_assert(redis_outage_failed(&o, true, 2)); /* one is enough now */
    ck_assert(redis_outage_pinged(&o, 3));
    ck_assert(!redis_outage_succeeded(&o));
    fails(AFTER - 1, true, 4); /* and it takes all of them again */
    ck_assert(redis_outage_allows(&o));
}
END_TEST

START_TEST(test_what_a_ping_does_not_see_is_tried_with_one_question_at_a_time)
{
    fails(AFTER, false, 10);
    ck_assert(!redis_outage_pinged(&o, 11)); /* too early */
    ck_assert(!redis_outage_allows(&o));
    ck_assert(!redis_outage_pinged(&o, 10 + EVERY));
    ck_assert(redis_outage_would_allow(&o));
    ck_assert(redis_outage_allows(&o));
    ck_assert(!redis_outage_allows(&o));
    ck_assert(!redis_outage_failed(&o, false, 10 + EVERY)); /* it was away already */
    ck_assert(!redis_outage_allows(&o));
    ck_assert(!redis_outage_pinged(&o, 10 + 2 * EVERY));
    ck_assert(redis_outage_allows(&o));
    redis_outage_forgot(&o);
    ck_assert(redis_outage_allows(&o));
    ck_assert(redis_outage_succeeded(&o));
    ck_assert(redis_outage_allows(&o));
    ck_assert(redis_outage_allows(&o));
}
END_TEST

START_TEST(test_a_broken_connection_does_not_hide_that_it_answers_with_errors)
{
    fails(AFTER, false, 0);
    fails(3, true, 1); /* the connection breaks, too */
    ck_assert(!redis_outage_pinged(&o, EVERY));
    ck_assert(redis_outage_allows(&o)); /* a question, not the word of PING */
    ck_assert(!redis_outage_allows(&o));
}
END_TEST

/* Whatever happens: refused only after failures; what changes is told as it is. */
START_TEST(test_what_it_tells_is_what_it_is)
{
    struct random r;
    bool up = true;

    random_seed_with(&r, 7);
    for (uint64_t t = 0; t < 100000; t++) {
        bool changed = false;
        uint64_t now = t * EVERY / 4;

        switch (random_below(&r, 5)) {
        case 0:
            changed = redis_outage_succeeded(&o);
            break;
        case 1:
        case 2:
            changed = redis_outage_failed(&o, random_below(&r, 2), now);
            break;
        case 3:
            changed = redis_outage_pinged(&o, now);
            break;
        default:
            (void)!redis_outage_allows(&o);
            if (random_below(&r, 4) == 0)
                redis_outage_forgot(&o);
        }
        up ^= changed;
        ck_assert_int_eq(up, o.state == OUTAGE_UP);
        ck_assert(!up || redis_outage_would_allow(&o));
        ck_assert(o.state != OUTAGE_AWAY || !redis_outage_would_allow(&o));
        ck_assert(up ? o.failures < AFTER : true);
    }
}
END_TEST

START_TEST(test_zero_failures_means_one)
{
    redis_outage_init(&o, 0, EVERY);
    ck_assert(redis_outage_allows(&o));
    ck_assert(redis_outage_failed(&o, true, 0));
    ck_assert(redis_outage_pinged(&o, 0));
    ck_assert(redis_outage_allows(&o));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redis_outage");
    TCase *t = tcase_create("redis_outage");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, begin, NULL);
    suite_add_tcase(s, t);
    tcase_add_test(t, test_only_failures_in_a_row_open_it);
    tcase_add_test(t, test_while_it_is_away_nothing_goes_through_however_long_it_takes);
    tcase_add_test(t, test_a_ping_brings_a_silent_one_back_on_probation);
    tcase_add_test(t, test_what_a_ping_does_not_see_is_tried_with_one_question_at_a_time);
    tcase_add_test(t, test_a_broken_connection_does_not_hide_that_it_answers_with_errors);
    tcase_add_test(t, test_what_it_tells_is_what_it_is);
    tcase_add_test(t, test_zero_failures_means_one);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

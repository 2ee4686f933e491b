/* Closed, open, half open. */
#include "shm/breaker.h"
#include "test/unit/shm/fresh.h"

static struct region *region;
static struct breaker *breaker;

static const struct breaker_params S3 = { .consecutive = 5, .open_ns = 10 * NS_PER_S };

static void make(void)
{
    region = region_new(SMALL);
    region_begin(region);
    breaker = breaker_table(region, STR("users"));
    region_commit(region);
}

static void drop(void)
{
    region_close(region);
}

static uint64_t at_s(double s)
{
    return (uint64_t)(s * (double)NS_PER_S);
}

/* One exchange of seat 0; the outcome is not told if it was refused. */
static enum breaker_verdict go(const struct breaker_params *p, enum breaker_outcome outcome,
                               uint64_t now)
{
    struct breaker_pass pass = breaker_allows(breaker, p, 0, now);

    if (pass.verdict != BREAKER_REFUSED)
        breaker_tell(breaker, p, &pass, outcome, 0, now);
    return pass.verdict;
}

static void go_often(const struct breaker_params *p, enum breaker_outcome outcome, int times,
                     uint64_t now)
{
    while (times-- > 0)
        MUST(go(p, outcome, now) == BREAKER_ALLOWED);
}

START_TEST(test_so_many_failures_in_a_row_open_it_and_one_less_does_not)
{
    go_often(&S3, OUTCOME_FAILED, 4, at_s(1));
    ck_assert_uint_eq(breaker_failures(breaker), 4);
    go_often(&S3, OUTCOME_OK, 1, at_s(1));
    ck_assert_uint_eq(breaker_failures(breaker), 0);
    go_often(&S3, OUTCOME_FAILED, 4, at_s(1));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
    go_often(&S3, OUTCOME_FAILED, 1, at_s(1));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_OPEN);
    ck_assert_uint_eq(word_peek(&breaker->opened), 1);
}
END_TEST

START_TEST(test_open_it_refuses_and_says_truly_when_to_come_back)
{
    struct breaker_pass pass;

    go_often(&S3, OUTCOME_FAILED, 5, at_s(1));
    for (int ms = 0; ms < 10000; ms += 100) {
        uint64_t now = at_s(1) + (uint64_t)ms * NS_PER_MS;

        pass = breaker_allows(breaker, &S3, 0, now);
        ck_assert_int_eq(pass.verdict, BREAKER_REFUSED);
        ck_assert_uint_eq(pass.retry_ns, at_s(11) - now);
    }
    ck_assert_uint_eq(word_peek(&breaker->refused), 100);
    ck_assert_int_eq(breaker_allows(breaker, &S3, 0, at_s(11)).verdict, BREAKER_PROBE);
}
END_TEST

START_TEST(test_half_open_there_is_one_probe_and_it_closes)
{
    struct breaker_pass probe, other;

    go_often(&S3, OUTCOME_FAILED, 5, at_s(1));
    probe = breaker_allows(breaker, &S3, 3, at_s(20));
    ck_assert_int_eq(probe.verdict, BREAKER_PROBE);
    ck_assert_int_eq(breaker_state(breaker), BREAKER_HALF_OPEN);
    for (uint32_t seat = 0; seat < SEATS_MAX; seat++) {
        other = breaker_allows(breaker, &S3, seat, at_s(20));
        ck_assert_int_eq(other.verdict, BREAKER_REFUSED);
        ck_assert_uint_gt(other.retry_ns, 0);
        ck_assert_uint_le(other.retry_ns, NS_PER_S);
    }
    ck_assert_int_eq(breaker_tell(breaker, &S3, &probe, OUTCOME_OK, 0, at_s(20.1)), BREAKER_CLOSED);
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
    go_often(&S3, OUTCOME_FAILED, 4, at_s(21));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
    ck_assert_uint_eq(word_peek(&breaker->half_opened), 1);
    ck_assert_uint_eq(word_peek(&breaker->closed), 1);
}
END_TEST

START_TEST(test_a_probe_that_fails_opens_it_again)
{
    struct breaker_pass probe;

    go_often(&S3, OUTCOME_FAILED, 5, at_s(1));
    probe = breaker_allows(breaker, &S3, 3, at_s(11));
    ck_assert_int_eq(breaker_tell(breaker, &S3, &probe, OUTCOME_FAILED, 0, at_s(12)), BREAKER_OPEN);
    ck_assert_int_eq(go(&S3, OUTCOME_OK, at_s(21.9)), BREAKER_REFUSED);
    ck_assert_int_eq(go(&S3, OUTCOME_OK, at_s(22)), BREAKER_PROBE);
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
}
END_TEST

START_TEST(test_a_probe_that_says_nothing_gives_its_place_to_the_next)
{
    struct breaker_pass probe;

    go_often(&S3, OUTCOME_FAILED, 5, at_s(1));
    probe = breaker_allows(breaker, &S3, 3, at_s(11));
    ck_assert_int_eq(breaker_tell(breaker, &S3, &probe, OUTCOME_IGNORED, 0, at_s(11)), -1);
    ck_assert_int_eq(breaker_state(breaker), BREAKER_HALF_OPEN);
    ck_assert_int_eq(breaker_allows(breaker, &S3, 4, at_s(11)).verdict, BREAKER_PROBE);
}
END_TEST

START_TEST(test_the_probe_of_a_dead_seat_is_given_back)
{
    go_often(&S3, OUTCOME_FAILED, 5, at_s(1));
    ck_assert_int_eq(breaker_allows(breaker, &S3, 3, at_s(11)).verdict, BREAKER_PROBE);
    breakers_retire_seat(region, 2);
    ck_assert_int_eq(breaker_allows(breaker, &S3, 4, at_s(11)).verdict, BREAKER_REFUSED);
    breakers_retire_seat(region, 3);
    ck_assert_int_eq(breaker_allows(breaker, &S3, 4, at_s(11)).verdict, BREAKER_PROBE);
}
END_TEST

START_TEST(test_a_probe_past_its_deadline_is_anothers_and_its_outcome_does_not_count)
{
    struct breaker_params p = S3;
    struct breaker_pass late, next;

    p.probe_ns = 2 * NS_PER_S;
    go_often(&p, OUTCOME_FAILED, 5, at_s(1));
    late = breaker_allows(breaker, &p, 3, at_s(11));
    ck_assert_int_eq(breaker_allows(breaker, &p, 4, at_s(12.9)).verdict, BREAKER_REFUSED);
    next = breaker_allows(breaker, &p, 4, at_s(13));
    ck_assert_int_eq(next.verdict, BREAKER_PROBE);
    ck_assert_int_eq(breaker_tell(breaker, &p, &late, OUTCOME_FAILED, 0, at_s(13)), -1);
    ck_assert_int_eq(breaker_state(breaker), BREAKER_HALF_OPEN);
    ck_assert_int_eq(breaker_tell(breaker, &p, &next, OUTCOME_OK, 0, at_s(13)), BREAKER_CLOSED);
}
END_TEST

START_TEST(test_several_successes_may_be_needed_to_close)
{
    struct breaker_params p = S3;

    p.successes = 3;
    go_often(&p, OUTCOME_FAILED, 5, at_s(1));
    ck_assert_int_eq(go(&p, OUTCOME_OK, at_s(11)), BREAKER_PROBE);
    ck_assert_int_eq(go(&p, OUTCOME_IGNORED, at_s(11)), BREAKER_PROBE);
    ck_assert_int_eq(go(&p, OUTCOME_OK, at_s(11)), BREAKER_PROBE);
    ck_assert_int_eq(breaker_state(breaker), BREAKER_HALF_OPEN);
    ck_assert_int_eq(go(&p, OUTCOME_OK, at_s(11)), BREAKER_PROBE);
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
}
END_TEST

START_TEST(test_what_began_before_it_opened_does_not_count_while_it_is_open)
{
    struct breaker_pass early = breaker_allows(breaker, &S3, 0, at_s(0.5));

    go_often(&S3, OUTCOME_FAILED, 5, at_s(1));
    ck_assert_int_eq(breaker_tell(breaker, &S3, &early, OUTCOME_OK, 0, at_s(2)), -1);
    ck_assert_int_eq(breaker_state(breaker), BREAKER_OPEN);
    ck_assert_int_eq(breaker_allows(breaker, &S3, 1, at_s(11)).verdict, BREAKER_PROBE);
    early.verdict = BREAKER_ALLOWED;
    ck_assert_int_eq(breaker_tell(breaker, &S3, &early, OUTCOME_FAILED, 0, at_s(11)), -1);
    ck_assert_int_eq(breaker_state(breaker), BREAKER_HALF_OPEN);
}
END_TEST

START_TEST(test_each_time_in_a_row_it_stays_open_longer_up_to_the_maximum)
{
    struct breaker_params p = S3;
    static const double want[] = { 10, 20, 40, 60, 60, 60 };
    uint64_t now = at_s(1);

    p.backoff = 2;
    p.open_max_ns = 60 * NS_PER_S;
    go_often(&p, OUTCOME_FAILED, 5, now);
    for (size_t i = 0; i < ARRAY_LEN(want); i++) {
        struct breaker_pass pass = breaker_allows(breaker, &p, 0, now);

        ck_assert_int_eq(pass.verdict, BREAKER_REFUSED);
        ck_assert_uint_eq(pass.retry_ns, at_s(want[i]));
        now += pass.retry_ns;
        ck_assert_int_eq(go(&p, OUTCOME_FAILED, now), BREAKER_PROBE);
    }
    /* closed once, it begins anew */
    now += at_s(60);
    ck_assert_int_eq(go(&p, OUTCOME_OK, now), BREAKER_PROBE);
    go_often(&p, OUTCOME_FAILED, 5, now);
    ck_assert_uint_eq(breaker_allows(breaker, &p, 0, now).retry_ns, at_s(10));
}
END_TEST

START_TEST(test_a_service_that_asks_for_rest_gets_it_but_not_for_a_year)
{
    struct breaker_params p = S3;
    struct breaker_pass pass;

    p.consecutive = 1;
    pass = breaker_allows(breaker, &p, 0, at_s(1));
    ck_assert_int_eq(breaker_tell(breaker, &p, &pass, OUTCOME_FAILED, 33 * NS_PER_S, at_s(1)),
                     BREAKER_OPEN);
    ck_assert_uint_eq(breaker_allows(breaker, &p, 0, at_s(1)).retry_ns, at_s(33));
    pass = breaker_allows(breaker, &p, 0, at_s(34));
    ck_assert_int_eq(breaker_tell(breaker, &p, &pass, OUTCOME_FAILED, UINT64_MAX, at_s(34)),
                     BREAKER_OPEN);
    ck_assert_uint_eq(breaker_allows(breaker, &p, 0, at_s(34)).retry_ns, at_s(300));
}
END_TEST

static const struct breaker_params SHARES = { .open_ns = 10 * NS_PER_S,
                                              .window_ns = 10 * NS_PER_S,
                                              .failed_percent = 50,
                                              .slow_percent = 80,
                                              .at_least = 20 };

START_TEST(test_a_share_of_failures_opens_it_but_not_before_there_are_enough)
{
    for (int i = 0; i < 10; i++)
        go_often(&SHARES, OUTCOME_OK, 1, at_s(1 + 0.3 * i));
    go_often(&SHARES, OUTCOME_FAILED, 9, at_s(4));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
    go_often(&SHARES, OUTCOME_FAILED, 1, at_s(4));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_OPEN);
}
END_TEST

START_TEST(test_a_share_of_slow_answers_opens_it)
{
    go_often(&SHARES, OUTCOME_OK, 5, at_s(1));
    go_often(&SHARES, OUTCOME_SLOW, 19, at_s(1));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
    go_often(&SHARES, OUTCOME_SLOW, 1, at_s(1));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_OPEN);
}
END_TEST

START_TEST(test_failures_older_than_the_window_are_forgotten)
{
    go_often(&SHARES, OUTCOME_FAILED, 19, at_s(1));
    go_often(&SHARES, OUTCOME_OK, 10, at_s(11.1));
    go_often(&SHARES, OUTCOME_FAILED, 9, at_s(11.2));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
    go_often(&SHARES, OUTCOME_OK, 1, at_s(1000000));
    go_often(&SHARES, OUTCOME_FAILED, 18, at_s(1000000));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
    go_often(&SHARES, OUTCOME_FAILED, 1, at_s(1000000));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_OPEN);
}
END_TEST

START_TEST(test_what_came_before_it_closed_does_not_open_it_again)
{
    struct breaker_params p = SHARES;

    p.open_ns = NS_PER_S;
    go_often(&p, OUTCOME_FAILED, 20, at_s(100));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_OPEN);
    ck_assert_int_eq(go(&p, OUTCOME_OK, at_s(102)), BREAKER_PROBE);
    go_often(&p, OUTCOME_OK, 10, at_s(102.5));
    go_often(&p, OUTCOME_FAILED, 9, at_s(102.6));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
}
END_TEST

START_TEST(test_a_busy_window_keeps_its_shares_though_its_counters_are_small)
{
    struct breaker_params p = SHARES;

    for (int i = 0; i < 100000; i++) {
        go_often(&p, OUTCOME_OK, 3, at_s(1));
        go_often(&p, OUTCOME_FAILED, 2, at_s(1)); /* 40 % */
    }
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
    p.failed_percent = 39;
    go_often(&p, OUTCOME_FAILED, 1, at_s(1));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_OPEN);
}
END_TEST

START_TEST(test_a_colleague_whose_clock_is_behind_resets_no_window)
{
    for (int i = 0; i < 19; i++)
        go_often(&SHARES, OUTCOME_FAILED, 1, at_s(i % 2 ? 5.01 : 4.99));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
    go_often(&SHARES, OUTCOME_FAILED, 1, at_s(4.99));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_OPEN);
}
END_TEST

START_TEST(test_a_reload_may_change_the_parameters_at_any_time)
{
    struct breaker_params p = S3;

    go_often(&S3, OUTCOME_FAILED, 4, at_s(1));
    p.consecutive = 2;
    go_often(&p, OUTCOME_FAILED, 1, at_s(1));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_OPEN);
    p.consecutive = 0; /* not a reason any more */
    ck_assert_int_eq(go(&p, OUTCOME_OK, at_s(11)), BREAKER_PROBE);
    go_often(&p, OUTCOME_FAILED, 1000, at_s(12));
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
}
END_TEST

START_TEST(test_a_slow_probe_opens_it_again_only_where_slow_is_a_reason)
{
    struct breaker_params p = S3;

    go_often(&p, OUTCOME_FAILED, 5, at_s(1));
    p.slow_percent = 80;
    ck_assert_int_eq(go(&p, OUTCOME_SLOW, at_s(11)), BREAKER_PROBE);
    ck_assert_int_eq(breaker_state(breaker), BREAKER_OPEN);
    p.slow_percent = 0;
    ck_assert_int_eq(go(&p, OUTCOME_SLOW, at_s(21)), BREAKER_PROBE);
    ck_assert_int_eq(breaker_state(breaker), BREAKER_CLOSED);
}
END_TEST

START_TEST(test_any_backoff_ends_at_the_maximum)
{
    struct breaker_params p = S3;
    uint64_t now = at_s(1);

    p.backoff = UINT32_MAX;
    p.open_max_ns = 3600 * NS_PER_S;
    go_often(&p, OUTCOME_FAILED, 5, now);
    for (int i = 0; i < 20; i++) {
        struct breaker_pass pass = breaker_allows(breaker, &p, 0, now);

        ck_assert_uint_eq(pass.retry_ns, i ? at_s(3600) : at_s(10));
        now += pass.retry_ns;
        ck_assert_int_eq(go(&p, OUTCOME_FAILED, now), BREAKER_PROBE);
    }
}
END_TEST

START_TEST(test_an_outcome_that_says_nothing_changes_nothing)
{
    go_often(&S3, OUTCOME_FAILED, 4, at_s(1));
    go_often(&S3, OUTCOME_IGNORED, 10, at_s(1));
    ck_assert_uint_eq(breaker_failures(breaker), 4);
    go_often(&S3, OUTCOME_SLOW, 1, at_s(1)); /* it answered */
    ck_assert_uint_eq(breaker_failures(breaker), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("breaker");
    TCase *t = tcase_create("breaker");

    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_so_many_failures_in_a_row_open_it_and_one_less_does_not);
    tcase_add_test(t, test_open_it_refuses_and_says_truly_when_to_come_back);
    tcase_add_test(t, test_half_open_there_is_one_probe_and_it_closes);
    tcase_add_test(t, test_a_probe_that_fails_opens_it_again);
    tcase_add_test(t, test_a_probe_that_says_nothing_gives_its_place_to_the_next);
    tcase_add_test(t, test_the_probe_of_a_dead_seat_is_given_back);
    tcase_add_test(t, test_a_probe_past_its_deadline_is_anothers_and_its_outcome_does_not_count);
    tcase_add_test(t, test_several_successes_may_be_needed_to_close);
    tcase_add_test(t, test_what_began_before_it_opened_does_not_count_while_it_is_open);
    tcase_add_test(t, test_each_time_in_a_row_it_stays_open_longer_up_to_the_maximum);
    tcase_add_test(t, test_a_service_that_asks_for_rest_gets_it_but_not_for_a_year);
    tcase_add_test(t, test_a_share_of_failures_opens_it_but_not_before_there_are_enough);
    tcase_add_test(t, test_a_share_of_slow_answers_opens_it);
    tcase_add_test(t, test_failures_older_than_the_window_are_forgotten);
    tcase_add_test(t, test_what_came_before_it_closed_does_not_open_it_again);
    tcase_add_test(t, test_a_busy_window_keeps_its_shares_though_its_counters_are_small);
    tcase_add_test(t, test_a_colleague_whose_clock_is_behind_resets_no_window);
    tcase_add_test(t, test_a_reload_may_change_the_parameters_at_any_time);
    tcase_add_test(t, test_any_backoff_ends_at_the_maximum);
    tcase_add_test(t, test_an_outcome_that_says_nothing_changes_nothing);
    tcase_add_test(t, test_a_slow_probe_opens_it_again_only_where_slow_is_a_reason);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

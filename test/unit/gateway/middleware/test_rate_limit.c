/* Who is let pass how often, and what the others are told. */
#include <check.h>
#include <stdlib.h>

#include "gateway/base/number.h"
#include "rate_limit_play.h"

START_TEST(test_the_burst_passes_and_not_one_more)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", HOURLY));
    ck_assert_int_eq(passed(&s, 10, "192.0.2.1", NULL), 3);
    ck_assert_uint_eq(counted(&s, FAMILY_RATE_LIMITED), 7);
    stage_end(&s);
}
END_TEST

START_TEST(test_the_defaults_are_a_hundred_a_second_and_two_hundred_at_once)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "{}"));
    ck_assert_int_eq(passed(&s, 300, "192.0.2.1", NULL), 200);
    stage_pass_time(&s, NS_PER_S);
    ck_assert_int_eq(passed(&s, 300, "192.0.2.1", NULL), 100);
    stage_end(&s);
}
END_TEST

START_TEST(test_services_count_apart_unless_the_limit_is_the_whole_gateways)
{
    struct stage s;

    stage_begin(&s);
    s.builder.whole_gateway = _i == 1;
    ck_assert(stage_step(&s, &rate_limit_middleware, "a",
                         _i == 2 ? "{rate: 6/h, burst: 3, key: global}" : HOURLY));
    ck_assert_int_eq(passed(&s, 3, "192.0.2.1", NULL), 3);
    ck_assert(stage_step(&s, &rate_limit_middleware, "b",
                         _i == 2 ? "{rate: 6/h, burst: 3, key: global}" : HOURLY));
    ck_assert_int_eq(passed(&s, 3, "192.0.2.1", NULL), _i == 0 ? 3 : 0);
    stage_end(&s);
}
END_TEST

/* A reload prepares the step anew; the same names are the same state. */
START_TEST(test_a_reload_keeps_what_was_used)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", HOURLY));
    ck_assert_int_eq(passed(&s, 3, "192.0.2.1", NULL), 3);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "{rate: 6/h, burst: 5}"));
    ck_assert_int_le(passed(&s, 6, "192.0.2.1", NULL), 3);
    stage_end(&s);
}
END_TEST

START_TEST(test_a_refusal_says_when_to_come_back_and_what_the_limit_is)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "{rate: 1/s, burst: 2}"));
    ck_assert_int_eq(passed(&s, 2, "192.0.2.1", NULL), 2);
    act_begin(&a, &s, "192.0.2.1");
    ck_assert_int_eq(act_request(&a), REPLIED);
    ck_assert_uint_eq(a.x.resp.status, 429);
    ck_assert_int_eq(a.x.reason, REASON_RATE_LIMITED);
    ck_assert(str_equal(a.x.own_body, STR("Too Many Requests\n")));
    ck_assert_str_eq(act_answer(&a, "Retry-After"), "1");
    ck_assert_str_eq(act_answer(&a, "RateLimit-Policy"), "\"rate_limit\";q=1;w=1");
    ck_assert_str_eq(act_answer(&a, "RateLimit"), "\"rate_limit\";r=0;t=2");
    ck_assert_str_eq(act_answer(&a, "X-RateLimit-Limit"), "2");
    ck_assert_str_eq(act_answer(&a, "X-RateLimit-Remaining"), "0");
    ck_assert_str_eq(act_answer(&a, "X-RateLimit-Reset"), "2");
    act_end(&a);
    stage_end(&s);
}
END_TEST

/* Retry-After: 0 would call the client back too early. */
START_TEST(test_times_are_rounded_up)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "{rate: 1/m, burst: 1}"));
    ck_assert_int_eq(passed(&s, 1, "192.0.2.1", NULL), 1);
    stage_pass_time(&s, 58 * NS_PER_S + 900 * NS_PER_MS);
    act_begin(&a, &s, "192.0.2.1");
    ck_assert_int_eq(act_request(&a), REPLIED);
    ck_assert_str_eq(act_answer(&a, "Retry-After"), "2");
    act_end(&a);
    stage_pass_time(&s, NS_PER_S);
    act_begin(&a, &s, "192.0.2.1");
    ck_assert_int_eq(act_request(&a), REPLIED);
    ck_assert_str_eq(act_answer(&a, "Retry-After"), "1");
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_answers_that_pass_say_what_is_left_only_if_asked_to)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(
        stage_step(&s, &rate_limit_middleware, "u",
                   _i ? "{rate: 6/h, burst: 3, headers_when: always, headers: draft}" : HOURLY));
    act_begin(&a, &s, "192.0.2.1");
    ck_assert_int_eq(act_request(&a), NEXT);
    fields_init(&a.x.resp.fields, &a.x.arena, 0);
    act_response(&a);
    ck_assert_str_eq(act_answer(&a, "RateLimit"), _i ? "\"rate_limit\";r=2;t=600" : "");
    ck_assert_str_eq(act_answer(&a, "X-RateLimit-Limit"), "");
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_in_shadow_all_pass_and_it_is_noted)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", HOURLY));
    s.step.mode = CONF_MODE_SHADOW;
    ck_assert_int_eq(passed(&s, 10, "192.0.2.1", NULL), 10);
    act_begin(&a, &s, "192.0.2.1");
    ck_assert_int_eq(act_request(&a), NEXT);
    ck_assert_int_eq(a.x.record.shadow, REASON_RATE_LIMITED);
    act_end(&a);
    ck_assert_uint_eq(counted(&s, FAMILY_RATE_LIMITED), 0);
    ck_assert_uint_eq(counted(&s, FAMILY_SHADOW), 8);
    stage_end(&s);
}
END_TEST

START_TEST(test_the_series_is_there_before_the_first_refusal)
{
    struct stage s;
    struct rows_series series;
    size_t i = 0;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", HOURLY));
    ck_assert(rows_next(&s.local.shared->rows, FAMILY_RATE_LIMITED, SEATS_MAX, &i, &series));
    ck_assert(str_equal(series.values[0], STR("u")));
    ck_assert(str_equal(series.values[1], STR("rate_limit")));
    ck_assert_uint_eq(series.total, 0);
    stage_end(&s);
}
END_TEST

/* ---- algorithms ---- */

static const struct {
    const char *yaml;
    int at_once, after_half,
        after_two; /* of 20 requests: now, half a second and two seconds later */
} algorithms[] = {
    { "{rate: 10/s, burst: 4}", 4, 4, 4 },
    { "{rate: 10/s, burst: 4, algorithm: leaky_bucket}", 4, 4, 4 },
    { "{rate: 10/s, burst: 4, algorithm: gcra}", 4, 4, 4 },
    { "{rate: 10/s, algorithm: gcra, tolerance: 150ms}", 2, 2, 2 },
    { "{rate: 10/s, algorithm: fixed_window}", 10, 0, 10 },
    { "{rate: 10/s, algorithm: sliding_window}", 10, 0, 10 },
    { "{rate: 10/s, algorithm: sliding_log}", 10, 0, 10 },
};

/* To the beginning of the next full second of wall time, as the region knows it. */
static void pass_to_full_second(struct stage *s)
{
    const struct region_header *h = region_header(s->region);
    uint64_t wall_ns = region_now(h, s->loop.now_ns) + h->birth_wall_ns;

    stage_pass_time(s, NS_PER_S - wall_ns % NS_PER_S);
}

START_TEST(test_each_algorithm_lets_pass_what_it_says)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", algorithms[_i].yaml));
    pass_to_full_second(&s);
    ck_assert_int_eq(passed(&s, 20, "192.0.2.1", NULL), algorithms[_i].at_once);
    stage_pass_time(&s, NS_PER_S / 2);
    ck_assert_int_eq(passed(&s, 20, "192.0.2.1", NULL), algorithms[_i].after_half);
    stage_pass_time(&s, 2 * NS_PER_S);
    ck_assert_int_eq(passed(&s, 20, "192.0.2.1", NULL), algorithms[_i].after_two);
    stage_end(&s);
}
END_TEST

START_TEST(test_windows_and_logs_say_their_count_as_the_limit)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u",
                         _i ? "{rate: 7/d, algorithm: sliding_log}"
                            : "{rate: 7/d, algorithm: fixed_window}"));
    ck_assert_int_eq(passed(&s, 20, "192.0.2.1", NULL), 7);
    act_begin(&a, &s, "192.0.2.1");
    ck_assert_int_eq(act_request(&a), REPLIED);
    ck_assert_str_eq(act_answer(&a, "X-RateLimit-Limit"), "7");
    ck_assert_str_eq(act_answer(&a, "RateLimit-Policy"), "\"rate_limit\";q=7;w=86400");
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_a_cost_is_taken_at_once_and_settled_when_the_service_says_it)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u",
                         "{rate: 6/h, burst: 10, cost: 3, cost_header: X-Cost}"));
    act_begin(&a, &s, "192.0.2.1");
    ck_assert_int_eq(act_request(&a), NEXT); /* 7 left */
    fields_init(&a.x.resp.fields, &a.x.arena, 0);
    fields_add(&a.x.resp.fields, STR("x-cost"), STR("1"));
    act_response(&a); /* 9 left */
    ck_assert_str_eq(act_answer(&a, "X-Cost"), "");
    act_end(&a);
    act_begin(&a, &s, "192.0.2.1");
    ck_assert_int_eq(act_request(&a), NEXT); /* 6 left */
    fields_init(&a.x.resp.fields, &a.x.arena, 0);
    fields_add(&a.x.resp.fields, STR("X-Cost"), STR("6"));
    act_response(&a); /* 3 left */
    act_end(&a);
    ck_assert_int_eq(passed(&s, 3, "192.0.2.1", NULL), 1);
    stage_end(&s);
}
END_TEST

START_TEST(test_who_is_refused_again_and_again_is_banned_for_a_while)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u",
                         "{rate: 10/s, burst: 1, ban: {after: 3, within: 1m, for: 10m}}"));
    ck_assert_int_eq(passed(&s, 3, "192.0.2.1", NULL), 1); /* two refusals */
    stage_pass_time(&s, NS_PER_S);
    ck_assert_int_eq(passed(&s, 2, "192.0.2.1", NULL), 1); /* and one more */
    stage_pass_time(&s, NS_PER_S);
    act_begin(&a, &s, "192.0.2.1");
    ck_assert_int_eq(act_request(&a), REPLIED);
    ck_assert_str_eq(act_answer(&a, "Retry-After"), "599");
    act_end(&a);
    ck_assert_int_eq(passed(&s, 2, "192.0.2.2", NULL), 1); /* others are not */
    for (int i = 0; i < 598; i++) {
        ck_assert_int_eq(passed(&s, 5, "192.0.2.1", NULL), 0);
        stage_pass_time(&s, NS_PER_S);
    }
    /* let out, and with a clean slate */
    stage_pass_time(&s, 2 * NS_PER_S);
    ck_assert_int_eq(passed(&s, 3, "192.0.2.1", NULL), 1);
    stage_pass_time(&s, NS_PER_S);
    ck_assert_int_eq(passed(&s, 1, "192.0.2.1", NULL), 1);
    stage_end(&s);
}
END_TEST

START_TEST(test_refusals_are_forgotten)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u",
                         "{rate: 10/s, burst: 1, ban: {after: 3, within: 1m, for: 10m}}"));
    for (int i = 0; i < 50; i++) {
        ck_assert_int_eq(passed(&s, 2, "192.0.2.1", NULL), 1);
        stage_pass_time(&s, 21 * NS_PER_S);
    }
    stage_end(&s);
}
END_TEST

/* ---- several limits ---- */

START_TEST(test_who_is_refused_by_a_later_limit_has_spent_nothing_at_an_earlier_one)
{
    static const char *const earlier[] = {
        "{rate: 6/d, burst: 3}",
        "{rate: 3/d, algorithm: fixed_window}",
        "{rate: 3/d, algorithm: sliding_window}",
        "{rate: 3/d, algorithm: sliding_log}",
        "{rate: 6/d, burst: 3, algorithm: gcra}",
        "{rate: 6/d, burst: 3, algorithm: leaky_bucket}",
    };
    struct stage s;
    struct step first, later;
    int refused = 0;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", earlier[_i]));
    first = s.step;
    ck_assert(stage_step(&s, &rate_limit_middleware, "later", "{rate: 6/d, burst: 1}"));
    later = s.step;
    s.step = first;
    for (int i = 0; i < 10; i++) {
        struct act a;
        struct frame second;
        enum verdict v;

        act_begin(&a, &s, "192.0.2.1");
        second = (struct frame){ .step = &later,
                                 .x = &a.x,
                                 .state = calloc(1, later.type->state_size + 1) };
        ck_assert_int_eq(act_request(&a), NEXT);
        v = later.type->on_request(&a.x, &second);
        ck_assert_int_eq(v, i == 0 ? NEXT : REPLIED);
        refused += v == REPLIED;
        if (v == NEXT)
            fields_init(&a.x.resp.fields, &a.x.arena, 0);
        ck_assert_int_eq(later.type->on_response(&a.x, &second), NEXT);
        act_response(&a);
        free(second.state);
        act_end(&a);
    }
    ck_assert_int_eq(refused, 9);
    ck_assert_int_eq(passed(&s, 9, "192.0.2.1", NULL), 2); /* one passed both */
    stage_end(&s);
}
END_TEST

START_TEST(test_jitter_makes_retry_after_longer_and_never_shorter)
{
    struct stage s;
    bool differ = false;
    uint64_t first = 0;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u",
                         "{rate: 1/h, burst: 1, key: ip, retry_jitter: 50%}"));
    for (int i = 0; i < 20; i++) {
        struct act a;
        uint64_t after;
        char address[32];

        snprintf(address, sizeof address, "192.0.2.%d", i);
        ck_assert_int_eq(passed(&s, 1, address, NULL), 1);
        act_begin(&a, &s, address);
        ck_assert_int_eq(act_request(&a), REPLIED);
        ck_assert(number_read_u64(str_from(act_answer(&a, "Retry-After")), &after));
        ck_assert_uint_ge(after, 3600);
        ck_assert_uint_le(after, 5401);
        differ |= i > 0 && after != first;
        first = after;
        act_end(&a);
    }
    ck_assert(differ);
    stage_end(&s);
}
END_TEST

static const char *const bad[] = {
    "rate: 0/s",
    "rate: abc",
    "burst: 0",
    "algorithm: magic",
    "key: nobody",
    "status: 200",
    "key: []",
    "key: \"header:\"",
    "key: \"header:a b\"",
    "key: \"claim:x\"",
    "key: \"|ip\"",
    "{delay: 1s}",
    "{tolerance: 1s}",
    "{delay: 61s, algorithm: leaky_bucket}",
    "{rate: 129/s, algorithm: sliding_log}",
    "{rate: 5000000000/s, algorithm: fixed_window}",
    "{rate: 5000000000/s, algorithm: sliding_window}",
    "{rate: 5/s, cost: 6, algorithm: sliding_window}",
    "{rate: 50/s, burst: 5, cost: 6}",
    "cost: 0",
    "cost_header: \"a b\"",
    "key_missing: maybe",
    "{rate: 5/s, algorithm: sliding_log, log_keys: 0}",
    "exempt: {ips: [nowhere]}",
    "ban: {after: 3, for: 2d}",
    "ban: {after: 3, within: 0s}",
};

START_TEST(test_settings_that_cannot_work_fail_the_load)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(!stage_step(&s, &rate_limit_middleware, "u", bad[_i]));
    stage_end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rate_limit");
    TCase *c = tcase_create("rate_limit");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_the_burst_passes_and_not_one_more);
    tcase_add_test(c, test_the_defaults_are_a_hundred_a_second_and_two_hundred_at_once);
    tcase_add_loop_test(c, test_services_count_apart_unless_the_limit_is_the_whole_gateways, 0, 3);
    tcase_add_test(c, test_a_reload_keeps_what_was_used);
    tcase_add_test(c, test_a_refusal_says_when_to_come_back_and_what_the_limit_is);
    tcase_add_test(c, test_times_are_rounded_up);
    tcase_add_loop_test(c, test_answers_that_pass_say_what_is_left_only_if_asked_to, 0, 2);
    tcase_add_test(c, test_in_shadow_all_pass_and_it_is_noted);
    tcase_add_test(c, test_the_series_is_there_before_the_first_refusal);
    tcase_add_loop_test(c, test_each_algorithm_lets_pass_what_it_says, 0,
                        (int)ARRAY_LEN(algorithms));
    tcase_add_loop_test(c, test_windows_and_logs_say_their_count_as_the_limit, 0, 2);
    tcase_add_test(c, test_a_cost_is_taken_at_once_and_settled_when_the_service_says_it);
    tcase_add_test(c, test_who_is_refused_again_and_again_is_banned_for_a_while);
    tcase_add_test(c, test_refusals_are_forgotten);
    tcase_add_loop_test(c, test_who_is_refused_by_a_later_limit_has_spent_nothing_at_an_earlier_one,
                        0, 6);
    tcase_add_test(c, test_jitter_makes_retry_after_longer_and_never_shorter);
    tcase_add_loop_test(c, test_settings_that_cannot_work_fail_the_load, 0, (int)ARRAY_LEN(bad));
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Who is let pass how often, and what the others are told. */
#include <check.h>
#include <stdlib.h>

#include "by_hand.h"
#include "gateway/base/number.h"

extern const struct middleware rate_limit_middleware;

#define HOURLY "{rate: 6/h, burst: 3}" /* nothing is earned while a test runs */

static enum verdict ask(struct stage *s, const char *address, const char *verified_key)
{
    struct act a;
    enum verdict v;

    act_begin(&a, s, address);
    if (verified_key)
        a.x.who.api_key = str_from(verified_key);
    v = act_request(&a);
    act_end(&a);
    return v;
}

/* How many of `n` requests pass. */
static int passed(struct stage *s, int n, const char *address, const char *verified_key)
{
    int count = 0;

    while (n-- > 0)
        count += ask(s, address, verified_key) == NEXT;
    return count;
}

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

START_TEST(test_each_address_and_each_verified_key_has_its_own_limit)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", HOURLY));
    ck_assert_int_eq(passed(&s, 4, "192.0.2.1", NULL), 3);
    ck_assert_int_eq(passed(&s, 4, "192.0.2.2", NULL), 3);
    ck_assert_int_eq(passed(&s, 4, "192.0.2.1", "key a"), 3);
    ck_assert_int_eq(passed(&s, 4, "192.0.2.9", "key a"), 0);
    ck_assert_int_eq(passed(&s, 4, "192.0.2.1", "key b"), 3);
    stage_end(&s);
}
END_TEST

/* One customer has a whole prefix of IPv6 addresses. */
START_TEST(test_addresses_of_one_prefix_are_one_client)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", HOURLY));
    ck_assert_int_eq(passed(&s, 2, "2001:db8:0:1::1", NULL), 2);
    ck_assert_int_eq(passed(&s, 2, "2001:db8:0:1:ffff::2", NULL), 1);
    ck_assert_int_eq(passed(&s, 2, "2001:db8:0:2::1", NULL), 2);
    stage_end(&s);
}
END_TEST

static const struct {
    const char *key;
    int other_address, other_key; /* of 3 requests after the burst was used up */
} by[] = {
    { "auto", 3, 3 }, { "ip", 3, 0 }, { "api_key", 3, 3 }, { "service", 0, 0 }, { "global", 0, 0 },
};

START_TEST(test_key_says_who_has_a_limit_of_its_own)
{
    struct stage s;
    char yaml[64];

    stage_begin(&s);
    snprintf(yaml, sizeof yaml, "{rate: 6/h, burst: 3, key: %s}", by[_i].key);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", yaml));
    ck_assert_int_eq(passed(&s, 3, "192.0.2.1", "key a"), 3);
    ck_assert_int_eq(passed(&s, 3, "192.0.2.1", "key b"), by[_i].other_key);
    ck_assert_int_eq(passed(&s, 3, "192.0.2.2", NULL), by[_i].other_address);
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

static const char *const bad[] = { "rate: 0/s",        "rate: abc",   "burst: 0",
                                   "algorithm: magic", "key: nobody", "status: 200" };

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
    tcase_add_test(c, test_each_address_and_each_verified_key_has_its_own_limit);
    tcase_add_test(c, test_addresses_of_one_prefix_are_one_client);
    tcase_add_loop_test(c, test_key_says_who_has_a_limit_of_its_own, 0, (int)ARRAY_LEN(by));
    tcase_add_loop_test(c, test_services_count_apart_unless_the_limit_is_the_whole_gateways, 0, 3);
    tcase_add_test(c, test_a_reload_keeps_what_was_used);
    tcase_add_test(c, test_a_refusal_says_when_to_come_back_and_what_the_limit_is);
    tcase_add_test(c, test_times_are_rounded_up);
    tcase_add_loop_test(c, test_answers_that_pass_say_what_is_left_only_if_asked_to, 0, 2);
    tcase_add_test(c, test_in_shadow_all_pass_and_it_is_noted);
    tcase_add_test(c, test_the_series_is_there_before_the_first_refusal);
    tcase_add_loop_test(c, test_settings_that_cannot_work_fail_the_load, 0, (int)ARRAY_LEN(bad));
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

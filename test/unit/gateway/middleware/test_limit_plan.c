/* Limits by plan: whose is which, and the quota beside the rate. */
#include <check.h>
#include <stdlib.h>

#include "by_hand.h"
#include "gateway/base/number.h"

extern const struct middleware rate_limit_middleware;

#define HOUR (3600 * NS_PER_S)
#define DAY  (24 * HOUR)

/* free: 3 at once; gold: 10 at once; metered: 5 at once, and 7 a day. */
static struct conf_plan plans[] = {
    { .name = STR_INIT("free"), .rate = { 3, HOUR } },
    { .name = STR_INIT("gold"), .rate = { 6, HOUR }, .burst = 10 },
    { .name = STR_INIT("metered"), .rate = { 5, HOUR }, .quota = { 7, DAY } },
};
enum plan { NONE, FREE, GOLD, METERED };

/* At one o'clock in the morning, so that a few hours later it is still the same day. */
static void begin(struct stage *s)
{
    const struct region_header *h;
    uint64_t wall_ns;

    stage_begin(s);
    h = region_header(s->region);
    wall_ns = h->birth_wall_ns + region_now(h, s->loop.now_ns);
    stage_pass_time(s, DAY - wall_ns % DAY + HOUR);
    plans[FREE - 1].rate.count = 3;
    s->globals.plans = (struct conf_list){ plans, ARRAY_LEN(plans) };
}

static enum verdict ask_on(struct stage *s, const char *consumer, enum plan plan, struct act *a)
{
    act_begin(a, s, "192.0.2.1");
    a->x.who.consumer = str_from(consumer);
    a->x.who.plan_number = plan;
    return act_request(a);
}

static int passed(struct stage *s, int n, const char *consumer, enum plan plan)
{
    int count = 0;

    while (n-- > 0) {
        struct act a;

        count += ask_on(s, consumer, plan, &a) == NEXT;
        act_end(&a);
    }
    return count;
}

/* The first that is refused, of at most 100. */
static void refused(struct stage *s, const char *consumer, enum plan plan, struct act *a)
{
    for (int i = 0; i < 100; i++) {
        if (ask_on(s, consumer, plan, a) == REPLIED)
            return;
        act_end(a);
    }
    ck_abort_msg("never refused");
}

START_TEST(test_each_consumer_has_what_its_plan_says)
{
    struct stage s;

    begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "{rate: plan, burst: 99}"));
    ck_assert_int_eq(passed(&s, 20, "a", FREE), 3);
    ck_assert_int_eq(passed(&s, 20, "b", FREE), 3);
    ck_assert_int_eq(passed(&s, 20, "c", GOLD), 10);
    ck_assert_int_eq(passed(&s, 20, "d", METERED), 5);
    ck_assert_uint_eq(counted(&s, FAMILY_RATE_LIMITED), 80 - 21);
    stage_end(&s);
}
END_TEST

START_TEST(test_who_has_no_plan_is_refused_and_not_told_when_to_come_back)
{
    struct stage s;
    struct act a;

    begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "rate: plan"));
    ck_assert_int_eq(ask_on(&s, "a", NONE, &a), REPLIED);
    ck_assert_int_eq(a.x.reason, REASON_RATE_LIMITED);
    ck_assert_uint_eq(a.x.resp.status, 429);
    ck_assert_str_eq(act_answer(&a, "Retry-After"), "");
    act_response(&a);
    act_end(&a);
    ck_assert_uint_eq(counted(&s, FAMILY_RATE_LIMITED), 1);
    stage_end(&s);
}
END_TEST

START_TEST(test_who_has_no_plan_may_have_a_default_one)
{
    struct stage s;

    begin(&s);
    ck_assert(
        stage_step(&s, &rate_limit_middleware, "u", "{rate: plan, plan_default: free, key: ip}"));
    ck_assert_int_eq(passed(&s, 20, "", NONE), 3);
    ck_assert_int_eq(passed(&s, 20, "c", GOLD), 10);
    stage_end(&s);
}
END_TEST

START_TEST(test_exempt_consumers_need_no_plan)
{
    struct stage s;

    begin(&s);
    ck_assert(
        stage_step(&s, &rate_limit_middleware, "u", "{rate: plan, exempt: {consumers: [robot]}}"));
    ck_assert_int_eq(passed(&s, 20, "robot", NONE), 20);
    ck_assert_int_eq(passed(&s, 20, "robot", FREE), 20);
    stage_end(&s);
}
END_TEST

START_TEST(test_a_quota_refuses_with_words_of_its_own_and_tells_when_its_window_ends)
{
    struct stage s;
    struct act a;
    uint64_t retry;

    begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u",
                         "{rate: plan, quota_body: No more today, headers: [draft, x_ratelimit]}"));
    ck_assert_int_eq(passed(&s, 5, "a", METERED), 5);
    stage_pass_time(&s, HOUR);
    ck_assert_int_eq(passed(&s, 2, "a", METERED), 2);
    refused(&s, "a", METERED, &a);
    ck_assert_int_eq(a.x.reason, REASON_QUOTA_EXCEEDED);
    ck_assert(str_equal(a.x.own_body, STR("No more today\n")));
    ck_assert_str_eq(act_answer(&a, "RateLimit-Policy"),
                     "\"rate_limit:metered:quota\";q=7;w=86400");
    ck_assert_str_eq(act_answer(&a, "X-RateLimit-Limit"), "7");
    ck_assert_str_eq(act_answer(&a, "X-RateLimit-Remaining"), "0");
    ck_assert(number_read_u64(str_from(act_answer(&a, "Retry-After")), &retry));
    ck_assert_uint_le(retry, 86400);
    act_response(&a);
    act_end(&a);
    stage_end(&s);
}
END_TEST

/* Else the tokens of the rate would be used up by what never was served. */
START_TEST(test_who_is_refused_by_the_quota_has_not_used_the_rate)
{
    struct stage s;
    struct act a;

    begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "{rate: plan}"));
    ck_assert_int_eq(passed(&s, 5, "a", METERED), 5);
    stage_pass_time(&s, HOUR);
    ck_assert_int_eq(passed(&s, 30, "a", METERED), 2);
    refused(&s, "a", METERED, &a); /* by the quota still, though thirty were refused before */
    ck_assert_int_eq(a.x.reason, REASON_QUOTA_EXCEEDED);
    act_end(&a);
    stage_pass_time(&s, DAY);
    ck_assert_int_eq(passed(&s, 30, "a", METERED), 5);
    stage_end(&s);
}
END_TEST

START_TEST(test_who_is_refused_by_the_rate_has_not_used_the_quota)
{
    struct stage s;

    begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "{rate: plan}"));
    ck_assert_int_eq(passed(&s, 50, "a", METERED), 5);
    stage_pass_time(&s, HOUR);
    ck_assert_int_eq(passed(&s, 50, "a", METERED), 2);
    stage_end(&s);
}
END_TEST

START_TEST(test_what_a_later_limit_refuses_is_given_back_to_rate_and_quota)
{
    static const enum reason by[] = { REASON_RATE_LIMITED, REASON_QUOTA_EXCEEDED, REASON_STORE_AWAY,
                                      REASON_CONCURRENCY_LIMITED, REASON_QUEUE_TIMEOUT };
    struct stage s;

    begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "{rate: plan}"));
    for (int i = 0; i < 20; i++) {
        struct act a;

        ck_assert_int_eq(ask_on(&s, "a", METERED, &a), NEXT);
        a.x.made_here = true;
        a.x.reason = by[i % (int)ARRAY_LEN(by)];
        act_response(&a);
        act_end(&a);
    }
    ck_assert_int_eq(passed(&s, 50, "a", METERED), 5);
    stage_end(&s);
}
END_TEST

START_TEST(test_what_the_service_says_it_cost_counts_for_rate_and_quota)
{
    struct stage s;
    struct act a;

    begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u",
                         "{rate: plan, cost_header: X-Cost, headers_when: always}"));
    ck_assert_int_eq(ask_on(&s, "a", METERED, &a), NEXT);
    fields_init(&a.x.resp.fields, &a.x.arena, 4);
    fields_add(&a.x.resp.fields, STR("X-Cost"), STR("4"));
    act_response(&a);
    ck_assert_str_eq(act_answer(&a, "X-Cost"), "");
    act_end(&a);
    ck_assert_int_eq(passed(&s, 50, "a", METERED), 1);
    stage_pass_time(&s, HOUR);
    ck_assert_int_eq(passed(&s, 50, "a", METERED), 2); /* 7 a day: 4, 1 and 2 */
    stage_end(&s);
}
END_TEST

START_TEST(test_what_is_left_is_said_of_both_and_the_older_fields_of_the_rate)
{
    struct stage s;
    struct act a;
    size_t policies = 0, limits = 0;

    begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "{rate: plan, headers_when: always}"));
    ck_assert_int_eq(ask_on(&s, "a", METERED, &a), NEXT);
    fields_init(&a.x.resp.fields, &a.x.arena, 4);
    act_response(&a);
    for (uint32_t i = 0; i < a.x.resp.fields.count; i++) {
        policies += str_equal(a.x.resp.fields.at[i].name, STR("RateLimit-Policy"));
        limits += str_equal(a.x.resp.fields.at[i].name, STR("X-RateLimit-Limit"));
    }
    ck_assert_uint_eq(policies, 2);
    ck_assert_uint_eq(limits, 1);
    ck_assert_str_eq(act_answer(&a, "X-RateLimit-Remaining"), "4");
    act_end(&a);
    stage_end(&s);
}
END_TEST

/* State goes by the name of the plan. */
START_TEST(test_other_numbers_of_a_plan_keep_what_was_used)
{
    struct stage s;

    begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "rate: plan"));
    ck_assert_int_eq(passed(&s, 3, "a", FREE), 3);
    plans[FREE - 1].rate.count = 30;
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "rate: plan"));
    ck_assert_int_lt(passed(&s, 50, "a", FREE), 30); /* not afresh: what was used is used */
    ck_assert_int_eq(passed(&s, 50, "b", FREE), 30);
    stage_end(&s);
}
END_TEST

START_TEST(test_who_changes_plans_has_the_other_ones_limit_at_once)
{
    struct stage s;

    begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "rate: plan"));
    ck_assert_int_eq(passed(&s, 20, "a", FREE), 3);
    ck_assert_int_eq(passed(&s, 20, "a", GOLD), 10);
    ck_assert_int_eq(passed(&s, 20, "a", FREE), 0); /* and back: what was used is used */
    stage_end(&s);
}
END_TEST

START_TEST(test_in_shadow_nobody_is_refused_and_quotas_are_judged_too)
{
    struct stage s;
    struct act a;

    begin(&s);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", "rate: plan"));
    s.step.mode = CONF_MODE_SHADOW;
    ck_assert_int_eq(passed(&s, 5, "a", METERED), 5);
    stage_pass_time(&s, HOUR);
    ck_assert_int_eq(passed(&s, 20, "a", METERED), 20);
    ck_assert_int_eq(ask_on(&s, "a", METERED, &a), NEXT);
    ck_assert_int_eq(a.x.record.shadow, REASON_QUOTA_EXCEEDED);
    act_end(&a);
    stage_end(&s);
}
END_TEST

/* Every algorithm keeps a plan as it keeps a limit; a quota is a window whatever it is. */
static const char *const algorithms[] = {
    "token_bucket", "leaky_bucket", "gcra", "fixed_window", "sliding_window", "sliding_log",
};

START_TEST(test_plans_go_with_every_algorithm)
{
    struct stage s;
    char yaml[100];
    bool by_burst = _i < 3;

    begin(&s);
    snprintf(yaml, sizeof yaml, "{rate: plan, algorithm: %s}", algorithms[_i]);
    ck_assert(stage_step(&s, &rate_limit_middleware, "u", yaml));
    ck_assert_int_eq(passed(&s, 20, "a", FREE), 3);
    ck_assert_int_eq(passed(&s, 20, "b", GOLD), by_burst ? 10 : 6);
    ck_assert_int_eq(passed(&s, 20, "c", METERED), 5);
    stage_end(&s);
}
END_TEST

static const char *const bad[] = {
    "{rate: plan, plan_default: fre}", "{rate: 5/s, plan_default: free}", "{rate: plans}",
    "{rate: plan, cost: 4}", /* more than free can ever give */
    "{rate_limit_rps: plan}",
};

START_TEST(test_settings_that_cannot_work_fail_the_load)
{
    struct stage s;

    begin(&s);
    ck_assert(!stage_step(&s, &rate_limit_middleware, "u", bad[_i]));
    stage_end(&s);
}
END_TEST

START_TEST(test_plans_that_there_are_not_fail_the_load)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(!stage_step(&s, &rate_limit_middleware, "u", "rate: plan"));
    stage_end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("limit_plan");
    TCase *c = tcase_create("limit_plan");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_each_consumer_has_what_its_plan_says);
    tcase_add_test(c, test_who_has_no_plan_is_refused_and_not_told_when_to_come_back);
    tcase_add_test(c, test_who_has_no_plan_may_have_a_default_one);
    tcase_add_test(c, test_exempt_consumers_need_no_plan);
    tcase_add_test(c, test_a_quota_refuses_with_words_of_its_own_and_tells_when_its_window_ends);
    tcase_add_test(c, test_who_is_refused_by_the_quota_has_not_used_the_rate);
    tcase_add_test(c, test_who_is_refused_by_the_rate_has_not_used_the_quota);
    tcase_add_test(c, test_what_a_later_limit_refuses_is_given_back_to_rate_and_quota);
    tcase_add_test(c, test_what_the_service_says_it_cost_counts_for_rate_and_quota);
    tcase_add_test(c, test_what_is_left_is_said_of_both_and_the_older_fields_of_the_rate);
    tcase_add_test(c, test_other_numbers_of_a_plan_keep_what_was_used);
    tcase_add_test(c, test_who_changes_plans_has_the_other_ones_limit_at_once);
    tcase_add_test(c, test_in_shadow_nobody_is_refused_and_quotas_are_judged_too);
    tcase_add_loop_test(c, test_plans_go_with_every_algorithm, 0, (int)ARRAY_LEN(algorithms));
    tcase_add_loop_test(c, test_settings_that_cannot_work_fail_the_load, 0, (int)ARRAY_LEN(bad));
    tcase_add_test(c, test_plans_that_there_are_not_fail_the_load);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

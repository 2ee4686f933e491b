/* How many are let in at once, of whom, and what the others are told. */
#include <check.h>
#include <stdlib.h>

#include "concurrency_play.h"
#include "gateway/base/number.h"
#include "ratelimit/gradient.h"
#include "shm/places.h"

START_TEST(test_so_many_at_once_over_all_workers)
{
    struct play p;
    struct act a[5];

    play_begin(&p, "{max: 3}");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(come(&p, &a[i], i % 2), NEXT);
    ck_assert_uint_eq(running(&p), 3);
    for (int i = 3; i < 5; i++) {
        ck_assert_int_eq(come(&p, &a[i], i % 2), REPLIED);
        ck_assert_uint_eq(a[i].x.resp.status, 503);
        ck_assert_int_eq(a[i].x.reason, REASON_CONCURRENCY_LIMITED);
        ck_assert_str_eq(act_answer(&a[i], "Retry-After"), "1");
        leave(&a[i]);
    }
    ck_assert_uint_eq(counted(&p.s, FAMILY_CONCURRENCY_REFUSED), 2);
    leave(&a[1]);
    ck_assert_int_eq(come(&p, &a[1], 0), NEXT);
    for (int i = 0; i < 3; i++)
        leave(&a[i]);
    play_end(&p);
}
END_TEST

START_TEST(test_in_shadow_nobody_waits_and_nobody_is_refused)
{
    struct play p;
    struct act a[4];

    play_begin(&p, "{max: 1, queue: 2}");
    p.s.step.mode = CONF_MODE_SHADOW;
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(come(&p, &a[i], i % 2), NEXT);
    ck_assert_int_eq(a[2].x.record.shadow, REASON_OK); /* it would have waited */
    ck_assert_int_eq(a[3].x.record.shadow, REASON_CONCURRENCY_LIMITED);
    ck_assert_uint_eq(counted(&p.s, FAMILY_CONCURRENCY_REFUSED), 0);
    for (int i = 0; i < 4; i++)
        leave(&a[i]);
    play_end(&p);
}
END_TEST

static const struct {
    const char *yaml;
    uint16_t status;
} statuses[] = {
    { "{max: 1}", 503 },
    { "{max: 1, key: global}", 503 },
    { "{max: 1, key: [service, route]}", 503 },
    { "{max: 1, key: ip}", 429 },
    { "{max: 1, key: [service, ip]}", 429 },
    { "{max: 1, key: auto}", 429 },
    { "{max: 1, key: ip, status: 509}", 509 },
};

START_TEST(test_the_status_says_whether_the_client_did_too_much_or_all_together)
{
    struct play p;
    struct act first, second;

    play_begin(&p, statuses[_i].yaml);
    ck_assert_int_eq(come(&p, &first, 0), NEXT);
    ck_assert_int_eq(come(&p, &second, 1), REPLIED);
    ck_assert_uint_eq(second.x.resp.status, statuses[_i].status);
    leave(&second);
    leave(&first);
    play_end(&p);
}
END_TEST

static const char *const refused[] = { "{}",
                                       "{max: 0}",
                                       "{max: 65001}",
                                       "{max: 2, min: 3, adaptive: gradient}",
                                       "{max: 2, key: nobody}",
                                       "{max: 2, status: 200}",
                                       "{max: plan}",
                                       "{max: plan, adaptive: gradient}",
                                       "{max: 2, plan_default: small}",
                                       "{max: 2, queue_timeout: 0}" };

START_TEST(test_what_cannot_be_meant_is_refused)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(!stage_step(&s, &concurrency_middleware, "u", refused[_i]));
    stage_end(&s);
}
END_TEST

START_TEST(test_the_exempt_are_not_counted)
{
    struct play p;
    struct act first, a;

    play_begin(&p, "{max: 1, exempt: {ips: [198.51.100.0/24], consumers: [acme]}}");
    ck_assert_int_eq(come(&p, &first, 0), NEXT);
    for (int i = 0; i < 4; i++) {
        act_begin(&a, &p.s, i == 0 ? "198.51.100.7" : "192.0.2.1");
        a.x.local = &p.workers[0];
        a.x.who.consumer = i == 1 ? STR("acme") : STR_NONE;
        a.x.who.user = i == 2 ? STR("acme") : STR_NONE;
        ck_assert_int_eq(act_request(&a), i == 3 ? REPLIED : NEXT);
        leave(&a);
    }
    ck_assert_uint_eq(running(&p), 1);
    leave(&first);
    play_end(&p);
}
END_TEST

static const struct {
    const char *yaml;
    enum verdict second;
} missing[] = {
    { "{max: 1, key: 'header:X-Tenant', key_missing: skip}", NEXT },
    { "{max: 1, key: 'header:X-Tenant', key_missing: ip}", REPLIED },
};

START_TEST(test_what_of_requests_without_a_key)
{
    struct play p;
    struct act first, second;

    play_begin(&p, missing[_i].yaml);
    ck_assert_int_eq(come(&p, &first, 0), NEXT);
    ck_assert_int_eq(come(&p, &second, 1), missing[_i].second);
    leave(&first);
    leave(&second);
    play_end(&p);
}
END_TEST

START_TEST(test_without_a_key_it_may_be_refused)
{
    struct play p;
    struct act a;

    play_begin(&p, "{max: 1, key: 'header:X-Tenant', key_missing: refuse}");
    ck_assert_int_eq(come(&p, &a, 0), REPLIED);
    ck_assert_int_eq(a.x.reason, REASON_CONCURRENCY_LIMITED);
    leave(&a);
    play_end(&p);
}
END_TEST

/* Comes as a member of the n-th plan, from 1; 0: of none. */
static enum verdict come_by_plan(struct play *p, struct act *a, uint32_t plan)
{
    act_begin(a, &p->s, "192.0.2.1");
    a->x.local = &p->workers[0];
    a->x.who.plan_number = plan;
    return act_request(a);
}

START_TEST(test_a_plan_says_how_many)
{
    static struct conf_plan plans[] = { { .name = STR_INIT("small"), .concurrency = 1 },
                                        { .name = STR_INIT("large"), .concurrency = 2 },
                                        { .name = STR_INIT("any") } };
    struct conf_list list = { plans, 3 };
    struct stage s;
    struct play p;
    struct act a[8];

    stage_begin(&s);
    ck_assert(!stage_step(&s, &concurrency_middleware, "u", "{max: plan}")); /* there are none */
    stage_end(&s);
    play_begin(&p, "{max: 1}");
    p.s.globals.plans = list;
    ck_assert(stage_step(&p.s, &concurrency_middleware, "u", "{max: plan}"));
    ck_assert_int_eq(come_by_plan(&p, &a[0], 1), NEXT);
    ck_assert_int_eq(come_by_plan(&p, &a[1], 1), REPLIED);
    ck_assert_int_eq(come_by_plan(&p, &a[2], 2), NEXT);
    ck_assert_int_eq(come_by_plan(&p, &a[3], 2), REPLIED);
    ck_assert_int_eq(come_by_plan(&p, &a[4], 3), NEXT);
    ck_assert_int_eq(come_by_plan(&p, &a[5], 0), REPLIED);
    ck_assert(stage_step(&p.s, &concurrency_middleware, "u", "{max: plan, plan_default: any}"));
    ck_assert_int_eq(come_by_plan(&p, &a[6], 0), NEXT);
    for (int i = 0; i < 7; i++)
        leave(&a[i]);
    ck_assert(
        !stage_step(&p.s, &concurrency_middleware, "u", "{max: plan, plan_default: nobodys}"));
    p.s.problems.errors = 0;
    play_end(&p);
}
END_TEST

/* As many clients at once as one worker has ways for in one group are no more than any; the rest is not counted. */
START_TEST(test_without_room_the_rule_of_limits_decides)
{
    struct play p;
    struct act a;
    struct places places;

    play_begin(&p, "{max: 1}");
    p.s.globals.shared_memory.limits.on_full = _i;
    ck_assert(stage_step(&p.s, &concurrency_middleware, "u", "{max: 1}"));
    ck_assert(places_table(p.s.region, STR("gateway/places"), &places));
    for (uint64_t g = 0; g < PLACES_GROUPS; g++)
        for (uint64_t i = 0; i < PLACES_WAYS; i++)
            if (places_take(&places, p.workers[0].seat, (i + 1) << 32 | g, 1) != PLACES_GOT)
                ck_abort();
    ck_assert_int_eq(come(&p, &a, 0), _i == CONF_ON_FULL_DENY ? REPLIED : NEXT);
    ck_assert_uint_eq(word_peek(&places.shared->full), 1);
    leave(&a);
    play_end(&p);
}
END_TEST

/* An answer of the service after so long. */
static void answer(struct play *p, struct act *a, uint64_t took_ns, uint16_t status)
{
    a->x.phase = PHASE_OUT;
    a->x.record.sent_ns = p->now_ns;
    p->now_ns += took_ns;
    a->x.local->loop->now_ns = p->now_ns;
    a->x.record.answered_ns = p->now_ns;
    a->x.resp.status = status;
    act_response(a);
}

START_TEST(test_what_the_service_takes_moves_the_limit_and_failures_do_not)
{
    struct play p;
    struct gradient_words *w;

    play_begin(&p, "{max: 100, min: 2, adaptive: gradient}");
    w = region_table(p.s.region, TABLE_GRADIENT, STR("gradient/u/concurrency"), sizeof *w);
    ck_assert_ptr_nonnull(w);
    p.now_ns += NS_PER_S;
    for (int i = 0; i < 100; i++) {
        struct act a, b, c;

        ck_assert_int_eq(come(&p, &a, 0), NEXT);
        ck_assert_int_eq(come(&p, &b, 1), NEXT);
        ck_assert_int_eq(come(&p, &c, 1), REPLIED); /* two, while it is measured */
        answer(&p, &a, 20 * NS_PER_MS, 500);
        answer(&p, &b, 20 * NS_PER_MS, 503);
        leave(&a);
        leave(&b);
        leave(&c);
    }
    ck_assert(gradient_look(w).measuring); /* they said nothing */
    for (int i = 0; i < 50; i++) {
        struct act a;

        ck_assert_int_eq(come(&p, &a, 0), NEXT);
        answer(&p, &a, 20 * NS_PER_MS, 200);
        leave(&a);
    }
    ck_assert(!gradient_look(w).measuring);
    ck_assert_uint_eq(gradient_look(w).base_ns, 20 * NS_PER_MS);
    play_end(&p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("concurrency");
    TCase *t = tcase_create("concurrency");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_so_many_at_once_over_all_workers);
    tcase_add_test(t, test_the_exempt_are_not_counted);
    tcase_add_loop_test(t, test_what_of_requests_without_a_key, 0,
                        (int)(sizeof missing / sizeof *missing));
    tcase_add_test(t, test_without_a_key_it_may_be_refused);
    tcase_add_test(t, test_a_plan_says_how_many);
    tcase_add_test(t, test_in_shadow_nobody_waits_and_nobody_is_refused);
    tcase_add_loop_test(t, test_the_status_says_whether_the_client_did_too_much_or_all_together, 0,
                        (int)(sizeof statuses / sizeof *statuses));
    tcase_add_loop_test(t, test_what_cannot_be_meant_is_refused, 0,
                        (int)(sizeof refused / sizeof *refused));
    tcase_add_loop_test(t, test_without_room_the_rule_of_limits_decides, CONF_ON_FULL_EVICT,
                        CONF_ON_FULL_DENY + 1);
    tcase_add_test(t, test_what_the_service_takes_moves_the_limit_and_failures_do_not);
    suite_add_tcase(s, t);
    tcase_set_timeout(t, 30);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

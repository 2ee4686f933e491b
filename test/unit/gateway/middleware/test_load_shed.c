/* Whom a share of refusals hits, and whom never. */
#include <check.h>
#include <stdlib.h>

#include "by_hand.h"
#include "gateway/base/number.h"

extern const struct middleware load_shed_middleware;

/* The worker's share for this rule is as high as it gets. */
static void overload(struct stage *s, const struct pressure_rule *rule)
{
    struct pressure *p = &s->local.pressure;

    (void)pressure_share(p, rule, s->loop.now_ns);
    for (int i = 0; i < 100; i++) {
        (void)pressure_share(p, rule, s->loop.now_ns);
        pressure_turned(p, s->loop.now_ns, s->loop.now_ns + NS_PER_S, 0);
        stage_pass_time(s, NS_PER_S);
        pressure_look(p, s->loop.now_ns, s->loop.now_ns);
    }
    ck_assert_uint_eq(pressure_share(p, rule, s->loop.now_ns), PRESSURE_MOST_SHED);
}

static void begin(struct stage *s, const char *yaml)
{
    static const struct pressure_rule rule = { .delay_ns = 50 * NS_PER_MS };

    stage_begin(s);
    ck_assert(stage_step(s, &load_shed_middleware, "u", yaml));
    overload(s, &rule);
}

struct who {
    const char *consumer, *user, *plan;
};

/* Of so many requests. */
static unsigned shed_of(struct stage *s, unsigned count, struct who who)
{
    unsigned shed = 0;

    for (unsigned i = 0; i < count; i++) {
        struct act a;

        act_begin(&a, s, "192.0.2.1");
        a.x.who.consumer = who.consumer ? str_from(who.consumer) : STR_NONE;
        a.x.who.plan = who.plan ? str_from(who.plan) : STR_NONE;
        a.x.who.user = who.user ? str_from(who.user) : STR_NONE;
        if (act_request(&a) == REPLIED) {
            shed++;
            ck_assert_uint_eq(a.x.resp.status, 503);
            ck_assert_int_eq(a.x.reason, REASON_LOAD_SHED);
            ck_assert_str_eq(act_answer(&a, "Retry-After"), "1");
        }
        act_end(&a);
    }
    return shed;
}

START_TEST(test_under_the_highest_pressure_some_still_get_through)
{
    struct stage s;
    unsigned shed;

    begin(&s, "{}");
    shed = shed_of(&s, 10000, (struct who){ 0 });
    ck_assert_uint_ge(shed, 9300);
    ck_assert_uint_le(shed, 9700);
    ck_assert_uint_eq(counted(&s, FAMILY_LOAD_SHED), shed);
    stage_end(&s);
}
END_TEST

static const struct {
    const char *yaml;
    struct who who;
    bool kept;
} kept[] = {
    { "{keep_priority: [u]}", { 0 }, true },
    { "{keep_priority: [v]}", { 0 }, false },
    { "{keep_priority: [gold]}", { .consumer = "gold" }, true },
    { "{keep_priority: [gold]}", { .consumer = "acme", .plan = "gold" }, true },
    { "{keep_priority: [other, gold]}", { .user = "gold" }, true },
    { "{keep_priority: [gold]}", { .consumer = "golden", .user = "gol" }, false },
};

START_TEST(test_who_is_never_shed)
{
    struct stage s;
    unsigned shed;

    begin(&s, kept[_i].yaml);
    shed = shed_of(&s, 1000, kept[_i].who);
    ck_assert_int_eq(shed == 0, kept[_i].kept);
    stage_end(&s);
}
END_TEST

START_TEST(test_another_rule_has_another_share)
{
    struct stage s;

    begin(&s, "{queue_delay_above: 20ms}");
    ck_assert_uint_eq(shed_of(&s, 1000, (struct who){ 0 }), 0);
    stage_end(&s);
}
END_TEST

START_TEST(test_in_shadow_it_is_noted)
{
    struct stage s;
    struct act a;
    unsigned noted = 0;

    begin(&s, "{}");
    s.step.mode = CONF_MODE_SHADOW;
    for (int i = 0; i < 1000; i++) {
        act_begin(&a, &s, "192.0.2.1");
        ck_assert_int_eq(act_request(&a), NEXT);
        noted += a.x.record.shadow == REASON_LOAD_SHED;
        act_end(&a);
    }
    ck_assert_uint_ge(noted, 900);
    ck_assert_uint_eq(counted(&s, FAMILY_LOAD_SHED), 0);
    stage_end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("load_shed");
    TCase *t = tcase_create("load_shed");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_under_the_highest_pressure_some_still_get_through);
    tcase_add_loop_test(t, test_who_is_never_shed, 0, (int)(sizeof kept / sizeof *kept));
    tcase_add_test(t, test_another_rule_has_another_share);
    tcase_add_test(t, test_in_shadow_it_is_noted);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* What counts as a failure, how often, and when it is told. */
#include <check.h>
#include <stdlib.h>

#include "by_hand.h"
#include "gateway/base/number.h"
#include "shm/breaker.h"

extern const struct middleware circuit_breaker_middleware;

#define THREE "{trip: {consecutive: 3}, reset_timeout: 10s}"

static const struct attempt answered = { .status = 200, .reason = REASON_OK };

static bool attempt(struct act *a)
{
    return a->frame.step->type->on_attempt(&a->x, &a->frame, &answered);
}

static void attempt_done(struct act *a, unsigned status, enum reason reason)
{
    struct attempt how = { .status = (uint16_t)status, .reason = reason };

    a->frame.step->type->on_attempt_done(&a->x, &a->frame, &how);
}

/* The answer of a service, or the gateway's for the want of one. */
static void respond(struct act *a, unsigned status, enum reason reason)
{
    a->x.reason = reason;
    a->x.made_here = reason != REASON_OK;
    a->x.resp.status = (uint16_t)status;
    a->x.resp.body = BODY_LENGTH;
    fields_init(&a->x.resp.fields, &a->x.arena, 0);
}

/* A whole exchange; false if it was refused. */
static bool exchange(struct stage *s, unsigned status, enum reason reason)
{
    struct act a;
    bool allowed;

    act_begin(&a, s, "192.0.2.1");
    allowed = attempt(&a);
    if (allowed) {
        attempt_done(&a, status, reason);
        respond(&a, status ? status : 502, reason);
        act_response(&a);
    }
    act_end(&a);
    return allowed;
}

static bool is_open(struct stage *s)
{
    struct act a;
    bool allowed;

    act_begin(&a, s, "192.0.2.1");
    allowed = attempt(&a);
    a.x.reason = REASON_CLIENT_GONE;
    act_end(&a);
    return !allowed;
}

START_TEST(test_failures_in_a_row_open_it)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "u", THREE));
    for (int i = 0; i < 3; i++)
        ck_assert(exchange(&s, 500, REASON_OK));
    ck_assert(!exchange(&s, 200, REASON_OK));
    stage_end(&s);
}
END_TEST

START_TEST(test_the_defaults_are_five_failures_and_ten_seconds)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "u", "{}"));
    for (int i = 0; i < 5; i++)
        ck_assert(exchange(&s, 500, REASON_OK));
    act_begin(&a, &s, "192.0.2.1");
    ck_assert(!attempt(&a));
    ck_assert_uint_eq(a.x.refusal.status, 503);
    ck_assert_int_eq(a.x.refusal.reason, REASON_CIRCUIT_OPEN);
    ck_assert_uint_le(a.x.refusal.retry_ns, 10 * NS_PER_S);
    ck_assert_uint_ge(a.x.refusal.retry_ns, 9 * NS_PER_S);
    act_end(&a);
    stage_end(&s);
}
END_TEST

static const struct {
    unsigned status;
    enum reason reason;
    bool fails;
} outcomes[] = {
    { 200, REASON_OK, false },
    { 301, REASON_OK, false },
    { 404, REASON_OK, false },
    { 429, REASON_OK, false },
    { 499, REASON_OK, false },
    { 501, REASON_OK, false },
    { 500, REASON_OK, true },
    { 503, REASON_OK, true },
    { 599, REASON_OK, true },
    { 0, REASON_UPSTREAM_CONNECT_FAILED, true },
    { 0, REASON_UPSTREAM_CONNECT_TIMEOUT, true },
    { 0, REASON_UPSTREAM_RESET, true },
    { 0, REASON_UPSTREAM_TIMEOUT, true },
    { 0, REASON_UPSTREAM_BAD_RESPONSE, true },
    { 0, REASON_TIMEOUT, true },
    { 0, REASON_CLIENT_GONE, false },
    { 0, REASON_CLIENT_SLOW, false },
    { 0, REASON_BODY_TOO_LARGE, false },
    { 0, REASON_REQUEST_TIMEOUT, false },
    { 0, REASON_OVERLOADED, false },
};

START_TEST(test_what_is_a_failure)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "u", THREE));
    for (int i = 0; i < 3; i++)
        ck_assert(exchange(&s, outcomes[_i].status, outcomes[_i].reason));
    ck_assert_int_eq(is_open(&s), outcomes[_i].fails);
    stage_end(&s);
}
END_TEST

/* The handler ends the attempt as timed out, whatever made the exchange fail: a request that was too large says
 * nothing of the service. */
START_TEST(test_why_the_exchange_failed_counts_more_than_how_the_attempt_ended)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "u", THREE));
    for (int i = 0; i < 3; i++) {
        struct act a;

        act_begin(&a, &s, "192.0.2.1");
        ck_assert(attempt(&a));
        attempt_done(&a, 0, REASON_TIMEOUT);
        respond(&a, 413, REASON_BODY_TOO_LARGE);
        act_response(&a);
        act_end(&a);
    }
    ck_assert(!is_open(&s));
    stage_end(&s);
}
END_TEST

START_TEST(test_a_service_that_waited_for_the_client_in_vain_has_not_failed)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "u", THREE));
    for (int i = 0; i < 6; i++) {
        struct attempt how = { .reason = REASON_UPSTREAM_RESET, .client_late = i < 3 };
        struct act a;

        ck_assert(!is_open(&s));
        act_begin(&a, &s, "192.0.2.1");
        ck_assert(attempt(&a));
        a.frame.step->type->on_attempt_done(&a.x, &a.frame, &how);
        respond(&a, 502, REASON_UPSTREAM_RESET);
        act_response(&a);
        act_end(&a);
    }
    ck_assert(is_open(&s));
    stage_end(&s);
}
END_TEST

/* A service that restarts refuses the handler's attempts one after the other; that is one failure. */
START_TEST(test_attempts_of_one_exchange_count_once)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "u", THREE));
    for (int i = 0; i < 3; i++) {
        struct act a;

        act_begin(&a, &s, "192.0.2.1");
        for (int n = 0; n < 10; n++) {
            ck_assert(attempt(&a));
            attempt_done(&a, 0, REASON_UPSTREAM_CONNECT_FAILED);
        }
        if (_i) { /* … and none, if the last one went well */
            ck_assert(attempt(&a));
            attempt_done(&a, 200, REASON_OK);
            respond(&a, 200, REASON_OK);
        } else {
            respond(&a, 502, REASON_UPSTREAM_CONNECT_FAILED);
        }
        act_response(&a);
        act_end(&a);
        ck_assert_int_eq(is_open(&s), !_i && i == 2);
    }
    stage_end(&s);
}
END_TEST

START_TEST(test_a_success_in_between_starts_the_count_anew)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "u", THREE));
    for (int i = 0; i < 4; i++) {
        ck_assert(exchange(&s, 500, REASON_OK));
        ck_assert(exchange(&s, 500, REASON_OK));
        ck_assert(exchange(&s, 200, REASON_OK));
    }
    stage_end(&s);
}
END_TEST

/* Told before the client hears of it: its next request must meet the open circuit in any worker. */
START_TEST(test_a_failure_is_told_before_the_answer_is_sent)
{
    struct stage s;
    struct act a[3];

    stage_begin(&s);
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "u", THREE));
    for (int i = 0; i < 3; i++) {
        act_begin(&a[i], &s, "192.0.2.1");
        ck_assert(attempt(&a[i]));
        attempt_done(&a[i], 500, REASON_OK);
        respond(&a[i], 500, REASON_OK);
        act_response(&a[i]);
    }
    ck_assert(is_open(&s));
    for (int i = 0; i < 3; i++)
        act_end(&a[i]);
    stage_end(&s);
}
END_TEST

START_TEST(test_answers_that_break_off_are_failures)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "u", THREE));
    for (int i = 0; i < 3; i++) {
        struct act a;

        act_begin(&a, &s, "192.0.2.1");
        ck_assert(attempt(&a));
        attempt_done(&a, 200, REASON_OK);
        respond(&a, 200, REASON_OK);
        a.x.resp.content_length = 1000;
        act_response(&a);
        a.x.reason = REASON_UPSTREAM_TRUNCATED;
        act_end(&a);
    }
    ck_assert(is_open(&s));
    stage_end(&s);
}
END_TEST

static void open_it(struct stage *s)
{
    ck_assert(stage_step(s, &circuit_breaker_middleware, "u", THREE));
    for (int i = 0; i < 3; i++)
        ck_assert(exchange(s, 500, REASON_OK));
    ck_assert(is_open(s));
    stage_pass_time(s, 10 * NS_PER_S + NS_PER_MS);
}

START_TEST(test_one_probe_closes_it_or_opens_it_again)
{
    struct stage s;
    struct act probe;

    stage_begin(&s);
    open_it(&s);
    act_begin(&probe, &s, "192.0.2.1");
    ck_assert(attempt(&probe));
    ck_assert(!exchange(&s, 200, REASON_OK)); /* while the probe is out */
    attempt_done(&probe, _i ? 200 : 500, REASON_OK);
    respond(&probe, _i ? 200 : 500, REASON_OK);
    act_response(&probe);
    act_end(&probe);
    ck_assert_int_eq(is_open(&s), !_i);
    stage_end(&s);
}
END_TEST

START_TEST(test_a_probe_whose_client_left_is_given_back)
{
    struct stage s;
    struct act probe;

    stage_begin(&s);
    open_it(&s);
    act_begin(&probe, &s, "192.0.2.1");
    ck_assert(attempt(&probe));
    attempt_done(&probe, 0, REASON_CLIENT_GONE);
    probe.x.reason = REASON_CLIENT_GONE;
    act_end(&probe);
    ck_assert(exchange(&s, 200, REASON_OK));
    ck_assert(!is_open(&s));
    stage_end(&s);
}
END_TEST

/* A stream may last for hours: that it began is answer enough. */
START_TEST(test_the_head_of_a_stream_closes_it)
{
    struct stage s;
    struct act probe;

    stage_begin(&s);
    open_it(&s);
    act_begin(&probe, &s, "192.0.2.1");
    ck_assert(attempt(&probe));
    attempt_done(&probe, 200, REASON_OK);
    respond(&probe, 200, REASON_OK);
    probe.x.resp.body = BODY_CHUNKED;
    act_response(&probe);
    ck_assert(!is_open(&s));
    act_end(&probe);
    stage_end(&s);
}
END_TEST

START_TEST(test_a_service_may_ask_to_be_left_alone_for_longer)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "u",
                         "{trip: {consecutive: 1}, reset_timeout: 10s}"));
    {
        struct act a;

        act_begin(&a, &s, "192.0.2.1");
        ck_assert(attempt(&a));
        attempt_done(&a, 503, REASON_OK);
        respond(&a, 503, REASON_OK);
        fields_add_known(&a.x.resp.fields, FIELD_RETRY_AFTER, STR("60"));
        act_response(&a);
        act_end(&a);
    }
    stage_pass_time(&s, 59 * NS_PER_S);
    ck_assert(is_open(&s));
    stage_pass_time(&s, 2 * NS_PER_S);
    ck_assert(!is_open(&s));
    stage_end(&s);
}
END_TEST

START_TEST(test_in_shadow_all_pass_and_it_is_noted)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    open_it(&s);
    stage_pass_time(&s, 0);
    s.loop.now_ns -= 5 * NS_PER_S; /* still open */
    s.step.mode = CONF_MODE_SHADOW;
    act_begin(&a, &s, "192.0.2.1");
    ck_assert(attempt(&a) && attempt(&a));
    ck_assert_int_eq(a.x.record.shadow, REASON_CIRCUIT_OPEN);
    ck_assert_uint_eq(counted(&s, FAMILY_SHADOW), 1); /* not for each attempt */
    attempt_done(&a, 200, REASON_OK);
    respond(&a, 200, REASON_OK);
    act_response(&a);
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_each_service_has_its_own)
{
    struct stage s;

    stage_begin(&s);
    open_it(&s);
    s.loop.now_ns -= 5 * NS_PER_S;
    ck_assert(is_open(&s));
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "other", THREE));
    ck_assert(!is_open(&s));
    ck_assert(stage_step(&s, &circuit_breaker_middleware, "u", THREE));
    ck_assert(is_open(&s));
    stage_end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("circuit_breaker");
    TCase *c = tcase_create("circuit_breaker");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_failures_in_a_row_open_it);
    tcase_add_test(c, test_the_defaults_are_five_failures_and_ten_seconds);
    tcase_add_loop_test(c, test_what_is_a_failure, 0, (int)ARRAY_LEN(outcomes));
    tcase_add_test(c, test_why_the_exchange_failed_counts_more_than_how_the_attempt_ended);
    tcase_add_test(c, test_a_service_that_waited_for_the_client_in_vain_has_not_failed);
    tcase_add_loop_test(c, test_attempts_of_one_exchange_count_once, 0, 2);
    tcase_add_test(c, test_a_success_in_between_starts_the_count_anew);
    tcase_add_test(c, test_a_failure_is_told_before_the_answer_is_sent);
    tcase_add_test(c, test_answers_that_break_off_are_failures);
    tcase_add_loop_test(c, test_one_probe_closes_it_or_opens_it_again, 0, 2);
    tcase_add_test(c, test_a_probe_whose_client_left_is_given_back);
    tcase_add_test(c, test_the_head_of_a_stream_closes_it);
    tcase_add_test(c, test_a_service_may_ask_to_be_left_alone_for_longer);
    tcase_add_test(c, test_in_shadow_all_pass_and_it_is_noted);
    tcase_add_test(c, test_each_service_has_its_own);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

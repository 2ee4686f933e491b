/* An exchange ends once, whoever ends it and when; it says why, and gives back all it held. */
#include <check.h>
#include <stdlib.h>

#include "by_hand.h"
#include "gateway/base/number.h"

static struct stage s;

static void assert_over(enum reason reason)
{
    stage_turn(&s);
    ck_assert_uint_eq(s.reports, 1);
    ck_assert_int_eq(s.reason, reason);
    ck_assert_uint_eq(s.local.running, 0);
    ck_assert_int_eq(s.holds, 1);
    stage_end(&s);
}

START_TEST(test_a_request_goes_to_its_route_and_is_answered)
{
    struct exchange *x;

    stage_begin(&s, 1);
    x = stage_begin_request(&s, METHOD_GET, "/users/7");
    exchange_start(x);
    ck_assert_uint_eq(s.starts, 1);
    ck_assert_ptr_eq(x->route, &s.route);
    handler_head(x, true);
    ck_assert_uint_eq(s.status, 200);
    stage_turn(&s);
    ck_assert_str_eq(s.story, "a>a<a.");
    ck_assert_uint_eq(s.ends, 1);
    assert_over(REASON_OK);
}
END_TEST

START_TEST(test_what_nobody_claims_goes_to_unmatched)
{
    struct exchange *x;

    stage_begin(&s, 1);
    s.answers_at_once = true;
    x = stage_begin_request(&s, METHOD_GET, "/other");
    exchange_start(x);
    ck_assert_str_eq(s.story, "");
    assert_over(REASON_NO_ROUTE);
}
END_TEST

START_TEST(test_the_wrong_method_says_which_are_right)
{
    struct exchange *x;

    stage_begin(&s, 1);
    x = stage_begin_request(&s, METHOD_DELETE, "/users");
    exchange_start(x);
    ck_assert_uint_ne(x->allowed_methods & 1u << METHOD_GET, 0);
    ck_assert_uint_eq(x->allowed_methods & 1u << METHOD_DELETE, 0);
    handler_head(x, true);
    assert_over(REASON_METHOD_NOT_ALLOWED);
}
END_TEST

START_TEST(test_a_head_that_could_not_be_read_is_answered_without_a_route)
{
    struct exchange *x;

    stage_begin(&s, 1);
    x = exchange_begin(&s.local, &s.stream);
    fields_init(&x->req.fields, &x->arena, 0);
    exchange_reject(x, 400, REASON_BAD_REQUEST, "no");
    ck_assert_uint_eq(s.status, 400);
    ck_assert_uint_eq(s.starts, 0);
    assert_over(REASON_BAD_REQUEST);
}
END_TEST

START_TEST(test_a_body_that_says_it_is_too_large_reaches_nobody)
{
    struct exchange *x;

    stage_begin(&s, 1);
    s.route.limits.body_size = 100;
    x = stage_begin_request(&s, METHOD_PUT, "/users");
    x->req.body = BODY_LENGTH;
    x->req.content_length = 101;
    exchange_start(x);
    ck_assert_uint_eq(s.status, 413);
    ck_assert_uint_eq(s.starts, 0);
    ck_assert_str_eq(s.story, "");
    assert_over(REASON_BODY_TOO_LARGE);
}
END_TEST

/* Counted as it comes: what was not taken the first time is not counted twice. */
START_TEST(test_a_body_that_grows_too_large_is_refused_where_it_does)
{
    struct piece p = { .data = STR("0123456789") };
    struct exchange *x;

    stage_begin(&s, 1);
    s.route.limits.body_size = 25;
    s.up.room = 15;
    x = stage_begin_request(&s, METHOD_PUT, "/users");
    x->req.body = BODY_CHUNKED;
    exchange_start(x);
    ck_assert_uint_eq(exchange_request_body(x, &p), 10);
    ck_assert_uint_eq(exchange_request_body(x, &p), 5);
    s.up.room = 100;
    ck_assert_uint_eq(exchange_request_body(x, &(struct piece){ .data = STR("56789") }), 5);
    ck_assert_uint_eq(s.heads, 0);
    ck_assert_uint_eq(exchange_request_body(x, &p), 10); /* dropped */
    ck_assert_uint_eq(s.status, 413);
    ck_assert_uint_eq(s.up.len, 20);
    ck_assert_uint_eq(s.cancels, 1);
    ck_assert_uint_eq(exchange_request_body(x, &p), 10); /* still coming, still dropped */
    stage_turn(&s);
    ck_assert_uint_eq(s.ends, 1);
    assert_over(REASON_BODY_TOO_LARGE);
}
END_TEST

START_TEST(test_a_body_that_comes_while_steps_decide_waits)
{
    struct piece p = { .data = STR("early"), .last = true };
    struct exchange *x;

    stage_begin(&s, 1);
    s.scripts[0].in = SLEEP;
    x = stage_begin_request(&s, METHOD_PUT, "/users");
    x->req.body = BODY_CHUNKED;
    exchange_start(x);
    ck_assert_uint_eq(exchange_request_body(x, &p), 0);
    stage_pass_ms(&s, 60);
    exchange_resume_body(x);
    ck_assert_uint_eq(s.resumes, 1);
    ck_assert_uint_eq(exchange_request_body(x, &p), 5);
    ck_assert_int_eq(x->in, SIDE_DONE);
    handler_head(x, true);
    assert_over(REASON_OK);
}
END_TEST

/* ---- ends ------------------------------------------------------------------------------------- */

enum moment { PARKED_IN, AT_HANDLER, PARKED_OUT, SENDING, HELD_BY_CLIENT, ANSWERED, MOMENTS };

static struct exchange *until(enum moment m)
{
    struct piece p = { .data = STR("half of it") };
    struct exchange *x;

    stage_begin(&s, 2);
    if (m == PARKED_IN)
        s.scripts[1].in = AWAIT;
    if (m == PARKED_OUT)
        s.scripts[1].out = AWAIT;
    if (m == HELD_BY_CLIENT)
        s.down.room = 3;
    x = stage_begin_request(&s, METHOD_PUT, "/users");
    x->req.body = BODY_CHUNKED;
    exchange_start(x);
    if (m > AT_HANDLER)
        handler_head(x, m == ANSWERED);
    if (m == SENDING || m == HELD_BY_CLIENT)
        ck_assert_uint_eq(exchange_body(x, &p), m == SENDING ? p.data.len : 3);
    return x;
}

START_TEST(test_a_client_may_leave_at_any_moment)
{
    struct exchange *x = until((enum moment)_i);

    exchange_client_gone(x, REASON_CLIENT_GONE);
    ck_assert_uint_le(s.cancels, 1);
    ck_assert(_i == PARKED_IN || _i == ANSWERED || s.cancels == 1); /* at once */
    exchange_client_room(x);
    exchange_resume_body(x);
    ck_assert_uint_eq(exchange_request_body(x, &(struct piece){ .data = STR("more") }), 4);
    stage_turn(&s);
    ck_assert_uint_eq(s.ends + s.resets + s.resumes, 0);
    ck_assert_uint_le(s.cancels, 1);
    assert_over(_i == ANSWERED ? REASON_OK : REASON_CLIENT_GONE);
}
END_TEST

START_TEST(test_a_failure_is_answered_before_the_head_and_cuts_behind_it)
{
    struct exchange *x = until((enum moment)_i);

    exchange_fail(x, 502, REASON_UPSTREAM_RESET, NULL);
    exchange_fail(x, 500, REASON_INTERNAL, NULL); /* the second time it is over */
    stage_turn(&s);
    if (_i < SENDING) {
        ck_assert_uint_eq(s.status, 502);
        ck_assert_uint_eq(s.down.lasts, 1);
        ck_assert_uint_eq(s.resets, 0);
        ck_assert_uint_eq(s.ends, 1);
    } else {
        ck_assert_uint_eq(s.status, 200);
        ck_assert_uint_eq(s.down.lasts, 0);
        ck_assert_uint_eq(s.resets, _i == ANSWERED ? 0 : 1);
    }
    ck_assert_uint_le(s.cancels, 1);
    assert_over(_i == ANSWERED ? REASON_OK : REASON_UPSTREAM_RESET);
}
END_TEST

START_TEST(test_an_answer_may_be_complete_before_the_request_is)
{
    struct piece p = { .data = STR("done"), .last = true };
    struct exchange *x = until(SENDING);

    ck_assert_uint_eq(exchange_body(x, &p), 4);
    ck_assert_int_eq(x->in, SIDE_ABANDONED);
    ck_assert_uint_eq(exchange_request_body(x, &p), 4); /* interests nobody */
    stage_turn(&s);
    ck_assert_uint_eq(s.ends, 1);
    ck_assert(str_equal(str_of(s.down.body, s.down.len), STR("half of itdone")));
    assert_over(REASON_OK);
}
END_TEST

START_TEST(test_an_answer_made_here_waits_for_room)
{
    struct exchange *x;

    stage_begin(&s, 0);
    s.down.room = 2;
    x = stage_begin_request(&s, METHOD_GET, "/users");
    exchange_start(x);
    exchange_fail(x, 503, REASON_OVERLOADED, "come again another time");
    stage_turn(&s);
    ck_assert_uint_eq(s.ends, 0);
    for (int n = 0; s.down.lasts == 0; n++) {
        ck_assert_int_lt(n, 100);
        s.down.room = 5;
        exchange_client_room(x);
    }
    ck_assert_uint_eq(x->record.bytes_out, s.down.len);
    ck_assert_uint_gt(s.down.len, 20);
    assert_over(REASON_OVERLOADED);
}
END_TEST

START_TEST(test_an_error_to_head_has_no_body)
{
    struct exchange *x;

    stage_begin(&s, 0);
    x = stage_begin_request(&s, METHOD_HEAD, "/users");
    exchange_start(x);
    exchange_fail(x, 502, REASON_UPSTREAM_RESET, NULL);
    ck_assert(s.head_last);
    ck_assert_uint_eq(s.down.len, 0);
    assert_over(REASON_UPSTREAM_RESET);
}
END_TEST

START_TEST(test_a_whole_that_takes_too_long_is_504)
{
    struct exchange *x;

    stage_begin(&s, 1);
    s.route.limits.request_ns = NS_PER_S;
    x = stage_begin_request(&s, METHOD_GET, "/users");
    exchange_start(x);
    ck_assert_uint_eq(x->due_ns, s.loop.now_ns + NS_PER_S);
    exchange_expired(x);
    ck_assert_uint_eq(s.status, 504);
    ck_assert_uint_eq(s.cancels, 1);
    assert_over(REASON_TIMEOUT);
}
END_TEST

START_TEST(test_early_answers_pass_only_before_the_answer)
{
    struct response early = { .status = 103 };
    struct exchange *x;

    stage_begin(&s, 0);
    x = stage_begin_request(&s, METHOD_GET, "/users");
    exchange_start(x);
    exchange_early(x, &early);
    ck_assert_uint_eq(s.earlies, 1);
    handler_head(x, false);
    exchange_early(x, &early);
    ck_assert_uint_eq(s.earlies, 1);
    exchange_client_gone(x, REASON_CLIENT_GONE);
    exchange_early(x, &early);
    ck_assert_uint_eq(s.earlies, 1);
    assert_over(REASON_CLIENT_GONE);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("exchange");
    TCase *t = tcase_create("exchange");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_a_request_goes_to_its_route_and_is_answered);
    tcase_add_test(t, test_what_nobody_claims_goes_to_unmatched);
    tcase_add_test(t, test_the_wrong_method_says_which_are_right);
    tcase_add_test(t, test_a_head_that_could_not_be_read_is_answered_without_a_route);
    tcase_add_test(t, test_a_body_that_says_it_is_too_large_reaches_nobody);
    tcase_add_test(t, test_a_body_that_grows_too_large_is_refused_where_it_does);
    tcase_add_test(t, test_a_body_that_comes_while_steps_decide_waits);
    tcase_add_loop_test(t, test_a_client_may_leave_at_any_moment, 0, MOMENTS);
    tcase_add_loop_test(t, test_a_failure_is_answered_before_the_head_and_cuts_behind_it, 0,
                        MOMENTS);
    tcase_add_test(t, test_an_answer_may_be_complete_before_the_request_is);
    tcase_add_test(t, test_an_answer_made_here_waits_for_room);
    tcase_add_test(t, test_an_error_to_head_has_no_body);
    tcase_add_test(t, test_a_whole_that_takes_too_long_is_504);
    tcase_add_test(t, test_early_answers_pass_only_before_the_answer);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

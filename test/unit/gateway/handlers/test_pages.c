/* The short pages of the gateway's own. */
#include <check.h>
#include <stdlib.h>

#include "by_hand.h"
#include "gateway/exchange/chain.h"
#include "gateway/handlers/health_page.h"
#include "gateway/handlers/static_reply.h"

static const struct health_page live = { false }, ready = { true };

static uint16_t health(const struct health_page *page, bool draining, bool closing_soon,
                       enum method method)
{
    struct stage s;
    uint16_t status;

    stage_begin(&s);
    s.local.draining = draining;
    s.worker.closing_soon = closing_soon;
    chain_in(stage_ask(&s, &health_page_handler, page, method));
    stage_turn(&s, 0);
    ck_assert(s.client.ended && s.client.last);
    ck_assert_int_eq(s.client.len > 0, method != METHOD_HEAD);
    if (method == METHOD_GET || method == METHOD_HEAD)
        ck_assert_str_eq(s.client.cache_control, "no-store");
    else
        ck_assert_str_eq(s.client.allow, "GET, HEAD");
    status = s.client.status;
    stage_end(&s);
    return status;
}

START_TEST(test_live_says_yes_whatever_comes)
{
    ck_assert_uint_eq(health(&live, false, false, METHOD_GET), 200);
    ck_assert_uint_eq(health(&live, true, true, METHOD_GET), 200);
    ck_assert_uint_eq(health(&live, false, false, METHOD_HEAD), 200);
}
END_TEST

START_TEST(test_ready_says_no_as_soon_as_the_end_is_known)
{
    ck_assert_uint_eq(health(&ready, false, false, METHOD_GET), 200);
    ck_assert_uint_eq(health(&ready, false, true, METHOD_GET), 503);
    ck_assert_uint_eq(health(&ready, true, false, METHOD_GET), 503);
}
END_TEST

START_TEST(test_pages_are_only_read)
{
    ck_assert_uint_eq(health(&live, false, false, METHOD_POST), 405);
    ck_assert_uint_eq(health(&ready, false, false, METHOD_OTHER), 405);
}
END_TEST

static void unmatched(struct stage *s, const struct static_reply *reply, enum reason reason,
                      const char *accept)
{
    struct exchange *x = stage_ask(s, &static_reply_handler, reply, METHOD_GET);

    x->reason = reason;
    x->allowed_methods = 1u << METHOD_GET | 1u << METHOD_DELETE;
    if (accept)
        fields_add(&x->req.fields, STR("Accept"), str_from(accept));
    chain_in(x);
    stage_turn(s, 0);
    ck_assert(s->client.ended);
}

static void ck_assert_body(const struct stage *s, const char *text)
{
    ck_assert_uint_eq(s->client.len, strlen(text));
    ck_assert_mem_eq(s->client.body, text, strlen(text));
}

START_TEST(test_what_no_service_claims_is_answered_as_configured)
{
    static const struct static_reply plain = { .status = 404 };
    static const struct static_reply own = { .status = 410, .body = STR_INIT("Nothing here") };
    static const struct static_reply html = { .status = 200,
                                              .body = STR_INIT("<p>hello</p>"),
                                              .content_type = STR_INIT("text/html") };
    struct stage s;

    stage_begin(&s);
    unmatched(&s, &plain, REASON_NO_ROUTE, NULL);
    ck_assert_uint_eq(s.client.status, 404);
    ck_assert_body(&s, "Not Found\n");
    stage_end(&s);

    stage_begin(&s);
    unmatched(&s, &own, REASON_NO_ROUTE, NULL);
    ck_assert_uint_eq(s.client.status, 410);
    ck_assert_body(&s, "Nothing here\n");
    stage_end(&s);

    stage_begin(&s);
    unmatched(&s, &html, REASON_NO_ROUTE, "application/json");
    ck_assert_str_eq(s.client.content_type, "text/html");
    ck_assert_body(&s, "<p>hello</p>");
    stage_end(&s);
}
END_TEST

START_TEST(test_programs_that_ask_for_json_get_a_problem)
{
    static const struct static_reply plain = { .status = 404 };
    struct stage s;

    stage_begin(&s);
    unmatched(&s, &plain, REASON_NO_ROUTE, "application/json");
    ck_assert_str_eq(s.client.content_type, "application/problem+json");
    ck_assert_ptr_nonnull(memmem(s.client.body, s.client.len, "\"no_route\"", 10));
    stage_end(&s);
}
END_TEST

START_TEST(test_a_wrong_method_is_told_the_right_ones)
{
    static const struct static_reply plain = { .status = 404 };
    struct stage s;

    stage_begin(&s);
    unmatched(&s, &plain, REASON_METHOD_NOT_ALLOWED, NULL);
    ck_assert_uint_eq(s.client.status, 405);
    ck_assert_str_eq(s.client.allow, "GET, DELETE");
    stage_end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("pages");
    TCase *c = tcase_create("pages");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_live_says_yes_whatever_comes);
    tcase_add_test(c, test_ready_says_no_as_soon_as_the_end_is_known);
    tcase_add_test(c, test_pages_are_only_read);
    tcase_add_test(c, test_what_no_service_claims_is_answered_as_configured);
    tcase_add_test(c, test_programs_that_ask_for_json_get_a_problem);
    tcase_add_test(c, test_a_wrong_method_is_told_the_right_ones);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Methods and statuses as text. */
#include <check.h>

#include "gateway/http/message.h"
#include "gateway/http/octets.h"

START_TEST(test_a_method_is_what_its_text_says)
{
    ck_assert_int_eq(method_from(method_text((enum method)_i)), _i);
}
END_TEST

START_TEST(test_case_and_length_of_a_method_matter)
{
    static const struct str others[] = {
        STR_INIT(""),        STR_INIT("get"),     STR_INIT("GETS"),  STR_INIT("GE"),
        STR_INIT("PURGE"),   STR_INIT("PATCHED"), STR_INIT("HEAP"),  STR_INIT("DELETF"),
        STR_INIT("OPTIONT"), STR_INIT("CONNECU"), STR_INIT("TRACF"), STR_INIT("PUU"),
        STR_INIT("POSU")
    };

    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        ck_assert_int_eq(method_from(others[i]), METHOD_OTHER);
    ck_assert_uint_eq(method_text(METHOD_OTHER).len, 0);
}
END_TEST

START_TEST(test_safe_methods_are_idempotent_and_post_is_neither)
{
    for (enum method m = METHOD_OTHER; m < METHOD_COUNT; m++)
        ck_assert(!method_is_safe(m) || method_is_idempotent(m));
    ck_assert(method_is_safe(METHOD_GET) && method_is_safe(METHOD_HEAD));
    ck_assert(method_is_idempotent(METHOD_PUT) && method_is_idempotent(METHOD_DELETE));
    ck_assert(!method_is_safe(METHOD_PUT) && !method_is_safe(METHOD_DELETE));
    ck_assert(!method_is_idempotent(METHOD_POST) && !method_is_idempotent(METHOD_PATCH));
    ck_assert(!method_is_idempotent(METHOD_OTHER));
}
END_TEST

START_TEST(test_statuses_have_their_standard_phrase_or_none)
{
    ck_assert(str_equal(status_reason(200), STR("OK")));
    ck_assert(str_equal(status_reason(429), STR("Too Many Requests")));
    ck_assert(str_equal(status_reason(504), STR("Gateway Timeout")));
    ck_assert_uint_eq(status_reason(299).len, 0);
    ck_assert_uint_eq(status_reason(0).len, 0);
}
END_TEST

START_TEST(test_phrases_are_words_that_a_line_can_hold)
{
    unsigned known = 0;

    for (unsigned status = 0; status < 1000; status++) {
        struct str phrase = status_reason(status);

        known += phrase.len > 0;
        ck_assert(phrase.len == 0 || (status >= 100 && status <= 599));
        for (size_t i = 0; i < phrase.len; i++)
            ck_assert(octet_is(phrase.at[i], OCTET_TOKEN) || phrase.at[i] == ' ');
    }
    ck_assert_uint_gt(known, 40);
}
END_TEST

START_TEST(test_no_body_follows_head_1xx_204_and_304)
{
    ck_assert(response_has_body(200, METHOD_GET));
    ck_assert(response_has_body(404, METHOD_POST));
    ck_assert(!response_has_body(200, METHOD_HEAD));
    ck_assert(!response_has_body(101, METHOD_GET));
    ck_assert(!response_has_body(204, METHOD_GET));
    ck_assert(!response_has_body(304, METHOD_GET));
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("message");
    TCase *tests = tcase_create("message");
    SRunner *runner;
    int failed;

    tcase_add_loop_test(tests, test_a_method_is_what_its_text_says, METHOD_GET, METHOD_COUNT);
    tcase_add_test(tests, test_case_and_length_of_a_method_matter);
    tcase_add_test(tests, test_safe_methods_are_idempotent_and_post_is_neither);
    tcase_add_test(tests, test_statuses_have_their_standard_phrase_or_none);
    tcase_add_test(tests, test_phrases_are_words_that_a_line_can_hold);
    tcase_add_test(tests, test_no_body_follows_head_1xx_204_and_304);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

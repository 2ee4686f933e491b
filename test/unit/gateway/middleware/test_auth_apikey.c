/* Who has a key, and who has none. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "by_hand.h"

extern const struct middleware auth_apikey_middleware;

static enum verdict ask(struct stage *s, const char *header, const char *key)
{
    struct act a;
    enum verdict v;

    act_begin(&a, s, "192.0.2.1");
    if (key)
        act_header(&a, header, key);
    v = act_request(&a);
    if (v == NEXT)
        ck_assert_uint_eq(a.x.who.api_key.len, strlen(key));
    else
        ck_assert_uint_eq(a.x.who.api_key.len, 0);
    act_end(&a);
    return v;
}

/* A request with a valid key passes, and the key is its identity. */
START_TEST(test_valid_keys_pass)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123, dwe-569]"));
    ck_assert_int_eq(ask(&s, "X-API-KEY", "abc-123"), NEXT);
    ck_assert_int_eq(ask(&s, "x-api-key", "dwe-569"), NEXT);
    stage_end(&s);
}
END_TEST

static const char *const wrong[] = { NULL,       "",        "abc",     "abc-12",
                                     "abc-1234", "ABC-123", "abc-124", "abc-123,dwe-569",
                                     "abc-123 ", "*",       "\xff\xfe" };

START_TEST(test_what_is_not_exactly_a_key_is_refused)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123, dwe-569]"));
    ck_assert_int_eq(ask(&s, "X-API-KEY", wrong[_i]), REPLIED);
    stage_end(&s);
}
END_TEST

/* Two parsers could take different ones. */
START_TEST(test_two_keys_are_none_even_if_both_are_valid)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123, dwe-569]"));
    act_begin(&a, &s, "192.0.2.1");
    act_header(&a, "X-API-KEY", "abc-123");
    act_header(&a, "X-Api-Key", _i ? "abc-123" : "dwe-569");
    ck_assert_int_eq(act_request(&a), REPLIED);
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_a_refusal_has_the_words_of_the_seed_and_a_challenge)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123]"));
    act_begin(&a, &s, "192.0.2.1");
    act_header(&a, "X-API-KEY", "a-wrong-secret");
    ck_assert_int_eq(act_request(&a), REPLIED);
    ck_assert_uint_eq(a.x.resp.status, 401);
    ck_assert_int_eq(a.x.reason, REASON_AUTH_FAILED);
    ck_assert(str_equal(a.x.own_body, STR("Authentication Failed\n")));
    ck_assert_str_eq(act_answer(&a, "WWW-Authenticate"), "ApiKey header=\"X-API-KEY\"");
    ck_assert_ptr_null(memmem(a.x.own_body.at, a.x.own_body.len, "secret", 6));
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_programs_that_ask_for_json_get_a_problem)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123]"));
    act_begin(&a, &s, "192.0.2.1");
    act_header(&a, "Accept", "application/json");
    ck_assert_int_eq(act_request(&a), REPLIED);
    ck_assert_str_eq(act_answer(&a, "Content-Type"), "application/problem+json");
    ck_assert_ptr_nonnull(
        memmem(a.x.own_body.at, a.x.own_body.len, "\"Authentication Failed\"", 23));
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_status_text_and_header_are_as_configured)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u",
                         "{valid_keys: [abc-123], header: X-Token, status: 403, body: No way}"));
    ck_assert_int_eq(ask(&s, "X-Token", "abc-123"), NEXT);
    ck_assert_int_eq(ask(&s, "X-API-KEY", "abc-123"), REPLIED);
    act_begin(&a, &s, "192.0.2.1");
    ck_assert_int_eq(act_request(&a), REPLIED);
    ck_assert_uint_eq(a.x.resp.status, 403);
    ck_assert(str_equal(a.x.own_body, STR("No way\n")));
    ck_assert_str_eq(act_answer(&a, "WWW-Authenticate"), "");
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_strip_takes_the_key_off_the_request_and_keeps_it_as_identity)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u",
                         _i ? "{valid_keys: [abc-123], strip: true}" : "valid_keys: [abc-123]"));
    act_begin(&a, &s, "192.0.2.1");
    act_header(&a, "X-API-KEY", "abc-123");
    ck_assert_int_eq(act_request(&a), NEXT);
    ck_assert_int_eq(fields_find(&a.x.req.fields, FIELD_X_API_KEY) == NULL, _i);
    ck_assert(str_equal(a.x.who.api_key, STR("abc-123")));
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_in_shadow_all_pass_nobody_is_known_and_it_is_noted)
{
    struct stage s;
    struct act a;

    stage_begin(&s);
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", "valid_keys: [abc-123]"));
    s.step.mode = CONF_MODE_SHADOW;
    act_begin(&a, &s, "192.0.2.1");
    if (_i)
        act_header(&a, "X-API-KEY", "abc-123");
    ck_assert_int_eq(act_request(&a), NEXT);
    ck_assert_uint_eq(a.x.who.api_key.len, 0);
    ck_assert_int_eq(a.x.record.shadow, _i ? REASON_OK : REASON_AUTH_FAILED);
    act_end(&a);
    stage_end(&s);
}
END_TEST

START_TEST(test_every_one_of_many_keys_is_found_and_no_other)
{
    struct stage s;
    char yaml[20000] = "valid_keys: [";
    size_t len = strlen(yaml);

    stage_begin(&s);
    for (int i = 0; i < 1000; i++)
        len += (size_t)snprintf(yaml + len, sizeof yaml - len, "%skey-%d", i ? ", " : "", i);
    snprintf(yaml + len, sizeof yaml - len, "]");
    ck_assert(stage_step(&s, &auth_apikey_middleware, "u", yaml));
    for (int i = 0; i < 1100; i++) {
        char key[16];

        snprintf(key, sizeof key, "key-%d", i);
        ck_assert_int_eq(ask(&s, "X-API-KEY", key), i < 1000 ? NEXT : REPLIED);
    }
    stage_end(&s);
}
END_TEST

static const char *const bad[] = { "{}",
                                   "valid_keys: []",
                                   "{valid_keys: [a], header: \"a b\"}",
                                   "{valid_keys: [a], header: \"a:b\"}",
                                   "{valid_keys: [a], status: 200}",
                                   "{valid_keys: [a], nonsense: 1}" };

START_TEST(test_settings_that_cannot_work_fail_the_load)
{
    struct stage s;

    stage_begin(&s);
    ck_assert(!stage_step(&s, &auth_apikey_middleware, "u", bad[_i]));
    stage_end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("auth_apikey");
    TCase *c = tcase_create("auth_apikey");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_valid_keys_pass);
    tcase_add_loop_test(c, test_what_is_not_exactly_a_key_is_refused, 0, (int)ARRAY_LEN(wrong));
    tcase_add_loop_test(c, test_two_keys_are_none_even_if_both_are_valid, 0, 2);
    tcase_add_test(c, test_a_refusal_has_the_words_of_the_seed_and_a_challenge);
    tcase_add_test(c, test_programs_that_ask_for_json_get_a_problem);
    tcase_add_test(c, test_status_text_and_header_are_as_configured);
    tcase_add_loop_test(c, test_strip_takes_the_key_off_the_request_and_keeps_it_as_identity, 0, 2);
    tcase_add_loop_test(c, test_in_shadow_all_pass_nobody_is_known_and_it_is_noted, 0, 2);
    tcase_add_test(c, test_every_one_of_many_keys_is_found_and_no_other);
    tcase_add_loop_test(c, test_settings_that_cannot_work_fail_the_load, 0, (int)ARRAY_LEN(bad));
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

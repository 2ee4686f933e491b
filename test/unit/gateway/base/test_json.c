/* Writing JSON that is always JSON. */
#include <check.h>
#include <math.h>
#include <stdlib.h>

#include "gateway/base/json.h"

#define ck_assert_text(s, literal) ck_assert_msg(str_equal(s, STR(literal)), "is %.*s", STR_ARGS(s))

START_TEST(test_commas_stand_between_members_and_nowhere_else)
{
    struct json_writer w;

    json_growing(&w);
    json_object(&w);
    json_key(&w, STR("a"));
    json_array(&w);
    json_u64(&w, 1);
    json_i64(&w, -2);
    json_object(&w);
    json_end(&w);
    json_array(&w);
    json_end(&w);
    json_bool(&w, true);
    json_null(&w);
    json_end(&w);
    json_key(&w, STR("b"));
    json_string(&w, STR("x"));
    json_end(&w);
    ck_assert_text(json_text(&w), "{\"a\":[1,-2,{},[],true,null],\"b\":\"x\"}");
    json_clear(&w);
    json_bool(&w, false);
    ck_assert_text(json_text(&w), "false");
    json_free(&w);
}
END_TEST

static const struct {
    struct str bytes;
    const char *json;
} strings[] = {
    { STR_INIT(""), "\"\"" },
    { STR_INIT("plain / text"), "\"plain / text\"" },
    { STR_INIT("a\"b\\c"), "\"a\\\"b\\\\c\"" },
    { STR_INIT("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"" },
    { STR_INIT("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\\u007f\"" },
    { STR_INIT("gr\xc3\xbc\xc3\x9f"), "\"gr\xc3\xbc\xc3\x9f\"" },
    { STR_INIT("\xe2\x82\xac\xf0\x9f\x9a\x80"), "\"\xe2\x82\xac\xf0\x9f\x9a\x80\"" },
    { STR_INIT("a\xff"
               "b"),
      "\"a\xef\xbf\xbd"
      "b\"" },
    { STR_INIT("\xc3"), "\"\xef\xbf\xbd\"" },                 /* cut short */
    { STR_INIT("\xc0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\"" }, /* too long for a NUL */
    { STR_INIT("\xe0\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
    { STR_INIT("\xed\xa0\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" }, /* a surrogate */
    { STR_INIT("\xed\x9f\xbf"), "\"\xed\x9f\xbf\"" },
    { STR_INIT("\xf4\x8f\xbf\xbf"), "\"\xf4\x8f\xbf\xbf\"" },
    { STR_INIT("\xf4\x90\x80\x80"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
    { STR_INIT("\xf0\x8f\xbf\xbf"), "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
    { STR_INIT("\x80x"), "\"\xef\xbf\xbdx\"" },
    { STR_INIT("\xe2\x82"
               "x"),
      "\"\xef\xbf\xbd\xef\xbf\xbdx\"" },
};

START_TEST(test_any_bytes_become_a_string_of_valid_utf_8)
{
    struct json_writer w;

    json_growing(&w);
    json_string(&w, strings[_i].bytes);
    ck_assert_msg(str_equal(json_text(&w), str_from(strings[_i].json)), "is %.*s",
                  STR_ARGS(json_text(&w)));
    json_free(&w);
}
END_TEST

START_TEST(test_what_does_not_fit_sets_full_and_writes_nothing_more)
{
    char memory[8];
    struct json_writer w;

    json_fixed(&w, memory, sizeof memory);
    json_string(&w, STR("123456"));
    ck_assert(!w.full);
    ck_assert_uint_eq(w.len, 8);
    json_fixed(&w, memory, sizeof memory);
    json_string(&w, STR("12345678"));
    ck_assert(w.full);
    json_bool(&w, true);
    ck_assert_uint_le(w.len, 8);
    json_clear(&w);
    ck_assert(!w.full);
}
END_TEST

START_TEST(test_numbers_are_json_numbers)
{
    struct json_writer w;

    json_growing(&w);
    json_array(&w);
    json_u64(&w, UINT64_MAX);
    json_i64(&w, INT64_MIN);
    json_ms(&w, 12345678);
    json_ms(&w, 999);
    json_double(&w, 0.5);
    json_double(&w, 1e300);
    json_double(&w, NAN);
    json_double(&w, -INFINITY);
    json_end(&w);
    ck_assert_text(json_text(&w),
                   "[18446744073709551615,-9223372036854775808,12.345,0.000,0.5,1e+300,null,null]");
    json_free(&w);
}
END_TEST

START_TEST(test_a_growing_writer_takes_as_much_as_it_is_given)
{
    struct json_writer w;
    char large[5000];

    memset(large, 'x', sizeof large);
    json_growing(&w);
    json_array(&w);
    for (unsigned i = 0; i < 100; i++)
        json_string(&w, str_of(large, sizeof large));
    json_end(&w);
    ck_assert_uint_eq(w.len, 2 + 100 * 5002 + 99);
    ck_assert(!w.full);
    json_free(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("json");
    TCase *t = tcase_create("json");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_commas_stand_between_members_and_nowhere_else);
    tcase_add_loop_test(t, test_any_bytes_become_a_string_of_valid_utf_8, 0, ARRAY_LEN(strings));
    tcase_add_test(t, test_what_does_not_fit_sets_full_and_writes_nothing_more);
    tcase_add_test(t, test_numbers_are_json_numbers);
    tcase_add_test(t, test_a_growing_writer_takes_as_much_as_it_is_given);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

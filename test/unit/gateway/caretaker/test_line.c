/* Lines of the access log are JSON, whatever clients send. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "conf/settings.h"
#include "gateway/caretaker/line.h"
#include "gateway/exchange/record.h"

#define ALL ((UINT64_C(1) << CONF_ACCESS_FIELDS) - 1)

static struct record_line record(void)
{
    return (struct record_line){
        .numbers = { .wall_ns = UINT64_C(1767323045678000000),
                     .latency_ns = 12345678,
                     .upstream_ns = 9000999,
                     .bytes_in = 3,
                     .bytes_out = 1024,
                     .status = 200,
                     .upstream_status = 201,
                     .attempts = 2,
                     .reason = REASON_OK,
                     .version = 11 },
        .texts = { [RECORD_METHOD] = STR("POST"),
                   [RECORD_PATH] = STR("/users/7"),
                   [RECORD_SERVICE] = STR("users"),
                   [RECORD_CLIENT] = STR("192.0.2.1"),
                   [RECORD_CONSUMER] = STR("mobile-app"),
                   [RECORD_HOST] = STR("example.com:8080"),
                   [RECORD_ROUTE] = STR("/users"),
                   [RECORD_ENDPOINT] = STR("10.0.0.1:80") },
    };
}

static const char *line(const struct record_line *r, uint64_t fields)
{
    static char text[LINE_MAX_BYTES + 1];
    struct date_cache dates = { 0 };
    size_t len = line_json(text, r, fields, 3, &dates);

    ck_assert_uint_le(len, LINE_MAX_BYTES);
    text[len] = '\0';
    return text;
}

START_TEST(test_a_line_holds_all_fields_in_their_order)
{
    struct record_line r = record();

    ck_assert_str_eq(
        line(&r, ALL),
        "{\"ts\":\"2026-01-02T03:04:05.678Z\",\"method\":\"POST\",\"path\":\"/users/"
        "7\",\"status\":200,"
        "\"latency_ms\":12.345,\"service\":\"users\",\"client\":\"192.0.2.1\",\"reason\":\"ok\","
        "\"consumer\":\"mobile-app\",\"host\":\"example.com:8080\",\"route\":\"/"
        "users\",\"upstream\":\"10.0.0.1:80\","
        "\"upstream_status\":201,\"upstream_ms\":9.000,\"attempts\":2,\"bytes_in\":3,"
        "\"bytes_out\":1024,\"protocol\":\"HTTP/1.1\",\"worker\":3}\n");
}
END_TEST

START_TEST(test_only_the_wanted_fields_are_written)
{
    struct record_line r = record();

    ck_assert_str_eq(line(&r, UINT64_C(1) << CONF_ACCESS_STATUS | UINT64_C(1) << CONF_ACCESS_PATH),
                     "{\"path\":\"/users/7\",\"status\":200}\n");
    ck_assert_str_eq(line(&r, 0), "{}\n");
}
END_TEST

START_TEST(test_a_line_names_no_consumer_where_there_is_none)
{
    struct record_line r = record();

    r.texts[RECORD_CONSUMER] = STR_NONE;
    ck_assert_str_eq(
        line(&r, UINT64_C(1) << CONF_ACCESS_STATUS | UINT64_C(1) << CONF_ACCESS_CONSUMER),
        "{\"status\":200}\n");
}
END_TEST

START_TEST(test_what_went_nowhere_has_no_upstream)
{
    struct record_line r = record();

    r.numbers.attempts = 0;
    r.numbers.upstream_status = 0;
    ck_assert_ptr_null(strstr(line(&r, ALL), "upstream"));
    r.numbers.attempts = 1;
    ck_assert_ptr_nonnull(strstr(line(&r, ALL), "\"upstream\":\"10.0.0.1:80\",\"upstream_ms\""));
}
END_TEST

START_TEST(test_a_shadow_refusal_is_said)
{
    struct record_line r = record();

    r.numbers.shadow = REASON_RATE_LIMITED;
    ck_assert_str_eq(line(&r, 0), "{\"shadow\":\"rate_limited\"}\n");
}
END_TEST

static const struct {
    const char *sent, *written;
} hostile[] = {
    { "/\"quoted\"", "\"/\\\"quoted\\\"\"" },
    { "/back\\slash/and/more", "\"/back\\\\slash/and/more\"" },
    { "/line\nfeed", "\"/line\\nfeed\"" },
    { "\x01", "\"\\u0001\"" },
    { "/seven77\x7f", "\"/seven77\\u007f\"" },
    { "/eight888", "\"/eight888\"" },
    { "/caf\xc3\xa9", "\"/caf\xc3\xa9\"" },
    { "/\xff\xc3(", "\"/\xef\xbf\xbd\xef\xbf\xbd(\"" },
    { "/1234567\xe2\x82", "\"/1234567\xef\xbf\xbd\xef\xbf\xbd\"" },
    { "", "\"\"" },
};

START_TEST(test_texts_stay_inside_their_quotes)
{
    struct record_line r = record();
    char expected[256];

    r.texts[RECORD_PATH] = str_from(hostile[_i].sent);
    snprintf(expected, sizeof expected, "{\"path\":%s}\n", hostile[_i].written);
    ck_assert_str_eq(line(&r, UINT64_C(1) << CONF_ACCESS_PATH), expected);
}
END_TEST

/* The fast way looks at eight bytes at a time: an odd byte must be seen at each place of each length. */
START_TEST(test_no_byte_slips_past_the_fast_way)
{
    struct record_line r = record();
    char text[40];

    for (unsigned c = 0; c < 256; c++)
        for (size_t len = 1; len < 20; len++)
            for (size_t at = 0; at < len; at++) {
                const char *written;
                bool plain = c >= 0x20 && c < 0x7f && c != '"' && c != '\\';

                memset(text, 'x', len);
                text[at] = (char)c;
                r.texts[RECORD_PATH] = str_of(text, len);
                written = line(&r, UINT64_C(1) << CONF_ACCESS_PATH);
                ck_assert_int_eq(strlen(written) == len + strlen("{\"path\":\"\"}\n") &&
                                     memcmp(written + 9, text, len) == 0,
                                 plain);
            }
}
END_TEST

START_TEST(test_the_longest_record_fits)
{
    struct record_line r = record();
    static char text[RECORD_PATH_MAX];
    char bytes[RECORD_BYTES_MAX];

    memset(text, 1, sizeof text);
    for (size_t i = 0; i < RECORD_TEXTS; i++)
        r.texts[i] = str_of(text, sizeof text);
    ck_assert(record_decode(str_of(bytes, record_encode(bytes, &r)), &r));
    ck_assert_uint_gt(strlen(line(&r, ALL)), 6 * RECORD_PATH_MAX);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("line");
    TCase *c = tcase_create("line");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_a_line_holds_all_fields_in_their_order);
    tcase_add_test(c, test_only_the_wanted_fields_are_written);
    tcase_add_test(c, test_a_line_names_no_consumer_where_there_is_none);
    tcase_add_test(c, test_what_went_nowhere_has_no_upstream);
    tcase_add_test(c, test_a_shadow_refusal_is_said);
    tcase_add_loop_test(c, test_texts_stay_inside_their_quotes, 0, (int)ARRAY_LEN(hostile));
    tcase_add_test(c, test_no_byte_slips_past_the_fast_way);
    tcase_add_test(c, test_the_longest_record_fits);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

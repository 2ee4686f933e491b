/* Records survive the way through a ring; what is no record is seen. */
#include <check.h>
#include <stdlib.h>

#include "gateway/exchange/record.h"

static struct record_line full(void)
{
    return (struct record_line){
        .numbers = { .wall_ns = 1,
                     .latency_ns = 2,
                     .upstream_ns = 3,
                     .bytes_in = 4,
                     .bytes_out = UINT64_MAX,
                     .status = 599,
                     .upstream_status = 200,
                     .attempts = 7,
                     .reason = REASON_RATE_LIMITED,
                     .shadow = REASON_AUTH_FAILED,
                     .version = 11 },
        .texts = { [RECORD_METHOD] = STR("GET"),
                   [RECORD_PATH] = STR("/a/b"),
                   [RECORD_SERVICE] = STR("users"),
                   [RECORD_CLIENT] = STR("::1"),
                   [RECORD_CONSUMER] = STR("mobile-app"),
                   [RECORD_HOST] = STR_NONE,
                   [RECORD_ROUTE] = STR("/a"),
                   [RECORD_ENDPOINT] = STR("10.0.0.1:80") },
    };
}

START_TEST(test_what_goes_in_comes_out)
{
    struct record_line in = full(), out;
    char bytes[RECORD_BYTES_MAX];
    size_t len = record_encode(bytes, &in);

    ck_assert_uint_eq(len, record_size(&in));
    ck_assert(record_decode(str_of(bytes, len), &out));
    ck_assert_uint_eq(out.numbers.wall_ns, 1);
    ck_assert_uint_eq(out.numbers.latency_ns, 2);
    ck_assert_uint_eq(out.numbers.upstream_ns, 3);
    ck_assert_uint_eq(out.numbers.bytes_in, 4);
    ck_assert_uint_eq(out.numbers.bytes_out, UINT64_MAX);
    ck_assert_uint_eq(out.numbers.status, 599);
    ck_assert_uint_eq(out.numbers.upstream_status, 200);
    ck_assert_uint_eq(out.numbers.attempts, 7);
    ck_assert_uint_eq(out.numbers.reason, REASON_RATE_LIMITED);
    ck_assert_uint_eq(out.numbers.shadow, REASON_AUTH_FAILED);
    ck_assert_uint_eq(out.numbers.version, 11);
    for (size_t i = 0; i < RECORD_TEXTS; i++)
        ck_assert(str_equal(out.texts[i], in.texts[i]));
}
END_TEST

START_TEST(test_long_texts_are_cut_and_the_size_is_bounded)
{
    static char text[100000];
    struct record_line in = full(), out;
    char bytes[RECORD_BYTES_MAX];
    size_t len;

    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < RECORD_TEXTS; i++)
        in.texts[i] = str_of(text, sizeof text);
    len = record_encode(bytes, &in);
    ck_assert_uint_eq(len, RECORD_BYTES_MAX);
    ck_assert_uint_eq(len, record_size(&in));
    ck_assert(record_decode(str_of(bytes, len), &out));
    for (size_t i = 0; i < RECORD_TEXTS; i++)
        ck_assert_uint_eq(out.texts[i].len, i == RECORD_PATH ? RECORD_PATH_MAX : RECORD_TEXT_MAX);
}
END_TEST

START_TEST(test_what_is_cut_or_longer_is_no_record)
{
    struct record_line in = full(), out;
    char bytes[RECORD_BYTES_MAX + 1] = { 0 };
    size_t len = record_encode(bytes, &in);

    for (size_t n = 0; n < len; n++) {
        char *part = malloc(n + 1); /* so that ASan sees who reads too far */

        memcpy(part, bytes, n);
        ck_assert(!record_decode(str_of(part, n), &out));
        free(part);
    }
    ck_assert(!record_decode(str_of(bytes, len + 1), &out));
}
END_TEST

START_TEST(test_another_layout_or_an_unknown_reason_is_no_record)
{
    struct record_line in = full(), out;
    char bytes[RECORD_BYTES_MAX];
    size_t len = record_encode(bytes, &in);

    bytes[offsetof(struct record_numbers, layout)]++;
    ck_assert(!record_decode(str_of(bytes, len), &out));
    in.numbers.reason = REASON_COUNT;
    len = record_encode(bytes, &in);
    ck_assert(!record_decode(str_of(bytes, len), &out));
    in = full();
    in.numbers.shadow = 255;
    len = record_encode(bytes, &in);
    ck_assert(!record_decode(str_of(bytes, len), &out));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("record");
    TCase *c = tcase_create("record");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_what_goes_in_comes_out);
    tcase_add_test(c, test_long_texts_are_cut_and_the_size_is_bounded);
    tcase_add_test(c, test_what_is_cut_or_longer_is_no_record);
    tcase_add_test(c, test_another_layout_or_an_unknown_reason_is_no_record);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

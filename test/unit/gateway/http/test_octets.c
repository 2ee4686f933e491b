/* Classes of octets and the scan that every head goes through. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/http/octets.h"

static bool in(int c, const char *set)
{
    return c != 0 && strchr(set, c) != NULL;
}

static bool is_alnum(int c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/* The classes are those of the RFCs, octet by octet. */
START_TEST(test_classes_are_those_of_the_grammar)
{
    for (int c = 0; c < 256; c++) {
        ck_assert_int_eq(octet_is((char)c, OCTET_TOKEN), is_alnum(c) || in(c, "!#$%&'*+-.^_`|~"));
        ck_assert_int_eq(octet_is((char)c, OCTET_TARGET), c > 0x20 && c < 0x7f && c != '#');
        ck_assert_int_eq(octet_is((char)c, OCTET_PATH), is_alnum(c) || in(c, "-._~!$&'()*+,;=:@"));
        ck_assert_int_eq(octet_is((char)c, OCTET_HOST), is_alnum(c) || in(c, "-._~"));
        ck_assert_int_eq(octet_is((char)c, OCTET_HEX), in(c, "0123456789abcdefABCDEF"));
        ck_assert_int_eq(octet_is((char)c, OCTET_DIGIT), in(c, "0123456789"));
        ck_assert_int_eq(octet_is((char)c, OCTET_COMMON), is_alnum(c) || c == '-');
    }
}
END_TEST

START_TEST(test_nothing_is_of_no_class)
{
    ck_assert(!octets_are(STR(""), OCTET_TOKEN));
    ck_assert(octets_are(STR("X-Name"), OCTET_TOKEN));
    ck_assert(!octets_are(STR("X Name"), OCTET_TOKEN));
}
END_TEST

START_TEST(test_hex_digits_have_their_value)
{
    for (unsigned v = 0; v < 16; v++) {
        ck_assert_uint_eq(octet_hex("0123456789abcdef"[v]), v);
        ck_assert_uint_eq(octet_hex("0123456789ABCDEF"[v]), v);
    }
}
END_TEST

static void ways_agree(const char *p, const char *end, const char *expected)
{
    /* One look, not three ck_asserts: each writes to a pipe, and this is asked a million times. */
    if (octets_find_control_plain(p, end) != expected ||
        octets_find_control_long(p, end) != expected || octets_find_control(p, end) != expected)
        ck_abort_msg("not all ways find the same in %zu octets", (size_t)(end - p));
}

/* One octet among harmless ones, at each place of texts of each length: controls are found, others not. */
START_TEST(test_every_way_to_scan_finds_the_same_control)
{
    static const unsigned char pads[] = { 'a', ' ', '\t', 0x80, 0xff, '~' };
    int c = _i;
    bool is_control = (c < 0x20 && c != '\t') || c == 0x7f;

    for (size_t len = 1; len < 150; len += len < 70 ? 1 : 13) {
        char *text = malloc(len); /* of that size, so that ASan sees a step too far */

        for (size_t at = 0; at < len; at++) {
            memset(text, pads[(len + at) % sizeof pads], len);
            text[at] = (char)c;
            ways_agree(text, text + len, is_control ? text + at : text + len);
        }
        free(text);
    }
}
END_TEST

/* The fast way past what is common must stop exactly where the class ends. */
START_TEST(test_tokens_and_targets_end_at_the_first_octet_of_another_class)
{
    char c = (char)_i;

    for (size_t len = 1; len < 70; len++) {
        char *text = malloc(len);

        for (size_t at = 0; at < len; at++) {
            memset(text, len % 2 ? 'x' : '_', len);
            text[at] = c;
            if (octets_token_end(text, text + len) != text + (octet_is(c, OCTET_TOKEN) ? len : at))
                ck_abort_msg("a token of %zu octets ends elsewhere than at %zu", len, at);
            if (octets_target_end(text, text + len) !=
                text + (octet_is(c, OCTET_TARGET) ? len : at))
                ck_abort_msg("a target of %zu octets ends elsewhere than at %zu", len, at);
        }
        free(text);
    }
}
END_TEST

START_TEST(test_the_first_of_many_controls_is_found)
{
    char text[200];

    for (size_t first = 0; first < sizeof text; first++) {
        memset(text, 'a', first);
        memset(text + first, '\r', sizeof text - first);
        ways_agree(text, text + sizeof text, text + first);
    }
    ways_agree(text, text, text);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("octets");
    TCase *tests = tcase_create("octets");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_classes_are_those_of_the_grammar);
    tcase_add_test(tests, test_nothing_is_of_no_class);
    tcase_add_test(tests, test_hex_digits_have_their_value);
    tcase_add_loop_test(tests, test_every_way_to_scan_finds_the_same_control, 0, 256);
    tcase_add_loop_test(tests, test_tokens_and_targets_end_at_the_first_octet_of_another_class, 0,
                        256);
    tcase_add_test(tests, test_the_first_of_many_controls_is_found);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

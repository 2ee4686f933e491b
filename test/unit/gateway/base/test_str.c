/* Text as a pointer and a length. */
#include <check.h>
#include <stdio.h>

#include "gateway/base/arena.h"
#include "gateway/base/str.h"

#define ck_assert_text(s, literal)                                                                 \
    ck_assert_msg(str_equal(s, STR(literal)), "is \"%.*s\"", STR_ARGS(s))

START_TEST(test_comparing_looks_at_bytes_and_length)
{
    ck_assert(str_equal(STR(""), STR_NONE));
    ck_assert(str_equal(STR("a\0b"), STR("a\0b")));
    ck_assert(!str_equal(STR("a\0b"), STR("a\0c")));
    ck_assert(!str_equal(STR("a"), STR("ab")));
    ck_assert(str_equal_folded(STR("Content-Type"), STR("cONTENT-tYPE")));
    ck_assert(!str_equal_folded(STR("a["), STR("a{"))); /* 0x20 apart, but no letters */
    ck_assert(!str_equal_folded(STR("a"), STR("ab")));
    ck_assert(str_equal_secret(STR("key"), STR("key")));
    ck_assert(!str_equal_secret(STR("key"), STR("kez")));
    ck_assert(!str_equal_secret(STR("key"), STR("ke")));
    ck_assert(str_equal_secret(STR_NONE, STR("")));
}
END_TEST

START_TEST(test_order_is_that_of_bytes_and_then_of_length)
{
    static const struct str sorted[] = { STR_INIT(""),   STR_INIT("A"), STR_INIT("a"),
                                         STR_INIT("aa"), STR_INIT("b"), STR_INIT("\xff") };

    for (size_t i = 0; i < ARRAY_LEN(sorted); i++)
        for (size_t j = 0; j < ARRAY_LEN(sorted); j++) {
            int order = str_compare(sorted[i], sorted[j]);

            ck_assert_int_eq((order > 0) - (order < 0), (i > j) - (i < j));
        }
}
END_TEST

START_TEST(test_beginnings_and_ends)
{
    ck_assert(str_starts(STR("abc"), STR("ab")));
    ck_assert(str_starts(STR("abc"), STR("")));
    ck_assert(!str_starts(STR("a"), STR("ab")));
    ck_assert(str_ends(STR("abc"), STR("bc")));
    ck_assert(!str_ends(STR("c"), STR("bc")));
    ck_assert(str_ends(STR_NONE, STR("")));
    ck_assert_uint_eq(str_index(STR("a:b:c"), ':'), 1);
    ck_assert_uint_eq(str_index(STR("abc"), ':'), 3);
    ck_assert_uint_eq(str_index(STR_NONE, ':'), 0);
}
END_TEST

START_TEST(test_parts_never_leave_the_text)
{
    ck_assert_text(str_from_index(STR("abc"), 1), "bc");
    ck_assert_text(str_from_index(STR("abc"), 3), "");
    ck_assert_text(str_from_index(STR("abc"), 99), "");
    ck_assert_text(str_from_index(STR_NONE, 5), "");
    ck_assert_text(str_up_to(STR("abc"), 2), "ab");
    ck_assert_text(str_up_to(STR("abc"), 99), "abc");
    ck_assert_text(str_trim(STR(" \t a b \t")), "a b");
    ck_assert_text(str_trim(STR(" \t")), "");
    ck_assert_text(str_trim(STR("\na\n")), "\na\n"); /* OWS is no newline */
}
END_TEST

START_TEST(test_a_cut_gives_what_stands_before_and_after)
{
    struct str rest;

    ck_assert_text(str_cut(STR("a=b=c"), '=', &rest), "a");
    ck_assert_text(rest, "b=c");
    ck_assert_text(str_cut(STR("abc"), '=', &rest), "abc");
    ck_assert_text(rest, "");
    ck_assert_text(str_cut(STR("="), '=', &rest), "");
    ck_assert_text(rest, "");
    ck_assert_text(str_cut(STR_NONE, '=', &rest), "");
}
END_TEST

static const struct {
    struct str list;
    const char *members; /* joined with | */
} lists[] = {
    { STR_INIT(""), "" },
    { STR_INIT(" , ,, "), "" },
    { STR_INIT("a"), "a|" },
    { STR_INIT("a, b ,c"), "a|b|c|" },
    { STR_INIT(",a,,b,"), "a|b|" },
    { STR_INIT("\"a, b\", c"), "\"a, b\"|c|" },
    { STR_INIT("\"a\\\", b\", c"), "\"a\\\", b\"|c|" },
    { STR_INIT("\"open, b"), "\"open, b|" },
    { STR_INIT("\"ends in \\"), "\"ends in \\|" },
};

START_TEST(test_members_of_a_list_are_trimmed_and_empty_ones_skipped)
{
    struct str rest = lists[_i].list, member;
    char all[100] = "";
    size_t len = 0;

    while (str_next_member(&rest, &member)) {
        len += (size_t)snprintf(all + len, sizeof all - len, "%.*s|", STR_ARGS(member));
    }
    ck_assert_str_eq(all, lists[_i].members);
}
END_TEST

START_TEST(test_what_is_kept_outlives_its_source)
{
    char source[] = "text";
    struct arena a;
    struct str kept, formatted;
    const char *z;

    arena_init(&a, NULL);
    kept = str_keep(&a, str_from(source));
    z = str_keep_z(&a, str_from(source));
    formatted = str_format(&a, "%s-%d", source, 5);
    source[0] = 'n';
    ck_assert_text(kept, "text");
    ck_assert_str_eq(z, "text");
    ck_assert_text(formatted, "text-5");
    ck_assert_str_eq(str_keep_z(&a, STR_NONE), "");
    ck_assert_uint_eq(str_keep(&a, STR_NONE).len, 0);
    arena_free(&a);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("str");
    TCase *t = tcase_create("str");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_comparing_looks_at_bytes_and_length);
    tcase_add_test(t, test_order_is_that_of_bytes_and_then_of_length);
    tcase_add_test(t, test_beginnings_and_ends);
    tcase_add_test(t, test_parts_never_leave_the_text);
    tcase_add_test(t, test_a_cut_gives_what_stands_before_and_after);
    tcase_add_loop_test(t, test_members_of_a_list_are_trimmed_and_empty_ones_skipped, 0,
                        ARRAY_LEN(lists));
    tcase_add_test(t, test_what_is_kept_outlives_its_source);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* Pairs are found where they stand, whatever stands around them, and decoded as forms mean them. */
#include <check.h>
#include <stdlib.h>

#include "gateway/http/pairs.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL);
}

static void teardown(void)
{
    arena_free(&arena);
}

struct expected {
    const char *text;
    const char *pairs[8]; /* whole, "|", name, "|", value */
};

static const struct expected queries[] = {
    { "", { NULL } },
    { "a=1", { "a=1|a|1" } },
    { "a=1&b=2", { "a=1|a|1", "b=2|b|2" } },
    { "a&b=", { "a|a|", "b=|b|" } },
    { "a=1=2", { "a=1=2|a|1=2" } },
    { "&&a=1&", { "||", "||", "a=1|a|1" } },
    { "=x", { "=x||x" } },
    { "a=1&a=2", { "a=1|a|1", "a=2|a|2" } },
    { "a%3D=%26", { "a%3D=%26|a%3D|%26" } },
};

static const struct expected cookies[] = {
    { "", { NULL } },
    { "a=1; b=2", { "a=1|a|1", "b=2|b|2" } },
    { " a = 1 ;b=2;", { "a = 1|a|1", "b=2|b|2" } },
    { "a; ;b=\"x y\"", { "a|a|", "||", "b=\"x y\"|b|\"x y\"" } },
    { "a=1=2;a=3", { "a=1=2|a|1=2", "a=3|a|3" } },
};

static void check_walk(const struct expected *e, bool (*next)(struct str *, struct pair *))
{
    struct str rest = str_from(e->text);
    struct pair p;
    size_t n = 0;

    while (next(&rest, &p)) {
        struct str said = str_format(&arena, "%.*s|%.*s|%.*s", STR_ARGS(p.whole), STR_ARGS(p.name),
                                     STR_ARGS(p.value));

        ck_assert_ptr_nonnull(e->pairs[n]);
        ck_assert_msg(str_equal(said, str_from(e->pairs[n])), "%s: %.*s, not %s", e->text,
                      STR_ARGS(said), e->pairs[n]);
        n++;
    }
    ck_assert_ptr_null(e->pairs[n]);
}

START_TEST(test_pairs_of_a_query_are_walked_as_they_stand)
{
    check_walk(&queries[_i], pairs_next_of_query);
}
END_TEST

START_TEST(test_pairs_of_a_cookie_are_walked_without_blanks)
{
    check_walk(&cookies[_i], pairs_next_of_cookie);
}
END_TEST

static const struct {
    const char *coded, *plain;
} codings[] = {
    { "", "" },           { "abc", "abc" },   { "a+b", "a b" },         { "%41%62c", "Abc" },
    { "%2B%20+", "+  " }, { "100%", "100%" }, { "%4", "%4" },           { "%zz%4g", "%zz%4g" },
    { "%%41", "%A" },     { "%25%34", "%4" }, { "%c3%A9", "\xc3\xa9" },
};

START_TEST(test_a_form_is_decoded_once_and_what_is_no_coding_stands_for_itself)
{
    struct str coded = str_from(codings[_i].coded), plain = form_decode(coded, &arena);

    ck_assert_msg(str_equal(plain, str_from(codings[_i].plain)), "%s: %.*s", codings[_i].coded,
                  STR_ARGS(plain));
}
END_TEST

START_TEST(test_what_is_not_coded_is_not_copied)
{
    struct str s = STR("plain-text");

    ck_assert_ptr_eq(form_decode(s, &arena).at, s.at);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("pairs");
    TCase *t = tcase_create("pairs");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, setup, teardown);
    tcase_add_loop_test(t, test_pairs_of_a_query_are_walked_as_they_stand, 0,
                        (int)ARRAY_LEN(queries));
    tcase_add_loop_test(t, test_pairs_of_a_cookie_are_walked_without_blanks, 0,
                        (int)ARRAY_LEN(cookies));
    tcase_add_loop_test(t, test_a_form_is_decoded_once_and_what_is_no_coding_stands_for_itself, 0,
                        (int)ARRAY_LEN(codings));
    tcase_add_test(t, test_what_is_not_coded_is_not_copied);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

/* The bodies of the answers that we make ourselves. */
#include <check.h>

#include "gateway/http/problem.h"

static struct arena arena;

static void setup(void)
{
    arena_init(&arena, NULL);
}

static void teardown(void)
{
    arena_free(&arena);
}

#define ck_assert_str(a, b)                                                                        \
    do {                                                                                           \
        struct str a_ = (a), b_ = (b);                                                             \
        ck_assert_msg(str_equal(a_, b_), "'%.*s' is not '%.*s'", STR_ARGS(a_), STR_ARGS(b_));      \
    } while (0)

struct accept_case {
    const char *accept;
    bool json;
};

static const struct accept_case accepts[] = {
    { "", false },
    { "*/*", false },
    { "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", false },
    { "application/json", true },
    { "Application/Problem+JSON", true },
    { "application/json, text/plain, */*", true },
    { "text/plain, application/json;q=0.9", false },
    { "text/plain;q=0.5, application/json; charset=x ;Q=0.501", true },
    { "application/json;q=0", false },
    { "application/json;q=0.000", false },
    { "application/json;q=1.000", true },
    { "application/json;q=", true },
    { "application/json;q=0.12345", true },
    { "application/jsonx", false },
    { "text/*, application/json;q=0.3", false },
};

START_TEST(test_json_is_for_who_names_it_and_nothing_better)
{
    ck_assert_msg(problem_wants_json(str_from(accepts[_i].accept)) == accepts[_i].json, "%s",
                  accepts[_i].accept);
}
END_TEST

START_TEST(test_text_is_the_detail_or_the_title)
{
    struct problem p = { .status = 401,
                         .detail = STR("Authentication Failed"),
                         .reason = STR("no_key") };

    ck_assert_str(problem_body(&p, false, &arena), STR("Authentication Failed\n"));
    p.detail = STR_NONE;
    ck_assert_str(problem_body(&p, false, &arena), STR("Unauthorized\n"));
    p.title = STR("Who are you?");
    ck_assert_str(problem_body(&p, false, &arena), STR("Who are you?\n"));
}
END_TEST

START_TEST(test_json_says_all_that_is_known)
{
    struct problem p = { .status = 429,
                         .detail = STR("a \"b\"\n\xff"),
                         .reason = STR("rate_limited"),
                         .request_id = STR("r1") };

    ck_assert_str(
        problem_body(&p, true, &arena),
        STR("{\"type\":\"about:blank\",\"title\":\"Too Many Requests\",\"status\":429,"
            "\"detail\":\"a "
            "\\\"b\\\"\\n\xef\xbf\xbd\",\"reason\":\"rate_limited\",\"request_id\":\"r1\"}\n"));
    p = (struct problem){ .status = 299 };
    ck_assert_str(problem_body(&p, true, &arena),
                  STR("{\"type\":\"about:blank\",\"status\":299}\n"));
}
END_TEST

/* Of what grows most when it is escaped. */
START_TEST(test_a_long_detail_fits)
{
    char detail[3000];
    struct problem p = { .status = 500,
                         .detail = str_of(detail, sizeof detail),
                         .reason = STR("x") };

    memset(detail, 1, sizeof detail);
    ck_assert_uint_gt(problem_body(&p, true, &arena).len, 6 * sizeof detail);
    memset(detail, 0xff, sizeof detail);
    ck_assert_uint_gt(problem_body(&p, true, &arena).len, sizeof detail);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("problem");
    TCase *tests = tcase_create("problem");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_json_is_for_who_names_it_and_nothing_better, 0,
                        ARRAY_LEN(accepts));
    tcase_add_test(tests, test_text_is_the_detail_or_the_title);
    tcase_add_test(tests, test_json_says_all_that_is_known);
    tcase_add_test(tests, test_a_long_detail_fits);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

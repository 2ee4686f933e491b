/* Dates as text. */
#include <check.h>
#include <stdio.h>
#include <time.h>

#include "gateway/base/clock.h"
#include "gateway/base/date.h"
#include "gateway/base/number.h"
#include "gateway/base/random.h"

#define ck_assert_text(s, literal) ck_assert_msg(str_equal(s, STR(literal)), "is %.*s", STR_ARGS(s))

START_TEST(test_known_moments)
{
    struct date_cache c = { 0 };

    ck_assert_text(date_http(&c, 784111777 * NS_PER_S),
                   "Sun, 06 Nov 1994 08:49:37 GMT"); /* RFC 9110 5.6.7 */
    ck_assert_text(date_iso(&c, 784111777 * NS_PER_S + 123456789), "1994-11-06T08:49:37.123Z");
    ck_assert_text(date_http(&c, 0), "Thu, 01 Jan 1970 00:00:00 GMT");
    ck_assert_text(date_iso(&c, 0), "1970-01-01T00:00:00.000Z");
    ck_assert_text(date_http(&c, 951782399 * NS_PER_S), "Mon, 28 Feb 2000 23:59:59 GMT");
    ck_assert_text(date_http(&c, 951782400 * NS_PER_S), "Tue, 29 Feb 2000 00:00:00 GMT");
    ck_assert_text(date_http(&c, 4107542400 * NS_PER_S),
                   "Mon, 01 Mar 2100 00:00:00 GMT"); /* no leap year */
}
END_TEST

START_TEST(test_any_moment_is_what_the_c_library_says)
{
    struct date_cache c = { 0 };
    struct random r;
    char expected[40];
    struct tm tm;

    random_seed_with(&r, 2);
    for (unsigned i = 0; i < 20000; i++) {
        time_t s = (time_t)random_below(&r, 16725225600); /* the year 2500 */
        struct str text = date_http(&c, (uint64_t)s * NS_PER_S);

        gmtime_r(&s, &tm);
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        ck_assert_msg(str_equal(text, str_from(expected)), "%.*s is %s", STR_ARGS(text), expected);
        strftime(expected, sizeof expected, "%Y-%m-%dT%H:%M:%S.000Z", &tm);
        text = date_iso(&c, (uint64_t)s * NS_PER_S);
        ck_assert_msg(str_equal(text, str_from(expected)), "%.*s is %s", STR_ARGS(text), expected);
    }
}
END_TEST

START_TEST(test_within_a_second_only_the_milliseconds_change)
{
    struct date_cache c = { 0 };

    ck_assert_text(date_iso(&c, 999999999), "1970-01-01T00:00:00.999Z");
    ck_assert_text(date_iso(&c, 1000000), "1970-01-01T00:00:00.001Z");
    ck_assert_text(date_iso(&c, NS_PER_S), "1970-01-01T00:00:01.000Z");
    ck_assert_text(date_iso(&c, 0), "1970-01-01T00:00:00.000Z"); /* a wall clock may go back */
}
END_TEST

START_TEST(test_the_clock_for_waiting_never_goes_back_and_the_wall_is_this_century)
{
    uint64_t before = clock_now_ns();

    for (unsigned i = 0; i < 1000; i++) {
        uint64_t now = clock_now_ns();

        ck_assert_uint_ge(now, before);
        before = now;
    }
    ck_assert_uint_gt(clock_wall_ns(), 1700000000 * NS_PER_S);
}
END_TEST

/* NULL: no such moment. */
static const struct {
    const char *text, *iso;
} moments[] = {
    { "2027-01-01", "2027-01-01T00:00:00.000Z" },
    { "1970-01-01", "1970-01-01T00:00:00.000Z" },
    { "2028-02-29", "2028-02-29T00:00:00.000Z" },
    { "2000-02-29T23:59:59Z", "2000-02-29T23:59:59.000Z" },
    { "2027-01-01t01:02:03z", "2027-01-01T01:02:03.000Z" },
    { "2027-01-01 01:02:03Z", "2027-01-01T01:02:03.000Z" },
    { "2027-01-01T00:00:00+02:00", "2026-12-31T22:00:00.000Z" },
    { "2026-12-31T22:00:00-02:30", "2027-01-01T00:30:00.000Z" },
    { "2027-01-01T00:00:00.25Z", "2027-01-01T00:00:00.250Z" },
    { "2027-01-01T00:00:00.9999999999999Z", "2027-01-01T00:00:00.999Z" },
    { "2016-12-31T23:59:60Z", "2017-01-01T00:00:00.000Z" }, /* it was one */
    { "2100-02-29", NULL },
    { "2027-02-29", NULL },
    { "2027-13-01", NULL },
    { "2027-00-01", NULL },
    { "2027-01-32", NULL },
    { "2027-01-00", NULL },
    { "1969-12-31", NULL },
    { "2501-01-01", NULL },
    { "1970-01-01T00:00:00+00:01", NULL },
    { "2027-1-1", NULL },
    { "27-01-01", NULL },
    { "2027-01-01T", NULL },
    { "2027-01-01T24:00:00Z", NULL },
    { "2027-01-01T00:60:00Z", NULL },
    { "2027-01-01T00:00:61Z", NULL },
    { "2027-01-01T00:00:00", NULL }, /* of which zone? */
    { "2027-01-01T00:00:00.Z", NULL },
    { "2027-01-01T00:00:00+2:00", NULL },
    { "2027-01-01T00:00:00+24:00", NULL },
    { "2027-01-01T00:00:00Zz", NULL },
    { "2027-01-01 ", NULL },
    { "tomorrow", NULL },
    { "", NULL },
};

START_TEST(test_a_moment_is_read_as_rfc_3339_writes_it)
{
    struct date_cache c = { 0 };
    uint64_t ns;
    bool good = date_read(str_from(moments[_i].text), &ns);

    ck_assert_msg(good == (moments[_i].iso != NULL), "%s", moments[_i].text);
    if (good)
        ck_assert_msg(str_equal(date_iso(&c, ns), str_from(moments[_i].iso)), "%s is %.*s",
                      moments[_i].text, STR_ARGS(date_iso(&c, ns)));
}
END_TEST

START_TEST(test_every_moment_that_is_written_reads_back_as_the_same)
{
    char text[DATE_TEXT_MAX];
    struct random r;

    random_seed_with(&r, 3);
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t ns = random_below(&r, 16725225600) / (i % 2 ? 1 : 86400) * (i % 2 ? 1 : 86400) *
                      NS_PER_S,
                 again;
        size_t len = date_write(text, ns);

        ck_assert_uint_eq(len, i % 2 && ns / NS_PER_S % 86400 ? 20 : 10);
        ck_assert(date_read(str_of(text, len), &again));
        ck_assert_uint_eq(again, ns);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("date");
    TCase *t = tcase_create("date");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_known_moments);
    tcase_add_test(t, test_any_moment_is_what_the_c_library_says);
    tcase_add_test(t, test_within_a_second_only_the_milliseconds_change);
    tcase_add_test(t, test_the_clock_for_waiting_never_goes_back_and_the_wall_is_this_century);
    tcase_add_loop_test(t, test_a_moment_is_read_as_rfc_3339_writes_it, 0, ARRAY_LEN(moments));
    tcase_add_test(t, test_every_moment_that_is_written_reads_back_as_the_same);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

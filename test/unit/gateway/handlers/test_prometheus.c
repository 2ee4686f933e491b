/* Prometheus' text format, to the letter. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "gateway/base/number.h"
#include "gateway/handlers/prometheus.h"

static char memory[PROMETHEUS_SERIES_MAX + 1];

static struct prometheus writer(void)
{
    return (struct prometheus){ .at = memory, .size = PROMETHEUS_SERIES_MAX };
}

static const char *text(const struct prometheus *p)
{
    memory[p->len] = '\0';
    return memory;
}

START_TEST(test_a_family_has_help_and_type)
{
    struct prometheus p = writer();

    prometheus_family(&p, STR("a_total"), STR("What \"it\" is.\nA back\\slash."), STR("counter"));
    ck_assert_str_eq(text(&p), "# HELP a_total What \"it\" is.\\nA back\\\\slash.\n"
                               "# TYPE a_total counter\n");
}
END_TEST

START_TEST(test_label_values_are_escaped)
{
    struct prometheus p = writer();

    prometheus_begin(&p, STR("a"), STR(""));
    prometheus_label(&p, STR("x"), STR("a\"b\\c\nd"));
    prometheus_label_u64(&p, STR("n"), 7);
    prometheus_u64(&p, 42);
    prometheus_begin(&p, STR("b"), STR(""));
    prometheus_u64(&p, UINT64_MAX);
    ck_assert_str_eq(text(&p), "a{x=\"a\\\"b\\\\c\\nd\",n=\"7\"} 42\nb 18446744073709551615\n");
}
END_TEST

static const struct {
    uint64_t ns;
    const char *written;
} seconds[] = {
    { 0, "0" },
    { 1, "0.000000001" },
    { 1000000, "0.001" },
    { 2500000000, "2.5" },
    { 10000000000, "10" },
    { 1234567890, "1.23456789" },
    { 100, "0.0000001" },
};

START_TEST(test_seconds_are_exact_and_short)
{
    struct prometheus p = writer();
    char expected[64];

    prometheus_begin(&p, STR("a"), STR(""));
    prometheus_seconds(&p, seconds[_i].ns);
    snprintf(expected, sizeof expected, "a %s\n", seconds[_i].written);
    ck_assert_str_eq(text(&p), expected);
}
END_TEST

START_TEST(test_buckets_of_a_histogram_add_up)
{
    static const uint64_t bounds[] = { 1000000, 2500000000 };
    const struct rows_family f = { .name = "t_seconds",
                                   .type = ROWS_HISTOGRAM,
                                   .labels = { "service" },
                                   .buckets = bounds,
                                   .bucket_count = 2 };
    struct rows_series s = { .label_count = 1,
                             .values = { STR("u") },
                             .buckets = { 3, 2, 1 },
                             .total = 6,
                             .sum_ns = 7500000000 };
    struct prometheus p = writer();

    prometheus_series(&p, &f, &s);
    ck_assert_str_eq(text(&p), "t_seconds_bucket{service=\"u\",le=\"0.001\"} 3\n"
                               "t_seconds_bucket{service=\"u\",le=\"2.5\"} 5\n"
                               "t_seconds_bucket{service=\"u\",le=\"+Inf\"} 6\n"
                               "t_seconds_sum{service=\"u\"} 7.5\n"
                               "t_seconds_count{service=\"u\"} 6\n");
}
END_TEST

START_TEST(test_the_largest_series_fits_in_what_is_said_to_be_enough)
{
    static uint64_t bounds[ROWS_BUCKETS_MAX];
    const char *name = "gateway_circuit_breaker_transitions_total";
    const struct rows_family f = { .name = name,
                                   .type = ROWS_HISTOGRAM,
                                   .labels = { "service", "method", "status", "something" },
                                   .buckets = bounds,
                                   .bucket_count = ROWS_BUCKETS_MAX };
    struct rows_series s = { .label_count = 4, .total = UINT64_MAX, .sum_ns = UINT64_MAX };
    struct prometheus p = writer();

    for (size_t i = 0; i < ROWS_BUCKETS_MAX; i++)
        bounds[i] = UINT64_MAX - ROWS_BUCKETS_MAX + i;
    memset(s.text, '"', sizeof s.text);
    for (size_t i = 0; i < 4; i++)
        s.values[i] = str_of(s.text, ROWS_TEXT / 4);
    prometheus_series(&p, &f, &s); /* dies if it does not fit */
    ck_assert_uint_gt(p.len, PROMETHEUS_SERIES_MAX / 2);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("prometheus");
    TCase *c = tcase_create("prometheus");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_a_family_has_help_and_type);
    tcase_add_test(c, test_label_values_are_escaped);
    tcase_add_loop_test(c, test_seconds_are_exact_and_short, 0, (int)ARRAY_LEN(seconds));
    tcase_add_test(c, test_buckets_of_a_histogram_add_up);
    tcase_add_test(c, test_the_largest_series_fits_in_what_is_said_to_be_enough);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Series, columns and what a page reads of them. */
#include <stdio.h>
#include <string.h>

#include "shm/rows.h"
#include "test/unit/shm/fresh.h"

enum { REQUESTS, LATENCY, DROPPED, FEW };

static const uint64_t bounds[] = { NS_PER_MS, 10 * NS_PER_MS, NS_PER_S };
static const struct rows_family families[] = {
    [REQUESTS] = { .name = "requests_total",
                   .type = ROWS_COUNTER,
                   .labels = { "method", "status", "service" },
                   .max_series = 200 },
    [LATENCY] = { .name = "latency_seconds",
                  .type = ROWS_HISTOGRAM,
                  .labels = { "service" },
                  .max_series = 50,
                  .buckets = bounds,
                  .bucket_count = ARRAY_LEN(bounds) },
    [DROPPED] = { .name = "dropped_total", .type = ROWS_COUNTER, .max_series = 1 },
    [FEW] = { .name = "few_total", .type = ROWS_COUNTER, .labels = { "a", "b" }, .max_series = 3 },
};

static struct region *region;
static struct rows rows;

static void make(void)
{
    region = region_new(SMALL);
    region_begin(region);
    ck_assert(rows_table(region, families, ARRAY_LEN(families), &rows));
    region_commit(region);
}

static void drop(void)
{
    rows_close(&rows);
    region_close(region);
}

static uint32_t request(const char *method, const char *status, const char *service)
{
    struct str values[] = { str_from(method), str_from(status), str_from(service) };

    return rows_find(&rows, REQUESTS, values);
}

static uint32_t few(const char *a, const char *b)
{
    struct str values[] = { str_from(a), str_from(b) };

    return rows_find(&rows, FEW, values);
}

START_TEST(test_the_same_labels_are_the_same_series_and_others_are_not)
{
    uint32_t a = request("GET", "200", "users");

    ck_assert_uint_eq(request("GET", "200", "users"), a);
    ck_assert_uint_ne(request("GET", "200", "user"), a);
    ck_assert_uint_ne(request("GET2", "00", "users"), a);
    ck_assert_uint_ne(request("GET", "", "200users"), a);
    ck_assert_uint_eq(rows_used(&rows, REQUESTS), 4);
}
END_TEST

START_TEST(test_every_seat_counts_for_itself_and_a_page_sees_the_sum)
{
    uint32_t a = request("GET", "200", "users"), b = request("PUT", "500", "users");
    struct rows_series s;
    size_t i = 0;

    rows_add(&rows, 0, a, 5);
    rows_add(&rows, 1, a, 6);
    rows_add(&rows, 1, b, 1);
    rows_add(&rows, 2, a, 7);
    ck_assert_uint_eq(rows_sum(&rows, 3, a), 18);
    ck_assert_uint_eq(rows_sum(&rows, 2, a), 11);
    ck_assert(rows_next(&rows, REQUESTS, 3, &i, &s));
    ck_assert_uint_eq(s.label_count, 3);
    ck_assert(str_equal(s.values[0], STR("GET")));
    ck_assert(str_equal(s.values[1], STR("200")));
    ck_assert(str_equal(s.values[2], STR("users")));
    ck_assert_uint_eq(s.total, 18);
    ck_assert(rows_next(&rows, REQUESTS, 3, &i, &s));
    ck_assert(str_equal(s.values[0], STR("PUT")));
    ck_assert_uint_eq(s.total, 1);
    ck_assert(!rows_next(&rows, REQUESTS, 3, &i, &s));
}
END_TEST

START_TEST(test_a_family_without_labels_is_one_series_and_always_shown)
{
    struct rows_series s;
    size_t i = 0;

    ck_assert(rows_next(&rows, DROPPED, 1, &i, &s));
    ck_assert_uint_eq(s.total, 0);
    ck_assert_uint_eq(s.label_count, 0);
    ck_assert(!rows_next(&rows, DROPPED, 1, &i, &s));
    rows_add(&rows, 0, rows_find(&rows, DROPPED, NULL), 3);
    i = 0;
    ck_assert(rows_next(&rows, DROPPED, 1, &i, &s));
    ck_assert_uint_eq(s.total, 3);
}
END_TEST

START_TEST(test_a_histograms_count_is_the_sum_of_its_buckets)
{
    uint32_t users = rows_find(&rows, LATENCY, &STR("users"));
    uint64_t values[] = { 0,        NS_PER_MS,    NS_PER_MS + 1, 10 * NS_PER_MS,
                          NS_PER_S, NS_PER_S + 1, 100 * NS_PER_S };
    struct rows_series s;
    uint64_t sum = 0;
    size_t i = 0;

    ck_assert_uint_ne(users, rows_find(&rows, LATENCY, &STR("orders")));
    for (uint32_t v = 0; v < ARRAY_LEN(values); v++) {
        rows_observe(&rows, v % 2, LATENCY, users, values[v]);
        sum += values[v];
    }
    ck_assert(rows_next(&rows, LATENCY, 2, &i, &s));
    ck_assert_uint_eq(s.buckets[0], 2); /* a bound belongs to its bucket: le */
    ck_assert_uint_eq(s.buckets[1], 2);
    ck_assert_uint_eq(s.buckets[2], 1);
    ck_assert_uint_eq(s.buckets[3], 2);
    ck_assert_uint_eq(s.total, 7);
    ck_assert_uint_eq(s.sum_ns, sum);
    ck_assert(rows_next(&rows, LATENCY, 2, &i, &s));
    ck_assert(str_equal(s.values[0], STR("orders")));
    ck_assert_uint_eq(s.total, 0);
}
END_TEST

START_TEST(test_a_full_family_counts_into_other)
{
    uint32_t known = few("1", "1"), other;
    struct rows_series s;
    size_t i = 0;

    ck_assert(rows_next(&rows, FEW, 1, &i, &s)); /* __other__ is not shown while it is empty */
    ck_assert(str_equal(s.values[0], STR("1")));
    few("2", "2");
    few("3", "3");
    other = few("4", "4");
    ck_assert_uint_eq(few("5", "5"), other);
    ck_assert_uint_eq(few("1", "1"), known);
    ck_assert_uint_ne(few("3", "3"), other);
    rows_add(&rows, 0, other, 9);
    i = 0;
    ck_assert(rows_next(&rows, FEW, 1, &i, &s));
    ck_assert(str_equal(s.values[0], STR("__other__")));
    ck_assert(str_equal(s.values[1], STR("__other__")));
    ck_assert_uint_eq(s.total, 9);
    ck_assert_uint_eq(rows_used(&rows, FEW), 3);
}
END_TEST

START_TEST(test_all_series_that_were_promised_fit)
{
    char name[16];
    uint32_t seen[200];

    for (uint32_t i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "service-%u", i);
        seen[i] = request("GET", "200", name);
        rows_add(&rows, 5, seen[i], i + 1);
    }
    ck_assert_uint_eq(rows_used(&rows, REQUESTS), 200);
    for (uint32_t i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "service-%u", i);
        ck_assert_uint_eq(request("GET", "200", name), seen[i]);
        ck_assert_uint_eq(rows_sum(&rows, 6, seen[i]), i + 1);
    }
}
END_TEST

START_TEST(test_long_labels_are_cut_between_characters)
{
    char longer[600];
    struct rows_series s;
    size_t i = 0;

    longer[0] = 'x'; /* so that the cut would fall into a character */
    for (size_t at = 1; at + 2 < sizeof longer; at += 2)
        memcpy(longer + at, "\xc3\xa4", 2);
    longer[sizeof longer - 1] = 0;
    request("GET", "200", longer);
    ck_assert(rows_next(&rows, REQUESTS, 1, &i, &s));
    ck_assert_uint_le(s.values[2].len, ROWS_TEXT / 3);
    ck_assert_uint_ge(s.values[2].len, ROWS_TEXT / 3 - 1);
    ck_assert_uint_eq(s.values[2].len % 2, 1);
    ck_assert(str_equal(s.values[0], STR("GET")));
}
END_TEST

START_TEST(test_a_colleague_killed_while_it_claimed_is_helped)
{
    uint32_t first = request("GET", "200", "users");
    struct rows_part *p = &rows.parts[REQUESTS];
    struct rows_series s;
    size_t i = 0;
    uint64_t lens;
    shared_word *slot = (shared_word *)(void *)((char *)p->slots + 192);

    /* it claimed the slot and was killed: no text, not ready, not in the index */
    lens = word_peek(&slot[1]);
    word_put(&slot[1], 0);
    word_put(&slot[2], 0);
    for (uint32_t n = 0; n <= p->index_mask; n++)
        word_put(&p->index[n], 0);
    ck_assert(!rows_next(&rows, REQUESTS, 1, &i, &s));
    ck_assert_uint_eq(request("GET", "200", "users"), first);
    ck_assert_uint_eq(word_peek(&slot[1]), lens);
    ck_assert_uint_eq(rows_used(&rows, REQUESTS), 1);
    i = 0;
    ck_assert(rows_next(&rows, REQUESTS, 1, &i, &s));
    ck_assert(str_equal(s.values[2], STR("users")));
}
END_TEST

START_TEST(test_series_and_counts_survive_a_reload_and_other_declarations_are_another_table)
{
    uint32_t a = request("GET", "200", "users");
    struct rows again, other;
    struct rows_family changed[ARRAY_LEN(families)];

    rows_add(&rows, 0, a, 4);
    memcpy(changed, families, sizeof families);
    changed[FEW].labels[1] = "c";
    region_begin(region);
    ck_assert(rows_table(region, families, ARRAY_LEN(families), &again));
    ck_assert(rows_table(region, changed, ARRAY_LEN(changed), &other));
    region_commit(region);
    ck_assert_ptr_eq(again.columns, rows.columns);
    ck_assert_ptr_ne(other.columns, rows.columns);
    rows_close(&again);
    rows_close(&other);
}
END_TEST

START_TEST(test_without_a_table_there_are_no_rows)
{
    struct rows none;

    ck_assert(!rows_table(region, families, 1, &none));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("rows");
    TCase *t = tcase_create("rows");

    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_the_same_labels_are_the_same_series_and_others_are_not);
    tcase_add_test(t, test_every_seat_counts_for_itself_and_a_page_sees_the_sum);
    tcase_add_test(t, test_a_family_without_labels_is_one_series_and_always_shown);
    tcase_add_test(t, test_a_histograms_count_is_the_sum_of_its_buckets);
    tcase_add_test(t, test_a_full_family_counts_into_other);
    tcase_add_test(t, test_all_series_that_were_promised_fit);
    tcase_add_test(t, test_long_labels_are_cut_between_characters);
    tcase_add_test(t, test_a_colleague_killed_while_it_claimed_is_helped);
    tcase_add_test(
        t, test_series_and_counts_survive_a_reload_and_other_declarations_are_another_table);
    tcase_add_test(t, test_without_a_table_there_are_no_rows);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

/* What `sluice limits` says of a region that was made by hand. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/limiting/limit_top.h"
#include "gateway/limits.h"

static struct region *region;
static struct cells cells;
static struct top top;
static struct seats_shared *seats;
static struct limiter limiter;
static char said[16384];

static void make(void)
{
    region = region_new(0);
    region_begin(region);
    seats = seats_table(region);
    ck_assert(cells_table(region, STR("gateway/limits"), 1024, &cells));
    ck_assert(top_table(region, &top));
    ck_assert_uint_eq(seats_claim(seats, 1, SEAT_WORKER, 0, 0, 1), 0);
    ck_assert_uint_eq(seats_claim(seats, 2, SEAT_WORKER, 1, 0, 1), 1);
}

static void drop(void)
{
    region_close(region);
}

static uint64_t now(void)
{
    return region_now(region_header(region), clock_now_ns());
}

/* As rate_limit makes it: the limiter, and the words under its name. */
static void limit_of(const char *name, const char *algorithm, const char *text)
{
    const struct algorithm *a = algorithm_find(str_from(algorithm));
    shared_word *words =
        region_table(region, TABLE_LIMIT, str_from(name), LIMIT_WORDS * sizeof(shared_word));
    struct limit limit;
    struct limit_log log;

    ck_assert_ptr_null(limit_read(str_from(text), &limit));
    if (a->keeps_log) {
        char table[128];

        snprintf(table, sizeof table, "log/%s", name);
        ck_assert(limit_log_table(region, str_from(table), 64, &log));
        ck_assert_ptr_null(limiter_init_log(&limiter, region_header(region), &log, str_from(name),
                                            a, &limit, FULL_EVICT));
    } else {
        ck_assert_ptr_null(limiter_init(&limiter, region_header(region), &cells, str_from(name), a,
                                        &limit, FULL_EVICT));
    }
    word_put(&words[LIMIT_ID], limiter_id(&limiter));
    word_put(&words[LIMIT_MEANING], limiter_meaning(&limiter));
}

/* So many requests of a client, in a worker's seat. */
static void ask(uint32_t seat, const char *client, int tries)
{
    uint64_t key = limiter_key(&limiter, str_from(client));

    while (tries-- > 0) {
        enum top_kind kind =
            limiter_take(&limiter, key, 1, now()).allowed ? TOP_TAKEN : TOP_REFUSED;

        if (!top_count(&top, seat, kind, limiter_id(&limiter), key, 1, now()))
            top_enter(&top, seat, kind, limiter_id(&limiter), key, 1, now(), str_from(client));
    }
}

static bool show(const struct limits_wish *wish)
{
    FILE *out = fmemopen(said, sizeof said, "w");
    bool good;

    memset(said, 0, sizeof said);
    good = limits_show(dup(region_fd(region)), wish, out);
    fclose(out);
    return good;
}

static const struct limits_wish plain = { .top = 10 };

START_TEST(test_workers_are_summed_and_the_most_refused_come_first)
{
    const char *one, *other;

    limit_of("u/rate_limit", "token_bucket", "5/h burst 5");
    region_commit(region);
    ask(0, "one", 6);
    ask(0, "other", 4);
    ask(1, "other", 4);
    ck_assert(show(&plain));
    ck_assert_int_eq(strncmp(said, "u/rate_limit: token_bucket 5/h burst 5\n", 39), 0);
    one = strstr(said, "  one\n");
    other = strstr(said, "  other\n");
    ck_assert(one && other && other < one);
    ck_assert_ptr_nonnull(strstr(said, "           3            5          0  other\n"));
    ck_assert_ptr_nonnull(strstr(said, "           1            5          0  one\n"));
}
END_TEST

START_TEST(test_no_more_are_said_than_asked_for_by_what_was_asked)
{
    const struct limits_wish refused = { .top = 1 }, taken = { .top = 1, .by = TOP_TAKEN };

    limit_of("u/rate_limit", "token_bucket", "5/h burst 5");
    region_commit(region);
    ask(0, "one", 5);
    ask(1, "other", 4);
    limiter_take(&limiter, limiter_key(&limiter, STR("other")), 1, now());
    ask(1, "other", 1);
    ck_assert(show(&refused));
    ck_assert(strstr(said, "other") && !strstr(said, "one\n"));
    ck_assert(show(&taken));
    ck_assert(!strstr(said, "other") && strstr(said, "one\n"));
}
END_TEST

START_TEST(test_programs_get_json)
{
    const struct limits_wish json = { .top = 10, .json = true };

    limit_of("u/rate_limit", "fixed_window", "5/d");
    region_commit(region);
    ck_assert(show(&json));
    ck_assert_str_eq(said,
                     "[{\"limit\":\"u/rate_limit\",\"algorithm\":\"fixed_window\",\"count\":5,"
                     "\"period_s\":86400,\"burst\":5,\"scope\":\"node\",\"keys\":[]}]\n");
    ask(0, "a \"b\"", 2);
    ck_assert(show(&json));
    ck_assert_ptr_nonnull(strstr(said, "{\"key\":\"a \\\"b\\\"\",\"refused_per_second\":0"));
    ck_assert_ptr_nonnull(
        strstr(said, "\"refused\":0,\"taken\":2,\"left\":3,\"retry_ms\":0.000}]}]\n"));
}
END_TEST

START_TEST(test_what_is_left_in_a_log_is_told)
{
    limit_of("u/rate_limit", "sliding_log", "5/d");
    region_commit(region);
    ask(0, "one", 2);
    ck_assert(show(&plain));
    ck_assert_ptr_nonnull(strstr(said, "           2          3  one\n"));
}
END_TEST

/* Its whole name, of which its keys are made, is not known. */
START_TEST(test_of_a_limit_whose_name_is_cut_nobody_says_what_is_left)
{
    char name[REGION_NAME_MAX + 20];

    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    limit_of(name, "token_bucket", "5/h");
    region_commit(region);
    ask(0, "one", 2);
    ck_assert(show(&plain));
    ck_assert_ptr_nonnull(strstr(said, "           2          -  one\n"));
}
END_TEST

START_TEST(test_what_nobody_has_used_or_nobody_understands_is_left_out)
{
    shared_word *words;

    limit_of("u/rate_limit", "token_bucket", "5/h");
    words = region_table(region, TABLE_LIMIT, STR("u/rate_limit"), LIMIT_WORDS * sizeof *words);
    ck_assert_ptr_nonnull(
        region_table(region, TABLE_LIMIT, STR("unused"), LIMIT_WORDS * sizeof *words));
    ck_assert_ptr_nonnull(region_table(region, TABLE_LIMIT, STR("of another size"), 8));
    region_commit(region);
    ck_assert(show(&plain));
    ck_assert(strstr(said, "u/rate_limit:") && !strstr(said, "unused") && !strstr(said, "size"));
    word_put(&words[LIMIT_MEANING], UINT64_MAX);
    ck_assert(show(&plain));
    ck_assert_str_eq(said, "");
}
END_TEST

START_TEST(test_one_limit_may_be_asked_for)
{
    const struct limits_wish one = { .top = 10, .limit = STR_INIT("b/rate_limit") },
                             none = { .top = 10, .limit = STR_INIT("c/rate_limit") };

    limit_of("a/rate_limit", "token_bucket", "5/h");
    limit_of("b/rate_limit", "token_bucket", "5/h");
    region_commit(region);
    ck_assert(show(&one));
    ck_assert(!strstr(said, "a/rate_limit") && strstr(said, "b/rate_limit"));
    ck_assert(!show(&none));
}
END_TEST

START_TEST(test_memory_that_is_none_or_has_no_sketches_is_refused)
{
    struct region *other = region_new(0);
    int pipes[2];

    region_commit(region);
    ck_assert(!limits_show(dup(region_fd(other)), &plain, stdout));
    region_close(other);
    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert(!limits_show(pipes[0], &plain, stdout));
    close(pipes[1]);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("limits");
    TCase *t = tcase_create("limits");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_workers_are_summed_and_the_most_refused_come_first);
    tcase_add_test(t, test_no_more_are_said_than_asked_for_by_what_was_asked);
    tcase_add_test(t, test_programs_get_json);
    tcase_add_test(t, test_what_is_left_in_a_log_is_told);
    tcase_add_test(t, test_of_a_limit_whose_name_is_cut_nobody_says_what_is_left);
    tcase_add_test(t, test_what_nobody_has_used_or_nobody_understands_is_left_out);
    tcase_add_test(t, test_one_limit_may_be_asked_for);
    tcase_add_test(t, test_memory_that_is_none_or_has_no_sketches_is_refused);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

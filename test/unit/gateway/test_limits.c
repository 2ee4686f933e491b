/* What `sluice limits` says of a region that was made by hand. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/limiting/limit_top.h"
#include "gateway/limits.h"
#include "ratelimit/gradient.h"
#include "shm/places.h"

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

/* As concurrency makes it. */
static void places_of(const char *name, struct limit_places at_most, struct places *places)
{
    shared_word *words =
        region_table(region, TABLE_LIMIT, str_from(name), LIMIT_WORDS * sizeof(shared_word));

    ck_assert(places_table(region, STR("gateway/places"), places));
    word_put(&words[LIMIT_ID], 77);
    word_put(&words[LIMIT_PLACES], limit_places_pack(&at_most));
}

START_TEST(test_of_so_many_at_once_it_is_said_how_many_there_are_now_over_all_workers)
{
    const struct limits_wish json = { .top = 10, .json = true };
    const uint64_t key = UINT64_C(0x123456789abcdef0);
    struct places places;

    places_of("u/concurrency", (struct limit_places){ 3, 5, 0 }, &places);
    region_commit(region);
    ck_assert_int_eq(places_take(&places, 0, key, 3), PLACES_GOT);
    ck_assert_int_eq(places_take(&places, 1, key, 3), PLACES_GOT);
    ck_assert_int_eq(places_take(&places, 1, key, 3), PLACES_GOT);
    ck_assert_int_eq(places_wait(&places, 0, key, 5, 1), PLACES_GOT);
    top_enter(&top, 0, TOP_TAKEN, 77, key, 3, now(), STR("one"));
    top_enter(&top, 1, TOP_REFUSED, 77, key, 2, now(), STR("one"));
    top_enter(&top, 1, TOP_TAKEN, 77, key + 1, 1, now(), STR("gone again"));
    ck_assert(show(&plain));
    ck_assert_int_eq(strncmp(said, "u/concurrency: concurrency max 3 queue 5\n", 41), 0);
    ck_assert_ptr_nonnull(
        strstr(said, "           2            3          3          3          1  one\n"));
    ck_assert_ptr_nonnull(
        strstr(said, "           0            1          0          3          0  gone again\n"));
    ck_assert(show(&json));
    ck_assert_ptr_nonnull(strstr(said, "\"algorithm\":\"concurrency\",\"max\":3,\"max_now\":3,"
                                       "\"queue\":5,\"scope\":\"node\",\"keys\":["));
    ck_assert_ptr_nonnull(strstr(said, "\"refused\":2,\"taken\":3,\"now\":3,\"waiting\":1}"));
}
END_TEST

/* While it is measured only the least are let in; and what was found out under an older configuration holds as far as the new
 * one allows. */
START_TEST(test_a_limit_that_moves_is_shown_as_it_is_now)
{
    static const struct limit_places at_most[] = { { 100, 0, 4 }, { 100, 0, 4 }, { 5, 0, 4 } };
    const struct gradient g = { .min = 4, .max = 100, .measure_ns = 60 * NS_PER_S };
    struct gradient_answer a = { .in_flight = 4 };
    struct places places;
    struct gradient_words *w;
    char row[64];

    places_of("u/concurrency", at_most[_i], &places);
    w = region_table(region, TABLE_GRADIENT, STR("gradient/u/concurrency"), sizeof *w);
    region_commit(region);
    while (_i > 0 && (gradient_look(w).measuring || gradient_look(w).limit == g.max)) {
        a.begun_ns = a.now_ns;
        a.now_ns += 10 * NS_PER_MS;
        a.latency_ns = gradient_look(w).measuring ? NS_PER_MS : 4 * NS_PER_MS;
        gradient_tell(&g, w, &a);
    }
    ck_assert(_i == 0 || (gradient_look(w).limit > 5 && gradient_look(w).limit < 100));
    top_enter(&top, 0, TOP_TAKEN, 77, 1, 1, now(), STR("one"));
    ck_assert(show(&plain));
    ck_assert_ptr_nonnull(strstr(said, "queue 0 adaptive\n"));
    snprintf(row, sizeof row, " %llu          0  one\n",
             (unsigned long long)(_i == 0   ? 4
                                  : _i == 1 ? gradient_look(w).limit
                                            : 5));
    ck_assert_msg(strstr(said, row) != NULL, "%s", said);
}
END_TEST

START_TEST(test_a_name_that_stands_for_a_limit_of_the_other_kind_now_is_shown_as_that)
{
    shared_word *words;
    struct places places;

    limit_of("u/mine", "token_bucket", "5/h burst 5");
    places_of("u/mine", (struct limit_places){ 3, 0, 0 }, &places);
    region_commit(region);
    ck_assert(show(&plain));
    ck_assert_ptr_nonnull(strstr(said, "u/mine: concurrency max 3 queue 0\n"));
    words = region_table(region, TABLE_LIMIT, STR("u/mine"), LIMIT_WORDS * sizeof *words);
    word_put(&words[LIMIT_PLACES], 0);
    ck_assert(show(&plain));
    ck_assert_ptr_nonnull(strstr(said, "u/mine: token_bucket 5/h burst 5\n"));
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
    tcase_add_test(t, test_of_so_many_at_once_it_is_said_how_many_there_are_now_over_all_workers);
    tcase_add_loop_test(t, test_a_limit_that_moves_is_shown_as_it_is_now, 0, 3);
    tcase_add_test(t, test_a_name_that_stands_for_a_limit_of_the_other_kind_now_is_shown_as_that);
    tcase_add_test(t, test_memory_that_is_none_or_has_no_sketches_is_refused);
    suite_add_tcase(s, t);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

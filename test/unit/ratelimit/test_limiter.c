/* A limit over keys, reloads and full tables. */
#include <stdio.h>

#include "ratelimit/limiter.h"
#include "test/unit/shm/fresh.h"

static struct region *region;
static struct cells cells;

static void make_of(size_t capacity)
{
    region = region_new(SMALL);
    region_begin(region);
    ck_assert(cells_table(region, STR("limits"), capacity, &cells));
    region_commit(region);
}

static void make(void)
{
    make_of(1024);
}

static void drop(void)
{
    region_close(region);
}

static struct limiter limiter_of(const char *name, const char *text, enum when_full when_full)
{
    struct limiter l;
    struct limit limit;

    ck_assert_ptr_null(limit_read(str_from(text), &limit));
    ck_assert_ptr_null(limiter_init(&l, region_header(region), &cells, str_from(name),
                                    algorithm_find(STR("token_bucket")), &limit, when_full));
    return l;
}

static uint64_t allowed_of(const struct limiter *l, const char *client, uint64_t now, int tries)
{
    uint64_t allowed = 0;

    while (tries-- > 0)
        allowed += limiter_take(l, limiter_key(l, str_from(client)), 1, now).allowed;
    return allowed;
}

START_TEST(test_each_client_has_its_own_and_each_limit_too)
{
    struct limiter a = limiter_of("users/rate_limit", "10/s burst 5", FULL_EVICT);
    struct limiter b = limiter_of("orders/rate_limit", "10/s burst 7", FULL_EVICT);

    ck_assert_uint_eq(allowed_of(&a, "10.0.0.1", 1000, 20), 5);
    ck_assert_uint_eq(allowed_of(&a, "10.0.0.2", 1000, 20), 5);
    ck_assert_uint_eq(allowed_of(&b, "10.0.0.1", 1000, 20), 7);
    ck_assert_uint_eq(allowed_of(&a, "10.0.0.1", 1000, 20), 0);
    ck_assert_uint_eq(allowed_of(&a, "10.0.0.1", 1000 + NS_PER_S / 10, 20), 1);
}
END_TEST

START_TEST(test_a_reload_with_the_same_name_keeps_the_counts)
{
    struct limiter a = limiter_of("users", "10/s burst 5", FULL_EVICT), b, c;

    ck_assert_uint_eq(allowed_of(&a, "x", 1000, 3), 3);
    b = limiter_of("users", "10/s burst 5", FULL_EVICT);
    ck_assert_uint_eq(allowed_of(&b, "x", 1000, 20), 2);
    c = limiter_of("users2", "10/s burst 5", FULL_EVICT);
    ck_assert_uint_eq(allowed_of(&c, "x", 1000, 20), 5);
}
END_TEST

START_TEST(test_a_reload_with_other_parameters_rescales_and_both_may_live_side_by_side)
{
    struct limiter was = limiter_of("users", "10/s burst 20", FULL_EVICT);
    struct limiter is = limiter_of("users", "1/m burst 100", FULL_EVICT);
    uint64_t allowed = 0;

    ck_assert_uint_eq(allowed_of(&was, "x", 1000, 12), 12);
    ck_assert_uint_eq(limiter_take(&is, limiter_key(&is, STR("x")), 0, 1000).remaining, 88);
    ck_assert_uint_eq(limiter_take(&was, limiter_key(&was, STR("x")), 0, 1000).remaining, 8);
    /* old and new workers in turn: together never more than the larger burst, nothing starts afresh */
    for (int i = 0; i < 200; i++)
        allowed += allowed_of(i % 2 ? &was : &is, "x", 1000, 1);
    ck_assert_uint_ge(allowed, 8);
    ck_assert_uint_le(allowed, 88);
    ck_assert_uint_eq(allowed_of(&was, "x", 1000, 20), 0);
}
END_TEST

/* An algorithm of another name that starts where the token bucket left garbage for it. */
static struct algorithm other_algorithm(void)
{
    struct algorithm other = *algorithm_at(0);

    other.name = "other";
    return other;
}

START_TEST(test_another_algorithm_starts_afresh)
{
    struct limiter was = limiter_of("users", "10/s burst 5", FULL_EVICT), is;
    struct algorithm other = other_algorithm();

    ck_assert_uint_eq(allowed_of(&was, "x", 1000, 20), 5);
    ck_assert_ptr_null(limiter_init(&is, region_header(region), &cells, STR("users"), &other,
                                    &was.limit, FULL_EVICT));
    ck_assert_uint_eq(allowed_of(&is, "x", 1000, 20), 5);
}
END_TEST

START_TEST(test_a_limit_that_does_not_fit_is_refused_with_a_reason)
{
    struct limit zero = { 0, NS_PER_S, 1 }, fast = { UINT64_C(1) << 40, NS_PER_S, 1 };
    struct limiter l;

    ck_assert_ptr_nonnull(limiter_init(&l, region_header(region), &cells, STR("u"), algorithm_at(0),
                                       &zero, FULL_EVICT));
    ck_assert_ptr_nonnull(limiter_init(&l, region_header(region), &cells, STR("u"), algorithm_at(0),
                                       &fast, FULL_EVICT));
}
END_TEST

START_TEST(test_to_look_or_give_back_makes_no_cell)
{
    struct limiter l = limiter_of("users", "10/s burst 5", FULL_EVICT);
    uint64_t key = limiter_key(&l, STR("x"));

    ck_assert_uint_eq(limiter_take(&l, key, 0, 1000).remaining, 5);
    ck_assert(limiter_take(&l, key, -3, 1000).allowed);
    ck_assert_uint_eq(word_peek(&cells.shared->used), 0);
    ck_assert_uint_eq(allowed_of(&l, "x", 1000, 4), 4);
    ck_assert_uint_eq(limiter_take(&l, key, -2, 1000).remaining, 3);
    ck_assert_uint_eq(allowed_of(&l, "x", 1000, 20), 3);
}
END_TEST

static uint64_t many_clients(const struct limiter *l, uint64_t now)
{
    char client[32];
    uint64_t allowed = 0;

    for (int i = 0; i < 10000; i++) {
        snprintf(client, sizeof client, "client-%d", i);
        allowed += allowed_of(l, client, now, 2);
    }
    return allowed;
}

START_TEST(test_a_full_table_evicts_allows_or_denies_as_told_and_counts)
{
    struct limiter evict = limiter_of("users", "1/h burst 1", FULL_EVICT);
    struct limiter allow = limiter_of("users", "1/h burst 1", FULL_ALLOW);
    struct limiter deny = limiter_of("users", "1/h burst 1", FULL_DENY);

    /* each new client gets its one, in the cell of somebody else */
    ck_assert_uint_eq(many_clients(&evict, 1000), 10000);
    ck_assert_uint_eq(word_peek(&cells.shared->used), 1024);
    ck_assert_uint_eq(word_peek(&cells.shared->evictions), 10000 - 1024);
    /* the table is full now: all but those in it pass, twice */
    ck_assert_uint_eq(many_clients(&allow, 1000), 2 * (10000 - 1024));
    ck_assert_uint_eq(word_peek(&cells.shared->full), 2 * (10000 - 1024));
    ck_assert_uint_eq(many_clients(&deny, 1000), 0);
    ck_assert_uint_eq(limiter_take(&deny, limiter_key(&deny, STR("new")), 1, 1000).retry_ns,
                      3600 * NS_PER_S);
    /* and some hours later all cells are idle */
    ck_assert_uint_gt(many_clients(&deny, 7300 * NS_PER_S), 900);
    ck_assert_uint_ge(word_peek(&cells.shared->takeovers), 1024 / CELLS_GROUP);
}
END_TEST

START_TEST(test_keys_of_one_limit_and_one_region_are_secret_from_others)
{
    struct limiter a = limiter_of("a", "1/s", FULL_EVICT), b = limiter_of("b", "1/s", FULL_EVICT);

    ck_assert_uint_ne(limiter_key(&a, STR("x")), limiter_key(&b, STR("x")));
    ck_assert_uint_ne(limiter_key(&a, STR("x")), limiter_key(&a, STR("y")));
    ck_assert_uint_eq(limiter_key(&a, STR("x")), limiter_key(&a, STR("x")));
}
END_TEST

static struct limiter limiter_by(const char *algorithm, const char *text)
{
    const struct algorithm *a = algorithm_find(str_from(algorithm));
    struct limiter l;
    struct limit limit;

    ck_assert_ptr_null(limit_read(str_from(text), &limit));
    ck_assert_ptr_null(
        limiter_init(&l, region_header(region), &cells, STR("w"), a, &limit, FULL_EVICT));
    return l;
}

/* The region's birth is any time of the day; the next full second is where the clock on the wall has it. */
START_TEST(test_windows_follow_the_clock_on_the_wall)
{
    struct limiter l = limiter_by("fixed_window", "3/s");
    uint64_t second = NS_PER_S - region_header(region)->birth_wall_ns % NS_PER_S;

    ck_assert_uint_eq(allowed_of(&l, "x", second - 1, 9), 3);
    ck_assert_uint_eq(allowed_of(&l, "x", second, 9), 3);
    ck_assert_uint_eq(allowed_of(&l, "x", second + NS_PER_S - 1, 9), 0);
}
END_TEST

/* 2^24 seconds later a window has the same number in the word: the cell knows better. */
START_TEST(test_a_cell_that_is_idle_means_nothing_though_nobody_took_it)
{
    struct limiter l = limiter_by("sliding_window", "3/s");
    uint64_t now = NS_PER_S, again = now + (NS_PER_S << 24);

    ck_assert_uint_eq(allowed_of(&l, "x", now, 9), 3);
    ck_assert_uint_eq(limiter_take(&l, limiter_key(&l, STR("x")), 0, again).remaining, 3);
    ck_assert_uint_eq(allowed_of(&l, "x", again, 9), 3);
}
END_TEST

START_TEST(test_every_algorithm_of_one_word_keeps_its_counts_and_starts_afresh_after_another)
{
    uint64_t now = NS_PER_S * 100;

    for (size_t i = 0; algorithm_at(i); i++) {
        struct limiter l;

        if (algorithm_at(i)->keeps_log)
            continue;
        l = limiter_by(algorithm_at(i)->name, "5/d burst 5");
        ck_assert_uint_eq(allowed_of(&l, "x", now, 9), 5);
        l = limiter_by(algorithm_at(i)->name, "7/d burst 7");
        ck_assert_uint_eq(allowed_of(&l, "x", now, 9), 2);
        ck_assert_uint_eq(limiter_take(&l, limiter_key(&l, STR("x")), -3, now).remaining, 3);
        ck_assert_uint_eq(allowed_of(&l, "x", now, 9), 3);
    }
}
END_TEST

START_TEST(test_algorithms_are_found_by_name)
{
    ck_assert_str_eq(algorithm_find(STR("token_bucket"))->name, "token_bucket");
    ck_assert_ptr_null(algorithm_find(STR("token_bucke")));
    for (size_t i = 0; algorithm_at(i); i++) {
        ck_assert_ptr_eq(algorithm_find(str_from(algorithm_at(i)->name)), algorithm_at(i));
        ck_assert_uint_gt(str_from(algorithm_at(i)->doc).len, 10);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("limiter");
    TCase *t = tcase_create("limiter");

    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_each_client_has_its_own_and_each_limit_too);
    tcase_add_test(t, test_a_reload_with_the_same_name_keeps_the_counts);
    tcase_add_test(t, test_a_reload_with_other_parameters_rescales_and_both_may_live_side_by_side);
    tcase_add_test(t, test_another_algorithm_starts_afresh);
    tcase_add_test(t, test_a_limit_that_does_not_fit_is_refused_with_a_reason);
    tcase_add_test(t, test_to_look_or_give_back_makes_no_cell);
    tcase_add_test(t, test_a_full_table_evicts_allows_or_denies_as_told_and_counts);
    tcase_add_test(t, test_keys_of_one_limit_and_one_region_are_secret_from_others);
    tcase_add_test(t, test_windows_follow_the_clock_on_the_wall);
    tcase_add_test(t, test_a_cell_that_is_idle_means_nothing_though_nobody_took_it);
    tcase_add_test(
        t, test_every_algorithm_of_one_word_keeps_its_counts_and_starts_afresh_after_another);
    tcase_add_test(t, test_algorithms_are_found_by_name);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

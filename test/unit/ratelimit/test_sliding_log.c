/* The sliding log against a list of all that was ever let pass. */
#include <stdio.h>

#include "gateway/base/random.h"
#include "ratelimit/limiter.h"
#include "test/unit/shm/fresh.h"

#define TODAY (1000 * 86400 * NS_PER_S)

static struct region *region;
static struct limit_log table;

static void make_of(size_t keys)
{
    region = region_new(SMALL);
    region_begin(region);
    ck_assert(limit_log_table(region, STR("u/rate_limit"), keys, &table));
    region_commit(region);
}

static void make(void)
{
    make_of(64);
}

static void drop(void)
{
    region_close(region);
}

static struct limiter limiter_of(const char *text, enum when_full when_full)
{
    struct limiter l;
    struct limit limit;

    ck_assert_ptr_null(limit_read(str_from(text), &limit));
    ck_assert_ptr_null(limiter_init_log(&l, region_header(region), &table, STR("u/rate_limit"),
                                        &sliding_log, &limit, when_full));
    return l;
}

static uint64_t allowed_of(const struct limiter *l, const char *client, uint64_t now, int tries)
{
    uint64_t allowed = 0;

    while (tries-- > 0)
        allowed += limiter_take(l, limiter_key(l, str_from(client)), 1, now).allowed;
    return allowed;
}

static const char *const limits[] = {
    "1/s", "2/s", "10/s", "100/s", "128/s", "7/m", "60/h", "128/d"
};
#define LIMITS ((int)ARRAY_LEN(limits))

/* Every moment of a request that was let pass, in µs, 0 if it was given back; nothing is ever dropped. */
struct model {
    uint64_t *at;
    size_t count;
};

/* In (now - per, now], for who is ahead is now. */
static size_t model_used(const struct model *m, uint64_t per_us, uint64_t now_us)
{
    size_t used = 0;

    for (size_t i = m->count; i-- > 0 && m->count - i <= 1000;)
        used += m->at[i] != 0 && m->at[i] + per_us > now_us;
    return used;
}

START_TEST(test_it_decides_as_a_list_of_all_requests_does_whatever_the_clocks)
{
    struct limiter l = limiter_of(limits[_i], FULL_EVICT);
    struct model m = { calloc(400000, sizeof(uint64_t)), 0 };
    uint64_t key = limiter_key(&l, STR("x")), begin = TODAY, latest = 0, refused = 0;
    uint64_t per_us = l.limit.per_ns / NS_PER_US, one = l.limit.per_ns / l.limit.count + 1;
    struct random random;

    random_seed_with(&random, (uint64_t)_i + 1);
    for (int i = 0; i < 20000; i++) {
        /* each try by some process, whose clock is up to 50 ms behind or ahead */
        uint64_t now = begin + random_below(&random, 100 * NS_PER_MS) / NS_PER_US * NS_PER_US;
        uint64_t cost = random_below(&random, 10) ? 1 : 1 + random_below(&random, l.limit.count);
        uint64_t now_us = now / NS_PER_US > latest ? now / NS_PER_US : latest;
        size_t used = model_used(&m, per_us, now_us);
        struct decision d = limiter_take(&l, key, (int32_t)cost, now);

        MUST(d.allowed == (used + cost <= l.limit.count));
        MUST(d.remaining == l.limit.count - used - (d.allowed ? cost : 0));
        if (d.allowed) {
            MUST(d.retry_ns == 0);
            for (uint64_t n = 0; n < cost; n++)
                m.at[m.count++] = now_us;
            latest = now_us;
        } else {
            /* the first moment at which so many have left: no earlier, no later */
            uint64_t then_us = (now + d.retry_ns) / NS_PER_US;

            MUST(model_used(&m, per_us, then_us) + cost <= l.limit.count);
            MUST(model_used(&m, per_us, then_us - 1) + cost > l.limit.count);
            refused++;
        }
        if (m.count && random_below(&random, 10) == 0) {
            /* one of the last few hundred is given back, early or long after its period */
            size_t which = m.count - 1 - random_below(&random, m.count < 300 ? m.count : 300);

            if (m.at[which])
                limiter_take(&l, key, -1, m.at[which] * NS_PER_US);
            m.at[which] = 0;
        }
        begin += random_below(&random, one) / NS_PER_US * NS_PER_US;
        if (random_below(&random, 500) == 0)
            begin += random_below(&random, 3 * l.limit.per_ns) / NS_PER_US * NS_PER_US;
    }
    MUST(refused > 100);
    free(m.at);
}
END_TEST

START_TEST(test_no_period_however_chosen_has_more_than_the_limit)
{
    struct limiter l = limiter_of("5/s", FULL_EVICT);

    ck_assert_uint_eq(allowed_of(&l, "x", TODAY + 900 * NS_PER_MS, 9), 5);
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY + 1899 * NS_PER_MS, 9), 0);
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY + 1900 * NS_PER_MS, 9), 5);
}
END_TEST

START_TEST(test_to_look_takes_nothing_and_makes_no_cell)
{
    struct limiter l = limiter_of("5/s", FULL_EVICT);
    uint64_t key = limiter_key(&l, STR("x"));
    struct decision d = limiter_take(&l, key, 0, TODAY);

    ck_assert(d.allowed);
    ck_assert_uint_eq(d.remaining, 5);
    ck_assert_uint_eq(word_peek(&l.cells.shared->used), 0);
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY, 5), 5);
    d = limiter_take(&l, key, 0, TODAY + NS_PER_S / 4);
    ck_assert(!d.allowed);
    ck_assert_uint_eq(d.retry_ns, 3 * NS_PER_S / 4);
    ck_assert_uint_eq(d.reset_ns, 3 * NS_PER_S / 4);
    d = limiter_take(&l, key, 6, TODAY);
    ck_assert_uint_eq(d.retry_ns, RETRY_NEVER);
}
END_TEST

START_TEST(test_what_is_given_back_can_be_taken_again_and_not_more)
{
    struct limiter l = limiter_of("5/s", FULL_EVICT);
    uint64_t key = limiter_key(&l, STR("x"));

    ck_assert(limiter_take(&l, key, -3, TODAY).allowed);
    ck_assert_uint_eq(word_peek(&l.cells.shared->used), 0);
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY, 2), 2);
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY + NS_PER_S / 2, 9), 3);
    /* of those of half a second later */
    ck_assert_uint_eq(limiter_take(&l, key, -2, TODAY + NS_PER_S / 2).remaining, 2);
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY + NS_PER_S / 2, 9), 2);
    /* no more than were taken at that moment */
    ck_assert_uint_eq(limiter_take(&l, key, -100, TODAY).remaining, 2);
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY + NS_PER_S / 2, 9), 2);
}
END_TEST

/* A service that says after a second what it has cost: by then the place is another's. */
START_TEST(test_what_is_given_back_after_its_period_frees_nobody_else)
{
    struct limiter l = limiter_of("5/s", FULL_EVICT);
    uint64_t key = limiter_key(&l, STR("x"));

    ck_assert_uint_eq(allowed_of(&l, "x", TODAY, 9), 5);
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY + NS_PER_S, 9), 5);
    limiter_take(&l, key, -5, TODAY);
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY + NS_PER_S, 9), 0);
}
END_TEST

/* Stopped in the middle of a turn, it goes on when a later request has been let pass and given back. */
START_TEST(test_a_clock_that_is_behind_begins_no_earlier_period_anew)
{
    struct limiter l = limiter_of("1/s", FULL_EVICT);
    uint64_t key = limiter_key(&l, STR("x"));
    struct decision d;

    ck_assert_uint_eq(allowed_of(&l, "x", TODAY, 9), 1);
    d = limiter_take(&l, key, 1, TODAY + 3 * NS_PER_S / 2);
    ck_assert(d.allowed);
    limiter_take(&l, key, -1, d.at_ns);
    /* half a second after the first by its own clock; counted when it really is */
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY + NS_PER_S / 2, 9), 1);
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY + 2 * NS_PER_S, 9), 0);
    ck_assert_uint_eq(allowed_of(&l, "x", TODAY + 5 * NS_PER_S / 2, 9), 1);
}
END_TEST

/* Two tables would be two truths: another count finds the same stamps. */
START_TEST(test_another_limit_keeps_what_was_used)
{
    struct limiter ten = limiter_of("10/m", FULL_EVICT), four = limiter_of("4/m", FULL_EVICT),
                   more = limiter_of("100/m", FULL_EVICT), hour = limiter_of("10/h", FULL_EVICT);

    ck_assert_uint_eq(allowed_of(&ten, "x", TODAY, 6), 6);
    ck_assert_uint_eq(allowed_of(&four, "x", TODAY, 9), 0);
    ck_assert_uint_eq(allowed_of(&more, "x", TODAY, 200), 94);
    ck_assert_uint_eq(allowed_of(&four, "x", TODAY + 59 * NS_PER_S, 9), 0);
    ck_assert_uint_eq(allowed_of(&four, "x", TODAY + 60 * NS_PER_S, 9), 4);
    /* and those that a longer period still counts */
    ck_assert_uint_eq(allowed_of(&ten, "y", TODAY, 6), 6);
    ck_assert_uint_eq(allowed_of(&hour, "y", TODAY + 10 * NS_PER_S, 9), 4);
}
END_TEST

START_TEST(test_a_newcomer_does_not_inherit_what_its_predecessor_used)
{
    drop();
    make_of(CELLS_GROUP);
    struct limiter l = limiter_of("3/d", FULL_EVICT), deny = limiter_of("3/d", FULL_DENY),
                   allow = limiter_of("3/d", FULL_ALLOW);
    char client[32];

    for (int i = 0; i < 500; i++) {
        snprintf(client, sizeof client, "client-%d", i);
        ck_assert_uint_eq(allowed_of(&l, client, TODAY + (uint64_t)i, 9), 3);
    }
    ck_assert_uint_eq(word_peek(&l.cells.shared->evictions), 500 - CELLS_GROUP);
    ck_assert_uint_eq(allowed_of(&deny, "newcomer", TODAY, 9), 0);
    ck_assert_uint_eq(allowed_of(&allow, "newcomer", TODAY, 9), 9);
    /* two days later all cells are idle */
    ck_assert_uint_eq(allowed_of(&deny, "newcomer", TODAY + 172800 * NS_PER_S, 9), 3);
}
END_TEST

/* A colleague stamped a place and was killed before it said so, or another one cannot count to 128. */
START_TEST(test_any_stamps_and_words_are_bounded)
{
    struct limiter l = limiter_of("100/s", FULL_EVICT);
    struct random random;

    random_seed_with(&random, 1);
    for (int i = 0; i < 300; i++) {
        size_t cells = cells_capacity(&table.cells);

        ck_assert_uint_le(allowed_of(&l, "x", TODAY, 1), 1);
        for (size_t n = 0; n < cells * SLIDING_LOG_STAMPS; n++)
            word_put(&table.stamps[n], random_u64(&random));
        for (size_t n = 0; n < cells; n++)
            if (word_peek(&table.cells.shared->cell[n].word))
                word_put(&table.cells.shared->cell[n].word, random_u64(&random));
        MUST(allowed_of(&l, "x", TODAY, 300) <= 100);
        MUST(allowed_of(&l, "x", TODAY + 200 * NS_PER_S, 300) <= 100);
        limiter_take(&l, limiter_key(&l, STR("x")), INT32_MIN, TODAY);
    }
}
END_TEST

START_TEST(test_more_than_a_log_holds_is_refused_at_load)
{
    struct limit more = { 129, NS_PER_S, 1 };
    struct limiter l;

    ck_assert_ptr_nonnull(limiter_init_log(&l, region_header(region), &table, STR("u"),
                                           &sliding_log, &more, FULL_EVICT));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("sliding_log");
    TCase *t = tcase_create("sliding_log");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, make, drop);
    tcase_add_loop_test(t, test_it_decides_as_a_list_of_all_requests_does_whatever_the_clocks, 0,
                        LIMITS);
    tcase_add_test(t, test_no_period_however_chosen_has_more_than_the_limit);
    tcase_add_test(t, test_to_look_takes_nothing_and_makes_no_cell);
    tcase_add_test(t, test_what_is_given_back_can_be_taken_again_and_not_more);
    tcase_add_test(t, test_what_is_given_back_after_its_period_frees_nobody_else);
    tcase_add_test(t, test_a_clock_that_is_behind_begins_no_earlier_period_anew);
    tcase_add_test(t, test_another_limit_keeps_what_was_used);
    tcase_add_test(t, test_a_newcomer_does_not_inherit_what_its_predecessor_used);
    tcase_add_test(t, test_any_stamps_and_words_are_bounded);
    tcase_add_test(t, test_more_than_a_log_holds_is_refused_at_load);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

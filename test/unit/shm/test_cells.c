/* Words by key in a table of fixed size. */
#include "gateway/base/random.h"
#include "shm/cells.h"
#include "test/unit/shm/fresh.h"

#define TAG     7
#define HASH(n) ((uint64_t)(n) << 32) /* all in one first group, and the first 4095 in one second */

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
    make_of(64);
}

/* All keys in one group. */
static void make_small(void)
{
    make_of(CELLS_GROUP);
}

static void drop(void)
{
    region_close(region);
}

/* Put a word under a key that is idle from `idle_at` on. */
static struct cell *put(uint64_t hash, uint64_t word, uint64_t idle_at, uint64_t now)
{
    struct cell_pair seen;
    struct cell *cell = cells_find(&cells, hash, TAG, now, true, &seen);

    cell_keep_until(cell, idle_at);
    ck_assert(cell_swap(cell, &seen, (struct cell_pair){ seen.key, word }));
    return cell;
}

static uint64_t counted(const shared_word *w)
{
    return word_peek(w);
}

START_TEST(test_a_new_key_has_word_zero_and_is_found_again)
{
    struct cell_pair seen;
    struct cell *cell;

    ck_assert_ptr_null(cells_look(&cells, HASH(1), &seen));
    cell = cells_find(&cells, HASH(1), TAG, 5, false, &seen);
    ck_assert_ptr_nonnull(cell);
    ck_assert_uint_eq(seen.word, 0);
    ck_assert_uint_eq(cell_tag(&seen), TAG);
    ck_assert(cell_swap(cell, &seen, (struct cell_pair){ seen.key, 42 }));
    ck_assert_ptr_eq(cells_look(&cells, HASH(1), &seen), cell);
    ck_assert_uint_eq(seen.word, 42);
    ck_assert_ptr_eq(cells_find(&cells, HASH(1), TAG + 1, 5, false, &seen), cell);
    ck_assert_uint_eq(cell_tag(&seen), TAG); /* as it was left */
    ck_assert_uint_eq(counted(&cells.shared->used), 1);
}
END_TEST

START_TEST(test_even_the_hash_zero_is_a_key)
{
    struct cell_pair seen;

    put(0, 42, 100, 5);
    ck_assert_ptr_nonnull(cells_look(&cells, 0, &seen));
    ck_assert_uint_eq(seen.word, 42);
    ck_assert_ptr_null(cells_look(&cells, HASH(1), &seen));
}
END_TEST

START_TEST(test_a_swap_fails_when_key_or_word_changed_meanwhile)
{
    struct cell_pair old, seen;
    struct cell *cell = put(HASH(1), 42, 100, 5);

    ck_assert_ptr_eq(cells_look(&cells, HASH(1), &old), cell);
    put(HASH(1), 43, 100, 5);
    seen = old;
    ck_assert(!cell_swap(cell, &seen, (struct cell_pair){ old.key, 44 }));
    ck_assert_uint_eq(seen.word, 43);
    /* taken over by another key with, by chance, the same word */
    for (uint64_t n = 2; n <= 5; n++)
        put(HASH(n), 43, 1000, 200);
    ck_assert(!cell_swap(cell, &seen, (struct cell_pair){ seen.key, 44 }));
    ck_assert(!cell_is_of(&seen, HASH(1)));
}
END_TEST

START_TEST(test_a_newcomer_takes_an_idle_cell_and_sees_zero)
{
    struct cell_pair seen;
    struct cell *idle;

    put(HASH(1), 11, 1000, 5);
    idle = put(HASH(2), 22, 50, 5);
    put(HASH(3), 33, 1000, 5);
    put(HASH(4), 44, 1000, 5);
    ck_assert_ptr_null(cells_find(&cells, HASH(5), TAG, 49, false, &seen));
    ck_assert_uint_eq(counted(&cells.shared->full), 1);
    ck_assert_ptr_eq(cells_find(&cells, HASH(5), TAG, 50, false, &seen), idle);
    ck_assert_uint_eq(seen.word, 0);
    ck_assert_uint_eq(counted(&cells.shared->takeovers), 1);
    ck_assert_uint_eq(counted(&cells.shared->evictions), 0);
    ck_assert_uint_eq(counted(&cells.shared->used), 4);
    ck_assert_ptr_null(cells_look(&cells, HASH(2), &seen));
}
END_TEST

START_TEST(test_eviction_takes_the_cell_that_is_idle_soonest_and_is_counted)
{
    struct cell_pair seen;
    struct cell *soonest;

    put(HASH(1), 11, 1000, 5);
    put(HASH(2), 22, 800, 5);
    soonest = put(HASH(3), 33, 700, 5);
    put(HASH(4), 44, 900, 5);
    ck_assert_ptr_eq(cells_find(&cells, HASH(5), TAG, 5, true, &seen), soonest);
    ck_assert_uint_eq(seen.word, 0);
    ck_assert_uint_eq(counted(&cells.shared->evictions), 1);
}
END_TEST

START_TEST(test_what_a_predecessor_left_in_idle_at_does_not_bind_its_successor)
{
    struct cell *cell = put(HASH(1), 11, NS_PER_S * 86400, 5);

    cell_keep_until(cell, 1000); /* same clock, a bit behind: never turned back … */
    cell_keep_until(cell, NS_PER_S * 86399);
    ck_assert_uint_eq(word_peek(&cell->idle_at_ns), NS_PER_S * 86399);
    cell_keep_until(cell, NS_PER_S * 86398);
    ck_assert_uint_eq(word_peek(&cell->idle_at_ns), NS_PER_S * 86399);
    cell_keep_until(cell, 1000); /* … but a day is no difference of clocks */
    ck_assert_uint_eq(word_peek(&cell->idle_at_ns), 1000);
}
END_TEST

START_TEST(test_a_table_has_at_least_the_capacity_asked_for)
{
    static const size_t asked[] = { 1, 4, 5, 1000, 65536 };

    for (size_t i = 0; i < ARRAY_LEN(asked); i++) {
        drop();
        make_of(asked[i]);
        ck_assert_uint_ge(cells_capacity(&cells), asked[i]);
        ck_assert_uint_lt(cells_capacity(&cells), 2 * asked[i] + CELLS_GROUP);
    }
}
END_TEST

/* The default size has room for a million clients at once. */
START_TEST(test_half_full_every_key_has_a_place_of_its_own)
{
    enum { N = 1000000, CELLS = (64 << 20) / sizeof(struct cell) };
    struct random random;
    uint64_t found = 0, first = 0;

    drop();
    make_of(CELLS);
    random_seed_with(&random, 3);
    for (uint64_t i = 0; i < N; i++) {
        struct cell_pair seen;
        struct cell *cell = cells_find(&cells, random_u64(&random), TAG, 5, true, &seen);

        cell_keep_until(cell, 1000);
        MUST(cell_swap(cell, &seen, (struct cell_pair){ seen.key, i + 1 }));
    }
    random_seed_with(&random, 3);
    for (uint64_t i = 0; i < N; i++) {
        uint64_t hash = random_u64(&random);
        struct cell_pair seen;
        struct cell *cell = cells_look(&cells, hash, &seen);

        found += cell && seen.word == i + 1;
        first += cell &&
                 (size_t)(cell - cells.shared->cell) / CELLS_GROUP == (hash & (cells.groups - 1));
    }
    ck_assert_uint_ge(found, N - N / 2000);
    ck_assert_uint_eq(found + counted(&cells.shared->evictions), N);
    /* and is found soon */
    ck_assert_uint_ge(first, (uint64_t)N * 9 / 10);
}
END_TEST

/* When both of its groups are full, of eight the one that is idle soonest goes. */
START_TEST(test_a_key_has_two_groups)
{
    struct cell_pair seen;

    for (uint64_t n = 1; n <= 8; n++)
        put(HASH(n), n, 1000 + n, 5);
    for (uint64_t n = 1; n <= 8; n++) {
        ck_assert_ptr_nonnull(cells_look(&cells, HASH(n), &seen));
        ck_assert_uint_eq(seen.word, n);
    }
    ck_assert_ptr_null(cells_find(&cells, HASH(9), TAG, 5, false, &seen));
    put(HASH(9), 9, 2000, 5);
    ck_assert_ptr_null(cells_look(&cells, HASH(1), &seen));
    ck_assert_ptr_nonnull(cells_look(&cells, HASH(9), &seen));
    ck_assert_uint_eq(counted(&cells.shared->evictions), 1);
    put(HASH(10), 10, 2000, 1002);
    ck_assert_uint_eq(counted(&cells.shared->takeovers), 1);
    ck_assert_ptr_null(cells_look(&cells, HASH(2), &seen));
}
END_TEST

/* Colleagues who did not see one another have taken several cells of the group for one key. */
static const struct {
    uint64_t words[CELLS_GROUP]; /* NONE: not the key's */
    int wanted;                  /* which is the key's after all */
} several[] = {
#define NONE UINT64_MAX
    { { 5, NONE, 0, NONE }, 0 },    { { 0, NONE, 5, NONE }, 2 }, { { 0, 0, 0, 0 }, 0 },
    { { NONE, 0, NONE, 0 }, 1 },    { { 0, 0, 0, 7 }, 3 },       { { NONE, NONE, NONE, 0 }, 3 },
    { { NONE, NONE, NONE, 9 }, 3 }, { { 0, 8, NONE, 0 }, 1 },
};

START_TEST(test_several_cells_of_one_key_become_one)
{
    struct cell *group = cells.shared->cell, *cell;
    struct cell_pair seen;
    uint64_t used = 0, mine = 0;

    for (size_t i = 0; i < CELLS_GROUP; i++)
        if (several[_i].words[i] != NONE) {
            word_put(&group[i].key, HASH(1) | TAG);
            word_put(&group[i].word, several[_i].words[i]);
            used++;
        }
    word_put(&cells.shared->used, used);
    /* who only looks sees the one that holds something, if there is one */
    cell = cells_look(&cells, HASH(1), &seen);
    if (several[_i].words[several[_i].wanted] != 0)
        ck_assert_ptr_eq(cell, &group[several[_i].wanted]);
    else
        ck_assert_ptr_null(cell);
    cell = cells_find(&cells, HASH(1), TAG, 5, false, &seen);
    ck_assert_ptr_eq(cell, &group[several[_i].wanted]);
    ck_assert_uint_eq(seen.word, several[_i].words[several[_i].wanted]);
    if (seen.word == 0) {
        ck_assert(cell_swap(cell, &seen, (struct cell_pair){ HASH(1) | TAG, 1 }));
        for (size_t i = 0; i < CELLS_GROUP; i++)
            mine += word_peek(&group[i].key) >> 16 != 0;
        ck_assert_uint_eq(mine, 1);
        ck_assert_uint_eq(counted(&cells.shared->used), 1);
    }
}
END_TEST

/* Stopped between its look and its first word: by then the cell was given up, and begun again by somebody else. */
START_TEST(test_a_cell_that_is_begun_again_is_another)
{
    struct cell_pair old, seen;
    struct cell *cell = cells_find(&cells, HASH(1), TAG, 5, false, &old);

    for (int i = 0; i < 6; i++) {
        /* a colleague who holds a word in a lower cell gives it up */
        seen = old;
        ck_assert_ptr_eq(cells_find(&cells, HASH(1), TAG, 5, false, &seen), cell);
        ck_assert(cell_swap(cell, &seen, (struct cell_pair){ seen.key & 0xe000, 0 }));
        ck_assert_ptr_eq(cells_find(&cells, HASH(1), TAG, 5, false, &seen), cell);
        ck_assert_uint_eq(seen.word, 0);
        seen = old;
        ck_assert(!cell_swap(cell, &seen, (struct cell_pair){ old.key, 1 }));
        ck_assert(cell_is_lost(&seen, HASH(1)));
    }
}
END_TEST

START_TEST(test_a_tag_stands_for_its_meaning)
{
    uint64_t tags[500];

    for (uint64_t m = 1; m <= ARRAY_LEN(tags); m++) {
        tags[m - 1] = cells_tag(&cells, m * 77);
        ck_assert_uint_gt(tags[m - 1], 0);
        ck_assert_uint_lt(tags[m - 1], CELLS_TAGS);
    }
    for (uint64_t m = 1; m <= ARRAY_LEN(tags); m++) {
        ck_assert_uint_eq(cells_tag(&cells, m * 77), tags[m - 1]);
        ck_assert_uint_eq(cells_meaning(&cells, tags[m - 1]), m * 77);
    }
    ck_assert_uint_eq(cells_meaning(&cells, CELLS_TAG_MASK), 0);
}
END_TEST

START_TEST(test_more_meanings_than_tags_forget_the_oldest_and_still_answer)
{
    for (uint64_t m = 1; m <= 3 * CELLS_TAGS; m++) {
        uint64_t tag = cells_tag(&cells, m);

        MUST(tag > 0);
        MUST(cells_meaning(&cells, tag) == m);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("cells");
    TCase *t = tcase_create("cells"), *small = tcase_create("one group");

    tcase_set_timeout(t, 60);
    tcase_add_checked_fixture(t, make, drop);
    tcase_add_checked_fixture(small, make_small, drop);
    tcase_add_test(t, test_a_new_key_has_word_zero_and_is_found_again);
    tcase_add_test(t, test_even_the_hash_zero_is_a_key);
    tcase_add_test(small, test_a_swap_fails_when_key_or_word_changed_meanwhile);
    tcase_add_test(small, test_a_newcomer_takes_an_idle_cell_and_sees_zero);
    tcase_add_test(small, test_eviction_takes_the_cell_that_is_idle_soonest_and_is_counted);
    tcase_add_test(t, test_what_a_predecessor_left_in_idle_at_does_not_bind_its_successor);
    tcase_add_test(t, test_a_table_has_at_least_the_capacity_asked_for);
    tcase_add_test(t, test_half_full_every_key_has_a_place_of_its_own);
    tcase_add_test(t, test_a_key_has_two_groups);
    tcase_add_loop_test(t, test_several_cells_of_one_key_become_one, 0, (int)ARRAY_LEN(several));
    tcase_add_test(t, test_a_cell_that_is_begun_again_is_another);
    tcase_add_test(t, test_a_tag_stands_for_its_meaning);
    tcase_add_test(t, test_more_meanings_than_tags_forget_the_oldest_and_still_answer);
    suite_add_tcase(s, t);
    suite_add_tcase(s, small);
    return run_and_count(s);
}

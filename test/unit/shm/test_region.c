/* The directory: what a load makes, keeps, leaves and frees. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "shm/region.h"
#include "shm/seats.h"
#include "test/unit/shm/fresh.h"

static struct region *region;

static void make(void)
{
    region = region_new(SMALL);
}

static void drop(void)
{
    region_close(region);
}

static void *one_load(const char *name, size_t size)
{
    void *at;

    region_begin(region);
    at = region_table(region, TABLE_CELLS, str_from(name), size);
    region_commit(region);
    return at;
}

START_TEST(test_same_kind_name_and_size_after_a_reload_is_the_same_memory)
{
    char *at = one_load("limits", 100);

    memcpy(at, "state", 6);
    ck_assert_ptr_eq(one_load("limits", 100), at);
    ck_assert_str_eq(at, "state");
}
END_TEST

START_TEST(test_another_kind_name_or_size_is_another_table_of_zeros)
{
    char *a = one_load("limits", 100), *b, *c, *d;

    memset(a, 1, 100);
    b = one_load("limits", 101);
    c = one_load("limit", 100);
    region_begin(region);
    d = region_table(region, TABLE_BOARD, STR("limits"), 100);
    region_commit(region);
    for (size_t i = 0; i < 100; i++)
        ck_assert_int_eq(b[i] | c[i] | d[i], 0);
    ck_assert(region_has_other_size(region, TABLE_CELLS, STR("limits"), 100));
    ck_assert(!region_has_other_size(region, TABLE_CELLS, STR("limit"), 100));
    ck_assert(!region_has_other_size(region, TABLE_CELLS, STR("unknown"), 100));
}
END_TEST

START_TEST(test_a_worker_finds_what_was_committed_and_makes_nothing)
{
    void *at = one_load("limits", 100);
    pid_t child;
    int status;

    ck_assert_ptr_null(region_table(region, TABLE_CELLS, STR("others"), 100));
    child = fork();
    if (child == 0)
        _exit(region_table(region, TABLE_CELLS, STR("limits"), 100) == at &&
                      !region_table(region, TABLE_CELLS, STR("others"), 100)
                  ? 0
                  : 1);
    waitpid(child, &status, 0);
    ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(test_an_aborted_load_leaves_nothing)
{
    uint64_t before, resident;
    char *big, *small;

    one_load("kept", 64);
    before = word_peek(&region_header(region)->bytes);
    region_begin(region);
    big = region_table(region, TABLE_CELLS, STR("big"), 1 << 20);
    small = region_table(region, TABLE_CELLS, STR("small"), 100);
    memset(big, 7, 1 << 20);
    memset(small, 7, 100);
    resident = region_resident(region);
    region_abort(region);
    MUST(word_peek(&region_header(region)->bytes) == before);
    MUST(region_resident(region) + (1 << 20) <= resident);
    ck_assert_ptr_null(region_table(region, TABLE_CELLS, STR("big"), 1 << 20));
    MUST(word_peek(&region_header(region)->generation) == 1);
    /* and its place is clean */
    region_begin(region);
    big = region_table(region, TABLE_CELLS, STR("big2"), 1 << 20);
    small = region_table(region, TABLE_CELLS, STR("small2"), 100);
    region_commit(region);
    for (size_t i = 0; i < 1 << 20; i++)
        MUST(big[i] == 0);
    for (size_t i = 0; i < 100; i++)
        MUST(small[i] == 0);
}
END_TEST

START_TEST(test_tables_never_overlap_and_are_aligned)
{
    enum { N = 500 };
    static unsigned char *at[N];
    static size_t size[N];

    for (int round = 0; round < 4; round++) {
        region_begin(region);
        for (size_t i = 0; i < N; i++) {
            char name[32];
            int len = snprintf(name, sizeof name, "t/%d/%zu", i % 3 == 0 ? round : 0, i);

            size[i] = 1 + i * 37 % 9000;
            at[i] = region_table(region, TABLE_WORDS, str_of(name, (size_t)len), size[i]);
            ck_assert_ptr_nonnull(at[i]);
            MUST((uintptr_t)at[i] % CACHE_LINE == 0);
            memset(at[i], (int)(i & 0xff), size[i]);
        }
        region_commit(region);
        for (size_t i = 0; i < N; i++)
            for (size_t b = 0; b < size[i]; b++)
                MUST(at[i][b] == (i & 0xff));
        region_sweep(region, UINT64_MAX);
    }
    MUST(word_peek(&region_header(region)->tables) < 2 * N);
}
END_TEST

START_TEST(test_a_table_is_swept_when_nobody_can_name_it_any_more)
{
    char *at = one_load("old", 1 << 20); /* generation 1 */
    uint64_t resident;

    memset(at, 1, 1 << 20);
    one_load("new", 64); /* generation 2 no longer names it */
    resident = region_resident(region);
    ck_assert_uint_eq(region_sweep(region, 1), 0); /* a seat still holds generation 1 */
    ck_assert_int_eq(at[0], 1);
    ck_assert_uint_eq(region_sweep(region, 2), 1);
    ck_assert_uint_le(region_resident(region) + (1 << 20), resident);
    ck_assert_ptr_null(region_table(region, TABLE_CELLS, STR("old"), 1 << 20));
    ck_assert_ptr_nonnull(region_table(region, TABLE_CELLS, STR("new"), 64));
}
END_TEST

START_TEST(test_the_running_load_is_never_swept_whatever_the_seats_say)
{
    one_load("new", 64);
    ck_assert_uint_eq(region_sweep(region, UINT64_MAX), 0);
    ck_assert_ptr_nonnull(region_table(region, TABLE_CELLS, STR("new"), 64));
}
END_TEST

START_TEST(test_a_full_region_fails_the_load_and_not_the_process)
{
    region_begin(region);
    ck_assert_ptr_null(region_table(region, TABLE_CELLS, STR("huge"), SMALL));
    ck_assert_ptr_null(region_table(region, TABLE_CELLS, STR("endless"), SIZE_MAX - 5));
    ck_assert_ptr_nonnull(region_table(region, TABLE_CELLS, STR("fits"), SMALL / 2));
    ck_assert_ptr_null(region_table(region, TABLE_CELLS, STR("no more"), SMALL / 2));
    region_abort(region);
    ck_assert_ptr_nonnull(one_load("fits", SMALL / 2));
}
END_TEST

START_TEST(test_a_thousand_reloads_that_rename_everything_need_no_more_room)
{
    enum { N = 50 };
    char name[100];
    uint64_t resident;

    resident = region_resident(region);
    for (int round = 0; round < 1000; round++) {
        region_begin(region);
        for (int i = 0; i < N; i++) {
            int len = snprintf(name, sizeof name,
                               "kind/a-service-with-a-rather-long-name-%d-in-the-configuration/%d/"
                               "and-what-it-counts",
                               i, round);
            char *at =
                region_table(region, TABLE_CELLS, str_of(name, (size_t)len), i % 2 ? 200 : 8192);

            ck_assert_ptr_nonnull(at);
            MUST(at[0] == 0);
            at[0] = 1;
        }
        region_commit(region);
        region_sweep(region, (uint64_t)round + 1);
    }
    MUST(word_peek(&region_header(region)->tables) <= 2 * N);
    MUST(word_peek(&region_header(region)->bytes) <= 2 * N * 8192);
    /* two sets of tables and what the directory takes to find them */
    MUST(region_resident(region) <= resident + 2 * N * 8192 + (1 << 20));
}
END_TEST

START_TEST(test_names_longer_than_an_entry_are_told_apart)
{
    char a[300], b[300];
    void *x, *y;

    memset(a, 'n', sizeof a);
    memset(b, 'n', sizeof b);
    b[299] = 'm';
    region_begin(region);
    x = region_table(region, TABLE_CELLS, str_of(a, sizeof a), 64);
    y = region_table(region, TABLE_CELLS, str_of(b, sizeof b), 64);
    region_commit(region);
    ck_assert_ptr_ne(x, y);
    ck_assert_ptr_eq(region_table(region, TABLE_CELLS, str_of(b, sizeof b), 64), y);
}
END_TEST

START_TEST(test_the_next_binary_finds_the_state_behind_the_descriptor)
{
    char *at = one_load("limits", 100);
    struct region *again;
    char *there;

    memcpy(at, "state", 6);
    /* a master that was killed in mid-load left this */
    region_begin(region);
    ck_assert_ptr_nonnull(region_table(region, TABLE_CELLS, STR("half"), 5000));
    again = region_open(dup(region_fd(region)));
    ck_assert_ptr_nonnull(again);
    there = region_table(again, TABLE_CELLS, STR("limits"), 100);
    ck_assert_ptr_ne(there, at);
    ck_assert_str_eq(there, "state");
    region_begin(again);
    ck_assert_ptr_nonnull(region_table(again, TABLE_CELLS, STR("half"), 5000));
    region_commit(again);
    ck_assert_uint_eq(word_peek(&region_header(again)->generation), 2);
    region_close(again);
}
END_TEST

START_TEST(test_a_region_of_another_layout_is_refused)
{
    int pipes[2];

    region_header(region)->layout++;
    ck_assert_ptr_null(region_open(dup(region_fd(region))));
    region_header(region)->layout--;
    region_header(region)->magic++;
    ck_assert_ptr_null(region_open(dup(region_fd(region))));
    ck_assert_int_eq(pipe(pipes), 0);
    ck_assert_ptr_null(region_open(pipes[0]));
    close(pipes[1]);
}
END_TEST

START_TEST(test_who_looks_sees_what_others_write_and_writes_nothing)
{
    struct region *looker;
    shared_word *words, *seen;

    region_begin(region);
    words = region_words(region, STR("w"), 4);
    region_commit(region);
    looker = region_look(dup(region_fd(region)));
    ck_assert_ptr_nonnull(looker);
    seen = region_words(looker, STR("w"), 4);
    ck_assert_ptr_nonnull(seen);
    ck_assert_ptr_ne(seen, words);
    word_put(&words[2], 77);
    ck_assert_uint_eq(word_peek(&seen[2]), 77);
    ck_assert_ptr_null(region_words(looker, STR("nobody's"), 4));
    region_close(looker);
    ck_assert_uint_eq(word_peek(&words[2]), 77);
    region_header(region)->layout++;
    ck_assert_ptr_null(region_look(dup(region_fd(region))));
    region_header(region)->layout--;
}
END_TEST

START_TEST(test_who_only_looks_dies_when_it_writes)
{
    struct region *looker;

    region_begin(region);
    ck_assert_ptr_nonnull(region_words(region, STR("w"), 4));
    region_commit(region);
    looker = region_look(dup(region_fd(region)));
    signal(SIGSEGV, SIG_DFL); /* whatever a sanitizer makes of it */
    word_put(region_words(looker, STR("w"), 4), 1);
}
END_TEST

START_TEST(test_nobody_can_cut_the_memory_under_our_feet)
{
    ck_assert_int_ne(ftruncate(region_fd(region), 4096), 0);
}
END_TEST

START_TEST(test_the_directory_can_be_walked)
{
    struct table_info info;
    size_t i = 0, seen = 0;

    one_load("a", 10);
    region_begin(region);
    ck_assert_ptr_nonnull(region_table(region, TABLE_CELLS, STR("a"), 10));
    ck_assert_ptr_nonnull(region_words(region, STR("b"), 4));
    region_commit(region);
    while (region_next_table(region, &i, &info)) {
        ck_assert(str_equal(info.name, info.kind == TABLE_CELLS ? STR("a") : STR("b")));
        ck_assert_uint_eq(info.size, info.kind == TABLE_CELLS ? 10 : 32);
        ck_assert_uint_eq(info.last_named, 2);
        seen++;
    }
    ck_assert_uint_eq(seen, 2);
}
END_TEST

START_TEST(test_time_begins_at_one_and_a_clock_behind_the_birth_is_the_beginning)
{
    const struct region_header *h = region_header(region);

    ck_assert_uint_eq(region_now(h, h->birth_ns), 1);
    ck_assert_uint_eq(region_now(h, 0), 1);
    ck_assert_uint_eq(region_now(h, h->birth_ns + 77), 77);
}
END_TEST

START_TEST(test_what_a_load_has_made_is_nobodys_before_it_is_committed)
{
    struct region *worker = region_open(dup(region_fd(region)));
    struct table_info info;
    size_t i = 0;

    region_begin(region);
    ck_assert_ptr_nonnull(region_table(region, TABLE_CELLS, STR("new"), 100));
    ck_assert_ptr_null(region_table(worker, TABLE_CELLS, STR("new"), 100));
    ck_assert(!region_next_table(worker, &i, &info));
    region_commit(region);
    ck_assert_ptr_nonnull(region_table(worker, TABLE_CELLS, STR("new"), 100));
    region_close(worker);
}
END_TEST

START_TEST(test_more_tables_than_the_directory_has_entries_fail_the_load)
{
    char name[32];
    uint32_t i;

    region_begin(region);
    for (i = 0; i <= REGION_TABLES; i++) {
        int len = snprintf(name, sizeof name, "t/%u", i);

        if (!region_table(region, TABLE_WORDS, str_of(name, (size_t)len), 8))
            break;
    }
    ck_assert_uint_eq(i, REGION_TABLES);
    region_abort(region);
    ck_assert_uint_eq(word_peek(&region_header(region)->bytes), 0);
    ck_assert_ptr_nonnull(one_load("again", 8));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("region");
    TCase *t = tcase_create("directory");

    tcase_add_checked_fixture(t, make, drop);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_same_kind_name_and_size_after_a_reload_is_the_same_memory);
    tcase_add_test(t, test_another_kind_name_or_size_is_another_table_of_zeros);
    tcase_add_test(t, test_a_worker_finds_what_was_committed_and_makes_nothing);
    tcase_add_test(t, test_an_aborted_load_leaves_nothing);
    tcase_add_test(t, test_tables_never_overlap_and_are_aligned);
    tcase_add_test(t, test_a_table_is_swept_when_nobody_can_name_it_any_more);
    tcase_add_test(t, test_the_running_load_is_never_swept_whatever_the_seats_say);
    tcase_add_test(t, test_a_full_region_fails_the_load_and_not_the_process);
    tcase_add_test(t, test_a_thousand_reloads_that_rename_everything_need_no_more_room);
    tcase_add_test(t, test_names_longer_than_an_entry_are_told_apart);
    tcase_add_test(t, test_the_next_binary_finds_the_state_behind_the_descriptor);
    tcase_add_test(t, test_a_region_of_another_layout_is_refused);
    tcase_add_test(t, test_who_looks_sees_what_others_write_and_writes_nothing);
    tcase_add_test_raise_signal(t, test_who_only_looks_dies_when_it_writes, SIGSEGV);
    tcase_add_test(t, test_nobody_can_cut_the_memory_under_our_feet);
    tcase_add_test(t, test_the_directory_can_be_walked);
    tcase_add_test(t, test_more_tables_than_the_directory_has_entries_fail_the_load);
    tcase_add_test(t, test_what_a_load_has_made_is_nobodys_before_it_is_committed);
    tcase_add_test(t, test_time_begins_at_one_and_a_clock_behind_the_birth_is_the_beginning);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

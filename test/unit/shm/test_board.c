/* One record, two copies. */
#include <string.h>

#include "shm/board.h"
#include "test/unit/shm/fresh.h"

#define MAX 100

static struct region *region;
static struct board *board;

static void make(void)
{
    region = region_new(SMALL);
    region_begin(region);
    board = board_table(region, STR("news"), MAX);
    region_commit(region);
}

static void drop(void)
{
    region_close(region);
}

START_TEST(test_a_board_that_was_never_written_has_nothing_to_read)
{
    char record[MAX];
    uint64_t sequence;
    size_t len;

    ck_assert(!board_read(board, MAX, record, &len, &sequence));
    ck_assert_uint_eq(board_sequence(board), 0);
}
END_TEST

START_TEST(test_every_length_comes_out_as_it_was_put)
{
    char record[MAX + 1], out[MAX + 1];
    uint64_t sequence;
    size_t len = (size_t)_i, got;

    memset(record, 0, sizeof record);
    memset(record, 'a' + _i % 26, len);
    memset(out, '#', sizeof out);
    board_publish(board, MAX, "something else that is longer", 29);
    board_publish(board, MAX, record, len);
    ck_assert(board_read(board, MAX, out, &got, &sequence));
    ck_assert_uint_eq(got, len);
    ck_assert_uint_eq(sequence, 2);
    ck_assert_int_eq(memcmp(out, record, len), 0);
    ck_assert_int_eq(out[len], '#');
}
END_TEST

START_TEST(test_a_writer_killed_in_mid_write_has_changed_nothing)
{
    char out[MAX];
    uint64_t sequence;
    size_t len;

    board_publish(board, MAX, "first", 5);
    /* half of the second record, and killed before the sequence was published */
    word_put(&board->len[0], 99);
    word_put(&board->words[0], ~UINT64_C(0));
    ck_assert(board_read(board, MAX, out, &len, &sequence));
    ck_assert_uint_eq(len, 5);
    ck_assert_int_eq(memcmp(out, "first", 5), 0);
    board_publish(board, MAX, "second", 6);
    ck_assert(board_read(board, MAX, out, &len, &sequence));
    ck_assert_uint_eq(len, 6);
    ck_assert_int_eq(memcmp(out, "second", 6), 0);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("board");
    TCase *t = tcase_create("board");

    tcase_add_checked_fixture(t, make, drop);
    tcase_add_test(t, test_a_board_that_was_never_written_has_nothing_to_read);
    tcase_add_loop_test(t, test_every_length_comes_out_as_it_was_put, 0, MAX + 1);
    tcase_add_test(t, test_a_writer_killed_in_mid_write_has_changed_nothing);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

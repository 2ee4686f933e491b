/* Records in a ring. */
#include <stdio.h>
#include <string.h>

#include "gateway/base/random.h"
#include "shm/ring.h"
#include "test/unit/shm/fresh.h"

static struct region *region;
static struct ring *ring;

static void make(void)
{
    region = region_new(SMALL);
    region_begin(region);
    ring = rings_table(region);
    region_commit(region);
    ring += 3;
}

static void drop(void)
{
    region_close(region);
}

/* A record whose length and bytes follow from its number. */
static uint32_t record_make(uint64_t number, unsigned char *to)
{
    uint32_t len = 8 + (uint32_t)(number * 7919 % 3000);

    memset(to, (int)(number & 0xff), len);
    memcpy(to, &number, 8);
    return len;
}

static void record_check(struct str record, uint64_t number)
{
    unsigned char want[RING_RECORD_MAX];
    uint32_t len = record_make(number, want);

    ck_assert_uint_eq(record.len, len);
    ck_assert_int_eq(memcmp(record.at, want, len), 0);
}

START_TEST(test_what_was_put_comes_out_in_order_over_many_rounds)
{
    unsigned char record[RING_RECORD_MAX];
    struct random random;
    uint64_t put = 0, got = 0, at = ring_begin(ring);
    bool half;

    random_seed_with(&random, 1);
    while (got < 20000) {
        for (uint64_t n = random_below(&random, 400); n > 0; n--)
            put += ring_put(ring, record, record_make(put, record), &half);
        for (uint64_t n = random_below(&random, 400); n > 0; n--) {
            struct str out;

            if (!ring_next(ring, &at, &out)) {
                ck_assert_uint_eq(got, put);
                break;
            }
            ck_assert_uint_eq((uintptr_t)out.at % 8, 0);
            record_check(out, got++);
        }
        ring_done(ring, at);
    }
    ck_assert_uint_eq(word_peek(&ring->broken), 0);
    ck_assert_uint_eq(word_peek(&ring->written), put);
}
END_TEST

START_TEST(test_a_full_ring_drops_counts_and_goes_on)
{
    unsigned char record[1000] = { 1 };
    uint64_t at = ring_begin(ring), got = 0;
    struct str out;
    bool half;
    int put = 0;

    while (ring_put(ring, record, sizeof record, &half))
        put++;
    ck_assert_int_eq(put, RING_BYTES / (sizeof record + 8));
    ck_assert(!ring_put(ring, record, sizeof record, &half));
    ck_assert_uint_eq(word_peek(&ring->dropped), 2);
    while (ring_next(ring, &at, &out))
        got++;
    ck_assert_uint_eq(got, (uint64_t)put);
    ck_assert(!ring_put(ring, record, sizeof record, &half)); /* read, but not done with */
    ring_done(ring, at);
    ck_assert(ring_put(ring, record, sizeof record, &half));
}
END_TEST

START_TEST(test_a_ring_calls_once_when_it_passes_half_and_again_when_it_was_emptied)
{
    unsigned char record[1000] = { 1 };
    struct str out;
    uint64_t at = 0;

    for (int round = 0; round < 5; round++) {
        int calls = 0;
        bool half;

        for (int i = 0; i < 900; i++) {
            ck_assert(ring_put(ring, record, sizeof record, &half));
            calls += half;
            if (half)
                ck_assert_uint_ge(ring_waiting(ring), RING_BYTES / 2);
        }
        ck_assert_int_eq(calls, 1);
        while (ring_next(ring, &at, &out))
            continue;
        ring_done(ring, at);
        ck_assert_uint_eq(ring_waiting(ring), 0);
    }
}
END_TEST

START_TEST(test_a_writer_killed_in_mid_record_leaves_nothing_and_its_successor_goes_on)
{
    unsigned char record[RING_RECORD_MAX];
    uint64_t at = 0;
    struct str out;
    bool half;

    ck_assert(ring_put(ring, record, record_make(0, record), &half));
    memset(ring_reserve(ring, 5000), 0xee, 5000); /* and here it is killed */
    ck_assert(ring_put(ring, record, record_make(1, record), &half));
    ck_assert(ring_next(ring, &at, &out));
    record_check(out, 0);
    ck_assert(ring_next(ring, &at, &out));
    record_check(out, 1);
    ck_assert(!ring_next(ring, &at, &out));
}
END_TEST

START_TEST(test_a_reader_killed_before_it_was_done_reads_again)
{
    unsigned char record[RING_RECORD_MAX];
    uint64_t at;
    struct str out;
    bool half;

    for (uint64_t i = 0; i < 10; i++)
        ck_assert(ring_put(ring, record, record_make(i, record), &half));
    at = ring_begin(ring);
    for (uint64_t i = 0; i < 5; i++)
        ck_assert(ring_next(ring, &at, &out));
    ring_done(ring, at);
    ck_assert(ring_next(ring, &at, &out)); /* and here it is killed */
    at = ring_begin(ring);
    for (uint64_t i = 5; i < 10; i++) {
        ck_assert(ring_next(ring, &at, &out));
        record_check(out, i);
    }
}
END_TEST

START_TEST(test_a_record_may_be_shorter_than_what_was_reserved)
{
    uint64_t at = 0;
    struct str out;

    for (int i = 0; i < 1000; i++) {
        char *to = ring_reserve(ring, RING_RECORD_MAX);

        ck_assert_ptr_nonnull(to);
        to[0] = (char)i;
        ring_commit(ring, 1);
        ck_assert(ring_next(ring, &at, &out));
        ck_assert_uint_eq(out.len, 1);
        ck_assert_int_eq(out.at[0], (char)i);
        ring_done(ring, at);
    }
}
END_TEST

START_TEST(test_what_no_writer_writes_is_counted_and_left_behind)
{
    unsigned char record[100] = { 1 };
    uint64_t at = 0;
    struct str out;
    uint32_t bad[] = { 0, RING_RECORD_MAX + 1, 5000, UINT32_MAX - 1 };
    bool half;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        uint64_t begin = word_peek(&ring->head);

        ck_assert(ring_put(ring, record, sizeof record, &half));
        memcpy(&ring->bytes[begin % RING_BYTES], &bad[i], 4);
        ck_assert(!ring_next(ring, &at, &out));
        ck_assert_uint_eq(at, word_peek(&ring->head));
        ck_assert_uint_eq(word_peek(&ring->broken), i + 1);
    }
    ck_assert(ring_put(ring, record, sizeof record, &half));
    ck_assert(ring_next(ring, &at, &out));
    /* a tail that makes no sense */
    at = word_peek(&ring->head) + 800;
    ck_assert(!ring_next(ring, &at, &out));
    ck_assert_uint_eq(at, word_peek(&ring->head));
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ring");
    TCase *t = tcase_create("ring");

    tcase_add_checked_fixture(t, make, drop);
    tcase_set_timeout(t, 60);
    tcase_add_test(t, test_what_was_put_comes_out_in_order_over_many_rounds);
    tcase_add_test(t, test_a_full_ring_drops_counts_and_goes_on);
    tcase_add_test(t, test_a_ring_calls_once_when_it_passes_half_and_again_when_it_was_emptied);
    tcase_add_test(t, test_a_writer_killed_in_mid_record_leaves_nothing_and_its_successor_goes_on);
    tcase_add_test(t, test_a_reader_killed_before_it_was_done_reads_again);
    tcase_add_test(t, test_a_record_may_be_shorter_than_what_was_reserved);
    tcase_add_test(t, test_what_no_writer_writes_is_counted_and_left_behind);
    suite_add_tcase(s, t);
    return run_and_count(s);
}

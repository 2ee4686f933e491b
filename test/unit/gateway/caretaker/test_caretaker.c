/* The caretaker looks at the rings by itself, and at once when a bell rings. */
#include <check.h>
#include <stdlib.h>

#include "gateway/base/clock.h"
#include "gateway/base/number.h"
#include "gateway/caretaker/caretaker.h"
#include "gateway/exchange/record.h"
#include "gateway/exchange/shared.h"

struct stage {
    struct worker worker; /* the caretaker's process */
    struct conf_globals globals;
    struct shared *shared;
    struct bells *bells;
    struct caretaker *caretaker;
};

static void begin(struct stage *s)
{
    static const uint64_t buckets[] = { 1000000 };
    struct seats_shared *seats;

    *s = (struct stage){ .globals = { .metrics = { .max_series = 100,
                                                   .buckets = { (void *)(uintptr_t)buckets, 1 } },
                                      .shared_memory = { .limits = { .size = 1 << 20 },
                                                         .metrics = { .size = 1 << 20 } } } };
    loop_init(&s->worker.loop);
    list_init(&s->worker.logs);
    s->worker.region = region_new(0);
    region_begin(s->worker.region);
    seats = seats_table(s->worker.region);
    ck_assert_ptr_nonnull(seats);
    s->shared = shared_open(s->worker.region, &s->globals);
    region_commit(s->worker.region);
    ck_assert_uint_eq(seats_claim(seats, 100, SEAT_WORKER, 0, 1, 1), 0);
    s->worker.seat = seats_claim(seats, 101, SEAT_CARETAKER, 0, 1, 1);
    s->bells = bells_new();
    s->caretaker = caretaker_start(&s->worker, s->bells);
    loop_turn(&s->worker.loop, 0);
    caretaker_configure(s->caretaker, &s->globals);
}

static void end(struct stage *s)
{
    caretaker_stop(s->caretaker);
    bells_free(s->bells);
    shared_close(s->shared);
    region_close(s->worker.region);
    loop_end(&s->worker.loop);
}

/* A worker's record; true: it rang for it. */
static bool put(struct stage *s)
{
    static char path[RECORD_PATH_MAX];
    struct record_line line = { .texts[RECORD_PATH] = str_of(path, sizeof path) };
    char bytes[RECORD_BYTES_MAX];
    bool half;

    ck_assert(ring_put(&s->shared->rings[0], bytes, (uint32_t)record_encode(bytes, &line), &half));
    if (half)
        bell_ring(s->bells, s->shared->records);
    return half;
}

START_TEST(test_records_are_taken_within_the_time_of_a_look)
{
    struct stage s;
    uint64_t begun_ns;

    begin(&s);
    put(&s);
    ck_assert_uint_gt(caretaker_unfinished(s.caretaker), 0);
    begun_ns = clock_now_ns();
    while (caretaker_unfinished(s.caretaker) > 0)
        loop_turn(&s.worker.loop, NS_PER_S);
    ck_assert_uint_lt(clock_now_ns() - begun_ns, NS_PER_S);
    end(&s);
}
END_TEST

/* A ring that passes half while nobody looks must not wait for the next look. */
START_TEST(test_a_bell_is_answered_at_once_each_time)
{
    struct stage s;

    begin(&s);
    for (int i = 0; i < 3; i++) {
        while (!put(&s))
            continue;
        ck_assert_uint_gt(ring_waiting(&s.shared->rings[0]), RING_BYTES / 3);
        loop_turn(&s.worker.loop, 0);
        ck_assert_uint_eq(ring_waiting(&s.shared->rings[0]), 0);
    }
    end(&s);
}
END_TEST

START_TEST(test_what_was_left_is_taken_before_the_end)
{
    struct stage s;

    begin(&s);
    for (int i = 0; i < 100; i++)
        put(&s);
    caretaker_drain(s.caretaker);
    ck_assert_uint_eq(caretaker_unfinished(s.caretaker), 0);
    for (int i = 0; i < 100; i++)
        put(&s);
    caretaker_stop(s.caretaker);
    ck_assert_uint_eq(ring_waiting(&s.shared->rings[0]), 0);
    s.caretaker = caretaker_start(&s.worker, NULL); /* it does without bells too */
    put(&s);
    caretaker_configure(s.caretaker, &s.globals);
    ck_assert_uint_eq(ring_waiting(&s.shared->rings[0]), 0);
    end(&s);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("caretaker");
    TCase *c = tcase_create("caretaker");
    SRunner *r;
    int failed;

    tcase_add_test(c, test_records_are_taken_within_the_time_of_a_look);
    tcase_add_test(c, test_a_bell_is_answered_at_once_each_time);
    tcase_add_test(c, test_what_was_left_is_taken_before_the_end);
    suite_add_tcase(s, c);
    r = srunner_create(s);
    srunner_run_all(r, CK_NORMAL);
    failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

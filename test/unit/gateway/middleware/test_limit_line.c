/* Who waits for a place, over all workers: first come, first served, and whoever hangs, leaves or dies holds up nobody. */
#include <check.h>
#include <stdlib.h>

#include "concurrency_play.h"
#include "gateway/base/number.h"
#include "shm/places.h"

START_TEST(test_who_waits_is_served_where_it_waits_in_its_turn_and_with_an_empty_stack)
{
    struct play p;
    struct act a[4];

    play_begin(&p, "{max: 1, queue: 10}");
    ck_assert_int_eq(come(&p, &a[0], 0), NEXT);
    for (int i = 1; i < 4; i++)
        ck_assert_int_eq(come(&p, &a[i], 0), WAIT);
    ck_assert_uint_eq(waiting(&p), 3);
    for (int i = 0; i < 3; i++) {
        leave(&a[i]);
        ck_assert(!is_served(&a[i + 1])); /* waking is never immediate */
        turn(&p, 0);
        ck_assert(is_served(&a[i + 1]));
        ck_assert_uint_eq(running(&p), 1);
        ck_assert_uint_eq(waiting(&p), (uint64_t)(2 - i));
    }
    leave(&a[3]);
    play_end(&p);
}
END_TEST

/* In whatever worker a place becomes free. */
START_TEST(test_over_all_workers_who_has_waited_longest_goes_first)
{
    struct play p;
    struct act a[9];
    int where[9] = { _i & 1 };

    play_begin(&p, "{max: 1, queue: 10}");
    ck_assert_int_eq(come(&p, &a[0], where[0]), NEXT);
    for (int i = 1; i < 9; i++) {
        where[i] = _i >> (i % 8) & 1;
        ck_assert_int_eq(come(&p, &a[i], where[i]), WAIT);
    }
    for (int i = 0; i < 8; i++) {
        leave(&a[i]);
        turn(&p, where[i]);
        ck_assert_int_eq(hear(&p, !where[i]), where[i + 1] != where[i]); /* nobody else is woken */
        ck_assert(!hear(&p, where[i]));
        for (int n = i + 1; n < 9; n++)
            ck_assert_int_eq(is_served(&a[n]), n == i + 1);
    }
    leave(&a[8]);
    play_end(&p);
}
END_TEST

START_TEST(test_a_newcomer_elsewhere_does_not_take_the_place_of_who_is_called)
{
    struct play p;
    struct act first, waits, newcomer;

    play_begin(&p, "{max: 1, queue: 10}");
    ck_assert_int_eq(come(&p, &first, 0), NEXT);
    ck_assert_int_eq(come(&p, &waits, 1), WAIT);
    leave(&first);
    ck_assert_int_eq(come(&p, &newcomer, 0), WAIT);
    ck_assert(hear(&p, 1) && is_served(&waits) && !is_served(&newcomer));
    leave(&waits);
    ck_assert(hear(&p, 0) && is_served(&newcomer));
    leave(&newcomer);
    play_end(&p);
}
END_TEST

START_TEST(test_a_call_that_nobody_hears_costs_a_look)
{
    struct play p;
    struct act first, waits;

    play_begin(&p, "{max: 1, queue: 10}");
    ck_assert_int_eq(come(&p, &first, 0), NEXT);
    ck_assert_int_eq(come(&p, &waits, 1), WAIT);
    region_commit(p.s.region);
    /* its worker dies with the place, and nobody is called */
    places_retire_seat(p.s.region, p.workers[0].seat);
    holds_retire_seat(p.s.region, p.workers[0].seat);
    pass_ms(&p, 1, 49);
    ck_assert(!is_served(&waits));
    pass_ms(&p, 1, 2);
    ck_assert(is_served(&waits));
    leave(&waits);
    free(first.frame.state); /* its worker ends nothing any more */
    arena_free(&first.x.arena);
    play_end(&p);
}
END_TEST

START_TEST(test_who_hangs_is_passed_over)
{
    struct play p;
    struct act a[4];

    play_begin(&p, "{max: 1, queue: 10}");
    ck_assert_int_eq(come(&p, &a[0], 0), NEXT);
    ck_assert_int_eq(come(&p, &a[1], 1), WAIT); /* and from here on its worker does not turn */
    ck_assert_int_eq(come(&p, &a[2], 0), WAIT);
    ck_assert_int_eq(come(&p, &a[3], 0), WAIT);
    leave(&a[0]); /* calls the other one, which does not come … */
    turn(&p, 0);
    ck_assert(!is_served(&a[2]));
    pass_ms(&p, 0, 51); /* … so ours takes the place after a while */
    ck_assert(is_served(&a[2]));
    leave(&a[2]);
    turn(&p, 0);
    ck_assert(is_served(&a[3])); /* and from then on at once */
    leave(&a[3]);
    ck_assert(hear(&p, 1) && is_served(&a[1]));
    leave(&a[1]);
    play_end(&p);
}
END_TEST

START_TEST(test_who_leaves_after_being_called_passes_it_on)
{
    struct play p;
    struct act first, leaves, next;

    play_begin(&p, "{max: 1, queue: 10}");
    ck_assert_int_eq(come(&p, &first, 0), NEXT);
    ck_assert_int_eq(come(&p, &leaves, 1), WAIT);
    ck_assert_int_eq(come(&p, &next, 0), WAIT);
    leave(&first);
    leave(&leaves); /* before it has heard */
    ck_assert(hear(&p, 0) && is_served(&next));
    leave(&next);
    play_end(&p);
}
END_TEST

START_TEST(test_who_leaves_with_a_place_before_it_was_woken_gives_it_on)
{
    struct play p;
    struct act first, leaves, next;

    play_begin(&p, "{max: 1, queue: 10}");
    ck_assert_int_eq(come(&p, &first, 0), NEXT);
    ck_assert_int_eq(come(&p, &leaves, 0), WAIT);
    ck_assert_int_eq(come(&p, &next, 0), WAIT);
    leave(&first); /* `leaves` has the place now and does not know it */
    leave(&leaves);
    turn(&p, 0);
    ck_assert(!is_served(&leaves) && is_served(&next));
    leave(&next);
    play_end(&p);
}
END_TEST

START_TEST(test_a_place_that_comes_as_the_time_runs_out_is_taken)
{
    struct play p;
    struct act first, waits;

    play_begin(&p, "{max: 1, queue: 10, queue_timeout: 100ms}");
    ck_assert_int_eq(come(&p, &first, 0), NEXT);
    ck_assert_int_eq(come(&p, &waits, 0), WAIT);
    p.now_ns += 101 * NS_PER_MS;
    timers_run(&p.loops[0].timers, p.now_ns);
    leave(&first); /* in the same turn */
    turn(&p, 0);
    ck_assert(is_served(&waits));
    ck_assert_uint_eq(running(&p), 1);
    leave(&waits);
    play_end(&p);
}
END_TEST

START_TEST(test_only_so_many_wait)
{
    struct play p;
    struct act a[5];

    play_begin(&p, "{max: 1, queue: 2}");
    ck_assert_int_eq(come(&p, &a[0], 0), NEXT);
    ck_assert_int_eq(come(&p, &a[1], 0), WAIT);
    ck_assert_int_eq(come(&p, &a[2], 1), WAIT);
    ck_assert_int_eq(come(&p, &a[3], 0), REPLIED);
    ck_assert_int_eq(come(&p, &a[4], 1), REPLIED);
    leave(&a[3]);
    leave(&a[4]);
    leave(&a[0]);
    turn(&p, 0);
    leave(&a[1]);
    ck_assert(hear(&p, 1));
    leave(&a[2]);
    play_end(&p);
}
END_TEST

START_TEST(test_the_time_of_the_request_that_runs_out_ends_the_waiting)
{
    struct play p;
    struct act first, waits;

    play_begin(&p, "{max: 1, queue: 10}");
    ck_assert_int_eq(come(&p, &first, 0), NEXT);
    ck_assert_int_eq(come(&p, &waits, 0), WAIT);
    waiter_cancel(
        &waits.frame.waiter); /* as exchange_fail does, which then walks the steps outwards */
    act_response(&waits);
    ck_assert_uint_eq(waiting(&p), 0);
    leave(&first);
    turn(&p, 0);
    ck_assert(!is_served(&waits));
    leave(&waits);
    play_end(&p);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("limit_line");
    TCase *t = tcase_create("limit_line");
    SRunner *runner;
    int failed;

    tcase_add_test(t, test_who_waits_is_served_where_it_waits_in_its_turn_and_with_an_empty_stack);
    tcase_add_loop_test(t, test_over_all_workers_who_has_waited_longest_goes_first, 0, 64);
    tcase_add_test(t, test_a_newcomer_elsewhere_does_not_take_the_place_of_who_is_called);
    tcase_add_test(t, test_a_call_that_nobody_hears_costs_a_look);
    tcase_add_test(t, test_who_hangs_is_passed_over);
    tcase_add_test(t, test_who_leaves_after_being_called_passes_it_on);
    tcase_add_test(t, test_who_leaves_with_a_place_before_it_was_woken_gives_it_on);
    tcase_add_test(t, test_a_place_that_comes_as_the_time_runs_out_is_taken);
    tcase_add_test(t, test_only_so_many_wait);
    tcase_add_test(t, test_the_time_of_the_request_that_runs_out_ends_the_waiting);
    suite_add_tcase(s, t);
    tcase_set_timeout(t, 30);
    runner = srunner_create(s);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

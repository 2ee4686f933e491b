/* What reloads have ended goes bit by bit, and is known of until it is gone. */
#include <check.h>
#include <stdlib.h>

#include "gateway/ended.h"

#define MANY 20000

static struct loop loop;
static struct ended ended;
static unsigned moves;

static void moved_on(struct ended *e)
{
    ck_assert_ptr_eq(e, &ended);
    moves++;
}

static void begin(void)
{
    loop_init(&loop);
    ended_init(&ended, &loop, moved_on);
    moves = 0;
}

/* Of so many parts, some thousands of bytes each; the first `shared` are those of `other`. */
static struct snapshot *snapshot_of(uint64_t generation, uint32_t parts, struct snapshot *other,
                                    uint32_t shared)
{
    struct snapshot *s = calloc(1, sizeof *s);

    ck_assert_ptr_nonnull(s);
    arena_init(&s->arena, NULL);
    link_init(&s->node);
    s->generation = generation;
    s->own = part_new(0, NULL);
    s->parts = ARENA_ARRAY(&s->arena, struct part *, parts);
    for (; s->part_count < parts; s->part_count++) {
        struct part **p = &s->parts[s->part_count];

        if (s->part_count < shared) {
            *p = other->parts[s->part_count];
            part_enter(*p);
            continue;
        }
        *p = part_new(s->part_count, NULL);
        memset(arena_take(&(*p)->arena, 3000), 1, 3000);
    }
    return s;
}

static bool is_over(void)
{
    return list_is_empty(&ended.snapshots) && !ended.bin.first;
}

/* How many it took. */
static unsigned turn_until_over(void)
{
    unsigned turns = 0;

    for (; !is_over(); turns++)
        loop_turn(&loop, 0);
    return turns;
}

static void finish(void)
{
    ended_all(&ended);
    ck_assert(is_over() && list_is_empty(&ended.orphans));
    ck_assert_uint_eq(ended_oldest(&ended), UINT64_MAX);
    loop_turn(&loop, 0);
    loop_end(&loop);
}

START_TEST(test_a_large_snapshot_goes_in_several_turns_and_is_known_of_until_then)
{
    begin();
    ck_assert_uint_eq(ended_oldest(&ended), UINT64_MAX);
    ended_take(&ended, snapshot_of(7, MANY, NULL, 0));
    loop_turn(&loop, 0);
    ck_assert(!is_over());
    ck_assert_uint_eq(moves, 0);
    ck_assert_uint_eq(ended_oldest(&ended), 7);
    (void)turn_until_over();
    ck_assert_uint_eq(moves, 1);
    ck_assert_uint_eq(ended_oldest(&ended), UINT64_MAX);
    finish();
}
END_TEST

/* Only a part that no snapshot has any more: not what the next one shares, not what nobody holds. */
START_TEST(test_what_an_exchange_holds_is_an_orphan_until_it_ends)
{
    struct snapshot *old = snapshot_of(3, 4, NULL, 0), *next = snapshot_of(4, 4, old, 2);
    struct part *shared = old->parts[1], *alone = old->parts[2], *own = old->own;

    begin();
    part_hold(shared);
    part_hold(alone);
    part_hold(own);
    ended_take(&ended, old);
    (void)turn_until_over();
    ck_assert_uint_eq(ended_oldest(&ended), 3);
    ck_assert(link_is_on_list(&alone->node) && link_is_on_list(&own->node));
    ck_assert(!link_is_on_list(&shared->node));
    moves = 0;
    ended_release(&ended, shared);
    ck_assert_uint_eq(moves, 0);
    part_hold(alone);
    ended_release(&ended, alone);
    ended_release(&ended, own);
    ck_assert_uint_eq(ended_oldest(&ended), 3);
    ended_release(&ended, alone);
    ck_assert_uint_eq(moves, 2);
    ck_assert_uint_eq(ended_oldest(&ended), UINT64_MAX);
    ck_assert_ptr_nonnull(ended.bin.first); /* an exchange does not free it either */
    (void)turn_until_over();
    ended_take(&ended, next);
    finish();
}
END_TEST

/* A part that both have belongs to the later one, the higher number (a reload) or the lower (taken back). */
START_TEST(test_the_next_one_ends_while_the_last_one_is_let_go)
{
    static const uint64_t numbers[][2] = { { 5, 6 }, { 6, 5 } };
    uint64_t first = numbers[_i][0], second = numbers[_i][1];
    struct snapshot *one = snapshot_of(first, MANY, NULL, 0),
                    *two = snapshot_of(second, MANY, one, MANY / 2);
    struct part *both = one->parts[0], *of_one = one->parts[MANY - 1];

    begin();
    part_hold(both);
    part_hold(of_one);
    ended_take(&ended, one);
    loop_turn(&loop, 0);
    ck_assert(!is_over());
    ended_take(&ended, two);
    ck_assert_uint_eq(ended_oldest(&ended), 5);
    (void)turn_until_over();
    ck_assert_uint_eq(both->generation, second);
    ck_assert_uint_eq(of_one->generation, first);
    ck_assert_uint_eq(ended_oldest(&ended), 5);
    ended_release(&ended, of_one);
    ck_assert_uint_eq(ended_oldest(&ended), second);
    ended_release(&ended, both);
    finish();
}
END_TEST

START_TEST(test_the_process_ends_in_the_middle)
{
    begin();
    ended_take(&ended, snapshot_of(1, MANY, NULL, 0));
    loop_turn(&loop, 0);
    ended_take(&ended, snapshot_of(2, MANY, NULL, 0));
    ck_assert(!is_over());
    finish();
}
END_TEST

/* Something in the bin alone is reason enough to turn. */
START_TEST(test_what_was_left_in_the_bin_goes)
{
    struct arena a;

    begin();
    arena_init(&a, NULL);
    for (int i = 0; i < 1000; i++)
        memset(arena_take(&a, 5000), 1, 5000);
    arena_leave(&a, &ended.bin);
    ended_soon(&ended);
    ck_assert_uint_ge(turn_until_over(), 1);
    ck_assert_uint_eq(moves, 0);
    finish();
}
END_TEST

int main(void)
{
    Suite *s = suite_create("ended");
    TCase *t = tcase_create("ended");
    SRunner *runner = srunner_create(s);
    int failed;

    suite_add_tcase(s, t);
    tcase_add_test(t, test_a_large_snapshot_goes_in_several_turns_and_is_known_of_until_then);
    tcase_add_test(t, test_what_an_exchange_holds_is_an_orphan_until_it_ends);
    tcase_add_loop_test(t, test_the_next_one_ends_while_the_last_one_is_let_go, 0, 2);
    tcase_add_test(t, test_the_process_ends_in_the_middle);
    tcase_add_test(t, test_what_was_left_in_the_bin_goes);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

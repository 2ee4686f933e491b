/* The onion: whatever steps do, an exchange comes out at the right end, and every step hears of it once. */
#include <check.h>
#include <stdlib.h>

#include "by_hand.h"

static struct stage s;

static void finish(void)
{
    stage_turn(&s);
    stage_end(&s);
}

/* Every step that is in the story as entered is in it as done, once, the innermost first. */
static void assert_all_done_once(void)
{
    char entered[STEPS_MAX + 1] = "", done[STEPS_MAX + 1] = "";
    size_t ins = 0, outs = 0;

    for (const char *p = s.story; *p; p += 2) {
        if (p[1] == '>')
            entered[ins++] = p[0];
        if (p[1] == '.')
            done[outs++] = p[0];
    }
    ck_assert_uint_eq(ins, outs);
    for (size_t i = 0; i < ins; i++)
        ck_assert_int_eq(done[i], entered[ins - 1 - i]);
}

START_TEST(test_steps_are_walked_in_and_the_same_way_out)
{
    stage_begin(&s, 3);
    s.answers_at_once = true;
    stage_ask(&s, false);
    ck_assert_str_eq(s.story, "a>b>c>c<b<a<");
    ck_assert_uint_eq(s.status, 200);
    ck_assert(s.head_last);
    stage_turn(&s);
    ck_assert_str_eq(s.story, "a>b>c>c<b<a<c.b.a.");
    ck_assert_uint_eq(s.ends, 1);
    ck_assert_uint_eq(s.reports, 1);
    finish();
}
END_TEST

START_TEST(test_a_route_without_steps_reaches_its_handler)
{
    stage_begin(&s, 0);
    s.answers_at_once = true;
    stage_ask(&s, false);
    ck_assert_uint_eq(s.status, 200);
    finish();
}
END_TEST

/* The step _i of three replies: inner ones never hear of it, outer ones see the answer pass. */
START_TEST(test_a_reply_from_an_inner_step_passes_the_outer_ones)
{
    static const char *const stories[] = { "a>a<a.", "a>b>b<a<b.a.", "a>b>c>c<b<a<c.b.a." };

    stage_begin(&s, 3);
    s.scripts[_i].in = REPLY;
    stage_ask(&s, false);
    stage_turn(&s);
    ck_assert_str_eq(s.story, stories[_i]);
    ck_assert_uint_eq(s.status, 418);
    ck_assert_uint_eq(s.starts, 0);
    ck_assert_int_eq(s.reason, REASON_RATE_LIMITED);
    ck_assert_uint_gt(s.down.len, 0);
    ck_assert_uint_eq(s.down.lasts, 1);
    finish();
}
END_TEST

/* A reply on the way out takes the answer's place, and its handler is stopped. */
START_TEST(test_an_answer_replaced_on_the_way_out_stops_its_handler)
{
    struct exchange *x;

    stage_begin(&s, 3);
    s.scripts[1].out = REPLY;
    x = stage_ask(&s, false);
    handler_head(x, false);
    stage_turn(&s);
    ck_assert_str_eq(s.story, "a>b>c>c<b<a<c.b.a.");
    ck_assert_uint_eq(s.status, 418);
    ck_assert_uint_eq(s.cancels, 1);
    finish();
}
END_TEST

/* ---- waiting ---------------------------------------------------------------------------------- */

START_TEST(test_a_parked_exchange_resumes_where_it_said)
{
    stage_begin(&s, 3);
    s.answers_at_once = true;
    s.scripts[_i].in = SLEEP;
    stage_ask(&s, false);
    stage_pass_ms(&s, 20);
    ck_assert_uint_eq(s.heads, 0);
    stage_pass_ms(&s, 40);
    ck_assert_uint_eq(s.status, 200);
    ck_assert_ptr_nonnull(
        strstr(s.story, (const char *[]){ "a>a~b>c>", "a>b>b~c>", "a>b>c>c~c<" }[_i]));
    assert_all_done_once();
    finish();
}
END_TEST

START_TEST(test_an_exchange_parked_on_its_way_out_resumes_there)
{
    stage_begin(&s, 3);
    s.answers_at_once = true;
    s.scripts[_i].out = SLEEP;
    stage_ask(&s, false);
    ck_assert_uint_eq(s.heads, 0);
    stage_pass_ms(&s, 60);
    ck_assert_uint_eq(s.status, 200);
    ck_assert_uint_eq(s.heads, 1);
    ck_assert_ptr_nonnull(
        strstr(s.story, (const char *[]){ "c<b<a<a~", "c<b<b~a<", "c<c~b<a<" }[_i]));
    assert_all_done_once();
    finish();
}
END_TEST

START_TEST(test_a_wake_comes_before_the_time_is_out_and_only_one_of_them)
{
    stage_begin(&s, 2);
    s.answers_at_once = true;
    s.scripts[1].in = AWAIT;
    stage_ask(&s, false);
    wait_queue_wake(&s.scripts[1].queue, WAITER_OK, NULL);
    ck_assert_str_eq(s.story, "a>b>"); /* never from inside a wake */
    stage_turn(&s);
    ck_assert_str_eq(s.story, "a>b>b~b<a<b.a.");
    stage_pass_ms(&s, 5000);
    ck_assert_str_eq(s.story, "a>b>b~b<a<b.a.");
    finish();
}
END_TEST

START_TEST(test_a_step_may_wait_again_and_reply_after_a_wait)
{
    stage_begin(&s, 2);
    s.scripts[0].in = SLEEP;
    s.scripts[1].in = AWAIT;
    s.scripts[1].then = REPLIED;
    stage_ask(&s, false);
    stage_pass_ms(&s, 60);
    stage_pass_ms(&s, 1100);
    ck_assert_str_eq(s.story, "a>a~b>b~b<a<b.a.");
    ck_assert_uint_eq(s.status, 418);
    finish();
}
END_TEST

/* Parked in step _i % 3, on the way in or on the way out. */
START_TEST(test_a_client_that_leaves_while_parked_is_let_go_at_once)
{
    struct exchange *x;

    stage_begin(&s, 3);
    s.answers_at_once = true;
    *(_i < 3 ? &s.scripts[_i % 3].in : &s.scripts[_i % 3].out) = AWAIT;
    x = stage_ask(&s, false);
    exchange_client_gone(x, REASON_CLIENT_GONE);
    wait_queue_wake(&s.scripts[_i % 3].queue, WAITER_OK, NULL);
    stage_turn(&s);
    ck_assert_uint_eq(s.heads, 0);
    ck_assert_ptr_null(strchr(s.story, '~'));
    assert_all_done_once();
    ck_assert_uint_eq(s.reports, 1);
    ck_assert_int_eq(s.reason, REASON_CLIENT_GONE);
    ck_assert_uint_eq(s.ends, 0); /* there is nobody to tell */
    finish();
}
END_TEST

START_TEST(test_a_client_that_leaves_when_the_wake_is_on_its_way_is_not_woken_for)
{
    struct exchange *x;

    stage_begin(&s, 1);
    s.scripts[0].in = AWAIT;
    x = stage_ask(&s, false);
    wait_queue_wake(&s.scripts[0].queue, WAITER_OK, NULL);
    exchange_client_gone(x, REASON_CLIENT_GONE);
    stage_turn(&s);
    ck_assert_str_eq(s.story, "a>a.");
    ck_assert_uint_eq(s.starts, 0);
    finish();
}
END_TEST

START_TEST(test_a_parked_exchange_that_expires_answers_and_waits_no_more)
{
    struct exchange *x;

    stage_begin(&s, 3);
    s.scripts[1].in = AWAIT;
    x = stage_ask(&s, false);
    exchange_expired(x);
    stage_turn(&s);
    ck_assert_uint_eq(s.status, 504);
    ck_assert_str_eq(s.story, "a>b>b<a<b.a.");
    finish();
}
END_TEST

START_TEST(test_a_handler_that_fails_while_its_head_is_held_is_answered_for_by_the_outer_steps)
{
    struct exchange *x;

    stage_begin(&s, 3);
    s.scripts[1].out = AWAIT;
    x = stage_ask(&s, false);
    handler_head(x, false);
    exchange_fail(x, 502, REASON_UPSTREAM_RESET, NULL);
    stage_turn(&s);
    ck_assert_uint_eq(s.status, 502);
    ck_assert_str_eq(s.story, "a>b>c>c<b<a<c.b.a.");
    finish();
}
END_TEST

/* ---- bodies ----------------------------------------------------------------------------------- */

static char text[3000];

static void write_text(void)
{
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (char)('a' + i * 7 % 26);
}

/* What the taps are, how large the pieces, how much room each time, and whether the end comes by itself. */
struct way_of_going {
    const char *taps; /* '-' none, 'p' passes, 'c' cuts, 'h' hoards */
    size_t piece, room;
    bool end_alone;
};

static const struct way_of_going ways[] = {
    { "---", 3000, 3000, false }, { "---", 3000, 7, false },    { "---", 100, 333, true },
    { "p--", 1000, 10, false },   { "p--", 1000, 10, true },    { "--p", 1, 3000, true },
    { "-c-", 1000, 1, true },     { "-c-", 3000, 100, false },  { "c-c", 700, 13, true },
    { "ccc", 3000, 50, true },    { "h--", 500, 3000, true },   { "h--", 500, 17, true },
    { "--h", 500, 17, false },    { "hch", 999, 41, true },     { "chc", 999, 41, false },
    { "pcp", 3000, 2999, true },  { "ccc", 3000, 2999, false }, { "hhh", 3000, 1, true },
};

static void tap(const struct way_of_going *w, bool in)
{
    for (size_t i = 0; i < 3; i++) {
        *(in ? &s.scripts[i].tap_in : &s.scripts[i].tap_out) = w->taps[i] != '-';
        s.scripts[i].cut = w->taps[i] == 'c' ? 11 : 0;
        s.scripts[i].hoard = w->taps[i] == 'h';
    }
}

/* Offer text[*at...]; false: the rest was not taken. The end comes with the last piece or by itself. */
static bool offer(struct exchange *x, const struct way_of_going *w, bool in, size_t *at,
                  bool *ended)
{
    while (*at < sizeof text || !*ended) {
        size_t len = sizeof text - *at < w->piece ? sizeof text - *at : w->piece;
        struct piece p = { .data = str_of(text + *at, len),
                           .last = *at + len == sizeof text && (!w->end_alone || len == 0) };
        size_t taken = in ? exchange_request_body(x, &p) : exchange_body(x, &p);

        *at += taken;
        if (taken < len)
            return false;
        *ended = p.last;
    }
    return true;
}

START_TEST(test_an_answer_arrives_whole_through_any_taps_and_any_room)
{
    const struct way_of_going *w = &ways[_i];
    struct exchange *x;
    size_t at = 0;
    bool ended = false;

    stage_begin(&s, 3);
    tap(w, false);
    s.down.room = 0;
    x = stage_ask(&s, false);
    handler_head(x, false);
    offer(x, w, false, &at, &ended);
    for (int turns = 0; s.down.lasts == 0; turns++) {
        unsigned rooms = s.rooms;

        ck_assert_int_lt(turns, 10000);
        ck_assert_uint_eq(s.ends, 0);
        s.down.room += w->room;
        exchange_client_room(x);
        if (s.rooms > rooms)
            offer(x, w, false, &at, &ended);
        stage_turn(&s);
    }
    ck_assert_uint_eq(s.down.len, sizeof text);
    ck_assert_mem_eq(s.down.body, text, sizeof text);
    ck_assert_uint_eq(s.ends, 1);
    assert_all_done_once();
    finish();
}
END_TEST

START_TEST(test_a_request_body_arrives_whole_through_any_taps_and_any_room)
{
    const struct way_of_going *w = &ways[_i];
    struct exchange *x;
    size_t at = 0;
    bool ended = false;

    stage_begin(&s, 3);
    tap(w, true);
    s.up.room = 0;
    x = stage_ask(&s, true);
    offer(x, w, true, &at, &ended);
    for (int turns = 0; s.up.lasts == 0; turns++) {
        unsigned resumes = s.resumes;

        ck_assert_int_lt(turns, 10000);
        s.up.room += w->room;
        exchange_resume_body(x);
        if (s.resumes > resumes)
            offer(x, w, true, &at, &ended);
    }
    ck_assert_uint_eq(s.up.len, sizeof text);
    ck_assert_mem_eq(s.up.body, text, sizeof text);
    handler_head(x, true);
    stage_turn(&s);
    ck_assert_uint_eq(s.ends, 1);
    finish();
}
END_TEST

/* The end is the only piece there is: it must not get lost where nothing can be offered again. */
START_TEST(test_an_empty_answer_whose_end_came_while_the_head_was_held_ends)
{
    struct piece end = { .last = true };
    struct exchange *x;

    stage_begin(&s, 1);
    s.scripts[0].out = SLEEP;
    s.scripts[0].tap_out = _i;
    x = stage_ask(&s, false);
    handler_head(x, false);
    ck_assert_uint_eq(exchange_body(x, &end), 0);
    ck_assert_uint_eq(s.heads, 0);
    stage_pass_ms(&s, 60);
    ck_assert_uint_eq(s.heads, 1);
    ck_assert_uint_eq(s.down.lasts, 1);
    ck_assert_uint_eq(s.ends, 1);
    finish();
}
END_TEST

START_TEST(test_an_answer_refused_while_the_head_is_held_is_asked_for_when_it_goes)
{
    struct piece p = { .data = STR("body"), .last = true };
    struct exchange *x;

    stage_begin(&s, 1);
    s.scripts[0].out = SLEEP;
    x = stage_ask(&s, false);
    handler_head(x, false);
    ck_assert_uint_eq(exchange_body(x, &p), 0);
    stage_pass_ms(&s, 60);
    ck_assert_uint_eq(s.rooms, 1);
    ck_assert_uint_eq(exchange_body(x, &p), 4);
    stage_turn(&s);
    ck_assert_uint_eq(s.ends, 1);
    finish();
}
END_TEST

/* A step that looks at both bodies holds pieces of both at once and mixes nothing up. */
START_TEST(test_pieces_held_on_both_ways_keep_to_their_way)
{
    struct piece up = { .data = STR("upwards"), .last = true },
                 down = { .data = STR("downwards"), .last = true };
    struct exchange *x;

    stage_begin(&s, 1);
    s.scripts[0].tap_in = s.scripts[0].tap_out = true;
    s.up.room = s.down.room = 0;
    x = stage_ask(&s, true);
    ck_assert_uint_eq(exchange_request_body(x, &up), up.data.len);
    s.scripts[0].lasts = 0; /* of the other way */
    handler_head(x, false);
    ck_assert_uint_eq(exchange_body(x, &down), down.data.len);
    s.up.room = s.down.room = 100;
    exchange_resume_body(x);
    exchange_client_room(x);
    ck_assert(str_equal(str_of(s.up.body, s.up.len), up.data));
    ck_assert(str_equal(str_of(s.down.body, s.down.len), down.data));
    stage_turn(&s);
    ck_assert_uint_eq(s.ends, 1);
    finish();
}
END_TEST

/* The handler answers from inside the step's own emit: the rest of what it emits still goes inwards. */
START_TEST(test_an_answer_from_inside_a_request_s_piece_turns_nothing_round)
{
    struct piece p = { .data = STR("one two three four"), .last = true };
    struct exchange *x;

    stage_begin(&s, 1);
    s.scripts[0].tap_in = true;
    s.scripts[0].cut = 5;
    s.answers_in_body = true;
    x = stage_ask(&s, true);
    ck_assert_uint_eq(exchange_request_body(x, &p), p.data.len);
    ck_assert(str_equal(str_of(s.down.body, s.down.len), STR("answer")));
    stage_turn(&s);
    ck_assert_uint_eq(s.ends, 1);
    finish();
}
END_TEST

START_TEST(test_what_is_held_when_the_client_leaves_is_given_back)
{
    struct piece p = { .data = STR("never read"), .last = true };
    struct exchange *x;

    stage_begin(&s, 2);
    s.scripts[0].tap_out = s.scripts[1].tap_out = true;
    s.down.room = 3;
    x = stage_ask(&s, false);
    handler_head(x, false);
    ck_assert_uint_eq(exchange_body(x, &p), p.data.len);
    stage_turn(&s);
    ck_assert_uint_eq(s.ends, 0); /* the end has not been delivered */
    exchange_client_gone(x, REASON_CLIENT_SLOW);
    stage_turn(&s);
    assert_all_done_once();
    ck_assert_int_eq(s.reason, REASON_CLIENT_SLOW);
    finish();
}
END_TEST

START_TEST(test_a_step_that_gives_up_a_body_ends_the_exchange)
{
    struct piece p = { .data = STR("0123456789") };
    struct exchange *x;

    stage_begin(&s, 2);
    s.scripts[_i].tap_in = true;
    s.scripts[_i].fail_after = 15;
    x = stage_ask(&s, true);
    ck_assert_uint_eq(exchange_request_body(x, &p), 10);
    ck_assert_uint_eq(exchange_request_body(x, &p), 10);
    ck_assert_uint_eq(s.status, 500);
    ck_assert_uint_eq(s.cancels, 1);
    stage_turn(&s);
    ck_assert_uint_eq(s.ends, 1);
    assert_all_done_once();
    finish();
}
END_TEST

START_TEST(test_a_step_that_gives_up_an_answer_cuts_the_client_off)
{
    struct piece p = { .data = STR("0123456789") };
    struct exchange *x;

    stage_begin(&s, 2);
    s.scripts[_i].tap_out = true;
    s.scripts[_i].fail_after = 15;
    x = stage_ask(&s, false);
    handler_head(x, false);
    ck_assert_uint_eq(exchange_body(x, &p), 10);
    ck_assert_uint_eq(exchange_body(x, &p), 10);
    ck_assert_uint_eq(s.resets, 1);
    ck_assert_uint_eq(s.cancels, 1);
    stage_turn(&s);
    ck_assert_uint_eq(s.ends, 0);
    assert_all_done_once();
    finish();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("chain");
    TCase *t = tcase_create("chain");
    SRunner *runner;
    int failed;

    write_text();
    tcase_add_test(t, test_steps_are_walked_in_and_the_same_way_out);
    tcase_add_test(t, test_a_route_without_steps_reaches_its_handler);
    tcase_add_loop_test(t, test_a_reply_from_an_inner_step_passes_the_outer_ones, 0, 3);
    tcase_add_test(t, test_an_answer_replaced_on_the_way_out_stops_its_handler);
    tcase_add_loop_test(t, test_a_parked_exchange_resumes_where_it_said, 0, 3);
    tcase_add_loop_test(t, test_an_exchange_parked_on_its_way_out_resumes_there, 0, 3);
    tcase_add_test(t, test_a_wake_comes_before_the_time_is_out_and_only_one_of_them);
    tcase_add_test(t, test_a_step_may_wait_again_and_reply_after_a_wait);
    tcase_add_loop_test(t, test_a_client_that_leaves_while_parked_is_let_go_at_once, 0, 6);
    tcase_add_test(t, test_a_client_that_leaves_when_the_wake_is_on_its_way_is_not_woken_for);
    tcase_add_test(t, test_a_parked_exchange_that_expires_answers_and_waits_no_more);
    tcase_add_test(
        t, test_a_handler_that_fails_while_its_head_is_held_is_answered_for_by_the_outer_steps);
    tcase_add_loop_test(t, test_an_answer_arrives_whole_through_any_taps_and_any_room, 0,
                        (int)ARRAY_LEN(ways));
    tcase_add_loop_test(t, test_a_request_body_arrives_whole_through_any_taps_and_any_room, 0,
                        (int)ARRAY_LEN(ways));
    tcase_add_loop_test(t, test_an_empty_answer_whose_end_came_while_the_head_was_held_ends, 0, 2);
    tcase_add_test(t, test_an_answer_refused_while_the_head_is_held_is_asked_for_when_it_goes);
    tcase_add_test(t, test_pieces_held_on_both_ways_keep_to_their_way);
    tcase_add_test(t, test_an_answer_from_inside_a_request_s_piece_turns_nothing_round);
    tcase_add_test(t, test_what_is_held_when_the_client_leaves_is_given_back);
    tcase_add_loop_test(t, test_a_step_that_gives_up_a_body_ends_the_exchange, 0, 2);
    tcase_add_loop_test(t, test_a_step_that_gives_up_an_answer_cuts_the_client_off, 0, 2);
    suite_add_tcase(suite, t);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

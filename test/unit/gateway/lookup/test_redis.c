/* Against a real redis-server: what is asked is done once, and its answer is told once. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/clock.h"
#include "test/unit/gateway/lookup/redis_stage.h"

#define MANY 1000

static struct worker_stage w;
static struct server server;
static struct redis_script numbers, add, hello;

static void begin(void)
{
    redis_script_init(&numbers, STR("return {1, -2, 3}"));
    redis_script_init(&add, STR("return {redis.call('INCR', KEYS[1])}"));
    redis_script_init(&hello, STR("return {#KEYS[1], #ARGV, #ARGV[1]}"));
    server = server_start(NULL);
    worker_of(&w, &server);
}

static void end(void)
{
    worker_end(&w);
}

START_TEST(test_a_question_is_answered_with_the_numbers_of_the_script)
{
    struct asking a;

    asking_init(&a);
    ck_assert(ask(&w, &a, &numbers, "k", NULL));
    ck_assert_uint_eq(a.answers, 0);
    UNTIL(&w, a.answers > 0);
    ck_assert_int_eq(a.answer.outcome, REDIS_OK);
    ck_assert_uint_eq(a.answer.count, 3);
    ck_assert_int_eq(a.answer.numbers[0], 1);
    ck_assert_int_eq(a.answer.numbers[1], -2);
    ck_assert_int_eq(a.answer.numbers[2], 3);
    ck_assert_uint_eq(w.outcomes[REDIS_OK], 1);
    ck_assert(redis_is_up(w.store));
}
END_TEST

START_TEST(test_a_script_is_told_once_and_again_when_it_was_forgotten)
{
    ck_assert_int_eq(ask_one(&w, &add, "k", NULL), REDIS_OK);
    ck_assert_int_eq(ask_one(&w, &add, "k", NULL), REDIS_OK);
    ck_assert_ptr_nonnull(
        strstr(server_ask(&server, "INFO commandstats"), "cmdstat_eval:calls=1,"));
    server_ask(&server, "SCRIPT FLUSH");
    ck_assert_int_eq(ask_one(&w, &add, "k", NULL), REDIS_OK);
    ck_assert_ptr_nonnull(
        strstr(server_ask(&server, "INFO commandstats"), "cmdstat_eval:calls=2,"));
    ck_assert_str_eq(server_ask(&server, "GET k"), "3");
    ck_assert_uint_eq(w.went_away, 0);
}
END_TEST

START_TEST(test_what_is_asked_arrives_as_it_was_said)
{
    static const size_t lens[] = { 0, 1, 319, 320, 321, REDIS_QUESTION_BYTES - 1 };
    static char text[REDIS_QUESTION_BYTES];

    memset(text, '\r', sizeof text);
    for (size_t i = 0; i < ARRAY_LEN(lens); i++) {
        struct str args[] = { str_of(text, lens[i]), STR(""), STR("a\0b") };
        struct asking a;

        asking_init(&a);
        if (lens[i] + 4 > REDIS_QUESTION_BYTES) {
            ck_assert(!redis_ask(w.store, &a.question, &hello, STR("k"), args, 3));
            args[2] = STR("");
        }
        ck_assert(redis_ask(w.store, &a.question, &hello, STR("k"), args, 3));
        a.asked = 1;
        text[0] = 'x'; /* it was copied */
        UNTIL(&w, a.answers > 0);
        ck_assert_int_eq(a.answer.outcome, REDIS_OK);
        ck_assert_int_eq(a.answer.numbers[0], 1);
        ck_assert_int_eq(a.answer.numbers[1], 3);
        ck_assert_int_eq(a.answer.numbers[2], (int64_t)lens[i]);
    }
}
END_TEST

START_TEST(test_questions_of_one_turn_are_done_once_each_and_sent_together)
{
    static struct asking all[MANY];
    const char *stats;

    ck_assert_int_eq(ask_one(&w, &add, "warm", NULL), REDIS_OK);
    server_ask(&server, "CONFIG RESETSTAT");
    for (size_t i = 0; i < MANY; i++) {
        asking_init(&all[i]);
        ck_assert(ask(&w, &all[i], &add, "k", NULL));
    }
    UNTIL(&w, asking_count(all, MANY, REDIS_OK) == MANY);
    ck_assert_str_eq(server_ask(&server, "GET k"), "1000");
    /* 1000 commands of 83 bytes, which it reads 16 KiB at a time: in batches, not one by one. */
    stats = strstr(server_ask(&server, "INFO stats"), "total_reads_processed:");
    ck_assert_ptr_nonnull(stats);
    ck_assert_int_lt(strtol(stats + strlen("total_reads_processed:"), NULL, 10), 200);
}
END_TEST

static const char *const odd[] = {
    "return 'text'",
    "return 5",
    "return {1, 'text'}",
    "return {1, {2}}",
    "return {1, 2, 3, 4, 5, 6, 7, 8, 9}",
    "return redis.error_reply('ERR no')",
    "return nil",
    "this is no program",
    "return {redis.call('LPUSH', KEYS[1], 1), redis.call('GET', KEYS[1])}",
};

START_TEST(test_an_answer_that_is_no_list_of_numbers_is_an_error_and_nothing_more)
{
    struct redis_script script;

    redis_script_init(&script, str_from(odd[_i]));
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(ask_one(&w, &script, "k", NULL), REDIS_ERROR);
    ck_assert(redis_is_up(w.store));
    ck_assert_int_eq(ask_one(&w, &numbers, "k", NULL), REDIS_OK);
    ck_assert_uint_eq(w.went_away, 0);
    ck_assert_ptr_nonnull(strstr(logged(&w), "answers: ")); /* once */
    ck_assert_ptr_null(strstr(strstr(logged(&w), "answers: ") + 1, "answers: "));
}
END_TEST

START_TEST(test_whoever_cancels_hears_nothing_more)
{
    struct asking waiting, sent, again;

    asking_init(&waiting);
    asking_init(&sent);
    asking_init(&again);
    redis_question_cancel(&waiting.question);      /* of no question: allowed */
    ck_assert(ask(&w, &waiting, &add, "a", NULL)); /* no connection yet: it waits in line */
    redis_question_cancel(&waiting.question);
    ask_until_ok(&w, &add, "b");
    ck_assert_str_eq(server_ask(&server, "EXISTS a"), "0");

    ck_assert(ask(&w, &sent, &add, "a", NULL));
    turn(&w); /* on its way */
    redis_question_cancel(&sent.question);
    ck_assert(ask(&w, &sent, &add, "c", NULL)); /* the same place asks something else */
    sent.answers = sent.asked = 0;
    sent.asked = 1;
    UNTIL(&w, sent.answers);
    ck_assert_int_eq(sent.answer.outcome, REDIS_OK);
    ck_assert_int_eq(sent.answer.numbers[0], 1); /* of c */
    ck_assert_uint_eq(waiting.answers, 0);
}
END_TEST

START_TEST(test_what_is_cancelled_is_not_said_again)
{
    struct asking a;

    ask_until_ok(&w, &add, "k");
    server_ask(&server, "SCRIPT FLUSH");
    asking_init(&a);
    ck_assert(ask(&w, &a, &add, "k", NULL));
    redis_question_cancel(&a.question); /* it is sent nevertheless, and meets NOSCRIPT */
    ck_assert_int_eq(ask_one(&w, &add, "other", NULL), REDIS_OK);
    ck_assert_str_eq(server_ask(&server, "GET k"), "1");
}
END_TEST

static struct asking victims[2];

static void cancel_the_other(struct asking *a)
{
    redis_question_cancel(&victims[a == &victims[0]].question);
}

START_TEST(test_an_answer_may_cancel_others_that_fail_with_it)
{
    bool sent = _i == 1;

    for (int i = 0; i < 2; i++) {
        asking_init(&victims[i]);
        victims[i].then = cancel_the_other;
    }
    if (sent) {
        ask_until_ok(&w, &add, "k");
        server_signal(&server, SIGSTOP);
    } else {
        server_kill(&server); /* before it was dialled: they wait in line */
    }
    for (int i = 0; i < 2; i++)
        ck_assert(ask(&w, &victims[i], &add, "k", NULL));
    if (sent) {
        turn(&w);
        server_kill(&server);
    }
    UNTIL(&w, victims[0].answers + victims[1].answers == 1);
    ck_assert(!victims[0].question.command && !victims[1].question.command);
    UNTIL(&w, w.went_away);
    ck_assert_uint_eq(victims[0].answers + victims[1].answers, 1);
}
END_TEST

/* Ask until it is too much; how many that were. All of them are late. */
static size_t ask_too_much(struct asking *all, size_t count)
{
    uint64_t late = w.outcomes[REDIS_LATE];
    size_t n = 0;

    for (; n < count; n++) {
        asking_init(&all[n]);
        if (!ask(&w, &all[n], &add, "k", NULL))
            break;
    }
    for (size_t i = 0; i < n; i++)
        UNTIL(&w, all[i].answers);
    ck_assert_uint_eq(w.outcomes[REDIS_LATE] - late, n);
    return n;
}

START_TEST(test_what_redis_owes_is_bounded)
{
    static struct asking all[5000];
    size_t n;

    w.target.open_after = 1000000;
    worker_hurries(&w);
    ask_until_ok(&w, &add, "k");
    server_signal(&server, SIGSTOP);
    n = ask_too_much(all, ARRAY_LEN(all));
    ck_assert_uint_gt(n, 1000);
    ck_assert_uint_lt(n, ARRAY_LEN(all));
    /* They are late, and what was sent is still owed. */
    ck_assert_uint_lt(ask_too_much(all, ARRAY_LEN(all)), n);
    server_signal(&server, SIGCONT);
    ask_until_ok(&w, &add, "k");
}
END_TEST

START_TEST(test_a_store_is_found_by_value_and_closed_when_nobody_asks)
{
    struct redis_target other = w.target, same = w.target;

    redis_target_seal(&same);
    ck_assert_ptr_eq(lookups_redis(w.lookups, &same), w.store);
    other.database = 3;
    redis_target_seal(&other);
    ck_assert_ptr_ne(lookups_redis(w.lookups, &other), w.store);
    ask_until_ok(&w, &add, "k");
    ck_assert_uint_ge(
        strtoul(strstr(server_ask(&server, "INFO clients"), "connected_clients:") + 18, NULL, 10),
        2);
    w.loop.now_ns += 3600 * NS_PER_S;
    timers_run(&w.loop.timers, w.loop.now_ns);
    loop_turn(&w.loop, 0);
    ck_assert_uint_eq(w.conns.used, 0);
    w.store = lookups_redis(w.lookups, &w.target);
    ask_until_ok(&w, &add, "k");
    ck_assert_str_eq(server_ask(&server, "GET k"), "2");
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redis");
    TCase *t = tcase_create("redis");

    tcase_add_checked_fixture(t, begin, end);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    tcase_add_test(t, test_a_question_is_answered_with_the_numbers_of_the_script);
    tcase_add_test(t, test_a_script_is_told_once_and_again_when_it_was_forgotten);
    tcase_add_test(t, test_what_is_asked_arrives_as_it_was_said);
    tcase_add_test(t, test_questions_of_one_turn_are_done_once_each_and_sent_together);
    tcase_add_loop_test(t, test_an_answer_that_is_no_list_of_numbers_is_an_error_and_nothing_more,
                        0, ARRAY_LEN(odd));
    tcase_add_test(t, test_whoever_cancels_hears_nothing_more);
    tcase_add_test(t, test_what_is_cancelled_is_not_said_again);
    tcase_add_loop_test(t, test_an_answer_may_cancel_others_that_fail_with_it, 0, 2);
    tcase_add_test(t, test_what_redis_owes_is_bounded);
    tcase_add_test(t, test_a_store_is_found_by_value_and_closed_when_nobody_asks);
    return redis_suite_run(s);
}

/* Against a real redis-server: a question is answered once and in time, whatever becomes of Redis. */
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "gateway/base/random.h"
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

static unsigned answered(const struct asking *all, enum redis_outcome outcome)
{
    unsigned n = 0;

    for (size_t i = 0; i < MANY; i++) {
        ck_assert_uint_le(all[i].answers, 1);
        n += all[i].answers && all[i].answer.outcome == outcome;
    }
    return n;
}

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
    UNTIL(&w, answered(all, REDIS_OK) == MANY);
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

START_TEST(test_a_server_that_was_killed_is_refused_and_found_again)
{
    static struct asking all[MANY];

    ask_until_ok(&w, &add, "k");
    server_signal(&server, SIGSTOP); /* so that something is on its way when it dies */
    for (size_t i = 0; i < MANY; i++) {
        asking_init(&all[i]);
        ck_assert(ask(&w, &all[i], &add, "k", NULL));
    }
    turn(&w);
    server_kill(&server);
    UNTIL(&w, answered(all, REDIS_FAILED) == MANY);
    ask_until_refused(&w, &add);
    UNTIL(&w, w.went_away == 1);
    ck_assert(!redis_is_up(w.store));
    server_start_again(&server, NULL);
    ask_until_ok(&w, &add, "k");
    ck_assert_uint_eq(w.came_back, 1);
    ck_assert_ptr_nonnull(strstr(logged(&w), "is away: "));
    ck_assert_ptr_nonnull(strstr(logged(&w), "is back"));
}
END_TEST

START_TEST(test_it_comes_back_without_being_asked)
{
    ask_until_ok(&w, &add, "k");
    server_kill(&server);
    UNTIL(&w, w.went_away == 1);
    server_start_again(&server, NULL);
    UNTIL(&w, w.came_back == 1);
    ck_assert(redis_is_up(w.store));
}
END_TEST

static bool is_still_up(void)
{
    ck_assert(redis_is_up(w.store));
    return true;
}

START_TEST(test_connections_that_idle_and_are_closed_are_no_failure)
{
    char id[32];

    ask_until_ok(&w, &add, "k");
    for (int i = 0; i < 5; i++) {
        UNTIL(&w, w.conns.used == 2 && redis_is_up(w.store));
        server_ask(&server, "CLIENT KILL TYPE normal");
        for (int n = 0; n < 10; n++)
            turn(&w);
    }
    UNTIL(&w, w.conns.used == 2 && redis_is_up(w.store));
    /* And so does it itself. */
    server_ask(&server, "CONFIG SET timeout 1");
    snprintf(id, sizeof id, "id=%lu ",
             strtoul(server_ask(&server, "CLIENT LIST TYPE normal") + 3, NULL, 10));
    UNTIL(&w, is_still_up() && !strstr(server_ask(&server, "CLIENT LIST TYPE normal"), id));
    for (int n = 0; n < 10; n++) {
        turn(&w);
        ck_assert(redis_is_up(w.store));
    }
    ck_assert_uint_eq(w.went_away, 0);
    ck_assert_int_eq(ask_one(&w, &add, "k", NULL), REDIS_OK);
    ck_assert_uint_eq(w.outcomes[REDIS_FAILED] + w.outcomes[REDIS_LATE], 0);
}
END_TEST

START_TEST(test_connections_that_idle_are_kept_alive)
{
    unsigned kept = 0;

    ask_until_ok(&w, &add, "k");
    UNTIL(&w, w.conns.used == 2);
    for (int fd = 0; fd < 256; fd++) {
        struct sockaddr_in peer = { .sin_port = 0 };
        socklen_t len = sizeof peer, on_len = sizeof(int);
        int on = 0;

        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
            peer.sin_port == htons(server.port) &&
            getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, &on_len) == 0)
            kept += on != 0;
    }
    ck_assert_uint_eq(kept, 2);
}
END_TEST

START_TEST(test_a_stopped_server_costs_the_timeout_a_few_times_and_then_nothing)
{
    uint64_t late, ok;

    worker_hurries(&w);
    ask_until_ok(&w, &add, "k");
    late = w.outcomes[REDIS_LATE];
    ok = w.outcomes[REDIS_OK];
    server_signal(&server, SIGSTOP);
    ask_until_refused(&w, &add);
    ck_assert_uint_eq(w.outcomes[REDIS_LATE] - late, w.target.open_after);
    ck_assert_uint_eq(w.went_away, w.came_back + 1);
    late = w.outcomes[REDIS_LATE];
    for (int i = 0; i < 100; i++) {
        struct asking a;

        asking_init(&a);
        ck_assert(!ask(&w, &a, &add, "k", NULL));
        turn(&w);
    }
    ck_assert_uint_eq(w.outcomes[REDIS_LATE], late);
    server_signal(&server, SIGCONT);
    ask_until_ok(&w, &add, "k");
    ck_assert_uint_eq(w.came_back, w.went_away);
    /* What it did after we had stopped waiting was not told to anybody; it may have done it. */
    ck_assert_uint_eq(w.outcomes[REDIS_OK], ok + 1);
}
END_TEST

START_TEST(test_a_slow_server_is_late_and_its_late_answers_are_nobodys)
{
    struct asking a, b;
    long done;

    worker_hurries(&w);
    ask_until_ok(&w, &add, "k");
    done = strtol(server_ask(&server, "GET k"), NULL, 10);
    server_ask(&server, "CLIENT PAUSE 1000 ALL");
    asking_init(&a);
    asking_init(&b);
    ck_assert(ask(&w, &a, &add, "k", NULL));
    ck_assert(ask(&w, &b, &numbers, "k", NULL));
    UNTIL(&w, a.answers && b.answers);
    ck_assert_int_eq(a.answer.outcome, REDIS_LATE);
    ck_assert_int_eq(b.answer.outcome, REDIS_LATE);
    ck_assert_uint_ge(a.answered_ns - a.asked_ns, w.target.timeout_ns);
    /* The next one is behind them in the pipeline, and gets its own answer. */
    ask_until_ok(&w, &numbers, "k");
    ck_assert_uint_eq(a.answers, 1);
    ck_assert_uint_eq(b.answers, 1);
    UNTIL(&w, strtol(server_ask(&server, "GET k"), NULL, 10) == done + 1);
}
END_TEST

START_TEST(test_a_busy_server_is_late_then_refused_then_back)
{
    struct redis_script busy;
    struct asking a;

    redis_script_init(
        &busy, STR("local t = redis.call('TIME') local e = t[1] * 1000000 + t[2] + 1200000 "
                   "repeat t = redis.call('TIME') until t[1] * 1000000 + t[2] > e return {1}"));
    worker_hurries(&w);
    ask_until_ok(&w, &add, "k");
    asking_init(&a);
    ck_assert(ask(&w, &a, &busy, "k", NULL));
    UNTIL(&w, a.answers);
    ck_assert_int_eq(a.answer.outcome, REDIS_LATE);
    ask_until_refused(&w, &add);
    ask_until_ok(&w, &add, "k");
    ck_assert_uint_eq(w.went_away, w.came_back);
    ck_assert_uint_ge(w.went_away, 1);
}
END_TEST

/* Whoever was answered asks again, from inside the answer. */
static void ask_again(struct asking *a)
{
    if (a->with)
        (void)!ask(a->with, a, &add, "k", NULL);
}

START_TEST(test_under_load_every_question_is_answered_once_over_restarts)
{
    static struct asking all[100];
    uint64_t asked = 0, told = 0;

    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        asking_init(&all[i]);
        all[i].then = ask_again;
        all[i].with = &w;
    }
    for (int round = 0; round < 3; round++) {
        uint64_t ok = w.outcomes[REDIS_OK];

        UNTIL(&w, redis_is_up(w.store));
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
            if (!all[i].question.command)
                (void)!ask(&w, &all[i], &add, "k", NULL);
        UNTIL(&w, w.outcomes[REDIS_OK] > ok + 1000);
        server_kill(&server);
        UNTIL(&w, w.went_away == (unsigned)round + 1);
        server_start_again(&server, NULL);
        UNTIL(&w, w.came_back == (unsigned)round + 1);
    }
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        all[i].with = NULL;
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        UNTIL(&w, !all[i].question.command);
        ck_assert_uint_eq(all[i].asked, all[i].answers);
        asked += all[i].asked;
    }
    for (size_t i = 0; i < REDIS_OUTCOMES; i++)
        told += w.outcomes[i];
    ck_assert_uint_eq(asked, told);
    ck_assert_uint_gt(w.outcomes[REDIS_FAILED], 0);
    ck_assert_uint_eq(w.outcomes[REDIS_ERROR], 0);
}
END_TEST

START_TEST(test_the_script_is_forgotten_again_and_again_under_load)
{
    static struct asking all[50];

    ask_until_ok(&w, &add, "k");
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        asking_init(&all[i]);
        all[i].then = ask_again;
        all[i].with = &w;
        ck_assert(ask(&w, &all[i], &add, "k", NULL));
    }
    for (int round = 0; round < 10; round++) {
        uint64_t ok = w.outcomes[REDIS_OK];

        server_ask(&server, "SCRIPT FLUSH");
        UNTIL(&w, w.outcomes[REDIS_OK] > ok + 200);
    }
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        all[i].with = NULL;
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        UNTIL(&w, !all[i].question.command);
    ck_assert_int_eq(strtol(server_ask(&server, "GET k"), NULL, 10), (long)w.outcomes[REDIS_OK]);
    ck_assert_uint_eq(w.outcomes[REDIS_OK] + w.outcomes[REDIS_LATE],
                      w.outcomes[REDIS_OK]); /* all of them went well */
    ck_assert_uint_eq(w.outcomes[REDIS_ERROR] + w.outcomes[REDIS_FAILED], 0);
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

/* Due in the turn before, it would have been answered then. */
static void check_time(struct asking *a)
{
    ck_assert_uint_lt(w.before_ns, a->asked_ns + w.target.timeout_ns);
}

START_TEST(test_whatever_happens_a_question_is_answered_once_and_in_time)
{
    static struct asking all[64];
    struct random r;
    bool alive = true, stopped = false;

    worker_hurries(&w);
    random_seed_with(&r, (uint64_t)_i);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        asking_init(&all[i]);
        all[i].then = check_time;
    }
    for (int step = 0; step < 700; step++) {
        struct asking *a = &all[random_below(&r, ARRAY_LEN(all))];

        uint64_t act = random_below(&r, 300);

        if (act == 0 && alive) {
            server_kill(&server);
            alive = stopped = false;
        } else if (act < 3 && !alive) {
            server_start_again(&server, NULL);
            alive = true;
        } else if (act == 3 && alive && !stopped) {
            server_signal(&server, SIGSTOP);
            stopped = true;
        } else if (act < 6 && stopped) {
            server_signal(&server, SIGCONT);
            stopped = false;
        } else if (act < 8 && alive && !stopped) {
            server_ask(&server, act == 6 ? "SCRIPT FLUSH" : "CLIENT KILL TYPE normal");
        } else if (act < 20 && a->question.command) {
            redis_question_cancel(&a->question);
            a->asked--;
        } else if (act < 150) {
            turn(&w);
        } else if (!a->question.command) {
            (void)!ask(&w, a, random_below(&r, 2) ? &add : &numbers, "k", NULL);
        }
    }
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        UNTIL(&w, !all[i].question.command);
    if (!alive)
        server_start_again(&server, NULL);
    if (stopped)
        server_signal(&server, SIGCONT);
    ask_until_ok(&w, &add, "k");
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        ck_assert_uint_eq(all[i].asked, all[i].answers);
}
END_TEST

static const struct {
    const char *before, *after;
} troubles[] = {
    { "CONFIG SET maxmemory 1", "CONFIG SET maxmemory 0" },
    { "CONFIG SET min-replicas-to-write 1", "CONFIG SET min-replicas-to-write 0" },
    { "REPLICAOF 127.0.0.1 1", "REPLICAOF NO ONE" },
    { "ACL SETUSER default -evalsha", "ACL SETUSER default +@all" },
};

START_TEST(test_a_server_that_can_do_nothing_is_refused_though_it_answers)
{
    ask_until_ok(&w, &add, "k");
    server_ask(&server, troubles[_i].before);
    for (uint64_t i = 0; i < w.target.open_after; i++)
        ck_assert_int_eq(ask_one(&w, &add, "k", NULL), REDIS_ERROR);
    ck_assert(!redis_is_up(w.store));
    ck_assert_uint_eq(w.went_away, 1);
    /* One question now and then sees whether it is better. */
    ck_assert_int_eq(ask_one(&w, &add, "k", NULL), REDIS_ERROR);
    ck_assert(!redis_is_up(w.store));
    server_ask(&server, troubles[_i].after);
    ask_until_ok(&w, &add, "k");
    ck_assert_uint_eq(w.came_back, 1);
    ck_assert(redis_is_up(w.store));
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
    tcase_add_test(t, test_a_server_that_was_killed_is_refused_and_found_again);
    tcase_add_test(t, test_it_comes_back_without_being_asked);
    tcase_add_test(t, test_connections_that_idle_and_are_closed_are_no_failure);
    tcase_add_test(t, test_connections_that_idle_are_kept_alive);
    tcase_add_test(t, test_a_stopped_server_costs_the_timeout_a_few_times_and_then_nothing);
    tcase_add_test(t, test_a_slow_server_is_late_and_its_late_answers_are_nobodys);
    tcase_add_test(t, test_a_busy_server_is_late_then_refused_then_back);
    tcase_add_test(t, test_under_load_every_question_is_answered_once_over_restarts);
    tcase_add_test(t, test_the_script_is_forgotten_again_and_again_under_load);
    tcase_add_test(t, test_whoever_cancels_hears_nothing_more);
    tcase_add_test(t, test_what_is_cancelled_is_not_said_again);
    tcase_add_loop_test(t, test_an_answer_may_cancel_others_that_fail_with_it, 0, 2);
    tcase_add_test(t, test_what_redis_owes_is_bounded);
    tcase_add_loop_test(t, test_whatever_happens_a_question_is_answered_once_and_in_time, 0, 6);
    tcase_add_loop_test(t, test_a_server_that_can_do_nothing_is_refused_though_it_answers, 0,
                        ARRAY_LEN(troubles));
    tcase_add_test(t, test_a_store_is_found_by_value_and_closed_when_nobody_asks);
    return redis_suite_run(s);
}

/* Against a real redis-server that is killed, stopped, slow, busy, forgetful or of no use: a question is answered once and in time. */
#include <check.h>
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
static struct redis_script numbers, add;

static void begin(void)
{
    redis_script_init(&numbers, STR("return {1, -2, 3}"));
    redis_script_init(&add, STR("return {redis.call('INCR', KEYS[1])}"));
    server = server_start(NULL);
    worker_of(&w, &server);
}

static void end(void)
{
    worker_end(&w);
}

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
    UNTIL(&w, asking_count(all, MANY, REDIS_FAILED) == MANY);
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

int main(void)
{
    Suite *s = suite_create("redis_trouble");
    TCase *t = tcase_create("redis_trouble");

    tcase_add_checked_fixture(t, begin, end);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    tcase_add_test(t, test_a_server_that_was_killed_is_refused_and_found_again);
    tcase_add_test(t, test_it_comes_back_without_being_asked);
    tcase_add_test(t, test_connections_that_idle_and_are_closed_are_no_failure);
    tcase_add_test(t, test_connections_that_idle_are_kept_alive);
    tcase_add_test(t, test_a_stopped_server_costs_the_timeout_a_few_times_and_then_nothing);
    tcase_add_test(t, test_a_slow_server_is_late_and_its_late_answers_are_nobodys);
    tcase_add_test(t, test_a_busy_server_is_late_then_refused_then_back);
    tcase_add_test(t, test_under_load_every_question_is_answered_once_over_restarts);
    tcase_add_test(t, test_the_script_is_forgotten_again_and_again_under_load);
    tcase_add_loop_test(t, test_whatever_happens_a_question_is_answered_once_and_in_time, 0, 6);
    tcase_add_loop_test(t, test_a_server_that_can_do_nothing_is_refused_though_it_answers, 0,
                        ARRAY_LEN(troubles));
    return redis_suite_run(s);
}

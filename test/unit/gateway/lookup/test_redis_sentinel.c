/* Against real Sentinels: the master is found, followed over failovers, and nobody else is written to. */
#include <check.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "test/unit/gateway/lookup/redis_stage.h"

static struct worker_stage w;
static struct server master, replica, sentinels[2];
static struct redis_script add, numbers;

static struct server start_replica(void)
{
    char port[16];
    const char *const options[] = { "--replicaof", "127.0.0.1", port, "--repl-diskless-sync-delay",
                                    "0",           NULL };

    snprintf(port, sizeof port, "%u", master.port);
    return server_start(options);
}

/* A Sentinel looks every second or two at everything, and every ten at what a replica says. PING-PERIOD stays: five of them is
 * how old the news of a replica may be that is to take over, and that must not depend on how busy the machine is. */
static const char *const hurry[] = {
    "SENTINEL SET shop down-after-milliseconds 300",
    "SENTINEL SET shop failover-timeout 2000",
    "SENTINEL DEBUG INFO-PERIOD 100 ASK-PERIOD 100 PUBLISH-PERIOD 100",
};

static struct server start_sentinel(unsigned quorum)
{
    struct server s = { .port = free_port() };
    char path[96];
    const char *const options[] = { path, "--sentinel", NULL };
    FILE *f;

    snprintf(s.address, sizeof s.address, "127.0.0.1:%u", s.port);
    snprintf(path, sizeof path, "%s/%u.conf", redis_dir(), s.port);
    f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fprintf(f, "sentinel monitor shop 127.0.0.1 %u %u\n", master.port, quorum);
    fclose(f);
    server_start_again(&s, options);
    for (size_t i = 0; i < ARRAY_LEN(hurry); i++)
        server_ask(&s, hurry[i]);
    return s;
}

/* Until every Sentinel knows the replica and the other Sentinel. */
static bool group_stands(void)
{
    for (size_t i = 0; i < ARRAY_LEN(sentinels); i++) {
        const char *text = server_ask(&sentinels[i], "INFO sentinel");

        if (!strstr(text, "slaves=1,sentinels=2"))
            return false;
    }
    return true;
}

static void begin(void)
{
    static struct str addresses[2];
    const char *const options[] = { "--repl-diskless-sync-delay", "0", NULL };
    struct redis_target t;

    redis_script_init(&add, STR("return {redis.call('INCR', KEYS[1])}"));
    master = server_start(options);
    replica = start_replica();
    while (!strstr(server_ask(&master, "INFO replication"), "state=online"))
        usleep(1000); /* a Sentinel that does not see it at first looks again after ten seconds */
    for (size_t i = 0; i < ARRAY_LEN(sentinels); i++) {
        sentinels[i] = start_sentinel(1);
        addresses[i] = str_from(sentinels[i].address);
    }
    t = target_of(REDIS_SENTINEL, addresses, ARRAY_LEN(sentinels));
    t.master_name = STR("shop");
    worker_begin(&w, &t);
}

static void end(void)
{
    worker_end(&w);
}

static const char *role_of(const struct server *s)
{
    static char text[8];

    snprintf(text, sizeof text, "%s", server_ask(s, "ROLE"));
    return text;
}

START_TEST(test_the_master_is_found_and_a_failover_is_followed)
{
    ask_until_ok(&w, &add, "k");
    ck_assert_str_eq(server_ask(&master, "GET k"), "1");
    UNTIL(&w, group_stands());
    UNTIL(&w, strcmp(server_ask(&replica, "GET k"), "1") == 0);
    server_kill(&master);
    UNTIL(&w, !redis_is_up(w.store));
    ask_until_ok(&w, &add, "k");
    ck_assert_ptr_nonnull(strstr(role_of(&replica), "master"));
    ck_assert_str_eq(server_ask(&replica, "GET k"), "2");
}
END_TEST

START_TEST(test_a_master_that_became_a_replica_is_left_though_it_answers)
{
    char command[64];

    ask_until_ok(&w, &add, "k");
    UNTIL(&w, group_stands());
    UNTIL(&w, strcmp(server_try(&sentinels[0], "SENTINEL FAILOVER shop"), "OK") == 0);
    UNTIL(&w, strstr(role_of(&replica), "master"));
    /* The Sentinels would do it after a while. */
    snprintf(command, sizeof command, "REPLICAOF 127.0.0.1 %u", replica.port);
    server_ask(&master, command);
    ask_until_ok(&w, &add, "after");
    ck_assert_str_eq(server_ask(&replica, "GET after"), "1");
    /* And no question fails any more. */
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(ask_one(&w, &add, "after", NULL), REDIS_OK);
}
END_TEST

START_TEST(test_the_sentinels_may_all_be_away_while_the_master_is_well)
{
    ask_until_ok(&w, &add, "k");
    for (size_t i = 0; i < ARRAY_LEN(sentinels); i++)
        server_kill(&sentinels[i]);
    UNTIL(&w, strstr(logged(&w), sentinels[1].address) && strstr(logged(&w), sentinels[0].address));
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(ask_one(&w, &add, "k", NULL), REDIS_OK);
    ck_assert_uint_eq(w.went_away, 0);
}
END_TEST

START_TEST(test_a_stopped_sentinel_does_not_hide_a_failover)
{
    ask_until_ok(&w, &add, "k");
    UNTIL(&w, group_stands());
    server_signal(&sentinels[0], SIGSTOP);
    UNTIL(&w, strcmp(server_try(&sentinels[1], "SENTINEL FAILOVER shop"), "OK") == 0);
    UNTIL(&w, strstr(role_of(&replica), "master"));
    /* The old one is told later; until then it takes what it is asked. The other Sentinel knows better. */
    do
        ask_until_ok(&w, &add, "after");
    while (server_ask(&replica, "GET after")[0] == 0);
}
END_TEST

START_TEST(test_a_master_that_nobody_knows_is_said_and_questions_are_refused)
{
    struct str addresses[] = { str_from(sentinels[0].address), str_from(sentinels[1].address) };
    struct redis_target t = target_of(REDIS_SENTINEL, addresses, 2);
    struct asking a;

    worker_end(&w);
    t.master_name = STR("another");
    worker_begin(&w, &t);
    worker_hurries(&w);
    ask_until_refused(&w, &add);
    ck_assert_uint_eq(w.outcomes[REDIS_OK], 0);
    UNTIL(&w, strstr(logged(&w), "cannot say who the master is: ERR No such master"));
    ck_assert_uint_eq(w.went_away, 1);
    for (int i = 0; i < 50; i++) {
        asking_init(&a);
        ck_assert(!ask(&w, &a, &add, "k", NULL));
        turn(&w);
    }
}
END_TEST

START_TEST(test_no_sentinel_at_all_is_refused_at_once)
{
    struct str none = STR("127.0.0.1:1");
    struct redis_target t = target_of(REDIS_SENTINEL, &none, 1);

    worker_end(&w);
    t.master_name = STR("shop");
    worker_begin(&w, &t);
    worker_hurries(&w); /* who asked before it was known waits in line until it is late */
    ask_until_refused(&w, &add);
    ck_assert_uint_eq(w.outcomes[REDIS_OK], 0);
}
END_TEST

/* ---- Sentinels that are wrong ----------------------------------------------------------------- */

struct naming {
    uint16_t port;
    unsigned epoch;
};

/* What a Sentinel says that thinks so. */
static void name_master(int fd, const void *what)
{
    const struct naming *n = what;
    char in[4096], out[512], port[16], epoch[16];
    ssize_t len;

    snprintf(port, sizeof port, "%u", n->port);
    snprintf(epoch, sizeof epoch, "%u", n->epoch);
    snprintf(
        out, sizeof out,
        "*8\r\n$4\r\nname\r\n$4\r\nshop\r\n$2\r\nip\r\n$9\r\n127.0.0.1\r\n$4\r\nport\r\n$%zu\r\n"
        "%s\r\n$12\r\nconfig-epoch\r\n$%zu\r\n%s\r\n",
        strlen(port), port, strlen(epoch), epoch);
    while ((len = read(fd, in, sizeof in - 1)) > 0) {
        in[len] = 0;
        if (strstr(in, "PING") && write(fd, "+PONG\r\n", 7) != 7)
            return;
        if (strstr(in, "SENTINEL") && write(fd, out, strlen(out)) < 0)
            return;
    }
}

static void begin_named(const struct naming *by, size_t count)
{
    static struct server wrong[2];
    static struct str addresses[2];
    struct redis_target t;

    for (size_t i = 0; i < count; i++) {
        wrong[i] = liar_start(name_master, &by[i]);
        addresses[i] = str_from(wrong[i].address);
    }
    redis_script_init(&add, STR("return {redis.call('INCR', KEYS[1])}"));
    redis_script_init(&numbers, STR("return {1}"));
    t = target_of(REDIS_SENTINEL, addresses, count);
    t.master_name = STR("shop");
    worker_begin(&w, &t);
}

START_TEST(test_a_replica_is_not_asked_even_if_a_sentinel_calls_it_the_master)
{
    struct naming by;

    master = server_start(NULL);
    replica = start_replica();
    by = (struct naming){ replica.port, 1 };
    begin_named(&by, 1);
    ask_until_refused(&w, &numbers); /* which would not even write */
    UNTIL(&w, strstr(logged(&w), "is away: it is not the master"));
    ck_assert_uint_eq(w.outcomes[REDIS_OK], 0);
    ck_assert_str_eq(server_ask(&replica, "REPLICAOF NO ONE"), "OK");
    ask_until_ok(&w, &numbers, "k");
    worker_end(&w);
}
END_TEST

START_TEST(test_a_master_that_says_it_is_none_is_asked_nothing_more)
{
    struct naming by;

    master = server_start(NULL);
    by = (struct naming){ master.port, 1 };
    begin_named(&by, 1);
    ask_until_ok(&w, &add, "k");
    server_ask(&master, "REPLICAOF 127.0.0.1 1");
    ck_assert_int_eq(ask_one(&w, &add, "k", NULL), REDIS_ERROR);
    ask_until_refused(&w, &numbers);
    UNTIL(&w, strstr(logged(&w), "is away: it is not the master"));
    worker_end(&w);
}
END_TEST

START_TEST(test_a_sentinel_that_missed_an_election_is_not_believed)
{
    struct server other = server_start(NULL);
    struct naming by[2];
    uint64_t looked;

    master = server_start(NULL);
    by[0] = (struct naming){ master.port, 7 };
    by[1] = (struct naming){ other.port, 6 };
    begin_named(by, 2);
    do
        ask_until_ok(&w, &add, "k");
    while (server_ask(&master, "GET k")[0] == 0); /* whoever was asked first */
    server_ask(&other, "CONFIG RESETSTAT");
    looked = clock_now_ns();
    UNTIL(&w, clock_now_ns() > looked + 10 * w.target.retry_every_ns); /* both, over and over */
    for (int i = 0; i < 20; i++)
        ck_assert_int_eq(ask_one(&w, &add, "k", NULL), REDIS_OK);
    ck_assert_ptr_null(strstr(server_ask(&other, "INFO commandstats"), "evalsha"));
    /* But if the one it knew is gone, it is better than nothing. */
    server_kill(&master);
    ask_until_ok(&w, &add, "k");
    ck_assert_ptr_nonnull(strstr(server_ask(&other, "INFO commandstats"), "evalsha"));
    worker_end(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redis_sentinel");
    TCase *t = tcase_create("redis_sentinel");
    TCase *wrong = tcase_create("Sentinels that are wrong");

    tcase_add_checked_fixture(t, begin, end);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    tcase_add_test(t, test_the_master_is_found_and_a_failover_is_followed);
    tcase_add_test(t, test_a_master_that_became_a_replica_is_left_though_it_answers);
    tcase_add_test(t, test_the_sentinels_may_all_be_away_while_the_master_is_well);
    tcase_add_test(t, test_a_stopped_sentinel_does_not_hide_a_failover);
    tcase_add_test(t, test_a_master_that_nobody_knows_is_said_and_questions_are_refused);
    tcase_add_test(t, test_no_sentinel_at_all_is_refused_at_once);
    tcase_set_timeout(wrong, 60);
    suite_add_tcase(s, wrong);
    tcase_add_test(wrong, test_a_replica_is_not_asked_even_if_a_sentinel_calls_it_the_master);
    tcase_add_test(wrong, test_a_master_that_says_it_is_none_is_asked_nothing_more);
    tcase_add_test(wrong, test_a_sentinel_that_missed_an_election_is_not_believed);
    return redis_suite_run(s);
}

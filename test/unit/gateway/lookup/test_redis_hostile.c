/* What is not what it should be: holes, liars, strangers, passwords. A question is answered once, in time, and never wrongly. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "gateway/base/clock.h"
#include "test/unit/gateway/lookup/redis_stage.h"

static struct worker_stage w;
static struct redis_script add;

static void begin(void)
{
    redis_script_init(&add, STR("return {redis.call('INCR', KEYS[1])}"));
}

/* ---- liars ------------------------------------------------------------------------------------ */

struct lie {
    const char *name;
    const char *answer; /* to a script; NULL: none, and the connection is closed */
    size_t len;
    unsigned times;           /* 0: for ever */
    const char *logged;       /* what must be said of it, or NULL */
    enum redis_outcome is;    /* the first question may end like this … */
    enum redis_outcome or_is; /* … or this */
};

/* A server that lies about one question may be right about the next: only who does not answer is away. */
static bool is_refused(const struct lie *lie)
{
    return lie->is != REDIS_ERROR && lie->is != REDIS_OK;
}

#define LIE(text) .answer = (text), .len = sizeof(text) - 1
#define PROTOCOL  "does not speak the protocol"

static const struct lie lies[] = {
    { "noise", LIE("\x01\x80 hello \xff\r\n"), 1, PROTOCOL, REDIS_FAILED, REDIS_FAILED },
    { "a page", LIE("HTTP/1.1 400 Bad Request\r\n\r\n"), 1, PROTOCOL, REDIS_FAILED, REDIS_FAILED },
    { "an empty line", LIE("\r\n"), 1, PROTOCOL, REDIS_FAILED, REDIS_FAILED },
    { "half an answer", LIE("*3\r\n:1\r\n:"), 1, NULL, REDIS_LATE, REDIS_LATE },
    { "a length beyond all", LIE("$99999999999999999999\r\nx"), 1, PROTOCOL, REDIS_FAILED,
      REDIS_FAILED },
    { "a number beyond all", LIE("*1\r\n:99999999999999999999\r\n"), 1, PROTOCOL, REDIS_FAILED,
      REDIS_FAILED },
    { "a negative length", LIE("*-7\r\n"), 1, PROTOCOL, REDIS_FAILED, REDIS_FAILED },
    { "more members than memory", LIE("*2147483647\r\n:1\r\n"), 1, PROTOCOL, REDIS_FAILED,
      REDIS_FAILED },
    { "arrays in arrays", LIE("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"),
      1, PROTOCOL, REDIS_FAILED, REDIS_FAILED },
    { "a text without an end", LIE("$400000000\r\n"), 1, NULL, REDIS_LATE, REDIS_LATE },
    { "bytes without an end",
      LIE("$400000000\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), 0, PROTOCOL,
      REDIS_LATE, REDIS_FAILED },
    { "a line without an end",
      LIE("+xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), 0, NULL, REDIS_LATE,
      REDIS_FAILED },
    { "small members without an end", LIE("*1\r\n*1\r\n*1000000\r\n:1\r\n:1\r\n:1\r\n"), 0,
      PROTOCOL, REDIS_LATE, REDIS_FAILED },
    { "two answers", LIE("*1\r\n:7\r\n*1\r\n:8\r\n"), 1, NULL, REDIS_OK, REDIS_FAILED },
    { "a door shut", NULL, 0, 1, "closed the connection", REDIS_FAILED, REDIS_FAILED },
    { "nothing", LIE(""), 1, NULL, REDIS_LATE, REDIS_LATE },
    { "always NOSCRIPT", LIE("-NOSCRIPT No matching script.\r\n"), 1, "NOSCRIPT", REDIS_ERROR,
      REDIS_ERROR },
    { "MOVED by no cluster", LIE("-MOVED 1 127.0.0.1:1\r\n"), 1, "MOVED", REDIS_ERROR,
      REDIS_ERROR },
    { "MOVED to nowhere", LIE("-MOVED\r\n"), 1, "MOVED", REDIS_ERROR, REDIS_ERROR },
    { "ASK in circles", LIE("-ASK 99999999 :0\r\n"), 1, "ASK", REDIS_ERROR, REDIS_ERROR },
    { "an error without words", LIE("-\r\n"), 1, "answers: ", REDIS_ERROR, REDIS_ERROR },
};

/* Greets like Redis; to scripts it lies. */
static void tell_lie(int fd, const void *what)
{
    const struct lie *lie = what;
    char in[65536];
    ssize_t n;

    while ((n = read(fd, in, sizeof in - 1)) > 0) {
        in[n] = 0;
        if (strstr(in, "PING") && write(fd, "+PONG\r\n", 7) != 7)
            return;
        if (!strstr(in, "EVAL"))
            continue;
        if (!lie->answer)
            return;
        for (unsigned i = 0; lie->times == 0 || i < lie->times; i++)
            if (write(fd, lie->answer, lie->len) < 0)
                return;
    }
}

/* Asks on until what must be logged is there. */
static bool said(const struct lie *lie, struct asking *a)
{
    if (!a->question.command) {
        if (!lie->logged || strstr(logged(&w), lie->logged))
            return true;
        (void)!ask(&w, a, &add, "k", NULL);
    }
    return false;
}

START_TEST(test_a_lie_is_never_an_answer_and_costs_bounded_memory)
{
    const struct lie *lie = &lies[_i];
    struct server liar = liar_start(tell_lie, lie);
    struct rusage before, after;
    struct asking a;

    worker_of(&w, &liar);
    if (lie->is == REDIS_LATE)
        worker_hurries(&w);
    asking_init(&a);
    getrusage(RUSAGE_SELF, &before);
    ck_assert(ask(&w, &a, &add, "k", NULL));
    UNTIL(&w, a.answers);
    ck_assert_msg(a.answer.outcome == lie->is || a.answer.outcome == lie->or_is, "%s: %d",
                  lie->name, a.answer.outcome);
    if (a.answer.outcome == REDIS_OK)
        ck_assert_int_eq(a.answer.numbers[0], 7);
    UNTIL(&w, said(lie, &a));
    if (is_refused(lie))
        ask_until_refused(&w, &add);
    getrusage(RUSAGE_SELF, &after);
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss,
                     200 * 1024); /* KiB; freed memory stays a while under ASan */
    worker_end(&w);
    server_kill(&liar);
}
END_TEST

/* ---- a slow wire ------------------------------------------------------------------------------ */

/* Between a client and a real server, one byte at a time in either direction. */
static void drip(int fd, const void *what)
{
    const struct server *to = what;
    struct sockaddr_in in = { .sin_family = AF_INET,
                              .sin_port = htons(to->port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    struct pollfd p[2] = { { fd, POLLIN, 0 }, { socket(AF_INET, SOCK_STREAM, 0), POLLIN, 0 } };
    int on = 1;

    if (connect(p[1].fd, (struct sockaddr *)&in, sizeof in) != 0)
        return;
    setsockopt(p[0].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(p[1].fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    while (poll(p, 2, -1) > 0)
        for (int i = 0; i < 2; i++) {
            char byte;

            if (!p[i].revents)
                continue;
            if (read(p[i].fd, &byte, 1) != 1 || write(p[1 - i].fd, &byte, 1) != 1)
                return;
        }
}

START_TEST(test_answers_that_come_byte_by_byte_are_answers)
{
    struct server server = server_start(NULL), wire = liar_start(drip, &server);

    worker_of(&w, &wire);
    for (int i = 1; i <= 50; i++)
        ask_until_ok(&w, &add, "k");
    ck_assert_str_eq(server_ask(&server, "GET k"), "50");
    worker_end(&w);
}
END_TEST

static void answer_late(int fd, const void *what)
{
    static const char answer[] = "*1\r\n:1\r\n";
    char in[65536];
    ssize_t n;

    (void)what;
    while ((n = read(fd, in, sizeof in - 1)) > 0) {
        in[n] = 0;
        if (strstr(in, "PING") && write(fd, "+PONG\r\n", 7) != 7)
            return;
        if (!strstr(in, "EVAL"))
            continue;
        usleep(500000); /* longer than anybody waits: that is what it is */
        if (write(fd, answer, sizeof answer - 1) < 0)
            return;
    }
}

START_TEST(test_a_server_whose_answers_are_always_late_is_refused)
{
    struct server slow = liar_start(answer_late, NULL);

    worker_of(&w, &slow);
    worker_hurries(&w);
    ask_until_refused(&w, &add);
    ck_assert_uint_ge(w.went_away, 1);
    ck_assert_uint_eq(w.outcomes[REDIS_OK], 0);
    worker_end(&w);
}
END_TEST

/* ---- holes ------------------------------------------------------------------------------------ */

START_TEST(test_a_port_that_nobody_answers_is_late_and_then_refused)
{
    struct server hole = hole_start();

    worker_of(&w, &hole);
    worker_hurries(&w);
    ask_until_refused(&w, &add);
    ck_assert_uint_ge(w.outcomes[REDIS_LATE], 1);
    UNTIL(&w, w.went_away == 1);
    ck_assert_ptr_nonnull(strstr(logged(&w), " in time")); /* no answer, or no greeting */
    for (int i = 0; i < 200; i++) {                        /* over several dials */
        struct asking a;

        asking_init(&a);
        ck_assert(!ask(&w, &a, &add, "k", NULL));
        turn(&w);
    }
    worker_end(&w);
}
END_TEST

START_TEST(test_a_port_that_is_shut_costs_no_time_at_all)
{
    struct server shut = { .port = free_port() };

    snprintf(shut.address, sizeof shut.address, "127.0.0.1:%u", shut.port);
    worker_of(&w, &shut);
    UNTIL(&w, w.went_away);
    ask_until_refused(&w, &add);
    ck_assert_uint_eq(w.outcomes[REDIS_LATE], 0);
    worker_end(&w);
}
END_TEST

static unsigned *connections; /* shared with the liar's children */

/* The first connection falls silent after its greeting, as after a cut in the network; those after it are well. */
static void fall_silent(int fd, const void *what)
{
    static const struct lie good = { .answer = "*1\r\n:1\r\n", .len = 8, .times = 1 };

    (void)what;
    if (__atomic_fetch_add(connections, 1, __ATOMIC_SEQ_CST) == 0) {
        char in[4096];

        if (read(fd, in, sizeof in) > 0 && write(fd, "+PONG\r\n", 7) == 7)
            while (read(fd, in, sizeof in) > 0)
                ;
        return;
    }
    tell_lie(fd, &good);
}

START_TEST(test_a_connection_that_fell_silent_is_given_up_for_a_new_one)
{
    struct server liar;
    struct str address;
    struct redis_target t;

    connections = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    liar = liar_start(fall_silent, NULL);
    address = str_from(liar.address);
    t = target_of(REDIS_SINGLE, &address, 1);
    t.connections = 1;
    worker_begin(&w, &t);
    worker_hurries(&w);
    ask_until_refused(&w, &add);
    ask_until_ok(&w, &add, "k");
    ck_assert_uint_ge(*connections, 2);
    ck_assert_ptr_nonnull(strstr(logged(&w), "is back"));
    worker_end(&w);
}
END_TEST

/* ---- a cluster that is none ------------------------------------------------------------------- */

struct false_cluster {
    uint16_t port;
    unsigned last_slot;
};

/* It has the slots up to the last, and says of all of them that it has them, and has not. */
static void send_in_circles(int fd, const void *what)
{
    const struct false_cluster *c = what;
    char in[65536], slots[256], moved[64];
    ssize_t n;

    snprintf(slots, sizeof slots, "*1\r\n*3\r\n:0\r\n:%u\r\n*2\r\n$0\r\n\r\n:%u\r\n", c->last_slot,
             c->port);
    snprintf(moved, sizeof moved, "-MOVED 1 :%u\r\n", c->port);
    while ((n = read(fd, in, sizeof in - 1)) > 0) {
        in[n] = 0;
        if (strstr(in, "PING") && write(fd, "+PONG\r\n", 7) != 7)
            return;
        if (strstr(in, "CLUSTER") && write(fd, slots, strlen(slots)) < 0)
            return;
        if (strstr(in, "EVAL") && write(fd, moved, strlen(moved)) < 0)
            return;
    }
}

START_TEST(test_who_sends_in_circles_is_left_and_a_slot_of_nobody_is_refused)
{
    struct false_cluster *c =
        mmap(NULL, sizeof *c, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct server liar;
    struct str address;
    struct redis_target t;
    struct asking a;

    c->last_slot = 12182; /* of foo */
    liar = liar_start(send_in_circles, c);
    c->port = liar.port;
    address = str_from(liar.address);
    t = target_of(REDIS_CLUSTER, &address, 1);
    worker_begin(&w, &t);
    ck_assert_int_eq(ask_one(&w, &add, "foo", NULL), REDIS_ERROR);
    asking_init(&a);
    ck_assert(!ask(&w, &a, &add, "123456789", NULL)); /* slot 12739 */
    ck_assert(redis_is_up(w.store));
    worker_end(&w);
}
END_TEST

/* ---- strangers -------------------------------------------------------------------------------- */

static void begin_with(const struct server *s, const char *user, const char *password,
                       uint64_t database)
{
    struct str address = str_from(s->address);
    struct redis_target t = target_of(REDIS_SINGLE, &address, 1);

    t.username = str_from(user);
    t.password = str_from(password);
    t.database = database;
    worker_begin(&w, &t);
}

START_TEST(test_a_password_opens_and_is_not_logged_when_it_is_wrong)
{
    static const char *const options[] = { "--requirepass", "open-sesame", NULL };
    static char endless[300000];
    struct server s = server_start(options);

    begin_with(&s, NULL, "open-sesame", 0);
    ask_until_ok(&w, &add, "k");
    worker_end(&w);
    begin_with(&s, NULL, "open-barley", 0);
    ask_until_refused(&w, &add);
    UNTIL(&w, strstr(logged(&w), "AUTH: WRONGPASS"));
    ck_assert_ptr_null(strstr(logged(&w), "barley"));
    worker_end(&w);
    begin_with(&s, NULL, NULL, 0);
    ask_until_refused(&w, &add);
    UNTIL(&w, strstr(logged(&w), "NOAUTH"));
    worker_end(&w);
    memset(endless, 'x', sizeof endless - 1);
    begin_with(&s, NULL, endless, 0);
    ask_until_refused(&w, &add);
    UNTIL(&w, strstr(logged(&w), "the greeting is too long"));
    worker_end(&w);
}
END_TEST

START_TEST(test_a_user_and_a_database_are_those_that_were_said)
{
    struct server s = server_start(NULL);

    server_ask(&s, "ACL SETUSER limits on >secret ~* +@all -get");
    begin_with(&s, "limits", "secret", 3);
    ask_until_ok(&w, &add, "k");
    ck_assert_str_eq(server_ask(&s, "EXISTS k"), "0");
    ck_assert_ptr_nonnull(strstr(server_ask(&s, "INFO keyspace"), "db3:keys=1"));
    ck_assert_ptr_nonnull(strstr(server_ask(&s, "CLIENT LIST"), "user=limits"));
    worker_end(&w);
    begin_with(&s, NULL, NULL, 99);
    ask_until_refused(&w, &add);
    UNTIL(&w, strstr(logged(&w), "SELECT: ERR DB index is out of range"));
    worker_end(&w);
}
END_TEST

START_TEST(test_a_server_that_takes_no_more_clients_serves_over_those_that_it_took)
{
    static const char *const options[] = { "--maxclients", "1", NULL };
    struct server s = server_start(options);

    worker_of(&w, &s); /* two connections are wanted */
    ask_until_ok(&w, &add, "k");
    UNTIL(&w, strstr(logged(&w), "one connection more: PING: ERR max number of clients reached"));
    for (int i = 0; i < 200; i++) /* over many a dial */
        turn(&w);
    ck_assert_uint_eq(w.went_away, 0);
    ck_assert_int_eq(ask_one(&w, &add, "k", NULL), REDIS_OK);
    worker_end(&w);
}
END_TEST

START_TEST(test_a_unix_socket_is_a_way_too)
{
    char path[96], text[128];
    const char *const options[] = { "--unixsocket", path, NULL };
    struct str address;
    struct redis_target t;
    struct server s;

    snprintf(path, sizeof path, "%s/socket", redis_dir());
    snprintf(text, sizeof text, "unix:%s", path);
    s = server_start(options);
    address = str_from(text);
    t = target_of(REDIS_SINGLE, &address, 1);
    worker_begin(&w, &t);
    ask_until_ok(&w, &add, "k");
    server_kill(&s);
    UNTIL(&w, w.went_away);
    worker_end(&w);
}
END_TEST

START_TEST(test_an_address_that_is_a_name_is_said_and_refused)
{
    struct str name = STR("redis.example:6379");
    struct redis_target t = target_of(REDIS_SINGLE, &name, 1);
    struct asking a;

    worker_begin(&w, &t);
    asking_init(&a);
    ck_assert(!ask(&w, &a, &add, "k", NULL));
    ck_assert(!redis_is_up(w.store));
    ck_assert_ptr_nonnull(strstr(logged(&w), "not a numeric address: redis.example:6379"));
    worker_end(&w);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redis_hostile");
    TCase *t = tcase_create("redis_hostile");

    tcase_add_checked_fixture(t, begin, NULL);
    tcase_set_timeout(t, 60);
    suite_add_tcase(s, t);
    tcase_add_loop_test(t, test_a_lie_is_never_an_answer_and_costs_bounded_memory, 0,
                        ARRAY_LEN(lies));
    tcase_add_test(t, test_answers_that_come_byte_by_byte_are_answers);
    tcase_add_test(t, test_a_server_whose_answers_are_always_late_is_refused);
    tcase_add_test(t, test_a_port_that_nobody_answers_is_late_and_then_refused);
    tcase_add_test(t, test_a_port_that_is_shut_costs_no_time_at_all);
    tcase_add_test(t, test_a_connection_that_fell_silent_is_given_up_for_a_new_one);
    tcase_add_test(t, test_who_sends_in_circles_is_left_and_a_slot_of_nobody_is_refused);
    tcase_add_test(t, test_a_password_opens_and_is_not_logged_when_it_is_wrong);
    tcase_add_test(t, test_a_user_and_a_database_are_those_that_were_said);
    tcase_add_test(t, test_a_server_that_takes_no_more_clients_serves_over_those_that_it_took);
    tcase_add_test(t, test_a_unix_socket_is_a_way_too);
    tcase_add_test(t, test_an_address_that_is_a_name_is_said_and_refused);
    return redis_suite_run(s);
}

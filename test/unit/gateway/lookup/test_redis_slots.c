/* Slots of keys and of servers, addresses, errors: what is read of a cluster, as tables. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/lookup/redis_error.h"
#include "gateway/lookup/redis_slots.h"

/* As CLUSTER KEYSLOT of Redis 7.0 says. */
static const struct {
    const char *key;
    uint16_t slot;
} keys[] = {
    { "", 0 },
    { "123456789", 12739 },
    { "foo", 12182 },
    { "{user1000}.following", 3443 },
    { "{user1000}.followers", 3443 },
    { "user1000", 3443 },
    { "foo{}{bar}", 8363 },
    { "foo{{bar}}zap", 4015 },
    { "foo{bar}{zap}", 5061 },
    { "bar", 5061 },
    { "{bar", 4015 },
    { "foo{", 7673 },
    { "foo}bar{baz}", 4813 },
    { "\xff\x80", 4727 },
};

START_TEST(test_a_key_has_the_slot_that_redis_gives_it)
{
    ck_assert_uint_eq(redis_slot_of(str_from(keys[_i].key)), keys[_i].slot);
}
END_TEST

/* ---- CLUSTER SLOTS ---------------------------------------------------------------------------- */

static struct redis_reader *reader;

static void begin(void)
{
    reader = redis_reader_new();
}

static void end(void)
{
    redis_reader_free(reader);
}

static const struct redis_reply *reply_of(const char *text)
{
    const struct redis_reply *r = NULL;

    redis_reader_feed(reader, str_from(text));
    ck_assert_int_eq(redis_reader_next(reader, &r), READ_REPLY);
    return r;
}

#define ITEM(first, last, server) "*1\r\n*3\r\n:" first "\r\n:" last "\r\n" server
#define V4                        "*3\r\n$8\r\n10.0.0.5\r\n:6379\r\n$1\r\na\r\n"

static const struct {
    const char *text;
    enum redis_slots_result result;
    const char *address, *name;
} slots[] = {
    { ITEM("0", "16383", V4), SLOTS_RANGE, "10.0.0.5:6379", NULL },
    { ITEM("0", "16383", "*2\r\n$3\r\n::1\r\n:7000\r\n"), SLOTS_RANGE, "[::1]:7000", NULL },
    { ITEM("0", "16383", "*2\r\n$0\r\n\r\n:7000\r\n"), SLOTS_RANGE, "127.0.0.1:7000", NULL },
    { ITEM("0", "16383", "*2\r\n$-1\r\n:7000\r\n"), SLOTS_RANGE, "127.0.0.1:7000", NULL },
    { ITEM("0", "16383", "*2\r\n$5\r\nredis\r\n:7000\r\n"), SLOTS_NAMED, NULL, "redis" },
    { ITEM("0", "16383", "*2\r\n$1\r\n?\r\n:7000\r\n"), SLOTS_NAMED, NULL, "?" },
    { ITEM("0", "16383",
           "*4\r\n$5\r\nredis\r\n:7000\r\n$1\r\na\r\n*2\r\n$2\r\nip\r\n$8\r\n10.0.0.7\r\n"),
      SLOTS_RANGE, "10.0.0.7:7000", NULL },
    { ITEM("0", "16383", "*4\r\n$5\r\nredis\r\n:7000\r\n$1\r\na\r\n*1\r\n$2\r\nip\r\n"),
      SLOTS_NAMED, NULL, "redis" },
    { ITEM("-1", "16383", V4), SLOTS_BAD, NULL, NULL },
    { ITEM("0", "16384", V4), SLOTS_BAD, NULL, NULL },
    { ITEM("5", "4", V4), SLOTS_BAD, NULL, NULL },
    { ITEM("0", "9223372036854775807", V4), SLOTS_BAD, NULL, NULL },
    { ITEM("0", "16383", "*2\r\n$8\r\n10.0.0.5\r\n:0\r\n"), SLOTS_BAD, NULL, NULL },
    { ITEM("0", "16383", "*2\r\n$8\r\n10.0.0.5\r\n:65536\r\n"), SLOTS_BAD, NULL, NULL },
    { ITEM("0", "16383", "*0\r\n"), SLOTS_BAD, NULL, NULL },
    { ITEM("0", "16383", ":7\r\n"), SLOTS_BAD, NULL, NULL },
    { "*1\r\n*2\r\n:0\r\n:1\r\n", SLOTS_BAD, NULL, NULL },
    { "*1\r\n:0\r\n", SLOTS_BAD, NULL, NULL },
    { "*0\r\n", SLOTS_BAD, NULL, NULL },
    { ":7\r\n", SLOTS_BAD, NULL, NULL },
};

START_TEST(test_a_range_is_read_or_it_is_said_what_is_wrong)
{
    struct redis_slot_range range = { 0 };
    struct redis_address asked;
    struct str name = STR_NONE;

    ck_assert(redis_address_read(STR("127.0.0.1:9999"), &asked));
    ck_assert_int_eq(redis_slots_read(reply_of(slots[_i].text), 0, &asked, &range, &name),
                     slots[_i].result);
    if (slots[_i].address)
        ck_assert_str_eq(range.master.text, slots[_i].address);
    if (slots[_i].name)
        ck_assert(str_equal(name, str_from(slots[_i].name)));
    if (slots[_i].result == SLOTS_RANGE)
        ck_assert(range.first == 0 && range.last == 16383);
}
END_TEST

/* ---- addresses -------------------------------------------------------------------------------- */

static const struct {
    const char *text, *as;
} addresses[] = {
    { "10.0.0.5:6379", "10.0.0.5:6379" },
    { "[::1]:6379", "[::1]:6379" },
    { "[2001:DB8:0::1]:6379", "[2001:db8::1]:6379" },
    { "unix:/run/redis.sock", "unix:/run/redis.sock" },
    { "10.0.0.5", NULL },
    { "10.0.0.5:", NULL },
    { "10.0.0.5:0", NULL },
    { "10.0.0.5:65536", NULL },
    { "10.0.0.5:6379 ", NULL },
    { "10.0.0.05:6379", NULL },
    { "::1:6379", NULL },
    { "[::1:6379", NULL },
    { "[]:6379", NULL },
    { "[::1]", NULL },
    { ":6379", NULL },
    { "redis.example:6379", NULL },
    { "unix:", NULL },
    { "", NULL },
    { "unix:/"
      "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
      "xxx"
      "xxxxxxxxxxxxxxxxxxxxxxxxx",
      NULL },
};

START_TEST(test_an_address_is_numeric_and_has_one_text)
{
    struct redis_address a, again;
    bool good = redis_address_read(str_from(addresses[_i].text), &a);

    ck_assert_int_eq(good, addresses[_i].as != NULL);
    if (!good)
        return;
    ck_assert_str_eq(a.text, addresses[_i].as);
    ck_assert(redis_address_read(str_from(a.text), &again));
    ck_assert(redis_address_equal(&a, &again));
    ck_assert_uint_eq(a.len, again.len);
    ck_assert_int_eq(memcmp(&a.at, &again.at, a.len), 0);
}
END_TEST

/* ---- errors ----------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    enum redis_trouble trouble;
    bool servers;
} errors[] = {
    { "NOSCRIPT No matching script. Please use EVAL.", TROUBLE_NOSCRIPT, false },
    { "MOVED 3999 127.0.0.1:6381", TROUBLE_MOVED, false },
    { "ASK 3999 127.0.0.1:6381", TROUBLE_ASK, false },
    { "READONLY You can't write against a read only replica.", TROUBLE_NOT_MASTER, true },
    { "MASTERDOWN Link with MASTER is down", TROUBLE_NOT_MASTER, true },
    { "CLUSTERDOWN The cluster is down", TROUBLE_CLUSTER, true },
    { "TRYAGAIN Multiple keys request during rehashing of slot", TROUBLE_CLUSTER, true },
    { "NOAUTH Authentication required.", TROUBLE_DENIED, true },
    { "NOPERM this user has no permissions to run the 'evalsha' command", TROUBLE_DENIED, true },
    { "LOADING Redis is loading the dataset in memory", TROUBLE_UNABLE, true },
    { "OOM command not allowed when used memory > 'maxmemory'. script: 0, on @user_script:1.",
      TROUBLE_UNABLE, true },
    { "BUSY Redis is busy running a script.", TROUBLE_UNABLE, true },
    { "MISCONF Redis is configured to save RDB snapshots", TROUBLE_UNABLE, true },
    { "NOREPLICAS Not enough good replicas to write.", TROUBLE_UNABLE, true },
    { "ERR Error running script (call to f_0): @user_script:1: @user_script: 1: -OOM command not "
      "allowed",
      TROUBLE_UNABLE, true },
    { "ERR Error running script (call to f_0): @user_script:1: -READONLY You can't write",
      TROUBLE_NOT_MASTER, true },
    { "ERR unknown command", TROUBLE_QUESTION, false },
    { "WRONGTYPE Operation against a key holding the wrong kind of value", TROUBLE_QUESTION,
      false },
    { "MOVEDX 1", TROUBLE_QUESTION, false },
    { "ERR the word OOM in the middle means nothing", TROUBLE_QUESTION, false },
    { "", TROUBLE_QUESTION, false },
    { "-", TROUBLE_QUESTION, false },
};

START_TEST(test_an_error_is_the_servers_or_the_questions)
{
    ck_assert_int_eq(redis_trouble_of(str_from(errors[_i].text)), errors[_i].trouble);
    ck_assert_int_eq(redis_trouble_is_servers(errors[_i].trouble), errors[_i].servers);
}
END_TEST

static const struct {
    const char *text;
    bool good;
    uint64_t slot;
    const char *host;
    uint64_t port;
} redirections[] = {
    { "MOVED 3999 127.0.0.1:6381", true, 3999, "127.0.0.1", 6381 },
    { "ASK 1 ::1:6381", true, 1, "::1", 6381 },
    { "MOVED 3999 :6381", true, 3999, "", 6381 },
    { "MOVED 3999 redis.example:6381", true, 3999, "redis.example", 6381 },
    { "MOVED 3999 10.0.0.1:6381 more", true, 3999, "10.0.0.1", 6381 },
    { "MOVED 3999 127.0.0.1", false, 0, NULL, 0 },
    { "MOVED 3999 127.0.0.1:", false, 0, NULL, 0 },
    { "MOVED 3999 127.0.0.1:x", false, 0, NULL, 0 },
    { "MOVED -1 127.0.0.1:1", false, 0, NULL, 0 },
    { "MOVED", false, 0, NULL, 0 },
    { "MOVED ", false, 0, NULL, 0 },
    { "MOVED 3999", false, 0, NULL, 0 },
};

START_TEST(test_a_redirection_is_read_or_refused)
{
    struct str host;
    uint64_t slot, port;
    bool good = redis_redirection(str_from(redirections[_i].text), &slot, &host, &port);

    ck_assert_int_eq(good, redirections[_i].good);
    if (!good)
        return;
    ck_assert_uint_eq(slot, redirections[_i].slot);
    ck_assert(str_equal(host, str_from(redirections[_i].host)));
    ck_assert_uint_eq(port, redirections[_i].port);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redis_slots");
    TCase *t = tcase_create("redis_slots");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, begin, end);
    suite_add_tcase(s, t);
    tcase_add_loop_test(t, test_a_key_has_the_slot_that_redis_gives_it, 0, ARRAY_LEN(keys));
    tcase_add_loop_test(t, test_a_range_is_read_or_it_is_said_what_is_wrong, 0, ARRAY_LEN(slots));
    tcase_add_loop_test(t, test_an_address_is_numeric_and_has_one_text, 0, ARRAY_LEN(addresses));
    tcase_add_loop_test(t, test_an_error_is_the_servers_or_the_questions, 0, ARRAY_LEN(errors));
    tcase_add_loop_test(t, test_a_redirection_is_read_or_refused, 0, ARRAY_LEN(redirections));
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

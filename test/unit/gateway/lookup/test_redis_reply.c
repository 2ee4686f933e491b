/* Replies are read the same however they are cut, and nothing that is said makes the reader take more than its share. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/base/random.h"
#include "gateway/lookup/redis_reply.h"

static const char stream[] = "*3\r\n:1\r\n:-2\r\n:9223372036854775807\r\n"
                             "+OK\r\n"
                             "-ERR no\r\n"
                             "$-1\r\n"
                             "*-1\r\n"
                             "$0\r\n\r\n"
                             "$4\r\na\r\nb\r\n"
                             "*0\r\n"
                             "*2\r\n*2\r\n$1\r\nx\r\n:7\r\n*1\r\n*1\r\n$-1\r\n"
                             ":0\r\n";
static const char expected[] = "[1 -2 9223372036854775807] +OK -ERR no nil nil '' 'a\r\nb' [] "
                               "[['x' 7] [[nil]]] 0 ";

static struct redis_reader *reader;
static char said[65536];

static void begin(void)
{
    reader = redis_reader_new();
    said[0] = 0;
}

static void end(void)
{
    redis_reader_free(reader);
}

static void say(const char *text, size_t len)
{
    size_t at = strlen(said);

    ck_assert_uint_lt(at + len + 1, sizeof said);
    memcpy(said + at, text, len);
    said[at + len] = 0;
}

static void put(const struct redis_reply *r)
{
    char number[32];

    switch (r->type) {
    case REPLY_INTEGER:
        snprintf(number, sizeof number, "%lld", (long long)r->integer);
        say(number, strlen(number));
        break;
    case REPLY_STATUS:
    case REPLY_ERROR:
        say(r->type == REPLY_STATUS ? "+" : "-", 1);
        say(r->text.at, r->text.len);
        break;
    case REPLY_TEXT:
        say("'", 1);
        say(r->text.at, r->text.len);
        say("'", 1);
        break;
    case REPLY_NIL:
        say("nil", 3);
        break;
    case REPLY_ARRAY:
        say("[", 1);
        for (size_t i = 0; i < r->count; i++) {
            if (i > 0)
                say(" ", 1);
            put(r->items[i]);
        }
        say("]", 1);
    }
}

/* Read what there is; false: it was bad. */
static bool read_all(void)
{
    const struct redis_reply *r;

    for (;;)
        switch (redis_reader_next(reader, &r)) {
        case READ_MORE:
            return true;
        case READ_BAD:
            return false;
        case READ_REPLY:
            put(r);
            say(" ", 1);
        }
}

START_TEST(test_replies_are_the_same_however_they_are_cut)
{
    for (size_t cut = 0; cut < sizeof stream; cut++) {
        said[0] = 0;
        redis_reader_feed(reader, str_of(stream, cut));
        ck_assert(read_all());
        redis_reader_feed(reader, str_of(stream + cut, sizeof stream - 1 - cut));
        ck_assert(read_all());
        ck_assert_str_eq(said, expected);
    }
    said[0] = 0;
    for (size_t i = 0; i < sizeof stream - 1; i++) {
        redis_reader_feed(reader, str_of(stream + i, 1));
        ck_assert(read_all());
    }
    ck_assert_str_eq(said, expected);
}
END_TEST

START_TEST(test_a_reader_that_starts_again_has_forgotten_all)
{
    redis_reader_feed(reader, STR("*3\r\n:1\r\n"));
    ck_assert(read_all());
    redis_reader_restart(reader);
    redis_reader_feed(reader, STR("noise\r\n"));
    ck_assert(!read_all());
    redis_reader_restart(reader);
    redis_reader_feed(reader, STR(":5\r\n"));
    ck_assert(read_all());
    ck_assert_str_eq(said, "5 ");
}
END_TEST

START_TEST(test_what_is_bad_stays_bad)
{
    redis_reader_feed(reader, STR("noise\r\n"));
    ck_assert(!read_all());
    redis_reader_feed(reader, STR(":5\r\n"));
    ck_assert(!read_all());
}
END_TEST

START_TEST(test_a_reply_may_be_large_and_not_larger)
{
    static char chunk[64 * 1024];
    size_t fed = 0;

    memset(chunk, 'x', sizeof chunk);
    redis_reader_feed(reader, STR("$400000000\r\n"));
    while (read_all()) {
        redis_reader_feed(reader, str_of(chunk, sizeof chunk));
        fed += sizeof chunk;
        ck_assert_uint_lt(fed, 2 * REDIS_REPLY_BYTES);
    }
    ck_assert_uint_gt(fed, REDIS_REPLY_BYTES - sizeof chunk);

    redis_reader_restart(reader);
    redis_reader_feed(reader, STR("$1000000\r\n"));
    for (fed = 0; fed < 1000000; fed += 1000)
        redis_reader_feed(reader, str_of(chunk, 1000));
    redis_reader_feed(reader, STR("\r\n"));
    {
        const struct redis_reply *r;

        ck_assert_int_eq(redis_reader_next(reader, &r), READ_REPLY);
        ck_assert_uint_eq(r->text.len, 1000000);
    }
}
END_TEST

START_TEST(test_members_that_are_small_count_too)
{
    redis_reader_feed(reader, STR("*100000\r\n"));
    for (size_t i = 0; i < 100000; i++) {
        redis_reader_feed(reader, STR("*0\r\n"));
        if (!read_all())
            return;
    }
    ck_abort_msg("100000 members of some 50 bytes each are more than a reply may take");
}
END_TEST

START_TEST(test_a_member_of_another_type_is_none)
{
    const struct redis_reply *r;

    redis_reader_feed(reader, STR("*2\r\n:1\r\n$1\r\nx\r\n"));
    ck_assert_int_eq(redis_reader_next(reader, &r), READ_REPLY);
    ck_assert_ptr_nonnull(redis_reply_item(r, 0, REPLY_INTEGER));
    ck_assert_ptr_null(redis_reply_item(r, 0, REPLY_TEXT));
    ck_assert_ptr_null(redis_reply_item(r, 2, REPLY_TEXT));
    ck_assert_ptr_null(redis_reply_item(redis_reply_item(r, 0, REPLY_INTEGER), 0, REPLY_TEXT));
}
END_TEST

/* Streams with bytes changed, left out, doubled: read to an end or refused, without a fault (this runs under sanitizers). */
START_TEST(test_noise_is_survived)
{
    struct random r;

    random_seed_with(&r, 11);
    for (int i = 0; i < 20000; i++) {
        char text[sizeof stream];
        size_t len = sizeof stream - 1;

        memcpy(text, stream, sizeof stream);
        for (uint64_t n = 1 + random_below(&r, 4); n > 0; n--)
            text[random_below(&r, len)] = "*$:+-0123456789\r\n\0x"[random_below(&r, 19)];
        redis_reader_restart(reader);
        said[0] = 0;
        for (size_t at = 0; at < len;) {
            size_t n = 1 + random_below(&r, 40);

            n = n < len - at ? n : len - at;
            redis_reader_feed(reader, str_of(text + at, n));
            at += n;
            if (!read_all())
                break;
        }
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("redis_reply");
    TCase *t = tcase_create("redis_reply");
    SRunner *runner = srunner_create(s);
    int failed;

    tcase_add_checked_fixture(t, begin, end);
    suite_add_tcase(s, t);
    tcase_add_test(t, test_replies_are_the_same_however_they_are_cut);
    tcase_add_test(t, test_a_reader_that_starts_again_has_forgotten_all);
    tcase_add_test(t, test_what_is_bad_stays_bad);
    tcase_add_test(t, test_a_reply_may_be_large_and_not_larger);
    tcase_add_test(t, test_members_that_are_small_count_too);
    tcase_add_test(t, test_a_member_of_another_type_is_none);
    tcase_add_test(t, test_noise_is_survived);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

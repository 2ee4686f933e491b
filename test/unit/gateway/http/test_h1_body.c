/* Where bodies end, however their bytes arrive. */
#include <check.h>
#include <stdlib.h>

#include "gateway/http/h1_body.h"

static struct arena arena;
static struct fields trailers;

static void setup(void)
{
    arena_init(&arena, NULL);
    fields_init(&trailers, &arena, 0);
}

static void teardown(void)
{
    arena_free(&arena);
}

static void again(void)
{
    teardown();
    setup();
}

#define ck_assert_str(a, b)                                                                        \
    do {                                                                                           \
        struct str a_ = (a), b_ = (b);                                                             \
        ck_assert_msg(str_equal(a_, b_), "'%.*s' is not '%.*s'", STR_ARGS(a_), STR_ARGS(b_));      \
    } while (0)

/* What a reader gets that sees the text in pieces of `piece` bytes and takes at most `bite` at once. */
struct reading {
    enum h1_body_result end;
    char data[512];
    size_t len;      /* of data */
    size_t consumed; /* of the text */
};

static bool read_step(struct h1_body *b, struct str window, struct reading *r, size_t bite)
{
    char *copy = malloc(window.len ? window.len : 1);
    size_t skip, n;
    struct str data;

    memcpy(copy, window.at, window.len);
    r->end = h1_body_next(b, str_of(copy, window.len), &skip, &data, &trailers);
    ck_assert_uint_le(skip + data.len, window.len);
    r->consumed += skip;
    if (r->end == H1_BODY_DATA) {
        ck_assert_ptr_eq(data.at, copy + skip);
        ck_assert_uint_gt(data.len, 0);
        n = data.len < bite ? data.len : bite;
        memcpy(r->data + r->len, data.at, n);
        r->len += n;
        r->consumed += n;
        h1_body_took(b, n);
    } else {
        ck_assert_uint_eq(data.len, 0);
    }
    free(copy);
    return r->end == H1_BODY_DATA;
}

static struct reading read_all(enum body_kind kind, uint64_t length, struct str text, size_t piece,
                               size_t bite)
{
    struct reading r = { .end = H1_BODY_MORE };
    struct h1_body b;

    h1_body_init(&b, kind, length);
    for (size_t seen = 0; r.end == H1_BODY_MORE; seen += piece) {
        size_t end = seen < text.len ? seen : text.len;

        while (read_step(&b, str_of(text.at + r.consumed, end - r.consumed), &r, bite))
            ;
        if (seen >= text.len)
            break;
    }
    return r;
}

struct chunked_case {
    struct str text;
    enum h1_body_result end;
    const char *data;
    size_t consumed; /* H1_BODY_DONE */
};

#define GOOD(text, rest, data)                                                                     \
    {                                                                                              \
        STR_INIT(text rest), H1_BODY_DONE, data, sizeof(text) - 1                                  \
    }
#define CUT(text, data)                                                                            \
    {                                                                                              \
        STR_INIT(text), H1_BODY_MORE, data, 0                                                      \
    }
#define BAD(text, data)                                                                            \
    {                                                                                              \
        STR_INIT(text), H1_BODY_BAD, data, 0                                                       \
    }
#define X16  "xxxxxxxxxxxxxxxx"
#define X256 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16 X16

static const struct chunked_case chunked_cases[] = {
    GOOD("0\r\n\r\n", "", ""),
    GOOD("0\r\n\r\n", "GET / HTTP/1.1\r\n", ""),
    GOOD("5\r\nhello\r\n0\r\n\r\n", "", "hello"),
    GOOD("5\r\nhello\r\n1\r\n \r\n5\r\nworld\r\n0\r\n\r\n", "x", "hello world"),
    GOOD("a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "", "01234567890123456789"),
    GOOD("0000000000000003\r\na\r\n\r\n000\r\n\r\n", "", "a\r\n"),
    GOOD("1;a\r\nx\r\n0;b=c\r\n\r\n", "", "x"),
    GOOD("1;a=\"q \\\" ; \\\\\";b\r\nx\r\n0;b=\"\"\r\n\r\n", "", "x"),
    GOOD("1\r\nx\r\n0\r\nX-Sum: 9\r\nX-Empty:\r\n\r\n", "y", "x"),
    CUT("", ""),
    CUT("5", ""),
    CUT("5\r", ""),
    CUT("5\r\nhel", "hel"),
    CUT("5\r\nhello", "hello"),
    CUT("5\r\nhello\r", "hello"),
    CUT("0\r\n", ""),
    CUT("0\r\n\r", ""),
    CUT("0\r\nX-Sum: 9\r\n", ""),
    CUT("0\r\nX-Sum: 9", ""),
    CUT("7fffffffffffffff\r\n", ""),
    BAD("\r\n", ""),
    BAD("\n", ""),
    BAD("g\r\n", ""),
    BAD("0x1\r\n", ""),
    BAD("+1\r\n", ""),
    BAD("-1\r\n", ""),
    BAD(" 1\r\n", ""),
    BAD("1 \r\n", ""),
    BAD("1\t;a\r\n", ""),
    BAD("1_0\r\n", ""),
    BAD("1\n", ""),
    BAD("1\ra", ""),
    BAD("1,\r\n", ""),
    BAD("00000000000000001\r\n", ""),
    BAD("10000000000000000\r\n", ""),
    BAD("8000000000000000\r\n", ""),
    BAD("ffffffffffffffff\r\n", ""),
    BAD("1;\r\n", ""),
    BAD("1; a\r\n", ""),
    BAD("1;a=\r\n", ""),
    BAD("1;a =b\r\n", ""),
    BAD("1;a= b\r\n", ""),
    BAD("1;=b\r\n", ""),
    BAD("1;a=\"b\r\n", ""),
    BAD("1;a=\"b\"c\r\n", ""),
    BAD("1;a=\"b\\\n", ""),
    BAD("1;a=\"\0\"\r\n", ""),
    BAD("1;a\nb\r\n", ""),
    BAD("1;a=b\n", ""),
    BAD("1;" X256, ""),
    BAD("1\r\nab\r\n", "a"),
    BAD("1\r\na0\r\n", "a"),
    BAD("1\r\na\n0\r\n", "a"),
    BAD("1\r\na\rb", "a"),
    BAD("1\r\na\r\n\r\n", "a"),
    BAD("0\r\nX : y\r\n\r\n", ""),
    BAD("0\r\n X: y\r\n\r\n", ""),
    BAD("0\r\nX: y\r\n z\r\n\r\n", ""),
    BAD("0\r\nX\r\n\r\n", ""),
    BAD("0\r\nX: y\n\r\n", ""),
    BAD("0\r\nX: \0\r\n\r\n", ""),
    BAD("0\r\n\n", ""),
    BAD("0\r\n\rX", ""),
};

START_TEST(test_chunks_end_where_they_end_in_pieces_of_any_size)
{
    const struct chunked_case *c = &chunked_cases[_i];
    static const size_t pieces[] = { 1, 2, 3, 7, 100000 };

    for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
        for (size_t bite = 1; bite < 20; bite += 6) {
            struct reading r = read_all(BODY_CHUNKED, 0, c->text, pieces[i], bite);

            ck_assert_int_eq(r.end, c->end);
            ck_assert_str(str_of(r.data, r.len), str_from(c->data));
            if (c->end == H1_BODY_DONE)
                ck_assert_uint_eq(r.consumed, c->consumed);
        }
}
END_TEST

/* Who goes on reading after the end hears the same again, and loses nothing of what follows. */
START_TEST(test_the_end_stays_the_end)
{
    struct h1_body b;
    struct str data;
    size_t skip;

    h1_body_init(&b, BODY_CHUNKED, 0);
    ck_assert_int_eq(h1_body_next(&b, STR("0\r\n\r\nGET"), &skip, &data, NULL), H1_BODY_DONE);
    ck_assert_uint_eq(skip, 5);
    ck_assert_int_eq(h1_body_next(&b, STR("GET"), &skip, &data, NULL), H1_BODY_DONE);
    ck_assert_uint_eq(skip, 0);
    h1_body_init(&b, BODY_CHUNKED, 0);
    ck_assert_int_eq(h1_body_next(&b, STR("x"), &skip, &data, NULL), H1_BODY_BAD);
    ck_assert_int_eq(h1_body_next(&b, STR("0\r\n\r\n"), &skip, &data, NULL), H1_BODY_BAD);
}
END_TEST

START_TEST(test_a_counted_body_has_that_many_bytes)
{
    struct reading r = read_all(BODY_LENGTH, 5, STR("helloGET"), 3, 2);

    ck_assert_int_eq(r.end, H1_BODY_DONE);
    ck_assert_str(str_of(r.data, r.len), STR("hello"));
    ck_assert_uint_eq(r.consumed, 5);
    r = read_all(BODY_LENGTH, 9, STR("hello"), 3, 20);
    ck_assert_int_eq(r.end, H1_BODY_MORE);
    ck_assert_uint_eq(r.len, 5);
    ck_assert_int_eq(read_all(BODY_LENGTH, 0, STR("GET"), 3, 20).end, H1_BODY_DONE);
    ck_assert_int_eq(read_all(BODY_NONE, 0, STR("GET"), 3, 20).end, H1_BODY_DONE);
    ck_assert_uint_eq(read_all(BODY_NONE, 0, STR("GET"), 3, 20).consumed, 0);
}
END_TEST

START_TEST(test_a_body_until_close_and_a_tunnel_never_end_by_themselves)
{
    static const enum body_kind kinds[] = { BODY_UNTIL_CLOSE, BODY_RAW };

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        struct reading r = read_all(kinds[i], 0, STR("0\r\n\r\nanything"), 3, 2);

        ck_assert_int_eq(r.end, H1_BODY_MORE);
        ck_assert_str(str_of(r.data, r.len), STR("0\r\n\r\nanything"));
    }
}
END_TEST

/* RFC 9110 6.5.1 */
START_TEST(test_trailers_are_kept_but_for_those_that_only_a_head_may_say)
{
    struct reading r =
        read_all(BODY_CHUNKED, 0,
                 STR("0\r\nX-Sum: 9 \r\nContent-Length: 3\r\nHost: b\r\nauthorization: x\r\n"
                     "Transfer-Encoding: chunked\r\nX-API-KEY: k\r\nSet-Cookie: a=b\r\n"
                     "Cache-Control: no-store\r\nX-Forwarded-For: 1\r\nconnection: close\r\n"
                     "Range: x\r\nServer-Timing: t\r\n\r\n"),
                 7, 5);

    ck_assert_int_eq(r.end, H1_BODY_DONE);
    ck_assert_uint_eq(trailers.count, 2);
    ck_assert_str(trailers.at[0].name, STR("X-Sum"));
    ck_assert_str(trailers.at[0].value, STR("9"));
    ck_assert_str(trailers.at[1].name, STR("Server-Timing"));
}
END_TEST

static struct str trailers_of(size_t line, unsigned lines)
{
    size_t len = 3 + (line + 2) * lines + 2;
    char *text = arena_take_bytes(&arena, len), *p = text;

    memcpy(p, "0\r\n", 3);
    p += 3;
    for (unsigned i = 0; i < lines; i++) {
        memset(p, 'x', line);
        p[1] = ':';
        memcpy(p + line, "\r\n", 2);
        p += line + 2;
    }
    memcpy(p, "\r\n", 2);
    return str_of(text, len);
}

START_TEST(test_trailers_are_bounded)
{
    ck_assert_int_eq(read_all(BODY_CHUNKED, 0, trailers_of(8000, 1), 999, 1).end, H1_BODY_DONE);
    ck_assert_int_eq(read_all(BODY_CHUNKED, 0, trailers_of(9000, 1), 999, 1).end, H1_BODY_BAD);
    ck_assert_int_eq(read_all(BODY_CHUNKED, 0, str_up_to(trailers_of(9000, 1), 8800), 999, 1).end,
                     H1_BODY_BAD);
    again();
    ck_assert_int_eq(read_all(BODY_CHUNKED, 0, trailers_of(120, 64), 999, 1).end, H1_BODY_DONE);
    again();
    ck_assert_int_eq(read_all(BODY_CHUNKED, 0, trailers_of(140, 60), 999, 1).end, H1_BODY_BAD);
    again();
    ck_assert_int_eq(read_all(BODY_CHUNKED, 0, trailers_of(4, 64), 999, 1).end, H1_BODY_DONE);
    again();
    ck_assert_int_eq(read_all(BODY_CHUNKED, 0, trailers_of(4, 65), 999, 1).end, H1_BODY_BAD);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("h1_body");
    TCase *tests = tcase_create("h1_body");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_chunks_end_where_they_end_in_pieces_of_any_size, 0,
                        ARRAY_LEN(chunked_cases));
    tcase_add_test(tests, test_the_end_stays_the_end);
    tcase_add_test(tests, test_a_counted_body_has_that_many_bytes);
    tcase_add_test(tests, test_a_body_until_close_and_a_tunnel_never_end_by_themselves);
    tcase_add_test(tests, test_trailers_are_kept_but_for_those_that_only_a_head_may_say);
    tcase_add_test(tests, test_trailers_are_bounded);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

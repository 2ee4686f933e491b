/* What is written is what was meant, and reads back as such. */
#include <check.h>
#include <stdlib.h>

#include "gateway/http/h1_head.h"
#include "gateway/http/h1_write.h"

static struct arena arena;
static struct request req;
static struct response resp;

static void setup(void)
{
    arena_init(&arena, NULL);
    req = (struct request){ .method_text = STR("GET"), .target = STR("/a?b"), .host = STR("h") };
    resp = (struct response){ .status = 200 };
    fields_init(&req.fields, &arena, 0);
    fields_init(&resp.fields, &arena, 0);
}

static void teardown(void)
{
    arena_free(&arena);
}

#define ck_assert_str(a, b)                                                                        \
    do {                                                                                           \
        struct str a_ = (a), b_ = (b);                                                             \
        ck_assert_msg(str_equal(a_, b_), "'%.*s' is not '%.*s'", STR_ARGS(a_), STR_ARGS(b_));      \
    } while (0)

/* Into memory of exactly the size that was asked for. */
static struct str request_text(struct str connection)
{
    size_t size = h1_request_size(&req);
    char *to = malloc(size);
    size_t len = h1_write_request(to, &req, connection);
    struct str text = str_keep(&arena, str_of(to, len));

    ck_assert_uint_le(len, size);
    free(to);
    return text;
}

static struct str response_text(struct str connection)
{
    size_t size = h1_response_size(&resp);
    char *to = malloc(size);
    size_t len = h1_write_response(to, &resp, connection);
    struct str text = str_keep(&arena, str_of(to, len));

    ck_assert_uint_le(len, size);
    free(to);
    return text;
}

START_TEST(test_a_request_has_line_fields_framing_and_an_end)
{
    fields_add(&req.fields, STR("Host"), STR("a"));
    fields_add(&req.fields, STR("X-Empty"), STR(""));
    ck_assert_str(request_text(STR("")), STR("GET /a?b HTTP/1.1\r\nHost: a\r\nX-Empty: \r\n\r\n"));
    req.body = BODY_LENGTH;
    req.content_length = UINT64_MAX;
    ck_assert_str(request_text(STR("TE")),
                  STR("GET /a?b HTTP/1.1\r\nHost: a\r\nX-Empty: \r\n"
                      "Content-Length: 18446744073709551615\r\nConnection: TE\r\n\r\n"));
    req.body = BODY_CHUNKED;
    ck_assert_str(
        request_text(STR("")),
        STR("GET /a?b HTTP/1.1\r\nHost: a\r\nX-Empty: \r\nTransfer-Encoding: chunked\r\n\r\n"));
}
END_TEST

START_TEST(test_http_1_1_always_says_host)
{
    ck_assert_str(request_text(STR("")), STR("GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n"));
    req.host = STR_NONE;
    ck_assert_str(request_text(STR("")), STR("GET /a?b HTTP/1.1\r\nHost: \r\n\r\n"));
}
END_TEST

/* The message says its length once, whatever the fields say. */
START_TEST(test_framing_comes_from_the_body_and_not_from_fields)
{
    fields_add(&resp.fields, STR("Content-Length"), STR("1"));
    fields_add(&resp.fields, STR("A"), STR("b"));
    fields_add(&resp.fields, STR("Transfer-Encoding"), STR("gzip"));
    fields_add(&resp.fields, STR("Connection"), STR("x"));
    fields_add(&resp.fields, STR("C"), STR("d"));
    resp.body = BODY_LENGTH;
    resp.content_length = 7;
    ck_assert_str(
        response_text(STR("close")),
        STR("HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nContent-Length: 7\r\nConnection: close\r\n\r\n"));
    resp.body = BODY_UNTIL_CLOSE;
    ck_assert_str(response_text(STR("")), STR("HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n"));
    resp.body = BODY_NONE;
    ck_assert_str(response_text(STR("")), STR("HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n"));
    resp.body = BODY_RAW;
    ck_assert_str(response_text(STR("")), STR("HTTP/1.1 200 OK\r\nA: b\r\nC: d\r\n\r\n"));
}
END_TEST

START_TEST(test_a_reason_that_would_break_the_line_is_replaced)
{
    resp.status = 404;
    resp.reason = STR("Sorry \xe9");
    ck_assert_str(response_text(STR("")), STR("HTTP/1.1 404 Sorry \xe9\r\n\r\n"));
    resp.reason = STR("a\r\nSet-Cookie: b");
    ck_assert_str(response_text(STR("")), STR("HTTP/1.1 404 Not Found\r\n\r\n"));
    resp.reason = STR_NONE;
    resp.status = 299;
    ck_assert_str(response_text(STR("")), STR("HTTP/1.1 299 \r\n\r\n"));
    resp.status = 200;
    resp.reason = STR("Oh");
    ck_assert_str(response_text(STR("")), STR("HTTP/1.1 200 Oh\r\n\r\n"));
    resp.reason = STR("OK");
    ck_assert_str(response_text(STR("")), STR("HTTP/1.1 200 OK\r\n\r\n"));
}
END_TEST

#define RAW_HEAD                                                                                   \
    "GET /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nB:2\r\nC:\t3 \r\nContent-Length: 4\r\nD: 4\r\nE: 5\r\n" \
    "F:\r\nG: \r\nH: 6\r\n\r\n"

static struct str parsed(struct str head)
{
    const char *why;

    fields_init(&req.fields, &arena, 0);
    ck_assert_int_eq(h1_request_parse(head, NULL, &req, &why), HEAD_DONE);
    return head;
}

/* Runs of untouched fields are copied at once: that must not be seen. */
START_TEST(test_fields_that_came_together_are_written_as_if_one_by_one)
{
    struct str head = parsed(str_keep(&arena, STR(RAW_HEAD)));
    struct fields copied;
    struct str at_once = request_text(STR(""));

    ck_assert_str(at_once,
                  STR("GET /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\nD: 4\r\nE: 5\r\n"
                      "F: \r\nG: \r\nH: 6\r\nContent-Length: 4\r\n\r\n"));
    fields_init(&copied, &arena, 0);
    for (uint32_t i = 0; i < req.fields.count; i++)
        fields_add(&copied, str_keep(&arena, req.fields.at[i].name),
                   str_keep(&arena, req.fields.at[i].value));
    req.fields = copied;
    ck_assert_str(request_text(STR("")), at_once);
    (void)head;
}
END_TEST

START_TEST(test_removed_replaced_and_added_fields_break_a_run)
{
    parsed(str_keep(
        &arena,
        STR("GET /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nVia: x\r\nB: 2\r\nDate: y\r\nC: 3\r\n\r\n")));
    fields_remove(&req.fields, FIELD_VIA);
    fields_set_known(&req.fields, FIELD_DATE, STR("now"));
    fields_add(&req.fields, STR("D"), STR("4"));
    ck_assert_str(
        request_text(STR("")),
        STR("GET /x HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nDate: now\r\nC: 3\r\nD: 4\r\n\r\n"));
}
END_TEST

/* Two texts that happen to lie two bytes apart are no run. */
START_TEST(test_neighbours_in_memory_are_not_one_line)
{
    static const char text[] = "name--value..other: x";

    req.fields.count = 0;
    fields_add(&req.fields, str_of(text, 4), str_of(text + 6, 5));
    fields_add(&req.fields, str_of(text + 13, 5), str_of(text + 20, 1));
    req.host = STR("a");
    ck_assert_str(request_text(STR("")),
                  STR("GET /a?b HTTP/1.1\r\nHost: a\r\nname: value\r\nother: x\r\n\r\n"));
}
END_TEST

START_TEST(test_chunk_heads_are_hexadecimal)
{
    static const struct {
        uint64_t len;
        const char *text;
    } cases[] = { { 0, "0\r\n" },         { 1, "1\r\n" },
                  { 15, "f\r\n" },        { 16, "10\r\n" },
                  { 26, "1a\r\n" },       { 0xffff, "ffff\r\n" },
                  { 65536, "10000\r\n" }, { UINT64_MAX, "ffffffffffffffff\r\n" } };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char to[H1_CHUNK_HEAD_MAX];

        ck_assert_str(str_of(to, h1_write_chunk_head(to, cases[i].len)), str_from(cases[i].text));
    }
}
END_TEST

START_TEST(test_the_last_chunk_carries_the_trailers)
{
    char to[100];

    ck_assert_str(str_of(to, h1_write_last_chunk(to, NULL)), STR("0\r\n\r\n"));
    ck_assert_uint_eq(h1_last_chunk_size(NULL), 5);
    fields_add(&resp.fields, STR("X-Sum"), STR("9"));
    ck_assert_str(str_of(to, h1_write_last_chunk(to, &resp.fields)), STR("0\r\nX-Sum: 9\r\n\r\n"));
    ck_assert_uint_eq(h1_last_chunk_size(&resp.fields), 15);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("h1_write");
    TCase *tests = tcase_create("h1_write");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, test_a_request_has_line_fields_framing_and_an_end);
    tcase_add_test(tests, test_http_1_1_always_says_host);
    tcase_add_test(tests, test_framing_comes_from_the_body_and_not_from_fields);
    tcase_add_test(tests, test_a_reason_that_would_break_the_line_is_replaced);
    tcase_add_test(tests, test_fields_that_came_together_are_written_as_if_one_by_one);
    tcase_add_test(tests, test_removed_replaced_and_added_fields_break_a_run);
    tcase_add_test(tests, test_neighbours_in_memory_are_not_one_line);
    tcase_add_test(tests, test_chunk_heads_are_hexadecimal);
    tcase_add_test(tests, test_the_last_chunk_carries_the_trailers);
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

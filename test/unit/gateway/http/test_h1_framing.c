/* Where a body ends, whether the connection goes on, and who is waited for: what a head says of what follows it. */
#include <check.h>
#include <stdlib.h>

#include "head_play.h"

struct body_case {
    struct str head;
    enum body_kind body;
    uint64_t length;
};

static const struct body_case body_cases[] = {
    { STR_INIT(GET "\r\n"), BODY_NONE, 0 },
    { STR_INIT(POST "\r\n"), BODY_NONE, 0 },
    { STR_INIT(POST "Content-Length: 0\r\n\r\n"), BODY_LENGTH, 0 },
    { STR_INIT(POST "content-LENGTH: \t12 \r\n\r\n"), BODY_LENGTH, 12 },
    { STR_INIT(GET "Content-Length: 9223372036854775807\r\n\r\n"), BODY_LENGTH, INT64_MAX },
    { STR_INIT(POST "Transfer-Encoding: chunked\r\n\r\n"), BODY_CHUNKED, 0 },
    { STR_INIT(POST "transfer-encoding:cHuNkEd\r\n\r\n"), BODY_CHUNKED, 0 },
    { STR_INIT("POST / HTTP/1.0\r\nContent-Length: 7\r\n\r\n"), BODY_LENGTH, 7 },
};

START_TEST(test_the_end_of_a_body_is_what_the_fields_say)
{
    const struct body_case *c = &body_cases[_i];

    ck_assert_int_eq(parse(c->head), HEAD_DONE);
    ck_assert_int_eq(req.body, c->body);
    ck_assert_uint_eq(req.content_length, c->length);
}
END_TEST

struct keep_case {
    struct str head;
    bool keep_alive;
};

static const struct keep_case keep_cases[] = {
    { STR_INIT(GET "\r\n"), true },
    { STR_INIT(GET "Connection: close\r\n\r\n"), false },
    { STR_INIT(GET "Connection: x-a, CLOSE\r\n\r\n"), false },
    { STR_INIT(GET "Connection: x-a\r\nConnection: ,, close ,\r\n\r\n"), false },
    { STR_INIT(GET "Connection: closed\r\n\r\n"), true },
    { STR_INIT(GET "Connection: keep-alive, close\r\n\r\n"), false },
    { STR_INIT(GET "Connection:\r\n\r\n"), true },
    { STR_INIT(GET "Connection: " A8 A8 A8 A8 A8 A8 A8 A8 "\r\n\r\n"), true },
    { STR_INIT("GET / HTTP/1.0\r\n\r\n"), false },
    { STR_INIT("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), true },
    { STR_INIT("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n"), false },
};

START_TEST(test_the_connection_is_kept_when_both_want_it)
{
    ck_assert_int_eq(parse(keep_cases[_i].head), HEAD_DONE);
    ck_assert_int_eq(req.keep_alive, keep_cases[_i].keep_alive);
}
END_TEST

START_TEST(test_an_expectation_matters_with_a_body_and_http_1_1)
{
    ck_assert_int_eq(parse(STR(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n")),
                     HEAD_DONE);
    ck_assert(req.expect_continue && !req.expect_unknown);
    again();
    ck_assert_int_eq(parse(STR(POST "Expect: 100-continue\r\n\r\n")), HEAD_DONE);
    ck_assert(!req.expect_continue && !req.expect_unknown);
    again();
    ck_assert_int_eq(parse(STR(POST "Expect: miracles\r\nContent-Length: 1\r\n\r\n")), HEAD_DONE);
    ck_assert(!req.expect_continue && req.expect_unknown);
    again();
    ck_assert_int_eq(
        parse(STR("POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n")),
        HEAD_DONE);
    ck_assert(!req.expect_continue && !req.expect_unknown);
}
END_TEST

struct answer_case {
    struct str head;
    enum method asked;
    enum body_kind body;
    uint64_t length;
    bool keep_alive;
};

static const struct answer_case answer_cases[] = {
    { STR_INIT(OK "Content-Length: 5\r\n\r\n"), METHOD_GET, BODY_LENGTH, 5, true },
    { STR_INIT(OK "Content-Length: 5\r\nConnection: close\r\n\r\n"), METHOD_GET, BODY_LENGTH, 5,
      false },
    { STR_INIT(OK "Transfer-Encoding: chunked\r\n\r\n"), METHOD_GET, BODY_CHUNKED, 0, true },
    { STR_INIT(OK "\r\n"), METHOD_GET, BODY_UNTIL_CLOSE, 0, false },
    { STR_INIT("HTTP/1.0 200 OK\r\n\r\n"), METHOD_GET, BODY_UNTIL_CLOSE, 0, false },
    { STR_INIT("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n"), METHOD_GET, BODY_LENGTH, 5, false },
    { STR_INIT("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\n"),
      METHOD_GET, BODY_LENGTH, 5, true },
    { STR_INIT(OK "Content-Length: 5\r\n\r\n"), METHOD_HEAD, BODY_LENGTH, 5, true },
    { STR_INIT(OK "\r\n"), METHOD_HEAD, BODY_NONE, 0, true },
    { STR_INIT(OK "Transfer-Encoding: chunked\r\n\r\n"), METHOD_HEAD, BODY_CHUNKED, 0, true },
    { STR_INIT("HTTP/1.1 204 No Content\r\n\r\n"), METHOD_GET, BODY_NONE, 0, true },
    { STR_INIT("HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"), METHOD_GET, BODY_NONE, 0,
      true },
    { STR_INIT("HTTP/1.1 304 Not Modified\r\nContent-Length: 1000\r\n\r\n"), METHOD_GET,
      BODY_LENGTH, 1000, true },
    { STR_INIT("HTTP/1.1 304 Not Modified\r\n\r\n"), METHOD_GET, BODY_NONE, 0, true },
    { STR_INIT("HTTP/1.1 100 Continue\r\n\r\n"), METHOD_POST, BODY_NONE, 0, true },
    { STR_INIT("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), METHOD_GET, BODY_NONE, 0, true },
    { STR_INIT("HTTP/1.1 101 Switching Protocols\r\n\r\n"), METHOD_GET, BODY_RAW, 0, true },
    { STR_INIT("HTTP/1.1 200 OK\r\n\r\n"), METHOD_CONNECT, BODY_RAW, 0, true },
    { STR_INIT("HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\n"), METHOD_CONNECT, BODY_LENGTH, 2,
      true },
    { STR_INIT("HTTP/1.1 599\r\nContent-Length: 2\r\n\r\n"), METHOD_GET, BODY_LENGTH, 2, true },
    { STR_INIT("HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\n"), METHOD_GET, BODY_LENGTH, 2, true },
};

START_TEST(test_the_body_of_an_answer_ends_where_rfc_9112_6_3_says)
{
    const struct answer_case *c = &answer_cases[_i];

    ck_assert_int_eq(parse_answer(c->head, c->asked), HEAD_DONE);
    ck_assert_int_eq(resp.body, c->body);
    ck_assert_uint_eq(resp.content_length, c->length);
    ck_assert_int_eq(resp.keep_alive, c->keep_alive);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("h1_framing");
    TCase *tests = tcase_create("h1_framing");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_the_end_of_a_body_is_what_the_fields_say, 0,
                        ARRAY_LEN(body_cases));
    tcase_add_loop_test(tests, test_the_connection_is_kept_when_both_want_it, 0,
                        ARRAY_LEN(keep_cases));
    tcase_add_test(tests, test_an_expectation_matters_with_a_body_and_http_1_1);
    tcase_add_loop_test(tests, test_the_body_of_an_answer_ends_where_rfc_9112_6_3_says, 0,
                        ARRAY_LEN(answer_cases));
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

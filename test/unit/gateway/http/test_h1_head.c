/* Heads of HTTP/1.1: what is read, what is refused, and that neither depends on how the bytes arrive. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "head_play.h"

static const struct h1_limits limits = {
    .first_line = 200, .field_line = 300, .total = 600, .count = 10
};

/* The text at an address behind which nothing may be read. */
static struct str guarded(struct str text)
{
    char *copy = malloc(text.len ? text.len : 1);

    memcpy(copy, text.at, text.len);
    return str_of(copy, text.len);
}

static void unguard(struct str text)
{
    free((void *)(uintptr_t)text.at);
}

/* --- the scan ----------------------------------------------------------------------------------- */

static enum head_result scan_whole(struct str text, bool is_request, struct h1_scan *scan,
                                   size_t *len)
{
    struct h1_lines lines;

    *scan = (struct h1_scan){ 0 };
    return h1_head_scan(text, scan, &limits, is_request, &lines, len);
}

/* Byte by byte; *at: how many bytes it took to decide. */
static enum head_result scan_dripping(struct str text, bool is_request, struct h1_scan *scan,
                                      size_t *len, size_t *at)
{
    enum head_result r = HEAD_MORE;
    struct h1_lines lines;

    *scan = (struct h1_scan){ 0 };
    for (*at = 0; *at <= text.len; ++*at) {
        struct str part = guarded(str_up_to(text, *at));

        r = h1_head_scan(part, scan, &limits, is_request, &lines, len);
        unguard(part);
        if (r != HEAD_MORE)
            break;
    }
    return r;
}

struct scan_case {
    struct str text;
    enum head_result result;
    size_t len;     /* HEAD_DONE */
    size_t decided; /* bytes after which the decision must be made, at the latest; 0: do not care */
    bool is_answer;
};

#define REQUEST(text, ...)                                                                         \
    {                                                                                              \
        STR_INIT(text), __VA_ARGS__, false                                                         \
    }
#define ANSWER(text, ...)                                                                          \
    {                                                                                              \
        STR_INIT(text), __VA_ARGS__, true                                                          \
    }
#define X10  "xxxxxxxxxx"
#define X100 X10 X10 X10 X10 X10 X10 X10 X10 X10 X10
#define X200 X100 X100
#define X300 X200 X100
#define F    "a:\r\n"

static const struct scan_case scan_cases[] = {
    REQUEST("GET / HTTP/1.1\r\nHost: a\r\n\r\n", HEAD_DONE, 27, 27),
    REQUEST("GET / HTTP/1.1\r\n\r\nrest", HEAD_DONE, 18, 18),
    REQUEST("\r\nGET / HTTP/1.1\r\n\r\n", HEAD_DONE, 20, 20),
    REQUEST("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HEAD_DONE, 18, 18),
    REQUEST("", HEAD_MORE, 0, 0),
    REQUEST("G", HEAD_MORE, 0, 0),
    REQUEST("GET / HTTP/1.1\r\nHost: a\r\n\r", HEAD_MORE, 0, 0),
    /* refused as soon as it shows */
    REQUEST("\x16\x03\x01", HEAD_BAD, 0, 1),
    REQUEST("\x80", HEAD_BAD, 0, 1),
    REQUEST(" GET / HTTP/1.1\r\n\r\n", HEAD_BAD, 0, 1),
    REQUEST("G(T / HTTP/1.1\r\n\r\n", HEAD_BAD, 0, 2),
    REQUEST("\n", HEAD_BAD, 0, 1),
    REQUEST("\rG", HEAD_BAD, 0, 2),
    REQUEST("\r\n\r\n", HEAD_BAD, 0, 4),
    REQUEST("GET / HTTP/1.1\n", HEAD_BAD, 0, 15),
    REQUEST("GET / HTTP/1.1\rX", HEAD_BAD, 0, 16),
    REQUEST("GET / HTTP/1.1\r\r\n", HEAD_BAD, 0, 16),
    REQUEST("GET /\r\n", HEAD_BAD, 0, 7),
    REQUEST("GET / http/1.1\r\n", HEAD_BAD, 0, 16),
    REQUEST("GET\r\n", HEAD_BAD, 0, 5),
    REQUEST("GET / HTTP/1.1\r\n ", HEAD_BAD, 0, 17),
    REQUEST("GET / HTTP/1.1\r\n\tb", HEAD_BAD, 0, 17),
    REQUEST("GET / HTTP/1.1\r\nHost: a\r\n b", HEAD_BAD, 0, 26),
    REQUEST("GET / HTTP/1.1\r\nHost: a\0b", HEAD_BAD, 0, 24),
    REQUEST("GET / HTTP/1.1\r\nHost: a\n", HEAD_BAD, 0, 24),
    REQUEST("GET / HTTP/1.1\r\n\n", HEAD_BAD, 0, 17),
    REQUEST(X10 X10 X10 "xxx", HEAD_BAD, 0, 33),
    /* limits: the line, a field, all, how many */
    REQUEST("GET /" X200, HEAD_LINE_TOO_LONG, 0, 201),
    REQUEST("GET /" X100 X10 X10 X10 X10 X10 X10 X10 X10 "xxxxxx HTTP/1.1\r\n\r\n", HEAD_DONE, 204,
            204),
    REQUEST("GET /" X100 X10 X10 X10 X10 X10 X10 X10 X10 "xxxxxxx HTTP/1.1\r\n\r\n",
            HEAD_LINE_TOO_LONG, 0, 0),
    REQUEST("GET / HTTP/1.1\r\na:" X300, HEAD_TOO_LARGE, 0, 317),
    REQUEST("GET / HTTP/1.1\r\na:" X200 "\r\nb:" X200 "\r\nc:" X200 "\r\n\r\n", HEAD_TOO_LARGE, 0,
            617),
    REQUEST("GET / HTTP/1.1\r\n" F F F F F F F F F F "\r\n", HEAD_DONE, 58, 58),
    REQUEST("GET / HTTP/1.1\r\n" F F F F F F F F F F F, HEAD_TOO_LARGE, 0, 60),
    /* answers */
    ANSWER("HTTP/1.1 200 OK\r\n\r\n", HEAD_DONE, 19, 19),
    ANSWER("\r\nHTTP/1.1 200 OK\r\n\r\n", HEAD_BAD, 0, 2),
    ANSWER("ICY 200 OK\r\n\r\n", HEAD_BAD, 0, 1),
    ANSWER("HTT", HEAD_MORE, 0, 0),
    ANSWER("HTTX", HEAD_BAD, 0, 4),
    ANSWER("HT\r\n", HEAD_BAD, 0, 4),
    ANSWER("HTTP/1.1 200 OK\nA: b\n\n", HEAD_BAD, 0, 16),
    ANSWER("<html>", HEAD_BAD, 0, 1),
};

START_TEST(test_a_head_ends_where_it_ends_however_it_arrives)
{
    const struct scan_case *c = &scan_cases[_i];
    struct h1_scan scan, dripped;
    struct str text = guarded(c->text);
    size_t len = 0, dripped_len = 0, at;

    ck_assert_int_eq(scan_whole(text, !c->is_answer, &scan, &len), c->result);
    ck_assert_int_eq(scan_dripping(text, !c->is_answer, &dripped, &dripped_len, &at), c->result);
    if (c->result == HEAD_DONE) {
        ck_assert_uint_eq(len, c->len);
        ck_assert_uint_eq(dripped_len, c->len);
        ck_assert_uint_eq(scan.skipped, dripped.skipped);
        ck_assert_uint_eq(scan.lines, dripped.lines);
    }
    if (c->decided)
        ck_assert_uint_le(at, c->decided);
    unguard(text);
}
END_TEST

START_TEST(test_one_empty_line_before_a_request_is_skipped)
{
    struct str text = STR("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    struct h1_scan scan;
    size_t len;

    ck_assert_int_eq(scan_whole(text, true, &scan, &len), HEAD_DONE);
    ck_assert_uint_eq(scan.skipped, 2);
    ck_assert_uint_eq(len, text.len);
    ck_assert_uint_eq(scan.lines, 2);
}
END_TEST

/* --- with the scan's lines, and without --------------------------------------------------------- */

/* More lines than the scan keeps, names across the edges of what is looked at together, names of rarer octets:
 * parse() finds that both ways agree. */
START_TEST(test_lines_are_the_same_whoever_has_found_them)
{
    static const char *const names[] = { "Accept", "X_Y", "a", "Sec-Ch-Ua-Platform-Version",
                                         "x.y" };
    uint32_t count = (uint32_t)_i;
    char head[8192];
    struct str text;
    size_t len = (size_t)snprintf(head, sizeof head, "GET /%0*u HTTP/1.1\r\n", _i + 1, 7);

    for (uint32_t i = 0; i < count; i++)
        len += (size_t)snprintf(head + len, sizeof head - len, "%s:%*s%.*s\r\n",
                                names[i % ARRAY_LEN(names)], (int)(i % 3), "", (int)(i * 7 % 90),
                                X100);
    len += (size_t)snprintf(head + len, sizeof head - len, "\r\n");
    text = guarded(str_of(head, len));
    ck_assert_int_eq(parse(text), HEAD_DONE);
    ck_assert_uint_eq(req.fields.count, count);
    for (uint32_t i = 0; i < count; i++) {
        ck_assert_str(req.fields.at[i].name, str_from(names[i % ARRAY_LEN(names)]));
        ck_assert_uint_eq(req.fields.at[i].value.len, i * 7 % 90);
    }
    unguard(text);
}
END_TEST

/* --- requests ----------------------------------------------------------------------------------- */

START_TEST(test_a_request_is_read_into_its_parts)
{
    ck_assert_int_eq(
        parse(STR("PROPFIND /a?b HTTP/1.1\r\nHost:\t a:80 \t\r\nX-Empty:\r\nx-8: \xe9\r\n\r\n")),
        HEAD_DONE);
    ck_assert_int_eq(req.method, METHOD_OTHER);
    ck_assert_str(req.method_text, STR("PROPFIND"));
    ck_assert_str(req.target, STR("/a?b"));
    ck_assert_uint_eq(req.version, 11);
    ck_assert_uint_eq(req.fields.count, 3);
    ck_assert_str(fields_value(&req.fields, FIELD_HOST), STR("a:80"));
    ck_assert_str(req.fields.at[1].name, STR("X-Empty"));
    ck_assert_str(req.fields.at[1].value, STR(""));
    ck_assert_str(req.fields.at[2].value, STR("\xe9"));
    ck_assert_int_eq(req.body, BODY_NONE);
    ck_assert(req.keep_alive);
    ck_assert(!req.expect_continue && !req.expect_unknown);
}
END_TEST

struct refusal {
    struct str head;
    enum head_result result;
    const char *why; /* NULL: any */
};

#define REQUEST_BAD(text, why)                                                                     \
    {                                                                                              \
        STR_INIT(text), HEAD_BAD, why                                                              \
    }
#define TE(value) POST "Transfer-Encoding: " value "\r\n\r\n"
#define CL(value) POST "Content-Length: " value "\r\n\r\n"

static const struct refusal refusals[] = {
    /* request lines */
    REQUEST_BAD("GET  / HTTP/1.1\r\n\r\n", "bad character in target"),
    REQUEST_BAD("GET /  HTTP/1.1\r\n\r\n", "bad request line"),
    REQUEST_BAD("GET / HTTP/1.1 \r\n\r\n", "bad request line"),
    REQUEST_BAD("GET\t/ HTTP/1.1\r\n\r\n", "bad method"),
    REQUEST_BAD("GET /\tHTTP/1.1\r\n\r\n", NULL),
    REQUEST_BAD("GET /a b HTTP/1.1\r\n\r\n", NULL),
    REQUEST_BAD(" / HTTP/1.1\r\n\r\n", "bad method"),
    REQUEST_BAD("G=T / HTTP/1.1\r\n\r\n", "bad method"),
    REQUEST_BAD(X10 X10 X10 "xxx / HTTP/1.1\r\n\r\n", "bad method"),
    REQUEST_BAD("GET", "bad method"),
    REQUEST_BAD("GET /", "bad character in target"),
    REQUEST_BAD("GET / HTTP/1.1\r", "bad request line"),
    REQUEST_BAD("GET /\xc3\xa9 HTTP/1.1\r\n\r\n", "bad character in target"),
    REQUEST_BAD("GET /a#b HTTP/1.1\r\n\r\n", "bad character in target"),
    REQUEST_BAD("GET /\0 HTTP/1.1\r\n\r\n", "bad character in target"),
    REQUEST_BAD("GET / http/1.1\r\n\r\n", "bad request line"),
    REQUEST_BAD("GET / HTTP/11\r\n\r\n", "bad request line"),
    REQUEST_BAD("GET / HTTP/1,1\r\n\r\n", "bad request line"),
    REQUEST_BAD("GET / HTTP/x.1\r\n\r\n", "bad request line"),
    REQUEST_BAD("GET / HTTP/1.x\r\n\r\n", "bad request line"),
    REQUEST_BAD("GET / HTTP/1.1\r\n", NULL),
    { STR_INIT("GET / HTTP/2.0\r\n\r\n"), HEAD_VERSION, "unknown version" },
    { STR_INIT("GET / HTTP/1.2\r\n\r\n"), HEAD_VERSION, "unknown version" },
    { STR_INIT("GET / HTTP/0.9\r\n\r\n"), HEAD_VERSION, "unknown version" },
    /* field lines */
    REQUEST_BAD(GET "X : a\r\n\r\n", "space in or before a field name"),
    REQUEST_BAD(GET "X\t: a\r\n\r\n", "space in or before a field name"),
    REQUEST_BAD(GET " X: a\r\n\r\n", "space in or before a field name"),
    REQUEST_BAD(GET "X: a\r\n b\r\n\r\n", "space in or before a field name"),
    REQUEST_BAD(GET ": a\r\n\r\n", "bad field name"),
    REQUEST_BAD(GET "X\r\n\r\n", "bad field name"),
    REQUEST_BAD(GET "X(: a\r\n\r\n", "bad field name"),
    REQUEST_BAD(GET "X\xff: a\r\n\r\n", "bad field name"),
    REQUEST_BAD(GET "X\0: a\r\n\r\n", "bad field name"),
    REQUEST_BAD(GET "X: a\nY: b\r\n\r\n", "bare LF or CR"),
    REQUEST_BAD(GET "X: a\rY: b\r\n\r\n", "bare LF or CR"),
    REQUEST_BAD(GET "X: a\0b\r\n\r\n", "control character in head"),
    REQUEST_BAD(GET "X: a\x7f\r\n\r\n", "control character in head"),
    REQUEST_BAD(GET "X: a\x0b\r\n\r\n", "control character in head"),
    REQUEST_BAD(GET "X: a", "unfinished line"),
    REQUEST_BAD(GET "X: a\r", "unfinished line"),
    REQUEST_BAD(GET "X", "bad field name"),
    REQUEST_BAD(GET "\r\nmore", "bytes behind the head"),
    /* lengths */
    REQUEST_BAD(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
                "both Content-Length and Transfer-Encoding"),
    REQUEST_BAD(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n",
                "both Content-Length and Transfer-Encoding"),
    REQUEST_BAD(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "two lengths"),
    REQUEST_BAD(POST "Content-Length: 5\r\nX: y\r\ncontent-length: 6\r\n\r\n", "two lengths"),
    REQUEST_BAD(CL(""), "malformed length"),
    REQUEST_BAD(CL("+5"), "malformed length"),
    REQUEST_BAD(CL("-5"), "malformed length"),
    REQUEST_BAD(CL("5,5"), "malformed length"),
    REQUEST_BAD(CL("5, 5"), "malformed length"),
    REQUEST_BAD(CL("5 5"), "malformed length"),
    REQUEST_BAD(CL("0x5"), "malformed length"),
    REQUEST_BAD(CL("5a"), "malformed length"),
    REQUEST_BAD(CL("05"), "malformed length"),
    REQUEST_BAD(CL("00"), "malformed length"),
    REQUEST_BAD(CL("1e1"), "malformed length"),
    REQUEST_BAD(CL("5.0"), "malformed length"),
    REQUEST_BAD(CL("\"5\""), "malformed length"),
    REQUEST_BAD(CL("9223372036854775808"), "malformed length"),
    REQUEST_BAD(CL("18446744073709551616"), "malformed length"),
    REQUEST_BAD(CL("18446744073709551621"), "malformed length"),
    REQUEST_BAD(CL("11111111111111111111111111"), "malformed length"),
    /* codings */
    REQUEST_BAD(TE("chunked, chunked"), "chunked is not the last coding"),
    REQUEST_BAD(TE("chunked, gzip"), "chunked is not the last coding"),
    REQUEST_BAD(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
                "two transfer codings"),
    REQUEST_BAD(POST "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
                "two transfer codings"),
    REQUEST_BAD(TE(""), "malformed transfer coding"),
    REQUEST_BAD(TE(","), "malformed transfer coding"),
    REQUEST_BAD(TE("chunked,"), "malformed transfer coding"),
    REQUEST_BAD(TE(",chunked"), "malformed transfer coding"),
    REQUEST_BAD(TE("gzip,,chunked"), "malformed transfer coding"),
    REQUEST_BAD(TE("chunked;q=1"), "malformed transfer coding"),
    REQUEST_BAD(TE("\"chunked\""), "malformed transfer coding"),
    REQUEST_BAD(TE("chunked chunked"), "malformed transfer coding"),
    REQUEST_BAD(TE("\xa0"
                   "chunked"),
                "malformed transfer coding"),
    REQUEST_BAD("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n",
                "transfer coding in HTTP/1.0"),
    { STR_INIT(TE("gzip, chunked")), HEAD_NOT_IMPLEMENTED, "unknown transfer coding" },
    { STR_INIT(TE("gzip")), HEAD_NOT_IMPLEMENTED, "unknown transfer coding" },
    { STR_INIT(TE("identity")), HEAD_NOT_IMPLEMENTED, "unknown transfer coding" },
    { STR_INIT(TE("xchunked")), HEAD_NOT_IMPLEMENTED, "unknown transfer coding" },
    /* connection */
    REQUEST_BAD(GET "Connection: \"close\"\r\n\r\n", "malformed Connection"),
    REQUEST_BAD(GET "Connection: a b\r\n\r\n", "malformed Connection"),
    REQUEST_BAD(GET "Connection: " A8 A8 A8 A8 A8 A8 A8 A8 "close\r\n\r\n", "malformed Connection"),
    REQUEST_BAD(GET "Connection: " A8 A8 A8 A8 "\r\nConnection: " A8 A8 A8 A8
                    "\r\nConnection: close\r\n\r\n",
                "malformed Connection"),
};

START_TEST(test_what_two_parsers_could_read_differently_is_refused)
{
    const struct refusal *c = &refusals[_i];
    struct str head = guarded(c->head);

    ck_assert_int_eq(parse(head), c->result);
    ck_assert_ptr_nonnull(why);
    if (c->why)
        ck_assert_str_eq(why, c->why);
    unguard(head);
}
END_TEST

/* A head cut anywhere is never taken for a whole one, and never read past its end. */
START_TEST(test_a_cut_head_is_refused)
{
    struct str head = STR(POST "X: y\r\nContent-Length: 12\r\nConnection: close\r\n\r\n");

    for (size_t len = 0; len < head.len; len++) {
        struct str part = guarded(str_up_to(head, len));

        again();
        ck_assert_int_eq(parse(part), HEAD_BAD);
        unguard(part);
    }
    again();
    ck_assert_int_eq(parse(head), HEAD_DONE);
}
END_TEST

/* --- answers ------------------------------------------------------------------------------------ */

START_TEST(test_an_answer_is_read_into_its_parts)
{
    ck_assert_int_eq(
        parse_answer(STR("HTTP/1.0 404 Sorry, \xe9\tno\r\nServer: x\r\n\r\n"), METHOD_GET),
        HEAD_DONE);
    ck_assert_uint_eq(resp.status, 404);
    ck_assert_uint_eq(resp.version, 10);
    ck_assert_str(resp.reason, STR("Sorry, \xe9\tno"));
    ck_assert_str(fields_value(&resp.fields, FIELD_SERVER), STR("x"));
}
END_TEST

static const struct refusal bad_answers[] = {
    REQUEST_BAD("", "bad status line"),
    REQUEST_BAD("HTTP/1.1 20\r\n\r\n", NULL),
    REQUEST_BAD("HTTP/1.1 2000 OK\r\n\r\n", NULL),
    REQUEST_BAD("HTTP/1.1 099 OK\r\n\r\n", NULL),
    REQUEST_BAD("HTTP/1.1 600 OK\r\n\r\n", NULL),
    REQUEST_BAD("HTTP/1.1 2x0 OK\r\n\r\n", NULL),
    REQUEST_BAD("HTTP/1.1  200 OK\r\n\r\n", NULL),
    REQUEST_BAD("HTTP/1.1\t200 OK\r\n\r\n", NULL),
    REQUEST_BAD("HTTP/1.1 200\tOK\r\n\r\n", NULL),
    REQUEST_BAD("HTTP/1.1 200 O\0K\r\n\r\n", NULL),
    REQUEST_BAD("HTTP/1.1 200 OK\nA: b\r\n\r\n", NULL),
    REQUEST_BAD("ICY 200 OK, ok\r\n\r\n", NULL),
    REQUEST_BAD(OK "X : y\r\n\r\n", NULL),
    REQUEST_BAD(OK "X: y\r\n z\r\n\r\n", NULL),
    REQUEST_BAD(OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", "two lengths"),
    REQUEST_BAD(OK "Content-Length: 5, 5\r\n\r\n", "malformed length"),
    REQUEST_BAD(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", NULL),
    REQUEST_BAD("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
                "transfer coding in HTTP/1.0"),
    REQUEST_BAD("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n", "a body where none can be"),
    REQUEST_BAD("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n",
                "a body where none can be"),
    REQUEST_BAD("HTTP/1.1 100 Go\r\nContent-Length: 5\r\n\r\n", "a body where none can be"),
    REQUEST_BAD(OK "Connection: a b\r\n\r\n", "malformed Connection"),
    { STR_INIT(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"), HEAD_NOT_IMPLEMENTED, NULL },
    { STR_INIT("HTTP/2.0 200 OK\r\n\r\n"), HEAD_VERSION, NULL },
};

START_TEST(test_an_answer_of_two_meanings_is_refused)
{
    const struct refusal *c = &bad_answers[_i];
    struct str head = guarded(c->head);

    ck_assert_int_eq(parse_answer(head, METHOD_GET), c->result);
    ck_assert_ptr_nonnull(why);
    if (c->why)
        ck_assert_str_eq(why, c->why);
    unguard(head);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("h1_head");
    TCase *tests = tcase_create("h1_head");
    SRunner *runner;
    int failed;

    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_loop_test(tests, test_a_head_ends_where_it_ends_however_it_arrives, 0,
                        ARRAY_LEN(scan_cases));
    tcase_add_test(tests, test_one_empty_line_before_a_request_is_skipped);
    tcase_add_loop_test(tests, test_lines_are_the_same_whoever_has_found_them, 0, 80);
    tcase_add_test(tests, test_a_request_is_read_into_its_parts);
    tcase_add_loop_test(tests, test_what_two_parsers_could_read_differently_is_refused, 0,
                        ARRAY_LEN(refusals));
    tcase_add_test(tests, test_a_cut_head_is_refused);
    tcase_add_test(tests, test_an_answer_is_read_into_its_parts);
    tcase_add_loop_test(tests, test_an_answer_of_two_meanings_is_refused, 0,
                        ARRAY_LEN(bad_answers));
    suite_add_tcase(suite, tests);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}

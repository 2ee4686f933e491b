/* Heads that are read, with and without the lines that the scan has found: the same comes of it. */
#ifndef TEST_UNIT_GATEWAY_HTTP_HEAD_PLAY_H
#define TEST_UNIT_GATEWAY_HTTP_HEAD_PLAY_H

#include "gateway/http/h1_head.h"

/* What was read last. */
extern struct request req;
extern struct response resp;
extern const char *why;

/* Around each test, */
void setup(void);
void teardown(void);
/* and between two heads of one. */
void again(void);

/* Into req and resp. That both ways agree is asserted each time. */
enum head_result parse(struct str head);
enum head_result parse_answer(struct str head, enum method asked);

#define ck_assert_str(a, b)                                                                        \
    do {                                                                                           \
        struct str a_ = (a), b_ = (b);                                                             \
        ck_assert_msg(str_equal(a_, b_), "'%.*s' is not '%.*s'", STR_ARGS(a_), STR_ARGS(b_));      \
    } while (0)

#define HOST "Host: a\r\n"
#define GET  "GET / HTTP/1.1\r\n" HOST
#define POST "POST / HTTP/1.1\r\n" HOST
#define OK   "HTTP/1.1 200 OK\r\n"
#define A8   "a,b,c,d,e,f,g,h,"

#endif

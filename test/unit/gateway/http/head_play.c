/* Heads that are read. */
#include "head_play.h"

#include <check.h>

static struct arena arena;
struct request req;
struct response resp;
const char *why;

void setup(void)
{
    arena_init(&arena, NULL);
    req = (struct request){ 0 };
    resp = (struct response){ 0 };
    fields_init(&req.fields, &arena, 0);
    fields_init(&resp.fields, &arena, 0);
    why = NULL;
}

void teardown(void)
{
    arena_free(&arena);
}

void again(void)
{
    teardown();
    setup();
}

static const struct h1_limits wide = {
    .first_line = 10000, .field_line = 10000, .total = 100000, .count = 1000
};

/* Does the scan find a head that is the whole text? */
static bool scan_lines(struct str head, bool is_request, struct h1_lines *lines)
{
    struct h1_scan scan = { 0 };
    size_t len;

    return h1_head_scan(head, &scan, &wide, is_request, lines, &len) == HEAD_DONE &&
           len == head.len && scan.skipped == 0;
}

static void fields_agree(const struct fields *a, const struct fields *b)
{
    ck_assert_uint_eq(a->count, b->count);
    ck_assert_uint_eq(a->present, b->present);
    ck_assert_int_eq(a->rare_names, b->rare_names);
    for (uint32_t i = 0; i < a->count; i++) {
        ck_assert_ptr_eq(a->at[i].name.at, b->at[i].name.at);
        ck_assert_uint_eq(a->at[i].name.len, b->at[i].name.len);
        ck_assert_ptr_eq(a->at[i].value.at, b->at[i].value.at);
        ck_assert_uint_eq(a->at[i].value.len, b->at[i].value.len);
        ck_assert_int_eq(a->at[i].known, b->at[i].known);
    }
}

/* Read without lines, and with those of the scan where it finds any: the same comes of it. */
enum head_result parse(struct str head)
{
    enum head_result r = h1_request_parse(head, NULL, &req, &why);
    struct request other = { 0 };
    const char *other_why = NULL;
    struct h1_lines lines;

    if (!scan_lines(head, true, &lines))
        return r;
    fields_init(&other.fields, &arena, 0);
    ck_assert_int_eq(h1_request_parse(head, &lines, &other, &other_why), r);
    ck_assert_ptr_eq(why, other_why);
    fields_agree(&req.fields, &other.fields);
    ck_assert_str(req.method_text, other.method_text);
    ck_assert_str(req.target, other.target);
    ck_assert_int_eq(req.body, other.body);
    ck_assert_uint_eq(req.content_length, other.content_length);
    return r;
}

enum head_result parse_answer(struct str head, enum method asked)
{
    enum head_result r = h1_response_parse(head, NULL, asked, &resp, &why);
    struct response other = { 0 };
    const char *other_why = NULL;
    struct h1_lines lines;

    if (!scan_lines(head, false, &lines))
        return r;
    fields_init(&other.fields, &arena, 0);
    ck_assert_int_eq(h1_response_parse(head, &lines, asked, &other, &other_why), r);
    ck_assert_ptr_eq(why, other_why);
    fields_agree(&resp.fields, &other.fields);
    ck_assert_uint_eq(resp.status, other.status);
    ck_assert_str(resp.reason, other.reason);
    ck_assert_int_eq(resp.body, other.body);
    return r;
}

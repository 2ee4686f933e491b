/* Heads of HTTP/1.1, both directions.
 *
 * The first octet chooses: request or answer, and how the bytes arrive. However they do, the decision is the
 * same. What is accepted, written again as we would forward it, is read as the same message: the next
 * parser cannot find anything in it that we did not.
 */
#include <stdint.h>
#include <stdlib.h>

#include "gateway/base/arena.h"
#include "gateway/http/h1_head.h"
#include "gateway/http/h1_write.h"
#include "gateway/http/hop.h"
#include "gateway/http/octets.h"
#include "gateway/http/target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct h1_limits limits = {
    .first_line = 1000, .field_line = 1000, .total = 4000, .count = 50
};

static void lines_agree(const struct h1_lines *a, const struct h1_lines *b)
{
    CHECK(a->len == b->len && a->count == b->count);
    CHECK(memcmp(a->rare, b->rare, sizeof *a->rare * a->count) == 0);
    CHECK(memcmp(a->stop, b->stop, sizeof *a->stop * a->count) == 0);
}

static void scans_agree(struct str text)
{
    const char *end = text.at + text.len;
    const char *plain = octets_find_control_plain(text.at, end);
    struct h1_lines best, other;
    bool found = h1_lines_find(text, &best);

    CHECK(octets_find_control(text.at, end) == plain);
    CHECK(octets_find_control_long(text.at, end) == plain);
    CHECK(h1_lines_find_plain(text, &other) == found);
    if (found)
        lines_agree(&best, &other);
    CHECK(h1_lines_find_sse2(text, &other) == found);
    if (found)
        lines_agree(&best, &other);
}

static enum head_result scan_in_pieces(struct str text, size_t piece, bool is_request, size_t *head,
                                       struct h1_scan *scan)
{
    enum head_result r = HEAD_MORE;
    struct h1_lines lines;

    *scan = (struct h1_scan){ 0 };
    for (size_t n = 0; r == HEAD_MORE; n += piece) {
        r = h1_head_scan(str_up_to(text, n), scan, &limits, is_request, &lines, head);
        if (n >= text.len)
            break;
    }
    return r;
}

static bool is_refusal(enum head_result r)
{
    return r != HEAD_DONE && r != HEAD_MORE;
}

static void lies_in(struct str part, struct str whole)
{
    if (part.len)
        CHECK(part.at >= whole.at && part.at + part.len <= whole.at + whole.len);
}

static void fields_lie_in(const struct fields *f, struct str head)
{
    for (uint32_t i = 0; i < f->count; i++) {
        lies_in(f->at[i].name, head);
        lies_in(f->at[i].value, head);
        CHECK(octets_are(f->at[i].name, OCTET_TOKEN));
        CHECK(f->at[i].known == field_known(f->at[i].name));
    }
}

/* However its lines were found, a head is the same. */
static void are_same(const struct fields *a, const struct fields *b)
{
    CHECK(a->count == b->count && a->present == b->present && a->rare_names == b->rare_names);
    for (uint32_t i = 0; i < a->count; i++)
        CHECK(a->at[i].name.at == b->at[i].name.at && a->at[i].name.len == b->at[i].name.len &&
              a->at[i].value.at == b->at[i].value.at && a->at[i].value.len == b->at[i].value.len);
}

/* The same fields in the same order, but for those that the writer makes itself. */
static void fields_equal(const struct fields *was, const struct fields *is)
{
    uint32_t k = 0;

    for (uint32_t i = 0; i < was->count; i++) {
        const struct field *a = &was->at[i], *b;

        if (a->name.len == 0 || a->known == FIELD_CONTENT_LENGTH ||
            a->known == FIELD_TRANSFER_ENCODING || a->known == FIELD_CONNECTION)
            continue;
        do {
            CHECK(k < is->count);
            b = &is->at[k++];
        } while (b->known == FIELD_CONTENT_LENGTH || b->known == FIELD_TRANSFER_ENCODING ||
                 b->known == FIELD_CONNECTION ||
                 (b->known == FIELD_HOST && !fields_have(was, FIELD_HOST)));
        CHECK(str_equal(a->name, b->name) && str_equal(a->value, b->value));
    }
}

static const struct h1_limits wide = {
    .first_line = 10000, .field_line = 10000, .total = 100000, .count = 1000
};

static struct str rescan(struct str text, bool is_request)
{
    struct h1_scan scan = { 0 };
    struct h1_lines lines;
    size_t head;

    CHECK(h1_head_scan(text, &scan, &wide, is_request, &lines, &head) == HEAD_DONE);
    CHECK(head == text.len && scan.skipped == 0);
    return text;
}

static void forward_request(struct request *req, struct arena *arena)
{
    const struct hop_client client = {
        .address = STR("192.0.2.7"), .port = STR("80"), .send_forwarded = true, .via = STR("sluice")
    };
    struct request again = { 0 };
    const char *why;
    struct str text;
    char *to;

    hop_request(req, &client, arena);
    to = arena_take_bytes(arena, h1_request_size(req));
    text = str_of(to, h1_write_request(to, req, hop_connection(&req->fields, false)));
    CHECK(text.len <= h1_request_size(req));
    fields_init(&again.fields, arena, 0);
    CHECK(h1_request_parse(rescan(text, true), NULL, &again, &why) == HEAD_DONE);
    CHECK(str_equal(again.method_text, req->method_text) && str_equal(again.target, req->target));
    CHECK(again.body == req->body && again.content_length == req->content_length);
    fields_equal(&req->fields, &again.fields);
}

static void read_request(struct str head, const struct h1_lines *lines, struct arena *arena)
{
    struct request req = { .scheme = STR("http") }, same = { 0 };
    const char *why = NULL, *same_why = NULL;
    enum head_result r;

    fields_init(&req.fields, arena, 0);
    fields_init(&same.fields, arena, 0);
    r = h1_request_parse(head, NULL, &req, &why);
    CHECK(h1_request_parse(head, lines, &same, &same_why) == r && why == same_why);
    are_same(&req.fields, &same.fields);
    CHECK((r == HEAD_DONE) == (why == NULL));
    CHECK(r != HEAD_MORE && r != HEAD_TOO_LARGE && r != HEAD_LINE_TOO_LONG);
    if (r != HEAD_DONE)
        return;
    lies_in(req.target, head);
    fields_lie_in(&req.fields, head);
    CHECK(req.body == BODY_NONE || req.body == BODY_LENGTH || req.body == BODY_CHUNKED);
    CHECK(!(fields_have(&req.fields, FIELD_CONTENT_LENGTH) &&
            fields_have(&req.fields, FIELD_TRANSFER_ENCODING)));
    if (target_read(&req, arena, &why))
        forward_request(&req, arena);
}

static void read_answer(struct str head, const struct h1_lines *lines, enum method asked,
                        struct arena *arena)
{
    struct response resp = { 0 }, again = { 0 }, same = { 0 };
    const char *why = NULL, *same_why = NULL;
    enum head_result r;
    struct str text;
    char *to;

    fields_init(&resp.fields, arena, 0);
    fields_init(&again.fields, arena, 0);
    fields_init(&same.fields, arena, 0);
    r = h1_response_parse(head, NULL, asked, &resp, &why);
    CHECK(h1_response_parse(head, lines, asked, &same, &same_why) == r && why == same_why);
    are_same(&resp.fields, &same.fields);
    if (r != HEAD_DONE) {
        CHECK(why);
        return;
    }
    lies_in(resp.reason, head);
    fields_lie_in(&resp.fields, head);
    hop_response(&resp, STR("sluice"), arena);
    to = arena_take_bytes(arena, h1_response_size(&resp));
    text = str_of(to, h1_write_response(to, &resp, STR("")));
    CHECK(text.len <= h1_response_size(&resp));
    CHECK(h1_response_parse(rescan(text, false), NULL, asked, &again, &why) == HEAD_DONE);
    CHECK(again.status == resp.status && again.body == resp.body);
    CHECK(again.content_length == resp.content_length);
    fields_equal(&resp.fields, &again.fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct str text;
    struct h1_scan scan, pieces;
    struct h1_lines lines;
    struct arena arena;
    size_t head = 0, head_in_pieces = 0;
    bool is_request;
    enum head_result r, in_pieces;

    if (len == 0)
        return 0;
    is_request = data[0] & 1;
    text = str_of((const char *)data + 1, len - 1);
    scans_agree(text);
    scan = (struct h1_scan){ 0 };
    r = h1_head_scan(text, &scan, &limits, is_request, &lines, &head);
    in_pieces = scan_in_pieces(text, 1 + (data[0] >> 4), is_request, &head_in_pieces, &pieces);
    /* Of two faults the pieces may show another one first; that there is one they all show. */
    CHECK(r == in_pieces || (is_refusal(r) && is_refusal(in_pieces)));
    if (r != HEAD_DONE)
        return 0;
    CHECK(head == head_in_pieces && scan.skipped == pieces.skipped && head <= text.len);
    arena_init(&arena, NULL);
    text = str_of(text.at + scan.skipped, head - scan.skipped);
    if (is_request)
        read_request(text, &lines, &arena);
    else
        read_answer(text, &lines, (enum method)((data[0] >> 1) % METHOD_COUNT), &arena);
    arena_free(&arena);
    return 0;
}

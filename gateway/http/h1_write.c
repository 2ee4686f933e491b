/* Writing heads and chunks of HTTP/1.1. */
#include "gateway/http/h1_write.h"

#include "gateway/base/number.h"
#include "gateway/http/octets.h"

#define FIELD_EXTRA 4 /* ": " and CRLF */
/* The first line's spaces, version, status and CRLF; Host; the framing; Connection; the empty line. */
#define EXTRA_MAX   (24 + 8 + 40 + 14 + H1_CONNECTION_MAX + 2)

#define REASON_MAX  40 /* of those that we know */

static char *put_line(char *to, struct str name, struct str value)
{
    to = octets_put(to, name);
    to = octets_put(to, STR(": "));
    to = octets_put(to, value);
    return octets_put(to, STR("\r\n"));
}

/* --- fields ------------------------------------------------------------------------------------ */

/* Removed, or written from what the body is and from `connection`. */
static bool is_skipped(const struct field *f)
{
    const uint64_t ours = (uint64_t)1 << FIELD_CONNECTION | (uint64_t)1 << FIELD_CONTENT_LENGTH |
                          (uint64_t)1 << FIELD_TRANSFER_ENCODING;

    return f->name.len == 0 || (ours >> f->known & 1);
}

/* A text to be copied with the CRLF behind it; at == NULL: none. */
struct run {
    const char *at, *end;
};

static char *put_run(char *to, struct run run, const char *limit)
{
    if (!run.at)
        return to;
    CHECK(run.end - run.at + 2 <= limit - to);
    to = octets_put(to, str_between(run.at, run.end));
    return octets_put(to, STR("\r\n"));
}

/* Does `f` stand in its text as "name: value"? The two octets between are looked at only where the addresses say that
 * they belong to it. */
static bool is_one_piece(const struct field *f)
{
    const char *end = f->name.at + f->name.len;

    return f->value.at == end + 2 && memcmp(end, ": ", 2) == 0;
}

/* Is the line that begins at `next` the one behind that which ends at `end`, if any does? */
static bool follows(const char *end, const char *next)
{
    return (uintptr_t)next - (uintptr_t)end == 2 && memcmp(end, "\r\n", 2) == 0;
}

/* Fields as they came, untouched, lie behind one another in the head that they were read from, and so do those that
 * we have written as lines: a run of them is copied at once. */
static char *put_fields(char *to, const struct fields *fields)
{
    const struct field *f = fields->at, *end = f + fields->count;
    const char *limit = to + fields->size;
    struct run run = { 0 };

    for (; f < end; f++) {
        if (is_skipped(f))
            continue;
        if (UNLIKELY(!is_one_piece(f))) {
            to = put_run(to, run, limit);
            run = (struct run){ 0 };
            CHECK((size_t)(limit - to) >= f->name.len + f->value.len + FIELD_EXTRA);
            to = put_line(to, f->name, f->value);
            continue;
        }
        if (!follows(run.end, f->name.at)) {
            to = put_run(to, run, limit);
            run.at = f->name.at;
        }
        run.end = f->value.at + f->value.len;
    }
    return put_run(to, run, limit);
}

static char *put_framing(char *to, enum body_kind body, uint64_t length)
{
    switch (body) {
    case BODY_LENGTH:
        to = octets_put(to, STR("Content-Length: "));
        to += number_write_u64(to, length);
        return octets_put(to, STR("\r\n"));
    case BODY_CHUNKED:
        return octets_put(to, STR("Transfer-Encoding: chunked\r\n"));
    case BODY_NONE:
    case BODY_UNTIL_CLOSE:
    case BODY_RAW:
        return to;
    }
    UNREACHABLE();
}

static char *put_rest(char *to, const struct fields *fields, enum body_kind body, uint64_t length,
                      struct str connection)
{
    to = put_fields(to, fields);
    to = put_framing(to, body, length);
    if (connection.len)
        to = put_line(to, STR("Connection"), connection);
    return octets_put(to, STR("\r\n"));
}

/* --- heads ------------------------------------------------------------------------------------- */

size_t h1_request_size(const struct request *req)
{
    return req->method_text.len + req->target.len + req->host.len + req->fields.size + EXTRA_MAX;
}

size_t h1_write_request(char *to, const struct request *req, struct str connection)
{
    char *p = octets_put(to, req->method_text);

    *p++ = ' ';
    p = octets_put(p, req->target);
    p = octets_put(p, STR(" HTTP/1.1\r\n"));
    /* An HTTP/1.0 client need not say Host; HTTP/1.1, which we speak, must. (9112 3.2) */
    if (UNLIKELY(!fields_have(&req->fields, FIELD_HOST)))
        p = put_line(p, STR("Host"), req->host);
    CHECK(connection.len <= H1_CONNECTION_MAX);
    p = put_rest(p, &req->fields, req->body, req->content_length, connection);
    return (size_t)(p - to);
}

/* The reason phrase is for people and nobody's framing: what could break the line is replaced. */
static struct str reason_of(const struct response *resp)
{
    const char *end = resp->reason.at + resp->reason.len;

    if (resp->reason.len && octets_find_control(resp->reason.at, end) == end)
        return resp->reason;
    return status_reason(resp->status);
}

size_t h1_response_size(const struct response *resp)
{
    return resp->reason.len + REASON_MAX + resp->fields.size + EXTRA_MAX;
}

size_t h1_write_response(char *to, const struct response *resp, struct str connection)
{
    char *p = to;

    CHECK(resp->status >= 100 && resp->status <= 999);
    if (LIKELY(resp->status == 200 && str_equal(resp->reason, STR("OK")))) {
        p = octets_put(p, STR("HTTP/1.1 200 OK\r\n"));
    } else {
        p = octets_put(p, STR("HTTP/1.1 "));
        p += number_write_u64(p, resp->status);
        *p++ = ' ';
        p = octets_put(p, reason_of(resp));
        p = octets_put(p, STR("\r\n"));
    }
    CHECK(connection.len <= H1_CONNECTION_MAX);
    p = put_rest(p, &resp->fields, resp->body, resp->content_length, connection);
    return (size_t)(p - to);
}

/* --- chunks ------------------------------------------------------------------------------------ */

size_t h1_write_chunk_head(char *to, uint64_t len)
{
    static const char hex[] = "0123456789abcdef";
    unsigned digits = 1;

    while (digits < 16 && len >> (4 * digits))
        digits++;
    for (unsigned i = 0; i < digits; i++)
        to[i] = hex[len >> (4 * (digits - 1 - i)) & 15];
    to[digits] = '\r';
    to[digits + 1] = '\n';
    return digits + 2;
}

size_t h1_last_chunk_size(const struct fields *trailers)
{
    return 5 + (trailers ? trailers->size : 0);
}

size_t h1_write_last_chunk(char *to, const struct fields *trailers)
{
    char *p = octets_put(to, STR("0\r\n"));

    if (trailers)
        p = put_fields(p, trailers);
    p = octets_put(p, STR("\r\n"));
    return (size_t)(p - to);
}

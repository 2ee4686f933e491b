/* Bodies of HTTP/1.1: the same bytes, the same end and the same trailers however they arrive, and what
 * was read is what a decoder that looks at the whole at once reads.
 */
#include <stdint.h>
#include <stdlib.h>

#include "gateway/base/arena.h"
#include "gateway/http/h1_body.h"
#include "gateway/http/octets.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct reading {
    enum h1_body_result end;
    char *data;
    size_t len, consumed;
    struct fields trailers;
};

static bool step(struct h1_body *b, struct str window, struct reading *r, size_t bite)
{
    struct str data;
    size_t skip, n;

    r->end = h1_body_next(b, window, &skip, &data, &r->trailers);
    CHECK(skip + data.len <= window.len);
    r->consumed += skip;
    if (r->end != H1_BODY_DATA)
        return false;
    CHECK(data.at == window.at + skip && data.len > 0);
    n = data.len < bite ? data.len : bite;
    memcpy(r->data + r->len, data.at, n);
    r->len += n;
    r->consumed += n;
    h1_body_took(b, n);
    return true;
}

static struct reading read_all(struct str text, enum body_kind kind, uint64_t length, size_t piece,
                               size_t bite, struct arena *arena)
{
    struct reading r = { .end = H1_BODY_MORE, .data = arena_take_bytes(arena, text.len + 1) };
    struct h1_body b;

    fields_init(&r.trailers, arena, 0);
    h1_body_init(&b, kind, length);
    for (size_t seen = 0; r.end == H1_BODY_MORE; seen += piece) {
        size_t end = seen < text.len ? seen : text.len;

        while (step(&b, str_of(text.at + r.consumed, end - r.consumed), &r, bite))
            ;
        if (seen >= text.len)
            break;
    }
    return r;
}

/* The chunks of a body that was accepted, by the book and without states: size line, data, CRLF. */
static size_t decode_whole(struct str text, char *to)
{
    size_t len = 0;

    for (;;) {
        size_t line = str_index(text, '\n');
        uint64_t size = 0;

        for (size_t i = 0; octet_is(text.at[i], OCTET_HEX); i++)
            size = size << 4 | octet_hex(text.at[i]);
        CHECK(text.at[line - 1] == '\r');
        text = str_from_index(text, line + 1);
        if (size == 0)
            return len;
        CHECK(size + 2 <= text.len && text.at[size] == '\r' && text.at[size + 1] == '\n');
        memcpy(to + len, text.at, size);
        len += size;
        text = str_from_index(text, size + 2);
    }
}

static void readings_equal(const struct reading *a, const struct reading *b)
{
    CHECK(a->end == b->end);
    CHECK(str_equal(str_of(a->data, a->len), str_of(b->data, b->len)));
    if (a->end != H1_BODY_DONE)
        return;
    CHECK(a->consumed == b->consumed && a->trailers.count == b->trailers.count);
    for (uint32_t i = 0; i < a->trailers.count; i++)
        CHECK(str_equal(a->trailers.at[i].value, b->trailers.at[i].value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static const enum body_kind kinds[] = { BODY_CHUNKED, BODY_CHUNKED, BODY_CHUNKED, BODY_LENGTH };
    struct reading whole, pieces;
    enum body_kind kind;
    struct arena arena;
    struct str text;

    if (len < 2)
        return 0;
    kind = kinds[data[0] & 3];
    text = str_of((const char *)data + 2, len - 2);
    arena_init(&arena, NULL);
    whole = read_all(text, kind, data[1], text.len + 1, SIZE_MAX, &arena);
    pieces = read_all(text, kind, data[1], 1 + (data[0] >> 2), 1 + (data[1] & 15), &arena);
    readings_equal(&whole, &pieces);
    if (kind == BODY_CHUNKED && whole.end == H1_BODY_DONE) {
        char *to = arena_take_bytes(&arena, text.len);

        CHECK(str_equal(str_of(to, decode_whole(text, to)), str_of(whole.data, whole.len)));
    }
    if (kind == BODY_LENGTH && whole.end == H1_BODY_DONE)
        CHECK(whole.len == data[1]);
    arena_free(&arena);
    return 0;
}

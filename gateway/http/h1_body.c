/* The bodies of HTTP/1.1: where they end. */
#include "gateway/http/h1_body.h"

#include "gateway/http/h1_head.h"
#include "gateway/http/octets.h"

#define CHUNK_DIGITS_MAX 16
#define CHUNK_LINE_MAX   256  /* bytes of a size line with its extensions, which nobody uses */
#define TRAILERS_COUNT   64   /* of them that are kept */
#define TRAILERS_MAX     8192 /* bytes of a trailer section */

/* chunk-size *( ";" name [ "=" ( token / quoted-string ) ] ) CRLF data CRLF (RFC 9112 7.1). The "bad
 * whitespace" that the grammar tolerates there is refused: parsers differ about it. */
enum state {
    SIZE,
    EXT_NAME_BEGIN,
    EXT_NAME,
    EXT_VALUE_BEGIN,
    EXT_VALUE,
    EXT_QUOTED,
    EXT_QUOTED_PAIR,
    EXT_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILERS,
    DONE,
    BAD
};

void h1_body_init(struct h1_body *b, enum body_kind kind, uint64_t content_length)
{
    *b = (struct h1_body){ .kind = kind, .state = SIZE };
    if (kind == BODY_LENGTH)
        b->left = content_length;
}

/* --- the line before a chunk -------------------------------------------------------------------- */

static enum state after_digit(struct h1_body *b, char c)
{
    if (b->digits == CHUNK_DIGITS_MAX)
        return BAD;
    b->digits++;
    b->left = b->left << 4 | octet_hex(c);
    return SIZE;
}

/* What may follow a size or a complete extension. */
static enum state after_item(char c)
{
    if (c == '\r')
        return SIZE_LF;
    return c == ';' ? EXT_NAME_BEGIN : BAD;
}

static bool is_quoted_text(char c)
{
    return octets_find_control_plain(&c, &c + 1) != &c;
}

static enum state in_quoted(char c)
{
    if (c == '"')
        return EXT_END;
    if (c == '\\')
        return EXT_QUOTED_PAIR;
    return is_quoted_text(c) ? EXT_QUOTED : BAD;
}

static enum state after_size_line(struct h1_body *b, char c)
{
    if (c != '\n')
        return BAD;
    b->line = 0;
    return b->left ? DATA : TRAILERS;
}

/* One octet of a size line. */
static enum state size_line_step(struct h1_body *b, char c)
{
    switch ((enum state)b->state) {
    case SIZE:
        if (octet_is(c, OCTET_HEX))
            return after_digit(b, c);
        /* the sign bit is refused: a length that some reader takes for negative */
        return b->digits && b->left <= INT64_MAX ? after_item(c) : BAD;
    case EXT_NAME_BEGIN:
        return octet_is(c, OCTET_TOKEN) ? EXT_NAME : BAD;
    case EXT_NAME:
        if (octet_is(c, OCTET_TOKEN))
            return EXT_NAME;
        return c == '=' ? EXT_VALUE_BEGIN : after_item(c);
    case EXT_VALUE_BEGIN:
        if (c == '"')
            return EXT_QUOTED;
        return octet_is(c, OCTET_TOKEN) ? EXT_VALUE : BAD;
    case EXT_VALUE:
        return octet_is(c, OCTET_TOKEN) ? EXT_VALUE : after_item(c);
    case EXT_QUOTED:
        return in_quoted(c);
    case EXT_QUOTED_PAIR:
        return is_quoted_text(c) ? EXT_QUOTED : BAD;
    case EXT_END:
        return after_item(c);
    case SIZE_LF:
        return after_size_line(b, c);
    case DATA:
    case DATA_CR:
    case DATA_LF:
    case TRAILERS:
    case DONE:
    case BAD:
        break;
    }
    UNREACHABLE();
}

/* Takes octets of the size line off `text`, from *i on. */
static void read_size_line(struct h1_body *b, struct str text, size_t *i)
{
    while (*i < text.len && b->state <= SIZE_LF) {
        b->state = ++b->line > CHUNK_LINE_MAX ? BAD : (uint8_t)size_line_step(b, text.at[(*i)++]);
    }
}

/* --- trailers ----------------------------------------------------------------------------------- */

/* 9110 6.5.1: not in trailers what frames, routes, authenticates, modifies the request, controls
 * caching or says what the content is. */
static bool may_be_trailer(const struct field *f)
{
    static const struct str never[] = {
        STR_INIT("age"),
        STR_INIT("cache-control"),
        STR_INIT("content-encoding"),
        STR_INIT("content-range"),
        STR_INIT("content-location"),
        STR_INIT("expires"),
        STR_INIT("if-match"),
        STR_INIT("if-modified-since"),
        STR_INIT("if-none-match"),
        STR_INIT("if-range"),
        STR_INIT("if-unmodified-since"),
        STR_INIT("max-forwards"),
        STR_INIT("pragma"),
        STR_INIT("range"),
        STR_INIT("set-cookie"),
        STR_INIT("vary"),
        STR_INIT("warning"),
        STR_INIT("www-authenticate"),
    };

    if (f->known != FIELD_OTHER)
        return false; /* all that we act upon ourselves */
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        if (str_equal_folded(f->name, never[i]))
            return false;
    return true;
}

static void keep_trailer(struct fields *trailers, const struct field *f)
{
    if (trailers && may_be_trailer(f))
        fields_add(trailers, str_keep(trailers->arena, f->name),
                   str_keep(trailers->arena, f->value));
}

/* Is the line at `line` here as a whole? MORE: not yet; BAD: never. */
static enum h1_body_result find_line(const char *line, const char *end)
{
    const char *stop = octets_find_control(line, end);

    if (stop == end || (stop + 1 == end && *stop == '\r'))
        return H1_BODY_MORE;
    return stop[0] == '\r' && stop[1] == '\n' ? H1_BODY_DATA : H1_BODY_BAD;
}

/* Takes whole trailer lines off `text`; an unfinished one stays in the reader's buffer. */
static enum h1_body_result read_trailers(struct h1_body *b, struct str text, size_t *i,
                                         struct fields *trailers)
{
    const char *end = text.at + text.len;
    const char *why, *next;

    for (;;) {
        const char *line = text.at + *i;
        enum h1_body_result r = find_line(line, end);
        struct field field;

        if (r == H1_BODY_MORE && b->line + (size_t)(end - line) > TRAILERS_MAX)
            r = H1_BODY_BAD;
        if (r != H1_BODY_DATA)
            return r;
        if (*line == '\r') {
            *i += 2;
            return H1_BODY_DONE;
        }
        next = h1_field_read(line, end, &field, &why);
        if (!next || (trailers && trailers->count == TRAILERS_COUNT) ||
            b->line + (size_t)(next - line) > TRAILERS_MAX)
            return H1_BODY_BAD;
        field.known = field_known(field.name);
        keep_trailer(trailers, &field);
        b->line += (uint32_t)(next - line);
        *i += (size_t)(next - line);
    }
}

/* --- bodies ------------------------------------------------------------------------------------- */

static enum h1_body_result offer(const struct h1_body *b, struct str text, struct str *data)
{
    *data = b->left < text.len ? str_up_to(text, (size_t)b->left) : text;
    return text.len ? H1_BODY_DATA : H1_BODY_MORE;
}

static void read_data_end(struct h1_body *b, struct str text, size_t *i)
{
    if (b->state == DATA_CR && *i < text.len)
        b->state = text.at[(*i)++] == '\r' ? DATA_LF : BAD;
    if (b->state == DATA_LF && *i < text.len) {
        b->state = text.at[(*i)++] == '\n' ? SIZE : BAD;
        b->digits = 0;
    }
}

static enum h1_body_result next_of_chunked(struct h1_body *b, struct str text, size_t *skip,
                                           struct str *data, struct fields *trailers)
{
    enum h1_body_result r;

    if (b->state == DATA_CR || b->state == DATA_LF)
        read_data_end(b, text, skip);
    read_size_line(b, text, skip);
    switch ((enum state)b->state) {
    case DATA:
        return offer(b, str_from_index(text, *skip), data);
    case TRAILERS:
        r = read_trailers(b, text, skip, trailers);
        if (r == H1_BODY_DONE)
            b->state = DONE;
        if (r == H1_BODY_BAD)
            b->state = BAD;
        return r;
    case DONE:
        return H1_BODY_DONE;
    case BAD:
        return H1_BODY_BAD;
    case SIZE:
    case EXT_NAME_BEGIN:
    case EXT_NAME:
    case EXT_VALUE_BEGIN:
    case EXT_VALUE:
    case EXT_QUOTED:
    case EXT_QUOTED_PAIR:
    case EXT_END:
    case SIZE_LF:
    case DATA_CR:
    case DATA_LF:
        return H1_BODY_MORE;
    }
    UNREACHABLE();
}

enum h1_body_result h1_body_next(struct h1_body *b, struct str text, size_t *skip, struct str *data,
                                 struct fields *trailers)
{
    *skip = 0;
    *data = STR_NONE;
    switch (b->kind) {
    case BODY_NONE:
        return H1_BODY_DONE;
    case BODY_LENGTH:
        return b->left ? offer(b, text, data) : H1_BODY_DONE;
    case BODY_CHUNKED:
        return next_of_chunked(b, text, skip, data, trailers);
    case BODY_UNTIL_CLOSE:
    case BODY_RAW:
        *data = text;
        return text.len ? H1_BODY_DATA : H1_BODY_MORE;
    }
    UNREACHABLE();
}

void h1_body_took(struct h1_body *b, size_t n)
{
    if (b->kind != BODY_LENGTH && b->kind != BODY_CHUNKED)
        return;
    CHECK(n <= b->left);
    b->left -= n;
    if (b->kind == BODY_CHUNKED && n) {
        CHECK(b->state == DATA);
        if (b->left == 0)
            b->state = DATA_CR;
    }
}

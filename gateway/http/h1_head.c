/* Heads of HTTP/1.1 messages. */
#include "gateway/http/h1_head.h"

#include "gateway/http/h1_framing.h"
#include "gateway/http/octets.h"

#define METHOD_MAX 32 /* bytes of a method; the longest registered one has 17 */

/* The two that open every connection with something else. */
static const char bad_control[] = "control character in head";
static const char bad_line_end[] = "bare LF or CR";

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

/* The octet at which a line had to end is `*stop`: why it does not. */
static const char *why_not_line_end(const char *stop, const char *end)
{
    if (stop == end || (*stop == '\r' && stop + 1 == end))
        return "unfinished line";
    return *stop == '\r' || *stop == '\n' ? bad_line_end : bad_control;
}

static bool is_line_end(const char *stop, const char *end)
{
    return end - stop >= 2 && stop[0] == '\r' && stop[1] == '\n';
}

/* --- looking for the end ----------------------------------------------------------------------- */

/* Can `line`, unfinished, still become a request line? Only its method is looked at, of which the first `known`
 * octets are letters: what follows is bounded by the limits, and read when the line is complete. */
static inline bool may_become_request(struct str line, size_t known)
{
    for (size_t i = known; i < line.len && i <= METHOD_MAX; i++) {
        if (line.at[i] == ' ')
            return i > 0;
        if (!octet_is(line.at[i], OCTET_TOKEN))
            return false;
    }
    return line.len <= METHOD_MAX;
}

static bool may_become_response(struct str line)
{
    return str_starts(STR("HTTP/"), str_up_to(line, 5));
}

/* Is `line`, complete, worth waiting for the fields behind it? HTTP/0.9 and other talk is not. */
static inline bool looks_like_first_line(struct str line, bool is_request, size_t known)
{
    if (!is_request)
        return line.len >= 5 && memcmp(line.at, "HTTP/", 5) == 0;
    return line.len > 9 && memcmp(line.at + line.len - 9, " HTTP/", 6) == 0 &&
           may_become_request(line, known);
}

static inline enum head_result check_line_length(size_t len, bool is_first,
                                                 const struct h1_limits *limits)
{
    if (is_first)
        return len > limits->first_line ? HEAD_LINE_TOO_LONG : HEAD_DONE;
    return len > limits->field_line ? HEAD_TOO_LARGE : HEAD_DONE;
}

/* The text ends within a line (or within the CRLF at its end, at `stop`). */
static enum head_result unfinished(struct str text, const struct h1_scan *scan,
                                   const struct h1_limits *limits, bool is_request, size_t stop)
{
    struct str line = str_of(text.at + scan->line, stop - scan->line);
    enum head_result r = check_line_length(line.len, scan->lines == 0, limits);

    if (r != HEAD_DONE)
        return r;
    if (scan->lines == 0 && !(is_request ? may_become_request(line, 0) : may_become_response(line)))
        return HEAD_BAD;
    if (scan->lines > 0 && text.len - scan->fields_at > limits->total)
        return HEAD_TOO_LARGE;
    return HEAD_MORE;
}

/* RFC 9112 2.2: "a server that is expecting to receive and parse a request-line SHOULD ignore at least
 * one empty line received prior to the request-line." Exactly one, and only from clients. */
static bool may_skip_empty_line(const struct h1_scan *scan, bool is_request)
{
    return is_request && scan->lines == 0 && scan->skipped == 0;
}

/* A line is complete: is it one that the head may have? */
static enum head_result check_line(struct str line, struct h1_scan *scan,
                                   const struct h1_limits *limits, bool is_request)
{
    enum head_result r = check_line_length(line.len, scan->lines == 0, limits);

    if (r != HEAD_DONE)
        return r;
    if (scan->lines == 0) {
        scan->fields_at = scan->seen;
        return looks_like_first_line(line, is_request, 0) ? HEAD_DONE : HEAD_BAD;
    }
    return scan->lines > limits->count ? HEAD_TOO_LARGE : HEAD_DONE;
}

/* Line by line, wherever the text is cut, and deciding as early as can be. */
static enum head_result look_closely(struct str text, struct h1_scan *scan,
                                     const struct h1_limits *limits, bool is_request, size_t *len)
{
    const char *end = text.at + text.len, *line = text.at + scan->line;
    enum head_result r;

    for (;;) {
        const char *stop;

        /* Obsolete folding: RFC 9112 5.2 lets us refuse it, and one parser's fold is another's field. */
        if (scan->lines > 0 && line < end && is_ows(*line))
            return HEAD_BAD;
        stop = octets_find_control(text.at + scan->seen, end);
        if (end - stop < 2 && (stop == end || *stop == '\r')) {
            scan->seen = (uint32_t)(stop - text.at);
            return unfinished(text, scan, limits, is_request, scan->seen);
        }
        if (!is_line_end(stop, end))
            return HEAD_BAD;
        scan->seen = (uint32_t)(stop + 2 - text.at);
        scan->line = scan->seen;
        if (stop == line) {
            if (scan->lines > 0)
                break;
            if (!may_skip_empty_line(scan, is_request))
                return HEAD_BAD;
            scan->skipped = scan->seen;
        } else {
            r = check_line(str_between(line, stop), scan, limits, is_request);
            if (r != HEAD_DONE)
                return r;
            scan->lines++;
        }
        line = stop + 2;
    }
    if (scan->seen - scan->fields_at > limits->total)
        return HEAD_TOO_LARGE;
    *len = scan->seen;
    return HEAD_DONE;
}

/* Can the limits mean nothing to these lines? (A head that is shorter than a line may be has no longer one.) */
static inline bool are_within(const struct h1_lines *lines, const struct h1_limits *limits)
{
    return lines->len <= limits->first_line && lines->len <= limits->field_line &&
           lines->len <= limits->total && lines->count - 1 <= limits->count;
}

enum head_result h1_head_scan(struct str text, struct h1_scan *scan, const struct h1_limits *limits,
                              bool is_request, struct h1_lines *lines, size_t *len)
{
    CHECK(scan->seen <= text.len);
    if (LIKELY(
            scan->seen == 0 && h1_lines_find(text, lines) && are_within(lines, limits) &&
            looks_like_first_line(str_up_to(text, lines->stop[0]), is_request, lines->rare[0]))) {
        scan->lines = lines->count;
        scan->seen = scan->line = lines->len;
        scan->fields_at = lines->stop[0] + 2;
        *len = lines->len;
        return HEAD_DONE;
    }
    lines->count = 0;
    return look_closely(text, scan, limits, is_request, len);
}

/* --- fields ------------------------------------------------------------------------------------ */

/* A line whose name ends at `colon` and which ends at `stop`. */
static inline void split(const char *line, const char *colon, const char *stop, struct field *field)
{
    const char *value = colon + 1, *last = stop;

    /* Most often one blank before the value and none behind it. No OWS stands at `stop`: each loop ends there at
     * the latest. */
    if (LIKELY(*value == ' '))
        value++;
    if (UNLIKELY((unsigned char)*value <= ' '))
        while (is_ows(*value))
            value++;
    if (UNLIKELY((unsigned char)last[-1] <= ' '))
        while (is_ows(last[-1]) && last > value)
            last--;
    field->name = str_between(line, colon);
    field->value = str_between(value, last);
}

static const char *why_not_colon(const char *colon, const char *end)
{
    return colon < end && is_ows(*colon) ? "space in or before a field name" : "bad field name";
}

/* The field on a line, about which nothing is known. *rare is set if its name has other octets than letters,
 * digits and '-'. Returns where the next line begins, or NULL. */
static const char *read_field(const char *line, const char *end, struct field *field, bool *rare,
                              const char **why)
{
    const char *common = octets_skip_name(line, end);
    const char *colon = octets_token_end_from(common, end), *stop;

    if (colon == line || colon == end || *colon != ':') {
        *why = why_not_colon(colon, end);
        return NULL;
    }
    stop = octets_find_control(colon, end);
    if (!is_line_end(stop, end)) {
        *why = why_not_line_end(stop, end);
        return NULL;
    }
    for (; common < colon; common++)
        *rare |= !octet_is(*common, OCTET_COMMON);
    split(line, colon, stop, field);
    return stop + 2;
}

const char *h1_field_read(const char *line, const char *end, struct field *field, const char **why)
{
    bool rare = false;

    return read_field(line, end, field, &rare, why);
}

/* The field that was split into the place behind the last counts among the others. */
static void count_in(struct fields *f, struct field *field, size_t size)
{
    uint64_t bit;

    field->known = field_known(field->name);
    field->ours = false;
    bit = (uint64_t)1 << field->known;
    f->repeated |= f->present & bit;
    f->present |= bit;
    f->size += size;
    f->count++;
}

/* All lines from `p` to the empty one, which must be the end of the head. */
static bool find_fields(const char *p, const char *end, struct fields *f, const char **why)
{
    while (!is_line_end(p, end)) {
        struct field *field = fields_place(f);
        const char *next = read_field(p, end, field, &f->rare_names, why);

        if (!next)
            return false;
        count_in(f, field, (size_t)(next - p) + 1); /* perhaps without a blank, which we write */
        p = next;
    }
    *why = "bytes behind the head";
    return p + 2 == end;
}

/* The colon of a line, which is not where common names have theirs; NULL: there is none. */
static const char *find_colon(const char *colon, const char *stop, const char **why)
{
    colon = octets_token_end_from(colon, stop);
    if (*colon == ':')
        return colon;
    *why = why_not_colon(colon, stop);
    return NULL;
}

/* The same where the lines are known: each ends in CRLF and begins with a letter, digit or '-'. */
static bool take_fields(struct str head, const struct h1_lines *lines, struct fields *f,
                        const char **why)
{
    struct field *field = fields_places(f, lines->count); /* one more than needed, but never none */
    const char *line = head.at + lines->stop[0] + 2, *colon = line;
    uint64_t present = f->present, repeated = f->repeated;

    for (uint32_t i = 1; i < lines->count; i++, field++) {
        const char *stop = head.at + lines->stop[i];
        uint64_t bit;

        colon = head.at + lines->rare[i];
        if (UNLIKELY(*colon != ':')) {
            colon = find_colon(colon, stop, why);
            if (!colon)
                break;
            f->rare_names = true;
        }
        split(line, colon, stop, field);
        field->known = field_known(field->name);
        field->ours = false;
        bit = (uint64_t)1 << field->known;
        repeated |= present & bit;
        present |= bit;
        line = stop + 2;
    }
    f->present = present;
    f->repeated = repeated;
    f->count = (uint32_t)(field - f->at);
    f->size += head.len + lines->count; /* each line perhaps without a blank, which we write */
    return colon != NULL;
}

/* --- first lines ------------------------------------------------------------------------------- */

/* The eight bytes at `p`. */
static enum head_result read_version(const char *p, uint8_t *version)
{
    if (LIKELY(memcmp(p, "HTTP/1.1", 8) == 0))
        *version = 11;
    else if (memcmp(p, "HTTP/1.0", 8) == 0)
        *version = 10;
    else if (memcmp(p, "HTTP/", 5) == 0 && octet_is(p[5], OCTET_DIGIT) && p[6] == '.' &&
             octet_is(p[7], OCTET_DIGIT))
        return HEAD_VERSION;
    else
        return HEAD_BAD;
    return HEAD_DONE;
}

/* method SP target SP HTTP-version CRLF; *next: the line after it. */
static enum head_result read_request_line(struct str head, const struct h1_lines *lines,
                                          struct request *req, const char **next, const char **why)
{
    const char *end = head.at + head.len;
    const char *p = head.at + (lines ? lines->rare[0] : 0), *target;
    enum head_result r;

    p = octets_token_end_from(p, end);
    *why = "bad method";
    if (p == head.at || p - head.at > METHOD_MAX || p == end || *p != ' ')
        return HEAD_BAD;
    req->method_text = str_between(head.at, p);
    req->method = method_from(req->method_text);
    target = p + 1;
    p = octets_target_end(target, end);
    *why = "bad character in target";
    if (p == target || p == end || *p != ' ')
        return HEAD_BAD;
    req->target = str_between(target, p);
    p++;
    *why = "bad request line";
    if (end - p < 10 || !is_line_end(p + 8, end))
        return HEAD_BAD;
    r = read_version(p, &req->version);
    *why = r == HEAD_VERSION ? "unknown version" : *why;
    *next = p + 10;
    return r;
}

/* HTTP-version SP status-code [SP reason] CRLF. The space behind the status is left out by many. */
static enum head_result read_status_line(struct str head, const struct h1_lines *lines,
                                         struct response *resp, const char **next, const char **why)
{
    const char *end = head.at + head.len;
    const char *p = head.at, *stop;
    enum head_result r;

    *why = "bad status line";
    if (head.len < 14)
        return HEAD_BAD;
    r = read_version(p, &resp->version);
    if (r != HEAD_DONE)
        return r;
    if (p[8] != ' ' || p[9] < '1' || p[9] > '5' || !octet_is(p[10], OCTET_DIGIT) ||
        !octet_is(p[11], OCTET_DIGIT))
        return HEAD_BAD;
    resp->status = (uint16_t)((p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'));
    p += 12;
    if (*p == ' ')
        p++;
    else if (*p != '\r')
        return HEAD_BAD;
    stop = lines ? head.at + lines->stop[0] : octets_find_control(p, end);
    if (!is_line_end(stop, end))
        return HEAD_BAD;
    resp->reason = str_between(p, stop);
    *next = stop + 2;
    return HEAD_DONE;
}

/* --- whole heads ------------------------------------------------------------------------------- */

/* 100-continue matters only where a body is to come. HTTP/1.0 does not know Expect. (RFC 9110 10.1.1) */
static void read_expectation(struct request *req)
{
    bool expects = UNLIKELY(fields_have(&req->fields, FIELD_EXPECT)) && req->version >= 11;
    bool known = false;

    if (expects)
        known = str_equal_folded(fields_value(&req->fields, FIELD_EXPECT), STR("100-continue"));
    req->expect_continue = known && req->body != BODY_NONE;
    req->expect_unknown = expects && !known;
}

/* What is known about the lines of that head, or NULL. */
static inline const struct h1_lines *lines_of(struct str head, const struct h1_lines *lines)
{
    if (!lines || lines->count == 0)
        return NULL;
    CHECK(lines->len == head.len);
    return lines;
}

enum head_result h1_request_parse(struct str head, const struct h1_lines *lines,
                                  struct request *req, const char **why)
{
    const char *next;
    enum head_result r;

    lines = lines_of(head, lines);
    r = read_request_line(head, lines, req, &next, why);
    if (r != HEAD_DONE)
        return r;
    if (!(lines ? take_fields(head, lines, &req->fields, why)
                : find_fields(next, head.at + head.len, &req->fields, why)))
        return HEAD_BAD;
    r = h1_framing_read(&req->fields, req->version, &req->body, &req->content_length, why);
    if (r != HEAD_DONE)
        return r;
    if (!h1_framing_keeps_alive(&req->fields, req->version, &req->keep_alive, why))
        return HEAD_BAD;
    read_expectation(req);
    *why = NULL;
    return HEAD_DONE;
}

/* Where the body of an answer ends, from what was said and what it answers. (RFC 9112 6.3) */
static enum head_result settle_body(struct response *resp, enum method asked, const char **why)
{
    bool is_empty = resp->status < 200 || resp->status == 204;
    bool is_tunnel = resp->status == 101 ||
                     (asked == METHOD_CONNECT && resp->status >= 200 && resp->status < 300);

    if (is_empty || is_tunnel) {
        /* 9110 8.6, 9112 6.1: must not say a length; one of 0 is a harmless habit with 204. */
        if (resp->body == BODY_CHUNKED || resp->content_length > 0) {
            *why = "a body where none can be";
            return HEAD_BAD;
        }
        resp->body = is_tunnel ? BODY_RAW : BODY_NONE;
        return HEAD_DONE;
    }
    if (resp->body == BODY_NONE && response_has_body(resp->status, asked)) {
        resp->body = BODY_UNTIL_CLOSE;
        resp->keep_alive = false;
    }
    return HEAD_DONE;
}

enum head_result h1_response_parse(struct str head, const struct h1_lines *lines, enum method asked,
                                   struct response *resp, const char **why)
{
    const char *next;
    enum head_result r;

    lines = lines_of(head, lines);
    r = read_status_line(head, lines, resp, &next, why);
    if (r != HEAD_DONE)
        return r;
    if (!(lines ? take_fields(head, lines, &resp->fields, why)
                : find_fields(next, head.at + head.len, &resp->fields, why)))
        return HEAD_BAD;
    r = h1_framing_read(&resp->fields, resp->version, &resp->body, &resp->content_length, why);
    if (r != HEAD_DONE)
        return r;
    if (!h1_framing_keeps_alive(&resp->fields, resp->version, &resp->keep_alive, why))
        return HEAD_BAD;
    r = settle_body(resp, asked, why);
    if (r == HEAD_DONE)
        *why = NULL;
    return r;
}

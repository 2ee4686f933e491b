/* A record as a line of JSON. */
#include "gateway/caretaker/line.h"

#include "conf/settings.h"
#include "gateway/base/json.h"
#include "gateway/base/number.h"

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Does one of eight bytes need an escape: a control, a quote, a backslash, DEL, or what is not ASCII? */
static inline bool any_odd(uint64_t x)
{
    uint64_t quote = x ^ EACH('"'), slash = x ^ EACH('\\'), del = x ^ EACH(0x7f);
    uint64_t odd = x | ((x - EACH(0x20)) & ~x) | ((quote - EACH(1)) & ~quote) |
                   ((slash - EACH(1)) & ~slash) | ((del - EACH(1)) & ~del);

    return (odd & EACH(0x80)) != 0;
}

/* Copies; false if some byte needs an escape. */
static inline bool copy_plain(char *to, struct str s)
{
    uint64_t word;
    size_t i = 0;

    for (; i + 8 <= s.len; i += 8) {
        memcpy(&word, s.at + i, 8);
        if (any_odd(word))
            return false;
        memcpy(to + i, &word, 8);
    }
    if (i == s.len)
        return true;
    word = EACH(' ');
    memcpy(&word, s.at + i, s.len - i);
    memcpy(to + i, &word, s.len - i);
    return !any_odd(word);
}

static char *put(char *at, struct str s)
{
    memcpy(at, s.at, s.len);
    return at + s.len;
}

#define PUT(at, literal) put((at), STR(literal))

static char *put_text(char *at, struct str s)
{
    struct json_writer w;

    at[0] = '"';
    if (LIKELY(copy_plain(at + 1, s))) {
        at[s.len + 1] = '"';
        return at + s.len + 2;
    }
    json_fixed(&w, at, 6 * s.len + 2);
    json_string(&w, s);
    CHECK(!w.full);
    return at + w.len;
}

static char *put_u64(char *at, uint64_t value)
{
    return at + number_write_u64(at, value);
}

/* Milliseconds with three places. */
static char *put_ms(char *at, uint64_t ns)
{
    uint64_t us = ns / NS_PER_US;
    unsigned rest = (unsigned)(us % 1000);

    at = put_u64(at, us / 1000);
    at[0] = '.';
    at[1] = (char)('0' + rest / 100);
    at[2] = (char)('0' + rest / 10 % 10);
    at[3] = (char)('0' + rest % 10);
    return at + 4;
}

static char *put_date(char *at, uint64_t wall_ns, struct date_cache *dates)
{
    at[0] = '"';
    at = put(at + 1, date_iso(dates, wall_ns));
    at[0] = '"';
    return at + 1;
}

static struct str protocol_text(unsigned version)
{
    switch (version) {
    case 10:
        return STR("HTTP/1.0");
    case 11:
        return STR("HTTP/1.1");
    case 20:
        return STR("HTTP/2");
    default:
        return STR("");
    }
}

/* One member and the comma behind it. */
static char *put_field(char *at, enum conf_access_field field, const struct record_line *r,
                       uint32_t seat, struct date_cache *dates)
{
    const struct record_numbers *n = &r->numbers;

    switch (field) {
    case CONF_ACCESS_TS:
        at = put_date(PUT(at, "\"ts\":"), n->wall_ns, dates);
        break;
    case CONF_ACCESS_METHOD:
        at = put_text(PUT(at, "\"method\":"), r->texts[RECORD_METHOD]);
        break;
    case CONF_ACCESS_PATH:
        at = put_text(PUT(at, "\"path\":"), r->texts[RECORD_PATH]);
        break;
    case CONF_ACCESS_STATUS:
        at = put_u64(PUT(at, "\"status\":"), n->status);
        break;
    case CONF_ACCESS_LATENCY_MS:
        at = put_ms(PUT(at, "\"latency_ms\":"), n->latency_ns);
        break;
    case CONF_ACCESS_SERVICE:
        at = put_text(PUT(at, "\"service\":"), r->texts[RECORD_SERVICE]);
        break;
    case CONF_ACCESS_CLIENT:
        at = put_text(PUT(at, "\"client\":"), r->texts[RECORD_CLIENT]);
        break;
    case CONF_ACCESS_REASON:
        at = put_text(PUT(at, "\"reason\":"), reason_text((enum reason)n->reason));
        break;
    case CONF_ACCESS_CONSUMER:
        if (r->texts[RECORD_CONSUMER].len == 0)
            return at;
        at = put_text(PUT(at, "\"consumer\":"), r->texts[RECORD_CONSUMER]);
        break;
    case CONF_ACCESS_HOST:
        at = put_text(PUT(at, "\"host\":"), r->texts[RECORD_HOST]);
        break;
    case CONF_ACCESS_ROUTE:
        at = put_text(PUT(at, "\"route\":"), r->texts[RECORD_ROUTE]);
        break;
    case CONF_ACCESS_UPSTREAM:
        if (n->attempts == 0)
            return at;
        at = put_text(PUT(at, "\"upstream\":"), r->texts[RECORD_ENDPOINT]);
        break;
    case CONF_ACCESS_UPSTREAM_STATUS:
        if (n->upstream_status == 0)
            return at;
        at = put_u64(PUT(at, "\"upstream_status\":"), n->upstream_status);
        break;
    case CONF_ACCESS_UPSTREAM_MS:
        if (n->attempts == 0)
            return at;
        at = put_ms(PUT(at, "\"upstream_ms\":"), n->upstream_ns);
        break;
    case CONF_ACCESS_ATTEMPTS:
        at = put_u64(PUT(at, "\"attempts\":"), n->attempts);
        break;
    case CONF_ACCESS_BYTES_IN:
        at = put_u64(PUT(at, "\"bytes_in\":"), n->bytes_in);
        break;
    case CONF_ACCESS_BYTES_OUT:
        at = put_u64(PUT(at, "\"bytes_out\":"), n->bytes_out);
        break;
    case CONF_ACCESS_PROTOCOL:
        at = put_text(PUT(at, "\"protocol\":"), protocol_text(n->version));
        break;
    case CONF_ACCESS_WORKER:
        at = put_u64(PUT(at, "\"worker\":"), seat);
        break;
    case CONF_ACCESS_FIELDS:
        UNREACHABLE();
    }
    *at = ',';
    return at + 1;
}

size_t line_json(char *to, const struct record_line *r, uint64_t fields, uint32_t seat,
                 struct date_cache *dates)
{
    char *at = to;

    *at++ = '{';
    for (; fields; fields &= fields - 1)
        at = put_field(at, (enum conf_access_field)__builtin_ctzll(fields), r, seat, dates);
    if (r->numbers.shadow != REASON_OK) {
        at = put_text(PUT(at, "\"shadow\":"), reason_text((enum reason)r->numbers.shadow));
        *at++ = ',';
    }
    if (at[-1] == ',')
        at--;
    at[0] = '}';
    at[1] = '\n';
    return (size_t)(at + 2 - to);
}

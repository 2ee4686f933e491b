/* Request targets.
 *
 * What is a normal form good for? Two spellings of a path that a service could take for the same must have
 * the same one, or a rule for the first does not hold for the second. So in it every octet has one
 * spelling: itself if it may stand in a segment, an upper-case percent coding if not; whether the
 * client coded it does not matter. Where services disagree about what a spelling means, no normal form is
 * right for all of them, and it is refused.
 */
#include "gateway/http/target.h"

#include <arpa/inet.h>

#include "gateway/base/number.h"
#include "gateway/http/octets.h"

#define IPV6_TEXT_MAX   45
#define PORT_DIGITS_MAX 5

static bool refuse(const char **why, const char *reason)
{
    *why = reason;
    return false;
}

/* --- paths ------------------------------------------------------------------------------------- */

/* Is there nothing to be done about that segment, and nothing to be said against it? */
static bool is_plain_segment(struct str s)
{
    if (s.len == 0 || s.at[0] != '.')
        return true;
    return !str_equal(s, STR(".")) && !str_equal(s, STR("..")) && str_index(s, ';') == s.len;
}

#ifdef __SSE2__
/* Is it, beyond doubt, in its normal form? It has letters, digits, '-', '_', '.' and slashes only, and behind a slash is
 * neither a dot nor another slash. */
static bool is_plain(struct str path)
{
    unsigned slash = 1; /* the octet before is one */

    if (path.len == 0 || path.at[0] != '/')
        return false;
    for (size_t i = 1; i < path.len; i += 16) {
        __m128i c = octets_up_to16(path.at + i, path.len - i);
        unsigned within = path.len - i >= 16 ? 0xffff : (1u << (path.len - i)) - 1;
        unsigned slashes = octets_equal16(c, '/'), dots = octets_equal16(c, '.');
        unsigned plain = octets_common16(c) | octets_equal16(c, '_') | slashes | dots;

        if ((within & ~plain) || ((slashes << 1 | slash) & (slashes | dots)))
            return false;
        slash = slashes >> 15;
    }
    return true;
}
#else
static bool is_plain(struct str path)
{
    (void)path;
    return false;
}
#endif

/* In its normal form already: nothing coded, no dot segment, no empty segment but the last. */
static bool is_normal(struct str path)
{
    size_t begin = 1;

    if (LIKELY(is_plain(path)))
        return true;
    if (path.len == 0 || path.at[0] != '/')
        return false;
    for (size_t i = 1; i <= path.len; i++) {
        if (i < path.len && LIKELY(octet_is(path.at[i], OCTET_PATH)))
            continue;
        if (i < path.len && (path.at[i] != '/' || i == begin))
            return false;
        if (!is_plain_segment(str_of(path.at + begin, i - begin)))
            return false;
        begin = i + 1;
    }
    return true;
}

/* What an octet of a path is once decoded, and whether it was coded. */
struct octet {
    unsigned char c;
    bool coded;
};

/* Reads the octet at path.at[*i]. False: a broken percent coding. */
static bool read_octet(struct str path, size_t *i, struct octet *out)
{
    char c = path.at[*i];

    if (c != '%') {
        *out = (struct octet){ .c = (unsigned char)c };
        (*i)++;
        return true;
    }
    if (path.len - *i < 3 || !octet_is(path.at[*i + 1], OCTET_HEX) ||
        !octet_is(path.at[*i + 2], OCTET_HEX))
        return false;
    *out = (struct octet){
        .c = (unsigned char)(octet_hex(path.at[*i + 1]) << 4 | octet_hex(path.at[*i + 2])),
        .coded = true,
    };
    *i += 3;
    return true;
}

/* Why that octet makes the path unsafe, or NULL. */
static const char *why_unsafe(struct octet o)
{
    if (o.c < 0x20 || o.c == 0x7f)
        return "control character in path";
    if (o.c == '\\')
        return "backslash in path";
    if (o.c == '/' && o.coded)
        return "coded slash in path";
    if ((o.c == '?' || o.c == '#') && !o.coded)
        return "query or fragment in path";
    return NULL;
}

/* Progress through a UTF-8 sequence: how many octets must follow, and between which the next lies. */
struct utf8 {
    unsigned left;
    unsigned char low, high;
};

/* RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
static bool utf8_step(struct utf8 *u, unsigned char c)
{
    if (u->left) {
        bool ok = c >= u->low && c <= u->high;

        u->left--;
        u->low = 0x80;
        u->high = 0xbf;
        return ok;
    }
    if (c < 0x80)
        return true;
    *u = (struct utf8){ .left = c < 0xe0   ? 1
                                : c < 0xf0 ? 2
                                           : 3,
                        .low = c == 0xe0   ? 0xa0
                               : c == 0xf0 ? 0x90
                                           : 0x80,
                        .high = c == 0xed   ? 0x9f
                                : c == 0xf4 ? 0x8f
                                            : 0xbf };
    return c >= 0xc2 && c <= 0xf4;
}

/* A path being made: `text` has its normal form so far, with empty segments still in it; `segment` is
 * where its last segment begins. */
struct writer {
    char *text;
    size_t len, segment;
    bool has_empty, has_parents;
    bool keeps_parents; /* ".." stays where it is */
};

static void write_octet(struct writer *w, unsigned char c)
{
    static const char hex[] = "0123456789ABCDEF";

    if (octet_is((char)c, OCTET_PATH)) {
        w->text[w->len++] = (char)c;
        return;
    }
    w->text[w->len++] = '%';
    w->text[w->len++] = hex[c >> 4];
    w->text[w->len++] = hex[c & 15];
}

static struct str last_segment(const struct writer *w)
{
    return str_of(w->text + w->segment, w->len - w->segment);
}

/* Back to where the segment before the last begins, which ".." leaves. */
static bool leave_segment(struct writer *w, const char **why)
{
    size_t begin = w->segment - 1;

    if (begin == 0)
        return refuse(why, "above the root");
    while (w->text[begin - 1] != '/')
        begin--;
    /* "/a//../b" is /b to whom merges slashes first, /a/b to whom resolves first; the same with "/;x/..",
     * which is empty to whom cuts parameters off. */
    if (w->text[begin] == '/' || w->text[begin] == ';')
        return refuse(why, "dot segment behind an empty one");
    w->len = w->segment = begin;
    return true;
}

/* The segment is complete; `slash`: a slash follows it. */
static bool end_segment(struct writer *w, bool slash, const char **why)
{
    struct str s = last_segment(w);

    if (str_equal(s, STR(".."))) {
        w->has_parents = true;
        if (!w->keeps_parents)
            return leave_segment(w, why);
    }
    if (str_equal(s, STR("."))) {
        w->len = w->segment;
        return true;
    }
    if (str_starts(s, STR("..;")) || str_starts(s, STR(".;")))
        return refuse(why, "parameter hides a dot segment");
    if (!slash)
        return true;
    w->has_empty = w->has_empty || s.len == 0;
    w->text[w->len++] = '/';
    w->segment = w->len;
    return true;
}

/* Now that dot segments are gone: a run of slashes is one. */
static void merge_slashes(struct writer *w)
{
    size_t len = 1;

    for (size_t i = 1; i < w->len; i++)
        if (w->text[i] != '/' || w->text[i - 1] != '/')
            w->text[len++] = w->text[i];
    w->len = len;
}

/* "%41" coded once more, "%2541": a second decoding would make another path of it. Does the segment end
 * in such a thing? */
static bool is_coded_twice(struct str segment)
{
    const char *end = segment.at + segment.len;

    return segment.len >= 5 && memcmp(end - 5, "%25", 3) == 0 && octet_is(end[-2], OCTET_HEX) &&
           octet_is(end[-1], OCTET_HEX);
}

static bool write_path(struct writer *w, struct str path, const char **why)
{
    struct utf8 utf8 = { 0 };
    struct octet o;

    for (size_t i = 1; i < path.len;) {
        const char *unsafe;

        if (!read_octet(path, &i, &o))
            return refuse(why, "broken percent coding");
        unsafe = why_unsafe(o);
        if (unsafe)
            return refuse(why, unsafe);
        if (!utf8_step(&utf8, o.c))
            return refuse(why, "not UTF-8");
        if (o.c == '/') {
            if (!end_segment(w, true, why))
                return false;
            continue;
        }
        write_octet(w, o.c);
        if (is_coded_twice(last_segment(w)))
            return refuse(why, "coded twice");
    }
    if (utf8.left)
        return refuse(why, "not UTF-8");
    return end_segment(w, false, why);
}

static bool write_whole(struct writer *w, struct str path, struct arena *arena, struct str *out,
                        const char **why)
{
    w->len = w->segment = 1;
    w->text = arena_take_bytes(arena, path.len * 3);
    w->text[0] = '/';
    if (!write_path(w, path, why))
        return false;
    if (w->has_empty)
        merge_slashes(w);
    *out = str_of(w->text, w->len);
    return true;
}

static bool normalise(struct str path, struct arena *arena, struct str *out, struct str *unresolved,
                      const char **why)
{
    struct writer w = { 0 }, keeper = { .keeps_parents = true };

    *unresolved = STR_NONE;
    if (LIKELY(is_normal(path))) {
        *out = path;
        return true;
    }
    if (path.len == 0 || path.at[0] != '/')
        return refuse(why, "path without slash");
    /* "//host/path" is a reference with a host (RFC 3986 4.2), and URL classes of services read it so. */
    if (path.len > 1 && path.at[1] == '/')
        return refuse(why, "path begins with two slashes");
    CHECK(path.len < SIZE_MAX / 3);
    return write_whole(&w, path, arena, out, why) &&
           (!w.has_parents || write_whole(&keeper, path, arena, unresolved, why));
}

bool target_normalise(struct str path, struct arena *arena, struct str *out, const char **why)
{
    struct str unresolved;

    return normalise(path, arena, out, &unresolved, why);
}

/* --- hosts ------------------------------------------------------------------------------------- */

static bool read_port(struct str text, struct str *port)
{
    uint64_t number;

    *port = text;
    if (text.len == 0)
        return true; /* "host:" is allowed by RFC 3986 3.2.3 */
    return text.len <= PORT_DIGITS_MAX && number_read_u64(text, &number) && number <= UINT16_MAX;
}

static bool is_ipv6(struct str text)
{
    char z[IPV6_TEXT_MAX + 1];
    struct in6_addr address;

    if (text.len == 0 || text.len > IPV6_TEXT_MAX || memchr(text.at, '\0', text.len))
        return false;
    memcpy(z, text.at, text.len);
    z[text.len] = '\0';
    return inet_pton(AF_INET6, z, &address) == 1;
}

/* [2001:db8::1] or [2001:db8::1]:8080 */
static bool split_literal(struct str host, struct str *name, struct str *port)
{
    size_t close = str_index(host, ']');
    struct str rest = str_from_index(host, close + 1);

    *name = str_up_to(host, close + 1);
    *port = STR_NONE;
    if (close == host.len || !is_ipv6(str_of(host.at + 1, close - 1)))
        return false;
    if (rest.len == 0)
        return true;
    return rest.at[0] == ':' && read_port(str_from_index(rest, 1), port);
}

/* How many of the first sixteen octets are of a name: labels with dots between. `label`: where the last begins. False:
 * one of those before it is empty. */
static bool skip_labels(struct str host, size_t *len, size_t *label)
{
#ifdef __SSE2__
    __m128i c = octets_up_to16(host.at, host.len);
    unsigned dots = octets_equal16(c, '.');
    unsigned in = octets_common16(c) | dots | octets_equal16(c, '_') | octets_equal16(c, '~');

    *len = (size_t)__builtin_ctz(~in);
    dots &= (1u << *len) - 1;
    *label = dots ? 32 - (size_t)__builtin_clz(dots) : 0;
    return (dots & (dots << 1 | 1)) == 0;
#else
    (void)host;
    *len = *label = 0;
    return true;
#endif
}

bool target_split_host(struct str host, struct str *name, struct str *port)
{
    size_t i, label;

    if (host.len && host.at[0] == '[')
        return split_literal(host, name, port);
    if (!skip_labels(host, &i, &label))
        return false;
    for (; i < host.len && octet_is(host.at[i], OCTET_HOST); i++) {
        if (host.at[i] != '.')
            continue;
        if (i == label)
            return false; /* an empty label */
        label = i + 1;
    }
    *name = str_up_to(host, i);
    *port = STR_NONE;
    if (i == 0)
        return false;
    if (label == i)
        name->len--; /* "example.com." is the same host */
    if (i == host.len)
        return true;
    return host.at[i] == ':' && read_port(str_from_index(host, i + 1), port);
}

static bool check_host(struct str host, const char **why)
{
    struct str name, port;

    return target_split_host(host, &name, &port) || refuse(why, "malformed host");
}

static bool is_alone(const struct fields *f, const struct field *host)
{
    if (LIKELY(!fields_repeat(f, FIELD_HOST)))
        return true;
    for (const struct field *other = host + 1; other < f->at + f->count; other++)
        if (other->known == FIELD_HOST && other->name.len)
            return false;
    return true;
}

/* The value of the only Host field; STR_NONE if there is none. */
static bool read_host_field(const struct request *req, struct str *host, const char **why)
{
    const struct field *f = fields_find(&req->fields, FIELD_HOST);

    *host = STR_NONE;
    if (!f)
        return req->version == 10 || refuse(why, "no Host");
    if (!is_alone(&req->fields, f))
        return refuse(why, "two Hosts");
    *host = f->value;
    return check_host(*host, why);
}

/* --- forms of targets (RFC 9112 3.2) ----------------------------------------------------------- */

/* "/path?query" into req->path and query. */
static bool read_origin_form(struct request *req, struct str target, struct arena *arena,
                             const char **why)
{
    size_t mark;

    if (LIKELY(is_plain(target))) {
        req->path = target;
        req->query = STR_NONE;
        return true;
    }
    mark = str_index(target, '?');
    if (memchr(target.at, '#', target.len))
        return refuse(why, "fragment in target");
    req->query = mark == target.len ? STR_NONE : str_from_index(target, mark + 1);
    return normalise(str_up_to(target, mark), arena, &req->path, &req->unresolved, why);
}

/* What follows the scheme "http://" or "https://"; false if it is none of them. */
static bool cut_scheme(struct str target, struct str *scheme, struct str *rest)
{
    static const struct str schemes[] = { STR_INIT("http"), STR_INIT("https") };

    for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
        size_t len = schemes[i].len;

        if (!str_equal_folded(str_up_to(target, len), schemes[i]) ||
            !str_starts(str_from_index(target, len), STR("://")))
            continue;
        *scheme = schemes[i];
        *rest = str_from_index(target, len + 3);
        return true;
    }
    return false;
}

static size_t authority_end(struct str rest)
{
    size_t slash = str_index(rest, '/'), mark = str_index(rest, '?');

    return slash < mark ? slash : mark;
}

/* What an origin server is asked for an absolute target: its path and query, which may be empty. */
static struct str origin_form_of(struct str rest, bool is_options, struct arena *arena)
{
    char *text;

    if (rest.len && rest.at[0] == '/')
        return rest;
    if (rest.len == 0)
        return is_options ? STR("*") : STR("/"); /* 9112 3.2.4 */
    text = arena_take_bytes(arena, rest.len + 1);
    text[0] = '/';
    memcpy(text + 1, rest.at, rest.len);
    return str_of(text, rest.len + 1);
}

static bool read_asterisk(struct request *req)
{
    req->path = STR("*");
    req->query = req->unresolved = STR_NONE;
    return true;
}

static bool read_absolute_form(struct request *req, struct str host, struct arena *arena,
                               const char **why)
{
    struct str scheme, rest, authority;

    if (!cut_scheme(req->target, &scheme, &rest))
        return refuse(why, "bad target");
    authority = str_up_to(rest, authority_end(rest));
    rest = str_from_index(rest, authority.len);
    if (memchr(authority.at, '@', authority.len))
        return refuse(why, "userinfo in target");
    if (!check_host(authority, why))
        return false;
    if (host.at && !str_equal_folded(host, authority))
        return refuse(why, "Host differs from target");
    req->scheme = scheme;
    req->host = authority;
    req->target = origin_form_of(rest, req->method == METHOD_OPTIONS, arena);
    if (req->target.at[0] == '*')
        return read_asterisk(req);
    return read_origin_form(req, req->target, arena, why);
}

/* CONNECT host:port; the port must be said. */
static bool read_authority_form(struct request *req, struct str host, const char **why)
{
    struct str name, port;

    if (!target_split_host(req->target, &name, &port) || port.len == 0)
        return refuse(why, "bad target of CONNECT");
    if (host.at && !str_equal_folded(host, req->target))
        return refuse(why, "Host differs from target");
    req->host = req->target;
    req->path = STR("");
    req->query = req->unresolved = STR_NONE;
    return true;
}

bool target_read(struct request *req, struct arena *arena, const char **why)
{
    struct str host;

    if (!read_host_field(req, &host, why))
        return false;
    req->host = host;
    if (UNLIKELY(req->method == METHOD_CONNECT))
        return read_authority_form(req, host, why);
    if (req->target.len == 0)
        return refuse(why, "empty target");
    if (LIKELY(req->target.at[0] == '/'))
        return read_origin_form(req, req->target, arena, why);
    if (str_equal(req->target, STR("*"))) {
        if (req->method != METHOD_OPTIONS)
            return refuse(why, "'*' is for OPTIONS only");
        return read_asterisk(req);
    }
    return read_absolute_form(req, host, arena, why);
}

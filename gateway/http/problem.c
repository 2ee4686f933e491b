/* Bodies of the answers that we make ourselves. */
#include "gateway/http/problem.h"

#include "gateway/base/json.h"
#include "gateway/http/message.h"
#include "gateway/http/octets.h"

#define QUALITY_MAX 1000u

/* --- what does the client want? ---------------------------------------------------------------- */

/* qvalue of RFC 9110 12.4.2 in thousandths; what cannot be read counts as 1. */
static unsigned read_quality(struct str q)
{
    unsigned value = 0, scale = 100;

    if (q.len == 0 || q.len > 5 || q.at[0] != '0')
        return QUALITY_MAX;
    for (size_t i = 2; i < q.len && octet_is(q.at[i], OCTET_DIGIT); i++, scale /= 10)
        value += (unsigned)(q.at[i] - '0') * scale;
    return value;
}

/* Cuts the parameters off a media range and returns its weight. */
static unsigned take_quality(struct str *range)
{
    struct str rest, parameter;
    unsigned quality = QUALITY_MAX;

    *range = str_trim(str_cut(*range, ';', &rest));
    while (rest.len) {
        parameter = str_trim(str_cut(rest, ';', &rest));
        if (parameter.len >= 2 && (parameter.at[0] | 0x20) == 'q' && parameter.at[1] == '=')
            quality = read_quality(str_from_index(parameter, 2));
    }
    return quality;
}

static bool is_json(struct str range)
{
    return str_equal_folded(range, STR("application/json")) ||
           str_equal_folded(range, STR("application/problem+json"));
}

static bool is_text(struct str range)
{
    return str_equal_folded(range, STR("text/plain")) || str_equal_folded(range, STR("text/*")) ||
           str_equal_folded(range, STR("text/html"));
}

bool problem_wants_json(struct str accept)
{
    unsigned json = 0, text = 0;
    struct str range;

    while (str_next_member(&accept, &range)) {
        unsigned quality = take_quality(&range);

        if (is_json(range) && quality > json)
            json = quality;
        if (is_text(range) && quality > text)
            text = quality;
    }
    /* Who names JSON and nothing better is a program; "anything" is a person with curl. */
    return json > 0 && json >= text;
}

/* --- writing ----------------------------------------------------------------------------------- */

static struct str title_of(const struct problem *p)
{
    return p->title.len ? p->title : status_reason(p->status);
}

static struct str text_body(const struct problem *p, struct arena *arena)
{
    struct str text = p->detail.len ? p->detail : title_of(p);
    char *to = arena_take_bytes(arena, text.len + 1);

    if (text.len)
        memcpy(to, text.at, text.len);
    to[text.len] = '\n';
    return str_of(to, text.len + 1);
}

static void write_member(struct json_writer *w, struct str key, struct str value)
{
    if (value.len == 0)
        return;
    json_key(w, key);
    json_string(w, value);
}

static void write_problem(struct json_writer *w, const struct problem *p)
{
    json_object(w);
    write_member(w, STR("type"), STR("about:blank"));
    write_member(w, STR("title"), title_of(p));
    json_key(w, STR("status"));
    json_u64(w, p->status);
    write_member(w, STR("detail"), p->detail);
    write_member(w, STR("reason"), p->reason);
    write_member(w, STR("request_id"), p->request_id);
    json_end(w);
    json_raw(w, STR("\n"));
}

/* The most that JSON makes of an octet: \u001f, or U+FFFD for each byte of what is no UTF-8. */
#define JSON_GROWTH 6

struct str problem_body(const struct problem *p, bool as_json, struct arena *arena)
{
    size_t size =
        160 + JSON_GROWTH * (title_of(p).len + p->detail.len + p->reason.len + p->request_id.len);
    struct json_writer w;

    if (!as_json)
        return text_body(p, arena);
    json_fixed(&w, arena_take_bytes(arena, size), size);
    write_problem(&w, p);
    CHECK(!w.full);
    return json_text(&w);
}

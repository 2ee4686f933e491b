/* Keys of limits. */
#include "gateway/limiting/limit_key.h"

#include <stdio.h>

#include "gateway/base/digest.h"
#include "gateway/http/octets.h"
#include "gateway/http/pairs.h"

enum source {
    FROM_NOTHING,
    FROM_CONSUMER,
    FROM_USER,
    FROM_API_KEY,
    FROM_IP,
    FROM_HEADER,
    FROM_COOKIE,
    FROM_QUERY,
    FROM_ROUTE,
    FROM_SERVICE,
    FROM_ALL,
};

struct key_source {
    enum source from;
    struct str name; /* of the header, cookie or parameter */
};

struct key_part {
    struct key_source sources[LIMIT_KEY_SOURCES];
    size_t count;
};

/* ---- at load ---------------------------------------------------------------------------------- */

static const struct {
    struct str text;
    enum source from;
} plain[] = {
    { STR_INIT("ip"), FROM_IP },           { STR_INIT("api_key"), FROM_API_KEY },
    { STR_INIT("user"), FROM_USER },       { STR_INIT("consumer"), FROM_CONSUMER },
    { STR_INIT("route"), FROM_ROUTE },     { STR_INIT("service"), FROM_SERVICE },
    { STR_INIT("global"), FROM_ALL },
}, named[] = {
    { STR_INIT("header"), FROM_HEADER },
    { STR_INIT("cookie"), FROM_COOKIE },
    { STR_INIT("query"), FROM_QUERY },
};

static struct key_source source_of(struct str text, struct arena *a)
{
    struct str name, kind = str_cut(text, ':', &name);

    for (size_t i = 0; i < ARRAY_LEN(plain); i++)
        if (str_equal(text, plain[i].text))
            return (struct key_source){ .from = plain[i].from };
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        if (str_equal(kind, named[i].text) && name.len &&
            (named[i].from == FROM_QUERY || octets_are(name, OCTET_TOKEN)))
            return (struct key_source){ named[i].from, str_keep(a, name) };
    return (struct key_source){ .from = FROM_NOTHING };
}

/* Whoever has been told who it is, most telling name first; else where it comes from. */
static void add_auto(struct key_part *part)
{
    static const enum source order[] = { FROM_CONSUMER, FROM_USER, FROM_API_KEY, FROM_IP };

    for (size_t i = 0; i < ARRAY_LEN(order); i++)
        part->sources[part->count++].from = order[i];
}

static bool is_said_by_a_step(enum source from)
{
    return from == FROM_CONSUMER || from == FROM_USER || from == FROM_API_KEY;
}

static bool build_part(struct key_part *part, struct builder *b, struct str text)
{
    struct str rest = text, one;

    do {
        bool is_auto;

        one = str_cut(rest, '|', &rest);
        is_auto = str_equal(one, STR("auto"));
        if (part->count + (is_auto ? 4 : 1) > LIMIT_KEY_SOURCES)
            return builder_problem(b, "key: %.*s names too many sources", STR_ARGS(text));
        if (is_auto) {
            add_auto(part);
            continue;
        }
        part->sources[part->count] = source_of(one, b->arena);
        if (part->sources[part->count].from == FROM_NOTHING)
            return builder_problem(b, "key: must be " LIMIT_KEY_GRAMMAR ", is \"%.*s\"",
                                   STR_ARGS(one));
        if (is_said_by_a_step(part->sources[part->count].from) && !b->identified)
            builder_warning(b, "key: no request has a %.*s here: no step before says who asks",
                            STR_ARGS(one));
        part->count++;
    } while (rest.len);
    return true;
}

bool limit_key_build(struct limit_key *key, struct builder *b, const struct conf_list *texts,
                     enum key_missing missing)
{
    const struct str *text = texts->items;
    struct key_part *parts = ARENA_ARRAY(b->arena, struct key_part, texts->count);

    CHECK(texts->count > 0 && texts->count <= LIMIT_KEY_PARTS);
    *key = (struct limit_key){ .parts = parts,
                               .count = texts->count,
                               .v6_prefix = (unsigned)b->globals->client_ip.ipv6_prefix,
                               .missing = missing };
    for (size_t i = 0; i < texts->count; i++) {
        if (!build_part(&parts[i], b, text[i]))
            return false;
        for (size_t n = 0; n < parts[i].count; n++)
            key->for_all_services |= parts[i].sources[n].from == FROM_ALL;
    }
    return true;
}

/* ---- at work ---------------------------------------------------------------------------------- */

/* The value of a cookie; where several have the name, the first. */
static struct str cookie_value(const struct exchange *x, struct str name)
{
    const struct fields *fields = &x->req.fields;

    for (uint32_t i = 0; i < fields->count; i++) {
        struct str rest = fields->at[i].value;
        struct pair pair;

        if (!str_equal_folded(fields->at[i].name, STR("Cookie")))
            continue;
        while (pairs_next_of_cookie(&rest, &pair))
            if (str_equal(pair.name, name))
                return pair.value;
    }
    return STR_NONE;
}

/* One value has one key, however it is spelled. */
static struct str query_value(struct exchange *x, struct str name)
{
    struct str rest = x->req.query;
    struct pair pair;

    while (pairs_next_of_query(&rest, &pair))
        if (str_equal(form_decode(pair.name, &x->arena), name))
            return form_decode(pair.value, &x->arena);
    return STR_NONE;
}

static struct str header_value(const struct exchange *x, struct str name)
{
    const struct field *f = fields_find_name(&x->req.fields, name);

    return f ? f->value : STR_NONE;
}

/* Parts one after the other, each with its source and length, so that no two keys are spelled the same. */
struct spelling {
    char at[LIMIT_KEY_PARTS * 2 * (2 + 64)];
    size_t len;
};

#define VALUE_MAX 63 /* of a value as it is; of a longer one, its hash */

/* l    whose hash stands for what is long; NULL: one that is the same everywhere */
static void spell(struct spelling *s, const struct limiter *l, enum source from, struct str value)
{
    struct digest digest;
    uint64_t hash;

    s->at[s->len++] = (char)from;
    if (value.len > VALUE_MAX && !l) {
        digest = digest_of(value);
        value = str_of((const char *)digest.at, sizeof digest.at);
        s->at[s->len++] = VALUE_MAX + 2;
    } else if (value.len > VALUE_MAX) {
        hash = limiter_key(l, value);
        value = str_of((const char *)&hash, sizeof hash);
        s->at[s->len++] = VALUE_MAX + 1;
    } else {
        s->at[s->len++] = (char)value.len;
    }
    if (value.len)
        memcpy(s->at + s->len, value.at, value.len);
    s->len += value.len;
}

static void spell_address(struct spelling *s, const struct limit_key *key, const struct limiter *l,
                          const struct exchange *x)
{
    struct ip group = ip_group(&x->who.address, key->v6_prefix);

    spell(s, l, FROM_IP, str_of((const char *)group.at, sizeof group.at));
}

/* What the request has of a source that is some text; empty: nothing. */
static struct str text_of(const struct key_source *source, struct exchange *x)
{
    switch (source->from) {
    case FROM_CONSUMER:
        return x->who.consumer;
    case FROM_USER:
        return x->who.user;
    case FROM_API_KEY:
        return x->who.api_key;
    case FROM_HEADER:
        return header_value(x, source->name);
    case FROM_COOKIE:
        return cookie_value(x, source->name);
    case FROM_QUERY:
        return query_value(x, source->name);
    case FROM_NOTHING:
    case FROM_IP:
    case FROM_ROUTE:
    case FROM_SERVICE:
    case FROM_ALL:
        break;
    }
    return STR_NONE;
}

/* Every request has it. */
static bool is_always_there(const struct key_source *source)
{
    return source->from == FROM_IP || source->from == FROM_ALL || source->from == FROM_ROUTE ||
           source->from == FROM_SERVICE;
}

/* False: the request has none. */
static bool spell_source(struct spelling *s, const struct limit_key *key, const struct limiter *l,
                         const struct key_source *source, struct exchange *x)
{
    struct str value = STR_NONE;

    if (!is_always_there(source)) {
        value = text_of(source, x);
        if (value.len)
            spell(s, l, source->from, value);
        return value.len > 0;
    }
    if (source->from == FROM_IP)
        spell_address(s, key, l, x);
    else if (source->from == FROM_ALL)
        spell(s, l, FROM_ALL, STR(""));
    else
        spell(s, l, FROM_SERVICE, x->route->service_name);
    if (source->from == FROM_ROUTE) /* two services may have one pattern, for two hosts */
        spell(s, l, FROM_ROUTE, x->pattern);
    return true;
}

static enum key_result spell_all(struct spelling *s, const struct limit_key *key,
                                 const struct limiter *l, struct exchange *x)
{
    s->len = 0;
    for (size_t i = 0; i < key->count; i++) {
        const struct key_part *part = &key->parts[i];
        size_t n = 0;

        while (n < part->count && !spell_source(s, key, l, &part->sources[n], x))
            n++;
        if (n < part->count)
            continue;
        switch (key->missing) {
        case MISSING_IP:
            spell_address(s, key, l, x);
            break;
        case MISSING_REFUSE:
            return KEY_REFUSE;
        case MISSING_SKIP:
            return KEY_SKIP;
        }
    }
    return KEY_FOUND;
}

enum key_result limit_key_of(const struct limit_key *key, const struct limiter *l,
                             struct exchange *x, uint64_t *out)
{
    struct spelling s;
    enum key_result result = spell_all(&s, key, l, x);

    if (result == KEY_FOUND)
        *out = limiter_key(l, str_of(s.at, s.len));
    return result;
}

struct digest limit_key_digest(const struct limit_key *key, struct exchange *x)
{
    struct spelling s;

    CHECK(spell_all(&s, key, NULL, x) == KEY_FOUND);
    return digest_of(str_of(s.at, s.len));
}

/* ---- for people ------------------------------------------------------------------------------- */

#define SECRET_SHOWN 4 /* of a key or a cookie, and never more than half */
#define VALUE_SHOWN  12
#define CUT          "\xe2\x80\xa6" /* an ellipsis */

struct label {
    char *at;
    size_t len, room;
    bool cut;
};

/* All of it or, when it does not fit, the sign that something is missing. */
static void put(struct label *l, struct str piece)
{
    size_t left = l->room - l->len;

    if (l->cut)
        return;
    if (left < piece.len + sizeof CUT - 1) {
        piece = STR(CUT);
        l->cut = true;
    }
    if (left >= piece.len) {
        memcpy(l->at + l->len, piece.at, piece.len);
        l->len += piece.len;
    }
}

/* Whoever chose the bytes must not speak to the terminal of whoever reads them. */
static void put_escaped(struct label *l, struct str value)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < value.len && !l->cut; i++) {
        unsigned char c = (unsigned char)value.at[i];
        char hex[] = { '\\', 'x', digits[c >> 4], digits[c & 15] };

        if (c > ' ' && c < 0x7f && c != '\\')
            put(l, str_of(value.at + i, 1));
        else
            put(l, str_of(hex, sizeof hex));
    }
}

/* Enough to know it again, and not enough to use it: how it begins, and a hash. */
static void put_shortened(struct label *l, const struct limiter *limiter, struct str value,
                          size_t most)
{
    char hash[16];
    int n = snprintf(hash, sizeof hash, CUT "#%08x", (uint32_t)limiter_key(limiter, value));

    put_escaped(l, str_up_to(value, value.len / 2 < most ? value.len / 2 : most));
    put(l, str_of(hash, (size_t)n));
}

static void put_address(struct label *l, const struct limit_key *key, const struct exchange *x)
{
    struct cidr group = { ip_group(&x->who.address, key->v6_prefix),
                          ip_is_v4(&x->who.address) ? 128 : (uint8_t)key->v6_prefix };
    char text[CIDR_TEXT_MAX];
    size_t n = ip_is_v4(&x->who.address) ? ip_write(text, &group.ip) : cidr_write(text, &group);

    put(l, str_of(text, n));
}

static void put_source(struct label *l, const struct limit_key *key, const struct limiter *limiter,
                       const struct key_source *source, struct exchange *x)
{
    switch (source->from) {
    case FROM_NOTHING:
        return;
    case FROM_IP:
        put_address(l, key, x);
        return;
    case FROM_ALL:
        put(l, STR("global"));
        return;
    case FROM_ROUTE:
        put(l, STR("route:"));
        put_escaped(l, x->pattern);
        return;
    case FROM_SERVICE:
        put(l, STR("service:"));
        put_escaped(l, x->route->service_name);
        return;
    case FROM_CONSUMER:
        put(l, STR("consumer:"));
        put_escaped(l, x->who.consumer);
        return;
    case FROM_USER:
        put(l, STR("user:"));
        put_escaped(l, x->who.user);
        return;
    case FROM_API_KEY:
        put(l, STR("api_key:"));
        put_shortened(l, limiter, x->who.api_key, SECRET_SHOWN);
        return;
    case FROM_HEADER:
        put(l, STR("header:"));
        break;
    case FROM_COOKIE:
        put(l, STR("cookie:"));
        break;
    case FROM_QUERY:
        put(l, STR("query:"));
        break;
    }
    put_escaped(l, source->name);
    put(l, STR("="));
    put_shortened(l, limiter, text_of(source, x),
                  source->from == FROM_COOKIE ? SECRET_SHOWN : VALUE_SHOWN);
}

size_t limit_key_text(const struct limit_key *key, const struct limiter *l, struct exchange *x,
                      char *to, size_t room)
{
    struct label label = { .at = to, .room = room };

    for (size_t i = 0; i < key->count; i++) {
        const struct key_part *part = &key->parts[i];
        size_t n = 0;

        if (i > 0)
            put(&label, STR(" "));
        while (n < part->count && !is_always_there(&part->sources[n]) &&
               text_of(&part->sources[n], x).len == 0)
            n++;
        if (n < part->count)
            put_source(&label, key, l, &part->sources[n], x);
        else
            put_address(&label, key, x);
    }
    return label.len;
}

/* A credential as a request presents it. */
#include "gateway/middleware/presented.h"

#include "gateway/http/octets.h"
#include "gateway/http/pairs.h"

/* ---- at load ---------------------------------------------------------------------------------- */

bool presented_build(struct presented *p, struct builder *b, struct str header, struct str query,
                     struct str cookie)
{
    if (!octets_are(header, OCTET_TOKEN))
        return builder_problem(b, "header: %.*s is not the name of a header", STR_ARGS(header));
    if (cookie.len && !octets_are(cookie, OCTET_TOKEN))
        return builder_problem(b, "cookie: %.*s is not the name of a cookie", STR_ARGS(cookie));
    *p = (struct presented){ .header = str_keep(b->arena, header),
                             .known = field_known(header),
                             .query = str_keep(b->arena, query),
                             .cookie = str_keep(b->arena, cookie) };
    return true;
}

/* ---- finding ---------------------------------------------------------------------------------- */

struct found {
    struct str value;
    size_t count;
};

static void note(struct found *f, struct str value)
{
    f->value = value;
    f->count++;
}

/* Is it the parameter? Names may be coded, too. */
static bool is_parameter(const struct presented *p, const struct pair *pair, struct arena *a)
{
    return str_equal(form_decode(pair->name, a), p->query);
}

static bool is_named(const struct field *f, const struct presented *p)
{
    return p->known != FIELD_OTHER
               ? f->known == p->known
               : f->known == FIELD_OTHER && str_equal_folded(f->name, p->header);
}

static void look_in_headers(const struct presented *p, const struct fields *fields,
                            struct found *found)
{
    if (!fields_have(fields, p->known))
        return;
    for (uint32_t i = 0; i < fields->count; i++)
        if (fields->at[i].name.len && is_named(&fields->at[i], p))
            note(found, fields->at[i].value);
}

static void look_in_query(const struct presented *p, struct exchange *x, struct found *found)
{
    struct str rest = x->req.query;
    struct pair pair;

    while (pairs_next_of_query(&rest, &pair))
        if (is_parameter(p, &pair, &x->arena))
            note(found, form_decode(pair.value, &x->arena));
}

static void look_in_cookies(const struct presented *p, const struct fields *fields,
                            struct found *found)
{
    if (!fields_have(fields, FIELD_COOKIE))
        return;
    for (uint32_t i = 0; i < fields->count; i++) {
        struct str rest = fields->at[i].value;
        struct pair pair;

        if (fields->at[i].known != FIELD_COOKIE || fields->at[i].name.len == 0)
            continue;
        while (pairs_next_of_cookie(&rest, &pair))
            if (str_equal(pair.name, p->cookie))
                note(found, pair.value);
    }
}

struct str presented_find(const struct presented *p, struct exchange *x)
{
    struct found found = { .count = 0 };

    look_in_headers(p, &x->req.fields, &found);
    if (p->query.len)
        look_in_query(p, x, &found);
    if (p->cookie.len)
        look_in_cookies(p, &x->req.fields, &found);
    return found.count == 1 ? found.value : STR_NONE;
}

/* ---- taking off ------------------------------------------------------------------------------- */

/* Append, with what stands between two of them. */
static size_t append(char *to, size_t len, struct str between, struct str s)
{
    if (len && between.len)
        memcpy(to + len, between.at, between.len);
    len += len ? between.len : 0;
    if (s.len)
        memcpy(to + len, s.at, s.len);
    return len + s.len;
}

/* The target is what a service is asked: the path as it came, and the query without it. */
static void strip_query(const struct presented *p, struct exchange *x)
{
    struct str rest = x->req.query, behind;
    struct str path = str_cut(x->req.target, '?', &behind);
    char *target = arena_take_bytes(&x->arena, path.len + 1 + rest.len);
    char *query = target + path.len + 1;
    struct pair pair;
    size_t len = 0;

    while (pairs_next_of_query(&rest, &pair))
        if (!is_parameter(p, &pair, &x->arena))
            len = append(query, len, STR("&"), pair.whole);
    if (path.len)
        memcpy(target, path.at, path.len);
    target[path.len] = '?';
    x->req.query = len ? str_of(query, len) : STR_NONE;
    x->req.target = str_of(target, len ? path.len + 1 + len : path.len);
}

static void strip_cookie(const struct presented *p, struct exchange *x, struct field *f)
{
    struct str rest = f->value;
    char *to = arena_take_bytes(&x->arena, rest.len * 2);
    struct pair pair;
    size_t len = 0;

    while (pairs_next_of_cookie(&rest, &pair))
        if (pair.whole.len && !str_equal(pair.name, p->cookie))
            len = append(to, len, STR("; "), pair.whole);
    fields_change(&x->req.fields, f, str_of(to, len));
    if (len == 0)
        f->name.len = 0; /* the last one was it */
}

void presented_strip(const struct presented *p, struct exchange *x)
{
    struct fields *fields = &x->req.fields;

    fields_remove_name(fields, p->header);
    if (p->query.len && x->req.query.len)
        strip_query(p, x);
    for (uint32_t i = 0; p->cookie.len && i < fields->count; i++)
        if (fields->at[i].known == FIELD_COOKIE && fields->at[i].name.len)
            strip_cookie(p, x, &fields->at[i]);
}

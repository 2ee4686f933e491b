/* A credential in a query or a cookie, and taking it off.
 *
 * Whatever a client writes there: what has been taken off cannot be found any more, the path and the other pairs stay as
 * they were, in their order, and nothing grows.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "gateway/middleware/presented.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static const struct presented presented = { .header = STR_INIT("X-API-Key"),
                                            .known = FIELD_X_API_KEY,
                                            .query = STR_INIT("key"),
                                            .cookie = STR_INIT("key") };

static void begin(struct exchange *x, struct str target, struct str cookie)
{
    *x = (struct exchange){ .req.target = target };
    arena_init(&x->arena, NULL);
    fields_init(&x->req.fields, &x->arena, 2);
    str_cut(target, '?', &x->req.query);
    if (!cookie.len)
        return;
    *fields_place(&x->req.fields) =
        (struct field){ .name = STR("Cookie"), .value = cookie, .known = FIELD_COOKIE };
    x->req.fields.count++;
    x->req.fields.present |= UINT64_C(1) << FIELD_COOKIE;
}

/* Is every pair of `left` one of `all`, in the same order? */
static bool is_what_is_left(struct str left, struct str all, char between)
{
    while (left.len) {
        struct str pair = str_trim(str_cut(left, between, &left));

        while (all.len && !str_equal(str_trim(str_cut(all, between, &all)), pair))
            ;
        if (!all.len && left.len)
            return false;
    }
    return true;
}

static void try(struct str target, struct str cookie)
{
    struct str path, query, key;
    const struct field *f;
    struct exchange x;

    begin(&x, target, cookie);
    path = str_cut(target, '?', &query);
    key = presented_find(&presented, &x);
    CHECK(key.len <= query.len + cookie.len);
    presented_strip(&presented, &x);
    CHECK(presented_find(&presented, &x).len == 0);
    CHECK(x.req.target.len <= target.len && str_starts(x.req.target, path));
    CHECK(is_what_is_left(x.req.query, query, '&'));
    f = fields_find(&x.req.fields, FIELD_COOKIE);
    CHECK(!f || (f->value.len > 0 && is_what_is_left(f->value, cookie, ';')));
    presented_strip(&presented, &x); /* nothing more to be taken off */
    CHECK(is_what_is_left(x.req.query, query, '&'));
    arena_free(&x.arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    char *target = malloc(len + 3), *cookie = malloc(len + 1);

    if (!target || !cookie)
        abort();
    memcpy(target, "/p?", 3);
    if (len) {
        memcpy(target + 3, data, len);
        memcpy(cookie, data, len);
    }
    try(str_of(target, len + 3), STR(""));
    try(STR("/p"), str_of(cookie, len));
    try(str_of(target, len + 3), str_of(cookie, len));
    try(str_from_index(str_of(target, len + 3), 3), STR("")); /* no path, perhaps no '?' */
    free(cookie);
    free(target);
    return 0;
}

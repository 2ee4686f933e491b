/* auth_apikey: who has no valid key in a header gets no further.
 *
 * Keys are found by a keyed hash, so that how long a look-up takes says nothing about how much of a key
 * was right, and then compared whole, in constant time. A request with two such headers has no key: two
 * parsers could take different ones.
 */
#include "gateway/base/hash.h"
#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"
#include "gateway/exchange/reply.h"
#include "gateway/http/octets.h"
#include "shm/region.h"

extern const struct middleware auth_apikey_middleware;

struct auth_apikey_settings {
    struct conf_list valid_keys;
    struct str header;
    uint64_t status;
    struct str body;
    bool strip;
};

static const struct conf_key keys[] = {
    KEY(auth_apikey_settings, valid_keys, list_of, NULL, "Keys that clients may have.",
        .arg = ELEMENT(word, .at_least = 1), .flags = CONF_SECRET),
    KEY(auth_apikey_settings, header, word, "X-API-KEY", "Header that carries the key."),
    KEY(auth_apikey_settings, status, uint, "401", "Status of the answer to who has none.",
        .arg = RANGE(400, 599)),
    KEY(auth_apikey_settings, body, text, "Authentication Failed", "Text of that answer."),
    KEY(auth_apikey_settings, strip, boolean, "false", "Do not pass the key on to the service."),
    KEY_END,
};

struct entry {
    uint64_t hash; /* 0: free */
    struct str key;
};

/* Everything that a request needs; settings may be gone with an older snapshot. */
struct auth_apikey {
    struct hash_key hash_key;
    struct entry *entries;
    size_t mask; /* places, a power of two, minus one; at most half are taken */
    struct str header;
    enum known_field known;
    unsigned status;
    const char *body;
    struct str challenge; /* WWW-Authenticate (RFC 9110 11.6.1); empty: the status asks for none */
    bool strip;
};

static uint64_t hash_of(const struct auth_apikey *a, struct str key)
{
    uint64_t hash = hash_str(&a->hash_key, key);

    return hash ? hash : 1;
}

static void add_key(struct auth_apikey *a, struct str key)
{
    uint64_t hash = hash_of(a, key);
    size_t i = hash & a->mask;

    while (a->entries[i].hash)
        i = (i + 1) & a->mask;
    a->entries[i] = (struct entry){ hash, key };
}

static bool is_valid(const struct auth_apikey *a, struct str key)
{
    uint64_t hash = hash_of(a, key);

    for (size_t i = hash & a->mask; a->entries[i].hash; i = (i + 1) & a->mask)
        if (a->entries[i].hash == hash && str_equal_secret(a->entries[i].key, key))
            return true;
    return false;
}

static const void *prepare(struct builder *b, const void *settings)
{
    const struct auth_apikey_settings *s = settings;
    const struct str *valid = s->valid_keys.items;
    struct auth_apikey *a = ARENA_NEW(b->arena, struct auth_apikey);

    if (!octets_are(s->header, OCTET_TOKEN)) {
        builder_problem(b, "header: %.*s is not the name of a header", STR_ARGS(s->header));
        return NULL;
    }
    *a = (struct auth_apikey){ .hash_key = region_header(b->region)->key,
                               .mask = 1,
                               .header = str_keep(b->arena, s->header),
                               .known = field_known(s->header),
                               .status = (unsigned)s->status,
                               .body = str_keep_z(b->arena, s->body),
                               .strip = s->strip };
    while (a->mask + 1 < 2 * s->valid_keys.count)
        a->mask = a->mask * 2 + 1;
    a->entries = ARENA_ARRAY(b->arena, struct entry, a->mask + 1);
    for (size_t i = 0; i < s->valid_keys.count; i++)
        add_key(a, str_keep(b->arena, valid[i]));
    if (s->status == 401)
        a->challenge = str_format(b->arena, "ApiKey header=\"%.*s\"", STR_ARGS(a->header));
    return a;
}

static bool is_named(const struct field *f, const struct auth_apikey *a)
{
    return a->known != FIELD_OTHER
               ? f->known == a->known
               : f->known == FIELD_OTHER && str_equal_folded(f->name, a->header);
}

/* The one key of a request; empty: none, or several. */
static struct str key_of(const struct exchange *x, const struct auth_apikey *a)
{
    const struct fields *fields = &x->req.fields;
    struct str key = STR_NONE;

    if (!fields_have(fields, a->known))
        return key;
    for (uint32_t i = 0; i < fields->count; i++) {
        const struct field *f = &fields->at[i];

        if (f->name.len == 0 || !is_named(f, a))
            continue;
        if (key.at)
            return STR_NONE;
        key = f->value;
    }
    return key;
}

static enum verdict on_request(struct exchange *x, struct frame *f)
{
    const struct auth_apikey *a = f->step->prepared;
    struct str key = key_of(x, a);

    if (key.len == 0 || !is_valid(a, key)) {
        enum verdict v = reply_refuse(x, f, a->status, REASON_AUTH_FAILED, a->body);

        if (v == REPLIED && a->challenge.len)
            fields_add(&x->resp.fields, STR("WWW-Authenticate"), a->challenge);
        return v;
    }
    if (!frame_acts(f))
        return NEXT;
    x->who.api_key = key;
    if (a->strip)
        fields_remove_name(&x->req.fields, a->header);
    return NEXT;
}

const struct middleware auth_apikey_middleware = {
    .settings = { .name = "auth_apikey",
                  .doc = "Requests must carry one of the valid keys in a header.",
                  .size = sizeof(struct auth_apikey_settings),
                  .keys = keys,
                  .main = "valid_keys" },
    .prepare = prepare,
    .on_request = on_request,
};

/* auth_apikey: who has no valid key gets no further.
 *
 * There are two kinds of keys. Plain ones (valid_keys) are known by themselves: they are found by a keyed hash, so that how
 * long a look-up takes says nothing about how much of a key was right, and then compared whole, in constant time. Keys of
 * consumers are known by their digests (consumers.h): who has one is somebody, has a plan, and may be bound to addresses
 * and services. What services are told about it (identity_headers) is never what a client has said itself.
 */
#include "gateway/base/clock.h"
#include "gateway/base/hash.h"
#include "gateway/exchange/builder.h"
#include "gateway/exchange/consumers.h"
#include "gateway/exchange/exchange.h"
#include "gateway/exchange/local.h"
#include "gateway/exchange/reply.h"
#include "gateway/http/octets.h"
#include "gateway/middleware/presented.h"
#include "shm/region.h"

extern const struct middleware auth_apikey_middleware;

struct auth_apikey_settings {
    struct conf_list valid_keys;
    bool use_consumers;
    struct str header, query, cookie;
    uint64_t status;
    struct str body;
    bool strip;
    struct conf_list identity_headers;
};

enum told { TOLD_NAME, TOLD_PLAN, TOLD_GROUPS };

static const char *const told_names[] = { "name", "plan", "groups", NULL };

static const struct conf_key keys[] = {
    KEY(auth_apikey_settings, valid_keys, list_of, "[]",
        "Keys that clients may have, and nothing else is known of. Needed where there are no "
        "consumers.",
        .arg = ELEMENT(word), .flags = CONF_SECRET),
    KEY(auth_apikey_settings, use_consumers, boolean, "true",
        "Take the keys of `consumers`, too, where there are any."),
    KEY(auth_apikey_settings, header, word, "X-API-KEY", "Header that carries the key."),
    KEY(auth_apikey_settings, query, text, "",
        "Parameter of the query that may carry it instead; empty: none. Other logs on the way "
        "will hold it."),
    KEY(auth_apikey_settings, cookie, text, "", "Cookie that may carry it instead; empty: none."),
    KEY(auth_apikey_settings, status, uint, "401", "Status of the answer to who has none.",
        .arg = RANGE(400, 599)),
    KEY(auth_apikey_settings, body, text, "Authentication Failed", "Text of that answer."),
    KEY(auth_apikey_settings, strip, boolean, "false", "Do not pass the key on to the service."),
    KEY(auth_apikey_settings, identity_headers, pairs, "{}",
        "Headers that tell the service who asks, each with what it says: name, plan or groups (of "
        "the consumer). What a client sends under these names is removed, always, and so are the "
        "trailers of its request."),
    KEY_END,
};

/* The enum told of its text, or -1. */
static int told_of(struct str text)
{
    for (int i = 0; told_names[i]; i++)
        if (str_equal(text, str_from(told_names[i])))
            return i;
    return -1;
}

/* A header that says how the message itself is to be read is nobody's identity. */
static bool may_tell(struct str name)
{
    static const enum known_field taken[] = {
        FIELD_HOST, FIELD_CONNECTION, FIELD_CONTENT_LENGTH, FIELD_TRANSFER_ENCODING,
        FIELD_TE,   FIELD_TRAILER,    FIELD_UPGRADE,        FIELD_EXPECT
    };
    enum known_field known = field_known(name);

    for (size_t i = 0; i < ARRAY_LEN(taken); i++)
        if (known == taken[i])
            return false;
    return true;
}

static void check(const void *settings, const struct conf_node *at, struct conf_problems *p)
{
    const struct auth_apikey_settings *s = settings;
    const struct conf_pair *pairs = s->identity_headers.items;

    for (size_t i = 0; i < s->identity_headers.count; i++) {
        if (!octets_are(pairs[i].name, OCTET_TOKEN) || !may_tell(pairs[i].name))
            conf_problem(p, at, "\"identity_headers\": %.*s cannot be the name of such a header",
                         STR_ARGS(pairs[i].name));
        if (told_of(pairs[i].value) < 0)
            conf_problem(p, at,
                         "\"identity_headers\": %.*s: must be name, plan or groups, is \"%.*s\"",
                         STR_ARGS(pairs[i].name), STR_ARGS(pairs[i].value));
    }
}

#define KEYS_PER_LOOK 64 /* at the clock */

struct entry {
    uint64_t hash; /* 0: free */
    struct str key;
};

struct identity_header {
    struct str name;
    enum told what;
};

/* Everything that a request needs; settings may be gone with an older snapshot. */
struct auth_apikey {
    struct hash_key hash_key;
    struct entry *entries;
    size_t mask;  /* places, a power of two, minus one; at most half are taken */
    size_t added; /* keys so far */
    const struct consumers *consumers; /* NULL: none */
    struct presented presented;
    unsigned status;
    const char *body;
    struct str challenge; /* WWW-Authenticate (RFC 9110 11.6.1); empty: the status asks for none */
    bool strip;
    const struct identity_header *headers;
    size_t header_count;
};

/* ---- at load ---------------------------------------------------------------------------------- */

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

static void make_room(struct auth_apikey *a, struct builder *b, size_t count)
{
    a->mask = 1;
    while (a->mask + 1 < 2 * count)
        a->mask = a->mask * 2 + 1;
    a->entries = ARENA_ARRAY(b->arena, struct entry, a->mask + 1);
}

/* One key must not be two: which would hold, the end of the one or the validity of the other? */
static bool check_keys(const struct auth_apikey *a, struct builder *b,
                       const struct auth_apikey_settings *s)
{
    const struct str *valid = s->valid_keys.items;

    if (s->valid_keys.count == 0 && !a->consumers && b->role != BUILD_CARETAKER)
        return builder_problem(b, "auth_apikey: \"valid_keys\" is missing, and there are no "
                                  "consumers to ask for theirs");
    if (b->role != BUILD_MASTER || !a->consumers) /* what it has found good, is */
        return true;
    for (size_t i = 0; i < s->valid_keys.count; i++) {
        const struct consumer_key *k = consumers_find(a->consumers, valid[i]);

        if (k)
            return builder_problem(b,
                                   "valid_keys: number %zu is a key of the consumer %.*s, too: "
                                   "take it out of valid_keys",
                                   i + 1, STR_ARGS(k->consumer->name));
    }
    return true;
}

static void keep_headers(struct auth_apikey *a, struct builder *b, const struct conf_list *list)
{
    const struct conf_pair *pairs = list->items;
    struct identity_header *headers =
        ARENA_ARRAY(b->arena, struct identity_header, list->count + 1);

    for (size_t i = 0; i < list->count; i++)
        headers[i] = (struct identity_header){ str_keep(b->arena, pairs[i].name),
                                               (enum told)told_of(pairs[i].value) };
    a->headers = headers;
    a->header_count = list->count;
}

static const void *prepare(struct builder *b, const void *settings)
{
    const struct auth_apikey_settings *s = settings;
    struct auth_apikey *a = ARENA_NEW(b->arena, struct auth_apikey);

    *a = (struct auth_apikey){ .hash_key = region_header(b->region)->key,
                               .consumers = s->use_consumers ? b->consumers : NULL,
                               .status = (unsigned)s->status,
                               .body = str_keep_z(b->arena, s->body),
                               .strip = s->strip };
    if (!presented_build(&a->presented, b, s->header, s->query, s->cookie) || !check_keys(a, b, s))
        return NULL;
    make_room(a, b, s->valid_keys.count);
    keep_headers(a, b, &s->identity_headers);
    if (s->status == 401)
        a->challenge =
            str_format(b->arena, "ApiKey header=\"%.*s\"", STR_ARGS(a->presented.header));
    return a;
}

/* There may be very many. */
static bool prepare_more(struct builder *b, const void *settings, void *prepared, uint64_t until_ns)
{
    const struct auth_apikey_settings *s = settings;
    const struct str *valid = s->valid_keys.items;
    struct auth_apikey *a = prepared;

    while (a->added < s->valid_keys.count) {
        add_key(a, str_keep(b->arena, valid[a->added++]));
        if (a->added % KEYS_PER_LOOK == 0 && clock_now_ns() >= until_ns)
            break;
    }
    return a->added == s->valid_keys.count;
}

/* ---- who asks --------------------------------------------------------------------------------- */

static bool is_valid(const struct auth_apikey *a, struct str key)
{
    uint64_t hash = hash_of(a, key);

    for (size_t i = hash & a->mask; a->entries[i].hash; i = (i + 1) & a->mask)
        if (a->entries[i].hash == hash && str_equal_secret(a->entries[i].key, key))
            return true;
    return false;
}

/* Why a consumer must not ask here and now; REASON_OK: it may. */
static enum reason why_not(const struct consumer_key *k, struct exchange *x)
{
    if (k->expires_ns && local_wall_ns(x->local, exchange_now_ns(x)) >= k->expires_ns)
        return REASON_KEY_EXPIRED;
    if (!consumer_may_come_from(k->consumer, &x->who.address))
        return REASON_IP_NOT_ALLOWED;
    if (!consumer_may_ask(k->consumer, x->route->service_name))
        return REASON_SERVICE_NOT_ALLOWED;
    return REASON_OK;
}

/* Whose key is it, and may it be used? *who stays NULL for a plain one. */
static enum reason judge(const struct auth_apikey *a, struct exchange *x, struct str key,
                         const struct consumer **who)
{
    const struct consumer_key *k;

    if (key.len == 0)
        return REASON_AUTH_FAILED;
    if (is_valid(a, key))
        return REASON_OK;
    k = a->consumers ? consumers_find(a->consumers, key) : NULL;
    if (!k)
        return REASON_AUTH_FAILED;
    *who = k->consumer;
    return why_not(k, x);
}

/* ---- what the service is told ----------------------------------------------------------------- */

/* Is it the name, or what CGI and its heirs take for the same: X_Consumer? */
static bool is_name_of(struct str said, struct str name)
{
    if (said.len != name.len)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        unsigned char a = ascii_fold((unsigned char)said.at[i]);
        unsigned char b = ascii_fold((unsigned char)name.at[i]);

        if ((a == '_' ? '-' : a) != (b == '_' ? '-' : b))
            return false;
    }
    return true;
}

/* Whether or not this step acts: what a client says about itself is never what we would say. Trailers come when the
 * head has gone, and some servers merge them into it. (RFC 9110 6.5.1) */
static void remove_claims(const struct auth_apikey *a, struct exchange *x)
{
    struct fields *fields = &x->req.fields;

    for (uint32_t i = 0; i < fields->count; i++)
        for (size_t n = 0; n < a->header_count; n++)
            if (is_name_of(fields->at[i].name, a->headers[n].name))
                fields->at[i].name.len = 0;
    x->drops_trailers = true;
}

static struct str told(const struct consumer *who, enum told what)
{
    switch (what) {
    case TOLD_NAME:
        return who->name;
    case TOLD_PLAN:
        return who->plan;
    case TOLD_GROUPS:
        return who->groups_text;
    }
    UNREACHABLE();
}

static void tell(const struct auth_apikey *a, struct exchange *x, const struct consumer *who)
{
    for (size_t i = 0; i < a->header_count; i++) {
        struct str value = told(who, a->headers[i].what);

        if (value.len)
            fields_add(&x->req.fields, a->headers[i].name, value);
    }
}

/* ---- a request -------------------------------------------------------------------------------- */

static enum verdict refuse(struct exchange *x, struct frame *f, const struct auth_apikey *a,
                           enum reason why)
{
    bool known = why != REASON_AUTH_FAILED && why != REASON_KEY_EXPIRED;
    unsigned status = known ? 403 : a->status;
    enum verdict v = reply_refuse(x, f, status, why, known ? NULL : a->body);

    if (v == REPLIED && !known && a->challenge.len)
        fields_add(&x->resp.fields, STR("WWW-Authenticate"), a->challenge);
    return v;
}

static enum verdict on_request(struct exchange *x, struct frame *f)
{
    const struct auth_apikey *a = f->step->prepared;
    const struct consumer *who = NULL;
    struct str key = presented_find(&a->presented, x);
    enum reason why = judge(a, x, key, &who);

    if (a->header_count)
        remove_claims(a, x);
    if (who && frame_acts(f)) /* also who is refused: logs tell it */
        x->who.consumer = who->name;
    if (why != REASON_OK)
        return refuse(x, f, a, why);
    if (!frame_acts(f))
        return NEXT;
    x->who.api_key = key;
    if (a->strip)
        presented_strip(&a->presented, x);
    if (!who)
        return NEXT;
    x->who.plan = who->plan;
    x->who.plan_number = who->plan_number;
    x->who.groups = who->groups;
    x->who.group_count = who->group_count;
    tell(a, x, who);
    return NEXT;
}

const struct middleware auth_apikey_middleware = {
    .settings = { .name = "auth_apikey",
                  .doc = "Requests must carry a valid key, or that of a consumer.",
                  .size = sizeof(struct auth_apikey_settings),
                  .keys = keys,
                  .main = "valid_keys",
                  .check = check },
    .identifies = true,
    .prepare = prepare,
    .prepare_more = prepare_more,
    .on_request = on_request,
};

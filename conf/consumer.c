/* Consumers. */
#include "conf/consumer.h"

#include "conf/file.h"
#include "gateway/base/date.h"

/* ---- the types of a key ---- */

/* Hexadecimal digits; empty: not said. */
static bool read_sha256(const struct conf_key *key, const struct conf_node *n, void *field,
                        struct arena *a, struct conf_problems *p)
{
    struct conf_secret_digest read = { .said = n->text.len > 0 };

    (void)a;
    if (n->kind != CONF_SCALAR)
        return conf_misfit(key, n, p);
    /* what stands here may be the key itself, by a slip: it is not repeated */
    if (read.said && !digest_read(n->text, &read.digest))
        return conf_problem(p, n, "must be %s; the key itself is said by \"key\"",
                            key->type->grammar);
    *(struct conf_secret_digest *)field = read;
    return true;
}

static void print_sha256(const struct conf_key *key, const void *field, FILE *to)
{
    const struct conf_secret_digest *d = field;
    char text[DIGEST_TEXT_LEN];

    (void)key;
    if (d->said)
        digest_write(text, &d->digest);
    conf_print_text(str_of(text, d->said ? sizeof text : 0), to);
}

/* A key in plain: what is kept of it is its digest. */
static bool read_plain_key(const struct conf_key *key, const struct conf_node *n, void *field,
                           struct arena *a, struct conf_problems *p)
{
    struct conf_secret_digest read = { .said = n->text.len > 0 };

    (void)a;
    if (n->kind != CONF_SCALAR)
        return conf_misfit(key, n, p);
    for (size_t i = 0; i < n->text.len; i++)
        if ((unsigned char)n->text.at[i] <= 0x20 || n->text.at[i] == 0x7f)
            return conf_misfit(key, n, p);
    if (read.said)
        read.digest = digest_of(n->text);
    *(struct conf_secret_digest *)field = read;
    return true;
}

static void print_plain_key(const struct conf_key *key, const void *field, FILE *to)
{
    (void)key;
    fputs(((const struct conf_secret_digest *)field)->said ? "\"***\"" : "\"\"", to);
}

static bool read_moment(const struct conf_key *key, const struct conf_node *n, void *field,
                        struct arena *a, struct conf_problems *p)
{
    uint64_t wall_ns = 0;

    (void)a;
    if (n->kind != CONF_SCALAR ||
        !(str_equal(n->text, STR("never")) || (date_read(n->text, &wall_ns) && wall_ns)))
        return conf_misfit(key, n, p);
    *(uint64_t *)field = wall_ns;
    return true;
}

static void print_moment(const struct conf_key *key, const void *field, FILE *to)
{
    uint64_t wall_ns = *(const uint64_t *)field;
    char text[DATE_TEXT_MAX];

    (void)key;
    if (wall_ns)
        conf_print_text(str_of(text, date_write(text, wall_ns)), to);
    else
        fputs("never", to);
}

#define CONF_FIELD_sha256    struct conf_secret_digest
#define CONF_FIELD_plain_key struct conf_secret_digest
#define CONF_FIELD_moment    uint64_t
static const struct conf_type conf_type_sha256 = {
    "SHA-256",
    "64 hexadecimal digits, as `sluice key new` prints them",
    sizeof(struct conf_secret_digest),
    read_sha256,
    print_sha256,
};
static const struct conf_type conf_type_plain_key = {
    "word",         "a word without blanks", sizeof(struct conf_secret_digest),
    read_plain_key, print_plain_key,
};
static const struct conf_type conf_type_moment = {
    "moment",         "never, a day such as 2027-01-01, or a moment such as 2027-01-01T12:00:00Z",
    sizeof(uint64_t), read_moment,
    print_moment,
};

/* ---- tables ---- */

static void check_key(const void *settings, const struct conf_node *at, struct conf_problems *p)
{
    const struct conf_consumer_key *k = settings;

    if (!k->sha256.said && !k->key.said)
        conf_problem(p, at,
                     "\"sha256\" is missing: the digest of the key, as `sluice key new` prints it");
    if (k->sha256.said && k->key.said)
        conf_problem(p, at, "\"key\" and \"sha256\" both say the key: keep \"sha256\"");
}

static const struct conf_key key_keys[] = {
    KEY(conf_consumer_key, id, text, "", "Its name, for people."),
    KEY(conf_consumer_key, prefix, text, "", "How it begins, for people: to tell keys apart."),
    KEY(conf_consumer_key, sha256, sha256, "",
        "SHA-256 of the key, as `sluice key new` prints it. The key itself need not be here."),
    KEY(conf_consumer_key, key, plain_key, "",
        "The key itself, where it cannot be said by its digest.", .flags = CONF_SECRET),
    KEY(conf_consumer_key, expires, moment, "never",
        "When it ends to be one: a day (its beginning, UTC) or a moment such as "
        "2027-01-01T12:00:00Z."),
    KEY_END,
};
static const struct conf_schema key_schema = { .name = "key",
                                               .doc = "A key of a consumer.",
                                               .size = sizeof(struct conf_consumer_key),
                                               .keys = key_keys,
                                               .check = check_key,
                                               .main = "sha256" };

static void check_consumer(const void *settings, const struct conf_node *at,
                           struct conf_problems *p)
{
    const struct conf_consumer *c = settings;
    const struct conf_consumer_key *keys = c->keys.items;

    if (c->name.len > 128)
        conf_problem(p, at, "\"name\" has more than 128 bytes");
    for (size_t i = 0; i < c->keys.count; i++)
        for (size_t n = 0; n < i && keys[i].id.len; n++)
            if (str_equal(keys[i].id, keys[n].id))
                conf_problem(p, at, "has two keys with the id \"%.*s\"", STR_ARGS(keys[i].id));
}

static const struct conf_key consumer_keys[] = {
    KEY(conf_consumer, name, word, NULL,
        "Its name: in logs, as key of limits, and for services (auth_apikey.identity_headers)."),
    KEY(conf_consumer, plan, text, "", "Its plan: one of `plans`; empty: none."),
    KEY(conf_consumer, groups, list_of, "[]", "Groups that it belongs to.",
        .arg = ELEMENT(word, .at_most = 64)),
    KEY(conf_consumer, keys, list_of, "[]",
        "Its keys; any of them will do, so that they can be "
        "changed one after the other.",
        .arg = ELEMENT_BLOCK(&key_schema, sizeof(struct conf_consumer_key), .at_most = 64)),
    KEY(conf_consumer, allow_ips, list_of, "[]",
        "Addresses and prefixes that it may ask from; none: from anywhere. Others get 403.",
        .arg = ELEMENT(prefix, .at_most = 4096)),
    KEY(conf_consumer, services, list_of, "[]",
        "Services that it may ask; none: all. Of others it gets 403.",
        .arg = ELEMENT(word, .at_most = 4096)),
    KEY_END,
};
const struct conf_schema conf_consumer_schema = { .name = "consumer",
                                                  .doc = "Who asks.",
                                                  .size = sizeof(struct conf_consumer),
                                                  .keys = consumer_keys,
                                                  .check = check_consumer };

/* ---- reading ---- */

const struct digest *conf_consumer_digest(const struct conf_consumer_key *k)
{
    return k->sha256.said ? &k->sha256.digest : &k->key.digest;
}

size_t conf_consumer_count(const struct conf_file *f)
{
    return f->consumers.list ? f->consumers.list->count : 0;
}

static const struct conf_node *item_of(const struct conf_node *list, const char *key, size_t i)
{
    const struct conf_node *n = list ? conf_node_get(list, str_from(key)) : NULL;
    const struct conf_node *item = n && n->kind == CONF_LIST ? conf_node_at(n, i) : NULL;

    return item ? item : n ? n : list;
}

struct offered {
    const struct conf_list *plans;
    struct arena *arena;
};

static const char *offer_plan(const void *from, size_t i)
{
    const struct offered *o = from;
    const struct conf_plan *all = o->plans->items;

    return i < o->plans->count ? str_keep_z(o->arena, all[i].name) : NULL;
}

static void check_plan(struct conf_file *f, const struct conf_globals *g,
                       const struct conf_consumer *c, const struct conf_node *n)
{
    const struct conf_node *at = item_of(n, "plan", 0);
    const char *hint;

    if (!c->plan.len || conf_plan_named(&g->plans, c->plan) < g->plans.count)
        return;
    if (g->plans.count == 0 && conf_node_get(f->root, STR("plans")))
        return; /* they could not be read, which has been said */
    hint = conf_nearest(c->plan, offer_plan, &(struct offered){ &g->plans, &f->arena });
    if (hint)
        conf_problem(f->problems, at, "there is no plan \"%.*s\"; did you mean \"%s\"?",
                     STR_ARGS(c->plan), hint);
    else
        conf_problem(f->problems, at, "there is no plan \"%.*s\" in plans", STR_ARGS(c->plan));
}

static const struct map *services_by_name(struct conf_file *f)
{
    const struct conf_node *all = f->services.list;

    if (f->service_names.arena)
        return &f->service_names;
    map_init(&f->service_names, &f->arena);
    for (const struct conf_node *s = all ? all->first : NULL; s; s = s->next) {
        const struct conf_node *name = conf_node_get(s, STR("name"));

        if (name && name->kind == CONF_SCALAR && name->text.len)
            map_set(&f->service_names, name->text, f);
    }
    return &f->service_names;
}

static void check_services(struct conf_file *f, const struct conf_consumer *c,
                           const struct conf_node *n)
{
    const struct str *services = c->services.items;

    for (size_t i = 0; i < c->services.count; i++)
        if (!map_get(services_by_name(f), services[i]))
            conf_problem(f->problems, item_of(n, "services", i), "there is no service \"%.*s\"",
                         STR_ARGS(services[i]));
}

/* Who is called so, or has that key, already? The first of each stays in the map. */
static const struct conf_node *taken_by(struct map *m, struct str key, const struct conf_node *n)
{
    const struct conf_node *first = map_get(m, key);

    if (!first)
        map_set(m, key, (struct conf_node *)(uintptr_t)n);
    return first;
}

static void check_unique(struct conf_file *f, const struct conf_consumer *c,
                         const struct conf_node *n)
{
    const struct conf_consumer_key *keys = c->keys.items;
    const struct conf_node *first = c->name.len ? taken_by(&f->consumer_names, c->name, n) : NULL;

    if (first)
        conf_problem(f->problems, item_of(n, "name", 0),
                     "there is a consumer \"%.*s\" already, in line %u", STR_ARGS(c->name),
                     first->at.line);
    for (size_t i = 0; i < c->keys.count; i++) {
        const struct digest *d = conf_consumer_digest(&keys[i]);

        if (!keys[i].sha256.said && !keys[i].key.said)
            continue; /* its own problem has been reported */
        first = taken_by(&f->consumer_digests, str_of((const char *)d->at, sizeof d->at), n);
        if (first)
            conf_problem(f->problems, item_of(n, "keys", i),
                         "is the key of a consumer already, in line %u: each key is one "
                         "consumer's",
                         first->at.line);
    }
}

const struct conf_consumer *conf_read_consumer(struct conf_file *f, size_t i, struct arena *a)
{
    struct conf_consumer *c = ARENA_NEW(a, struct conf_consumer);
    const struct conf_node *n = conf_walk_to(&f->consumers, i);

    CHECK(n != NULL);
    c->at = n->at;
    conf_read_block(&conf_consumer_schema, n, c, a, f->problems);
    return c;
}

void conf_check_consumer(struct conf_file *f, const struct conf_globals *g, size_t i,
                         const struct conf_consumer *c)
{
    const struct conf_node *n = conf_walk_to(&f->consumers, i);

    CHECK(n != NULL);
    if (!f->consumer_names.arena) {
        map_init(&f->consumer_names, &f->arena);
        map_init(&f->consumer_digests, &f->arena);
    }
    check_plan(f, g, c, n);
    check_services(f, c, n);
    check_unique(f, c, n);
}

size_t conf_consumer_keys(struct conf_file *f, size_t i)
{
    const struct conf_node *n = conf_walk_to(&f->consumers, i);
    const struct conf_node *keys = n ? conf_node_get(n, STR("keys")) : NULL;

    return !keys ? 0 : keys->kind == CONF_LIST ? keys->count : 1;
}

uint64_t conf_consumer_hash(struct conf_file *f, size_t i)
{
    return conf_node_hash(conf_walk_to(&f->consumers, i));
}

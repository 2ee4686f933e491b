/* Stores outside of the gateway. */
#include "conf/store.h"

#include "conf/places.h"
#include "gateway/base/number.h"

#define DATABASES_MAX 1000000

/* ---- where a Redis is ---- */

static bool read_socket(const struct conf_node *n, struct conf_redis_url *url, struct arena *a,
                        struct conf_problems *p)
{
    url->path = str_keep(a, str_from_index(n->text, 5));
    if (url->path.len > 107) /* sun_path and its NUL */
        return conf_problem(p, n, "the path of a Unix socket has at most 107 bytes");
    return true;
}

static bool read_database(struct str text, uint64_t *database)
{
    return text.len == 0 || (number_read_u64(text, database) && *database <= DATABASES_MAX);
}

static bool read_redis_url(const struct conf_key *key, const struct conf_node *n, void *field,
                           struct arena *a, struct conf_problems *p)
{
    struct conf_redis_url url = { .port = 0 };
    struct conf_host at;
    struct str rest, database;

    if (n->kind != CONF_SCALAR)
        return conf_misfit(key, n, p);
    if (str_index(n->text, '@') < n->text.len) /* and not a word of what stands there */
        return conf_problem(p, n,
                            "must hold no user or password: the keys \"username\" and \"password\" "
                            "of the store say them");
    if (str_starts(n->text, STR("rediss://")))
        return conf_problem(p, n,
                            "Redis is asked without TLS: by redis://, on this machine or through "
                            "a tunnel, not by rediss://");
    url.text = str_keep(a, n->text);
    if (str_starts(n->text, STR("unix:/"))) {
        if (!read_socket(n, &url, a, p))
            return false;
        *(struct conf_redis_url *)field = url;
        return true;
    }
    rest = str_starts(n->text, STR("redis://")) ? str_from_index(n->text, 8) : n->text;
    rest = str_cut(rest, '/', &database);
    if (!conf_read_host(rest, 0, &at, a) || !read_database(database, &url.database))
        return conf_misfit(key, n, p);
    url.host = at.host;
    url.port = at.port;
    url.is_ip = at.is_ip;
    url.ip = at.ip;
    *(struct conf_redis_url *)field = url;
    return true;
}

static void print_redis_url(const struct conf_key *key, const void *field, FILE *to)
{
    (void)key;
    conf_print_text(((const struct conf_redis_url *)field)->text, to);
}

#define CONF_FIELD_redis_url struct conf_redis_url
static const struct conf_type conf_type_redis_url = {
    "Redis URL",
    "redis://host:port/database, host:port or unix:/path",
    sizeof(struct conf_redis_url),
    read_redis_url,
    print_redis_url,
};

/* ---- one Redis ---- */

static const struct conf_node *place_of(const struct conf_node *at, const char *key)
{
    const struct conf_node *n = conf_node_get(at, str_from(key));

    return n ? n : at;
}

static bool has_socket(const struct conf_redis *r)
{
    const struct conf_redis_url *urls = r->urls.items;

    for (size_t i = 0; i < r->urls.count; i++)
        if (urls[i].path.len)
            return true;
    return false;
}

static void check_urls(const struct conf_redis *r, const struct conf_node *at,
                       struct conf_problems *p)
{
    const struct conf_redis_url *urls = r->urls.items;
    const struct conf_node *n = place_of(at, "urls");

    for (size_t i = 1; i < r->urls.count; i++)
        if (urls[i].database != urls[0].database) {
            conf_problem(p, n, "all must name the same database");
            break;
        }
    if (r->mode == CONF_REDIS_SINGLE && r->urls.count > 1)
        conf_problem(p, n,
                     "a single Redis has one url; several need mode: sentinel or mode: cluster");
    if (r->mode == CONF_REDIS_CLUSTER && conf_redis_database(r))
        conf_problem(p, n, "a cluster has database 0 only");
    if (r->mode == CONF_REDIS_CLUSTER && has_socket(r))
        conf_problem(p, n, "the nodes of a cluster know one another by host and port only");
}

static bool is_key_prefix(struct str s)
{
    for (size_t i = 0; i < s.len; i++)
        if ((unsigned char)s.at[i] <= 0x20 || s.at[i] == 0x7f || s.at[i] == '{' || s.at[i] == '}')
            return false;
    return s.len <= 64;
}

static void check_redis(const void *settings, const struct conf_node *at, struct conf_problems *p)
{
    const struct conf_redis *r = settings;

    check_urls(r, at, p);
    if (r->mode == CONF_REDIS_SENTINEL && !r->master_name.len)
        conf_problem(p, at, "\"master_name\" is missing: Sentinels know masters by name");
    if (r->mode != CONF_REDIS_SENTINEL && r->master_name.len)
        conf_problem(p, place_of(at, "master_name"), "is for mode: sentinel");
    if (r->username.len && !r->password.len)
        conf_problem(p, at, "\"password\" is missing: a \"username\" needs one");
    if (!is_key_prefix(r->key_prefix))
        conf_problem(p, place_of(at, "key_prefix"),
                     "must have at most 64 bytes and no blanks, control characters or braces");
}

static const struct conf_key pool_keys[] = {
    KEY(conf_redis_pool, per_worker, uint, "2",
        "Connections of each worker to each server. Commands are pipelined, so a few are enough.",
        .arg = RANGE(1, 64)),
    KEY_END,
};
static const struct conf_schema pool_schema = { .name = "pool",
                                                .doc = "Connections.",
                                                .size = sizeof(struct conf_redis_pool),
                                                .keys = pool_keys,
                                                .main = "per_worker" };

static const struct conf_key outage_keys[] = {
    KEY(conf_redis_outage, open_after, uint, "5",
        "Failures in a row after which a worker takes the store for away and asks no more.",
        .arg = RANGE(1, 1000000)),
    KEY(conf_redis_outage, retry_every, duration, "1s",
        "How often it then looks whether the store is back.",
        .arg = RANGE(10 * NS_PER_MS, 3600 * NS_PER_S)),
    KEY_END,
};
static const struct conf_schema outage_schema = { .name = "outage",
                                                  .doc = "When the store is taken for away.",
                                                  .size = sizeof(struct conf_redis_outage),
                                                  .keys = outage_keys };

static const struct conf_key redis_keys[] = {
    KEY(conf_redis, urls, list_of, NULL,
        "Where it answers: redis://host:port/database, host:port or unix:/path; of the Sentinels, "
        "or of some nodes of the cluster. The port is 6379 if not said, Sentinels' 26379.",
        .arg = ELEMENT(redis_url, .at_least = 1, .at_most = 64)),
    KEY(conf_redis, mode, one_of, "single",
        "single: one server. sentinel: the urls are of Sentinels, which know the master. cluster: "
        "keys are spread over nodes.",
        .arg = NAMES("single", "sentinel", "cluster")),
    KEY(conf_redis, master_name, text, "", "With sentinel: the name of the master."),
    KEY(conf_redis, username, text, "", "User of an access list (Redis 6); empty: none."),
    KEY(conf_redis, password, text, "", "Password; empty: none.", .flags = CONF_SECRET),
    KEY_BLOCK(conf_redis, pool, &pool_schema, NULL),
    KEY(conf_redis, connect_timeout, duration, "200ms", "Until a connection stands.",
        .arg = RANGE(NS_PER_MS, 60 * NS_PER_S)),
    KEY(conf_redis, timeout, duration, "50ms",
        "Until a question is answered; what comes later is a failure. No request waits longer.",
        .arg = RANGE(NS_PER_MS, 60 * NS_PER_S)),
    KEY_BLOCK(conf_redis, outage, &outage_schema, NULL),
    KEY(conf_redis, key_prefix, text,
        "gw:", "What our keys begin with; the same for all gateways that share limits."),
    KEY_END,
};
static const struct conf_schema redis_schema = { .name = "redis",
                                                 .doc = "A Redis.",
                                                 .size = sizeof(struct conf_redis),
                                                 .keys = redis_keys,
                                                 .check = check_redis,
                                                 .main = "urls" };

static const struct conf_key stores_keys[] = {
    KEY(conf_stores, redis, map_of, "{}",
        "Each Redis by a name; steps name it as redis:NAME (`store: \"redis:main\"`).",
        .arg = ENTRIES(&redis_schema, conf_redis, .at_most = 64)),
    KEY_END,
};
const struct conf_schema conf_stores_schema = { .name = "stores",
                                                .doc = "Stores outside of the gateway.",
                                                .size = sizeof(struct conf_stores),
                                                .keys = stores_keys };

const struct conf_redis *conf_redis_named(const struct conf_stores *s, struct str name)
{
    const struct conf_redis *all = s->redis.items;

    for (size_t i = 0; i < s->redis.count; i++)
        if (str_equal(all[i].name, name))
            return &all[i];
    return NULL;
}

uint64_t conf_redis_database(const struct conf_redis *r)
{
    const struct conf_redis_url *urls = r->urls.items;

    return r->urls.count ? urls[0].database : 0;
}

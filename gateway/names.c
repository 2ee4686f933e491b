/* Names of hosts and what they stand for. */
#include "gateway/names.h"

#include "gateway/base/hash.h"

#define STORE_ADDRESSES 16 /* of one name */

bool names_resolve(struct bundle *bundle, enum build_role role, struct str host, struct ip *ips,
                   size_t room, size_t *count)
{
    struct str known = STR_NONE;

    if (role == BUILD_MASTER)
        known = bundle_resolve(bundle, host);
    else
        (void)bundle_get(bundle, BUNDLE_ADDRESSES, host, &known);
    *count = known.len / sizeof *ips < room ? known.len / sizeof *ips : room;
    if (*count)
        memcpy(ips, known.at, *count * sizeof *ips);
    return *count > 0;
}

/* ---- stores ----------------------------------------------------------------------------------- */

static uint16_t port_of(const struct conf_redis *r, const struct conf_redis_url *url)
{
    if (url->port)
        return url->port;
    return r->mode == CONF_REDIS_SENTINEL ? 26379 : 6379;
}

static struct str address_text(const struct ip *ip, uint16_t port, struct arena *a)
{
    char text[CIDR_TEXT_MAX];
    int len = (int)ip_write(text, ip);

    return str_format(a, ip_is_v4(ip) ? "%.*s:%u" : "[%.*s]:%u", len, text, port);
}

/* In one order, whatever the system says: the same addresses are the same store. */
static void sort(struct ip *ips, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t n = i; n > 0 && memcmp(ips[n].at, ips[n - 1].at, sizeof ips[n].at) < 0; n--) {
            struct ip other = ips[n];

            ips[n] = ips[n - 1];
            ips[n - 1] = other;
        }
}

/* What one url stands for, behind what is in `to` already. */
static size_t add_addresses(struct bundle *bundle, enum build_role role, const struct conf_redis *r,
                            const struct conf_redis_url *url, struct str *to, struct arena *a)
{
    struct ip ips[STORE_ADDRESSES];
    size_t count = 1;

    if (url->path.len) {
        to[0] = str_format(a, "unix:%.*s", STR_ARGS(url->path));
        return 1;
    }
    if (url->is_ip)
        ips[0] = url->ip;
    else
        (void)names_resolve(bundle, role, url->host, ips, STORE_ADDRESSES, &count);
    sort(ips, count);
    for (size_t i = 0; i < count; i++)
        to[i] = address_text(&ips[i], port_of(r, url), a);
    return count;
}

static void find_redis(struct bundle *bundle, enum build_role role, struct conf_redis *r,
                       struct arena *a, struct conf_problems *p)
{
    const struct conf_redis_url *urls = r->urls.items;
    struct str *to = ARENA_ARRAY(a, struct str, r->urls.count * STORE_ADDRESSES + 1);

    r->addresses = to;
    r->address_count = 0;
    for (size_t i = 0; i < r->urls.count; i++) {
        size_t more = add_addresses(bundle, role, r, &urls[i], to + r->address_count, a);

        if (more == 0 && role == BUILD_MASTER)
            conf_problem_at(
                p, CONF_WARNING, (struct conf_place){ 0 },
                str_format(&p->arena, "stores.redis.%.*s", STR_ARGS(r->name)),
                "the name %.*s has no address now; it is asked for again at the next reload",
                STR_ARGS(urls[i].host));
        r->address_count += more;
    }
}

uint64_t names_of_stores(struct bundle *bundle, enum build_role role, struct conf_stores *stores,
                         struct arena *a, struct conf_problems *p)
{
    struct conf_redis *all = (struct conf_redis *)stores->redis.items;
    struct hash_key sum = { stores->redis.count, 0 };

    for (size_t i = 0; i < stores->redis.count; i++) {
        find_redis(bundle, role, &all[i], a, p);
        for (size_t n = 0; n < all[i].address_count; n++)
            sum.k0 = hash_str(&sum, all[i].addresses[n]);
    }
    return sum.k0;
}

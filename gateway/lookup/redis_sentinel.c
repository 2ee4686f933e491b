/* The master that Sentinels know.
 *
 * All Sentinels are kept connected, and one after the other is asked for the master: each retry_every, and at once when the
 * master fails or says that it is none. So a failover is followed without being told, and one that was missed, too. Whom a
 * Sentinel names must say by itself (ROLE) that it is a master before a question is sent to it. A Sentinel that has missed an
 * election names the old master with an older epoch: it is not believed while the present one is well.
 */
#include "gateway/base/log.h"
#include "gateway/base/number.h"
#include "gateway/lookup/redis_topology.h"

static bool is_well(const struct redis_server *s)
{
    return s && redis_server_is_connected(s) && s->outage.state == OUTAGE_UP;
}

static void become_master(struct redis_topology *t, struct redis_server *next)
{
    struct redis_server *old = t->master;

    log_line(LOG_LEVEL_INFO, "store redis:%.*s: the master is %s", STR_ARGS(t->rules.store),
             next->address.text);
    t->master = next;
    if (next == t->candidate)
        t->candidate = NULL;
    t->on_change(t);
    if (old)
        redis_server_end(old, "the master is another one now");
}

static void drop_candidate(struct redis_topology *t)
{
    struct redis_server *s = t->candidate;

    t->candidate = NULL;
    if (s)
        redis_server_end(s, "the Sentinels name another one");
}

/* What a Sentinel says of the master: pairs of names and values. */
struct naming {
    struct str host, port, epoch;
};

static struct naming naming_of(const struct redis_reply *r)
{
    struct naming n = { .host = STR_NONE };

    for (size_t i = 0; r->type == REPLY_ARRAY && i + 1 < r->count; i += 2) {
        const struct redis_reply *name = redis_reply_item(r, i, REPLY_TEXT);
        const struct redis_reply *value = redis_reply_item(r, i + 1, REPLY_TEXT);

        if (!name || !value)
            continue;
        if (str_equal(name->text, STR("ip")))
            n.host = value->text;
        else if (str_equal(name->text, STR("port")))
            n.port = value->text;
        else if (str_equal(name->text, STR("config-epoch")))
            n.epoch = value->text;
    }
    return n;
}

static void is_named(struct redis_topology *t, const struct redis_address *a, uint64_t epoch)
{
    if (epoch < t->epoch && is_well(t->master))
        return; /* this Sentinel has missed the last election */
    t->epoch = epoch;
    if (t->candidate && !redis_address_equal(&t->candidate->address, a))
        drop_candidate(t);
    if (t->master && redis_address_equal(&t->master->address, a))
        return;
    if (!t->candidate)
        t->candidate = redis_server_new(&t->rules, a);
    if (!is_well(t->master))
        become_master(t, t->candidate); /* nothing is sent before it has said that it is one */
}

static void on_named(struct redis_command *c, struct redis_link *l, const struct redis_reply *r,
                     const char *why)
{
    struct redis_server *s = CONTAINER(c, struct redis_server, look);
    struct redis_topology *t = redis_topology_of(s);
    struct redis_address a;
    struct naming named;
    uint64_t port, epoch;

    (void)l;
    (void)why;
    s->looking = false;
    if (!r)
        return;
    named = naming_of(r);
    if (r->type == REPLY_ERROR)
        redis_topology_complain(t, s, "cannot say who the master is: ", r->text);
    else if (!number_read_u64(named.port, &port) || !number_read_u64(named.epoch, &epoch))
        redis_topology_complain(t, s, "does not answer as a Sentinel", STR_NONE);
    else if (!redis_address_of(named.host, port, &a))
        redis_topology_complain(t, s, "names the master by no numeric address: ", named.host);
    else {
        is_named(t, &a, epoch);
        redis_topology_settled(t);
    }
}

static void look(struct redis_topology *t)
{
    struct redis_server *s = redis_topology_next(t);
    struct str words[] = { STR("SENTINEL"), STR("MASTER"), t->target->master_name };

    if (s)
        redis_topology_ask(t, s, words, ARRAY_LEN(words), on_named);
}

static struct redis_server *find(struct redis_topology *t, struct str key)
{
    (void)key;
    return t->master;
}

static void on_up(struct redis_topology *t, struct redis_server *s)
{
    if (s == t->candidate)
        become_master(t, s);
    else if (s != t->master && !is_well(t->master))
        redis_topology_doubt(t);
}

/* Sentinels have no databases and passwords of their own, and their health is not the store's. */
static void on_sentinel_change(struct redis_server *s)
{
    (void)s;
}

static void on_sentinel_doubt(struct redis_server *s)
{
    (void)s;
}

static void begin(struct redis_topology *t)
{
    t->rules.link.only_masters = true;
    t->sentinel_rules = t->rules;
    t->sentinel_rules.connections = 1;
    t->sentinel_rules.on_change = on_sentinel_change;
    t->sentinel_rules.on_doubt = on_sentinel_doubt;
    t->sentinel_rules.link.only_masters = false;
    t->sentinel_rules.link.username = t->sentinel_rules.link.password = STR_NONE;
    t->sentinel_rules.link.database = 0;
    for (size_t i = 0; i < t->address_count; i++)
        redis_topology_server(t, &t->sentinel_rules, &t->addresses[i]);
}

const struct redis_topology_kind redis_sentinel = {
    .begin = begin, .look = look, .find = find, .on_up = on_up
};

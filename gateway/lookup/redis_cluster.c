/* The slots of a cluster.
 *
 * Any server is asked for CLUSTER SLOTS; the addresses of the configuration are only where to begin, and to begin again when
 * nobody else can be reached. MOVED corrects one slot at once and has the rest looked at. A server that is away takes only its
 * own slots with it, until another one is told to have them.
 */
#include <stdlib.h>
#include <string.h>

#include "gateway/lookup/redis_topology.h"

static void add_seeds(struct redis_topology *t)
{
    for (size_t i = 0; i < t->address_count; i++)
        redis_topology_server(t, &t->rules, &t->addresses[i]);
}

/* Index of the server of a range; REDIS_NO_SERVER: there are too many. */
static uint8_t index_of(struct redis_topology *t, const struct redis_address *a)
{
    struct redis_server *s = redis_topology_server(t, &t->rules, a);

    for (size_t i = 0; s && i < t->server_count; i++)
        if (t->servers[i] == s)
            return (uint8_t)i;
    return REDIS_NO_SERVER;
}

/* Those without slots go; the others' indices are made dense again. */
static void drop_unwanted(struct redis_topology *t)
{
    struct redis_server *gone[REDIS_SERVERS_MAX];
    uint8_t index[REDIS_SERVERS_MAX + 1];
    size_t kept = 0, gone_count = 0;

    index[REDIS_NO_SERVER] = REDIS_NO_SERVER;
    for (size_t i = 0; i < t->server_count; i++) {
        struct redis_server *s = t->servers[i];

        if (!s->wanted && s->named_until_ns <= t->rules.link.loop->now_ns) {
            index[i] = REDIS_NO_SERVER;
            gone[gone_count++] = s;
            continue;
        }
        index[i] = (uint8_t)kept;
        t->servers[kept++] = s;
    }
    t->server_count = kept;
    for (size_t i = 0; i < REDIS_SLOTS; i++)
        t->slots[i] = index[t->slots[i]];
    while (gone_count > 0)
        redis_server_end(gone[--gone_count], "it has no slots in the cluster");
}

/* Is all of it as it should be? What is not is not believed in parts. */
static bool can_be_read(const struct redis_reply *r, const struct redis_address *by)
{
    struct redis_slot_range range;
    struct str name;

    for (size_t i = 0; i < r->count; i++)
        if (redis_slots_read(r, i, by, &range, &name) == SLOTS_BAD)
            return false;
    return r->type == REPLY_ARRAY && r->count > 0;
}

static void take_picture(struct redis_topology *t, const struct redis_server *by,
                         const struct redis_reply *r)
{
    if (!t->slots)
        t->slots = malloc(REDIS_SLOTS);
    if (!t->slots)
        die("out of memory for the slots of a cluster");
    memset(t->slots, REDIS_NO_SERVER, REDIS_SLOTS);
    for (size_t i = 0; i < t->server_count; i++)
        t->servers[i]->wanted = false;
    for (size_t i = 0; i < r->count; i++) {
        struct redis_slot_range range;
        struct str name = STR_NONE;
        uint8_t index;

        if (redis_slots_read(r, i, &by->address, &range, &name) != SLOTS_RANGE) {
            redis_topology_complain(t, by, "names a server by no numeric address: ", name);
            continue; /* its slots are away, the others are not */
        }
        index = index_of(t, &range.master);
        if (index == REDIS_NO_SERVER) {
            redis_topology_complain(t, by, "names more servers than can be kept", STR_NONE);
            continue;
        }
        t->servers[index]->wanted = true;
        t->servers[index]->named_until_ns = 0; /* from now on the picture says so */
        memset(t->slots + range.first, index, (size_t)(range.last - range.first) + 1);
    }
}

static void on_slots(struct redis_command *c, struct redis_link *l, const struct redis_reply *r,
                     const char *why)
{
    struct redis_server *s = CONTAINER(c, struct redis_server, look);
    struct redis_topology *t = redis_topology_of(s);

    (void)l;
    (void)why;
    s->looking = false;
    if (!r)
        return;
    if (!can_be_read(r, &s->address)) {
        redis_topology_complain(t, s, "does not say who has which slots: ", r->text);
        return;
    }
    take_picture(t, s, r);
    drop_unwanted(t);
    redis_topology_settled(t);
    t->on_change(t);
}

static void look(struct redis_topology *t)
{
    struct redis_server *s = redis_topology_next(t);
    struct str words[] = { STR("CLUSTER"), STR("SLOTS") };

    if (s)
        redis_topology_ask(t, s, words, ARRAY_LEN(words), on_slots);
    else
        add_seeds(t);
}

static struct redis_server *find(struct redis_topology *t, struct str key)
{
    uint8_t i = t->slots ? t->slots[redis_slot_of(key)] : REDIS_NO_SERVER;

    return i == REDIS_NO_SERVER ? NULL : t->servers[i];
}

static void on_up(struct redis_topology *t, struct redis_server *s)
{
    (void)s;
    if (!t->slots || redis_topology_is_away(t))
        redis_topology_doubt(t);
}

const struct redis_topology_kind redis_cluster = {
    .begin = add_seeds, .look = look, .find = find, .on_up = on_up
};

/* Who serves which key: one server, the master that Sentinels know, or the slots of a cluster.
 *
 * It keeps the servers, and looks again when something speaks against its picture, and now and then anyhow. A picture that
 * cannot be renewed stays. The three kinds are tables of functions, at the end of redis_topology.c, redis_sentinel.c and
 * redis_cluster.c.
 */
#ifndef GATEWAY_LOOKUP_REDIS_TOPOLOGY_H
#define GATEWAY_LOOKUP_REDIS_TOPOLOGY_H

#include "gateway/lookup/redis.h"
#include "gateway/lookup/redis_server.h"
#include "gateway/lookup/redis_slots.h"

#define REDIS_SERVERS_MAX 255 /* a slot names its server in a byte */
#define REDIS_NO_SERVER   255

struct redis_topology;

struct redis_topology_kind {
    void (*begin)(struct redis_topology *t);
    /* Ask whoever can be asked, if anybody can. */
    void (*look)(struct redis_topology *t);
    struct redis_server *(*find)(struct redis_topology *t, struct str key);
    /* A server of this topology is connected. */
    void (*on_up)(struct redis_topology *t, struct redis_server *s);
};

struct redis_topology {
    const struct redis_topology_kind *kind;
    const struct redis_target *target;
    struct redis_server_rules rules; /* of the servers that answer questions */
    struct redis_server_rules sentinel_rules;
    struct redis_address *addresses; /* of the target; those that can be read */
    size_t address_count;
    struct timer look_timer;
    uint64_t looked_ns; /* when somebody was asked last */
    size_t turn;        /* who is asked next */
    const char *told;   /* the last complaint about answers, a literal */
    uint64_t told_ns;
    /* All servers: of a single one or a cluster, or the Sentinels. */
    struct redis_server *servers[REDIS_SERVERS_MAX];
    size_t server_count;
    struct redis_server *master,
        *candidate; /* with Sentinel; the candidate is seen to be a master first */
    uint64_t epoch; /* of the Sentinels' election that named the last of them */
    uint8_t *slots; /* of a cluster: the server's index, or REDIS_NO_SERVER. NULL: no picture yet */
    /* The picture has changed; from the loop. */
    void (*on_change)(struct redis_topology *t);
};

extern const struct redis_topology_kind redis_single, redis_sentinel, redis_cluster;

/* How a store is put together; the servers' rules come without what the topology itself hears. */
void redis_topology_init(struct redis_topology *t, const struct redis_target *target,
                         const struct redis_server_rules *rules,
                         void (*on_change)(struct redis_topology *t));
/* All servers end; what they owe fails. */
void redis_topology_end(struct redis_topology *t);

/* The server for a key. NULL: not known, or nobody has it. */
struct redis_server *redis_topology_find(struct redis_topology *t, struct str key);
/* If nobody is known for the key: may that change within a moment? */
bool redis_topology_is_looking(const struct redis_topology *t);
/* "MOVED", "ASK": the server that another one named; NULL: it cannot be reached by what was said. moved: it has the slot
 * for good. */
struct redis_server *redis_topology_named(struct redis_topology *t, struct redis_server *by,
                                          struct str error, bool moved);
/* Something speaks against the picture: look again, soon. */
void redis_topology_doubt(struct redis_topology *t);
/* Is any server away that questions go to? */
bool redis_topology_is_away(const struct redis_topology *t);
/* Would any of them take a question? */
bool redis_topology_would_take(const struct redis_topology *t);

/* ---- for the kinds ---- */

/* The server at this address, made if need be; NULL: there are too many. */
struct redis_server *redis_topology_server(struct redis_topology *t,
                                           const struct redis_server_rules *rules,
                                           const struct redis_address *a);
/* A connected one that is not being asked, in turn; or NULL. */
struct redis_server *redis_topology_next(struct redis_topology *t);
/* Ask it about the picture. on_reply as in struct redis_command. */
void redis_topology_ask(struct redis_topology *t, struct redis_server *s, const struct str *words,
                        size_t count,
                        void (*on_reply)(struct redis_command *, struct redis_link *,
                                         const struct redis_reply *, const char *));
/* It was answered, and is as we have it. */
void redis_topology_settled(struct redis_topology *t);
/* The answer is of no use. Logged, the same complaint once a minute: `what` is a literal. */
void redis_topology_complain(struct redis_topology *t, const struct redis_server *s,
                             const char *what, struct str detail);

static inline struct redis_topology *redis_topology_of(const struct redis_server *s)
{
    return s->rules->owner;
}

#endif

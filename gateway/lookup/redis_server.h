/* One Redis server as a worker sees it: an address, some links to it, a line of commands that wait for one, and whether it is
 * worth asking (redis_outage.h).
 *
 * A command goes on the link that sends something in this turn anyhow, else on the one that owes the fewest replies. Links
 * that broke are dialled again after a growing delay with jitter, one at a time until the first is up.
 */
#ifndef GATEWAY_LOOKUP_REDIS_SERVER_H
#define GATEWAY_LOOKUP_REDIS_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/random.h"
#include "gateway/lookup/redis_error.h"
#include "gateway/lookup/redis_link.h"
#include "gateway/lookup/redis_outage.h"
#include "workers/loop.h"

struct redis_server;

struct redis_server_rules {
    struct redis_link_rules link;
    struct str store; /* its name, for logs */
    struct random *random;
    uint64_t timeout_ns, open_after, retry_every_ns;
    size_t connections;
    /* It is away, or back. */
    void (*on_change)(struct redis_server *s);
    /* A link came up. */
    void (*on_up)(struct redis_server *s);
    /* Something went wrong that another picture of who serves what might explain. */
    void (*on_doubt)(struct redis_server *s);
    void *owner;
};

struct redis_server {
    uint32_t magic;
    struct link_node node; /* of whoever keeps servers */
    const struct redis_server_rules *rules;
    struct redis_address address;
    struct redis_outage outage;
    struct list line; /* of struct redis_command */
    struct timer dial_timer, ping_timer;
    struct task end_task;
    struct redis_command ping, look; /* look: of the topology */
    bool pinging, looking;
    uint64_t pinged_ns;
    uint32_t up, opening; /* links */
    uint32_t dials_failed;
    bool wanted;             /* of the topology: the picture has it */
    uint64_t named_until_ns; /* or another server has named it */
    enum redis_trouble told_trouble;
    uint64_t told_ns; /* when a trouble was logged last; 0: none yet */
    size_t link_count;
    struct redis_link links[];
};

/* Begins to dial. */
struct redis_server *redis_server_new(const struct redis_server_rules *rules,
                                      const struct redis_address *address);
/* Close it. What waits and what is owed fails with `why`; the memory ends when the loop has turned. */
void redis_server_end(struct redis_server *s, const char *why);

/* Send a command, or let it wait for a link. False: there is no link, and none is being made right now. */
bool redis_server_take(struct redis_server *s, struct redis_command *c) MUST_USE;
/* The link that a command would go on now, or NULL. */
struct redis_link *redis_server_link(struct redis_server *s);
/* Replies have come, so there may be room: send what waits. */
void redis_server_go_on(struct redis_server *s);
static inline bool redis_server_is_connected(const struct redis_server *s)
{
    return s->up > 0;
}

/* What became of a question. */
void redis_server_succeeded(struct redis_server *s);
void redis_server_failed(struct redis_server *s, bool silent, const char *why);
/* An error was answered: logged when it is another than before; fails the server if it is the server's. */
void redis_server_erred(struct redis_server *s, struct str error);
/* Close all links and dial anew: it is not what it was. */
void redis_server_renew(struct redis_server *s, const char *why);

#endif

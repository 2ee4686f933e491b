/* One connection to a Redis: greets, carries commands in a pipeline, gives each its reply in order.
 *
 * The bytes go through workers/conn: edge-triggered, one send for all commands of a turn, bounded. A link is a place that is
 * dialled again after it has broken. It is up once the server has answered the greeting (who we are, which database,
 * PING; in a group that Sentinel watches, ROLE must say "master"), so an open port alone is nothing.
 *
 * A link that owes a reply and says nothing for silence_ns is given up: after a cut in the network an old connection may
 * stay dead when a new one would not.
 */
#ifndef GATEWAY_LOOKUP_REDIS_LINK_H
#define GATEWAY_LOOKUP_REDIS_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/list.h"
#include "gateway/base/str.h"
#include "gateway/lookup/redis_address.h"
#include "gateway/lookup/redis_reply.h"

struct conn;
struct loop;
struct pool;
struct redis_link;

/* A command: in a line, or sent and owed a reply. Embedded in whoever asks; stays until on_reply was called. */
struct redis_command {
    struct link_node node;
    /* Put it on the link with redis_link_send; false: no room. Not needed if it never waits in a line. */
    bool (*send)(struct redis_command *c, struct redis_link *l);
    bool after_asking; /* ASKING goes before it (Redis Cluster), whose reply is nobody's */
    bool asking_owed;
    /* Once. reply: NULL if there will be none; then `why` says so. `l` is the link it was sent on, or NULL. */
    void (*on_reply)(struct redis_command *c, struct redis_link *l, const struct redis_reply *reply,
                     const char *why);
};

/* What all links of a store keep to. */
struct redis_link_rules {
    struct loop *loop;
    struct pool *conns;
    struct str username, password;
    uint64_t database;
    uint64_t connect_ns; /* until it is up */
    uint64_t silence_ns;
    bool only_masters; /* ROLE is asked */
};

/* Told from the loop; neither may open the link again at once. */
struct redis_link_events {
    void (*on_up)(struct redis_link *l);
    /* It broke, or did not come up. The replies that it owed (l->sent_count) fail after this. */
    void (*on_down)(struct redis_link *l, bool was_up, const char *why);
};

enum redis_link_state { REDIS_LINK_DOWN, REDIS_LINK_OPENING, REDIS_LINK_UP };

/* Greeting: AUTH, SELECT, and PING or ROLE. */
#define REDIS_GREETINGS 3

struct redis_link {
    uint32_t magic;
    enum redis_link_state state;
    const struct redis_link_rules *rules;
    const struct redis_link_events *events;
    void *owner;
    struct conn *conn;
    struct redis_reader *reader;
    struct list sent; /* of struct redis_command, the oldest first */
    uint32_t sent_count;
    uint64_t up_ns; /* since when it is up, or was */
    struct redis_command greetings[REDIS_GREETINGS];
};

void redis_link_init(struct redis_link *l, const struct redis_link_rules *rules,
                     const struct redis_link_events *events, void *owner);
/* Nothing is told any more; what it owed is forgotten. */
void redis_link_end(struct redis_link *l);

/* Begin to connect. False: it cannot even begin; on_down is not called. */
bool redis_link_open(struct redis_link *l, const struct redis_address *to) MUST_USE;
/* Close it; what it owes fails with `why`, on_down is not called. Nothing happens when it is down. */
void redis_link_close(struct redis_link *l, const char *why);

/* Append a command of `count` words; on_reply follows. False: not up, or too much is waiting to be sent. */
bool redis_link_send(struct redis_link *l, struct redis_command *c, const struct str *words,
                     size_t count) MUST_USE;

#endif

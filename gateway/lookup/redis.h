/* Redis as a worker asks it: scripts by key, answered within the store's timeout, whatever becomes of Redis.
 *
 * A store belongs to the worker, not to a snapshot: it is found by the value of its target (lookups.h), so a reload
 * that keeps the target keeps the connections. Commands are pipelined; no question waits for a connection longer than
 * its timeout. A server that fails again and again is away (its own breaker, of this process): questions are then
 * refused at once, and PING tries now and then whether it is back, so that no request waits to find out. A failure that
 * PING does not see (it is full, it may not be written to) is tried with one question now and then.
 *
 * Nothing is asked twice when Redis may have done it already: a connection that breaks fails what was sent on it.
 *
 * One process, one thread. Questions are embedded in whoever asks.
 */
#ifndef GATEWAY_LOOKUP_REDIS_H
#define GATEWAY_LOOKUP_REDIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/str.h"

struct redis_store;

enum redis_mode { REDIS_SINGLE, REDIS_SENTINEL, REDIS_CLUSTER };

/* By value. Addresses are numeric: names were resolved when the configuration was read. */
struct redis_target {
    uint64_t id;     /* redis_target_seal says it: by it a store is found */
    struct str name; /* in the configuration, for logs and metrics */
    enum redis_mode mode;
    const struct str *
        addresses; /* "10.0.0.5:6379", "[::1]:6379", "unix:/run/redis.sock"; of Sentinels in that mode */
    size_t address_count;
    uint64_t database;
    struct str master_name;        /* with Sentinel */
    struct str username, password; /* empty: none. A secret: never logged */
    uint64_t connect_ns, timeout_ns;
    uint64_t open_after,
        retry_every_ns; /* failures in a row until it is away; how often it is tried then */
    size_t connections; /* of this worker, to each server */
};

/* Once, when all else of it is filled in. */
void redis_target_seal(struct redis_target *t);

enum redis_outcome {
    REDIS_OK,     /* an answer */
    REDIS_ERROR,  /* Redis answered with an error, or not with at most REDIS_NUMBERS integers */
    REDIS_FAILED, /* no connection, or it broke */
    REDIS_LATE    /* nothing within the timeout */
};
#define REDIS_OUTCOMES 4

/* The numbers that a script returned; all our scripts return an array of integers. */
#define REDIS_NUMBERS  8
struct redis_answer {
    enum redis_outcome outcome;
    size_t count;
    int64_t numbers[REDIS_NUMBERS];
};

/* A script; its SHA-1 is computed once. A server that does not know it yet is told. */
struct redis_script {
    struct str text;
    char sha1[41];
};
/* Both must live as long as a question with it is on its way. */
void redis_script_init(struct redis_script *s, struct str text);

/* A question on its way. Embedded; must stay until on_answer was called or it was cancelled. */
struct redis_question {
    void *command; /* of redis.c; NULL: not on its way */
    /* Called once, from the loop, never from redis_ask. The answer is valid during the call. */
    void (*on_answer)(struct redis_question *q, const struct redis_answer *a);
};

static inline void redis_question_init(struct redis_question *q,
                                       void (*on_answer)(struct redis_question *,
                                                         const struct redis_answer *))
{
    *q = (struct redis_question){ .on_answer = on_answer };
}

#define REDIS_ARGS 16
#define REDIS_QUESTION_BYTES                                                                       \
    4096 /* of key and arguments together: more is refused like a store that is away */

/* Ask: EVALSHA of one key and up to REDIS_ARGS arguments, which are copied.
 *
 * returns  false: the store is away or has too much to do; nothing was sent and on_answer will not be called */
bool redis_ask(struct redis_store *s, struct redis_question *q, const struct redis_script *script,
               struct str key, const struct str *args, size_t arg_count) MUST_USE;
/* Nobody wants to know any more; what Redis does with it is done. Always allowed. */
void redis_question_cancel(struct redis_question *q);

/* Would redis_ask be let through now? Of a cluster: to any of its servers. */
bool redis_is_up(const struct redis_store *s);

#endif

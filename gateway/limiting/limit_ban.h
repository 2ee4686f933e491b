/* Who is refused again and again is refused everything for a while.
 *
 * Refusals are counted by a bucket of their own, and a ban is a limit of one in so long, of which one has been
 * taken: both live in the cells of the limits and heal and survive as those do.
 */
#ifndef GATEWAY_LIMITING_LIMIT_BAN_H
#define GATEWAY_LIMITING_LIMIT_BAN_H

#include "gateway/exchange/builder.h"
#include "ratelimit/limiter.h"

struct limit_ban_settings {
    uint64_t after, within, length;
};

extern const struct conf_schema limit_ban_schema;

/* Const after the build. */
struct limit_ban {
    bool on;
    struct limiter strikes, bans; /* refusals that are forgiven; how often one is let out */
};

/* name      of the limit that it belongs to
 * returns   NULL, or why it cannot be, for people */
const char *limit_ban_build(struct limit_ban *ban, struct builder *b, struct str name,
                            const struct limit_ban_settings *s, enum when_full when_full) MUST_USE;

/* Is it banned? Then *d says until when. `key` is the client's under the limit. */
bool limit_ban_holds(const struct limit_ban *ban, uint64_t key, uint64_t now_ns,
                     struct decision *d) MUST_USE;
/* It has been refused. True if that led to a ban: *d as above. */
bool limit_ban_strike(const struct limit_ban *ban, uint64_t key, uint64_t now_ns,
                      struct decision *d);

#endif

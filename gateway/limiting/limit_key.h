/* Who has a limit of its own: from texts in the configuration to a key for the limiter.
 *
 * A key is made of parts that count together: [ip, route] is one limit for each address on each route. A part may
 * name several sources, of which the first that the request has is taken: "user|api_key|ip". What a request has
 * none of falls to the rule for missing ones, never to one key for all who lack it.
 */
#ifndef GATEWAY_LIMITING_LIMIT_KEY_H
#define GATEWAY_LIMITING_LIMIT_KEY_H

#include "gateway/base/digest.h"
#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"
#include "ratelimit/limiter.h"

#define LIMIT_KEY_PARTS   8
#define LIMIT_KEY_SOURCES 8 /* of a part */
#define LIMIT_KEY_GRAMMAR                                                                          \
    "auto, ip, api_key, user, consumer, header:NAME, cookie:NAME, query:NAME, route, service or "  \
    "global"

enum key_missing { MISSING_IP, MISSING_REFUSE, MISSING_SKIP };

struct key_part;

/* Const after the build. */
struct limit_key {
    const struct key_part *parts;
    size_t count;
    unsigned v6_prefix;
    enum key_missing missing;
    bool for_all_services; /* one of the parts is `global` */
};

enum key_result { KEY_FOUND, KEY_REFUSE, KEY_SKIP };

/* texts    of struct str, as in the configuration
 * returns  false: a problem has been reported */
bool limit_key_build(struct limit_key *key, struct builder *b, const struct conf_list *texts,
                     enum key_missing missing) MUST_USE;

/* The key of a request under this limiter. */
enum key_result limit_key_of(const struct limit_key *key, const struct limiter *l,
                             struct exchange *x, uint64_t *out) MUST_USE;
/* The same for whoever must not know it and yet know it again: other gateways, and the store that they share. Only of a
 * request that has a key. */
struct digest limit_key_digest(const struct limit_key *key, struct exchange *x);
/* The same for people: "192.0.2.1", "consumer:acme route:/users". Keys, cookies and what else a client says are
 * shortened and escaped; what does not fit into `room` ends with an ellipsis. No NUL; returns the length. */
size_t limit_key_text(const struct limit_key *key, const struct limiter *l, struct exchange *x,
                      char *to, size_t room);

#endif

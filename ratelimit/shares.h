/* The shares of a node: remote.h's words in shared cells, by client. Here is the only loop that changes such a word.
 *
 * A process may be killed between any two instructions: what it had been granted and not written is lost, and counts as
 * taken until Redis has forgotten it. Beside the word, unguarded, lies a note that is only advice: a wrong one costs a
 * question too many or too few, never a token.
 *
 * Never blocks, never fails: a full table is told before anybody asks. Processes: any number at once.
 */
#ifndef RATELIMIT_SHARES_H
#define RATELIMIT_SHARES_H

#include "ratelimit/limiter.h"
#include "ratelimit/remote.h"

/* Const once made; may be copied, as whoever asks does: an answer may come when its snapshot is gone. */
struct shares {
    struct remote remote;
    struct cells cells;
    uint64_t salt; /* of the limit: a key of the limiter is another one here */
    uint64_t tag;
    enum when_full when_full;
};

/* name     of the limit, as with limiter_init */
void shares_init(struct shares *s, const struct region_header *h, const struct cells *cells,
                 struct str name, const struct remote *remote, enum when_full when_full);

/* key      limiter_key of the client; now_ns as with limiter_take */
void shares_take(const struct shares *s, uint64_t key, uint64_t cost, uint64_t now_ns,
                 struct remote_taking *out);
void shares_give_back(const struct shares *s, uint64_t key, uint64_t count, uint64_t at_ns,
                      uint64_t now_ns);
/* Is there a cell for what would be granted? If not, asking for it would be for nothing: when_full says what to do. */
bool shares_has_place(const struct shares *s, uint64_t key, uint64_t now_ns) MUST_USE;
void shares_grant(const struct shares *s, uint64_t key, uint64_t asked_ns, uint64_t now_ns,
                  const struct remote_answer *a);

/* How many to ask for, see remote_want; others are told that somebody asks until then. 0: no need, or, when nobody waits
 * (needed is 0), a colleague asks already. */
uint64_t shares_want(const struct shares *s, uint64_t key, uint64_t gateways, uint64_t needed,
                     uint64_t now_ns, uint64_t until_ns);

/* How many gateways there are. A word in a cell of its own, which also says who asks next, for each store. */
struct gateways {
    struct cells cells;
    uint64_t key, tag;
};
void gateways_init(struct gateways *g, const struct region_header *h, const struct cells *cells,
                   struct str store);
/* As last seen, this one included; or as seen before that, if these were more: after a pause that all have had, the first to
 * come back sees itself alone. */
uint64_t gateways_count(const struct gateways *g);
/* As many as there may be: some may have come since it was asked, and at first nothing is known. */
uint64_t gateways_most(const struct gateways *g);
/* True: it is this caller's turn to ask, and nobody else's for `every_ns`. */
bool gateways_is_due(const struct gateways *g, uint64_t now_ns, uint64_t every_ns);
void gateways_seen(const struct gateways *g, uint64_t count, uint64_t now_ns);

#endif

/* Where a limit counts: under which name, in which cells, and what becomes of clients for whom there is no room. */
#ifndef GATEWAY_LIMITING_LIMIT_STATE_H
#define GATEWAY_LIMITING_LIMIT_STATE_H

#include "gateway/exchange/builder.h"
#include "gateway/limiting/limit_key.h"
#include "ratelimit/limiter.h"

/* What the state goes by: "service/step"; one of the whole gateway: "/step"; one that services share: "* /step" (without the
 * blank). */
struct str limit_state_name(const struct builder *b, const struct limit_key *key);
enum when_full limit_state_when_full(const struct builder *b);

/* log_keys  clients remembered at once by an algorithm that keeps a log
 * cost      of a request
 * returns   NULL, or why the limit cannot be, for people */
const char *limit_state_limiter(struct limiter *l, struct builder *b, struct str name,
                                const struct algorithm *a, const struct limit *limit,
                                uint64_t log_keys, uint64_t cost) MUST_USE;

#endif

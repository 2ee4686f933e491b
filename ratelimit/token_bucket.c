/* Token bucket: a client earns `count` tokens each period and may save up to `burst`.
 *
 * The bucket is not stored as a level but as the time at which it would be full again: see arrival.h.
 */
#include "ratelimit/token_bucket.h"

#include "ratelimit/arrival.h"

const struct algorithm token_bucket = {
    .name = "token_bucket",
    .doc =
        "Tokens are earned steadily at the rate and saved up to the burst; each request takes one.",
    .cannot = arrival_cannot,
    .step = arrival_step,
    .rescale = arrival_rescale,
    .idle_ns = arrival_idle_ns,
    .at_once = arrival_at_once,
};

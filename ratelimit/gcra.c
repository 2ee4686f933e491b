/* GCRA: requests have their turns, evenly spaced at the rate; one may come before its turn by no more than
 * the tolerance.
 *
 * With a tolerance of (burst - 1) turns it lets pass what a token bucket of that burst lets pass; so a
 * tolerance is kept as a burst, and the arithmetic is the same: see arrival.h.
 */
#include "ratelimit/gcra.h"

#include "ratelimit/arrival.h"

struct limit gcra_limit(uint64_t count, uint64_t per_ns, uint64_t tolerance_ns)
{
    /* rounded down: never earlier than the tolerance */
    unsigned __int128 turns = (unsigned __int128)tolerance_ns * count / per_ns;

    return (struct limit){ .count = count,
                           .per_ns = per_ns,
                           .burst = turns < UINT32_MAX ? (uint64_t)turns + 1 : UINT32_MAX };
}

const struct algorithm gcra = {
    .name = "gcra",
    .doc = "Requests have turns, evenly spaced at the rate; one may come before its turn by no "
           "more than the tolerance.",
    .cannot = arrival_cannot,
    .step = arrival_step,
    .rescale = arrival_rescale,
    .idle_ns = arrival_idle_ns,
    .at_once = arrival_at_once,
};

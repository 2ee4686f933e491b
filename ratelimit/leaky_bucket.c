/* Leaky bucket: what is poured in leaves evenly at the rate, and the bucket holds `burst`; what does not fit
 * runs over.
 *
 * As a meter: who fits in is let pass at once. As a queue: who fits in is let pass when it leaves at the
 * bottom, after delay_ns, so that a service sees requests evenly spaced. Both are one arithmetic (arrival.h):
 * the bucket is empty at the time in the word, and what is in it now is what a newcomer waits for. Which of
 * the two it is, the caller decides by heeding delay_ns or not.
 */
#include "ratelimit/leaky_bucket.h"

#include "ratelimit/arrival.h"

static uint64_t step(uint64_t word, const struct limit *l, uint64_t now_ns, int32_t cost,
                     struct decision *out)
{
    uint64_t before_ns = arrival_backlog_ns(word, l, now_ns);
    uint64_t next = arrival_step(word, l, now_ns, cost, out);

    if (cost >= 0 && out->allowed)
        out->delay_ns = before_ns;
    return next;
}

struct limit leaky_bucket_queue(uint64_t count, uint64_t per_ns, uint64_t delay_ns)
{
    /* the one that leaves, and those that leave within the delay; rounded down */
    unsigned __int128 waiting = (unsigned __int128)delay_ns * count / per_ns;

    return (struct limit){ .count = count,
                           .per_ns = per_ns,
                           .burst = waiting < UINT32_MAX ? (uint64_t)waiting + 1 : UINT32_MAX };
}

const struct algorithm leaky_bucket = {
    .name = "leaky_bucket",
    .doc = "Requests leave evenly at the rate. With a delay they wait for their turn, no longer "
           "than that; without, they pass at once while no more than the burst is in the bucket.",
    .cannot = arrival_cannot,
    .step = step,
    .rescale = arrival_rescale,
    .idle_ns = arrival_idle_ns,
    .at_once = arrival_at_once,
};

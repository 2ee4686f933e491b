/* The arithmetic of buckets on one word, the time at which the bucket will be as if nobody had ever taken
 * from it (the "theoretical arrival time" of ITU-T I.371): a word is enough, and nothing needs refilling.
 * Taking one moves that time by what one takes to earn; it may lie ahead of now by what the burst takes.
 * Token bucket, leaky bucket and GCRA are three ways to speak of it.
 *
 * Time is counted in grains of 1/32 ns: what one takes is then exact to better than 0.1 % at 32 million a
 * second and to 1 in 10^8 at 100 a second. It is rounded up, so nobody ever gets more than the limit says;
 * 64 bits of grains last 18 years.
 *
 * The word only ever moves by what was taken, or forward to now (which loses what was saved beyond the
 * burst). So it does not matter how far the clocks of those who share it are apart: what all of them were
 * allowed is bounded by the clock that is most ahead.
 */
#ifndef RATELIMIT_ARRIVAL_H
#define RATELIMIT_ARRIVAL_H

#include "ratelimit/algorithm.h"

/* The members of struct algorithm. */
const char *arrival_cannot(const struct limit *l);
uint64_t arrival_step(uint64_t word, const struct limit *l, uint64_t now_ns, int32_t cost,
                      struct decision *out);
uint64_t arrival_rescale(uint64_t word, const struct limit *was, const struct limit *is,
                         uint64_t now_ns);
uint64_t arrival_idle_ns(const struct limit *l);
uint64_t arrival_at_once(const struct limit *l);

/* How long what was taken before takes to be earned again. */
uint64_t arrival_backlog_ns(uint64_t word, const struct limit *l, uint64_t now_ns);

#endif

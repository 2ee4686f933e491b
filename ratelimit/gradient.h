/* Gradient: how many requests a service can take at once, found out from how long it takes for them.
 *
 * Now and then only a few are let in, to see how long a request takes where nobody queues (the base). Between, windows of
 * answers are looked at: while they take about as long as the base, more are let in; when they take longer, the
 * requests have begun to queue inside the service, and fewer are:
 *
 *     limit' = limit * base * (1 + headroom) / latency + sqrt(limit)
 *
 * the factor kept between 1/2 and 2, and half of the way gone at a time. The root is what lets a small limit
 * grow. (The idea is TCP Vegas' and of Netflix' concurrency-limits; with measured phases as Envoy has it.)
 *
 * All of it is two shared words, each changed by one swap. Word 0 is "never seen" and begins with a measurement. A
 * process that is killed between the two costs a window of answers.
 */
#ifndef RATELIMIT_GRADIENT_H
#define RATELIMIT_GRADIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/word.h"

#define GRADIENT_MOST 65535 /* limits fit in 16 bits */

struct gradient {
    uint64_t min, max;     /* of the limit; while the base is measured it is min */
    uint64_t measure_ns;   /* the base is measured so often */
    uint64_t window_ns;    /* answers are collected for so long, and until there are enough */
    uint64_t headroom_ppm; /* longer than the base by so much is not yet queueing */
};

/* Lies in shared memory. */
struct gradient_words {
    _Alignas(CACHE_LINE) shared_word state; /* limit, base, phase, since when: see gradient.c */
    shared_word window;                     /* answers so far: how many, how long together */
};

/* One answer. Times as of region_now(). */
struct gradient_answer {
    uint64_t begun_ns, now_ns;
    uint64_t latency_ns;
    uint64_t in_flight; /* how many there were */
    bool failed; /* it took too long: that says how long at least, and nothing about the base */
};

/* How many may be let in now. */
uint64_t gradient_limit(const struct gradient *g, const struct gradient_words *w);
/* An answer came. Any process, at any time. */
void gradient_tell(const struct gradient *g, struct gradient_words *w,
                   const struct gradient_answer *a);

/* For pages. */
struct gradient_view {
    uint64_t limit, base_ns; /* 0: not known yet */
    bool measuring;
};
struct gradient_view gradient_look(const struct gradient_words *w);

#endif

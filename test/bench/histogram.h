/* How long things took: counts in 64 steps per power of two, so a value read back is at most 1.6 %
 * too small. 20 KiB whatever is counted; histograms of several threads add up.
 */
#ifndef TEST_BENCH_HISTOGRAM_H
#define TEST_BENCH_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_STEP_BITS = 6, HISTOGRAM_POWERS = 40 };

struct histogram {
    uint64_t count;
    uint64_t most_ns;
    uint64_t cells[HISTOGRAM_POWERS << HISTOGRAM_STEP_BITS];
};

void histogram_add(struct histogram *h, uint64_t ns);
void histogram_merge(struct histogram *into, const struct histogram *from);

/* The value below which `share` (0..1) of the counted ones lie; 0 if nothing was counted. */
uint64_t histogram_at(const struct histogram *h, double share);

#endif

/* Latencies by logarithm, as HdrHistogram does it: the power of two chooses a row, the bits below
 * the highest choose the step in it. */
#include "test/bench/histogram.h"

#include "gateway/base/check.h"

static uint32_t cell_of(uint64_t ns)
{
    uint32_t shift;

    if (ns < (1u << HISTOGRAM_STEP_BITS))
        return (uint32_t)ns; /* small values are their own cell */
    shift = 63u - (uint32_t)__builtin_clzll(ns) - HISTOGRAM_STEP_BITS;
    if (shift + 1 >= HISTOGRAM_POWERS)
        return ARRAY_LEN(((struct histogram *)0)->cells) - 1;
    return (shift << HISTOGRAM_STEP_BITS) + (uint32_t)(ns >> shift);
}

static uint64_t value_of(uint32_t cell)
{
    uint32_t row = cell >> HISTOGRAM_STEP_BITS;

    if (row == 0)
        return cell;
    return (uint64_t)(cell - ((row - 1) << HISTOGRAM_STEP_BITS)) << (row - 1);
}

void histogram_add(struct histogram *h, uint64_t ns)
{
    h->count++;
    h->cells[cell_of(ns)]++;
    if (ns > h->most_ns)
        h->most_ns = ns;
}

void histogram_merge(struct histogram *into, const struct histogram *from)
{
    into->count += from->count;
    if (from->most_ns > into->most_ns)
        into->most_ns = from->most_ns;
    for (uint32_t i = 0; i < ARRAY_LEN(into->cells); i++)
        into->cells[i] += from->cells[i];
}

uint64_t histogram_at(const struct histogram *h, double share)
{
    uint64_t rank = (uint64_t)((double)h->count * share);
    uint64_t seen = 0;

    for (uint32_t i = 0; i < ARRAY_LEN(h->cells); i++) {
        seen += h->cells[i];
        if (seen > rank)
            return value_of(i);
    }
    return h->most_ns;
}

/* Windows of wall time: which one a moment lies in. For fixed_window and sliding_window.
 *
 * Windows begin where people expect them to: on the full second, minute, hour, and day of UTC.
 */
#ifndef RATELIMIT_WINDOW_H
#define RATELIMIT_WINDOW_H

#include <stdint.h>

#include "gateway/base/number.h"

#define WINDOW_IDLE_SLACK NS_PER_S

/* A division by a known number is a multiplication. */
static inline uint64_t window_of(uint64_t now_ns, uint64_t per_ns)
{
    switch (per_ns) {
    case NS_PER_S:
        return now_ns / NS_PER_S;
    case 60 * NS_PER_S:
        return now_ns / (60 * NS_PER_S);
    case 3600 * NS_PER_S:
        return now_ns / (3600 * NS_PER_S);
    default:
        return now_ns / per_ns;
    }
}

/* No clock, read once a turn, is older than this many windows. */
static inline uint64_t window_skew(uint64_t per_ns)
{
    return window_of(600 * NS_PER_S, per_ns) + 1;
}

#endif

/* Sliding window from two counters: about `count` in any period, whenever it begins. */
#ifndef RATELIMIT_SLIDING_WINDOW_H
#define RATELIMIT_SLIDING_WINDOW_H

#include "ratelimit/algorithm.h"

extern const struct algorithm sliding_window;

#endif

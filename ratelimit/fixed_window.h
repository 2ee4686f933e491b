/* Fixed window: `count` in each second, minute, hour or day of the clock. */
#ifndef RATELIMIT_FIXED_WINDOW_H
#define RATELIMIT_FIXED_WINDOW_H

#include "ratelimit/algorithm.h"

extern const struct algorithm fixed_window;

#endif

/* GCRA, the generic cell rate algorithm of ITU-T I.371: rate and tolerance. */
#ifndef RATELIMIT_GCRA_H
#define RATELIMIT_GCRA_H

#include "ratelimit/algorithm.h"

extern const struct algorithm gcra;

/* The limit by which a request may come `tolerance_ns` before its turn, and not earlier. */
struct limit gcra_limit(uint64_t count, uint64_t per_ns, uint64_t tolerance_ns);

#endif

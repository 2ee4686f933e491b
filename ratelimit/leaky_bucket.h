/* Leaky bucket: what is poured in leaves evenly at the rate; what does not fit runs over. */
#ifndef RATELIMIT_LEAKY_BUCKET_H
#define RATELIMIT_LEAKY_BUCKET_H

#include "ratelimit/algorithm.h"

extern const struct algorithm leaky_bucket;

/* The bucket from which nobody leaves later than `delay_ns` after coming in, for use as a queue. */
struct limit leaky_bucket_queue(uint64_t count, uint64_t per_ns, uint64_t delay_ns);

#endif

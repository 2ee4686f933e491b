/* Token bucket: a client earns `count` tokens each period and may save up to `burst`. */
#ifndef RATELIMIT_TOKEN_BUCKET_H
#define RATELIMIT_TOKEN_BUCKET_H

#include "ratelimit/algorithm.h"

extern const struct algorithm token_bucket;

#endif

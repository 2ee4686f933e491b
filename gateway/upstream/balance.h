/* Which endpoint is next. */
#ifndef GATEWAY_UPSTREAM_BALANCE_H
#define GATEWAY_UPSTREAM_BALANCE_H

#include <stdint.h>

#include "gateway/exchange/service.h"

/* Round robin over one counter that all workers share: with n workers, too, the turns alternate exactly. */
static inline uint32_t balance_round_robin(const struct service *s)
{
    return s->endpoint_count > 1 ? (uint32_t)(word_add(s->turn, 1) % s->endpoint_count) : 0;
}

#endif

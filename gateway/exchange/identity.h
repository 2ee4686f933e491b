/* Who asks. Set by steps that authenticate, read by limits and logs; a limit need not know which step it was. */
#ifndef GATEWAY_EXCHANGE_IDENTITY_H
#define GATEWAY_EXCHANGE_IDENTITY_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/cidr.h"
#include "gateway/base/str.h"

struct identity {
    struct ip address; /* of the client, after trusted proxies were looked through */
    struct str address_text;
    struct str peer_text; /* of whoever is connected to us: the client, or a proxy */
    bool peer_is_ipv6;
    struct str api_key;        /* verified; a secret: never logged */
    struct str user, consumer; /* empty: unknown */
    struct str plan;           /* of the consumer; empty: none */
    uint32_t plan_number; /* in the configuration that the exchange began with, from 1; 0: none */
    uint32_t group_count;
    const struct str *groups; /* of the consumer */
};

#endif

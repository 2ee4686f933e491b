/* What an error of Redis means for us. Pure.
 */
#ifndef GATEWAY_LOOKUP_REDIS_ERROR_H
#define GATEWAY_LOOKUP_REDIS_ERROR_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/str.h"

enum redis_trouble {
    TROUBLE_QUESTION,   /* with this question alone: another may go well */
    TROUBLE_NOSCRIPT,   /* it was not told the script yet, or forgot it */
    TROUBLE_MOVED,      /* another server has this slot */
    TROUBLE_ASK,        /* another server has this key by now */
    TROUBLE_NOT_MASTER, /* it may not be written to */
    TROUBLE_CLUSTER,    /* the cluster has lost slots, or is moving them */
    TROUBLE_DENIED,     /* who we are, or what we may */
    TROUBLE_UNABLE      /* loading, full, busy, not enough replicas … */
};

enum redis_trouble redis_trouble_of(struct str error);
/* Is it the server that is unwell, so that it may be counted as away? */
bool redis_trouble_is_servers(enum redis_trouble t);

/* MOVED and ASK: "MOVED 3999 127.0.0.1:6381". An empty host is that of who says it; a name may follow from Redis 7 on.
 * returns  false if it cannot be read */
bool redis_redirection(struct str error, uint64_t *slot, struct str *host, uint64_t *port) MUST_USE;

#endif

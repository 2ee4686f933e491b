/* Stores outside of the gateway: `stores.redis.NAME`.
 *
 * Names of hosts are resolved by the master when the configuration is read; what it found reaches every
 * worker with the bundle and stands in `addresses` before any step is built. See builder_redis.
 */
#ifndef CONF_STORE_H
#define CONF_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/schema.h"
#include "gateway/base/cidr.h"
#include "gateway/base/str.h"

enum conf_redis_mode { CONF_REDIS_SINGLE, CONF_REDIS_SENTINEL, CONF_REDIS_CLUSTER };

/* redis://host[:port][/database], host[:port] or unix:/path */
struct conf_redis_url {
    struct str text; /* as written; holds no password */
    struct str path; /* of a Unix socket; else empty, and: */
    struct str host; /* without brackets, lower case */
    uint16_t port;   /* 0: not said */
    bool is_ip;
    struct ip ip; /* if is_ip; else `host` is a name to resolve */
    uint64_t database;
};

struct conf_redis_pool {
    uint64_t per_worker; /* connections */
};

struct conf_redis_outage {
    uint64_t open_after, retry_every; /* failures in a row; ns */
};

struct conf_redis {
    struct str name;
    struct conf_list urls; /* of struct conf_redis_url; at least one */
    int mode;              /* enum conf_redis_mode */
    struct str master_name;
    struct str username, password; /* empty: none. A secret */
    struct conf_redis_pool pool;
    uint64_t connect_timeout, timeout; /* ns */
    struct conf_redis_outage outage;
    struct str
        key_prefix; /* holds no braces: what stands in braces says where a cluster keeps a key */
    /* Not read from the file: "10.0.0.5:6379", "[::1]:6379", "unix:/path", what the urls stand for now. None: no name could be
     * resolved. */
    const struct str *addresses;
    size_t address_count;
};

struct conf_stores {
    struct conf_list redis; /* of struct conf_redis */
};

extern const struct conf_schema conf_stores_schema;

/* The store of that name, or NULL. */
const struct conf_redis *conf_redis_named(const struct conf_stores *s, struct str name);
/* What all urls say; 0 by default. */
uint64_t conf_redis_database(const struct conf_redis *r);

#endif

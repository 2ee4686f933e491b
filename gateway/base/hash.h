/* A keyed 64-bit hash (SipHash-1-3, Aumasson and Bernstein 2012): without the key nobody can choose texts
 * that meet in one place, so tables that clients fill cannot be flooded.
 */
#ifndef GATEWAY_BASE_HASH_H
#define GATEWAY_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#include "gateway/base/str.h"

struct hash_key {
    uint64_t k0, k1;
};

/* A key from the system's random source. Processes that share a table share its key. */
struct hash_key hash_key_new(void);
uint64_t hash_keyed(const struct hash_key *key, const void *bytes, size_t len);

static inline uint64_t hash_str(const struct hash_key *key, struct str s)
{
    return hash_keyed(key, s.at, s.len);
}

#endif

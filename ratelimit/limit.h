/* A limit: so many in a period, and so many at once. As text: "100/s burst 200".
 */
#ifndef RATELIMIT_LIMIT_H
#define RATELIMIT_LIMIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/check.h"
#include "gateway/base/str.h"

struct limit {
    uint64_t count, per_ns; /* count per period */
    uint64_t burst;         /* at once */
};

#define LIMIT_TEXT_MAX 64

/* "100/s", "5/m burst 10"; without a burst it is the count. Returns NULL, or why it is none, for people. */
const char *limit_read(struct str text, struct limit *limit) MUST_USE;
/* Reads back as the same; at most LIMIT_TEXT_MAX bytes, no NUL. Returns how many. */
size_t limit_write(char *to, const struct limit *limit);
/* NULL, or why no algorithm could keep it, for people. */
const char *limit_check(const struct limit *limit) MUST_USE;

/* A limit that passed limit_check in 54 bits, exact up to a million and to one in 500 000 beyond: what the cells remember
 * of the limit that a word was last used under. Never 0. */
uint64_t limit_pack(const struct limit *limit);
struct limit limit_unpack(uint64_t packed);

#endif

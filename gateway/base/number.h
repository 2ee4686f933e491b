/* Text <-> numbers, every step checked for overflow.
 *
 * The readers take the whole text or refuse it: no sign, no space, no second meaning. A writer puts at
 * most NUMBER_TEXT_MAX bytes, no NUL, and returns how many.
 */
#ifndef GATEWAY_BASE_NUMBER_H
#define GATEWAY_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/check.h"
#include "gateway/base/str.h"

#define NUMBER_TEXT_MAX 24

#define NS_PER_US       UINT64_C(1000)
#define NS_PER_MS       UINT64_C(1000000)
#define NS_PER_S        UINT64_C(1000000000)

/* So many in a period: 200/s is { 200, NS_PER_S }. */
struct number_rate {
    uint64_t count, per_ns;
};

/* Decimal digits only, 1 to 20 of them. */
bool number_read_u64(struct str text, uint64_t *value) MUST_USE;
/* Hexadecimal digits only, 1 to 16 of them. */
bool number_read_hex(struct str text, uint64_t *value) MUST_USE;
/* With an optional minus. */
bool number_read_i64(struct str text, int64_t *value) MUST_USE;
/* Bytes: 512, 64k, 8m, 1g, 2t (base 1024, either case). */
bool number_read_size(struct str text, uint64_t *bytes) MUST_USE;
/* Nanoseconds: 250us, 500ms, 10s, 5m, 1h, 7d; a bare 0 is no time at all. */
bool number_read_duration(struct str text, uint64_t *ns) MUST_USE;
/* 200/s, 600/m, 1000/h, 5000/d; the period is never 0, the count may be. */
bool number_read_rate(struct str text, struct number_rate *rate) MUST_USE;
/* Millionths: 50%, 12.5%, 0.5, 1; more than the whole is allowed (125%), up to 10000%. */
bool number_read_share(struct str text, uint64_t *ppm) MUST_USE;

size_t number_write_u64(char *to, uint64_t value);
size_t number_write_i64(char *to, int64_t value);
/* In the largest unit that divides it, so that what is written reads back as the same. */
size_t number_write_size(char *to, uint64_t bytes);
size_t number_write_duration(char *to, uint64_t ns);
/* At most 20 + 2 bytes; per_ns must be one of the four periods. */
size_t number_write_rate(char *to, struct number_rate rate);
size_t number_write_share(char *to, uint64_t ppm);

#endif

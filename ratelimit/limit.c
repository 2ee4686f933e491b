/* Limits as text and as bits. */
#include "ratelimit/limit.h"

#include <string.h>

#include "gateway/base/number.h"

#define MANTISSA 12
#define EXPONENT 6
#define PACKED   (MANTISSA + EXPONENT) /* bits of one number */

static const struct number_rate periods[] = {
    { 0, NS_PER_S },
    { 0, 60 * NS_PER_S },
    { 0, 3600 * NS_PER_S },
    { 0, 86400 * NS_PER_S },
};

const char *limit_read(struct str text, struct limit *limit)
{
    struct str rest, rate_text = str_cut(str_trim(text), ' ', &rest), word;
    struct number_rate rate;

    if (!number_read_rate(rate_text, &rate))
        return "not a rate like 100/s, 5/m, 1000/h or 10000/d";
    *limit = (struct limit){ .count = rate.count, .per_ns = rate.per_ns, .burst = rate.count };
    rest = str_trim(rest);
    if (rest.len) {
        word = str_cut(rest, ' ', &rest);
        if (!str_equal(word, STR("burst")) || !number_read_u64(str_trim(rest), &limit->burst))
            return "after the rate may only come: burst and a number";
    }
    return limit_check(limit);
}

size_t limit_write(char *to, const struct limit *limit)
{
    size_t at = number_write_rate(to, (struct number_rate){ limit->count, limit->per_ns });

    memcpy(to + at, " burst ", 7);
    at += 7;
    return at + number_write_u64(to + at, limit->burst);
}

const char *limit_check(const struct limit *limit)
{
    bool known = false;

    for (size_t i = 0; i < ARRAY_LEN(periods); i++)
        known |= limit->per_ns == periods[i].per_ns;
    if (!known)
        return "the period must be a second, minute, hour or day";
    if (limit->count == 0)
        return "the rate must be at least 1";
    if (limit->burst == 0)
        return "the burst must be at least 1";
    return NULL;
}

/* A small float: the highest bits of the number and how far they were shifted. */
static uint64_t pack_number(uint64_t n)
{
    unsigned bits = n ? 64 - (unsigned)__builtin_clzll(n) : 0;
    unsigned shift = bits > MANTISSA ? bits - MANTISSA : 0;

    return (n >> shift) << EXPONENT | shift;
}

static uint64_t unpack_number(uint64_t packed)
{
    uint64_t number = packed & ((UINT64_C(1) << PACKED) - 1);

    return (number >> EXPONENT) << (number & ((1U << EXPONENT) - 1));
}

uint64_t limit_pack(const struct limit *limit)
{
    return pack_number(limit->count) << 2 * PACKED | pack_number(limit->per_ns) << PACKED |
           pack_number(limit->burst);
}

struct limit limit_unpack(uint64_t packed)
{
    return (struct limit){ .count = unpack_number(packed >> 2 * PACKED),
                           .per_ns = unpack_number(packed >> PACKED),
                           .burst = unpack_number(packed) };
}

/* Limits as text and as bits. */
#include "ratelimit/limit.h"

#include <string.h>

#include "gateway/base/number.h"

/* Packed: count:26 burst:26 period:2, each number as its highest 20 bits and how far they were shifted. */
#define MANTISSA 20
#define EXPONENT 6
#define NUMBER   (MANTISSA + EXPONENT)
#define PERIOD   2

static const uint64_t periods[] = { NS_PER_S, 60 * NS_PER_S, 3600 * NS_PER_S, 86400 * NS_PER_S };
_Static_assert(ARRAY_LEN(periods) == 1 << PERIOD, "each has its number");

static size_t period_number(uint64_t per_ns)
{
    size_t i = 0;

    while (i < ARRAY_LEN(periods) && periods[i] != per_ns)
        i++;
    return i;
}

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
    static const struct str between = STR_INIT(" burst ");
    size_t at = number_write_rate(to, (struct number_rate){ limit->count, limit->per_ns });

    memcpy(to + at, between.at, between.len);
    at += between.len;
    return at + number_write_u64(to + at, limit->burst);
}

const char *limit_check(const struct limit *limit)
{
    if (period_number(limit->per_ns) == ARRAY_LEN(periods))
        return "the period must be a second, minute, hour or day";
    if (limit->count == 0)
        return "the rate must be at least 1";
    if (limit->burst == 0)
        return "the burst must be at least 1";
    return NULL;
}

static uint64_t pack_number(uint64_t n)
{
    unsigned bits = n ? 64 - (unsigned)__builtin_clzll(n) : 0;
    unsigned shift = bits > MANTISSA ? bits - MANTISSA : 0;

    return (n >> shift) << EXPONENT | shift;
}

static uint64_t unpack_number(uint64_t packed)
{
    uint64_t number = packed & ((UINT64_C(1) << NUMBER) - 1);

    return (number >> EXPONENT) << (number & ((1U << EXPONENT) - 1));
}

uint64_t limit_pack(const struct limit *limit)
{
    CHECK(limit_check(limit) == NULL);
    return pack_number(limit->count) << (NUMBER + PERIOD) | pack_number(limit->burst) << PERIOD |
           period_number(limit->per_ns);
}

struct limit limit_unpack(uint64_t packed)
{
    return (struct limit){ .count = unpack_number(packed >> (NUMBER + PERIOD)),
                           .per_ns = periods[packed & ((1U << PERIOD) - 1)],
                           .burst = unpack_number(packed >> PERIOD) };
}

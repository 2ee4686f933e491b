/* Classes of octets in HTTP's grammar, and the one scan that all heads go through.
 *
 * The scan looks for control characters: a line of a head ends at the first of them, and it had better
 * be a CR. Sixteen octets at a time where every x86-64 can (SSE2), thirty-two for long values where the
 * CPU has AVX2, one at a time elsewhere; the result is the same.
 */
#ifndef GATEWAY_HTTP_OCTETS_H
#define GATEWAY_HTTP_OCTETS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

#include "gateway/base/str.h"

enum octet_class {
    OCTET_TOKEN = 1,  /* RFC 9110 5.6.2 tchar */
    OCTET_TARGET = 2, /* visible ASCII without '#': what may stand in a request target */
    OCTET_PATH = 4,   /* RFC 3986 pchar but '%': stands for itself in a path segment */
    OCTET_HOST = 8,   /* unreserved: what may stand in a host name */
    OCTET_HEX = 16,
    OCTET_DIGIT = 32,
    OCTET_COMMON = 64 /* letters, digits and '-': of what nearly all names are made */
};

extern const uint8_t octet_classes[256];

static inline bool octet_is(char c, enum octet_class class)
{
    return (octet_classes[(unsigned char)c] & class) != 0;
}

/* Not empty, and every octet of that class. */
bool octets_are(struct str s, enum octet_class class);
/* The value of a hex digit (the caller knows that it is one). */
unsigned octet_hex(char c);

/* Copies a text that is probably short, and returns behind it: for a few octets a call costs more than they do. */
static inline char *octets_put(char *to, struct str s)
{
    if (s.len > 32) {
        memcpy(to, s.at, s.len);
    } else if (s.len >= 16) { /* the first and the last, which may overlap */
        memcpy(to, s.at, 16);
        memcpy(to + s.len - 16, s.at + s.len - 16, 16);
    } else if (s.len >= 8) {
        memcpy(to, s.at, 8);
        memcpy(to + s.len - 8, s.at + s.len - 8, 8);
    } else if (s.len >= 4) {
        memcpy(to, s.at, 4);
        memcpy(to + s.len - 4, s.at + s.len - 4, 4);
    } else if (s.len) {
        to[0] = s.at[0];
        to[s.len / 2] = s.at[s.len / 2];
        to[s.len - 1] = s.at[s.len - 1];
    }
    return to + s.len;
}

/* The first octet of [p, end) that may not stand in a field value (controls except HTAB, and DEL), or end.
 * The three ways to find it give the same answer; octets_find_control takes the best. */
const char *octets_find_control_plain(const char *p, const char *end);
const char *octets_find_control_long(const char *p, const char *end);

#ifdef __SSE2__
/* Bit n: octet n is a control. */
static inline unsigned octets_controls_of(__m128i c)
{
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(c, _mm_set1_epi8(0x1f)), c);
    __m128i tab = _mm_cmpeq_epi8(c, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(c, _mm_set1_epi8(0x7f));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

static inline unsigned octets_controls16(const char *p)
{
    return octets_controls_of(_mm_loadu_si128((const __m128i *)(const void *)p));
}

/* 0xff where an octet lies between `low` and `low` + `width`. */
static inline __m128i octets_between16(__m128i c, char low, char width)
{
    __m128i above = _mm_sub_epi8(c, _mm_set1_epi8(low));

    return _mm_cmpeq_epi8(_mm_min_epu8(above, _mm_set1_epi8(width)), above);
}

/* Letters and digits, of which nearly everything is made. */
static inline __m128i octets_alnum16(__m128i c)
{
    __m128i folded = _mm_or_si128(c, _mm_set1_epi8(0x20));

    return _mm_or_si128(octets_between16(folded, 'a', 25), octets_between16(c, '0', 9));
}

/* Which of sixteen octets are letters, digits or '-'. */
static inline unsigned octets_common16(__m128i c)
{
    __m128i dash = _mm_cmpeq_epi8(c, _mm_set1_epi8('-'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(octets_alnum16(c), dash));
}

/* Past letters, digits and '-', sixteen at a time: where a name may end, or have one of the rarer characters. */
static inline const char *octets_skip_name(const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        unsigned in = octets_common16(_mm_loadu_si128((const __m128i *)(const void *)p));

        if (in != 0xffff)
            return p + __builtin_ctz(~in);
    }
    return p;
}

/* Sixteen octets, or fewer with zeros behind them, without reading beyond. */
static inline __m128i octets_up_to16(const char *p, size_t len)
{
    uint64_t low = 0, high = 0;

    if (LIKELY(len >= 16))
        return _mm_loadu_si128((const __m128i *)(const void *)p);
    if (len > 8) {
        memcpy(&low, p, 8);
        memcpy(&high, p + len - 8, 8);
        high >>= 8 * (16 - len);
    } else if (len >= 4) {
        uint32_t first, last;

        memcpy(&first, p, 4);
        memcpy(&last, p + len - 4, 4);
        low = first | (uint64_t)last << 8 * (len - 4);
    } else if (len) {
        low = (uint64_t)(unsigned char)p[0] | (uint64_t)(unsigned char)p[len / 2] << 8 * (len / 2) |
              (uint64_t)(unsigned char)p[len - 1] << 8 * (len - 1);
    }
    return _mm_set_epi64x((long long)high, (long long)low);
}

/* Which of sixteen octets equal `c`. */
static inline unsigned octets_equal16(__m128i octets, char c)
{
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(octets, _mm_set1_epi8(c)));
}

/* Past visible ASCII but '#', sixteen at a time. */
static inline const char *octets_skip_target(const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        __m128i c = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i hash = _mm_cmpeq_epi8(c, _mm_set1_epi8('#'));
        unsigned in = (unsigned)_mm_movemask_epi8(
            _mm_andnot_si128(hash, octets_between16(c, '!', '~' - '!')));

        if (in != 0xffff)
            return p + __builtin_ctz(~in);
    }
    return p;
}

static inline const char *octets_find_control(const char *p, const char *end)
{
    unsigned found;

    for (int blocks = 0; end - p >= 16; p += 16, blocks++) {
        found = octets_controls16(p);
        if (found)
            return p + __builtin_ctz(found);
        if (blocks == 3)
            return octets_find_control_long(p + 16, end);
    }
    if (p == end)
        return end;
    /* of the zeros behind the end, none counts */
    found = octets_controls_of(octets_up_to16(p, (size_t)(end - p))) & ((1u << (end - p)) - 1);
    return found ? p + __builtin_ctz(found) : end;
}
#else
static inline const char *octets_find_control(const char *p, const char *end)
{
    return octets_find_control_plain(p, end);
}
static inline const char *octets_skip_name(const char *p, const char *end)
{
    (void)end;
    return p;
}
static inline const char *octets_skip_target(const char *p, const char *end)
{
    (void)end;
    return p;
}
#endif

/* The first octet of [p, end) that is no part of a token, or of a target; or end. */
static inline const char *octets_token_end_from(const char *p, const char *end)
{
    while (p < end && octet_is(*p, OCTET_TOKEN))
        p++;
    return p;
}

static inline const char *octets_token_end(const char *p, const char *end)
{
    return octets_token_end_from(octets_skip_name(p, end), end);
}

static inline const char *octets_target_end(const char *p, const char *end)
{
    p = octets_skip_target(p, end);
    while (p < end && octet_is(*p, OCTET_TARGET))
        p++;
    return p;
}

#endif

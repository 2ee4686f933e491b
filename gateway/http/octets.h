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
    OCTET_DIGIT = 32
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

/* The first octet of [p, end) that may not stand in a field value (controls except HTAB, and DEL), or end.
 * The three ways to find it give the same answer; octets_find_control takes the best. */
const char *octets_find_control_plain(const char *p, const char *end);
const char *octets_find_control_long(const char *p, const char *end);

#ifdef __SSE2__
/* Bit n: the octet p[n] is a control. */
static inline unsigned octets_controls16(const char *p)
{
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(c, _mm_set1_epi8(0x1f)), c);
    __m128i tab = _mm_cmpeq_epi8(c, _mm_set1_epi8('\t'));
    __m128i del = _mm_cmpeq_epi8(c, _mm_set1_epi8(0x7f));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, low), del));
}

static inline const char *octets_find_control(const char *p, const char *end)
{
    for (int blocks = 0; end - p >= 16; p += 16, blocks++) {
        unsigned found = octets_controls16(p);

        if (found)
            return p + __builtin_ctz(found);
        if (blocks == 3)
            return octets_find_control_long(p + 16, end);
    }
    return octets_find_control_plain(p, end);
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

/* Bit n: the octet p[n] is a letter, a digit or '-'. */
static inline unsigned octets_common16(const char *p)
{
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i dash = _mm_cmpeq_epi8(c, _mm_set1_epi8('-'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(octets_alnum16(c), dash));
}

/* Past letters, digits and '-', sixteen at a time: where a name may end, or have one of the rarer characters. */
static inline const char *octets_skip_name(const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        unsigned in = octets_common16(p);

        if (in != 0xffff)
            return p + __builtin_ctz(~in);
    }
    return p;
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

/* What up to sixty-four octets are; bit n is about the n-th. */
struct octets_block {
    uint64_t
        controls; /* may not stand in a field value: a line ends there, and it had better be a CR */
    uint64_t rare; /* no letter, digit or '-': a name ends there, or has one of its rarer octets */
};

/* Of sixty-four octets. Every way gives the same. */
struct octets_block octets_look(const char *p);
struct octets_block octets_look_plain(const char *p, size_t len);
#ifdef __SSE2__
struct octets_block octets_look_sse2(const char *p);
#endif
/* Of fewer. */
struct octets_block octets_look_short(const char *p, size_t len);

/* Going through a text from left to right: sixty-four octets are looked at together, once, and what they are is
 * remembered. */
struct octets_cursor {
    const char *at, *next; /* the octets looked at last: [at, next) */
    const char *begin, *end;
    struct octets_block block; /* of them */
};

static inline struct octets_cursor octets_cursor_at(const char *p, const char *end)
{
    return (struct octets_cursor){ .at = p, .next = p, .begin = p, .end = end };
}

/* Looks at the octets behind those looked at last; false: there are none. */
static inline bool octets_look_on(struct octets_cursor *c)
{
    size_t left = (size_t)(c->end - c->next);

    if (left == 0)
        return false;
    c->at = c->next;
    if (LIKELY(left >= 64)) {
        c->block = octets_look(c->at);
        c->next += 64;
        return true;
    }
    if (c->end - c->begin >= 64) { /* the last sixty-four, but for those that were looked at */
        c->block = octets_look(c->end - 64);
        c->block.controls >>= 64 - left;
        c->block.rare >>= 64 - left;
    } else {
        c->block = octets_look_short(c->at, left);
    }
    c->next = c->end;
    return true;
}

/* The first control, or rare octet, that is not before `p`; or end. `p` is not before where the cursor stands, and
 * each answer, and the octet behind it, may be the next `p`. Inlined always: so the cursor lives in registers. */
__attribute__((always_inline)) static inline const char *
octets_next_control(struct octets_cursor *c, const char *p)
{
    for (;;) {
        if (LIKELY(p < c->next)) {
            uint64_t found = c->block.controls >> (p - c->at);

            if (LIKELY(found))
                return p + __builtin_ctzll(found);
            p = c->next;
        }
        if (!octets_look_on(c))
            return c->end;
    }
}

__attribute__((always_inline)) static inline const char *octets_next_rare(struct octets_cursor *c,
                                                                          const char *p)
{
    for (;;) {
        if (LIKELY(p < c->next)) {
            uint64_t found = c->block.rare >> (p - c->at);

            if (LIKELY(found))
                return p + __builtin_ctzll(found);
            p = c->next;
        }
        if (!octets_look_on(c))
            return c->end;
    }
}

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

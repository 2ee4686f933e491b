/* Classes of octets, and the scan for control characters. */
#include "gateway/http/octets.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

#define T OCTET_TOKEN
#define A OCTET_TARGET
#define P OCTET_PATH
#define H OCTET_HOST
#define X OCTET_HEX
#define D OCTET_DIGIT
#define C OCTET_COMMON

const uint8_t octet_classes[256] = {
    ['!'] = T | A | P,
    ['"'] = A,
    ['#'] = T,
    ['$'] = T | A | P,
    ['%'] = T | A,
    ['&'] = T | A | P,
    ['\''] = T | A | P,
    ['('] = A | P,
    [')'] = A | P,
    ['*'] = T | A | P,
    ['+'] = T | A | P,
    [','] = A | P,
    ['-'] = T | A | P | H | C,
    ['.'] = T | A | P | H,
    ['/'] = A,
    ['0' ... '9'] = T | A | P | H | X | D | C,
    [':'] = A | P,
    [';'] = A | P,
    ['<'] = A,
    ['='] = A | P,
    ['>'] = A,
    ['?'] = A,
    ['@'] = A | P,
    ['A' ... 'F'] = T | A | P | H | X | C,
    ['G' ... 'Z'] = T | A | P | H | C,
    ['['] = A,
    ['\\'] = A,
    [']'] = A,
    ['^'] = T | A,
    ['_'] = T | A | P | H,
    ['`'] = T | A,
    ['a' ... 'f'] = T | A | P | H | X | C,
    ['g' ... 'z'] = T | A | P | H | C,
    ['{'] = A,
    ['|'] = T | A,
    ['}'] = A,
    ['~'] = T | A | P | H,
};

#undef T
#undef A
#undef P
#undef H
#undef X
#undef D
#undef C

bool octets_are(struct str s, enum octet_class class)
{
    for (size_t i = 0; i < s.len; i++)
        if (!octet_is(s.at[i], class))
            return false;
    return s.len > 0;
}

unsigned octet_hex(char c)
{
    return c <= '9' ? (unsigned)c - '0' : ((unsigned)c | 0x20) - 'a' + 10;
}

static bool is_control(char c)
{
    unsigned char u = (unsigned char)c;

    return (u < 0x20 && u != '\t') || u == 0x7f;
}

const char *octets_find_control_plain(const char *p, const char *end)
{
    while (p < end && !is_control(*p))
        p++;
    return p;
}

#ifdef __SSE2__
__attribute__((target("avx2"))) static const char *find_control_avx2(const char *p, const char *end)
{
    const __m256i highest = _mm256_set1_epi8(0x1f);
    const __m256i htab = _mm256_set1_epi8('\t');
    const __m256i delete = _mm256_set1_epi8(0x7f);

    for (; end - p >= 32; p += 32) {
        __m256i c = _mm256_loadu_si256((const __m256i *)(const void *)p);
        __m256i low = _mm256_cmpeq_epi8(_mm256_min_epu8(c, highest), c);
        __m256i bad = _mm256_or_si256(_mm256_andnot_si256(_mm256_cmpeq_epi8(c, htab), low),
                                      _mm256_cmpeq_epi8(c, delete));
        unsigned found = (unsigned)_mm256_movemask_epi8(bad);

        if (found)
            return p + __builtin_ctz(found);
    }
    return octets_find_control(p, end);
}

const char *octets_find_control_long(const char *p, const char *end)
{
    if (__builtin_cpu_supports("avx2"))
        return find_control_avx2(p, end);
    for (; end - p >= 16; p += 16) {
        unsigned found = octets_controls16(p);

        if (found)
            return p + __builtin_ctz(found);
    }
    return octets_find_control_plain(p, end);
}
#else
const char *octets_find_control_long(const char *p, const char *end)
{
    return octets_find_control_plain(p, end);
}
#endif

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
    ['-'] = T | A | P | H,
    ['.'] = T | A | P | H,
    ['/'] = A,
    ['0' ... '9'] = T | A | P | H | X | D,
    [':'] = A | P,
    [';'] = A | P,
    ['<'] = A,
    ['='] = A | P,
    ['>'] = A,
    ['?'] = A,
    ['@'] = A | P,
    ['A' ... 'F'] = T | A | P | H | X,
    ['G' ... 'Z'] = T | A | P | H,
    ['['] = A,
    ['\\'] = A,
    [']'] = A,
    ['^'] = T | A,
    ['_'] = T | A | P | H,
    ['`'] = T | A,
    ['a' ... 'f'] = T | A | P | H | X,
    ['g' ... 'z'] = T | A | P | H,
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
    return octets_find_control_plain(p, end);
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

/* --- blocks ------------------------------------------------------------------------------------ */

static bool is_common(char c)
{
    return octet_is(c, OCTET_HEX) || ((c | 0x20) >= 'g' && (c | 0x20) <= 'z') || c == '-';
}

struct octets_block octets_look_plain(const char *p, size_t len)
{
    struct octets_block b = { 0 };

    for (size_t i = 0; i < len; i++) {
        b.controls |= (uint64_t)is_control(p[i]) << i;
        b.rare |= (uint64_t)!is_common(p[i]) << i;
    }
    return b;
}

#ifdef __SSE2__
struct octets_block octets_look_sse2(const char *p)
{
    struct octets_block b = { 0 };

    for (unsigned i = 0; i < 64; i += 16) {
        b.controls |= (uint64_t)octets_controls16(p + i) << i;
        b.rare |= (uint64_t)(octets_common16(p + i) ^ 0xffff) << i;
    }
    return b;
}

/* A class of ASCII as two tables that are looked into together: of the lower four bits, which of the eight upper
 * halves make one of the class; of the upper four bits, the bit that stands for them (none above ASCII). */
#define UPPER  1, 2, 4, 8, 16, 32, 64, (char)128, 0, 0, 0, 0, 0, 0, 0, 0
#define DIGIT  (1 << 3)
#define DASH   (1 << 2)
#define A_TO_O (1 << 4 | 1 << 6)
#define P_TO_Z (1 << 5 | 1 << 7)
#define ALNUM  (char)(A_TO_O | P_TO_Z | DIGIT)
#define C0     (1 << 0 | 1 << 1)
#define DEL    (1 << 7)
#define COMMON                                                                                     \
    (char)(P_TO_Z | DIGIT), ALNUM, ALNUM, ALNUM, ALNUM, ALNUM, ALNUM, ALNUM, ALNUM, ALNUM,         \
        (char)(A_TO_O | P_TO_Z), A_TO_O, A_TO_O, A_TO_O | DASH, A_TO_O, A_TO_O
#define CONTROLS C0, C0, C0, C0, C0, C0, C0, C0, C0, 1 << 1, C0, C0, C0, C0, C0, (char)(C0 | DEL)

__attribute__((target("avx2"))) static struct octets_block look_avx2(const char *p)
{
    const __m256i upper = _mm256_setr_epi8(UPPER, UPPER);
    const __m256i common = _mm256_setr_epi8(COMMON, COMMON);
    const __m256i controls = _mm256_setr_epi8(CONTROLS, CONTROLS);
    const __m256i none = _mm256_setzero_si256();
    struct octets_block b = { 0 };

#pragma GCC unroll 2
    for (unsigned i = 0; i < 64; i += 32) {
        __m256i c = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        __m256i half = _mm256_and_si256(_mm256_srli_epi16(c, 4), _mm256_set1_epi8(0x0f));
        __m256i bit = _mm256_shuffle_epi8(upper, half);
        __m256i is_common = _mm256_and_si256(_mm256_shuffle_epi8(common, c), bit);
        __m256i is_control = _mm256_and_si256(_mm256_shuffle_epi8(controls, c), bit);
        unsigned rare = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(is_common, none));
        unsigned others = (unsigned)_mm256_movemask_epi8(_mm256_cmpeq_epi8(is_control, none));

        b.rare |= (uint64_t)rare << i;
        b.controls |= (uint64_t)~others << i;
    }
    return b;
}

struct octets_block octets_look(const char *p)
{
    return LIKELY(__builtin_cpu_supports("avx2")) ? look_avx2(p) : octets_look_sse2(p);
}

/* As a copy that may be read beyond its end. */
struct octets_block octets_look_short(const char *p, size_t len)
{
    char copy[64];

    memset(copy, 'x', sizeof copy);
    memcpy(copy, p, len);
    return octets_look(copy);
}
#else
struct octets_block octets_look(const char *p)
{
    return octets_look_plain(p, 64);
}

struct octets_block octets_look_short(const char *p, size_t len)
{
    return octets_look_plain(p, len);
}
#endif

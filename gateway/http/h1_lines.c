/* The lines of a head, all found in one go.
 *
 * Sixty-four octets are four words with a bit for each. Lines begin behind LFs. A one added where a line begins runs
 * as a carry through the letters of the name that it begins with and comes to rest on the first octet that is none:
 *
 *     octets    Via: x..Host: y      (. are CR and LF)
 *     letters   111001001111001      the first octet is the lowest bit
 *     begins    100000001000000
 *     sum       000101000000101      of which no letter:  ...1........1..
 */
#include "gateway/http/h1_lines.h"

#include "gateway/http/octets.h"

#ifdef __SSE2__
#include <immintrin.h>
#endif

/* Bit n is about the n-th of sixty-four octets. */
struct block {
    uint64_t common; /* a letter, a digit or '-' */
    uint64_t bad;    /* a control other than CR, LF and HTAB */
    uint64_t cr, lf;
};

typedef struct block look_function(const char *p);

/* --- what the octets are ----------------------------------------------------------------------- */

static struct block look_plain(const char *p)
{
    struct block b = { 0 };

    for (unsigned i = 0; i < 64; i++) {
        unsigned char c = (unsigned char)p[i];
        bool is_control = (c < 0x20 && c != '\t') || c == 0x7f;

        b.common |= (uint64_t)octet_is(p[i], OCTET_COMMON) << i;
        b.bad |= (uint64_t)(is_control && c != '\r' && c != '\n') << i;
        b.cr |= (uint64_t)(c == '\r') << i;
        b.lf |= (uint64_t)(c == '\n') << i;
    }
    return b;
}

#ifdef __SSE2__
static inline struct block look_sse2(const char *p)
{
    struct block b = { 0 };

    for (unsigned i = 0; i < 64; i += 16) {
        __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(p + i));
        unsigned cr = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(c, _mm_set1_epi8('\r')));
        unsigned lf = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(c, _mm_set1_epi8('\n')));

        b.common |= (uint64_t)octets_common16(c) << i;
        b.bad |= (uint64_t)(octets_controls16(p + i) & ~(cr | lf)) << i;
        b.cr |= (uint64_t)cr << i;
        b.lf |= (uint64_t)lf << i;
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
#define COMMON                                                                                     \
    (char)(P_TO_Z | DIGIT), ALNUM, ALNUM, ALNUM, ALNUM, ALNUM, ALNUM, ALNUM, ALNUM, ALNUM,         \
        (char)(A_TO_O | P_TO_Z), A_TO_O, A_TO_O, A_TO_O | DASH, A_TO_O, A_TO_O
#define X00 (1 << 0)
#define X10 (1 << 1)
#define DEL (1 << 7)
#define BAD                                                                                        \
    X00 | X10, X00 | X10, X00 | X10, X00 | X10, X00 | X10, X00 | X10, X00 | X10, X00 | X10,        \
        X00 | X10, X10, X10, X00 | X10, X00 | X10, X10, X00 | X10, (char)(X00 | X10 | DEL)

#define AVX2 __attribute__((target("avx2,bmi")))

/* Bit n: the octet n of `c` is not 0. */
AVX2 static inline uint64_t not_zero(__m256i c)
{
    return ~(uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(c, _mm256_setzero_si256()));
}

AVX2 static inline uint64_t equal(__m256i c, char to)
{
    return (uint32_t)_mm256_movemask_epi8(_mm256_cmpeq_epi8(c, _mm256_set1_epi8(to)));
}

AVX2 static inline struct block look_avx2(const char *p)
{
    const __m256i upper = _mm256_setr_epi8(UPPER, UPPER);
    const __m256i common = _mm256_setr_epi8(COMMON, COMMON);
    const __m256i bad = _mm256_setr_epi8(BAD, BAD);
    struct block b = { 0 };

#pragma GCC unroll 2
    for (unsigned i = 0; i < 64; i += 32) {
        __m256i c = _mm256_loadu_si256((const __m256i *)(const void *)(p + i));
        __m256i half = _mm256_and_si256(_mm256_srli_epi16(c, 4), _mm256_set1_epi8(0x0f));
        __m256i bit = _mm256_shuffle_epi8(upper, half);

        b.common |= not_zero(_mm256_and_si256(_mm256_shuffle_epi8(common, c), bit)) << i;
        b.bad |= not_zero(_mm256_and_si256(_mm256_shuffle_epi8(bad, c), bit)) << i;
        b.cr |= equal(c, '\r') << i;
        b.lf |= equal(c, '\n') << i;
    }
    return b;
}
#endif

/* --- lines ------------------------------------------------------------------------------------- */

#define BLOCK 64

/* The octets from `from`, of a text of a block or more. Inlined with `look` into each of the ways. */
__attribute__((always_inline)) static inline struct block look_at(struct str text, size_t from,
                                                                  look_function *look)
{
    size_t left = text.len - from;
    struct block b;

    if (LIKELY(left >= BLOCK))
        return look(text.at + from);
    b = look(text.at + text.len - BLOCK); /* the last block, but for what was looked at */
    b.common >>= BLOCK - left;
    b.bad >>= BLOCK - left;
    b.cr >>= BLOCK - left;
    b.lf >>= BLOCK - left;
    return b;
}

/* Writes down where the bits are; returns behind what it has written. */
__attribute__((always_inline)) static inline uint32_t *note(uint32_t *to, uint64_t bits,
                                                            size_t from)
{
    for (; bits; bits &= bits - 1)
        *to++ = (uint32_t)from + (uint32_t)__builtin_ctzll(bits);
    return to;
}

__attribute__((always_inline)) static inline bool find(struct str text, struct h1_lines *lines,
                                                       look_function *look)
{
    uint64_t begin = 1, name = 0, cr = 0; /* what the block before leaves to the next */
    uint32_t *names = lines->rare, *stops = lines->stop;

    lines->count = 0;
    for (size_t from = 0; from < text.len && stops <= lines->stop + H1_LINES_MANY; from += BLOCK) {
        struct block b = look_at(text, from, look);
        uint64_t begins = b.lf << 1 | begin;
        uint64_t ends = b.cr & begins;     /* an empty line: the head's end */
        uint64_t upto = ends ^ (ends - 1); /* the first end included; without one, all */
        uint64_t before = upto & ~ends, sum, rare;

        /* Each CR has its LF and each LF its CR, and nothing else is there to end a line. */
        if (UNLIKELY((b.bad | (b.lf ^ (b.cr << 1 | cr))) & upto))
            return false;
        name = __builtin_add_overflow(b.common, begins | name, &sum);
        rare = sum & ~b.common & before;
        if (UNLIKELY(rare & begins))
            return false;
        names = note(names, rare, from);
        stops = note(stops, b.cr & before, from);
        if (ends) {
            size_t end = from + (size_t)__builtin_ctzll(ends);

            if (text.len - end < 2 || text.at[end + 1] != '\n')
                return false;
            lines->len = (uint32_t)end + 2;
            lines->count = (uint32_t)(stops - lines->stop);
            CHECK(names == lines->rare + lines->count);
            return lines->count > 0;
        }
        begin = b.lf >> 63;
        cr = b.cr >> 63;
    }
    return false;
}

/* A text of less than a block is made one with blanks, in which no line ends. */
static bool find_short(struct str text, struct h1_lines *lines,
                       bool (*find_in)(struct str text, struct h1_lines *lines))
{
    char block[BLOCK];

    memset(block, ' ', sizeof block);
    if (text.len)
        memcpy(block, text.at, text.len);
    return find_in(str_of(block, sizeof block), lines);
}

bool h1_lines_find_plain(struct str text, struct h1_lines *lines)
{
    if (UNLIKELY(text.len < BLOCK))
        return find_short(text, lines, h1_lines_find_plain);
    return find(text, lines, look_plain);
}

#ifdef __SSE2__
bool h1_lines_find_sse2(struct str text, struct h1_lines *lines)
{
    if (UNLIKELY(text.len < BLOCK))
        return find_short(text, lines, h1_lines_find_sse2);
    return find(text, lines, look_sse2);
}

AVX2 static bool find_avx2(struct str text, struct h1_lines *lines)
{
    if (UNLIKELY(text.len < BLOCK))
        return find_short(text, lines, find_avx2);
    return find(text, lines, look_avx2);
}

bool h1_lines_find(struct str text, struct h1_lines *lines)
{
    return LIKELY(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi"))
               ? find_avx2(text, lines)
               : h1_lines_find_sse2(text, lines);
}
#else
bool h1_lines_find_sse2(struct str text, struct h1_lines *lines)
{
    return h1_lines_find_plain(text, lines);
}

bool h1_lines_find(struct str text, struct h1_lines *lines)
{
    return h1_lines_find_plain(text, lines);
}
#endif

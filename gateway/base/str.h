/* Text as a pointer and a length. Never owns, never assumes a NUL.
 *
 * A borrowed struct str (in a callback) is valid for the call; keep it with str_keep().
 */
#ifndef GATEWAY_BASE_STR_H
#define GATEWAY_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "gateway/base/check.h"

struct arena;

struct str {
    const char *at;
    size_t len;
};

#define STR(literal) ((struct str){ "" literal, sizeof(literal) - 1 })
#define STR_INIT(literal)                                                                          \
    {                                                                                              \
        "" literal, sizeof(literal) - 1                                                            \
    }
#define STR_NONE    ((struct str){ NULL, 0 })
#define STR_ARGS(s) (int)(s).len, (s).at /* for "%.*s" */

static inline struct str str_of(const char *at, size_t len)
{
    return (struct str){ at, len };
}

/* From a NUL-ended string (argv, getenv); NULL gives the empty text. */
static inline struct str str_from(const char *z)
{
    return (struct str){ z, z ? strlen(z) : 0 };
}

static inline struct str str_between(const char *begin, const char *end)
{
    return (struct str){ begin, (size_t)(end - begin) };
}

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.at, b.at, a.len) == 0);
}

/* ASCII case folded, as header names and hosts are compared. */
bool str_equal_folded(struct str a, struct str b);
/* Takes the same time wherever the first difference is (RFC 6819 style secrets); the lengths are not secret. */
bool str_equal_secret(struct str a, struct str b);
int str_compare(struct str a, struct str b);
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
/* Index of the first `c`, or s.len. */
size_t str_index(struct str s, char c);
/* Without leading and trailing SP and HTAB (RFC 9110 5.6.3 OWS). */
struct str str_trim(struct str s);
/* Cut at the first `c`: returns what stands before, *rest gets what stands after (empty if there was no c). */
struct str str_cut(struct str s, char c, struct str *rest);
/* The next member of a comma list (RFC 9110 5.6.1), trimmed, empty ones skipped; false at the end. Quoted
 * strings are kept whole. */
bool str_next_member(struct str *rest, struct str *member);

static inline struct str str_from_index(struct str s, size_t i)
{
    size_t skip = i < s.len ? i : s.len;

    return (struct str){ skip ? s.at + skip : s.at, s.len - skip }; /* NULL + 0 is undefined */
}

static inline struct str str_up_to(struct str s, size_t n)
{
    return (struct str){ s.at, n < s.len ? n : s.len };
}

static inline unsigned char ascii_fold(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

/* A copy that lives as long as the arena. */
struct str str_keep(struct arena *a, struct str s);
/* The same with a NUL behind it, for system calls. */
const char *str_keep_z(struct arena *a, struct str s);
struct str str_format(struct arena *a, const char *format, ...) PRINTF_LIKE(2, 3);

#endif

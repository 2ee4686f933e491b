/* Text as a pointer and a length. */
#include "gateway/base/str.h"

#include <stdarg.h>
#include <stdio.h>

#include "gateway/base/arena.h"

bool str_equal_folded(struct str a, struct str b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        if (ascii_fold((unsigned char)a.at[i]) != ascii_fold((unsigned char)b.at[i]))
            return false;
    return true;
}

bool str_equal_secret(struct str a, struct str b)
{
    volatile unsigned char difference = 0;

    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++)
        difference =
            (unsigned char)(difference | ((unsigned char)a.at[i] ^ (unsigned char)b.at[i]));
    return difference == 0;
}

int str_compare(struct str a, struct str b)
{
    size_t shared = a.len < b.len ? a.len : b.len;
    int order = shared ? memcmp(a.at, b.at, shared) : 0;

    return order ? order : (a.len > b.len) - (a.len < b.len);
}

bool str_starts(struct str s, struct str prefix)
{
    return str_equal(str_up_to(s, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_equal(str_from_index(s, s.len - suffix.len), suffix);
}

size_t str_index(struct str s, char c)
{
    const char *found = s.len ? memchr(s.at, c, s.len) : NULL;

    return found ? (size_t)(found - s.at) : s.len;
}

static bool is_ows(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.len && is_ows(s.at[0])) {
        s.at++;
        s.len--;
    }
    while (s.len && is_ows(s.at[s.len - 1]))
        s.len--;
    return s;
}

struct str str_cut(struct str s, char c, struct str *rest)
{
    size_t i = str_index(s, c);

    *rest = str_from_index(s, i + 1);
    return str_up_to(s, i);
}

/* Where the member at the start of `s` ends: the first comma outside a quoted string. */
static size_t member_end(struct str s)
{
    bool quoted = false;

    for (size_t i = 0; i < s.len; i++) {
        if (quoted && s.at[i] == '\\')
            i++;
        else if (s.at[i] == '"')
            quoted = !quoted;
        else if (s.at[i] == ',' && !quoted)
            return i;
    }
    return s.len;
}

bool str_next_member(struct str *rest, struct str *member)
{
    while (rest->len) {
        size_t end = member_end(*rest);

        *member = str_trim(str_up_to(*rest, end));
        *rest = str_from_index(*rest, end + 1);
        if (member->len)
            return true;
    }
    return false;
}

struct str str_keep(struct arena *a, struct str s)
{
    char *copy = arena_take_bytes(a, s.len);

    if (s.len)
        memcpy(copy, s.at, s.len);
    return str_of(copy, s.len);
}

const char *str_keep_z(struct arena *a, struct str s)
{
    char *copy = arena_take_bytes(a, s.len + 1);

    if (s.len)
        memcpy(copy, s.at, s.len);
    copy[s.len] = '\0';
    return copy;
}

struct str str_format(struct arena *a, const char *format, ...)
{
    va_list args, again;
    char *text;
    int len;

    va_start(args, format);
    va_copy(again, args);
    len = vsnprintf(NULL, 0, format, args);
    CHECK(len >= 0);
    text = arena_take_bytes(a, (size_t)len + 1);
    vsnprintf(text, (size_t)len + 1, format, again);
    va_end(again);
    va_end(args);
    return str_of(text, (size_t)len);
}

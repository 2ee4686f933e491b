/* Pairs of a name and a value. */
#include "gateway/http/pairs.h"

#include "gateway/http/octets.h"

bool pairs_next_of_query(struct str *rest, struct pair *out)
{
    if (rest->len == 0)
        return false;
    out->whole = str_cut(*rest, '&', rest);
    out->name = str_cut(out->whole, '=', &out->value);
    return true;
}

bool pairs_next_of_cookie(struct str *rest, struct pair *out)
{
    if (rest->len == 0)
        return false;
    out->whole = str_trim(str_cut(*rest, ';', rest));
    out->name = str_trim(str_cut(out->whole, '=', &out->value));
    out->value = str_trim(out->value);
    return true;
}

struct str form_decode(struct str s, struct arena *a)
{
    char *to;
    size_t len = 0;

    if (str_index(s, '%') == s.len && str_index(s, '+') == s.len)
        return s;
    to = arena_take_bytes(a, s.len);
    for (size_t i = 0; i < s.len; i++) {
        if (s.at[i] == '%' && i + 2 < s.len && octet_is(s.at[i + 1], OCTET_HEX) &&
            octet_is(s.at[i + 2], OCTET_HEX)) {
            to[len++] = (char)(octet_hex(s.at[i + 1]) << 4 | octet_hex(s.at[i + 2]));
            i += 2;
        } else {
            to[len++] = s.at[i] == '+' ? ' ' : s.at[i];
        }
    }
    return str_of(to, len);
}

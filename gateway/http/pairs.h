/* Pairs of a name and a value: of a query, as forms write it (WHATWG URL 5.1), and of a Cookie field (RFC 6265 4.2.1).
 *
 * Walked in the order in which they stand, empty and repeated ones included: what is to be made of several of one name is
 * the caller's to say. Pure functions; texts are borrowed from what is walked, unless they had to be decoded.
 */
#ifndef GATEWAY_HTTP_PAIRS_H
#define GATEWAY_HTTP_PAIRS_H

#include <stdbool.h>

#include "gateway/base/arena.h"
#include "gateway/base/str.h"

struct pair {
    struct str whole; /* as it stands, without what separates it from the next */
    struct str name, value;
};

/* The next pair of a query, name and value as they stand. False: *rest is used up. */
bool pairs_next_of_query(struct str *rest, struct pair *out) MUST_USE;
/* The next pair of a Cookie field, without blanks around it, its name and its value. */
bool pairs_next_of_cookie(struct str *rest, struct pair *out) MUST_USE;

/* As a form means it: + is a blank, %41 is A; what is no coding stands for itself. The same text if nothing was coded. */
struct str form_decode(struct str s, struct arena *a);

#endif

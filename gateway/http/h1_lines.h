/* The lines of a head that lies in a text whole, all found in one go.
 *
 * Nearly every head arrives in one piece and has nothing odd about it. Of such a one the ends of all lines, and
 * of the names that they begin with, are found with a few operations for sixty-four octets. Of any other
 * nothing is said: h1_head.c looks at it octet by octet, and decides.
 */
#ifndef GATEWAY_HTTP_H1_LINES_H
#define GATEWAY_HTTP_H1_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/str.h"

#define H1_LINES_MAX  64
#define H1_LINES_MANY 24 /* with more than so many, looking further is refused */

/* On the stack from h1_head_scan to h1_*_parse. */
struct h1_lines {
    uint32_t len;   /* of the head, the empty line included */
    uint32_t count; /* of lines before the empty one; 0: nothing is known */
    /* Where in the head, for each line: its first octet that is no letter, digit or '-', and its CR. */
    uint32_t rare[H1_LINES_MAX], stop[H1_LINES_MAX];
};

/* True: a head ends in `text`; all of its lines end in CRLF, have no other control in them and begin with a letter,
 * digit or '-'. False: look closely. */
bool h1_lines_find(struct str text, struct h1_lines *lines) MUST_USE;

/* The ways it is done, for tests: each says the same. */
bool h1_lines_find_plain(struct str text, struct h1_lines *lines) MUST_USE;
bool h1_lines_find_sse2(struct str text, struct h1_lines *lines) MUST_USE;

#endif

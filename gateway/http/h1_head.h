/* Heads of HTTP/1.1 messages. (RFC 9112 sections 2 to 5 and 6.3)
 *
 * Pure functions on text. Two steps: h1_head_scan finds the end of a head, incrementally and strictly
 * (a bare LF, a NUL or a control character is refused as soon as it is seen; so is a request line that
 * cannot become one); h1_*_parse then reads the complete head once. Whatever two parsers could read
 * differently is refused: this is where request smuggling ends.
 */
#ifndef GATEWAY_HTTP_H1_HEAD_H
#define GATEWAY_HTTP_H1_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/str.h"
#include "gateway/http/h1_lines.h"
#include "gateway/http/message.h"

struct h1_limits {
    uint32_t first_line; /* bytes of the request or status line -> HEAD_LINE_TOO_LONG (414) */
    uint32_t field_line; /* bytes of one field line             -> HEAD_TOO_LARGE (431) */
    uint32_t total;      /* bytes of all field lines together   -> HEAD_TOO_LARGE */
    uint32_t count;      /* field lines                         -> HEAD_TOO_LARGE */
};

enum head_result {
    HEAD_DONE,
    HEAD_MORE, /* come back with more text */
    HEAD_BAD,  /* not HTTP, or ambiguous: 400 and close (an answer: 502) */
    HEAD_LINE_TOO_LONG,
    HEAD_TOO_LARGE,
    HEAD_VERSION,         /* HTTP, but not 1.0 or 1.1: 505 */
    HEAD_NOT_IMPLEMENTED, /* a transfer coding that we do not know: 501 (RFC 9112 6.1) */
};

struct h1_scan {
    uint32_t seen;      /* bytes already looked at */
    uint32_t line;      /* where the line being read begins */
    uint32_t lines;     /* complete lines so far */
    uint32_t fields_at; /* where the field lines begin */
    uint32_t
        skipped; /* empty lines before the first (RFC 9112 2.2: at most one CRLF), to be dropped */
};

/* Look for the end of a head.
 *
 * text     what has arrived so far, from the first byte of the head
 * scan     zeroed before the first call; remembers how far earlier calls came
 * is_request  the first line must be able to become a request line (else a status line)
 * lines    HEAD_DONE: for h1_*_parse, which is told of the same head
 * len      HEAD_DONE: bytes of the head, the empty line and scan->skipped included
 */
enum head_result h1_head_scan(struct str text, struct h1_scan *scan, const struct h1_limits *limits,
                              bool is_request, struct h1_lines *lines, size_t *len) MUST_USE;

/* Read one field line: "name: value" and its CRLF. (RFC 9112 section 5)
 *
 * line     where it begins; `end` is as far as may be looked
 * field    filled except `known`; points into the line
 * returns  where the next line begins; NULL: malformed or incomplete, *why says
 */
const char *h1_field_read(const char *line, const char *end, struct field *field,
                          const char **why) MUST_USE;

/* Read a complete head of a request (as h1_head_scan found it, without `skipped`).
 *
 * head     must live as long as *req: all strings point into it
 * lines    of this head (or of what it is a copy of); NULL: they are looked for
 * req      req->fields must have been initialised (arena); everything else is filled: method, target (form
 *          checked; path, query and host are filled by target.h), body kind and length, keep_alive, expect
 * why      on a result other than HEAD_DONE: one short stable phrase for logs ("bare LF", "two lengths")
 */
enum head_result h1_request_parse(struct str head, const struct h1_lines *lines,
                                  struct request *req, const char **why) MUST_USE;

/* Read a complete head of an answer.
 *
 * lines    as above
 * asked    the method of the request it answers: decides about the body (RFC 9112 6.3)
 * resp     resp->fields must have been initialised. resp->body says how the end of the body is known; of an answer
 *          to HEAD, or 304, how it would be (to be said again to the client), while none follows: ask
 *          response_has_body. 101, and 2xx to CONNECT: BODY_RAW.
 */
enum head_result h1_response_parse(struct str head, const struct h1_lines *lines, enum method asked,
                                   struct response *resp, const char **why) MUST_USE;

#endif

/* The bodies of HTTP/1.1: where they end. (RFC 9112 sections 6 and 7)
 *
 * A pure state machine over borrowed text, made for write(2)-like receivers: h1_body_next says which
 * bytes at the front of `text` are framing (to be dropped) and which are data; data is only taken off
 * with h1_body_took, as far as the receiver took it.
 */
#ifndef GATEWAY_HTTP_H1_BODY_H
#define GATEWAY_HTTP_H1_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/str.h"
#include "gateway/http/fields.h"
#include "gateway/http/message.h"

enum h1_body_result {
    H1_BODY_DATA, /* *data is not empty */
    H1_BODY_MORE, /* nothing to deliver, read more */
    H1_BODY_DONE, /* the body is complete; what follows belongs to the next message */
    H1_BODY_BAD   /* malformed framing: the message cannot be completed, close */
};

struct h1_body {
    enum body_kind kind;
    uint8_t state; /* of the chunk decoder (h1_body.c) */
    uint8_t digits;
    uint32_t line; /* bytes of the framing line or trailer section being read: bounded */
    uint64_t left; /* data bytes still to come in this body or chunk */
};

void h1_body_init(struct h1_body *b, enum body_kind kind, uint64_t content_length);

/* skip      bytes of framing at the front of text: drop them, whatever the result
 * data      H1_BODY_DATA: the run of data that follows the skipped bytes
 * trailers  filled at the end of a chunked body if not NULL (fields are copied into its arena); fields that
 *           must not be trailers (framing, routing, authentication: RFC 9110 6.5.1) are dropped
 */
enum h1_body_result h1_body_next(struct h1_body *b, struct str text, size_t *skip, struct str *data,
                                 struct fields *trailers) MUST_USE;
void h1_body_took(struct h1_body *b, size_t n);

#endif

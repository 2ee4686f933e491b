/* A request and a response as both protocols agree on them. (RFC 9110 section 6)
 *
 * Plain data without behaviour. Strings point into the exchange's arena.
 */
#ifndef GATEWAY_HTTP_MESSAGE_H
#define GATEWAY_HTTP_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/str.h"
#include "gateway/http/fields.h"

enum method {
    METHOD_OTHER = 0,
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_CONNECT,
    METHOD_OPTIONS,
    METHOD_TRACE,
    METHOD_PATCH,
    METHOD_COUNT
};

/* How the end of a body is known. (RFC 9112 section 6.3; HTTP/2 maps onto LENGTH and CHUNKED.) */
enum body_kind {
    BODY_NONE,        /* no body, or one of length 0 that was said nowhere */
    BODY_LENGTH,      /* content_length bytes (0 is possible) */
    BODY_CHUNKED,     /* ends by itself, trailers may follow */
    BODY_UNTIL_CLOSE, /* an answer only: ends with the connection */
    BODY_RAW          /* a tunnel after 101: no framing, no end */
};

struct request {
    enum method method;
    struct str method_text;
    struct str target;     /* as the client sent it: what a service sees */
    struct str scheme;     /* "http" or "https": of the connection, or of an absolute target */
    struct str host;       /* Host or authority, port included, as sent */
    struct str path;       /* normalised for comparing (target.h); for routing and policy only */
    struct str unresolved; /* the same with each ".." still in it; empty: it had none */
    struct str query;      /* without '?'; at == NULL: no '?' in the target */
    struct fields fields;
    enum body_kind body;
    uint64_t content_length; /* with BODY_LENGTH */
    uint8_t version;         /* 10, 11, 20 */
    bool keep_alive;         /* may the connection be used again (h1 only) */
    bool expect_continue;    /* tell it to go on (100) before waiting for the body */
    bool expect_unknown;     /* it expects what we do not know: 417 (RFC 9110 10.1.1) */
};

struct response {
    uint16_t status;
    struct str reason; /* reason phrase; empty: the standard one */
    struct fields fields;
    enum body_kind body;
    uint64_t content_length;
    uint8_t version;
    bool keep_alive; /* of the link that it came on (h1 only) */
};

/* Does a body follow the head of an answer with that status to a request of that method? (RFC 9110 section 6.4.1)
 * Not so: to HEAD, and with 1xx, 204 and 304. */
static inline bool response_has_body(unsigned status, enum method asked)
{
    return asked != METHOD_HEAD && status >= 200 && status != 204 && status != 304;
}

/* METHOD_OTHER for one that is not in the list. Case matters. */
static inline bool request_has_body(const struct request *req)
{
    return req->body != BODY_NONE && (req->body != BODY_LENGTH || req->content_length > 0);
}

enum method method_from(struct str text);
/* "" for METHOD_OTHER. */
struct str method_text(enum method m);
/* The standard reason phrase, "" if the status has none. (RFC 9110 section 15) */
struct str status_reason(unsigned status);
/* Safe methods change nothing; idempotent ones may be repeated. (RFC 9110 section 9.2) */
bool method_is_safe(enum method m);
bool method_is_idempotent(enum method m);

#endif

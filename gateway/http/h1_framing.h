/* What the fields of a message say about its end and its connection's. (RFC 9112 section 6, RFC 9110 section 7.6.1)
 *
 * Two parsers that read this differently are what request smuggling is made of: what has two readings is refused.
 */
#ifndef GATEWAY_HTTP_H1_FRAMING_H
#define GATEWAY_HTTP_H1_FRAMING_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/http/h1_head.h"
#include "gateway/http/message.h"

/* How the end of the body is known; BODY_NONE if nothing is said. */
enum head_result h1_framing_read(const struct fields *f, uint8_t version, enum body_kind *body,
                                 uint64_t *length, const char **why) MUST_USE;

/* What the Connection fields say; see below. */
bool h1_framing_ask_connection(const struct fields *f, uint8_t version, bool *keep_alive,
                               const char **why) MUST_USE;

/* May the connection be used again? Returns false for a Connection field that is not a list of tokens. */
MUST_USE static inline bool h1_framing_keeps_alive(const struct fields *f, uint8_t version,
                                                   bool *keep_alive, const char **why)
{
    if (fields_have(f, FIELD_CONNECTION))
        return h1_framing_ask_connection(f, version, keep_alive, why);
    *keep_alive = version >= 11;
    return true;
}

#endif

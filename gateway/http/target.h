/* Request targets: forms, normalising, the query. (RFC 9112 section 3.2, RFC 9110 section 4, RFC 3986)
 *
 * Paths are compared after the normalisation that a service could also do, so that no spelling slips
 * past a protected route: unreserved percent codings are decoded, their hex digits upper-cased, dot
 * segments resolved, runs of slashes merged. What cannot be normalised safely is refused: a coded slash
 * or backslash or NUL, a bare backslash, a broken percent coding, control characters, invalid UTF-8 after
 * decoding, "..": above the root, parameters hiding a dot segment ("..;/").
 */
#ifndef GATEWAY_HTTP_TARGET_H
#define GATEWAY_HTTP_TARGET_H

#include <stdbool.h>

#include "gateway/base/arena.h"
#include "gateway/base/str.h"
#include "gateway/http/message.h"

/* Fill req->scheme (absolute form only), host, path and query from req->target and the Host field.
 *
 * Refuses: no or several or malformed Host with HTTP/1.1; authority form except for CONNECT; '*' except for
 * OPTIONS; a Host that differs from an absolute target's authority (the target's wins is RFC 9112 3.2.2, but
 * two parsers could differ: refused); userinfo; fragments.
 * The common case (nothing to decode) copies nothing.
 */
bool target_read(struct request *req, struct arena *arena, const char **why) MUST_USE;

/* The normalised form of a path. Returns false if it must be refused. *out may equal `path` (borrowed). */
bool target_normalise(struct str path, struct arena *arena, struct str *out,
                      const char **why) MUST_USE;

/* Host without port, and the port's text (empty: none). False: malformed. */
bool target_split_host(struct str host, struct str *name, struct str *port) MUST_USE;

#endif

/* Request targets: forms, normalising, the query. (RFC 9112 section 3.2, RFC 9110 section 4, RFC 3986)
 *
 * Paths are compared after the normalisation that a service could also do, so that no spelling slips
 * past a protected route: every octet has one spelling, itself if it may stand in a path segment and an
 * upper-case percent coding if not ("/%7euser/a!b" and "/~user/a%21b" are "/~user/a!b"); dot segments are
 * resolved, runs of slashes merged. What cannot be normalised safely is refused:
 *   - a broken percent coding; control characters, plain or coded; invalid UTF-8 after decoding
 *   - a coded slash; a backslash, plain or coded; what is coded twice ("%252e")
 *   - ".." above the root, or where it leaves an empty segment ("/a//../b" is two paths)
 *   - two slashes at the front ("//host/path" is a host to many URL parsers)
 *   - a parameter that hides a dot segment ("..;/")
 * A service that does not resolve ".." takes "/admin/../x" for something below /admin, so the path with it still
 * there is told too (req->unresolved), and where that leads to another route the request is refused.
 * Other parameters stay: "/admin;x" is "/admin" to Java servers and itself to others, so the router asks for
 * both and refuses where they lead to different routes.
 */
#ifndef GATEWAY_HTTP_TARGET_H
#define GATEWAY_HTTP_TARGET_H

#include <stdbool.h>

#include "gateway/base/arena.h"
#include "gateway/base/str.h"
#include "gateway/http/message.h"

/* Fill req->scheme (absolute form only), host, path, unresolved and query from req->target and the Host field.
 *
 * Refuses: no or several or malformed Host with HTTP/1.1; authority form except for CONNECT; '*' except for
 * OPTIONS; a Host that differs from an absolute target's authority (the target's wins is RFC 9112 3.2.2, but
 * two parsers could differ: refused); userinfo; fragments.
 * Of an absolute target, req->target becomes its path and query: what an origin server is asked (9112 3.2.1).
 * CONNECT has an empty path, "OPTIONS *" the path "*". Without Host (HTTP/1.0) req->host is empty.
 * The common case (nothing to decode) copies nothing.
 */
bool target_read(struct request *req, struct arena *arena, const char **why) MUST_USE;

/* The normalised form of a path. Returns false if it must be refused. *out may equal `path` (borrowed). */
bool target_normalise(struct str path, struct arena *arena, struct str *out,
                      const char **why) MUST_USE;

/* Host without port and without the root's dot ("example.com.:80" is example.com), an IPv6 address with its
 * brackets; and the port's text (empty: none). False: malformed. */
bool target_split_host(struct str host, struct str *name, struct str *port) MUST_USE;

#endif

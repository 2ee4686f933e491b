/* Host + method + path -> route: a trie of path segments, read-only once made.
 *
 * One block of memory holds it all: nodes, routes, texts, and one hash table of all edges, so that a segment
 * costs one look-up whether there are ten routes or ten thousand. Paths are compared in their normal form
 * (http/target.h); a slash at the end makes no difference.
 *
 * The most specific route that fits is taken. Hosts first: a name before "*.example.com" (the longer before
 * the shorter) before any. Then paths, segment by segment: a literal before {variable} before "all below".
 * Then the higher priority.
 *
 * A path that fits with a method that does not is a mismatch (405), unless a less specific route takes the method:
 * then that one is taken if it has the same owner as the mismatch. So GET /orders/{id} and POST /orders/ ** of one
 * service complement each other, while POST cannot slip past a service's protected path to another's "/".
 *
 * A path with parameters ("/admin;x") is two paths: itself, and "/admin" to Java servers. Both are looked up; where
 * they lead to different routes the answer is `ambiguous`, and no route.
 */
#ifndef GATEWAY_EXCHANGE_ROUTER_H
#define GATEWAY_EXCHANGE_ROUTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "gateway/base/str.h"
#include "gateway/http/message.h"

#define ROUTER_METHODS_ALL   ((UINT32_C(1) << METHOD_COUNT) - 1)
#define ROUTER_VARIABLES_MAX 8
#define ROUTER_DEPTH_MAX     32 /* segments of a pattern */

struct router;
struct router_builder;

struct params {
    struct {
        struct str name, value; /* the value as in the normalised path, codings included */
    } at[ROUTER_VARIABLES_MAX];
    uint32_t count;
};

struct route_pattern {
    struct str host;   /* "api.example.com", "*.example.com"; empty: any */
    struct str path;   /* "/users", "/users/{id}", "/files/ **" (without the space: below); names of
                                  variables are borrowed for as long as routes are found and used */
    bool below;        /* the path and everything below it, by whole segments; "/": everything */
    uint32_t methods;  /* bits 1 << enum method; METHOD_OTHER: any method that has no number. GET
                                  takes HEAD too, where no route names HEAD */
    uint32_t priority; /* among routes of the same host, path and method the highest is taken */
    const void *owner; /* see above; NULL is an owner like any other */
    struct str label;  /* comes with the route that is found; borrowed for as long */
};

enum router_added {
    ROUTER_ADDED,
    ROUTER_CONFLICT, /* the same host, path, method and priority is taken */
    ROUTER_BAD_PATTERN
};

struct route_match {
    void *route;              /* NULL: none */
    struct str label;         /* of the pattern by which it was found */
    bool method_mismatch;     /* none, but with another method there is: see allowed_methods */
    bool ambiguous;           /* none: two readings of the path lead to different routes */
    uint32_t allowed_methods; /* bits 1 << enum method, for Allow */
};

/* Build: one route at a time, each in constant time on average. */
struct router_builder *router_builder_new(void);
/* other    on ROUTER_CONFLICT the route that has the place; may be NULL */
enum router_added router_builder_add(struct router_builder *b, const struct route_pattern *pattern,
                                     void *route, void **other) MUST_USE;
/* The router; the builder is gone. */
struct router *router_builder_finish(struct router_builder *b) MUST_USE;
/* The same in pieces of at most so many bytes, about 200 for a route. NULL: there is more, and nothing is to be added any
 * more. */
struct router *router_builder_finish_some(struct router_builder *b, size_t most) MUST_USE;
void router_builder_free(struct router_builder *b);
void router_free(struct router *r);
/* Bytes of its block. */
size_t router_size(const struct router *r);

/* host     as in Host: case, a port and a dot at the end do not matter
 * path     normalised; what does not begin with '/' ("*" of OPTIONS, CONNECT) fits nothing
 * params   filled if a route is found
 */
struct route_match router_find(const struct router *r, struct str host, enum method method,
                               struct str path, struct params *params);

#endif

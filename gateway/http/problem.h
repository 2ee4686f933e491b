/* Bodies of the answers that we make ourselves. (RFC 9457)
 *
 * Text for people by default; application/problem+json when the client's Accept prefers JSON. Both carry
 * the stable reason code.
 */
#ifndef GATEWAY_HTTP_PROBLEM_H
#define GATEWAY_HTTP_PROBLEM_H

#include <stdbool.h>

#include "gateway/base/arena.h"
#include "gateway/base/str.h"

struct problem {
    unsigned status;
    struct str title;      /* "Too Many Requests"; empty: the standard reason phrase */
    struct str detail;     /* for people: "Authentication Failed" */
    struct str reason;     /* stable code: "rate_limited" */
    struct str request_id; /* empty: left out */
};

bool problem_wants_json(struct str accept);
/* text: detail (or title) and a line feed.  json: {"type":"about:blank","title":…,"status":…,"detail":…,"reason":…} */
struct str problem_body(const struct problem *p, bool as_json, struct arena *arena);

#endif

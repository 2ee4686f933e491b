/* What a limit says to clients: refusals, when to come again, what is left.
 *
 * The fields are those of draft-ietf-httpapi-ratelimit-headers-11, and the names from before there was a draft.
 */
#ifndef GATEWAY_LIMITING_LIMIT_ANSWER_H
#define GATEWAY_LIMITING_LIMIT_ANSWER_H

#include "gateway/exchange/builder.h"
#include "gateway/exchange/exchange.h"
#include "ratelimit/limiter.h"

enum limit_headers { HEADERS_DRAFT = 1, HEADERS_X = 2 }; /* bits */
enum limit_headers_when { WHEN_REFUSED, WHEN_ALWAYS };

/* Const after the build. */
struct limit_answer {
    unsigned status;
    enum reason reason; /* of a refusal */
    const char *body;
    uint64_t jitter_ppm;
    uint64_t headers;
    enum limit_headers_when when;
    uint32_t series;            /* gateway_rate_limited_total of this service and limit */
    struct str label;           /* the limit there */
    struct hash_key jitter_key; /* of the limit */
    struct str quoted_name;     /* as a structured field's string (RFC 8941 3.3.3) */
    struct str policy;          /* "name";q=100;w=1 */
    struct str at_once;
};

/* The settings are in *a already: what follows from them, the step's name and the limit is filled in. */
void limit_answer_build(struct limit_answer *a, struct builder *b, const struct limiter *l);

/* Refused, and not to come again before retry_ns have passed. */
enum verdict limit_answer_refuse(const struct limit_answer *a, struct exchange *x, struct frame *f,
                                 const struct decision *d, uint64_t retry_ns);
/* It cannot be told whether there is anything left, and is refused therefore. */
enum verdict limit_answer_refuse_away(const struct limit_answer *a, struct exchange *x,
                                      struct frame *f, uint64_t retry_ns);
/* It has no key, and that is not allowed here: there is no time after which it would be. */
enum verdict limit_answer_refuse_unknown(const struct limit_answer *a, struct exchange *x,
                                         struct frame *f);
/* When this client should come again: later by its own share of the jitter, another one each time. */
uint64_t limit_answer_with_jitter(const struct limit_answer *a, uint64_t key, uint64_t at_ns,
                                  uint64_t retry_ns);
/* On the answer that is being made, in these sets of headers: bits of enum limit_headers. */
void limit_answer_say_what_is_left(const struct limit_answer *a, uint64_t headers,
                                   struct exchange *x, uint64_t remaining, uint64_t reset_ns);

#endif

/* Answers made here. */
#ifndef GATEWAY_EXCHANGE_REPLY_H
#define GATEWAY_EXCHANGE_REPLY_H

#include "gateway/exchange/exchange.h"

/* Make x->resp an error answer in the form that the client prefers (text, or problem+json); x->reason is set.
 * why      for people; NULL: the standard reason phrase */
void reply_problem(struct exchange *x, unsigned status, enum reason reason, const char *why);
/* The same with a text that is said exactly as it is. */
void reply_text(struct exchange *x, unsigned status, enum reason reason, struct str content_type,
                struct str body);
/* Retry-After in whole seconds, rounded up, at least 1. (RFC 9110 10.2.3) */
void reply_retry_after(struct exchange *x, uint64_t retry_ns);
/* The only way for a step to refuse: in SHADOW it is noted and NEXT comes back. */
enum verdict reply_refuse(struct exchange *x, struct frame *f, unsigned status, enum reason reason,
                          const char *why);
/* The same for a limit, by the name that it has in metrics: a service may have several. */
enum verdict reply_refuse_by_limit(struct exchange *x, struct frame *f, unsigned status,
                                   enum reason reason, const char *why, struct str limit);
/* A step in SHADOW would have refused: it is in the record, and counted. For those that do not refuse by reply_refuse. */
void reply_shadow(struct exchange *x, enum reason reason, struct str limit);

#endif

/* Is a server worth asking? The breaker of a process for one server. Pure: time is an argument.
 *
 *     UP ── open_after failures in a row ──► AWAY ── PING answered in time ──► UP, but one failure is enough
 *                                             ▲ │
 *                                  it failed  │ └── … and the failure was one that PING does not see ──► TRIAL
 *                                             └──────────────────────────────────── one question at a time ─┘
 *
 * So while it is away no request waits to find out, and what only a question can find out costs one.
 */
#ifndef GATEWAY_LOOKUP_REDIS_OUTAGE_H
#define GATEWAY_LOOKUP_REDIS_OUTAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/check.h"

enum redis_outage_state { OUTAGE_UP, OUTAGE_AWAY, OUTAGE_TRIAL };

struct redis_outage {
    uint64_t open_after, retry_every_ns;
    enum redis_outage_state state;
    uint64_t failures; /* in a row */
    bool silent;       /* the last one: PING would have seen it */
    bool trying;       /* OUTAGE_TRIAL: the one question is on its way */
    uint64_t retry_ns; /* OUTAGE_AWAY: no trial before */
};

void redis_outage_init(struct redis_outage *o, uint64_t open_after, uint64_t retry_every_ns);
/* May a question go through now? True in OUTAGE_TRIAL takes the trial. */
bool redis_outage_allows(struct redis_outage *o) MUST_USE;
/* Would it? */
bool redis_outage_would_allow(const struct redis_outage *o);

/* All three return whether it went away, or came back (from UP, or to UP). */

/* A question was answered. */
bool redis_outage_succeeded(struct redis_outage *o);
/* One failed. silent: no connection, or no answer in time: PING sees that, too. */
bool redis_outage_failed(struct redis_outage *o, bool silent, uint64_t now_ns);
/* PING was answered, in time. */
bool redis_outage_pinged(struct redis_outage *o, uint64_t now_ns);
/* The question that was let through will say nothing any more (it was cancelled). */
void redis_outage_forgot(struct redis_outage *o);

#endif

/* How busy this worker is, and which share of the requests it should turn away.
 *
 * Delay: what arrives while the loop is in a turn waits for its end, and if more is ready than a turn takes, for some
 * turns more. So the delay is how long turns take, smoothed over a tenth of a second; one reading of the clock a turn.
 * CPU: the share of a core that the process used, asked ten times a second at most. Nothing is read while no step
 * asks for a share.
 *
 * The share rises while a measure is above what a rule allows, the faster the further above, and falls while it is
 * below: it finds its level instead of going on and off. Time is an argument. One process, one thread.
 */
#ifndef GATEWAY_EXCHANGE_PRESSURE_H
#define GATEWAY_EXCHANGE_PRESSURE_H

#include <stdbool.h>
#include <stdint.h>

#include "gateway/base/random.h"

#define PRESSURE_RULES 8 /* of one worker that are kept at a time */
#define PRESSURE_MOST_SHED                                                                         \
    950000 /* ppm: some always get through, or nobody would know that it is over */

/* What is too much; 0: that does not matter. */
struct pressure_rule {
    uint64_t delay_ns;
    uint64_t cpu_ppm; /* of one core */
};

struct pressure {
    uint64_t asked_ns; /* when a share was asked for last; 0: never */
    uint64_t looked_ns, ended_ns;
    uint64_t delay_ns;
    uint64_t full_turns,
        left; /* turns that were full, one after the other; what the last one left */
    uint64_t cpu_ppm, cpu_used_ns;
    struct {
        struct pressure_rule rule;
        uint64_t asked_ns;            /* 0: free */
        uint64_t level_ppm, shed_ppm; /* what has been enough for a while, and what is now */
    } rules[PRESSURE_RULES];
    struct random random;
};

/* Does anybody want to know? If so, pressure_turned is to be called at the end of each turn. */
static inline bool pressure_is_watched(const struct pressure *l)
{
    return l->asked_ns != 0;
}

/* A turn that began at woken_ns ends.
 * left     if more may have been ready than it could take: in how many turns more it will have been taken, at most */
void pressure_turned(struct pressure *l, uint64_t woken_ns, uint64_t now_ns, uint64_t left);
/* Is it time for pressure_look? At most ten times a second. */
bool pressure_is_due(const struct pressure *l, uint64_t now_ns);
/* How much CPU time the process has used so far; moves the shares. */
void pressure_look(struct pressure *l, uint64_t now_ns, uint64_t cpu_used_ns);
/* The share of requests to be turned away by this rule, in ppm. */
uint64_t pressure_share(struct pressure *l, const struct pressure_rule *rule, uint64_t now_ns);
/* Draw lots: true for such a share. */
bool pressure_sheds(struct pressure *l, uint64_t share_ppm);
/* The largest share of all rules. */
uint64_t pressure_shed_most(const struct pressure *l);

#endif

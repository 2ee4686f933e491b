/* What an algorithm of rate limiting is: arithmetic on one word.
 *
 * It knows no atomics, no clock and no keys; the limiter knows no arithmetic. Word 0 means "never seen".
 * `now_ns` counts from the birth of the region and is at least 1.
 *
 * A word may come from a colleague whose clock is ahead, for a clock is read once a turn: a step treats the
 * future as now. (Four processes, 1000/s, ten seconds: window algorithms that did not, allowed 618 843
 * instead of 10 000, because whoever was behind reset the window of its colleagues.)
 *
 * To add an algorithm: one file, one constant, one line in all.list.
 */
#ifndef RATELIMIT_ALGORITHM_H
#define RATELIMIT_ALGORITHM_H

#include "ratelimit/limit.h"

#define RETRY_NEVER UINT64_MAX /* it costs more than the limit ever allows */

struct decision {
    bool allowed;
    uint64_t remaining; /* that could be taken at once after this */
    uint64_t retry_ns;  /* refused: after so long it would be allowed; else 0 */
    uint64_t delay_ns;  /* allowed, but not before so long (shaping) */
    uint64_t reset_ns;  /* until it is as if nothing had been taken */
    uint64_t at_ns;     /* when it was counted: now, or later if a colleague's clock is ahead */
};

struct algorithm {
    const char *name, *doc;
    /* Its `now_ns` is wall time, nanoseconds since 1970, as the region's birth and the steady clock say: it does not jump.
 */
    bool by_wall_clock;
    /* It is no word: it has no step and no rescale, and the limiter needs a struct limit_log (sliding_log.h). */
    bool keeps_log;
    /* Why this limit does not fit in a word, for people, or NULL. limit_check has been passed. */
    const char *(*cannot)(const struct limit *l);
    /* cost > 0 takes, 0 only looks (explain, shadow), < 0 gives back what was taken (a refund, a cost known afterwards): `now_ns` is
     * then the at_ns of the taking. A word that this limit could not have produced (garbage, the far future) counts as 0. Returns the
     * next word, which is the same when nothing was taken. */
    uint64_t (*step)(uint64_t word, const struct limit *l, uint64_t now_ns, int32_t cost,
                     struct decision *out);
    /* The same use, expressed under changed parameters: a reload with another rate keeps state. `was` has been
     * through limit_pack. */
    uint64_t (*rescale)(uint64_t word, const struct limit *was, const struct limit *is,
                        uint64_t now_ns);
    /* After so long without use a word means the same as 0, and its cell may be taken over. */
    uint64_t (*idle_ns)(const struct limit *l);
    /* What an idle client may take at once: the burst, for those that have one. */
    uint64_t (*at_once)(const struct limit *l);
};

/* From all.list, by name; NULL if there is none. */
const struct algorithm *algorithm_find(struct str name);
/* The i-th, for lists of names; NULL after the last. */
const struct algorithm *algorithm_at(size_t i);
/* Its place in that list. */
size_t algorithm_index(const struct algorithm *a);
/* Does a limit's burst mean anything to it? */
bool algorithm_has_burst(const struct algorithm *a);

#endif

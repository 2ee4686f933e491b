/* What must hold for every algorithm of one word, whatever it reckons: each function fails the test that calls it.
 */
#ifndef TEST_UNIT_RATELIMIT_PROPERTIES_H
#define TEST_UNIT_RATELIMIT_PROPERTIES_H

#include "gateway/base/random.h"
#include "ratelimit/algorithm.h"
#include "test/unit/shm/fresh.h"

#define DAYS(n) ((uint64_t)(n)*86400 * NS_PER_S)
/* A day on which wall time was looked at: 2026-11-21. */
#define TODAY   DAYS(20778)

/* Reads the text, and sees that the algorithm takes it. */
struct limit limit_for(const struct algorithm *a, const char *text);
/* How many of `tries` at this moment are allowed. */
uint64_t allowed_of(const struct algorithm *a, uint64_t *word, const struct limit *l, uint64_t now,
                    uint64_t tries);

/* A step with cost 0 changes nothing and says what a step with cost 1 would decide; what a step says remains can be
 * taken, and one more cannot. */
void property_look_tells_what_a_taking_would_decide(const struct algorithm *a,
                                                    const struct limit *l, uint64_t seed);
/* Refused: one ns before retry_ns has passed it still is, then it is not. Late is how much later is right too. */
void property_retry_is_the_first_moment(const struct algorithm *a, const struct limit *l,
                                        uint64_t seed, uint64_t late_ns);
/* After idle_ns every decision is that of word 0. */
void property_idle_means_none(const struct algorithm *a, const struct limit *l, uint64_t seed);
/* Any 64 bits: no crash, no more than the limit allows, and after idle_ns as if there were none. */
void property_any_word_is_bounded(const struct algorithm *a, const struct limit *l, uint64_t seed);
/* What was taken and given back at once leaves everything as it was. */
void property_given_back_is_as_never_taken(const struct algorithm *a, const struct limit *l,
                                           uint64_t seed);
/* From `was` to `is` in mid-life: at once no more is left than `is` allows less what was used under `was`; and back. */
void property_rescale_keeps_what_was_used(const struct algorithm *a, const struct limit *was,
                                          const struct limit *is, uint64_t seed);
/* What costs more than can ever be taken at once is never allowed, says so, and takes nothing. */
void property_too_much_is_never_allowed(const struct algorithm *a, const struct limit *l);

#endif

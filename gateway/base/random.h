/* Random numbers of two kinds: fast ones that anybody may guess (jitter, picking an endpoint), and secret
 * ones that nobody may (keys, tokens, ids).
 */
#ifndef GATEWAY_BASE_RANDOM_H
#define GATEWAY_BASE_RANDOM_H

#include <stddef.h>
#include <stdint.h>

/* xoshiro256++ (Blackman and Vigna 2019). One per worker; seed again after fork. */
struct random {
    uint64_t s[4];
};

/* From the system's random source. */
void random_seed(struct random *r);
/* The same sequence for the same number: tests. */
void random_seed_with(struct random *r, uint64_t seed);
uint64_t random_u64(struct random *r);
/* Evenly 0 … below - 1; `below` is not 0. */
uint64_t random_below(struct random *r, uint64_t below);
/* Bytes nobody can guess; dies if the system has none. */
void random_secret(void *to, size_t len);

#endif

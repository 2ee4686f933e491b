/* A step of rate_limit, and who asks it. */
#ifndef TEST_UNIT_GATEWAY_MIDDLEWARE_RATE_LIMIT_PLAY_H
#define TEST_UNIT_GATEWAY_MIDDLEWARE_RATE_LIMIT_PLAY_H

#include "by_hand.h"

extern const struct middleware rate_limit_middleware;

#define HOURLY "{rate: 6/h, burst: 3}" /* nothing is earned while a test runs */

/* One request from an address; verified_key: whom a step before has let pass, or NULL. */
enum verdict ask(struct stage *s, const char *address, const char *verified_key);
/* How many of `n` requests pass. */
int passed(struct stage *s, int n, const char *address, const char *verified_key);

#endif

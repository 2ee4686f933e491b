/* Places and lines of two workers, who live here in one process and hear each other's bells when the test lets them. */
#ifndef TEST_UNIT_GATEWAY_MIDDLEWARE_CONCURRENCY_PLAY_H
#define TEST_UNIT_GATEWAY_MIDDLEWARE_CONCURRENCY_PLAY_H

#include "by_hand.h"
#include "shm/bell.h"
#include "shm/holds.h"

extern const struct middleware concurrency_middleware;

struct play {
    struct stage s;
    struct bells *bells;
    struct seats_shared *seats;
    struct local workers[2];
    struct loop loops[2];
    struct holds now;
    uint64_t now_ns; /* the play's clock, an hour ahead: by the loops' own no timer is ever due */
};

/* The step of the service "u" with this block. */
void play_begin(struct play *p, const char *yaml);
/* Nobody is left in it. */
void play_end(struct play *p);

/* A request comes to a worker, a moment after the one before. */
enum verdict come(struct play *p, struct act *a, int worker);
/* It is over, whatever it did: as exchange.c ends it. */
void leave(struct act *a);
bool is_served(const struct act *a);

void turn(struct play *p, int worker);
/* The worker's loop finds its bell rung; false: it was not. */
bool hear(struct play *p, int worker);
void pass_ms(struct play *p, int worker, uint64_t ms);

/* Over both workers. */
uint64_t running(const struct play *p);
uint64_t waiting(const struct play *p);

#endif

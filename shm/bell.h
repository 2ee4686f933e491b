/* Bells: waking other processes. Each seat has an eventfd, made by the master before it forks.
 *
 * A topic is a set of seats that want to know. Who waits: bell_want, look at the truth again, then sleep
 * with a timeout. Who changes the truth: publish it, then bell_ring. As both are sequentially consistent,
 * either the waiter sees the new truth or the ringer sees the waiter. There is no flag "somebody has rung"
 * which a killed process could leave set: a ring that is lost costs the waiter its timeout, never more.
 */
#ifndef SHM_BELL_H
#define SHM_BELL_H

#include "shm/region.h"
#include "shm/seats.h"

#define BELL_WORDS (SEATS_MAX / 64)

/* Lies in shared memory: on its own or inside another table. Zeros are a topic that nobody waits for. */
struct bell_topic {
    shared_word want[BELL_WORDS];
};

/* The eventfds; the same numbers in every process, for it is made before the fork. */
struct bells;

/* Master, at boot. Dies when the system refuses. */
struct bells *bells_new(void);
void bells_free(struct bells *b);
/* To be watched by the holder of the seat: readable when it was rung. */
int bells_fd(const struct bells *b, uint32_t seat);
/* The holder, when its descriptor is readable: quiet again. */
void bells_hush(const struct bells *b, uint32_t seat);
/* Wake one seat. */
void bells_ring_seat(const struct bells *b, uint32_t seat);

/* A table with one topic: made within a load, found otherwise. NULL as region_table. */
struct bell_topic *bell_table(struct region *r, struct str name) MUST_USE;
/* Tell me the next time. Look at the truth again after this, then sleep with a timeout. */
void bell_want(struct bell_topic *t, uint32_t seat);
void bell_want_no_more(struct bell_topic *t, uint32_t seat);
/* The truth has changed, and was published: wake everybody who wants to know, and forget them. */
void bell_ring(const struct bells *b, struct bell_topic *t);

#endif

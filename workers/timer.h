/* Timers of one loop: lazy, on a binary heap.
 *
 * Timers live in connections, sessions and links, one each. Moving a timer later writes a number: the
 * heap is only touched when a timer is moved earlier than its place in the heap, and when that place
 * comes due. So a timer that is set anew for each request costs the heap one step every few seconds.
 * Times are clock_now_ns(). One process, one thread.
 */
#ifndef WORKERS_TIMER_H
#define WORKERS_TIMER_H

#include <stddef.h>
#include <stdint.h>

struct timer {
    uint64_t due_ns;                 /* 0: not set */
    void (*on_due)(struct timer *t); /* called once per timer_set, from the loop */
    uint32_t place;                  /* in the heap, counted from 1; 0: not on the heap */
};

struct timer_entry {
    uint64_t key_ns; /* never later than timer->due_ns, unless that is 0 */
    struct timer *timer;
};

struct timers {
    struct timer_entry *heap;
    uint32_t count, room;
};

void timers_init(struct timers *h);
void timers_end(struct timers *h);
static inline void timer_init(struct timer *t, void (*on_due)(struct timer *))
{
    *t = (struct timer){ .on_due = on_due };
}
void timer_place(struct timers *h, struct timer *t);
/* Fire at `due_ns` (not 0); replaces what was set before. */
static inline void timer_set(struct timers *h, struct timer *t, uint64_t due_ns)
{
    t->due_ns = due_ns;
    if (t->place == 0 || due_ns < h->heap[t->place - 1].key_ns)
        timer_place(h, t);
}
/* Do not fire. Cheap: the place in the heap stays until it comes due. */
static inline void timer_unset(struct timer *t)
{
    t->due_ns = 0;
}
/* Off the heap for good: before the memory of the timer ends. */
void timer_remove(struct timers *h, struct timer *t);
/* Call what is due. */
void timers_run(struct timers *h, uint64_t now_ns);
/* When to look again: an upper bound for sleeping, or UINT64_MAX. */
uint64_t timers_next(const struct timers *h);

#endif
